//! `monitor_e2b_health`: asks the API and, on request, every sandbox whether it answers, and looks for what runs out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2bridge_core::document::{HealthAlert, HealthReport, SandboxHealth};
use e2bridge_core::health::{
    ENGINE_UNAVAILABLE, SANDBOX_DISK, SANDBOX_MEMORY, SANDBOX_UNRESPONSIVE, overall, percent,
};
use e2bridge_core::time::now;
use e2bridge_core::{CancelToken, Error, Result};
use serde_json::{Map, Value, json};

use crate::client::{Client, public_id, template_name};
use crate::deployment::in_parallel;
use crate::metadata;
use crate::status;
use crate::wire::api::Detail;

/// How long the API, or a sandbox, may take to answer a probe.
const PATIENCE: Duration = Duration::from_secs(5);

/// The report; `latency` is left to whoever sees every call. A cluster that does not answer is a finding, not an error.
///
/// # Errors
/// `CLOSED`.
pub(crate) fn monitor(client: &Arc<Client>, include_all_sandboxes: bool) -> Result<HealthReport> {
    let guard = client.plain_guard();
    guard.check()?;
    let began = Instant::now();
    let probed = client.control.health(&client.transport, &guard, PATIENCE);
    let probe_us = began.elapsed().as_secs_f64() * 1e6;
    // Needs the key, which the probe does not.
    let marks = [(metadata::MARK, metadata::MARKED)];
    let listed = client.control.list(&client.transport, &guard, "running", &marks);
    guard.check()?;
    let alive = listed.is_ok();
    let sandboxes = listed.as_ref().map(Vec::as_slice).unwrap_or_default();
    let health = if include_all_sandboxes { probe_all(client, sandboxes)? } else { Vec::new() };
    let responsive = health.iter().filter(|sandbox| sandbox.responsive).count();
    Ok(HealthReport {
        overall_health: overall(alive, health.len(), responsive).to_owned(),
        backend: "cloud".to_owned(),
        engine: engine(client, &probed, probe_us, listed.as_ref().err()),
        isolation: status::isolation(),
        host: Map::new(),
        pools: Map::new(),
        latency: BTreeMap::new(),
        alerts: alerts(alive, &health),
        live_sandboxes: sandboxes.len(),
        responsive_sandboxes: responsive,
        sandboxes: health,
        timestamp: now(),
    })
}

fn engine(client: &Client, probed: &Result<()>, probe_us: f64, error: Option<&Error>) -> Map<String, Value> {
    let pool = client.transport.pool.figures();
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("state", json!(if error.is_none() { "running" } else { "unavailable" }));
    put("version", json!(env!("CARGO_PKG_VERSION")));
    put("process_id", json!(std::process::id()));
    put("api_url", json!(client.control.url().text()));
    put("probe_us", json!(probed.is_ok().then_some(probe_us)));
    put(
        "connections",
        json!({"in_use": pool.in_use, "idle": pool.idle, "opened": pool.opened, "reused": pool.reused}),
    );
    put("error", json!(error.or(probed.as_ref().err()).map(Error::message)));
    put("error_code", json!(error.map(|error| error.code().name())));
    object
}

fn probe_all(client: &Arc<Client>, sandboxes: &[Detail]) -> Result<Vec<SandboxHealth>> {
    let ids: Vec<&str> = sandboxes.iter().map(|detail| detail.sandbox_id.as_str()).collect();
    // Without figures the probes still tell who answers.
    let metrics =
        client.control.metrics(&client.transport, &client.plain_guard(), &ids).unwrap_or_default().sandboxes;
    let health = in_parallel(sandboxes.len(), &CancelToken::new(), |index, _| {
        let detail = &sandboxes[index];
        let began = Instant::now();
        // A row of a list has no token, and a probe needs none.
        let known = client.met_in_list(detail);
        let answered = client
            .envd(&known)
            .and_then(|envd| envd.health(&client.plain_guard(), PATIENCE).map_err(|trouble| trouble.error));
        let took = began.elapsed().as_secs_f64() * 1e6;
        SandboxHealth {
            sandbox_id: public_id(&detail.sandbox_id),
            name: status::name_of(detail),
            template: template_name(detail),
            status: status::state_of(detail),
            responsive: answered.is_ok(),
            probe_us: answered.is_ok().then_some(took),
            metrics: status::metrics(detail, metrics.get(&detail.sandbox_id), known.executions()),
        }
    });
    client.plain_guard().check()?;
    Ok(health)
}

fn alerts(alive: bool, sandboxes: &[SandboxHealth]) -> Vec<HealthAlert> {
    let unanswered = |answered: bool| Some(if answered { 0.0 } else { 1.0 });
    let mut alerts = Vec::new();
    alerts.extend(ENGINE_UNAVAILABLE.check("engine", unanswered(alive)));
    for sandbox in sandboxes {
        alerts.extend(SANDBOX_UNRESPONSIVE.check(&sandbox.sandbox_id, unanswered(sandbox.responsive)));
    }
    for sandbox in sandboxes {
        let (id, metrics) = (&sandbox.sandbox_id, &sandbox.metrics);
        alerts.extend(
            SANDBOX_MEMORY.check(id, percent(metrics.memory_bytes, Some(metrics.memory_limit_bytes))),
        );
        alerts
            .extend(SANDBOX_DISK.check(id, percent(metrics.disk_used_bytes, Some(metrics.disk_limit_bytes))));
    }
    alerts
}
