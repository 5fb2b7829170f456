//! The client: which sandboxes there are, and how they come and go.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use e2bridge_core::document::{SandboxLimits, SandboxState, SandboxStatus};
use e2bridge_core::request::{BuiltinTemplate, quote};
use e2bridge_core::{CancelToken, Code, Error, Result};
use e2bridge_wait::{Interrupt, with_signals_blocked};

use crate::control::Control;
use crate::deployment::Deployments;
use crate::envd::{Access, Envd};
use crate::error_map::Trouble;
use crate::http::guard::Guard;
use crate::interpreter::Contexts;
use crate::metadata;
use crate::settings::{Config, Settings};
use crate::status::{limits_of, moment};
use crate::transport::Transport;
use crate::wire::api::{Detail, NewSandbox, Sandbox, State, is_id};

/// Ended sandboxes that are remembered, and for how long.
const MAX_REMEMBERED: usize = 1_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(3_600);
/// How much longer than a call a sandbox lives that is kept alive for it.
const MARGIN: Duration = Duration::from_secs(10);
/// Time for a request that puts right what a call has left behind, when the caller may not wait long.
pub(crate) const SHORT: Duration = Duration::from_secs(2);
/// When a sandbox is looked for whose making was not answered, after that was known.
const LOOKS: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(6), Duration::from_secs(26)];
/// After so long, closing the client waits for one more look only.
const LONG_ENOUGH: Duration = Duration::from_secs(6);

/// A client of a cluster.
pub(crate) struct Client {
    pub(crate) settings: Settings,
    pub(crate) transport: Transport,
    pub(crate) control: Control,
    pub(crate) contexts: Contexts,
    pub(crate) deployments: Deployments,
    sandboxes: Mutex<Sandboxes>,
    /// Sizes of templates, as sandboxes of them had them.
    sizes: Mutex<HashMap<String, SandboxLimits>>,
    creations: Arc<Creations>,
}

/// How many creations are under way, or are looked for.
#[derive(Default)]
struct Creations {
    count: Mutex<usize>,
    /// There is none any more.
    none: Condvar,
}

/// One of them.
struct Creation(Arc<Creations>);

impl Creations {
    fn count(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>) -> Creation {
        *self.count() += 1;
        Creation(Arc::clone(self))
    }

    /// Waits until there is none, at most until `over`.
    fn wait(&self, over: Instant) {
        let left = over.saturating_duration_since(Instant::now());
        // When the time is over, what is left ends with its time-out.
        drop(self.none.wait_timeout_while(self.count(), left, |count| *count > 0));
    }
}

impl Drop for Creation {
    fn drop(&mut self) {
        let mut count = self.0.count();
        *count -= 1;
        if *count == 0 {
            self.0.none.notify_all();
        }
    }
}

#[derive(Default)]
struct Sandboxes {
    live: HashMap<String, Arc<Known>>,
    /// Oldest first.
    ended: VecDeque<(SandboxStatus, Instant)>,
}

/// A sandbox that this client has met.
pub(crate) struct Known {
    /// How it is reached.
    pub(crate) access: Access,
    /// What the API said of it last.
    last: Mutex<Detail>,
    life: Mutex<Life>,
    executions: AtomicU64,
    /// Made by this client on its own, so that closing ends it.
    own: bool,
}

/// When it ends.
struct Life {
    /// As its owner wants it.
    end: SystemTime,
    /// Calls that need it to live.
    holds: usize,
    /// It has been given more time for them.
    extended: Option<SystemTime>,
}

impl Life {
    /// When it is to end: not before the calls that need it.
    fn wanted(&self) -> SystemTime {
        self.extended.map_or(self.end, |extended| extended.max(self.end))
    }
}

/// What is to be made.
pub(crate) struct New<'a> {
    pub(crate) name: &'a str,
    pub(crate) template: &'a str,
    pub(crate) timeout: u32,
    pub(crate) memory_mb: u32,
    pub(crate) cpu_count: u32,
    pub(crate) env: &'a BTreeMap<String, String>,
    /// Beside what every sandbox carries.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Closing ends it.
    pub(crate) own: bool,
}

