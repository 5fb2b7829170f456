//! The engine of one client: which sandboxes there are, how they come and go.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use e2bridge_core::document::{
    IsolationReport, SandboxLimits, SandboxList, SandboxState, SandboxStatus, SandboxSummary,
    SandboxTerminated,
};
use e2bridge_core::id::{IdKind, new_id};
use e2bridge_core::request::{BuiltinTemplate, CreateSandbox, DEFAULT_MEMORY_MB, StatusFilter};
use e2bridge_core::time::now;
use e2bridge_core::{CancelToken, Code, Error, Result};
use e2bridge_protocol::socket;
use e2bridge_protocol::supervisor::{
    Create, Limits, Mechanism, Posture, SupervisorReply, SupervisorRequest, Template,
};
use rustix::fs::OFlags;

use crate::background::{self, Background};
use crate::check::HostKnowledge;
use crate::deployment::Deployments;
use crate::pool::Pools;
use crate::sandbox::{Assignment, INIT_ENDED, Parts, SUPERVISOR_ENDED, Sandbox, ended_error};
use crate::settings::Settings;
use crate::supervisor::{self, Supervisor, unexpected};
use crate::templates::{ResolvedTemplate, Templates};
use crate::usage::Usage;
use crate::wait::{Interrupt, Wakeups, cancelled, host_error};
use crate::{Config, worker};

use std::os::fd::AsFd;

/// Processes and threads that a sandbox may have at once: enough for a parallel build, too few to be felt by the host.
const PROCESSES: u32 = 256;
/// How long programs may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// How long the supervisor may take to end a sandbox.
const KILL_PATIENCE: Duration = Duration::from_secs(15);
/// Most ended sandboxes that are remembered.
const MAX_ENDED: usize = 1_000;
/// How long an ended sandbox is remembered.
const ENDED_AGE: Duration = Duration::from_secs(3_600);
/// Why a sandbox ended with its client.
const CLIENT_CLOSED: &str = "the client was closed";

/// What a new sandbox gets beside the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct CreateOptions {
    /// Variables of every execution.
    pub(crate) env: Vec<(String, String)>,
    /// Deployment that it belongs to.
    pub(crate) deployment_id: Option<String>,
    /// The template that the request names, when it was looked up before.
    pub(crate) template: Option<ResolvedTemplate>,
}

/// The engine of one client. Shared by every thread that calls it, and by its background thread.
pub(crate) struct Engine {
    pub(crate) config: Config,
    pub(crate) settings: Settings,
    pub(crate) templates: Templates,
    pub(crate) deployments: Deployments,
    pub(crate) host: HostKnowledge,
    pub(crate) wakeups: Wakeups,
    pub(crate) pools: Pools,
    pub(crate) background: Background,
    thread: Mutex<Option<JoinHandle<()>>>,
    registry: RwLock<Registry>,
    slot: Mutex<Slot>,
    slot_changed: Condvar,
    numbers: AtomicU64,
    orders: AtomicU64,
    closed: AtomicBool,
    posture: Mutex<Option<(Posture, Arc<IsolationReport>)>>,
}

#[derive(Default)]
struct Registry {
    live: HashMap<String, Arc<Sandbox>>,
    ended: HashMap<String, Ended>,
    /// Ids of `ended`, the one that ended first in front.
    order: VecDeque<String>,
    closed: bool,
}

/// What is remembered of an ended sandbox.
struct Ended {
    at: Instant,
    order: u64,
    status: SandboxStatus,
}

/// The supervisor of the client.
#[derive(Default)]
enum Slot {
    #[default]
    None,
    /// One thread starts it, the others wait; cancelling the token ends the attempt.
    Starting(Arc<CancelToken>),
    Ready(Arc<Supervisor>),
}

/// The error of every call on a closed client.
pub(crate) fn closed() -> Error {
    Error::new(Code::Closed, "the client is closed")
}

