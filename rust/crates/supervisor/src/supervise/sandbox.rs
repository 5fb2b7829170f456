//! Sandboxes: from the request to the last cgroup.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Instant;

use e2bridge_init::weaken::{self, Defence};
use e2bridge_protocol::socket;
use e2bridge_protocol::supervisor::{
    Create, Created, Failure, FailureKind, Mechanism, Posture, SupervisorReply, Template,
};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use rustix::thread::CpuSet;

use super::cgroup::{Controller, Groups, Refusal};
use super::{
    Client, KILL_INTERVAL, PATIENCE, REMOVAL_INTERVAL, REMOVAL_PATIENCE, Source, Supervisor, Token,
    answer_to, zygote_died,
};
use crate::failure::{explain, failure, system, unavailable};
use crate::message::{CloneCommand, CloneReport, Order};
use crate::plan::{self, NAMESPACES, Tier, WithoutCgroup};

/// Who asked for a sandbox.
pub(super) enum Asker {
    /// The library.
    Library(OwnedFd),
    /// The check of that number.
    Check(u64),
}

/// Most sandboxes of which it is remembered that they ran out of memory, for the library to ask.
const MOST_REMEMBERED: usize = 1024;

/// Where a sandbox stands.
pub(super) enum Phase {
    /// For a zygote, or for its turn.
    Waiting,
    /// Ordered from that zygote.
    Ordered(u64),
    /// Cloned, not confined yet.
    Confining,
    /// Confined, its init runs.
    Running,
    /// SIGKILL is sent, or must be as soon as the clone is there.
    Ending,
    /// No process is left.
    Gone {
        /// When to give up.
        until: Instant,
    },
}

/// A sandbox.
pub(super) struct Sandbox {
    pub(super) create: Create,
    pub(super) phase: Phase,
    pub(super) tier: Tier,
    pub(super) zygote: Option<u64>,
    pub(super) asker: Option<Asker>,
    pub(super) control: Option<OwnedFd>,
    pub(super) status: Option<(OwnedFd, Token)>,
    /// Of a sandbox without namespaces, when it has reported: its keeper ends everything when this closes.
    pub(super) lifeline: Option<OwnedFd>,
    /// Its directory, where it has no namespaces.
    pub(super) directory: Option<PathBuf>,
    pub(super) pidfd: Option<(OwnedFd, Token)>,
    pub(super) init_pid: u32,
    pub(super) groups: Option<Groups>,
    pub(super) network: Option<OwnedFd>,
    pub(super) id: Option<u32>,
    /// Why it is being ended, when that is an error.
    pub(super) failure: Option<Failure>,
    /// Who waits for its end.
    pub(super) killers: Vec<OwnedFd>,
    /// When [`Supervisor::sandbox_is_late`] is due.
    pub(super) deadline: Option<Instant>,
}

impl Sandbox {
    /// Ends the process that its pidfd stands for, and with it everything of the sandbox.
    ///
    /// # Errors
    /// The kernel refuses the signal.
    fn let_end(&self) -> rustix::io::Result<()> {
        match self.tier {
            Tier::Full => {
                let Some((pidfd, _)) = &self.pidfd else { return Ok(()) };
                match rustix::process::pidfd_send_signal(pidfd, Signal::KILL) {
                    // It is gone, which its descriptor tells, too.
                    Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
                    refused => refused,
                }
            }
            Tier::Process => {
                for keeper in self.status.iter().map(|(fd, _)| fd).chain(&self.lifeline) {
                    // The keeper sees the end. Fails only when it is gone.
                    let _ = rustix::net::shutdown(keeper, rustix::net::Shutdown::Both);
                }
                Ok(())
            }
        }
    }

    /// Lets a sandbox without namespaces end, because the client does; what is to be waited for then.
    pub(super) fn end_with_client(&self) -> Option<BorrowedFd<'_>> {
        if self.tier == Tier::Full {
            // It ends with its zygote.
            return None;
        }
        // In this tier it cannot fail.
        let _ = self.let_end();
        self.first_process()
    }

    /// Whether that zygote made it, and its processes may be there.
    pub(super) fn lives_in(&self, zygote: u64) -> bool {
        self.zygote == Some(zygote) && !matches!(self.phase, Phase::Gone { .. })
    }

    /// What its end is known by.
    pub(super) fn first_process(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(|(pidfd, _)| pidfd.as_fd())
    }
}

