//! A sandbox, seen from the library: the control socket of its init, its limits, its life.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use e2bridge_core::document::{
    IsolationReport, SandboxLimits, SandboxMetrics, SandboxState, SandboxStatus, SandboxSummary,
};
use e2bridge_core::prepared::Prepared;
use e2bridge_core::request::BuiltinTemplate;
use e2bridge_core::time::{now, rfc3339};
use e2bridge_core::{Code, Error, Result};
use e2bridge_protocol::init::{InitEvent, InitRequest, Program, Spawn, Statistics};
use e2bridge_protocol::socket;
use rustix::event::{PollFd, PollFlags};

use crate::engine::Engine;
use crate::execution::HOME;
use crate::supervisor::Supervisor;
use crate::usage::{Sample, Usage};
use crate::wait::{self, Interrupt, cancelled, host_error};
use crate::worker::Workers;

/// Age up to which a sample is answered again.
const SAMPLE_AGE: Duration = Duration::from_millis(100);
/// How long an init may take to answer when its figures are asked for.
pub(crate) const PROBE_PATIENCE: Duration = Duration::from_millis(200);
/// How long an init that did not answer is not asked again for a sample.
const PROBE_PAUSE: Duration = Duration::from_secs(2);
/// How long an init may take to read a request from its socket.
const SEND_PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes of an event.
const MAX_EVENT: usize = 4 * 1024;
/// Search path of programs; an interpreter elsewhere comes before it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A started sandbox. First it is ready in a pool or being prepared, then it is handed out, then it is ended; its id is its own
/// from the start and known to nobody before the hand-out. All methods may be called from any thread.
pub(crate) struct Sandbox {
    /// `sb_…`
    pub(crate) id: Arc<str>,
    /// Its number at the supervisor.
    pub(crate) number: u64,
    /// The built-in template that it runs.
    pub(crate) template: BuiltinTemplate,
    /// In force.
    pub(crate) limits: Prepared<SandboxLimits>,
    /// In force.
    pub(crate) isolation: Prepared<IsolationReport>,
    /// Absolute path, inside, of the template's interpreter; `None` for `base`.
    pub(crate) interpreter: Option<String>,
    /// Without namespaces: the directory on the host below which its writable places are.
    root: Option<String>,
    /// Its init holds a warm CPython.
    pub(crate) forks_python: bool,
    /// Its warm interpreters.
    pub(crate) workers: Workers,
    /// The supervisor that made it.
    pub(crate) supervisor: Arc<Supervisor>,
    engine: Weak<Engine>,
    control: OwnedFd,
    usage: Usage,
    made: Instant,
    assignment: OnceLock<Assignment>,
    life: Mutex<Life>,
    sampling: Mutex<Sampling>,
    /// An execution has ended since the last sample.
    changed: AtomicBool,
    /// A program or a transfer of files has been asked for, so that an orderly end may mean something.
    had_programs: AtomicBool,
    executions: AtomicU64,
}

/// What a sandbox is from its hand-out on.
#[derive(Debug)]
pub(crate) struct Assignment {
    /// As asked for.
    pub(crate) name: Arc<str>,
    /// Name of its template.
    pub(crate) template_name: Arc<str>,
    /// `tpl_` id of an exported template.
    pub(crate) template_id: Option<String>,
    /// Variables of every execution, beside the fixed ones.
    pub(crate) env: Vec<(String, String)>,
    /// Deployment that it belongs to.
    pub(crate) deployment_id: Option<String>,
    /// Position among the hand-outs of this client.
    pub(crate) order: u64,
    /// When it was handed out.
    pub(crate) started: Instant,
    /// The same for documents.
    pub(crate) started_at: Arc<str>,
}

/// The changing part of a life.
struct Life {
    /// Why it is being ended, or was; `None` while it runs.
    ended: Option<Cause>,
    deadline: Instant,
    /// Lifetime, seconds.
    timeout: u32,
    expires_at: Arc<str>,
}

