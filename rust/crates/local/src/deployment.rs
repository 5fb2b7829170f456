//! Deployments: several sandboxes of one template under one id, started together, scaled by hand or by their load.
//!
//! A deployment is changed by one at a time, a call or the helper thread `e2b-scale`: whoever holds its state. The helper is there from
//! the first `auto_scale` on and ends with the engine; it is not the engine's background thread, because starting an instance may
//! take longer than other sandboxes' deadlines can wait.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use e2bridge_core::deployment::{Follower, POLICY, created, ended_error, environment, instance_error};
use e2bridge_core::document::{DeploymentCreated, DeploymentScaled, InstanceFailure, SandboxState};
use e2bridge_core::id::{IdKind, new_id};
use e2bridge_core::request::{DeployTemplate, ScaleDeployment};
use e2bridge_core::time::now;
use e2bridge_core::{CancelToken, Code, Error, Result};

use self::launch::{Launched, launch};
use crate::engine::Engine;
use crate::execution::RunningProcess;
use crate::health::ask::ask_all;
use crate::sandbox::{Cause, SHUT_DOWN_PATIENCE, Sandbox, shut_down_request};
use crate::templates::ResolvedTemplate;
use crate::wait::{cancelled, with_signals_blocked};

mod launch;

/// Ended deployments that are remembered, and for how long, as sandboxes are.
const MAX_REMEMBERED: usize = 1_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(3_600);
/// How often a call that waits for another one on the same deployment looks whether it was cancelled.
const TURN: Duration = Duration::from_millis(5);
/// How long the helper waits before it tries again to start an instance that could not be started.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The deployments of one engine.
#[derive(Default)]
pub(crate) struct Deployments {
    registry: Mutex<Registry>,
    helper: Mutex<Helper>,
    /// Says that something of the helper's state has changed.
    changed: Condvar,
}

#[derive(Default)]
struct Registry {
    alive: HashMap<String, Arc<Deployment>>,
    /// Oldest first.
    ended: Vec<(String, Instant)>,
}

/// The helper thread and what it is told.
#[derive(Default)]
struct Helper {
    thread: Option<JoinHandle<()>>,
    /// Deployments that follow their load.
    following: HashSet<String>,
    /// An instance of one of them has ended.
    due: bool,
    closed: bool,
    /// Ends what it is starting.
    token: Arc<CancelToken>,
}

/// What a deployment is made of; never changes.
struct Plan {
    id: String,
    request: DeployTemplate,
    /// Kept, so that all instances are of one version of it.
    template: ResolvedTemplate,
    env: Vec<(String, String)>,
}

struct Deployment {
    plan: Plan,
    state: Mutex<State>,
}

struct State {
    /// Oldest first.
    instances: Vec<Instance>,
    /// Number of the next instance.
    next: usize,
    follower: Option<Follower>,
    /// When the load was last looked at.
    sampled_at: Option<Instant>,
    retry_at: Option<Instant>,
    ended: bool,
}

struct Instance {
    sandbox: Arc<Sandbox>,
    /// Closing its channel would end the program, so it is kept as long as the instance.
    _start_command: Option<RunningProcess>,
    /// Processor time and moment of the sample before.
    load: Option<(u64, Instant)>,
}

impl Instance {
    fn new(launched: Launched) -> Self {
        Self { sandbox: launched.sandbox, _start_command: launched.start_command, load: None }
    }

    fn lives(&self) -> bool {
        self.sandbox.state() == SandboxState::Running
    }

    /// Processor use since the sample before, percent of the instance's limit.
    fn load_percent(&mut self) -> Option<f64> {
        let sample = self.sandbox.sample(Instant::now());
        let cpu_us = sample.cpu_us?;
        let (before_us, before) = self.load.replace((cpu_us, sample.taken))?;
        let wall = sample.taken.saturating_duration_since(before).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let used = cpu_us.saturating_sub(before_us) as f64 / 1e6;
        (wall > 0.0).then(|| used / wall / f64::from(self.sandbox.limits.cpu_count.max(1)) * 100.0)
    }
}

