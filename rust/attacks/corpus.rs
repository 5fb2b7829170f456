//! Hostile programs as data, one file each, and how to judge what they say. Used by the tests of the supervisor, which also leave the
//! defences out, and by those of the local engine. `README.md` beside this file says what a file must hold.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

/// How many attacks run at a time.
const AT_A_TIME: usize = 4;
/// An ordinary line of shell that must work after every attack, and what it says; in a neighbour of all cases several times at once.
pub(crate) const ORDINARY_LINE: &str =
    "echo written >/tmp/works.$$ && cat /tmp/works.$$ && seq 3 | sort -r | head -1; rm -f /tmp/works.$$";
pub(crate) const ORDINARY_ANSWER: &str = "written\n3\n";
/// The id of an ordinary user: one that owns nothing.
const ORDINARY: u32 = 65_534;

/// What runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Language {
    /// `/bin/sh`.
    Shell,
    /// CPython.
    Python,
    /// Node.js, and where the program says so the embedded engine.
    JavaScript,
}

/// Who the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Anybody,
    Root,
    User,
}

/// A way in which an attack is seen to succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Escape {
    /// Names for the supervisor's variable; `None` = run on the host, outside of any sandbox.
    pub(crate) without: Option<String>,
    pub(crate) who: Who,
}

/// A hostile program.
#[derive(Clone, Debug)]
pub(crate) struct Attack {
    /// Directory and file.
    pub(crate) name: String,
    pub(crate) language: Language,
    /// The row of the threats that it belongs to.
    pub(crate) threat: String,
    /// How it is seen to fail; never empty.
    pub(crate) escapes: Vec<Escape>,
    /// Interpreters of JavaScript that it is for.
    pub(crate) embedded: bool,
    pub(crate) node: bool,
    /// That it is killed is the containment.
    pub(crate) may_be_killed: bool,
    /// That its time runs out is the containment.
    pub(crate) may_time_out: bool,
    /// That its output is cut is the containment.
    pub(crate) must_be_truncated: bool,
    /// Seconds.
    pub(crate) timeout: u32,
    /// A shell line that gives the verdict, run in the sandbox after the attack.
    pub(crate) afterwards: Option<String>,
    /// A Python program that gives the verdict, run in the neighbour while the attack is at work.
    pub(crate) neighbour: Option<String>,
    /// Not where memory is bounded per process, because that is not promised there.
    pub(crate) needs_memory_group: bool,
    /// Its escape shows only where somebody could get more processors than a sandbox may have.
    pub(crate) needs_free_processors: bool,
    /// Not in a worker, only as a program of its own.
    pub(crate) only_as_program: bool,
    text: String,
}

/// What a program learns about where it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// A TCP port on which the host listens on every address.
    pub(crate) host_port: u16,
    /// An address of the host that is not its loopback.
    pub(crate) host_address: String,
    /// An abstract socket on which the host listens, without the NUL.
    pub(crate) host_abstract: String,
    /// A directory of the host that everybody may read, with `secret` and the listening socket `socket` in it.
    pub(crate) host_directory: String,
    /// A TCP port on which the neighbour listens on its loopback; also names its other things.
    pub(crate) neighbour: u16,
    pub(crate) memory_bytes: u64,
    pub(crate) processes: u32,
    pub(crate) disk_bytes: u64,
    pub(crate) disk_inodes: u64,
    pub(crate) processors: u32,
}

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) killed: bool,
    pub(crate) timed_out: bool,
    pub(crate) truncated: bool,
    /// Standard output of what ran afterwards, or in the neighbour.
    pub(crate) afterwards: Option<String>,
}

/// What came of an attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Contained(String),
    Escaped(String),
    /// No verdict: a failed test.
    Broken(String),
}

impl Attack {
    /// The program, ready to run.
    pub(crate) fn program(&self, facts: &Facts) -> String {
        fill(&self.text, facts)
    }

    /// The line to run afterwards.
    pub(crate) fn afterwards(&self, facts: &Facts) -> Option<String> {
        self.afterwards.as_ref().map(|line| fill(line, facts))
    }

