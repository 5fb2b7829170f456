//! Failures as the library gets them: what failed, why, and what mends it.

use std::fs;
use std::io;

use e2bridge_protocol::supervisor::{Failure, FailureKind};

use crate::message::{JOIN_CGROUP, Step};
use crate::process_tier::rules;

/// A failure without a system call behind it.
pub(crate) fn failure(kind: FailureKind, stage: &str, message: impl Into<String>) -> Failure {
    Failure { kind, stage: stage.to_owned(), errno: None, message: message.into(), remedy: None }
}

/// The supervisor or a zygote is not there for the request.
pub(crate) fn unavailable(stage: &str, message: impl Into<String>) -> Failure {
    failure(FailureKind::Unavailable, stage, message)
}

/// A system call of the supervisor that failed.
pub(crate) fn system(stage: &str, message: &str, error: impl Into<io::Error>) -> Failure {
    let error = error.into();
    let errno = error.raw_os_error();
    let kind = match errno {
        // Of a process that is being made: somebody, or the kernel for want of memory, has killed it.
        Some(libc::ESRCH) => FailureKind::Unavailable,
        _ => errno.and_then(exhausted).map_or(FailureKind::Internal, |_| FailureKind::Limit),
    };
    Failure {
        kind,
        stage: stage.to_owned(),
        errno,
        message: format!("{message}: {error}"),
        remedy: errno.and_then(exhausted).map(str::to_owned),
    }
}

/// A step of set-up that failed: in the supervisor, in a zygote or in a clone.
pub(crate) fn explain(step: &Step) -> Failure {
    let subject = if step.detail.is_empty() { String::new() } else { format!(" ({})", step.detail) };
    if step.errno == 0 {
        let kind = match step.stage.as_str() {
            "check mounts" | "check" | "landlock" | "stat" | rules::STAGE => FailureKind::Isolation,
            _ => FailureKind::Internal,
        };
        let remedy = match step.stage.as_str() {
            "stat" => Some("mkdir -p /usr/local"),
            rules::STAGE => Some(
                "use Linux 6.12 or newer with Landlock switched on (lsm=landlock,... among the boot parameters)",
            ),
            _ => None,
        }
        .map(str::to_owned);
        return Failure {
            kind,
            stage: step.stage.clone(),
            errno: None,
            message: format!("{}{subject} failed", step.stage),
            remedy,
        };
    }
    if killed(step) {
        return Failure {
            errno: Some(step.errno),
            ..unavailable(
                &step.stage,
                format!("{}{subject}: the process was killed while it was being made", step.stage),
            )
        };
    }
    let (kind, cause, remedy) = match exhausted(step.errno) {
        Some(remedy) => (FailureKind::Limit, None, Some(remedy.to_owned())),
        // The host has given the group; that it cannot be joined is no lack of isolation.
        None if step.stage == JOIN_CGROUP => (FailureKind::Internal, None, None),
        None => {
            let (cause, remedy) = cause(step, &Settings::read());
            (FailureKind::Isolation, cause, remedy)
        }
    };
    let error = io::Error::from_raw_os_error(step.errno);
    let cause = cause.map(|cause| format!("; {cause}")).unwrap_or_default();
    Failure {
        kind,
        stage: step.stage.clone(),
        errno: Some(step.errno),
        message: format!("{}{subject} failed: {error}{cause}", step.stage),
        remedy,
    }
}

/// Whether a step failed because the process that it is about is gone.
fn killed(step: &Step) -> bool {
    match step.stage.as_str() {
        "map ids" | "map zygote ids" if step.errno == libc::ENOENT => true,
        "begin" if matches!(step.errno, libc::EPIPE | libc::ECONNRESET) => true,
        _ => step.errno == libc::ESRCH,
    }
}