impl Engine {
    /// Starts the engine: its supervisor and its background thread.
    pub(crate) fn open(config: Config) -> Result<Arc<Self>> {
        let settings = Settings::new(&config)?;
        let templates = Templates::open(config.data_directory.as_deref())?;
        let engine = Arc::new(Self {
            pools: Pools::new(&config),
            config,
            settings,
            templates,
            deployments: Deployments::default(),
            host: HostKnowledge::default(),
            wakeups: Wakeups::default(),
            background: Background::new()?,
            thread: Mutex::new(None),
            registry: RwLock::default(),
            slot: Mutex::default(),
            slot_changed: Condvar::new(),
            numbers: AtomicU64::new(1),
            orders: AtomicU64::new(1),
            closed: AtomicBool::new(false),
            posture: Mutex::new(None),
        });
        engine.supervisor()?;
        let thread = background::start(Arc::clone(&engine))?;
        *engine.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(engine)
    }

    /// True once the client was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Refuses calls on a closed client.
    ///
    /// # Errors
    /// `CLOSED`.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed() { Err(closed()) } else { Ok(()) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Registry> {
        // Every change under this lock is a few moves in and out of maps.
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Registry> {
        self.registry.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The supervisor

    /// The supervisor; starts one when there is none or it has died. Waits while another thread does so.
    ///
    /// # Errors
    /// `CLOSED`; what its start answers.
    pub(crate) fn supervisor(&self) -> Result<Arc<Supervisor>> {
        loop {
            let mut slot = self.slot();
            self.check_open()?;
            match &*slot {
                Slot::Starting(_) => {
                    drop(self.slot_changed.wait(slot).unwrap_or_else(PoisonError::into_inner));
                }
                Slot::Ready(supervisor) => {
                    let supervisor = Arc::clone(supervisor);
                    drop(slot);
                    if !supervisor.is_dead() {
                        return Ok(supervisor);
                    }
                    self.supervisor_died(&supervisor);
                }
                Slot::None => {
                    let closing = Arc::new(CancelToken::new());
                    *slot = Slot::Starting(Arc::clone(&closing));
                    drop(slot);
                    let started = self
                        .wakeups
                        .watch(&closing)
                        .and_then(|interrupt| Supervisor::start_unless(&self.settings, Some(&interrupt)))
                        .map(Arc::new);
                    let mut slot = self.slot();
                    *slot = match &started {
                        Ok(supervisor) if !self.is_closed() => Slot::Ready(Arc::clone(supervisor)),
                        _ => Slot::None,
                    };
                    drop(slot);
                    self.slot_changed.notify_all();
                    self.check_open()?;
                    let supervisor = started?;
                    self.background.watch_supervisor(&supervisor);
                    return Ok(supervisor);
                }
            }
        }
    }

    /// The supervisor, when one is running.
    pub(crate) fn running_supervisor(&self) -> Option<Arc<Supervisor>> {
        match &*self.slot() {
            Slot::Ready(supervisor) => Some(Arc::clone(supervisor)),
            Slot::None | Slot::Starting(_) => None,
        }
    }

    /// Ends what a dead supervisor leaves: its sandboxes have failed.
    pub(crate) fn supervisor_died(&self, dead: &Arc<Supervisor>) {
        {
            let mut slot = self.slot();
            if matches!(&*slot, Slot::Ready(current) if Arc::ptr_eq(current, dead)) {
                *slot = Slot::None;
            }
        }
        dead.kill();
        self.pools.discard(dead);
        let lost: Vec<_> = self
            .read()
            .live
            .values()
            .filter(|sandbox| Arc::ptr_eq(&sandbox.supervisor, dead))
            .cloned()
            .collect();
        for sandbox in lost {
            self.end(&sandbox, SandboxState::Failed, SUPERVISOR_ENDED);
        }
    }

    // Creating

    /// Creates a sandbox and hands it out.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for limits that template or host do not allow; `NOT_FOUND` for the template; `UNSUPPORTED` when its
    /// interpreter is missing; `ISOLATION_UNAVAILABLE`; `LIMIT_EXCEEDED`; `UNAVAILABLE`; `CANCELLED`; `CLOSED`. Nothing is left.
    pub(crate) fn create(
        self: &Arc<Self>,
        request: &CreateSandbox,
        options: CreateOptions,
        token: &CancelToken,
    ) -> Result<Arc<Sandbox>> {
        self.check_open()?;
        let template = match &options.template {
            Some(template) => template.clone(),
            None => self.templates.resolve("template", &request.template)?,
        };
        let limits = self.limits(template.base(), request.memory_mb, request.cpu_count)?;
        template.check_fits(u64::from(limits.disk_mb) << 20, inodes(limits.disk_mb))?;
        let pooled = if limits == self.default_limits(template.base()) {
            self.take_ready(template.base(), options.env.is_empty())
        } else {
            None
        };
        let sandbox = match pooled {
            Some(sandbox) => sandbox,
            None => {
                let interrupt = self.wakeups.watch(token)?;
                self.launch(template.base(), limits, Some(&interrupt))?
            }
        };
        self.pools.activate(template.base());
        let handed_out = self.fill(&sandbox, &template, token).and_then(|()| {
            self.assign(&sandbox, request, &template, options);
            self.register(&sandbox)
        });
        if let Err(error) = handed_out {
            self.discard(&sandbox);
            return Err(error);
        }
        self.background.needed_by(sandbox.deadline());
        if let Some(due) = self.pools.due(template.base()) {
            self.background.needed_by(due);
        }
        Ok(sandbox)
    }

    /// One out of the pool that still lives: its end may not have been noticed yet.
    fn take_ready(&self, template: BuiltinTemplate, usual_environment: bool) -> Option<Arc<Sandbox>> {
        while let Some(sandbox) = self.pools.take(template, usual_environment) {
            if sandbox.is_alive() {
                return Some(sandbox);
            }
            self.discard(&sandbox);
        }
        None
    }

    fn assign(
        &self,
        sandbox: &Sandbox,
        request: &CreateSandbox,
        template: &ResolvedTemplate,
        options: CreateOptions,
    ) {
        let started = Instant::now();
        sandbox.assign(
            Assignment {
                name: request.name.clone(),
                template_name: template.name().to_owned(),
                template_id: template.template_id().map(str::to_owned),
                env: options.env,
                deployment_id: options.deployment_id,
                order: self.orders.fetch_add(1, Ordering::Relaxed),
                started,
                started_at: now(),
            },
            request.timeout_seconds,
        );
    }

    fn register(&self, sandbox: &Arc<Sandbox>) -> Result<()> {
        let mut registry = self.write();
        if registry.closed {
            return Err(closed());
        }
        registry.live.insert(sandbox.id.clone(), Arc::clone(sandbox));
        Ok(())
    }

    /// Brings the files of an exported template in.
    fn fill(&self, sandbox: &Sandbox, template: &ResolvedTemplate, token: &CancelToken) -> Result<()> {
        if !template.has_content() {
            return Ok(());
        }
        sandbox
            .import_tree(
                self,
                template.roots(),
                |sink| template.write_content(sink),
                |error| template.content_error(error),
                token,
            )
            .map(drop)
    }

    /// Limits of a new sandbox.
    fn limits(&self, template: BuiltinTemplate, memory_mb: u32, cpu_count: u32) -> Result<SandboxLimits> {
        let least = template.min_memory_mb();
        if memory_mb < least {
            return Err(Error::invalid(
                "memory_mb",
                format!("must be at least {least} for the template {}, got {memory_mb}", template.name()),
            )
            .with("value", memory_mb)
            .with("least", least));
        }
        let most = self.settings.host_memory_mb;
        if memory_mb > most {
            return Err(Error::invalid(
                "memory_mb",
                format!("must be at most the host's memory, {most} MiB, got {memory_mb}"),
            )
            .with("value", memory_mb)
            .with("most", most));
        }
        let most = self.settings.host_cpus;
        if cpu_count > most {
            return Err(Error::invalid(
                "cpu_count",
                format!("must be at most the host's number of processors, {most}, got {cpu_count}"),
            )
            .with("value", cpu_count)
            .with("most", most));
        }
        Ok(SandboxLimits {
            memory_mb,
            cpu_count,
            // Files are memory: half of it, so that a full disk is ENOSPC before the memory limit kills.
            disk_mb: self.config.disk_mb.unwrap_or(memory_mb / 2),
            processes: PROCESSES,
        })
    }

    /// What a request without limits gets, and what pools hold.
    pub(crate) fn default_limits(&self, template: BuiltinTemplate) -> SandboxLimits {
        let memory_mb = DEFAULT_MEMORY_MB.max(template.min_memory_mb());
        SandboxLimits {
            memory_mb,
            cpu_count: 1,
            disk_mb: self.config.disk_mb.unwrap_or(memory_mb / 2),
            processes: PROCESSES,
        }
    }

    /// Starts a sandbox that nobody has yet.
    pub(crate) fn launch(
        self: &Arc<Self>,
        template: BuiltinTemplate,
        limits: SandboxLimits,
        interrupt: Option<&Interrupt<'_>>,
    ) -> Result<Arc<Sandbox>> {
        if interrupt.is_some_and(Interrupt::is_cancelled) {
            return Err(cancelled());
        }
        let supervisor = self.supervisor()?;
        let id = new_id(IdKind::Sandbox)?;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (control, far) = socket::seqpacket_pair().map_err(|error| host_error("socketpair", &error))?;
        rustix::fs::fcntl_setfl(&control, OFlags::NONBLOCK)
            .map_err(|error| host_error("fcntl", &error.into()))?;
        let request = SupervisorRequest::Create(Create {
            sandbox: number,
            template: wire(template),
            limits: Limits {
                memory_bytes: u64::from(limits.memory_mb) << 20,
                cpu_count: limits.cpu_count,
                disk_bytes: u64::from(limits.disk_mb) << 20,
                disk_inodes: inodes(limits.disk_mb),
                processes: limits.processes,
            },
            host_name: "e2bridge".to_owned(),
        });
        let reply = supervisor.request(&request, &[far.as_fd()], supervisor::PATIENCE, interrupt);
        drop(far);
        let created = match reply {
            Ok(SupervisorReply::Created(created)) => created,
            Ok(other) => return Err(unexpected("create", &other)),
            Err(error) => {
                if error.code() == Code::Cancelled {
                    // It may be half made, or made by now: nothing of it stays.
                    drop(control);
                    let _ = supervisor.request(
                        &SupervisorRequest::Kill { sandbox: number },
                        &[],
                        KILL_PATIENCE,
                        None,
                    );
                }
                if supervisor.is_dead() {
                    self.supervisor_died(&supervisor);
                }
                return Err(if self.is_closed() { closed() } else { error });
            }
        };
        let (enough, isolation) = self.isolation(&created.posture);
        let sandbox = Arc::new(Sandbox::new(Parts {
            id,
            number,
            template,
            limits,
            isolation,
            interpreter: created.interpreter,
            supervisor,
            engine: Arc::downgrade(self),
            control,
            usage: Usage::new(created.cgroups),
        }));
        if let Err(error) = enough {
            self.discard(&sandbox);
            return Err(error);
        }
        self.background.watch(&sandbox);
        Ok(sandbox)
    }

    /// The isolation of a sandbox as a document, and whether it is what is required.
    fn isolation(&self, posture: &Posture) -> (Result<()>, Arc<IsolationReport>) {
        let mut last = self.posture.lock().unwrap_or_else(PoisonError::into_inner);
        let report = match &*last {
            Some((known, report)) if known == posture => Arc::clone(report),
            _ => {
                let report = Arc::new(isolation_report(posture));
                *last = Some((posture.clone(), Arc::clone(&report)));
                report
            }
        };
        drop(last);
        let enough = if self.settings.required { check_posture(posture) } else { Ok(()) };
        (enough, report)
    }

    /// The isolation of the newest sandbox; `None` before the first.
    pub(crate) fn last_isolation(&self) -> Option<Arc<IsolationReport>> {
        let last = self.posture.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|(_, report)| Arc::clone(report))
    }

