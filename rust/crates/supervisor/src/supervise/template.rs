//! Templates and their zygotes: started at the first need, shared by all creates that wait, started again after a failure.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use e2bridge_protocol::socket;
use e2bridge_protocol::supervisor::{Failure, Mechanism, Template};
use rustix::process::{Signal, WaitId, WaitIdOptions};
use rustix::thread::CapabilitySet;

use super::cgroup::Controller;
use super::interpreter::Probe;
use super::record::own_identity;
use super::{Client, PATIENCE, Source, Supervisor, Token, zygote_died};
use crate::failure::{explain, system, unavailable};
use crate::message::{At, Step, ZygoteReply, ZygoteRequest};
use crate::plan::{Identity, Interpreter, MapWriter, Tier, View};
use crate::sys::{self, Cloned};
use crate::zygote;

/// Most orders that a zygote has in its socket.
const MOST_ORDERS: u32 = 16;
/// How long the network of a sandbox that has ended rests before its zygote looks at it: what the kernel does by timers is done by then,
/// the first of them within a few of its ticks.
const REST: Duration = Duration::from_millis(50);
/// How long one is kept that is not needed.
const LONGEST_REST: Duration = Duration::from_secs(5);
/// Longest time for an interpreter to become a zygote; less than half of what a sandbox waits.
const FORKS_PATIENCE: Duration = Duration::from_secs(5);
/// How often in a row it may fail to become one; after that it is executed for every worker.
const MOST_FAILURES: u32 = 2;
/// Clones of an interpreter before another one takes its place: they share its secrets, as that of `hash()`.
const MOST_CLONES: u32 = 1000;
/// Most networks that rest.
const MOST_RESTING: usize = 192;

/// Where a template stands.
#[derive(Default)]
pub(super) struct TemplateState {
    /// Found, once.
    interpreter: Option<Interpreter>,
    probe: Option<(Probe, Option<Token>)>,
    /// That gets the next orders.
    zygote: Option<u64>,
    /// The same in the tier without namespaces.
    process_zygote: Option<u64>,
    /// How often in a row its interpreter failed to become a zygote.
    failures: u32,
}

impl TemplateState {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.probe.as_ref().and_then(|(probe, _)| probe.deadline())
    }

    fn zygote(&mut self, tier: Tier) -> &mut Option<u64> {
        match tier {
            Tier::Full => &mut self.zygote,
            Tier::Process => &mut self.process_zygote,
        }
    }

    /// The process that is asked what it is.
    pub(super) fn probed(&self) -> Option<BorrowedFd<'_>> {
        self.probe.as_ref().and_then(|(probe, _)| probe.pidfd())
    }

    pub(super) fn stop_probe(&mut self) {
        self.probe = None;
    }
}

/// A template's zygote.
pub(super) struct Zygote {
    template: Template,
    tier: Tier,
    /// It is the interpreter.
    forks: bool,
    /// The interpreter has been executed, and must be ready then.
    ready_by: Option<Instant>,
    /// Orders that it was sent.
    clones: u32,
    /// It gets no more orders, and ends with the last of its sandboxes.
    retired: bool,
    socket: (OwnedFd, Token),
    pidfd: (OwnedFd, Token),
    ready: bool,
    /// Sandboxes that wait to be ordered.
    queue: VecDeque<u64>,
    /// Orders not answered yet.
    ordered: u32,
    /// Path inside.
    interpreter: Option<String>,
    /// Networks of sandboxes that have ended, and since when; the first to end is in front.
    networks: VecDeque<(Instant, OwnedFd)>,
}

impl Zygote {
    /// Keeps the network of a sandbox that has ended for a later one.
    pub(super) fn keep_network(&mut self, network: OwnedFd) {
        if self.networks.len() < MOST_RESTING {
            self.networks.push_back((Instant::now(), network));
        }
    }