    /// The program to run in the neighbour.
    pub(crate) fn neighbour_program(&self, facts: &Facts) -> Option<String> {
        let prelude = fs::read_to_string(directory().join("prelude.py")).unwrap();
        self.neighbour.as_ref().map(|program| fill(&format!("{prelude}{program}"), facts))
    }

    /// What came of it.
    pub(crate) fn judge(&self, ended: &Ended) -> Verdict {
        let told = ended.afterwards.as_ref().unwrap_or(&ended.stdout);
        match told.lines().rev().map(str::trim).find(|line| !line.is_empty()) {
            Some(line) if line.starts_with("ESCAPED ") => return Verdict::Escaped(line[8..].to_owned()),
            Some(line) if line.starts_with("CONTAINED ") => return Verdict::Contained(line[10..].to_owned()),
            _ => {}
        }
        match () {
            () if self.must_be_truncated && ended.truncated => Verdict::Contained("truncated".to_owned()),
            () if self.may_be_killed && ended.killed && !ended.timed_out => {
                Verdict::Contained("killed".to_owned())
            }
            () if self.may_time_out && ended.timed_out => Verdict::Contained("timed out".to_owned()),
            () => {
                let head = |text: &str| text.chars().take(600).collect::<String>();
                Verdict::Broken(format!(
                    "no verdict: killed {}, timed out {}, truncated {}, said {:?} and {:?}",
                    ended.killed,
                    ended.timed_out,
                    ended.truncated,
                    head(told),
                    head(&ended.stderr)
                ))
            }
        }
    }
}

fn fill(text: &str, facts: &Facts) -> String {
    let numbers = [
        ("@HOST_PORT@", u64::from(facts.host_port)),
        ("@NEIGHBOUR@", u64::from(facts.neighbour)),
        ("@MEMORY@", facts.memory_bytes),
        ("@PROCESSES@", u64::from(facts.processes)),
        ("@DISK@", facts.disk_bytes),
        ("@INODES@", facts.disk_inodes),
        ("@PROCESSORS@", u64::from(facts.processors)),
    ];
    let mut text = text
        .replace("@HOST_ADDRESS@", &facts.host_address)
        .replace("@HOST_ABSTRACT@", &facts.host_abstract)
        .replace("@HOST_DIRECTORY@", &facts.host_directory);
    for (name, value) in numbers {
        text = text.replace(name, &value.to_string());
    }
    text
}

/// Where the corpus is. Tests that run elsewhere name a copy.
pub(crate) fn directory() -> PathBuf {
    std::env::var_os("E2B_TEST_ATTACKS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../attacks"), PathBuf::from)
}

/// What the neighbour runs.
pub(crate) fn neighbour(facts: &Facts) -> String {
    fill(&fs::read_to_string(directory().join("neighbour.py")).unwrap(), facts)
}

/// Every attack, by name; those that `E2B_ATTACK` names only, when it is set.
pub(crate) fn attacks() -> Vec<Attack> {
    let directory = directory();
    let prelude: BTreeMap<_, _> = ["sh", "py", "js"]
        .map(|kind| (kind, fs::read_to_string(directory.join(format!("prelude.{kind}"))).unwrap()))
        .into();
    let wanted = std::env::var("E2B_ATTACK").unwrap_or_default();
    let mut attacks = Vec::new();
    for row in fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()) {
        for file in fs::read_dir(&row).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            let name = file.strip_prefix(&directory).unwrap().to_str().unwrap().to_owned();
            let kind = file.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
            let text = fs::read_to_string(&file).unwrap();
            let prelude = prelude.get(kind).unwrap_or_else(|| panic!("{name}: neither .sh, .py nor .js"));
            let attack = parse(&name, kind, &text, prelude).unwrap_or_else(|error| panic!("{name}: {error}"));
            let named =
                |escape: &Escape| escape.without.as_ref().is_none_or(|names| !names.trim().is_empty());

            assert!(attack.escapes.iter().any(|escape| named(escape) && escape.who != Who::User), "{name}");
            if wanted.is_empty() || wanted.split_whitespace().any(|wanted| name.contains(wanted)) {
                attacks.push(attack);
            }
        }
    }
    attacks.sort_by(|one, other| one.name.cmp(&other.name));
    attacks
}