/// Why a sandbox has ended.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    /// Somebody wanted it to, for that reason.
    Terminated(String),
    /// After so many seconds.
    Expired(u32),
    /// Its init ended, and nobody here had asked for that.
    InitEnded,
    /// The kernel killed its init, because the memory was full.
    MemoryFull,
    /// Its init did not do that in time (completes "its init did not …"), and it was ended for it.
    InitLate(&'static str),
    /// The supervisor ended, and every sandbox with it.
    SupervisorEnded,
}

impl Cause {
    fn state(&self) -> SandboxState {
        match self {
            Self::Terminated(_) => SandboxState::Terminated,
            Self::Expired(_) => SandboxState::Expired,
            Self::InitEnded | Self::MemoryFull | Self::InitLate(_) | Self::SupervisorEnded => {
                SandboxState::Failed
            }
        }
    }

    fn reason(&self) -> String {
        match self {
            Self::Terminated(reason) => reason.clone(),
            Self::Expired(timeout) => format!("its lifetime of {timeout} s has passed"),
            Self::InitEnded => "its init ended".to_owned(),
            Self::MemoryFull => {
                "its memory was full, and nothing but its init was left to be ended".to_owned()
            }
            Self::InitLate(what) => format!("its init did not {what} in time"),
            Self::SupervisorEnded => "the supervisor ended".to_owned(),
        }
    }
}

struct Sampling {
    last: Option<Arc<Sample>>,
    ask_again: Instant,
}

/// What a sandbox is made of.
pub(crate) struct Parts {
    pub(crate) id: String,
    pub(crate) number: u64,
    pub(crate) template: BuiltinTemplate,
    pub(crate) limits: SandboxLimits,
    pub(crate) isolation: Prepared<IsolationReport>,
    pub(crate) interpreter: Option<String>,
    pub(crate) forks_python: bool,
    /// As the supervisor says.
    pub(crate) root: Option<String>,
    pub(crate) supervisor: Arc<Supervisor>,
    pub(crate) engine: Weak<Engine>,
    pub(crate) control: OwnedFd,
    pub(crate) usage: Usage,
}

impl Sandbox {
    pub(crate) fn new(parts: Parts) -> Self {
        let made = Instant::now();
        Self {
            id: parts.id.into(),
            number: parts.number,
            template: parts.template,
            limits: parts.limits.into(),
            isolation: parts.isolation,
            interpreter: parts.interpreter,
            forks_python: parts.forks_python,
            root: parts.root,
            workers: Workers::default(),
            supervisor: parts.supervisor,
            engine: parts.engine,
            control: parts.control,
            usage: parts.usage,
            made,
            assignment: OnceLock::new(),
            life: Mutex::new(Life { ended: None, deadline: made, timeout: 0, expires_at: "".into() }),
            sampling: Mutex::new(Sampling { last: None, ask_again: made }),
            changed: AtomicBool::new(false),
            had_programs: AtomicBool::new(false),
            executions: AtomicU64::new(0),
        }
    }

    /// Hands it out; once.
    ///
    /// # Errors
    /// `NOT_FOUND` with `context.status` when it has ended.
    pub(crate) fn assign(&self, assignment: Assignment, timeout: u32) -> Result<()> {
        self.set_deadline(assignment.started, timeout)?;
        // A second hand-out cannot happen: a pool gives each of its sandboxes away once.
        let _ = self.assignment.set(assignment);
        Ok(())
    }

    /// What it is since its hand-out; `None` before.
    pub(crate) fn assignment(&self) -> Option<&Assignment> {
        self.assignment.get()
    }

    /// Its name; empty before the hand-out.
    pub(crate) fn name(&self) -> &str {
        self.assignment().map_or("", |assignment| &assignment.name)
    }

    /// Name of its template, the exported one if it is made of one.
    pub(crate) fn template_name(&self) -> &str {
        self.assignment().map_or(self.template.name(), |assignment| &assignment.template_name)
    }

