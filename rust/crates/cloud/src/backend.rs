//! The backend trait on the client: each method is the function of the same name.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use e2bridge_core::document::{
    AgentResult, CodeResult, DeploymentCreated, DeploymentScaled, FileContent, FileWritten, HealthReport,
    ProcessResult, SandboxCreated, SandboxList, SandboxState, SandboxStatus, SandboxTerminated,
    TemplateDeleted, TemplateExported, TemplateFile, TemplateList, TimeoutSet,
};
use e2bridge_core::request::{
    CreateSandbox, DeployTemplate, ExecuteProcess, ExportTemplate, RunAgent, RunCode, ScaleDeployment,
    StatusFilter, WriteFile,
};
use e2bridge_core::time::{now, rfc3339};
use e2bridge_core::{Backend, CancelToken, Code, Result};

use crate::client::{Client, Known, New, SHORT, ended_error};
use crate::http::guard::Guard;
use crate::wire::api::State;
use crate::{CloudBackend, agent, code, deployment, execution, files, health, metadata, status, templates};

/// How long programs have to end by themselves when their sandbox is terminated without force.
const GRACE: Duration = Duration::from_secs(5);
/// How often it is looked whether they have.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl Backend for CloudBackend {
    fn name(&self) -> &'static str {
        "cloud"
    }

    fn create_sandbox(&self, request: &CreateSandbox, cancel: &CancelToken) -> Result<SandboxCreated> {
        let client = &self.client;
        let interrupt = client.transport.watch(cancel)?;
        let new = New {
            name: &request.name,
            template: &request.template,
            timeout: request.timeout_seconds,
            memory_mb: request.memory_mb,
            cpu_count: request.cpu_count,
            env: &BTreeMap::new(),
            metadata: BTreeMap::new(),
            own: true,
        };
        let known = client.create(&new, &client.guard(&interrupt))?;
        let detail = known.detail();
        let built_in = e2bridge_core::request::BuiltinTemplate::from_name(&request.template).is_some();
        Ok(SandboxCreated {
            sandbox_id: known.id(),
            name: request.name.clone(),
            status: SandboxState::Running,
            template: request.template.clone(),
            template_id: (!built_in).then(|| format!("tpl_{}", detail.template_id)),
            started_at: status::stamp(&detail.started_at),
            expires_at: status::stamp(&detail.end_at),
            timeout: request.timeout_seconds,
            limits: status::limits_of(&detail),
            isolation: status::isolation().into(),
            backend: self.name().to_owned(),
            timestamp: now(),
        })
    }

    fn list_sandboxes(&self, filter: StatusFilter) -> Result<SandboxList> {
        let client = &self.client;
        let guard = client.plain_guard();
        guard.check()?;
        let marks = [(metadata::MARK, metadata::MARKED)];
        let live = client.control.list(&client.transport, &guard, "running,paused", &marks)?;
        // One that was met and is not among them has ended; asking for it remembers how.
        for known in client.all_known() {
            if !live.iter().any(|detail| detail.sandbox_id == known.access.raw_id) {
                let _ = client.look(&known.id(), &known.access.raw_id, &guard);
            }
        }
        let mut sandboxes: Vec<_> = client.remembered().iter().map(SandboxStatus::summary).collect();
        sandboxes.extend(live.iter().map(status::summary));
        sandboxes.retain(|summary| filter.accepts(summary.status));
        sandboxes.sort_by(|a, b| a.started_at.cmp(&b.started_at));
        Ok(SandboxList { total_count: sandboxes.len(), sandboxes, timestamp: now() })
    }

    fn sandbox_status(&self, sandbox_id: &str) -> Result<SandboxStatus> {
        let client = &self.client;
        let guard = client.plain_guard();
        let (known, detail) = match client.look_at(sandbox_id, &guard) {
            Ok(found) => found,
            Err(error) => {
                return match client.remembered_status(sandbox_id) {
                    Some(status) if error.code() == Code::NotFound => {
                        Ok(SandboxStatus { timestamp: now(), ..status })
                    }
                    _ => Err(error),
                };
            }
        };
        let metric = if detail.state == State::Paused {
            None
        } else {
            client.control.metric(&client.transport, &guard, &detail.sandbox_id)?
        };
        Ok(status::document(&detail, metric.as_ref(), known.executions()))
    }

    fn execute_process(&self, request: &ExecuteProcess, cancel: &CancelToken) -> Result<ProcessResult> {
        execution::execute(&self.client, request, cancel)
    }

    fn run_agent(&self, request: &RunAgent, cancel: &CancelToken) -> Result<AgentResult> {
        agent::run(&self.client, request, cancel)
    }

    fn monitor_health(&self, include_all_sandboxes: bool) -> Result<HealthReport> {
        health::monitor(&self.client, include_all_sandboxes)
    }

    fn deploy_template(&self, request: &DeployTemplate, cancel: &CancelToken) -> Result<DeploymentCreated> {
        deployment::deploy(&self.client, request, cancel)
    }

    fn scale_deployment(&self, request: &ScaleDeployment, cancel: &CancelToken) -> Result<DeploymentScaled> {
        deployment::scale(&self.client, request, cancel)
    }

    fn export_template(&self, request: &ExportTemplate, cancel: &CancelToken) -> Result<TemplateExported> {
        templates::export(&self.client, request, cancel)
    }

    fn terminate_sandbox(&self, sandbox_id: &str, force: bool) -> Result<SandboxTerminated> {
        let began = Instant::now();
        let client = &self.client;
        let guard = client.plain_guard();
        let (known, _) = client.look_at(sandbox_id, &guard)?;
        let clean = !force && shut_down(client, &known, &guard);
        let reason = if force { "terminated by force" } else { "terminated" };
        if !client.end(&known, reason, &guard)? {
            return Err(ended_error(sandbox_id, SandboxState::Terminated));
        }
        Ok(SandboxTerminated {
            sandbox_id: known.id(),
            status: SandboxState::Terminated,
            forced: !clean,
            duration_ms: began.elapsed().as_secs_f64() * 1e3,
            timestamp: now(),
        })
    }

    fn run_code(&self, request: &RunCode, cancel: &CancelToken) -> Result<CodeResult> {
        code::run(&self.client, request, cancel)
    }

    fn write_file(&self, request: &WriteFile<'_>, cancel: &CancelToken) -> Result<FileWritten> {
        files::write(&self.client, request, cancel)
    }

    fn read_file(&self, sandbox_id: &str, path: &str, cancel: &CancelToken) -> Result<FileContent> {
        files::read(&self.client, sandbox_id, path, cancel)
    }

    fn set_timeout(&self, sandbox_id: &str, timeout_seconds: u32) -> Result<TimeoutSet> {
        let end = self.client.set_timeout(sandbox_id, timeout_seconds)?;
        Ok(TimeoutSet {
            sandbox_id: sandbox_id.to_owned(),
            timeout: timeout_seconds,
            expires_at: rfc3339(end),
            timestamp: now(),
        })
    }

    fn list_templates(&self) -> Result<TemplateList> {
        templates::list(&self.client)
    }

    fn delete_template(&self, template_name: &str) -> Result<TemplateDeleted> {
        templates::delete(&self.client, template_name)
    }

    fn export_template_file(&self, _: &str, _: &str) -> Result<TemplateFile> {
        self.client.transport.closing.check_open()?;
        Err(templates::no_files())
    }

    fn import_template_file(&self, _: &str, _: Option<&str>) -> Result<TemplateExported> {
        self.client.transport.closing.check_open()?;
        Err(templates::no_files())
    }

    fn live_sandboxes(&self) -> usize {
        self.client.count_own()
    }

    fn close(&self) {
        self.client.close();
    }
}

/// Asks the programs of a sandbox to end and waits for that; true when they did. None has to be asked where none runs.
pub(crate) fn shut_down(client: &Client, known: &Known, guard: &Guard<'_>) -> bool {
    let Ok(envd) = client.envd(known) else { return false };
    let deadline = Instant::now() + GRACE;
    let mut asked = false;
    loop {
        let Ok(list) = envd.list(guard, SHORT) else { return false };
        // Others are the template's own, which run as long as the sandbox.
        let ours = list.processes.iter().filter(|process| {
            process.tag.as_deref().is_some_and(|tag| tag.starts_with("exec_") || tag.starts_with("dep_"))
        });
        let pids: Vec<u32> = ours.map(|process| process.pid).collect();
        if pids.is_empty() {
            return true;
        }
        if !asked {
            for pid in pids {
                // One that has ended meanwhile needs no signal.
                let _ = envd.signal(pid, "SIGNAL_SIGTERM", guard, SHORT);
            }
            asked = true;
        }
        if Instant::now() >= deadline || guard.sleep(LOOK_AGAIN).is_err() {
            return false;
        }
    }
}
