//! `run_e2b_code`.

use std::sync::Arc;
use std::time::Duration;

use e2bridge_core::document::{CodeError, CodeOutput, CodeResult};
use e2bridge_core::id::{IdKind, new_id};
use e2bridge_core::request::{BuiltinTemplate, Language, MAX_ARGUMENT_BYTES, RunCode};
use e2bridge_core::time::now;
use e2bridge_core::{CancelToken, Code, Error, Result};
use e2bridge_protocol::init::Program;
use e2bridge_protocol::worker::{WorkerError, WorkerReply, WorkerRequest};

use crate::engine::Engine;
use crate::execution::{HOME, ProcessSpec, signal_name};
use crate::output::{MAX_STREAM_BYTES, Output, STDERR, STDOUT};
use crate::sandbox::Sandbox;
use crate::worker::{self, Interpreter, Run, RunEnd, exit_words};

/// Runs code in a warm interpreter.
///
/// # Errors
/// `UNSUPPORTED` for a language that the template lacks; `LIMIT_EXCEEDED` for a shell's code over 128 KiB; those of [`worker::run`].
pub(crate) fn run(engine: &Arc<Engine>, request: &RunCode, token: &CancelToken) -> Result<CodeResult> {
    let sandbox = engine.sandbox(&request.sandbox_id)?;
    let interpreter = Interpreter::of(sandbox.template, request.language)
        .ok_or_else(|| lacks(&sandbox, request.language))?;
    let execution_id = new_id(IdKind::Execution)?;
    let outcome = if interpreter == Interpreter::Shell && request.code.len() > MAX_ARGUMENT_BYTES {
        return Err(Error::new(
            Code::LimitExceeded,
            format!(
                "code: a shell takes at most {MAX_ARGUMENT_BYTES} bytes, got {}; write a file and run it",
                request.code.len()
            ),
        )
        .about("code"));
    } else if interpreter == Interpreter::Shell && request.context.is_none() {
        stateless_shell(engine, &sandbox, request, token)?
    } else {
        let interrupt = engine.wakeups.watch(token)?;
        let worker_request = WorkerRequest {
            run: worker::new_run()?,
            code: request.code.clone(),
            stateless: request.context.is_none(),
            timeout_ms: u64::from(request.timeout_seconds) * 1_000,
            max_output_bytes: MAX_STREAM_BYTES as u64,
            memory_bytes: Some(worker::engine_memory(&sandbox)),
            call: None,
        };
        let context = request.context.as_deref();
        Outcome::of(
            interpreter,
            worker::run(engine, &sandbox, interpreter, context, &worker_request, &interrupt)?,
        )
    };
    Ok(CodeResult {
        execution_id,
        sandbox_id: sandbox.id.to_string(),
        language: request.language.name().to_owned(),
        context: request.context.clone(),
        stdout: outcome.stdout,
        stderr: outcome.stderr,
        result: outcome.reply.result,
        results: outcome
            .reply
            .results
            .into_iter()
            .map(|output| CodeOutput {
                text: output.text,
                json: output.json,
                is_main_result: output.is_main_result,
            })
            .collect(),
        error: outcome.reply.error.map(code_error),
        timed_out: outcome.reply.timed_out,
        out_of_memory: outcome.reply.out_of_memory,
        truncated: outcome.truncated,
        duration_ms: outcome.duration.as_secs_f64() * 1e3,
        timestamp: now(),
    })
}

/// What a run came to, whatever ran it.
pub(crate) struct Outcome {
    /// Its text streams are empty: they are in `stdout` and `stderr`.
    pub(crate) reply: WorkerReply,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) truncated: bool,
    pub(crate) duration: Duration,
}