    /// Deployment that it belongs to.
    pub(crate) fn deployment_id(&self) -> Option<&str> {
        self.assignment()?.deployment_id.as_deref()
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        // Every change under this lock is a few assignments.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When it is to be ended.
    pub(crate) fn deadline(&self) -> Instant {
        self.life().deadline
    }

    /// Its lifetime, seconds, and the deadline for documents.
    pub(crate) fn timeout(&self) -> (u32, String) {
        let life = self.life();
        (life.timeout, life.expires_at.to_string())
    }

    /// Lets it live `timeout` seconds from `from`; answers the deadline for documents.
    ///
    /// # Errors
    /// `NOT_FOUND` with `context.status` when it has ended.
    pub(crate) fn set_deadline(&self, from: Instant, timeout: u32) -> Result<String> {
        let life_time = Duration::from_secs(u64::from(timeout));
        let left = (from + life_time).saturating_duration_since(Instant::now());
        let expires_at = rfc3339(SystemTime::now() + left);
        let mut life = self.life();
        if let Some(cause) = &life.ended {
            return Err(ended_error(&self.id, cause.state()));
        }
        life.deadline = from + life_time;
        life.timeout = timeout;
        life.expires_at = expires_at.as_str().into();
        Ok(expires_at)
    }

    /// The state it is in; one that is being ended has the state that it will be remembered by.
    pub(crate) fn state(&self) -> SandboxState {
        self.life().ended.as_ref().map_or(SandboxState::Running, Cause::state)
    }

    /// Marks it as ended; false when it already is, and then nothing changes.
    pub(crate) fn mark_ended(&self, cause: Cause) -> bool {
        let mut life = self.life();
        let runs = life.ended.is_none();
        if runs {
            life.ended = Some(cause);
        }
        runs
    }

    /// Its init did not end by itself: the kernel killed it for want of memory.
    pub(crate) fn mark_memory_full(&self) {
        if let Some(cause) = &mut self.life().ended {
            *cause = Cause::MemoryFull;
        }
    }

    /// Marks it as expired, unless it is being ended or has got more time.
    pub(crate) fn mark_expired(&self) -> bool {
        let mut life = self.life();
        let due = life.ended.is_none() && life.deadline <= Instant::now();
        if due {
            life.ended = Some(Cause::Expired(life.timeout));
        }
        due
    }

    /// Refuses what needs a live sandbox.
    ///
    /// # Errors
    /// `NOT_FOUND` with `context.status`.
    pub(crate) fn check_running(&self) -> Result<()> {
        match &self.life().ended {
            None => Ok(()),
            Some(cause) => Err(ended_error(&self.id, cause.state())),
        }
    }

    /// True while neither its init nor its supervisor has ended. One system call.
    pub(crate) fn is_alive(&self) -> bool {
        let mut fds = [
            PollFd::new(&self.control, PollFlags::empty()),
            PollFd::from_borrowed_fd(self.supervisor.pidfd(), PollFlags::IN),
        ];
        !wait::poll(&mut fds, Some(Instant::now())).unwrap_or(true)
    }

    /// Closes the control socket, at which its init exits and takes everything along.
    pub(crate) fn hang_up(&self) {
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
    }

    /// The control socket, to be watched for its end.
    pub(crate) fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// Where programs find one of the writable places, or a worker program: without a mount namespace below a directory of the
    /// sandbox's own. (Its init finds the paths of requests by itself.)
    pub(crate) fn place(&self, path: &str) -> String {
        format!("{}{path}", self.root.as_deref().unwrap_or_default())
    }

    /// The fixed variables of a program, and those of the sandbox.
    pub(crate) fn environment(&self) -> Vec<String> {
        let directory = self
            .interpreter
            .as_deref()
            .and_then(|path| path.rsplit_once('/'))
            .map(|(directory, _)| directory);
        let path = match directory {
            Some(directory) if !directory.is_empty() && !PATH.split(':').any(|known| known == directory) => {
                format!("PATH={directory}:{PATH}")
            }
            _ => format!("PATH={PATH}"),
        };
        let mut env = vec![
            path,
            format!("HOME={}", self.place(HOME)),
            "USER=user".to_owned(),
            "LOGNAME=user".to_owned(),
            "SHELL=/bin/sh".to_owned(),
            "LANG=C.UTF-8".to_owned(),
            "E2B_SANDBOX=true".to_owned(),
            format!("E2B_SANDBOX_ID={}", self.id),
        ];
        if let Some(root) = &self.root {
            env.extend([format!("E2B_ROOT={root}"), format!("TMPDIR={root}/tmp")]);
        }
        // Once per name: ten thousand of them come with every program.
        let given = self.assignment().map_or(&[][..], |assignment| &assignment.env);
        env.retain(|variable| !given.iter().any(|(name, _)| variable.split('=').next() == Some(name)));
        env.extend(given.iter().map(|(name, value)| format!("{name}={value}")));
        env
    }

    // Requests to its init

    /// Sends a request to init; `far` are the descriptors that go along, the channel first, and `channel` is its near end.
    ///
    /// # Errors
    /// What [`Sandbox::gone`] says when the sandbox has ended; `UNAVAILABLE` when init does not take it; `LIMIT_EXCEEDED` when it is
    /// too long or the host is out of something.
    pub(crate) fn send(
        &self,
        request: &InitRequest,
        channel: BorrowedFd<'_>,
        far: &[BorrowedFd<'_>],
        interrupt: Option<&Interrupt<'_>>,
    ) -> Result<()> {
        if can_end_orderly(request) {
            self.had_programs.store(true, Ordering::Release);
        }
        let deadline = Instant::now() + SEND_PATIENCE;
        let bytes = socket::encode(request).map_err(|error| Error::internal(format!("encode: {error}")))?;
        if bytes.len() <= socket::MAX_DATAGRAM {
            return self.send_bytes(self.control.as_fd(), &bytes, far, deadline, interrupt);
        }
        if bytes.len() > socket::MAX_LONG_MESSAGE {
            return Err(Error::new(
                Code::LimitExceeded,
                format!("the request is {} bytes long, more than {}", bytes.len(), socket::MAX_LONG_MESSAGE),
            ));
        }
        let announcement = socket::encode(&InitRequest::Long { bytes: bytes.len() as u64 })
            .map_err(|error| Error::internal(format!("encode: {error}")))?;
        self.send_bytes(self.control.as_fd(), &announcement, far, deadline, interrupt)?;
        for piece in bytes.chunks(socket::MAX_DATAGRAM) {
            self.send_bytes(channel, piece, &[], deadline, interrupt)?;
        }
        Ok(())
    }

    fn send_bytes(
        &self,
        to: BorrowedFd<'_>,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
        deadline: Instant,
        interrupt: Option<&Interrupt<'_>>,
    ) -> Result<()> {
        loop {
            match socket::send_bytes(to, bytes, fds) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let mut polled = vec![PollFd::from_borrowed_fd(to, PollFlags::OUT)];
                    polled.extend(
                        interrupt.map(Interrupt::fd).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
                    );
                    if !wait::poll(&mut polled, Some(deadline)).map_err(|error| host_error("poll", &error))? {
                        return Err(self.unresponsive());
                    }
                    if interrupt.is_some_and(Interrupt::is_cancelled) {
                        return Err(cancelled());
                    }
                }
                Err(error)
                    if matches!(
                        error.raw_os_error(),
                        Some(libc::ETOOMANYREFS | libc::ENOMEM | libc::ENOBUFS)
                    ) =>
                {
                    return Err(host_error("sendmsg", &error));
                }
                Err(_) => return Err(self.gone()),
            }
        }
    }

