//! Hosts that forbid something: played by a user namespace in which the supervisor starts.

use e2bridge_protocol::supervisor::{Failure, FailureKind, Template};

use crate::support::{Engine, LIMITS, Options, skip};

/// A supervisor whose surroundings a line of shell has changed. None when that cannot be done here.
fn on_host(unshare: &[&str], line: &str) -> Option<Result<Engine, Failure>> {
    let available = std::process::Command::new("/usr/bin/unshare").args(unshare).arg("/bin/true").output();
    if !available.is_ok_and(|output| output.status.success()) {
        skip("user namespaces cannot be prepared by unshare(1) here");
        return None;
    }
    let shell = format!("{line} && exec \"$0\"");
    let mut wrapper = vec!["/usr/bin/unshare".to_owned()];
    wrapper.extend(unshare.iter().map(|&argument| argument.to_owned()));
    wrapper.extend(["/bin/sh", "-c", &shell].map(str::to_owned));
    Some(Engine::with(Options { wrapper, ..Options::default() }))
}

/// What a supervisor on such a host says to a create.
fn refusal(unshare: &[&str], line: &str) -> Option<Failure> {
    Some(refused(on_host(unshare, line)?.unwrap()))
}

/// What a supervisor says to a create that must fail; a check must agree, and nothing may be left.
pub(crate) fn refused(mut engine: Engine) -> Failure {
    let failure = engine.try_create(Template::Base, LIMITS).unwrap_err();
    let checked = engine.check();
    assert_eq!(checked.posture, None);
    let sandbox = checked.facilities.iter().find(|facility| facility.name == "sandbox").unwrap();
    assert!(!sandbox.available && sandbox.detail.contains(&failure.message), "{sandbox:?}");
    assert_eq!(sandbox.remedy, failure.remedy);
    engine.close();
    assert!(engine.records().is_empty() && engine.cgroups().is_empty());
    failure
}

const ORDINARY: [&str; 4] = ["--user", "--map-user=1000", "--map-group=1000", "--keep-caps"];

#[test]
fn user_namespaces_switched_off() {
    let Some(failure) = refusal(&ORDINARY, "echo 0 >/proc/sys/user/max_user_namespaces") else { return };
    assert_eq!((failure.kind, failure.errno), (FailureKind::Isolation, Some(libc::ENOSPC)), "{failure:?}");
    assert_eq!(failure.remedy.as_deref(), Some("sysctl -w user.max_user_namespaces=15000"));
}

#[test]
fn network_namespaces_switched_off() {
    let Some(failure) = refusal(&ORDINARY, "echo 0 >/proc/sys/user/max_net_namespaces") else { return };
    assert_eq!(
        (failure.kind, failure.stage.as_str()),
        (FailureKind::Isolation, "clone zygote"),
        "{failure:?}"
    );
    assert_eq!(failure.remedy.as_deref(), Some("sysctl -w user.max_net_namespaces=15000"));
}

#[test]
fn a_covered_proc() {
    let mut unshare = ORDINARY.to_vec();
    unshare.push("--mount");
    let Some(failure) = refusal(&unshare, "mount -t tmpfs none /proc/sys") else { return };
    assert_eq!((failure.kind, failure.stage.as_str()), (FailureKind::Isolation, "mount proc"), "{failure:?}");
    assert!(failure.message.contains("covered"), "{failure:?}");
    assert!(failure.remedy.unwrap().contains("systempaths=unconfined"));
}

#[test]
fn root_of_a_container_without_ids() {
    let Some(started) = on_host(&["--user", "--map-root-user"], "true") else { return };
    let Err(failure) = started else { panic!("root of nothing has ids") };
    assert_eq!((failure.kind, failure.stage.as_str()), (FailureKind::Isolation, "choose ids"), "{failure:?}");
    assert!(failure.remedy.is_some());
}

#[test]
fn mounts_below_usr_come_along_read_only() {
    let mut unshare = ORDINARY.to_vec();
    unshare.push("--mount");
    let line = "mount -t tmpfs none /usr/share && echo host >/usr/share/file && chmod 666 /usr/share/file";
    let Some(started) = on_host(&unshare, line) else { return };
    let engine = started.unwrap();
    let sandbox = engine.create(Template::Base);
    assert_eq!(sandbox.print("cat /usr/share/file"), "host");
    for line in ["echo x >/usr/share/file", "touch /usr/share/new"] {
        let output = sandbox.shell(line);
        assert!(output.stderr.contains("Read-only") || output.stderr.contains("denied"), "{output:?}");
    }
    let options = sandbox.print("grep ' /usr/share ' /proc/self/mountinfo | cut -d' ' -f6");
    assert!(options.starts_with("ro,nosuid,nodev"), "{options}");
}
