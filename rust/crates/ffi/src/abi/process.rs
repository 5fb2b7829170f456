//! Programs in a sandbox.

use e2bridge_core::request::{ExecuteProcess, parse_flag, parse_strings, required};

use crate::boundary;
use crate::bytes::{E2bBuffer, E2bClient, integer, text};
use crate::client::Function;

/// Runs a program in a sandbox and waits for its exit. A non-zero exit and a time-out are results, not errors.
///
/// Parameters: `sandbox_id` required. `command` required. `args` a JSON array of strings: then `command` is the program and
/// `args` its arguments, no shell; absent = `command` is a line for /bin/sh -c. `timeout` 1 to 86400 seconds; absent = 60.
/// `capture_output` "false" keeps no output; "true" or absent keeps 8 MiB a stream.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
/// Errors: INVALID_ARGUMENT, NOT_FOUND, LIMIT_EXCEEDED (an argument over 128 KiB), CANCELLED, CLOSED, UNAVAILABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execute_e2b_process(
    client: E2bClient,
    call: u64,
    sandbox_id: *const u8,
    sandbox_id_length: u64,
    command: *const u8,
    command_length: u64,
    args: *const u8,
    args_length: u64,
    timeout: i64,
    capture_output: *const u8,
    capture_output_length: u64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::ExecuteProcess, client, call, out, |client, cancel| {
            let request = ExecuteProcess::new(
                required("sandbox_id", text("sandbox_id", sandbox_id, sandbox_id_length)?)?,
                required("command", text("command", command, command_length)?)?,
                parse_strings("args", text("args", args, args_length)?)?,
                integer(timeout),
                parse_flag("capture_output", text("capture_output", capture_output, capture_output_length)?)?,
            )?;
            client.backend().execute_process(&request, cancel)
        })
    }
}