impl Supervisor {
    pub(super) fn create(&mut self, create: Create, control: OwnedFd, reply: OwnedFd) {
        let number = create.sandbox;
        if let Err(failure) = self.admit(&create) {
            answer_to(&reply, &SupervisorReply::Failed(failure));
            return;
        }
        self.begin(number, create, control, Asker::Library(reply));
    }

    /// Checks that do not need a zygote.
    fn admit(&mut self, create: &Create) -> Result<(), Failure> {
        let known = self.sandboxes.contains_key(&create.sandbox);
        let client = self.client()?;
        if known {
            return Err(failure(FailureKind::Internal, "create", "this sandbox number is in use"));
        }
        let host_name = create.host_name.as_bytes();
        if host_name.is_empty() || host_name.len() > 64 || host_name.contains(&0) {
            return Err(failure(
                FailureKind::Internal,
                "create",
                "host name must have 1 to 64 bytes, none of them 0",
            ));
        }
        client.check_bounds()
    }

    pub(super) fn begin(&mut self, number: u64, create: Create, control: OwnedFd, asker: Asker) {
        let template = create.template;
        self.timed.insert(number);
        self.sandboxes.insert(
            number,
            Sandbox {
                create,
                phase: Phase::Waiting,
                tier: Tier::Full,
                zygote: None,
                asker: Some(asker),
                control: Some(control),
                status: None,
                lifeline: None,
                directory: None,
                pidfd: None,
                init_pid: 0,
                groups: None,
                network: None,
                id: None,
                failure: None,
                killers: Vec::new(),
                deadline: Some(Instant::now() + PATIENCE),
            },
        );
        self.enqueue(template, number);
    }

    /// Sandboxes of a template that no zygote has been given yet.
    pub(super) fn waiting_for(&self, template: Template) -> Vec<u64> {
        let waits = |sandbox: &Sandbox| {
            matches!(sandbox.phase, Phase::Waiting)
                && sandbox.zygote.is_none()
                && sandbox.create.template == template
        };
        self.sandboxes.iter().filter(|(_, sandbox)| waits(sandbox)).map(|(&number, _)| number).collect()
    }

    /// What to send to a zygote for a sandbox: `None` when it does not want it any more or cannot have it, which is dealt with.
    pub(super) fn order(&mut self, number: u64, zygote: u64) -> Option<(Order, [OwnedFd; 2])> {
        let sandbox = self.sandboxes.get_mut(&number)?;
        if !matches!(sandbox.phase, Phase::Waiting) {
            return None;
        }
        sandbox.zygote = Some(zygote);
        match self.make_order(number) {
            Ok((order, fds)) => {
                let sandbox = self.sandboxes.get_mut(&number)?;
                sandbox.phase = Phase::Ordered(zygote);
                sandbox.deadline = Some(Instant::now() + PATIENCE);
                Some((order, fds))
            }
            Err(failure) => {
                self.fail_sandbox(number, failure);
                None
            }
        }
    }

    fn make_order(&mut self, number: u64) -> Result<(Order, [OwnedFd; 2]), Failure> {
        let gone = || unavailable("create", "the sandbox is gone");
        let sandbox = self.sandboxes.get_mut(&number).ok_or_else(gone)?;
        let client = self.client.as_mut().ok_or_else(gone)?;
        let control = sandbox.control.as_ref().ok_or_else(gone)?;
        let control = control.try_clone().map_err(|error| system("create", "dup", error))?;
        if client.start.required || sandbox.tier == Tier::Process {
            // It is not tried again.
            sandbox.control = None;
        }
        let (near, far) = socket::seqpacket_pair().map_err(|error| system("create", "socketpair", error))?;
        let token = self
            .poller
            .add(&near, Source::Status(number))
            .map_err(|error| system("create", "epoll", error))?;
        sandbox.status = Some((near, token));
        let id = client.take_id()?;
        sandbox.id = Some(id);
        let limits = &sandbox.create.limits;
        sandbox.groups = Some(client.layout.make_groups(&number.to_string(), limits)?);
        let missing = |controller| client.layout.mechanism(controller) == Mechanism::Fallback;
        let without =
            WithoutCgroup { memory: missing(Controller::Memory), processes: missing(Controller::Processes) };
        let host_name = sandbox.create.host_name.clone();
        let (buffer, per_namespace) = (client.socket_buffer, client.processes_per_namespace);
        let mut order = plan::order(number, id, host_name, limits, without, buffer, per_namespace);
        if sandbox.tier == Tier::Process {
            client.order_without_namespaces(&mut order, limits, without)?;
            sandbox.directory = order.directory.as_ref().map(PathBuf::from);
        }
        Ok((order, [far, control]))
    }

