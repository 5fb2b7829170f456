//! Which sandboxes a client has: those that live, and what is remembered of those that have ended.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use e2bridge_core::Result;
use e2bridge_core::document::{SandboxStatus, SandboxSummary};
use e2bridge_core::request::StatusFilter;

use crate::engine::closed;
use crate::sandbox::Sandbox;

/// Most ended sandboxes that are remembered.
const MAX_ENDED: usize = 1_000;
/// How long an ended sandbox is remembered.
const ENDED_AGE: Duration = Duration::from_secs(3_600);

/// The sandboxes of one client. Its lock is never held across anything that takes time.
#[derive(Default)]
pub(crate) struct Registry {
    tables: RwLock<Tables>,
}

#[derive(Default)]
struct Tables {
    live: HashMap<String, Arc<Sandbox>>,
    /// The same by their numbers at the supervisor, each with its place in `deadlines`.
    numbers: HashMap<u64, (Arc<Sandbox>, Option<Instant>)>,
    /// Deadlines of those that are not being ended, the next one first.
    deadlines: BTreeSet<(Instant, u64)>,
    ended: HashMap<String, Ended>,
    /// Ids of `ended`, the one that ended first in front.
    order: VecDeque<String>,
    closed: bool,
}

/// What is remembered of an ended sandbox.
struct Ended {
    at: Instant,
    /// Position among the hand-outs.
    order: u64,
    status: SandboxStatus,
}

/// What an id stands for.
pub(crate) enum Found {
    /// It lives, or is being ended.
    Live(Arc<Sandbox>),
    /// It has ended: its last status.
    Ended(Box<SandboxStatus>),
    /// Nothing that is known.
    Unknown,
}

impl Registry {
    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        // Every change under this lock is a few moves in and out of maps.
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one that is handed out.
    ///
    /// # Errors
    /// `CLOSED`.
    pub(crate) fn insert(&self, sandbox: &Arc<Sandbox>) -> Result<()> {
        let mut tables = self.write();
        if tables.closed {
            return Err(closed());
        }
        tables.live.insert(sandbox.id.to_string(), Arc::clone(sandbox));
        tables.numbers.insert(sandbox.number, (Arc::clone(sandbox), None));
        tables.schedule(sandbox);
        Ok(())
    }

    /// The live one of that number at the supervisor.
    pub(crate) fn numbered(&self, number: u64) -> Option<Arc<Sandbox>> {
        self.read().numbers.get(&number).map(|(sandbox, _)| Arc::clone(sandbox))
    }

    /// Takes note of a deadline that was changed.
    pub(crate) fn reschedule(&self, sandbox: &Sandbox) {
        self.write().schedule(sandbox);
    }

    /// The next deadline. One that has passed at `now` is answered with its sandbox, and only once.
    pub(crate) fn next_deadline(&self, now: Instant) -> Option<(Instant, Option<Arc<Sandbox>>)> {
        let first = self.read().deadlines.first().map(|(deadline, _)| *deadline)?;
        if first > now {
            return Some((first, None));
        }
        let mut tables = self.write();
        let (deadline, number) = tables.deadlines.pop_first()?;
        let (sandbox, planned) = tables.numbers.get_mut(&number)?;
        *planned = None;
        let sandbox = Arc::clone(sandbox);
        if deadline > now {
            // Another one came first meanwhile.
            tables.schedule(&sandbox);
            return Some((deadline, None));
        }
        Some((deadline, Some(sandbox)))
    }

    /// What `id` stands for.
    pub(crate) fn find(&self, id: &str) -> Found {
        let tables = self.read();
        if let Some(sandbox) = tables.live.get(id) {
            return Found::Live(Arc::clone(sandbox));
        }
        match tables.ended.get(id).filter(|ended| !ended.is_old(Instant::now())) {
            Some(ended) => Found::Ended(Box::new(ended.status.clone())),
            None => Found::Unknown,
        }
    }

    /// Those of which something is alive, in no order.
    pub(crate) fn live(&self) -> Vec<Arc<Sandbox>> {
        self.read().live.values().cloned().collect()
    }

    /// How many [`Registry::live`] has.
    pub(crate) fn count(&self) -> usize {
        self.read().live.len()
    }

    /// Rows of those that have ended and pass the filter, each with its position among the hand-outs.
    pub(crate) fn ended(&self, filter: StatusFilter) -> Vec<(u64, SandboxSummary)> {
        let now = Instant::now();
        self.read()
            .ended
            .values()
            .filter(|ended| filter.accepts(ended.status.status) && !ended.is_old(now))
            .map(|ended| (ended.order, ended.status.summary()))
            .collect()
    }

