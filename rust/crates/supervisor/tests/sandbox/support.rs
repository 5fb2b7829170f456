//! Drives the built supervisor over its protocol, as the library does.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use e2bridge_protocol::init::{Exit, InitEvent, InitRequest, Program, Spawn, Statistics};
use e2bridge_protocol::supervisor::{
    Checked, Create, Created, Failure, FailureKind, Limits, Start, Started, SupervisorReply,
    SupervisorRequest, Template,
};
use e2bridge_protocol::{PROTOCOL_VERSION, socket};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::injector::{self, Injector};

/// Longest wait for an answer, seconds.
const PATIENCE: u64 = 30;
/// Longest time for a program, seconds.
const PROGRAM_PATIENCE: u64 = 20;

/// Time to wait, on a machine that is as many times slower than usual as `E2B_TEST_SLOWNESS` says.
fn patience(seconds: u64) -> Duration {
    let slowness = std::env::var("E2B_TEST_SLOWNESS").map_or(1, |text| text.parse().unwrap());
    Duration::from_secs(seconds * slowness)
}

/// Small limits that everything in these tests fits into.
pub(crate) const LIMITS: Limits = Limits {
    memory_bytes: 128 * 1024 * 1024,
    cpu_count: 1,
    disk_bytes: 16 * 1024 * 1024,
    disk_inodes: 2000,
    processes: 64,
};

/// A reason not to run a test here: printed, or an error where every test is required.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("E2B_TESTS_REQUIRED").is_none(), "cannot run here: {reason}");
    eprintln!("skipped: {reason}");
}

/// Whether host ids and cgroups of our own can be expected.
pub(crate) fn privileged() -> bool {
    rustix::process::geteuid().is_root()
}

/// The subordinate ids that this user has been granted for these tests.
pub(crate) fn subordinate_ids() -> Option<std::ops::Range<u32>> {
    let first: u32 = std::env::var("E2B_TEST_SUBORDINATE_IDS").ok()?.parse().unwrap();
    Some(first..first + 65_536)
}

/// Whether each sandbox has an id of its own.
pub(crate) fn dedicated_ids() -> bool {
    privileged() || subordinate_ids().is_some()
}

/// The supervisor under test.
pub(crate) fn supervisor() -> PathBuf {
    std::env::var_os("E2B_TEST_SUPERVISOR")
        .map_or_else(|| env!("CARGO_BIN_EXE_e2bridge-supervisor").into(), PathBuf::from)
}

/// An id that owns nothing.
pub(crate) const ORDINARY: u32 = 65_534;

/// A copy of the supervisor that everybody can execute, and the open directory that it is in: where it was built need not be.
pub(crate) fn open_copy() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("supervisor");
    fs::copy(supervisor(), &copy).unwrap();
    for path in [directory.path(), &copy] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    (directory, copy)
}

/// A supervisor, with its library's part played here.
pub(crate) struct Engine {
    pub(crate) library: Option<OwnedFd>,
    pub(crate) child: Child,
    pub(crate) client: String,
    pub(crate) started: Started,
    next: AtomicU32,
    _directory: Option<tempfile::TempDir>,
    pub(crate) runtime: PathBuf,
}

/// What of [`Start`] tests vary.
pub(crate) struct Options {
    pub(crate) runtime: Option<PathBuf>,
    pub(crate) python: Vec<String>,
    pub(crate) node: Vec<String>,
    /// Command that starts the supervisor, which is its last argument then.
    pub(crate) wrapper: Vec<String>,
    /// Hears and answers its system calls, and those of all that it starts.
    pub(crate) injector: Option<Injector>,
    /// A seccomp filter above the supervisor, as a container has.
    pub(crate) filter: Option<seccompiler::BpfProgram>,
    /// Isolation REQUIRED; else the strongest tier that works.
    pub(crate) required: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            runtime: None,
            python: vec!["/usr/bin/python3".to_owned()],
            node: vec!["/usr/bin/node".to_owned()],
            wrapper: Vec::new(),
            injector: None,
            filter: None,
            required: true,
        }
    }
}

fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("t{}x{}x{time}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Held while a supervisor is being started: no copy of this process exists without it but those of other programs' starts.
pub(crate) fn starting() -> std::sync::MutexGuard<'static, ()> {
    static STARTING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Starts the supervisor without saying anything to it.
pub(crate) fn launch(
    wrapper: &[String],
    injector: Option<&Injector>,
    filter: Option<seccompiler::BpfProgram>,
) -> (OwnedFd, Child) {
    let (near, far) = socket::seqpacket_pair().unwrap();
    let mut command = match wrapper.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(supervisor());
            command
        }
        None => Command::new(supervisor()),
    };
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let raw = far.as_raw_fd();
    let listened = injector.is_some();
    // SAFETY: only system calls between fork and exec; the descriptor stays open until `far` is dropped below.
    unsafe {
        command.pre_exec(move || {
            if let Some(filter) = &filter {
                seccompiler::apply_filter(filter).map_err(|_| io::Error::other("no filter"))?;
            }
            if raw == 3 {
                let same = BorrowedFd::borrow_raw(3);
                rustix::io::fcntl_setfd(same, rustix::io::FdFlags::empty())?;
            } else if libc::dup2(raw, 3) != 3 {
                return Err(io::Error::last_os_error());
            }
            if listened { injector::hand_over() } else { Ok(()) }
        });
    }
    let child = {
        let _starting = starting();
        command.spawn().unwrap()
    };
    if let Some(injector) = injector {
        injector.listen(child.id());
    }
    (near, child)
}

/// Sends a request and waits for its reply.
pub(crate) fn ask(
    library: &OwnedFd,
    request: &SupervisorRequest,
    fd: Option<&OwnedFd>,
) -> Option<SupervisorReply> {
    wait(ask_later(library, request, fd))
}

/// Sends a request; the reply comes out of what is returned.
pub(crate) fn ask_later(library: &OwnedFd, request: &SupervisorRequest, fd: Option<&OwnedFd>) -> OwnedFd {
    let (near, far) = socket::seqpacket_pair().unwrap();
    let fds: Vec<_> = [Some(&far), fd].into_iter().flatten().map(|fd| fd.as_fd()).collect();
    // A supervisor that has ended does not reply, and is seen not to.
    if let Err(error) = socket::send(library, request, &fds) {
        assert!(ended(&error), "{error}");
    }
    near
}

pub(crate) fn wait(reply: OwnedFd) -> Option<SupervisorReply> {
    assert!(readable(&reply, patience(PATIENCE)), "no reply");
    match socket::recv(&reply) {
        // It ended before it took the request.
        Err(error) if ended(&error) => None,
        other => other.unwrap().map(|(reply, _)| reply),
    }
}

pub(crate) fn readable(fd: &OwnedFd, patience: Duration) -> bool {
    let timeout =
        Timespec { tv_sec: patience.as_secs().cast_signed(), tv_nsec: i64::from(patience.subsec_nanos()) };
    rustix::event::poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout)).unwrap() == 1
}

impl Engine {
    pub(crate) fn start() -> Self {
        Self::with(Options::default()).unwrap()
    }

