//! The posture of the processes of a running sandbox, read from outside fact by fact and compared with the files in `golden/`.
//!
//! A golden file holds a line per fact. What depends on the host is said in relation to something: `inherited` is what the process
//! that started the supervisor has, `by mechanism` is what the posture's mechanism asks for and is checked here (see [`Mechanisms`]),
//! ids and namespaces are named after whose they are. Mounts of the host are listed without their file system.
//!
//! After a wanted change, renew the files as root and read their difference before it is committed:
//! `E2B_RENEW_GOLDEN=1 cargo test -p e2bridge-supervisor --test sandbox golden`

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use e2bridge_protocol::init::{InitEvent, InitRequest, Program, Spawn};
use e2bridge_protocol::socket;
use e2bridge_protocol::supervisor::{Mechanism, Template};

use crate::support::{
    Engine, LIMITS, NoAnswer, ORDINARY, Options, Sandbox, descendants, open_copy, parent, privileged,
    readable, skip, stat,
};

/// Processes of a sandbox, and the golden file of each: as root, as an ordinary user.
const ROLES: [(&str, [&str; 2]); 6] = [
    ("supervisor", [include_str!("golden/supervisor.root.txt"), include_str!("golden/supervisor.user.txt")]),
    ("zygote", [include_str!("golden/zygote.root.txt"), include_str!("golden/zygote.user.txt")]),
    ("init", [include_str!("golden/init.root.txt"), include_str!("golden/init.user.txt")]),
    ("shepherd", [include_str!("golden/shepherd.root.txt"), include_str!("golden/shepherd.user.txt")]),
    ("program", [include_str!("golden/program.root.txt"), include_str!("golden/program.user.txt")]),
    ("worker", [include_str!("golden/worker.root.txt"), include_str!("golden/worker.user.txt")]),
];

#[test]
fn the_posture_as_root_is_the_golden_one() {
    if !privileged() {
        return skip("this is an ordinary user; see the other test");
    }
    compare_templates("root", || Engine::with(Options::default()).unwrap());
}

/// By root, who may read everything of it; as an ordinary user the same is compared as far as that user may look.
#[test]
fn the_posture_as_an_ordinary_user_is_the_golden_one() {
    if !privileged() {
        return compare_templates("user", Engine::start);
    }
    if !Path::new("/usr/bin/setpriv").exists() {
        return skip("there is no /usr/bin/setpriv");
    }
    let (directory, supervisor) = open_copy();
    let runtime = directory.path().join("runtime");
    fs::create_dir(&runtime).unwrap();
    std::os::unix::fs::chown(&runtime, Some(ORDINARY), Some(ORDINARY)).unwrap();
    let (user, group) = (format!("--reuid={ORDINARY}"), format!("--regid={ORDINARY}"));
    compare_templates("user", || {
        let wrapper = ["/usr/bin/setpriv", &user, &group, "--clear-groups", supervisor.to_str().unwrap()]
            .map(str::to_owned);
        let options =
            Options { wrapper: wrapper.into(), runtime: Some(runtime.clone()), ..Options::default() };
        Engine::with(options).unwrap()
    });
}

fn compare_templates(user: &str, start: impl Fn() -> Engine) {
    for (template, interpreter) in [
        (Template::Base, "/bin/sh"),
        (Template::Python, "/usr/bin/python3"),
        (Template::Node, "/usr/bin/node"),
    ] {
        if !Path::new(interpreter).exists() {
            skip(&format!("there is no {interpreter}"));
            continue;
        }
        compare(user, template, start());
    }
}

/// What else is to be found where the zygote is CPython: as root, as an ordinary user.
const OF_PYTHON: [&str; 2] = [include_str!("golden/python.root.txt"), include_str!("golden/python.user.txt")];

