//! Machines that the one at hand need not be. `scripts/test-vm` runs each of these tests in a guest that is prepared for it; the rest
//! of the suite runs in the guest, too.

use std::fs;

use e2bridge_protocol::supervisor::{Facility, FailureKind, Mechanism, Template};

use crate::hosts::refused;
use crate::support::Engine;

const LIMITED: [&str; 3] = ["memory_limit", "process_limit", "cpu_limit"];

fn facility(engine: &Engine, name: &str) -> Facility {
    engine.check().facilities.into_iter().find(|facility| facility.name == name).unwrap()
}

/// Makes a sandbox in which every limit must be by the means given, and everything must work.
fn bounded_by(memory: Mechanism, processes: Mechanism, cpu: Mechanism) -> Engine {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let posture = &sandbox.created.posture;
    assert_eq!((posture.memory, posture.processes, posture.cpu), (memory, processes, cpu));
    assert_eq!(posture.tier, "full");
    assert_eq!(sandbox.print("echo works"), "works");
    assert!(sandbox.statistics().is_some());
    engine
}

/// None of the limits is by a group; each says why and what mends it.
fn no_group(reason: &str, remedy: &str) {
    let engine = bounded_by(Mechanism::Fallback, Mechanism::Fallback, Mechanism::Fallback);
    for name in LIMITED {
        let facility = facility(&engine, name);
        assert!(!facility.available && facility.detail.contains(reason), "{facility:?}");
        assert!(facility.remedy.as_ref().unwrap().contains(remedy), "{facility:?}");
    }
}

#[test]
#[ignore = "needs a machine with the controllers in cgroup v2"]
fn everything_is_bounded_by_cgroup_v2() {
    let mut engine = bounded_by(Mechanism::CgroupV2, Mechanism::CgroupV2, Mechanism::CgroupV2);
    for name in LIMITED {
        let facility = facility(&engine, name);
        assert!(facility.available && facility.detail.starts_with("cgroup v2, "), "{facility:?}");
        assert_eq!(facility.remedy, None);
    }
    let sandbox = engine.create(Template::Base);
    let groups = &sandbox.created.cgroups;
    let group = groups.memory.clone().unwrap();
    assert_eq!((groups.processes.as_ref(), groups.cpu.as_ref()), (Some(&group), Some(&group)));
    for (file, content) in [
        ("memory.max", "134217728"),
        ("memory.swap.max", "0"),
        ("pids.max", "64"),
        ("cpu.max", "100000 100000"),
        ("cgroup.type", "domain"),
    ] {
        match fs::read_to_string(format!("{group}/{file}")) {
            Ok(text) => assert_eq!(text.trim(), content, "{file}"),
            // A kernel without swap has no such file.
            Err(error) => assert_eq!((file, error.kind()), ("memory.swap.max", std::io::ErrorKind::NotFound)),
        }
    }
    // Inside, its own group is the root of what there is.
    assert_eq!(sandbox.print("cat /proc/self/cgroup"), "0::/");
    let members = fs::read_to_string(format!("{group}/cgroup.procs")).unwrap();
    assert!(members.lines().any(|line| line == sandbox.created.init_pid.to_string()), "{members}");
    drop(sandbox);
    engine.close();
    assert!(engine.cgroups().is_empty() && engine.records().is_empty());
}

#[test]
#[ignore = "needs a machine with the memory controller in cgroup v1 and the others in v2"]
fn each_limit_is_where_its_controller_is() {
    bounded_by(Mechanism::CgroupV1, Mechanism::CgroupV2, Mechanism::CgroupV2);
}

#[test]
#[ignore = "needs a delegated v2 group in which the tests themselves are"]
fn a_group_that_holds_processes_is_named_with_its_remedy() {
    no_group("holds processes itself", "DelegateSubgroup=main");
    // Nor has the group become one of threads, which would be of no use to whoever owns it.
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = format!("/sys/fs/cgroup{}", own.trim().strip_prefix("0::").unwrap());
    assert_eq!(fs::read_to_string(format!("{own}/cgroup.type")).unwrap().trim(), "domain");
    assert_eq!(fs::read_to_string(format!("{own}/cgroup.subtree_control")).unwrap().trim(), "");
}

#[test]
#[ignore = "needs cgroup v2 and a user without a delegated group"]
fn a_user_without_a_delegated_group_is_told_how_to_get_one() {
    no_group("Permission denied", "systemd-run --user --scope -p Delegate=yes");
}

#[test]
#[ignore = "needs a v2 group that has not been given any controller"]
fn a_group_without_controllers_is_named_with_its_remedy() {
    no_group("is not handed on to this group", "cgroup.subtree_control");
}

#[test]
#[ignore = "needs a machine where no cgroups are mounted"]
fn without_cgroups_the_remedy_is_to_mount_them() {
    no_group("no hierarchy with this controller", "mount -t cgroup2");
}

#[test]
#[ignore = "needs a kernel without Landlock"]
fn without_landlock_everything_else_holds_and_it_is_said() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    assert_eq!((sandbox.created.posture.landlock_abi, sandbox.created.posture.tier.as_str()), (0, "full"));
    assert_eq!(sandbox.print("echo works"), "works");
    let facility = facility(&engine, "landlock");
    assert!(!facility.available, "{facility:?}");
    assert!(facility.remedy.unwrap().contains("lsm=landlock"));
}

#[test]
#[ignore = "needs kernel.unprivileged_userns_clone=0 and an ordinary user"]
fn user_namespaces_switched_off_for_ordinary_users() {
    let failure = refused(Engine::start());
    assert_eq!((failure.kind, failure.errno), (FailureKind::Isolation, Some(libc::EPERM)), "{failure:?}");
    assert!(failure.message.contains("switched off for ordinary users"), "{failure:?}");
    assert_eq!(failure.remedy.as_deref(), Some("sysctl -w kernel.unprivileged_userns_clone=1"));
}

#[test]
#[ignore = "needs an AppArmor profile named e2bridge-test that denies mounts"]
fn an_apparmor_profile_that_denies_mounts() {
    let failure = refused(Engine::start());
    assert_eq!((failure.kind, failure.errno), (FailureKind::Isolation, Some(libc::EACCES)), "{failure:?}");
    assert!(failure.message.contains("the AppArmor profile e2bridge-test"), "{failure:?}");
    assert!(failure.remedy.unwrap().contains("apparmor=unconfined"));
}

#[test]
#[ignore = "needs a container's view, with /sys/fs/cgroup read-only"]
fn read_only_cgroups_are_named_with_their_remedy() {
    no_group("Read-only file system", "writable /sys/fs/cgroup");
}
