//! The result documents. Field names are the JSON keys; the reference's keys are all there with the same JSON types,
//! and the Java records carry the same names. Times are RFC 3339 UTC, sizes bytes unless the name says MiB (`_mb`).

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::prepared::Prepared;

/// State of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxState {
    /// Alive.
    Running,
    /// Paused (cloud only).
    Paused,
    /// Ended at its deadline.
    Expired,
    /// Ended by a call.
    Terminated,
    /// Ended by itself: its init died, or the engine did.
    Failed,
}

impl SandboxState {
    /// The word used in documents and filters.
    pub const fn word(self) -> &'static str {
        match self {
            SandboxState::Running => "running",
            SandboxState::Paused => "paused",
            SandboxState::Expired => "expired",
            SandboxState::Terminated => "terminated",
            SandboxState::Failed => "failed",
        }
    }
}

/// Limits in force for a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SandboxLimits {
    /// Memory of all its processes and files together, MiB.
    pub memory_mb: u32,
    /// Processors' worth of time.
    pub cpu_count: u32,
    /// All its writable files together, MiB.
    pub disk_mb: u32,
    /// Processes and threads at once.
    pub processes: u32,
}

/// The isolation really in force, and the mechanism of each limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IsolationReport {
    /// `full`, or the name of a weaker tier: `process` without namespaces, `unbounded_processes`,
    /// `unbounded_memory`; `none` without an engine.
    pub tier: String,
    /// Namespaces of its own: `user`, `pid`, `mount`, `ipc`, `uts`, `net`, `cgroup`; none in the tier `process`.
    pub namespaces: Vec<String>,
    /// `dedicated` host ids that own nothing, or `own`: the calling user's id behind a closed view.
    pub ids: String,
    /// True when a seccomp filter is in force.
    pub seccomp: bool,
    /// Landlock ABI version in force; 0 = the kernel has none.
    pub landlock_abi: u32,
    /// `cgroup_v1`, `cgroup_v2` or `per_process`.
    pub memory: String,
    /// `cgroup_v1`, `cgroup_v2` or `pid_max`; in the tier `process` `per_user` (RLIMIT_NPROC of the user id) instead of the last.
    pub processes: String,
    /// `cgroup_v1`, `cgroup_v2` or `affinity`.
    pub cpu: String,
    /// `tmpfs`: all files together; in the tier `process` `per_file`: each file.
    pub disk: String,
}

/// Answer of `create_e2b_sandbox`.
#[derive(Clone, Debug, Serialize)]
pub struct SandboxCreated {
    /// The new sandbox.
    pub sandbox_id: String,
    /// As asked for.
    pub name: String,
    /// Always `running`.
    pub status: SandboxState,
    /// Template name.
    pub template: String,
    /// `tpl_` id of an exported template, or null for a built-in one.
    pub template_id: Option<String>,
    /// When it was handed out.
    pub started_at: String,
    /// When it will be ended.
    pub expires_at: String,
    /// Lifetime, seconds.
    pub timeout: u32,
    /// Limits in force.
    pub limits: SandboxLimits,
    /// Isolation in force.
    pub isolation: Prepared<IsolationReport>,
    /// `local` or `cloud`.
    pub backend: String,
    /// When this was answered.
    pub timestamp: String,
}

/// One row of `list_e2b_sandboxes`.
#[derive(Clone, Debug, Serialize)]
pub struct SandboxSummary {
    /// Identifier.
    pub sandbox_id: String,
    /// Name.
    pub name: String,
    /// Template name.
    pub template: String,
    /// State.
    pub status: SandboxState,
    /// When it was handed out.
    pub started_at: String,
    /// When it will be ended, or would have been.
    pub expires_at: String,
    /// When it ended; null while it lives.
    pub ended_at: Option<String>,
    /// Limits.
    pub limits: SandboxLimits,
    /// Deployment it belongs to, or null.
    pub deployment_id: Option<String>,
}

