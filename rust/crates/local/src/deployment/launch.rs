//! The start of instances: sandboxes, their start commands, their agents.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use e2bridge_core::deployment::{
    DEPLOYMENT, INSTANCE, SETTLE, about_agent, instance_request, start_command_error,
};
use e2bridge_core::document::AgentResult;
use e2bridge_core::request::RunAgent;
use e2bridge_core::{CancelToken, Code, Error, Result};
use e2bridge_protocol::init::{Exit, InitEvent, Program};
use rustix::event::{PollFd, PollFlags};

use super::Plan;
use crate::engine::{CreateOptions, Engine};
use crate::execution::{HOME, ProcessSpec, RunningProcess, signal_name};
use crate::sandbox::Sandbox;
use crate::wait::{self, Interrupt, cancelled, host_error, with_signals_blocked};

/// Most agents that run at the same time.
const MAX_AGENTS: usize = 8;

/// An instance that is up.
pub(super) struct Launched {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) start_command: Option<RunningProcess>,
    pub(super) agent: Option<AgentResult>,
}

type Outcome = Result<Launched>;

/// Starts the instances of those numbers; the answer has one outcome for each, in their order. Sandboxes come first, then all
/// start commands, so that the time in which they may fail passes only once, then all agents. With `all_or_none` nothing more
/// is tried after a failure. The sandbox of an instance that failed has been ended.
pub(super) fn launch(
    engine: &Arc<Engine>,
    plan: &Plan,
    numbers: Range<usize>,
    all_or_none: bool,
    token: &CancelToken,
) -> impl Iterator<Item = (usize, Outcome)> {
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(numbers.len());
    for number in numbers.clone() {
        let outcome = match outcomes.last() {
            // What ended the attempt before would end this one, too.
            Some(Err(error)) if all_or_none || is_final(error.code()) => Err(error.clone()),
            _ if token.is_cancelled() => Err(cancelled()),
            _ => sandbox(engine, plan, number, token),
        };
        outcomes.push(outcome);
    }
    let go_on = |outcomes: &[Outcome]| !all_or_none || outcomes.iter().all(Result::is_ok);
    if let Some(line) = &plan.request.start_command
        && go_on(&outcomes)
    {
        start_commands(engine, line, &mut outcomes, token);
    }
    if plan.request.agent.is_some() && go_on(&outcomes) {
        agents(engine, plan, &mut outcomes, token);
    }
    numbers.zip(outcomes)
}

/// Failures after which trying the next instance would only take time.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::Closed | Code::Cancelled | Code::IsolationUnavailable | Code::Unavailable | Code::Unsupported
    )
}

fn sandbox(engine: &Arc<Engine>, plan: &Plan, number: usize, token: &CancelToken) -> Outcome {
    let mut env = plan.env.clone();
    env.retain(|(name, _)| name != DEPLOYMENT && name != INSTANCE);
    env.push((DEPLOYMENT.to_owned(), plan.id.clone()));
    env.push((INSTANCE.to_owned(), number.to_string()));
    let request = instance_request(&plan.request, plan.template.name(), number);
    let options =
        CreateOptions { env, deployment_id: Some(plan.id.clone()), template: Some(plan.template.clone()) };
    let sandbox = engine.create(&request, options, token)?;
    Ok(Launched { sandbox, start_command: None, agent: None })
}

/// Ends the sandbox of an instance that failed.
fn fail(engine: &Engine, outcome: &mut Outcome, error: Error) {
    if let Ok(launched) = std::mem::replace(outcome, Err(error)) {
        super::end_all(engine, &[launched.sandbox], "its start failed");
    }
}

/// Starts the command in every instance and watches for [`SETTLE`] whether it fails.
fn start_commands(engine: &Arc<Engine>, line: &str, outcomes: &mut [Outcome], token: &CancelToken) {
    let interrupt = match engine.wakeups.watch(token) {
        Ok(interrupt) => interrupt,
        Err(error) => {
            for outcome in outcomes.iter_mut() {
                fail(engine, outcome, error.clone());
            }
            return;
        }
    };
    for outcome in outcomes.iter_mut() {
        let Ok(launched) = outcome else { continue };
        let spec = ProcessSpec {
            program: Program::Exec { argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()] },
            env: launched.sandbox.environment(),
            cwd: HOME.to_owned(),
            timeout: None,
            capture: false,
            worker: false,
        };
        match launched.sandbox.spawn(spec, Some(&interrupt)) {
            Ok(process) => launched.start_command = Some(process),
            Err(error) => fail(engine, outcome, error),
        }
    }
    let deadline = Instant::now() + SETTLE;
    let mut settled = vec![false; outcomes.len()];
    while Instant::now() < deadline {
        match settle(outcomes, &settled, deadline, &interrupt) {
            Ok(None) => break,
            Ok(Some(ready)) => {
                for index in ready {
                    match event(&outcomes[index]) {
                        Ok(done) => settled[index] = done,
                        Err(error) => fail(engine, &mut outcomes[index], error),
                    }
                }
            }
            Err(error) => {
                for outcome in outcomes.iter_mut() {
                    fail(engine, outcome, error.clone());
                }
                return;
            }
        }
    }
}