    pub(crate) fn with(options: Options) -> Result<Self, Failure> {
        let (library, mut child) = launch(&options.wrapper, options.injector.as_ref(), options.filter);
        let directory = options.runtime.is_none().then(|| tempfile::tempdir().unwrap());
        let runtime = options.runtime.unwrap_or_else(|| directory.as_ref().unwrap().path().to_owned());
        let client = unique();
        let start = Start {
            protocol_version: PROTOCOL_VERSION,
            client: client.clone(),
            runtime_directory: runtime.to_str().unwrap().to_owned(),
            required: options.required,
            python_candidates: options.python,
            node_candidates: options.node,
        };
        let (near, far) = socket::seqpacket_pair().unwrap();
        let sent = socket::send(&library, &SupervisorRequest::Start(start), &[far.as_fd()]);
        drop(far);
        let reply = if sent.is_ok() { wait(near) } else { None };
        let started = match reply {
            Some(SupervisorReply::Started(started)) => started,
            other => {
                drop(library);
                child.wait().unwrap();
                return Err(match other {
                    Some(SupervisorReply::Failed(failure)) => failure,
                    None => no_reply(),
                    other => panic!("{other:?}"),
                });
            }
        };
        assert!(!options.wrapper.is_empty() || started.pid == child.id());
        let library = Some(library);
        Ok(Self { library, child, client, started, next: AtomicU32::new(1), _directory: directory, runtime })
    }

    pub(crate) fn library(&self) -> &OwnedFd {
        self.library.as_ref().unwrap()
    }

    /// Sends a create; what it becomes is known by [`Pending::wait`].
    pub(crate) fn create_later(&self, template: Template, limits: Limits) -> Pending {
        let number = u64::from(self.next.fetch_add(1, Ordering::Relaxed));
        let (control, far) = socket::seqpacket_pair().unwrap();
        let create = Create { sandbox: number, template, limits, host_name: format!("sb-{number}") };
        let reply = ask_later(self.library(), &SupervisorRequest::Create(create), Some(&far));
        Pending { number, control, reply }
    }

    pub(crate) fn try_create(&self, template: Template, limits: Limits) -> Result<Sandbox, Failure> {
        self.create_later(template, limits).wait()
    }

    pub(crate) fn create(&self, template: Template) -> Sandbox {
        self.try_create(template, LIMITS).unwrap()
    }

    pub(crate) fn kill(&self, number: u64) -> SupervisorReply {
        ask(self.library(), &SupervisorRequest::Kill { sandbox: number }, None).unwrap()
    }

    pub(crate) fn check(&self) -> Checked {
        match ask(self.library(), &SupervisorRequest::Check, None).unwrap() {
            SupervisorReply::Checked(checked) => *checked,
            other => panic!("{other:?}"),
        }
    }

    /// Directories of this client's cgroups that exist, anywhere.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        cgroups_of(&self.client)
    }

    /// Entries of the runtime directory.
    pub(crate) fn records(&self) -> Vec<String> {
        names(&self.runtime)
    }

    /// Closes the socket and waits for the supervisor's end.
    pub(crate) fn close(&mut self) -> Option<i32> {
        self.library = None;
        self.wait_for_end()
    }

    pub(crate) fn wait_for_end(&mut self) -> Option<i32> {
        let deadline = Instant::now() + patience(PATIENCE);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut said = String::new();
                self.child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
                self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                assert_eq!(said, "", "the supervisor wrote to its streams");
                return status.code();
            }
            assert!(Instant::now() < deadline, "the supervisor does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.library = None;
        let _ = self.child.wait();
    }
}

pub(crate) fn names(directory: &std::path::Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub(crate) fn cgroups_of(client: &str) -> Vec<PathBuf> {
    fn search(directory: &std::path::Path, wanted: &str, depth: u32, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name().to_string_lossy() == wanted {
                found.push(entry.path());
            } else if depth > 0 {
                search(&entry.path(), wanted, depth - 1, found);
            }
        }
    }
    let mut found = Vec::new();
    search(std::path::Path::new("/sys/fs/cgroup"), &format!("e2bridge-{client}"), 8, &mut found);
    found
}

/// What the library makes of a reply socket that closes.
fn no_reply() -> Failure {
    Failure {
        kind: FailureKind::Unavailable,
        stage: "supervisor".to_owned(),
        errno: None,
        message: "closed the reply socket without a reply".to_owned(),
        remedy: None,
    }
}

