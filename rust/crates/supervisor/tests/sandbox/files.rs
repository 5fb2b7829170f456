//! What is visible inside and what can be written.

use e2bridge_protocol::supervisor::Template;

use crate::support::{Engine, LIMITS, Sandbox};

const PLACES: [&str; 8] =
    ["/home/user", "/data", "/opt", "/usr/local", "/srv", "/var/tmp", "/tmp", "/dev/shm"];

fn refused(sandbox: &Sandbox, line: &str, reasons: &[&str]) {
    let output = sandbox.shell(line);
    assert_ne!(output.exit.exit_code, Some(0), "{line}: {output:?}");
    assert!(reasons.iter().any(|reason| output.stderr.contains(reason)), "{line}: {output:?}");
}

#[test]
fn everything_but_the_writable_places_is_read_only() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    for path in
        ["/x", "/usr/x", "/usr/bin/x", "/etc/x", "/home/x", "/var/x", "/dev/x", "/run/x", "/root/x", "/bin/x"]
    {
        refused(&sandbox, &format!("echo x >{path}"), &["Read-only", "denied"]);
        refused(&sandbox, &format!("mkdir {path}"), &["Read-only", "denied"]);
    }
    for path in [
        "/etc/passwd",
        "/etc/e2bridge/python.py",
        "/usr/bin/env",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/panic",
    ] {
        refused(&sandbox, &format!("echo x >>{path}"), &["Read-only", "denied"]);
    }
    refused(&sandbox, "chmod 777 /usr/bin/env", &["Read-only", "permitted", "denied"]);
    refused(&sandbox, "rm /etc/passwd", &["Read-only", "denied"]);
}

#[test]
fn the_writable_places_are_writable_and_empty_and_executable() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    for place in PLACES {
        let line = format!(
            "ls -A {place}; mkdir {place}/d && echo '#!/bin/sh\necho ran' >{place}/d/f && chmod +x {place}/d/f && {place}/d/f && \
             ln -s f {place}/d/l && mv {place}/d/f {place}/d/g && rm -r {place}/d"
        );
        assert_eq!(sandbox.print(&line), "ran", "{place}");
    }
    assert_eq!(
        sandbox.print("stat -c '%a %U' /tmp /var/tmp /dev/shm /home/user"),
        "1777 user\n1777 user\n1777 user\n755 user"
    );
    assert_eq!(sandbox.print("umask"), "0022");
    // Between places, too: they are one file system.
    assert_eq!(sandbox.print("echo x >/tmp/a && mv /tmp/a /data/b && cat /data/b"), "x");
}

#[test]
fn writable_files_are_bounded_by_size_and_number() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    refused(&sandbox, "dd if=/dev/zero of=/tmp/big bs=1M count=64", &["No space left"]);
    let written: u64 = sandbox.print("stat -c %s /tmp/big").parse().unwrap();
    assert!(written <= LIMITS.disk_bytes && written > LIMITS.disk_bytes - (2 << 20), "{written}");
    for place in PLACES.into_iter().filter(|&place| place != "/tmp") {
        refused(&sandbox, &format!("dd if=/dev/zero of={place}/more bs=1M count=2"), &["No space left"]);
        sandbox.print(&format!("rm -f {place}/more"));
    }
    sandbox.print("rm /tmp/big");
    refused(
        &sandbox,
        "i=0; while [ $i -lt 3000 ]; do : >/data/$i || exit 1; i=$((i+1)); done",
        &["No space left"],
    );
    assert!(sandbox.statistics().unwrap().disk_used_inodes <= LIMITS.disk_inodes);
}

#[test]
fn nothing_else_is_mounted() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let table = sandbox.print("cat /proc/self/mountinfo");
    let mut mounts: Vec<String> = table
        .lines()
        .map(|line| {
            let (left, right) = line.split_once(" - ").unwrap();
            let left: Vec<_> = left.split(' ').collect();
            let wanted = ["ro", "rw", "nosuid", "nodev", "noexec"];
            let options: Vec<_> = left[5].split(',').filter(|option| wanted.contains(option)).collect();
            let kind = right.split(' ').next().unwrap();
            let shown = if kind == "tmpfs" || kind == "proc" { kind } else { "host" };
            format!("{} {} {shown}", left[4], options.join(","))
        })
        .collect();
    mounts.sort();
    mounts.dedup();
    let mut expected: Vec<String> =
        PLACES.iter().map(|place| format!("{place} rw,nosuid,nodev tmpfs")).collect();
    expected.extend(["/ ro,nosuid,nodev tmpfs", "/proc rw,nosuid,nodev,noexec proc"].map(str::to_owned));
    // As on the host: links, unless they are directories there.
    for top in ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/libexec"] {
        if std::fs::symlink_metadata(top).is_ok_and(|metadata| metadata.is_dir()) {
            expected.push(format!("{top} ro,nosuid,nodev host"));
        }
    }
    for device in ["null", "zero", "full", "random", "urandom", "tty"] {
        expected.push(format!("/dev/{device} ro,nosuid,noexec host"));
    }
    expected.sort();
    let normal: Vec<_> = mounts
        .iter()
        // A container may have its devices on a tmpfs.
        .map(|mount| {
            if mount.starts_with("/dev/") && !mount.starts_with("/dev/shm") {
                mount.replace("tmpfs", "host")
            } else {
                mount.clone()
            }
        })
        .collect();
    assert_eq!(normal, expected);
}