    // Looking

    /// A live sandbox.
    ///
    /// # Errors
    /// `NOT_FOUND` about `sandbox_id`, with `context.status` for one that has ended and is remembered; `CLOSED`.
    pub(crate) fn sandbox(&self, id: &str) -> Result<Arc<Sandbox>> {
        self.check_open()?;
        let registry = self.read();
        if let Some(sandbox) = registry.live.get(id) {
            let sandbox = Arc::clone(sandbox);
            drop(registry);
            sandbox.check_running()?;
            return Ok(sandbox);
        }
        match registry.ended.get(id).filter(|ended| ended.at.elapsed() <= ENDED_AGE) {
            Some(ended) => Err(ended_error(id, ended.status.status)),
            None => Err(unknown(id)),
        }
    }

    /// Every live sandbox that was handed out, oldest first; those that are being ended are not among them.
    pub(crate) fn sandboxes(&self) -> Vec<Arc<Sandbox>> {
        let mut sandboxes: Vec<_> = self
            .read()
            .live
            .values()
            .filter(|sandbox| sandbox.state() == SandboxState::Running)
            .cloned()
            .collect();
        sandboxes.sort_by_key(|sandbox| order(sandbox));
        sandboxes
    }

    /// Sandboxes of which something is alive.
    pub(crate) fn live(&self) -> usize {
        self.read().live.len()
    }

