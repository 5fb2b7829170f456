//! Deployments.

use std::sync::atomic::{AtomicUsize, Ordering};

use e2bridge_core::CancelToken;
use e2bridge_wait::with_signals_blocked;

/// Most requests of one call that are under way at the same time.
const AT_ONCE: usize = 8;

/// The deployments of one client.
#[derive(Default)]
pub(crate) struct Deployments {}

impl Deployments {
    /// Ends the helper.
    pub(crate) fn close(&self) {}
}

/// Does `work` for each number below `count`, several at a time; each has a token of its own, which that of the call cancels. The
/// answers are in order.
pub(crate) fn in_parallel<T: Send>(
    count: usize,
    token: &CancelToken,
    work: impl Fn(usize, &CancelToken) -> T + Sync,
) -> Vec<T> {
    // A token wakes one thread, so each has its own; the call's token cancels them all.
    let tokens: std::sync::Arc<[CancelToken]> = (0..count).map(|_| CancelToken::new()).collect();
    let all = std::sync::Arc::clone(&tokens);
    token.on_cancel(move || all.iter().for_each(CancelToken::cancel));
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut answers = Vec::new();
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let Some(token) = tokens.get(turn) else { return answers };
            answers.push((turn, work(turn, token)));
        }
    };
    let mut answers = std::thread::scope(|scope| {
        // This thread is one of them; one that cannot be started leaves more work to the others.
        let others: Vec<_> = with_signals_blocked(|| {
            (1..count.min(AT_ONCE))
                .map_while(|_| {
                    std::thread::Builder::new().name("e2b-cloud".to_owned()).spawn_scoped(scope, worker).ok()
                })
                .collect()
        });
        let mut answers = worker();
        for other in others {
            match other.join() {
                Ok(more) => answers.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        answers
    });
    token.clear_waker();
    answers.sort_by_key(|(turn, _)| *turn);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
