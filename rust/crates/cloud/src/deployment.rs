//! Deployments: several sandboxes of a template under one id. What a deployment is made of is in the metadata of its sandboxes, so
//! that any process with the same account finds, scales and ends it.
//!
//! In one process a deployment is changed by one at a time, a call or the helper thread `e2b-scale`, which is there from the first
//! `auto_scale` on; two processes that change the same one at the same moment may both add instances, and the next count is right.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use e2bridge_core::deployment::{
    DEPLOYMENT, Follower, INSTANCE, POLICY, SETTLE, ScalePolicy, about_agent, created, ended_error,
    environment, instance_error, instance_request, start_command_error,
};
use e2bridge_core::document::{AgentResult, DeploymentCreated, DeploymentScaled, InstanceFailure};
use e2bridge_core::id::{IdKind, new_id};
use e2bridge_core::request::{DeployTemplate, RunAgent, ScaleDeployment, parse_object};
use e2bridge_core::time::now;
use e2bridge_core::{CancelToken, Code, Error, Result};
use e2bridge_wait::{cancelled, with_signals_blocked};

use crate::client::{Client, Known, New};
use crate::envd::{HOME, ProcessStep, Start};
use crate::http::guard::Guard;
use crate::metadata;
use crate::wire::api::Detail;

/// Most requests of one call that are under way at the same time.
const AT_ONCE: usize = 8;
/// How often a call that waits for another one on the same deployment looks again.
const TURN: Duration = Duration::from_millis(10);
/// How long the helper waits before it tries again to start an instance that could not be started.
const RETRY_AFTER: Duration = Duration::from_secs(15);
/// The rules of auto-scaling: the cluster takes figures about every five seconds, so one looks no more often.
const CLOUD_POLICY: ScalePolicy =
    ScalePolicy { interval: Duration::from_secs(5), high_samples: 2, low_samples: 6, ..POLICY };

/// The deployments that this client knows, and those that it looks after.
#[derive(Default)]
pub(crate) struct Deployments {
    state: Mutex<State>,
    /// Says that something of it has changed.
    changed: Condvar,
    /// Ends what the helper is at.
    token: Arc<CancelToken>,
}

#[derive(Default)]
struct State {
    /// Made or met here; they answer for deployments all of whose instances have ended.
    plans: HashMap<String, Arc<Plan>>,
    ended: HashSet<String>,
    busy: HashSet<String>,
    following: HashMap<String, Following>,
    helper: Option<JoinHandle<()>>,
    closed: bool,
}

struct Following {
    follower: Follower,
    retry_at: Option<Instant>,
}

/// What a deployment is made of; never changes.
struct Plan {
    id: String,
    request: DeployTemplate,
}

/// An instance that is up.
struct Launched {
    known: Arc<Known>,
    agent: Option<AgentResult>,
}

type Outcome = Result<Launched>;

/// The right to change a deployment, given back when dropped.
struct Turn<'a> {
    deployments: &'a Deployments,
    id: String,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.deployments.state().busy.remove(&self.id);
    }
}

