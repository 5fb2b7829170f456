//! Test doubles; compiled into the unit tests only.

use std::cell::Cell;

thread_local! {
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Panics when the test that runs on this thread asked for it.
pub(crate) fn panic_when_asked() {
    assert!(!ASKED.with(Cell::get), "asked to panic");
}

/// Runs `body` with every export of this thread panicking inside its guard.
pub(crate) fn panicking<T>(body: impl FnOnce() -> T) -> T {
    ASKED.with(|asked| asked.set(true));
    let answer = body();
    ASKED.with(|asked| asked.set(false));
    answer
}
