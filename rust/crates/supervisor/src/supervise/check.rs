//! `Check`: what the host allows, found by making a sandbox of the base template and asking every interpreter.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use e2bridge_protocol::socket;
use e2bridge_protocol::supervisor::{
    Checked, Create, Facility, Failure, Limits, Posture, SupervisorReply, Template,
};

use super::cgroup::Controller;
use super::sandbox::Asker;
use super::{Client, Supervisor, answer_to};
use crate::failure::system;

/// Small, because nothing runs in it.
const LIMITS: Limits = Limits {
    memory_bytes: 64 * 1024 * 1024,
    cpu_count: 1,
    disk_bytes: 1024 * 1024,
    disk_inodes: 1024,
    processes: 16,
};

/// Checks under way.
#[derive(Default)]
pub(super) struct Checks {
    open: BTreeMap<u64, Check>,
    next: u64,
}

struct Check {
    reply: OwnedFd,
    sandbox: Option<Result<Posture, Failure>>,
    interpreters: BTreeMap<&'static str, Option<Result<Option<String>, String>>>,
}

fn name(template: Template) -> &'static str {
    match template {
        Template::Base => "base",
        Template::Python => "python",
        Template::Node => "node",
    }
}

impl Supervisor {
    pub(super) fn check(&mut self, reply: OwnedFd) {
        if let Err(failure) = self.client() {
            answer_to(&reply, &SupervisorReply::Failed(failure));
            return;
        }
        let number = self.checks.next;
        self.checks.next += 1;
        let mut interpreters = BTreeMap::from([(name(Template::Base), Some(Ok(None)))]);
        let mut unknown = Vec::new();
        for template in [Template::Python, Template::Node] {
            let version = self.interpreter_version(template);
            if version.is_none() {
                unknown.push(template);
            }
            interpreters.insert(name(template), version.map(|version| Ok(Some(version))));
        }
        self.checks.open.insert(number, Check { reply, sandbox: None, interpreters });
        unknown.into_iter().for_each(|template| self.start_probe(template));
        // From the top down, where the library, which counts from below, never comes.
        let sandbox = u64::MAX - number;
        match socket::seqpacket_pair() {
            Ok((near, control)) => {
                let create = Create {
                    sandbox,
                    template: Template::Base,
                    limits: LIMITS,
                    host_name: "check".to_owned(),
                };
                self.begin(sandbox, create, control, Asker::Check(number));
                // With its control socket closed, its init ends by itself, should nobody end it before.
                drop(near);
            }
            Err(error) => self.check_failed(number, system("check", "socketpair", error)),
        }
    }

    pub(super) fn check_succeeded(&mut self, number: u64, posture: Posture) {
        if let Some(check) = self.checks.open.get_mut(&number) {
            check.sandbox = Some(Ok(posture));
        }
        self.finish_checks();
    }

    pub(super) fn check_failed(&mut self, number: u64, failure: Failure) {
        if let Some(check) = self.checks.open.get_mut(&number) {
            check.sandbox = Some(Err(failure));
        }
        self.finish_checks();
    }

    /// An interpreter was found, or was not.
    pub(super) fn checks_go_on(&mut self, template: Template, failure: Option<Failure>) {
        let result = match failure {
            None => Ok(self.interpreter_version(template)),
            Some(failure) => Err(failure.message),
        };
        for check in self.checks.open.values_mut() {
            if let Some(open @ None) = check.interpreters.get_mut(name(template)) {
                *open = Some(result.clone());
            }
        }
        self.finish_checks();
    }

    fn finish_checks(&mut self) {
        let complete =
            |check: &Check| check.sandbox.is_some() && check.interpreters.values().all(Option::is_some);
        let done: Vec<_> =
            self.checks.open.iter().filter(|(_, check)| complete(check)).map(|(&number, _)| number).collect();
        for number in done {
            let Some(check) = self.checks.open.remove(&number) else { continue };
            let Some(sandbox) = check.sandbox else { continue };
            let mut interpreters = check.interpreters;
            let interpreters = [Template::Base, Template::Python, Template::Node]
                .into_iter()
                .filter_map(|template| Some((template, interpreters.remove(name(template))??)))
                .collect();
            let checked =
                Checked { facilities: self.facilities(&sandbox), posture: sandbox.ok(), interpreters };
            answer_to(&check.reply, &SupervisorReply::Checked(Box::new(checked)));
        }
    }