fn compare(user: &str, template: Template, engine: Engine) {
    let sandbox = engine.create(template);
    let scene = Scene::new(&engine, &sandbox);
    let renew = privileged() && std::env::var_os("E2B_RENEW_GOLDEN").is_some();
    let mut differences = String::new();
    let expected = match sandbox.created.forks_python {
        true => OF_PYTHON[usize::from(user != "root")],
        false => "",
    };
    let mut as_expected = true;
    for (role, golden) in ROLES {
        let file = format!("{}/tests/sandbox/golden/{role}.{user}.txt", env!("CARGO_MANIFEST_DIR"));
        let golden = if user == "root" { golden[0] } else { golden[1] };
        let deadline =
            Instant::now() + if renew { Duration::from_millis(300) } else { Duration::from_secs(5) };
        let (found, difference, wanted) = loop {
            let found = scene.facts(role);
            let difference = difference(golden, &found);
            let wanted = expected_of(expected, role, &found);
            // What has just been started needs a moment to come to rest.
            if difference == wanted || Instant::now() > deadline {
                break (found, difference, wanted);
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        as_expected &= difference == wanted;
        if renew && template == Template::Base && !difference.is_empty() {
            fs::write(&file, found.lines.join("\n") + "\n").unwrap();
            eprintln!("renewed {file}: read its difference before it is committed");
        }
        differences.extend(difference.lines().map(|line| format!("{role}: {line}\n")));
        if !privileged() {
            // It has the user's own id, and is closed to that user all the same.
            let closed = ["descriptor", "environment", "namespace", "path"];
            // What has been executed in the zygote's user namespace belongs to who owns that, which is this user.
            let closed = if sandbox.created.forks_python { &closed[..2] } else { &closed[..] };
            let expected = ["init", "shepherd", "worker"].contains(&role);
            assert_eq!(
                closed.iter().all(|group| found.hidden.contains(group)),
                expected,
                "{role}: {:?}",
                found.hidden
            );
        }
    }
    if renew && !as_expected && sandbox.created.forks_python {
        let file = format!("{}/tests/sandbox/golden/python.{user}.txt", env!("CARGO_MANIFEST_DIR"));
        fs::write(&file, &differences).unwrap();
        eprintln!("renewed {file}: read it before it is committed");
    }
    assert!(
        as_expected || renew,
        "{template:?} as {user}, - golden, + found:\n{differences}\nexpected:\n{expected}"
    );
}

/// The differences of a role, but for what this process may not read.
fn expected_of(expected: &str, role: &str, found: &Facts) -> String {
    let of_role = expected.lines().filter_map(|line| line.strip_prefix(role)?.strip_prefix(": "));
    let readable =
        of_role.filter(|line| !found.hidden.contains(line[2..].split(' ').next().unwrap_or_default()));
    readable.fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

/// What of the processes of a sandbox under a listener (see [`crate::injector`]) is not as in the golden files.
pub(crate) fn deviation(engine: &Engine, sandbox: &Sandbox) -> String {
    match sandbox.try_run(&["/bin/true"]) {
        Ok(_) => {}
        // There is nothing that could be weaker; whoever uses it gets to know.
        Err(NoAnswer::Ended) => return String::new(),
        Err(error) => return format!("programs do not start: {error:?}"),
    }
    let scene = Scene { listened: true, ..Scene::new(engine, sandbox) };
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let mut text = String::new();
        for (role, golden) in ROLES {
            let mut found = scene.facts(role);
            if !privileged() {
                // The listener needs it.
                found.hidden.extend((role == "supervisor").then_some("privilege"));
                found.lines.retain(|line| role != "supervisor" || !line.starts_with("privilege"));
            }
            let difference = difference(golden[usize::from(!privileged())], &found);
            // The next network is made ahead only when that succeeds.
            let lines = difference.lines().filter(|line| !line.contains("that nobody uses yet"));
            text.extend(lines.map(|line| format!("{role}: {line}\n")));
        }
        if text.is_empty() || Instant::now() > deadline {
            return text;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_difference_is_told_from_both_sides() {
    let found = Facts {
        lines: vec!["id user: root".to_owned(), "limit a: 1".to_owned()],
        hidden: BTreeSet::from(["mount"]),
    };
    assert_eq!(difference("mount /: x\nid user: root\nlimit a: 1\n", &found), "");
    assert_eq!(
        difference("id user: root\nlimit a: 2\nlimit b: 1\n", &found),
        "- limit a: 2\n- limit b: 1\n+ limit a: 1\n"
    );
}

/// Lines that only one side has.
fn difference(golden: &str, found: &Facts) -> String {
    let group = |line: &str| line.split([' ', ':']).next().unwrap_or_default().to_owned();
    let golden: Vec<_> = golden.lines().filter(|line| !found.hidden.contains(group(line).as_str())).collect();
    let found: Vec<_> = found.lines.iter().map(String::as_str).collect();
    let only = |mark: char, these: &[&str], those: &[&str]| {
        these.iter().filter(|line| !those.contains(line)).fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{mark} {line}");
            text
        })
    };
    only('-', &golden, &found) + &only('+', &found, &golden)
}

/// What was found out about a process.
struct Facts {
    /// `group name: value`; sorted within a group.
    lines: Vec<String>,
    /// Groups that this process may not read.
    hidden: BTreeSet<&'static str>,
}

/// A sandbox in which a program and an embedded worker run.
struct Scene<'a> {
    engine: &'a Engine,
    sandbox: &'a Sandbox,
    /// Process ids by role, from the outermost; the first is this process.
    people: Vec<(&'static str, u32)>,
    /// There is one filter more, and its mode, than the golden files have.
    listened: bool,
    _open: [OwnedFd; 3],
}

impl<'a> Scene<'a> {
    fn new(engine: &'a Engine, sandbox: &'a Sandbox) -> Self {
        let init = sandbox.created.init_pid;
        // What ran before may have a moment left.
        let deadline = Instant::now() + Duration::from_secs(5);
        while !descendants(init).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        let program = sandbox.start(&["/bin/sleep", "60"]);
        let [shepherd, program_pid] = descendants(init)[..] else { panic!("{:?}", descendants(init)) };
        let (channel, worker) = start_worker(sandbox);
        let started = descendants(init);
        let worker_pid = *started.iter().find(|pid| ![shepherd, program_pid].contains(pid)).unwrap();
        let supervisor = engine.started.pid;
        let zygote = parent(init);
        assert_eq!((parent(zygote), started.len()), (supervisor, 3));
        let people = vec![
            ("caller", std::process::id()),
            ("supervisor", supervisor),
            ("zygote", zygote),
            ("init", init),
            ("shepherd", shepherd),
            ("program", program_pid),
            ("worker", worker_pid),
        ];
        Self { engine, sandbox, people, listened: false, _open: [program, channel, worker] }
    }

    fn pid(&self, role: &str) -> u32 {
        self.people.iter().find(|(name, _)| *name == role).unwrap().1
    }

    /// Everything that can be read of a process.
    fn facts(&self, role: &'static str) -> Facts {
        let pid = self.pid(role);
        let mut facts = Facts { lines: Vec::new(), hidden: BTreeSet::new() };
        let groups = [
            ("path", self.paths(pid)),
            ("id", self.ids(pid)),
            ("process", self.process(role, pid)),
            ("signal", self.signals(pid)),
            ("privilege", self.privileges(role, pid)),
            ("namespace", self.namespaces(role, pid)),
            ("mount", self.mounts(role, pid)),
            ("descriptor", self.descriptors(pid)),
            ("limit", self.limits(role, pid)),
            ("environment", self.environment(pid)),
        ];
        for (group, read) in groups {
            match read {
                Ok(lines) => facts.lines.extend(lines.into_iter().map(|line| format!("{group} {line}"))),
                Err(error) => {
                    assert_eq!(
                        error.kind(),
                        io::ErrorKind::PermissionDenied,
                        "{role} {pid} {group}: {error}"
                    );
                    assert!(!privileged(), "{role}: {group} cannot be read");
                    facts.hidden.insert(group);
                }
            }
        }
        facts
    }

    fn paths(&self, pid: u32) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        for name in ["exe", "cwd", "root"] {
            let path = fs::read_link(format!("/proc/{pid}/{name}"))?;
            let path = path.to_str().unwrap();
            let of_interpreter = self.sandbox.created.interpreter.as_deref() == Some(path);
            lines.push(format!(
                "{name}: {}",
                match path {
                    _ if path.ends_with("supervisor") => "the supervisor's",
                    _ if of_interpreter => "the interpreter's",
                    _ => path,
                }
            ));
        }
        Ok(lines)
    }

    /// Whose a host id is.
    fn owner(&self, id: u32) -> String {
        let user = status(self.pid("supervisor"))["Uid"].split('\t').next().unwrap().parse::<u32>().unwrap();
        let map = fs::read_to_string(format!("/proc/{}/uid_map", self.pid("zygote"))).unwrap();
        let map: Vec<u32> = map.split_whitespace().map(|field| field.parse().unwrap()).collect();
        match id {
            _ if id == user => "the supervisor's".to_owned(),
            0 => "root".to_owned(),
            _ if id == map[1] => "the zygote's".to_owned(),
            _ if (map[1]..map[1] + map[2]).contains(&id) => "the sandbox's".to_owned(),
            _ => id.to_string(),
        }
    }

    fn ids(&self, pid: u32) -> io::Result<Vec<String>> {
        let status = status(pid);
        let mut lines = Vec::new();
        for (name, field) in [("user", "Uid"), ("group", "Gid")] {
            let ids: BTreeSet<_> =
                status[field].split('\t').map(|id| self.owner(id.parse().unwrap())).collect();
            // Real, effective, saved and of the file system.
            assert_eq!(ids.len(), 1, "{ids:?}");
            lines.push(format!("{name}: {}", ids.first().unwrap()));
        }
        let groups: Vec<_> = status["Groups"].split_whitespace().collect();
        lines.push(format!(
            "further groups: {}",
            match groups.len() {
                0 => "none",
                _ if Some(&status["Groups"]) == self::status(std::process::id()).get("Groups") => "inherited",
                _ => "some",
            }
        ));
        for name in ["uid_map", "gid_map"] {
            let map = fs::read_to_string(format!("/proc/{pid}/{name}"))?;
            let map = match map == fs::read_to_string(format!("/proc/self/{name}"))? {
                true => "inherited".to_owned(),
                false => map
                    .lines()
                    .map(|line| {
                        let fields: Vec<_> = line.split_whitespace().collect();
                        format!(
                            "{} is {}, {} in all",
                            fields[0],
                            self.owner(fields[1].parse().unwrap()),
                            fields[2]
                        )
                    })
                    .collect::<Vec<_>>()
                    .join("; "),
            };
            lines.push(format!("{name}: {map}"));
        }
        lines.push(format!("setgroups: {}", fs::read_to_string(format!("/proc/{pid}/setgroups"))?.trim()));
        Ok(lines)
    }

    fn process(&self, role: &str, pid: u32) -> io::Result<Vec<String>> {
        let status = status(pid);
        let stat = stat(pid);
        let own = |field: usize| if stat[field] == pid.to_string() { "its own" } else { "not its own" };
        let callers = rustix::process::getpriority_process(None)?.max(0);
        let nice = stat[18].parse::<i32>().unwrap() - callers;
        let parent = parent(pid);
        let parent =
            self.people.iter().find(|(_, person)| *person == parent).map_or("somebody", |(name, _)| name);
        let mut lines = vec![
            format!("name: {}", status["Name"].replace("e2bridge-superv", "supervisor")),
            format!("parent: {parent}"),
            format!("process group: {}", own(4)),
            format!("session: {}", own(5)),
            format!("terminal: {}", if stat[6] == "0" { "none" } else { "one" }),
            format!("threads: {}", status["Threads"]),
            // A lower priority is handed on, a higher one is not.
            format!("nice, policy, real-time priority: {} {} {}", nice, stat[40], stat[39]),
            format!("umask: {}", status["Umask"]),
            format!("ids in nested pid namespaces: {}", nested(&status["NSpid"])),
            format!(
                "files in /proc belong to: {}",
                self.owner(fs::metadata(format!("/proc/{pid}/environ"))?.uid())
            ),
        ];
        for (name, file) in [("badness", "oom_score_adj"), ("security label", "attr/current")] {
            let read = |pid: &str| {
                let text =
                    fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_else(|_| "none".to_owned());
                text.trim_end_matches(['\n', '\0']).to_owned()
            };
            let (value, callers) = (read(&pid.to_string()), read("self"));
            lines.push(format!("{name}: {}", if value == callers { "inherited".to_owned() } else { value }));
        }
        Mechanisms::new(self).check(role, pid, &status);
        lines.push("cgroups, processors: by mechanism".to_owned());
        Ok(lines)
    }

    fn signals(&self, pid: u32) -> io::Result<Vec<String>> {
        let status = status(pid);
        let fields =
            [("blocked", "SigBlk"), ("ignored", "SigIgn"), ("caught", "SigCgt"), ("pending", "SigPnd")];
        Ok(fields.map(|(name, field)| format!("{name}: {}", signals(&status[field]))).into())
    }

    fn privileges(&self, role: &str, pid: u32) -> io::Result<Vec<String>> {
        let status = status(pid);
        let mut lines = Vec::new();
        for (name, field) in [
            ("inheritable", "CapInh"),
            ("permitted", "CapPrm"),
            ("effective", "CapEff"),
            ("bounding", "CapBnd"),
            ("ambient", "CapAmb"),
        ] {
            let inherited = role == "supervisor"
                && field == "CapBnd"
                && status[field] == self::status(std::process::id())[field];
            let set = if inherited { "inherited".to_owned() } else { capabilities(&status[field]) };
            lines.push(format!("capabilities, {name}: {set}"));
        }
        lines.push(format!("no_new_privs: {}", status["NoNewPrivs"]));
        let own = self::status(std::process::id());
        let filters = |status: &BTreeMap<String, String>| status["Seccomp_filters"].parse::<i32>().unwrap();
        let mut more = filters(&status) - filters(&own);
        if role != "supervisor" && self.sandbox.created.posture.memory == Mechanism::Fallback {
            // One that closes ways to memory that only a group counts.
            more -= 1;
        }
        more -= i32::from(self.listened);
        lines.push(format!("seccomp filters on top of the caller's and the mechanism's: {more}"));
        if filters(&status) > i32::from(self.listened) {
            lines.push(format!("seccomp mode: {}", status["Seccomp"]));
        }
        Ok(lines)
    }

    /// Whose namespace it is, among this process and those of the roles before.
    fn whose(&self, role: &str, kind: &str, inode: u64) -> io::Result<String> {
        let kind = kind.trim_end_matches("_for_children");
        for (name, pid) in self.people.iter().take_while(|(name, _)| *name != role) {
            if fs::metadata(format!("/proc/{pid}/ns/{kind}"))?.ino() == inode {
                return Ok(format!("the {name}'s"));
            }
        }
        Ok("its own".to_owned())
    }

    fn namespaces(&self, role: &str, pid: u32) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        for kind in [
            "cgroup",
            "ipc",
            "mnt",
            "net",
            "pid",
            "pid_for_children",
            "time",
            "time_for_children",
            "user",
            "uts",
        ] {
            let file = fs::File::open(format!("/proc/{pid}/ns/{kind}"))?;
            let whose = self.whose(role, kind, file.metadata()?.ino())?;
            let mut line = format!("{kind}: {whose}");
            if whose == "its own" && kind != "user" {
                let owner = owning_user_namespace(&file)?;
                let owner = match fs::metadata(format!("/proc/{pid}/ns/user"))?.ino() == owner {
                    true => "its own".to_owned(),
                    false => self.whose(role, "user", owner)?,
                };
                let _ = write!(line, ", owned by the user namespace: {owner}");
            }
            lines.push(line);
        }
        Ok(lines)
    }

    fn mounts(&self, role: &str, pid: u32) -> io::Result<Vec<String>> {
        if role == "supervisor" {
            return Ok(vec!["the caller's".to_owned()]);
        }
        let mut lines = Vec::new();
        let mut host = BTreeSet::new();
        let table = fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
        for line in table.lines() {
            let (left, right) = line.split_once(" - ").unwrap();
            let left: Vec<_> = left.split(' ').collect();
            let right: Vec<_> = right.split(' ').collect();
            let (root, point, options, propagation) = (left[3], left[4], left[5], &left[6..]);
            let (kind, source, of_all) = (right[0], right[1], right[2]);
            let mut line = format!("{point}: ");
            if !["e2bridge", "proc"].contains(&source) {
                // Whether access times are kept is the host's affair.
                let options: Vec<_> = options.split(',').filter(|option| !option.contains("atime")).collect();
                let _ = write!(line, "of the host {}", options.join(","));
                if point != "/usr" && !point.starts_with("/dev/") {
                    host.insert(options.join(","));
                    assert!(propagation.is_empty(), "{line}");
                    continue;
                }
            } else {
                let _ = write!(line, "{kind} {root} {options}");
                // Those of the file system, without what the kernel adds by itself.
                let of_all: Vec<_> = of_all
                    .split(',')
                    .filter(|option| !["inode32", "inode64"].contains(option) && !option.starts_with("huge="))
                    .map(|option| match option.split_once('=') {
                        Some((name @ ("uid" | "gid"), id)) => {
                            format!("{name}={}", self.owner(id.parse().unwrap()))
                        }
                        _ => option.to_owned(),
                    })
                    .collect();
                let _ = write!(line, "; {}", of_all.join(","));
            }
            let _ = write!(line, "; {}", if propagation.is_empty() { "private" } else { "propagated" });
            lines.push(line);
        }
        lines.sort();
        lines.extend(host.iter().map(|options| format!("(others): of the host {options}; private")));
        // What a host has beside /usr is mounted as /usr is; where there is nothing else, there is no line.
        let usual = lines.iter().find_map(|line| line.strip_prefix("/usr: ").map(str::to_owned)).unwrap();
        lines.retain(|line| *line != format!("(others): {usual}"));
        Ok(lines)
    }

    fn descriptors(&self, pid: u32) -> io::Result<Vec<String>> {
        const CLOEXEC: u32 = 0o2_000_000;
        let unix = fs::read_to_string("/proc/net/unix")?;
        let mut standard = Vec::new();
        let mut others = Vec::new();
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
            let entry = entry?;
            let number = entry.file_name().to_str().unwrap().to_owned();
            let read = || -> io::Result<(PathBuf, String)> {
                let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}"))?;
                Ok((fs::read_link(entry.path())?, info))
            };
            // What init only looks at in passing, as its watch of memory does, is gone at the second look.
            let (target, info) = match (read(), read()) {
                (Ok((before, _)), Ok((after, info))) if before == after => {
                    (after.to_str().unwrap().to_owned(), info)
                }
                (Err(error), _) | (_, Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error);
                }
                _ => continue,
            };
            let of = |wanted: &str| info.lines().find_map(|line| line.strip_prefix(wanted)).map(str::trim);
            let flags = u32::from_str_radix(of("flags:").unwrap(), 8).unwrap();
            let inode = target.split(['[', ']']).nth(1).unwrap_or_default();
            let what = if target.starts_with("socket:") {
                let line = unix.lines().find(|line| line.split_whitespace().nth(6) == Some(inode));
                match line.and_then(|line| line.split_whitespace().nth(4)) {
                    Some("0005") => "socket (unix, seqpacket)".to_owned(),
                    other => format!("socket ({other:?})"),
                }
            } else if target.starts_with("pipe:") {
                "pipe".to_owned()
            } else if target.ends_with("/oom_score_adj") {
                // Opened by the number that its process has in the zygote's pid namespace.
                "oom_score_adj in the zygote's /proc".to_owned()
            } else if target.ends_with("[pidfd]") {
                let pid: u32 = of("Pid:").unwrap().parse().unwrap();
                let whose =
                    self.people.iter().find(|(_, person)| *person == pid).map_or("nobody", |(name, _)| name);
                format!("pidfd of the {whose}")
            } else if target.starts_with("net:") {
                match self.whose("nobody", "net", inode.parse().unwrap())?.as_str() {
                    "its own" => "network namespace that nobody uses yet".to_owned(),
                    whose => format!("network namespace: {whose}"),
                }
            } else {
                target
                    .replace(self.engine.runtime.to_str().unwrap(), "(runtime directory)")
                    .replace(&self.engine.client, "(client)")
            };
            let mut line = what;
            let _ = write!(line, ", {}", ["read", "write", "read and write", "?"][(flags & 3) as usize]);
            for (flag, name) in
                [(libc::O_APPEND, "append"), (libc::O_NONBLOCK, "non-blocking"), (libc::O_PATH, "path")]
            {
                if flags & flag.unsigned_abs() != 0 {
                    let _ = write!(line, ", {name}");
                }
            }
            if flags & CLOEXEC == 0 {
                line.push_str(", survives exec");
            }
            match number.parse::<u32>().unwrap() {
                0..3 => standard.push(format!("{number}: {line}")),
                _ => others.push(format!("further: {line}")),
            }
        }
        standard.sort();
        others.sort();
        Ok([standard, others].concat())
    }

    fn limits(&self, role: &str, pid: u32) -> io::Result<Vec<String>> {
        let read = |pid: &str| -> io::Result<BTreeMap<String, [String; 2]>> {
            let text = fs::read_to_string(format!("/proc/{pid}/limits"))?;
            let row = |line: &str| {
                let column =
                    |range: std::ops::Range<usize>| line.get(range).unwrap_or_default().trim().to_owned();
                (column(4..26), [column(26..47), column(47..68)])
            };
            Ok(text.lines().skip(1).map(row).collect())
        };
        let callers = read("self")?;
        // By the zygote, whatever the caller's are.
        const SET: [&str; 8] = [
            "core file size",
            "locked memory",
            "msgqueue size",
            "nice priority",
            "open files",
            "pending signals",
            "realtime priority",
            "stack size",
        ];
        let mechanisms = Mechanisms::new(self);
        let mut lines = Vec::new();
        for (name, value) in read(&pid.to_string())? {
            let caller = &callers[&name];
            let value = if mechanisms.limit(role, &name, &value, caller) {
                "by mechanism".to_owned()
            } else if value == *caller && (role == "supervisor" || !SET.contains(&name.as_str())) {
                "inherited".to_owned()
            } else if value[0] == value[1] && value[1] == caller[1] {
                "the caller's highest".to_owned()
            } else {
                value.join(" ")
            };
            lines.push(format!("{name}: {value}"));
        }
        Ok(lines)
    }

    fn environment(&self, pid: u32) -> io::Result<Vec<String>> {
        let text = fs::read_to_string(format!("/proc/{pid}/environ"))?;
        let mut lines: Vec<_> = text
            .split('\0')
            .filter(|variable| !variable.is_empty())
            .map(|variable| format!("variable: {variable}"))
            .collect();
        if lines.is_empty() {
            lines.push("variables: none".to_owned());
        }
        Ok(lines)
    }
}

