//! `monitor_e2b_health`: asks the engine and, on request, every live sandbox whether it answers, and looks for what runs out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2bridge_core::document::{HealthReport, IsolationReport, SandboxHealth, SandboxLimits};
use e2bridge_core::health::overall;
use e2bridge_core::request::{BuiltinTemplate, DEFAULT_MEMORY_MB};
use e2bridge_core::time::now;
use e2bridge_core::{Code, Error, Result};
use e2bridge_protocol::PROTOCOL_VERSION;
use e2bridge_protocol::init::{InitEvent, InitRequest};
use serde_json::{Map, Value, json};

use self::ask::{Answer, ask_all};
use self::host::HostCapacity;
use crate::engine::Engine;
use crate::posture::isolation_report;
use crate::sandbox::Sandbox;
use crate::supervisor::Supervisor;

pub(crate) mod ask;
mod host;
mod rules;

/// How long the supervisor, or a sandbox, may take to answer a probe.
const PATIENCE: Duration = Duration::from_secs(1);

/// The report; `latency` is left to whoever sees every call.
///
/// # Errors
/// `CLOSED`.
pub(crate) fn monitor(engine: &Engine, include_all_sandboxes: bool) -> Result<HealthReport> {
    engine.check_open()?;
    let probe = Probe::of(engine);
    let host = HostCapacity::read(engine.settings.host_cpus);
    let sandboxes = engine.sandboxes();
    let live_sandboxes = sandboxes.len();
    let probed = if include_all_sandboxes { probe_all(&sandboxes) } else { Vec::new() };
    let responsive_sandboxes = probed.iter().filter(|(sandbox, _)| sandbox.responsive).count();
    let isolation = isolation(engine, probe.alive());
    Ok(HealthReport {
        overall_health: overall(probe.alive(), probed.len(), responsive_sandboxes).to_owned(),
        backend: "local".to_owned(),
        pools: pools(engine),
        latency: BTreeMap::new(),
        alerts: rules::alerts(probe.alive(), &isolation, &host, &probed),
        isolation,
        sandboxes: probed.into_iter().map(|(sandbox, _)| sandbox).collect(),
        engine: probe.document(),
        host: host.document(u64::from(DEFAULT_MEMORY_MB) << 20),
        live_sandboxes,
        responsive_sandboxes,
        timestamp: now(),
    })
}

/// What the supervisor answered.
struct Probe {
    supervisor: Option<Arc<Supervisor>>,
    answer: Result<Duration>,
}

impl Probe {
    fn of(engine: &Engine) -> Self {
        let supervisor = engine.running_supervisor();
        let answer = match &supervisor {
            None => Err(Error::new(
                Code::Unavailable,
                "the supervisor has ended; the next create starts a new one",
            )),
            Some(supervisor) => supervisor.probe(PATIENCE),
        };
        Self { supervisor, answer }
    }

    fn alive(&self) -> bool {
        self.answer.is_ok()
    }

    fn document(&self) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        put("state", json!(if self.alive() { "running" } else { "unavailable" }));
        put("version", json!(env!("CARGO_PKG_VERSION")));
        put("protocol_version", json!(PROTOCOL_VERSION));
        put("process_id", json!(std::process::id()));
        put("supervisor_pid", json!(self.supervisor.as_ref().map(|supervisor| supervisor.pid())));
        put("probe_us", json!(self.answer.as_ref().ok().map(|took| took.as_secs_f64() * 1e6)));
        put("swept_clients", json!(self.supervisor.as_ref().map(|supervisor| supervisor.started().swept)));
        put("error", json!(self.answer.as_ref().err().map(Error::message)));
        object
    }
}

/// The isolation of the newest sandbox; before the first, what the host allows.
fn isolation(engine: &Engine, alive: bool) -> IsolationReport {
    if let Some(report) = engine.last_isolation() {
        return (*report).clone();
    }
    // A report starts nothing: a supervisor that has ended is said to have.
    let checked = if alive { engine.host.get(engine).ok() } else { None };
    match checked.as_ref().and_then(|checked| checked.posture.as_ref()) {
        Some(posture) => isolation_report(posture),
        None => IsolationReport {
            tier: "none".to_owned(),
            namespaces: Vec::new(),
            ids: "own".to_owned(),
            seccomp: false,
            landlock_abi: 0,
            memory: "none".to_owned(),
            processes: "none".to_owned(),
            cpu: "none".to_owned(),
            disk: "none".to_owned(),
        },
    }
}

fn pools(engine: &Engine) -> Map<String, Value> {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let pool = |template: BuiltinTemplate| {
        let report = engine.pools.report(template);
        let object = json!({
            "active": report.active,
            "ready": report.ready,
            "target": report.target,
            "hits": report.hits,
            "misses": report.misses,
            "last_fill_ms": report.last_fill.map(milliseconds),
            "median_fill_ms": report.median_fill.map(milliseconds),
            "last_error": report.last_error.as_ref().map(Error::message),
        });
        (template.name().to_owned(), object)
    };
    BuiltinTemplate::ALL.into_iter().map(pool).collect()
}

fn probe_all(sandboxes: &[Arc<Sandbox>]) -> Vec<(SandboxHealth, SandboxLimits)> {
    let answers = ask_all(sandboxes, &InitRequest::Statistics, PATIENCE);
    sandboxes
        .iter()
        .zip(answers)
        .map(|(sandbox, answer)| (sandbox_health(sandbox, &answer), *sandbox.limits))
        .collect()
}

fn sandbox_health(sandbox: &Sandbox, answer: &Answer) -> SandboxHealth {
    let responsive = matches!(answer, Ok((InitEvent::Statistics(_), _)));
    // Asking one that does not answer again would only take longer.
    let sample = if responsive { sandbox.sample(Instant::now()) } else { sandbox.last_sample() };
    SandboxHealth {
        sandbox_id: sandbox.id.to_string(),
        name: sandbox.name().to_string(),
        template: sandbox.template_name().to_string(),
        status: sandbox.state(),
        responsive,
        probe_us: answer.as_ref().ok().filter(|_| responsive).map(|(_, took)| took.as_secs_f64() * 1e6),
        metrics: sandbox.metrics(&sample),
    }
}
