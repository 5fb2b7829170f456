//! Create, list, status, expiry, terminate, close.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2bridge_core::document::SandboxState;
use e2bridge_core::request::{CreateSandbox, ExecuteProcess, RunCode};
use e2bridge_core::{Backend, CancelToken, Code};
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{
    create, descendants, eventually, facts, ids, inits, open, open_without_pools, processes_with, request,
    sh, signal, state, supervisor_pid, try_sh, write,
};

#[test]
fn a_sandbox_lives_from_create_to_terminate() {
    let Some(engine) = open() else { return };
    let created = create(&engine);
    let id = created.sandbox_id.as_str();
    assert!(id.starts_with("sb_") && id.len() >= 23, "{id}");
    assert_eq!(
        (created.status, created.template.as_str(), created.timeout),
        (SandboxState::Running, "base", 3_600)
    );
    assert_eq!((created.limits.memory_mb, created.limits.cpu_count, created.limits.disk_mb), (512, 1, 256));
    assert_eq!(created.isolation.tier, "full");
    assert_eq!(engine.live_sandboxes(), 1);

    let status = engine.sandbox_status(id).unwrap();
    assert_eq!((status.status, &*status.name), (SandboxState::Running, "test"));
    assert_eq!(*status.started_at, *created.started_at);
    assert_eq!(*status.expires_at, *created.expires_at);
    assert_eq!(status.metrics.memory_limit_bytes, 512 << 20);
    assert_eq!(status.metrics.disk_limit_bytes, 256 << 20);
    assert!(status.metrics.remaining_seconds > 3_590.0 && status.metrics.remaining_seconds <= 3_600.0);
    assert!(status.metrics.processes.unwrap() >= 1);
    assert!(status.metrics.memory_bytes.unwrap() > 0);

    let terminated = engine.terminate_sandbox(id, false).unwrap();
    assert!(!terminated.forced, "nothing ran");
    assert!(terminated.duration_ms < 1_000.0, "{}", terminated.duration_ms);
    assert_eq!(engine.live_sandboxes(), 0);
    let status = engine.sandbox_status(id).unwrap();
    assert_eq!(status.status, SandboxState::Terminated);
    assert!(status.ended_at.is_some() && status.reason.is_some());
    assert_eq!(status.metrics.remaining_seconds, 0.0);
}

#[test]
fn every_other_call_on_an_ended_sandbox_is_not_found_with_its_state() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    engine.terminate_sandbox(&id, true).unwrap();
    let token = CancelToken::new();
    for error in [
        engine.terminate_sandbox(&id, true).unwrap_err(),
        engine.terminate_sandbox(&id, false).unwrap_err(),
        try_sh(&engine, &id, "true", 1).unwrap_err(),
        engine.set_timeout(&id, 10).unwrap_err(),
        engine.read_file(&id, "x", &token).unwrap_err(),
        write(&engine, &id, "x", b"").unwrap_err(),
    ] {
        assert_eq!(facts(&error), (Code::NotFound, Some("sandbox_id"), Some("terminated")), "{error}");
    }
    let unknown = engine.sandbox_status("sb_aaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap_err();
    assert_eq!(facts(&unknown), (Code::NotFound, Some("sandbox_id"), None));
}

#[test]
fn lists_are_filtered_by_state_and_ordered_by_age() {
    let Some(engine) = open() else { return };
    let made: Vec<String> = (0..5).map(|_| create(&engine).sandbox_id).collect();
    engine.terminate_sandbox(&made[1], true).unwrap();
    engine.terminate_sandbox(&made[3], true).unwrap();
    assert_eq!(ids(&engine, "running"), [made[0].as_str(), &made[2], &made[4]]);
    let terminated = ids(&engine, "terminated");
    assert_eq!(terminated[terminated.len() - 2..], [made[1].clone(), made[3].clone()]);
    let all = ids(&engine, "all");
    assert_eq!(all[all.len() - 5..], made[..]);
    for filter in ["paused", "expired", "failed"] {
        assert!(ids(&engine, filter).is_empty(), "{filter}");
    }
}

