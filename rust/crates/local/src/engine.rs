//! The engine of one client: which sandboxes there are, how they come and go.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use e2bridge_core::document::{
    IsolationReport, SandboxLimits, SandboxList, SandboxState, SandboxStatus, SandboxTerminated,
};
use e2bridge_core::id::{IdKind, new_id};
use e2bridge_core::prepared::Prepared;
use e2bridge_core::request::{BuiltinTemplate, CreateSandbox, DEFAULT_MEMORY_MB, StatusFilter};
use e2bridge_core::time::now;
use e2bridge_core::{CancelToken, Code, Error, Result};
use e2bridge_protocol::socket;
use e2bridge_protocol::supervisor::{Create, Limits, Posture, SupervisorReply, SupervisorRequest, Template};
use rustix::fs::OFlags;

use crate::background::{self, Background};
use crate::check::HostKnowledge;
use crate::deployment::Deployments;
use crate::pool::Pools;
use crate::posture::{check_required, isolation_report};
use crate::registry::{Found, Registry};
use crate::sandbox::{Assignment, Cause, Parts, Sandbox, ended_error};
use crate::settings::Settings;
use crate::supervisor::{self, Supervisor, unexpected};
use crate::templates::{ResolvedTemplate, Templates};
use crate::usage::Usage;
use crate::wait::{Interrupt, Wakeups, cancelled, host_error};
use crate::{Config, worker};

/// Processes and threads that a sandbox may have at once: enough for a parallel build, too few to be felt by the host.
const PROCESSES: u32 = 256;
/// How long the supervisor may take to end a sandbox.
const KILL_PATIENCE: Duration = Duration::from_secs(15);
/// How long a cancelled create waits for the end of what it had begun. The end comes all the same; it takes longer only when a zygote or
/// the supervisor does not answer.
const CANCEL_PATIENCE: Duration = Duration::from_millis(500);
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
    registry: Registry,
    slot: Mutex<Slot>,
    slot_changed: Condvar,
    numbers: AtomicU64,
    orders: AtomicU64,
    closed: AtomicBool,
    posture: Mutex<Option<(Posture, Prepared<IsolationReport>)>>,
}

