//! Ready sandboxes.

use std::time::Duration;

use e2bridge_core::Backend;
use e2bridge_core::CancelToken;
use e2bridge_core::request::{CreateSandbox, RunCode};
use e2bridge_local::{Config, LocalBackend};
use serde_json::Value;

use crate::harness::{create, eventually, open, open_with, sh, state, without_pools};

fn pool(engine: &LocalBackend, key: &str) -> Value {
    engine.monitor_health(false).unwrap().pools["base"][key].clone()
}

#[test]
fn a_pool_fills_after_the_first_use_and_a_create_takes_from_it() {
    let Some(engine) = open() else { return };
    eventually(Duration::from_secs(10), "the pool is full", || pool(&engine, "ready") == 4);
    let hits = pool(&engine, "hits").as_u64().unwrap();
    let sandbox = create(&engine);
    assert_eq!(pool(&engine, "hits").as_u64().unwrap(), hits + 1);
    // What comes from the pool is as fresh as what does not.
    let status = engine.sandbox_status(&sandbox.sandbox_id).unwrap();
    assert!(status.metrics.uptime_seconds < 1.0 && status.metrics.executions == 0);
    assert_eq!(
        sh(&engine, &sandbox.sandbox_id, "ls -A /home/user /tmp; echo $E2B_SANDBOX_ID").stdout.lines().last(),
        Some(sandbox.sandbox_id.as_str())
    );
    eventually(Duration::from_secs(10), "the pool is full again", || pool(&engine, "ready") == 4);
    assert_eq!(engine.live_sandboxes(), 1, "those in the pool are nobody's");
}

#[test]
fn other_limits_are_made_to_order() {
    let Some(engine) = open() else { return };
    eventually(Duration::from_secs(10), "the pool is full", || pool(&engine, "ready") == 4);
    let (hits, misses) = (pool(&engine, "hits"), pool(&engine, "misses"));
    let request = CreateSandbox::new("x", None, None, Some(100), None).unwrap();
    let created = engine.create_sandbox(&request, &CancelToken::new()).unwrap();
    assert_eq!((created.limits.memory_mb, created.limits.disk_mb), (100, 50));
    assert_eq!((pool(&engine, "hits"), pool(&engine, "misses")), (hits, misses));
}

#[test]
fn a_pool_of_none_is_never_filled() {
    let Some(engine) = open_with(Config { pool_base: Some(0), disk_mb: Some(10), ..Config::default() })
    else {
        return;
    };
    let sandbox = create(&engine);
    assert_eq!(sandbox.limits.disk_mb, 10);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(pool(&engine, "ready"), 0);
    assert_eq!(state(&engine, &sandbox.sandbox_id).word(), "running");
}

/// Pooled and cold, one each, from two engines; the first one only once its pool is full.
fn with_both(check: impl Fn(&LocalBackend, [&str; 2], &LocalBackend)) {
    let Some(pooled) = open() else { return };
    let cold = LocalBackend::open(without_pools()).unwrap();
    eventually(Duration::from_secs(10), "the pool is full", || pool(&pooled, "ready") == 4);
    let ids = [create(&pooled).sandbox_id, create(&cold).sandbox_id];
    check(&pooled, [&ids[0], &ids[1]], &cold);
    cold.close();
}

#[test]
fn what_comes_from_the_pool_is_as_confined_as_what_does_not() {
    with_both(|pooled, [one, other], cold| {
        let look = "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|CoreDump)' /proc/self/status; ulimit -a; hostname; pwd; umask; \
            cut -d' ' -f4- /proc/self/mountinfo | sed 's/ master:[0-9]*//; s/[ug]id=[0-9]*//g'; cat /proc/self/uid_map /proc/sys/user/max_* /proc/1/comm; \
            ls -lAR --time-style=+ /home /data /opt /srv /var/tmp /tmp /usr/local; env | grep -v E2B_SANDBOX_ID | sort";
        let seen = [(pooled, one), (cold, other)].map(|(engine, id)| {
            let output = sh(engine, id, look);
            assert!(output.stdout.len() > 1_000, "{}", output.stderr);
            // Each sandbox has a user id of its own outside, which its maps and mounts show.
            output
                .stdout
                .lines()
                .filter(|line| line.split_whitespace().count() != 3)
                .collect::<Vec<_>>()
                .join("\n")
        });
        assert_eq!(seen[0], seen[1]);
        let status = [(pooled, one), (cold, other)].map(|(engine, id)| engine.sandbox_status(id).unwrap());
        assert_eq!(status[0].limits, status[1].limits);
        let isolation = status.map(|status| serde_json::to_value(status.isolation).unwrap());
        assert_eq!(isolation[0], isolation[1]);
    });
}