/// Answer of `list_e2b_sandboxes`.
#[derive(Clone, Debug, Serialize)]
pub struct SandboxList {
    /// The sandboxes that match the filter, oldest first.
    pub sandboxes: Vec<SandboxSummary>,
    /// Number returned.
    pub total_count: usize,
    /// When this was answered.
    pub timestamp: String,
}

/// Live figures of a sandbox. All null-able figures are null when the mechanism in force cannot tell.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SandboxMetrics {
    /// Processor time used since start, seconds.
    pub cpu_seconds: Option<f64>,
    /// Processor use since the sample before, percent of one processor.
    pub cpu_percent: Option<f64>,
    /// Memory in use, bytes: what the cgroup is charged with; without one, anonymous memory of its processes, where a page that forks
    /// still share counts for each of them, and without the files that `disk_used_bytes` counts.
    pub memory_bytes: Option<u64>,
    /// Highest memory use, bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Limit, bytes.
    pub memory_limit_bytes: u64,
    /// Processes and threads alive, the sandbox's init included.
    pub processes: Option<u64>,
    /// Writable files, bytes.
    pub disk_used_bytes: Option<u64>,
    /// Limit, bytes.
    pub disk_limit_bytes: u64,
    /// Since the hand-out, seconds.
    pub uptime_seconds: f64,
    /// Until the deadline, seconds; 0 when ended.
    pub remaining_seconds: f64,
    /// Executions and code runs that have ended.
    pub executions: u64,
}

/// Answer of `get_e2b_sandbox_status`.
#[derive(Clone, Debug, Serialize)]
pub struct SandboxStatus {
    /// Identifier.
    pub sandbox_id: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Template name.
    pub template: Arc<str>,
    /// State.
    pub status: SandboxState,
    /// When it was handed out.
    pub started_at: Arc<str>,
    /// When it will be ended, or would have been.
    pub expires_at: Arc<str>,
    /// When it ended; null while it lives.
    pub ended_at: Option<String>,
    /// Why it ended; null while it lives.
    pub reason: Option<String>,
    /// Limits.
    pub limits: Prepared<SandboxLimits>,
    /// Isolation in force.
    pub isolation: Prepared<IsolationReport>,
    /// Deployment it belongs to, or null.
    pub deployment_id: Option<String>,
    /// Live figures (the last ones of an ended sandbox).
    pub metrics: SandboxMetrics,
    /// When the figures were taken: at most 100 ms before the answer while it lives.
    pub sampled_at: Arc<str>,
    /// When this was answered.
    pub timestamp: String,
}

impl SandboxStatus {
    /// The row of the list that says the same.
    pub fn summary(&self) -> SandboxSummary {
        SandboxSummary {
            sandbox_id: self.sandbox_id.to_string(),
            name: self.name.to_string(),
            template: self.template.to_string(),
            status: self.status,
            started_at: self.started_at.to_string(),
            expires_at: self.expires_at.to_string(),
            ended_at: self.ended_at.clone(),
            limits: *self.limits,
            deployment_id: self.deployment_id.clone(),
        }
    }
}

/// Answer of `execute_e2b_process`.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessResult {
    /// Identifier of this execution.
    pub execution_id: String,
    /// Where it ran.
    pub sandbox_id: String,
    /// Exit status; -1 when a signal or the time-out ended it, 127 when the program does not exist.
    pub exit_code: i32,
    /// Both streams in order of arrival.
    pub output: String,
    /// Standard output, invalid UTF-8 replaced by U+FFFD.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// The exact bytes, present only when `stdout` is not what was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout_base64: Option<String>,
    /// Likewise for standard error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr_base64: Option<String>,
    /// Bytes written to standard output, kept or not.
    pub stdout_bytes: u64,
    /// Bytes written to standard error, kept or not.
    pub stderr_bytes: u64,
    /// True when one stream was longer than what is kept (8 MiB each).
    pub truncated: bool,
    /// Wall time, milliseconds.
    pub duration_ms: f64,
    /// True when the time-out ended it.
    pub timed_out: bool,
    /// Name of the signal that ended it, for example `SIGKILL`; null otherwise.
    pub signal: Option<String>,
    /// True when the memory limit ended it or one of its processes.
    pub out_of_memory: bool,
    /// When this was answered.
    pub timestamp: String,
}