/// What is short when an error says that something is.
fn exhausted(errno: i32) -> Option<&'static str> {
    match errno {
        libc::EAGAIN => Some("raise the limit of processes (ulimit -u, pids.max of the service's cgroup)"),
        libc::ENOMEM => Some("free memory of the host or of the service's cgroup"),
        libc::EMFILE => Some("raise the limit of open files (ulimit -n)"),
        libc::ENFILE => Some("sysctl -w fs.file-max=1000000"),
        _ => None,
    }
}

/// Settings of the host that forbid isolation.
#[derive(Debug, Default)]
struct Settings {
    /// `kernel.unprivileged_userns_clone` (Debian) is 0.
    userns_clone_off: bool,
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu) is 1.
    apparmor_restricts: bool,
    /// The AppArmor profile that this process is under.
    profile: Option<String>,
    /// Kinds of namespaces of which the limit is 0.
    no_namespaces: Vec<&'static str>,
    /// This process is under a filter of a container.
    filtered: bool,
    /// Root.
    root: bool,
}

impl Settings {
    fn read() -> Self {
        let value = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let is = |path: &str, wanted: &str| value(path).as_deref() == Some(wanted);
        Self {
            userns_clone_off: is("/proc/sys/kernel/unprivileged_userns_clone", "0"),
            apparmor_restricts: is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
            profile: ["/proc/self/attr/apparmor/current", "/proc/self/attr/current"]
                .into_iter()
                .find_map(value)
                .and_then(|label| profile(&label)),
            no_namespaces: ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"]
                .into_iter()
                .filter(|kind| is(&format!("/proc/sys/user/max_{kind}_namespaces"), "0"))
                .collect(),
            filtered: value("/proc/self/status").is_some_and(|status| status.contains("\nSeccomp:\t2")),
            root: rustix::process::geteuid().is_root(),
        }
    }
}

/// The name in a label like `docker-default (enforce)`; other modules' labels have no mode, and other modes refuse nothing.
fn profile(label: &str) -> Option<String> {
    label.strip_suffix(" (enforce)").map(str::to_owned)
}

