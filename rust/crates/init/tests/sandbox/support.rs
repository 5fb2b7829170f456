//! A sandbox for the tests: `run` as process 1 of namespaces of its own, driven as the library does.
//!
//! Every test starts this very test program again (`inside`), which makes the namespaces, a root with the host's `/usr`, and becomes
//! the init. What the host cannot do is a printed skip, or a failure with `E2B_TESTS_REQUIRED=1`.

use std::ffi::CString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, ptr};

use e2bridge_init::{Badness, InitOptions, WarmPython, run};
use e2bridge_protocol::init::{Exit, InitCommand, InitEvent, InitRequest, Program, Spawn, Statistics};
use e2bridge_protocol::socket;
use rustix::event::{PollFd, PollFlags, Timespec};

const ROOT_VARIABLE: &str = "E2B_INIT_TEST_ROOT";
/// Exit status of a helper that the host refuses something.
const REFUSED: i32 = 77;
/// Bytes of the sandbox's disk.
pub(crate) const DISK: u64 = 64 << 20;
/// Where this test program is found inside.
pub(crate) const PROGRAM: &str = "/srv/program";
/// `oom_score_adj` of what init starts.
pub(crate) const PROGRAM_BADNESS: i16 = 1000;
/// No test waits longer for an event.
const PATIENCE: Duration = Duration::from_secs(30);

/// A live sandbox; the test returns when the host makes none.
macro_rules! sandbox {
    () => {
        match $crate::support::Sandbox::start() {
            Some(sandbox) => sandbox,
            None => return,
        }
    };
}
pub(crate) use sandbox;

/// A live sandbox; ends when dropped.
pub(crate) struct Sandbox {
    control: Option<OwnedFd>,
    helper: Child,
    _root: tempfile::TempDir,
}