/// What the golden files leave to the mechanisms that the posture names.
struct Mechanisms<'a> {
    scene: &'a Scene<'a>,
}

impl<'a> Mechanisms<'a> {
    fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene }
    }

    fn inside(role: &str) -> bool {
        !["supervisor", "zygote"].contains(&role)
    }

    /// Whether it is a limit of a mechanism, which must be as that has it: without a group, no way to memory is left open.
    fn limit(&self, role: &str, name: &str, value: &[String; 2], caller: &[String; 2]) -> bool {
        const BOUNDS: [&str; 4] = ["data size", "address space", "stack size", "open files"];
        if !Self::inside(role) || !BOUNDS.contains(&name) {
            return false;
        }
        let bytes = |value: &str| value.parse::<u64>().ok();
        match (self.scene.sandbox.created.posture.memory, name) {
            (Mechanism::Fallback, _) => {
                let bound = bytes(&value[0]).filter(|_| value[0] == value[1]);
                let most = match name {
                    "data size" => LIMITS.memory_bytes,
                    "address space" => LIMITS.memory_bytes + (16 << 30),
                    "stack size" => 8 << 20,
                    _ => 1024,
                };
                assert!(bound.is_some_and(|bound| bound <= most), "{role} {name}: {value:?}");
            }
            (_, "data size" | "address space") => assert_eq!(value, caller, "{role} {name}"),
            (_, "stack size") => assert!(bytes(&value[1]).is_some_and(|most| most <= 64 << 20), "{value:?}"),
            _ => assert_eq!(value, &["4096", "4096"], "{role} {name}"),
        }
        true
    }

    /// Groups and processors.
    fn check(&self, role: &str, pid: u32, status: &BTreeMap<String, String>) {
        let posture = &self.scene.sandbox.created.posture;
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let wanted = format!("/e2bridge-{}/{}", self.scene.engine.client, self.scene.sandbox.number);
        let inside = Self::inside(role);
        for (mechanism, name) in
            [(posture.memory, "memory"), (posture.processes, "pids"), (posture.cpu, "cpu")]
        {
            let line = |text: &str| {
                let of = |line: &str| {
                    let mut fields = line.splitn(3, ':').skip(1);
                    let (names, path) = (fields.next().unwrap(), fields.next().unwrap().to_owned());
                    let found = match mechanism {
                        Mechanism::CgroupV2 => names.is_empty(),
                        _ => names.split(',').any(|other| other == name),
                    };
                    found.then_some(path)
                };
                text.lines().find_map(of)
            };
            match mechanism {
                Mechanism::CgroupV1 | Mechanism::CgroupV2 if inside => {
                    assert!(line(&groups).unwrap().ends_with(&wanted), "{role} {name}: {groups}");
                }
                _ => assert_eq!(line(&groups), line(&own), "{role} {name}"),
            }
        }
        let processors = |status: &BTreeMap<String, String>| status["Cpus_allowed"].clone();
        let count =
            |set: &str| set.chars().filter_map(|digit| digit.to_digit(16)).map(u32::count_ones).sum::<u32>();
        let all = processors(&self::status(std::process::id()));
        if inside && posture.cpu == Mechanism::Fallback {
            assert_eq!(count(&processors(status)), LIMITS.cpu_count, "{role}");
        } else {
            assert_eq!(processors(status), all, "{role}");
        }
    }
}

