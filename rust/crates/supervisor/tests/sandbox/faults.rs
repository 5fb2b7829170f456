//! A fault in any system call of set-up, of an execution and of the end: a clear error, nothing left.
//!
//! The calls enumerate themselves: one run is heard (see [`crate::injector`]), and gives the list of call, process and occurrence.
//! Then there is a run for each of them in which that call fails, and one in which its process is killed before it. `scripts/fault-matrix`
//! does all of them; the tests do a part, the same one unless another seed is given.

use std::collections::BTreeMap;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2bridge_protocol::init::{InitEvent, InitRequest};
use e2bridge_protocol::supervisor::{Failure, FailureKind, SupervisorReply, SupervisorRequest, Template};

use crate::golden;
use crate::injector::{Effect, Injector, Site};
use crate::policy;
use crate::support::{Engine, LIMITS, NoAnswer, Options, Sandbox, next_event, process_exists};

/// Longest time for a run of the short form to be begun.
const SHORT: Duration = Duration::from_secs(10);
/// Longest time for what ends to be gone.
const GONE: Duration = Duration::from_secs(10);

/// What a run came to.
struct Run {
    /// For the table.
    outcome: String,
    sites: Vec<Site>,
}

/// The life of a sandbox under a fault: everything is answered in time, every failure is named, nothing is left. What is not so, panics.
fn live(fault: Option<(Site, Effect)>) -> Run {
    let supervisors = fault.as_ref().is_some_and(|(site, _)| site.role == "supervisor");
    let kills = fault.as_ref().is_some_and(|(_, effect)| *effect == Effect::Kill);
    let injector = Injector::new(fault);
    let directory = tempfile::tempdir().unwrap();
    let mut outcome = Vec::new();
    let runtime = Some(directory.path().to_owned());
    let options = Options { runtime, injector: Some(injector.clone()), ..Options::default() };
    let client = match Engine::with(options) {
        Err(failure) => {
            outcome.push(format!("start {}", named(&failure)));
            None
        }
        Ok(mut engine) => {
            use_engine(&engine, &injector, kills, &mut outcome);
            engine.close();
            Some(engine.client.clone())
        }
    };
    let deadline = Instant::now() + GONE;
    while injector.processes().into_iter().any(process_exists) {
        assert!(Instant::now() < deadline, "a process is left");
        std::thread::sleep(Duration::from_millis(2));
    }
    let groups = || client.as_deref().map(crate::support::cgroups_of).unwrap_or_default();
    if !crate::support::names(directory.path()).is_empty() || !groups().is_empty() {
        // Only a supervisor that is killed, or cannot remove something, may leave it, and then to the next one.
        assert!(supervisors, "left: {:?} {:?}", crate::support::names(directory.path()), groups());
        outcome.push("swept by the next start".to_owned());
        let runtime = Some(directory.path().to_owned());
        Engine::with(Options { runtime, ..Options::default() }).unwrap().close();
        assert!(crate::support::names(directory.path()).is_empty(), "a record is left");
    }
    assert!(groups().is_empty(), "a cgroup is left: {:?}", groups());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("e2bridge"), "a mount is visible outside: {mounts}");
    if !injector.fired() {
        outcome.push("(did not come)".to_owned());
    } else if outcome.is_empty() {
        outcome.push("no effect".to_owned());
    }
    Run { outcome: outcome.join(", "), sites: injector.sites() }
}

fn use_engine(engine: &Engine, injector: &Injector, kills: bool, outcome: &mut Vec<String>) {
    let ended = |failure: &Failure| failure.stage == "supervisor";
    match engine.try_create(Template::Base, LIMITS) {
        Ok(sandbox) => {
            if injector.fired() {
                // What was passed over has cost nothing of the confinement.
                let look = AssertUnwindSafe(|| {
                    let deviation = golden::deviation(engine, &sandbox);
                    assert!(deviation.is_empty(), "a weaker sandbox:\n{deviation}");
                });
                // One that ends while it is looked at has nothing that could be weaker.
                if let Err(problem) = std::panic::catch_unwind(look)
                    && !(kills && ends(&sandbox))
                {
                    std::panic::resume_unwind(problem);
                }
            }
            use_sandbox(engine, &sandbox, outcome);
        }
        Err(failure) => {
            outcome.push(format!("create {}", named(&failure)));
            if !ended(&failure) {
                // The fault is over, and with it the failure.
                let sandbox = engine.try_create(Template::Base, LIMITS).expect("a second create");
                let mut second = Vec::new();
                use_sandbox(engine, &sandbox, &mut second);
                assert!(second.is_empty(), "after a failed create: {second:?}");
            }
        }
    }
}

