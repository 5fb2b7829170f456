//! `run_e2b_agent`. The built-in agents are one JavaScript program, run inside the sandbox by the embedded engine; a custom agent
//! is a file of the sandbox. Prices are parsed inside, by the same program for both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2bridge_core::document::{AgentResult, CodeError};
use e2bridge_core::id::{IdKind, new_id};
use e2bridge_core::request::{BuiltinTemplate, RunAgent};
use e2bridge_core::time::now;
use e2bridge_core::{CancelToken, Code, Error, Result};
use e2bridge_protocol::init::Program;
use e2bridge_protocol::worker::{WorkerCall, WorkerRequest};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::code::{Outcome, code_error};
use crate::engine::Engine;
use crate::execution::{HOME, ProcessSpec, signal_name};
use crate::output::{MAX_STREAM_BYTES, STDERR, STDOUT};
use crate::sandbox::Sandbox;
use crate::worker::{self, Interpreter, heap_option};

/// The built-in agents, and what custom ones need of them.
const PROGRAM: &str = include_str!("../agents/agents.js");
/// Runs a custom agent under Node.
const NODE_RUNNER: &str = include_str!("../agents/runner.node.js");
/// Runs a custom agent under CPython.
const PYTHON_RUNNER: &str = include_str!("../agents/runner.py");
/// The agents in [`PROGRAM`].
const BUILT_IN: [&str; 6] =
    ["momentum", "mean_reversion", "moving_average_crossover", "pairs", "kelly", "buy_and_hold"];
/// Where custom agents are.
const DIRECTORY: &str = "/opt/agents";
/// Longest price file, bytes.
const MAX_PRICES: u64 = 32 * 1024 * 1024;
/// Longest source of a custom agent, and longest answer of it, bytes.
const MAX_TEXT: u64 = 16 * 1024 * 1024;

/// What the program's functions answer.
#[derive(Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    result: Option<Value>,
    #[serde(default)]
    input: Option<Value>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    argument: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    error: Option<AgentFailure>,
}

/// The exception of a custom agent.
#[derive(Deserialize)]
struct AgentFailure {
    name: String,
    value: String,
    #[serde(default)]
    traceback: String,
}

/// How an agent ended.
enum End {
    Completed(Value),
    Failed(CodeError),
    TimedOut,
}

/// One run of an agent.
struct AgentRun<'a> {
    engine: &'a Arc<Engine>,
    sandbox: Arc<Sandbox>,
    request: &'a RunAgent,
    token: &'a CancelToken,
    due: Instant,
    stdout: String,
    stderr: String,
}

/// Runs a trading agent inside a sandbox and waits for it.
///
/// # Errors
/// `UNSUPPORTED` for a GPU, and for a custom agent whose language the template lacks; `NOT_FOUND` for an agent that is neither
/// built in nor in the sandbox; `INVALID_ARGUMENT` for parameters and prices, those that are missing too; those of a code run.
pub(crate) fn run(engine: &Arc<Engine>, request: &RunAgent, token: &CancelToken) -> Result<AgentResult> {
    let began = Instant::now();
    let sandbox = engine.sandbox(&request.sandbox_id)?;
    if request.use_gpu {
        // The view of a sandbox has six device nodes, none of a GPU.
        return Err(Error::new(
            Code::Unsupported,
            "use_gpu: a sandbox of the local engine reaches no GPU; give false",
        )
        .about("use_gpu"));
    }
    let agent_id = new_id(IdKind::Agent)?;
    let mut run = AgentRun {
        engine,
        sandbox,
        request,
        token,
        due: began + Duration::from_secs(u64::from(request.timeout_seconds)),
        stdout: String::new(),
        stderr: String::new(),
    };
    let end = if BUILT_IN.contains(&request.agent_type.as_str()) {
        run.built_in()?
    } else {
        run.custom(&agent_id)?
    };
    let (status, result, error) = match end {
        End::Completed(result) => ("completed", Some(result), None),
        End::Failed(error) => ("failed", None, Some(error)),
        End::TimedOut => ("timed_out", None, None),
    };
    Ok(AgentResult {
        agent_id,
        sandbox_id: run.sandbox.id.clone(),
        status: status.to_owned(),
        agent_type: request.agent_type.clone(),
        symbols: request.symbols.clone(),
        result,
        stdout: run.stdout,
        stderr: run.stderr,
        error,
        duration_ms: began.elapsed().as_secs_f64() * 1e3,
        timestamp: now(),
    })
}

