//! The isolation of a sandbox: as documents have it, and whether it is what was asked for.

use e2bridge_core::document::IsolationReport;
use e2bridge_core::{Code, Error, Result};
use e2bridge_protocol::supervisor::{Mechanism, Posture};

/// The tier that isolation REQUIRED asks for.
pub(crate) const FULL: &str = "full";
/// The tier without namespaces.
pub(crate) const PROCESS: &str = "process";
/// Namespaces that it asks for.
pub(crate) const NAMESPACES: [&str; 7] = ["user", "pid", "mount", "ipc", "uts", "net", "cgroup"];

/// A posture as documents have it.
pub(crate) fn isolation_report(posture: &Posture) -> IsolationReport {
    let word = |mechanism, fallback: &str| match mechanism {
        Mechanism::CgroupV1 => "cgroup_v1".to_owned(),
        Mechanism::CgroupV2 => "cgroup_v2".to_owned(),
        Mechanism::Fallback => fallback.to_owned(),
    };
    let namespaces = posture.tier != PROCESS;
    IsolationReport {
        tier: posture.tier.clone(),
        namespaces: posture.namespaces.clone(),
        ids: if posture.dedicated_ids { "dedicated" } else { "own" }.to_owned(),
        seccomp: posture.seccomp,
        landlock_abi: posture.landlock_abi,
        memory: word(posture.memory, "per_process"),
        processes: word(posture.processes, if namespaces { "pid_max" } else { "per_user" }),
        cpu: word(posture.cpu, "affinity"),
        disk: if namespaces { "tmpfs" } else { "per_file" }.to_owned(),
    }
}

/// The library's own look at REQUIRED: what was found in force, not what was meant.
///
/// # Errors
/// `ISOLATION_UNAVAILABLE` naming what is missing.
pub(crate) fn check_required(posture: &Posture) -> Result<()> {
    let missing = NAMESPACES
        .into_iter()
        .find(|namespace| !posture.namespaces.iter().any(|found| found == namespace))
        .map(|namespace| format!("the {namespace} namespace"))
        .or_else(|| (!posture.seccomp).then(|| "seccomp".to_owned()))
        .or_else(|| (posture.tier != FULL).then(|| format!("the tier {FULL} (found {})", posture.tier)));
    match missing {
        None => Ok(()),
        Some(missing) => Err(Error::new(
            Code::IsolationUnavailable,
            format!("the sandbox came up without {missing}; isolation REQUIRED does not allow that"),
        )
        .with(
            "remedy",
            "E2B.check() says what this host lacks; E2BConfig isolation BEST_EFFORT accepts less",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posture() -> Posture {
        Posture {
            tier: FULL.to_owned(),
            namespaces: NAMESPACES.map(str::to_owned).to_vec(),
            dedicated_ids: true,
            seccomp: true,
            landlock_abi: 0,
            memory: Mechanism::CgroupV1,
            processes: Mechanism::Fallback,
            cpu: Mechanism::CgroupV2,
        }
    }

    #[test]
    fn each_limit_names_its_mechanism() {
        let report = isolation_report(&posture());
        assert_eq!(
            (report.memory.as_str(), report.processes.as_str(), report.cpu.as_str()),
            ("cgroup_v1", "pid_max", "cgroup_v2")
        );
        assert_eq!((report.ids.as_str(), report.tier.as_str()), ("dedicated", "full"));
    }

    #[test]
    fn without_namespaces_the_weaker_bounds_are_named() {
        let report = isolation_report(&Posture {
            tier: PROCESS.to_owned(),
            namespaces: Vec::new(),
            dedicated_ids: false,
            ..posture()
        });
        assert_eq!((report.processes.as_str(), report.disk.as_str()), ("per_user", "per_file"));
        assert_eq!((isolation_report(&posture()).disk.as_str(), report.ids.as_str()), ("tmpfs", "own"));
    }

    #[test]
    fn whatever_is_missing_is_named() {
        assert!(check_required(&posture()).is_ok());
        for namespace in NAMESPACES {
            let mut less = posture();
            less.namespaces.retain(|found| found != namespace);
            let error = check_required(&less).unwrap_err();
            assert_eq!(error.code(), Code::IsolationUnavailable);
            assert!(error.message().contains(namespace), "{error}");
        }
        for (less, word) in [
            (Posture { seccomp: false, ..posture() }, "seccomp"),
            (Posture { tier: "namespaces".to_owned(), ..posture() }, "namespaces"),
        ] {
            let error = check_required(&less).unwrap_err();
            assert!(error.message().contains(word), "{error}");
            assert!(error.context().contains_key("remedy"));
        }
    }
}