    /// When to call [`Self::keep_time`], and to ask [`Self::is_late`].
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.networks_kept().into_iter().chain(self.ready_by).min()
    }

    /// When the next network has been kept long enough.
    fn networks_kept(&self) -> Option<Instant> {
        self.networks.front().map(|(since, _)| *since + LONGEST_REST)
    }

    /// Lets go of networks that were not needed.
    pub(super) fn keep_time(&mut self, now: Instant) {
        while self.networks_kept().is_some_and(|deadline| deadline <= now) {
            self.networks.pop_front();
        }
    }

    /// Whether it should be ready, and is not.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.ready_by.is_some_and(|deadline| deadline <= now)
    }

    fn rested_network(&mut self) -> Option<OwnedFd> {
        let (since, _) = self.networks.front()?;
        (since.elapsed() >= REST).then(|| self.networks.pop_front())?.map(|(_, network)| network)
    }

    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.0.as_fd()
    }

    /// Ends it; with namespaces also everything below it.
    pub(super) fn kill(&self) {
        // Fails only when it is gone.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd.0, Signal::KILL);
    }

    /// Takes leave of the process, which has ended.
    pub(super) fn reap(&self) {
        // Fails only when it has not ended in time; then it remains as it is until this process ends.
        let _ = rustix::process::waitid(
            WaitId::PidFd(self.pidfd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        );
    }

    pub(super) fn interpreter(&self) -> Option<String> {
        self.interpreter.clone()
    }

    /// Whether it is the interpreter, so that its sandboxes fork workers.
    pub(super) fn forks(&self) -> bool {
        self.forks
    }
}

impl Client {
    /// Goes without subordinate ids, if it has some; false when it has none, or must not lose them.
    pub(super) fn take_own_ids(&mut self) -> bool {
        // Without the helpers nothing of it needs set-user-id programs.
        let goes =
            self.identity.by_helpers() && sys::give_up_privileges(false, CapabilitySet::empty()).is_ok();
        if goes {
            self.identity = own_identity();
            self.last_id = self.identity.sandbox_ids().end;
        }
        goes
    }
}

impl Supervisor {
    /// Gives a sandbox to its template's zygote, which is started when there is none.
    pub(super) fn enqueue(&mut self, template: Template, sandbox: u64) {
        let tier = self.client.as_ref().map_or(Tier::Full, Client::tier);
        if let Some(sandbox) = self.sandboxes.get_mut(&sandbox) {
            sandbox.tier = tier;
        }
        match self.zygote_of(template, tier) {
            Ok(Some(number)) => {
                if let Some(zygote) = self.zygotes.get_mut(&number) {
                    zygote.queue.push_back(sandbox);
                }
                self.send_orders(number);
            }
            // It waits for the interpreter to be found.
            Ok(None) => {}
            Err(failure) => self.fail_sandbox(sandbox, failure),
        }
    }

    fn zygote_of(&mut self, template: Template, tier: Tier) -> Result<Option<u64>, Failure> {
        let state = self.templates.entry(template).or_default();
        if let Some(zygote) = *state.zygote(tier) {
            return Ok(Some(zygote));
        }
        if template != Template::Base && state.interpreter.is_none() {
            if state.probe.is_none() {
                self.start_probe(template);
            }
            // A probe that has nobody to ask is over at once, and has failed those who wait.
            return Ok(None);
        }
        let interpreter = state.interpreter.clone();
        self.start_zygote(template, tier, interpreter.as_ref()).map(Some)
    }

    /// Starts to look for a template's interpreter.
    pub(super) fn start_probe(&mut self, template: Template) {
        let candidates = match (&self.client, template) {
            (Some(client), Template::Python) => client.start.python_candidates.clone(),
            (Some(client), Template::Node) => client.start.node_candidates.clone(),
            _ => Vec::new(),
        };
        let state = self.templates.entry(template).or_default();
        if state.probe.is_none() {
            state.probe = Some((Probe::new(template, &candidates), None));
        }
        self.advance_probe(template);
    }

    /// What is known of a template's interpreter: its version, when it has been found.
    pub(super) fn interpreter_version(&self, template: Template) -> Option<String> {
        let interpreter = self.templates.get(&template)?.interpreter.as_ref()?;
        Some(format!("{} ({})", interpreter.version, interpreter.executable.display()))
    }

    /// A candidate has ended, or its time has.
    pub(super) fn advance_probe(&mut self, template: Template) {
        let state = self.templates.entry(template).or_default();
        let Some((probe, token)) = &mut state.probe else { return };
        if let (Some(fd), Some(token)) = (probe.pidfd(), token.take()) {
            self.poller.remove(fd, token);
        }
        let Some(result) = probe.advance(Instant::now()) else {
            if let Some(fd) = probe.pidfd() {
                // Without it, the candidate's time-out goes on with the search.
                *token = self.poller.add(fd, Source::Probe(template)).ok();
            }
            return;
        };
        state.probe = None;
        let result = result.map(|interpreter| state.interpreter = Some(interpreter));
        for sandbox in self.waiting_for(template) {
            match &result {
                Ok(()) => self.enqueue(template, sandbox),
                Err(failure) => self.fail_sandbox(sandbox, failure.clone()),
            }
        }
        self.checks_go_on(template, result.err());
    }

