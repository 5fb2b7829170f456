//! Warm interpreters of a sandbox. A worker is a program of the sandbox like any other, started under a shepherd, that serves
//! runs over a socket; what comes out of that socket is hostile and bounded. Here is how one is started, serves a run and ends; those
//! at rest are in `table`, what goes over the socket in `wire`.

use std::iter;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use e2bridge_core::document::SandboxState;
use e2bridge_core::request::{BuiltinTemplate, Language};
use e2bridge_core::{Code, Error, Result};
use e2bridge_protocol::init::{Exit, InitEvent, Program};
use e2bridge_protocol::worker::{PROGRAMS, PYTHON_OPTIONS, WorkerReply, WorkerRequest};
use rustix::event::{PollFd, PollFlags};

use self::wire::{Message, Received, Reply};
use crate::engine::Engine;
use crate::execution::{HOME, OUT_OF_MEMORY, ProcessSpec, RunningProcess, signal_name};
use crate::output::{Output, Read, STDERR, STDOUT};
use crate::sandbox::{Cause, Sandbox, ended_error};
use crate::wait::{self, Interrupt, cancelled, host_error};

mod table;
mod wire;

pub(crate) use self::table::Workers;
#[cfg(feature = "fuzzing")]
pub(crate) use self::wire::read_reply;

/// How much later than the time-out the worker is killed: the time for the engine to interrupt the code by itself.
const INTERRUPT_GRACE: Duration = Duration::from_millis(250);
/// How long init may take to end a worker, before the sandbox is ended for it.
const KILL_PATIENCE: Duration = Duration::from_secs(6);
/// How long a worker that gave its last reply may take to exit.
const EXIT_PATIENCE: Duration = Duration::from_secs(2);
/// How long an interpreter may take to start.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// The interpreters that serve runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Interpreter {
    /// The engine inside the supervisor's own program; in every template.
    EmbeddedJavaScript,
    /// Node.js, in `node`.
    Node,
    /// CPython, in `python`.
    Python,
    /// `/bin/sh` that keeps its state; in every template.
    Shell,
}

impl Interpreter {
    /// What runs that language in that template; `None` where the template lacks it.
    pub(crate) fn of(template: BuiltinTemplate, language: Language) -> Option<Self> {
        if !template.languages().contains(&language) {
            return None;
        }
        Some(match (language, template) {
            (Language::Shell, _) => Interpreter::Shell,
            (Language::Python, _) => Interpreter::Python,
            (Language::JavaScript, BuiltinTemplate::Node) => Interpreter::Node,
            (Language::JavaScript, _) => Interpreter::EmbeddedJavaScript,
        })
    }

    /// What a pooled sandbox of that template has started already.
    fn of_pool(template: BuiltinTemplate) -> Self {
        match template {
            BuiltinTemplate::Base => Interpreter::EmbeddedJavaScript,
            BuiltinTemplate::Python => Interpreter::Python,
            BuiltinTemplate::Node => Interpreter::Node,
        }
    }

    fn program(self, sandbox: &Sandbox) -> Program {
        let interpreter = || sandbox.interpreter.clone().unwrap_or_default();
        let program = |name: &str| sandbox.place(&format!("{PROGRAMS}/{name}"));
        let argv = match self {
            Interpreter::EmbeddedJavaScript => return Program::EmbeddedJavaScript,
            Interpreter::Python if sandbox.forks_python && !changes_start(sandbox) => {
                return Program::WarmPython;
            }
            Interpreter::Node => vec![interpreter(), heap_option(sandbox), program("node.js")],
            Interpreter::Python => {
                let options = PYTHON_OPTIONS.map(str::to_owned);
                iter::once(interpreter()).chain(options).chain([program("python.py")]).collect()
            }
            // In its messages the shell calls itself by the name at the end.
            Interpreter::Shell => {
                vec![
                    "/bin/sh".to_owned(),
                    "-c".to_owned(),
                    format!(". {}", program("shell.sh")),
                    "sh".to_owned(),
                ]
            }
        };
        Program::Exec { argv }
    }
}