/// An exception in the code, or a shell's non-zero exit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CodeError {
    /// For example `TypeError`, `ZeroDivisionError`, `ExitStatus`.
    pub name: String,
    /// The message.
    pub value: String,
    /// The stack, as the interpreter prints it; may be empty.
    pub traceback: String,
}

/// One rich result of a code run.
#[derive(Clone, Debug, Serialize)]
pub struct CodeOutput {
    /// Text form.
    pub text: String,
    /// The value as JSON where it has such a form; null otherwise.
    pub json: Option<Box<RawValue>>,
    /// True for the value of the last expression, false for what was displayed.
    pub is_main_result: bool,
}

/// Answer of `run_e2b_code`.
#[derive(Clone, Debug, Serialize)]
pub struct CodeResult {
    /// Identifier of this execution.
    pub execution_id: String,
    /// Where it ran.
    pub sandbox_id: String,
    /// `javascript`, `python` or `shell`.
    pub language: String,
    /// Name of the context; null for a stateless run.
    pub context: Option<String>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Text of the last expression's value; null when there is none.
    pub result: Option<String>,
    /// All results.
    pub results: Vec<CodeOutput>,
    /// The exception that ended the code; null when none did.
    pub error: Option<CodeError>,
    /// True when the time-out ended it.
    pub timed_out: bool,
    /// True when the memory limit ended it.
    pub out_of_memory: bool,
    /// True when one stream was longer than what is kept (8 MiB each).
    pub truncated: bool,
    /// Wall time, milliseconds.
    pub duration_ms: f64,
    /// When this was answered.
    pub timestamp: String,
}

/// Answer of `run_e2b_agent`.
#[derive(Clone, Debug, Serialize)]
pub struct AgentResult {
    /// Identifier of this run.
    pub agent_id: String,
    /// Where it ran.
    pub sandbox_id: String,
    /// `completed`, `failed` or `timed_out`.
    pub status: String,
    /// Name of the agent.
    pub agent_type: String,
    /// As asked for.
    pub symbols: Vec<String>,
    /// What the agent answered, by symbol for the built-in ones; null when it failed or timed out.
    pub result: Option<Value>,
    /// What a custom agent printed beside its answer, and what it wrote to standard error.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Why it failed; null when it did not.
    pub error: Option<CodeError>,
    /// Wall time, milliseconds.
    pub duration_ms: f64,
    /// When this was answered.
    pub timestamp: String,
}

/// Latencies of one function since the client was opened, microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct LatencySummary {
    /// Calls that ended, failed ones included.
    pub count: u64,
    /// Calls that ended with an error.
    pub errors: u64,
    /// Median.
    pub p50_us: f64,
    /// 90th percentile.
    pub p90_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// Largest.
    pub max_us: f64,
}

/// A rule that was broken at the time of a health check.
#[derive(Clone, Debug, Serialize)]
pub struct HealthAlert {
    /// Name of the rule, for example `sandbox_memory_percent`.
    pub rule: String,
    /// `warning` or `critical`.
    pub severity: String,
    /// What it is about: a sandbox id, `engine`, `host`, or `isolation` with the tier behind it.
    pub subject: String,
    /// The figure found.
    pub value: f64,
    /// The figure that the rule allows.
    pub threshold: f64,
    /// The same in words.
    pub message: String,
}

/// One probed sandbox in a health report.
#[derive(Clone, Debug, Serialize)]
pub struct SandboxHealth {
    /// Identifier.
    pub sandbox_id: String,
    /// Name.
    pub name: String,
    /// Template name.
    pub template: String,
    /// State.
    pub status: SandboxState,
    /// True when its init answered the probe.
    pub responsive: bool,
    /// Round trip of the probe, microseconds; null when there was no answer.
    pub probe_us: Option<f64>,
    /// Live figures.
    pub metrics: SandboxMetrics,
}