impl Known {
    fn new(access: Access, detail: Detail, own: bool) -> Self {
        let life = Life { end: moment(&detail.end_at), holds: 0, extended: None };
        Self { access, last: Mutex::new(detail), life: Mutex::new(life), executions: AtomicU64::new(0), own }
    }

    /// `sb_…`
    pub(crate) fn id(&self) -> String {
        public_id(&self.access.raw_id)
    }

    /// What the API said of it last.
    pub(crate) fn detail(&self) -> Detail {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The template that it was asked for by.
    pub(crate) fn template(&self) -> String {
        template_name(&self.detail())
    }

    /// Executions and code runs that have ended.
    pub(crate) fn executions(&self) -> u64 {
        self.executions.load(Ordering::Relaxed)
    }

    /// Counts an execution that has ended.
    pub(crate) fn count_execution(&self) {
        self.executions.fetch_add(1, Ordering::Relaxed);
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `sb_` and the cluster's id.
pub(crate) fn public_id(raw_id: &str) -> String {
    format!("sb_{raw_id}")
}

/// The name by which a sandbox's template was asked for; for one that we did not make, the cluster's.
pub(crate) fn template_name(detail: &Detail) -> String {
    match metadata::value(detail, metadata::TEMPLATE) {
        "" => detail.alias.clone().unwrap_or_else(|| detail.template_id.clone()),
        name => name.to_owned(),
    }
}

/// The cluster's id in one of ours; both forms are taken.
fn raw_id(id: &str) -> Result<&str> {
    let raw = id.strip_prefix("sb_").unwrap_or(id);
    if is_id(raw) { Ok(raw) } else { Err(unknown(id)) }
}

impl Client {
    /// Opens a client; sends nothing.
    ///
    /// # Errors
    /// Those of [`crate::CloudBackend::open`].
    pub(crate) fn open(config: Config, variable: &dyn Fn(&str) -> Option<String>) -> Result<Arc<Self>> {
        let settings = Settings::new(config, variable)?;
        Ok(Arc::new(Self {
            transport: Transport::new(&settings)?,
            control: Control::new(&settings),
            contexts: Contexts::default(),
            deployments: Deployments::default(),
            sandboxes: Mutex::default(),
            sizes: Mutex::default(),
            creations: Arc::default(),
            settings,
        }))
    }

    fn sandboxes(&self) -> MutexGuard<'_, Sandboxes> {
        self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a call that its caller may cancel.
    pub(crate) fn guard<'a>(&'a self, interrupt: &'a Interrupt<'a>) -> Guard<'a> {
        Guard { interrupt: Some(interrupt), ..self.plain_guard() }
    }

    /// For a call that nobody cancels.
    pub(crate) fn plain_guard(&self) -> Guard<'_> {
        Guard { interrupt: None, closing: &self.transport.closing, outlives: false }
    }

