//! What the API says of a sandbox, as our documents.

use std::time::{Duration, SystemTime};

use e2bridge_core::document::{
    IsolationReport, SandboxLimits, SandboxMetrics, SandboxState, SandboxStatus, SandboxSummary,
};
use e2bridge_core::time::{now, rfc3339};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::client::{Known, public_id, template_name};
use crate::metadata;
use crate::wire::api::{Detail, Metric, State};

/// The mechanism of everything that the cluster enforces: each sandbox is a virtual machine of its own, which cannot be looked into
/// from here.
const PROVIDER: &str = "provider";

/// The isolation of every sandbox of a cluster.
pub(crate) fn isolation() -> IsolationReport {
    IsolationReport {
        tier: PROVIDER.to_owned(),
        namespaces: Vec::new(),
        ids: PROVIDER.to_owned(),
        seccomp: false,
        landlock_abi: 0,
        memory: PROVIDER.to_owned(),
        processes: PROVIDER.to_owned(),
        cpu: PROVIDER.to_owned(),
        disk: PROVIDER.to_owned(),
    }
}

/// The moment of a timestamp; the beginning of time for what is none.
pub(crate) fn moment(text: &str) -> SystemTime {
    OffsetDateTime::parse(text, &Rfc3339).map_or(SystemTime::UNIX_EPOCH, SystemTime::from)
}

/// A timestamp of the cluster's as ours are written.
pub(crate) fn stamp(text: &str) -> String {
    rfc3339(moment(text))
}

/// The size of a sandbox. How many processes it may have, the cluster does not say: 0.
pub(crate) fn limits_of(detail: &Detail) -> SandboxLimits {
    SandboxLimits {
        memory_mb: detail.memory_mb,
        cpu_count: detail.cpu_count,
        disk_mb: detail.disk_size_mb,
        processes: 0,
    }
}

/// Whether it runs.
pub(crate) fn state_of(detail: &Detail) -> SandboxState {
    match detail.state {
        State::Paused => SandboxState::Paused,
        State::Running | State::Other => SandboxState::Running,
    }
}

/// Its name; for one without, its id.
pub(crate) fn name_of(detail: &Detail) -> String {
    match metadata::value(detail, metadata::NAME) {
        "" => detail.sandbox_id.clone(),
        name => name.to_owned(),
    }
}

/// Its deployment.
pub(crate) fn deployment_of(detail: &Detail) -> Option<String> {
    Some(metadata::value(detail, metadata::DEPLOYMENT)).filter(|id| !id.is_empty()).map(str::to_owned)
}

/// A row of a list.
pub(crate) fn summary(detail: &Detail) -> SandboxSummary {
    SandboxSummary {
        sandbox_id: public_id(&detail.sandbox_id),
        name: name_of(detail),
        template: template_name(detail),
        status: state_of(detail),
        started_at: stamp(&detail.started_at),
        expires_at: stamp(&detail.end_at),
        ended_at: None,
        limits: limits_of(detail),
        deployment_id: deployment_of(detail),
    }
}

/// Live figures; those that the cluster has not taken yet, or never takes, are null.
pub(crate) fn metrics(detail: &Detail, metric: Option<&Metric>, executions: u64) -> SandboxMetrics {
    let limits = limits_of(detail);
    let at = SystemTime::now();
    let seconds =
        |from: SystemTime, to: SystemTime| to.duration_since(from).unwrap_or_default().as_secs_f64();
    let running = detail.state != State::Paused;
    SandboxMetrics {
        cpu_seconds: None,
        // The cluster's is of all processors together, ours of one.
        cpu_percent: metric.map(|metric| metric.cpu_used_pct * f64::from(metric.cpu_count.max(1))),
        memory_bytes: metric.map(|metric| metric.mem_used),
        memory_peak_bytes: None,
        memory_limit_bytes: metric
            .map(|metric| metric.mem_total)
            .filter(|total| *total > 0)
            .unwrap_or(u64::from(limits.memory_mb) << 20),
        processes: None,
        disk_used_bytes: metric.map(|metric| metric.disk_used),
        disk_limit_bytes: metric
            .map(|metric| metric.disk_total)
            .filter(|total| *total > 0)
            .unwrap_or(u64::from(limits.disk_mb) << 20),
        uptime_seconds: seconds(moment(&detail.started_at), at),
        remaining_seconds: if running { seconds(at, moment(&detail.end_at)) } else { 0.0 },
        executions,
    }
}

/// The status of a sandbox that is there.
pub(crate) fn document(detail: &Detail, metric: Option<&Metric>, executions: u64) -> SandboxStatus {
    let sampled = metric.and_then(|metric| u64::try_from(metric.timestamp_unix).ok()).filter(|at| *at > 0);
    SandboxStatus {
        sandbox_id: public_id(&detail.sandbox_id).into(),
        name: name_of(detail).into(),
        template: template_name(detail).into(),
        status: state_of(detail),
        started_at: stamp(&detail.started_at).into(),
        expires_at: stamp(&detail.end_at).into(),
        ended_at: None,
        reason: None,
        limits: limits_of(detail).into(),
        isolation: isolation().into(),
        deployment_id: deployment_of(detail),
        metrics: metrics(detail, metric, executions),
        sampled_at: sampled
            .map_or_else(now, |at| rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(at)))
            .into(),
        timestamp: now(),
    }
}

/// The status by which a sandbox is remembered.
pub(crate) fn ended_document(known: &Known, state: SandboxState, reason: &str) -> SandboxStatus {
    let detail = known.detail();
    let mut status = document(&detail, None, known.executions());
    status.status = state;
    status.reason = Some(reason.to_owned());
    // When it is over is known, though not when somebody else ended it before.
    status.ended_at = Some(if state == SandboxState::Expired { stamp(&detail.end_at) } else { now() });
    status.metrics.remaining_seconds = 0.0;
    status
}
