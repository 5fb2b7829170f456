//! What every test of the engine needs: an engine, short ways to call it, and the proof that nothing is left of it.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use e2bridge_core::document::{ProcessResult, SandboxCreated, SandboxState};
use e2bridge_core::request::{CreateSandbox, ExecuteProcess, StatusFilter, WriteFile};
use e2bridge_core::{Backend, CancelToken, Code, Error, Result};
use e2bridge_local::{Config, LocalBackend};
use rustix::process::{Pid, Signal, kill_process};

/// One test at a time: each counts processes, threads and descriptors.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// An engine with what there was before it.
pub(crate) struct Fixture {
    backend: Option<LocalBackend>,
    before: Residue,
    _turn: MutexGuard<'static, ()>,
}

impl Deref for Fixture {
    type Target = LocalBackend;

    fn deref(&self) -> &LocalBackend {
        self.backend.as_ref().expect("open until the fixture ends")
    }
}

/// What this process has of the host.
#[derive(Debug, PartialEq, Eq)]
struct Residue {
    descendants: BTreeSet<u32>,
    descriptors: usize,
    threads: BTreeSet<u32>,
}

impl Residue {
    fn now() -> Self {
        Self {
            descendants: descendants(std::process::id()),
            descriptors: entries("/proc/self/fd"),
            threads: threads(),
        }
    }
}

/// An engine; `None`, with the reason on standard error, where the host cannot have one.
pub(crate) fn open() -> Option<Fixture> {
    open_with(Config::default())
}

/// An engine that keeps no sandboxes ready, so that counts are exact.
pub(crate) fn open_without_pools() -> Option<Fixture> {
    open_with(without_pools())
}

pub(crate) fn without_pools() -> Config {
    Config { pool_base: Some(0), pool_python: Some(0), pool_node: Some(0), ..Config::default() }
}

pub(crate) fn open_with(config: Config) -> Option<Fixture> {
    let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = Residue::now();
    let attempt = LocalBackend::open(config).and_then(|backend| {
        let sandbox = backend.create_sandbox(&request("probe"), &CancelToken::new())?;
        backend.terminate_sandbox(&sandbox.sandbox_id, true)?;
        Ok(backend)
    });
    match attempt {
        Ok(backend) => Some(Fixture { backend: Some(backend), before, _turn: turn }),
        Err(error) => {
            assert!(
                std::env::var("E2B_TESTS_REQUIRED").as_deref() != Ok("1"),
                "no engine on this host: {error}"
            );
            eprintln!("skipped: no engine on this host: {error}");
            None
        }
    }
}

impl Drop for Fixture {
    /// Closes the engine and proves that nothing of it is left.
    fn drop(&mut self) {
        let backend = self.backend.take().expect("open until now");
        let supervisor = supervisor_pid(&backend);
        let groups = supervisor.map(groups_of).unwrap_or_default();
        let began = Instant::now();
        backend.close();
        let took = began.elapsed();
        let live = backend.live_sandboxes();
        drop(backend);
        if std::thread::panicking() {
            return;
        }
        assert!(took < Duration::from_secs(2), "close took {took:?}");
        assert_eq!(live, 0, "sandboxes alive after close");
        assert_eq!(Residue::now(), self.before, "left behind");
        for group in groups {
            assert!(!Path::new(&group).exists(), "{group} is left behind");
        }
    }
}

/// Process id of the supervisor, from the health report.
pub(crate) fn supervisor_pid(backend: &LocalBackend) -> Option<u32> {
    let report = backend.monitor_health(false).ok()?;
    report.engine.get("supervisor_pid")?.as_u64()?.try_into().ok()
}

