//! The corpus of attacks in sandboxes of a supervisor that can leave defences out: each is contained as long as nothing is left out,
//! and reports its escape without the defence that it is about.

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e2bridge_protocol::init::{InitEvent, InitRequest, Program, Spawn};
use e2bridge_protocol::socket;
use e2bridge_protocol::supervisor::{Limits, Mechanism, Template};

use self::corpus::{Attack, Ended, Escape, Facts, Host, Language, Verdict, Who};
use crate::support::{Engine, Options, Sandbox, pipe, privileged, readable, skip, supervisor};

#[path = "../../../../attacks/corpus.rs"]
mod corpus;

/// How long an escape is tried again: one that takes processors depends on what else the machine does.
const TRIES: Duration = Duration::from_secs(60);
/// Rows of the threats, each a directory of the corpus.
const ROWS: usize = 21;

const LIMITS: Limits =
    Limits { memory_bytes: 96 << 20, cpu_count: 1, disk_bytes: 8 << 20, disk_inodes: 2000, processes: 64 };

fn facts() -> Facts {
    Facts {
        memory_bytes: LIMITS.memory_bytes,
        processes: LIMITS.processes,
        disk_bytes: LIMITS.disk_bytes,
        disk_inodes: LIMITS.disk_inodes,
        processors: LIMITS.cpu_count,
        ..Facts::default()
    }
}

fn argv(language: Language, program: &str) -> Vec<String> {
    let before: &[&str] = match language {
        Language::Shell => &["/bin/sh", "-c"],
        Language::Python => &["/usr/bin/python3", "-I", "-S", "-c"],
        Language::JavaScript => &["/usr/bin/node", "--max-old-space-size=2048", "-e"],
    };
    before.iter().map(|&text| text.to_owned()).chain([program.to_owned()]).collect()
}

fn spawn(sandbox: &Sandbox, argv: Vec<String>, timeout: Duration) -> (OwnedFd, OwnedFd, OwnedFd) {
    let (channel, far) = socket::seqpacket_pair().unwrap();
    let (out_read, out_write) = pipe();
    let (err_read, err_write) = pipe();
    let spawn = InitRequest::Spawn(Spawn {
        program: Program::Exec { argv },
        env: ["PATH=/usr/bin:/bin", "HOME=/home/user", "LANG=C.UTF-8"].map(str::to_owned).to_vec(),
        cwd: "/home/user".to_owned(),
        timeout_ms: Some(timeout.as_millis().try_into().unwrap()),
        capture: true,
        worker: false,
    });
    let fds = [&far, &out_write, &err_write, &out_read, &err_read].map(|fd| fd.as_fd());
    socket::send(&sandbox.control, &spawn, &fds).unwrap();
    (channel, out_read, err_read)
}

/// What a stream has said so far.
#[derive(Default)]
struct Gathered {
    bytes: Mutex<Vec<u8>>,
    ended: AtomicBool,
}

impl Gathered {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// Waits for the end of the stream, or until nothing has come for a while: what an attack leaves behind keeps it open.
    fn settle(&self) {
        let length = || self.bytes.lock().unwrap().len();
        let (mut before, mut quiet) = (length(), 0);
        while !self.ended.load(Ordering::Acquire) && quiet < 40 {
            std::thread::sleep(Duration::from_millis(5));
            let now = length();
            quiet = if now == before { quiet + 1 } else { 0 };
            before = now;
        }
    }
}

/// Reads in the background.
fn gather(fd: OwnedFd) -> Arc<Gathered> {
    let gathered = Arc::new(Gathered::default());
    let into = Arc::clone(&gathered);
    std::thread::spawn(move || {
        let mut file = fs::File::from(fd);
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = file.read(&mut buffer) {
            into.bytes.lock().unwrap().extend_from_slice(&buffer[..length]);
        }
        into.ended.store(true, Ordering::Release);
    });
    gathered
}

/// Runs something; when it does not end in time it is left alone, and `timed_out` stays false.
fn run(sandbox: &Sandbox, argv: Vec<String>, timeout: Duration, patience: Duration) -> Ended {
    let (channel, out, err) = spawn(sandbox, argv, timeout);
    let (out, err) = (gather(out), gather(err));
    let deadline = Instant::now() + patience;
    let exit = loop {
        if !readable(&channel, deadline.saturating_duration_since(Instant::now())) {
            // To close it would end the program.
            std::mem::forget(channel);
            break None;
        }
        match socket::recv(&channel).ok().flatten() {
            Some((InitEvent::Started { .. }, _)) => {}
            Some((InitEvent::Exited(exit), _)) => break Some(exit),
            _ => break None,
        }
    };
    out.settle();
    Ended {
        stdout: out.text(),
        stderr: err.text(),
        killed: exit.is_some_and(|exit| exit.signal.is_some()),
        timed_out: exit.is_some_and(|exit| exit.timed_out),
        truncated: false,
        afterwards: None,
    }
}