    /// Turns a live one, if it is one, into a remembered one.
    pub(crate) fn end(&self, order: u64, status: SandboxStatus) {
        let at = Instant::now();
        let dropped = {
            let mut tables = self.write();
            let id = status.sandbox_id.to_string();
            let lived = tables.live.remove(&id).inspect(|sandbox| tables.forget_number(sandbox.number));
            tables.ended.insert(id.clone(), Ended { at, order, status });
            tables.order.push_back(id);
            (lived, tables.forget(at))
        };
        // Outside of the lock, since that closes descriptors.
        drop(dropped);
    }

    /// Forgets what was remembered long enough at `now`; answers when the next one will have been.
    pub(crate) fn forget(&self, now: Instant) -> Option<Instant> {
        let (forgotten, next) = {
            let mut tables = self.write();
            let forgotten = tables.forget(now);
            let next =
                tables.order.front().and_then(|id| tables.ended.get(id)).map(|ended| ended.at + ENDED_AGE);
            (forgotten, next)
        };
        drop(forgotten);
        next
    }

    /// Takes everything out, for good.
    pub(crate) fn close(&self) -> Vec<Arc<Sandbox>> {
        let mut tables = self.write();
        tables.closed = true;
        tables.ended.clear();
        tables.order.clear();
        tables.numbers.clear();
        tables.deadlines.clear();
        tables.live.drain().map(|(_, sandbox)| sandbox).collect()
    }
}

impl Tables {
    /// Puts a live one where its deadline says.
    fn schedule(&mut self, sandbox: &Sandbox) {
        if let Some((_, planned)) = self.numbers.get_mut(&sandbox.number) {
            let deadline = sandbox.deadline();
            if let Some(before) = planned.replace(deadline) {
                self.deadlines.remove(&(before, sandbox.number));
            }
            self.deadlines.insert((deadline, sandbox.number));
        }
    }

    fn forget_number(&mut self, number: u64) {
        if let Some((_, Some(planned))) = self.numbers.remove(&number) {
            self.deadlines.remove(&(planned, number));
        }
    }

    /// Takes out what is remembered beyond number or age.
    fn forget(&mut self, now: Instant) -> Vec<Ended> {
        let mut forgotten = Vec::new();
        while let Some(oldest) = self.order.front() {
            let old = self.ended.get(oldest).is_none_or(|ended| ended.is_old(now));
            if !old && self.order.len() <= MAX_ENDED {
                break;
            }
            if let Some(id) = self.order.pop_front() {
                forgotten.extend(self.ended.remove(&id));
            }
        }
        forgotten
    }
}

impl Ended {
    fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) > ENDED_AGE
    }
}

#[cfg(test)]
mod tests {
    use e2bridge_core::document::{IsolationReport, SandboxLimits, SandboxMetrics, SandboxState};

    use super::*;

    fn status(number: u64) -> SandboxStatus {
        SandboxStatus {
            sandbox_id: format!("sb_{number}").into(),
            name: "".into(),
            template: "base".into(),
            status: SandboxState::Terminated,
            started_at: "".into(),
            expires_at: "".into(),
            ended_at: None,
            reason: None,
            limits: SandboxLimits { memory_mb: 1, cpu_count: 1, disk_mb: 1, processes: 1 }.into(),
            isolation: IsolationReport::default().into(),
            deployment_id: None,
            metrics: SandboxMetrics::default(),
            sampled_at: "".into(),
            timestamp: String::new(),
        }
    }

    #[test]
    fn the_newest_thousand_are_remembered() {
        let registry = Registry::default();
        for number in 0..1_005 {
            registry.end(number, status(number));
        }
        let mut kept: Vec<u64> =
            registry.ended(StatusFilter::All).into_iter().map(|(order, _)| order).collect();
        kept.sort_unstable();
        assert_eq!(kept, (5..1_005).collect::<Vec<_>>());
        assert!(matches!(registry.find("sb_4"), Found::Unknown));
        assert!(matches!(registry.find("sb_5"), Found::Ended(_)));
    }

    #[test]
    fn an_hour_later_they_are_forgotten() {
        let registry = Registry::default();
        registry.end(1, status(1));
        let next = registry.forget(Instant::now()).unwrap();
        assert!(matches!(registry.find("sb_1"), Found::Ended(_)));
        assert!(next > Instant::now() + ENDED_AGE - Duration::from_secs(60));
        assert_eq!(registry.forget(next + Duration::from_secs(1)), None);
        assert!(matches!(registry.find("sb_1"), Found::Unknown));
    }

    #[test]
    fn a_filter_picks_by_state() {
        let registry = Registry::default();
        registry.end(1, status(1));
        registry.end(2, SandboxStatus { status: SandboxState::Expired, ..status(2) });
        let of = |state| registry.ended(StatusFilter::Only(state)).len();
        assert_eq!(
            (of(SandboxState::Expired), of(SandboxState::Terminated), of(SandboxState::Failed)),
            (1, 1, 0)
        );
        assert!(registry.close().is_empty());
        assert!(registry.ended(StatusFilter::All).is_empty());
    }
}
