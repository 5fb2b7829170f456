//! The loop of process 1. It never blocks on anything but its own poll: sockets are read when they are readable and written without
//! waiting, children are waited for when they have ended, files are the business of agents. Here is the loop with what wakes it; what
//! it is asked for is in `requests`, one execution in `execution`, the end of what is to end in `killing`.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use e2bridge_protocol::init::{InitCommand, InitEvent};
use e2bridge_protocol::socket;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use self::execution::{Ending, Execution, Phase};
use self::requests::Long;
use crate::confinement::Confinement;
use crate::memory::MemoryWatch;
use crate::spawn::{Interpreters, tell};
use crate::sys::{self, Slots};
use crate::tree::{Processes, Snapshot};
use crate::weaken::{self, Defence};
use crate::{Badness, InitOptions};

mod execution;
mod killing;
mod requests;

/// Most executions at a time, those counted of which only background processes are left.
const MAX_EXECUTIONS: usize = 4096;
/// Most children looked at between two looks at everything else.
const MAX_REAPED: usize = 256;
/// How long an agent that writes may take to clean up after its channel has closed. With the channel its data end, so that it needs a
/// moment; but many others may want the processor.
const AGENT_GRACE: Duration = Duration::from_secs(2);

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
}