/// Whether variables of the sandbox are among those that CPython, and the libraries below it, look at only when they start.
fn changes_start(sandbox: &Sandbox) -> bool {
    const PREFIXES: [&str; 7] =
        ["LANG", "LC_", "LD_", "GLIBC_TUNABLES", "MALLOC_", "OPENSSL_", "SETUPTOOLS_"];
    let given = sandbox.assignment().map_or(&[][..], |assignment| &assignment.env);
    given.iter().any(|(name, _)| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// Node's limit of its heap: three quarters of the sandbox's memory, for it needs some beside it.
pub(crate) fn heap_option(sandbox: &Sandbox) -> String {
    format!("--max-old-space-size={}", (sandbox.limits.memory_mb / 4 * 3).max(16))
}

/// A number for a run, which its reply must repeat. Random, so that what an earlier run left behind cannot answer for a later one;
/// 53 bits, which every interpreter's numbers hold.
///
/// # Errors
/// `UNAVAILABLE` when the kernel gives no random bytes.
pub(crate) fn new_run() -> Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::new(Code::Unavailable, format!("getrandom: {error}")))?;
    Ok(u64::from_ne_bytes(bytes) >> 11)
}

/// Memory that the embedded engine may use, bytes: a little less than the sandbox's, so that the code gets an exception before the
/// limit of the sandbox kills the engine.
pub(crate) fn engine_memory(sandbox: &Sandbox) -> u64 {
    u64::from(sandbox.limits.memory_mb) * 1024 * 1024 / 8 * 7
}

/// A started interpreter; dropping it ends it and everything of it.
#[derive(Debug)]
struct Worker {
    interpreter: Interpreter,
    process: RunningProcess,
    socket: OwnedFd,
    /// As [`Sandbox::memory_kills`], before it was started.
    kills: Option<u64>,
    /// Number of the empty run whose reply says that it has started; `None` once that was taken, or was never asked for.
    greeting: Option<u64>,
}

/// What of a worker is ready.
struct Ready {
    /// An event of init, or the end of the channel.
    event: bool,
    socket: PollFlags,
    /// Standard output and error: something is there, or nobody can write any more.
    streams: [bool; 2],
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) end: RunEnd,
    /// What came through the pipes.
    pub(crate) output: Output,
    /// The memory limit killed something meanwhile.
    pub(crate) out_of_memory: bool,
    pub(crate) duration: Duration,
}

/// What a run ended with.
#[derive(Debug)]
pub(crate) enum RunEnd {
    Replied(Box<WorkerReply>),
    /// The worker was killed because the code did not end.
    TimedOut,
    /// The worker ended instead of answering.
    Exited(Exit),
    /// The worker answered what is no reply, and was killed.
    Garbled,
}

/// What may be left of the worker after a run.
enum After {
    Usable,
    Gone,
}

/// The call that a worker serves: on whose behalf, and what may end it early.
struct Call<'a> {
    engine: &'a Engine,
    sandbox: &'a Sandbox,
    /// When the code is to have ended.
    due: Instant,
    interrupt: &'a Interrupt<'a>,
}

impl Call<'_> {
    /// When the worker is killed whose code has not ended.
    fn kill_at(&self) -> Instant {
        self.due + INTERRUPT_GRACE
    }
}

/// Runs one request in a worker of the sandbox: in the context of that name, or stateless.
///
/// # Errors
/// `CANCELLED`; `LIMIT_EXCEEDED` with too many contexts or processes; `TIMEOUT` when the context was never free; those of a sandbox
/// that ends.
pub(crate) fn run(
    engine: &Engine,
    sandbox: &Sandbox,
    interpreter: Interpreter,
    context: Option<&str>,
    request: &WorkerRequest,
    interrupt: &Interrupt<'_>,
) -> Result<Run> {
    let began = Instant::now();
    if interrupt.is_cancelled() {
        return Err(cancelled());
    }
    let due = began + Duration::from_millis(request.timeout_ms);
    let _counted = sandbox.count_execution();
    let (lease, mut taken) = match context {
        None => (None, sandbox.workers.take_idle(interpreter)),
        Some(name) => {
            let (lease, worker) = sandbox.workers.take_context(interpreter, name, sandbox, due, interrupt)?;
            (Some(lease), worker)
        }
    };
    // One that ended while it was idle (the code it ran before may have seen to that) is not handed to the next run.
    if let Some(worker) = &mut taken
        && worker.is_unusable(sandbox)
    {
        taken = None;
    }
    let mut worker = match taken {
        Some(worker) => worker,
        None => Worker::start(sandbox, interpreter, Some(interrupt))?,
    };
    let embedded = interpreter == Interpreter::EmbeddedJavaScript;
    let kills_before = if embedded { worker.kills } else { sandbox.memory_kills() };
    let mut output = Output::default();
    let call = Call { engine, sandbox, due, interrupt };
    let (end, after) = match worker.serve(&call, request, &mut output) {
        Err(_) if sandbox.failed_of_memory() => (RunEnd::Exited(OUT_OF_MEMORY), After::Gone),
        other => other?,
    };
    match (after, lease) {
        (After::Usable, None) => sandbox.workers.keep_idle(interpreter, worker),
        (After::Usable, Some(lease)) => lease.give_back(worker),
        (After::Gone, _) => {}
    }
    // The embedded engine starts no process: as long as itself is there, nothing of its run was killed.
    let out_of_memory = (!embedded || matches!(end, RunEnd::Exited(_)))
        && sandbox.memory_killed_since(kills_before)
        || matches!(end, RunEnd::Exited(Exit { out_of_memory: true, .. }));
    Ok(Run { end, output, out_of_memory, duration: began.elapsed() })
}