impl State {
    /// Forgets the instances that have ended, by whatever cause.
    fn prune(&mut self) {
        self.instances.retain(Instance::lives);
    }

    /// Mean over the instances of the processor use since the sample before, percent of their limits.
    fn mean_load(&mut self) -> Option<f64> {
        self.sampled_at = Some(Instant::now());
        let loads: Vec<f64> = self.instances.iter_mut().filter_map(Instance::load_percent).collect();
        #[expect(clippy::cast_precision_loss, reason = "at most a thousand")]
        let count = loads.len() as f64;
        (!loads.is_empty()).then(|| loads.iter().sum::<f64>() / count)
    }

    fn ids(&self) -> Vec<String> {
        self.instances.iter().map(|instance| instance.sandbox.id.to_string()).collect()
    }

    fn numbers(&mut self, count: usize) -> std::ops::Range<usize> {
        let first = self.next;
        self.next += count;
        first..self.next
    }
}

/// `deploy_e2b_template`: all instances or none.
///
/// # Errors
/// Those of `create_e2b_sandbox` and `run_e2b_agent`, with the number of the instance in `context.instance`; `INVALID_ARGUMENT`
/// about `configuration.start_command` when it fails. Nothing is left.
pub(crate) fn deploy(
    engine: &Arc<Engine>,
    request: &DeployTemplate,
    token: &CancelToken,
) -> Result<DeploymentCreated> {
    let template = engine.templates.resolve("template_name", &request.template_name)?;
    let env = environment(request)?;
    let plan = Plan { id: new_id(IdKind::Deployment)?, request: request.clone(), template, env };
    let count = usize::try_from(request.instances).unwrap_or(usize::MAX);
    let (mut instances, mut agents) = (Vec::with_capacity(count), Vec::new());
    let mut failed = None;
    for (number, outcome) in launch(engine, &plan, 0..count, true, token) {
        match outcome {
            Ok(mut launched) => {
                agents.extend(launched.agent.take());
                instances.push(Instance::new(launched));
            }
            Err(error) => failed = failed.or(Some((number, error))),
        }
    }
    if let Some((number, error)) = failed {
        let started: Vec<_> = instances.into_iter().map(|instance| instance.sandbox).collect();
        end_all(engine, &started, "its deployment was rolled back");
        return Err(instance_error(&error, number, count, started.len()));
    }
    let deployment = Deployment {
        state: Mutex::new(State {
            instances,
            next: count,
            follower: None,
            sampled_at: None,
            retry_at: None,
            ended: false,
        }),
        plan,
    };
    let (deployment_id, sandbox_ids) = (deployment.plan.id.clone(), deployment.lock().ids());
    let template = deployment.plan.template.name().to_owned();
    engine.deployments.registry().alive.insert(deployment_id.clone(), Arc::new(deployment));
    Ok(created(deployment_id, template, request, sandbox_ids, agents))
}

/// `scale_e2b_deployment`.
///
/// # Errors
/// `NOT_FOUND` for the deployment, with `context.status` for one that was ended; `CANCELLED`, and then what it started is ended.
pub(crate) fn scale(
    engine: &Arc<Engine>,
    request: &ScaleDeployment,
    token: &CancelToken,
) -> Result<DeploymentScaled> {
    let id = &request.deployment_id;
    let deployment = engine.deployments.find(id)?;
    let mut state = deployment.wait_for_turn(token)?;
    if state.ended {
        return Err(ended_error(id));
    }
    state.prune();
    let previous_instances = state.instances.len();
    let requested = usize::try_from(request.instance_count).unwrap_or(usize::MAX);
    // By hand from here on, unless it is to follow the load again.
    state.follower = None;
    engine.deployments.helper().following.remove(id);
    let failures = if requested > previous_instances {
        deployment.grow(engine, &mut state, requested - previous_instances, token)?
    } else {
        deployment.shrink(engine, &mut state, requested, "its deployment was scaled down");
        Vec::new()
    };
    if requested == 0 {
        state.ended = true;
        engine.deployments.registry().end(id);
    } else if request.auto_scale {
        state.follower = Some(Follower::new(POLICY, requested, requested));
        state.retry_at = None;
        engine.deployments.follow(engine, id)?;
    }
    let status = match (requested, state.instances.len()) {
        (0, _) => "ended",
        (_, now) if now < requested => "partial",
        _ => "scaled",
    };
    Ok(DeploymentScaled {
        deployment_id: id.clone(),
        status: status.to_owned(),
        instances: state.instances.len(),
        previous_instances,
        requested_instances: requested,
        sandbox_ids: state.ids(),
        auto_scale: request.auto_scale,
        failures,
        timestamp: now(),
    })
}