#[test]
fn the_host_shows_through_nowhere() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    assert_eq!(
        sandbox.print("ls /home; ls -A /root /run /var /srv /opt /data"),
        "user\n/data:\n\n/opt:\n\n/root:\n\n/run:\n\n/srv:\n\n/var:\nrun\ntmp"
    );
    for path in [
        "/sys",
        "/boot",
        "/mnt",
        "/media",
        "/old_root",
        "/work",
        "/etc/shadow",
        "/etc/ssh",
        "/etc/hostname",
        "/var/run/docker.sock",
    ] {
        refused(&sandbox, &format!("ls {path}"), &["No such file"]);
    }
    assert_eq!(sandbox.print("find / -xdev -type s 2>/dev/null; find /usr -type s 2>/dev/null; true"), "");
    assert_eq!(sandbox.print("cat /etc/resolv.conf"), "");
    assert_eq!(
        sandbox.print("ls /dev"),
        "fd\nfull\nnull\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero"
    );
    assert_eq!(
        sandbox.print("cd /etc && find . -maxdepth 1 ! -name . ! -name localtime | sort | tr '\\n' ' '"),
        "./alternatives ./e2bridge ./group ./hosts ./ld.so.cache ./mtab ./nsswitch.conf ./os-release ./passwd ./resolv.conf"
    );
    let current = sandbox.python(
        "import os\nprint(os.getcwd(), os.path.realpath('/proc/self/root'), os.listdir('/proc/self/cwd/..'))",
    );
    assert_eq!(current, "/home/user / ['user']");
}

#[test]
fn devices_work_and_cannot_be_made() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    assert_eq!(
        sandbox.print("echo x >/dev/null; head -c 3 /dev/zero | od -An -tx1; head -c 4 /dev/urandom | wc -c"),
        " 00 00 00\n4"
    );
    refused(&sandbox, "cat /etc/passwd >/dev/full", &["No space left"]);
    assert_eq!(sandbox.print("echo to >/dev/stdout; echo all >&2; mkfifo /tmp/f && ls /tmp"), "to\nf");
    for kind in ["c 1 3", "b 7 0"] {
        refused(&sandbox, &format!("mknod /tmp/n {kind}"), &["permitted", "denied"]);
    }
    refused(&sandbox, "chmod 600 /dev/null", &["Read-only", "permitted", "denied"]);
}

#[test]
fn nothing_of_proc_but_the_own_processes_is_writable() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    // By permissions alone (access does not ask Landlock), then by trying.
    let code = "import os\n\
        for root, directories, files in os.walk('/proc'):\n\
        \u{20}   if root == '/proc': directories[:] = [d for d in directories if not d.isdigit() and d not in ('self', 'thread-self')]\n\
        \u{20}   for name in files:\n\
        \u{20}       path = os.path.join(root, name)\n\
        \u{20}       try: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK)); print('opened', path)\n\
        \u{20}       except OSError: pass\n\
        \u{20}       if os.access(path, os.W_OK) and not os.path.islink(path): print('writable', path)";
    let found = sandbox.python(code);
    // Open to everybody by their mode, and then asking for a capability.
    let asks = |line: &&str| line.starts_with("writable /proc/pressure/") || line.ends_with("/ns_last_pid");
    let found: Vec<_> = found.lines().filter(|line| !asks(line)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn set_user_id_has_no_effect() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    assert_eq!(
        sandbox.print("cp /usr/bin/id /tmp/id && chmod 6755 /tmp/id && /tmp/id -u && /tmp/id -ru"),
        "1000\n1000"
    );
    let output = sandbox.shell("[ -u /usr/bin/passwd ] && exec /usr/bin/su -c id");
    assert_ne!(output.exit.exit_code, Some(0));
}

#[test]
fn the_worker_programs_are_there() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    assert_eq!(
        sandbox.print("ls /etc/e2bridge; stat -c %a /etc/e2bridge/*"),
        "node.js\npython.py\nshell.sh\n444\n444\n444"
    );
    assert!(sandbox.print("wc -c </etc/e2bridge/python.py").parse::<u32>().unwrap() > 0);
}

#[test]
fn sandboxes_do_not_see_each_others_files() {
    let engine = Engine::start();
    let (one, two) = (engine.create(Template::Base), engine.create(Template::Base));
    for place in PLACES {
        one.print(&format!("echo secret >{place}/mine"));
        refused(&two, &format!("cat {place}/mine"), &["No such file"]);
    }
}
