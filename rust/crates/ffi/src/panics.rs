//! What panicked, without a word on standard error: the process belongs to the caller.

use std::cell::{Cell, RefCell};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

static INSTALLED: Once = Once::new();
static COUNT: AtomicU64 = AtomicU64::new(0);
static LAST: Mutex<String> = Mutex::new(String::new());

/// Replaces the hook of this library's own copy of the standard library, which would print. Idempotent.
pub(crate) fn silence() {
    INSTALLED.call_once(|| {
        // A failed assertion of a unit test has to be read, so outside the guard the test build keeps the printing hook.
        let printing = cfg!(test).then(std::panic::take_hook);
        std::panic::set_hook(Box::new(move |info| {
            record(info);
            if let Some(print) = &printing
                && !GUARDED.with(Cell::get)
            {
                print(info);
            }
        }));
    });
}

/// Runs `body` with panics of this thread marked as about to be caught.
pub(crate) fn guarded<T>(body: impl FnOnce() -> T) -> std::thread::Result<T> {
    silence();
    let outer = GUARDED.with(|flag| flag.replace(true));
    let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    GUARDED.with(|flag| flag.set(outer));
    answer
}

/// What the panic that was just caught on this thread said, and where.
pub(crate) fn caught() -> String {
    CAUGHT.with(|cell| cell.take()).unwrap_or_else(|| "no message".to_owned())
}

/// Number of panics since the library was loaded, those of the engine's own threads included, and what the last one said.
pub(crate) fn seen() -> (u64, String) {
    (COUNT.load(Ordering::Relaxed), LAST.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

fn record(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    let place = info.location().map(|location| format!(" at {}:{}", location.file(), location.line()));
    let text = message + &place.unwrap_or_default();
    COUNT.fetch_add(1, Ordering::Relaxed);
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&text);
    CAUGHT.with(|cell| cell.replace(Some(text)));
}
