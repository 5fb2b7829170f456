//! Sandboxes: create, list, status, time-out, terminate.

use e2bridge_core::request::{
    self, CreateSandbox, DEFAULT_SANDBOX_SECONDS, StatusFilter, check_id, parse_flag, required,
};

use crate::boundary;
use crate::bytes::{E2bBuffer, E2bClient, integer, text};
use crate::client::Function;

/// Creates an isolated sandbox from a template and answers its id, limits and isolation.
///
/// Parameters: `name` required, `[a-z0-9][a-z0-9._-]{0,63}`, need not be unique. `template_name` a built-in template (base,
/// python, node), an exported one by name or tpl_ id; absent = base. `timeout` its life in seconds, 1 to 86400; absent = 3600.
/// `memory_mb` MiB, at least 16, 32 or 64 by template; absent = 512. `cpu_count` 1 to the host's number; absent = 1.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
/// Errors: INVALID_ARGUMENT, NOT_FOUND (template), LIMIT_EXCEEDED, UNSUPPORTED, ISOLATION_UNAVAILABLE, UNAVAILABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn create_e2b_sandbox(
    client: E2bClient,
    call: u64,
    name: *const u8,
    name_length: u64,
    template_name: *const u8,
    template_name_length: u64,
    timeout: i64,
    memory_mb: i64,
    cpu_count: i64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::CreateSandbox, client, call, out, |client, cancel| {
            let request = CreateSandbox::new(
                required("name", text("name", name, name_length)?)?,
                text("template", template_name, template_name_length)?,
                integer(timeout),
                integer(memory_mb),
                integer(cpu_count),
            )?;
            client.backend().create_sandbox(&request, cancel)
        })
    }
}

/// Lists this client's sandboxes, alive and remembered, oldest first.
///
/// Parameters: `status_filter` running, paused, expired, terminated, failed or all; absent = running.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; does not wait for the sandbox.
/// Errors: INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn list_e2b_sandboxes(
    client: E2bClient,
    call: u64,
    status_filter: *const u8,
    status_filter_length: u64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::ListSandboxes, client, call, out, |client, _| {
            let filter = StatusFilter::parse(text("status_filter", status_filter, status_filter_length)?)?;
            client.backend().list_sandboxes(filter)
        })
    }
}

/// Answers state and live metrics of a sandbox, sampled at most 100 ms ago; of an ended one what is remembered.
///
/// Parameters: `sandbox_id` required.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; does not wait for the sandbox.
/// Errors: INVALID_ARGUMENT, NOT_FOUND.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_e2b_sandbox_status(
    client: E2bClient,
    call: u64,
    sandbox_id: *const u8,
    sandbox_id_length: u64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::GetSandboxStatus, client, call, out, |client, _| {
            let sandbox_id = required("sandbox_id", text("sandbox_id", sandbox_id, sandbox_id_length)?)?;
            check_id("sandbox_id", sandbox_id)?;
            client.backend().sandbox_status(sandbox_id)
        })
    }
}

/// Lets a sandbox live `timeout` seconds from now, longer or shorter than before.
///
/// Parameters: `sandbox_id` required. `timeout` required, 1 to 86400 seconds.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; does not wait for the sandbox.
/// Errors: INVALID_ARGUMENT, NOT_FOUND.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn set_e2b_timeout(
    client: E2bClient,
    call: u64,
    sandbox_id: *const u8,
    sandbox_id_length: u64,
    timeout: i64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::SetTimeout, client, call, out, |client, _| {
            let sandbox_id = required("sandbox_id", text("sandbox_id", sandbox_id, sandbox_id_length)?)?;
            check_id("sandbox_id", sandbox_id)?;
            let timeout = required("timeout", integer(timeout))?;
            let seconds = request::seconds("timeout", Some(timeout), DEFAULT_SANDBOX_SECONDS)?;
            client.backend().set_timeout(sandbox_id, seconds)
        })
    }
}

/// Ends a sandbox and returns when every process, mount, cgroup and file of it is gone. Ending an ended one is NOT_FOUND
/// with its state in `context.status`.
///
/// Parameters: `sandbox_id` required. `force` "true" kills at once; "false" or absent sends SIGTERM to programs, waits up to 5 s for
/// them, then kills. Embedded JavaScript, which cannot catch a signal, ends at once either way.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; waits up to the grace period; not cancellable.
/// Errors: INVALID_ARGUMENT, NOT_FOUND, UNAVAILABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn terminate_e2b_sandbox(
    client: E2bClient,
    call: u64,
    sandbox_id: *const u8,
    sandbox_id_length: u64,
    force: *const u8,
    force_length: u64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::TerminateSandbox, client, call, out, |client, _| {
            let sandbox_id = required("sandbox_id", text("sandbox_id", sandbox_id, sandbox_id_length)?)?;
            check_id("sandbox_id", sandbox_id)?;
            let force = parse_flag("force", text("force", force, force_length)?)?.unwrap_or(false);
            client.backend().terminate_sandbox(sandbox_id, force)
        })
    }
}