impl Deployment {
    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panic interrupted is a list of instances, each of them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, once nobody else changes the deployment.
    fn wait_for_turn(&self, token: &CancelToken) -> Result<MutexGuard<'_, State>> {
        loop {
            match self.state.try_lock() {
                Ok(state) => return Ok(state),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if token.is_cancelled() => return Err(cancelled()),
                Err(TryLockError::WouldBlock) => std::thread::sleep(TURN),
            }
        }
    }

    /// Starts `count` more instances, as many as can be; what could not be started is in the answer.
    fn grow(
        &self,
        engine: &Arc<Engine>,
        state: &mut State,
        count: usize,
        token: &CancelToken,
    ) -> Result<Vec<InstanceFailure>> {
        let before = state.instances.len();
        let numbers = state.numbers(count);
        let mut failures = Vec::new();
        for (position, (_, outcome)) in launch(engine, &self.plan, numbers, false, token).enumerate() {
            match outcome {
                Ok(launched) => state.instances.push(Instance::new(launched)),
                Err(error) => failures.push(InstanceFailure {
                    instance: before + position,
                    code: error.code().name().to_owned(),
                    message: error.message().to_owned(),
                }),
            }
        }
        if token.is_cancelled() && !failures.is_empty() {
            self.shrink(engine, state, before, "the call that started it was cancelled");
            return Err(cancelled());
        }
        Ok(failures)
    }

    /// Ends the newest instances until `count` are left.
    fn shrink(&self, engine: &Engine, state: &mut State, count: usize, reason: &str) {
        let from = count.min(state.instances.len());
        let newest: Vec<_> = state.instances.drain(from..).map(|instance| instance.sandbox).collect();
        ask_to_end(&newest);
        end_all(engine, &newest, reason);
    }

    /// One step of following the load; not when somebody else is changing the deployment.
    fn follow(&self, engine: &Arc<Engine>, token: &CancelToken) {
        let Ok(mut state) = self.state.try_lock() else { return };
        if state.ended || state.follower.is_none() {
            return;
        }
        state.prune();
        // The helper also comes when an instance has ended; that is no sample.
        let due = state.sampled_at.is_none_or(|at| at.elapsed() >= POLICY.interval / 2);
        let mean = if due { state.mean_load() } else { None };
        let target = state.follower.as_mut().map_or(0, |follower| follower.sample(mean));
        let live = state.instances.len();
        if live > target {
            self.shrink(engine, &mut state, target, "the load of its deployment is low");
        } else if live < target && state.retry_at.is_none_or(|at| Instant::now() >= at) {
            let grown = self.grow(engine, &mut state, target - live, token);
            let failed = grown.map_or(true, |failures| !failures.is_empty());
            state.retry_at = failed.then(|| Instant::now() + RETRY_AFTER);
        }
    }
}

impl Registry {
    fn end(&mut self, id: &str) {
        self.alive.remove(id);
        let now = Instant::now();
        self.ended.push((id.to_owned(), now));
        self.ended.retain(|(_, ended)| now.saturating_duration_since(*ended) < REMEMBERED_FOR);
        let excess = self.ended.len().saturating_sub(MAX_REMEMBERED);
        self.ended.drain(..excess);
    }
}