    fn start_zygote(
        &mut self,
        template: Template,
        tier: Tier,
        interpreter: Option<&Interpreter>,
    ) -> Result<u64, Failure> {
        let client = self.client()?;
        let identity = client.identity;
        let per_process_memory = client.layout.mechanism(Controller::Memory) == Mechanism::Fallback;
        let compiled = interpreter.and_then(|interpreter| interpreter.worker.as_deref());
        let may_fork = self.templates.entry(template).or_default().failures < MOST_FAILURES;
        // A carried interpreter is not at its place before a sandbox's writable places are there.
        let may_fork = may_fork && interpreter.is_some_and(|interpreter| !interpreter.carried());
        let module = Some(self.python_zygote).filter(|module| !module.is_empty());
        let module = module.filter(|_| may_fork && template == Template::Python && tier == Tier::Full);
        let mut workers = vec![
            // CPython takes a program that begins as its own bytecode does for that, whatever its name.
            ("python.py", compiled.unwrap_or(e2bridge_worker::PYTHON_WORKER.as_bytes())),
            ("node.js", e2bridge_worker::NODE_WORKER.as_bytes()),
            ("shell.sh", e2bridge_worker::SHELL_WORKER.as_bytes()),
        ];
        workers.extend(module.map(|module| (zygote::python::MODULE, module)));
        // The zygote inherits what is in use, and its clones after it: the host's description is not.
        let view =
            View::new(&zygote::root::read_host().map_err(|step| explain(&step))?, interpreter, &workers);
        let forks = module.is_some();
        let path = view.interpreter.as_ref().and_then(|path| path.to_str()).map(str::to_owned);
        let (near, far) =
            socket::seqpacket_pair().map_err(|error| system("start zygote", "socketpair", error))?;
        let zygote = zygote::Zygote { template, tier, identity, view, forks, per_process_memory };
        let (pidfd, pid) = match sys::clone_process(zygote::namespaces(tier)) {
            Ok(Cloned::Child) => zygote.run(far.as_raw_fd()),
            Ok(Cloned::Parent(pidfd, pid)) => (pidfd, pid),
            Err(error) => return Err(explain(&clone_step(&error))),
        };
        drop(far);
        let number = self.next_zygote;
        self.next_zygote += 1;
        let mapped = match tier {
            Tier::Full => map_ids(identity, pid),
            Tier::Process => Ok(()),
        };
        let refused = mapped.as_ref().err().map(|step| step.detail.clone());
        let began = mapped
            .and_then(|()| socket::send(&near, &ZygoteRequest::Begin, &[]).at("begin"))
            .map_err(|step| explain(&step));
        let watched = (|| {
            let socket = self.poller.add(&near, Source::Zygote(number))?;
            Ok::<_, io::Error>((socket, self.poller.add(&pidfd, Source::ZygoteEnd(number))?))
        })();
        let zygote = |socket, end| Zygote {
            template,
            tier,
            forks,
            ready_by: None,
            clones: 0,
            retired: false,
            socket: (near, socket),
            pidfd: (pidfd, end),
            ready: false,
            queue: VecDeque::new(),
            ordered: 0,
            interpreter: path,
            networks: VecDeque::new(),
        };
        match (began, watched) {
            (Ok(()), Ok((socket, end))) => {
                self.zygotes.insert(number, zygote(socket, end));
                *self.templates.entry(template).or_default().zygote(tier) = Some(number);
                Ok(number)
            }
            (began, watched) => {
                let failure = match (began, &watched) {
                    (Err(failure), _) => failure,
                    (Ok(()), Err(error)) => system(
                        "start zygote",
                        "epoll",
                        io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(0)),
                    ),
                    (Ok(()), Ok(_)) => zygote_died(),
                };
                let (socket, end) = watched.unwrap_or((Token(u64::MAX), Token(u64::MAX)));
                let zygote = zygote(socket, end);
                zygote.kill();
                // It is in no namespace of anybody else yet and ends at once.
                super::wait_until_readable(zygote.pidfd(), Instant::now() + PATIENCE);
                zygote.reap();
                self.forget(&zygote);
                match refused.filter(|_| self.fall_back_to_own_ids()) {
                    Some(reason) => {
                        self.client()?.own_ids_because = Some(reason);
                        self.start_zygote(template, tier, interpreter)
                    }
                    None => Err(failure),
                }
            }
        }
    }

    /// Goes without subordinate ids when they cannot be had after all, which the posture says; not once sandboxes have some.
    fn fall_back_to_own_ids(&mut self) -> bool {
        let none_yet = self.zygotes.is_empty();
        let Ok(client) = self.client() else { return false };
        // Without the helpers nothing of it needs set-user-id programs.
        none_yet && client.take_own_ids()
    }

    fn forget(&mut self, zygote: &Zygote) {
        self.poller.remove(&zygote.socket.0, zygote.socket.1);
        self.poller.remove(&zygote.pidfd.0, zygote.pidfd.1);
    }

    /// A template takes too long.
    pub(super) fn template_is_late(&mut self, template: Template) {
        self.advance_probe(template);
    }

    /// Sends what waits, as far as the zygote's socket has room.
    fn send_orders(&mut self, number: u64) {
        while let Some(zygote) = self.zygotes.get_mut(&number)
            && zygote.ready
            && zygote.ordered < MOST_ORDERS
            && let Some(sandbox) = zygote.queue.pop_front()
        {
            let Some((order, [status, control])) = self.order(sandbox, number) else { continue };
            let Some(zygote) = self.zygotes.get_mut(&number) else { return };
            let request = ZygoteRequest::Clone(order);
            let returned = zygote.rested_network();
            let fds: Vec<_> = [&status, &control].into_iter().chain(&returned).map(AsFd::as_fd).collect();
            match socket::send(&zygote.socket.0, &request, &fds) {
                Ok(()) => {
                    zygote.ordered += 1;
                    zygote.clones += 1;
                    if zygote.forks && zygote.clones == MOST_CLONES {
                        self.retire(number);
                    }
                }
                // Its end, and what it said last, is about to be noticed. It is a reset when it left messages unread.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                }
                Err(error) => {
                    // There will be no clone.
                    self.not_cloned(sandbox, system("order sandbox", "zygote socket", error));
                }
            }
        }
    }

    /// Lets another zygote take the place of one.
    fn retire(&mut self, number: u64) {
        let Some(zygote) = self.zygotes.get_mut(&number) else { return };
        zygote.retired = true;
        let (template, tier) = (zygote.template, zygote.tier);
        let waiting = std::mem::take(&mut zygote.queue);
        *self.templates.entry(template).or_default().zygote(tier) = None;
        waiting.into_iter().for_each(|sandbox| self.enqueue(template, sandbox));
    }

    /// A sandbox of a zygote has ended.
    pub(super) fn end_if_retired(&mut self, number: u64) {
        let alive = |sandbox: &super::Sandbox| sandbox.lives_in(number);
        if let Some(zygote) = self.zygotes.get(&number)
            && zygote.retired
            && zygote.ordered == 0
            && !self.sandboxes.values().any(alive)
        {
            zygote.kill();
        }
    }

    /// One message of a zygote.
    pub(super) fn hear_zygote(&mut self, number: u64) {
        let Some(zygote) = self.zygotes.get_mut(&number) else { return };
        let heard = match socket::recv::<ZygoteReply>(&zygote.socket.0) {
            // It has ended with an order unread, which is said before what it said itself.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => socket::recv(&zygote.socket.0),
            other => other,
        };
        match heard {
            Ok(Some((ZygoteReply::BecomesInterpreter, _))) => {
                zygote.ready_by = Some(Instant::now() + FORKS_PATIENCE);
            }
            Ok(Some((ZygoteReply::Ready, _))) => {
                zygote.ready = true;
                zygote.ready_by = None;
                if zygote.forks {
                    self.templates.entry(zygote.template).or_default().failures = 0;
                }
                self.send_orders(number);
            }
            Ok(Some((ZygoteReply::Failed(step), _))) => self.zygote_failed(number, &explain(&step)),
            Ok(Some((ZygoteReply::Cloned { sandbox }, fds))) => {
                zygote.ordered = zygote.ordered.saturating_sub(1);
                let mut fds = fds.into_iter();
                match fds.next() {
                    Some(pidfd) => self.cloned(sandbox, pidfd, fds.next()),
                    None => {
                        self.zygote_failed(number, &unavailable("clone sandbox", "the zygote sent no pidfd"))
                    }
                }
                self.send_orders(number);
            }
            Ok(Some((ZygoteReply::CloneFailed { sandbox, step }, _))) => {
                zygote.ordered = zygote.ordered.saturating_sub(1);
                self.not_cloned(sandbox, explain(&step));
                self.send_orders(number);
            }
            Ok(None) | Err(_) => self.zygote_failed(number, &zygote_died()),
        }
    }

    /// An interpreter has not become a zygote in time.
    pub(super) fn zygote_is_late(&mut self, number: u64) {
        let reason = format!("it was not ready within {} s", FORKS_PATIENCE.as_secs());
        self.zygote_failed(number, &unavailable("start zygote", reason));
    }

    /// A zygote is no longer of use: it ends, with its sandboxes, and the next create starts another.
    pub(super) fn zygote_failed(&mut self, number: u64, failure: &Failure) {
        let Some(zygote) = self.zygotes.get_mut(&number) else { return };
        zygote.kill();
        self.poller.remove(&zygote.socket.0, zygote.socket.1);
        let waiting = std::mem::take(&mut zygote.queue);
        let template = zygote.template;
        let instead = zygote.ready_by.take().is_some();
        let state = self.templates.entry(template).or_default();
        let current = state.zygote(zygote.tier);
        if *current == Some(number) {
            *current = None;
        }
        if instead {
            state.failures += 1;
        }
        for sandbox in waiting {
            match instead {
                true => self.enqueue(template, sandbox),
                false => self.fail_sandbox(sandbox, failure.clone()),
            }
        }
        self.remember_failure(number, failure);
    }

    /// A zygote has ended, and every process below it.
    pub(super) fn bury_zygote(&mut self, number: u64) {
        // What it said before comes first.
        while let Some(zygote) = self.zygotes.get(&number)
            && self.poller.sources.contains_key(&zygote.socket.1.0)
        {
            self.hear_zygote(number);
        }
        let Some(zygote) = self.zygotes.remove(&number) else { return };
        zygote.reap();
        self.forget(&zygote);
        self.zygote_is_gone(number);
    }
}

