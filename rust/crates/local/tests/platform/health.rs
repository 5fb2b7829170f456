use std::time::Duration;

use e2bridge_core::Backend;
use e2bridge_core::document::HealthReport;

use crate::support::{Fixture, engine, eventually};

fn monitor(fixture: &Fixture) -> HealthReport {
    fixture.backend.monitor_health(true).unwrap()
}

/// Process ids, on the host, of the processes below `top` that are the first of their pid namespace and not a zygote.
fn inits_below(top: u64) -> Vec<i32> {
    let mut inits = Vec::new();
    let mut parents = vec![top];
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok()) else {
            continue;
        };
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
        let parent: u64 = field("PPid:").and_then(|text| text.parse().ok()).unwrap_or(0);
        let nested: Vec<u64> =
            field("NSpid:").unwrap_or("").split_whitespace().filter_map(|text| text.parse().ok()).collect();
        all.push((pid, parent, nested));
    }
    while let Some(parent) = parents.pop() {
        for (pid, _, nested) in all.iter().filter(|(_, of, _)| *of == parent) {
            parents.push(*pid);
            // supervisor's own namespace, the zygote's, the sandbox's
            if nested.len() >= 3 && nested.last() == Some(&1) {
                inits.push(i32::try_from(*pid).unwrap());
            }
        }
    }
    inits
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[test]
fn an_engine_without_sandboxes_is_healthy_by_its_own_state() {
    let Some(fixture) = engine() else { return };
    let report = monitor(&fixture);
    assert_eq!(report.overall_health, "healthy");
    assert_eq!(report.engine["state"], "running");
    assert!(report.engine["supervisor_pid"].as_u64().is_some_and(|pid| pid > 1));
    assert!(report.engine["probe_us"].as_f64().is_some_and(|took| took > 0.0));
    assert_eq!((report.live_sandboxes, report.responsive_sandboxes, report.sandboxes.len()), (0, 0, 0));
    assert!(report.host["cpu_count"].as_u64().is_some_and(|cpus| cpus >= 1));
    assert!(report.host["memory_available_bytes"].as_u64() <= report.host["memory_total_bytes"].as_u64());
    assert!(report.host["room_for_sandboxes"].is_u64());
    assert!(report.pools.contains_key("base") && report.pools.contains_key("python"));
    assert_eq!(report.isolation.tier, "full");
}

#[test]
fn every_sandbox_is_probed_when_asked_for() {
    let Some(fixture) = engine() else { return };
    let ids: Vec<String> = (0..5).map(|_| fixture.create("base").unwrap()).collect();
    let report = monitor(&fixture);
    assert_eq!(report.overall_health, "healthy");
    assert_eq!((report.live_sandboxes, report.responsive_sandboxes), (5, 5));
    assert_eq!(report.sandboxes.iter().map(|row| row.sandbox_id.clone()).collect::<Vec<_>>(), ids);
    for row in &report.sandboxes {
        assert!(row.responsive && row.probe_us.is_some_and(|took| took > 0.0), "{row:?}");
        assert!(row.metrics.memory_limit_bytes == 512 << 20 && row.metrics.processes >= Some(1), "{row:?}");
    }
    assert_eq!(*fixture.backend.sandbox_status(&ids[0]).unwrap().isolation, report.isolation);

    let report = fixture.backend.monitor_health(false).unwrap();
    assert_eq!((report.sandboxes.len(), report.live_sandboxes), (0, 5));
}

#[test]
fn what_runs_out_is_an_alert_with_its_figure() {
    let Some(fixture) = engine() else { return };
    let sandbox = fixture.create_with("base", Some(64)).unwrap();
    let quiet = monitor(&fixture).alerts;
    assert!(!quiet.iter().any(|alert| alert.subject == sandbox), "{quiet:?}");
    // 31 of the 32 MiB of its disk.
    fixture.output(&sandbox, "head -c 32505856 /dev/zero > /tmp/full");
    let report = monitor(&fixture);
    let alert = report.alerts.iter().find(|alert| alert.rule == "sandbox_disk_percent").expect("an alert");
    assert_eq!((alert.subject.as_str(), alert.severity.as_str()), (sandbox.as_str(), "warning"));
    assert!(alert.value > 96.0 && alert.value <= 100.0 && (alert.threshold - 90.0).abs() < 1e-9, "{alert:?}");
    fixture.output(&sandbox, "rm /tmp/full");
    eventually("the alert goes", Duration::from_secs(5), || {
        !monitor(&fixture).alerts.iter().any(|alert| alert.rule == "sandbox_disk_percent")
    });
}

#[test]
fn a_sandbox_that_does_not_answer_is_found_out() {
    let Some(fixture) = engine() else { return };
    let supervisor = monitor(&fixture).engine["supervisor_pid"].as_u64().unwrap();
    let first = fixture.create("base").unwrap();
    let inits = inits_below(supervisor);
    assert_eq!(inits.len(), 1, "{inits:?}");
    for _ in 0..3 {
        fixture.create("base").unwrap();
    }
    signal(inits[0], rustix::process::Signal::STOP);
    let report = monitor(&fixture);
    // 3 of 4 are 75 %.
    assert_eq!((report.overall_health.as_str(), report.responsive_sandboxes), ("degraded", 3));
    let silent = report.sandboxes.iter().find(|row| row.sandbox_id == first).unwrap();
    assert!(!silent.responsive && silent.probe_us.is_none());
    let alert = report.alerts.iter().find(|alert| alert.rule == "sandbox_unresponsive").expect("an alert");
    assert_eq!((alert.subject.as_str(), alert.severity.as_str()), (first.as_str(), "critical"));
    signal(inits[0], rustix::process::Signal::CONT);
    eventually("it is healthy again", Duration::from_secs(5), || {
        monitor(&fixture).overall_health == "healthy"
    });
}

#[test]
fn a_supervisor_that_does_not_answer_is_found_out_and_not_ended_for_it() {
    let Some(fixture) = engine() else { return };
    let sandbox = fixture.create("base").unwrap();
    let supervisor = i32::try_from(monitor(&fixture).engine["supervisor_pid"].as_u64().unwrap()).unwrap();
    signal(supervisor, rustix::process::Signal::STOP);
    let begun = std::time::Instant::now();
    let report = monitor(&fixture);
    signal(supervisor, rustix::process::Signal::CONT);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!((report.overall_health.as_str(), report.responsive_sandboxes), ("unhealthy", 1));
    assert!(report.alerts.iter().any(|alert| alert.rule == "engine_unavailable"));
    assert_eq!(monitor(&fixture).overall_health, "healthy");
    assert_eq!(fixture.output(&sandbox, "echo alive"), "alive\n");
}

#[test]
fn a_dead_supervisor_is_unhealthy_until_the_next_create() {
    let Some(fixture) = engine() else { return };
    let supervisor = monitor(&fixture).engine["supervisor_pid"].as_u64().unwrap();
    signal(i32::try_from(supervisor).unwrap(), rustix::process::Signal::KILL);
    eventually("it is noticed", Duration::from_secs(5), || monitor(&fixture).overall_health == "unhealthy");
    let report = monitor(&fixture);
    assert_eq!(report.engine["state"], "unavailable");
    assert!(report.alerts.iter().any(|alert| alert.rule == "engine_unavailable"), "{:?}", report.alerts);
    fixture.create("base").unwrap();
    let report = monitor(&fixture);
    assert_eq!((report.overall_health.as_str(), report.responsive_sandboxes), ("healthy", 1));
    assert_ne!(report.engine["supervisor_pid"].as_u64(), Some(supervisor));
}