    /// The clone exists and waits. It gets its cgroups and, where none bounds it, its processors, and is let go.
    pub(super) fn cloned(&mut self, number: u64, pidfd: OwnedFd, network: Option<OwnedFd>) {
        let kill = |pidfd: &OwnedFd| {
            // Fails only when it is gone.
            let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
        };
        let Some(sandbox) = self.sandboxes.get_mut(&number) else { return kill(&pidfd) };
        let token = match self.poller.add(&pidfd, Source::End(number)) {
            Ok(token) => token,
            Err(error) => {
                kill(&pidfd);
                super::wait_until_readable(pidfd.as_fd(), Instant::now() + PATIENCE);
                sandbox.failure.get_or_insert(system("create", "epoll", error));
                return self.sandbox_is_gone(number);
            }
        };
        sandbox.pidfd = Some((pidfd, token));
        sandbox.network = network;
        if matches!(sandbox.phase, Phase::Ending) {
            return self.send_kill(number);
        }
        sandbox.phase = Phase::Confining;
        if let Err(failure) = self.send_go(number) {
            self.fail_sandbox(number, failure);
        }
    }

    fn send_go(&mut self, number: u64) -> Result<(), Failure> {
        let gone = || unavailable("create", "the sandbox is gone");
        let sandbox = self.sandboxes.get_mut(&number).ok_or_else(gone)?;
        let client = self.client.as_mut().ok_or_else(gone)?;
        let (pidfd, _) = sandbox.pidfd.as_ref().ok_or_else(gone)?;
        sandbox.init_pid =
            pid_of(pidfd).map_err(|error| system("create", "reading the pid of the clone", error))?;
        let groups = match &sandbox.groups {
            Some(groups) => groups.admit(sandbox.init_pid)?,
            None => Vec::new(),
        };
        if client.layout.mechanism(Controller::Cpu) == Mechanism::Fallback {
            client.pin(sandbox.init_pid, sandbox.create.limits.cpu_count)?;
        }
        let (status, _) = sandbox.status.as_ref().ok_or_else(gone)?;
        let groups: Vec<_> = groups.iter().map(AsFd::as_fd).collect();
        socket::send(status, &CloneCommand::Go, &groups)
            .map_err(|error| unavailable("create", format!("the clone ended: {error}")))
    }

    /// There is no clone.
    pub(super) fn not_cloned(&mut self, number: u64, failure: Failure) {
        if let Some(sandbox) = self.sandboxes.get_mut(&number) {
            sandbox.failure.get_or_insert(failure);
            self.sandbox_is_gone(number);
        }
    }

    /// The report of a clone, or the end of its socket.
    pub(super) fn hear_clone(&mut self, number: u64) {
        let Some(sandbox) = self.sandboxes.get_mut(&number) else { return };
        let Some((status, token)) = sandbox.status.take() else { return };
        let report = socket::recv::<CloneReport>(&status);
        self.poller.remove(&status, token);
        sandbox.lifeline = (sandbox.tier == Tier::Process).then_some(status);
        match report {
            Ok(Some((CloneReport::Confined { landlock_abi }, _))) => self.confined(number, landlock_abi),
            Ok(Some((CloneReport::Failed(step), _))) => self.fail_sandbox(number, explain(&step)),
            // The zygote could not clone and is about to say why.
            Ok(None) if matches!(sandbox.phase, Phase::Ordered(_)) => {}
            // Its end is about to be noticed.
            Ok(None) | Err(_) => {
                self.fail_sandbox(number, unavailable("create", "the clone ended before it was confined"));
            }
        }
    }

