//! The loop of process 1. It never blocks on anything but its own poll: sockets are read when they are readable and written without
//! waiting, children are waited for when they have ended, files are the business of agents.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use e2bridge_protocol::init::{Exit, InitCommand, InitEvent, InitRequest, Program, Spawn};
use e2bridge_protocol::socket;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::confinement::{self, Confinement};
use crate::memory::MemoryWatch;
use crate::shepherd::state;
use crate::spawn::{self, Interpreters, Started, Streams, in_child, tell};
use crate::sys::{self, Fork, Slot, Slots, Waited};
use crate::tree::{Process, Processes, Snapshot, Top};
use crate::weaken::{self, Defence};
use crate::{Badness, InitOptions, archive, file_agent, statistics};

/// Most executions at a time, those counted of which only background processes are left.
const MAX_EXECUTIONS: usize = 4096;
/// Most requests at a time whose bytes are still arriving.
const MAX_LONG: usize = 16;
/// Between two rounds of killing: the first interval, and the longest.
const KILL_ROUND: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(5));
/// After this long of killing, everything is stopped while it is looked at, so that nothing can fork away.
const FREEZE_AFTER: Duration = Duration::from_millis(50);
/// After this long the sandbox is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);
/// Looks in a row that find nothing: enough to believe that nothing is left.
const CLEAN_LOOKS: u32 = 2;
/// Most children looked at between two looks at everything else.
const MAX_REAPED: usize = 256;
/// How long an agent that writes may take to clean up after its channel has closed.
const AGENT_GRACE: Duration = Duration::from_millis(200);

/// One execution.
struct Execution {
    /// The child of init below which all of it hangs.
    top: i32,
    /// It has not been waited for.
    top_lives: bool,
    /// Absent for an embedded worker, which has no shepherd.
    slot: Option<&'static Slot>,
    /// Absent once the library has closed it.
    channel: Option<OwnedFd>,
    deadline: Option<Instant>,
    phase: Phase,
}

enum Phase {
    /// The program runs, as far as init knows.
    Running,
    /// The library has been told the end; what is left lives on.
    Background,
    /// Everything of it is being killed.
    Ending(Ending),
    /// Nothing of it is left.
    Over,
}

struct Ending {
    /// To be sent when nothing is left.
    report: Option<Exit>,
    began: Instant,
    next: Instant,
    rounds: u32,
    /// Looks in a row that found nothing.
    clean: u32,
}

impl Ending {
    fn new(report: Option<Exit>) -> Self {
        let now = Instant::now();
        Self { report, began: now, next: now, rounds: 0, clean: 0 }
    }

    fn schedule(&mut self, now: Instant) {
        self.next = now + KILL_ROUND.0.saturating_mul(1 << self.rounds.min(8)).min(KILL_ROUND.1);
        self.rounds += 1;
    }
}

impl Execution {
    /// Whether the program has not ended.
    fn running(&self) -> bool {
        matches!(self.phase, Phase::Running)
            && self.slot.is_none_or(|slot| slot.state.load(Ordering::Acquire) == state::RUNNING)
    }

    /// Tries to be the one who ends it; false when the program has ended by itself.
    fn claim(&self) -> bool {
        matches!(self.phase, Phase::Running) && self.slot.is_none_or(|slot| slot.claim(state::KILLED))
    }

    fn end(&mut self, report: Option<Exit>) {
        self.deadline = None;
        self.phase = Phase::Ending(Ending::new(report));
    }

    /// The program has ended by itself before init could end it.
    fn settle(&mut self) {
        self.deadline = None;
        if matches!(self.phase, Phase::Running) {
            self.phase = Phase::Background;
        }
    }

    /// A request to end all of it, from the library.
    fn kill(&mut self) {
        self.end_all(killed());
    }

    /// It takes too much memory.
    fn exceed(&mut self) {
        self.end_all(Exit { out_of_memory: true, ..killed() });
    }

    fn end_all(&mut self, report: Exit) {
        if self.claim() {
            self.end(Some(report));
        } else if !matches!(self.phase, Phase::Ending(_) | Phase::Over) {
            // The library has been told how the program ended; what is left goes all the same.
            self.end(None);
        }
    }

    /// The library closed the channel.
    fn hang_up(&mut self) {
        self.channel = None;
        if self.claim() {
            self.end(None);
        } else {
            self.settle();
        }
    }

