//! Interpreters of the host: each candidate is asked what it really is, so that a shim leads to the real thing and only that becomes
//! visible in sandboxes.

use std::collections::VecDeque;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2bridge_protocol::supervisor::{Failure, FailureKind, Template};
use e2bridge_protocol::worker::PROGRAMS;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use serde::Deserialize;

use crate::failure::failure;
use crate::plan::{Interpreter, Need, PLACES};
use crate::sys;

/// Longest time for one candidate to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer, bytes.
const LARGEST: usize = 512 * 1024;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Its arguments are the worker program and where that is in a sandbox; compiled once, each start of it is by a fifth cheaper. Bytes are
/// given as characters.
const ASK_PYTHON: &str = "\
import importlib.util, json, marshal, os, sys, sysconfig
real = os.path.realpath
get = sysconfig.get_config_var
library = os.path.join(get('LIBDIR') or '', get('INSTSONAME') or '')
usable = sys.version_info >= (3, 8)
def compiled():
    code = compile(sys.argv[1], sys.argv[2], 'exec', dont_inherit=True)
    return (importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code)).decode('latin-1')
print(json.dumps({
    'executable': real(getattr(sys, '_base_executable', None) or sys.executable),
    'prefixes': sorted({real(sys.base_prefix), real(sys.base_exec_prefix)}),
    'parts': [real(os.path.dirname(os.__file__)), real(sysconfig.get_path('platstdlib'))]
        + ([library, real(library)] if os.path.isfile(library) and '.so' in library else []),
    'version': 'Python ' + sys.version.split()[0],
    'usable': usable,
    'worker': compiled() if usable else None,
}))
";

const ASK_NODE: &str = "\
const fs = require('fs'), path = require('path');
const executable = fs.realpathSync(process.execPath), prefix = path.dirname(path.dirname(executable));
const whole = fs.existsSync(path.join(prefix, 'include/node')) || fs.existsSync(path.join(prefix, 'lib/node_modules'));
console.log(JSON.stringify({
  executable, prefixes: whole ? [prefix] : [], parts: [], version: 'Node.js ' + process.version,
  usable: Number(process.versions.node.split('.')[0]) >= 18,
}));
";

/// What a candidate says of itself.
#[derive(Debug, Deserialize)]
struct Answer {
    executable: PathBuf,
    prefixes: Vec<PathBuf>,
    parts: Vec<PathBuf>,
    version: String,
    usable: bool,
    worker: Option<String>,
}

/// The search for a template's interpreter.
pub(crate) struct Probe {
    template: Template,
    candidates: VecDeque<String>,
    tried: Vec<String>,
    asked: Option<Asked>,
}

struct Asked {
    candidate: String,
    child: Child,
    /// What it writes to.
    output: fs::File,
    pidfd: OwnedFd,
    deadline: Instant,
}

impl Probe {
    /// Of `python` or `node`, among the candidates in order.
    pub(crate) fn new(template: Template, candidates: &[String]) -> Self {
        Self { template, candidates: candidates.iter().cloned().collect(), tried: Vec::new(), asked: None }
    }