impl Sandbox {
    /// Starts one; `None` when the host cannot, which has been said then.
    pub(crate) fn start() -> Option<Self> {
        let root = tempfile::Builder::new()
            .prefix("e2bridge-init-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        let (control, far) = socket::seqpacket_pair().unwrap();
        let mut helper = Command::new(env::current_exe().unwrap())
            .args(["--exact", "inside", "--ignored", "--nocapture", "--test-threads=1"])
            .env(ROOT_VARIABLE, root.path())
            .stdin(Stdio::from(far))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (channel, far) = socket::seqpacket_pair().unwrap();
        socket::send(&control, &InitRequest::Statistics, &[far.as_fd()]).unwrap();
        drop(far);
        if let Some(InitEvent::Statistics(_)) = next_event(&channel) {
            return Some(Self { control: Some(control), helper, _root: root });
        }
        drop(control);
        let status = helper.wait().unwrap();
        assert_eq!(status.code(), Some(REFUSED), "the sandbox did not start");
        assert!(
            env::var_os("E2B_TESTS_REQUIRED").is_none_or(|it| it != "1"),
            "this host makes no user namespaces"
        );
        println!("skipped: this host makes no user namespaces (see above)");
        None
    }

    /// Sends a request and gives its channel.
    pub(crate) fn request(&self, request: &InitRequest, fds: &[BorrowedFd<'_>]) -> OwnedFd {
        let (channel, far) = socket::seqpacket_pair().unwrap();
        let mut all = vec![far.as_fd()];
        all.extend(fds);
        let control = self.control.as_ref().unwrap();
        let bytes = socket::encode(request).unwrap();
        if bytes.len() <= socket::MAX_DATAGRAM {
            socket::send_bytes(control, &bytes, &all).unwrap();
        } else {
            let long = InitRequest::Long { bytes: bytes.len() as u64 };
            socket::send(control, &long, &all).unwrap();
            for chunk in bytes.chunks(socket::MAX_DATAGRAM) {
                socket::send_bytes(&channel, chunk, &[]).unwrap();
            }
        }
        channel
    }

    /// Starts a program.
    pub(crate) fn spawn(&self, spawn: Spawn) -> Execution {
        let (stdout, stdout_far) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let (stderr, stderr_far) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let (worker, worker_far) = socket::stream_pair().unwrap();
        let mut fds = Vec::new();
        if spawn.capture {
            fds.extend([stdout_far.as_fd(), stderr_far.as_fd(), stdout.as_fd(), stderr.as_fd()]);
        }
        if spawn.worker {
            fds.push(worker_far.as_fd());
        }
        let channel = self.request(&InitRequest::Spawn(spawn), &fds);
        for end in [&stdout, &stderr] {
            let flags = rustix::fs::fcntl_getfl(end).unwrap();
            rustix::fs::fcntl_setfl(end, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
        }
        Execution { channel, stdout, stderr, worker }
    }

    /// Runs a program to its end.
    pub(crate) fn run(&self, spawn: Spawn) -> Outcome {
        self.spawn(spawn).wait()
    }

    /// Runs a shell script to its end.
    pub(crate) fn shell(&self, script: &str) -> Outcome {
        self.run(shell(script))
    }

    /// Standard output of a shell script that must succeed.
    pub(crate) fn output(&self, script: &str) -> String {
        let outcome = self.shell(script);
        let stderr = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert_eq!(outcome.exit().exit_code, Some(0), "{script}: {stderr}");
        String::from_utf8(outcome.stdout).unwrap()
    }

    /// The figures.
    pub(crate) fn statistics(&self) -> Statistics {
        match next_event(&self.request(&InitRequest::Statistics, &[])) {
            Some(InitEvent::Statistics(statistics)) => statistics,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until only init is alive.
    pub(crate) fn wait_until_idle(&self) {
        self.wait_for_processes(1);
    }

    /// Waits until so many processes are alive: a shepherd exits a little later than it tells the end of its program.
    pub(crate) fn wait_for_processes(&self, count: u32) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.statistics().processes != count {
            assert!(Instant::now() < until, "not {count} processes: {:?}", self.statistics());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// `oom_score_adj` of init, looked at from outside: what looks from inside has been started by it.
    pub(crate) fn badness(&self) -> i16 {
        // Between them is the one that made the namespaces.
        let init = child(child(self.helper.id()));
        badness(&init.to_string())
    }

    /// Closes the control socket and waits until nothing is left; false when that takes too long.
    pub(crate) fn end(mut self) -> bool {
        self.close()
    }

    fn close(&mut self) -> bool {
        self.control = None;
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if matches!(self.helper.try_wait(), Ok(Some(_))) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.helper.kill();
        let _ = self.helper.wait();
        false
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.control.is_some() {
            self.close();
        }
    }
}

fn badness(process: &str) -> i16 {
    fs::read_to_string(format!("/proc/{process}/oom_score_adj")).unwrap().trim().parse().unwrap()
}

/// `oom_score_adj` of init: no less than these tests have been given.
pub(crate) fn init_badness() -> i16 {
    badness("self").max(500)
}

/// The only child of a process.
fn child(parent: u32) -> u32 {
    let parent_of = |process: &str| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    let processes =
        fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    processes.filter(|it| parent_of(it) == Some(parent)).find_map(|it| it.parse().ok()).unwrap()
}

/// A program that was started.
pub(crate) struct Execution {
    pub(crate) channel: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) worker: OwnedFd,
}

/// How it went.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) started: Option<u32>,
    pub(crate) exit: Option<Exit>,
    pub(crate) failed: Option<(String, i32)>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Outcome {
    pub(crate) fn exit(&self) -> Exit {
        self.exit.unwrap_or_else(|| panic!("{:?}", self.failed))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

impl Execution {
    /// Ends it.
    pub(crate) fn kill(&self) {
        socket::send(&self.channel, &InitCommand::Kill, &[]).unwrap();
    }

    /// Waits for the end as the library does: never for the end of the streams.
    pub(crate) fn wait(self) -> Outcome {
        self.wait_and_keep().0
    }

    /// As `wait`, and keeps the channel open.
    pub(crate) fn wait_and_keep(self) -> (Outcome, Self) {
        let mut outcome = Outcome::default();
        let until = Instant::now() + PATIENCE;
        loop {
            let mut polled = [
                PollFd::new(&self.channel, PollFlags::IN),
                PollFd::new(&self.stdout, PollFlags::IN),
                PollFd::new(&self.stderr, PollFlags::IN),
            ];
            let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).unwrap();
            // A stream without writers is ready for ever: only the channel is waited for then.
            rustix::event::poll(&mut polled, Some(&left)).unwrap();
            assert!(Instant::now() < until, "no end of the execution: {outcome:?}");
            let ready = !polled[0].revents().is_empty();
            read_available(&self.stdout, &mut outcome.stdout);
            read_available(&self.stderr, &mut outcome.stderr);
            if !ready {
                continue;
            }
            match next_event(&self.channel) {
                Some(InitEvent::Started { pid }) => outcome.started = Some(pid),
                Some(InitEvent::Exited(exit)) => outcome.exit = Some(exit),
                Some(InitEvent::Failed { stage, errno }) => outcome.failed = Some((stage, errno)),
                other => panic!("{other:?} {outcome:?}"),
            }
            if outcome.exit.is_some() || outcome.failed.is_some() {
                read_available(&self.stdout, &mut outcome.stdout);
                read_available(&self.stderr, &mut outcome.stderr);
                return (outcome, self);
            }
        }
    }
}

fn read_available(end: &OwnedFd, into: &mut Vec<u8>) {
    let mut buffer = [0; 8192];
    while let Ok(length @ 1..) = rustix::io::read(end, &mut buffer[..]) {
        into.extend_from_slice(&buffer[..length]);
    }
}

/// The next event; `None` when the other end is closed.
pub(crate) fn next_event(channel: &OwnedFd) -> Option<InitEvent> {
    let mut polled = [PollFd::new(channel, PollFlags::IN)];
    let ready = rustix::event::poll(&mut polled, Some(&Timespec::try_from(PATIENCE).unwrap())).unwrap();
    assert_eq!(ready, 1, "no event");
    let mut bytes = [0; 1024];
    match socket::recv_bytes(channel, &mut bytes).unwrap() {
        (0, _) => None,
        (length, fds) => {
            assert!(fds.is_empty(), "a descriptor comes out of the sandbox");
            Some(socket::decode(&bytes[..length]).unwrap())
        }
    }
}

/// A program with the usual environment.
pub(crate) fn program(argv: &[&str]) -> Spawn {
    Spawn {
        program: Program::Exec { argv: argv.iter().map(|&it| it.to_owned()).collect() },
        env: [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/home/user",
            "LANG=C.UTF-8",
        ]
        .map(str::to_owned)
        .to_vec(),
        cwd: "/home/user".to_owned(),
        timeout_ms: None,
        capture: true,
        worker: false,
    }
}

/// A shell script.
pub(crate) fn shell(script: &str) -> Spawn {
    program(&["/bin/sh", "-c", script])
}

/// A program of this test program itself: one of [`act`].
pub(crate) fn own_program(name: &str) -> Spawn {
    let mut spawn = program(&[PROGRAM, "--exact", "program", "--ignored", "--nocapture", "--test-threads=1"]);
    spawn.env.push(format!("E2B_INIT_TEST_PROGRAM={name}"));
    spawn
}

/// The same with a time-out.
pub(crate) fn within(milliseconds: u64, spawn: Spawn) -> Spawn {
    Spawn { timeout_ms: Some(milliseconds), ..spawn }
}

// ---- The inside

/// Becomes the sandbox; called in a program that the tests start.
pub(crate) fn inside() {
    let Some(root) = env::var_os(ROOT_VARIABLE) else { return };
    let mut status = 0;
    // SAFETY: the only other thread of this program sleeps; the child is single-threaded, and the parent only waits for it.
    unsafe {
        match libc::fork() {
            -1 => panic!("{}", io::Error::last_os_error()),
            0 => {
                let error = enter(Path::new(&root)).unwrap_err();
                eprintln!("{error}");
                libc::_exit(REFUSED)
            }
            child => {
                // The control socket must have no owner here.
                libc::close(0);
                libc::waitpid(child, &raw mut status, 0);
                libc::_exit(libc::WEXITSTATUS(status))
            }
        }
    }
}

fn step<T>(name: &str, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))
}

fn check(name: &str, result: libc::c_int) -> io::Result<()> {
    step(name, if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) })
}

fn mount(source: &Path, target: &Path, kind: &str, flags: libc::c_ulong, data: &str) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let source = CString::new(source.as_os_str().as_bytes())?;
    let path = CString::new(target.as_os_str().as_bytes())?;
    let kind = CString::new(kind)?;
    let data = CString::new(data)?;
    // SAFETY: all strings end with a NUL and outlive the call.
    let result =
        unsafe { libc::mount(source.as_ptr(), path.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) };
    check(&format!("mount {}", target.display()), result)
}

/// Namespaces, a root, and init. Returns only when something is refused.
fn enter(root: &Path) -> io::Result<()> {
    let own = env::current_exe()?;
    let (uid, gid) = drop_root()?;
    let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET;
    // SAFETY: no memory is involved.
    check("unshare", unsafe { libc::unshare(flags) })?;
    step("setgroups", fs::write("/proc/self/setgroups", "deny"))?;
    step("uid_map", fs::write("/proc/self/uid_map", format!("1000 {uid} 1")))?;
    step("gid_map", fs::write("/proc/self/gid_map", format!("1000 {gid} 1")))?;
    let none = Path::new("none");
    mount(none, Path::new("/"), "none", libc::MS_REC | libc::MS_PRIVATE, "")?;
    let options = format!("size={DISK},nr_inodes=60000,mode=755");
    mount(none, root, "tmpfs", libc::MS_NOSUID | libc::MS_NODEV, &options)?;
    for directory in
        ["usr", "proc", "dev/shm", "home/user", "data", "opt", "local", "srv", "var/tmp", "tmp", "mnt"]
    {
        fs::create_dir_all(root.join(directory))?;
    }
    let bind = libc::MS_BIND | libc::MS_REC;
    mount(Path::new("/usr"), &root.join("usr"), "none", bind, "")?;
    mount(&root.join("local"), &root.join("usr/local"), "none", bind, "")?;
    for directory in ["bin", "sbin", "lib", "lib64"] {
        let host = Path::new("/").join(directory);
        if host.is_symlink() {
            symlink(format!("usr/{directory}"), root.join(directory))?;
        } else if host.is_dir() {
            fs::create_dir(root.join(directory))?;
            mount(&host, &root.join(directory), "none", bind, "")?;
        }
    }
    for (source, target) in [
        (Path::new("/dev/null"), "dev/null"),
        (Path::new("/dev/zero"), "dev/zero"),
        (Path::new("/dev/full"), "dev/full"),
        (&own, "srv/program"),
    ] {
        fs::write(root.join(target), "")?;
        mount(source, &root.join(target), "none", libc::MS_BIND, "")?;
    }
    let limit = libc::rlimit { rlim_cur: 250, rlim_max: 250 };
    // SAFETY: `limit` is valid; the child of the fork is single-threaded, as this process is.
    unsafe {
        check("setrlimit", libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit))?;
        match libc::fork() {
            -1 => return Err(io::Error::last_os_error()),
            0 => {}
            child => {
                libc::close(0);
                let mut status = 0;
                libc::waitpid(child, &raw mut status, 0);
                libc::_exit(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 1 })
            }
        }
    }
    let zero = OwnedFd::from(fs::File::options().read(true).write(true).open("/dev/zero")?);
    let badness = set_badness()?;
    mount(none, &root.join("proc"), "proc", libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC, "")?;
    let path = CString::new(root.to_str().unwrap())?;
    // Version 3 of the header, this process; three empty sets twice.
    let (header, data) = ([0x2008_0522_u32, 0], [0_u32; 6]);
    // SAFETY: the path ends with a NUL; header and data are as long as version 3 has them; descriptor 0 is the control socket and
    // has no other owner.
    let control = unsafe {
        check("chroot", libc::chroot(path.as_ptr()))?;
        libc::setsid();
        libc::umask(0o022);
        check("prctl", libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        let result = libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr());
        check("capset", if result == 0 { 0 } else { -1 })?;
        OwnedFd::from_raw_fd(libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 3))
    };
    env::set_current_dir("/")?;
    let (watched_memory, confinement) = (None, None);
    run(InitOptions {
        control,
        embedded_javascript: engine,
        inherit_engine: |_| true,
        // As one that takes long, and has no interpreter.
        python: Some(WarmPython { name: c"python", before_fork: sleep, serve: |_| unreachable!() }),
        zero,
        badness: Some(badness),
        watched_memory,
        confinement,
    })
}

