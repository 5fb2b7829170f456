//! What panicked, without a word on standard error: the process belongs to the caller.

use std::any::Any;
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

/// Runs `body` with panics of this thread caught; `None` when it panicked.
pub(crate) fn guarded<T>(body: impl FnOnce() -> T) -> Option<T> {
    silence();
    let outer = GUARDED.with(|flag| flag.replace(true));
    let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    GUARDED.with(|flag| flag.set(outer));
    answer.map_err(discard).ok()
}

/// Drops what a panic carried when that is a text, as it nearly always is. The destructor of anything else may panic in turn,
/// out of the guard; its few bytes are lost instead.
fn discard(payload: Box<dyn Any + Send>) {
    if !payload.is::<&'static str>() && !payload.is::<String>() {
        std::mem::forget(payload);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a destructor panicked");
        }
    }

    #[test]
    fn whatever_a_panic_carries_it_does_not_get_out() {
        assert_eq!(guarded(|| 7), Some(7));
        assert_eq!(guarded(|| -> u8 { panic!("a literal") }), None);
        assert!(caught().starts_with("a literal at "));
        assert_eq!(guarded(|| -> u8 { panic!("made of {}", 2) }), None);
        assert!(caught().starts_with("made of 2 at "));
        assert_eq!(guarded(|| -> u8 { std::panic::panic_any(Bomb) }), None);
        assert!(caught().starts_with("no message at "));
    }
}