impl Deployments {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, id: &str) -> Option<Turn<'_>> {
        self.state().busy.insert(id.to_owned()).then(|| Turn { deployments: self, id: id.to_owned() })
    }

    fn wait_for_turn(&self, id: &str, guard: &Guard<'_>) -> Result<Turn<'_>> {
        loop {
            if let Some(turn) = self.turn(id) {
                return Ok(turn);
            }
            guard.sleep(TURN)?;
        }
    }

    /// Ends the helper and waits for it. Idempotent.
    pub(crate) fn close(&self) {
        let helper = {
            let mut state = self.state();
            state.closed = true;
            state.following.clear();
            self.changed.notify_all();
            state.helper.take()
        };
        self.token.cancel();
        if let Some(helper) = helper
            && helper.thread().id() != std::thread::current().id()
        {
            // A panic in it ended only the work that it was at.
            let _ = helper.join();
        }
    }

    /// From now on a deployment follows its load.
    fn follow(&self, client: &Arc<Client>, id: &str, follower: Follower) -> Result<()> {
        let mut state = self.state();
        if state.closed {
            return Err(crate::http::guard::closed());
        }
        if state.helper.is_none() {
            let client = Arc::clone(client);
            let start = || {
                std::thread::Builder::new().name("e2b-scale".to_owned()).spawn(move || follow_all(&client))
            };
            // Signals are the JVM's business.
            let helper = with_signals_blocked(start)
                .map_err(|error| Error::new(Code::LimitExceeded, format!("start a thread: {error}")))?;
            state.helper = Some(helper);
        }
        state.following.insert(id.to_owned(), Following { follower, retry_at: None });
        self.changed.notify_all();
        Ok(())
    }

    /// The deployments to look after, at each interval; `None` at the end.
    fn wait_for_work(&self) -> Option<Vec<String>> {
        let mut state = self.state();
        let mut next = Instant::now() + CLOUD_POLICY.interval;
        loop {
            if state.closed {
                return None;
            }
            let left = next.saturating_duration_since(Instant::now());
            if state.following.is_empty() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                next = Instant::now() + CLOUD_POLICY.interval;
            } else if left.is_zero() {
                return Some(state.following.keys().cloned().collect());
            } else {
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

/// `deploy_e2b_template`: all instances or none.
///
/// # Errors
/// Those of `create_e2b_sandbox` and `run_e2b_agent`, with the number of the instance in `context.instance`; `INVALID_ARGUMENT`
/// about `configuration.start_command` when it fails. Nothing is left.
pub(crate) fn deploy(
    client: &Arc<Client>,
    request: &DeployTemplate,
    token: &CancelToken,
) -> Result<DeploymentCreated> {
    client.transport.closing.check_open()?;
    environment(request)?;
    let plan = Plan { id: new_id(IdKind::Deployment)?, request: request.clone() };
    let count = usize::try_from(request.instances).unwrap_or(usize::MAX);
    let (mut instances, mut agents, mut failed) = (Vec::with_capacity(count), Vec::new(), None);
    for (number, outcome) in launch(client, &plan, 0..count, true, token).into_iter().enumerate() {
        match outcome {
            Ok(launched) => {
                agents.extend(launched.agent);
                instances.push(launched.known);
            }
            // What came of a failure is no cause.
            Err(error) if error.code() == Code::Cancelled && failed.is_some() => {}
            Err(error) => match &failed {
                Some((_, first)) if Error::code(first) != Code::Cancelled => {}
                _ => failed = Some((number, error)),
            },
        }
    }
    if let Some((number, error)) = failed {
        end_all(client, &instances, "its deployment was rolled back", false);
        return Err(instance_error(&error, number, count, instances.len()));
    }
    let deployment_id = plan.id.clone();
    client.deployments.state().plans.insert(deployment_id.clone(), Arc::new(plan));
    let sandbox_ids = instances.iter().map(|known| known.id()).collect();
    Ok(created(deployment_id, request.template_name.clone(), request, sandbox_ids, agents))
}

/// `scale_e2b_deployment`.
///
/// # Errors
/// `NOT_FOUND` for the deployment, with `context.status` for one that was ended here; `CANCELLED`, and then what it started is
/// ended; those of the API.
pub(crate) fn scale(
    client: &Arc<Client>,
    request: &ScaleDeployment,
    token: &CancelToken,
) -> Result<DeploymentScaled> {
    let id = &request.deployment_id;
    let _turn = {
        let interrupt = client.transport.watch(token)?;
        client.deployments.wait_for_turn(id, &client.guard(&interrupt))?
    };
    // By hand from here on, unless it is to follow the load again.
    client.deployments.state().following.remove(id);
    let (plan, before) = {
        let interrupt = client.transport.watch(token)?;
        find(client, id, &client.guard(&interrupt))?
    };
    let requested = usize::try_from(request.instance_count).unwrap_or(usize::MAX);
    let previous_instances = before.len();
    let (instances, failures) = if requested > previous_instances {
        grow(client, &plan, before, requested - previous_instances, token)?
    } else {
        (shrink(client, before, requested, "its deployment was scaled down"), Vec::new())
    };
    if requested == 0 {
        let mut state = client.deployments.state();
        state.plans.remove(id);
        state.ended.insert(id.clone());
    } else if request.auto_scale {
        client.deployments.follow(client, id, Follower::new(CLOUD_POLICY, requested, requested))?;
    }
    let status = match (requested, instances.len()) {
        (0, _) => "ended",
        (_, now) if now < requested => "partial",
        _ => "scaled",
    };
    Ok(DeploymentScaled {
        deployment_id: id.clone(),
        status: status.to_owned(),
        instances: instances.len(),
        previous_instances,
        requested_instances: requested,
        sandbox_ids: instances.iter().map(|known| known.id()).collect(),
        auto_scale: request.auto_scale,
        failures,
        timestamp: now(),
    })
}

/// A deployment and its live instances, oldest first.
fn find(client: &Arc<Client>, id: &str, guard: &Guard<'_>) -> Result<(Arc<Plan>, Vec<Arc<Known>>)> {
    if client.deployments.state().ended.contains(id) {
        return Err(ended_error(id));
    }
    let marks = [(metadata::MARK, metadata::MARKED), (metadata::DEPLOYMENT, id)];
    let mut found = client.control.list(&client.transport, guard, "running", &marks)?;
    found.sort_by_key(number_of);
    let known = client.deployments.state().plans.get(id).map(Arc::clone);
    let plan = match (known, found.first()) {
        (Some(plan), _) => plan,
        (None, Some(first)) => {
            let plan = Arc::new(plan_of(id, first)?);
            client.deployments.state().plans.insert(id.to_owned(), Arc::clone(&plan));
            plan
        }
        (None, None) => {
            return Err(Error::not_found(
                "deployment_id",
                format!("deployment_id: there is no deployment {id}"),
            ));
        }
    };
    Ok((plan, found.iter().map(|detail| client.met_in_list(detail)).collect()))
}

/// The deployment that one of its instances carries with it.
fn plan_of(id: &str, detail: &Detail) -> Result<Plan> {
    let configuration = parse_object("configuration", Some(metadata::value(detail, metadata::CONFIGURATION)));
    let request = configuration.and_then(|configuration| {
        DeployTemplate::new(
            metadata::value(detail, metadata::TEMPLATE),
            metadata::value(detail, metadata::CATEGORY),
            configuration.unwrap_or_default(),
        )
    });
    // It was checked when it was deployed: somebody else has written it.
    let request = request.map_err(|error| {
        Error::new(
            Code::Unavailable,
            format!("deployment_id: the metadata of {id} cannot be read: {}", error.message()),
        )
        .with("deployment_id", id)
    })?;
    Ok(Plan { id: id.to_owned(), request })
}

fn number_of(detail: &Detail) -> usize {
    metadata::value(detail, metadata::INSTANCE).parse().unwrap_or(0)
}

/// Starts `count` more instances, as many as can be; what could not be started is in the answer.
fn grow(
    client: &Arc<Client>,
    plan: &Plan,
    mut instances: Vec<Arc<Known>>,
    count: usize,
    token: &CancelToken,
) -> Result<(Vec<Arc<Known>>, Vec<InstanceFailure>)> {
    let before = instances.len();
    let first = instances.iter().map(|known| number_of(&known.detail()) + 1).max().unwrap_or(0);
    let mut failures = Vec::new();
    for (position, outcome) in
        launch(client, plan, first..first + count, false, token).into_iter().enumerate()
    {
        match outcome {
            Ok(launched) => instances.push(launched.known),
            Err(error) => failures.push(InstanceFailure {
                instance: before + position,
                code: error.code().name().to_owned(),
                message: error.message().to_owned(),
            }),
        }
    }
    if token.is_cancelled() && !failures.is_empty() {
        end_all(client, &instances[before..], "the call that started it was cancelled", false);
        return Err(cancelled());
    }
    Ok((instances, failures))
}

/// Ends the newest instances until `count` are left.
fn shrink(
    client: &Arc<Client>,
    mut instances: Vec<Arc<Known>>,
    count: usize,
    reason: &str,
) -> Vec<Arc<Known>> {
    let newest = instances.split_off(count.min(instances.len()));
    end_all(client, &newest, reason, true);
    instances
}

/// Ends sandboxes, several at a time; with `grace` their programs are asked first.
fn end_all(client: &Arc<Client>, instances: &[Arc<Known>], reason: &str, grace: bool) {
    in_parallel(instances.len(), &CancelToken::new(), |index, _| {
        let guard = client.last_guard();
        // One of a list comes without the token that its programs are asked with.
        let found = if grace { client.find(&instances[index].id(), &guard).ok() } else { None };
        if let Some(known) = &found {
            crate::backend::shut_down(client, known, &guard);
        }
        // What cannot be ended ends with its time-out.
        let _ = client.end(found.as_ref().unwrap_or(&instances[index]), reason, &guard);
    });
}

/// Starts the instances of those numbers; one outcome for each, in their order. Sandboxes come first, then all start commands, then
/// all agents. With `all_or_none` nothing more is tried after a failure. The sandbox of an instance that failed has been ended.
fn launch(
    client: &Arc<Client>,
    plan: &Plan,
    numbers: Range<usize>,
    all_or_none: bool,
    token: &CancelToken,
) -> Vec<Outcome> {
    let first = numbers.start;
    let stopped = AtomicBool::new(false);
    let mut outcomes: Vec<Outcome> = in_parallel(numbers.len(), token, |index, token| {
        if stopped.load(Ordering::Acquire) {
            return Err(cancelled());
        }
        let outcome = sandbox(client, plan, first + index, token);
        if let Err(error) = &outcome {
            // What ended the attempt before would end this one, too.
            stopped.fetch_or(all_or_none || is_final(error.code()), Ordering::AcqRel);
        }
        outcome
    });
    let go_on = |outcomes: &[Outcome]| !all_or_none || outcomes.iter().all(Result::is_ok);
    if let Some(line) = &plan.request.start_command
        && go_on(&outcomes)
    {
        each(client, &mut outcomes, token, |launched, token| {
            start_command(client, &plan.id, line, &launched.known, token).map(|()| None)
        });
    }
    if plan.request.agent.is_some() && go_on(&outcomes) {
        each(client, &mut outcomes, token, |launched, token| {
            agent(client, plan, &launched.known, token).map(Some).map_err(|error| about_agent(&error))
        });
    }
    outcomes
}

/// Failures after which trying the next instance would only take time.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::Closed | Code::Cancelled | Code::Unauthenticated | Code::PermissionDenied | Code::Unsupported
    )
}

fn sandbox(client: &Arc<Client>, plan: &Plan, number: usize, token: &CancelToken) -> Outcome {
    let request = instance_request(&plan.request, &plan.request.template_name, number);
    let mut env: BTreeMap<String, String> = environment(&plan.request)?.into_iter().collect();
    env.insert(DEPLOYMENT.to_owned(), plan.id.clone());
    env.insert(INSTANCE.to_owned(), number.to_string());
    let configuration = serde_json::Value::Object(plan.request.configuration.clone()).to_string();
    let metadata = [
        (metadata::DEPLOYMENT, plan.id.clone()),
        (metadata::CATEGORY, plan.request.category.clone()),
        (metadata::INSTANCE, number.to_string()),
        (metadata::CONFIGURATION, configuration),
    ];
    let new = New {
        name: &request.name,
        template: &request.template,
        timeout: request.timeout_seconds,
        memory_mb: request.memory_mb,
        cpu_count: request.cpu_count,
        env: &env,
        metadata: metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        own: false,
    };
    let interrupt = client.transport.watch(token)?;
    let known = client.create(&new, &client.guard(&interrupt))?;
    Ok(Launched { known, agent: None })
}

/// Does `work` for each instance that is up; where it fails the sandbox is ended.
fn each(
    client: &Arc<Client>,
    outcomes: &mut [Outcome],
    token: &CancelToken,
    work: impl Fn(&Launched, &CancelToken) -> Result<Option<AgentResult>> + Sync,
) {
    let up: Vec<usize> = (0..outcomes.len()).filter(|index| outcomes[*index].is_ok()).collect();
    let results = {
        let outcomes = &*outcomes;
        in_parallel(up.len(), token, |turn, token| match &outcomes[up[turn]] {
            Ok(launched) => work(launched, token),
            Err(error) => Err(error.clone()),
        })
    };
    for (index, result) in up.into_iter().zip(results) {
        match (result, &mut outcomes[index]) {
            (Ok(agent), Ok(launched)) => launched.agent = agent,
            (Err(error), outcome) => {
                if let Ok(launched) = std::mem::replace(outcome, Err(error)) {
                    end_all(client, &[launched.known], "its start failed", false);
                }
            }
            (Ok(_), Err(_)) => {}
        }
    }
}

/// Starts the command and watches for [`SETTLE`] whether it fails; then it is left alone.
fn start_command(
    client: &Arc<Client>,
    deployment_id: &str,
    line: &str,
    known: &Arc<Known>,
    token: &CancelToken,
) -> Result<()> {
    let interrupt = client.transport.watch(token)?;
    let guard = client.guard(&interrupt);
    let argv = ["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()];
    let start = Start {
        argv: &argv,
        envs: BTreeMap::new(),
        cwd: Some(HOME),
        tag: Some(deployment_id),
        timeout: None,
    };
    let failed = |how: String| start_command_error(&how).with("sandbox_id", known.id());
    let envd = client.envd(known)?;
    let mut stream = envd.start(&start, &guard).map_err(|trouble| client.explain(known, trouble))?;
    let settled = Instant::now() + SETTLE;
    loop {
        match stream.next(&guard, Some(settled)).map_err(|trouble| client.explain(known, trouble))? {
            ProcessStep::DeadlinePassed => return Ok(()),
            ProcessStep::Ended(end) => {
                let within = SETTLE.as_secs();
                return match (end.signal(), end.exit_code) {
                    (None, 0) => Ok(()),
                    (Some(signal), _) => {
                        Err(failed(format!("was ended by {signal} within {within} s")).with("signal", signal))
                    }
                    (None, code) => Err(failed(format!("exited with status {code} within {within} s"))
                        .with("exit_code", code)),
                };
            }
            _ => {}
        }
    }
}

fn agent(client: &Arc<Client>, plan: &Plan, known: &Arc<Known>, token: &CancelToken) -> Result<AgentResult> {
    let Some(agent) = &plan.request.agent else {
        return Err(Error::internal("a deployment without an agent ran one"));
    };
    let request = RunAgent::new(
        &known.id(),
        &agent.agent_type,
        agent.symbols.clone(),
        Some(agent.strategy_params.clone()),
        None,
    )?;
    crate::agent::run(client, &request, token)
}

/// The helper: looks after every deployment that follows its load.
fn follow_all(client: &Arc<Client>) {
    while let Some(following) = client.deployments.wait_for_work() {
        for id in following {
            // What cannot be done now is done at the next interval.
            let _ = follow(client, &id);
        }
    }
}

/// One step of following the load; not when somebody else is changing the deployment.
fn follow(client: &Arc<Client>, id: &str) -> Result<()> {
    let deployments = &client.deployments;
    let token = Arc::clone(&deployments.token);
    let Some(_turn) = deployments.turn(id) else { return Ok(()) };
    let guard = client.plain_guard();
    let (plan, live) = find(client, id, &guard)?;
    let ids: Vec<&str> = live.iter().map(|known| known.access.raw_id.as_str()).collect();
    let metrics = client.control.metrics(&client.transport, &guard, &ids)?.sandboxes;
    let loads: Vec<f64> = metrics.values().map(|metric| metric.cpu_used_pct).collect();
    #[expect(clippy::cast_precision_loss, reason = "at most a thousand")]
    let mean = (!loads.is_empty()).then(|| loads.iter().sum::<f64>() / loads.len() as f64);
    let target = match deployments.state().following.get_mut(id) {
        Some(following) => {
            let target = following.follower.sample(mean);
            if live.len() < target && following.retry_at.is_some_and(|at| Instant::now() < at) {
                return Ok(());
            }
            target
        }
        None => return Ok(()),
    };
    let grown = if live.len() > target {
        shrink(client, live, target, "the load of its deployment is low");
        true
    } else if live.len() < target {
        let missing = target - live.len();
        grow(client, &plan, live, missing, &token).is_ok_and(|(_, failures)| failures.is_empty())
    } else {
        true
    };
    if let Some(following) = deployments.state().following.get_mut(id) {
        following.retry_at = (!grown).then(|| Instant::now() + RETRY_AFTER);
    }
    Ok(())
}

/// Does `work` for each number below `count`, several at a time; each has a token of its own, which that of the call cancels. The
/// answers are in order.
pub(crate) fn in_parallel<T: Send>(
    count: usize,
    token: &CancelToken,
    work: impl Fn(usize, &CancelToken) -> T + Sync,
) -> Vec<T> {
    // A token wakes one thread, so each has its own; the call's token cancels them all.
    let tokens: Arc<[CancelToken]> = (0..count).map(|_| CancelToken::new()).collect();
    let all = Arc::clone(&tokens);
    token.on_cancel(move || all.iter().for_each(CancelToken::cancel));
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut answers = Vec::new();
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let Some(token) = tokens.get(turn) else { return answers };
            answers.push((turn, work(turn, token)));
        }
    };
    let mut answers = std::thread::scope(|scope| {
        // This thread is one of them; one that cannot be started leaves more work to the others.
        let others: Vec<_> = with_signals_blocked(|| {
            (1..count.min(AT_ONCE))
                .map_while(|_| {
                    std::thread::Builder::new().name("e2b-cloud".to_owned()).spawn_scoped(scope, worker).ok()
                })
                .collect()
        });
        let mut answers = worker();
        for other in others {
            match other.join() {
                Ok(more) => answers.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        answers
    });
    token.clear_waker();
    answers.sort_by_key(|(turn, _)| *turn);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
