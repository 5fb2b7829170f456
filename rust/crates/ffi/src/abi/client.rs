//! Clients: open, close, cancel.

use e2bridge_cloud::CloudBackend;
use e2bridge_core::request::required;
use e2bridge_core::{Backend, Error};
use e2bridge_local::LocalBackend;
use serde::Serialize;

use crate::bytes::{E2bBuffer, E2bClient, text, write_client};
use crate::config::{self, BackendKind};
use crate::status::E2B_ABI_VERSION;
use crate::{boundary, client, handle};

#[derive(Serialize)]
struct Opened {
    backend: &'static str,
    isolation: &'static str,
    version: &'static str,
    abi_version: u32,
    timestamp: String,
}

#[derive(Serialize)]
struct Closed {
    closed: bool,
}

#[derive(Serialize)]
struct Cancelled {
    cancelled: bool,
}

/// Opens a client and answers the backend and isolation mode chosen.
///
/// Parameters: `config` a JSON object, each key optional, an unknown one refused: backend (local, cloud), isolation (required,
/// best_effort), data_directory, python, node (paths), pool_base, pool_python, pool_node (0 to 64 ready sandboxes), disk_mb (at
/// least 1); absent = {}. Without `backend` the variable E2B_BACKEND decides, else local; a key alone decides nothing. Of the cloud:
/// api_key, access_token, domain, api_url, sandbox_url (texts; absent = E2B_API_KEY, E2B_ACCESS_TOKEN, E2B_DOMAIN, E2B_API_URL,
/// E2B_SANDBOX_URL), ca_file (path of PEM certificates), templates (an object: the cluster's templates for base, python, node),
/// connect_timeout, request_timeout, idle_timeout (1 to 3600 seconds); neither key nor token appears in any answer. With best_effort, where the host refuses
/// namespaces, sandboxes are of the tier `process`: Landlock, seccomp and limits without namespaces, the writable places below the
/// directory in the variable E2B_ROOT of programs; status, health and check name the tier. `client` required; written on success.
/// Ownership: the arguments are read during the call only; the handle is the caller's to close with e2b_close; `out` is the
/// caller's to free with e2b_buffer_free.
/// Threads: any; the handle may be used by any number of threads at once.
/// Errors: INVALID_ARGUMENT (config.<key>), UNAUTHENTICATED (the cloud without a key), UNSUPPORTED, ISOLATION_UNAVAILABLE,
/// PERMISSION_DENIED, LIMIT_EXCEEDED, UNAVAILABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e2b_open(
    config: *const u8,
    config_length: u64,
    client: *mut E2bClient,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::document(out, || {
            if client.is_null() {
                return Err(Error::invalid("client", "must not be NULL: the handle is written there"));
            }
            let config = config::parse(text("config", config, config_length)?)?;
            let isolation = config::isolation_word(config.local.isolation);
            let backend: Box<dyn Backend> = match config.backend {
                BackendKind::Local => Box::new(LocalBackend::open(config.local)?),
                BackendKind::Cloud => Box::new(CloudBackend::open(config.cloud)?),
            };
            let opened = client::Client::new(backend);
            let document = Opened {
                backend: opened.backend().name(),
                isolation,
                version: env!("CARGO_PKG_VERSION"),
                abi_version: E2B_ABI_VERSION,
                timestamp: e2bridge_core::time::now(),
            };
            write_client(client, handle::insert(opened)?);
            Ok(document)
        })
    }
}

/// Closes a client: ends its sandboxes (of the cloud those it created alone, not those of deployments) and makes the handle answer
/// CLOSED. Answers {"closed":true}, or false when it was
/// closed before. Calls in flight end with CLOSED or with their result.
///
/// Parameters: `client` a handle that e2b_open wrote.
/// Ownership: the handle is used up; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also while other threads are in calls on this client; waits until everything of it is gone.
/// Errors: INVALID_ARGUMENT for a number that never was a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e2b_close(client: E2bClient, out: *mut E2bBuffer) -> i32 {
    // SAFETY: the caller keeps the rules for `out`.
    unsafe {
        boundary::document(out, || {
            let client = handle::remove(client)?;
            if let Some(client) = &client {
                client.backend().close();
            }
            Ok(Closed { closed: client.is_some() })
        })
    }
}

/// Cancels a call in flight: it soon ends with CANCELLED, or with its result when it was about to end. Answers
/// {"cancelled":true}, or false when no call of that number is in flight: it has ended, or not begun.
///
/// Parameters: `client` the handle and `call` the number that the call was made with; 0 = none, refused.
/// Ownership: `out` is the caller's to free with e2b_buffer_free.
/// Threads: any; does not wait for the call to end.
/// Errors: INVALID_ARGUMENT, CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e2b_cancel(client: E2bClient, call: u64, out: *mut E2bBuffer) -> i32 {
    // SAFETY: the caller keeps the rules for `out`.
    unsafe {
        boundary::document(out, || {
            let client = handle::find(client)?;
            let call = required("call", (call != 0).then_some(call))?;
            Ok(Cancelled { cancelled: client.cancel(call) })
        })
    }
}
