//! The idle and the named interpreters of a sandbox.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use e2bridge_core::{Code, Error, Result};

use super::{Interpreter, Worker};
use crate::sandbox::Sandbox;
use crate::wait::{Interrupt, cancelled};

/// Most idle workers for stateless runs that are kept, per sandbox.
const MAX_IDLE: usize = 4;
/// Most named contexts, per sandbox: each is a process of its own.
const MAX_CONTEXTS: usize = 16;
/// How often a call that waits for its context looks whether it was cancelled.
const CONTEXT_TICK: Duration = Duration::from_millis(20);

/// The warm interpreters of one sandbox.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    table: Mutex<Table>,
    /// A context became free.
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    idle: Vec<(Interpreter, Worker)>,
    contexts: HashMap<(Interpreter, String), Context>,
}

/// A named context; its worker is out while a call uses it.
#[derive(Debug)]
enum Context {
    Busy,
    Idle(Worker),
}

/// Workers that were hung up on, and end by themselves. Kept until their init has ended: it would have to kill those that are dropped
/// before.
#[must_use]
pub(crate) struct HungUp {
    _workers: Vec<Worker>,
}

impl Workers {
    /// True when no interpreter has been started.
    pub(crate) fn is_empty(&self) -> bool {
        let table = self.table();
        table.idle.is_empty() && table.contexts.is_empty()
    }

    /// Takes the idle workers out for good and hangs up on them, so that they end beside their init. Otherwise it would wait for them
    /// once it is killed.
    pub(crate) fn hang_up_idle(&self) -> HungUp {
        let workers: Vec<Worker> = {
            let mut table = self.table();
            let Table { idle, contexts } = &mut *table;
            let contexts = contexts.extract_if(|_, context| matches!(context, Context::Idle(_)));
            let contexts = contexts.filter_map(|(_, context)| match context {
                Context::Idle(worker) => Some(worker),
                Context::Busy => None,
            });
            idle.drain(..).map(|(_, worker)| worker).chain(contexts).collect()
        };
        for worker in &workers {
            // It has gone already when that fails.
            let _ = rustix::net::shutdown(&worker.socket, rustix::net::Shutdown::Both);
        }
        HungUp { _workers: workers }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change under this lock is a few moves.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when each interpreter that was told to start has done so.
    pub(crate) fn have_started(&self) -> bool {
        self.table().idle.iter().all(|(_, worker)| worker.has_started())
    }

    /// Takes an idle worker for a stateless run.
    pub(super) fn take_idle(&self, interpreter: Interpreter) -> Option<Worker> {
        let mut table = self.table();
        let position = table.idle.iter().position(|(kind, _)| *kind == interpreter)?;
        Some(table.idle.swap_remove(position).1)
    }

    pub(super) fn keep_idle(&self, interpreter: Interpreter, worker: Worker) {
        let mut table = self.table();
        if table.idle.len() < MAX_IDLE {
            table.idle.push((interpreter, worker));
        } else {
            drop(table);
            drop(worker);
        }
    }

    /// Takes a context, alone; its worker too, unless this is its first use. Waits while another call has it.
    pub(super) fn take_context<'a>(
        &'a self,
        interpreter: Interpreter,
        name: &str,
        sandbox: &Sandbox,
        deadline: Instant,
        interrupt: &Interrupt<'_>,
    ) -> Result<(ContextLease<'a>, Option<Worker>)> {
        let key = (interpreter, name.to_owned());
        let mut table = self.table();
        loop {
            let full = table.contexts.len() >= MAX_CONTEXTS;
            let worker = match table.contexts.get_mut(&key) {
                Some(Context::Busy) => {
                    if interrupt.is_cancelled() {
                        return Err(cancelled());
                    }
                    sandbox.check_running()?;
                    if Instant::now() >= deadline {
                        return Err(Error::new(
                            Code::Timeout,
                            format!("context: {name:?} was in use by another call all of the time"),
                        )
                        .about("context"));
                    }
                    table = self
                        .freed
                        .wait_timeout(table, CONTEXT_TICK)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                    continue;
                }
                Some(context) => match std::mem::replace(context, Context::Busy) {
                    Context::Idle(worker) => Some(worker),
                    Context::Busy => None,
                },
                None if full => {
                    return Err(Error::new(
                        Code::LimitExceeded,
                        format!("context: a sandbox has at most {MAX_CONTEXTS} contexts"),
                    )
                    .about("context")
                    .with("limit", MAX_CONTEXTS));
                }
                None => {
                    table.contexts.insert(key.clone(), Context::Busy);
                    None
                }
            };
            return Ok((ContextLease { workers: self, key: Some(key) }, worker));
        }
    }
}

/// A context that is in use by one call. Dropped without its worker it is forgotten: its next use starts afresh.
pub(super) struct ContextLease<'a> {
    workers: &'a Workers,
    key: Option<(Interpreter, String)>,
}

impl ContextLease<'_> {
    pub(super) fn give_back(mut self, worker: Worker) {
        if let Some(key) = self.key.take() {
            self.workers.table().contexts.insert(key, Context::Idle(worker));
            self.workers.freed.notify_all();
        }
    }
}

impl Drop for ContextLease<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.workers.table().contexts.remove(&key);
            self.workers.freed.notify_all();
        }
    }
}
