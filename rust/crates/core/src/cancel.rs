//! Cancellation of a call in flight, as data: the core does no I/O, a backend decides how it waits.

use std::sync::Mutex;

type Waker = Box<dyn Fn() + Send>;

/// Shared between a call in flight and whoever may cancel it. Once cancelled it stays so.
#[derive(Default)]
pub struct CancelToken {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cancelled: bool,
    waker: Option<Waker>,
}

impl CancelToken {
    /// A token that nobody has cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// True once [`CancelToken::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    /// Cancels: wakes the waiter, if there is one. Idempotent; any thread.
    pub fn cancel(&self) {
        let mut state = self.lock();
        if !state.cancelled {
            state.cancelled = true;
            if let Some(waker) = &state.waker {
                waker();
            }
        }
    }

    /// Sets what wakes the call's thread out of its wait (a write to an eventfd, say), replacing an earlier one; called at
    /// once when the token is already cancelled. It runs under the token's lock, so it must not block nor use the token.
    pub fn on_cancel(&self, waker: impl Fn() + Send + 'static) {
        let mut state = self.lock();
        if state.cancelled {
            waker();
        }
        state.waker = Some(Box::new(waker));
    }

    /// Forgets the waker; called before what it refers to goes away.
    pub fn clear_waker(&self) {
        self.lock().waker = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A panicking waker leaves nothing half done: the flag is set before it runs.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl std::fmt::Debug for CancelToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn wakes_once_whether_cancelled_before_or_after_the_waker_is_set() {
        for early in [true, false] {
            let token = CancelToken::new();
            let wakes = Arc::new(AtomicUsize::new(0));
            if early {
                token.cancel();
            }
            let counter = Arc::clone(&wakes);
            token.on_cancel(move || {
                counter.fetch_add(1, Ordering::SeqCst);
            });
            token.cancel();
            token.cancel();
            assert!(token.is_cancelled());
            assert_eq!(wakes.load(Ordering::SeqCst), 1, "early: {early}");
        }
    }
}