    fn confined(&mut self, number: u64, landlock_abi: u32) {
        let Some(sandbox) = self.sandboxes.get_mut(&number) else { return };
        if !matches!(sandbox.phase, Phase::Confining) {
            return;
        }
        let Some(client) = &self.client else { return };
        if let Err(failure) = client.check_memory(landlock_abi) {
            return self.fail_sandbox(number, failure);
        }
        let zygote = sandbox.zygote.and_then(|zygote| self.zygotes.get(&zygote));
        sandbox.phase = Phase::Running;
        sandbox.deadline = None;
        sandbox.control = None;
        let created = Created {
            init_pid: sandbox.init_pid,
            posture: client.posture(sandbox.tier, landlock_abi),
            root: sandbox.directory.as_ref().and_then(|path| path.to_str()).map(str::to_owned),
            cgroups: sandbox.groups.as_ref().map(|groups| groups.reported.clone()).unwrap_or_default(),
            interpreter: zygote.and_then(super::Zygote::interpreter),
            forks_python: zygote.is_some_and(super::Zygote::forks),
        };
        match sandbox.asker.take() {
            Some(Asker::Library(reply)) => {
                let heard = answer_to(&reply, &SupervisorReply::Created(Box::new(created)));
                if !heard {
                    // Nobody knows of it.
                    self.end_sandbox(number);
                }
            }
            Some(Asker::Check(check)) => {
                self.check_succeeded(check, created.posture);
                self.end_sandbox(number);
            }
            None => {}
        }
    }

    pub(super) fn kill(&mut self, number: u64, reply: OwnedFd) {
        match self.sandboxes.get_mut(&number) {
            None => {
                let out_of_memory = self.ended_of_memory.contains(&number);
                answer_to(&reply, &SupervisorReply::Killed { out_of_memory });
            }
            Some(sandbox) => {
                sandbox.killers.push(reply);
                self.fail_sandbox(
                    number,
                    unavailable("create", "the sandbox was ended while it was being made"),
                );
            }
        }
    }

    /// Ends a sandbox for a reason, which whoever asked for it gets to know when nothing is left of it.
    pub(super) fn fail_sandbox(&mut self, number: u64, failure: Failure) {
        if let Some(sandbox) = self.sandboxes.get_mut(&number) {
            sandbox.failure.get_or_insert(failure);
            self.end_sandbox(number);
        }
    }

    fn end_sandbox(&mut self, number: u64) {
        let Some(sandbox) = self.sandboxes.get_mut(&number) else { return };
        match sandbox.phase {
            Phase::Waiting => self.sandbox_is_gone(number),
            Phase::Ordered(_) => sandbox.phase = Phase::Ending,
            Phase::Confining | Phase::Running => {
                sandbox.phase = Phase::Ending;
                self.send_kill(number);
            }
            Phase::Ending | Phase::Gone { .. } => {}
        }
    }

    /// Ends a sandbox whose end is due. When that is refused, who waits for the end gets to know, and it is tried again.
    fn send_kill(&mut self, number: u64) {
        let Some(sandbox) = self.sandboxes.get_mut(&number) else { return };
        sandbox.deadline = None;
        if let Err(error) = sandbox.let_end() {
            sandbox.deadline = Some(Instant::now() + KILL_INTERVAL);
            self.timed.insert(number);
            let refused = SupervisorReply::Failed(system("end sandbox", "pidfd_send_signal", error));
            for reply in sandbox.killers.drain(..) {
                answer_to(&reply, &refused);
            }
        }
    }

    /// The init of a sandbox has ended, and with it every process of its pid namespace.
    pub(super) fn bury_sandbox(&mut self, number: u64) {
        // What it said before comes first.
        if self.sandboxes.get(&number).is_some_and(|sandbox| sandbox.status.is_some()) {
            self.hear_clone(number);
        }
        // Nobody asked for its end. Kernel memory, such as pipes', belongs to no program, so that init can be the one the kernel finds.
        if let Some(Sandbox { phase: Phase::Running, groups: Some(groups), .. }) = self.sandboxes.get(&number)
            && groups.memory_kills() > 0
        {
            self.ended_of_memory.insert(number);
            if self.ended_of_memory.len() > MOST_REMEMBERED {
                self.ended_of_memory.pop_first();
            }
        }
        self.sandbox_is_gone(number);
    }

    /// A zygote has ended: what it was to clone will never be.
    pub(super) fn zygote_is_gone(&mut self, zygote: u64) {
        let lost: Vec<_> = self
            .sandboxes
            .iter()
            .filter(|(_, sandbox)| sandbox.zygote == Some(zygote) && sandbox.pidfd.is_none())
            .map(|(&number, _)| number)
            .collect();
        for number in lost {
            if let Some(sandbox) = self.sandboxes.get_mut(&number) {
                sandbox.failure.get_or_insert_with(zygote_died);
            }
            self.sandbox_is_gone(number);
        }
    }