#[test]
fn limits_that_template_or_host_cannot_give_are_refused_by_name() {
    let Some(engine) = open_without_pools() else { return };
    for (template, memory, cpus, argument) in [
        ("python", 31, 1, "memory_mb"),
        ("node", 63, 1, "memory_mb"),
        ("base", 16 * 1024 * 1024, 1, "memory_mb"),
        ("base", 64, 4_096, "cpu_count"),
        ("base", 15, 1, "memory_mb"),
    ] {
        let error = CreateSandbox::new("x", Some(template), None, Some(memory), Some(cpus))
            .and_then(|request| engine.create_sandbox(&request, &CancelToken::new()))
            .unwrap_err();
        assert_eq!(facts(&error), (Code::InvalidArgument, Some(argument), None), "{error}");
    }
    let unknown = CreateSandbox::new("x", Some("ruby"), None, None, None).unwrap();
    let error = engine.create_sandbox(&unknown, &CancelToken::new()).unwrap_err();
    assert_eq!(facts(&error), (Code::NotFound, Some("template"), None));
    for known in ["base", "python", "node"] {
        assert!(error.message().contains(known), "{error}");
    }
    assert_eq!(engine.live_sandboxes(), 0);
}

#[test]
fn a_sandbox_expires_at_its_deadline_and_not_before() {
    let Some(engine) = open() else { return };
    let short = CreateSandbox::new("short", None, Some(1), None, None).unwrap();
    let began = Instant::now();
    let id = engine.create_sandbox(&short, &CancelToken::new()).unwrap().sandbox_id;
    let kept = create(&engine).sandbox_id;
    let call = try_sh(&engine, &id, "sleep 30", 60).unwrap_err();
    let lived = began.elapsed();
    assert_eq!(facts(&call), (Code::NotFound, Some("sandbox_id"), Some("expired")), "{call}");
    assert!(lived >= Duration::from_millis(990) && lived < Duration::from_millis(2_000), "{lived:?}");
    eventually(Duration::from_secs(1), "remembered", || engine.live_sandboxes() == 1);
    assert_eq!(state(&engine, &id), SandboxState::Expired);
    assert_eq!(state(&engine, &kept), SandboxState::Running);
    assert_eq!(ids(&engine, "expired"), [id]);
}

#[test]
fn a_new_time_out_counts_from_now_in_both_directions() {
    let Some(engine) = open() else { return };
    let short = CreateSandbox::new("short", None, Some(1), None, None).unwrap();
    let id = engine.create_sandbox(&short, &CancelToken::new()).unwrap().sandbox_id;
    let set = engine.set_timeout(&id, 100).unwrap();
    assert_eq!(*engine.sandbox_status(&id).unwrap().expires_at, *set.expires_at);
    std::thread::sleep(Duration::from_millis(1_300));
    assert_eq!(state(&engine, &id), SandboxState::Running);
    let began = Instant::now();
    engine.set_timeout(&id, 1).unwrap();
    eventually(Duration::from_secs(3), "expiry", || state(&engine, &id) == SandboxState::Expired);
    assert!(began.elapsed() >= Duration::from_millis(990));
}

#[test]
fn terminate_lets_programs_end_by_themselves_unless_forced() {
    let Some(engine) = open_without_pools() else { return };
    for force in [false, true] {
        let id = create(&engine).sandbox_id;
        // One that ends 200 ms after it was asked to.
        sh(
            &engine,
            &id,
            "(trap 'sleep 0.2; exit 0' TERM; touch ready; while :; do sleep 0.05; done) >/dev/null 2>&1 &",
        );
        eventually(Duration::from_secs(5), "ready", || sh(&engine, &id, "test -e ready").exit_code == 0);
        let terminated = engine.terminate_sandbox(&id, force).unwrap();
        assert_eq!(terminated.forced, force);
        let expected = if force { 0.0..150.0 } else { 150.0..3_000.0 };
        assert!(expected.contains(&terminated.duration_ms), "force {force}: {} ms", terminated.duration_ms);
    }
}

#[test]
fn what_ignores_the_request_to_end_is_killed_after_the_grace_period() {
    let Some(engine) = open_without_pools() else { return };
    let id = create(&engine).sandbox_id;
    sh(&engine, &id, "(trap '' TERM; touch ready; while :; do sleep 1; done) >/dev/null 2>&1 &");
    eventually(Duration::from_secs(5), "ready", || sh(&engine, &id, "test -e ready").exit_code == 0);
    let terminated = engine.terminate_sandbox(&id, false).unwrap();
    assert!(terminated.forced);
    assert!((4_900.0..6_500.0).contains(&terminated.duration_ms), "{} ms", terminated.duration_ms);
}

