//! The supervisor process, seen from the library: started once per client, asked by datagrams, each with the socket for its reply.
//!
//! Any number of threads ask at the same time without a lock, because each waits on a socket of its own. When the supervisor
//! dies, the kernel closes those sockets, and every caller knows at once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2bridge_core::id::push_random;
use e2bridge_core::{Code, Error, Result};
use e2bridge_protocol::supervisor::{
    Failure, FailureKind, Start, Started, SupervisorReply, SupervisorRequest,
};
use e2bridge_protocol::{PROTOCOL_VERSION, socket};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::process::Signal;

use crate::offer::{Offer, offer};
use crate::settings::Settings;
use crate::sys;
use crate::wait::{self, Interrupt, cancelled, host_error};

/// The supervisor's program; built static, so that it needs nothing of the host.
const PROGRAM: &[u8] = include_bytes!(env!("E2BRIDGE_SUPERVISOR_COPY"));
/// SHA-256 of [`PROGRAM`].
pub(crate) const DIGEST: &str = env!("E2BRIDGE_SUPERVISOR_DIGEST");

/// How long the supervisor may take to come up and to sweep what dead clients left.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take for anything else; the first sandbox of a template includes the start of its zygote.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to end everything when the client closes, before it is killed.
const STOP_PATIENCE: Duration = Duration::from_millis(1_500);
/// The number of no sandbox: they begin at 1.
const NO_SANDBOX: u64 = 0;
/// Most bytes of a reply.
const MAX_REPLY: usize = 32 * 1024;

/// A running supervisor. Dropping it ends it and everything below it.
#[derive(Debug)]
pub(crate) struct Supervisor {
    socket: OwnedFd,
    pidfd: OwnedFd,
    pid: u32,
    started: Started,
    dead: AtomicBool,
}

impl Supervisor {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// What the supervisor says; `UNAVAILABLE` when it cannot be started or does not answer.
    pub(crate) fn start(settings: &Settings) -> Result<Self> {
        Self::start_unless(settings, None)
    }

