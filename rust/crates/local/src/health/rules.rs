//! What a health check of this host warns of, beside what every backend does.

use e2bridge_core::document::{HealthAlert, IsolationReport, SandboxHealth, SandboxLimits};
use e2bridge_core::health::{
    Bad, ENGINE_UNAVAILABLE, Rule, SANDBOX_DISK, SANDBOX_MEMORY, SANDBOX_PROCESSES, SANDBOX_UNRESPONSIVE,
    percent,
};

use super::host::HostCapacity;
use crate::posture::{FULL, NAMESPACES};

const HOST_MEMORY: Rule = Rule {
    name: "host_memory_available_percent",
    severity: "warning",
    bad: Bad::Below,
    threshold: 10.0,
    what: "memory available, of the host's",
    unit: " %",
};
const ISOLATION_BELOW_FULL: Rule = Rule {
    name: "isolation_below_full",
    severity: "warning",
    bad: Bad::Above,
    threshold: 0.0,
    what: "parts of the full isolation that are missing (E2B.check() says why)",
    unit: "",
};

/// The rules that are broken, worst first.
pub(crate) fn alerts(
    engine_alive: bool,
    isolation: &IsolationReport,
    host: &HostCapacity,
    sandboxes: &[(SandboxHealth, SandboxLimits)],
) -> Vec<HealthAlert> {
    let unanswered = |answered: bool| Some(if answered { 0.0 } else { 1.0 });
    let mut alerts = Vec::new();
    alerts.extend(ENGINE_UNAVAILABLE.check("engine", unanswered(engine_alive)));
    for (sandbox, _) in sandboxes {
        alerts.extend(SANDBOX_UNRESPONSIVE.check(&sandbox.sandbox_id, unanswered(sandbox.responsive)));
    }
    alerts.extend(ISOLATION_BELOW_FULL.check(&format!("isolation {}", isolation.tier), missing(isolation)));
    alerts.extend(HOST_MEMORY.check("host", percent(host.memory_available_bytes, host.memory_total_bytes)));
    for (sandbox, limits) in sandboxes {
        let (id, metrics) = (&sandbox.sandbox_id, &sandbox.metrics);
        alerts.extend(
            SANDBOX_MEMORY.check(id, percent(metrics.memory_bytes, Some(metrics.memory_limit_bytes))),
        );
        alerts
            .extend(SANDBOX_DISK.check(id, percent(metrics.disk_used_bytes, Some(metrics.disk_limit_bytes))));
        alerts.extend(SANDBOX_PROCESSES.check(id, percent(metrics.processes, Some(limits.processes.into()))));
    }
    alerts
}

/// How much of the full isolation is missing: namespaces, or a bound. Not known before there is an engine.
fn missing(isolation: &IsolationReport) -> Option<f64> {
    match isolation.tier.as_str() {
        FULL => Some(0.0),
        "none" => None,
        _ => Some(
            f64::from(u8::try_from(NAMESPACES.len() - isolation.namespaces.len()).unwrap_or(u8::MAX))
                .max(1.0),
        ),
    }
}

#[cfg(test)]
mod tests {
    use e2bridge_core::document::{SandboxMetrics, SandboxState};

    use super::*;

    fn isolation(tier: &str, namespaces: usize) -> IsolationReport {
        IsolationReport {
            tier: tier.to_owned(),
            namespaces: NAMESPACES[..namespaces].iter().map(|&name| name.to_owned()).collect(),
            ids: "own".to_owned(),
            seccomp: true,
            landlock_abi: 7,
            memory: "per_process".to_owned(),
            processes: "per_user".to_owned(),
            cpu: "affinity".to_owned(),
            disk: "per_file".to_owned(),
        }
    }

    fn host(available: u64) -> HostCapacity {
        HostCapacity {
            memory_total_bytes: Some(1_000),
            memory_available_bytes: Some(available),
            ..HostCapacity::default()
        }
    }

    fn sandbox(
        responsive: bool,
        memory: Option<u64>,
        disk: u64,
        processes: u64,
    ) -> (SandboxHealth, SandboxLimits) {
        let metrics = SandboxMetrics {
            memory_bytes: memory,
            memory_limit_bytes: 1_000,
            disk_used_bytes: Some(disk),
            disk_limit_bytes: 1_000,
            processes: Some(processes),
            ..SandboxMetrics::default()
        };
        let health = SandboxHealth {
            sandbox_id: "sb_a".to_owned(),
            name: "a".to_owned(),
            template: "base".to_owned(),
            status: SandboxState::Running,
            responsive,
            probe_us: responsive.then_some(10.0),
            metrics,
        };
        (health, SandboxLimits { memory_mb: 1, cpu_count: 1, disk_mb: 1, processes: 100 })
    }

    #[test]
    fn a_rule_is_broken_beyond_its_threshold_and_not_at_it() {
        let names = |host: &HostCapacity, sandbox| -> Vec<String> {
            alerts(true, &isolation(FULL, 7), host, &[sandbox]).into_iter().map(|alert| alert.rule).collect()
        };
        assert!(names(&host(100), sandbox(true, Some(900), 900, 90)).is_empty());
        assert_eq!(
            names(&host(99), sandbox(true, Some(901), 901, 91)),
            [
                "host_memory_available_percent",
                "sandbox_memory_percent",
                "sandbox_disk_percent",
                "sandbox_processes_percent"
            ]
        );
        assert!(names(&host(100), sandbox(true, None, 0, 0)).is_empty(), "an unknown figure breaks no rule");
        assert_eq!(names(&host(100), sandbox(false, None, 0, 0)), ["sandbox_unresponsive"]);
    }

    #[test]
    fn isolation_below_full_is_an_alert() {
        let alert = |tier, namespaces| alerts(true, &isolation(tier, namespaces), &host(500), &[]).pop();
        let found = alert("process", 0).unwrap();
        assert_eq!(
            (found.rule.as_str(), found.subject.as_str()),
            ("isolation_below_full", "isolation process")
        );
        assert!((found.value - 7.0).abs() < 1e-9 && found.severity == "warning");
        assert!((alert("unbounded_processes", 7).unwrap().value - 1.0).abs() < 1e-9);
        assert!(alert(FULL, 7).is_none() && alert("none", 0).is_none());
    }

    #[test]
    fn an_alert_has_rule_value_and_threshold() {
        let alert = alerts(true, &isolation(FULL, 7), &host(55), &[]).remove(0);
        assert_eq!((alert.rule.as_str(), alert.subject.as_str()), ("host_memory_available_percent", "host"));
        assert!((alert.value - 5.5).abs() < 1e-9 && (alert.threshold - 10.0).abs() < 1e-9);
        assert_eq!(alert.message, "host: memory available, of the host's: 5.5 %, at least 10.0 % is fine");
        let alert = alerts(false, &isolation("none", 0), &host(500), &[]).remove(0);
        assert_eq!((alert.rule.as_str(), alert.severity.as_str()), ("engine_unavailable", "critical"));
    }
}
