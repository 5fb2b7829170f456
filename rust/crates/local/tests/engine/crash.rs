//! What dies, and what that does to everything else.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use e2bridge_core::document::SandboxState;
use e2bridge_core::{Backend, CancelToken, Code};
use rustix::process::Signal;

use crate::harness::{
    create, descendants, eventually, facts, ids, inits, open, open_without_pools, processes_with, request,
    sh, signal, state, supervisor_pid, try_sh,
};

/// The host's process id of a sandbox's init: the parent's parent of a program in it.
fn init_of(engine: &e2bridge_local::LocalBackend, id: &str, marker: &str) -> u32 {
    sh(engine, id, &format!("sleep {marker} >/dev/null 2>&1 &"));
    let parent = |pid: u32| -> u32 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    // The shell has gone on before its child became `sleep`.
    eventually(Duration::from_secs(5), "the program runs", || processes_with(marker) == 1);
    let sleeping = descendants(supervisor_pid(engine).unwrap())
        .into_iter()
        .find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|part| part == marker.as_bytes())
        })
        .unwrap();
    // sleep -> shepherd -> init
    parent(parent(sleeping))
}

#[test]
fn a_killed_supervisor_fails_its_sandboxes_and_the_next_create_starts_a_new_one() {
    let Some(engine) = open() else { return };
    let (idle, busy) = (create(&engine).sandbox_id, create(&engine).sandbox_id);
    let supervisor = supervisor_pid(&engine).unwrap();
    let below = descendants(supervisor);
    assert!(below.len() >= 3, "{below:?}");
    std::thread::scope(|scope| {
        let call = scope.spawn(|| try_sh(&engine, &busy, "sleep 98791", 60));
        eventually(Duration::from_secs(5), "the program runs", || processes_with("98791") == 1);
        let began = Instant::now();
        signal(supervisor, Signal::KILL);
        let error = call.join().unwrap().unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{error}");
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    });
    for id in [&idle, &busy] {
        eventually(Duration::from_secs(2), "failed", || state(&engine, id) == SandboxState::Failed);
        let error = try_sh(&engine, id, "true", 1).unwrap_err();
        assert_eq!(facts(&error), (Code::NotFound, Some("sandbox_id"), Some("failed")), "{error}");
    }
    eventually(Duration::from_secs(2), "everything below it is gone", || processes_with("98791") == 0);
    let fresh = create(&engine).sandbox_id;
    assert_eq!(sh(&engine, &fresh, "echo new").stdout, "new\n");
    assert_ne!(supervisor_pid(&engine).unwrap(), supervisor);
    assert_eq!(ids(&engine, "running"), [fresh]);
}

#[test]
fn a_pool_of_the_dead_serves_nobody() {
    let Some(engine) = open() else { return };
    for _ in 0..10 {
        let id = create(&engine).sandbox_id;
        eventually(Duration::from_secs(10), "the pool has some", || {
            engine.monitor_health(false).unwrap().pools["base"]["ready"].as_u64().unwrap() >= 2
        });
        let supervisor = supervisor_pid(&engine).unwrap();
        signal(supervisor, Signal::KILL);
        // Known to be dead, but perhaps not yet to the thread that keeps the pools.
        eventually(Duration::from_secs(2), "failed", || try_sh(&engine, &id, "true", 5).is_err());
        let fresh = create(&engine).sandbox_id;
        assert_eq!(sh(&engine, &fresh, "echo new").stdout, "new\n");
    }
}

#[test]
fn a_stopped_supervisor_does_not_hang_what_needs_it_not() {
    let Some(engine) = open_without_pools() else { return };
    let id = create(&engine).sandbox_id;
    let supervisor = supervisor_pid(&engine).unwrap();
    signal(supervisor, Signal::STOP);
    let began = Instant::now();
    assert_eq!(sh(&engine, &id, "echo on").stdout, "on\n");
    assert_eq!(state(&engine, &id), SandboxState::Running);
    assert!(began.elapsed() < Duration::from_secs(1));
    // And closing, which the end of the test does, ends it all the same.
}

#[test]
fn a_cancelled_create_does_not_wait_for_a_zygote_or_a_supervisor_that_is_stopped() {
    let Some(engine) = open_without_pools() else { return };
    create(&engine);
    let supervisor = supervisor_pid(&engine).unwrap();
    let zygote = descendants(supervisor)
        .into_iter()
        .find(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default() == "e2b-zygote\n"
        })
        .unwrap();
    for stopped in [zygote, supervisor] {
        signal(stopped, Signal::STOP);
        let token = CancelToken::new();
        std::thread::scope(|scope| {
            let call = scope.spawn(|| engine.create_sandbox(&request("cancelled"), &token));
            std::thread::sleep(Duration::from_millis(200));
            let began = Instant::now();
            token.cancel();
            assert_eq!(call.join().unwrap().unwrap_err().code(), Code::Cancelled);
            assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        });
        signal(stopped, Signal::CONT);
        let made = create(&engine).sandbox_id;
        assert_eq!(sh(&engine, &made, "echo on").stdout, "on\n");
        eventually(Duration::from_secs(5), "nothing of the cancelled one is left", || {
            inits(supervisor).len() == engine.live_sandboxes()
        });
    }
}

