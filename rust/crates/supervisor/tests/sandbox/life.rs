//! Creation and end; nothing is left.

use std::fs;
use std::time::{Duration, Instant};

use e2bridge_protocol::supervisor::{
    Create, FailureKind, Start, SupervisorReply, SupervisorRequest, Template,
};
use e2bridge_protocol::{PROTOCOL_VERSION, socket};

use crate::support::{Engine, LIMITS, Options, ask, descendants, launch, names, process_exists, readable};

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_sandbox_is_made_runs_and_ends() {
    let mut engine = Engine::start();
    assert!(descendants(engine.child.id()).is_empty(), "nothing is started before it is needed");
    let sandbox = engine.create(Template::Base);
    assert_eq!(sandbox.print("id -u; hostname; echo $HOME"), "1000\nsb-1\n/home/user");
    assert!(sandbox.alive());
    let _sleeper = sandbox.start(&["/bin/sleep", "1000"]);
    assert!(matches!(engine.kill(sandbox.number), SupervisorReply::Killed { .. }));
    assert!(!sandbox.alive());
    // Only the zygote is left.
    assert_eq!(descendants(engine.child.id()).len(), 1);
    for home in engine.cgroups() {
        assert!(names(&home).iter().all(|name| !home.join(name).is_dir()), "{}", home.display());
    }
    assert!(matches!(engine.kill(sandbox.number), SupervisorReply::Killed { .. }), "a second time, too");
    assert!(matches!(engine.kill(12345), SupervisorReply::Killed { .. }));
    assert_eq!(engine.close(), Some(0));
    assert!(engine.cgroups().is_empty());
    assert!(engine.records().is_empty());
}

#[test]
fn everything_ends_with_the_library() {
    let mut engine = Engine::start();
    let sandboxes: Vec<_> = (0..3).map(|_| engine.create(Template::Base)).collect();
    let _sleepers: Vec<_> = sandboxes
        .iter()
        .map(|sandbox| sandbox.start(&["/bin/sh", "-c", "setsid sleep 1000 & sleep 1000"]))
        .collect();
    let processes = descendants(engine.child.id());
    assert!(processes.len() > 3 * 3, "{processes:?}");
    assert_eq!(engine.close(), Some(0));
    assert!(processes.into_iter().all(|pid| !process_exists(pid)));
    assert!(engine.cgroups().is_empty());
    assert!(engine.records().is_empty());
}

#[test]
fn what_a_killed_supervisor_leaves_is_swept_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = Some(directory.path().to_owned());
    let mut first = Engine::with(Options { runtime: runtime.clone(), ..Options::default() }).unwrap();
    let alive = Engine::with(Options { runtime: runtime.clone(), ..Options::default() }).unwrap();
    let sandboxes: Vec<_> = (0..3).map(|_| first.create(Template::Base)).collect();
    let other = alive.create(Template::Base);
    let _sleeper = sandboxes[0].start(&["/bin/sleep", "1000"]);
    let processes = descendants(first.child.id());
    first.child.kill().unwrap();
    first.wait_for_end();
    eventually("processes outlive the supervisor", || processes.iter().all(|&pid| !process_exists(pid)));
    assert_eq!(first.records().len(), 2);
    let mut next = Engine::with(Options { runtime, ..Options::default() }).unwrap();
    assert_eq!(next.started.swept, 1);
    assert!(first.cgroups().is_empty());
    assert!(!next.records().contains(&format!("{}.json", first.client)));
    // The one that lives is left alone.
    assert_eq!(other.print("echo untouched"), "untouched");
    assert_eq!(alive.records().len(), 2);
    next.close();
    drop(alive);
    assert!(names(directory.path()).is_empty());
}

