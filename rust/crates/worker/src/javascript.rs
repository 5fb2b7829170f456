//! The embedded JavaScript engine as a worker.

mod globals;
mod image;
mod inspect;
mod json;
mod output;
mod realm;
mod text;

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use e2bridge_protocol::worker::WorkerRequest;
use rquickjs::{Ctx, Value, qjs};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::wire::Channel;
use realm::{Failure, Outcome, Realm};

/// Limits of the runs that warm the engine up.
const WARM_UP: (u64, u64) = (1_000, 65_536);
/// Touches what most code touches: the parser, closures, strings, arrays, printing, JSON, exceptions, jobs.
const WARM_UP_CODE: &str = "const f = (x) => { console.log('w', x, [1, 2], { a: 1 }); try { null.x } catch (e) { String(e) } \
    return JSON.parse(JSON.stringify({ x })).x + `${[3, 1].map((y) => y * 2).sort()}`.length + Math.sqrt(2); }; f(1); \
    var g = (p, b) => p - (1 - p) / b; function h(a, ...rest) { let s = 0; for (const one of rest) s += one; return a < s ? s : a; } \
    console.error((() => Math.round(1e4 * Math.max(0, g(0.55, 2))))(), f(2).toFixed(2), new Map([[1, h(1, 2, 3)]])); \
    class K { #v = 1; get v() { return this.#v; } } display(new K().v); ({ v: f(2), w: 0.1 + 0.2, t: 'a'.repeat(9).split('') })";

thread_local! {
    /// Made by [`prewarm`], inherited by forked processes.
    static WARM: RefCell<Option<Realm>> = const { RefCell::new(None) };
}

/// See [`crate::prewarm`].
pub(crate) fn prewarm() {
    // A realm that is thrown away pays for what the first run of a process pays once: code pages, the allocator, lazy tables.
    if let Ok(mut realm) = Realm::new() {
        rehearse(&mut realm);
    }
    WARM.set(Realm::new().ok());
}

/// See [`crate::inherit`].
pub(crate) fn inherit(inherited: bool) -> bool {
    WARM.with_borrow_mut(|realm| realm.as_mut().is_none_or(|realm| realm.inherit(inherited)))
}

/// A run from the request to the reply, undone.
fn rehearse(realm: &mut Realm) {
    let message = serde_json::to_vec(&warm_up()).unwrap_or_default();
    if let Ok(request) = serde_json::from_slice(&message) {
        drop(serde_json::to_vec(&Reply::new(0, &realm.run(&request), false)));
    }
    realm.renew();
}

fn warm_up() -> WorkerRequest {
    WorkerRequest {
        run: 0,
        code: WARM_UP_CODE.to_owned(),
        stateless: true,
        timeout_ms: WARM_UP.0,
        max_output_bytes: WARM_UP.1,
        memory_bytes: None,
        call: None,
    }
}

/// See [`crate::serve_javascript`].
pub(crate) fn serve(socket: OwnedFd) {
    // Nothing may have the sandboxes share their random numbers; without random bytes there is no service.
    if globals::seed().is_err() {
        return;
    }
    let mut channel = Channel::new(socket);
    // Never dropped: the process ends right after, and taking the heap apart first would keep its sandbox waiting.
    let mut ready = ManuallyDrop::new(WARM.take());
    // Memory that was inherited is copied when it is first written to. While nobody waits, a run that is undone takes that upon itself.
    if let Some(realm) = ready.as_mut().filter(|_| !channel.has_input())
        && catch_unwind(AssertUnwindSafe(|| rehearse(realm))).is_err()
    {
        return;
    }
    while let Ok(Some(message)) = channel.receive() {
        let Ok(request) = serde_json::from_slice::<WorkerRequest>(&message) else { return };
        drop(message);
        let Some(mut realm) = ready.take().or_else(|| Realm::new().ok()) else { return };
        let run = catch_unwind(AssertUnwindSafe(|| realm.run(&request)));
        let defect = run.is_err();
        let outcome = run.unwrap_or_else(|_| Outcome {
            error: Some(Failure {
                name: "InternalError".to_owned(),
                value: "the engine failed".to_owned(),
                traceback: String::new(),
            }),
            ..Outcome::default()
        });
        // What was torn out of the middle of its work is not taken apart, but left to the end of the process.
        let spent = defect || outcome.timed_out || request.stateless && outcome.out_of_memory;
        let reply = Reply::new(request.run, &outcome, spent);
        let sent = channel.send(|buffer| {
            // Writing into memory does not fail, and the reply is made of texts and numbers alone.
            let _ = serde_json::to_writer(buffer, &reply);
        });
        if spent || sent.is_err() {
            std::mem::forget(realm);
            return;
        }
        if request.stateless {
            // Now, while nobody waits.
            realm.renew();
        }
        *ready = Some(realm);
    }
}