fn use_sandbox(engine: &Engine, sandbox: &Sandbox, outcome: &mut Vec<String>) {
    let note = |step: &str, error: NoAnswer| match error {
        NoAnswer::Failed { stage, errno } => {
            assert!(!stage.is_empty() && errno != 0, "{step} {stage:?} {errno}");
            format!("{step} fails: {stage}")
        }
        NoAnswer::Ended => format!("{step}: the sandbox ended"),
    };
    match sandbox.try_run(&["/bin/echo", "x"]) {
        Ok(output) if output.exit.exit_code == Some(0) => assert_eq!(output.stdout, "x\n"),
        // A program that is killed is a result, too.
        Ok(output) if output.exit.signal == Some(libc::SIGKILL) => outcome.push("execute: killed".to_owned()),
        Ok(output) => panic!("a result that is none: {output:?}"),
        Err(error) => outcome.push(note("execute", error)),
    }
    match sandbox.try_put_file("/tmp/file", b"content") {
        Ok(()) => {}
        Err(error) => outcome.push(note("write", error)),
    }
    for (step, request) in
        [("statistics", InitRequest::Statistics), ("shutdown", InitRequest::Shutdown { grace_ms: 200 })]
    {
        match sandbox.request(&request, &[]).and_then(|channel| next_event(&channel)) {
            Ok(InitEvent::Statistics(_) | InitEvent::ShutDown { .. }) => {}
            Ok(other) => panic!("{step}: {other:?}"),
            Err(error) => outcome.push(note(step, error)),
        }
    }
    let reply =
        crate::support::ask(engine.library(), &SupervisorRequest::Kill { sandbox: sandbox.number }, None);
    match reply {
        Some(SupervisorReply::Killed { .. }) => {}
        Some(SupervisorReply::Failed(failure)) => outcome.push(format!("kill {}", named(&failure))),
        Some(other) => panic!("{other:?}"),
        None => outcome.push("kill: the supervisor ended".to_owned()),
    }
    assert!(ends(sandbox), "the sandbox lives on");
}

/// Whether the sandbox is gone, now or soon.
fn ends(sandbox: &Sandbox) -> bool {
    let deadline = Instant::now() + GONE;
    while sandbox.alive() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    !sandbox.alive()
}

/// A failure in a word; it must say what it is.
fn named(failure: &Failure) -> String {
    assert!(!failure.stage.is_empty() && !failure.message.is_empty(), "{failure:?}");
    if failure.stage == "supervisor" {
        return "ends: the supervisor ended".to_owned();
    }
    format!("fails: {} ({:?})", failure.stage, failure.kind)
}

/// Errors that a call may really have; none for one that cannot fail, or whose failure the kernel cannot mean.
fn errors(number: i32) -> &'static [i32] {
    match i64::from(number) {
        // They end the process, return into it, or only tell; and what a failed close leaves open nobody could close.
        libc::SYS_exit | libc::SYS_exit_group | libc::SYS_rt_sigreturn | libc::SYS_close | libc::SYS_brk => {
            &[]
        }
        libc::SYS_getpid | libc::SYS_gettid | libc::SYS_getppid | libc::SYS_getuid | libc::SYS_geteuid => &[],
        libc::SYS_getgid | libc::SYS_getegid | libc::SYS_umask | libc::SYS_set_tid_address => &[],
        libc::SYS_arch_prctl | libc::SYS_rseq | libc::SYS_set_robust_list | libc::SYS_sched_yield => &[],
        libc::SYS_rt_sigaction | libc::SYS_rt_sigprocmask | libc::SYS_sigaltstack | libc::SYS_uname => &[],
        libc::SYS_clone | libc::SYS_fork | libc::SYS_vfork => &[libc::EAGAIN, libc::EPERM],
        libc::SYS_open | libc::SYS_openat | libc::SYS_openat2 => &[libc::EMFILE, libc::EACCES],
        libc::SYS_socketpair | libc::SYS_socket | libc::SYS_pipe2 | libc::SYS_epoll_create1 => {
            &[libc::EMFILE]
        }
        libc::SYS_fcntl | libc::SYS_dup2 | libc::SYS_dup3 | libc::SYS_signalfd4 => &[libc::EMFILE],
        libc::SYS_mmap | libc::SYS_mprotect | libc::SYS_munmap | libc::SYS_mremap => &[libc::ENOMEM],
        libc::SYS_madvise | libc::SYS_epoll_ctl | libc::SYS_close_range => &[libc::ENOMEM],
        libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_mkdir | libc::SYS_symlink => &[libc::ENOSPC],
        libc::SYS_sendmsg | libc::SYS_sendto => &[libc::ENOBUFS],
        libc::SYS_recvmsg | libc::SYS_recvfrom => &[libc::ENOMEM],
        // Broken off.
        libc::SYS_getrandom
        | libc::SYS_poll
        | libc::SYS_ppoll
        | libc::SYS_epoll_wait
        | libc::SYS_epoll_pwait
        | libc::SYS_wait4
        | libc::SYS_waitid => &[libc::EINTR],
        libc::SYS_read | libc::SYS_pread64 | libc::SYS_getdents64 => &[libc::EIO],
        libc::SYS_execve => &[libc::ENOMEM],
        libc::SYS_rmdir | libc::SYS_umount2 => &[libc::EBUSY],
        libc::SYS_landlock_create_ruleset
        | libc::SYS_landlock_add_rule
        | libc::SYS_landlock_restrict_self => &[libc::ENOMEM],
        _ => &[libc::EPERM],
    }
}