/// While this process owns its files in /proc.
fn set_badness() -> io::Result<Badness> {
    let path = "/proc/self/oom_score_adj";
    let init = init_badness();
    let file = step(path, fs::File::options().write(true).open(path))?;
    step(path, (&file).write_all(init.to_string().as_bytes()))?;
    Ok(Badness { file: file.into(), init, programs: PROGRAM_BADNESS })
}

fn sleep() {
    std::thread::sleep(PATIENCE);
}

/// Root becomes an ordinary user, whose ids are given.
fn drop_root() -> io::Result<(u32, u32)> {
    // SAFETY: no memory is involved but for an empty list.
    unsafe {
        if libc::geteuid() == 0 {
            check("setgroups", libc::setgroups(0, ptr::null()))?;
            check("setresgid", libc::setresgid(65534, 65534, 65534))?;
            check("setresuid", libc::setresuid(65534, 65534, 65534))?;
            check("prctl", libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0))?;
        }
        Ok((libc::geteuid(), libc::getegid()))
    }
}

/// Stands in for the JavaScript engine: answers every byte with its successor, writes it to standard output, too, and leaves at `q`.
fn engine(worker: OwnedFd) -> ! {
    let mut socket = fs::File::from(worker);
    let mut byte = [0];
    while socket.read_exact(&mut byte).is_ok() && byte != *b"q" {
        if byte == *b"f" {
            // SAFETY: single-threaded; the child only sleeps.
            unsafe {
                if libc::fork() == 0 {
                    libc::setsid();
                    libc::sleep(1000);
                    libc::_exit(0);
                }
            }
        }
        // SAFETY: one byte is valid for reading.
        unsafe { libc::write(1, byte.as_ptr().cast(), 1) };
        byte[0] += 1;
        let _ = socket.write_all(&byte);
    }
    // SAFETY: ends the process.
    unsafe { libc::_exit(7) }
}