/// Starts the interpreter of a sandbox that goes into a pool.
///
/// # Errors
/// As [`Sandbox::spawn`].
pub(crate) fn prestart(sandbox: &Sandbox) -> Result<()> {
    let interpreter = Interpreter::of_pool(sandbox.template);
    let mut worker = Worker::start(sandbox, interpreter, None)?;
    // The embedded engine is there at once; a fork of CPython takes some milliseconds, Node up to a tenth of a second.
    if interpreter != Interpreter::EmbeddedJavaScript {
        worker.greet()?;
    }
    sandbox.workers.keep_idle(interpreter, worker);
    Ok(())
}

impl Worker {
    fn start(sandbox: &Sandbox, interpreter: Interpreter, interrupt: Option<&Interrupt<'_>>) -> Result<Self> {
        let spec = ProcessSpec {
            program: interpreter.program(sandbox),
            env: sandbox.environment(),
            cwd: HOME.to_owned(),
            timeout: None,
            capture: true,
            worker: true,
        };
        let kills = sandbox.memory_kills();
        let mut process = sandbox.spawn(spec, interrupt)?;
        let socket =
            process.worker.take().ok_or_else(|| Error::internal("a worker was started without a socket"))?;
        Ok(Self { interpreter, process, socket, kills, greeting: None })
    }

    /// Asks it to answer once it has started.
    fn greet(&mut self) -> Result<()> {
        let run = new_run()?;
        let mut message = Message::request(&WorkerRequest {
            run,
            code: String::new(),
            stateless: true,
            timeout_ms: START_PATIENCE.as_millis().try_into().unwrap_or(u64::MAX),
            max_output_bytes: 0,
            memory_bytes: None,
            call: None,
        })?;
        message.send(&self.socket)?;
        self.greeting = Some(run);
        Ok(())
    }

    /// False while it has not answered that it has.
    fn has_started(&self) -> bool {
        let ready = || self.poll(PollFlags::IN, None, [false; 2], Some(Instant::now()));
        self.greeting.is_none() || matches!(ready(), Ok(Some(ready)) if !ready.socket.is_empty())
    }

    /// True when it has ended, as far as init has told, or says something unasked: code that wrote a reply of its own is followed
    /// by the real one, which is no answer to the next request. Throws away what processes of an earlier run wrote after its reply.
    fn is_unusable(&mut self, sandbox: &Sandbox) -> bool {
        loop {
            let ready = match self.poll(PollFlags::IN, None, [true; 2], Some(Instant::now())) {
                Ok(None) => return false,
                Ok(Some(ready)) => ready,
                Err(_) => return true,
            };
            let unasked =
                if self.greeting.is_some() { PollFlags::HUP | PollFlags::ERR } else { PollFlags::all() };
            if ready.socket.intersects(unasked) || ready.event && !matches!(self.event(sandbox), Ok(None)) {
                return true;
            }
            if !ready.event {
                self.take_rest(&mut Output::default());
                return false;
            }
        }
    }