fn start_worker(sandbox: &Sandbox) -> (OwnedFd, OwnedFd) {
    let (channel, far) = socket::seqpacket_pair().unwrap();
    let (worker, worker_far) = socket::seqpacket_pair().unwrap();
    let spawn = InitRequest::Spawn(Spawn {
        program: Program::EmbeddedJavaScript,
        env: vec!["HOME=/home/user".to_owned()],
        cwd: "/home/user".to_owned(),
        timeout_ms: None,
        capture: false,
        worker: true,
    });
    socket::send(&sandbox.control, &spawn, &[far.as_fd(), worker_far.as_fd()]).unwrap();
    drop((far, worker_far));
    assert!(readable(&channel, Duration::from_secs(30)));
    let event = socket::recv::<InitEvent>(&channel).unwrap().expect("init ended").0;
    assert!(matches!(event, InitEvent::Started { .. }), "{event:?}");
    (channel, worker)
}

fn status(pid: u32) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// The pid that a process has in each pid namespace: how many there are below the reader's, and whether it is the first in the last.
fn nested(ids: &str) -> String {
    let ids: Vec<_> = ids.split_whitespace().collect();
    let first = ids.len() > 1 && ids.last() == Some(&"1");
    format!("{}{}", ids.len() - 1, if first { ", process 1 in the last" } else { "" })
}

