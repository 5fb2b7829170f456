//! Code in a warm interpreter.

use e2bridge_core::request::{RunCode, required};

use crate::boundary;
use crate::bytes::{E2bBuffer, E2bClient, integer, text};
use crate::client::Function;

/// Runs code in a warm interpreter of the sandbox. An exception in the code is a result, not an error.
///
/// Parameters: `sandbox_id` required. `language` required: javascript (js), python (py), shell (sh, bash). `code` required, may
/// be empty. `context` the name of a context that keeps its state; absent = stateless. `timeout` 1 to 86400 seconds; absent = 60.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
/// Errors: INVALID_ARGUMENT, NOT_FOUND, LIMIT_EXCEEDED (code over 16 MiB), UNSUPPORTED (the template lacks the language), CANCELLED,
/// CLOSED, UNAVAILABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn run_e2b_code(
    client: E2bClient,
    call: u64,
    sandbox_id: *const u8,
    sandbox_id_length: u64,
    language: *const u8,
    language_length: u64,
    code: *const u8,
    code_length: u64,
    context: *const u8,
    context_length: u64,
    timeout: i64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::RunCode, client, call, out, |client, cancel| {
            let request = RunCode::new(
                required("sandbox_id", text("sandbox_id", sandbox_id, sandbox_id_length)?)?,
                required("language", text("language", language, language_length)?)?,
                required("code", text("code", code, code_length)?)?,
                text("context", context, context_length)?,
                integer(timeout),
            )?;
            client.backend().run_code(&request, cancel)
        })
    }
}
