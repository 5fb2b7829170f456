//! A sandbox, seen from the library. Here is what it is made of and what it becomes by its hand-out; how long it lives and why it ends
//! is in `life`, what its init is asked for in `requests`, what a call is told that came to nothing in `gone`, what it uses in
//! `figures`, what is said about it in `documents`.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Instant;

use e2bridge_core::Result;
use e2bridge_core::document::{IsolationReport, SandboxLimits};
use e2bridge_core::prepared::Prepared;
use e2bridge_core::request::BuiltinTemplate;

use self::figures::Sampling;
use self::life::Life;
use crate::engine::Engine;
use crate::execution::HOME;
use crate::supervisor::Supervisor;
use crate::usage::Usage;
use crate::worker::Workers;

mod documents;
mod figures;
mod gone;
mod life;
mod requests;

pub(crate) use self::life::{Cause, ended_error};
pub(crate) use self::requests::{SHUT_DOWN_PATIENCE, channel_pair, shut_down_request};

/// Search path of programs; an interpreter elsewhere comes before it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A started sandbox. First it is ready in a pool or being prepared, then it is handed out, then it is ended; its id is its own
/// from the start and known to nobody before the hand-out. All methods may be called from any thread.
pub(crate) struct Sandbox {
    /// `sb_…`
    pub(crate) id: Arc<str>,
    /// Its number at the supervisor.
    pub(crate) number: u64,
    /// The built-in template that it runs.
    pub(crate) template: BuiltinTemplate,
    /// In force.
    pub(crate) limits: Prepared<SandboxLimits>,
    /// In force.
    pub(crate) isolation: Prepared<IsolationReport>,
    /// Absolute path, inside, of the template's interpreter; `None` for `base`.
    pub(crate) interpreter: Option<String>,
    /// Without namespaces: the directory on the host below which its writable places are.
    root: Option<String>,
    /// Its init holds a warm CPython.
    pub(crate) forks_python: bool,
    /// Its warm interpreters.
    pub(crate) workers: Workers,
    /// The supervisor that made it.
    pub(crate) supervisor: Arc<Supervisor>,
    engine: Weak<Engine>,
    control: OwnedFd,
    usage: Usage,
    made: Instant,
    assignment: OnceLock<Assignment>,
    life: Mutex<Life>,
    sampling: Mutex<Sampling>,
    /// An execution has ended since the last sample.
    changed: AtomicBool,
    /// A program or a transfer of files has been asked for, so that an orderly end may mean something.
    had_programs: AtomicBool,
    executions: AtomicU64,
}

/// What a sandbox is from its hand-out on.
#[derive(Debug)]
pub(crate) struct Assignment {
    /// As asked for.
    pub(crate) name: Arc<str>,
    /// Name of its template.
    pub(crate) template_name: Arc<str>,
    /// `tpl_` id of an exported template.
    pub(crate) template_id: Option<String>,
    /// Variables of every execution, beside the fixed ones.
    pub(crate) env: Vec<(String, String)>,
    /// Deployment that it belongs to.
    pub(crate) deployment_id: Option<String>,
    /// Position among the hand-outs of this client.
    pub(crate) order: u64,
    /// When it was handed out.
    pub(crate) started: Instant,
    /// The same for documents.
    pub(crate) started_at: Arc<str>,
}

/// What a sandbox is made of.
pub(crate) struct Parts {
    pub(crate) id: String,
    pub(crate) number: u64,
    pub(crate) template: BuiltinTemplate,
    pub(crate) limits: SandboxLimits,
    pub(crate) isolation: Prepared<IsolationReport>,
    pub(crate) interpreter: Option<String>,
    pub(crate) forks_python: bool,
    /// As the supervisor says.
    pub(crate) root: Option<String>,
    pub(crate) supervisor: Arc<Supervisor>,
    pub(crate) engine: Weak<Engine>,
    pub(crate) control: OwnedFd,
    pub(crate) usage: Usage,
}

impl Sandbox {
    pub(crate) fn new(parts: Parts) -> Self {
        let made = Instant::now();
        Self {
            id: parts.id.into(),
            number: parts.number,
            template: parts.template,
            limits: parts.limits.into(),
            isolation: parts.isolation,
            interpreter: parts.interpreter,
            forks_python: parts.forks_python,
            root: parts.root,
            workers: Workers::default(),
            supervisor: parts.supervisor,
            engine: parts.engine,
            control: parts.control,
            usage: parts.usage,
            made,
            assignment: OnceLock::new(),
            life: Mutex::new(Life::new(made)),
            sampling: Mutex::new(Sampling::new(made)),
            changed: AtomicBool::new(false),
            had_programs: AtomicBool::new(false),
            executions: AtomicU64::new(0),
        }
    }

