//! What a sandbox uses, and what is counted of it: samples, executions, kills for want of memory.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use e2bridge_protocol::init::Statistics;

use super::Sandbox;
use crate::usage::Sample;

/// Age up to which a sample is answered again.
const SAMPLE_AGE: Duration = Duration::from_millis(100);
/// How long an init may take to answer when its figures are asked for.
const PROBE_PATIENCE: Duration = Duration::from_millis(200);
/// How long an init that did not answer is not asked again for a sample.
const PROBE_PAUSE: Duration = Duration::from_secs(2);

/// The last look at it, and when init may be asked for the next.
pub(super) struct Sampling {
    last: Option<Arc<Sample>>,
    ask_again: Instant,
}

impl Sampling {
    /// Before the first look at one that was made at that time.
    pub(super) fn new(made: Instant) -> Self {
        Self { last: None, ask_again: made }
    }
}

impl Sandbox {
    /// Counts an execution from its start to the drop of the answer.
    pub(crate) fn count_execution(&self) -> Counted<'_> {
        Counted { sandbox: self }
    }

    /// Processes that the kernel killed because the memory limit was met; `None` without a memory controller. A program that this
    /// number grew under ran out of memory.
    pub(crate) fn memory_kills(&self) -> Option<u64> {
        self.usage.memory_kills()
    }

    /// Whether there were more of them than `before`.
    pub(crate) fn memory_killed_since(&self, before: Option<u64>) -> bool {
        matches!((before, self.memory_kills()), (Some(before), Some(after)) if after > before)
    }

    /// A sample of at most 100 ms before `now`, which is now, and of after the last execution.
    pub(crate) fn sample(&self, now: Instant) -> Arc<Sample> {
        let (last, ask_again) = {
            let sampling = self.sampling();
            if let Some(last) = &sampling.last
                && now.saturating_duration_since(last.taken) <= SAMPLE_AGE
                && !self.changed.load(Ordering::Acquire)
            {
                return Arc::clone(last);
            }
            (sampling.last.clone(), sampling.ask_again)
        };
        self.changed.store(false, Ordering::Release);
        let asked = now >= ask_again;
        let inside = if asked { self.statistics(PROBE_PATIENCE).ok() } else { None };
        let silent = asked && inside.is_none();
        self.keep_sample(inside.as_ref(), last.as_deref(), silent)
    }

    /// A last sample, without asking init.
    pub(crate) fn last_sample(&self) -> Arc<Sample> {
        let last = self.sampling().last.clone();
        self.keep_sample(None, last.as_deref(), false)
    }

    fn keep_sample(&self, inside: Option<&Statistics>, before: Option<&Sample>, silent: bool) -> Arc<Sample> {
        let sample = Arc::new(Sample::take(&self.usage, inside, before, self.started()));
        let mut sampling = self.sampling();
        sampling.last = Some(Arc::clone(&sample));
        if silent {
            sampling.ask_again = sample.taken + PROBE_PAUSE;
        }
        sample
    }

    fn sampling(&self) -> MutexGuard<'_, Sampling> {
        self.sampling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An execution in progress; see [`Sandbox::count_execution`].
pub(crate) struct Counted<'a> {
    sandbox: &'a Sandbox,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.sandbox.executions.fetch_add(1, Ordering::Relaxed);
        self.sandbox.changed.store(true, Ordering::Release);
    }
}
