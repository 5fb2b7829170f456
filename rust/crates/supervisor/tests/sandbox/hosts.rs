//! Hosts that forbid something: played by a user namespace in which the supervisor starts, or by a seccomp filter above it. Each is
//! asked twice: a client that requires isolation is refused, with what mends it; one that takes less gets the strongest tier that works.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use e2bridge_protocol::supervisor::{Checked, Failure, FailureKind, Mechanism, Posture, Template};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use crate::support::{Engine, LIMITS, Options, privileged, skip, supervisor};

/// A command that starts a supervisor whose surroundings a line of shell has changed. None when that cannot be done here.
pub(crate) fn wrapper(unshare: &[&str], line: &str) -> Option<Vec<String>> {
    let available = std::process::Command::new("/usr/bin/unshare").args(unshare).arg("/bin/true").output();
    if !available.is_ok_and(|output| output.status.success()) {
        skip("user namespaces cannot be prepared by unshare(1) here");
        return None;
    }
    let shell = format!("{line} && exec \"$0\"");
    let mut wrapper = vec!["/usr/bin/unshare".to_owned()];
    wrapper.extend(unshare.iter().map(|&argument| argument.to_owned()));
    wrapper.extend(["/bin/sh", "-c", &shell].map(str::to_owned));
    Some(wrapper)
}

/// A filter that answers the calls with an error, as that of a container does.
pub(crate) fn refusing(calls: &[i64], errno: i32) -> BpfProgram {
    filter(calls.iter().map(|&call| (call, Vec::new())).collect(), errno)
}

/// A filter that refuses new namespaces, as that of a container does.
pub(crate) fn no_namespaces() -> BpfProgram {
    let namespaces = u64::from(
        (libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWCGROUP)
            .cast_unsigned(),
    );
    let each = (0..64).map(|bit| 1 << bit).filter(|flag| namespaces & flag != 0);
    let rules = each.map(|flag| {
        let operation = SeccompCmpOp::MaskedEq(flag);
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Qword, operation, flag).unwrap();
        SeccompRule::new(vec![condition]).unwrap()
    });
    filter([(libc::SYS_clone, rules.collect()), (libc::SYS_unshare, Vec::new())].into(), libc::EPERM)
}