impl AgentRun<'_> {
    fn built_in(&mut self) -> Result<End> {
        let input = self.input()?;
        match self.call("e2bridgeAgent", vec![input])? {
            Err(end) => Ok(end),
            Ok(answer) if answer.ok => Ok(End::Completed(answer.result.unwrap_or(Value::Null))),
            Ok(answer) => Err(refusal(answer)),
        }
    }

    fn custom(&mut self, agent_id: &str) -> Result<End> {
        let (path, source) = self.find()?;
        let input = self.input()?;
        let input = match self.call("e2bridgeAgentInput", vec![input])? {
            Err(end) => return Ok(end),
            Ok(answer) if answer.ok => answer.input.unwrap_or(Value::Null).to_string(),
            Ok(answer) => return Err(refusal(answer)),
        };
        let python = path.ends_with(".py");
        let answer = match (python, self.sandbox.template, self.sandbox.interpreter.clone()) {
            (true, BuiltinTemplate::Python, Some(interpreter)) => self.runner(
                agent_id,
                vec![
                    interpreter,
                    "-B".to_owned(),
                    "-c".to_owned(),
                    PYTHON_RUNNER.to_owned(),
                    self.sandbox.place(&path),
                ],
                &input,
            )?,
            (true, ..) => {
                return Err(Error::new(
                    Code::Unsupported,
                    format!("agent_type: {path} needs Python; use a sandbox of the template python"),
                )
                .about("agent_type"));
            }
            (false, BuiltinTemplate::Node, Some(interpreter)) => self.runner(
                agent_id,
                vec![
                    interpreter,
                    heap_option(&self.sandbox),
                    "-e".to_owned(),
                    NODE_RUNNER.to_owned(),
                    self.sandbox.place(&path),
                ],
                &input,
            )?,
            (false, ..) => {
                let source = String::from_utf8(source)
                    .map_err(|_| Error::invalid("agent_type", format!("{path} is not UTF-8 text")))?;
                self.call("e2bridgeCustomAgent", vec![source, input])?
            }
        };
        Ok(match answer {
            Err(end) => end,
            Ok(Answer { ok: true, result, .. }) => End::Completed(result.unwrap_or(Value::Null)),
            Ok(Answer { error: Some(error), .. }) => {
                End::Failed(CodeError { name: error.name, value: error.value, traceback: error.traceback })
            }
            Ok(_) => End::Failed(failure("AgentFailed", "the agent gave no answer")),
        })
    }

    /// The file of the custom agent: of the template's own language first.
    fn find(&self) -> Result<(String, Vec<u8>)> {
        let name = &self.request.agent_type;
        let mut endings = ["js", "py"];
        if self.sandbox.template == BuiltinTemplate::Python {
            endings.reverse();
        }
        for ending in endings {
            let path = format!("{DIRECTORY}/{name}.{ending}");
            match self.sandbox.read_file(self.engine, &path, MAX_TEXT, self.token) {
                Ok(source) => return Ok((path, source)),
                Err(error) if error.code() == Code::NotFound && error.argument() == Some("path") => {}
                Err(error) => return Err(under("agent_type", &error)),
            }
        }
        Err(Error::not_found(
            "agent_type",
            format!(
                "agent_type: there is no agent {name:?}: built in are {}; {DIRECTORY}/{name}.js and {DIRECTORY}/{name}.py are not in the sandbox",
                BUILT_IN.join(", ")
            ),
        ))
    }

    /// The input document of the program, with the price files of the symbols that have no prices in the parameters.
    fn input(&self) -> Result<String> {
        let given = self.request.strategy_params.get("prices").and_then(Value::as_object);
        let mut files = Map::new();
        for (index, symbol) in self.request.symbols.iter().enumerate() {
            if given.is_some_and(|prices| prices.contains_key(symbol)) {
                continue;
            }
            let path = format!("/data/{symbol}.csv");
            match self.sandbox.read_file(self.engine, &path, MAX_PRICES, self.token) {
                Ok(bytes) => {
                    let text = String::from_utf8(bytes).map_err(|_| {
                        Error::invalid(&format!("symbols[{index}]"), format!("{path} is not UTF-8 text"))
                    })?;
                    files.insert(symbol.clone(), Value::String(text));
                }
                Err(error) if error.code() == Code::NotFound && error.argument() == Some("path") => {}
                Err(error) => return Err(under(&format!("symbols[{index}]"), &error)),
            }
        }
        Ok(json!({
            "agent_type": self.request.agent_type,
            "symbols": self.request.symbols,
            "params": self.request.strategy_params,
            "files": files,
        })
        .to_string())
    }

    /// Calls a function of the program in a fresh realm of the embedded engine.
    fn call(&mut self, function: &str, arguments: Vec<String>) -> Result<std::result::Result<Answer, End>> {
        let Some(timeout_ms) = self.left_ms() else { return Ok(Err(End::TimedOut)) };
        let worker_request = WorkerRequest {
            run: worker::new_run()?,
            code: PROGRAM.to_owned(),
            stateless: true,
            timeout_ms,
            max_output_bytes: MAX_STREAM_BYTES as u64,
            memory_bytes: Some(worker::engine_memory(&self.sandbox)),
            call: Some(WorkerCall { function: function.to_owned(), arguments }),
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
        self.stdout.push_str(&outcome.stdout);
        self.stderr.push_str(&outcome.stderr);
        if outcome.reply.timed_out {
            return Ok(Err(End::TimedOut));
        }
        if let Some(error) = outcome.reply.error {
            return Ok(Err(End::Failed(code_error(error))));
        }
        if outcome.reply.out_of_memory {
            return Ok(Err(End::Failed(failure(
                "OutOfMemory",
                "the memory limit of the sandbox ended the agent",
            ))));
        }
        Ok(parse(outcome.reply.result.unwrap_or_default().as_bytes()))
    }

    /// Runs a custom agent as a program of its own. Input and answer are files, so that the streams are the agent's.
    fn runner(
        &mut self,
        agent_id: &str,
        argv: Vec<String>,
        input: &str,
    ) -> Result<std::result::Result<Answer, End>> {
        let directory = format!("/tmp/{agent_id}");
        let (input_path, output_path) =
            (format!("{directory}/input.json"), format!("{directory}/output.json"));
        self.sandbox
            .write_file(self.engine, &input_path, input.as_bytes(), self.token)
            .map_err(|error| under("agent_type", &error))?;
        let ended = self.run_program(argv, &input_path, &output_path);
        let answer = match &ended {
            Ok(Ok(())) => self.sandbox.read_file(self.engine, &output_path, MAX_TEXT, self.token).ok(),
            _ => None,
        };
        // What cannot be removed ends with the sandbox.
        let _ = self.sandbox.run(
            self.engine,
            self.spec(
                vec!["rm".to_owned(), "-rf".to_owned(), self.sandbox.place(&directory)],
                Duration::from_secs(10),
                Vec::new(),
            ),
            &CancelToken::new(),
        );
        match (ended?, answer) {
            (Err(end), _) => Ok(Err(end)),
            (Ok(()), Some(answer)) => Ok(parse(&answer)),
            (Ok(()), None) => {
                Ok(Err(End::Failed(failure("AgentFailed", "the agent ended without an answer"))))
            }
        }
    }

    fn run_program(
        &mut self,
        argv: Vec<String>,
        input_path: &str,
        output_path: &str,
    ) -> Result<std::result::Result<(), End>> {
        let Some(left) = self.left_ms() else { return Ok(Err(End::TimedOut)) };
        let variables = vec![
            format!("E2B_AGENT_INPUT={}", self.sandbox.place(input_path)),
            format!("E2B_AGENT_OUTPUT={}", self.sandbox.place(output_path)),
        ];
        let outcome = self.sandbox.run(
            self.engine,
            self.spec(argv, Duration::from_millis(left), variables),
            self.token,
        )?;
        self.stdout.push_str(&String::from_utf8_lossy(outcome.output.kept(STDOUT)));
        self.stderr.push_str(&String::from_utf8_lossy(outcome.output.kept(STDERR)));
        Ok(if outcome.timed_out {
            Err(End::TimedOut)
        } else if outcome.out_of_memory {
            Err(End::Failed(failure("OutOfMemory", "the memory limit of the sandbox ended the agent")))
        } else if let Some(signal) = outcome.signal {
            Err(End::Failed(failure("Signal", &signal_name(signal))))
        } else {
            Ok(())
        })
    }

    fn spec(&self, argv: Vec<String>, timeout: Duration, variables: Vec<String>) -> ProcessSpec {
        let mut env = self.sandbox.environment();
        env.extend(variables);
        ProcessSpec {
            program: Program::Exec { argv },
            env,
            cwd: HOME.to_owned(),
            timeout: Some(timeout),
            capture: true,
            worker: false,
        }
    }

    /// Milliseconds until the agent's time is over; `None` when it is.
    fn left_ms(&self) -> Option<u64> {
        let left = self.due.saturating_duration_since(Instant::now()).as_millis();
        u64::try_from(left).ok().filter(|left| *left > 0)
    }
}