/// A sandbox that the supervisor was asked for. Dropped before it is received, it ends as soon as it is made.
pub(crate) struct Ordered {
    id: String,
    number: u64,
    template: BuiltinTemplate,
    limits: SandboxLimits,
    supervisor: Arc<Supervisor>,
    control: OwnedFd,
    reply: OwnedFd,
    deadline: Instant,
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
            registry: Registry::default(),
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
        let mut lost = self.registry.live();
        lost.retain(|sandbox| Arc::ptr_eq(&sandbox.supervisor, dead));
        for sandbox in lost {
            self.end(&sandbox, Cause::SupervisorEnded);
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
            self.assign(&sandbox, request, &template, options)
                .map_err(|_| Error::new(Code::Unavailable, "the sandbox ended while it was being created"))?;
            self.registry.insert(&sandbox)
        });
        if let Err(error) = handed_out {
            match error.code() {
                Code::Cancelled => self.abandon(&sandbox),
                _ => self.discard(&sandbox),
            }
            return Err(error);
        }
        if !sandbox.is_alive() {
            // It ended before it was to be found among the live ones.
            self.hung_up(sandbox.number);
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
    ) -> Result<()> {
        let started = Instant::now();
        sandbox.assign(
            Assignment {
                name: request.name.as_str().into(),
                template_name: template.name().into(),
                template_id: template.template_id().map(str::to_owned),
                env: options.env,
                deployment_id: options.deployment_id,
                order: self.orders.fetch_add(1, Ordering::Relaxed),
                started,
                started_at: now().into(),
            },
            request.timeout_seconds,
        )
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
        let ordered = self.order(template, limits, interrupt)?;
        self.receive(ordered, interrupt)
    }

    /// Asks for a sandbox that nobody has yet, and does not wait for it.
    pub(crate) fn order(
        &self,
        template: BuiltinTemplate,
        limits: SandboxLimits,
        interrupt: Option<&Interrupt<'_>>,
    ) -> Result<Ordered> {
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
        let deadline = Instant::now() + supervisor::PATIENCE;
        match supervisor.ask(&request, &[far.as_fd()], deadline, interrupt) {
            Ok(reply) => Ok(Ordered { id, number, template, limits, supervisor, control, reply, deadline }),
            Err(error) => Err(self.not_launched(&supervisor, error)),
        }
    }

    /// Why a sandbox was not made, when that may be because supervisor or client have ended.
    fn not_launched(&self, supervisor: &Arc<Supervisor>, error: Error) -> Error {
        if supervisor.is_dead() {
            self.supervisor_died(supervisor);
        }
        if self.is_closed() { closed() } else { error }
    }

    /// Waits for a sandbox that was asked for.
    pub(crate) fn receive(
        self: &Arc<Self>,
        ordered: Ordered,
        interrupt: Option<&Interrupt<'_>>,
    ) -> Result<Arc<Sandbox>> {
        let Ordered { id, number, template, limits, supervisor, control, reply, deadline } = ordered;
        let reply = supervisor.answer(&reply, deadline, interrupt);
        let created = match reply {
            Ok(SupervisorReply::Created(created)) => created,
            Ok(other) => return Err(unexpected("create", &other)),
            Err(error) => {
                if error.code() == Code::Cancelled {
                    // It may be half made, or made by now: nothing of it stays. What is made later ends for want of somebody who
                    // hears of it.
                    drop(control);
                    let _ = supervisor.ask_to_kill(number, CANCEL_PATIENCE);
                }
                return Err(self.not_launched(&supervisor, error));
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
            forks_python: created.forks_python,
            root: created.root,
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
    fn isolation(&self, posture: &Posture) -> (Result<()>, Prepared<IsolationReport>) {
        let mut last = self.posture.lock().unwrap_or_else(PoisonError::into_inner);
        let report = match &*last {
            Some((known, report)) if known == posture => report.clone(),
            _ => {
                let report = Prepared::from(isolation_report(posture));
                *last = Some((posture.clone(), report.clone()));
                report
            }
        };
        drop(last);
        let enough = if self.settings.required { check_required(posture) } else { Ok(()) };
        (enough, report)
    }

    /// The isolation of the newest sandbox; `None` before the first.
    pub(crate) fn last_isolation(&self) -> Option<Prepared<IsolationReport>> {
        let last = self.posture.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|(_, report)| report.clone())
    }

    // Looking

    /// A live sandbox.
    ///
    /// # Errors
    /// `NOT_FOUND` about `sandbox_id`, with `context.status` for one that has ended and is remembered; `CLOSED`.
    pub(crate) fn sandbox(&self, id: &str) -> Result<Arc<Sandbox>> {
        self.check_open()?;
        match self.registry.find(id) {
            Found::Live(sandbox) => {
                sandbox.check_running()?;
                Ok(sandbox)
            }
            Found::Ended(status) => Err(ended_error(id, status.status)),
            Found::Unknown => Err(unknown(id)),
        }
    }

    /// Every live sandbox that was handed out, oldest first; those that are being ended are not among them.
    pub(crate) fn sandboxes(&self) -> Vec<Arc<Sandbox>> {
        let mut sandboxes = self.registry.live();
        sandboxes.retain(|sandbox| sandbox.state() == SandboxState::Running);
        sandboxes.sort_by_key(|sandbox| order(sandbox));
        sandboxes
    }

    /// Sandboxes of which something is alive.
    pub(crate) fn live(&self) -> usize {
        self.registry.count()
    }

    /// `list_e2b_sandboxes`.
    pub(crate) fn list(&self, filter: StatusFilter) -> Result<SandboxList> {
        self.check_open()?;
        let mut rows = self.registry.ended(filter);
        let live = self.registry.live();
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
        match self.registry.find(id) {
            Found::Live(sandbox) => Ok(sandbox.live_status(Instant::now())),
            Found::Ended(status) => Ok(SandboxStatus { timestamp: now(), ..*status }),
            Found::Unknown => Err(unknown(id)),
        }
    }

    /// `set_e2b_timeout`: the new deadline for documents.
    pub(crate) fn set_timeout(&self, id: &str, timeout: u32) -> Result<String> {
        let sandbox = self.sandbox(id)?;
        let expires_at = sandbox.set_deadline(Instant::now(), timeout)?;
        self.registry.reschedule(&sandbox);
        self.background.needed_by(sandbox.deadline());
        Ok(expires_at)
    }

    // Ending

    /// Ends a sandbox at once and remembers it; answers why it has ended, which is another cause when somebody else ends it or has ended
    /// it. Returns, when nobody else does, once nothing of it is left.
    pub(crate) fn end(&self, sandbox: &Sandbox, cause: Cause) -> Cause {
        if let Some(earlier) = sandbox.mark_ended(cause.clone()) {
            return earlier;
        }
        if self.finish(sandbox) { Cause::MemoryFull } else { cause }
    }

    /// `terminate_e2b_sandbox`.
    pub(crate) fn terminate(&self, id: &str, force: bool) -> Result<SandboxTerminated> {
        let began = Instant::now();
        let sandbox = self.sandbox(id)?;
        let reason = if force { "terminated by force" } else { "terminated" };
        if let Some(earlier) = sandbox.mark_ended(Cause::Terminated(reason.to_owned())) {
            return Err(ended_error(id, earlier.state()));
        }
        let clean = !force && sandbox.shut_down().unwrap_or(false);
        self.finish(&sandbox);
        Ok(SandboxTerminated {
            sandbox_id: id.to_owned(),
            status: SandboxState::Terminated,
            forced: !clean,
            duration_ms: began.elapsed().as_secs_f64() * 1e3,
            timestamp: now(),
        })
    }

    /// The second half of an end: kills what is left, then remembers. True when it had ended before, because its memory was full.
    fn finish(&self, sandbox: &Sandbox) -> bool {
        self.background.unwatch(sandbox);
        let sample = sandbox.last_sample();
        let hung_up = sandbox.workers.hang_up_idle();
        let memory_was_full = self.kill(sandbox);
        drop(hung_up);
        if memory_was_full {
            sandbox.mark_memory_full();
        }
        let status = sandbox.last_status(&sample, now());
        self.registry.end(order(sandbox), status);
        self.deployments.sandbox_ended(sandbox);
        memory_was_full
    }

    /// Ends a sandbox that was never handed out; nothing remembers it.
    pub(crate) fn discard(&self, sandbox: &Sandbox) {
        sandbox.mark_ended(Cause::Terminated("never handed out".to_owned()));
        self.background.unwatch(sandbox);
        self.kill(sandbox);
    }

    /// As [`Engine::discard`] for a caller who does not want to wait: its init exits at the end of the control socket.
    fn abandon(&self, sandbox: &Sandbox) {
        sandbox.mark_ended(Cause::Terminated("never handed out".to_owned()));
        self.background.unwatch(sandbox);
        if sandbox.supervisor.ask_to_kill(sandbox.number, CANCEL_PATIENCE).is_err() {
            sandbox.hang_up();
        }
    }

    /// SIGKILL to everything of it; returns when all is gone. True when it had ended before, because its memory was full.
    pub(crate) fn kill(&self, sandbox: &Sandbox) -> bool {
        let mut memory_was_full = false;
        if sandbox.supervisor.is_dead() {
            return memory_was_full;
        }
        let request = SupervisorRequest::Kill { sandbox: sandbox.number };
        match sandbox.supervisor.request(&request, &[], KILL_PATIENCE, None) {
            Ok(SupervisorReply::Killed { out_of_memory }) => {
                memory_was_full = out_of_memory && sandbox.ended_by_itself();
            }
            Err(error) if error.code() != Code::Unavailable => {
                // Without a descriptor for the reply there is still the control socket: init exits when it closes.
                sandbox.hang_up();
            }
            _ => {}
        }
        if sandbox.supervisor.is_dead() && !self.is_closed() {
            self.background.wake();
        }
        memory_was_full
    }

    /// Ends what is past its deadline and forgets what was remembered long enough; answers when to do so again. Called by the
    /// background thread.
    pub(crate) fn expire(&self) -> Option<Instant> {
        let now = Instant::now();
        let forgotten = self.registry.forget(now);
        let mut next = None;
        while let Some((deadline, sandbox)) = self.registry.next_deadline(now) {
            let Some(sandbox) = sandbox else {
                next = Some(deadline);
                break;
            };
            if sandbox.mark_expired() {
                self.finish(&sandbox);
            } else if sandbox.state() == SandboxState::Running {
                // It has got more time.
                self.registry.reschedule(&sandbox);
            }
        }
        [forgotten, next].into_iter().flatten().min()
    }

    /// Ends a sandbox whose control socket has closed. Called by the background thread.
    pub(crate) fn hung_up(&self, number: u64) {
        let found = self.registry.numbered(number);
        let Some(sandbox) = found.or_else(|| self.pools.remove(number)) else { return };
        if sandbox.supervisor.is_dead() {
            self.supervisor_died(&sandbox.supervisor);
        } else if sandbox.assignment().is_some() {
            self.end(&sandbox, Cause::InitEnded);
        } else {
            self.discard(&sandbox);
        }
    }

    // Closing

    /// Ends everything and returns when nothing is left. Idempotent.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let live = self.registry.close();
        for sandbox in &live {
            sandbox.mark_ended(Cause::Terminated(CLIENT_CLOSED.to_owned()));
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

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").field("live", &self.live()).finish_non_exhaustive()
    }
}

/// Starts the interpreter of a sandbox that goes into a pool. A failure only means that the first run starts it.
pub(crate) fn prestart(sandbox: &Sandbox) {
    let _ = worker::prestart(sandbox);
}
