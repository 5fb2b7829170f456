//! The library itself: versions, what is alive, buffers, what this host can isolate.

use serde::Serialize;

use crate::boundary;
use crate::bytes::{self, E2bBuffer, text};
use crate::config::{self, BackendKind};
use crate::status::E2B_ABI_VERSION;
use crate::{client, handle};

#[derive(Serialize)]
struct Version {
    version: &'static str,
    abi_version: u32,
    supervisor_digest: String,
}

#[derive(Serialize)]
struct LiveCounts {
    clients: usize,
    calls: u64,
    buffers: u64,
    sandboxes: usize,
}

/// Answers E2B_ABI_VERSION as the library was built with; a caller compares it with the header's and refuses a mismatch.
///
/// Parameters: none.
/// Ownership: nothing is handed over.
/// Threads: any.
/// Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn e2b_abi_version() -> u32 {
    boundary::plain(0, || E2B_ABI_VERSION)
}

/// Answers {"version","abi_version","supervisor_digest"}: the release, the ABI, and the SHA-256 of the helper inside.
///
/// Parameters: none.
/// Ownership: `out` is the caller's to free with e2b_buffer_free.
/// Threads: any.
/// Errors: INVALID_ARGUMENT when `out` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e2b_version(out: *mut E2bBuffer) -> i32 {
    // SAFETY: the caller keeps the rules for `out`.
    unsafe {
        boundary::document(out, || {
            Ok(Version {
                version: env!("CARGO_PKG_VERSION"),
                abi_version: E2B_ABI_VERSION,
                supervisor_digest: e2bridge_local::supervisor_digest(),
            })
        })
    }
}

/// Answers what this host can isolate, what not and why, and the command or setting that mends it; makes no client.
///
/// Parameters: `config` as in e2b_open.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any; waits until each facility was tried.
/// Errors: INVALID_ARGUMENT, UNSUPPORTED (the cloud has no host to check).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e2b_check(config: *const u8, config_length: u64, out: *mut E2bBuffer) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::document(out, || {
            let config = config::parse(text("config", config, config_length)?)?;
            match config.backend {
                BackendKind::Local => e2bridge_local::check(&config.local),
                BackendKind::Cloud => Err(config::no_host()),
            }
        })
    }
}

/// Answers {"clients","calls","buffers","sandboxes"}: what is alive in this process, for leak checks. A closed client counts
/// until the last call on it has ended. The buffer of the answer itself is not counted.
///
/// Parameters: none.
/// Ownership: `out` is the caller's to free with e2b_buffer_free.
/// Threads: any.
/// Errors: INVALID_ARGUMENT when `out` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e2b_live_counts(out: *mut E2bBuffer) -> i32 {
    // SAFETY: the caller keeps the rules for `out`.
    unsafe {
        boundary::document(out, || {
            let clients = handle::alive_clients();
            Ok(LiveCounts {
                clients: clients.len(),
                calls: client::live_calls(),
                buffers: bytes::live_buffers(),
                sandboxes: clients.iter().map(|client| client.backend().live_sandboxes()).sum(),
            })
        })
    }
}

/// Frees a buffer that this library wrote and sets it to NULL and 0, so that freeing it again does nothing.
///
/// Parameters: `buffer` may be NULL or empty.
/// Ownership: takes the bytes back; the e2b_buffer itself stays the caller's.
/// Threads: any; one buffer by one thread at a time.
/// Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e2b_buffer_free(buffer: *mut E2bBuffer) {
    boundary::plain((), || {
        // SAFETY: the caller keeps the rules for `buffer`.
        unsafe { bytes::take_back(buffer) }
    });
}