fn filter(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> BpfProgram {
    let answer = SeccompAction::Errno(errno.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, answer, TargetArch::x86_64).unwrap().try_into().unwrap()
}

/// A host: how the supervisor is started on it.
#[derive(Clone, Default)]
struct Host {
    wrapper: Vec<String>,
    filter: Option<BpfProgram>,
    /// A user other than that of the tests gets its own directory.
    runtime: Option<PathBuf>,
}

impl Host {
    fn changed(unshare: &[&str], line: &str) -> Option<Self> {
        Some(Self { wrapper: wrapper(unshare, line)?, ..Self::default() })
    }

    fn filtered(filter: BpfProgram) -> Self {
        Self { filter: Some(filter), ..Self::default() }
    }

    fn start(&self, required: bool) -> Result<Engine, Failure> {
        let Self { wrapper, filter, runtime } = self.clone();
        Engine::with(Options { wrapper, filter, runtime, required, ..Options::default() })
    }

    /// What a client that requires isolation is told.
    fn refusal(&self) -> Failure {
        refused(self.start(true).unwrap())
    }

    /// What a client gets that takes less; a check must agree, and what is said to have a tier must run in it.
    fn best_effort(&self) -> Result<Posture, Failure> {
        let mut engine = self.start(false).unwrap();
        let made = engine.try_create(Template::Base, LIMITS);
        let checked = engine.check();
        let answer = match made {
            Ok(sandbox) => {
                assert_eq!(sandbox.print("echo runs"), "runs");
                assert_eq!(checked.posture.as_ref(), Some(&sandbox.created.posture));
                Ok(sandbox.created.posture.clone())
            }
            Err(failure) => {
                agrees(&checked, &failure);
                Err(failure)
            }
        };
        nothing_is_left(&mut engine);
        answer
    }

    /// Where namespaces are refused: what a client is told that requires isolation, while one that takes less gets the tier without.
    fn without_namespaces(&self) -> Failure {
        let failure = self.refusal();
        assert_eq!(failure.kind, FailureKind::Isolation, "{failure:?}");
        let posture = self.best_effort().unwrap();
        assert_eq!((posture.tier.as_str(), posture.namespaces.len()), ("process", 0), "{failure:?}");
        failure
    }
}

/// What a supervisor says to a create that must fail; a check must agree, and nothing may be left.
pub(crate) fn refused(mut engine: Engine) -> Failure {
    let failure = engine.try_create(Template::Base, LIMITS).unwrap_err();
    let checked = engine.check();
    assert_eq!(checked.posture, None);
    agrees(&checked, &failure);
    nothing_is_left(&mut engine);
    failure
}

fn agrees(checked: &Checked, failure: &Failure) {
    let sandbox = checked.facilities.iter().find(|facility| facility.name == "sandbox").unwrap();
    assert!(!sandbox.available && sandbox.detail.contains(&failure.stage), "{sandbox:?} {failure:?}");
    assert_eq!(sandbox.remedy, failure.remedy);
}

fn nothing_is_left(engine: &mut Engine) {
    let files = process_tier_files(&engine.client);
    engine.close();
    assert!(engine.records().is_empty() && engine.cgroups().is_empty());
    assert!(files.iter().all(|directory| !directory.exists()), "{files:?}");
}

/// Where a client may have files of sandboxes.
pub(crate) fn process_tier_files(client: &str) -> [PathBuf; 2] {
    ["/var/tmp", "/tmp"].map(|parent| Path::new(parent).join(format!("e2bridge-{client}")))
}

pub(crate) const ORDINARY: [&str; 4] = ["--user", "--map-user=1000", "--map-group=1000", "--keep-caps"];

#[test]
fn a_kind_of_namespaces_switched_off() {
    for kind in ["user", "pid", "mnt", "ipc", "uts", "net", "cgroup"] {
        let line = format!("echo 0 >/proc/sys/user/max_{kind}_namespaces");
        let Some(host) = Host::changed(&ORDINARY, &line) else { return };
        let failure = host.without_namespaces();
        assert_eq!(
            (failure.stage.as_str(), failure.errno),
            ("clone zygote", Some(libc::ENOSPC)),
            "{failure:?}"
        );
        assert_eq!(failure.remedy.unwrap(), format!("sysctl -w user.max_{kind}_namespaces=15000"));
    }
}

#[test]
fn a_covered_proc() {
    let unshare = [&ORDINARY[..], &["--mount"]].concat();
    let Some(host) = Host::changed(&unshare, "mount -t tmpfs none /proc/sys") else { return };
    let failure = host.without_namespaces();
    assert_eq!(failure.stage, "mount proc", "{failure:?}");
    assert!(failure.message.contains("covered"), "{failure:?}");
    assert!(failure.remedy.unwrap().contains("systempaths=unconfined"));
}

#[test]
fn a_container_whose_filter_refuses_namespaces() {
    let failure = Host::filtered(no_namespaces()).without_namespaces();
    assert_eq!((failure.stage.as_str(), failure.errno), ("clone zygote", Some(libc::EPERM)), "{failure:?}");
    assert!(failure.remedy.unwrap().contains("seccomp=unconfined"));
}

#[test]
fn a_filter_that_refuses_one_call_that_full_isolation_needs() {
    for (name, call) in [
        ("unshare", libc::SYS_unshare),
        ("setns", libc::SYS_setns),
        ("mount", libc::SYS_mount),
        ("umount2", libc::SYS_umount2),
        ("pivot_root", libc::SYS_pivot_root),
        ("open_tree", libc::SYS_open_tree),
        ("move_mount", libc::SYS_move_mount),
        ("mount_setattr", libc::SYS_mount_setattr),
        ("sethostname", libc::SYS_sethostname),
    ] {
        for (errno, remedy) in [(libc::EPERM, "seccomp=unconfined"), (libc::ENOSYS, "Linux 5.14")] {
            let failure = Host::filtered(refusing(&[call], errno)).without_namespaces();
            assert_eq!(failure.errno, Some(errno), "{name}: {failure:?}");
            // Where the kernel refuses /proc with the same error, the remedy is that of the likelier cause.
            let said = failure.remedy.clone().unwrap_or_default();
            assert!(said.contains(remedy), "{name}: {failure:?}");
        }
    }
}

#[test]
fn no_tier_goes_without_seccomp_and_the_one_without_namespaces_not_without_landlock() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        let host = Host::filtered(refusing(&[libc::SYS_seccomp], errno));
        for failure in [host.refusal(), host.best_effort().unwrap_err()] {
            assert_eq!(
                (failure.kind, failure.stage.as_str()),
                (FailureKind::Isolation, "seccomp"),
                "{failure:?}"
            );
            assert!(failure.remedy.is_some(), "{failure:?}");
        }
        let landlock = [
            libc::SYS_landlock_create_ruleset,
            libc::SYS_landlock_add_rule,
            libc::SYS_landlock_restrict_self,
        ];
        // A kernel without Landlock has namespaces for it.
        let host = Host::filtered(refusing(&landlock, errno));
        let posture = host.best_effort().unwrap();
        if posture.memory == Mechanism::Fallback {
            // Without a cgroup it takes Landlock to bound memory.
            assert_eq!((posture.tier.as_str(), posture.landlock_abi), ("unbounded_memory", 0));
            let failure = host.refusal();
            assert_eq!((failure.kind, failure.stage.as_str()), (FailureKind::Isolation, "limit memory"));
            assert!(failure.remedy.unwrap().contains("lsm=landlock"));
        } else {
            assert_eq!((posture.tier.as_str(), posture.landlock_abi), ("full", 0));
        }
        let calls = [&landlock[..], &[libc::SYS_mount]].concat();
        let failure = Host::filtered(refusing(&calls, errno)).best_effort().unwrap_err();
        assert_eq!(
            (failure.kind, failure.stage.as_str()),
            (FailureKind::Isolation, "landlock scope"),
            "{failure:?}"
        );
        assert!(failure.message.contains("namespaces are refused: make mounts private"), "{failure:?}");
        assert!(failure.remedy.unwrap().contains("Linux 6.12"));
    }
}