/// Answer of `monitor_e2b_health`.
#[derive(Clone, Debug, Serialize)]
pub struct HealthReport {
    /// `healthy`, `degraded` or `unhealthy`.
    pub overall_health: String,
    /// Every live sandbox when asked for, else empty.
    pub sandboxes: Vec<SandboxHealth>,
    /// `local` or `cloud`.
    pub backend: String,
    /// The engine's own probe: state, process ids, versions.
    pub engine: Map<String, Value>,
    /// Isolation that new sandboxes get.
    pub isolation: IsolationReport,
    /// Processors, memory, load, room for more sandboxes.
    pub host: Map<String, Value>,
    /// Pools by template: active, ready, target, hits, misses, last and median refill time, last error.
    pub pools: Map<String, Value>,
    /// Per function, since open; functions never called are absent. Filled by the C ABI layer, which sees every call.
    pub latency: std::collections::BTreeMap<String, LatencySummary>,
    /// Rules that are broken now.
    pub alerts: Vec<HealthAlert>,
    /// Sandboxes alive.
    pub live_sandboxes: usize,
    /// Sandboxes that answered, of those probed.
    pub responsive_sandboxes: usize,
    /// When this was answered.
    pub timestamp: String,
}

/// Answer of `deploy_e2b_template`.
#[derive(Clone, Debug, Serialize)]
pub struct DeploymentCreated {
    /// The new deployment.
    pub deployment_id: String,
    /// Always `deployed`; anything else is an error.
    pub status: String,
    /// Template name.
    pub template: String,
    /// As asked for.
    pub category: String,
    /// Number of instances.
    pub instances: usize,
    /// Their sandbox ids.
    pub sandbox_ids: Vec<String>,
    /// As asked for.
    pub configuration: Map<String, Value>,
    /// Result of the agent named in `configuration.agent`, per instance; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agents: Option<Vec<AgentResult>>,
    /// When this was answered.
    pub timestamp: String,
}

/// One instance that could not be started.
#[derive(Clone, Debug, Serialize)]
pub struct InstanceFailure {
    /// Position among those asked for, from 0.
    pub instance: usize,
    /// Error code.
    pub code: String,
    /// Error message.
    pub message: String,
}

/// Answer of `scale_e2b_deployment`.
#[derive(Clone, Debug, Serialize)]
pub struct DeploymentScaled {
    /// The deployment.
    pub deployment_id: String,
    /// `scaled`, `partial`, or `ended` (0 instances).
    pub status: String,
    /// Number of instances now.
    pub instances: usize,
    /// Number before.
    pub previous_instances: usize,
    /// Number asked for.
    pub requested_instances: usize,
    /// Their sandbox ids.
    pub sandbox_ids: Vec<String>,
    /// True when the count follows the load.
    pub auto_scale: bool,
    /// What could not be started.
    pub failures: Vec<InstanceFailure>,
    /// When this was answered.
    pub timestamp: String,
}

/// Answer of `export_e2b_template` and `import_e2b_template_file`.
#[derive(Clone, Debug, Serialize)]
pub struct TemplateExported {
    /// The new template.
    pub template_id: String,
    /// Its name.
    pub template_name: String,
    /// The sandbox it was made of; null when it came from a file.
    pub sandbox_id: Option<String>,
    /// `exported` or `imported`.
    pub status: String,
    /// Built-in template below it.
    pub base_template: String,
    /// True when `/home/user` and `/data` are in it.
    pub include_data: bool,
    /// Files, directories and links in it.
    pub entries: u64,
    /// Bytes of file content.
    pub size_bytes: u64,
    /// True when a template of that name was there before.
    pub replaced: bool,
    /// When this was answered.
    pub timestamp: String,
}

/// Answer of `terminate_e2b_sandbox`.
#[derive(Clone, Debug, Serialize)]
pub struct SandboxTerminated {
    /// Identifier.
    pub sandbox_id: String,
    /// Always `terminated`.
    pub status: SandboxState,
    /// True when programs were killed without their grace period, by request, or because it ended.
    pub forced: bool,
    /// Wall time of the call, milliseconds.
    pub duration_ms: f64,
    /// When this was answered.
    pub timestamp: String,
}

