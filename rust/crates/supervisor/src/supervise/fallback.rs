//! Where a host refuses namespaces: sandboxes of a client that asks for the strongest tier that works are made without them then. A
//! client that requires isolation gets the refusal.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use e2bridge_protocol::supervisor::{Failure, FailureKind, Limits, Posture};
use rustix::process::{Gid, Pid, Signal, Uid, WaitId, WaitIdOptions};
use rustix::thread::CapabilitySet;

use super::cgroup::{Controller, Groups};
use super::record::kill_members;
use super::sandbox::{Phase, Sandbox, pid_of};
use super::template::{TemplateState, Zygote};
use super::{Client, Supervisor};
use crate::failure::system;
use crate::message::Order;
use crate::plan::{Identity, Tier, WithoutCgroup};
use crate::process_tier::{self, files};
use crate::sys::{self, Cloned};

/// After this long, namespaces are tried again.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// What a supervisor that is root keeps of its capabilities beside the others, for sandboxes without namespaces.
pub(super) fn capabilities(required: bool) -> CapabilitySet {
    // Their directories become theirs.
    if required { CapabilitySet::empty() } else { CapabilitySet::CHOWN }
}

/// Why a client's sandboxes get no namespaces.
pub(super) struct Fallback {
    because: Failure,
    since: Instant,
}

impl Client {
    /// What the next sandbox is to be.
    pub(super) fn tier(&self) -> Tier {
        match &self.fallback {
            Some(fallback) if !self.start.required && fallback.since.elapsed() < TRIED_AGAIN_AFTER => {
                Tier::Process
            }
            _ => Tier::Full,
        }
    }

    /// Why there are no namespaces, when there are none.
    pub(super) fn refusal(&self) -> Option<&Failure> {
        self.fallback.as_ref().map(|fallback| &fallback.because)
    }

    /// What is different for a sandbox without namespaces: makes its directory.
    pub(super) fn order_without_namespaces(
        &self,
        order: &mut Order,
        limits: &Limits,
        without: WithoutCgroup,
    ) -> Result<(), Failure> {
        let dedicated = self.identity.dedicated();
        order.process_limit = (dedicated || without.processes).then_some(u64::from(limits.processes));
        order.pid_max = None;
        let directory = self.files.join(order.sandbox.to_string());
        let id = match self.identity {
            Identity::Dedicated { base, .. } => Some(base + order.id),
            Identity::Own { .. } => None,
        };
        let shown = directory.display().to_string();
        files::make(&directory, id).map_err(|error| system("make files", &shown, error))?;
        order.directory = Some(shown);
        Ok(())
    }

    pub(super) fn posture_without_namespaces(&self, landlock_abi: u32) -> Posture {
        Posture {
            tier: process_tier::NAME.to_owned(),
            namespaces: Vec::new(),
            dedicated_ids: self.identity.dedicated(),
            seccomp: true,
            landlock_abi,
            memory: self.layout.mechanism(Controller::Memory),
            processes: self.layout.mechanism(Controller::Processes),
            cpu: self.layout.mechanism(Controller::Cpu),
        }
    }

    /// The failure of a sandbox without namespaces, with why it was to have none.
    pub(super) fn explain_fallback(&self, failure: Failure) -> Failure {
        let Some(first) = self.refusal().filter(|_| failure.kind == FailureKind::Isolation) else {
            return failure;
        };
        Failure {
            message: format!(
                "namespaces are refused: {}; and without them: {}",
                first.message, failure.message
            ),
            remedy: failure.remedy.or_else(|| first.remedy.clone()),
            ..failure
        }
    }
}

