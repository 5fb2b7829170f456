//! The documents about a sandbox.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use e2bridge_core::document::{SandboxMetrics, SandboxStatus, SandboxSummary};
use e2bridge_core::time::now;

use super::Sandbox;
use super::life::Standing;
use crate::usage::Sample;

impl Sandbox {
    /// Live figures.
    pub(crate) fn metrics(&self, sample: &Sample) -> SandboxMetrics {
        self.metrics_until(sample, self.standing().deadline, Instant::now())
    }

    /// The same of one that lives until `deadline`, or has ended.
    fn metrics_until(&self, sample: &Sample, deadline: Option<Instant>, now: Instant) -> SandboxMetrics {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let cpu_seconds = sample.cpu_us.map(|cpu| cpu as f64 / 1e6);
        SandboxMetrics {
            cpu_seconds,
            cpu_percent: sample.cpu_percent.map(|percent| rounded(percent, 100.0)),
            memory_bytes: sample.memory_bytes,
            memory_peak_bytes: sample.memory_peak_bytes,
            memory_limit_bytes: u64::from(self.limits.memory_mb) << 20,
            processes: sample.processes,
            disk_used_bytes: sample.disk_used_bytes,
            disk_limit_bytes: u64::from(self.limits.disk_mb) << 20,
            uptime_seconds: seconds(now.saturating_duration_since(self.started())),
            remaining_seconds: deadline
                .map_or(0.0, |deadline| seconds(deadline.saturating_duration_since(now))),
            executions: self.executions.load(Ordering::Relaxed),
        }
    }

    /// The status document.
    pub(crate) fn live_status(&self, now: Instant) -> SandboxStatus {
        let standing = self.standing();
        let sample = if standing.deadline.is_some() { self.sample(now) } else { self.last_sample() };
        self.status_document(standing, &sample, None, now)
    }

    /// The one by which it is remembered.
    pub(crate) fn last_status(&self, sample: &Sample, ended_at: String) -> SandboxStatus {
        self.status_document(self.standing(), sample, Some(ended_at), Instant::now())
    }

    fn status_document(
        &self,
        standing: Standing,
        sample: &Sample,
        ended_at: Option<String>,
        at: Instant,
    ) -> SandboxStatus {
        let Standing { status, reason, deadline, expires_at } = standing;
        SandboxStatus {
            sandbox_id: Arc::clone(&self.id),
            name: self.name(),
            template: self.template_name(),
            status,
            started_at: self.started_at(),
            expires_at,
            ended_at,
            reason,
            limits: self.limits.clone(),
            isolation: self.isolation.clone(),
            deployment_id: self.deployment_id().map(str::to_owned),
            metrics: self.metrics_until(sample, deadline, at),
            sampled_at: Arc::clone(&sample.sampled_at),
            timestamp: now(),
        }
    }

    /// The row of the list.
    pub(crate) fn summary(&self) -> SandboxSummary {
        let Standing { status, expires_at, .. } = self.standing();
        SandboxSummary {
            sandbox_id: self.id.to_string(),
            name: self.name().to_string(),
            template: self.template_name().to_string(),
            status,
            started_at: self.started_at().to_string(),
            expires_at: expires_at.to_string(),
            ended_at: None,
            limits: *self.limits,
            deployment_id: self.deployment_id().map(str::to_owned),
        }
    }
}

/// A duration for documents, to the microsecond.
fn seconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64(), 1e6)
}

/// To so many parts of one: further digits say nothing, and cost whoever writes and reads them.
fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