    /// Waits until something of it is ready; `None` at the deadline. The streams come last: one that is not ready then holds nothing
    /// that was written before what is ready in the socket.
    fn poll(
        &self,
        socket: PollFlags,
        interrupt: Option<&Interrupt<'_>>,
        open: [bool; 2],
        deadline: Option<Instant>,
    ) -> Result<Option<Ready>> {
        let mut polled: [_; 5] = std::array::from_fn(|_| PollFd::new(&self.process.channel, PollFlags::IN));
        polled[1] = PollFd::new(&self.socket, socket);
        let mut count = 2;
        if let Some(interrupt) = interrupt {
            polled[count] = PollFd::from_borrowed_fd(interrupt.fd(), PollFlags::IN);
            count += 1;
        }
        let mut streams_at = [None; 2];
        for (stream, fd) in [&self.process.stdout, &self.process.stderr].into_iter().enumerate() {
            if let (Some(fd), true) = (fd, open[stream]) {
                polled[count] = PollFd::new(fd, PollFlags::IN);
                streams_at[stream] = Some(count);
                count += 1;
            }
        }
        let in_time =
            wait::poll(&mut polled[..count], deadline).map_err(|error| host_error("poll", &error))?;
        let is_ready = |at: usize| !polled[at].revents().is_empty();
        Ok(in_time.then(|| Ready {
            event: is_ready(0),
            socket: polled[1].revents(),
            streams: streams_at.map(|at| at.is_some_and(is_ready)),
        }))
    }

    /// Sends the request and collects output and reply.
    fn serve(
        &mut self,
        call: &Call<'_>,
        request: &WorkerRequest,
        output: &mut Output,
    ) -> Result<(RunEnd, After)> {
        if let Some(run) = self.greeting.take() {
            match self.exchange(call, Message::default(), run, &mut Output::default())? {
                (RunEnd::Replied(_), After::Usable) => {}
                (RunEnd::Replied(_), After::Gone) => return Ok((RunEnd::Garbled, After::Gone)),
                other => return Ok(other),
            }
        }
        let message = match self.interpreter {
            Interpreter::Shell => Message::line(&request.code),
            _ => Message::request(request)?,
        };
        self.exchange(call, message, request.run, output)
    }

    /// Sends what is left of a message and collects output and reply of the run.
    fn exchange(
        &mut self,
        call: &Call<'_>,
        mut message: Message,
        run: u64,
        output: &mut Output,
    ) -> Result<(RunEnd, After)> {
        let mut reply = Reply::default();
        let mut open = [true; 2];
        message.send(&self.socket)?;
        loop {
            let mut events = PollFlags::IN;
            if !message.is_sent() {
                events |= PollFlags::OUT;
            }
            let ready = self.poll(events, Some(call.interrupt), open, Some(call.kill_at()))?;
            if call.interrupt.is_cancelled() {
                self.end(call, output)?;
                return Err(cancelled());
            }
            let Some(ready) = ready else {
                self.end(call, output)?;
                return Ok((RunEnd::TimedOut, After::Gone));
            };
            for (stream, fd) in [&self.process.stdout, &self.process.stderr].into_iter().enumerate() {
                if let (Some(fd), true) = (fd, ready.streams[stream])
                    && output.read(stream, fd, usize::MAX) == Read::End
                {
                    open[stream] = false;
                }
            }
            if ready.socket.contains(PollFlags::OUT) && !message.is_sent() {
                message.send(&self.socket)?;
            }
            if ready.socket.intersects(PollFlags::IN) {
                match reply.receive(&self.socket) {
                    Received::Part => {}
                    // A shell is not told the number.
                    Received::Whole(reply) if reply.run != run && self.interpreter != Interpreter::Shell => {
                        return self.garbled(call, output);
                    }
                    Received::Whole(reply) => {
                        if ready.streams.contains(&true) {
                            self.take_rest(output);
                        }
                        let after = self.settle(call, &reply, output)?;
                        return Ok((RunEnd::Replied(reply), after));
                    }
                    Received::Garbled => {
                        return self.garbled(call, output);
                    }
                    // Its exit follows on the channel, unless the code has only closed the socket.
                    Received::End => return self.await_exit(call, output),
                }
            } else if ready.event {
                match self.event(call.sandbox)? {
                    None => {}
                    Some(exit) => {
                        self.take_rest(output);
                        return Ok((RunEnd::Exited(exit), After::Gone));
                    }
                }
            } else if ready.socket.intersects(PollFlags::HUP | PollFlags::ERR) {
                return self.await_exit(call, output);
            }
        }
    }

