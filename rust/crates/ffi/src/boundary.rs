//! The guard around every export: no panic leaves, one out-buffer is written, one status is answered.

use std::cell::Cell;
use std::time::Instant;

use e2bridge_core::{CancelToken, Error, Result};
use serde::Serialize;

use crate::bytes::{self, E2bBuffer};
use crate::client::{Client, Function};
use crate::status::{E2B_STATUS_INVALID_ARGUMENT, E2B_STATUS_OK};
use crate::{handle, panics};

/// Runs `body` and gives its document, or the error's, to the caller.
///
/// # Safety
/// `out` is NULL or may be written.
pub(crate) unsafe fn document<T: Serialize>(out: *mut E2bBuffer, body: impl FnOnce() -> Result<T>) -> i32 {
    // SAFETY: the caller's promise is the same.
    unsafe { guard(out, || body().and_then(|document| to_json(&document))) }
}

/// As [`document`], for a call of `function` on a client: finds the client, makes the call cancellable under the number
/// `call`, and records how long it took.
///
/// # Safety
/// As [`document`].
pub(crate) unsafe fn call<T: Serialize>(
    function: Function,
    client: u64,
    call: u64,
    out: *mut E2bBuffer,
    body: impl FnOnce(&Client, &CancelToken) -> Result<T>,
) -> i32 {
    let started = Instant::now();
    let work = || {
        let client = handle::find(client)?;
        let in_flight = client.begin(call)?;
        let answer = body(&client, in_flight.token()).and_then(|document| to_json(&document));
        client.latency(function).record(started.elapsed(), answer.is_err());
        answer
    };
    // SAFETY: the caller's promise is the same.
    unsafe { guard(out, work) }
}

unsafe fn guard(out: *mut E2bBuffer, body: impl FnOnce() -> Result<Vec<u8>>) -> i32 {
    if out.is_null() {
        return E2B_STATUS_INVALID_ARGUMENT;
    }
    let answer = panics::guarded(|| {
        #[cfg(any(test, feature = "test-hooks"))]
        crate::hooks::panic_when_asked();
        body()
    })
    .unwrap_or_else(|| Err(Error::internal(format!("panic in the library: {}", panics::caught()))));
    let (status, json) = match answer {
        Ok(json) => (E2B_STATUS_OK, json),
        Err(error) => (error.code().number(), error_document(&error)),
    };
    // SAFETY: not NULL, as checked above; the caller's promise is that it may be written.
    unsafe { bytes::give(out, json) };
    status
}

/// Most bytes that a thread keeps for its next document.
const KEPT: usize = 16 << 10;

thread_local! {
    /// Where documents are written first, so that an ordinary one needs one allocation, of its own size.
    static DRAFT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

fn to_json(document: &impl Serialize) -> Result<Vec<u8>> {
    let mut draft = DRAFT.take();
    draft.clear();
    serde_json::to_writer(&mut draft, document)
        .map_err(|error| Error::internal(format!("the document has no JSON form: {error}")))?;
    if draft.len() > KEPT {
        return Ok(draft);
    }
    let json = draft.as_slice().to_vec();
    DRAFT.set(draft);
    Ok(json)
}

fn error_document(error: &Error) -> Vec<u8> {
    serde_json::to_vec(error).unwrap_or_else(|_| {
        br#"{"code":"INTERNAL","message":"the error has no JSON form","context":{}}"#.to_vec()
    })
}

/// Runs a body that cannot fail and answers no document; `fallback` when it panics.
pub(crate) fn plain<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    panics::guarded(|| {
        #[cfg(any(test, feature = "test-hooks"))]
        crate::hooks::panic_when_asked();
        body()
    })
    .unwrap_or(fallback)
}