#[test]
fn of_two_terminates_at_the_same_time_one_ends_it_and_none_hangs() {
    let Some(engine) = open() else { return };
    for _ in 0..20 {
        let id = create(&engine).sandbox_id;
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| match engine.terminate_sandbox(&id, true) {
                    Ok(_) => {
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(error) => {
                        assert_eq!(facts(&error), (Code::NotFound, Some("sandbox_id"), Some("terminated")))
                    }
                });
            }
        });
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_call_in_flight_ends_with_its_sandbox() {
    let Some(engine) = open() else { return };
    for force in [true, false] {
        let id = create(&engine).sandbox_id;
        std::thread::scope(|scope| {
            let call = scope.spawn(|| try_sh(&engine, &id, "sleep 30", 60));
            std::thread::sleep(Duration::from_millis(200));
            let began = Instant::now();
            engine.terminate_sandbox(&id, force).unwrap();
            let error = call.join().unwrap().unwrap_err();
            assert!(began.elapsed() < Duration::from_secs(2));
            assert_eq!(facts(&error), (Code::NotFound, Some("sandbox_id"), Some("terminated")), "{error}");
        });
    }
}

#[test]
fn two_hundred_concurrent_lives_leave_nothing() {
    let Some(engine) = open() else { return };
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::SeqCst) < 200 {
                    let id = create(&engine).sandbox_id;
                    let result = sh(&engine, &id, "echo $E2B_SANDBOX_ID");
                    assert_eq!(result.stdout.trim_end(), id);
                    engine.terminate_sandbox(&id, true).unwrap();
                }
            });
        }
    });
    assert_eq!(engine.live_sandboxes(), 0);
    assert_eq!(ids(&engine, "terminated").len(), 201, "with the one that the harness makes");
}

#[test]
fn many_live_at_once_and_close_ends_them_in_time() {
    // The harness checks how long closing takes.
    let Some(engine) = open() else { return };
    let made: Vec<String> = (0..200).map(|_| create(&engine).sandbox_id).collect();
    assert_eq!(engine.live_sandboxes(), 200);
    assert_eq!(ids(&engine, "running"), made);
    for id in made.iter().step_by(20) {
        sh(&engine, id, "sleep 98751 >/dev/null 2>&1 &");
    }
    let report = engine.monitor_health(true).unwrap();
    assert_eq!((report.overall_health.as_str(), report.responsive_sandboxes), ("healthy", 200));
}

#[test]
fn a_cancelled_create_leaves_nothing() {
    let Some(engine) = open_without_pools() else { return };
    let before = CancelToken::new();
    before.cancel();
    assert_eq!(engine.create_sandbox(&request("x"), &before).unwrap_err().code(), Code::Cancelled);
    for delay in (0..2_000).step_by(100) {
        let token = Arc::new(CancelToken::new());
        let canceller = Arc::clone(&token);
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(delay));
            canceller.cancel();
        });
        match engine.create_sandbox(&request("x"), &token) {
            Ok(created) => {
                engine.terminate_sandbox(&created.sandbox_id, true).unwrap();
            }
            Err(error) => assert_eq!(error.code(), Code::Cancelled, "{error}"),
        }
        thread.join().unwrap();
        assert_eq!(engine.live_sandboxes(), 0);
    }
    assert_eq!(crate::harness::state(&engine, &create(&engine).sandbox_id), SandboxState::Running);
}

#[test]
fn close_ends_what_is_in_flight_and_is_final() {
    let Some(engine) = open() else { return };
    let ids: Vec<String> = (0..4).map(|_| create(&engine).sandbox_id).collect();
    std::thread::scope(|scope| {
        let calls: Vec<_> =
            ids.iter().map(|id| scope.spawn(|| try_sh(&engine, id, "sleep 30 & sleep 30", 60))).collect();
        let creates: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        if let Err(error) = engine.create_sandbox(&request("x"), &CancelToken::new()) {
                            return error;
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        engine.close();
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        for call in calls {
            assert_eq!(call.join().unwrap().unwrap_err().code(), Code::Closed);
        }
        for create in creates {
            assert_eq!(create.join().unwrap().code(), Code::Closed);
        }
    });
    engine.close();
    let execute = ExecuteProcess::new(&ids[0], "true", None, None, None).unwrap();
    for error in [
        engine.create_sandbox(&request("x"), &CancelToken::new()).map(drop).unwrap_err(),
        engine.execute_process(&execute, &CancelToken::new()).map(drop).unwrap_err(),
        engine.sandbox_status(&ids[0]).map(drop).unwrap_err(),
        engine.terminate_sandbox(&ids[0], true).map(drop).unwrap_err(),
        engine.list_sandboxes(e2bridge_core::request::StatusFilter::All).map(drop).unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::Closed, "{error}");
    }
}