/// The cgroup directories that the owner record of the supervisor's client names.
fn groups_of(supervisor: u32) -> Vec<String> {
    let mut groups = Vec::new();
    for record in fs::read_dir("/run/e2bridge").into_iter().flatten().flatten() {
        let held = fs::read_dir(format!("/proc/{supervisor}/fd"))
            .into_iter()
            .flatten()
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == record.path()));
        if held {
            groups.push(record.path().display().to_string());
            let text = fs::read_to_string(record.path()).unwrap_or_default();
            groups.extend(
                text.split('"').filter(|part| part.starts_with("/sys/fs/cgroup/")).map(str::to_owned),
            );
        }
    }
    groups
}

/// Every process below `ancestor`.
pub(crate) fn descendants(ancestor: u32) -> BTreeSet<u32> {
    let parents: Vec<(u32, u32)> = processes().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = BTreeSet::from([ancestor]);
    loop {
        let more: Vec<u32> = parents
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            found.remove(&ancestor);
            return found;
        }
        found.extend(more);
    }
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Processes on the host whose command line has `text` in it.
pub(crate) fn processes_with(text: &str) -> usize {
    processes()
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut parts = line.split(|byte| *byte == 0);
            parts.any(|part| part == text.as_bytes())
        })
        .count()
}

/// The inits of all sandboxes of a supervisor.
pub(crate) fn inits(supervisor: u32) -> BTreeSet<u32> {
    let is_init =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "e2b-init\n");
    descendants(supervisor).into_iter().filter(is_init).collect()
}

/// Sends a signal to a process on the host.
pub(crate) fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("no 0"), signal)
        .expect("a signal sent");
}

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).map_or(0, Iterator::count)
}

/// Threads of this process that are not the test harness's own.
fn threads() -> BTreeSet<u32> {
    fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name.starts_with("e2b-"))
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// A request with every default.
pub(crate) fn request(name: &str) -> CreateSandbox {
    CreateSandbox::new(name, None, None, None, None).expect("a valid request")
}

/// A sandbox with every default.
pub(crate) fn create(backend: &LocalBackend) -> SandboxCreated {
    backend.create_sandbox(&request("test"), &CancelToken::new()).expect("create")
}

/// Runs a line of shell.
pub(crate) fn try_sh(backend: &LocalBackend, id: &str, line: &str, timeout: i64) -> Result<ProcessResult> {
    let request = ExecuteProcess::new(id, line, None, Some(timeout), None)?;
    backend.execute_process(&request, &CancelToken::new())
}

/// Runs a line of shell that must come to a result.
pub(crate) fn sh(backend: &LocalBackend, id: &str, line: &str) -> ProcessResult {
    try_sh(backend, id, line, 30).expect(line)
}

/// Runs a program with arguments, without a shell.
pub(crate) fn run(backend: &LocalBackend, id: &str, program: &str, args: &[&str]) -> ProcessResult {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    let request = ExecuteProcess::new(id, program, Some(args), Some(30), None).expect("a valid request");
    backend.execute_process(&request, &CancelToken::new()).expect(program)
}

/// Writes a file.
pub(crate) fn write(backend: &LocalBackend, id: &str, path: &str, content: &[u8]) -> Result<()> {
    backend.write_file(&WriteFile::new(id, path, content)?, &CancelToken::new()).map(drop)
}

/// State of a sandbox.
pub(crate) fn state(backend: &LocalBackend, id: &str) -> SandboxState {
    backend.sandbox_status(id).expect("status").status
}

/// Ids of the sandboxes that pass a filter.
pub(crate) fn ids(backend: &LocalBackend, filter: &str) -> Vec<String> {
    let filter = StatusFilter::parse(Some(filter)).expect("a filter");
    backend.list_sandboxes(filter).expect("list").sandboxes.into_iter().map(|row| row.sandbox_id).collect()
}

/// What an error says, in short.
pub(crate) fn facts(error: &Error) -> (Code, Option<&str>, Option<&str>) {
    (error.code(), error.argument(), error.context().get("status").and_then(|status| status.as_str()))
}

/// Waits until `done`, at most `patience`.
pub(crate) fn eventually(patience: Duration, what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + patience;
    while !done() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
