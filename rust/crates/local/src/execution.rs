//! Programs in a sandbox: start, collect, wait, end.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use e2bridge_core::document::{ProcessResult, SandboxState};
use e2bridge_core::id::{IdKind, new_id};
use e2bridge_core::output::{Ended, process_result};
use e2bridge_core::request::ExecuteProcess;
use e2bridge_core::{CancelToken, Code, Error, Result};
use e2bridge_protocol::init::{Exit, InitCommand, InitEvent, InitRequest, Program, Spawn};
use e2bridge_protocol::socket;
use rustix::event::{PollFd, PollFlags};
use rustix::pipe::PipeFlags;

use crate::engine::Engine;
use crate::output::{Output, Pipes, STDERR};
use crate::sandbox::{Cause, Sandbox, channel_pair, ended_error};
use crate::wait::{self, Interrupt, cancelled, host_error};

/// Where programs start.
pub(crate) const HOME: &str = "/home/user";
/// How much later than its own deadline init may report the end of an execution, before the sandbox is ended for it: a little more than
/// what init takes to give up. It shares the sandbox's processors with what it ends.
const BACKSTOP: Duration = Duration::from_secs(6);
/// How long init may take to end everything of a cancelled execution, before the sandbox is ended for it.
const KILL_PATIENCE: Duration = Duration::from_secs(6);

/// A program to start.
#[derive(Clone, Debug)]
pub(crate) struct ProcessSpec {
    /// What.
    pub(crate) program: Program,
    /// The whole environment, `NAME=value`; [`Sandbox::environment`] for the usual one.
    pub(crate) env: Vec<String>,
    /// Absolute.
    pub(crate) cwd: String,
    /// Enforced by init.
    pub(crate) timeout: Option<Duration>,
    /// False: both streams are `/dev/null`.
    pub(crate) capture: bool,
    /// True: the program gets a worker socket as descriptor 3.
    pub(crate) worker: bool,
}

/// A program that was asked for; dropping it before its `Exited` ends everything of it.
#[derive(Debug)]
pub(crate) struct RunningProcess {
    /// Events of init come here, the first one `Started` or `Failed`; see [`Sandbox::receive`]. Does not block.
    pub(crate) channel: OwnedFd,
    /// Read end of standard output, with `capture`. Read it only when poll says so.
    pub(crate) stdout: Option<OwnedFd>,
    /// Read end of standard error, with `capture`.
    pub(crate) stderr: Option<OwnedFd>,
    /// Our end of the worker socket, with `worker`.
    pub(crate) worker: Option<OwnedFd>,
}

impl RunningProcess {
    /// Asks init to end everything of it; `Exited` comes when all is gone.
    pub(crate) fn kill(&self) {
        // When init is gone there is nothing to end.
        let _ = socket::send(&self.channel, &InitCommand::Kill, &[]);
    }
}

/// How a program ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct ProcessOutcome {
    /// Exit status; -1 when a signal or the time-out ended it, 126 or 127 when it could not be executed.
    pub(crate) exit_code: i32,
    /// Number of the signal that ended it.
    pub(crate) signal: Option<i32>,
    /// The time-out ended it.
    pub(crate) timed_out: bool,
    /// What it wrote.
    pub(crate) output: Output,
    /// The memory limit ended it or one of the sandbox's processes meanwhile.
    pub(crate) out_of_memory: bool,
    /// From the request to the end.
    pub(crate) duration: Duration,
}

/// A request to start a program, and the descriptors that go along.
struct StartOrder {
    request: InitRequest,
    /// The channel and, with `capture`, the write ends.
    far: Vec<OwnedFd>,
    worker: Option<OwnedFd>,
}

/// How the wait for a program ended.
enum End {
    Exited(Exit),
    Failed { stage: String, errno: i32 },
}

/// The end of a program together with its sandbox, whose memory was full.
pub(crate) const OUT_OF_MEMORY: Exit = Exit {
    exit_code: None,
    signal: Some(libc::SIGKILL),
    timed_out: false,
    out_of_memory: true,
    cpu_us: 0,
    max_rss_bytes: 0,
};

