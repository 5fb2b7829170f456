//! Limits are enforced, not stored.

use std::time::{Duration, Instant};

use e2bridge_core::request::{CreateSandbox, ExecuteProcess, StatusFilter};
use e2bridge_core::{Backend, CancelToken, Code};
use e2bridge_local::LocalBackend;

use crate::harness::{create, open, open_without_pools, request, sh, try_sh};

fn create_with(engine: &LocalBackend, memory_mb: i64, cpus: i64) -> String {
    let request = CreateSandbox::new("limited", None, None, Some(memory_mb), Some(cpus)).unwrap();
    engine.create_sandbox(&request, &CancelToken::new()).unwrap().sandbox_id
}

/// Takes `mib` MiB of memory in a shell that has no other tool for it: `tail` keeps a line that does not end.
fn hog(mib: u32) -> String {
    format!("head -c {mib}m /dev/zero | tail | wc -c")
}

#[test]
fn a_program_beyond_the_memory_limit_is_ended_and_said_to_be_so() {
    let Some(engine) = open() else { return };
    let id = create_with(&engine, 64, 1);
    let fine = sh(&engine, &id, &hog(8));
    assert!(!fine.out_of_memory, "{fine:?}");
    let result = sh(&engine, &id, &hog(256));
    let by_cgroup = engine.sandbox_status(&id).unwrap().isolation.memory.starts_with("cgroup");
    assert_ne!(result.stdout.trim(), (256_u32 << 20).to_string(), "{result:?}");
    assert_eq!(result.out_of_memory, by_cgroup, "{result:?}");
    assert_eq!(sh(&engine, &id, "echo alive").stdout, "alive\n");
    let later = sh(&engine, &id, "true");
    assert!(!later.out_of_memory, "a later one is not blamed");
    let metrics = engine.sandbox_status(&id).unwrap().metrics;
    if by_cgroup {
        assert!(metrics.memory_peak_bytes.unwrap() <= 64 << 20, "{metrics:?}");
    }
}

#[test]
fn files_count_as_memory_and_are_bounded_before_it() {
    let Some(engine) = open() else { return };
    let id = create_with(&engine, 64, 1);
    let result = sh(&engine, &id, "head -c 100m /dev/zero >big; echo $?; wc -c <big");
    assert!(result.stderr.contains("No space left"), "{result:?}");
    assert!(!result.out_of_memory);
    let written: u64 = result.stdout.lines().last().unwrap().trim().parse().unwrap();
    assert!(written <= 32 << 20, "{written}");
    let many = sh(
        &engine,
        &id,
        "rm big; i=0; while [ $i -lt 20000 ] && true >f$i; do i=$((i+1)); done 2>/dev/null; echo $i",
    );
    let made: u64 = many.stdout.trim().parse().unwrap();
    assert!((500..10_000).contains(&made), "{made} files");
}

#[test]
fn one_processor_is_one_processor() {
    let Some(engine) = open() else { return };
    let id = create_with(&engine, 64, 1);
    let began = Instant::now();
    let result = try_sh(&engine, &id, "(while :; do :; done) & (while :; do :; done) & wait", 3).unwrap();
    let wall = began.elapsed().as_secs_f64();
    assert!(result.timed_out);
    let cpu = engine.sandbox_status(&id).unwrap().metrics.cpu_seconds.unwrap();
    assert!(cpu <= wall * 1.15, "{cpu} s of processor time in {wall} s");
    // Others may use the host's processors meanwhile.
    assert!(cpu >= wall * 0.05, "{cpu} s of processor time in {wall} s: the program hardly ran");
}

#[test]
fn after_a_fork_bomb_the_next_program_runs() {
    let Some(engine) = open() else { return };
    // Sessions of their own; and what is left behind of a program that ended by itself, which lives on.
    for (bomb, timed_out) in [
        ("exec perl -e 'use POSIX; while (1) { if (!fork) { setsid } }'", true),
        ("exec perl -e 'fork while 1'", true),
        ("b() { b | b & b; }; (b 2>/dev/null &) ; sleep 1", false),
    ] {
        let id = create(&engine).sandbox_id;
        let result = try_sh(&engine, &id, bomb, 3).unwrap();
        assert!(result.timed_out == timed_out || !timed_out, "{bomb}: {result:?}");
        let control = try_sh(&engine, &id, "echo alive", 20)
            .unwrap_or_else(|error| panic!("{bomb}: {error}: {:?}", engine.sandbox_status(&id)));
        assert_eq!(control.stdout, "alive\n", "{bomb}: {control:?}");
        engine.terminate_sandbox(&id, true).unwrap();
    }
}