impl Supervisor {
    /// Whether a sandbox that the host refused is to be made once more, without namespaces: it is as if just asked for then.
    pub(super) fn starts_again(&mut self, sandbox: &mut Sandbox) -> bool {
        let Some(client) = &mut self.client else { return false };
        if client.start.required || sandbox.tier != Tier::Full {
            return false;
        }
        let Some(because) = sandbox.start_again() else { return false };
        // Subordinate ids can be had in a namespace only.
        client.take_own_ids();
        client.fallback = Some(Fallback { because, since: Instant::now() });
        // What outlives its keeper comes to this process. Where that cannot be, it goes to the host's init.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        true
    }

    /// Removes what is left of a sandbox whose first process has ended; true when nothing is.
    pub(super) fn clear(&self, sandbox: &mut Sandbox) -> bool {
        let files = sandbox.directory.as_ref().is_none_or(|directory| {
            // One that is not empty was left by a keeper that was killed, from outside: processes may be left, too.
            fs::remove_dir(directory).is_ok()
                || !directory.exists()
                || self.kill_leftovers(sandbox) == 0 && files::remove(directory)
        });
        files && sandbox.groups.as_mut().is_none_or(Groups::remove)
    }

    /// Kills what a sandbox without its keeper has left, by each of the ways that there are; answers how many processes were found.
    fn kill_leftovers(&self, sandbox: &Sandbox) -> usize {
        let Some(client) = &self.client else { return 0 };
        for group in sandbox.groups.iter().flat_map(|groups| groups.directories()) {
            kill_members(group, &client.start.client);
        }
        if let (Identity::Dedicated { base, .. }, Some(id)) = (client.identity, sandbox.id) {
            kill_user(base + id);
        }
        let known: BTreeSet<u32> = self
            .zygotes
            .values()
            .map(Zygote::pidfd)
            .chain(self.templates.values().filter_map(TemplateState::probed))
            // Keepers come here, too, when their zygote has ended.
            .chain(self.sandboxes.values().filter_map(Sandbox::first_process))
            .filter_map(|pidfd| pid_of(pidfd).ok())
            .collect();
        let orphans: Vec<_> = children().into_iter().filter(|pid| !known.contains(pid)).collect();
        for pid in orphans.iter().filter_map(|&pid| Pid::from_raw(pid.cast_signed())) {
            // A child that has not been waited for keeps its number.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            let _ = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
        orphans.len()
    }
}

impl Sandbox {
    /// Makes it as if it had just been asked for, when the host refused it and somebody waits for it. Answers why it was refused.
    fn start_again(&mut self) -> Option<Failure> {
        let waited_for = self.asker.is_some() && self.killers.is_empty() && self.control.is_some();
        if !waited_for || self.failure.as_ref()?.kind != FailureKind::Isolation {
            return None;
        }
        self.phase = Phase::Waiting;
        self.zygote = None;
        self.groups = None;
        self.id = None;
        self.init_pid = 0;
        self.deadline = Some(Instant::now() + super::PATIENCE);
        self.failure.take()
    }
}

/// Kills everything that has a user id, in one step that no fork can slip through. Needs root.
fn kill_user(id: u32) {
    match sys::clone_process(0) {
        Ok(Cloned::Child) => {}
        Ok(Cloned::Parent(child, _)) => {
            // It ends at once.
            let _ = rustix::process::waitid(WaitId::PidFd(child.as_fd()), WaitIdOptions::EXITED);
            return;
        }
        Err(_) => return,
    }
    let (group, user) = (Gid::from_raw(id), Uid::from_raw(id));
    let became = rustix::thread::set_thread_res_gid(group, group, group)
        .and_then(|()| rustix::thread::set_thread_res_uid(user, user, user));
    if became.is_ok() {
        sys::kill_everything();
    }
    sys::exit(0)
}

/// Children of this process, those that have ended and wait to be waited for included.
fn children() -> Vec<u32> {
    let own = std::process::id();
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    numbers
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // Behind the name, which may hold anything: state, parent.
            let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(1);
            fields.next().and_then(|parent| parent.parse().ok()) == Some(own)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found() {
        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        assert!(children().contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children().contains(&child.id()));
    }
}