    /// `list_e2b_sandboxes`.
    pub(crate) fn list(&self, filter: StatusFilter) -> Result<SandboxList> {
        self.check_open()?;
        let mut rows: Vec<(u64, SandboxSummary)> = Vec::new();
        let live: Vec<Arc<Sandbox>> = {
            let registry = self.read();
            rows.extend(
                registry
                    .ended
                    .values()
                    .filter(|ended| filter.accepts(ended.status.status) && ended.at.elapsed() <= ENDED_AGE)
                    .map(|ended| (ended.order, summary_of(&ended.status))),
            );
            registry.live.values().cloned().collect()
        };
        rows.extend(
            live.iter()
                .map(|sandbox| (order(sandbox), sandbox.summary()))
                .filter(|(_, summary)| filter.accepts(summary.status)),
        );
        rows.sort_by_key(|(order, _)| *order);
        let sandboxes: Vec<_> = rows.into_iter().map(|(_, summary)| summary).collect();
        Ok(SandboxList { total_count: sandboxes.len(), sandboxes, timestamp: now() })
    }

    /// `get_e2b_sandbox_status`.
    pub(crate) fn status(&self, id: &str) -> Result<SandboxStatus> {
        self.check_open()?;
        let registry = self.read();
        if let Some(sandbox) = registry.live.get(id) {
            let sandbox = Arc::clone(sandbox);
            drop(registry);
            let sample = if sandbox.state() == SandboxState::Running {
                sandbox.sample()
            } else {
                sandbox.last_sample()
            };
            return Ok(sandbox.status_document(&sample, None));
        }
        match registry.ended.get(id).filter(|ended| ended.at.elapsed() <= ENDED_AGE) {
            Some(ended) => Ok(SandboxStatus { timestamp: now(), ..ended.status.clone() }),
            None => Err(unknown(id)),
        }
    }