impl Sandbox {
    /// Asks init to start a program and does not wait for it.
    ///
    /// # Errors
    /// `NOT_FOUND` when the sandbox has ended; `LIMIT_EXCEEDED` when the host is out of descriptors.
    pub(crate) fn spawn(
        &self,
        spec: ProcessSpec,
        interrupt: Option<&Interrupt<'_>>,
    ) -> Result<RunningProcess> {
        let (process, order) = self.prepare(spec)?;
        self.start(&process, order, interrupt)?;
        Ok(process)
    }

    /// Makes everything that a program needs, before init is asked.
    fn prepare(&self, spec: ProcessSpec) -> Result<(RunningProcess, StartOrder)> {
        self.check_running()?;
        let (channel, channel_far) = channel_pair()?;
        let mut far = vec![channel_far];
        let mut read_ends = None;
        if spec.capture {
            let pipe = || {
                let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
                    .map_err(|error| host_error("pipe2", &error.into()))?;
                // A program may open it again, as /dev/stdout, and its id need not be that of this process.
                rustix::fs::fchmod(&write, rustix::fs::Mode::from_raw_mode(0o666))
                    .map_err(|error| host_error("fchmod", &error.into()))?;
                Ok((read, write))
            };
            let ((stdout, stdout_far), (stderr, stderr_far)) = (pipe()?, pipe()?);
            far.extend([stdout_far, stderr_far]);
            read_ends = Some((stdout, stderr));
        }
        let mut worker = None;
        let mut worker_far = None;
        if spec.worker {
            let (near, there) = socket::stream_pair().map_err(|error| host_error("socketpair", &error))?;
            worker = Some(near);
            worker_far = Some(there);
        }
        let request = InitRequest::Spawn(Spawn {
            program: spec.program,
            env: spec.env,
            cwd: spec.cwd,
            timeout_ms: spec.timeout.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            capture: spec.capture,
            worker: spec.worker,
        });
        let (stdout, stderr) = read_ends.unzip();
        Ok((
            RunningProcess { channel, stdout, stderr, worker },
            StartOrder { request, far, worker: worker_far },
        ))
    }

    /// Asks init to start what was prepared; afterwards the far ends are its alone.
    fn start(
        &self,
        process: &RunningProcess,
        order: StartOrder,
        interrupt: Option<&Interrupt<'_>>,
    ) -> Result<()> {
        let fds: Vec<_> = order
            .far
            .iter()
            .chain(&process.stdout)
            .chain(&process.stderr)
            .chain(&order.worker)
            .map(AsFd::as_fd)
            .collect();
        self.send(&order.request, process.channel.as_fd(), &fds, interrupt)
    }

    /// Runs a program and waits until it has ended. What it left in the background lives on; a time-out or a cancel ends
    /// everything of it first.
    ///
    /// # Errors
    /// `CANCELLED`; `NOT_FOUND` with `context.status` when the sandbox was ended meanwhile; `UNAVAILABLE` when it failed;
    /// `LIMIT_EXCEEDED` when it has no process left.
    pub(crate) fn run(
        &self,
        engine: &Engine,
        spec: ProcessSpec,
        token: &CancelToken,
    ) -> Result<ProcessOutcome> {
        let began = Instant::now();
        let interrupt = engine.wakeups.watch(token)?;
        if interrupt.is_cancelled() {
            return Err(cancelled());
        }
        let _counted = self.count_execution();
        let kills_before = self.memory_kills();
        let name = match &spec.program {
            Program::Exec { argv } => argv.first().cloned().unwrap_or_default(),
            Program::EmbeddedJavaScript => "javascript".to_owned(),
            Program::WarmPython => "python".to_owned(),
        };
        let timeout = spec.timeout;
        let (process, order) = self.prepare(spec)?;
        // Watched before the program can write, so that what it writes first is found first.
        let pipes = match (&process.stdout, &process.stderr) {
            (Some(stdout), Some(stderr)) => {
                Some(Pipes::new(stdout, stderr).map_err(|error| host_error("epoll", &error))?)
            }
            _ => None,
        };
        self.start(&process, order, Some(&interrupt))?;
        let mut output = Output::default();
        let due = timeout.map(|time| began + time);
        let end = match self.collect(engine, &process, pipes, &mut output, due, &interrupt) {
            Err(_) if self.failed_of_memory() => End::Exited(OUT_OF_MEMORY),
            other => other?,
        };
        let out_of_memory = self.memory_killed_since(kills_before)
            || matches!(end, End::Exited(Exit { out_of_memory: true, .. }));
        let duration = began.elapsed();
        let outcome = |exit_code, signal, timed_out, output| ProcessOutcome {
            exit_code,
            signal,
            timed_out,
            output,
            out_of_memory,
            duration,
        };
        match end {
            End::Exited(exit) => {
                let exit_code = if exit.timed_out { None } else { exit.exit_code };
                Ok(outcome(exit_code.unwrap_or(-1), exit.signal, exit.timed_out, output))
            }
            End::Failed { stage, errno } => {
                let exit_code = self.not_executed(&name, &stage, errno, &mut output)?;
                Ok(outcome(exit_code, None, false, output))
            }
        }
    }

