//! Every attack, each way, and what must work afterwards.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use e2bridge_core::document::{CodeResult, ProcessResult, SandboxState};
use e2bridge_core::request::{CreateSandbox, ExecuteProcess, RunCode};
use e2bridge_core::{Backend, CancelToken, Result};
use e2bridge_local::{Config, LocalBackend};

use self::corpus::{Attack, Ended, Facts, Host, Language, Verdict};

#[path = "../../../../attacks/corpus.rs"]
mod corpus;

/// Memory of every sandbox here, MiB; its files may take half of it.
const MEMORY_MB: u32 = 96;
const DISK_MB: u32 = 16;
/// How long what an attack left may hinder others in its sandbox.
const PATIENCE: Duration = Duration::from_secs(30);

/// What of the engine an attack goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Process,
    Code,
}

/// One attack, one template, one way.
struct Case {
    attack: Attack,
    template: &'static str,
    way: Way,
}

impl Case {
    fn name(&self) -> String {
        format!("{} in {} by {:?}", self.attack.name, self.template, self.way)
    }
}

/// Where an attack can be run. JavaScript is Node's by a process, and that of the template as code.
fn cases(attack: &Attack, full: bool, turn: usize) -> Vec<Case> {
    const ALL: [&str; 3] = ["base", "python", "node"];
    let node = attack.language == Language::JavaScript && !attack.node;
    let by_process: &[&'static str] = if node { &[] } else { &ALL };
    let by_code: &[&'static str] = match attack.language {
        Language::Shell => &ALL,
        Language::Python => &["python"],
        Language::JavaScript if attack.embedded && attack.node => &["base", "node"],
        Language::JavaScript if attack.embedded => &["base"],
        Language::JavaScript => &["node"],
    };
    let by_code = if attack.only_as_program { &[] } else { by_code };
    let templates = |of: &[&'static str]| of.to_vec();
    let all: Vec<_> = [(Way::Process, templates(by_process)), (Way::Code, templates(by_code))]
        .into_iter()
        .flat_map(|(way, templates)| templates.into_iter().map(move |template| (way, template)))
        .collect();
    let chosen = match full {
        true => all,
        // By turns, so that every template and every way has its share.
        false => vec![all[turn % all.len()]],
    };
    chosen.into_iter().map(|(way, template)| Case { attack: attack.clone(), template, way }).collect()
}

struct Engine {
    backend: LocalBackend,
    host: Host,
    facts: Facts,
    neighbour: String,
    /// Open for whoever inherits it, as a JVM leaks descriptors.
    _leaked: OwnedFd,
}

impl Engine {
    /// `None`, with the reason on standard error, where the host cannot isolate.
    fn open() -> Option<Self> {
        let limits = Facts {
            memory_bytes: u64::from(MEMORY_MB) << 20,
            processes: 256,
            disk_bytes: u64::from(DISK_MB) << 20,
            disk_inodes: u64::from(DISK_MB) * 128,
            processors: 1,
            ..Facts::default()
        };
        let leaked = rustix::io::dup(File::open("/").unwrap()).unwrap();
        let config = Config {
            pool_base: Some(0),
            pool_python: Some(0),
            pool_node: Some(0),
            disk_mb: Some(DISK_MB),
            ..Config::default()
        };
        let opened = LocalBackend::open(config).and_then(|backend| {
            let neighbour = create(&backend, "base")?;
            Ok((backend, neighbour))
        });
        let (backend, neighbour) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                assert!(
                    std::env::var("E2B_TESTS_REQUIRED").as_deref() != Ok("1"),
                    "no engine on this host: {error}"
                );
                eprintln!("skipped: no engine on this host: {error}");
                return None;
            }
        };
        let host = Host::new(&limits);
        let facts = host.facts();
        let line = "/usr/bin/python3 -I -S -c \"$0\" >/tmp/said & \
                    n=0; until grep -q ready /tmp/said 2>/dev/null; do n=$((n+1)); [ $n -gt 200 ] && exit 1; sleep 0.05; done";
        let args = ["-c", line, &corpus::neighbour(&facts)].map(str::to_owned).to_vec();
        let started = execute(&backend, &neighbour, "/bin/sh", Some(args), 30).unwrap();
        assert_eq!(started.exit_code, 0, "the neighbour does not come up: {started:?}");
        Some(Self { backend, host, facts, neighbour, _leaked: leaked })
    }

    fn shell(&self, sandbox: &str, line: &str) -> Result<ProcessResult> {
        execute(&self.backend, sandbox, line, None, 20)
    }

    fn attempt(&self, case: &Case, sandbox: &str) -> Result<Verdict> {
        let attack = &case.attack;
        let (facts, timeout) = (&self.facts, i64::from(attack.timeout));
        let program = attack.program(facts);
        let mut ended = match case.way {
            Way::Process => {
                let (command, before): (_, &[&str]) = match attack.language {
                    Language::Shell => ("/bin/sh", &["-c"]),
                    Language::Python => ("/usr/bin/python3", &["-I", "-S", "-c"]),
                    Language::JavaScript => ("/usr/bin/node", &["--max-old-space-size=2048", "-e"]),
                };
                let args = before.iter().map(|&text| text.to_owned()).chain([program]).collect();
                of_process(execute(&self.backend, sandbox, command, Some(args), timeout)?)
            }
            Way::Code => {
                let language = match attack.language {
                    Language::Shell => "shell",
                    Language::Python => "python",
                    Language::JavaScript => "javascript",
                };
                let request = RunCode::new(sandbox, language, &program, None, Some(timeout))?;
                of_code(self.backend.run_code(&request, &CancelToken::new())?)
            }
        };
        if let Some(line) = attack.afterwards(facts) {
            ended.afterwards = Some(patiently(|| self.shell(sandbox, &line))?.stdout);
        }
        if let Some(program) = attack.neighbour_program(facts) {
            let args = ["-I", "-S", "-c", &program].map(str::to_owned).to_vec();
            let told = execute(&self.backend, &self.neighbour, "/usr/bin/python3", Some(args), 20)?;
            ended.afterwards = Some(told.stdout);
        }
        // Whatever was written, no more than the head of it is kept.
        if ended.stdout.len().max(ended.stderr.len()) > 8 << 20 {
            return Ok(Verdict::Escaped(format!("{} and {} bytes", ended.stdout.len(), ended.stderr.len())));
        }
        Ok(attack.judge(&ended))
    }

    /// Ordinary programs and code work.
    fn works(&self, sandbox: &str, template: &str) -> std::result::Result<(), String> {
        let said =
            patiently(|| self.shell(sandbox, corpus::ORDINARY_LINE)).map_err(|error| error.to_string())?;
        if said.stdout != corpus::ORDINARY_ANSWER {
            return Err(format!("nothing works afterwards in {sandbox}: {said:?}"));
        }
        let (language, code) = if template == "python" { ("python", "6*7") } else { ("javascript", "6*7") };
        let request =
            RunCode::new(sandbox, language, code, None, Some(10)).map_err(|error| error.to_string())?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ran = self.backend.run_code(&request, &CancelToken::new());
            match ran.as_ref().ok().and_then(|ran| ran.result.as_deref()) {
                Some("42") => return Ok(()),
                _ if Instant::now() > deadline => return Err(format!("no code runs afterwards: {ran:?}")),
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

fn create(backend: &LocalBackend, template: &str) -> Result<String> {
    let request = CreateSandbox::new("attacked", Some(template), None, Some(MEMORY_MB.into()), Some(1))?;
    Ok(backend.create_sandbox(&request, &CancelToken::new())?.sandbox_id)
}

fn execute(
    backend: &LocalBackend,
    sandbox: &str,
    command: &str,
    args: Option<Vec<String>>,
    timeout: i64,
) -> Result<ProcessResult> {
    let request = ExecuteProcess::new(sandbox, command, args, Some(timeout), None)?;
    backend.execute_process(&request, &CancelToken::new())
}

/// Runs something again for a while, as long as it cannot start or says nothing: what an attack left may be on its way out.
fn patiently(run: impl Fn() -> Result<ProcessResult>) -> Result<ProcessResult> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let result = run();
        if result.as_ref().is_ok_and(|said| !said.stdout.is_empty()) || Instant::now() > deadline {
            return result;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn of_process(result: ProcessResult) -> Ended {
    Ended {
        killed: result.signal.is_some() || result.out_of_memory,
        timed_out: result.timed_out,
        truncated: result.truncated,
        stdout: result.stdout,
        stderr: result.stderr,
        afterwards: None,
    }
}

fn of_code(result: CodeResult) -> Ended {
    let died =
        |name: &str| ["Signal", "ExitStatus", "MemoryError", "WorkerExited", "OutOfMemory"].contains(&name);
    Ended {
        killed: result.out_of_memory || result.error.as_ref().is_some_and(|error| died(&error.name)),
        timed_out: result.timed_out,
        truncated: result.truncated,
        stdout: result.stdout,
        stderr: match &result.error {
            Some(error) => format!("{error:?}"),
            None => result.stderr,
        },
        afterwards: None,
    }
}

#[test]
#[ignore = "scripts/test-attacks runs it, and makes a table of what it reports"]
fn attacks_are_contained_in_every_template_and_by_every_way() {
    let Some(engine) = Engine::open() else { return };
    let full = std::env::var_os("E2BRIDGE_FULL").is_some();
    let memory_group =
        engine.backend.sandbox_status(&engine.neighbour).unwrap().isolation.memory.starts_with("cgroup");
    let cases: Vec<_> = corpus::attacks()
        .iter()
        .filter(|attack| memory_group || !attack.needs_memory_group)
        .enumerate()
        .flat_map(|(turn, attack)| cases(attack, full, turn))
        .collect();
    corpus::for_each(&cases, Case::name, |case| {
        let said = |error: e2bridge_core::Error| format!("{}: {error}", case.name());
        let sandbox = create(&engine.backend, case.template).map_err(said)?;
        let verdict = engine.attempt(case, &sandbox).map_err(said)?;
        corpus::report(&case.attack, &format!("{}, {:?}", case.template, case.way), &verdict);
        let works =
            engine.works(&sandbox, case.template).and_then(|()| engine.works(&engine.neighbour, "base"));
        engine.backend.terminate_sandbox(&sandbox, true).map_err(said)?;
        match (verdict, works) {
            (Verdict::Contained(_), Ok(())) => Ok(()),
            (verdict, works) => Err(format!("{}: {verdict:?}, {works:?}", case.name())),
        }
    });
    let state = engine.backend.sandbox_status(&engine.neighbour).unwrap().status;
    assert_eq!(state, SandboxState::Running);
    drop(engine.host);
}

#[test]
#[ignore = "scripts/test-attacks runs it, and makes a table of what it reports"]
fn the_same_holds_for_an_ordinary_user() {
    if rustix::process::geteuid().is_root() {
        corpus::run_as_ordinary_user("attacks_are_contained", &[]);
    }
}