    /// The next event on a channel that is readable.
    ///
    /// # Errors
    /// What [`Sandbox::gone`] says at its end; `UNAVAILABLE` for what is no event.
    pub(crate) fn receive(&self, channel: &OwnedFd) -> Result<InitEvent> {
        let mut buffer = [0; MAX_EVENT];
        match socket::recv_bytes(channel, &mut buffer) {
            Ok((0, _)) => Err(self.gone()),
            Ok((length, _)) => socket::decode(&buffer[..length]).map_err(|_| {
                Error::new(Code::Unavailable, "the sandbox's init sent what is no event")
                    .with("sandbox_id", &*self.id)
            }),
            Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => Err(self.gone()),
            Err(error) => Err(host_error("recvmsg", &error)),
        }
    }

    /// Figures that only the inside knows; also the health probe.
    ///
    /// # Errors
    /// `UNAVAILABLE` when init does not answer in `patience`; what [`Sandbox::gone`] says when the sandbox has ended.
    pub(crate) fn statistics(&self, patience: Duration) -> Result<Statistics> {
        match self.ask(&InitRequest::Statistics, Instant::now() + patience)? {
            InitEvent::Statistics(statistics) => Ok(statistics),
            other => Err(self.out_of_turn(&other)),
        }
    }

    /// Whether programs or transfers of files may be there, for which [`Sandbox::shut_down`] is.
    pub(crate) fn had_programs(&self) -> bool {
        self.had_programs.load(Ordering::Acquire)
    }

