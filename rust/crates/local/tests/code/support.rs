//! An engine with a sandbox, and short ways to run something in it.

use e2bridge_core::document::{AgentResult, CodeResult, SandboxState};
use e2bridge_core::request::{CreateSandbox, DeployTemplate, RunAgent, RunCode, WriteFile};
use e2bridge_core::{Backend, CancelToken, Result};
use e2bridge_local::{Config, LocalBackend};
use serde_json::{Value, json};

/// A sandbox of its own engine.
pub(crate) struct Host {
    pub(crate) backend: LocalBackend,
    pub(crate) sandbox: String,
}

impl Host {
    /// `None`, with the reason on standard error, where the host cannot have one.
    pub(crate) fn new(template: &str) -> Option<Host> {
        Host::with_memory(template, None)
    }

    #[expect(clippy::print_stderr, reason = "says why a test was skipped")]
    pub(crate) fn with_memory(template: &str, memory_mb: Option<i64>) -> Option<Host> {
        let config =
            Config { pool_base: Some(0), pool_python: Some(0), pool_node: Some(0), ..Config::default() };
        let opened = LocalBackend::open(config).and_then(|backend| {
            let request = CreateSandbox::new("code", Some(template), None, memory_mb, None)?;
            let sandbox = backend.create_sandbox(&request, &CancelToken::new())?.sandbox_id;
            Ok(Host { backend, sandbox })
        });
        match opened {
            Ok(host) => Some(host),
            Err(error) => {
                assert!(
                    std::env::var("E2B_TESTS_REQUIRED").as_deref() != Ok("1"),
                    "no {template} on this host: {error}"
                );
                eprintln!("skipped: no {template} on this host: {error}");
                None
            }
        }
    }

    /// The same engine, and a sandbox with variables.
    pub(crate) fn with_variables(self, template: &str, variables: Value) -> Host {
        let Value::Object(configuration) = json!({"env": variables}) else { unreachable!() };
        let request = DeployTemplate::new(template, "code", configuration).expect("a configuration");
        let deployed = self.backend.deploy_template(&request, &CancelToken::new()).expect("a deployment");
        Host { sandbox: deployed.sandbox_ids[0].clone(), ..self }
    }

    pub(crate) fn try_run(
        &self,
        language: &str,
        code: &str,
        context: Option<&str>,
        timeout: Option<i64>,
    ) -> Result<CodeResult> {
        let request = RunCode::new(&self.sandbox, language, code, context, timeout)?;
        self.backend.run_code(&request, &CancelToken::new())
    }

    /// A stateless run.
    pub(crate) fn run(&self, language: &str, code: &str) -> CodeResult {
        self.try_run(language, code, None, Some(20)).expect("a run")
    }

    /// A run in a context.
    pub(crate) fn run_in(&self, context: &str, language: &str, code: &str) -> CodeResult {
        self.try_run(language, code, Some(context), Some(20)).expect("a run")
    }

    /// Text of the result of a stateless run that goes well.
    pub(crate) fn result(&self, language: &str, code: &str) -> String {
        let done = self.run(language, code);
        assert!(done.error.is_none() && !done.timed_out, "{done:?}");
        done.result.unwrap_or_else(|| panic!("no result of {code}"))
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let request = WriteFile::new(&self.sandbox, path, content.as_bytes()).expect("a path");
        self.backend.write_file(&request, &CancelToken::new()).expect("a file written");
    }

    pub(crate) fn agent(&self, agent_type: &str, symbols: &[&str], params: Value) -> Result<AgentResult> {
        let symbols = symbols.iter().map(|symbol| (*symbol).to_owned()).collect();
        let request = RunAgent::new(&self.sandbox, agent_type, symbols, params.as_object().cloned(), None)?;
        self.backend.run_agent(&request, &CancelToken::new())
    }

    pub(crate) fn state(&self) -> SandboxState {
        self.backend.sandbox_status(&self.sandbox).expect("a status").status
    }
}
