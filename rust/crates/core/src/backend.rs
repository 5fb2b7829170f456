//! What a backend does: the ten functions of the reference and those that nobody can do without.

use crate::cancel::CancelToken;
use crate::document::{
    AgentResult, CodeResult, DeploymentCreated, DeploymentScaled, FileContent, FileWritten, HealthReport,
    ProcessResult, SandboxCreated, SandboxList, SandboxStatus, SandboxTerminated, TemplateDeleted,
    TemplateExported, TemplateFile, TemplateList, TimeoutSet,
};
use crate::error::Result;
use crate::request::{
    CreateSandbox, DeployTemplate, ExecuteProcess, ExportTemplate, RunAgent, RunCode, ScaleDeployment,
    StatusFilter, WriteFile,
};

/// A place where sandboxes run. Every method may be called from any number of threads at once; the ones that wait take a
/// [`CancelToken`] and end with `CANCELLED` soon after it is cancelled, leaving nothing half made.
pub trait Backend: Send + Sync {
    /// The backend's name in documents: `local` or `cloud`.
    fn name(&self) -> &'static str;

    /// Creates an isolated sandbox from a template.
    fn create_sandbox(&self, request: &CreateSandbox, cancel: &CancelToken) -> Result<SandboxCreated>;

    /// The client's sandboxes.
    fn list_sandboxes(&self, filter: StatusFilter) -> Result<SandboxList>;

    /// State and live metrics of one sandbox.
    fn sandbox_status(&self, sandbox_id: &str) -> Result<SandboxStatus>;

    /// Runs a program and waits for it.
    fn execute_process(&self, request: &ExecuteProcess, cancel: &CancelToken) -> Result<ProcessResult>;

    /// Runs a trading agent inside the sandbox and waits for it.
    fn run_agent(&self, request: &RunAgent, cancel: &CancelToken) -> Result<AgentResult>;

    /// Probes the engine and, on request, every sandbox.
    fn monitor_health(&self, include_all_sandboxes: bool) -> Result<HealthReport>;

    /// Starts a deployment: all instances or none.
    fn deploy_template(&self, request: &DeployTemplate, cancel: &CancelToken) -> Result<DeploymentCreated>;

    /// Brings a deployment to a number of instances.
    fn scale_deployment(&self, request: &ScaleDeployment, cancel: &CancelToken) -> Result<DeploymentScaled>;

    /// Makes a template of what a sandbox changed.
    fn export_template(&self, request: &ExportTemplate, cancel: &CancelToken) -> Result<TemplateExported>;

    /// Ends a sandbox; returns when everything of it is gone.
    fn terminate_sandbox(&self, sandbox_id: &str, force: bool) -> Result<SandboxTerminated>;

    /// Runs code in a warm interpreter.
    fn run_code(&self, request: &RunCode, cancel: &CancelToken) -> Result<CodeResult>;

    /// Writes a file in the sandbox, making missing parent directories.
    fn write_file(&self, request: &WriteFile<'_>, cancel: &CancelToken) -> Result<FileWritten>;

    /// Reads a regular file of the sandbox.
    fn read_file(&self, sandbox_id: &str, path: &str, cancel: &CancelToken) -> Result<FileContent>;

    /// Lets the sandbox live `timeout` seconds from now.
    fn set_timeout(&self, sandbox_id: &str, timeout_seconds: u32) -> Result<TimeoutSet>;

    /// Built-in and exported templates.
    fn list_templates(&self) -> Result<TemplateList>;

    /// Deletes an exported template by name or id.
    fn delete_template(&self, template_name: &str) -> Result<TemplateDeleted>;

    /// Writes an exported template to an archive file on the host.
    fn export_template_file(&self, template_name: &str, file: &str) -> Result<TemplateFile>;

    /// Reads a template archive from the host; refuses what could harm.
    fn import_template_file(&self, file: &str, template_name: Option<&str>) -> Result<TemplateExported>;

    /// Number of sandboxes alive, for leak checks.
    fn live_sandboxes(&self) -> usize;

    /// Ends everything of this client. Idempotent; calls in flight end with `CLOSED` or their result.
    fn close(&self);
}