    /// For what puts right what a call has left behind, also while the client closes.
    pub(crate) fn last_guard(&self) -> Guard<'_> {
        Guard { outlives: true, ..self.plain_guard() }
    }

    /// The daemon of a sandbox.
    pub(crate) fn envd<'a>(&'a self, known: &'a Known) -> Result<Envd<'a>> {
        Envd::new(&self.transport, &self.settings, &known.access)
    }

    // Coming

    /// Makes a sandbox.
    pub(crate) fn create(self: &Arc<Self>, new: &New<'_>, guard: &Guard<'_>) -> Result<Arc<Known>> {
        let creation = self.creations.begin();
        guard.check()?;
        let cluster_template = self.cluster_template(new.template);
        if let Some(size) = self.sizes().get(cluster_template) {
            check_size(new, size)?;
        }
        let mut request_id = String::new();
        e2bridge_core::id::push_random(&mut request_id, 26)?;
        let mut all = metadata::of(new.name, new.template, new.timeout, &request_id);
        all.extend(new.metadata.iter().map(|(key, value)| (key.clone(), value.clone())));
        let request = NewSandbox {
            template_id: cluster_template,
            timeout: new.timeout,
            metadata: &all,
            env_vars: new.env,
            secure: None,
        };
        let made = match self.control.create(&self.transport, guard, &request) {
            Ok(made) => made,
            Err(trouble) => {
                let error = trouble.error;
                if may_have_been_made(&error) {
                    self.end_later(request_id, creation);
                }
                return Err(self.create_error(new.template, error));
            }
        };
        let raw = made.sandbox_id.clone();
        let detail = self.control.detail(&self.transport, guard, &raw).and_then(|detail| {
            let size = limits_of(&detail);
            self.sizes().insert(cluster_template.to_owned(), size);
            check_size(new, &size).map(|()| detail)
        });
        match detail {
            Ok(detail) => Ok(self.keep(made, detail, new.own)),
            Err(error) => {
                if self.control.kill(&self.transport, &self.last_guard(), &raw).is_err() {
                    self.end_later(request_id, creation);
                }
                Err(error)
            }
        }
    }

    fn sizes(&self) -> MutexGuard<'_, HashMap<String, SandboxLimits>> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cluster's name for a template.
    fn cluster_template<'a>(&'a self, template: &'a str) -> &'a str {
        match BuiltinTemplate::from_name(template) {
            Some(builtin) => self.settings.template(builtin),
            None => template.strip_prefix("tpl_").unwrap_or(template),
        }
    }

    fn create_error(&self, template: &str, error: Error) -> Error {
        if error.code() != Code::NotFound {
            return error;
        }
        let cluster_name = self.cluster_template(template);
        let mapped = if cluster_name == template {
            String::new()
        } else {
            format!(" (at the cluster: {})", quote(cluster_name))
        };
        let mut renamed = Error::not_found(
            "template",
            format!(
                "template: there is no template {}{mapped}: built in are base, python and node; list_e2b_templates names the others",
                quote(template)
            ),
        );
        for (key, value) in error.context() {
            renamed = renamed.with(key, value.clone());
        }
        renamed
    }

    /// Remembers a sandbox and how it is reached.
    fn keep(&self, made: Sandbox, detail: Detail, own: bool) -> Arc<Known> {
        let access = Access {
            raw_id: made.sandbox_id,
            token: made.envd_access_token.or_else(|| detail.envd_access_token.clone()),
            traffic_token: made.traffic_access_token,
            domain: made.domain.or_else(|| detail.domain.clone()),
            version: if made.envd_version.is_empty() {
                detail.envd_version.clone()
            } else {
                made.envd_version
            },
        };
        self.remember(access, detail, own)
    }

    fn remember(&self, access: Access, detail: Detail, own: bool) -> Arc<Known> {
        for token in access.token.iter().chain(&access.traffic_token) {
            self.transport.hide(token);
        }
        let raw = access.raw_id.clone();
        let known = Arc::new(Known::new(access, detail, own));
        // Somebody else may have met it at the same moment; what he has counted stays.
        Arc::clone(self.sandboxes().live.entry(raw).or_insert(known))
    }

    /// Looks for the sandbox of a request that was not answered, and ends it. In a thread of its own: the caller does not wait, but
    /// closing does.
    fn end_later(self: &Arc<Self>, request_id: String, creation: Creation) {
        let client = Arc::clone(self);
        let work = move || {
            client.end_unanswered(&request_id);
            // In this order, so that nothing has the client when closing goes on.
            drop(client);
            drop(creation);
        };
        // Without a thread it ends with its time-out.
        let _ =
            with_signals_blocked(|| std::thread::Builder::new().name("e2b-cleanup".to_owned()).spawn(work));
    }

    fn end_unanswered(&self, request_id: &str) {
        let (began, guard) = (Instant::now(), self.last_guard());
        let marks = [(metadata::MARK, metadata::MARKED), (metadata::REQUEST, request_id)];
        for look in LOOKS {
            let last = self.plain_guard().sleep_until(began + look).is_err() && look > LONG_ENOUGH;
            if !last && guard.sleep_until(began + look).is_err() {
                return;
            }
            let found = self.control.list(&self.transport, &guard, "running,paused", &marks);
            let found = found.unwrap_or_default();
            let ended =
                |detail: &Detail| self.control.kill(&self.transport, &guard, &detail.sandbox_id).is_ok();
            // What cannot be ended is looked for again, and at last ends with its time-out.
            if last || (!found.is_empty() && found.iter().all(ended)) {
                return;
            }
        }
    }

    // Looking

    /// A live sandbox and how it is reached; a paused one is resumed.
    ///
    /// # Errors
    /// `NOT_FOUND` about `sandbox_id`, with `context.status` for one that has ended and is remembered.
    pub(crate) fn find(&self, id: &str, guard: &Guard<'_>) -> Result<Arc<Known>> {
        guard.check()?;
        let raw = raw_id(id)?;
        if let Some(known) = self.known(raw) {
            let past = known.life().wanted() <= SystemTime::now();
            if !past && known.detail().state == State::Running {
                return Ok(known);
            }
        }
        let detail = self.look(id, raw, guard)?;
        if detail.state == State::Paused {
            return self.resume(raw, detail, guard);
        }
        Ok(self.met(raw, detail))
    }

    /// What the API says of a sandbox at this moment.
    ///
    /// # Errors
    /// As [`Client::find`].
    pub(crate) fn look(&self, id: &str, raw: &str, guard: &Guard<'_>) -> Result<Detail> {
        match self.control.detail(&self.transport, guard, raw) {
            Ok(detail) => {
                if let Some(known) = self.known(raw) {
                    known.life().end = moment(&detail.end_at);
                    *known.last.lock().unwrap_or_else(PoisonError::into_inner) = detail.clone();
                }
                Ok(detail)
            }
            Err(error) if error.code() == Code::NotFound => Err(self.gone(id, raw)),
            Err(error) => Err(error),
        }
    }

    /// As [`Client::look`], with the sandbox.
    pub(crate) fn look_at(&self, id: &str, guard: &Guard<'_>) -> Result<(Arc<Known>, Detail)> {
        guard.check()?;
        let raw = raw_id(id)?;
        let detail = self.look(id, raw, guard)?;
        Ok((self.met(raw, detail.clone()), detail))
    }

    /// The sandbox of a detail, which may have been met before.
    pub(crate) fn met(&self, raw: &str, detail: Detail) -> Arc<Known> {
        if let Some(known) = self.known(raw) {
            return known;
        }
        let access = Access {
            raw_id: raw.to_owned(),
            token: detail.envd_access_token.clone(),
            traffic_token: None,
            domain: detail.domain.clone(),
            version: detail.envd_version.clone(),
        };
        self.remember(access, detail, false)
    }

    /// The sandbox of a row of a list, which has no token: for what needs none. One that was met before is that one.
    pub(crate) fn met_in_list(&self, detail: &Detail) -> Arc<Known> {
        if let Some(known) = self.known(&detail.sandbox_id) {
            return known;
        }
        let access = Access {
            raw_id: detail.sandbox_id.clone(),
            domain: detail.domain.clone(),
            version: detail.envd_version.clone(),
            ..Access::default()
        };
        Arc::new(Known::new(access, detail.clone(), false))
    }

    /// The error of a call that found no sandbox where one was known.
    pub(crate) fn gone_or(&self, known: &Known, error: Error) -> Error {
        let id = known.id();
        match self.look(&id, &known.access.raw_id, &self.plain_guard()) {
            Err(gone) if gone.code() == Code::NotFound => gone,
            _ => error.with("sandbox_id", id),
        }
    }

    fn resume(&self, raw: &str, detail: Detail, guard: &Guard<'_>) -> Result<Arc<Known>> {
        let timeout = metadata::value(&detail, metadata::TIMEOUT).parse().unwrap_or(300);
        let resumed = self.control.connect(&self.transport, guard, raw, timeout)?;
        let own = self.sandboxes().live.remove(raw).is_some_and(|known| known.own);
        let detail = self.control.detail(&self.transport, guard, raw)?;
        Ok(self.keep(resumed, detail, own))
    }

    fn known(&self, raw: &str) -> Option<Arc<Known>> {
        self.sandboxes().live.get(raw).map(Arc::clone)
    }

    /// Every sandbox that this client has met and that has not ended as far as is known.
    pub(crate) fn all_known(&self) -> Vec<Arc<Known>> {
        self.sandboxes().live.values().map(Arc::clone).collect()
    }

    /// Sandboxes that this client made and that have not ended as far as is known.
    pub(crate) fn count_own(&self) -> usize {
        self.sandboxes().live.values().filter(|known| known.own).count()
    }

    /// The ended sandboxes that are remembered, oldest first.
    pub(crate) fn remembered(&self) -> Vec<SandboxStatus> {
        self.sandboxes()
            .ended
            .iter()
            .filter(|(_, at)| at.elapsed() < REMEMBERED_FOR)
            .map(|(status, _)| status.clone())
            .collect()
    }

    /// What is remembered of an ended sandbox.
    pub(crate) fn remembered_status(&self, id: &str) -> Option<SandboxStatus> {
        let id = public_id(raw_id(id).ok()?);
        self.remembered().into_iter().rev().find(|status| *status.sandbox_id == id)
    }

    /// The error for a sandbox that the API does not have: how it ended, if it was met.
    fn gone(&self, id: &str, raw: &str) -> Error {
        if let Some(known) = self.known(raw) {
            let over = known.life().end <= SystemTime::now() + Duration::from_secs(1);
            let (state, reason) = if over {
                (SandboxState::Expired, "its lifetime has passed")
            } else {
                (SandboxState::Terminated, "it was ended by somebody else")
            };
            self.mark_ended(&known, state, reason);
        }
        match self.remembered_status(id) {
            Some(status) => ended_error(id, status.status),
            None => unknown(id),
        }
    }

    /// Forgets how a sandbox is reached and remembers how it ended.
    pub(crate) fn mark_ended(&self, known: &Known, state: SandboxState, reason: &str) {
        let status = crate::status::ended_document(known, state, reason);
        let mut sandboxes = self.sandboxes();
        if sandboxes.live.remove(&known.access.raw_id).is_none() {
            return;
        }
        sandboxes.ended.push_back((status, Instant::now()));
        while sandboxes.ended.len() > MAX_REMEMBERED
            || sandboxes.ended.front().is_some_and(|(_, at)| at.elapsed() >= REMEMBERED_FOR)
        {
            sandboxes.ended.pop_front();
        }
        drop(sandboxes);
        self.contexts.forget(&known.access.raw_id);
    }

    /// The error of a call on a sandbox: when that is gone, how it ended. So that "the sandbox timed out" is told from "the request
    /// timed out", the API is asked.
    pub(crate) fn explain(&self, known: &Known, trouble: Trouble) -> Error {
        let id = known.id();
        if trouble.maybe_gone {
            // The caller's token may be what ended the call; this question is not his.
            let guard = self.plain_guard();
            if let Err(error) = self.look(&id, &known.access.raw_id, &guard)
                && error.code() == Code::NotFound
            {
                return error;
            }
        }
        trouble.error.with("sandbox_id", id)
    }

    // Living

    /// Sees to it that a sandbox lives for a call of so long; when the answer is dropped it has the life that its owner wants.
    pub(crate) fn hold<'a>(
        &'a self,
        known: &'a Arc<Known>,
        seconds: u32,
        guard: &Guard<'_>,
    ) -> Result<Hold<'a>> {
        let needed = SystemTime::now() + Duration::from_secs(u64::from(seconds)) + MARGIN;
        let before = {
            let mut life = known.life();
            life.holds += 1;
            let before = life.extended;
            if needed <= life.wanted() {
                return Ok(Hold { client: self, known });
            }
            life.extended = Some(needed);
            before
        };
        let hold = Hold { client: self, known };
        match self.apply(known, guard, self.transport.request_time()) {
            Ok(()) => Ok(hold),
            // The account may not have sandboxes that live so long; this one then ends when it ends.
            Err(error) if matches!(error.code(), Code::InvalidArgument | Code::PermissionDenied) => {
                let mut life = known.life();
                if life.extended == Some(needed) {
                    life.extended = before;
                }
                drop(life);
                Ok(hold)
            }
            Err(error) if error.code() == Code::NotFound => Err(self.gone(&known.id(), &known.access.raw_id)),
            Err(error) => Err(error.with("sandbox_id", known.id())),
        }
    }

    fn release(&self, known: &Known) {
        let prolonged = {
            let mut life = known.life();
            life.holds -= 1;
            life.holds == 0 && life.extended.take().is_some()
        };
        if prolonged {
            // Where this fails it lives longer than it was to, and no longer than the call might have taken.
            let _ = self.apply(known, &self.plain_guard(), SHORT);
        }
    }

    /// Tells the cluster when a sandbox is to end. What others want meanwhile is told, too, so that the last word is right.
    fn apply(&self, known: &Known, guard: &Guard<'_>, time: Duration) -> Result<()> {
        loop {
            let wanted = known.life().wanted();
            let left = wanted.duration_since(SystemTime::now()).unwrap_or_default();
            let seconds = u32::try_from(left.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
            self.control.set_timeout(&self.transport, guard, &known.access.raw_id, seconds, time)?;
            if known.life().wanted() == wanted {
                return Ok(());
            }
        }
    }

    /// Lets a sandbox live so many seconds from now; answers the end.
    pub(crate) fn set_timeout(&self, id: &str, seconds: u32) -> Result<SystemTime> {
        let guard = self.plain_guard();
        let known = self.find(id, &guard)?;
        let end = SystemTime::now() + Duration::from_secs(u64::from(seconds));
        let before = std::mem::replace(&mut known.life().end, end);
        let Err(error) = self.apply(&known, &guard, self.transport.request_time()) else { return Ok(end) };
        let mut life = known.life();
        if life.end == end {
            life.end = before;
        }
        drop(life);
        Err(match error.code() {
            Code::NotFound => self.gone(id, &known.access.raw_id),
            Code::InvalidArgument => error.about("timeout"),
            _ => error,
        })
    }

    // Going

    /// Ends a sandbox at once; false when somebody else did.
    pub(crate) fn end(&self, known: &Known, reason: &str, guard: &Guard<'_>) -> Result<bool> {
        let ended = self.control.kill(&self.transport, guard, &known.access.raw_id)?;
        self.mark_ended(known, SandboxState::Terminated, reason);
        Ok(ended)
    }

    /// Ends the waits of every call, what this client made on its own, and the connections; takes ten seconds at most. Idempotent.
    pub(crate) fn close(&self) {
        if !self.transport.closing.close() {
            return;
        }
        self.deployments.close();
        let own: Vec<Arc<Known>> = self.all_known().into_iter().filter(|known| known.own).collect();
        let token = CancelToken::new();
        crate::deployment::in_parallel(own.len(), &token, |index, _| {
            // What cannot be ended now ends with its time-out.
            let _ = self.end(&own[index], "its client was closed", &self.last_guard());
        });
        self.creations.wait(self.transport.closing.over().unwrap_or_else(Instant::now));
        self.transport.pool.clear();
    }
}