/// A create under way.
pub(crate) struct Pending {
    pub(crate) number: u64,
    control: OwnedFd,
    reply: OwnedFd,
}

impl Pending {
    pub(crate) fn wait(self) -> Result<Sandbox, Failure> {
        let Self { number, control, reply } = self;
        match wait(reply) {
            Some(SupervisorReply::Created(created)) => Ok(Sandbox { number, control, created: *created }),
            Some(SupervisorReply::Failed(failure)) => Err(failure),
            Some(other) => panic!("{other:?}"),
            None => Err(no_reply()),
        }
    }
}

/// A sandbox; its control socket closes with it.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) number: u64,
    pub(crate) control: OwnedFd,
    pub(crate) created: Created,
}

/// Why a request to init has no result.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// It says so.
    Failed { stage: String, errno: i32 },
    /// It has ended.
    Ended,
}

/// The next event that is no failure.
pub(crate) fn next_event(channel: &OwnedFd) -> Result<InitEvent, NoAnswer> {
    assert!(readable(channel, patience(PATIENCE)), "init does not answer");
    match socket::recv(channel) {
        Ok(Some((InitEvent::Failed { stage, errno }, _))) => Err(NoAnswer::Failed { stage, errno }),
        Ok(Some((event, _))) => Ok(event),
        Ok(None) => Err(NoAnswer::Ended),
        Err(error) if ended(&error) => Err(NoAnswer::Ended),
        Err(error) => panic!("{error}"),
    }
}