    /// `set_e2b_timeout`: the new deadline for documents.
    pub(crate) fn set_timeout(&self, id: &str, timeout: u32) -> Result<String> {
        let sandbox = self.sandbox(id)?;
        let expires_at = sandbox.set_deadline(Instant::now(), timeout);
        self.background.needed_by(sandbox.deadline());
        Ok(expires_at)
    }

    // Ending

    /// Ends a sandbox at once and remembers it; false when somebody else ends it or has ended it. Returns when nothing of it is left.
    pub(crate) fn end(&self, sandbox: &Sandbox, state: SandboxState, reason: &str) -> bool {
        if !sandbox.mark_ended(state, reason) {
            return false;
        }
        self.finish(sandbox);
        true
    }

    /// `terminate_e2b_sandbox`.
    pub(crate) fn terminate(&self, id: &str, force: bool) -> Result<SandboxTerminated> {
        let began = Instant::now();
        let sandbox = self.sandbox(id)?;
        let reason = if force { "terminated by force" } else { "terminated" };
        if !sandbox.mark_ended(SandboxState::Terminated, reason) {
            return Err(ended_error(id, sandbox.state()));
        }
        let clean = !force && sandbox.shut_down(GRACE).unwrap_or(false);
        self.finish(&sandbox);
        Ok(SandboxTerminated {
            sandbox_id: id.to_owned(),
            status: SandboxState::Terminated,
            forced: !clean,
            duration_ms: began.elapsed().as_secs_f64() * 1e3,
            timestamp: now(),
        })
    }