impl Outcome {
    /// The worker's reply; or, where there is none, what its end means.
    pub(crate) fn of(interpreter: Interpreter, mut run: Run) -> Self {
        // Node keeps to a limit of its own, below the sandbox's, and ends when it reaches that.
        if interpreter == Interpreter::Node && matches!(run.end, RunEnd::Exited(_)) {
            run.out_of_memory |= lossy(&run.output, STDERR).contains("JavaScript heap out of memory");
        }
        let mut reply = match run.end {
            RunEnd::Replied(reply) => *reply,
            RunEnd::TimedOut => WorkerReply { timed_out: true, ..WorkerReply::default() },
            RunEnd::Exited(exit) => {
                let (name, value) = if run.out_of_memory {
                    ("OutOfMemory", "the memory limit of the sandbox ended the interpreter".to_owned())
                } else if let Some(code) = exit.exit_code {
                    ("ExitStatus", format!("the code ended the interpreter: exit status {code}"))
                } else {
                    ("WorkerExited", format!("the interpreter ended: {}", exit_words(&exit)))
                };
                // A shell that is left with `exit 0` has done what it was told.
                let done = interpreter == Interpreter::Shell && exit.exit_code == Some(0);
                let error = (!done).then(|| worker_error(name, value));
                WorkerReply { error, ..WorkerReply::default() }
            }
            RunEnd::Garbled => WorkerReply {
                error: Some(worker_error(
                    "WorkerFailed",
                    "the code disturbed the interpreter's own descriptor; the interpreter was ended"
                        .to_owned(),
                )),
                ..WorkerReply::default()
            },
        };
        reply.out_of_memory |= run.out_of_memory;
        let mut output = run.output;
        // The embedded engine has no other output than what its reply carries.
        output.push(STDOUT, std::mem::take(&mut reply.stdout).as_bytes());
        output.push(STDERR, std::mem::take(&mut reply.stderr).as_bytes());
        let truncated = output.truncated() || reply.dropped_bytes > 0;
        Self {
            stdout: lossy(&output, STDOUT),
            stderr: lossy(&output, STDERR),
            truncated,
            reply,
            duration: run.duration,
        }
    }
}

fn lossy(output: &Output, stream: usize) -> String {
    String::from_utf8_lossy(output.kept(stream)).into_owned()
}

/// A shell without state needs no worker: it is an execution.
fn stateless_shell(
    engine: &Engine,
    sandbox: &Sandbox,
    request: &RunCode,
    token: &CancelToken,
) -> Result<Outcome> {
    let spec = ProcessSpec {
        program: Program::Exec { argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), request.code.clone()] },
        env: sandbox.environment(),
        cwd: HOME.to_owned(),
        timeout: Some(Duration::from_secs(u64::from(request.timeout_seconds))),
        capture: true,
        worker: false,
    };
    let outcome = sandbox.run(engine, spec, token)?;
    let error = match (outcome.timed_out, outcome.signal, outcome.exit_code) {
        (true, _, _) | (_, None, 0) => None,
        (_, Some(signal), _) => Some(worker_error("Signal", signal_name(signal))),
        (_, None, code) => Some(worker_error("ExitStatus", format!("exit status {code}"))),
    };
    Ok(Outcome {
        stdout: lossy(&outcome.output, STDOUT),
        stderr: lossy(&outcome.output, STDERR),
        truncated: outcome.output.truncated(),
        reply: WorkerReply {
            error,
            timed_out: outcome.timed_out,
            out_of_memory: outcome.out_of_memory,
            ..WorkerReply::default()
        },
        duration: outcome.duration,
    })
}

fn worker_error(name: &str, value: String) -> WorkerError {
    WorkerError { name: name.to_owned(), value, traceback: String::new() }
}

/// The document's form of an exception.
pub(crate) fn code_error(error: WorkerError) -> CodeError {
    CodeError { name: error.name, value: error.value, traceback: error.traceback }
}

fn lacks(sandbox: &Sandbox, language: Language) -> Error {
    let have: Vec<&str> = BuiltinTemplate::ALL
        .into_iter()
        .filter(|template| template.languages().contains(&language))
        .map(BuiltinTemplate::name)
        .collect();
    Error::new(
        Code::Unsupported,
        format!(
            "language: template {} has no {}; templates that have it: {}",
            sandbox.template.name(),
            language.name(),
            have.join(", ")
        ),
    )
    .about("language")
    .with("template", sandbox.template.name())
    .with("templates", have)
}