    /// Gives programs and transfers of files the chance to end: SIGTERM, then at most [`GRACE`]. True when none is left. Where there has
    /// been none, init is not asked.
    pub(crate) fn shut_down(&self) -> Result<bool> {
        if !self.had_programs() {
            return Ok(true);
        }
        match self.ask(&shut_down_request(), Instant::now() + SHUT_DOWN_PATIENCE)? {
            InitEvent::ShutDown { clean } => Ok(clean),
            other => Err(self.out_of_turn(&other)),
        }
    }

    /// Asks init what it answers by one event.
    fn ask(&self, request: &InitRequest, deadline: Instant) -> Result<InitEvent> {
        let (channel, far) = channel_pair()?;
        let request = socket::encode(request).map_err(|error| Error::internal(format!("encode: {error}")))?;
        self.send_bytes(self.control.as_fd(), &request, &[far.as_fd()], deadline, None)?;
        drop(far);
        self.await_event(&channel, deadline)
    }

    /// The next event on a channel.
    ///
    /// # Errors
    /// As [`Sandbox::receive`]; `UNAVAILABLE` at the deadline.
    pub(crate) fn await_event(&self, channel: &OwnedFd, deadline: Instant) -> Result<InitEvent> {
        let mut fds = [PollFd::new(channel, PollFlags::IN)];
        if wait::poll(&mut fds, Some(deadline)).map_err(|error| host_error("poll", &error))? {
            self.receive(channel)
        } else {
            Err(self.unresponsive())
        }
    }

    /// The error for an event that does not belong to the request.
    pub(crate) fn out_of_turn(&self, event: &InitEvent) -> Error {
        let message = match event {
            InitEvent::Failed { stage, errno } => {
                format!("the sandbox's init: {stage}: {}", std::io::Error::from_raw_os_error(*errno))
            }
            _ => "the sandbox's init answered out of turn".to_owned(),
        };
        Error::new(Code::Unavailable, message).with("sandbox_id", &*self.id)
    }

    /// The error for an init that does not answer.
    pub(crate) fn unresponsive(&self) -> Error {
        Error::new(Code::Unavailable, "the sandbox's init does not answer").with("sandbox_id", &*self.id)
    }