    /// Sandboxes that a failed zygote was to clone get to know why.
    pub(super) fn remember_failure(&mut self, zygote: u64, failure: &Failure) {
        for sandbox in self.sandboxes.values_mut() {
            if matches!(sandbox.phase, Phase::Ordered(by) if by == zygote) {
                sandbox.failure.get_or_insert_with(|| failure.clone());
            }
        }
    }

    fn sandbox_is_gone(&mut self, number: u64) {
        let Some(sandbox) = self.sandboxes.get_mut(&number) else { return };
        if matches!(sandbox.phase, Phase::Gone { .. }) {
            return;
        }
        if let Some(first) = sandbox.first_process() {
            // A child of this process only when its zygote has ended before it.
            let _ =
                rustix::process::waitid(WaitId::PidFd(first), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
        for (fd, token) in sandbox.status.take().into_iter().chain(sandbox.pidfd.take()) {
            self.poller.remove(&fd, token);
        }
        sandbox.lifeline = None;
        if let (Some(network), Some(zygote)) = (sandbox.network.take(), sandbox.zygote)
            && let Some(zygote) = self.zygotes.get_mut(&zygote)
        {
            zygote.keep_network(network);
        }
        sandbox.phase = Phase::Gone { until: Instant::now() + REMOVAL_PATIENCE };
        let zygote = sandbox.zygote;
        self.clear_away(number, Instant::now());
        if let Some(zygote) = zygote {
            self.end_if_retired(zygote);
        }
    }

    /// Removes the cgroups and files of a sandbox that has no process any more, and the sandbox with them.
    fn clear_away(&mut self, number: u64, now: Instant) {
        let Some(Sandbox { phase: Phase::Gone { until }, .. }) = self.sandboxes.get(&number) else { return };
        let until = *until;
        let Some(mut sandbox) = self.sandboxes.remove(&number) else { return };
        let empty = self.clear(&mut sandbox);
        if !empty && now < until {
            sandbox.deadline = Some(now + REMOVAL_INTERVAL);
            self.timed.insert(number);
            self.sandboxes.insert(number, sandbox);
            return;
        }
        if let (Some(id), Some(client)) = (sandbox.id, &mut self.client) {
            client.ids.remove(&id);
        }
        if empty && self.starts_again(&mut sandbox) {
            let template = sandbox.create.template;
            self.timed.insert(number);
            self.sandboxes.insert(number, sandbox);
            self.enqueue(template, number);
            return;
        }
        let out_of_memory = self.ended_of_memory.contains(&number);
        let left = (!empty).then(|| {
            failure(
                FailureKind::Internal,
                "remove sandbox",
                "a cgroup without processes, or the files, could not be removed in time",
            )
        });
        let cause = sandbox.failure.take().unwrap_or_else(|| unavailable("create", "the sandbox ended"));
        let cause = match (&self.client, sandbox.tier) {
            (Some(client), Tier::Process) => client.explain_fallback(cause),
            _ => cause,
        };
        match sandbox.asker.take() {
            Some(Asker::Library(reply)) => {
                answer_to(&reply, &SupervisorReply::Failed(cause));
            }
            Some(Asker::Check(check)) => self.check_failed(check, cause),
            None => {}
        }
        for reply in sandbox.killers {
            let answer =
                left.clone().map_or(SupervisorReply::Killed { out_of_memory }, SupervisorReply::Failed);
            answer_to(&reply, &answer);
        }
    }

    /// The deadline of a sandbox has passed.
    pub(super) fn sandbox_is_late(&mut self, number: u64, now: Instant) {
        let Some(sandbox) = self.sandboxes.get_mut(&number) else { return };
        let late = || unavailable("create", format!("no answer within {} s", PATIENCE.as_secs()));
        match sandbox.phase {
            Phase::Gone { .. } => self.clear_away(number, now),
            Phase::Waiting | Phase::Ordered(_) => {
                sandbox.deadline = None;
                // A zygote that does not answer is of no use to anybody.
                if let Some(zygote) = sandbox.zygote {
                    self.zygote_failed(zygote, &late());
                }
                self.fail_sandbox(number, late());
            }
            Phase::Ending if sandbox.pidfd.is_none() => {
                sandbox.deadline = None;
                if let Some(zygote) = sandbox.zygote {
                    self.zygote_failed(zygote, &late());
                }
            }
            Phase::Confining => self.fail_sandbox(number, late()),
            Phase::Ending => self.send_kill(number),
            Phase::Running => sandbox.deadline = None,
        }
    }
}

impl Client {
    /// Whether everything that must be bounded can be.
    fn check_bounds(&self) -> Result<(), Failure> {
        if self.bounds_processes() || !self.start.required {
            return Ok(());
        }
        let Err(Refusal { reason, remedy }) = self.layout.describe(Controller::Processes) else {
            return Ok(());
        };
        Err(Failure {
            remedy: Some(format!(
                "use Linux 5.14 or newer, or give the service a cgroup with the pids controller: {remedy}"
            )),
            ..failure(
                FailureKind::Isolation,
                "limit processes",
                format!(
                    "processes of a sandbox cannot be bounded: no pids cgroup ({reason}), and before Linux 5.14 RLIMIT_NPROC counts all processes of a user"
                ),
            )
        })
    }

    /// Whether memory is bounded: without a cgroup it takes Landlock to close `/dev/zero`.
    fn check_memory(&self, landlock_abi: u32) -> Result<(), Failure> {
        if self.bounds_memory(landlock_abi) || !self.start.required {
            return Ok(());
        }
        let Err(Refusal { reason, remedy }) = self.layout.describe(Controller::Memory) else {
            return Ok(());
        };
        Err(Failure {
            remedy: Some(format!(
                "boot with lsm=landlock,..., or give the service a cgroup with the memory controller: {remedy}"
            )),
            ..failure(
                FailureKind::Isolation,
                "limit memory",
                format!(
                    "memory of a sandbox cannot be bounded: no memory cgroup ({reason}), and no Landlock to close shared memory"
                ),
            )
        })
    }

    fn bounds_processes(&self) -> bool {
        self.layout.mechanism(Controller::Processes) != Mechanism::Fallback || self.processes_per_namespace
    }

    fn bounds_memory(&self, landlock_abi: u32) -> bool {
        self.layout.mechanism(Controller::Memory) != Mechanism::Fallback || landlock_abi > 0
    }

    fn posture(&self, tier: Tier, landlock_abi: u32) -> Posture {
        if tier == Tier::Process {
            return self.posture_without_namespaces(landlock_abi);
        }
        let tier = match (self.bounds_processes(), self.bounds_memory(landlock_abi)) {
            (true, true) => "full",
            (false, _) => "unbounded_processes",
            (true, false) => "unbounded_memory",
        };
        Posture {
            tier: tier.to_owned(),
            namespaces: NAMESPACES.map(str::to_owned).to_vec(),
            dedicated_ids: self.identity.dedicated(),
            seccomp: true,
            landlock_abi,
            memory: self.layout.mechanism(Controller::Memory),
            processes: self.layout.mechanism(Controller::Processes),
            cpu: self.layout.mechanism(Controller::Cpu),
        }
    }

    /// An id that no other live sandbox has, the longest unused one first.
    fn take_id(&mut self) -> Result<u32, Failure> {
        let range = self.identity.sandbox_ids();
        if !self.identity.dedicated() {
            return Ok(range.start);
        }
        let later = self.last_id.saturating_add(1).max(range.start)..range.end;
        let id = later.chain(range.clone()).find(|id| !self.ids.contains(id)).ok_or_else(|| {
            failure(
                FailureKind::Limit,
                "choose ids",
                format!("{} sandboxes are the most with own ids", range.len()),
            )
        })?;
        self.ids.insert(id);
        self.last_id = id;
        Ok(id)
    }

    /// Binds a process, and what it will start, to some processors. The set cannot be changed from inside.
    fn pin(&mut self, pid: u32, count: u32) -> Result<(), Failure> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count >= self.processors.len() || !weaken::keeps(Defence::Cpu) {
            return Ok(());
        }
        let mut set = CpuSet::new();
        for _ in 0..count {
            set.set(self.processors[self.next_processor % self.processors.len()]);
            self.next_processor += 1;
        }
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        rustix::thread::sched_setaffinity(pid, &set)
            .map_err(|error| system("set affinity", "sched_setaffinity", error))
    }
}

/// Process id, in this process's pid namespace, of what a pidfd stands for.
pub(super) fn pid_of(pidfd: impl AsFd) -> io::Result<u32> {
    use std::os::fd::AsRawFd;
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_fd().as_raw_fd()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
        .filter(|&pid| pid > 0)
        .ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
}
