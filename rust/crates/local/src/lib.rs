//! The local engine: sandboxes on this machine.

use std::path::PathBuf;

use e2bridge_core::document::{
    AgentResult, CodeResult, DeploymentCreated, DeploymentScaled, FileContent, FileWritten, HealthReport, HostReport,
    ProcessResult, SandboxCreated, SandboxList, SandboxStatus, SandboxTerminated, TemplateDeleted, TemplateExported,
    TemplateFile, TemplateList, TimeoutSet,
};
use e2bridge_core::request::{
    CreateSandbox, DeployTemplate, ExecuteProcess, ExportTemplate, RunAgent, RunCode, ScaleDeployment, StatusFilter,
    WriteFile,
};
use e2bridge_core::{Backend, CancelToken, Code, Error, Result};

pub mod templates;

/// How strictly isolation is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Everything or an error.
    #[default]
    Required,
    /// The strongest tier that works.
    BestEffort,
}

/// Settings of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// How strictly isolation is asked for.
    pub isolation: Isolation,
    /// Where exported templates live.
    pub data_directory: Option<PathBuf>,
    /// Path of the Python interpreter.
    pub python: Option<PathBuf>,
    /// Path of the Node.js interpreter.
    pub node: Option<PathBuf>,
    /// Ready sandboxes of `base`.
    pub pool_base: Option<u32>,
    /// Ready sandboxes of `python`.
    pub pool_python: Option<u32>,
    /// Ready sandboxes of `node`.
    pub pool_node: Option<u32>,
    /// Disk of a sandbox, MiB.
    pub disk_mb: Option<u32>,
}

/// The engine of one client. This build has none, so no value of it exists.
#[derive(Debug)]
pub enum LocalBackend {}

impl LocalBackend {
    /// Opens the engine.
    ///
    /// # Errors
    /// `UNSUPPORTED` always: the engine is not in this build.
    pub fn open(_config: Config) -> Result<LocalBackend> {
        Err(missing())
    }
}

/// What this host can isolate.
///
/// # Errors
/// `UNSUPPORTED` always: the engine is not in this build.
pub fn check(_config: &Config) -> Result<HostReport> {
    Err(missing())
}

/// Digest of the supervisor inside this library; empty because this build has none.
pub fn supervisor_digest() -> String {
    String::new()
}

fn missing() -> Error {
    Error::new(Code::Unsupported, "the local engine is not in this build")
}

macro_rules! uninhabited {
    ($($name:ident($($argument:ty),*) -> $answer:ty;)*) => {
        impl Backend for LocalBackend {
            fn name(&self) -> &'static str {
                match *self {}
            }
            fn live_sandboxes(&self) -> usize {
                match *self {}
            }
            fn close(&self) {
                match *self {}
            }
            $(fn $name(&self, $(_: $argument),*) -> Result<$answer> {
                match *self {}
            })*
        }
    };
}

uninhabited! {
    create_sandbox(&CreateSandbox, &CancelToken) -> SandboxCreated;
    list_sandboxes(StatusFilter) -> SandboxList;
    sandbox_status(&str) -> SandboxStatus;
    execute_process(&ExecuteProcess, &CancelToken) -> ProcessResult;
    run_agent(&RunAgent, &CancelToken) -> AgentResult;
    monitor_health(bool) -> HealthReport;
    deploy_template(&DeployTemplate, &CancelToken) -> DeploymentCreated;
    scale_deployment(&ScaleDeployment, &CancelToken) -> DeploymentScaled;
    export_template(&ExportTemplate, &CancelToken) -> TemplateExported;
    terminate_sandbox(&str, bool) -> SandboxTerminated;
    run_code(&RunCode, &CancelToken) -> CodeResult;
    write_file(&WriteFile<'_>, &CancelToken) -> FileWritten;
    read_file(&str, &str, &CancelToken) -> FileContent;
    set_timeout(&str, u32) -> TimeoutSet;
    list_templates() -> TemplateList;
    delete_template(&str) -> TemplateDeleted;
    export_template_file(&str, &str) -> TemplateFile;
    import_template_file(&str, Option<&str>) -> TemplateExported;
}