/// Answer of `write_e2b_file`.
#[derive(Clone, Debug, Serialize)]
pub struct FileWritten {
    /// Where.
    pub sandbox_id: String,
    /// Absolute path inside.
    pub path: String,
    /// Bytes written.
    pub size: u64,
    /// When this was answered.
    pub timestamp: String,
}

/// Answer of `read_e2b_file`.
#[derive(Clone, Debug, Serialize)]
pub struct FileContent {
    /// Where.
    pub sandbox_id: String,
    /// Absolute path inside.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// The content, standard base64.
    pub content_base64: String,
    /// When this was answered.
    pub timestamp: String,
}

/// Answer of `set_e2b_timeout`.
#[derive(Clone, Debug, Serialize)]
pub struct TimeoutSet {
    /// Identifier.
    pub sandbox_id: String,
    /// Seconds from now.
    pub timeout: u32,
    /// The new deadline.
    pub expires_at: String,
    /// When this was answered.
    pub timestamp: String,
}

/// One row of `list_e2b_templates`.
#[derive(Clone, Debug, Serialize)]
pub struct TemplateSummary {
    /// Name to create from.
    pub template_name: String,
    /// `tpl_` id; null for a built-in one.
    pub template_id: Option<String>,
    /// True for `base`, `python` and `node`.
    pub built_in: bool,
    /// Built-in template below it (itself for a built-in one).
    pub base_template: String,
    /// Languages of `run_e2b_code`.
    pub languages: Vec<String>,
    /// False when this host lacks the interpreter.
    pub available: bool,
    /// Why it is not available; null when it is.
    pub reason: Option<String>,
    /// Bytes of file content; 0 for a built-in one.
    pub size_bytes: u64,
    /// When it was exported; null for a built-in one.
    pub created_at: Option<String>,
}

/// Answer of `list_e2b_templates`.
#[derive(Clone, Debug, Serialize)]
pub struct TemplateList {
    /// Built-in ones first, then exported ones by name.
    pub templates: Vec<TemplateSummary>,
    /// Number returned.
    pub total_count: usize,
    /// When this was answered.
    pub timestamp: String,
}

/// Answer of `delete_e2b_template`.
#[derive(Clone, Debug, Serialize)]
pub struct TemplateDeleted {
    /// The template that is gone.
    pub template_id: String,
    /// Its name.
    pub template_name: String,
    /// Always `deleted`.
    pub status: String,
    /// When this was answered.
    pub timestamp: String,
}

/// Answer of `export_e2b_template_file`.
#[derive(Clone, Debug, Serialize)]
pub struct TemplateFile {
    /// The template.
    pub template_id: String,
    /// Its name.
    pub template_name: String,
    /// Path on the host.
    pub file: String,
    /// Size of the archive, bytes.
    pub size_bytes: u64,
    /// Always `written`.
    pub status: String,
    /// When this was answered.
    pub timestamp: String,
}

/// One facility of the host in [`HostReport`].
#[derive(Clone, Debug, Serialize)]
pub struct HostFacility {
    /// For example `user_namespaces`, `cgroup_memory`, `landlock`.
    pub name: String,
    /// True when it works, found by trying it.
    pub available: bool,
    /// What was found: a version, a mechanism, the error.
    pub detail: String,
    /// Command or setting that mends it; null when nothing is to mend.
    pub remedy: Option<String>,
}

/// Answer of `e2b_check`.
#[derive(Clone, Debug, Serialize)]
pub struct HostReport {
    /// True when isolation REQUIRED can be given.
    pub ready: bool,
    /// `local`.
    pub backend: String,
    /// Isolation that sandboxes would get; null when none can be given.
    pub isolation: Option<IsolationReport>,
    /// Each facility that was tried.
    pub facilities: Vec<HostFacility>,
    /// Templates and whether their interpreters are here.
    pub templates: Vec<TemplateSummary>,
    /// Kernel release.
    pub kernel: String,
    /// When this was answered.
    pub timestamp: String,
}