/// An ordinary program works, after a while at the latest: what an attack left may be on its way out.
fn works(sandbox: &Sandbox) -> Result<(), String> {
    let patience = Duration::from_secs(30);
    let deadline = Instant::now() + patience;
    loop {
        let ended = run(sandbox, argv(Language::Shell, corpus::ORDINARY_LINE), patience, patience);
        match ended.stdout == corpus::ORDINARY_ANSWER {
            true => return Ok(()),
            false if Instant::now() > deadline => {
                return Err(format!("nothing works afterwards in sandbox {}: {ended:?}", sandbox.number));
            }
            false => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Starts what the attacks look for in another sandbox.
fn start_neighbour(engine: &Engine, facts: &Facts) -> (Sandbox, OwnedFd) {
    let sandbox = engine.try_create(Template::Base, LIMITS).unwrap();
    let program = argv(Language::Python, &corpus::neighbour(facts));
    let (channel, out, err) = spawn(&sandbox, program, Duration::from_secs(600));
    assert!(readable(&out, Duration::from_secs(20)), "the neighbour does not come up");
    gather(out);
    gather(err);
    (sandbox, channel)
}

fn attempt(attack: &Attack, facts: &Facts, sandbox: &Sandbox, neighbour: &Sandbox) -> Verdict {
    let timeout = Duration::from_secs(attack.timeout.into());
    let patience = timeout + Duration::from_secs(if attack.may_time_out { 4 } else { 20 });
    let mut ended = run(sandbox, argv(attack.language, &attack.program(facts)), timeout, patience);
    // The library keeps 8 MiB of a stream; here nobody does.
    if attack.must_be_truncated && ended.stdout.len() > 16 << 20 {
        return Verdict::Escaped(format!("{} bytes of output arrived", ended.stdout.len()));
    }
    if let Some(line) = attack.afterwards(facts) {
        let patience = Duration::from_secs(20);
        let deadline = Instant::now() + patience;
        // Nothing starts as long as what the attack left takes every process that there may be.
        let told = loop {
            let told = run(sandbox, argv(Language::Shell, &line), patience, patience).stdout;
            if !told.is_empty() || Instant::now() > deadline {
                break told;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        ended.afterwards = Some(told);
    }
    if let Some(program) = attack.neighbour_program(facts) {
        let patience = Duration::from_secs(20);
        ended.afterwards = Some(run(neighbour, argv(Language::Python, &program), patience, patience).stdout);
    }
    attack.judge(&ended)
}

/// Runs an attack on the host, as whoever runs these tests.
fn attempt_unconfined(attack: &Attack, facts: &Facts) -> Verdict {
    let directory = tempfile::tempdir().unwrap();
    let argv = argv(attack.language, &attack.program(facts));
    let mut child = Command::new("/usr/bin/timeout")
        .args(["--signal=KILL", &attack.timeout.to_string()])
        .args(argv)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", directory.path())
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = gather(child.stdout.take().unwrap().into());
    let err = gather(child.stderr.take().unwrap().into());
    let status = child.wait().unwrap();
    out.settle();
    let (stdout, stderr) = (out.text(), err.text());
    if attack.must_be_truncated && stdout.len() > 16 << 20 {
        return Verdict::Escaped(format!("{} bytes of output arrived", stdout.len()));
    }
    let timed_out = status.code() == Some(137);
    attack.judge(&Ended { stdout, stderr, killed: !status.success(), timed_out, ..Ended::default() })
}

/// A supervisor that leaves something out, started so that the escape is there to be seen: with a secret in its environment, an open
/// descriptor, a terminal.
fn weakened(left_out: &str) -> Engine {
    let mut wrapper: Vec<String> = Vec::new();
    let names: Vec<_> = left_out.split_whitespace().collect();
    if names.contains(&"Descriptors") {
        let line = "exec 9</ && exec \"$@\"";
        wrapper.extend(["/bin/sh", "-c", line, "sh"].map(str::to_owned));
    }
    if names.contains(&"Session") {
        let program = "import fcntl, os, sys, termios, time\n\
            master, slave = os.openpty()\n\
            os.setsid(); fcntl.ioctl(slave, termios.TIOCSCTTY, 0)\n\
            parent = os.getpid()\n\
            if os.fork() == 0:\n\
            \u{20}   os.closerange(3, master)\n\
            \u{20}   while os.getppid() == parent: time.sleep(0.05)\n\
            \u{20}   os._exit(0)\n\
            os.set_inheritable(3, True)\n\
            os.execv(sys.argv[1], sys.argv[1:])";
        wrapper.extend(["/usr/bin/python3", "-I", "-S", "-c", program].map(str::to_owned));
    }
    wrapper.push("/usr/bin/env".to_owned());
    wrapper.push("E2B_ATTACK_SECRET=of-the-service".to_owned());
    wrapper.push(format!("E2BRIDGE_LEFT_OUT={left_out}"));
    Engine::with(Options { wrapper, ..Options::default() }).unwrap()
}

#[test]
fn every_row_of_the_threats_has_attacks() {
    let rows: std::collections::BTreeSet<_> = corpus::attacks()
        .into_iter()
        .map(|attack| (attack.name.split('/').next().unwrap().to_owned(), attack.threat))
        .collect();
    if std::env::var_os("E2B_ATTACK").is_none() {
        assert_eq!(rows.len(), ROWS, "{rows:#?}");
    }
}

#[test]
fn this_supervisor_can_leave_defences_out() {
    let program = fs::read(supervisor()).unwrap();
    let name = b"E2BRIDGE_LEFT_OUT";
    assert!(program.windows(name.len()).any(|bytes| bytes == name), "it is built without the feature");
}

#[test]
fn attacks_are_contained_in_full_strength() {
    let host = Host::new(&facts());
    let engine = Engine::start();
    let facts = host.facts();
    let (neighbour, _running) = start_neighbour(&engine, &facts);
    let attacks: Vec<_> = corpus::attacks()
        .into_iter()
        .filter(|attack| attack.language != Language::JavaScript || attack.node)
        // Nothing cuts the output here.
        .filter(|attack| !attack.must_be_truncated)
        .collect();
    corpus::for_each(
        &attacks,
        |attack| attack.name.clone(),
        |attack| {
            let sandbox =
                engine.try_create(Template::Base, LIMITS).map_err(|failure| format!("{failure:?}"))?;
            if attack.needs_memory_group && sandbox.created.posture.memory == Mechanism::Fallback {
                return Ok(());
            }
            let verdict = attempt(attack, &facts, &sandbox, &neighbour);
            corpus::report(attack, "base, supervisor", &verdict);
            let works = works(&sandbox).and_then(|()| works(&neighbour));
            engine.kill(sandbox.number);
            match (verdict, works) {
                (Verdict::Contained(_), Ok(())) => Ok(()),
                (verdict, works) => Err(format!("{}: {verdict:?}, {works:?}", attack.name)),
            }
        },
    );
}

#[test]
fn attacks_escape_without_the_defence_that_they_are_about() {
    attacks_escape(|attack| !attack.needs_free_processors);
}

/// Apart from the others, because nobody can take processors that are busy with them.
#[test]
#[ignore = "needs the machine to itself; scripts/test-attacks runs it last"]
fn alone_attacks_escape_without_the_defence_that_they_are_about() {
    attacks_escape(|attack| attack.needs_free_processors);
}

fn attacks_escape(chosen: impl Fn(&Attack) -> bool) {
    let host = Host::new(&facts());
    let mut escapes: Vec<(Attack, Escape)> = Vec::new();
    for attack in corpus::attacks().into_iter().filter(chosen) {
        for escape in &attack.escapes {
            match escape.who {
                Who::Root if !privileged() => continue,
                Who::User if privileged() => continue,
                _ => escapes.push((attack.clone(), escape.clone())),
            }
        }
    }
    corpus::for_each(
        &escapes,
        |(attack, escape)| format!("{} {escape:?}", attack.name),
        |(attack, escape)| {
            let how =
                escape.without.as_ref().map_or("unconfined".to_owned(), |names| format!("without {names}"));
            let mut verdict = Verdict::Broken(String::new());
            let began = Instant::now();
            while !matches!(verdict, Verdict::Escaped(_)) && began.elapsed() < TRIES {
                let facts = host.facts();
                verdict = match &escape.without {
                    None => attempt_unconfined(attack, &facts),
                    Some(left_out) => {
                        let engine = weakened(left_out);
                        let (neighbour, _running) = start_neighbour(&engine, &facts);
                        let sandbox = engine
                            .try_create(Template::Base, LIMITS)
                            .map_err(|failure| format!("{}, {how}: {failure:?}", attack.name))?;
                        attempt(attack, &facts, &sandbox, &neighbour)
                    }
                };
            }
            if attack.needs_free_processors
                && matches!(verdict, Verdict::Contained(_))
                && matches!(attempt_unconfined(attack, &host.facts()), Verdict::Contained(_))
            {
                skip(&format!("{}: the machine has no processors to give", attack.name));
                return Ok(());
            }
            corpus::report(attack, &how, &verdict);
            match verdict {
                Verdict::Escaped(_) => Ok(()),
                other => Err(format!("{}, {how}: {other:?}", attack.name)),
            }
        },
    );
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    if !privileged() {
        return;
    }
    if fs::metadata("/usr/bin/python3").is_err() {
        return skip("the attacks need /usr/bin/python3");
    }
    corpus::run_as_ordinary_user("attacks::attacks_", &[("E2B_TEST_SUPERVISOR", supervisor())]);
}

#[test]
#[ignore = "needs the machine to itself; scripts/test-attacks runs it last"]
fn alone_the_same_holds_for_an_ordinary_user() {
    if privileged() && fs::metadata("/usr/bin/python3").is_ok() {
        corpus::run_as_ordinary_user("attacks::alone_attacks", &[("E2B_TEST_SUPERVISOR", supervisor())]);
    }
}
