//! `run_e2b_agent`, whatever the sandbox is. The built-in agents are one JavaScript program, run inside the sandbox; a custom agent
//! is a file of the sandbox. Prices are parsed inside, by the same program for both. What a backend does itself is a [`Host`].
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use e2bridge_core::document::{AgentResult, CodeError};
use e2bridge_core::id::{IdKind, new_id};
use e2bridge_core::request::RunAgent;
use e2bridge_core::time::now;
use e2bridge_core::{Code, Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The built-in agents, and what custom ones need of them.
pub const PROGRAM: &str = include_str!("../programs/agents.js");
/// Runs a custom agent under Node.
const NODE_RUNNER: &str = include_str!("../programs/runner.node.js");
/// Runs a custom agent under CPython.
const PYTHON_RUNNER: &str = include_str!("../programs/runner.py");
/// The agents in [`PROGRAM`].
const BUILT_IN: [&str; 6] =
    ["momentum", "mean_reversion", "moving_average_crossover", "pairs", "kelly", "buy_and_hold"];
/// Where custom agents are.
const DIRECTORY: &str = "/opt/agents";
/// Longest price file, bytes.
const MAX_PRICES: u64 = 32 * 1024 * 1024;
/// Longest source of a custom agent, and longest answer of it, bytes.
pub const MAX_TEXT: u64 = 16 * 1024 * 1024;
/// Variable with the path of an agent's input.
pub const INPUT: &str = "E2B_AGENT_INPUT";
/// Variable with the path of an agent's answer.
pub const OUTPUT: &str = "E2B_AGENT_OUTPUT";

/// A language of custom agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentLanguage {
    /// `.js`
    JavaScript,
    /// `.py`
    Python,
}

/// How a program of an agent ended, and what it wrote.
#[derive(Debug, Default)]
pub struct ProgramEnd {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The time was over.
    pub timed_out: bool,
    /// Something else than itself ended it: memory, a signal.
    pub failure: Option<CodeError>,
    /// What a function of [`PROGRAM`] answered; empty for a program of its own.
    pub answer: Vec<u8>,
}

/// What a backend does for the agents of one sandbox, in one call.
pub trait Host {
    /// The sandbox.
    fn sandbox_id(&self) -> String;

    /// True when the sandbox's own language is Python.
    fn prefers_python(&self) -> bool;

    /// A file of the sandbox.
    ///
    /// # Errors
    /// Those of `read_e2b_file`.
    fn read_file(&self, path: &str, most: u64) -> Result<Vec<u8>>;

    /// Writes a file into the sandbox.
    ///
    /// # Errors
    /// Those of `write_e2b_file`.
    fn write_file(&self, path: &str, content: &[u8]) -> Result<()>;

    /// Where programs inside find `path`.
    fn place(&self, path: &str) -> String;

    /// Calls a function of [`PROGRAM`], for at most `time`.
    ///
    /// # Errors
    /// Those of an execution.
    fn call(&self, function: &str, arguments: &[String], time: Duration) -> Result<ProgramEnd>;

    /// The program and its first arguments that run a file of a language; `None`: the source is run as a function of [`PROGRAM`].
    ///
    /// # Errors
    /// `UNSUPPORTED` when the sandbox does not have the language.
    fn interpreter(&self, language: AgentLanguage, path: &str) -> Result<Option<Vec<String>>>;

    /// Runs a program with variables beside those of the sandbox, for at most `time`.
    ///
    /// # Errors
    /// Those of an execution.
    fn run(&self, argv: Vec<String>, variables: &[(&str, &str)], time: Duration) -> Result<ProgramEnd>;
}

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
struct AgentRun<'a, H: Host> {
    host: &'a H,
    request: &'a RunAgent,
    due: Instant,
    stdout: String,
    stderr: String,
}

