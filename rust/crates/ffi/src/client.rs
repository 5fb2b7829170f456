//! An open client: its backend, the calls in flight, the latencies.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use e2bridge_core::document::{HealthAlert, HealthReport};
use e2bridge_core::latency::Latency;
use e2bridge_core::{Backend, CancelToken, Error, Result};

use crate::panics;

/// Functions of a client whose latency is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    CreateSandbox,
    ListSandboxes,
    GetSandboxStatus,
    ExecuteProcess,
    RunAgent,
    MonitorHealth,
    DeployTemplate,
    ScaleDeployment,
    ExportTemplate,
    TerminateSandbox,
    RunCode,
    WriteFile,
    ReadFile,
    SetTimeout,
    ListTemplates,
    DeleteTemplate,
    ExportTemplateFile,
    ImportTemplateFile,
}

impl Function {
    /// Every function, in the order of the enum.
    pub(crate) const ALL: [Function; 18] = [
        Function::CreateSandbox,
        Function::ListSandboxes,
        Function::GetSandboxStatus,
        Function::ExecuteProcess,
        Function::RunAgent,
        Function::MonitorHealth,
        Function::DeployTemplate,
        Function::ScaleDeployment,
        Function::ExportTemplate,
        Function::TerminateSandbox,
        Function::RunCode,
        Function::WriteFile,
        Function::ReadFile,
        Function::SetTimeout,
        Function::ListTemplates,
        Function::DeleteTemplate,
        Function::ExportTemplateFile,
        Function::ImportTemplateFile,
    ];

    /// Name of the export.
    pub(crate) const fn symbol(self) -> &'static str {
        match self {
            Function::CreateSandbox => "create_e2b_sandbox",
            Function::ListSandboxes => "list_e2b_sandboxes",
            Function::GetSandboxStatus => "get_e2b_sandbox_status",
            Function::ExecuteProcess => "execute_e2b_process",
            Function::RunAgent => "run_e2b_agent",
            Function::MonitorHealth => "monitor_e2b_health",
            Function::DeployTemplate => "deploy_e2b_template",
            Function::ScaleDeployment => "scale_e2b_deployment",
            Function::ExportTemplate => "export_e2b_template",
            Function::TerminateSandbox => "terminate_e2b_sandbox",
            Function::RunCode => "run_e2b_code",
            Function::WriteFile => "write_e2b_file",
            Function::ReadFile => "read_e2b_file",
            Function::SetTimeout => "set_e2b_timeout",
            Function::ListTemplates => "list_e2b_templates",
            Function::DeleteTemplate => "delete_e2b_template",
            Function::ExportTemplateFile => "export_e2b_template_file",
            Function::ImportTemplateFile => "import_e2b_template_file",
        }
    }
}

static LIVE_CALLS: AtomicU64 = AtomicU64::new(0);

/// Calls on a client that have begun and not ended, in this process.
pub(crate) fn live_calls() -> u64 {
    LIVE_CALLS.load(Ordering::Relaxed)
}

/// An open client. Calls hold it by `Arc`, so that it outlives its own closing until the last of them ends.
pub(crate) struct Client {
    backend: Box<dyn Backend>,
    cancellable: Mutex<HashMap<u64, Arc<CancelToken>>>,
    latencies: [Latency; Function::ALL.len()],
}

impl Client {
    /// A client of `backend`.
    pub(crate) fn new(backend: Box<dyn Backend>) -> Self {
        Self {
            backend,
            cancellable: Mutex::default(),
            latencies: std::array::from_fn(|_| Latency::default()),
        }
    }

    /// Where its sandboxes run.
    pub(crate) fn backend(&self) -> &dyn Backend {
        self.backend.as_ref()
    }

    /// The latencies of one function.
    pub(crate) fn latency(&self, function: Function) -> &Latency {
        &self.latencies[function as usize]
    }

    /// A health report with what only this layer sees: the latency of every call, and panics.
    pub(crate) fn complete(&self, mut report: HealthReport) -> HealthReport {
        for function in Function::ALL {
            if let Some(summary) = self.latency(function).summary() {
                report.latency.insert(function.symbol().to_owned(), summary);
            }
        }
        let (panics, last) = panics::seen();
        if panics > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a count of panics is small")]
            let value = panics as f64;
            report.alerts.push(HealthAlert {
                rule: "library_panics".to_owned(),
                severity: "critical".to_owned(),
                subject: "engine".to_owned(),
                value,
                threshold: 0.0,
                message: format!("{panics} panics in the library since it was loaded, the last: {last}"),
            });
        }
        report
    }

    /// Begins a call that can be cancelled by the number `number`; 0 = that cannot be.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when a call of that number is in flight.
    pub(crate) fn begin(&self, number: u64) -> Result<InFlight<'_>> {
        let token = if number == 0 {
            Token::Own(CancelToken::new())
        } else {
            match self.cancellable().entry(number) {
                Entry::Vacant(entry) => Token::Shared(Arc::clone(entry.insert(Arc::default()))),
                Entry::Occupied(_) => {
                    return Err(Error::invalid(
                        "call",
                        format!("a call numbered {number} is in flight on this client"),
                    ));
                }
            }
        };
        LIVE_CALLS.fetch_add(1, Ordering::Relaxed);
        Ok(InFlight { client: self, number, token })
    }

    /// Cancels the call of that number; false when none is in flight.
    pub(crate) fn cancel(&self, number: u64) -> bool {
        let token = self.cancellable().get(&number).map(Arc::clone);
        // Outside the lock: the waker may make a system call.
        token.is_some_and(|token| {
            token.cancel();
            true
        })
    }

    fn cancellable(&self) -> MutexGuard<'_, HashMap<u64, Arc<CancelToken>>> {
        // No operation under the lock leaves the map half changed.
        self.cancellable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call in flight; ends when dropped, also by unwinding.
pub(crate) struct InFlight<'a> {
    client: &'a Client,
    number: u64,
    token: Token,
}

/// What cancels a call.
enum Token {
    /// Nobody: it has no number.
    Own(CancelToken),
    /// Who knows its number.
    Shared(Arc<CancelToken>),
}

impl InFlight<'_> {
    /// What cancels it.
    pub(crate) fn token(&self) -> &CancelToken {
        match &self.token {
            Token::Own(token) => token,
            Token::Shared(token) => token,
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.number != 0 {
            self.client.cancellable().remove(&self.number);
        }
        LIVE_CALLS.fetch_sub(1, Ordering::Relaxed);
    }
}