impl Deployments {
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn helper(&self) -> MutexGuard<'_, Helper> {
        self.helper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &str) -> Result<Arc<Deployment>> {
        let registry = self.registry();
        if let Some(deployment) = registry.alive.get(id) {
            return Ok(Arc::clone(deployment));
        }
        let remembered = |(ended, at): &(String, Instant)| ended == id && at.elapsed() < REMEMBERED_FOR;
        if registry.ended.iter().any(remembered) {
            return Err(ended_error(id));
        }
        Err(Error::not_found("deployment_id", format!("deployment_id: there is no deployment {id}")))
    }

    /// From now on the deployment follows its load.
    fn follow(&self, engine: &Arc<Engine>, id: &str) -> Result<()> {
        let mut helper = self.helper();
        if helper.closed {
            return Err(crate::engine::closed());
        }
        if helper.thread.is_none() {
            let (engine, token) = (Arc::clone(engine), Arc::clone(&helper.token));
            let start = || {
                std::thread::Builder::new()
                    .name("e2b-scale".to_owned())
                    .spawn(move || follow_all(&engine, &token))
            };
            // Signals are the JVM's business.
            let thread = with_signals_blocked(start)
                .map_err(|error| Error::new(Code::LimitExceeded, format!("start a thread: {error}")))?;
            helper.thread = Some(thread);
        }
        helper.following.insert(id.to_owned());
        self.changed.notify_all();
        Ok(())
    }

    /// The deployments to look after, at `next` or earlier; `None` at the end.
    fn wait_for_work(&self, next: &mut Instant) -> Option<Vec<String>> {
        let mut helper = self.helper();
        loop {
            if helper.closed {
                return None;
            }
            if helper.following.is_empty() {
                helper = self.changed.wait(helper).unwrap_or_else(PoisonError::into_inner);
                *next = Instant::now() + POLICY.interval;
                continue;
            }
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                *next = Instant::now() + POLICY.interval;
            } else if !helper.due {
                helper = self.changed.wait_timeout(helper, left).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            helper.due = false;
            return Some(helper.following.iter().cloned().collect());
        }
    }

    /// A sandbox has ended: what its deployment holds of it is let go, and it is replaced if it is to be.
    pub(crate) fn sandbox_ended(&self, sandbox: &Sandbox) {
        let Some(id) = sandbox.deployment_id() else { return };
        let deployment = self.registry().alive.get(id).map(Arc::clone);
        // Whoever changes the deployment at this moment looks for himself.
        if let Some(deployment) = deployment
            && let Ok(mut state) = deployment.state.try_lock()
        {
            state.prune();
        }
        let mut helper = self.helper();
        if helper.following.contains(id) {
            helper.due = true;
            self.changed.notify_all();
        }
    }

    /// Ends the helper and waits for it. The instances end with the engine. Idempotent.
    pub(crate) fn close(&self) {
        let thread = {
            let mut helper = self.helper();
            helper.closed = true;
            helper.following.clear();
            helper.token.cancel();
            self.changed.notify_all();
            helper.thread.take()
        };
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic in it ended only the work that it was at.
            let _ = thread.join();
        }
        let alive = std::mem::take(&mut self.registry().alive);
        drop(alive);
    }
}

/// The helper: looks after every deployment that follows its load, at every interval and when an instance has ended.
fn follow_all(engine: &Arc<Engine>, token: &CancelToken) {
    let deployments = &engine.deployments;
    let mut next = Instant::now() + POLICY.interval;
    while let Some(following) = deployments.wait_for_work(&mut next) {
        for id in following {
            let deployment = deployments.registry().alive.get(&id).map(Arc::clone);
            if let Some(deployment) = deployment {
                deployment.follow(engine, token);
            }
        }
    }
}

/// Gives what runs in sandboxes the chance to end, all at the same time.
fn ask_to_end(sandboxes: &[Arc<Sandbox>]) {
    let asked: Vec<_> = sandboxes.iter().filter(|sandbox| sandbox.had_programs()).cloned().collect();
    // Whatever they answer, and if they do not, they are ended.
    let _ = ask_all(&asked, &shut_down_request(), SHUT_DOWN_PATIENCE);
}

/// Ends sandboxes.
fn end_all(engine: &Engine, sandboxes: &[Arc<Sandbox>], reason: &str) {
    for sandbox in sandboxes {
        engine.end(sandbox, Cause::Terminated(reason.to_owned()));
    }
}