    /// Reads what the program writes, promptly, until it has ended.
    fn collect(
        &self,
        engine: &Engine,
        process: &RunningProcess,
        mut pipes: Option<Pipes<'_>>,
        output: &mut Output,
        due: Option<Instant>,
        interrupt: &Interrupt<'_>,
    ) -> Result<End> {
        let mut deadline = due.map(|at| at + BACKSTOP);
        let mut killed = false;
        loop {
            let mut polled: [_; 3] = std::array::from_fn(|_| PollFd::new(&process.channel, PollFlags::IN));
            let mut count = 1;
            let mut pipes_at = None;
            if let Some(fd) = pipes.as_ref().and_then(Pipes::fd) {
                polled[count] = PollFd::from_borrowed_fd(fd, PollFlags::IN);
                pipes_at = Some(count);
                count += 1;
            }
            if !killed {
                polled[count] = PollFd::from_borrowed_fd(interrupt.fd(), PollFlags::IN);
                count += 1;
            }
            let in_time =
                wait::poll(&mut polled[..count], deadline).map_err(|error| host_error("poll", &error))?;
            // What is written without a pause must not put the deadline off.
            if !in_time || deadline.is_some_and(|at| at <= Instant::now()) {
                return self.backstop(engine, killed);
            }
            let [event, written] =
                [Some(0), pipes_at].map(|at| at.is_some_and(|at| !polled[at].revents().is_empty()));
            if let Some(pipes) = pipes.as_mut().filter(|_| written) {
                pipes.read(output);
            }
            if event {
                match self.receive(&process.channel)? {
                    InitEvent::Started { .. } => {}
                    InitEvent::Failed { stage, errno } => {
                        return if killed { Err(cancelled()) } else { Ok(End::Failed { stage, errno }) };
                    }
                    InitEvent::Exited(exit) => {
                        if let Some(pipes) = &mut pipes {
                            pipes.take_rest(output);
                        }
                        return self.ended(exit, killed);
                    }
                    other => return Err(self.out_of_turn(&other)),
                }
            } else if !killed && interrupt.is_cancelled() {
                process.kill();
                killed = true;
                deadline = Some(Instant::now() + KILL_PATIENCE);
            }
        }
    }

    /// What an exit means: after a cancel the call is cancelled, and a signal that came with the end of the sandbox is that end.
    fn ended(&self, exit: Exit, killed: bool) -> Result<End> {
        if killed {
            return Err(cancelled());
        }
        let state = self.state();
        if exit.signal.is_some() && !exit.timed_out && state != SandboxState::Running {
            return Err(if state == SandboxState::Failed {
                self.gone()
            } else {
                ended_error(&self.id, state)
            });
        }
        Ok(End::Exited(exit))
    }

    /// Init has not reported the end in time: something inside cannot be ended, or init is stopped. The sandbox is ended for it.
    fn backstop(&self, engine: &Engine, killed: bool) -> Result<End> {
        engine.end(self, Cause::InitLate("end an execution"));
        if killed {
            return Err(cancelled());
        }
        Ok(End::Exited(Exit {
            exit_code: None,
            signal: Some(libc::SIGKILL),
            timed_out: true,
            out_of_memory: false,
            cpu_us: 0,
            max_rss_bytes: 0,
        }))
    }