#[test]
fn no_two_sandboxes_share_an_id_or_their_randomness() {
    let Some(engine) = open() else { return };
    let mut seen = std::collections::BTreeSet::new();
    let mut new = |what: &str, value: String| assert!(seen.insert(value.clone()), "{what} twice: {value}");
    let cold = Some(100);
    for memory_mb in [None, cold].into_iter().cycle().take(40) {
        let request = CreateSandbox::new("x", None, None, memory_mb, None).unwrap();
        let id = engine.create_sandbox(&request, &CancelToken::new()).unwrap().sandbox_id;
        new("id", id.clone());
        let code = RunCode::new(&id, "javascript", "Math.random()", None, None).unwrap();
        new("Math.random", engine.run_code(&code, &CancelToken::new()).unwrap().result.unwrap());
        new("/dev/urandom", sh(&engine, &id, "head -c 16 /dev/urandom | od -An -tx1").stdout);
        new("uuid", sh(&engine, &id, "cat /proc/sys/kernel/random/uuid").stdout);
        engine.terminate_sandbox(&id, true).unwrap();
    }
    assert!(pool(&engine, "hits").as_u64().unwrap() > 0);
}

/// A run in a sandbox of `python` whose interpreter still starts, and in those where it has: none is answered by what asked whether
/// it has started, and no two start from the same seeds.
#[test]
fn a_run_is_answered_whether_the_interpreter_has_started_or_not() {
    let Some(engine) = open() else { return };
    if !std::path::Path::new("/usr/bin/python3").exists() {
        return;
    }
    let of_python = |key: &str| engine.monitor_health(false).unwrap().pools["python"][key].clone();
    let run = || {
        let request = CreateSandbox::new("x", Some("python"), None, None, None).unwrap();
        let id = engine.create_sandbox(&request, &CancelToken::new()).unwrap().sandbox_id;
        let code = "import random, uuid\n(random.random(), uuid.uuid4().hex)";
        let request = RunCode::new(&id, "python", code, None, None).unwrap();
        let result = engine.run_code(&request, &CancelToken::new()).unwrap();
        assert!(result.error.is_none() && !result.timed_out, "{result:?}");
        result.result.unwrap()
    };
    let mut seen = std::collections::BTreeSet::from([run()]);
    for round in 0..12 {
        if round % 2 == 0 {
            eventually(Duration::from_secs(30), "an interpreter has started", || of_python("ready") == 1);
        }
        let hits = of_python("hits").as_u64();
        assert!(seen.insert(run()), "the same randomness twice");
        assert!(round % 2 == 1 || of_python("hits").as_u64() > hits, "it came from the pool");
    }
}

#[test]
fn a_life_begins_at_the_hand_out() {
    let Some(engine) = open() else { return };
    eventually(Duration::from_secs(10), "the pool is full", || pool(&engine, "ready") == 4);
    std::thread::sleep(Duration::from_millis(1_500));
    let before = e2bridge_core::time::now();
    let id = create(&engine).sandbox_id;
    let status = engine.sandbox_status(&id).unwrap();
    // All of them are of one form, so that they sort as they follow each other.
    assert!(
        *status.started_at >= *before && *status.started_at <= *e2bridge_core::time::now(),
        "{}",
        status.started_at
    );
    assert!(status.metrics.remaining_seconds > 299.0 && status.metrics.uptime_seconds < 1.0);
}

#[test]
fn an_empty_pool_is_no_hindrance_and_fills_again() {
    let Some(engine) = open_with(Config { pool_base: Some(2), ..Config::default() }) else { return };
    eventually(Duration::from_secs(10), "the pool is full", || pool(&engine, "ready") == 2);
    let number = |key: &str| pool(&engine, key).as_u64().unwrap();
    let before = number("hits") + number("misses");
    let ids: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..12).map(|_| scope.spawn(|| create(&engine).sandbox_id)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(number("hits") + number("misses"), before + 12);
    assert!(number("misses") > 0);
    for id in ids {
        engine.terminate_sandbox(&id, true).unwrap();
    }
    eventually(Duration::from_secs(10), "the pool is full again", || pool(&engine, "ready") == 2);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!((number("ready"), number("target")), (2, 2), "and no more than that");
    for key in ["last_fill_ms", "median_fill_ms"] {
        assert!(pool(&engine, key).as_f64().unwrap() > 0.0, "{key}");
    }
}