    /// As [`Supervisor::start`], given up when `interrupt` comes first.
    pub(crate) fn start_unless(settings: &Settings, interrupt: Option<&Interrupt<'_>>) -> Result<Self> {
        let runtime_directory = settings.prepare_runtime_directory()?;
        let program = sealed_copy()?;
        let (ours, theirs) = socket::seqpacket_pair().map_err(|error| host_error("socketpair", &error))?;
        // Nobody waits in a send: a supervisor that reads no more must not hold the caller beyond its deadline.
        rustix::fs::fcntl_setfl(&ours, OFlags::NONBLOCK)
            .map_err(|error| host_error("fcntl", &error.into()))?;
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| host_error("open /dev/null", &error.into()))?;
        let process = sys::start_program(&program, c"e2bridge-supervisor", &theirs, &null)
            .map_err(|(step, error)| not_started(step, &error))?;
        drop(theirs);
        let mut supervisor = Self {
            socket: ours,
            pidfd: process.pidfd,
            pid: process.pid,
            started: Started { pid: process.pid, swept: 0 },
            dead: AtomicBool::new(false),
        };
        let mut client = String::new();
        push_random(&mut client, 16)?;
        let start = SupervisorRequest::Start(Start {
            protocol_version: PROTOCOL_VERSION,
            client,
            runtime_directory,
            required: settings.required,
            python_candidates: settings.python_candidates.clone(),
            node_candidates: settings.node_candidates.clone(),
        });
        match supervisor.request(&start, &[], START_PATIENCE, interrupt)? {
            SupervisorReply::Started(started) => supervisor.started = started,
            other => return Err(unexpected("start", &other)),
        }
        Ok(supervisor)
    }

    /// One that never answers, for sandboxes whose init is a fuzz target or a double; not to be dropped, for that would end this process.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn stand_in() -> io::Result<Self> {
        let own = rustix::process::getpid();
        let pidfd = rustix::process::pidfd_open(own, rustix::process::PidfdFlags::empty())?;
        let (socket, _) = socket::seqpacket_pair()?;
        let started = Started { pid: 0, swept: 0 };
        Ok(Self { socket, pidfd, pid: 0, started, dead: AtomicBool::new(false) })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// What it said when it came up.
    pub(crate) fn started(&self) -> &Started {
        &self.started
    }

    /// Becomes readable when the supervisor ends.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// True once it has ended. No system call once that is known, else one.
    pub(crate) fn is_dead(&self) -> bool {
        if self.dead.load(Ordering::Acquire) {
            return true;
        }
        let dead = wait::ready(&self.pidfd, PollFlags::IN);
        if dead {
            self.dead.store(true, Ordering::Release);
        }
        dead
    }

    /// Asks, with `far` going along, and waits for the reply.
    ///
    /// # Errors
    /// The supervisor's own failure; `UNAVAILABLE` when it has died or does not answer in `patience` (then it is killed, because
    /// nothing could be ended any more); `CANCELLED`.
    pub(crate) fn request(
        &self,
        request: &SupervisorRequest,
        far: &[BorrowedFd<'_>],
        patience: Duration,
        interrupt: Option<&Interrupt<'_>>,
    ) -> Result<SupervisorReply> {
        let deadline = Instant::now() + patience;
        let reply = self.ask(request, far, deadline, interrupt)?;
        self.answer(&reply, deadline, interrupt)
    }

    /// Asks, with `far` going along, and does not wait for the reply: [`Supervisor::answer`] does, at the socket that is returned.
    ///
    /// # Errors
    /// As [`Supervisor::request`].
    pub(crate) fn ask(
        &self,
        request: &SupervisorRequest,
        far: &[BorrowedFd<'_>],
        deadline: Instant,
        interrupt: Option<&Interrupt<'_>>,
    ) -> Result<OwnedFd> {
        let (reply, reply_far) =
            socket::seqpacket_pair().map_err(|error| host_error("socketpair", &error))?;
        let bytes = socket::encode(request).map_err(|error| Error::internal(format!("encode: {error}")))?;
        let mut fds = Vec::with_capacity(1 + far.len());
        fds.push(reply_far.as_fd());
        fds.extend_from_slice(far);
        loop {
            match offer(&self.socket, &bytes, &fds)? {
                Offer::Taken => break,
                Offer::NoRoom => self.wait(self.socket.as_fd(), PollFlags::OUT, deadline, interrupt)?,
                Offer::Nobody => return Err(self.died()),
            }
        }
        drop(reply_far);
        Ok(reply)
    }

    /// Waits for the reply to what was asked.
    ///
    /// # Errors
    /// As [`Supervisor::request`].
    pub(crate) fn answer(
        &self,
        reply: &OwnedFd,
        deadline: Instant,
        interrupt: Option<&Interrupt<'_>>,
    ) -> Result<SupervisorReply> {
        self.wait(reply.as_fd(), PollFlags::IN, deadline, interrupt)?;
        let mut buffer = [0; MAX_REPLY];
        match socket::recv_bytes(reply, &mut buffer) {
            Ok((0, _)) | Err(_) => Err(self.died()),
            Ok((length, _)) => match socket::decode(&buffer[..length]) {
                Ok(SupervisorReply::Failed(failure)) => Err(failed(failure)),
                Ok(reply) => Ok(reply),
                Err(error) => Err(Error::internal(format!("reply of the supervisor: {error}"))),
            },
        }
    }

    /// Asks for what costs it nothing, the end of a sandbox that is not there; answers how long the reply took.
    ///
    /// # Errors
    /// As [`Supervisor::ask_to_kill`].
    pub(crate) fn probe(&self, patience: Duration) -> Result<Duration> {
        self.ask_to_kill(NO_SANDBOX, patience)
    }

    /// Asks it to end a sandbox; answers how long that took. Unlike a request, one that is not answered in time costs nobody anything:
    /// the supervisor goes on with it.
    ///
    /// # Errors
    /// `UNAVAILABLE` when it has died or does not answer in `patience`; `LIMIT_EXCEEDED` when this process has no descriptor left.
    pub(crate) fn ask_to_kill(&self, sandbox: u64, patience: Duration) -> Result<Duration> {
        let asked = Instant::now();
        let (reply, reply_far) =
            socket::seqpacket_pair().map_err(|error| host_error("socketpair", &error))?;
        let request = SupervisorRequest::Kill { sandbox };
        let sent = socket::send(&self.socket, &request, &[reply_far.as_fd()]);
        drop(reply_far);
        let in_time = match sent {
            Ok(()) => {
                let mut fds = [PollFd::new(&reply, PollFlags::IN), PollFd::new(&self.pidfd, PollFlags::IN)];
                wait::poll(&mut fds, Some(asked + patience)).map_err(|error| host_error("poll", &error))?
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => return Err(self.died()),
        };
        if !in_time {
            let seconds = patience.as_secs_f64();
            return Err(Error::new(
                Code::Unavailable,
                format!("the supervisor did not answer within {seconds} s"),
            ));
        }
        let took = asked.elapsed();
        if self.is_dead() {
            return Err(self.died());
        }
        // The reply is there, or the end of the connection.
        match socket::recv::<SupervisorReply>(&reply) {
            Ok(Some(_)) => Ok(took),
            Ok(None) | Err(_) => Err(self.died()),
        }
    }

    fn wait(
        &self,
        fd: BorrowedFd<'_>,
        events: PollFlags,
        deadline: Instant,
        interrupt: Option<&Interrupt<'_>>,
    ) -> Result<()> {
        let mut fds = vec![PollFd::from_borrowed_fd(fd, events), PollFd::new(&self.pidfd, PollFlags::IN)];
        fds.extend(interrupt.map(Interrupt::fd).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let in_time = wait::poll(&mut fds, Some(deadline)).map_err(|error| host_error("poll", &error))?;
        // What has arrived counts, also when the supervisor has died or the call was cancelled since.
        if fds[0].revents().intersects(events) {
            return Ok(());
        }
        if interrupt.is_some_and(Interrupt::is_cancelled) {
            return Err(cancelled());
        }
        if in_time {
            return Err(self.died());
        }
        self.kill();
        Err(Error::new(Code::Unavailable, "the supervisor did not answer in time and was ended"))
    }

    /// The error for a connection that ended: the supervisor has died, or it dropped the request.
    fn died(&self) -> Error {
        // A closed socket comes a moment before the end of the process.
        let ended = wait::poll(
            &mut [PollFd::new(&self.pidfd, PollFlags::IN)],
            Some(Instant::now() + Duration::from_millis(200)),
        );
        if ended.unwrap_or(false) {
            self.kill();
            Error::new(Code::Unavailable, "the supervisor has ended; the next create starts a new one")
        } else {
            Error::new(Code::Unavailable, "the supervisor dropped the request")
        }
    }

    /// Ends it at once, and with it everything below.
    pub(crate) fn kill(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        sys::wait(&self.pidfd, true);
        self.dead.store(true, Ordering::Release);
    }

    /// Lets it end everything, then ends it; returns when it has ended. Idempotent.
    pub(crate) fn stop(&self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        // One that somebody has stopped cleans up all the same.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::CONT);
        let _ =
            wait::poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(Instant::now() + STOP_PATIENCE));
        self.kill();
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The program in memory that nobody can write to any more: what runs as root is not to be changed through `/proc/<pid>/exe`.
fn sealed_copy() -> Result<OwnedFd> {
    let refused = |error: rustix::io::Errno| {
        Error::new(
            Code::Unavailable,
            format!("memfd_create: {error}; the supervisor needs an executable memory file (sysctl vm.memfd_noexec below 2)"),
        )
        .with("errno", error.raw_os_error())
        .with("remedy", "sysctl -w vm.memfd_noexec=0")
    };
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match rustix::fs::memfd_create("e2bridge-supervisor", flags | MemfdFlags::EXEC) {
        // Before Linux 6.3 there is no such flag, and every memory file may be executed.
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create("e2bridge-supervisor", flags),
        other => other,
    }
    .map_err(refused)?;
    let mut left = PROGRAM;
    while !left.is_empty() {
        match rustix::io::write(&memory, left) {
            Ok(written) => left = &left[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(host_error("write to a memory file", &error.into())),
        }
    }
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&memory, seals).map_err(refused)?;
    // The many forks of this program map its pages in and out by sixteen. Of one huge page that is one step each; mapped by a single
    // entry it is not, for the program's segments are not aligned so, and all of it would count as a fork's when memory runs out.
    // Without huge pages it works as well.
    let _ = sys::put_into_huge_pages(&memory, PROGRAM.len());
    Ok(memory)
}

fn not_started(step: &str, error: &io::Error) -> Error {
    let code = match error.raw_os_error() {
        Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => Code::LimitExceeded,
        _ => Code::Unavailable,
    };
    Error::new(code, format!("start the supervisor: {step}: {error}"))
        .with("stage", step)
        .with("errno", error.raw_os_error().unwrap_or(0))
}

/// The error for a reply that does not belong to the request.
pub(crate) fn unexpected(request: &str, reply: &SupervisorReply) -> Error {
    Error::internal(format!("the supervisor answered {request} with {reply:?}"))
}

/// The error for what the supervisor could not do.
pub(crate) fn failed(failure: Failure) -> Error {
    let code = match failure.kind {
        FailureKind::Isolation => Code::IsolationUnavailable,
        FailureKind::MissingInterpreter => Code::Unsupported,
        FailureKind::Limit => Code::LimitExceeded,
        FailureKind::Unavailable => Code::Unavailable,
        FailureKind::Internal => Code::Internal,
    };
    let mut message = failure.message;
    if let Some(remedy) = &failure.remedy {
        message = format!("{message}; remedy: {remedy}");
    }
    let mut error = Error::new(code, message).with("stage", failure.stage);
    if failure.kind == FailureKind::MissingInterpreter {
        error = error.about("template");
    }
    if let Some(errno) = failure.errno {
        error = error.with("errno", errno);
    }
    if let Some(remedy) = failure.remedy {
        error = error.with("remedy", remedy);
    }
    error
}
