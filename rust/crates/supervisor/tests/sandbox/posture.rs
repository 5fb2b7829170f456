//! What a process inside is: namespaces, ids, capabilities, what it sees of others.

use std::collections::BTreeMap;
use std::fs;

use e2bridge_protocol::supervisor::{Mechanism, Template};

use crate::support::{Engine, Options, dedicated_ids, privileged, skip, subordinate_ids};

const KINDS: [&str; 7] = ["user", "pid", "mnt", "ipc", "uts", "net", "cgroup"];

#[test]
fn every_namespace_is_its_own() {
    let engine = Engine::start();
    let (one, two) = (engine.create(Template::Base), engine.create(Template::Base));
    for kind in KINDS {
        let host = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_str().unwrap().to_owned();
        let inside = [&one, &two].map(|sandbox| sandbox.print(&format!("readlink /proc/self/ns/{kind}")));
        assert!(inside[0].starts_with(kind), "{inside:?}");
        assert!(
            inside[0] != host && inside[1] != host && inside[0] != inside[1],
            "{kind}: {host} {inside:?}"
        );
    }
    assert_eq!(one.created.posture.namespaces, ["user", "pid", "mount", "ipc", "uts", "net", "cgroup"]);
}

#[test]
fn its_ids_own_nothing_on_the_host_and_are_not_shared() {
    let engine = Engine::start();
    let sandboxes = [engine.create(Template::Base), engine.create(Template::Base)];
    let mut outer = Vec::new();
    for sandbox in &sandboxes {
        assert_eq!(sandbox.print("id -u; id -g; id -un"), "1000\n1000\nuser");
        for name in ["uid_map", "gid_map"] {
            let map = fs::read_to_string(format!("/proc/{}/{name}", sandbox.created.init_pid)).unwrap();
            let fields: Vec<u32> = map.split_whitespace().map(|field| field.parse().unwrap()).collect();
            assert_eq!((fields.len(), fields[0], fields[2]), (3, 1000, 1), "{map}");
            outer.push(fields[1]);
        }
        assert_eq!(sandbox.print("cat /proc/self/setgroups"), "deny");
        let status =
            status(&fs::read_to_string(format!("/proc/{}/status", sandbox.created.init_pid)).unwrap());
        let id = outer[outer.len() - 2];
        assert_eq!(status["Uid"], [id; 4].map(|id| id.to_string()).join("\t"));
        assert_eq!(sandbox.created.posture.dedicated_ids, dedicated_ids());
    }
    if privileged() {
        // Inside of a container there are fewer to choose from.
        let all = fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295");
        let least = if all { 0x7000_0000 } else { 20_000 };
        assert!(outer.iter().all(|&id| id > least), "{outer:?}");
        assert_ne!(outer[0], outer[2]);
        // Groups of the service do not reach the inside.
        assert_eq!(status(&sandboxes[0].print("cat /proc/self/status"))["Groups"].trim(), "");
    } else if let Some(granted) = subordinate_ids() {
        assert!(outer.iter().all(|id| granted.contains(id)), "{outer:?}");
        assert_ne!(outer[0], outer[2]);
    } else {
        assert!(outer.iter().all(
            |&id| id == rustix::process::geteuid().as_raw() || id == rustix::process::getegid().as_raw()
        ));
    }
}

fn status(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

#[test]
fn there_is_no_privilege_left() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let init = fs::read_to_string(format!("/proc/{}/status", sandbox.created.init_pid)).unwrap();
    for text in [sandbox.print("cat /proc/self/status"), init] {
        let status = status(&text);
        assert_eq!(status["NoNewPrivs"], "1");
        assert_eq!(status["Seccomp"], "2");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status[set], "0000000000000000", "{set}");
        }
    }
    assert!(sandbox.created.posture.seccomp);
    for kind in ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup", "time"] {
        assert_eq!(sandbox.print(&format!("cat /proc/sys/user/max_{kind}_namespaces")), "0", "{kind}");
        let raise = sandbox.shell(&format!("echo 9 >/proc/sys/user/max_{kind}_namespaces"));
        assert_ne!(raise.exit.exit_code, Some(0));
    }
}

#[test]
fn init_cannot_be_looked_into_or_ended() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    for file in ["environ", "maps", "mem", "fd", "root/", "cwd/", "exe", "auxv", "stack", "syscall"] {
        let output = sandbox.shell(&format!("ls -L /proc/1/{file} && head -c 1 /proc/1/{file}"));
        assert_ne!(output.exit.exit_code, Some(0), "/proc/1/{file}: {output:?}");
        assert!(
            ["denied", "permitted", "Is a directory"].iter().any(|reason| output.stderr.contains(reason)),
            "{output:?}"
        );
    }
    for signal in ["KILL", "STOP", "TERM", "SEGV"] {
        sandbox.shell(&format!("kill -{signal} 1"));
    }
    assert_eq!(sandbox.print("echo still here"), "still here");
    assert!(sandbox.statistics().is_some());
}