    /// The process that is asked now: readable when it has ended.
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.asked.as_ref().map(|asked| asked.pidfd.as_fd())
    }

    /// When to call [`Self::advance`] at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.asked.as_ref().map(|asked| asked.deadline)
    }

    /// Goes on: evaluates the process that was asked when it has ended, asks the next one. `None` while one is being asked.
    pub(crate) fn advance(&mut self, now: Instant) -> Option<Result<Interpreter, Failure>> {
        if let Some(asked) = &mut self.asked {
            match asked.child.try_wait() {
                Ok(None) if now < asked.deadline => return None,
                _ => {}
            }
            let asked = self.asked.take()?;
            let candidate = asked.candidate.clone();
            match asked.answer() {
                Ok(interpreter) => return Some(Ok(interpreter)),
                Err(reason) => self.tried.push(format!("{candidate}: {reason}")),
            }
        }
        while let Some(candidate) = self.candidates.pop_front() {
            match self.ask(&candidate, now) {
                Ok(asked) => {
                    self.asked = Some(asked);
                    return None;
                }
                Err(reason) => self.tried.push(format!("{candidate}: {reason}")),
            }
        }
        Some(Err(self.missing()))
    }

    fn missing(&self) -> Failure {
        let (name, variable, package) = match self.template {
            Template::Node => ("Node.js 18 or newer", "E2B_NODE", "nodejs"),
            _ => ("Python 3.8 or newer", "E2B_PYTHON", "python3"),
        };
        let tried = if self.tried.is_empty() { "no candidate".to_owned() } else { self.tried.join("; ") };
        Failure {
            remedy: Some(format!("install {package}, or set {variable} to the path of an interpreter")),
            ..failure(
                FailureKind::MissingInterpreter,
                "find interpreter",
                format!("{name} not found; tried: {tried}"),
            )
        }
    }

    fn ask(&self, candidate: &str, now: Instant) -> Result<Asked, String> {
        let path = resolve(candidate).ok_or("not found")?;
        let mut command = Command::new(&path);
        match self.template {
            Template::Node => command.args(["-e", ASK_NODE]),
            _ => {
                let inside = format!("{PROGRAMS}/python.py");
                command.args(["-I", "-S", "-c", ASK_PYTHON, e2bridge_worker::PYTHON_WORKER, &inside])
            }
        };
        let output = bounded_file().map_err(|error| error.to_string())?;
        command
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .envs(home().map(|home| ("HOME", home)))
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(|error| error.to_string())?)
            .stderr(Stdio::null())
            .process_group(0);
        sys::end_with_parent(&mut command);
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let Some(Ok(pidfd)) = pid.map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty())) else {
            end(&mut child);
            return Err("cannot be watched".to_owned());
        };
        Ok(Asked { candidate: candidate.to_owned(), child, output, pidfd, deadline: now + PATIENCE })
    }
}

/// A file in memory for an answer, which nobody can make longer. (A pipe may hold less.)
fn bounded_file() -> std::io::Result<fs::File> {
    let file = rustix::fs::memfd_create("e2b-answer", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    rustix::fs::ftruncate(&file, LARGEST as u64)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file.into())
}

impl Drop for Asked {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a candidate with all that it started in its group.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // The child has not been waited for, or its group has other members: the number is not another's. Nothing may be left.
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

impl Asked {
    fn answer(mut self) -> Result<Interpreter, String> {
        match self.child.try_wait() {
            Ok(Some(status)) if status.success() => {}
            Ok(Some(status)) => return Err(status.to_string()),
            Ok(None) => return Err(format!("no answer within {} s", PATIENCE.as_secs())),
            Err(error) => return Err(error.to_string()),
        }
        let mut bytes = vec![0; LARGEST];
        self.output.read_exact_at(&mut bytes, 0).map_err(|error| error.to_string())?;
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(LARGEST);
        let answer: Answer = serde_json::from_slice(&bytes[..length])
            .map_err(|error| format!("unexpected output: {error}"))?;
        if !answer.usable {
            return Err(format!("{} is too old", answer.version));
        }
        let homes = homes(&fs::read_to_string("/etc/passwd").unwrap_or_default());
        Ok(Interpreter {
            needs: needs(&answer, &homes).into_iter().filter_map(existing).collect(),
            executable: answer.executable,
            version: answer.version,
            worker: answer.worker.as_deref().and_then(bytes_of),
        })
    }
}

/// The bytes that a text's characters are the numbers of.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|character| u8::try_from(character).ok()).collect()
}

fn existing(path: PathBuf) -> Option<Need> {
    let metadata = fs::metadata(&path).ok()?;
    Some(Need { directory: metadata.is_dir(), path })
}

/// What must be visible of an interpreter: its whole prefix where that is its own, else only the parts that it cannot do without.
fn needs(answer: &Answer, homes: &[PathBuf]) -> Vec<PathBuf> {
    let mut needs = Vec::new();
    for prefix in &answer.prefixes {
        if !shared(prefix, homes) {
            needs.push(prefix.clone());
        }
    }
    needs.push(answer.executable.clone());
    needs.extend(answer.parts.iter().cloned());
    // Below /usr everything is visible, but for the writable place in it; and what is inside of another need is so, too.
    needs.retain(|path| {
        path.is_absolute()
            && path.components().count() > 2
            && (!path.starts_with("/usr") || path.starts_with("/usr/local"))
    });
    needs.retain(|path| !shared(path, homes));
    needs.sort();
    needs.dedup_by(|later, earlier| later.starts_with(earlier));
    needs
}