    fn dedicated_ids(&self, available: bool) -> Facility {
        let because = self.client.as_ref().and_then(|client| client.own_ids_because.as_deref());
        let detail = match (available, because) {
            (true, _) => "host ids that own nothing, one for each sandbox".to_owned(),
            (false, None) => "no: the calling user's own id".to_owned(),
            (false, Some(reason)) => {
                format!("no: the calling user's own id, because of subordinate ids: {reason}")
            }
        };
        let user = rustix::process::geteuid().as_raw();
        let remedy = format!(
            "run the service as root, or grant its user subordinate ids: apt-get install uidmap; \
             usermod --add-subuids 100000-165535 --add-subgids 100000-165535 \"$(id -un {user})\""
        );
        Facility {
            name: "dedicated_ids".to_owned(),
            available,
            detail,
            remedy: (!available).then_some(remedy),
        }
    }

    fn facilities(&self, sandbox: &Result<Posture, Failure>) -> Vec<Facility> {
        let mut facilities = Vec::new();
        match sandbox {
            Ok(posture) => {
                let landlock = posture.landlock_abi;
                let fact = |name: &str, detail: String| Facility {
                    name: name.to_owned(),
                    available: true,
                    detail,
                    remedy: None,
                };
                facilities.push(fact("sandbox", format!("one was made, tier {}", posture.tier)));
                let refusal = self.client.as_ref().and_then(Client::refusal);
                facilities.push(match (posture.namespaces.is_empty(), refusal) {
                    (true, Some(refusal)) => refused("user_namespaces", refusal),
                    _ => fact("user_namespaces", "one was made".to_owned()),
                });
                facilities.push(self.dedicated_ids(posture.dedicated_ids));
                facilities.push(fact("seccomp", "filter in force".to_owned()));
                facilities.push(Facility {
                    name: "landlock".to_owned(),
                    available: landlock > 0,
                    detail: if landlock > 0 {
                        format!("ABI {landlock}")
                    } else {
                        "not in this kernel".to_owned()
                    },
                    remedy: (landlock == 0)
                        .then(|| "boot with lsm=landlock,... or use Linux 5.13 or newer".to_owned()),
                });
            }
            Err(failure) => facilities.push(refused("sandbox", failure)),
        }
        let namespaces = sandbox.as_ref().is_ok_and(|posture| !posture.namespaces.is_empty());
        let processes = match (namespaces, sandbox) {
            (false, Ok(posture)) if posture.dedicated_ids => "RLIMIT_NPROC of the sandbox's user id",
            (false, Ok(_)) => "RLIMIT_NPROC, which counts all processes of the calling user",
            _ => "RLIMIT_NPROC in the sandbox's user namespace, and pid_max",
        };
        for (name, controller, fallback) in [
            ("memory_limit", Controller::Memory, "RLIMIT_DATA, per process"),
            ("process_limit", Controller::Processes, processes),
            ("cpu_limit", Controller::Cpu, "a fixed set of processors"),
        ] {
            let Some(client) = &self.client else { continue };
            let (available, detail, remedy) = match client.layout.describe(controller) {
                Ok(detail) => (true, detail, None),
                Err(refusal) => (
                    false,
                    format!("no cgroup ({}); instead: {fallback}", refusal.reason),
                    Some(refusal.remedy),
                ),
            };
            facilities.push(Facility { name: name.to_owned(), available, detail, remedy });
        }
        facilities
    }
}

fn refused(name: &str, failure: &Failure) -> Facility {
    Facility {
        name: name.to_owned(),
        available: false,
        detail: format!("{}: {}", failure.stage, failure.message),
        remedy: failure.remedy.clone(),
    }
}