#[test]
fn a_fork_bomb_stays_inside() {
    let Some(engine) = open() else { return };
    let (bombed, beside) = (create(&engine).sandbox_id, create(&engine).sandbox_id);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let bomb = scope.spawn(|| try_sh(&engine, &bombed, "b() { b | b & b; }; b 2>/dev/null", 3));
        std::thread::sleep(Duration::from_millis(1_000));
        for _ in 0..10 {
            let result = try_sh(&engine, &beside, "echo beside", 20).unwrap();
            assert_eq!(result.stdout, "beside\n");
        }
        let processes = engine.sandbox_status(&bombed).unwrap().metrics.processes;
        assert!(processes.is_none_or(|processes| processes <= 256), "{processes:?}");
        // It is over when the first shell has ended or the time has passed; both are results.
        bomb.join().unwrap().unwrap();
    });
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    let began = Instant::now();
    engine.terminate_sandbox(&bombed, true).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_sandbox_without_processes_left_says_so_and_recovers() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    sh(&engine, &id, "i=0; while [ $i -lt 300 ]; do sleep 5 & i=$((i+1)); done 2>/dev/null; true");
    let request = ExecuteProcess::new(&id, "true", None, Some(5), None).unwrap();
    // Either there is just room for one more, or the limit is named.
    if let Err(error) = engine.execute_process(&request, &CancelToken::new()) {
        assert_eq!(error.code(), Code::LimitExceeded, "{error}");
    }
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(sh(&engine, &id, "echo again").stdout, "again\n");
}

#[test]
fn figures_follow_what_happens() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    let before = engine.sandbox_status(&id).unwrap();
    sh(&engine, &id, "head -c 10m /dev/zero >file; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done");
    let after = engine.sandbox_status(&id).unwrap();
    assert!(after.metrics.disk_used_bytes.unwrap() >= 10 << 20, "{after:?}");
    if after.isolation.memory.starts_with("cgroup") {
        // There, files count.
        assert!(after.metrics.memory_bytes.unwrap() >= 10 << 20, "{after:?}");
    }
    assert!(after.metrics.cpu_seconds.unwrap() > before.metrics.cpu_seconds.unwrap());
    assert_eq!(after.metrics.executions, before.metrics.executions + 1);
    // Within 100 ms the same sample is answered.
    let again = engine.sandbox_status(&id).unwrap();
    let third = engine.sandbox_status(&id).unwrap();
    assert_eq!(again.sampled_at, third.sampled_at);
    std::thread::sleep(Duration::from_millis(120));
    assert_ne!(engine.sandbox_status(&id).unwrap().sampled_at, third.sampled_at);
}

#[test]
fn the_least_memory_of_each_template_is_enough_to_start() {
    let Some(engine) = open_without_pools() else { return };
    for (template, memory, line) in [
        ("base", 16, "echo up"),
        ("python", 32, "python3 -c 'print(\"up\")'"),
        ("node", 64, "node -e 'console.log(\"up\")'"),
    ] {
        let request = CreateSandbox::new("least", Some(template), None, Some(memory), None).unwrap();
        match engine.create_sandbox(&request, &CancelToken::new()) {
            Ok(created) => assert_eq!(sh(&engine, &created.sandbox_id, line).stdout, "up\n", "{template}"),
            Err(error) => {
                assert_eq!(error.code(), Code::Unsupported, "{error}");
                eprintln!("skipped {template}: {error}");
            }
        }
    }
}

#[test]
fn without_descriptors_calls_fail_and_the_engine_lives() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Some(engine) = open_without_pools() else { return };
    let id = create(&engine).sandbox_id;
    let before = getrlimit(Resource::Nofile);
    let open_now = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let mut refused = 0;
    for room in 0..12 {
        setrlimit(Resource::Nofile, Rlimit { current: Some(open_now + room), maximum: before.maximum })
            .unwrap();
        let created = engine
            .create_sandbox(&CreateSandbox::new("x", None, None, None, None).unwrap(), &CancelToken::new());
        let executed = try_sh(&engine, &id, "true", 5);
        setrlimit(Resource::Nofile, before).unwrap();
        match created {
            Ok(created) => drop(engine.terminate_sandbox(&created.sandbox_id, true).unwrap()),
            Err(error) => {
                refused += 1;
                assert_eq!(error.code(), Code::LimitExceeded, "{error}");
                assert!(error.message().contains("open files"), "{error}");
            }
        }
        if let Err(error) = executed {
            assert_eq!(error.code(), Code::LimitExceeded, "{error}");
        }
    }
    assert!(refused > 0);
    assert_eq!(sh(&engine, &id, "echo on").stdout, "on\n");
    assert_eq!(engine.live_sandboxes(), 1);
}

#[test]
fn many_sandboxes_meet_the_limit_of_the_host_with_an_error() {
    let Some(engine) = open_without_pools() else { return };
    let before = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let open = u64::try_from(std::fs::read_dir("/proc/self/fd").unwrap().count()).unwrap();
    let low = rustix::process::Rlimit { current: Some(open + 60), ..before };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, low).unwrap();
    let mut ids = Vec::new();
    let error = loop {
        match engine.create_sandbox(&request("many"), &CancelToken::new()) {
            Ok(created) => ids.push(created.sandbox_id),
            Err(error) => break error,
        }
    };
    // What there is still works, and ends.
    let found = (
        error.code(),
        ids.len(),
        engine.list_sandboxes(StatusFilter::parse(None).unwrap()).unwrap().total_count,
    );
    let ended: Vec<_> = ids.iter().map(|id| engine.terminate_sandbox(id, true).is_ok()).collect();
    rustix::process::setrlimit(rustix::process::Resource::Nofile, before).unwrap();
    assert_eq!(found.0, Code::LimitExceeded, "{error}");
    assert!(found.1 >= 10 && found.1 == found.2 && !ended.contains(&false), "{found:?} {ended:?}");
    create(&engine);
}