/// [`e2bridge_protocol::worker::WorkerReply`] as it is written: JSON texts go in as they are.
#[derive(Serialize)]
struct Reply<'a> {
    run: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    stdout: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    stderr: &'a str,
    dropped_bytes: u64,
    result: Option<&'a str>,
    results: Vec<ReplyOutput<'a>>,
    error: Option<ReplyError<'a>>,
    timed_out: bool,
    out_of_memory: bool,
    spent: bool,
}

#[derive(Serialize)]
struct ReplyOutput<'a> {
    text: &'a str,
    json: Option<&'a RawValue>,
    is_main_result: bool,
}

#[derive(Serialize)]
struct ReplyError<'a> {
    name: &'a str,
    value: &'a str,
    traceback: &'a str,
}

impl<'a> Reply<'a> {
    fn new(run: u64, outcome: &'a Outcome, spent: bool) -> Reply<'a> {
        let results = outcome.results.iter().map(|result| ReplyOutput {
            text: &result.text,
            json: result.json.as_deref().and_then(|json| serde_json::from_str(json).ok()),
            is_main_result: result.is_main_result,
        });
        Reply {
            run,
            stdout: &outcome.stdout,
            stderr: &outcome.stderr,
            dropped_bytes: outcome.dropped_bytes,
            result: outcome.result.as_deref(),
            results: results.collect(),
            error: outcome.error.as_ref().map(|error| ReplyError {
                name: &error.name,
                value: &error.value,
                traceback: &error.traceback,
            }),
            timed_out: outcome.timed_out,
            out_of_memory: outcome.out_of_memory,
            spent,
        }
    }
}

/// The engine's own name of an object's kind, whatever its prototype and constructor say: `Array`, `Map`, `Error`, …
fn class_name(ctx: &Ctx<'_>, value: &Value<'_>) -> String {
    let raw = ctx.as_raw().as_ptr();
    // SAFETY: the context is alive and the value belongs to its runtime; the atom, when there is one, is freed below.
    let atom = unsafe { qjs::JS_GetClassName(qjs::JS_GetRuntime(raw), qjs::JS_GetClassID(value.as_raw())) };
    // SAFETY: as above; the answer is a reference of our own.
    let name = unsafe { Value::from_raw(ctx.clone(), qjs::JS_AtomToString(raw, atom)) };
    // SAFETY: the atom was given to us above and is freed once.
    unsafe { qjs::JS_FreeAtom(raw, atom) };
    text::of_primitive(ctx, &name).unwrap_or_default()
}

/// Length of an array.
fn array_length(ctx: &Ctx<'_>, array: &Value<'_>) -> usize {
    let mut length = 0;
    // SAFETY: the context is alive and the value an array of its runtime, whose length is a plain number.
    let failed = unsafe { qjs::JS_GetLength(ctx.as_raw().as_ptr(), array.as_raw(), &raw mut length) };
    if failed < 0 { 0 } else { usize::try_from(length).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rehearsal_reaches_its_end() {
        let outcome = Realm::new().unwrap().run(&warm_up());
        assert!(outcome.error.is_none(), "{:?}", outcome.error.map(|error| error.traceback));
        assert!(
            outcome.result.is_some() && outcome.stdout.lines().count() == 3 && !outcome.stderr.is_empty()
        );
    }
}
