//! Starts executions.

use std::ffi::{CStr, CString};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering;

use e2bridge_protocol::init::{InitEvent, Program, Spawn};
use e2bridge_protocol::socket;
use rustix::net::SendFlags;

use crate::confinement::{self, Confinement};
use crate::shepherd::{self, state};
use crate::sys::{self, Fork, Image, NotStarted, Slot, Slots};
use crate::{InitOptions, WarmPython};

/// Where programs are looked for when the environment has no `PATH`, as execvp(3) says.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Sends an event without ever blocking. What cannot be sent has no one who waits for it: the channel holds far more than the few
/// events of a request.
pub(crate) fn tell(channel: impl AsFd, event: &InitEvent) {
    if let Ok(bytes) = socket::encode(event) {
        let _ = rustix::net::send(channel, &bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    }
}

/// Descriptors that came with a [`Spawn`], but for the channel.
pub(crate) struct Streams {
    /// Write ends of standard output and error.
    write: Option<[OwnedFd; 2]>,
    /// Their read ends.
    read: Vec<OwnedFd>,
    worker: Option<OwnedFd>,
}

impl Streams {
    /// Sorts out what came; `None` when it is not what the request announces.
    pub(crate) fn new(spawn: &Spawn, fds: Vec<OwnedFd>) -> Option<Self> {
        let mut fds = fds.into_iter();
        let mut streams = Self { write: None, read: Vec::new(), worker: None };
        if spawn.capture {
            streams.write = Some([fds.next()?, fds.next()?]);
            streams.read = vec![fds.next()?, fds.next()?];
        }
        if spawn.worker {
            streams.worker = Some(fds.next()?);
        }
        fds.next().is_none().then_some(streams)
    }

    pub(crate) fn raw_fds(&self) -> Vec<RawFd> {
        self.write.iter().flatten().chain(&self.read).chain(&self.worker).map(AsRawFd::as_raw_fd).collect()
    }

    /// Closes the worker socket, which the program has now, and gives the write ends and the read ends.
    pub(crate) fn into_pipes(self) -> (Option<[OwnedFd; 2]>, Vec<OwnedFd>) {
        (self.write, self.read)
    }
}

/// What this process holds warm.
pub(crate) struct Interpreters {
    javascript: fn(OwnedFd) -> !,
    inherit: fn(bool) -> bool,
    python: Option<WarmPython>,
}

impl Interpreters {
    /// From now on forks are without the JavaScript engine, but for its workers.
    pub(crate) fn new(options: &InitOptions) -> Self {
        (options.inherit_engine)(false);
        Self {
            javascript: options.embedded_javascript,
            inherit: options.inherit_engine,
            python: options.python,
        }
    }

    fn fork_engine(&self) -> std::io::Result<Fork> {
        let forked = match (self.inherit)(true) {
            true => sys::fork(),
            false => Err(std::io::Error::from_raw_os_error(libc::ENOMEM)),
        };
        if !matches!(forked, Ok(Fork::Child)) {
            (self.inherit)(false);
        }
        forked
    }
}

/// What [`start`] started.
pub(crate) enum Started {
    /// A shepherd with the program below it; it tells the library itself.
    Shepherd(i32),
    /// A worker that is a child of init itself; init tells the library.
    Worker(i32),
}

/// Starts an execution. The channel stays the caller's.
pub(crate) fn start(
    spawn: &Spawn,
    channel: &OwnedFd,
    streams: Streams,
    slot: &'static Slot,
    slots: Slots,
    interpreters: &Interpreters,
    confinement: Option<&'static Confinement>,
) -> std::io::Result<Started> {
    match &spawn.program {
        Program::Exec { argv } => {
            // Not in the child, where each page that is written to is copied first.
            let image = image(argv, spawn, &streams, confinement)
                .map_err(|errno| NotStarted { stage: "argument", errno });
            // For good: to free what a fork has inherited is to copy it first.
            let image = ManuallyDrop::new(image);
            below_shepherd(channel, streams, slot, confinement, |_| match &*image {
                Ok(image) => sys::start(image),
                Err(error) => Err(*error),
            })
        }
        Program::WarmPython => {
            let python =
                interpreters.python.ok_or_else(|| std::io::Error::from_raw_os_error(libc::ENOEXEC))?;
            below_shepherd(channel, streams, slot, confinement, |streams| {
                (python.before_fork)();
                match sys::fork() {
                    Ok(Fork::Parent(pid)) => Ok(pid),
                    Ok(Fork::Child) => in_child(|| {
                        become_worker(spawn, streams, slots, python.name, confinement);
                        sys::set_dumpable();
                        sys::keep_processes_for_init();
                        (python.serve)(&spawn.env)
                    }),
                    Err(error) => Err(NotStarted { stage: "fork", errno: sys::errno(&error) }),
                }
            })
        }
        // The engine starts no processes: it needs no shepherd, and one fork less is a third of the time of a first run.
        Program::EmbeddedJavaScript => match interpreters.fork_engine()? {
            Fork::Parent(pid) => Ok(Started::Worker(pid)),
            Fork::Child => in_child(|| {
                become_worker(spawn, &streams, slots, c"javascript", confinement);
                std::mem::forget(streams);
                sys::set_environment(&spawn.env);
                (interpreters.javascript)(sys::take_over(3))
            }),
        },
    }
}

/// Starts something under a shepherd.
fn below_shepherd(
    channel: &OwnedFd,
    streams: Streams,
    slot: &'static Slot,
    confinement: Option<&'static Confinement>,
    start: impl FnOnce(&Streams) -> Result<i32, NotStarted>,
) -> std::io::Result<Started> {
    slot.program.store(0, Ordering::Relaxed);
    slot.state.store(state::RUNNING, Ordering::Release);
    match sys::fork() {
        Ok(Fork::Parent(pid)) => Ok(Started::Shepherd(pid)),
        Ok(Fork::Child) => in_child(|| {
            let channel = sys::take_over(channel.as_raw_fd());
            shepherd::run(slot, channel, streams, confinement, start)
        }),
        Err(error) => {
            slot.state.store(state::FREE, Ordering::Release);
            Err(error)
        }
    }
}

/// Runs the code of a forked child; a panic ends it and never gets into the code of its parent.
pub(crate) fn in_child(run: impl FnOnce() -> std::convert::Infallible) -> ! {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    sys::exit(101)
}

/// Turns a fork into a worker: its streams and its socket in place, nothing else open, nothing of init in reach.
fn become_worker(
    spawn: &Spawn,
    streams: &Streams,
    slots: Slots,
    name: &CStr,
    confinement: Option<&Confinement>,
) {
    let Some(worker) = &streams.worker else { sys::exit(102) };
    let placed = streams
        .write
        .iter()
        .flatten()
        .zip([1, 2])
        .chain([(worker, 3)])
        .try_for_each(|(fd, target)| sys::install(fd.as_fd(), target));
    if placed.is_err() {
        sys::exit(103);
    }
    if let Some(confinement) = confinement {
        sys::end_with_parent();
        if confinement.enter().is_err() {
            sys::exit(106);
        }
    }
    if sys::close_others(&mut [3]).is_err() {
        sys::exit(105);
    }
    slots.give_up();
    let _ = rustix::process::setsid();
    if rustix::process::chdir(&*confinement::find(confinement, &spawn.cwd)).is_err() {
        sys::exit(104);
    }
    sys::set_name(name);
    sys::block_signals(false);
}

/// The program as the kernel wants it.
fn image(
    argv: &[String],
    spawn: &Spawn,
    streams: &Streams,
    confinement: Option<&'static Confinement>,
) -> Result<Image, i32> {
    let strings = |strings: &[String]| {
        strings.iter().map(|string| sys::c_string(string.as_bytes())).collect::<Result<Vec<_>, _>>()
    };
    let program = argv.first().ok_or(libc::EINVAL)?;
    let path = spawn.env.iter().find_map(|variable| variable.strip_prefix("PATH="));
    let [stdout, stderr] = match &streams.write {
        Some([stdout, stderr]) => [Some(stdout.as_raw_fd()), Some(stderr.as_raw_fd())],
        None => [None, None],
    };
    let mut paths = candidates(program, path.unwrap_or(DEFAULT_PATH))?;
    if let (Some(confinement), true) = (confinement, program.starts_with('/')) {
        // In the sandbox's own place first, then where it is called to be: an interpreter of the host may be in /usr/local.
        paths.insert(0, sys::c_string(&*confinement.find(program))?);
    }
    Ok(Image {
        paths,
        argv: strings(argv)?,
        env: strings(&spawn.env)?,
        cwd: sys::c_string(&*confinement::find(confinement, &spawn.cwd))?,
        stdout,
        stderr,
        worker: streams.worker.as_ref().map(AsRawFd::as_raw_fd),
        confinement,
    })
}

/// Where to look for a program, in order.
fn candidates(program: &str, path: &str) -> Result<Vec<CString>, i32> {
    if program.is_empty() || program.contains('/') {
        return Ok(vec![sys::c_string(program)?]);
    }
    path.split(':')
        .map(|directory| match directory {
            // The current directory.
            "" => sys::c_string(program),
            _ => sys::c_string(format!("{directory}/{program}")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(program: &str, path: &str) -> Vec<String> {
        candidates(program, path).unwrap().into_iter().map(|path| path.into_string().unwrap()).collect()
    }

    #[test]
    fn a_name_is_looked_for_along_the_path() {
        assert_eq!(names("sh", "/usr/bin:/bin"), ["/usr/bin/sh", "/bin/sh"]);
        assert_eq!(names("sh", ":/bin"), ["sh", "/bin/sh"]);
    }

    #[test]
    fn a_path_is_not_looked_for() {
        assert_eq!(names("/bin/sh", "/usr/bin"), ["/bin/sh"]);
        assert_eq!(names("./run", "/usr/bin"), ["./run"]);
        assert_eq!(names("", "/usr/bin"), [""]);
    }

    #[test]
    fn a_nul_is_refused() {
        assert_eq!(candidates("a\0b", "/bin"), Err(libc::EINVAL));
        assert_eq!(candidates("/bin/a\0b", "/bin"), Err(libc::EINVAL));
    }

    fn pipe_ends(count: usize) -> Vec<OwnedFd> {
        (0..count).map(|_| rustix::pipe::pipe().unwrap().0).collect()
    }

    #[test]
    fn descriptors_must_be_exactly_those_announced() {
        let spawn = |capture, worker| Spawn {
            program: Program::EmbeddedJavaScript,
            env: Vec::new(),
            cwd: "/".to_owned(),
            timeout_ms: None,
            capture,
            worker,
        };
        for (capture, worker, count) in
            [(false, false, 0), (true, false, 4), (false, true, 1), (true, true, 5)]
        {
            assert!(Streams::new(&spawn(capture, worker), pipe_ends(count)).is_some());
            assert!(Streams::new(&spawn(capture, worker), pipe_ends(count + 1)).is_none());
            if count > 0 {
                assert!(Streams::new(&spawn(capture, worker), pipe_ends(count - 1)).is_none());
            }
        }
    }
}
