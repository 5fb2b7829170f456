//! What a health check warns of, as data, and how many answers make a client healthy.

use crate::document::HealthAlert;

/// Least share of the live sandboxes that must answer, in percent, for `healthy`.
const HEALTHY_PERCENT: usize = 90;
/// The same for `degraded`.
const DEGRADED_PERCENT: usize = 70;

/// Which side of the threshold is the bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Above it.
    Above,
    /// Below it.
    Below,
}

/// One rule: broken when its figure is on the bad side of the threshold.
#[derive(Debug)]
pub struct Rule {
    /// Its name in alerts.
    pub name: &'static str,
    /// `warning` or `critical`.
    pub severity: &'static str,
    /// The bad side.
    pub bad: Bad,
    /// The last figure that is fine.
    pub threshold: f64,
    /// What the figure is, in words.
    pub what: &'static str,
    /// Behind the figure.
    pub unit: &'static str,
}

/// Memory of a sandbox.
pub const SANDBOX_MEMORY: Rule = Rule {
    name: "sandbox_memory_percent",
    severity: "warning",
    bad: Bad::Above,
    threshold: 90.0,
    what: "memory in use, of the sandbox's limit",
    unit: " %",
};
/// Disk of a sandbox.
pub const SANDBOX_DISK: Rule = Rule {
    name: "sandbox_disk_percent",
    severity: "warning",
    bad: Bad::Above,
    threshold: 90.0,
    what: "disk in use, of the sandbox's limit",
    unit: " %",
};
/// Processes of a sandbox.
pub const SANDBOX_PROCESSES: Rule = Rule {
    name: "sandbox_processes_percent",
    severity: "warning",
    bad: Bad::Above,
    threshold: 90.0,
    what: "processes and threads, of the sandbox's limit",
    unit: " %",
};
/// A sandbox that does not answer.
pub const SANDBOX_UNRESPONSIVE: Rule = Rule {
    name: "sandbox_unresponsive",
    severity: "critical",
    bad: Bad::Above,
    threshold: 0.0,
    what: "probes of the sandbox without an answer",
    unit: "",
};
/// An engine or a cluster that does not answer.
pub const ENGINE_UNAVAILABLE: Rule = Rule {
    name: "engine_unavailable",
    severity: "critical",
    bad: Bad::Above,
    threshold: 0.0,
    what: "probes of the engine without an answer",
    unit: "",
};

impl Rule {
    /// The alert, when `value` breaks the rule; a figure that is not known breaks none.
    pub fn check(&self, subject: &str, value: Option<f64>) -> Option<HealthAlert> {
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
pub fn overall(engine_alive: bool, live: usize, responsive: usize) -> &'static str {
    let enough = |percent: usize| responsive * 100 >= live * percent;
    match (engine_alive, live) {
        (false, _) => "unhealthy",
        (true, 0) => "healthy",
        (true, _) if enough(HEALTHY_PERCENT) => "healthy",
        (true, _) if enough(DEGRADED_PERCENT) => "degraded",
        (true, _) => "unhealthy",
    }
}

/// `part` of `whole` in percent, where both are known.
#[expect(clippy::cast_precision_loss, reason = "a percentage is read to three digits")]
pub fn percent(part: Option<u64>, whole: Option<u64>) -> Option<f64> {
    match (part?, whole?) {
        (_, 0) => None,
        (part, whole) => Some(part as f64 * 100.0 / whole as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