fn parse(name: &str, kind: &str, text: &str, prelude: &str) -> Result<Attack, String> {
    let (language, comment) = match kind {
        "sh" => (Language::Shell, "#"),
        "py" => (Language::Python, "#"),
        _ => (Language::JavaScript, "//"),
    };
    let mut attack = Attack {
        name: name.to_owned(),
        language,
        threat: String::new(),
        escapes: Vec::new(),
        embedded: false,
        node: false,
        may_be_killed: false,
        may_time_out: false,
        must_be_truncated: false,
        timeout: 20,
        afterwards: None,
        neighbour: None,
        needs_memory_group: false,
        needs_free_processors: false,
        only_as_program: false,
        text: format!("{prelude}{text}"),
    };
    let mut told = false;
    for line in text.lines().map_while(|line| line.strip_prefix(comment)) {
        let Some((key, value)) = line.trim().split_once(": ") else { continue };
        match (key, value) {
            ("threat", _) => attack.threat = value.to_owned(),
            ("attack", _) => told = true,
            ("escapes", _) => attack.escapes.push(parse_escape(value)?),
            ("engine", "node") => attack.node = true,
            ("engine", "embedded") => attack.embedded = true,
            ("ends", "killed") => attack.may_be_killed = true,
            ("ends", "timed out") => attack.may_time_out = true,
            ("ends", "truncated") => attack.must_be_truncated = true,
            ("timeout", _) => attack.timeout = value.parse().map_err(|error| format!("{value}: {error}"))?,
            ("afterwards", _) => attack.afterwards = Some(value.to_owned()),
            ("neighbour", _) => attack.neighbour = Some(value.to_owned()),
            ("needs", "a memory group") => attack.needs_memory_group = true,
            ("needs", "free processors") => attack.needs_free_processors = true,
            ("only", "as a program") => attack.only_as_program = true,
            // Prose that goes on from the line above it.
            _ if line.starts_with("  ") => {}
            _ => return Err(format!("unknown in the header: {line}")),
        }
    }
    match () {
        () if attack.threat.is_empty() || !told => Err("needs threat: and attack:".to_owned()),
        () if attack.escapes.is_empty() => Err("needs escapes:, or nobody knows that it can fail".to_owned()),
        () if (language == Language::JavaScript) != (attack.node || attack.embedded) => {
            Err("JavaScript needs engine:, others have none".to_owned())
        }
        () => Ok(attack),
    }
}

fn parse_escape(value: &str) -> Result<Escape, String> {
    let (value, who) = match value.split_once(" as ") {
        Some((value, "root")) => (value, Who::Root),
        Some((value, "user")) => (value, Who::User),
        Some((_, other)) => return Err(format!("as root or as user, not {other}")),
        None => (value, Who::Anybody),
    };
    match value.strip_prefix("without ") {
        Some(names) => Ok(Escape { without: Some(names.to_owned()), who }),
        None if value == "unconfined" => Ok(Escape { without: None, who }),
        None => Err(format!("without ... or unconfined, not {value}")),
    }
}

/// What the host has for attacks to reach.
pub(crate) struct Host {
    facts: Facts,
    _listeners: (TcpListener, UnixListener, UnixListener),
    _directory: tempfile::TempDir,
}

impl Host {
    /// Listens, and writes a file for everybody to read; `limits` is what sandboxes will have.
    pub(crate) fn new(limits: &Facts) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let unique = format!("e2bridge-attacks-{}-{number}", std::process::id());
        let tcp = TcpListener::bind("0.0.0.0:0").unwrap();
        let abstracts = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&unique).unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        fs::write(directory.path().join("secret"), "secret of the host").unwrap();
        let path = UnixListener::bind(directory.path().join("socket")).unwrap();
        fs::set_permissions(directory.path().join("socket"), PermissionsExt::from_mode(0o777)).unwrap();
        let probe = UdpSocket::bind("0.0.0.0:0").unwrap();
        // No packet is sent by that; where there is no route, the loopback has to do.
        let _ = probe.connect("192.0.2.1:9");
        let address = probe.local_addr().map_or("127.0.0.1".to_owned(), |address| address.ip().to_string());
        Self {
            facts: Facts {
                host_port: tcp.local_addr().unwrap().port(),
                host_address: if address == "0.0.0.0" { "127.0.0.1".to_owned() } else { address },
                host_abstract: unique,
                host_directory: directory.path().to_str().unwrap().to_owned(),
                ..limits.clone()
            },
            _listeners: (tcp, abstracts, path),
            _directory: directory,
        }
    }

    /// With a neighbour of its own.
    pub(crate) fn facts(&self) -> Facts {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Without its network namespace, a neighbour listens on the host.
        let base = 20_000 + u16::try_from(std::process::id() % 100).unwrap() * 100;
        Facts { neighbour: base + NEXT.fetch_add(1, Ordering::Relaxed) % 100, ..self.facts.clone() }
    }
}