/// Every fault: each call with each of its errors, and the death of its process before it, but between two calls of one kind.
fn faults() -> Vec<(Site, Effect)> {
    let mut sites = BTreeMap::new();
    // How often is waited and looked at differs from run to run.
    for _ in 0..3 {
        let mut last = BTreeMap::new();
        for site in live(None).sites {
            let between = last.insert(site.role.clone(), site.number) == Some(site.number);
            *sites.entry(site).or_insert(false) |= !between;
        }
    }
    let mut faults = Vec::new();
    for (site, kill) in sites {
        faults.extend(errors(site.number).iter().map(|errno| (site.clone(), Effect::Error(*errno))));
        faults.extend(kill.then_some((site, Effect::Kill)));
    }
    faults
}

#[test]
fn whatever_fails_is_named_and_nothing_is_left() {
    let full = std::env::var("E2B_FAULTS").is_ok_and(|form| form == "full");
    let seed = std::env::var("E2B_FAULTS_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut faults = faults();
    let all = faults.len();
    if let Ok(only) = std::env::var("E2B_FAULTS_ONLY") {
        faults.retain(|(site, effect)| described(site, *effect).contains(&only));
    }
    if !full {
        println!("seed {seed} (E2B_FAULTS_SEED)");
        shuffle(&mut faults, seed);
    }
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let began = Instant::now();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((site, effect)) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !full && began.elapsed() > SHORT {
                        break;
                    }
                    let run =
                        std::panic::catch_unwind(AssertUnwindSafe(|| live(Some((site.clone(), *effect)))));
                    let result = run.map(|run| run.outcome).map_err(|panic| message(panic.as_ref()));
                    let mut results = results.lock().unwrap();
                    results.push((site.clone(), *effect, result));
                    if results.len() % 200 == 0 {
                        eprintln!("{} of {} faults", results.len(), faults.len());
                    }
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    print_table(&results);
    let failed: Vec<_> = results
        .iter()
        .filter_map(|(site, effect, result)| {
            result.as_ref().err().map(|problem| format!("{}: {problem}", described(site, *effect)))
        })
        .collect();
    println!(
        "{} passed, {} failed, of {all} faults in {} s",
        results.len() - failed.len(),
        failed.len(),
        began.elapsed().as_secs()
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(results.len() >= faults.len().min(20), "only {} faults in {SHORT:?}", results.len());
    let outcomes = results.iter().filter(|(.., result)| result.as_ref().is_ok_and(|it| it != "no effect"));
    assert!(outcomes.count() * 4 > results.len() || faults.len() < all, "too few faults have an effect");
    if full {
        // The listeners' threads end a moment after those whom they hear.
        let deadline = Instant::now() + GONE;
        while open() > before {
            assert!(Instant::now() < deadline, "descriptors of this process are left: {before}, {}", open());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("?").to_owned()
}

/// The order of a pack of cards, by a seed.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed | 1;
    for last in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        items.swap(last, usize::try_from(state % (last as u64 + 1)).unwrap());
    }
}

fn described(site: &Site, effect: Effect) -> String {
    let what = match effect {
        Effect::Error(errno) => format!("{:?}", rustix::io::Errno::from_raw_os_error(errno)),
        Effect::Kill => "KILL".to_owned(),
    };
    format!("{} {} {} {what}", site.role, policy::name_of(site.number), site.occurrence)
}

/// A line for each process, call and outcome.
fn print_table(results: &[(Site, Effect, Result<String, String>)]) {
    let mut rows: BTreeMap<(String, String, String), u32> = BTreeMap::new();
    for (site, effect, result) in results {
        let kind = if *effect == Effect::Kill { "killed" } else { "error" };
        let call = if *effect == Effect::Kill { "(any)".to_owned() } else { policy::name_of(site.number) };
        let outcome = result.clone().unwrap_or_else(|_| "FAILED".to_owned());
        *rows.entry((format!("{} {kind}", site.role), call, outcome)).or_default() += 1;
    }
    for ((role, call, outcome), count) in rows {
        println!("{role:20} {call:24} {count:5}  {outcome}");
    }
}

/// What a create becomes when one call of it fails.
fn create_with(role: &str, number: libc::c_long, occurrence: u32, errno: i32) -> Failure {
    let site = Site { role: role.to_owned(), number: i32::try_from(number).unwrap(), occurrence };
    let injector = Injector::new(Some((site, Effect::Error(errno))));
    let options = Options { injector: Some(injector.clone()), ..Options::default() };
    let failure =
        Engine::with(options).and_then(|engine| engine.try_create(Template::Base, LIMITS)).unwrap_err();
    assert!(injector.fired());
    failure
}

#[test]
fn each_step_is_named_with_its_error() {
    for (role, call, occurrence, errno, stage) in [
        ("supervisor", libc::SYS_clone, 1, libc::EPERM, "clone zygote"),
        ("supervisor", libc::SYS_clone, 1, libc::ENOSPC, "clone zygote"),
        ("zygote", libc::SYS_open_tree, 1, libc::EPERM, "open tree"),
        ("zygote", libc::SYS_mount_setattr, 1, libc::EPERM, "restrict mount"),
        ("zygote", libc::SYS_mount, 1, libc::EPERM, "make mounts private"),
        ("zygote", libc::SYS_mount, 2, libc::EACCES, "mount root"),
        ("zygote", libc::SYS_mount, 3, libc::EPERM, "mount proc"),
        ("zygote", libc::SYS_move_mount, 2, libc::EINVAL, "bind"),
        ("zygote", libc::SYS_pivot_root, 1, libc::EINVAL, "pivot root"),
        ("zygote", libc::SYS_umount2, 1, libc::EBUSY, "detach old root"),
        ("zygote", libc::SYS_seccomp, 1, libc::EINVAL, "seccomp"),
        ("zygote", libc::SYS_seccomp, 2, libc::EINVAL, "seccomp"),
        ("zygote", libc::SYS_capset, 1, libc::EPERM, "drop capabilities"),
        ("zygote", libc::SYS_clone, 1, libc::EPERM, "clone sandbox"),
        ("init", libc::SYS_mount, 2, libc::EPERM, "mount writable file system"),
        ("init", libc::SYS_mount, 5, libc::EPERM, "bind"),
        ("init", libc::SYS_sethostname, 1, libc::EPERM, "set host name"),
        ("init", libc::SYS_setsid, 1, libc::EPERM, "make session"),
        ("init", libc::SYS_landlock_restrict_self, 1, libc::E2BIG, "landlock"),
        ("init", libc::SYS_capset, 1, libc::EPERM, "drop capabilities"),
    ] {
        let failure = create_with(role, call, occurrence, errno);
        assert_eq!(failure.stage, stage, "{failure:?}");
        assert_eq!(failure.kind, FailureKind::Isolation, "{failure:?}");
        if stage != "landlock" {
            assert_eq!(failure.errno, Some(errno), "{failure:?}");
        }
        assert!(failure.message.contains(stage), "{failure:?}");
    }
}

#[test]
fn a_host_without_room_is_reported_as_such() {
    for (role, call, occurrence, errno, stage) in [
        ("supervisor", libc::SYS_clone, 1, libc::EAGAIN, "clone zygote"),
        ("supervisor", libc::SYS_socketpair, 1, libc::EMFILE, "start zygote"),
        ("supervisor", libc::SYS_socketpair, 2, libc::ENFILE, "create"),
        ("zygote", libc::SYS_mount, 2, libc::ENOMEM, "mount root"),
    ] {
        let failure = create_with(role, call, occurrence, errno);
        assert_eq!((failure.kind, failure.stage.as_str()), (FailureKind::Limit, stage), "{failure:?}");
        assert!(failure.remedy.is_some());
    }
}
