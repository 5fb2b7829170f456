//! Programs in a sandbox: start, collect, wait, end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2bridge_core::document::ProcessResult;
use e2bridge_core::id::{IdKind, new_id};
use e2bridge_core::output::{Ended, Output, STDERR, STDOUT, process_result};
use e2bridge_core::request::ExecuteProcess;
use e2bridge_core::{CancelToken, Code, Result};

use crate::client::{Client, Known};
use crate::envd::{HOME, ProcessStep, Start};
use crate::error_map::Trouble;
use crate::http::guard::Guard;
use crate::scripts::kill_all;
use crate::watch::Watch;
use crate::wire::process::EndEvent;

/// Variable by which everything of one execution is found again.
pub(crate) const EXECUTION: &str = "E2B_EXECUTION_ID";
/// How much later than the daemon this side ends an execution that is over its time.
const BACKSTOP: Duration = Duration::from_millis(500);
/// A program to run.
pub(crate) struct Program<'a> {
    pub(crate) argv: &'a [String],
    /// Beside those of the sandbox.
    pub(crate) envs: &'a [(&'a str, &'a str)],
    pub(crate) timeout: Duration,
    pub(crate) execution_id: &'a str,
}

/// How a program ended, and what it wrote.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) end: EndEvent,
    pub(crate) timed_out: bool,
    pub(crate) output: Output,
    pub(crate) duration: Duration,
}

impl Outcome {
    /// Exit status; -1 when a signal or the time-out ended it.
    pub(crate) fn exit_code(&self) -> i32 {
        if self.timed_out || self.end.signal().is_some() { -1 } else { self.end.exit_code }
    }

    /// Name of the signal that ended it.
    pub(crate) fn signal(&self) -> Option<String> {
        if self.timed_out { Some("SIGKILL".to_owned()) } else { self.end.signal() }
    }
}

/// `execute_e2b_process`.
///
/// # Errors
/// Those of [`run`].
pub(crate) fn execute(
    client: &Arc<Client>,
    request: &ExecuteProcess,
    token: &CancelToken,
) -> Result<ProcessResult> {
    let interrupt = client.transport.watch(token)?;
    let guard = client.guard(&interrupt);
    let known = client.find(&request.sandbox_id, &guard)?;
    let execution_id = new_id(IdKind::Execution)?;
    let program = Program {
        argv: &request.argv,
        envs: &[],
        timeout: Duration::from_secs(u64::from(request.timeout_seconds)),
        execution_id: &execution_id,
    };
    let outcome = run(client, &known, &program, &guard)?;
    let ended = Ended {
        exit_code: outcome.exit_code(),
        signal: outcome.signal(),
        timed_out: outcome.timed_out,
        // The kernel inside tells nobody outside.
        out_of_memory: false,
        duration: outcome.duration,
    };
    let output = if request.capture_output { outcome.output } else { Output::default() };
    Ok(process_result(execution_id, known.id(), ended, &output))
}

/// Runs a program and waits until it has ended. What it left in the background lives on; a time-out or a cancel ends everything of
/// it.
///
/// # Errors
/// `CANCELLED`, `CLOSED`; `NOT_FOUND` with `context.status` when the sandbox has ended meanwhile; `TIMEOUT` when the cluster did
/// not answer; `UNAVAILABLE`.
pub(crate) fn run(
    client: &Arc<Client>,
    known: &Arc<Known>,
    program: &Program<'_>,
    guard: &Guard<'_>,
) -> Result<Outcome> {
    let began = Instant::now();
    let seconds = u32::try_from(program.timeout.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX);
    let _life = client.hold(known, seconds, guard)?;
    let outcome = collect(client, known, program, guard, began);
    known.count_execution();
    match outcome {
        Ok(mut outcome) => {
            if outcome.timed_out {
                kill_all(client, known, program.execution_id);
            }
            outcome.duration = began.elapsed();
            Ok(outcome)
        }
        Err(trouble) => {
            // The daemon goes on with a program whose stream has ended.
            if matches!(trouble.error.code(), Code::Cancelled | Code::Timeout | Code::Closed) {
                kill_all(client, known, program.execution_id);
            }
            Err(client.explain(known, trouble))
        }
    }
}

fn collect(
    client: &Arc<Client>,
    known: &Arc<Known>,
    program: &Program<'_>,
    guard: &Guard<'_>,
    began: Instant,
) -> std::result::Result<Outcome, Trouble> {
    let mut envs: BTreeMap<&str, &str> = program.envs.iter().copied().collect();
    envs.insert(EXECUTION, program.execution_id);
    let start = Start {
        argv: program.argv,
        envs,
        cwd: Some(HOME),
        tag: Some(program.execution_id),
        timeout: Some(program.timeout),
    };
    let envd = client.envd(known)?;
    let mut outcome = Outcome::default();
    let mut stream = match envd.start(&start, guard) {
        Ok(stream) => stream,
        Err(trouble) => return not_executed(program, trouble),
    };
    let due = began + program.timeout + BACKSTOP;
    let mut watch = Watch::new();
    loop {
        match stream.next(guard, Some(watch.due().min(due))) {
            Ok(ProcessStep::Started { pid }) => watch.started(pid),
            Ok(ProcessStep::Stdout(bytes)) => {
                outcome.output.push(STDOUT, &bytes);
                watch.heard();
            }
            Ok(ProcessStep::Stderr(bytes)) => {
                outcome.output.push(STDERR, &bytes);
                watch.heard();
            }
            Ok(ProcessStep::DeadlinePassed) if Instant::now() < due => watch.look(client, known, guard),
            Ok(ProcessStep::Ended(end)) => {
                // The daemon kills at the deadline and may say so only by the signal.
                outcome.timed_out =
                    end.signal().as_deref() == Some("SIGKILL") && began.elapsed() >= program.timeout;
                outcome.end = end;
                stream.finish(guard);
                return Ok(outcome);
            }
            Ok(ProcessStep::DeadlinePassed) => {
                outcome.timed_out = true;
                return Ok(outcome);
            }
            Err(trouble) if trouble.deadline => {
                outcome.timed_out = true;
                return Ok(outcome);
            }
            Err(trouble) if !stream.has_started() => return not_executed(program, trouble),
            Err(trouble) => return Err(trouble),
        }
    }
}

/// A program that does not exist is a result, as in a shell; everything else is an error.
fn not_executed(program: &Program<'_>, trouble: Trouble) -> std::result::Result<Outcome, Trouble> {
    let said =
        trouble.error.context().get("server_message").and_then(|said| said.as_str()).unwrap_or_default();
    let missing = ["executable file not found", "no such file or directory", "not a directory"]
        .iter()
        .any(|words| said.contains(words));
    let refused = said.contains("permission denied") || said.contains("exec format error");
    let name = program.argv.first().map_or("", String::as_str);
    let (exit_code, reason) = match (missing, refused) {
        (true, _) => (127, "No such file or directory"),
        (_, true) => (126, "Permission denied"),
        _ => return Err(trouble),
    };
    let mut outcome =
        Outcome { end: EndEvent { exit_code, exited: true, ..EndEvent::default() }, ..Outcome::default() };
    outcome.output.push(STDERR, format!("{name}: {reason}\n").as_bytes());
    Ok(outcome)
}
