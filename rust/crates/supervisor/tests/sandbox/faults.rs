//! A system call that fails at any step: a clear error, nothing left. The faults are injected by strace.

use std::time::{Duration, Instant};

use e2bridge_protocol::supervisor::{Failure, FailureKind, Template};

use crate::support::{Engine, LIMITS, Options, Sandbox, descendants, process_exists, skip};

fn strace() -> bool {
    let there = std::path::Path::new("/usr/bin/strace").exists();
    if !there {
        skip("there is no /usr/bin/strace");
    }
    there
}

/// Makes a sandbox with a fault, and checks that nothing is left in the end.
fn with(fault: &str) -> Result<Sandbox, Failure> {
    let wrapper = ["/usr/bin/strace", "-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={fault}")];
    let options = Options { wrapper: wrapper.map(str::to_owned).to_vec(), ..Options::default() };
    let directory = tempfile::tempdir().unwrap();
    let mut engine = Engine::with(Options { runtime: Some(directory.path().to_owned()), ..options })?;
    let result = engine.try_create(Template::Base, LIMITS);
    let supervisor = engine.started.pid;
    let processes = descendants(supervisor);
    if result.is_err() {
        let deadline = Instant::now() + Duration::from_secs(5);
        // At most the zygote, which can clone again. A reply that could not be sent does not wait for the end.
        let left = || {
            descendants(supervisor).len() > 1 || engine.cgroups().iter().any(|home| home.join("1").exists())
        };
        while left() {
            assert!(Instant::now() < deadline, "{fault}: something is left");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    engine.close();
    assert!(processes.into_iter().all(|pid| !process_exists(pid)), "{fault}: a process is left");
    assert!(engine.cgroups().is_empty(), "{fault}: a cgroup is left");
    assert!(engine.records().is_empty(), "{fault}: a record is left");
    result
}

#[test]
fn each_step_is_named_with_its_error() {
    if !strace() {
        return;
    }
    let steps = [
        ("clone", 1, libc::EPERM, "clone zygote"),
        ("clone", 1, libc::ENOSPC, "clone zygote"),
        ("open_tree", 1, libc::EPERM, "open tree"),
        ("mount_setattr", 1, libc::EPERM, "restrict mount"),
        ("mount", 1, libc::EPERM, "make mounts private"),
        ("mount", 2, libc::EACCES, "mount root"),
        ("mount", 3, libc::EPERM, "mount proc"),
        ("move_mount", 2, libc::EINVAL, "bind"),
        ("pivot_root", 1, libc::EINVAL, "pivot root"),
        ("umount2", 1, libc::EBUSY, "detach old root"),
        ("seccomp", 1, libc::EINVAL, "seccomp"),
        ("seccomp", 2, libc::EINVAL, "seccomp"),
        ("unshare", 1, libc::ENOSPC, "make network namespace"),
        ("mount", 5, libc::EPERM, "bind"),
        ("sethostname", 1, libc::EPERM, "set host name"),
        ("setsid", 1, libc::EPERM, "make session"),
        ("landlock_restrict_self", 1, libc::E2BIG, "landlock"),
    ];
    for (call, when, errno, stage) in steps {
        // The supervisor's own session is of no consequence, nor is a network that could not be made ahead.
        let when = if ["setsid", "unshare"].contains(&call) { "1+".to_owned() } else { when.to_string() };
        let name = rustix::io::Errno::from_raw_os_error(errno);
        let failure = with(&format!("{call}:error={}:when={when}", symbol(errno))).unwrap_err();
        assert_eq!(failure.stage, stage, "{failure:?}");
        assert_eq!(failure.kind, FailureKind::Isolation, "{failure:?}");
        if call != "landlock_restrict_self" {
            assert_eq!(failure.errno, Some(errno), "{name}: {failure:?}");
        }
        assert!(failure.message.contains(stage), "{failure:?}");
    }
    // A zygote that cannot come back from a network that it made ahead is of no use.
    let failure = with("setns:error=EPERM:when=1+").unwrap_err();
    assert!(["leave network namespace", "zygote"].contains(&failure.stage.as_str()), "{failure:?}");
}

fn symbol(errno: i32) -> &'static str {
    match errno {
        libc::EPERM => "EPERM",
        libc::EACCES => "EACCES",
        libc::EINVAL => "EINVAL",
        libc::EBUSY => "EBUSY",
        libc::ENOSPC => "ENOSPC",
        libc::E2BIG => "E2BIG",
        other => panic!("{other}"),
    }
}

#[test]
fn a_host_without_room_is_reported_as_such() {
    if !strace() {
        return;
    }
    for (fault, stage) in [
        ("clone:error=EAGAIN:when=1", "clone zygote"),
        ("socketpair:error=EMFILE:when=1", "start zygote"),
        ("socketpair:error=ENFILE:when=2", "create"),
        ("mount:error=ENOMEM:when=2", "mount root"),
    ] {
        let failure = with(fault).unwrap_err();
        assert_eq!((failure.kind, failure.stage.as_str()), (FailureKind::Limit, stage), "{failure:?}");
        assert!(failure.remedy.is_some());
    }
}

#[test]
fn whatever_fails_nothing_is_left() {
    if !strace() {
        return;
    }
    let mut failed = 0;
    for (call, error, times) in [
        ("openat", "EMFILE", 40),
        ("write", "EIO", 24),
        ("sendmsg", "ENOBUFS", 8),
        ("recvmsg", "ENOMEM", 6),
        ("epoll_ctl", "ENOMEM", 8),
        ("mkdir", "ENOSPC", 10),
        ("prlimit64", "EPERM", 10),
        ("prctl", "EPERM", 12),
    ] {
        for when in (1..=times).step_by(if times > 12 { 3 } else { 1 }) {
            failed += u32::from(with(&format!("{call}:error={error}:when={when}")).is_err());
        }
    }
    assert!(failed > 20, "only {failed} faults had an effect");
}