/// What hostile programs do that a shell cannot.
pub(crate) fn act() {
    let Ok(name) = env::var("E2B_INIT_TEST_PROGRAM") else { return };
    // SAFETY: system calls of a program of its own that hold on to no memory of it.
    unsafe {
        match name.as_str() {
            // Every few microseconds another process, in a session of its own, the last one gone.
            "hop" => loop {
                if libc::fork() > 0 {
                    libc::_exit(0);
                }
                libc::setsid();
            },
            // The same from a leader that stays, several times over.
            "hops" => {
                for _ in 0..8 {
                    if libc::fork() == 0 {
                        loop {
                            if libc::fork() > 0 {
                                libc::_exit(0);
                            }
                            libc::setsid();
                        }
                    }
                }
                libc::sleep(1000);
            }
            // Everyone forks, and everyone leads a session of its own and ignores what can be ignored.
            "bomb" => loop {
                for signal in 1..=64 {
                    libc::signal(signal, libc::SIG_IGN);
                }
                if libc::fork() == 0 {
                    libc::setsid();
                }
            },
            // Holds a lease on a file, so that whoever opens it waits for this program.
            "lease" => {
                let file = fs::OpenOptions::new().read(true).write(true).open("file").unwrap();
                libc::signal(libc::SIGIO, libc::SIG_IGN);
                assert_eq!(
                    libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&file), libc::F_SETLEASE, libc::F_WRLCK),
                    0
                );
                fs::write("ready", "").unwrap();
                libc::sleep(1000);
            }
            // A zombie main thread with a live one.
            "headless" => {
                std::thread::spawn(|| {
                    libc::sleep(1000);
                });
                std::thread::sleep(Duration::from_millis(50));
                libc::syscall(libc::SYS_exit, 0);
            }
            // A child with an exit signal that ordinary waiting does not see.
            "quiet" => {
                libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0);
                libc::sleep(1000);
            }
            // A sibling: the shepherd becomes its parent.
            "sibling" => {
                if libc::syscall(libc::SYS_clone, libc::CLONE_PARENT, 0, 0, 0, 0) == 0 {
                    libc::sleep(1000);
                }
                libc::_exit(0);
            }
            other => panic!("no program {other}"),
        }
    }
}

// ---- Files

/// Events and bytes of a request that sends data.
pub(crate) fn fetch(sandbox: &Sandbox, request: &InitRequest) -> (InitEvent, Vec<u8>) {
    let (data, far) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let channel = sandbox.request(request, &[far.as_fd()]);
    drop(far);
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        fs::File::from(data).read_to_end(&mut bytes).unwrap();
        bytes
    });
    let event = next_event(&channel).unwrap();
    (event, reader.join().unwrap())
}

/// The event of a request that takes data.
pub(crate) fn deliver(sandbox: &Sandbox, request: &InitRequest, bytes: &[u8]) -> InitEvent {
    let (far, data) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let channel = sandbox.request(request, &[far.as_fd()]);
    drop(far);
    std::thread::scope(|scope| {
        // Refused before its end is an error of the write and no more.
        scope.spawn(move || io::Write::write_all(&mut fs::File::from(data), bytes));
        next_event(&channel).unwrap()
    })
}

/// Step and error of a failure.
pub(crate) fn failure(event: InitEvent) -> (String, i32) {
    match event {
        InitEvent::Failed { stage, errno } => (stage, errno),
        other => panic!("{other:?}"),
    }
}