    fn expire(&mut self) {
        if self.claim() {
            self.end(Some(Exit { timed_out: true, ..killed() }));
        } else {
            self.settle();
        }
    }
}

/// An end by SIGKILL.
fn killed() -> Exit {
    Exit {
        exit_code: None,
        signal: Some(libc::SIGKILL),
        timed_out: false,
        out_of_memory: false,
        cpu_us: 0,
        max_rss_bytes: 0,
    }
}

/// A child that works on files.
struct Agent {
    pid: i32,
    /// Absent once the library has closed it.
    channel: Option<OwnedFd>,
    /// It has something to clean up when it is not to go on.
    cleans_up: bool,
    kill_at: Option<Instant>,
}

impl Agent {
    fn over(&self) -> bool {
        self.pid == 0
    }
}

/// A request whose bytes are still arriving.
struct Long {
    channel: OwnedFd,
    fds: Vec<OwnedFd>,
    bytes: Vec<u8>,
    expected: usize,
}

struct Shutdown {
    channel: OwnedFd,
    deadline: Instant,
}

/// Whom a polled descriptor belongs to.
#[derive(Clone, Copy)]
enum Source {
    Control,
    Signals,
    Execution(usize),
    Agent(usize),
    Long(usize),
}

struct Server {
    control: OwnedFd,
    signals: OwnedFd,
    processes: Processes,
    slots: Slots,
    interpreters: Interpreters,
    badness: Option<Badness>,
    memory: Option<MemoryWatch>,
    confinement: Option<&'static Confinement>,
    executions: Vec<Execution>,
    agents: Vec<Agent>,
    long: Vec<Long>,
    shutdown: Option<Shutdown>,
    /// Processes that lost their shepherd are being killed; as in [`Ending`].
    escape: Option<Ending>,
    /// More children may have ended than were looked at.
    children: bool,
    /// The last look at processes of which none was stopped for it.
    seen: Snapshot,
    buffer: &'static mut [u8],
}

