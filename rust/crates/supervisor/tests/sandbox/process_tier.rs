//! The tier without namespaces: what a client gets that asks for the strongest tier that works, where namespaces are refused. Each test
//! is made as root, whose sandboxes have ids of their own, and as an ordinary user, whose sandboxes have its id. What attacks is also
//! run unconfined, and must get through there.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use e2bridge_protocol::supervisor::{Limits, SupervisorReply, Template};

use crate::hosts::{ORDINARY, no_namespaces, process_tier_files, wrapper};
use crate::injector::{Effect, Injector, Site};
use crate::support::{Engine, LIMITS, Options, Sandbox, descendants, privileged, process_exists, skip};

/// Clients that take what they get, and whether their sandboxes have ids of their own.
fn engines() -> Vec<(Engine, bool)> {
    engines_in(&None).collect()
}

fn engines_in(runtime: &Option<PathBuf>) -> impl Iterator<Item = (Engine, bool)> {
    let options = || Options { required: false, runtime: runtime.clone(), ..Options::default() };
    // Without root, the filter alone makes a client of the first kind one of the second.
    let filtered = Options { filter: Some(no_namespaces()), ..options() };
    let changed = wrapper(&ORDINARY, "echo 0 >/proc/sys/user/max_user_namespaces")
        .map(|wrapper| Options { wrapper, ..options() });
    [(Some(filtered), privileged()), (changed, false)]
        .into_iter()
        .filter_map(|(options, dedicated)| Some((Engine::with(options?).unwrap(), dedicated)))
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn nothing_is_left(engine: &Engine) {
    assert!(engine.records().is_empty() && engine.cgroups().is_empty());
    assert!(process_tier_files(&engine.client).iter().all(|directory| !directory.exists()));
}

/// Whether there is an interpreter for attacks: code that prints a word for each that got through.
fn python() -> bool {
    let there = Path::new("/usr/bin/python3").exists();
    if !there {
        skip("there is no /usr/bin/python3");
    }
    there
}

/// What an attack prints unconfined.
fn unconfined(code: &str) -> String {
    let output = Command::new("/usr/bin/python3").args(["-I", "-S", "-c", code]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn programs_run_in_a_directory_of_their_own() {
    for (mut engine, dedicated) in engines() {
        let sandbox = engine.create(Template::Base);
        let posture = &sandbox.created.posture;
        assert_eq!((posture.tier.as_str(), posture.namespaces.len()), ("process", 0), "{posture:?}");
        assert!(posture.landlock_abi >= 6 && posture.seccomp && posture.dedicated_ids == dedicated);
        let root = sandbox.created.root.clone().unwrap();
        assert_eq!(sandbox.print("pwd"), format!("{root}/home/user"));
        for place in ["home/user", "data", "opt", "usr/local", "srv", "var/tmp", "tmp", "dev/shm"] {
            let line = format!("echo {place} >{root}/{place}/file && cat {root}/{place}/file");
            assert_eq!(sandbox.print(&line), place);
        }
        assert_eq!(
            sandbox.print(
                "echo '#!/bin/sh\necho ran' >x; sh ./x; ls; cat < /dev/null; head -c 4 /dev/urandom | wc -c"
            ),
            "ran\nfile\nx\n4"
        );
        let statistics = sandbox.statistics().unwrap();
        assert_eq!((statistics.processes, statistics.running), (1, 0), "{statistics:?}");
        assert!(statistics.disk_used_inodes >= 8 && statistics.disk_used_bytes > 0, "{statistics:?}");
        assert!(matches!(engine.kill(sandbox.number), SupervisorReply::Killed { .. }));
        assert!(!Path::new(&root).exists());
        engine.close();
        nothing_is_left(&engine);
    }
}

#[test]
fn files_of_the_host_cannot_be_read_or_changed() {
    if !python() {
        return;
    }
    // Of the tests' own user, which is the sandbox's where that has no id of its own.
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    let path = secret.display();
    let top = directory.path().display();
    let code = format!(
        "
import os
def attack(word, call):
    try: call()
    except OSError: return
    print(word)
def write(path):
    with open(path, 'a') as file: file.write('x')
attack('read', lambda: open('{path}').read())
attack('list', lambda: os.listdir('{top}'))
attack('write', lambda: write('{path}'))
attack('make', lambda: open('{top}/new', 'x').close())
attack('directory', lambda: os.mkdir('{top}/directory'))
attack('link', lambda: os.symlink('/etc', '{top}/link'))
attack('hard link', lambda: os.link('{path}', '{top}/hard'))
attack('rename', lambda: os.rename('{path}', '{path}'+'2'))
attack('truncate', lambda: os.truncate('{path}2', 0))
attack('mode', lambda: os.chmod('{path}2', 0o777))
attack('owner', lambda: os.chown('{path}2', os.getuid(), os.getgid()))
attack('times', lambda: os.utime('{path}2', (1, 1)))
attack('attribute', lambda: os.setxattr('{path}2', 'user.x', b'x'))
attack('delete', lambda: os.unlink('{path}2'))
attack('environment', lambda: open('/proc/{pid}/environ').read())
attack('memory', lambda: open('/proc/{pid}/mem'))
attack('descriptors', lambda: os.listdir('/proc/{pid}/fd'))
attack('processes', lambda: os.listdir('/proc'))
attack('root', lambda: os.listdir('/proc/{pid}/root/'))
attack('cgroups', lambda: os.listdir('/sys/fs/cgroup'))
attack('users', lambda: open('/etc/passwd').read())
",
        pid = std::process::id()
    );
    for (mut engine, dedicated) in engines() {
        // Both names, so that what one attack does is not what the next one needs.
        fs::write(&secret, "secret").unwrap();
        fs::write(format!("{path}2"), "secret").unwrap();
        let sandbox = engine.create(Template::Base);
        let through = sandbox.python(&code);
        assert_eq!(through, "", "dedicated ids: {dedicated}");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
        assert_eq!(fs::read_to_string(format!("{path}2")).unwrap(), "secret");
        engine.close();
    }
    let through = unconfined(&code);
    let words: Vec<_> = through.lines().collect();
    // What a file system or a machine without it refuses anyway.
    let missing: Vec<_> = [
        "read",
        "list",
        "write",
        "make",
        "directory",
        "link",
        "hard link",
        "rename",
        "truncate",
        "mode",
        "owner",
    ]
    .into_iter()
    .chain(["times", "delete", "environment", "descriptors", "processes", "users"])
    .filter(|word| !words.contains(word))
    .collect();
    assert!(missing.is_empty(), "these attacks prove nothing: {missing:?}");
}

#[test]
fn there_is_no_network_no_socket_and_no_shared_memory() {
    if !python() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let code = format!(
        "
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def attack(word, call):
    try: call()
    except OSError: return
    print(word)
def sys(word, *arguments):
    if libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]) != -1: print(word)
def unix():
    with socket.socket(socket.AF_UNIX) as one: one.connect('{path}')
def datagram():
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
attack('tcp', lambda: socket.create_connection(('127.0.0.1', {port}), 1))
attack('udp', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
attack('udp6', lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
attack('netlink', lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
attack('unix', unix)
attack('datagram pair', datagram)
def made(word, make, remove, *arguments):
    # Unconfined it is one of the host, and stays until it is removed.
    id = libc.syscall(*[ctypes.c_long(a) for a in (make, 0, *arguments)])
    if id == -1: return
    print(word)
    libc.syscall(*[ctypes.c_long(a) for a in (remove, id, 0, 0)])
made('shm', 29, 31, 4096, 0o1600)
made('sem', 64, 66, 1, 0o1600)
made('msg', 68, 71, 0o1600)
name = ctypes.create_string_buffer(b'e2bridge-test-%d' % os.getpid())
sys('mq', 240, name, 0o102, 0o600, None)
libc.syscall(241, name)
watch = ctypes.create_string_buffer(b'{top}')
notify = libc.syscall(253)
sys('inotify', 254, notify, watch, 0x100)
# What connects programs of the sandbox with each other is there.
one, other = socket.socketpair()
one.send(b'x')
assert other.recv(1) == b'x'
read, write = os.pipe()
",
        path = path.display(),
        top = directory.path().display(),
        port = tcp.local_addr().unwrap().port()
    );
    for (mut engine, dedicated) in engines() {
        let sandbox = engine.create(Template::Base);
        let through = sandbox.python(&code);
        assert_eq!(through, "", "dedicated ids: {dedicated}");
        engine.close();
    }
    let through = unconfined(&code);
    assert_eq!(
        through.lines().collect::<Vec<_>>(),
        ["tcp", "udp", "udp6", "netlink", "unix", "datagram pair", "shm", "sem", "msg", "mq", "inotify"]
    );
}

#[test]
fn other_processes_are_out_of_reach() {
    if !python() {
        return;
    }
    let mut other = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    for (mut engine, dedicated) in engines() {
        let (sandbox, neighbour) = (engine.create(Template::Base), engine.create(Template::Base));
        let _sleeper = neighbour.start(&["/bin/sleep", "1000"]);
        let _own = sandbox.start(&["/bin/sleep", "1000"]);
        let mut pids = descendants(engine.child.id());
        pids.extend([engine.child.id(), std::process::id(), other.id(), 1]);
        let code = format!(
            "
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
def sys(word, *arguments):
    if libc.syscall(*[ctypes.c_long(a) for a in arguments]) != -1: print(word, arguments)
for pid in {pids:?}:
    sys('kill', 62, pid, 0)
    sys('tkill', 200, pid, 0)
    sys('tgkill', 234, pid, pid, 0)
    sys('ptrace', 101, 16, pid, 0, 0)
    sys('read memory', 310, pid, 0, 0, 0, 0, 0)
    sys('limits', 302, pid, 7, 0, 0)
    sys('priority', 141, 0, pid, 19)
    sys('io priority', 251, 1, pid, 0x6000)
    sys('affinity', 203, pid, 0, 0)
    sys('scheduler', 144, pid, 3, 0)
    try: signal.pidfd_send_signal(os.pidfd_open(pid), 0); print('pidfd', pid)
    except OSError: pass
sys('other kinds of namespaces', 272, 0x10000000)
sys('the zygote\\'s combination', 56, 1006768145, 0, 0, 0, 0)
sys('setns', 308, 0, 0)
sys('mount', 165, 0, 0, 0, 0, 0)
sys('host name', 170, 0, 0)
"
        );
        let through = sandbox.python(&code);
        assert_eq!(through, "", "dedicated ids: {dedicated}");
        // A signal to everybody reaches nobody but its sender's own.
        let output = sandbox.shell("sleep 1000 >/dev/null 2>&1 & kill -9 -1; kill -9 0; echo not reached");
        assert_eq!(output.exit.signal, Some(libc::SIGKILL), "{output:?}");
        assert_eq!(sandbox.print("echo alive"), "alive");
        assert_eq!(neighbour.statistics().unwrap().running, 1);
        assert_eq!(sandbox.statistics().unwrap().running, 1);
        // Nor can it enter its neighbour's files.
        let root = neighbour.created.root.clone().unwrap();
        let output = sandbox.shell(&format!(
            "ls {root} {root}/home/user; cat {root}/etc/e2bridge/shell.sh; echo x >{root}/tmp/x"
        ));
        assert_eq!((output.stdout.as_str(), output.exit.exit_code), ("", Some(2)), "{output:?}");
        engine.close();
    }
    assert!(process_exists(other.id()));
    let code = format!("import os; os.kill({}, 9); print('killed')", other.id());
    assert_eq!(unconfined(&code), "killed");
    other.wait().unwrap();
}

#[test]
fn the_worker_programs_and_the_ways_to_the_places_cannot_be_changed() {
    for (mut engine, _) in engines() {
        let sandbox = engine.create(Template::Base);
        let root = sandbox.created.root.clone().unwrap();
        for line in [
            "echo x >$R/etc/e2bridge/python.py",
            "rm -f $R/etc/e2bridge/python.py && test ! -e $R/etc/e2bridge/python.py",
            "mv $R/home $R/other",
            "mkdir $R/new",
            "rm -rf $R/home/user && test ! -e $R/home/user",
            "ln -s /etc $R/link",
        ] {
            let output = sandbox.shell(&format!("R={root}; {line}"));
            assert_ne!(output.exit.exit_code, Some(0), "{line}: {output:?}");
        }
        assert!(Path::new(&root).join("home/user").exists());
        engine.close();
    }
}

const HARD_TO_END: &str = "
{
trap '' TERM HUP INT
(setsid sh -c 'trap \"\" TERM; sleep 1000 & sleep 1000' &)
setsid sh -c '(sleep 1000 &) ; sleep 1000' &
sleep 1000 &
} >/dev/null 2>&1
echo started
";

/// Starts processes that are hard to end, and answers all that the sandbox has then, its keeper included.
fn hard_to_end(sandbox: &Sandbox) -> Vec<u32> {
    assert_eq!(sandbox.print(HARD_TO_END), "started");
    let keeper = sandbox.created.init_pid;
    // Init, a shepherd, and what was started, which comes up one after the other.
    eventually("processes do not start", || descendants(keeper).len() >= 7);
    descendants(keeper).into_iter().chain([keeper]).collect()
}

#[test]
fn everything_of_a_sandbox_ends_with_it_and_nothing_of_another() {
    for (mut engine, _) in engines() {
        let (sandbox, other) = (engine.create(Template::Base), engine.create(Template::Base));
        let _kept = other.start(&["/bin/sleep", "1000"]);
        let own = hard_to_end(&sandbox);
        assert!(matches!(engine.kill(sandbox.number), SupervisorReply::Killed { .. }));
        assert!(own.into_iter().all(|pid| !process_exists(pid)));
        assert!(!Path::new(&sandbox.created.root.clone().unwrap()).exists());
        assert_eq!(other.statistics().unwrap().running, 1);
        engine.close();
        nothing_is_left(&engine);
    }
}

#[test]
fn everything_ends_with_the_library_and_with_the_supervisor() {
    let runtime = tempfile::tempdir().unwrap();
    let place = Some(runtime.path().to_owned());
    for (mut engine, _) in engines_in(&place) {
        let sandboxes: Vec<_> = (0..3).map(|_| engine.create(Template::Base)).collect();
        sandboxes.iter().map(hard_to_end).for_each(drop);
        let processes = descendants(engine.child.id());
        assert_eq!(engine.close(), Some(0));
        assert!(processes.into_iter().all(|pid| !process_exists(pid)));
        nothing_is_left(&engine);
    }
    for (mut engine, _) in engines_in(&place) {
        let sandboxes: Vec<_> = (0..3).map(|_| engine.create(Template::Base)).collect();
        sandboxes.iter().map(hard_to_end).for_each(drop);
        let processes = descendants(engine.child.id());
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(engine.started.pid.cast_signed()).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        engine.wait_for_end();
        eventually("processes outlive the supervisor", || processes.iter().all(|&pid| !process_exists(pid)));
        let mut next = Engine::with(Options { runtime: place.clone(), ..Options::default() }).unwrap();
        assert_eq!(next.started.swept, 1);
        nothing_is_left_of(&engine);
        next.close();
    }
}

fn nothing_is_left_of(engine: &Engine) {
    assert!(engine.cgroups().is_empty());
    assert!(process_tier_files(&engine.client).iter().all(|directory| !directory.exists()));
}

#[test]
fn a_keeper_or_an_init_killed_from_outside_takes_everything_along() {
    for (mut engine, _) in engines() {
        for victim in ["e2b-keeper", "e2b-init"] {
            let sandbox = engine.create(Template::Base);
            let own = hard_to_end(&sandbox);
            let named = |pid: &&u32| {
                fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == victim)
            };
            let pid = rustix::process::Pid::from_raw(own.iter().find(named).unwrap().cast_signed());
            rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::KILL).unwrap();
            eventually(victim, || own.iter().all(|&pid| !process_exists(pid)));
            let root = sandbox.created.root.clone().unwrap();
            eventually("files are left", || !Path::new(&root).exists());
            assert!(matches!(engine.kill(sandbox.number), SupervisorReply::Killed { .. }));
        }
        assert_eq!(engine.create(Template::Base).print("echo next"), "next");
        engine.close();
        nothing_is_left(&engine);
    }
}

#[test]
fn a_zygote_that_ends_leaves_its_sandboxes_alone() {
    for (mut engine, _) in engines() {
        let sandbox = engine.create(Template::Base);
        let zygote = descendants(engine.started.pid)[0];
        assert_eq!(fs::read_to_string(format!("/proc/{zygote}/comm")).unwrap(), "e2b-zygote\n");
        let zygote = rustix::process::Pid::from_raw(zygote.cast_signed()).unwrap();
        rustix::process::kill_process(zygote, rustix::process::Signal::KILL).unwrap();
        // One of whose keeper is killed meanwhile, so that orphans of all kinds come to the supervisor.
        let made = || engine.try_create(Template::Base, LIMITS);
        // The first may still have been sent to the one that has ended.
        let other = made().or_else(|_| made()).unwrap();
        hard_to_end(&other);
        let keeper = rustix::process::Pid::from_raw(other.created.init_pid.cast_signed()).unwrap();
        rustix::process::kill_process(keeper, rustix::process::Signal::KILL).unwrap();
        let root = other.created.root.clone().unwrap();
        eventually("files are left", || !Path::new(&root).exists());
        assert_eq!(sandbox.print("echo alive"), "alive");
        assert!(matches!(engine.kill(sandbox.number), SupervisorReply::Killed { .. }));
        assert_eq!(descendants(engine.started.pid).len(), 1);
        engine.close();
        nothing_is_left(&engine);
    }
}

#[test]
fn a_step_that_fails_is_named_and_leaves_nothing() {
    for (role, call, occurrence, errno, stage) in [
        // The supervisor's first, that with namespaces, is refused before it is heard.
        ("supervisor", libc::SYS_clone, 1, libc::EAGAIN, "clone zygote"),
        ("probe 1", libc::SYS_seccomp, 1, libc::EINVAL, "seccomp"),
        // The first asks for the version.
        ("keeper", libc::SYS_landlock_create_ruleset, 2, libc::EPERM, "landlock scope"),
        ("keeper", libc::SYS_landlock_restrict_self, 1, libc::EPERM, "landlock scope"),
        ("keeper", libc::SYS_chmod, 2, libc::EROFS, "make directory"),
    ] {
        let site = Site { role: role.to_owned(), number: i32::try_from(call).unwrap(), occurrence };
        let injector = Injector::new(Some((site.clone(), Effect::Error(errno))));
        let options = Options {
            injector: Some(injector.clone()),
            filter: Some(no_namespaces()),
            required: false,
            ..Options::default()
        };
        let mut engine = Engine::with(options).unwrap();
        let failure = engine.try_create(Template::Base, LIMITS).unwrap_err();
        assert!(injector.fired(), "{site:?}: {failure:?}");
        assert_eq!(failure.stage, stage, "{site:?}: {failure:?}");
        let supervisor = engine.started.pid;
        eventually(stage, || descendants(supervisor).len() <= 1);
        engine.close();
        nothing_is_left(&engine);
    }
}

#[test]
fn limits_hold() {
    for (mut engine, dedicated) in engines() {
        let limits = Limits { processes: 20, disk_bytes: 1 << 20, ..LIMITS };
        let sandbox = engine.try_create(Template::Base, limits).unwrap();
        let output = sandbox.shell("head -c 2000000 /dev/zero >big; ls -l big | cut -d' ' -f5");
        assert_eq!(output.stdout, "1048576\n", "{output:?}");
        let output = sandbox.shell("i=0; while [ $i -lt 100 ]; do sleep 2 & i=$((i+1)); done; wait");
        let bounded = output.stderr.to_lowercase().contains("fork");
        // The kernel exempts root, which is who the tests' user in a namespace is outside, where they have no cgroups either.
        assert!(bounded || !dedicated && privileged(), "{output:?}");
        engine.close();
    }
}

#[test]
fn a_client_that_requires_isolation_never_gets_it() {
    let mut engine = Engine::with(Options { filter: Some(no_namespaces()), ..Options::default() }).unwrap();
    for _ in 0..3 {
        assert!(engine.try_create(Template::Base, LIMITS).is_err());
    }
    assert!(descendants(engine.child.id()).is_empty());
    engine.close();
    nothing_is_left(&engine);
}

#[test]
fn a_host_with_namespaces_gives_them_to_who_takes_less_too() {
    let mut engine = Engine::with(Options { required: false, ..Options::default() }).unwrap();
    let sandbox = engine.create(Template::Base);
    assert_eq!((sandbox.created.posture.tier.as_str(), &sandbox.created.root), ("full", &None));
    assert_eq!(sandbox.print("id -u"), "1000");
    engine.close();
}