#[test]
fn a_hundred_sandboxes_come_and_go() {
    let mut engine = Engine::start();
    let limits = e2bridge_protocol::supervisor::Limits { memory_bytes: 16 << 20, ..LIMITS };
    let pending: Vec<_> = (0..100).map(|_| engine.create_later(Template::Base, limits)).collect();
    let sandboxes: Vec<_> = pending.into_iter().map(|pending| pending.wait().unwrap()).collect();
    let mut outer: Vec<_> = sandboxes
        .iter()
        .map(|sandbox| fs::read_to_string(format!("/proc/{}/uid_map", sandbox.created.init_pid)).unwrap())
        .collect();
    outer.sort();
    outer.dedup();
    assert_eq!(outer.len(), if crate::support::dedicated_ids() { 100 } else { 1 });
    assert_eq!(sandboxes[99].print("echo last"), "last");
    let replies: Vec<_> = sandboxes
        .iter()
        .map(|sandbox| {
            let request = SupervisorRequest::Kill { sandbox: sandbox.number };
            crate::support::ask_later(engine.library(), &request, None)
        })
        .collect();
    for reply in replies {
        assert!(matches!(crate::support::wait(reply), Some(SupervisorReply::Killed { .. })));
    }
    assert!(sandboxes.iter().all(|sandbox| !sandbox.alive()));
    assert_eq!(descendants(engine.child.id()).len(), 1);
    // Networks that could have been used again are kept for some seconds.
    let open = || fs::read_dir(format!("/proc/{}/fd", engine.child.id())).map_or(0, Iterator::count);
    eventually("descriptors stay open", || open() < 12);
    engine.close();
    assert!(engine.cgroups().is_empty());
}

#[test]
fn a_kill_overtakes_a_create() {
    let mut engine = Engine::start();
    let mut ended = 0;
    for _ in 0..20 {
        let pending = engine.create_later(Template::Base, LIMITS);
        assert!(matches!(engine.kill(pending.number), SupervisorReply::Killed { .. }));
        match pending.wait() {
            Ok(sandbox) => assert!(!sandbox.alive()),
            Err(failure) => {
                assert_eq!(failure.kind, FailureKind::Unavailable, "{failure:?}");
                ended += 1;
            }
        }
    }
    assert!(ended > 0, "the kill never came first");
    assert_eq!(engine.create(Template::Base).print("echo fine"), "fine");
    engine.close();
    assert!(engine.cgroups().is_empty());
}

#[test]
fn a_sandbox_that_ends_by_itself_is_cleared_away() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let (number, pid) = (sandbox.number, sandbox.created.init_pid);
    drop(sandbox);
    eventually("init outlives its control socket", || !process_exists(pid));
    eventually("a cgroup is left", || {
        engine.cgroups().iter().all(|home| !home.join(number.to_string()).exists())
    });
    assert!(matches!(engine.kill(number), SupervisorReply::Killed { .. }));
}

#[test]
fn a_caller_that_goes_away_leaves_no_sandbox() {
    let engine = Engine::start();
    drop(engine.create(Template::Base));
    let (control, far) = socket::seqpacket_pair().unwrap();
    // A supervisor that another test starts has a copy of the reply's socket from its fork to its exec, and would be the caller still.
    let starting = crate::support::starting();
    let create =
        Create { sandbox: 77, template: Template::Base, limits: LIMITS, host_name: "gone".to_owned() };
    drop(crate::support::ask_later(engine.library(), &SupervisorRequest::Create(create), Some(&far)));
    drop((far, starting));
    assert!(readable(&control, Duration::from_secs(10)), "the sandbox of nobody lives");
    eventually("a process is left", || descendants(engine.child.id()).len() == 1);
}

#[test]
fn a_dead_zygote_takes_its_sandboxes_and_is_replaced() {
    let mut engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    signal_zygote(&engine, rustix::process::Signal::KILL);
    assert!(readable(&sandbox.control, Duration::from_secs(10)));
    eventually("the sandbox outlives its zygote", || !sandbox.alive());
    let next = engine.create(Template::Base);
    assert_eq!(next.print("echo new"), "new");
    engine.close();
    assert!(engine.cgroups().is_empty());
}

