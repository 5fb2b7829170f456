//! `run_e2b_code`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2bridge_core::document::{CodeError, CodeOutput, CodeResult};
use e2bridge_core::id::{IdKind, new_id};
use e2bridge_core::output::{MAX_RESULT_BYTES, MAX_RESULT_DEPTH, Output, STDERR, STDOUT, json_depth};
use e2bridge_core::request::{BuiltinTemplate, Language, MAX_ARGUMENT_BYTES, RunCode};
use e2bridge_core::time::now;
use e2bridge_core::{CancelToken, Code, Error, Result};

use crate::client::{Client, Known};
use crate::error_map::Trouble;
use crate::execution::{self, Program};
use crate::http::guard::Guard;
use crate::interpreter::{Interpreter, RunEnd};
use crate::wire::interpreter::Event;

/// Most results of a run, as on the local engine.
const MAX_RESULTS: usize = 1_000;

/// What a run came to.
#[derive(Default)]
struct Outcome {
    output: Output,
    results: Vec<CodeOutput>,
    /// Bytes of the results; once there are too many of one or the other, no more are kept.
    result_bytes: usize,
    cut: bool,
    error: Option<CodeError>,
    timed_out: bool,
}

/// Runs code: a stateless shell line as a program, everything else in the code interpreter, in a context of its own that is
/// removed afterwards, or in a named one that is kept.
///
/// # Errors
/// `UNSUPPORTED` for a language that the template lacks, and without a code interpreter; `LIMIT_EXCEEDED` for a shell's code over
/// 128 KiB; those of an execution.
pub(crate) fn run(client: &Arc<Client>, request: &RunCode, token: &CancelToken) -> Result<CodeResult> {
    let began = Instant::now();
    let interrupt = client.transport.watch(token)?;
    let guard = client.guard(&interrupt);
    let known = client.find(&request.sandbox_id, &guard)?;
    check_language(&known, request.language)?;
    let execution_id = new_id(IdKind::Execution)?;
    let outcome = if request.language == Language::Shell && request.context.is_none() {
        shell(client, &known, request, &execution_id, &guard)?
    } else {
        let _life = client.hold(&known, request.timeout_seconds, &guard)?;
        let outcome = interpret(client, &known, request, began, &guard);
        known.count_execution();
        outcome.map_err(|trouble| client.explain(&known, trouble))?
    };
    let lossy = |stream| String::from_utf8_lossy(outcome.output.kept(stream)).into_owned();
    Ok(CodeResult {
        execution_id,
        sandbox_id: known.id(),
        language: request.language.name().to_owned(),
        context: request.context.clone(),
        stdout: lossy(STDOUT),
        stderr: lossy(STDERR),
        result: outcome.results.iter().find(|result| result.is_main_result).map(|result| result.text.clone()),
        truncated: outcome.cut || outcome.output.truncated(),
        results: outcome.results,
        error: outcome.error,
        timed_out: outcome.timed_out,
        out_of_memory: false,
        duration_ms: began.elapsed().as_secs_f64() * 1e3,
        timestamp: now(),
    })
}

/// A sandbox of a built-in template has the languages that it has on the local engine, whatever the cluster's template could do, so
/// that a program which works on one backend works on the other.
fn check_language(known: &Known, language: Language) -> Result<()> {
    let template = known.template();
    let lacks =
        BuiltinTemplate::from_name(&template).is_some_and(|builtin| !builtin.languages().contains(&language));
    if !lacks {
        return Ok(());
    }
    let have: Vec<&str> = BuiltinTemplate::ALL
        .into_iter()
        .filter(|template| template.languages().contains(&language))
        .map(BuiltinTemplate::name)
        .collect();
    Err(Error::new(
        Code::Unsupported,
        format!(
            "language: template {template} has no {}; templates that have it: {}",
            language.name(),
            have.join(", ")
        ),
    )
    .about("language")
    .with("template", template)
    .with("templates", have))
}

fn shell(
    client: &Arc<Client>,
    known: &Arc<Known>,
    request: &RunCode,
    execution_id: &str,
    guard: &Guard<'_>,
) -> Result<Outcome> {
    if request.code.len() > MAX_ARGUMENT_BYTES {
        return Err(Error::new(
            Code::LimitExceeded,
            format!(
                "code: a shell takes at most {MAX_ARGUMENT_BYTES} bytes, got {}; write a file and run it",
                request.code.len()
            ),
        )
        .about("code"));
    }
    let argv = ["/bin/sh".to_owned(), "-c".to_owned(), request.code.clone()];
    let program = Program {
        argv: &argv,
        envs: &[],
        timeout: Duration::from_secs(u64::from(request.timeout_seconds)),
        execution_id,
    };
    let ended = execution::run(client, known, &program, guard)?;
    let error = match (ended.timed_out, ended.signal(), ended.exit_code()) {
        (true, _, _) | (_, None, 0) => None,
        (_, Some(signal), _) => Some(error("Signal", signal)),
        (_, None, code) => Some(error("ExitStatus", format!("exit status {code}"))),
    };
    Ok(Outcome { output: ended.output, error, timed_out: ended.timed_out, ..Outcome::default() })
}

