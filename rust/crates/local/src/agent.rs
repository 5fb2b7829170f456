//! The agents on the local engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2bridge_agents::{AgentLanguage, Host, PROGRAM, ProgramEnd, failure};
use e2bridge_core::document::AgentResult;
use e2bridge_core::request::{BuiltinTemplate, RunAgent};
use e2bridge_core::{CancelToken, Code, Error, Result};
use e2bridge_protocol::init::Program;
use e2bridge_protocol::worker::{WorkerCall, WorkerRequest};

use crate::code::{Outcome, code_error};
use crate::engine::Engine;
use crate::execution::{HOME, ProcessSpec, signal_name};
use crate::output::{MAX_STREAM_BYTES, STDERR, STDOUT};
use crate::sandbox::Sandbox;
use crate::worker::{self, Interpreter, heap_option};

/// A sandbox of the engine, for one call.
struct LocalHost<'a> {
    engine: &'a Arc<Engine>,
    sandbox: Arc<Sandbox>,
    token: &'a CancelToken,
}

/// Runs a trading agent inside a sandbox and waits for it.
///
/// # Errors
/// Those of [`e2bridge_agents::run`].
pub(crate) fn run(engine: &Arc<Engine>, request: &RunAgent, token: &CancelToken) -> Result<AgentResult> {
    let began = Instant::now();
    let sandbox = engine.sandbox(&request.sandbox_id)?;
    e2bridge_agents::run(&LocalHost { engine, sandbox, token }, request, began)
}

impl Host for LocalHost<'_> {
    fn sandbox_id(&self) -> String {
        self.sandbox.id.to_string()
    }

    fn prefers_python(&self) -> bool {
        self.sandbox.template == BuiltinTemplate::Python
    }

    fn read_file(&self, path: &str, most: u64) -> Result<Vec<u8>> {
        self.sandbox.read_file(self.engine, path, most, self.token)
    }

    fn write_file(&self, path: &str, content: &[u8]) -> Result<()> {
        self.sandbox.write_file(self.engine, path, content, self.token).map(drop)
    }

    fn place(&self, path: &str) -> String {
        self.sandbox.place(path)
    }

    /// In a fresh realm of the embedded engine.
    fn call(&self, function: &str, arguments: &[String], time: Duration) -> Result<ProgramEnd> {
        let worker_request = WorkerRequest {
            run: worker::new_run()?,
            code: PROGRAM.to_owned(),
            stateless: true,
            timeout_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            max_output_bytes: MAX_STREAM_BYTES as u64,
            memory_bytes: Some(worker::engine_memory(&self.sandbox)),
            call: Some(WorkerCall { function: function.to_owned(), arguments: arguments.to_vec() }),
        };
        let interrupt = self.engine.wakeups.watch(self.token)?;
        let run = worker::run(
            self.engine,
            &self.sandbox,
            Interpreter::EmbeddedJavaScript,
            None,
            &worker_request,
            &interrupt,
        )?;
        let outcome = Outcome::of(Interpreter::EmbeddedJavaScript, run);
        let failure = match outcome.reply.error {
            Some(error) => Some(code_error(error)),
            None => outcome.reply.out_of_memory.then(out_of_memory),
        };
        Ok(ProgramEnd {
            stdout: outcome.stdout,
            stderr: outcome.stderr,
            timed_out: outcome.reply.timed_out,
            failure,
            answer: outcome.reply.result.unwrap_or_default().into_bytes(),
        })
    }

    fn interpreter(&self, language: AgentLanguage, path: &str) -> Result<Option<Vec<String>>> {
        match (language, self.sandbox.template, self.sandbox.interpreter.clone()) {
            (AgentLanguage::Python, BuiltinTemplate::Python, Some(interpreter)) => {
                Ok(Some(vec![interpreter]))
            }
            (AgentLanguage::Python, ..) => Err(Error::new(
                Code::Unsupported,
                format!("agent_type: {path} needs Python; use a sandbox of the template python"),
            )
            .about("agent_type")),
            (AgentLanguage::JavaScript, BuiltinTemplate::Node, Some(interpreter)) => {
                Ok(Some(vec![interpreter, heap_option(&self.sandbox)]))
            }
            (AgentLanguage::JavaScript, ..) => Ok(None),
        }
    }

    fn run(&self, argv: Vec<String>, variables: &[(&str, &str)], time: Duration) -> Result<ProgramEnd> {
        let mut env = self.sandbox.environment();
        env.extend(variables.iter().map(|(name, value)| format!("{name}={value}")));
        let spec = ProcessSpec {
            program: Program::Exec { argv },
            env,
            cwd: HOME.to_owned(),
            timeout: Some(time),
            capture: true,
            worker: false,
        };
        let outcome = self.sandbox.run(self.engine, spec, self.token)?;
        let lossy = |stream| String::from_utf8_lossy(outcome.output.kept(stream)).into_owned();
        Ok(ProgramEnd {
            stdout: lossy(STDOUT),
            stderr: lossy(STDERR),
            timed_out: outcome.timed_out,
            failure: if outcome.out_of_memory {
                Some(out_of_memory())
            } else {
                outcome.signal.map(|signal| failure("Signal", &signal_name(signal)))
            },
            answer: Vec::new(),
        })
    }
}

fn out_of_memory() -> e2bridge_core::document::CodeError {
    failure("OutOfMemory", "the memory limit of the sandbox ended the agent")
}