fn signal_zygote(engine: &Engine, signal: rustix::process::Signal) {
    let zygote = descendants(engine.child.id())[0];
    let pid = rustix::process::Pid::from_raw(i32::try_from(zygote).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn a_stopped_zygote_is_found_out_and_replaced() {
    let mut engine = Engine::start();
    let (one, two) = (engine.create(Template::Base), engine.create(Template::Base));
    signal_zygote(&engine, rustix::process::Signal::STOP);
    // What exists can still be used and ended.
    assert_eq!(two.print("echo runs"), "runs");
    assert!(matches!(engine.kill(one.number), SupervisorReply::Killed { .. }));
    let failure = engine.try_create(Template::Base, LIMITS).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable, "{failure:?}");
    assert!(failure.message.contains("no answer"), "{failure:?}");
    assert_eq!(engine.create(Template::Base).print("echo new"), "new");
    engine.close();
    assert!(engine.cgroups().is_empty());
}

#[test]
fn a_storm_of_creates_and_kills_leaves_nothing() {
    let mut engine = Engine::start();
    let limits = e2bridge_protocol::supervisor::Limits { memory_bytes: 16 << 20, ..LIMITS };
    drop(engine.create(Template::Base));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let engine = &engine;
            scope.spawn(move || {
                for round in 0..40 {
                    let pending = engine.create_later(Template::Base, limits);
                    let number = pending.number;
                    match (thread + round) % 4 {
                        // Ended while it is made, by its end of the socket, by a kill, by two kills.
                        0 => {
                            engine.kill(number);
                            drop(pending.wait());
                        }
                        1 => drop(pending.wait().unwrap()),
                        2 => {
                            let sandbox = pending.wait().unwrap();
                            assert!(sandbox.statistics().is_some());
                            assert!(matches!(engine.kill(number), SupervisorReply::Killed { .. }));
                            assert!(!sandbox.alive());
                        }
                        _ => {
                            let sandbox = pending.wait().unwrap();
                            let kill = SupervisorRequest::Kill { sandbox: number };
                            let first = crate::support::ask_later(engine.library(), &kill, None);
                            assert!(matches!(engine.kill(number), SupervisorReply::Killed { .. }));
                            assert!(!sandbox.alive());
                            assert!(matches!(
                                crate::support::wait(first),
                                Some(SupervisorReply::Killed { .. })
                            ));
                        }
                    }
                }
            });
        }
    });
    eventually("processes are left", || descendants(engine.child.id()).len() == 1);
    eventually("descriptors are left", || {
        fs::read_dir(format!("/proc/{}/fd", engine.child.id())).map_or(0, Iterator::count) < 12
    });
    assert_eq!(engine.create(Template::Base).print("echo calm"), "calm");
    assert_eq!(engine.close(), Some(0));
    assert!(engine.cgroups().is_empty() && engine.records().is_empty());
}

#[test]
fn requests_out_of_order_are_refused() {
    let (library, mut child) = launch(&[], None, None);
    let (_control, far) = socket::seqpacket_pair().unwrap();
    let create = Create { sandbox: 1, template: Template::Base, limits: LIMITS, host_name: "x".to_owned() };
    for (request, fd) in
        [(SupervisorRequest::Create(create.clone()), Some(&far)), (SupervisorRequest::Check, None)]
    {
        let reply = ask(&library, &request, fd).unwrap();
        assert!(
            matches!(&reply, SupervisorReply::Failed(failure) if failure.kind == FailureKind::Internal),
            "{reply:?}"
        );
    }
    let directory = tempfile::tempdir().unwrap();
    let start = Start {
        protocol_version: PROTOCOL_VERSION + 1,
        client: "c".to_owned(),
        runtime_directory: directory.path().to_str().unwrap().to_owned(),
        required: true,
        python_candidates: Vec::new(),
        node_candidates: Vec::new(),
    };
    let refused =
        |start: Start, reason: &str| match ask(&library, &SupervisorRequest::Start(start), None).unwrap() {
            SupervisorReply::Failed(failure) => assert!(failure.message.contains(reason), "{failure:?}"),
            other => panic!("{other:?}"),
        };
    refused(start.clone(), "protocol");
    refused(
        Start { protocol_version: PROTOCOL_VERSION, client: "../x".to_owned(), ..start.clone() },
        "client",
    );
    let nowhere = "/nonexistent/directory".to_owned();
    refused(
        Start { protocol_version: PROTOCOL_VERSION, runtime_directory: nowhere, ..start },
        "/nonexistent",
    );
    // Rubbish: the sender sees its reply socket close, and that is all.
    let (near, far) = socket::seqpacket_pair().unwrap();
    socket::send_bytes(&library, &[0xff; 40], &[std::os::fd::AsFd::as_fd(&far)]).unwrap();
    drop(far);
    assert!(readable(&near, Duration::from_secs(10)));
    assert!(socket::recv::<SupervisorReply>(&near).unwrap().is_none());
    drop(library);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_number_in_use_is_refused() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let (_control, far) = socket::seqpacket_pair().unwrap();
    let create = Create {
        sandbox: sandbox.number,
        template: Template::Base,
        limits: LIMITS,
        host_name: "x".to_owned(),
    };
    let reply = ask(engine.library(), &SupervisorRequest::Create(create), Some(&far)).unwrap();
    assert!(matches!(reply, SupervisorReply::Failed(_)));
    assert_eq!(sandbox.print("echo mine"), "mine");
}

#[test]
fn without_its_socket_it_does_nothing() {
    let output = std::process::Command::new(crate::support::supervisor()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
}
