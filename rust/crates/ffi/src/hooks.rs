//! What tests break on purpose: in the unit tests, and in a library of their own that is built with the feature `test-hooks`.
//! The library that is shipped has none of this; `scripts/check-exports` says so.

use std::cell::Cell;

thread_local! {
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Panics when the test that runs on this thread asked for it.
pub(crate) fn panic_when_asked() {
    assert!(!ASKED.with(Cell::get), "asked to panic");
}

/// Runs `body` with every export of this thread panicking inside its guard.
#[cfg(test)]
pub(crate) fn panicking<T>(body: impl FnOnce() -> T) -> T {
    ASKED.with(|asked| asked.set(true));
    let answer = body();
    ASKED.with(|asked| asked.set(false));
    answer
}

#[cfg(feature = "test-hooks")]
mod exported {
    use super::ASKED;

    /// From now on every export that this thread calls panics inside its guard; not any more with `on` 0.
    #[unsafe(no_mangle)]
    pub(super) extern "C" fn e2b_test_panic(on: i32) {
        ASKED.with(|asked| asked.set(on != 0));
    }

    /// Reads a byte of this library's heap after it was freed: what AddressSanitizer must report, if it is there.
    #[unsafe(no_mangle)]
    pub(super) extern "C" fn e2b_test_read_freed() -> u8 {
        let freed = Box::into_raw(Box::new(std::hint::black_box(7_u8)));
        // SAFETY: none, and that is the purpose: the second use of the pointer is the planted error.
        unsafe {
            drop(Box::from_raw(freed));
            std::hint::black_box(freed).read_volatile()
        }
    }
}