/// Serves the control socket until it closes.
pub(crate) fn run(options: InitOptions) -> ! {
    sys::reset_signal_dispositions();
    sys::block_signals(true);
    // Never ptraced and no memory to be read by what has the same uid.
    if weaken::keeps(Defence::NotDumpable) {
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
    match Server::new(options) {
        Ok(mut server) => server.serve(),
        Err(_) => sys::exit(70),
    }
}

impl Server {
    fn new(options: InitOptions) -> std::io::Result<Self> {
        let interpreters = Interpreters::new(&options);
        let mut control = options.control;
        if control.as_raw_fd() < 3 {
            control = rustix::io::fcntl_dupfd_cloexec(&control, 3)?;
        }
        rustix::io::fcntl_setfd(&control, rustix::io::FdFlags::CLOEXEC)?;
        if options.confinement.is_some() {
            // Orphans come to it as they do to process 1.
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        }
        let null = rustix::fs::open(
            "/dev/null",
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )?;
        for stream in 0..3 {
            sys::install(null.as_fd(), stream)?;
        }
        if null.as_raw_fd() < 3 {
            // It is one of the three itself, and stays.
            std::mem::forget(null);
        }
        let processes = Processes::open()?;
        let memory = options.watched_memory.map(|watched| MemoryWatch::new(watched, &processes));
        // Nobody else is there yet.
        let seen = processes.nothing();
        Ok(Self {
            control,
            signals: sys::child_signals()?,
            processes,
            slots: Slots::new(MAX_EXECUTIONS, options.zero.as_fd())?,
            interpreters,
            badness: options.badness,
            memory,
            // For the life of the process: children take it along.
            confinement: options.confinement.map(|confinement| &*Box::leak(Box::new(confinement))),
            executions: Vec::new(),
            agents: Vec::new(),
            long: Vec::new(),
            shutdown: None,
            escape: None,
            children: false,
            seen,
            buffer: sys::zeroed(socket::MAX_DATAGRAM)?,
        })
    }

    /// Starts something that the kernel is to take before init when memory runs out: a fork inherits the value of its parent.
    fn expendable<T>(&self, start: impl FnOnce() -> T) -> T {
        let Some(badness) = &self.badness else { return start() };
        // Without the higher value it starts all the same.
        let set = |value: i16| {
            let _ = rustix::io::pwrite(&badness.file, value.to_string().as_bytes(), 0);
        };
        set(if weaken::keeps(Defence::Badness) { badness.programs } else { badness.init });
        let started = start();
        set(badness.init);
        started
    }

    fn serve(&mut self) -> ! {
        let mut ready = Vec::new();
        loop {
            self.wait(&mut ready);
            // Children first: what has ended by itself is not killed.
            if self.children || ready.iter().any(|source| matches!(source, Source::Signals)) {
                let _ = rustix::io::read(&self.signals, &mut self.buffer[..128]);
                self.reap();
            }
            // From the back, so that what is removed does not move what is still to be looked at.
            for source in ready.iter().rev() {
                match *source {
                    Source::Execution(index) => self.command(index),
                    Source::Agent(index) => self.agent_channel(index),
                    Source::Long(index) => self.more(index),
                    Source::Control | Source::Signals => {}
                }
            }
            if ready.iter().any(|source| matches!(source, Source::Control)) {
                self.request();
            }
            self.timers();
            self.executions.retain(|execution| !execution.over());
            self.agents.retain(|agent| !agent.over());
            self.finish_shutdown();
        }
    }

    /// Waits for something to do.
    fn wait(&self, ready: &mut Vec<Source>) {
        let mut sources = vec![Source::Control, Source::Signals];
        let mut polled =
            vec![PollFd::new(&self.control, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        let executions = self.executions.iter().map(|it| it.channel.as_ref()).enumerate();
        let agents = self.agents.iter().map(|it| it.channel.as_ref()).enumerate();
        let long = self.long.iter().map(|it| Some(&it.channel)).enumerate();
        for (source, channel) in (executions.map(|(index, it)| (Source::Execution(index), it)))
            .chain(agents.map(|(index, it)| (Source::Agent(index), it)))
            .chain(long.map(|(index, it)| (Source::Long(index), it)))
        {
            if let Some(channel) = channel {
                sources.push(source);
                polled.push(PollFd::new(channel, PollFlags::IN));
            }
        }
        let now = self.children.then(Instant::now);
        let timeout = now.or_else(|| self.next_timer()).map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        });
        ready.clear();
        if rustix::event::poll(&mut polled, timeout.as_ref()).is_ok() {
            let ended = polled.iter().zip(&sources).filter(|(fd, _)| !fd.revents().is_empty());
            ready.extend(ended.map(|(_, source)| *source));
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        let executions = self.executions.iter().filter_map(|execution| match &execution.phase {
            Phase::Running => execution.deadline,
            Phase::Background | Phase::Over => None,
            Phase::Ending(ending) => Some(ending.next),
        });
        executions
            .chain(self.agents.iter().filter_map(|agent| agent.kill_at))
            .chain(self.shutdown.iter().map(|shutdown| shutdown.deadline))
            .chain(self.escape.iter().map(|escape| escape.next))
            .chain(self.memory.iter().filter(|_| !self.executions.is_empty()).map(|memory| memory.next))
            .min()
    }

    // Requests

    fn request(&mut self) {
        match socket::recv_bytes(&self.control, self.buffer) {
            // The library and the supervisor are gone, and with process 1 goes the sandbox.
            Ok((0, _)) => sys::exit(0),
            Ok((length, fds)) => match socket::decode(&self.buffer[..length]) {
                Ok(request) => self.dispatch(request, fds),
                Err(_) => refuse(fds.first(), "request", libc::EBADMSG),
            },
            // A datagram whose descriptors found no room: they are closed by now, which its sender sees.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {}
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {}
            Err(error)
                if matches!(
                    sys::errno(&error),
                    libc::ENOMEM | libc::ENOBUFS | libc::EMFILE | libc::ENFILE
                ) => {}
            Err(_) => sys::exit(0),
        }
    }

    fn dispatch(&mut self, request: InitRequest, mut fds: Vec<OwnedFd>) {
        if fds.is_empty() {
            return;
        }
        let channel = fds.remove(0);
        if self.shutdown.is_some() && !matches!(request, InitRequest::Statistics) {
            return refuse(Some(&channel), "shutdown", libc::ESHUTDOWN);
        }
        let confinement = self.confinement;
        let top = confinement.map_or("/", |confinement| &confinement.root);
        match request {
            InitRequest::Spawn(spawn) => self.spawn(&spawn, channel, fds),
            InitRequest::ReadFile { path, max_bytes } => {
                let path = confinement::find(confinement, &path);
                self.agent(channel, fds, false, |data| file_agent::read(&path, max_bytes, data));
            }
            InitRequest::WriteFile { path, bytes } => {
                let path = confinement::find(confinement, &path);
                self.agent(channel, fds, true, |data| file_agent::write(&path, bytes, data));
            }
            InitRequest::ExportTree { roots, max_bytes, max_entries } => {
                let export =
                    |data: BorrowedFd<'_>| archive::export(top, &roots, max_bytes, max_entries, data);
                self.agent(channel, fds, false, export);
            }
            InitRequest::ImportTree { roots } => {
                self.agent(channel, fds, true, |data| archive::import(top, &roots, data));
            }
            InitRequest::Statistics => {
                let running = self.executions.iter().filter(|execution| execution.running()).count();
                tell(
                    &channel,
                    &InitEvent::Statistics(statistics::collect(&mut self.processes, running, confinement)),
                );
            }
            InitRequest::Shutdown { grace_ms } => self.shut_down(channel, grace_ms),
            InitRequest::Long { bytes } => match usize::try_from(bytes) {
                Ok(expected)
                    if expected <= socket::MAX_LONG_MESSAGE && expected > 0 && self.long.len() < MAX_LONG =>
                {
                    self.long.push(Long { channel, fds, bytes: Vec::with_capacity(expected), expected });
                }
                _ => refuse(Some(&channel), "request", libc::EMSGSIZE),
            },
        }
    }

    /// More bytes of a long request.
    fn more(&mut self, index: usize) {
        let long = &mut self.long[index];
        match rustix::net::recv(&long.channel, &mut self.buffer[..], rustix::net::RecvFlags::DONTWAIT) {
            Ok((length @ 1.., _)) if long.bytes.len() + length <= long.expected => {
                long.bytes.extend_from_slice(&self.buffer[..length]);
                if long.bytes.len() < long.expected {
                    return;
                }
                let Long { channel, mut fds, bytes, .. } = self.long.remove(index);
                match socket::decode(&bytes) {
                    Ok(InitRequest::Long { .. }) | Err(_) => refuse(Some(&channel), "request", libc::EBADMSG),
                    Ok(request) => {
                        drop(bytes);
                        fds.insert(0, channel);
                        self.dispatch(request, fds);
                        sys::trim_heap();
                    }
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok((1.., _)) => {
                let long = self.long.remove(index);
                refuse(Some(&long.channel), "request", libc::EMSGSIZE);
            }
            // The library closed it.
            Ok(_) | Err(_) => drop(self.long.remove(index)),
        }
    }

    fn spawn(&mut self, spawn: &Spawn, channel: OwnedFd, fds: Vec<OwnedFd>) {
        let Some(streams) = Streams::new(spawn, fds) else {
            return refuse(Some(&channel), "descriptors", libc::EINVAL);
        };
        if matches!(spawn.program, Program::EmbeddedJavaScript | Program::WarmPython) {
            if !spawn.worker {
                return refuse(Some(&channel), "descriptors", libc::EINVAL);
            }
            let cwd = confinement::find(self.confinement, &spawn.cwd);
            if let Err(error) = rustix::fs::access(&*cwd, rustix::fs::Access::EXEC_OK) {
                return refuse(Some(&channel), "chdir", error.raw_os_error());
            }
        }
        let free = |slot: &&'static Slot| slot.state.load(Ordering::Acquire) == state::FREE;
        let Some(slot) = self.slots.all().iter().find(free) else {
            return refuse(Some(&channel), "fork", libc::EAGAIN);
        };
        let deadline =
            spawn.timeout_ms.and_then(|timeout| Instant::now().checked_add(Duration::from_millis(timeout)));
        let deadline = deadline.filter(|_| weaken::keeps(Defence::Deadline));
        let started = self.expendable(|| {
            spawn::start(spawn, &channel, streams, slot, self.slots, &self.interpreters, self.confinement)
        });
        let (top, slot) = match started {
            Ok(Started::Shepherd(pid)) => (pid, Some(slot)),
            Ok(Started::Worker(pid)) => {
                tell(&channel, &InitEvent::Started { pid: pid.unsigned_abs() });
                (pid, None)
            }
            Err(error) => return refuse(Some(&channel), "fork", sys::errno(&error)),
        };
        if let (true, Some(memory)) = (self.executions.is_empty(), &mut self.memory) {
            memory.begin();
        }
        self.executions.push(Execution {
            top,
            top_lives: true,
            slot,
            channel: Some(channel),
            deadline,
            phase: Phase::Running,
        });
    }

    /// Starts a child that works on files and reports by itself.
    fn agent(
        &mut self,
        channel: OwnedFd,
        mut fds: Vec<OwnedFd>,
        cleans_up: bool,
        work: impl FnOnce(BorrowedFd<'_>) -> InitEvent,
    ) {
        let (Some(data), true) = (fds.pop(), fds.is_empty()) else {
            return refuse(Some(&channel), "descriptors", libc::EINVAL);
        };
        match sys::fork() {
            Ok(Fork::Parent(pid)) => {
                self.agents.push(Agent { pid, channel: Some(channel), cleans_up, kill_at: None });
            }
            Ok(Fork::Child) => in_child(|| {
                if let Some(confinement) = self.confinement {
                    sys::end_with_parent();
                    if confinement.fence().is_err() {
                        sys::exit(105);
                    }
                }
                let event = match sys::close_others(&mut [channel.as_raw_fd(), data.as_raw_fd()]) {
                    Ok(()) => work(data.as_fd()),
                    Err(error) => {
                        InitEvent::Failed { stage: "close_range".to_owned(), errno: sys::errno(&error) }
                    }
                };
                tell(&channel, &event);
                sys::exit(0)
            }),
            Err(error) => refuse(Some(&channel), "fork", sys::errno(&error)),
        }
    }

    fn shut_down(&mut self, channel: OwnedFd, grace_ms: u32) {
        if !self.can_end_orderly() {
            return tell(&channel, &InitEvent::ShutDown { clean: true });
        }
        // Init is spared by the kernel, shepherds and agents have it blocked.
        sys::signal_all(libc::SIGTERM);
        sys::signal_all(libc::SIGCONT);
        let deadline = Instant::now() + Duration::from_millis(u64::from(grace_ms));
        self.shutdown = Some(Shutdown { channel, deadline });
    }

    // Channels

    fn command(&mut self, index: usize) {
        let execution = &mut self.executions[index];
        let (Some(channel), false) = (&execution.channel, execution.over()) else { return };
        match rustix::net::recv(channel, &mut self.buffer[..], rustix::net::RecvFlags::DONTWAIT) {
            Ok((length @ 1.., _)) => {
                if let Ok(InitCommand::Kill) = socket::decode(&self.buffer[..length]) {
                    execution.kill();
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(_) | Err(_) => execution.hang_up(),
        }
    }

    fn agent_channel(&mut self, index: usize) {
        let agent = &mut self.agents[index];
        let (Some(channel), false) = (&agent.channel, agent.over()) else { return };
        // Nothing is said to an agent: this is the end, or to be passed over.
        let received = rustix::net::recv(channel, &mut self.buffer[..], rustix::net::RecvFlags::DONTWAIT);
        if !matches!(received, Ok((1.., _)) | Err(Errno::AGAIN | Errno::INTR)) {
            agent.channel = None;
            let grace = if agent.cleans_up { AGENT_GRACE } else { Duration::ZERO };
            agent.kill_at = Some(Instant::now() + grace);
        }
    }

    // Children

    /// Takes children that have ended, and wakes those that were stopped.
    fn reap(&mut self) {
        self.children = false;
        for round in 0.. {
            // Who stops shepherds faster than they are woken must not keep the timers from running.
            if round == MAX_REAPED {
                self.children = true;
                return;
            }
            let Ok(Some(waited)) = sys::poll_child_or_stopped() else { return };
            let agent = self.agents.iter_mut().find(|agent| agent.pid == waited.pid);
            let execution = self.executions.iter_mut().find(|it| it.top_lives && it.top == waited.pid);
            if waited.stopped() {
                // Only hostile code does that to a shepherd or an agent. Stopping an escapee changes nothing.
                if agent.is_some() || execution.as_ref().is_some_and(|execution| execution.slot.is_some()) {
                    sys::signal_child(waited.pid, libc::SIGCONT);
                }
            } else if let Some(agent) = agent {
                if let (Some(channel), true) = (&agent.channel, waited.exit_code() != Some(0)) {
                    tell(channel, &InitEvent::Failed { stage: "agent".to_owned(), errno: libc::EIO });
                }
                agent.pid = 0;
            } else if let Some(execution) = execution
                && !execution.top_ended(&waited)
            {
                self.escape.get_or_insert_with(|| Ending::new(None)).clean = 0;
            }
        }
    }

    // Timers

    fn timers(&mut self) {
        let now = Instant::now();
        let mut due = self.escape.as_ref().is_some_and(|escape| escape.next <= now);
        for execution in &mut self.executions {
            if execution.deadline.is_some_and(|deadline| deadline <= now) {
                execution.expire();
            }
            due |= matches!(&execution.phase, Phase::Ending(ending) if ending.next <= now);
        }
        due |= self.watch_memory(now);
        if due {
            self.kill_round(now);
        }
        for agent in &mut self.agents {
            if agent.kill_at.is_some_and(|at| at <= now) {
                agent.kill_at = None;
                sys::signal_child(agent.pid, libc::SIGKILL);
            }
        }
    }

    /// Ends the execution that takes most when all together take too much; true when it did.
    fn watch_memory(&mut self, now: Instant) -> bool {
        let Some(memory) = self.memory.as_mut().filter(|memory| memory.next <= now) else { return false };
        if self.executions.is_empty() {
            return false;
        }
        let Some(top) = memory.look(&mut self.processes) else { return false };
        let greedy = self.executions.iter_mut().find(|execution| execution.top_lives && execution.top == top);
        greedy.map(Execution::exceed).is_some()
    }

    /// Whether something is left that an orderly end is for. Embedded workers cannot catch a signal, and end with init.
    fn can_end_orderly(&self) -> bool {
        self.executions.iter().any(|execution| execution.slot.is_some())
            || !self.agents.is_empty()
            || self.escape.is_some()
    }

    fn finish_shutdown(&mut self) {
        if let Some(shutdown) = &self.shutdown {
            let clean = !self.can_end_orderly();
            if clean || shutdown.deadline <= Instant::now() {
                tell(&shutdown.channel, &InitEvent::ShutDown { clean });
                self.shutdown = None;
            }
        }
    }

    /// One round of killing, for everything that is ending.
    fn kill_round(&mut self, now: Instant) {
        let began = self
            .executions
            .iter()
            .filter_map(|execution| match &execution.phase {
                Phase::Ending(ending) => Some(ending.began),
                _ => None,
            })
            .chain(self.escape.iter().map(|escape| escape.began))
            .min()
            .unwrap_or(now);
        let lasted = now.saturating_duration_since(began);
        if lasted > GIVE_UP_AFTER {
            // What survives five seconds of SIGKILL is ended together with process 1.
            sys::exit(71);
        }
        // Most executions are one process group: the kernel ends that in one step, before anything is looked for.
        for execution in &self.executions {
            if let (Phase::Ending(Ending { rounds: 0, .. }), Some(slot)) = (&execution.phase, execution.slot)
            {
                let program = slot.program.load(Ordering::Acquire);
                if program > 0
                    && let Some(process) = self.processes.look(program)
                    && process.parent == execution.top
                {
                    self.processes.kill(&process, true);
                }
            }
        }
        let ending = |execution: &Execution| matches!(execution.phase, Phase::Ending(_) | Phase::Over);
        let nothing_else = self.agents.is_empty() && self.executions.iter().all(ending);
        // At once where that disturbs nobody: to look for hundreds of processes takes long while each of them has as much of the processor
        // as init.
        let frozen = nothing_else || lasted > FREEZE_AFTER;
        if frozen {
            sys::signal_all(libc::SIGSTOP);
        }
        let mut snapshot = self.processes.snapshot();
        let mut resume = Vec::new();
        if frozen {
            for _ in 0..3 {
                if snapshot.vanished {
                    // What was about to end when it was stopped.
                    snapshot = self.processes.snapshot();
                }
            }
            let was_stopped = |now: &Process| {
                self.seen.find(now.pid).is_some_and(|it| it.start == now.start && it.stopped())
            };
            resume =
                snapshot.processes.iter().filter(|it| it.pid != 1 && !was_stopped(it)).copied().collect();
        }
        self.kill_found(&snapshot, now);
        for process in &resume {
            self.processes.resume(process);
        }
        if !frozen {
            self.seen = snapshot;
        }
    }

    /// Kills what in the snapshot is to be killed and judges what is not there any more.
    fn kill_found(&mut self, snapshot: &Snapshot, now: Instant) {
        let tops = snapshot.tops();
        let uncertain = snapshot.vanished || tops.contains(&Top::Unknown);
        let mut escapees = 0;
        let mut found = vec![0_usize; self.executions.len()];
        for (process, top) in snapshot.processes.iter().zip(&tops) {
            let Top::Child(top) = *top else { continue };
            if !process.alive() {
                continue;
            }
            let owner = self.executions.iter().position(|it| it.top_lives && it.top == top);
            match owner {
                Some(index) => {
                    let execution = &self.executions[index];
                    let shepherd = process.pid == top && execution.slot.is_some();
                    if matches!(execution.phase, Phase::Ending(_)) && !shepherd {
                        found[index] += 1;
                        self.processes.kill(process, true);
                    }
                }
                None if self.agents.iter().any(|agent| agent.pid == top) => {}
                // Its shepherd is gone: nothing that init or a shepherd started.
                None => {
                    escapees += 1;
                    self.processes.kill(process, true);
                }
            }
        }
        if let Some(escape) = &mut self.escape {
            escape.clean = if escapees == 0 && !uncertain { escape.clean + 1 } else { 0 };
            escape.schedule(now);
        }
        let swept = self.escape.as_ref().is_none_or(|escape| escape.clean >= CLEAN_LOOKS);
        if swept {
            self.escape = None;
        }
        for (execution, found) in self.executions.iter_mut().zip(found) {
            let Phase::Ending(ending) = &mut execution.phase else { continue };
            if execution.top_lives {
                ending.clean = if found == 0 && !uncertain { ending.clean + 1 } else { 0 };
                // The shepherd exits by itself when nothing is left, which is the better proof; but others can keep it stopped.
                if ending.clean > 4 * CLEAN_LOOKS && execution.slot.is_some() {
                    sys::signal_child(execution.top, libc::SIGKILL);
                }
                ending.schedule(now);
            } else if swept {
                execution.finish();
            } else {
                ending.schedule(now);
            }
        }
    }
}

impl Execution {
    /// The shepherd or worker has ended. False when processes of it may be left without one.
    fn top_ended(&mut self, waited: &Waited) -> bool {
        self.top_lives = false;
        let orderly = waited.exit_code() == Some(0) && self.slot.is_some();
        let usage = |exit: Exit| Exit { cpu_us: waited.cpu_us, max_rss_bytes: waited.max_rss_bytes, ..exit };
        match &mut self.phase {
            Phase::Ending(ending) => ending.report = ending.report.map(usage),
            Phase::Background | Phase::Over => self.end(None),
            Phase::Running => match self.slot {
                // A worker: its end is that of the execution.
                None => self.end(Some(usage(Exit {
                    exit_code: waited.exit_code(),
                    signal: sys::term_signal(waited.status),
                    ..killed()
                }))),
                // Killed before it could tell anything, by code of the same uid.
                Some(slot) if slot.claim(state::KILLED) => self.end(Some(usage(killed()))),
                Some(slot) => {
                    // Killed between the end of the program and the report of it.
                    let untold = slot.state.load(Ordering::Acquire) == state::ENDED;
                    let exit = slot.exit();
                    self.end(untold.then_some(exit));
                }
            },
        }
        if orderly {
            self.finish();
        }
        orderly
    }

    /// Nothing of it is left: says so, and leaves it to be removed.
    fn finish(&mut self) {
        if let Phase::Ending(Ending { report: Some(exit), .. }) = &self.phase
            && let Some(channel) = &self.channel
        {
            tell(channel, &InitEvent::Exited(*exit));
        }
        if let Some(slot) = self.slot {
            slot.state.store(state::FREE, Ordering::Release);
        }
        self.phase = Phase::Over;
    }

    fn over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }
}

fn refuse(channel: Option<&OwnedFd>, stage: &str, errno: i32) {
    if let Some(channel) = channel {
        tell(channel, &InitEvent::Failed { stage: stage.to_owned(), errno });
    }
}