#[test]
fn other_processes_are_out_of_sight() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let output = sandbox.print("echo /proc/[0-9]*; cat /proc/*/cmdline | tr '\\0' '\\n'");
    let (ids, commands) = output.split_once('\n').unwrap();
    // init, a shepherd, the shell: nothing of the host, of the zygote or of another sandbox.
    let ids: Vec<u32> =
        ids.split(' ').map(|path| path.trim_start_matches("/proc/").parse().unwrap()).collect();
    assert!(ids.contains(&1) && ids.len() <= 4 && ids.iter().all(|&id| id < 100), "{ids:?}");
    assert!(!commands.contains("cargo"), "{commands}");
    assert_eq!(sandbox.print("cat /proc/self/cgroup | cut -d: -f3 | sort -u"), "/");
    let own_pid = std::process::id();
    assert_ne!(sandbox.shell(&format!("kill -0 {own_pid}")).exit.exit_code, Some(0));
}

#[test]
fn the_environment_is_what_was_given() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    assert_eq!(sandbox.run(&["/usr/bin/env"]).stdout, "PATH=/usr/bin:/bin\nHOME=/home/user\n");
    let open = sandbox.run(&["/bin/ls", "-l", "/proc/self/fd"]).stdout;
    let open: Vec<_> = open.lines().filter_map(|line| line.split(" -> ").nth(1)).collect();
    assert!(open.len() == 4 && open[0] == "/dev/null" && open[1].starts_with("pipe:"), "{open:?}");
    assert!(open[2].starts_with("pipe:") && open[3].starts_with("/proc/"), "{open:?}");
}

#[test]
fn each_sandbox_has_its_own_name_and_session() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    assert_eq!(sandbox.print("hostname"), format!("sb-{}", sandbox.number));
    assert_ne!(sandbox.print("cut -d' ' -f6 /proc/self/stat"), "0");
    assert_ne!(sandbox.shell("hostname other").exit.exit_code, Some(0));
    // When memory runs out the kernel takes programs first, and init before the service outside.
    assert_eq!(sandbox.print("cat /proc/1/oom_score_adj /proc/self/oom_score_adj"), "500\n1000");
    assert_ne!(sandbox.shell("echo 0 > /proc/self/oom_score_adj").exit.exit_code, Some(0));
}

#[test]
fn a_service_that_is_expendable_has_sandboxes_that_are_no_less_so() {
    let wrapper = ["/bin/sh", "-c", "echo 800 >/proc/self/oom_score_adj && exec \"$0\""].map(str::to_owned);
    let engine = Engine::with(Options { wrapper: wrapper.into(), ..Options::default() }).unwrap();
    let sandbox = engine.create(Template::Base);
    assert_eq!(sandbox.print("cat /proc/1/oom_score_adj /proc/self/oom_score_adj"), "800\n1000");
}

#[test]
fn landlock_closes_what_the_mounts_leave_open() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    if sandbox.created.posture.landlock_abi == 0 {
        return skip("this kernel has no Landlock");
    }
    // /proc is mounted for writing, and its files are the process's own.
    for file in ["comm", "oom_score_adj", "clear_refs", "timerslack_ns"] {
        let output = sandbox.shell(&format!("test -w /proc/self/{file} && echo 0 >/proc/self/{file}"));
        assert!(output.stderr.contains("ermission denied"), "{file}: {output:?}");
    }
}

#[test]
fn the_mechanisms_reported_are_those_in_force() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let posture = &sandbox.created.posture;
    assert_eq!(posture.tier, "full");
    let groups = &sandbox.created.cgroups;
    for (mechanism, group, file, limit) in [
        (posture.memory, &groups.memory, ["memory.limit_in_bytes", "memory.max"], "134217728"),
        (posture.processes, &groups.processes, ["pids.max", "pids.max"], "64"),
    ] {
        let file = match mechanism {
            Mechanism::Fallback => {
                assert_eq!(*group, None);
                continue;
            }
            Mechanism::CgroupV1 => file[0],
            Mechanism::CgroupV2 => file[1],
        };
        let group = group.as_ref().unwrap();
        assert_eq!(fs::read_to_string(format!("{group}/{file}")).unwrap().trim(), limit);
        let members = fs::read_to_string(format!("{group}/cgroup.procs")).unwrap();
        assert!(members.lines().any(|line| line == sandbox.created.init_pid.to_string()), "{members}");
    }
}

#[test]
fn a_service_does_not_hand_on_its_priority() {
    if !privileged() {
        return skip("an ordinary user has none to hand on");
    }
    let wrapper = ["/usr/bin/nice", "-n", "-7", "/usr/bin/chrt", "--rr", "5", "/usr/bin/ionice", "-c", "1"];
    let options = Options { wrapper: wrapper.map(str::to_owned).to_vec(), ..Options::default() };
    let engine = Engine::with(options).unwrap();
    let sandbox = engine.create(Template::Base);
    let line = "cut -d' ' -f 19,40,41 /proc/self/stat; /usr/bin/ionice -p $$";
    assert_eq!(sandbox.print(line), "0 0 0\nnone: prio 0");
}
