//! What a health check warns of, as data, and how many answers make a client healthy.

use e2bridge_core::document::{HealthAlert, IsolationReport, SandboxHealth, SandboxLimits};

use super::host::HostCapacity;
use crate::posture::{FULL, NAMESPACES};

/// Least share of the live sandboxes that must answer, in percent, for `healthy`.
const HEALTHY_PERCENT: usize = 90;
/// The same for `degraded`.
const DEGRADED_PERCENT: usize = 70;

/// Which side of the threshold is the bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    Above,
    Below,
}

/// One rule: broken when its figure is on the bad side of the threshold.
#[derive(Debug)]
struct Rule {
    name: &'static str,
    severity: &'static str,
    bad: Bad,
    threshold: f64,
    /// What the figure is, in words.
    what: &'static str,
    /// Behind the figure.
    unit: &'static str,
}

const SANDBOX_MEMORY: Rule = Rule {
    name: "sandbox_memory_percent",
    severity: "warning",
    bad: Bad::Above,
    threshold: 90.0,
    what: "memory in use, of the sandbox's limit",
    unit: " %",
};
const SANDBOX_DISK: Rule = Rule {
    name: "sandbox_disk_percent",
    severity: "warning",
    bad: Bad::Above,
    threshold: 90.0,
    what: "disk in use, of the sandbox's limit",
    unit: " %",
};
const SANDBOX_PROCESSES: Rule = Rule {
    name: "sandbox_processes_percent",
    severity: "warning",
    bad: Bad::Above,
    threshold: 90.0,
    what: "processes and threads, of the sandbox's limit",
    unit: " %",
};
const SANDBOX_UNRESPONSIVE: Rule = Rule {
    name: "sandbox_unresponsive",
    severity: "critical",
    bad: Bad::Above,
    threshold: 0.0,
    what: "probes of the sandbox without an answer",
    unit: "",
};
const HOST_MEMORY: Rule = Rule {
    name: "host_memory_available_percent",
    severity: "warning",
    bad: Bad::Below,
    threshold: 10.0,
    what: "memory available, of the host's",
    unit: " %",
};
const ENGINE_UNAVAILABLE: Rule = Rule {
    name: "engine_unavailable",
    severity: "critical",
    bad: Bad::Above,
    threshold: 0.0,
    what: "probes of the engine without an answer",
    unit: "",
};

const ISOLATION_BELOW_FULL: Rule = Rule {
    name: "isolation_below_full",
    severity: "warning",
    bad: Bad::Above,
    threshold: 0.0,
    what: "parts of the full isolation that are missing (E2B.check() says why)",
    unit: "",
};

impl Rule {
    /// The alert, when `value` breaks the rule; a figure that is not known breaks none.
    fn check(&self, subject: &str, value: Option<f64>) -> Option<HealthAlert> {
        let value = value?;
        let broken = match self.bad {
            Bad::Above => value > self.threshold,
            Bad::Below => value < self.threshold,
        };
        let side = if self.bad == Bad::Above { "at most" } else { "at least" };
        broken.then(|| HealthAlert {
            rule: self.name.to_owned(),
            severity: self.severity.to_owned(),
            subject: subject.to_owned(),
            value,
            threshold: self.threshold,
            message: format!(
                "{subject}: {}: {:.1}{unit}, {side} {:.1}{unit} is fine",
                self.what,
                value,
                self.threshold,
                unit = self.unit
            ),
        })
    }
}

/// The word for `responsive` answers of `live` sandboxes; without any the engine's own state.
pub(crate) fn overall(engine_alive: bool, live: usize, responsive: usize) -> &'static str {
    let enough = |percent: usize| responsive * 100 >= live * percent;
    match (engine_alive, live) {
        (false, _) => "unhealthy",
        (true, 0) => "healthy",
        (true, _) if enough(HEALTHY_PERCENT) => "healthy",
        (true, _) if enough(DEGRADED_PERCENT) => "degraded",
        (true, _) => "unhealthy",
    }
}

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

#[expect(clippy::cast_precision_loss, reason = "a percentage is read to three digits")]
fn percent(part: Option<u64>, whole: Option<u64>) -> Option<f64> {
    match (part?, whole?) {
        (_, 0) => None,
        (part, whole) => Some(part as f64 * 100.0 / whole as f64),
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
    fn nine_of_ten_are_healthy_and_seven_of_ten_degraded() {
        let words: Vec<&str> = (0..=10).rev().map(|responsive| overall(true, 10, responsive)).collect();
        let expected = ["healthy"; 2].into_iter().chain(["degraded"; 2]).chain(["unhealthy"; 7]);
        assert_eq!(words, expected.collect::<Vec<_>>());
        assert_eq!(overall(true, 0, 0), "healthy");
        assert_eq!(overall(false, 0, 0), "unhealthy");
        assert_eq!(overall(false, 3, 3), "unhealthy");
        // One of one, and the exact bounds.
        assert_eq!((overall(true, 1, 1), overall(true, 1, 0)), ("healthy", "unhealthy"));
        assert_eq!((overall(true, 100, 90), overall(true, 100, 89)), ("healthy", "degraded"));
        assert_eq!((overall(true, 100, 70), overall(true, 100, 69)), ("degraded", "unhealthy"));
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
