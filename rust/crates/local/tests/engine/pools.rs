//! Ready sandboxes.

use std::time::Duration;

use e2bridge_core::Backend;
use e2bridge_core::CancelToken;
use e2bridge_core::request::CreateSandbox;
use e2bridge_local::{Config, LocalBackend};
use serde_json::Value;

use crate::harness::{create, eventually, open, open_with, sh, state};

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
