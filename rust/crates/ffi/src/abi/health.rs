//! Health of the engine and its sandboxes.

use e2bridge_core::request::parse_flag;

use crate::boundary;
use crate::bytes::{E2bBuffer, E2bClient, text};
use crate::client::Function;

/// Probes the engine and, on request, every sandbox; answers isolation, capacity, latencies since open, and alerts.
///
/// Parameters: `include_all_sandboxes` "true" or "false"; absent = false.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; waits for the probes; not cancellable.
/// Errors: INVALID_ARGUMENT, UNAVAILABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn monitor_e2b_health(
    client: E2bClient,
    call: u64,
    include_all_sandboxes: *const u8,
    include_all_sandboxes_length: u64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::MonitorHealth, client, call, out, |client, _| {
            let flag = text("include_all_sandboxes", include_all_sandboxes, include_all_sandboxes_length)?;
            let all = parse_flag("include_all_sandboxes", flag)?.unwrap_or(false);
            client.backend().monitor_health(all).map(|report| client.complete(report))
        })
    }
}