fn parse(text: &[u8]) -> std::result::Result<Answer, End> {
    serde_json::from_slice(text)
        .map_err(|_| End::Failed(failure("AgentFailed", "the agent's answer is not what its runner writes")))
}

fn failure(name: &str, value: &str) -> CodeError {
    CodeError { name: name.to_owned(), value: value.to_owned(), traceback: String::new() }
}

/// The error that the program answered. Its messages begin with the argument already.
fn refusal(answer: Answer) -> Error {
    let code = match answer.code.as_deref() {
        Some("INVALID_ARGUMENT") => Code::InvalidArgument,
        Some("NOT_FOUND") => Code::NotFound,
        _ => Code::Internal,
    };
    let error = Error::new(code, answer.message.unwrap_or_else(|| "the agent gave no reason".to_owned()));
    match answer.argument {
        Some(argument) => error.about(&argument),
        None => error,
    }
}

/// An error about a path, under the name of the argument that led there.
fn under(argument: &str, error: &Error) -> Error {
    if error.argument() != Some("path") {
        return error.clone();
    }
    let rule = error.message().strip_prefix("path: ").unwrap_or(error.message());
    let mut renamed = Error::new(error.code(), format!("{argument}: {rule}")).about(argument);
    for (key, value) in error.context() {
        renamed = renamed.with(key, value.clone());
    }
    renamed
}
