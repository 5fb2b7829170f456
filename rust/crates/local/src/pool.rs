//! Ready sandboxes, so that a create does not wait for one to be made. Filled by the background thread from the first create of
//! a template on; what is idle costs its own pages: below 1 MiB for `base`, about 2 MiB for `python` and 10 MiB for `node` with their interpreters
//! (`cargo bench -p e2bridge-local -- growth` tells).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use e2bridge_core::document::SandboxState;
use e2bridge_core::request::BuiltinTemplate;
use e2bridge_core::{Error, Result};

use crate::Config;
use crate::engine::{Engine, prestart};
use crate::sandbox::Sandbox;
use crate::supervisor::Supervisor;

/// Ready sandboxes of `base`.
const BASE: u32 = 4;
/// Ready sandboxes of `python` and `node`: each holds a started interpreter.
const INTERPRETER: u32 = 1;
/// Sandboxes are made for the pool only so long after one was taken, unless half of them are missing: what the taker does first, and
/// perhaps the end of the sandbox, does not wait behind it.
const QUIET: Duration = Duration::from_millis(3);
/// Most sandboxes that are made for a pool at once.
const AT_ONCE: usize = 4;
/// Of so many the times that they took to be made are remembered.
const MOST_TIMES: usize = 64;
/// After a failure to fill: the first pause, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// The pools of a client, one per built-in template.
pub(crate) struct Pools {
    pools: [Mutex<Pool>; 3],
}

struct Pool {
    target: usize,
    active: bool,
    ready: VecDeque<Arc<Sandbox>>,
    last_taken: Instant,
    not_before: Instant,
    pause: Duration,
    hits: u64,
    misses: u64,
    /// How long the last ones took to be made, the latest at the end.
    fills: VecDeque<Duration>,
    last_error: Option<Error>,
}

/// Figures of one pool.
#[derive(Clone, Debug)]
pub(crate) struct PoolReport {
    /// Ready now.
    pub(crate) ready: usize,
    /// Kept ready once the template was used.
    pub(crate) target: usize,
    /// True once the template was used.
    pub(crate) active: bool,
    /// Creates that found one ready.
    pub(crate) hits: u64,
    /// Creates that could have used one and found none.
    pub(crate) misses: u64,
    /// How long the last one took to be made.
    pub(crate) last_fill: Option<Duration>,
    /// The median of the last 64.
    pub(crate) median_fill: Option<Duration>,
    /// Why the last one could not be made, when it could not.
    pub(crate) last_error: Option<Error>,
}

impl Pool {
    /// When it should get another one; `None` when it is full or not in use.
    fn due(&self) -> Option<Instant> {
        if !self.active || self.ready.len() >= self.target {
            return None;
        }
        let many = self.ready.len() * 2 <= self.target && self.target > 1;
        let quiet = if many { self.last_taken } else { self.last_taken + QUIET };
        Some(quiet.max(self.not_before))
    }

    /// Takes in what was made for it, or why it was not.
    fn keep(&mut self, made: Result<Arc<Sandbox>>, took: Duration) {
        match made {
            Ok(sandbox) => {
                if self.fills.len() == MOST_TIMES {
                    self.fills.pop_front();
                }
                self.fills.push_back(took);
                self.last_error = None;
                self.pause = PAUSE.0;
                self.ready.push_back(sandbox);
            }
            Err(error) => {
                self.not_before = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(PAUSE.1);
                self.last_error = Some(error);
            }
        }
    }

    fn median_fill(&self) -> Option<Duration> {
        let mut fills: Vec<_> = self.fills.iter().copied().collect();
        fills.sort_unstable();
        fills.get(fills.len() / 2).copied()
    }
}

impl Pools {
    pub(crate) fn new(config: &Config) -> Self {
        let pool = |target: u32| {
            Mutex::new(Pool {
                target: usize::try_from(target).unwrap_or(usize::MAX),
                active: false,
                ready: VecDeque::new(),
                last_taken: Instant::now(),
                not_before: Instant::now(),
                pause: PAUSE.0,
                hits: 0,
                misses: 0,
                fills: VecDeque::new(),
                last_error: None,
            })
        };
        Self {
            pools: [
                pool(config.pool_base.unwrap_or(BASE)),
                pool(config.pool_python.unwrap_or(INTERPRETER)),
                pool(config.pool_node.unwrap_or(INTERPRETER)),
            ],
        }
    }