/// Why the kernel refuses a step, and what would make it accept it.
fn cause(step: &Step, settings: &Settings) -> (Option<String>, Option<String>) {
    let known = |cause: &str, remedy: &str| (Some(cause.to_owned()), Some(remedy.to_owned()));
    let denied = matches!(step.errno, libc::EPERM | libc::EACCES);
    // AppArmor answers EACCES, where a lack of capabilities, a filter and the kernel's own rules about mounts and namespaces are EPERM.
    if let Some(profile) = settings.profile.as_ref().filter(|_| step.errno == libc::EACCES) {
        return known(
            &format!("the AppArmor profile {profile}, which this process is under, refuses it"),
            "start the container with --security-opt apparmor=unconfined, or add the rules userns, mount, umount and pivot_root to \
             the profile",
        );
    }
    match step.stage.as_str() {
        "clone zygote" | "clone sandbox" | "make network namespace" | "make cgroup namespace"
            if step.errno == libc::ENOSPC =>
        {
            match settings.no_namespaces.first() {
                Some(kind) => known(
                    &format!("the limit of {kind} namespaces is 0"),
                    &format!("sysctl -w user.max_{kind}_namespaces=15000"),
                ),
                None => known(
                    "a limit of namespaces is reached",
                    "raise user.max_user_namespaces and the other user.max_*_namespaces by sysctl -w",
                ),
            }
        }
        "clone zygote" if denied && settings.userns_clone_off && !settings.root => known(
            "user namespaces are switched off for ordinary users",
            "sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        "clone zygote" if denied && settings.filtered => known(
            "the container's seccomp filter refuses new namespaces",
            "start the container with --security-opt seccomp=unconfined, or with a profile that allows clone and unshare with \
             CLONE_NEWUSER",
        ),
        "clone zygote" if denied => {
            known("user namespaces are refused", "allow user namespaces for this user or container")
        }
        "mount proc" if denied && !settings.apparmor_restricts => known(
            "parts of /proc are covered, so that no fresh one may be mounted",
            "start the container with --security-opt systempaths=unconfined (docker) or --security-opt unmask=ALL (podman)",
        ),
        _ if denied && settings.apparmor_restricts && !settings.root => known(
            "AppArmor takes the capabilities out of user namespaces of ordinary users",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        _ if denied && settings.filtered => known(
            "a seccomp filter above this process may refuse it",
            "start the container with --security-opt seccomp=unconfined",
        ),
        _ if step.errno == libc::ENOSYS => {
            known("the kernel is too old or a filter hides the call", "use Linux 5.14 or newer")
        }
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(stage: &str, errno: i32) -> Step {
        Step { stage: stage.to_owned(), detail: String::new(), errno }
    }

    #[test]
    fn each_cause_has_its_command() {
        let off = Settings { userns_clone_off: true, ..Settings::default() };
        let (_, remedy) = cause(&step("clone zygote", libc::EPERM), &off);
        assert_eq!(remedy.as_deref(), Some("sysctl -w kernel.unprivileged_userns_clone=1"));
        let none = Settings { no_namespaces: vec!["net"], ..Settings::default() };
        let (_, remedy) = cause(&step("clone zygote", libc::ENOSPC), &none);
        assert_eq!(remedy.as_deref(), Some("sysctl -w user.max_net_namespaces=15000"));
        let container = Settings { filtered: true, root: true, ..Settings::default() };
        let (_, remedy) = cause(&step("clone zygote", libc::EPERM), &container);
        assert!(remedy.unwrap().contains("seccomp=unconfined"));
        let (_, remedy) = cause(&step("mount proc", libc::EPERM), &container);
        assert!(remedy.unwrap().contains("systempaths=unconfined"));
        let apparmor = Settings { apparmor_restricts: true, ..Settings::default() };
        let (_, remedy) = cause(&step("mount root", libc::EACCES), &apparmor);
        assert_eq!(remedy.as_deref(), Some("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"));
    }

    #[test]
    fn a_process_that_was_killed_while_it_was_made_is_no_defect_and_no_lack_of_isolation() {
        for (stage, errno) in [
            ("map ids", libc::ENOENT),
            ("map zygote ids", libc::ENOENT),
            ("begin", libc::EPIPE),
            ("x", libc::ESRCH),
        ] {
            assert_eq!(explain(&step(stage, errno)).kind, FailureKind::Unavailable, "{stage}");
        }
        assert_eq!(explain(&step("bind", libc::ENOENT)).kind, FailureKind::Isolation);
        let error = io::Error::from_raw_os_error(libc::ESRCH);
        assert_eq!(system(JOIN_CGROUP, "x", error).kind, FailureKind::Unavailable);
        assert_eq!(explain(&step(JOIN_CGROUP, libc::EACCES)).kind, FailureKind::Internal);
    }

    #[test]
    fn an_apparmor_profile_is_blamed_for_what_it_answers() {
        assert_eq!(profile("docker-default (enforce)").as_deref(), Some("docker-default"));
        assert_eq!((profile("unconfined"), profile("learning (complain)"), profile("")), (None, None, None));
        let confined = Settings { profile: Some("docker-default".to_owned()), ..Settings::default() };
        let (reason, remedy) = cause(&step("mount proc", libc::EACCES), &confined);
        assert!(reason.unwrap().contains("profile docker-default"));
        assert!(remedy.unwrap().contains("apparmor=unconfined"));
        let (_, remedy) = cause(&step("mount proc", libc::EPERM), &confined);
        assert!(remedy.unwrap().contains("systempaths=unconfined"));
    }

    #[test]
    fn a_full_host_is_no_lack_of_isolation() {
        for errno in [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE] {
            let failure = explain(&step("clone sandbox", errno));
            assert_eq!((failure.kind, failure.errno), (FailureKind::Limit, Some(errno)));
            assert!(failure.remedy.is_some());
        }
        assert_eq!(explain(&step("bind", libc::EIO)).kind, FailureKind::Isolation);
    }
}