/// Whether whoever is at the other end has ended, perhaps with something unread.
fn ended(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// What a program left.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    /// Runs a line of shell.
    pub(crate) fn shell(&self, line: &str) -> Output {
        self.run(&["/bin/sh", "-c", line])
    }

    /// Runs Python code of the host's interpreter and returns what it printed; it must succeed.
    pub(crate) fn python(&self, code: &str) -> String {
        let output = self.run(&["/usr/bin/python3", "-I", "-S", "-c", code]);
        assert_eq!(output.exit.exit_code, Some(0), "{output:?}");
        output.stdout.trim_end().to_owned()
    }

    /// What a line of shell prints; it must succeed.
    pub(crate) fn print(&self, line: &str) -> String {
        let output = self.shell(line);
        assert_eq!(output.exit.exit_code, Some(0), "{line}: {output:?}");
        output.stdout.trim_end().to_owned()
    }

    /// Writes a file inside.
    pub(crate) fn put_file(&self, path: &str, bytes: &[u8]) {
        self.try_put_file(path, bytes).unwrap();
    }

    pub(crate) fn try_put_file(&self, path: &str, bytes: &[u8]) -> Result<(), NoAnswer> {
        let (data, near) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let request = InitRequest::WriteFile { path: path.to_owned(), bytes: bytes.len() as u64 };
        let channel = self.request(&request, &[data.as_fd()])?;
        drop(data);
        // Whoever was to read it may have failed.
        let _ = fs::File::from(near).write_all(bytes);
        match next_event(&channel)? {
            InitEvent::Done { .. } => Ok(()),
            other => panic!("{path}: {other:?}"),
        }
    }

    /// Sends a request; events come out of what is returned.
    pub(crate) fn request(&self, request: &InitRequest, fds: &[BorrowedFd<'_>]) -> Result<OwnedFd, NoAnswer> {
        let (channel, far) = socket::seqpacket_pair().unwrap();
        let fds: Vec<_> = [far.as_fd()].iter().chain(fds).copied().collect();
        match socket::send(&self.control, request, &fds) {
            Ok(()) => Ok(channel),
            Err(error) if ended(&error) => Err(NoAnswer::Ended),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn run(&self, argv: &[&str]) -> Output {
        self.try_run(argv).unwrap_or_else(|error| panic!("{argv:?}: {error:?}"))
    }

    pub(crate) fn try_run(&self, argv: &[&str]) -> Result<Output, NoAnswer> {
        let (out_read, out_write) = pipe();
        let (err_read, err_write) = pipe();
        let spawn = InitRequest::Spawn(Spawn {
            program: Program::Exec { argv: argv.iter().map(|&text| text.to_owned()).collect() },
            env: vec!["PATH=/usr/bin:/bin".to_owned(), "HOME=/home/user".to_owned()],
            cwd: "/home/user".to_owned(),
            timeout_ms: Some(u64::try_from(patience(PROGRAM_PATIENCE).as_millis()).unwrap()),
            capture: true,
            worker: false,
        });
        let channel =
            self.request(&spawn, &[&out_write, &err_write, &out_read, &err_read].map(|fd| fd.as_fd()))?;
        drop((out_write, err_write));
        let (stdout, stderr) = (reader(out_read), reader(err_read));
        let exit = loop {
            match next_event(&channel)? {
                InitEvent::Started { .. } => {}
                InitEvent::Exited(exit) => break exit,
                other => panic!("{argv:?}: {other:?}"),
            }
        };
        Ok(Output { exit, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() })
    }

    /// Starts a program and leaves it running; it ends when the channel closes.
    pub(crate) fn start(&self, argv: &[&str]) -> OwnedFd {
        let (channel, far) = socket::seqpacket_pair().unwrap();
        let spawn = InitRequest::Spawn(Spawn {
            program: Program::Exec { argv: argv.iter().map(|&text| text.to_owned()).collect() },
            env: vec!["PATH=/usr/bin:/bin".to_owned()],
            cwd: "/".to_owned(),
            timeout_ms: None,
            capture: false,
            worker: false,
        });
        socket::send(&self.control, &spawn, &[far.as_fd()]).unwrap();
        drop(far);
        assert!(readable(&channel, patience(PATIENCE)));
        let event = socket::recv::<InitEvent>(&channel).unwrap().expect("init ended").0;
        assert!(matches!(event, InitEvent::Started { .. }), "{event:?}");
        channel
    }

    pub(crate) fn statistics(&self) -> Option<Statistics> {
        let (channel, far) = socket::seqpacket_pair().unwrap();
        socket::send(&self.control, &InitRequest::Statistics, &[far.as_fd()]).ok()?;
        drop(far);
        assert!(readable(&channel, patience(PATIENCE)));
        match socket::recv(&channel).unwrap()?.0 {
            InitEvent::Statistics(statistics) => Some(statistics),
            other => panic!("{other:?}"),
        }
    }

    /// Whether its init process exists on the host.
    pub(crate) fn alive(&self) -> bool {
        process_exists(self.created.init_pid)
    }
}

/// Fields of `stat`, numbered as in proc(5) less one.
pub(crate) fn stat(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (left, right) = text.rsplit_once(") ").unwrap();
    let (id, name) = left.split_once(" (").unwrap();
    [id, name].into_iter().chain(right.split_whitespace()).map(str::to_owned).collect()
}

pub(crate) fn parent(pid: u32) -> u32 {
    stat(pid)[3].parse().unwrap()
}

pub(crate) fn process_exists(pid: u32) -> bool {
    // A zombie that nobody has waited for yet is no more.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

pub(crate) fn pipe() -> (OwnedFd, OwnedFd) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    // A program inside may open it again, as /dev/stdout; the sandbox's id is not its owner's.
    rustix::fs::fchmod(&write, rustix::fs::Mode::from_bits_truncate(0o666)).unwrap();
    (read, write)
}

fn reader(fd: OwnedFd) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        fs::File::from(fd).read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Processes that a process is an ancestor of.
pub(crate) fn descendants(supervisor: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let mut fields = stat.rsplit(") ").next().unwrap().split(' ');
        if fields.next() == Some("Z") {
            continue;
        }
        parents.push((pid, fields.next().unwrap().parse::<u32>().unwrap()));
    }
    let mut found = vec![supervisor];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.remove(0);
    found
}