/// Names of the signals in a mask.
fn signals(mask: &str) -> String {
    const NAMES: [(i32, &str); 4] =
        [(libc::SIGPIPE, "PIPE"), (libc::SIGCHLD, "CHLD"), (libc::SIGSEGV, "SEGV"), (libc::SIGBUS, "BUS")];
    let mask = u64::from_str_radix(mask, 16).unwrap();
    // KILL and STOP are in none.
    if mask == !(1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1)) {
        return "all".to_owned();
    }
    let name = |signal: i32| {
        let name = NAMES.iter().find(|(number, _)| *number == signal).map(|(_, name)| (*name).to_owned());
        name.unwrap_or_else(|| signal.to_string())
    };
    let names: Vec<_> = (1..=64).filter(|signal| mask >> (signal - 1) & 1 == 1).map(name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}

/// Names of the capabilities in a set.
fn capabilities(set: &str) -> String {
    const NAMES: [&str; 41] = [
        "chown",
        "dac_override",
        "dac_read_search",
        "fowner",
        "fsetid",
        "kill",
        "setgid",
        "setuid",
        "setpcap",
        "linux_immutable",
        "net_bind_service",
        "net_broadcast",
        "net_admin",
        "net_raw",
        "ipc_lock",
        "ipc_owner",
        "sys_module",
        "sys_rawio",
        "sys_chroot",
        "sys_ptrace",
        "sys_pacct",
        "sys_admin",
        "sys_boot",
        "sys_nice",
        "sys_resource",
        "sys_time",
        "sys_tty_config",
        "mknod",
        "lease",
        "audit_write",
        "audit_control",
        "setfcap",
        "mac_override",
        "mac_admin",
        "syslog",
        "wake_alarm",
        "block_suspend",
        "audit_read",
        "perfmon",
        "bpf",
        "checkpoint_restore",
    ];
    let set = u64::from_str_radix(set, 16).unwrap();
    let last: u64 = fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
    match set {
        0 => "none".to_owned(),
        _ if set == (1 << (last + 1)) - 1 => "all".to_owned(),
        _ => NAMES
            .iter()
            .enumerate()
            .filter(|(bit, _)| set >> bit & 1 == 1)
            .map(|(_, name)| *name)
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// Inode of the user namespace that a namespace belongs to.
fn owning_user_namespace(namespace: &fs::File) -> io::Result<u64> {
    const NS_GET_USERNS: libc::Ioctl = 0xb701;
    // SAFETY: no memory is involved; the result is a new descriptor or an error.
    let owner = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS) };
    if owner < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nothing else owns.
    Ok(fs::File::from(unsafe { OwnedFd::from_raw_fd(owner) }).metadata()?.ino())
}