    /// One without engine and supervisor, for tests, and the end of its control socket that an init would have. Never dropped, because
    /// of what stands for its supervisor.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn stand_in() -> std::io::Result<(&'static Self, OwnedFd)> {
        let (control, far) = channel_pair().map_err(std::io::Error::other)?;
        let sandbox = Self::new(Parts {
            id: "sb_stand_in".to_owned(),
            number: 1,
            template: BuiltinTemplate::Base,
            limits: SandboxLimits { memory_mb: 64, cpu_count: 1, disk_mb: 32, processes: 32 },
            isolation: IsolationReport::default().into(),
            root: None,
            interpreter: None,
            forks_python: false,
            supervisor: Arc::new(Supervisor::stand_in()?),
            engine: Weak::new(),
            control,
            usage: Usage::new(e2bridge_protocol::supervisor::Cgroups::default()),
        });
        Ok((Box::leak(Box::new(sandbox)), far))
    }

    /// Hands it out; once.
    ///
    /// # Errors
    /// `NOT_FOUND` with `context.status` when it has ended.
    pub(crate) fn assign(&self, assignment: Assignment, timeout: u32) -> Result<()> {
        self.set_deadline(assignment.started, timeout)?;
        // A second hand-out cannot happen: a pool gives each of its sandboxes away once.
        let _ = self.assignment.set(assignment);
        Ok(())
    }

    /// What it is since its hand-out; `None` before.
    pub(crate) fn assignment(&self) -> Option<&Assignment> {
        self.assignment.get()
    }

    /// Its name; empty before the hand-out.
    pub(crate) fn name(&self) -> Arc<str> {
        self.assignment().map(|assignment| Arc::clone(&assignment.name)).unwrap_or_default()
    }

    /// Name of its template, the exported one if it is made of one.
    pub(crate) fn template_name(&self) -> Arc<str> {
        self.assignment()
            .map_or_else(|| self.template.name().into(), |assignment| Arc::clone(&assignment.template_name))
    }

    /// When it was handed out; before, when it was made.
    fn started(&self) -> Instant {
        self.assignment().map_or(self.made, |assignment| assignment.started)
    }

    /// When it was handed out, for documents; empty before.
    pub(crate) fn started_at(&self) -> Arc<str> {
        self.assignment().map(|assignment| Arc::clone(&assignment.started_at)).unwrap_or_default()
    }

    /// Deployment that it belongs to.
    pub(crate) fn deployment_id(&self) -> Option<&str> {
        self.assignment()?.deployment_id.as_deref()
    }

    /// Where programs find one of the writable places, or a worker program: without a mount namespace below a directory of the
    /// sandbox's own. (Its init finds the paths of requests by itself.)
    pub(crate) fn place(&self, path: &str) -> String {
        format!("{}{path}", self.root.as_deref().unwrap_or_default())
    }

    /// The fixed variables of a program, and those of the sandbox.
    pub(crate) fn environment(&self) -> Vec<String> {
        let directory = self
            .interpreter
            .as_deref()
            .and_then(|path| path.rsplit_once('/'))
            .map(|(directory, _)| directory);
        let path = match directory {
            Some(directory) if !directory.is_empty() && !PATH.split(':').any(|known| known == directory) => {
                format!("PATH={directory}:{PATH}")
            }
            _ => format!("PATH={PATH}"),
        };
        let mut env = vec![
            path,
            format!("HOME={}", self.place(HOME)),
            "USER=user".to_owned(),
            "LOGNAME=user".to_owned(),
            "SHELL=/bin/sh".to_owned(),
            "LANG=C.UTF-8".to_owned(),
            "E2B_SANDBOX=true".to_owned(),
            format!("E2B_SANDBOX_ID={}", self.id),
        ];
        if let Some(root) = &self.root {
            env.extend([format!("E2B_ROOT={root}"), format!("TMPDIR={root}/tmp")]);
        }
        // Once per name: ten thousand of them come with every program.
        let given = self.assignment().map_or(&[][..], |assignment| &assignment.env);
        env.retain(|variable| !given.iter().any(|(name, _)| variable.split('=').next() == Some(name)));
        env.extend(given.iter().map(|(name, value)| format!("{name}={value}")));
        env
    }
}