    /// The error of a call whose connection to the inside ended: why the sandbox ended, if it did. One that ended by itself is
    /// cleaned up.
    pub(crate) fn gone(&self) -> Error {
        let Some(engine) = self.engine.upgrade().filter(|engine| !engine.is_closed()) else {
            return crate::engine::closed();
        };
        if self.cause().is_none() {
            // The socket of a call and that of the sandbox do not close at the same instant.
            let closed = wait::poll(
                &mut [PollFd::new(&self.control, PollFlags::empty())],
                Some(Instant::now() + Duration::from_millis(100)),
            );
            if !closed.unwrap_or(false) {
                return Error::new(Code::Unavailable, "the sandbox ended the call without an answer")
                    .with("sandbox_id", &*self.id);
            }
            let cause = if self.supervisor.is_dead() { Cause::SupervisorEnded } else { Cause::InitEnded };
            // Changes nothing when somebody else has ended it at the same moment, for another reason.
            engine.end(self, cause);
        }
        match self.cause() {
            Some(cause) if cause.state() == SandboxState::Failed => {
                Error::new(Code::Unavailable, format!("sandbox {} has failed: {}", self.id, cause.reason()))
                    .with("sandbox_id", &*self.id)
                    .with("status", SandboxState::Failed.word())
            }
            cause => ended_error(&self.id, cause.as_ref().map_or(SandboxState::Failed, Cause::state)),
        }
    }

    fn cause(&self) -> Option<Cause> {
        self.life().ended.clone()
    }

    /// Whether nobody here has ended it, so that the kernel may have, for want of memory.
    pub(crate) fn ended_by_itself(&self) -> bool {
        matches!(self.life().ended, Some(Cause::InitEnded | Cause::MemoryFull))
    }

    /// Whether it has failed because its memory was full: to be asked when a call to it found it gone.
    pub(crate) fn failed_of_memory(&self) -> bool {
        self.ended_by_itself() && self.engine.upgrade().is_some_and(|engine| engine.kill(self))
    }

    // Figures

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
        let start = self.assignment().map_or(self.made, |assignment| assignment.started);
        let sample = Arc::new(Sample::take(&self.usage, inside, before, start));
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

    // Documents

    /// Live figures.
    pub(crate) fn metrics(&self, sample: &Sample) -> SandboxMetrics {
        let (deadline, alive) = {
            let life = self.life();
            (life.deadline, life.ended.is_none())
        };
        self.figures(sample, alive.then_some(deadline), Instant::now())
    }

    /// The same of one that lives until `deadline`, or has ended.
    fn figures(&self, sample: &Sample, deadline: Option<Instant>, now: Instant) -> SandboxMetrics {
        let started = self.assignment().map_or(self.made, |assignment| assignment.started);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let cpu_seconds = sample.cpu_us.map(|cpu| cpu as f64 / 1e6);
        SandboxMetrics {
            cpu_seconds,
            cpu_percent: sample.cpu_percent.map(|percent| rounded(percent, 100.0)),
            memory_bytes: sample.memory_bytes,
            memory_peak_bytes: sample.memory_peak_bytes,
            memory_limit_bytes: u64::from(self.limits.memory_mb) << 20,
            processes: sample.processes,
            disk_used_bytes: sample.disk_used_bytes,
            disk_limit_bytes: u64::from(self.limits.disk_mb) << 20,
            uptime_seconds: seconds(now.saturating_duration_since(started)),
            remaining_seconds: deadline
                .map_or(0.0, |deadline| seconds(deadline.saturating_duration_since(now))),
            executions: self.executions.load(Ordering::Relaxed),
        }
    }

    /// The status document.
    pub(crate) fn live_status(&self, now: Instant) -> SandboxStatus {
        let standing = self.standing();
        let sample = if standing.deadline.is_some() { self.sample(now) } else { self.last_sample() };
        self.status_document(standing, &sample, None, now)
    }

    /// The one by which it is remembered.
    pub(crate) fn last_status(&self, sample: &Sample, ended_at: String) -> SandboxStatus {
        self.status_document(self.standing(), sample, Some(ended_at), Instant::now())
    }

    fn standing(&self) -> Standing {
        let life = self.life();
        let (status, reason, deadline) = match &life.ended {
            None => (SandboxState::Running, None, Some(life.deadline)),
            Some(cause) => (cause.state(), Some(cause.reason()), None),
        };
        Standing { status, reason, deadline, expires_at: Arc::clone(&life.expires_at) }
    }