#[test]
fn a_killed_init_fails_its_sandbox_alone() {
    let Some(engine) = open() else { return };
    let (hit, other) = (create(&engine).sandbox_id, create(&engine).sandbox_id);
    let init = init_of(&engine, &hit, "98792");
    std::thread::scope(|scope| {
        let call = scope.spawn(|| try_sh(&engine, &hit, "sleep 98793", 60));
        eventually(Duration::from_secs(5), "the program runs", || processes_with("98793") == 1);
        signal(init, Signal::KILL);
        let error = call.join().unwrap().unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{error}");
    });
    eventually(Duration::from_secs(2), "failed", || state(&engine, &hit) == SandboxState::Failed);
    eventually(Duration::from_secs(2), "cleaned up", || engine.live_sandboxes() == 1);
    assert_eq!(processes_with("98792") + processes_with("98793"), 0);
    assert_eq!(sh(&engine, &other, "echo fine").stdout, "fine\n");
    assert_eq!(ids(&engine, "failed"), [hit]);
}

#[test]
fn an_idle_sandbox_whose_init_is_killed_is_noticed() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    let init = init_of(&engine, &id, "98794");
    signal(init, Signal::KILL);
    eventually(Duration::from_secs(2), "failed", || state(&engine, &id) == SandboxState::Failed);
    eventually(Duration::from_secs(2), "cleaned up", || engine.live_sandboxes() == 0);
}

#[test]
fn a_stopped_init_delays_a_time_out_by_the_backstop_only() {
    let Some(engine) = open() else { return };
    for line in ["sleep 98796", "sleep 98796 & yes"] {
        stop_init_during(&engine, line);
    }
}

fn stop_init_during(engine: &e2bridge_local::LocalBackend, line: &str) {
    let id = create(engine).sandbox_id;
    let init = init_of(engine, &id, "98795");
    std::thread::scope(|scope| {
        let began = Instant::now();
        let call = scope.spawn(|| try_sh(engine, &id, line, 1));
        eventually(Duration::from_secs(5), "the program runs", || processes_with("98796") == 1);
        signal(init, Signal::STOP);
        let status = Instant::now();
        engine.sandbox_status(&id).unwrap();
        assert!(status.elapsed() < Duration::from_millis(600), "{:?}", status.elapsed());
        let result = call.join().unwrap().unwrap();
        assert!(result.timed_out);
        assert!((6.9..9.0).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
    });
    assert_eq!(state(engine, &id), SandboxState::Failed);
    assert_eq!(processes_with("98795") + processes_with("98796"), 0);
}

/// Not a test of its own: the process that the next one kills.
#[test]
#[ignore = "started and killed by the crash test"]
fn victim() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    sh(&engine, &id, "setsid sleep 98797 >/dev/null 2>&1 &");
    eprintln!("supervisor {}", supervisor_pid(&engine).unwrap());
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn when_the_process_is_killed_everything_of_it_ends() {
    end_everything(|_| {});
}

#[test]
fn when_the_process_is_killed_a_supervisor_that_was_stopped_ends_everything_all_the_same() {
    end_everything(|supervisor| signal(supervisor, Signal::STOP));
}

fn end_everything(before: impl FnOnce(u32)) {
    // Held to the end, because other tests would count the processes of this one as theirs.
    let Some(_turn) = open() else { return };
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "crash::victim", "--nocapture"])
        .env("E2B_TESTS_REQUIRED", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually(Duration::from_secs(20), "the program runs", || processes_with("98797") == 1);
    let below: BTreeSet<u32> = descendants(victim.id());
    assert!(below.len() >= 4, "{below:?}");
    let is_supervisor = |pid: &&u32| {
        let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        program.to_string_lossy().contains("e2bridge-supervisor")
            && status.contains(&format!("\nPPid:\t{}\n", victim.id()))
    };
    before(*below.iter().find(is_supervisor).unwrap());
    victim.kill().unwrap();
    victim.wait().unwrap();
    eventually(Duration::from_secs(3), "everything ends", || {
        processes_with("98797") == 0
            && below.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
    });
}

#[test]
fn the_engine_sets_no_signal_handler() {
    let signals = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let lines = status.lines().filter(|line| line.starts_with("SigCgt") || line.starts_with("SigIgn"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = signals();
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    sh(&engine, &id, "true");
    assert_eq!(signals(), before);
    // Waits of others for children of their own are as they were.
    assert_eq!(Command::new("/bin/sh").args(["-c", "exit 7"]).status().unwrap().code(), Some(7));
}

#[test]
fn a_supervisor_whose_end_somebody_else_took_is_replaced_all_the_same() {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    let supervisor = supervisor_pid(&engine).unwrap();
    std::thread::scope(|scope| {
        // As a library that calls waitpid(-1) does; not for ever, because the next supervisor may be there before it looks.
        let until = Instant::now() + Duration::from_secs(2);
        let nothing_ended =
            || matches!(waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG), Ok(None));
        let thief = scope.spawn(move || {
            while nothing_ended() && Instant::now() < until {
                std::thread::yield_now();
            }
        });
        std::thread::sleep(Duration::from_millis(100));
        signal(supervisor, Signal::KILL);
        // Whoever is first takes it; the other sees that there is none.
        thief.join().unwrap();
    });
    eventually(Duration::from_secs(2), "failed", || state(&engine, &id) == SandboxState::Failed);
    let fresh = create(&engine).sandbox_id;
    assert_eq!(sh(&engine, &fresh, "echo new").stdout, "new\n");
}