fn interpret(
    client: &Arc<Client>,
    known: &Arc<Known>,
    request: &RunCode,
    began: Instant,
    guard: &Guard<'_>,
) -> std::result::Result<Outcome, Trouble> {
    let interpreter = Interpreter::of(client, known)?;
    let due = began + Duration::from_secs(u64::from(request.timeout_seconds));
    let Some(name) = &request.context else {
        let id = interpreter.new_context(request.language, guard)?;
        let outcome = execute(&interpreter, &id, &request.code, due, guard);
        interpreter.remove(&id);
        return outcome;
    };
    let id = interpreter.context(request.language, name, guard)?;
    let (id, outcome) = match execute(&interpreter, &id, &request.code, due, guard) {
        // It is gone, so that nothing of the code was run: the sandbox was resumed, or somebody removed it.
        Err(trouble) if is_unknown_context(&trouble) => {
            interpreter.forget(request.language, name);
            let id = interpreter.context(request.language, name, guard)?;
            let outcome = execute(&interpreter, &id, &request.code, due, guard);
            (id, outcome)
        }
        outcome => (id, outcome),
    };
    let whole = matches!(&outcome, Ok(outcome) if !outcome.timed_out);
    if !whole {
        // What still runs in it would disturb the next run.
        interpreter.forget(request.language, name);
        interpreter.remove(&id);
    }
    outcome
}

fn is_unknown_context(trouble: &Trouble) -> bool {
    trouble.error.code() == Code::NotFound && trouble.error.context().contains_key("http_status")
}

fn execute(
    interpreter: &Interpreter<'_>,
    context_id: &str,
    code: &str,
    due: Instant,
    guard: &Guard<'_>,
) -> std::result::Result<Outcome, Trouble> {
    let mut outcome = Outcome::default();
    let end = interpreter.execute(context_id, code, due, guard, &mut |event| outcome.take(event))?;
    outcome.timed_out = end == RunEnd::DeadlinePassed;
    if outcome.timed_out {
        outcome.error = None;
    }
    Ok(outcome)
}

impl Outcome {
    fn take(&mut self, event: Event) {
        match event.kind.as_str() {
            "stdout" => self.output.push(STDOUT, event.text.unwrap_or_default().as_bytes()),
            "stderr" => self.output.push(STDERR, event.text.unwrap_or_default().as_bytes()),
            "result" => {
                let text = [event.text, event.markdown, event.html, event.latex, event.svg]
                    .into_iter()
                    .flatten()
                    .next()
                    .unwrap_or_default();
                let json = event.json.filter(|json| json_depth(json.get()) <= MAX_RESULT_DEPTH);
                self.keep(CodeOutput { text, json, is_main_result: event.is_main_result });
            }
            "error" => {
                self.error = Some(CodeError {
                    name: event.name.unwrap_or_default(),
                    value: event.value.unwrap_or_default(),
                    traceback: event.traceback.unwrap_or_default(),
                });
            }
            // number_of_executions, keepalive, end_of_execution, and what there may be one day
            _ => {}
        }
    }

    fn keep(&mut self, result: CodeOutput) {
        self.result_bytes += result.text.len() + result.json.as_ref().map_or(0, |json| json.get().len());
        self.cut |= self.result_bytes > MAX_RESULT_BYTES || self.results.len() >= MAX_RESULTS;
        if !self.cut {
            self.results.push(result);
        }
    }
}

fn error(name: &str, value: String) -> CodeError {
    CodeError { name: name.to_owned(), value, traceback: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(text: &str, json: &str) -> Event {
        let quoted = serde_json::to_string(text).unwrap();
        serde_json::from_str(&format!(r#"{{"type":"result","text":{quoted},"json":{json}}}"#)).unwrap()
    }

    #[test]
    fn results_are_kept_up_to_their_number_their_size_and_their_depth() {
        let mut outcome = Outcome::default();
        outcome.take(result("deep", &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))));
        assert!(outcome.results[0].json.is_none() && !outcome.cut);
        for _ in 0..2_000 {
            outcome.take(result("a", "[1]"));
        }
        assert_eq!((outcome.results.len(), outcome.cut), (MAX_RESULTS, true));
        let mut outcome = Outcome::default();
        for _ in 0..5 {
            outcome.take(result(&"a".repeat(10 << 20), "null"));
        }
        assert_eq!((outcome.results.len(), outcome.cut), (3, true));
    }
}