    /// The exit on the channel, when it is there; other events are passed over.
    fn event(&mut self, sandbox: &Sandbox) -> Result<Option<Exit>> {
        match sandbox.receive(&self.process.channel)? {
            InitEvent::Started { .. } => Ok(None),
            InitEvent::Exited(exit) => {
                let state = sandbox.state();
                if exit.signal.is_some() && state != SandboxState::Running {
                    return Err(ended_error(&sandbox.id, state));
                }
                Ok(Some(exit))
            }
            InitEvent::Failed { stage, errno } => {
                let reason = std::io::Error::from_raw_os_error(errno);
                let code = match errno {
                    libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::ENOSPC => {
                        Code::LimitExceeded
                    }
                    _ => Code::Unavailable,
                };
                Err(Error::new(code, format!("the interpreter does not start: {stage}: {reason}"))
                    .with("sandbox_id", &*sandbox.id)
                    .with("stage", stage)
                    .with("errno", errno))
            }
            other => Err(sandbox.out_of_turn(&other)),
        }
    }

    /// The worker's socket has ended: waits for the exit of the worker itself.
    fn await_exit(&mut self, call: &Call<'_>, output: &mut Output) -> Result<(RunEnd, After)> {
        let patience = call.kill_at().min(Instant::now() + EXIT_PATIENCE);
        match self.exit_before(call.sandbox, patience, output)? {
            Some(exit) => Ok((RunEnd::Exited(exit), After::Gone)),
            None => self.garbled(call, output),
        }
    }

    /// It answered what is no reply.
    fn garbled(&mut self, call: &Call<'_>, output: &mut Output) -> Result<(RunEnd, After)> {
        self.end(call, output)?;
        Ok((RunEnd::Garbled, After::Gone))
    }

    /// After a reply: keeps a worker that can go on, lets a spent one exit, and ends one whose run did not end by itself, with
    /// everything that run started.
    fn settle(&mut self, call: &Call<'_>, reply: &WorkerReply, output: &mut Output) -> Result<After> {
        if reply.timed_out || reply.out_of_memory {
            self.end(call, output)?;
            return Ok(After::Gone);
        }
        if reply.spent {
            // What the code left in the background lives on under the worker's shepherd once the worker itself has exited.
            if self.exit_before(call.sandbox, Instant::now() + EXIT_PATIENCE, output)?.is_none() {
                self.end(call, output)?;
            }
            return Ok(After::Gone);
        }
        Ok(After::Usable)
    }

    /// Ends the worker and everything of it, and waits until it is gone. A sandbox that cannot do that is ended.
    fn end(&mut self, call: &Call<'_>, output: &mut Output) -> Result<()> {
        self.process.kill();
        if self.exit_before(call.sandbox, Instant::now() + KILL_PATIENCE, output)?.is_none() {
            call.engine.end(call.sandbox, Cause::InitLate("end an interpreter"));
        }
        Ok(())
    }

    /// Waits for the exit while taking what is written; `None` at the deadline.
    fn exit_before(
        &mut self,
        sandbox: &Sandbox,
        deadline: Instant,
        output: &mut Output,
    ) -> Result<Option<Exit>> {
        loop {
            let mut polled = [PollFd::new(&self.process.channel, PollFlags::IN)];
            let in_time =
                wait::poll(&mut polled, Some(deadline)).map_err(|error| host_error("poll", &error))?;
            self.take_rest(output);
            if !in_time {
                return Ok(None);
            }
            if let Some(exit) = self.event(sandbox)? {
                self.take_rest(output);
                return Ok(Some(exit));
            }
        }
    }

    /// Takes what is in the pipes at this moment.
    fn take_rest(&self, output: &mut Output) {
        for (stream, fd) in [(STDOUT, &self.process.stdout), (STDERR, &self.process.stderr)] {
            if let Some(fd) = fd {
                output.take_waiting(stream, fd);
            }
        }
    }
}

/// How a worker ended, in words.
pub(crate) fn exit_words(exit: &Exit) -> String {
    match (exit.exit_code, exit.signal) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => signal_name(signal),
        (None, None) => "unknown".to_owned(),
    }
}