/// Whether a directory is a place of many things, home directories above all.
fn shared(directory: &Path, homes: &[PathBuf]) -> bool {
    const COMMON: [&str; 12] = [
        "/",
        "/usr",
        "/usr/local",
        "/etc",
        "/opt",
        "/srv",
        "/var",
        "/var/lib",
        "/home",
        "/mnt",
        "/run",
        "/tmp",
    ];
    COMMON.iter().any(|common| directory == Path::new(common))
        || PLACES.iter().any(|place| directory == Path::new(place.path))
        || directory.ends_with(".local")
        || homes.iter().any(|home| home.starts_with(directory))
}

fn homes(passwd: &str) -> Vec<PathBuf> {
    passwd
        .lines()
        .filter_map(|line| line.split(':').nth(5))
        .filter(|home| home.len() > 1)
        .map(PathBuf::from)
        .collect()
}

/// Home directory of the calling user, which some shims need.
fn home() -> Option<String> {
    let user = rustix::process::geteuid().as_raw().to_string();
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&user))?;
    line.split(':').nth(5).map(str::to_owned)
}

/// A path as it is, a name along the fixed search path.
fn resolve(candidate: &str) -> Option<PathBuf> {
    let executable =
        |path: &Path| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    if candidate.contains('/') {
        return Some(PathBuf::from(candidate)).filter(|path| path.is_absolute() && executable(path));
    }
    PATH.split(':').map(|directory| Path::new(directory).join(candidate)).find(|path| executable(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(executable: &str, prefix: &str, parts: &[&str]) -> Answer {
        Answer {
            executable: executable.into(),
            prefixes: vec![prefix.into()],
            parts: parts.iter().map(Into::into).collect(),
            version: String::new(),
            usable: true,
            worker: None,
        }
    }

    fn paths(answer: &Answer) -> Vec<String> {
        let homes = ["/root".into(), "/home/alice".into()];
        needs(answer, &homes).into_iter().map(|path| path.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_systems_interpreter_needs_nothing_more() {
        assert!(paths(&answer("/usr/bin/python3.11", "/usr", &["/usr/lib/python3.11"])).is_empty());
    }

    #[test]
    fn a_prefix_of_its_own_is_visible_as_a_whole() {
        let prefix = "/root/.pyenv/versions/3.11.7";
        let exe = format!("{prefix}/bin/python3.11");
        assert_eq!(paths(&answer(&exe, prefix, &[&format!("{prefix}/lib/python3.11")])), [prefix]);
    }

    #[test]
    fn of_a_shared_prefix_only_the_parts_are_visible() {
        let parts = ["/usr/local/lib/python3.12", "/usr/local/lib/libpython3.12.so.1.0"];
        assert_eq!(
            paths(&answer("/usr/local/bin/python3.12", "/usr/local", &parts)),
            ["/usr/local/bin/python3.12", "/usr/local/lib/libpython3.12.so.1.0", "/usr/local/lib/python3.12"]
        );
        let home = answer("/home/alice/bin/node", "/home/alice", &[]);
        assert_eq!(paths(&home), ["/home/alice/bin/node"]);
        let local = answer("/home/alice/.local/bin/node", "/home/alice/.local", &["/home"]);
        assert_eq!(paths(&local), ["/home/alice/.local/bin/node"]);
    }

    fn settle(probe: &mut Probe) -> Result<Interpreter, Failure> {
        loop {
            if let Some(result) = probe.advance(Instant::now()) {
                return result;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn candidates_are_tried_in_order_and_named_when_none_will_do() {
        let directory = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            use std::os::unix::fs::PermissionsExt;
            let path = directory.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let reply = |usable| {
            format!(
                "echo '{{\"executable\":\"/usr/bin/true\",\"prefixes\":[],\"parts\":[],\"version\":\"V\",\"usable\":{usable}}}'"
            )
        };
        let candidates = [
            "/nonexistent/python".to_owned(),
            script("fails", "exit 3"),
            script("talks", "echo hello"),
            script("old", &reply(false)),
        ];
        let failure = settle(&mut Probe::new(Template::Python, &candidates)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::MissingInterpreter);
        for part in ["/nonexistent/python: not found", "exit status: 3", "unexpected output", "V is too old"]
        {
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        let good = [candidates[1].clone(), script("good", &reply(true)), script("later", "exit 1")];
        let found = settle(&mut Probe::new(Template::Node, &good)).unwrap();
        assert_eq!((found.executable, found.version), (PathBuf::from("/usr/bin/true"), "V".to_owned()));
    }
}
