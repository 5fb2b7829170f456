//! An engine of its own for each test.

use std::time::{Duration, Instant};

use e2bridge_core::document::{ProcessResult, SandboxSummary};
use e2bridge_core::request::{
    CreateSandbox, DeployTemplate, ExecuteProcess, ExportTemplate, ScaleDeployment, StatusFilter,
};
use e2bridge_core::{Backend, CancelToken, Error, Result};
use e2bridge_local::{Config, LocalBackend};
use serde_json::{Map, Value};

/// Set to 1, a host that cannot run the tests fails them.
const REQUIRED: &str = "E2B_TESTS_REQUIRED";

/// Why tests cannot run here, if they cannot.
fn unable() -> Option<String> {
    let report = e2bridge_local::check(&Config::default()).unwrap();
    if report.ready {
        return None;
    }
    let lacking = report.facilities.iter().filter(|facility| !facility.available);
    Some(
        lacking
            .map(|facility| format!("{}: {}", facility.name, facility.detail))
            .collect::<Vec<_>>()
            .join("; "),
    )
}

/// An engine with a data directory of its own.
pub(crate) struct Fixture {
    pub(crate) backend: LocalBackend,
    pub(crate) directory: tempfile::TempDir,
}

/// An engine; `None`, with the reason said, where the host can isolate nothing.
pub(crate) fn engine() -> Option<Fixture> {
    if let Some(reason) = unable() {
        assert!(
            std::env::var_os(REQUIRED).is_none_or(|value| value != "1"),
            "this host cannot isolate: {reason}"
        );
        println!("skipped: this host cannot isolate: {reason}");
        return None;
    }
    Some(open())
}

/// Another engine, with another data directory.
pub(crate) fn open() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        data_directory: Some(directory.path().to_owned()),
        // What is in a pool would be counted as a process of its own.
        pool_base: Some(0),
        pool_python: Some(0),
        pool_node: Some(0),
        ..Config::default()
    };
    Fixture { backend: LocalBackend::open(config).unwrap(), directory }
}

impl Fixture {
    /// A path on the host, in the directory of this engine.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn create(&self, template: &str) -> Result<String> {
        self.create_with(template, None)
    }

    pub(crate) fn create_with(&self, template: &str, memory_mb: Option<i64>) -> Result<String> {
        let request = CreateSandbox::new("test", Some(template), None, memory_mb, None).unwrap();
        self.backend.create_sandbox(&request, &CancelToken::new()).map(|created| created.sandbox_id)
    }

    pub(crate) fn run(&self, sandbox_id: &str, line: &str) -> ProcessResult {
        let request = ExecuteProcess::new(sandbox_id, line, None, Some(60), None).unwrap();
        self.backend.execute_process(&request, &CancelToken::new()).unwrap()
    }

    /// What a line that must succeed prints.
    pub(crate) fn output(&self, sandbox_id: &str, line: &str) -> String {
        let result = self.run(sandbox_id, line);
        assert_eq!(result.exit_code, 0, "{line}: {}", result.output);
        result.stdout
    }

    pub(crate) fn export(
        &self,
        sandbox_id: &str,
        name: &str,
        include_data: bool,
    ) -> Result<e2bridge_core::document::TemplateExported> {
        let request = ExportTemplate::new(sandbox_id, name, Some(include_data)).unwrap();
        self.backend.export_template(&request, &CancelToken::new())
    }

    pub(crate) fn deploy(
        &self,
        template: &str,
        configuration: Value,
    ) -> Result<e2bridge_core::document::DeploymentCreated> {
        self.deploy_with(template, configuration, &CancelToken::new())
    }

    pub(crate) fn deploy_with(
        &self,
        template: &str,
        configuration: Value,
        token: &CancelToken,
    ) -> Result<e2bridge_core::document::DeploymentCreated> {
        let request = DeployTemplate::new(template, "test", object(configuration)).unwrap();
        self.backend.deploy_template(&request, token)
    }

    pub(crate) fn scale(
        &self,
        deployment_id: &str,
        count: i64,
        auto_scale: bool,
    ) -> Result<e2bridge_core::document::DeploymentScaled> {
        let request = ScaleDeployment::new(deployment_id, Some(count), Some(auto_scale)).unwrap();
        self.backend.scale_deployment(&request, &CancelToken::new())
    }

    /// The running sandboxes.
    pub(crate) fn running(&self) -> Vec<SandboxSummary> {
        self.backend.list_sandboxes(StatusFilter::parse(None).unwrap()).unwrap().sandboxes
    }

    pub(crate) fn terminate(&self, sandbox_id: &str) {
        self.backend.terminate_sandbox(sandbox_id, true).unwrap();
    }
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

/// Waits until `done`, which must be soon.
pub(crate) fn eventually(what: &str, patience: Duration, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < patience, "{what} within {patience:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn code(error: &Error) -> &'static str {
    error.code().name()
}
