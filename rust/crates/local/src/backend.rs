//! The backend trait on the engine: each method is the function of the same name.

use e2bridge_core::document::{
    AgentResult, CodeResult, DeploymentCreated, DeploymentScaled, FileContent, FileWritten, HealthReport,
    ProcessResult, SandboxCreated, SandboxList, SandboxState, SandboxStatus, SandboxTerminated,
    TemplateDeleted, TemplateExported, TemplateFile, TemplateList, TimeoutSet,
};
use e2bridge_core::request::{
    CreateSandbox, DeployTemplate, ExecuteProcess, ExportTemplate, MAX_FILE_BYTES, RunAgent, RunCode,
    ScaleDeployment, StatusFilter, WriteFile,
};
use e2bridge_core::time::now;
use e2bridge_core::{Backend, CancelToken, Result};

use crate::engine::CreateOptions;
use crate::execution::HOME;
use crate::templates::{BOUNDS, Export, absolute_roots};
use crate::{LocalBackend, agent, check, code, deployment, execution, health};

impl Backend for LocalBackend {
    fn name(&self) -> &'static str {
        "local"
    }

    fn create_sandbox(&self, request: &CreateSandbox, cancel: &CancelToken) -> Result<SandboxCreated> {
        let sandbox = self.engine.create(request, CreateOptions::default(), cancel)?;
        let (timeout, expires_at) = sandbox.timeout();
        let template_id = sandbox.assignment().and_then(|assignment| assignment.template_id.clone());
        Ok(SandboxCreated {
            sandbox_id: sandbox.id.to_string(),
            name: sandbox.name().to_string(),
            status: SandboxState::Running,
            template: sandbox.template_name().to_string(),
            template_id,
            started_at: sandbox.started_at().to_string(),
            expires_at,
            timeout,
            limits: *sandbox.limits,
            isolation: sandbox.isolation.clone(),
            backend: "local".to_owned(),
            timestamp: now(),
        })
    }

    fn list_sandboxes(&self, filter: StatusFilter) -> Result<SandboxList> {
        self.engine.list(filter)
    }

    fn sandbox_status(&self, sandbox_id: &str) -> Result<SandboxStatus> {
        self.engine.status(sandbox_id)
    }

    fn execute_process(&self, request: &ExecuteProcess, cancel: &CancelToken) -> Result<ProcessResult> {
        execution::execute(&self.engine, request, cancel)
    }

    fn run_agent(&self, request: &RunAgent, cancel: &CancelToken) -> Result<AgentResult> {
        agent::run(&self.engine, request, cancel)
    }

    fn monitor_health(&self, include_all_sandboxes: bool) -> Result<HealthReport> {
        health::monitor(&self.engine, include_all_sandboxes)
    }

    fn deploy_template(&self, request: &DeployTemplate, cancel: &CancelToken) -> Result<DeploymentCreated> {
        self.engine.check_open()?;
        deployment::deploy(&self.engine, request, cancel)
    }

    fn scale_deployment(&self, request: &ScaleDeployment, cancel: &CancelToken) -> Result<DeploymentScaled> {
        self.engine.check_open()?;
        deployment::scale(&self.engine, request, cancel)
    }

    fn export_template(&self, request: &ExportTemplate, cancel: &CancelToken) -> Result<TemplateExported> {
        let sandbox = self.engine.sandbox(&request.sandbox_id)?;
        let export = Export {
            sandbox_id: &sandbox.id,
            template_name: &request.template_name,
            base: sandbox.template,
            include_data: request.include_data,
        };
        let roots = absolute_roots(request.include_data);
        self.engine.templates.export(&export, |sink| {
            sandbox.export_tree(&self.engine, &roots, (BOUNDS.bytes, BOUNDS.entries), sink, cancel).map(drop)
        })
    }

    fn terminate_sandbox(&self, sandbox_id: &str, force: bool) -> Result<SandboxTerminated> {
        self.engine.terminate(sandbox_id, force)
    }

    fn run_code(&self, request: &RunCode, cancel: &CancelToken) -> Result<CodeResult> {
        code::run(&self.engine, request, cancel)
    }

    fn write_file(&self, request: &WriteFile<'_>, cancel: &CancelToken) -> Result<FileWritten> {
        let sandbox = self.engine.sandbox(request.sandbox_id)?;
        sandbox.write_file(&self.engine, request.path, request.content, cancel)?;
        Ok(FileWritten {
            sandbox_id: sandbox.id.to_string(),
            path: absolute(request.path),
            size: request.content.len() as u64,
            timestamp: now(),
        })
    }

    fn read_file(&self, sandbox_id: &str, path: &str, cancel: &CancelToken) -> Result<FileContent> {
        use base64::Engine as _;
        let sandbox = self.engine.sandbox(sandbox_id)?;
        let content = sandbox.read_file(&self.engine, path, MAX_FILE_BYTES as u64, cancel)?;
        Ok(FileContent {
            sandbox_id: sandbox.id.to_string(),
            path: absolute(path),
            size: content.len() as u64,
            content_base64: base64::engine::general_purpose::STANDARD.encode(content),
            timestamp: now(),
        })
    }

    fn set_timeout(&self, sandbox_id: &str, timeout_seconds: u32) -> Result<TimeoutSet> {
        let expires_at = self.engine.set_timeout(sandbox_id, timeout_seconds)?;
        Ok(TimeoutSet {
            sandbox_id: sandbox_id.to_owned(),
            timeout: timeout_seconds,
            expires_at,
            timestamp: now(),
        })
    }

    fn list_templates(&self) -> Result<TemplateList> {
        self.engine.check_open()?;
        let checked = self.engine.host.get(&self.engine);
        self.engine.templates.list(|base| match &checked {
            Ok(checked) => check::unavailable(checked, base),
            Err(error) => Some(error.message().to_owned()),
        })
    }

    fn delete_template(&self, template_name: &str) -> Result<TemplateDeleted> {
        self.engine.check_open()?;
        self.engine.templates.delete(template_name)
    }

    fn export_template_file(&self, template_name: &str, file: &str) -> Result<TemplateFile> {
        self.engine.check_open()?;
        self.engine.templates.export_file(template_name, file)
    }

    fn import_template_file(&self, file: &str, template_name: Option<&str>) -> Result<TemplateExported> {
        self.engine.check_open()?;
        self.engine.templates.import_file(file, template_name)
    }

    fn live_sandboxes(&self) -> usize {
        self.engine.live()
    }

    fn close(&self) {
        self.engine.close();
    }
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{HOME}/{path}") }
}