/// Waits for events of the start commands: which instances have one; `None` when there is nothing to wait for any more.
fn settle(
    outcomes: &[Outcome],
    settled: &[bool],
    deadline: Instant,
    interrupt: &Interrupt<'_>,
) -> Result<Option<Vec<usize>>> {
    let waiting: Vec<(usize, &RunningProcess)> = outcomes
        .iter()
        .enumerate()
        .filter(|(index, _)| !settled[*index])
        .filter_map(|(index, outcome)| Some((index, outcome.as_ref().ok()?.start_command.as_ref()?)))
        .collect();
    if waiting.is_empty() {
        return Ok(None);
    }
    let mut polled: Vec<PollFd<'_>> =
        waiting.iter().map(|(_, process)| PollFd::new(&process.channel, PollFlags::IN)).collect();
    polled.push(PollFd::from_borrowed_fd(interrupt.fd(), PollFlags::IN));
    let in_time = wait::poll(&mut polled, Some(deadline)).map_err(|error| host_error("poll", &error))?;
    if interrupt.is_cancelled() {
        return Err(cancelled());
    }
    if !in_time {
        return Ok(None);
    }
    let ready = waiting.iter().zip(&polled).filter(|(_, fd)| !fd.revents().is_empty());
    Ok(Some(ready.map(|((index, _), _)| *index).collect()))
}

/// Takes one event of a start command; true when it has ended well.
fn event(outcome: &Outcome) -> Result<bool> {
    let Ok(Launched { sandbox, start_command: Some(process), .. }) = outcome else { return Ok(true) };
    let failed = |how: String| start_command_error(&how).with("sandbox_id", &*sandbox.id);
    match sandbox.receive(&process.channel)? {
        InitEvent::Started { .. } => Ok(false),
        InitEvent::Exited(Exit { exit_code: Some(0), .. }) => Ok(true),
        InitEvent::Exited(exit) => Err(match (exit.exit_code, exit.signal) {
            (Some(code), _) => failed(format!("exited with status {code} within {} s", SETTLE.as_secs()))
                .with("exit_code", code),
            (None, Some(signal)) => {
                let name = signal_name(signal);
                failed(format!("was ended by {name} within {} s", SETTLE.as_secs())).with("signal", name)
            }
            (None, None) => failed(format!("ended within {} s", SETTLE.as_secs())),
        }),
        InitEvent::Failed { stage, errno } => {
            let reason = std::io::Error::from_raw_os_error(errno);
            Err(failed(format!("could not be started: {stage}: {reason}")).with("errno", errno))
        }
        other => Err(sandbox.out_of_turn(&other)),
    }
}

/// Runs the agent in every instance, a few at a time.
fn agents(engine: &Arc<Engine>, plan: &Plan, outcomes: &mut [Outcome], token: &CancelToken) {
    let ids: Vec<(usize, String)> = outcomes
        .iter()
        .enumerate()
        .filter_map(|(index, outcome)| Some((index, outcome.as_ref().ok()?.sandbox.id.to_string())))
        .collect();
    // A token wakes one thread, so each agent has its own; the call's token cancels them all.
    let tokens: Arc<[CancelToken]> = ids.iter().map(|_| CancelToken::new()).collect();
    let cancelled = Arc::clone(&tokens);
    token.on_cancel(move || cancelled.iter().for_each(CancelToken::cancel));
    let next = AtomicUsize::new(0);
    let work = || {
        let mut results = Vec::new();
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let (Some((index, id)), Some(token)) = (ids.get(turn), tokens.get(turn)) else { return results };
            results.push((*index, agent(engine, plan, id, token)));
        }
    };
    let results: Vec<(usize, Result<AgentResult>)> = std::thread::scope(|scope| {
        // This thread is one of them; one that cannot be started leaves more work to the others.
        let others: Vec<_> = with_signals_blocked(|| {
            (1..ids.len().min(MAX_AGENTS))
                .map_while(|_| {
                    std::thread::Builder::new().name("e2b-agent".to_owned()).spawn_scoped(scope, work).ok()
                })
                .collect()
        });
        let mut results = work();
        for other in others {
            match other.join() {
                Ok(more) => results.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    token.clear_waker();
    for (index, result) in results {
        match result {
            Ok(result) => {
                if let Ok(launched) = &mut outcomes[index] {
                    launched.agent = Some(result);
                }
            }
            Err(error) => fail(engine, &mut outcomes[index], about_agent(&error)),
        }
    }
}

fn agent(engine: &Arc<Engine>, plan: &Plan, sandbox_id: &str, token: &CancelToken) -> Result<AgentResult> {
    let Some(agent) = &plan.request.agent else {
        return Err(Error::internal("a deployment without an agent ran one"));
    };
    let request = RunAgent::new(
        sandbox_id,
        &agent.agent_type,
        agent.symbols.clone(),
        Some(agent.strategy_params.clone()),
        None,
    )?;
    crate::agent::run(engine, &request, token)
}
