//! Files of a sandbox.

use e2bridge_core::request::{WriteFile, check_id, check_path, required};

use crate::boundary;
use crate::bytes::{E2bBuffer, E2bClient, bytes, text};
use crate::client::Function;

/// Writes a file in the sandbox, making missing parent directories; an existing file is replaced.
///
/// Parameters: `sandbox_id` required. `path` required, absolute or relative to /home/user. `content` required, at most 256 MiB of
/// bytes; an empty file is a pointer that is not NULL with length 0.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
/// Errors: INVALID_ARGUMENT, NOT_FOUND, LIMIT_EXCEEDED, PERMISSION_DENIED, CANCELLED, CLOSED, UNAVAILABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write_e2b_file(
    client: E2bClient,
    call: u64,
    sandbox_id: *const u8,
    sandbox_id_length: u64,
    path: *const u8,
    path_length: u64,
    content: *const u8,
    content_length: u64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::WriteFile, client, call, out, |client, cancel| {
            let request = WriteFile::new(
                required("sandbox_id", text("sandbox_id", sandbox_id, sandbox_id_length)?)?,
                required("path", text("path", path, path_length)?)?,
                required("content", bytes("content", content, content_length)?)?,
            )?;
            client.backend().write_file(&request, cancel)
        })
    }
}

/// Reads a regular file of the sandbox; the document has it as `content_base64`.
///
/// Parameters: `sandbox_id` required. `path` required, absolute or relative to /home/user.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
/// Errors: INVALID_ARGUMENT, NOT_FOUND, LIMIT_EXCEEDED, PERMISSION_DENIED, CANCELLED, CLOSED, UNAVAILABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read_e2b_file(
    client: E2bClient,
    call: u64,
    sandbox_id: *const u8,
    sandbox_id_length: u64,
    path: *const u8,
    path_length: u64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::ReadFile, client, call, out, |client, cancel| {
            let sandbox_id = required("sandbox_id", text("sandbox_id", sandbox_id, sandbox_id_length)?)?;
            check_id("sandbox_id", sandbox_id)?;
            let path = required("path", text("path", path, path_length)?)?;
            check_path("path", path)?;
            client.backend().read_file(sandbox_id, path, cancel)
        })
    }
}