    /// The second half of an end: kills what is left, then remembers.
    fn finish(&self, sandbox: &Sandbox) {
        self.background.unwatch(sandbox);
        let sample = sandbox.last_sample();
        self.kill(sandbox);
        let status = sandbox.status_document(&sample, Some(now()));
        let order = order(sandbox);
        let at = Instant::now();
        let forgotten = {
            let mut registry = self.write();
            let lived = registry.live.remove(&sandbox.id);
            registry.ended.insert(sandbox.id.clone(), Ended { at, order, status });
            registry.order.push_back(sandbox.id.clone());
            // Dropped outside of the lock, since that closes descriptors.
            (lived, registry.forget(at))
        };
        drop(forgotten);
        self.deployments.sandbox_ended(sandbox);
    }

    /// Ends a sandbox that was never handed out; nothing remembers it.
    pub(crate) fn discard(&self, sandbox: &Sandbox) {
        sandbox.mark_ended(SandboxState::Terminated, "never handed out");
        self.background.unwatch(sandbox);
        self.kill(sandbox);
    }

    /// SIGKILL to everything of it; returns when all is gone.
    fn kill(&self, sandbox: &Sandbox) {
        if sandbox.supervisor.is_dead() {
            return;
        }
        let request = SupervisorRequest::Kill { sandbox: sandbox.number };
        if let Err(error) = sandbox.supervisor.request(&request, &[], KILL_PATIENCE, None)
            && error.code() != Code::Unavailable
        {
            // Without a descriptor for the reply there is still the control socket: init exits when it closes.
            sandbox.hang_up();
        }
        if sandbox.supervisor.is_dead() && !self.is_closed() {
            self.background.wake();
        }
    }

    /// Forgets what was remembered long enough. Called by the background thread.
    pub(crate) fn forget_old(&self) {
        let forgotten = self.write().forget(Instant::now());
        drop(forgotten);
    }

    /// Ends what is past its deadline; returns the next deadline, also of what is remembered. Called by the background thread.
    pub(crate) fn expire(&self) -> Option<Instant> {
        let now = Instant::now();
        let (due, next) = {
            let registry = self.read();
            let mut due = Vec::new();
            let mut next = registry
                .order
                .front()
                .and_then(|id| registry.ended.get(id))
                .map(|ended| ended.at + ENDED_AGE);
            for sandbox in registry.live.values() {
                if sandbox.state() != SandboxState::Running {
                    continue;
                }
                let deadline = sandbox.deadline();
                if deadline <= now {
                    due.push(Arc::clone(sandbox));
                } else if next.is_none_or(|next| deadline < next) {
                    next = Some(deadline);
                }
            }
            (due, next)
        };
        for sandbox in due {
            // It may have got more time since.
            if sandbox.deadline() <= Instant::now() {
                let (timeout, _) = sandbox.timeout();
                self.end(&sandbox, SandboxState::Expired, &format!("its lifetime of {timeout} s has passed"));
            }
        }
        next
    }

    /// Ends a sandbox whose control socket has closed. Called by the background thread.
    pub(crate) fn hung_up(&self, number: u64) {
        let found = self.read().live.values().find(|sandbox| sandbox.number == number).cloned();
        let Some(sandbox) = found.or_else(|| self.pools.remove(number)) else { return };
        if sandbox.supervisor.is_dead() {
            self.supervisor_died(&sandbox.supervisor);
        } else if sandbox.assignment().is_some() {
            self.end(&sandbox, SandboxState::Failed, INIT_ENDED);
        } else {
            self.discard(&sandbox);
        }
    }

    // Closing

    /// Ends everything and returns when nothing is left. Idempotent.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let live: Vec<_> = {
            let mut registry = self.write();
            registry.closed = true;
            registry.ended.clear();
            registry.order.clear();
            registry.live.drain().map(|(_, sandbox)| sandbox).collect()
        };
        for sandbox in &live {
            sandbox.mark_ended(SandboxState::Terminated, CLIENT_CLOSED);
        }
        // With the supervisor goes everything below it; calls that wait see their sockets close.
        let supervisor = loop {
            let mut slot = self.slot();
            match std::mem::take(&mut *slot) {
                Slot::Starting(closing) => {
                    closing.cancel();
                    *slot = Slot::Starting(closing);
                    drop(self.slot_changed.wait(slot).unwrap_or_else(PoisonError::into_inner));
                }
                Slot::Ready(supervisor) => break Some(supervisor),
                Slot::None => break None,
            }
        };
        self.slot_changed.notify_all();
        if let Some(supervisor) = supervisor {
            supervisor.stop();
        }
        self.deployments.close();
        self.background.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic in it ended only the work that it was at.
            let _ = thread.join();
        }
        self.pools.clear();
        drop(live);
    }
}