    fn status_document(
        &self,
        standing: Standing,
        sample: &Sample,
        ended_at: Option<String>,
        at: Instant,
    ) -> SandboxStatus {
        let Standing { status, reason, deadline, expires_at } = standing;
        let assignment = self.assignment();
        let text = |of: fn(&Assignment) -> &Arc<str>| assignment.map(|assignment| Arc::clone(of(assignment)));
        SandboxStatus {
            sandbox_id: Arc::clone(&self.id),
            name: text(|assignment| &assignment.name).unwrap_or_default(),
            template: text(|assignment| &assignment.template_name)
                .unwrap_or_else(|| self.template.name().into()),
            status,
            started_at: text(|assignment| &assignment.started_at).unwrap_or_default(),
            expires_at,
            ended_at,
            reason,
            limits: self.limits.clone(),
            isolation: self.isolation.clone(),
            deployment_id: self.deployment_id().map(str::to_owned),
            metrics: self.figures(sample, deadline, at),
            sampled_at: Arc::clone(&sample.sampled_at),
            timestamp: now(),
        }
    }

    /// The row of the list.
    pub(crate) fn summary(&self) -> SandboxSummary {
        let (status, expires_at) = {
            let life = self.life();
            let status = life.ended.as_ref().map_or(SandboxState::Running, Cause::state);
            (status, life.expires_at.to_string())
        };
        SandboxSummary {
            sandbox_id: self.id.to_string(),
            name: self.name().to_owned(),
            template: self.template_name().to_owned(),
            status,
            started_at: self.started_at(),
            expires_at,
            ended_at: None,
            limits: *self.limits,
            deployment_id: self.deployment_id().map(str::to_owned),
        }
    }

    fn started_at(&self) -> String {
        self.assignment().map(|assignment| assignment.started_at.to_string()).unwrap_or_default()
    }
}

/// Where a life stands, for its status document.
struct Standing {
    status: SandboxState,
    /// Why it ended.
    reason: Option<String>,
    /// While it lives.
    deadline: Option<Instant>,
    expires_at: Arc<str>,
}

/// A duration for documents, to the microsecond.
fn seconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64(), 1e6)
}

/// To so many parts of one: further digits say nothing, and cost whoever writes and reads them.
fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// The grace period: how long programs have to end when they are asked to.
const GRACE: Duration = Duration::from_secs(5);
/// How long the answer to [`shut_down_request`] may take.
pub(crate) const SHUT_DOWN_PATIENCE: Duration = GRACE.saturating_add(Duration::from_millis(500));

/// Asks the programs of a sandbox to end.
pub(crate) fn shut_down_request() -> InitRequest {
    InitRequest::Shutdown { grace_ms: u32::try_from(GRACE.as_millis()).unwrap_or(u32::MAX) }
}

/// Whether a request starts what can make use of an orderly end: a program, or a transfer of files.
fn can_end_orderly(request: &InitRequest) -> bool {
    !matches!(
        request,
        InitRequest::Spawn(Spawn { program: Program::EmbeddedJavaScript, .. })
            | InitRequest::Statistics
            | InitRequest::Shutdown { .. }
    )
}

/// The error of every call but status on a sandbox that is remembered.
pub(crate) fn ended_error(id: &str, state: SandboxState) -> Error {
    Error::not_found("sandbox_id", format!("sandbox_id: {id} has ended: {}", state.word()))
        .with("sandbox_id", id)
        .with("status", state.word())
}

/// A channel of a request: our end, which never blocks in a send, and the one that goes along.
pub(crate) fn channel_pair() -> Result<(OwnedFd, OwnedFd)> {
    let (near, far) = socket::seqpacket_pair().map_err(|error| host_error("socketpair", &error))?;
    rustix::fs::fcntl_setfl(&near, rustix::fs::OFlags::NONBLOCK)
        .map_err(|error| host_error("fcntl", &error.into()))?;
    Ok((near, far))
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