/// An ordinary user of the host, with limits of its own. None when nobody here can become one.
fn with_limits(line: &str) -> Option<(Host, tempfile::TempDir)> {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("supervisor");
    fs::copy(supervisor(), &program).unwrap();
    let runtime = directory.path().join("runtime");
    fs::create_dir(&runtime).unwrap();
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o777)).unwrap();
    let mut wrapper = Vec::new();
    if privileged() {
        if !Path::new("/usr/bin/setpriv").exists() {
            skip("there is no /usr/bin/setpriv");
            return None;
        }
        wrapper.extend(
            ["/usr/bin/setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"].map(str::to_owned),
        );
    }
    let shell = format!("{line} && exec {}", program.display());
    wrapper.extend(["/bin/sh", "-c", &shell].map(str::to_owned));
    Some((Host { wrapper, filter: None, runtime: Some(runtime) }, directory))
}

#[test]
fn a_host_that_is_full_is_no_lack_of_isolation() {
    for (line, errno) in [
        // In the supervisor, in the zygote.
        ("ulimit -n 8", libc::EMFILE),
        ("ulimit -n 11", libc::EMFILE),
        // As the shell at hand calls it.
        ("{ ulimit -u 1 2>/dev/null || ulimit -p 1; }", libc::EAGAIN),
    ] {
        let Some((host, _directory)) = with_limits(line) else { return };
        for required in [true, false] {
            let failure = match host.start(required) {
                Ok(mut engine) => {
                    let failure = engine.try_create(Template::Base, LIMITS).unwrap_err();
                    nothing_is_left(&mut engine);
                    failure
                }
                Err(failure) => failure,
            };
            assert_eq!(failure.kind, FailureKind::Limit, "{line}: {failure:?}");
            assert!(failure.errno == Some(errno) && failure.remedy.is_some(), "{line}: {failure:?}");
        }
    }
}

#[test]
fn root_of_a_container_without_ids() {
    let Some(host) = Host::changed(&["--user", "--map-root-user"], "true") else { return };
    for required in [true, false] {
        let Err(failure) = host.start(required) else { panic!("root of nothing has ids") };
        assert_eq!(
            (failure.kind, failure.stage.as_str()),
            (FailureKind::Isolation, "choose ids"),
            "{failure:?}"
        );
        assert!(failure.remedy.is_some());
    }
}

#[test]
fn mounts_below_usr_come_along_read_only() {
    let mut unshare = ORDINARY.to_vec();
    unshare.push("--mount");
    let line = "mount -t tmpfs none /usr/share && echo host >/usr/share/file && chmod 666 /usr/share/file";
    let Some(host) = Host::changed(&unshare, line) else { return };
    let engine = host.start(true).unwrap();
    let sandbox = engine.create(Template::Base);
    assert_eq!(sandbox.print("cat /usr/share/file"), "host");
    for line in ["echo x >/usr/share/file", "touch /usr/share/new"] {
        let output = sandbox.shell(line);
        assert!(output.stderr.contains("Read-only") || output.stderr.contains("denied"), "{output:?}");
    }
    let options = sandbox.print("grep ' /usr/share ' /proc/self/mountinfo | cut -d' ' -f6");
    assert!(options.starts_with("ro,nosuid,nodev"), "{options}");
}