/// Runs a trading agent inside a sandbox and waits for it.
///
/// # Errors
/// `UNSUPPORTED` for a GPU, and for a custom agent whose language the sandbox lacks; `NOT_FOUND` for an agent that is neither
/// built in nor in the sandbox; `INVALID_ARGUMENT` for parameters and prices, those that are missing too; those of a code run.
pub fn run(host: &impl Host, request: &RunAgent, began: Instant) -> Result<AgentResult> {
    if request.use_gpu {
        return Err(Error::new(
            Code::Unsupported,
            "use_gpu: a sandbox reaches no GPU, neither of the local engine nor of a cluster; give false",
        )
        .about("use_gpu"));
    }
    let agent_id = new_id(IdKind::Agent)?;
    let mut run = AgentRun {
        host,
        request,
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
        sandbox_id: host.sandbox_id(),
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

impl<H: Host> AgentRun<'_, H> {
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
        let language = if python { AgentLanguage::Python } else { AgentLanguage::JavaScript };
        let answer = match self.host.interpreter(language, &path)? {
            Some(mut argv) => {
                let (flags, runner): (&[&str], _) =
                    if python { (&["-B", "-c"], PYTHON_RUNNER) } else { (&["-e"], NODE_RUNNER) };
                argv.extend(flags.iter().map(|flag| (*flag).to_owned()));
                argv.extend([runner.to_owned(), self.host.place(&path)]);
                self.runner(agent_id, argv, &input)?
            }
            None => {
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
        if self.host.prefers_python() {
            endings.reverse();
        }
        for ending in endings {
            let path = format!("{DIRECTORY}/{name}.{ending}");
            match self.host.read_file(&path, MAX_TEXT) {
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
            match self.host.read_file(&path, MAX_PRICES) {
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

    /// Calls a function of the program.
    fn call(&mut self, function: &str, arguments: Vec<String>) -> Result<std::result::Result<Answer, End>> {
        let Some(left) = self.left() else { return Ok(Err(End::TimedOut)) };
        let end = self.host.call(function, &arguments, left)?;
        let answer = end.answer.clone();
        Ok(self.ended(end).and_then(|()| parse(&answer)))
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
        self.host.write_file(&input_path, input.as_bytes()).map_err(|error| under("agent_type", &error))?;
        let ended = self.run_program(argv, &input_path, &output_path);
        let answer = match &ended {
            Ok(Ok(())) => self.host.read_file(&output_path, MAX_TEXT).ok(),
            _ => None,
        };
        remove(self.host, &directory);
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
        let Some(left) = self.left() else { return Ok(Err(End::TimedOut)) };
        let (input, output) = (self.host.place(input_path), self.host.place(output_path));
        let end = self.host.run(argv, &[(INPUT, &input), (OUTPUT, &output)], left)?;
        Ok(self.ended(end))
    }

    /// Keeps what was written; an end that gives no answer is the agent's.
    fn ended(&mut self, end: ProgramEnd) -> std::result::Result<(), End> {
        self.stdout.push_str(&end.stdout);
        self.stderr.push_str(&end.stderr);
        match end {
            ProgramEnd { timed_out: true, .. } => Err(End::TimedOut),
            ProgramEnd { failure: Some(failure), .. } => Err(End::Failed(failure)),
            _ => Ok(()),
        }
    }

    /// Time until the agent's is over; `None` when it is.
    fn left(&self) -> Option<Duration> {
        let left = self.due.saturating_duration_since(Instant::now());
        (left >= Duration::from_millis(1)).then_some(left)
    }
}

/// Removes a directory of ours from the sandbox. What cannot be removed ends with the sandbox.
pub fn remove(host: &impl Host, directory: &str) {
    let argv = vec!["rm".to_owned(), "-rf".to_owned(), host.place(directory)];
    let _ = host.run(argv, &[], Duration::from_secs(10));
}

fn parse(text: &[u8]) -> std::result::Result<Answer, End> {
    serde_json::from_slice(text)
        .map_err(|_| End::Failed(failure("AgentFailed", "the agent's answer is not what its runner writes")))
}

/// The exception of an agent that ended without one.
pub fn failure(name: &str, value: &str) -> CodeError {
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
