//! Test doubles; compiled into the unit tests only.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e2bridge_core::document::{
    AgentResult, CodeResult, DeploymentCreated, DeploymentScaled, FileContent, FileWritten, HealthReport,
    IsolationReport, ProcessResult, SandboxCreated, SandboxList, SandboxStatus, SandboxTerminated,
    TemplateDeleted, TemplateExported, TemplateFile, TemplateList, TimeoutSet,
};
use e2bridge_core::request::{
    CreateSandbox, DeployTemplate, ExecuteProcess, ExportTemplate, RunAgent, RunCode, ScaleDeployment,
    StatusFilter, WriteFile,
};
use e2bridge_core::{Backend, CancelToken, Code, Error, Result};

/// What a test sees of a [`DoubleBackend`] that the client owns.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Executions that wait.
    pub(crate) waiting: AtomicUsize,
    /// `close` was called.
    pub(crate) closed: AtomicBool,
    /// The backend was dropped.
    pub(crate) dropped: AtomicBool,
    /// The last request, in its debug form.
    pub(crate) request: Mutex<String>,
}

/// A backend without sandboxes. It notes each request; listing and health are answered, an execution waits until it is
/// cancelled or the backend is closed, everything else is UNSUPPORTED. Or it panics in every method.
pub(crate) struct DoubleBackend {
    seen: Arc<Seen>,
    panics: bool,
}

impl DoubleBackend {
    /// One that notes and waits.
    pub(crate) fn noting() -> (Self, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        (Self { seen: Arc::clone(&seen), panics: false }, seen)
    }

    /// One that panics in every method.
    pub(crate) fn panicking() -> Self {
        Self { seen: Arc::default(), panics: true }
    }

    fn note(&self, request: &dyn std::fmt::Debug) {
        assert!(!self.panics, "the backend panicked");
        *self.seen.request.lock().unwrap() = format!("{request:?}");
    }

    fn refuse<T>(&self, request: &dyn std::fmt::Debug) -> Result<T> {
        self.note(request);
        Err(Error::new(Code::Unsupported, "a double does nothing"))
    }
}

impl Drop for DoubleBackend {
    fn drop(&mut self) {
        self.seen.dropped.store(true, Ordering::SeqCst);
    }
}

impl Backend for DoubleBackend {
    fn name(&self) -> &'static str {
        "double"
    }

    fn create_sandbox(&self, request: &CreateSandbox, _: &CancelToken) -> Result<SandboxCreated> {
        self.refuse(request)
    }

    fn list_sandboxes(&self, filter: StatusFilter) -> Result<SandboxList> {
        self.note(&filter);
        Ok(SandboxList { sandboxes: Vec::new(), total_count: 0, timestamp: e2bridge_core::time::now() })
    }

    fn sandbox_status(&self, sandbox_id: &str) -> Result<SandboxStatus> {
        self.refuse(&sandbox_id)
    }

    fn execute_process(&self, request: &ExecuteProcess, cancel: &CancelToken) -> Result<ProcessResult> {
        self.note(request);
        self.seen.waiting.fetch_add(1, Ordering::SeqCst);
        let give_up = Instant::now() + Duration::from_secs(30);
        let code = loop {
            if cancel.is_cancelled() {
                break Code::Cancelled;
            }
            if self.seen.closed.load(Ordering::SeqCst) {
                break Code::Closed;
            }
            assert!(Instant::now() < give_up, "neither cancelled nor closed");
            std::thread::sleep(Duration::from_millis(1));
        };
        self.seen.waiting.fetch_sub(1, Ordering::SeqCst);
        Err(Error::new(code, "the execution ended"))
    }

    fn run_agent(&self, request: &RunAgent, _: &CancelToken) -> Result<AgentResult> {
        self.refuse(request)
    }

    fn monitor_health(&self, include_all_sandboxes: bool) -> Result<HealthReport> {
        self.note(&include_all_sandboxes);
        Ok(HealthReport {
            overall_health: "healthy".to_owned(),
            sandboxes: Vec::new(),
            backend: self.name().to_owned(),
            engine: serde_json::Map::new(),
            isolation: IsolationReport {
                tier: "none".to_owned(),
                namespaces: Vec::new(),
                ids: "own".to_owned(),
                seccomp: false,
                landlock_abi: 0,
                memory: "none".to_owned(),
                processes: "none".to_owned(),
                cpu: "none".to_owned(),
                disk: "tmpfs".to_owned(),
            },
            host: serde_json::Map::new(),
            pools: serde_json::Map::new(),
            latency: std::collections::BTreeMap::new(),
            alerts: Vec::new(),
            live_sandboxes: 0,
            responsive_sandboxes: 0,
            timestamp: e2bridge_core::time::now(),
        })
    }

    fn deploy_template(&self, request: &DeployTemplate, _: &CancelToken) -> Result<DeploymentCreated> {
        self.refuse(request)
    }

    fn scale_deployment(&self, request: &ScaleDeployment, _: &CancelToken) -> Result<DeploymentScaled> {
        self.refuse(request)
    }

    fn export_template(&self, request: &ExportTemplate, _: &CancelToken) -> Result<TemplateExported> {
        self.refuse(request)
    }

    fn terminate_sandbox(&self, sandbox_id: &str, force: bool) -> Result<SandboxTerminated> {
        self.refuse(&(sandbox_id, force))
    }

    fn run_code(&self, request: &RunCode, _: &CancelToken) -> Result<CodeResult> {
        self.refuse(request)
    }

    fn write_file(&self, request: &WriteFile<'_>, _: &CancelToken) -> Result<FileWritten> {
        self.refuse(request)
    }

    fn read_file(&self, sandbox_id: &str, path: &str, _: &CancelToken) -> Result<FileContent> {
        self.refuse(&(sandbox_id, path))
    }

    fn set_timeout(&self, sandbox_id: &str, timeout_seconds: u32) -> Result<TimeoutSet> {
        self.refuse(&(sandbox_id, timeout_seconds))
    }

    fn list_templates(&self) -> Result<TemplateList> {
        self.refuse(&())
    }

    fn delete_template(&self, template_name: &str) -> Result<TemplateDeleted> {
        self.refuse(&template_name)
    }

    fn export_template_file(&self, template_name: &str, file: &str) -> Result<TemplateFile> {
        self.refuse(&(template_name, file))
    }

    fn import_template_file(&self, file: &str, template_name: Option<&str>) -> Result<TemplateExported> {
        self.refuse(&(file, template_name))
    }

    fn live_sandboxes(&self) -> usize {
        assert!(!self.panics, "the backend panicked");
        0
    }

    fn close(&self) {
        assert!(!self.panics, "the backend panicked");
        self.seen.closed.store(true, Ordering::SeqCst);
    }
}