    fn pool(&self, template: BuiltinTemplate) -> MutexGuard<'_, Pool> {
        let index = match template {
            BuiltinTemplate::Base => 0,
            BuiltinTemplate::Python => 1,
            BuiltinTemplate::Node => 2,
        };
        // Every change under this lock is a few assignments.
        self.pools[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ready sandbox of default limits, rather one whose interpreter is there than one where it still starts. Either has the usual
    /// environment, so it serves only who wants no other.
    pub(crate) fn take(&self, template: BuiltinTemplate, usual_environment: bool) -> Option<Arc<Sandbox>> {
        let mut pool = self.pool(template);
        let fits = |sandbox: &Sandbox| {
            sandbox.state() == SandboxState::Running && (usual_environment || sandbox.workers.is_empty())
        };
        let started = pool.ready.iter().position(|sandbox| fits(sandbox) && sandbox.workers.have_started());
        let position = started.or_else(|| pool.ready.iter().position(|sandbox| fits(sandbox)));
        match position.and_then(|position| pool.ready.remove(position)) {
            Some(sandbox) => {
                pool.last_taken = Instant::now();
                pool.hits += 1;
                Some(sandbox)
            }
            None => {
                pool.misses += 1;
                None
            }
        }
    }

    /// From now on the pool of the template is kept filled.
    pub(crate) fn activate(&self, template: BuiltinTemplate) {
        self.pool(template).active = true;
    }

    /// When the pool should get another one; `None` when it is full or not in use.
    pub(crate) fn due(&self, template: BuiltinTemplate) -> Option<Instant> {
        self.pool(template).due()
    }

    /// Makes what is missing in each pool that is due, some at once; answers when to come again. Called by the background thread.
    pub(crate) fn fill(&self, engine: &Arc<Engine>) -> Option<Instant> {
        for template in BuiltinTemplate::ALL {
            if self.due(template).is_some_and(|due| due <= Instant::now()) {
                self.fill_one(engine, template);
            }
        }
        BuiltinTemplate::ALL.into_iter().filter_map(|template| self.due(template)).min()
    }

    fn fill_one(&self, engine: &Arc<Engine>, template: BuiltinTemplate) {
        let missing = {
            let pool = self.pool(template);
            pool.target.saturating_sub(pool.ready.len()).min(AT_ONCE)
        };
        let order = |_| (Instant::now(), engine.order(template, engine.default_limits(template), None));
        // All of them are asked for before the first is waited for.
        let ordered: Vec<_> = (0..missing).map(order).collect();
        for (began, ordered) in ordered {
            let made = ordered
                .and_then(|ordered| engine.receive(ordered, None))
                .inspect(|sandbox| prestart(sandbox));
            self.pool(template).keep(made, began.elapsed());
        }
    }

    /// Takes out the one of that number.
    pub(crate) fn remove(&self, number: u64) -> Option<Arc<Sandbox>> {
        self.pools.iter().find_map(|pool| {
            let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
            let position = pool.ready.iter().position(|sandbox| sandbox.number == number)?;
            pool.ready.remove(position)
        })
    }

    /// Drops what a dead supervisor made.
    pub(crate) fn discard(&self, dead: &Arc<Supervisor>) {
        for pool in &self.pools {
            let lost: VecDeque<_> = {
                let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
                let (lost, kept) =
                    pool.ready.drain(..).partition(|sandbox| Arc::ptr_eq(&sandbox.supervisor, dead));
                pool.ready = kept;
                lost
            };
            drop(lost);
        }
    }

    /// Drops everything; what is dropped ends with its supervisor.
    pub(crate) fn clear(&self) {
        for pool in &self.pools {
            let ready = std::mem::take(&mut pool.lock().unwrap_or_else(PoisonError::into_inner).ready);
            drop(ready);
        }
    }

    /// Figures of a pool.
    pub(crate) fn report(&self, template: BuiltinTemplate) -> PoolReport {
        let pool = self.pool(template);
        PoolReport {
            ready: pool.ready.iter().filter(|sandbox| sandbox.workers.have_started()).count(),
            target: pool.target,
            active: pool.active,
            hits: pool.hits,
            misses: pool.misses,
            last_fill: pool.fills.back().copied(),
            median_fill: pool.median_fill(),
            last_error: pool.last_error.clone(),
        }
    }
}