fn clone_step(error: &io::Error) -> Step {
    Step { stage: "clone zygote".to_owned(), detail: String::new(), errno: error.raw_os_error().unwrap_or(0) }
}

/// Writes the id maps of a zygote.
fn map_ids(identity: Identity, pid: i32) -> Result<(), Step> {
    if let Identity::Dedicated { base, count, writer: MapWriter::Helpers } = identity {
        return ["newgidmap", "newuidmap"]
            .into_iter()
            .try_for_each(|helper| map_by_helper(helper, pid, base, count));
    }
    let mut files = vec![("gid_map", identity.group_map()), ("uid_map", identity.user_map())];
    if !identity.dedicated() {
        files.insert(0, ("setgroups", "deny".to_owned()));
    }
    for (name, content) in files {
        fs::OpenOptions::new()
            .write(true)
            .open(format!("/proc/{pid}/{name}"))
            .and_then(|mut file| io::Write::write_all(&mut file, content.as_bytes()))
            .about("map zygote ids", format!("{name} {}", content.trim_end()))?;
    }
    Ok(())
}

/// Takes some milliseconds, once for each zygote.
fn map_by_helper(helper: &str, pid: i32, base: u32, count: u32) -> Result<(), Step> {
    const DIRECTORIES: [&str; 3] = ["/usr/bin", "/usr/sbin", "/usr/local/bin"];
    let stage = "map zygote ids";
    let path = DIRECTORIES
        .into_iter()
        .map(|directory| Path::new(directory).join(helper))
        .find(|path| path.is_file())
        .ok_or_else(|| Step::refused(stage, format!("{helper} is not installed (package uidmap)")))?;
    let mut command = Command::new(path);
    command.args([pid.to_string(), "0".to_owned(), base.to_string(), count.to_string()]);
    command.env_clear().stdin(Stdio::null());
    sys::end_with_parent(&mut command);
    let output = command.output().about(stage, helper)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Step::refused(stage, String::from_utf8_lossy(&output.stderr).trim_end())),
    }
}
