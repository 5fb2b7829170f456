//! The agents in a sandbox of the cluster: the programs are uploaded and run by the sandbox's own Node.js and Python.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2bridge_agents::{AgentLanguage, Host, INPUT, MAX_TEXT, OUTPUT, PROGRAM, ProgramEnd, failure, remove};
use e2bridge_core::document::AgentResult;
use e2bridge_core::id::{IdKind, new_id};
use e2bridge_core::output::{STDERR, STDOUT};
use e2bridge_core::request::RunAgent;
use e2bridge_core::{CancelToken, Code, Error, Result};

use crate::client::{Client, Known};
use crate::execution::{self, Program};
use crate::files;
use crate::http::guard::Guard;

/// Variable with the path of the program.
const AGENTS: &str = "E2B_AGENT_PROGRAM";
/// Calls a function of the program: the input is `[function, argument...]`, the answer what the function answers.
const CALL: &str = "\
const fs = require('node:fs');
const { E2B_AGENT_PROGRAM, E2B_AGENT_INPUT, E2B_AGENT_OUTPUT } = process.env;
require('node:vm').runInThisContext(fs.readFileSync(E2B_AGENT_PROGRAM, 'utf8'), { filename: 'agents.js' });
const [name, ...given] = JSON.parse(fs.readFileSync(E2B_AGENT_INPUT, 'utf8'));
fs.writeFileSync(E2B_AGENT_OUTPUT, globalThis[name](...given));
";

/// A sandbox of the cluster, for one call.
struct CloudHost<'a> {
    client: &'a Arc<Client>,
    known: Arc<Known>,
    guard: Guard<'a>,
}

/// Runs a trading agent inside a sandbox and waits for it.
///
/// # Errors
/// Those of [`e2bridge_agents::run`]; `UNSUPPORTED` when the sandbox has no Node.js.
pub(crate) fn run(client: &Arc<Client>, request: &RunAgent, token: &CancelToken) -> Result<AgentResult> {
    let began = Instant::now();
    let interrupt = client.transport.watch(token)?;
    let guard = client.guard(&interrupt);
    let known = client.find(&request.sandbox_id, &guard)?;
    let _life = client.hold(&known, request.timeout_seconds, &guard)?;
    e2bridge_agents::run(&CloudHost { client, known: Arc::clone(&known), guard }, request, began)
}

impl Host for CloudHost<'_> {
    fn sandbox_id(&self) -> String {
        self.known.id()
    }

    fn prefers_python(&self) -> bool {
        self.known.template() == "python"
    }

    fn read_file(&self, path: &str, most: u64) -> Result<Vec<u8>> {
        files::read_from(self.client, &self.known, path, most, &self.guard)
    }

    fn write_file(&self, path: &str, content: &[u8]) -> Result<()> {
        files::write_to(self.client, &self.known, path, &mut &content[..], content.len() as u64, &self.guard)
            .map(drop)
    }

    fn place(&self, path: &str) -> String {
        path.to_owned()
    }

    fn call(&self, function: &str, arguments: &[String], time: Duration) -> Result<ProgramEnd> {
        let began = Instant::now();
        let directory = format!("/tmp/{}", new_id(IdKind::Agent)?);
        let path = |name: &str| format!("{directory}/{name}");
        let (program, input, output) = (path("agents.js"), path("call.json"), path("answer.json"));
        let call: Vec<&str> = std::iter::once(function).chain(arguments.iter().map(String::as_str)).collect();
        let call = serde_json::to_vec(&call)
            .map_err(|error| Error::internal(format!("a call has no JSON form: {error}")))?;
        self.write_file(&program, PROGRAM.as_bytes())?;
        self.write_file(&input, &call)?;
        let variables = [(AGENTS, program.as_str()), (INPUT, input.as_str()), (OUTPUT, output.as_str())];
        let argv = ["node", "-e", CALL].into_iter().map(str::to_owned).collect();
        let left = time.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
        let mut end = self.run(argv, &variables, left);
        if let Ok(end) = &mut end
            && !end.timed_out
            && end.failure.is_none()
        {
            // Without an answer the call failed, and what it wrote says why.
            end.answer = self.read_file(&output, MAX_TEXT * 4).unwrap_or_default();
        }
        remove(self, &directory);
        end
    }

    /// The sandbox's own. Whether they are there shows when they are run.
    fn interpreter(&self, language: AgentLanguage, _: &str) -> Result<Option<Vec<String>>> {
        let program = match language {
            AgentLanguage::JavaScript => "node",
            AgentLanguage::Python => "python3",
        };
        Ok(Some(vec![program.to_owned()]))
    }

    fn run(&self, argv: Vec<String>, variables: &[(&str, &str)], time: Duration) -> Result<ProgramEnd> {
        let execution_id = new_id(IdKind::Execution)?;
        let program = Program { argv: &argv, envs: variables, timeout: time, execution_id: &execution_id };
        let outcome = execution::run(self.client, &self.known, &program, &self.guard)?;
        if outcome.exit_code() == 127 {
            return Err(Error::new(
                Code::Unsupported,
                format!(
                    "agent_type: it needs {}, which the cluster's template of {} does not have",
                    argv[0],
                    self.known.template()
                ),
            )
            .about("agent_type")
            .with("sandbox_id", self.known.id()));
        }
        let lossy = |stream| String::from_utf8_lossy(outcome.output.kept(stream)).into_owned();
        Ok(ProgramEnd {
            stdout: lossy(STDOUT),
            stderr: lossy(STDERR),
            timed_out: outcome.timed_out,
            failure: outcome.signal().filter(|_| !outcome.timed_out).map(|signal| failure("Signal", &signal)),
            answer: Vec::new(),
        })
    }
}
