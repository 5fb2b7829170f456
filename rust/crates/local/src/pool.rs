//! Ready sandboxes, so that a create does not wait for one to be made. Filled by the background thread from the first create of
//! a template on; what is idle costs its own pages: below 1 MiB for `base`, some MiB for the interpreters of `python` and `node`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use e2bridge_core::Error;
use e2bridge_core::document::SandboxState;
use e2bridge_core::request::BuiltinTemplate;

use crate::Config;
use crate::engine::{Engine, prestart};
use crate::sandbox::Sandbox;
use crate::supervisor::Supervisor;

/// Ready sandboxes of `base`.
const BASE: u32 = 4;
/// Ready sandboxes of `python` and `node`: each holds a started interpreter.
const INTERPRETER: u32 = 1;
/// A sandbox is made for the pool only so long after one was taken, unless many are missing: what the taker does first, and
/// perhaps the end of the sandbox, does not wait behind it.
const QUIET: Duration = Duration::from_millis(3);
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
    last_fill: Option<Duration>,
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
    /// Why the last one could not be made, when it could not.
    pub(crate) last_error: Option<Error>,
}

impl Pool {
    /// When it should get another one; `None` when it is full or not in use.
    fn due(&self) -> Option<Instant> {
        if !self.active || self.ready.len() >= self.target {
            return None;
        }
        let empty = self.ready.is_empty() && self.target > 1;
        let quiet = if empty { self.last_taken } else { self.last_taken + QUIET };
        Some(quiet.max(self.not_before))
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
                last_fill: None,
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

    /// A ready sandbox of default limits. One whose interpreter has started has the usual environment, so it serves only who
    /// wants no other.
    pub(crate) fn take(&self, template: BuiltinTemplate, usual_environment: bool) -> Option<Arc<Sandbox>> {
        let mut pool = self.pool(template);
        let position = pool.ready.iter().position(|sandbox| {
            sandbox.state() == SandboxState::Running && (usual_environment || sandbox.workers.is_empty())
        });
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

    /// Makes one sandbox for each pool that is due; answers when to come again. Called by the background thread.
    pub(crate) fn fill(&self, engine: &Arc<Engine>) -> Option<Instant> {
        let mut again: Option<Instant> = None;
        for template in BuiltinTemplate::ALL {
            let Some(due) = self.due(template) else { continue };
            if due > Instant::now() {
                again = Some(again.map_or(due, |at| at.min(due)));
                continue;
            }
            let began = Instant::now();
            let made = engine
                .launch(template, engine.default_limits(template), None)
                .inspect(|sandbox| prestart(sandbox));
            let mut pool = self.pool(template);
            match made {
                Ok(sandbox) => {
                    pool.last_fill = Some(began.elapsed());
                    pool.last_error = None;
                    pool.pause = PAUSE.0;
                    pool.ready.push_back(sandbox);
                    again = Some(began);
                }
                Err(error) => {
                    pool.not_before = Instant::now() + pool.pause;
                    pool.pause = (pool.pause * 2).min(PAUSE.1);
                    pool.last_error = Some(error);
                    again = Some(again.map_or(pool.not_before, |at| at.min(pool.not_before)));
                }
            }
        }
        again
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
            ready: pool.ready.len(),
            target: pool.target,
            active: pool.active,
            hits: pool.hits,
            misses: pool.misses,
            last_fill: pool.last_fill,
            last_error: pool.last_error.clone(),
        }
    }
}