/// See [`Client::hold`].
pub(crate) struct Hold<'a> {
    client: &'a Client,
    known: &'a Arc<Known>,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.client.release(self.known);
    }
}

/// True when a create that failed so may have made a sandbox all the same.
fn may_have_been_made(error: &Error) -> bool {
    match error.code() {
        Code::Cancelled | Code::Closed => true,
        Code::Timeout | Code::Unavailable => {
            // A server that is asked too much of says so before it makes anything, and without a connection nothing was sent.
            error.context().get("http_status").and_then(serde_json::Value::as_u64) != Some(503)
                && error.context().get("phase").and_then(serde_json::Value::as_str) != Some("connect")
        }
        _ => false,
    }
}

/// Refuses what a template of that size cannot give.
fn check_size(new: &New<'_>, size: &SandboxLimits) -> Result<()> {
    let refuse = |argument: &str, wanted: u32, unit: &str| {
        Error::new(
            Code::Unsupported,
            format!(
                "{argument}: {wanted}{unit} is more than sandboxes of the template {} have: {} MiB and {} processors, fixed when it was built; ask for no more or set config.templates",
                quote(new.template), size.memory_mb, size.cpu_count
            ),
        )
        .about(argument)
        .with("template", new.template)
        .with("memory_mb", size.memory_mb)
        .with("cpu_count", size.cpu_count)
    };
    if new.memory_mb > size.memory_mb {
        Err(refuse("memory_mb", new.memory_mb, " MiB"))
    } else if new.cpu_count > size.cpu_count {
        Err(refuse("cpu_count", new.cpu_count, ""))
    } else {
        Ok(())
    }
}

/// The error for a sandbox that has ended.
pub(crate) fn ended_error(id: &str, state: SandboxState) -> Error {
    Error::not_found("sandbox_id", format!("sandbox_id: {id} has ended: {}", state.word()))
        .with("sandbox_id", id)
        .with("status", state.word())
}

fn unknown(id: &str) -> Error {
    Error::not_found("sandbox_id", format!("sandbox_id: there is no sandbox {}", quote(id)))
}