    /// The exit code of a program that was not executed, as a shell has it, with the reason on standard error.
    fn not_executed(&self, name: &str, stage: &str, errno: i32, output: &mut Output) -> Result<i32> {
        let reason = std::io::Error::from_raw_os_error(errno);
        // Without the number that the standard library appends.
        let reason = reason.to_string();
        let reason = reason.split(" (os error").next().unwrap_or_default();
        let refused = |code: Code, message: String| {
            Error::new(code, message).with("sandbox_id", &*self.id).with("stage", stage).with("errno", errno)
        };
        match (stage, errno) {
            ("execve", libc::ENOENT | libc::ENOTDIR) => {
                output.push(STDERR, format!("{name}: {reason}\n").as_bytes());
                Ok(127)
            }
            (_, libc::E2BIG) => Err(refused(
                Code::LimitExceeded,
                "args: arguments and variables together are longer than the kernel takes; write a file instead".to_owned(),
            )
            .about("args")),
            ("execve" | "chdir", libc::EACCES | libc::EPERM | libc::ENOEXEC | libc::ENOENT | libc::ELOOP | libc::EISDIR | libc::EINVAL | libc::ENAMETOOLONG | libc::ETXTBSY | libc::EIO) => {
                let what = if stage == "chdir" { HOME } else { name };
                output.push(STDERR, format!("{what}: {reason}\n").as_bytes());
                Ok(126)
            }
            (_, libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::ENOSPC) => Err(refused(
                Code::LimitExceeded,
                format!("the sandbox cannot start another program: {stage}: {reason}; it may have up to {} processes", self.limits.processes),
            )),
            ("shutdown", _) => Err(match self.state() {
                SandboxState::Running => self.unresponsive(),
                state => ended_error(&self.id, state),
            }),
            _ => Err(refused(Code::Unavailable, format!("the sandbox cannot start the program: {stage}: {reason}"))),
        }
    }
}

/// `execute_e2b_process`.
pub(crate) fn execute(
    engine: &Engine,
    request: &ExecuteProcess,
    token: &CancelToken,
) -> Result<ProcessResult> {
    let sandbox = engine.sandbox(&request.sandbox_id)?;
    let execution_id = new_id(IdKind::Execution)?;
    let spec = ProcessSpec {
        program: Program::Exec { argv: request.argv.clone() },
        env: sandbox.environment(),
        cwd: HOME.to_owned(),
        timeout: Some(Duration::from_secs(u64::from(request.timeout_seconds))),
        capture: request.capture_output,
        worker: false,
    };
    let outcome = sandbox.run(engine, spec, token)?;
    let mut output = outcome.output;
    if !request.capture_output {
        // Also the reason why a program was not executed.
        output = Output::default();
    }
    let ended = Ended {
        exit_code: outcome.exit_code,
        signal: outcome.signal.map(signal_name),
        timed_out: outcome.timed_out,
        out_of_memory: outcome.out_of_memory,
        duration: outcome.duration,
    };
    Ok(process_result(execution_id, sandbox.id.to_string(), ended, &output))
}

/// `SIGKILL` for 9, and so on.
pub(crate) fn signal_name(signal: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let index = usize::try_from(signal).unwrap_or(0).wrapping_sub(1);
    match NAMES.get(index) {
        Some(name) => format!("SIG{name}"),
        None if (34..=64).contains(&signal) => format!("SIGRTMIN+{}", signal - 34),
        None => format!("SIG{signal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_the_names_of_the_kernel() {
        for (number, name) in [
            (libc::SIGHUP, "SIGHUP"),
            (libc::SIGKILL, "SIGKILL"),
            (libc::SIGSEGV, "SIGSEGV"),
            (libc::SIGTERM, "SIGTERM"),
            (libc::SIGSTOP, "SIGSTOP"),
            (libc::SIGSYS, "SIGSYS"),
            (34, "SIGRTMIN+0"),
            (64, "SIGRTMIN+30"),
        ] {
            assert_eq!(signal_name(number), name);
        }
    }
}