/// Does something for every item, some at a time, and gathers the complaints.
pub(crate) fn for_each<T: Sync>(
    items: &[T],
    name: impl Fn(&T) -> String + Sync,
    work: impl Fn(&T) -> Result<(), String> + Sync,
) {
    let (next, complaints) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match catch_unwind(AssertUnwindSafe(|| work(item))) {
                        Ok(Ok(())) => {}
                        Ok(Err(complaint)) => complaints.lock().unwrap().push(complaint),
                        Err(_) => {
                            complaints.lock().unwrap().push(format!("{}: a panic, see above", name(item)))
                        }
                    }
                }
            });
        }
    });
    let complaints = complaints.into_inner().unwrap();
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), items.len(), complaints.join("\n"));
}

/// A line for `scripts/test-attacks`.
pub(crate) fn report(attack: &Attack, how: &str, verdict: &Verdict) {
    let Some(path) = std::env::var_os("E2B_ATTACKS_REPORT") else { return };
    let who = if rustix::process::geteuid().is_root() { "root" } else { "user" };
    let (word, why) = match verdict {
        Verdict::Contained(why) => ("CONTAINED", why),
        Verdict::Escaped(why) => ("ESCAPED", why),
        Verdict::Broken(why) => ("BROKEN", why),
    };
    let line = format!(
        "{}\t{}\t{who}\t{how}\t{word}\t{}\n",
        attack.name,
        attack.threat,
        why.replace(['\n', '\t'], " ")
    );
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}

/// Runs the tests of this program whose names begin with `prefix` again, as an ordinary user; `programs` are copied for it and named
/// by environment variables.
pub(crate) fn run_as_ordinary_user(prefix: &str, programs: &[(&str, PathBuf)]) {
    // Where the programs were built need not be open to everybody.
    let directory = tempfile::tempdir().unwrap();
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let make = |name: &str, mode| {
        let path = directory.path().join(name);
        fs::create_dir_all(&path).unwrap();
        open(&path, mode);
        path
    };
    let copy = |from: &Path, name: &str, mode| {
        let to = directory.path().join(name);
        fs::copy(from, &to).unwrap();
        open(&to, mode);
        to
    };
    make(".", 0o755);
    let from = self::directory();
    let corpus = make("corpus", 0o755);
    for entry in fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().path()) {
        let name = format!("corpus/{}", entry.file_name().unwrap().to_str().unwrap());
        if entry.is_dir() {
            make(&name, 0o755);
            for file in fs::read_dir(&entry).unwrap().map(|file| file.unwrap().path()) {
                copy(&file, &format!("{name}/{}", file.file_name().unwrap().to_str().unwrap()), 0o644);
            }
        } else {
            copy(&entry, &name, 0o644);
        }
    }
    let mut command = Command::new(copy(&std::env::current_exe().unwrap(), "tests", 0o755));
    command
        .args([prefix, "--include-ignored", "--test-threads", "1"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TMPDIR", make("scratch", 0o777))
        .env("E2B_ATTACK_SECRET", "of-the-service")
        .env("E2B_TEST_ATTACKS", corpus);
    for (variable, program) in programs {
        command.env(variable, copy(program, variable, 0o755));
    }
    for name in ["E2B_ATTACK", "E2B_ATTACKS_REPORT", "E2B_TESTS_REQUIRED", "E2BRIDGE_FULL"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let output = command.current_dir("/").uid(ORDINARY).gid(ORDINARY).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("test result: ok. ") && !said.contains("ok. 0 passed"), "{said}");
}