impl Registry {
    /// Takes out what is remembered beyond number or age.
    fn forget(&mut self, now: Instant) -> Vec<Ended> {
        let mut forgotten = Vec::new();
        while let Some(oldest) = self.order.front() {
            let old = match self.ended.get(oldest) {
                Some(ended) => now.saturating_duration_since(ended.at) > ENDED_AGE,
                None => true,
            };
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

fn order(sandbox: &Sandbox) -> u64 {
    sandbox.assignment().map_or(u64::MAX, |assignment| assignment.order)
}

fn unknown(id: &str) -> Error {
    Error::not_found(
        "sandbox_id",
        format!("sandbox_id: there is no sandbox {}", e2bridge_core::request::quote(id)),
    )
}

/// Files, directories and links for a disk of that size: one per 8 KiB, within bounds, because each costs kernel memory.
pub(crate) fn inodes(disk_mb: u32) -> u64 {
    (u64::from(disk_mb) * 128).clamp(1_024, 262_144)
}

fn wire(template: BuiltinTemplate) -> Template {
    match template {
        BuiltinTemplate::Base => Template::Base,
        BuiltinTemplate::Python => Template::Python,
        BuiltinTemplate::Node => Template::Node,
    }
}

fn summary_of(status: &SandboxStatus) -> SandboxSummary {
    SandboxSummary {
        sandbox_id: status.sandbox_id.clone(),
        name: status.name.clone(),
        template: status.template.clone(),
        status: status.status,
        started_at: status.started_at.clone(),
        expires_at: status.expires_at.clone(),
        ended_at: status.ended_at.clone(),
        limits: status.limits,
        deployment_id: status.deployment_id.clone(),
    }
}

/// A posture as documents have it.
pub(crate) fn isolation_report(posture: &Posture) -> IsolationReport {
    let word = |mechanism, fallback: &str| match mechanism {
        Mechanism::CgroupV1 => "cgroup_v1".to_owned(),
        Mechanism::CgroupV2 => "cgroup_v2".to_owned(),
        Mechanism::Fallback => fallback.to_owned(),
    };
    IsolationReport {
        tier: posture.tier.clone(),
        namespaces: posture.namespaces.clone(),
        ids: if posture.dedicated_ids { "dedicated" } else { "own" }.to_owned(),
        seccomp: posture.seccomp,
        landlock_abi: posture.landlock_abi,
        memory: word(posture.memory, "per_process"),
        processes: word(posture.processes, "pid_max"),
        cpu: word(posture.cpu, "affinity"),
    }
}

/// The second look at REQUIRED: what is in force, not what was meant.
fn check_posture(posture: &Posture) -> Result<()> {
    let missing = ["user", "pid", "mount", "ipc", "uts", "net", "cgroup"]
        .into_iter()
        .find(|namespace| !posture.namespaces.iter().any(|found| found == namespace))
        .map(|namespace| format!("the {namespace} namespace"))
        .or_else(|| (!posture.seccomp).then(|| "seccomp".to_owned()))
        .or_else(|| (posture.tier != "full").then(|| format!("the tier full (found {})", posture.tier)));
    match missing {
        None => Ok(()),
        Some(missing) => Err(Error::new(
            Code::IsolationUnavailable,
            format!("the sandbox came up without {missing}; isolation REQUIRED does not allow that"),
        )
        .with(
            "remedy",
            "E2B.check() says what this host lacks; E2BConfig isolation BEST_EFFORT accepts less",
        )),
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").field("live", &self.live()).finish_non_exhaustive()
    }
}

/// Starts the interpreter of a sandbox that goes into a pool. A failure only means that the first run starts it.
pub(crate) fn prestart(sandbox: &Sandbox) {
    let _ = worker::prestart(sandbox);
}