#[test]
fn a_thousand_cycles_leak_nothing() {
    let Some(engine) = open() else { return };
    let cycle = || {
        let id = create(&engine).sandbox_id;
        assert_eq!(sh(&engine, &id, "true").exit_code, 0);
        engine.sandbox_status(&id).unwrap();
        engine.terminate_sandbox(&id, true).unwrap();
    };
    (0..100).for_each(|_| cycle());
    let open_files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let (files, memory) = (open_files(), resident());
    (0..1_000).for_each(|_| cycle());
    // A pool may be one fuller or emptier, and each sandbox in it has a handful of descriptors.
    assert!(open_files() <= files + 16, "{} descriptors, before {files}", open_files());
    // A thousand remembered sandboxes take about a kilobyte each.
    assert!(resident() < memory + 8 * 1024, "{} KiB, before {memory}", resident());
    assert_eq!(ids(&engine, "all").len(), 1_000, "the newest thousand are remembered");
}

#[test]
fn nobody_is_asked_to_end_where_there_has_been_no_program() {
    let Some(engine) = open_without_pools() else { return };
    let id = create(&engine).sandbox_id;
    let request = RunCode::new(&id, "javascript", "6 * 7", None, None).unwrap();
    assert_eq!(engine.run_code(&request, &CancelToken::new()).unwrap().result.as_deref(), Some("42"));
    let init = inits(supervisor_pid(&engine).unwrap()).pop_first().unwrap();
    let init = Pid::from_raw(i32::try_from(init).unwrap()).unwrap();
    // It would not answer.
    if let Err(error) = kill_process(init, Signal::STOP) {
        return eprintln!("left out: to stop an init: {error}");
    }
    let began = Instant::now();
    let ended = engine.terminate_sandbox(&id, false).unwrap();
    assert!(!ended.forced && began.elapsed() < Duration::from_secs(4), "{ended:?}");
}

/// While the supervisor is stopped an end stays where it is: after the hang-up, before anything is killed.
#[test]
fn idle_interpreters_end_beside_their_init_and_those_of_others_stay() {
    let Some(engine) = open_without_pools() else { return };
    let supervisor = supervisor_pid(&engine).unwrap();
    let run = |id: &str, language: &str, code: &str, context: Option<&str>| {
        let request = RunCode::new(id, language, code, context, Some(30)).unwrap();
        engine.run_code(&request, &CancelToken::new())
    };
    let [(ending, init), (other, other_init)] = [(), ()].map(|()| {
        let before = inits(supervisor);
        let id = create(&engine).sandbox_id;
        let init = *inits(supervisor).difference(&before).next().unwrap();
        run(&id, "javascript", "var n = 1", None).unwrap();
        run(&id, "javascript", "var n = 2", Some("c")).unwrap();
        run(&id, "shell", "n=3", Some("c")).unwrap();
        (id, init)
    });
    let (idle, others) = (descendants(init), descendants(other_init));
    assert!(idle.len() >= 3 && others.len() >= 3, "{idle:?} {others:?}");
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&ending, "shell", "sleep 98752", Some("busy")));
        eventually(Duration::from_secs(5), "it runs", || processes_with("98752") == 1);
        let busy = &descendants(init) - &idle;
        signal(supervisor, Signal::STOP);
        let terminate = scope.spawn(|| engine.terminate_sandbox(&ending, true));
        eventually(Duration::from_secs(5), "only the run is left", || descendants(init) == busy);
        assert!(inits(supervisor).contains(&init));
        assert!(!terminate.is_finished() && !running.is_finished());
        signal(supervisor, Signal::CONT);
        assert!(terminate.join().unwrap().unwrap().forced);
        let error = running.join().unwrap().unwrap_err();
        assert_eq!(facts(&error), (Code::NotFound, Some("sandbox_id"), Some("terminated")), "{error}");
    });
    assert_eq!(descendants(other_init), others);
    for (language, code, result) in [("javascript", "n", "2"), ("shell", "echo $n", "3\n")] {
        let done = run(&other, language, code, Some("c")).unwrap();
        assert_eq!(done.result.unwrap_or(done.stdout), result, "{language}");
    }
    assert_eq!(descendants(other_init), others, "by the same interpreters");
}
