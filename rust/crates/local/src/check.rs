//! `E2B.check()`: what this host can isolate, found by trying it in a short-lived supervisor, and what mends what it cannot.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use e2bridge_core::document::{HostFacility, HostReport, IsolationReport};
use e2bridge_core::request::BuiltinTemplate;
use e2bridge_core::time::now;
use e2bridge_core::{Error, Result};
use e2bridge_protocol::supervisor::{Checked, Facility, SupervisorReply, SupervisorRequest, Template};

use crate::Config;
use crate::engine::Engine;
use crate::posture::{FULL, isolation_report};
use crate::settings::Settings;
use crate::supervisor::{PATIENCE, Supervisor, unexpected};
use crate::templates::builtin_summaries;

/// How long an answer of the host is good for.
const KNOWN_FOR: Duration = Duration::from_secs(30);
/// Name of the facility that stands for the supervisor itself.
const SUPERVISOR: &str = "supervisor";

/// What this host can isolate, what not, why, and the command or setting that mends it. Needs no open client and leaves nothing
/// behind. A host that cannot even start a supervisor gets a report that says so, not an error.
///
/// # Errors
/// `INVALID_ARGUMENT` naming `config.<key>`.
pub fn check(config: &Config) -> Result<HostReport> {
    let settings = Settings::new(config)?;
    Ok(report(Supervisor::start(&settings).and_then(|supervisor| ask(&supervisor))))
}

/// What an engine knows of its host: asked when it is first needed, then again when that is some time ago, because an interpreter
/// may have been installed since.
#[derive(Default)]
pub(crate) struct HostKnowledge {
    last: Mutex<Option<(Instant, Arc<Checked>)>>,
}

impl HostKnowledge {
    /// What the host allows.
    ///
    /// # Errors
    /// What the supervisor answers.
    pub(crate) fn get(&self, engine: &Engine) -> Result<Arc<Checked>> {
        // Held while the supervisor is asked: whoever waits would only ask the same.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, checked)) = &*last
            && asked.elapsed() < KNOWN_FOR
        {
            return Ok(Arc::clone(checked));
        }
        let supervisor = engine.supervisor()?;
        let checked = Arc::new(ask(&supervisor)?);
        *last = Some((Instant::now(), Arc::clone(&checked)));
        Ok(checked)
    }
}

fn ask(supervisor: &Supervisor) -> Result<Checked> {
    match supervisor.request(&SupervisorRequest::Check, &[], PATIENCE, None)? {
        SupervisorReply::Checked(checked) => Ok(*checked),
        other => Err(unexpected("check", &other)),
    }
}

fn report(answer: Result<Checked>) -> HostReport {
    let (isolation, facilities, templates) = match &answer {
        Ok(checked) => (
            checked.posture.as_ref().map(isolation_report),
            checked.facilities.iter().map(facility).collect(),
            builtin_summaries(|base| unavailable(checked, base)),
        ),
        Err(error) => {
            let reason = |_| Some(error.message().to_owned());
            (None, vec![not_started(error)], builtin_summaries(reason))
        }
    };
    HostReport {
        ready: isolation.as_ref().is_some_and(|isolation: &IsolationReport| isolation.tier == FULL),
        backend: "local".to_owned(),
        isolation,
        facilities,
        templates,
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        timestamp: now(),
    }
}

/// Why a built-in template cannot be used on this host, if it cannot.
pub(crate) fn unavailable(checked: &Checked, base: BuiltinTemplate) -> Option<String> {
    let wanted = match base {
        BuiltinTemplate::Base => Template::Base,
        BuiltinTemplate::Python => Template::Python,
        BuiltinTemplate::Node => Template::Node,
    };
    match checked.interpreters.iter().find(|(template, _)| *template == wanted) {
        Some((_, Err(reason))) => Some(reason.clone()),
        // What was not asked for an interpreter needs none.
        Some((_, Ok(_))) | None => None,
    }
}

fn facility(found: &Facility) -> HostFacility {
    HostFacility {
        name: found.name.clone(),
        available: found.available,
        detail: found.detail.clone(),
        remedy: found.remedy.clone(),
    }
}

fn not_started(error: &Error) -> HostFacility {
    HostFacility {
        name: SUPERVISOR.to_owned(),
        available: false,
        detail: error.message().to_owned(),
        remedy: error.context().get("remedy").and_then(|remedy| remedy.as_str()).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use e2bridge_core::Code;
    use e2bridge_protocol::supervisor::{Mechanism, Posture};

    use super::*;

    fn posture() -> Posture {
        Posture {
            tier: FULL.to_owned(),
            namespaces: vec!["user".to_owned(), "pid".to_owned()],
            dedicated_ids: true,
            seccomp: true,
            landlock_abi: 7,
            memory: Mechanism::CgroupV1,
            processes: Mechanism::Fallback,
            cpu: Mechanism::CgroupV2,
        }
    }

    fn checked(posture: Option<Posture>) -> Checked {
        Checked {
            posture,
            facilities: vec![Facility {
                name: "user_namespaces".to_owned(),
                available: false,
                detail: "clone: EPERM".to_owned(),
                remedy: Some("sysctl -w kernel.unprivileged_userns_clone=1".to_owned()),
            }],
            interpreters: vec![
                (Template::Base, Ok(None)),
                (Template::Python, Ok(Some("/usr/bin/python3".to_owned()))),
                (Template::Node, Err("no node on this host".to_owned())),
            ],
        }
    }

    #[test]
    fn what_the_supervisor_found_is_what_is_said() {
        let report = report(Ok(checked(Some(posture()))));
        assert!(report.ready);
        let isolation = report.isolation.unwrap();
        assert_eq!((isolation.memory.as_str(), isolation.processes.as_str()), ("cgroup_v1", "pid_max"));
        assert_eq!((isolation.cpu.as_str(), isolation.ids.as_str()), ("cgroup_v2", "dedicated"));
        assert_eq!(
            report.facilities[0].remedy.as_deref(),
            Some("sysctl -w kernel.unprivileged_userns_clone=1")
        );
        let reasons: Vec<_> = report.templates.iter().map(|row| row.reason.as_deref()).collect();
        assert_eq!(reasons, [None, None, Some("no node on this host")]);
        assert!(!report.kernel.is_empty());
    }

    #[test]
    fn without_full_isolation_the_host_is_not_ready() {
        assert!(!report(Ok(checked(None))).ready);
        let weaker = Posture { tier: "no_cgroups".to_owned(), dedicated_ids: false, ..posture() };
        let report = report(Ok(checked(Some(weaker))));
        assert!(!report.ready);
        assert_eq!(report.isolation.unwrap().ids, "own");
    }

    #[test]
    fn a_supervisor_that_does_not_start_is_reported_with_its_remedy() {
        let error = Error::new(Code::Unavailable, "memfd_create: EACCES")
            .with("remedy", "sysctl -w vm.memfd_noexec=0");
        let report = report(Err(error));
        assert!(!report.ready && report.isolation.is_none());
        assert_eq!(report.facilities[0].name, SUPERVISOR);
        assert_eq!(report.facilities[0].remedy.as_deref(), Some("sysctl -w vm.memfd_noexec=0"));
        assert!(report.templates.iter().all(|row| !row.available));
    }
}
