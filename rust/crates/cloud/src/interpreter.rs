//! The code interpreter of a sandbox.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use e2bridge_core::request::Language;
use e2bridge_core::{Code, Error, Result};

use crate::client::{Client, Known, SHORT};
use crate::error_map::{Layer, Trouble};
use crate::http::connection::{Fault, Patience, Phase};
use crate::http::exchange::Payload;
use crate::http::guard::Guard;
use crate::http::retry::Repeat;
use crate::http::url::{Url, escape};
use crate::transport::{Call, Transport};
use crate::wire::interpreter::{ContextInfo, ContextRequest, Event, ExecuteRequest};
use crate::wire::lines::Lines;

/// Its port.
pub(crate) const PORT: u16 = 49999;

/// Which context: of a sandbox, in a language, by a name.
type Key = (String, &'static str, String);

/// The named contexts that this client has made.
#[derive(Default)]
pub(crate) struct Contexts {
    ids: Mutex<HashMap<Key, String>>,
}

impl Contexts {
    fn ids(&self) -> MutexGuard<'_, HashMap<Key, String>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets those of a sandbox.
    pub(crate) fn forget(&self, raw_id: &str) {
        self.ids().retain(|(of, _, _), _| of != raw_id);
    }
}

/// The interpreter of one sandbox, for the length of a call.
pub(crate) struct Interpreter<'a> {
    client: &'a Client,
    known: &'a Known,
    url: Url,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunEnd {
    Done,
    DeadlinePassed,
}

impl<'a> Interpreter<'a> {
    pub(crate) fn of(client: &'a Client, known: &'a Known) -> Result<Self> {
        let access = &known.access;
        let url = client.settings.sandbox_address(&access.raw_id, PORT, access.domain.as_deref())?;
        Ok(Self { client, known, url })
    }

    fn call<'c>(
        &'c self,
        operation: &'static str,
        method: &'static str,
        target: String,
        json: Option<&'c [u8]>,
        time: Option<Duration>,
    ) -> Call<'c> {
        let mut headers = self.known.access.headers(PORT);
        if json.is_some() {
            headers.push(("Content-Type", "application/json".to_owned()));
        }
        Call {
            operation,
            layer: Layer::Interpreter,
            // Making a context twice costs memory, running code twice more.
            repeat: Repeat::Creates,
            method,
            url: &self.url,
            target,
            headers,
            payload: json.map_or(Payload::None, Payload::Bytes),
            time,
        }
    }

    /// The id of a named context, which is made when there is none.
    pub(crate) fn context(
        &self,
        language: Language,
        name: &str,
        guard: &Guard<'_>,
    ) -> std::result::Result<String, Trouble> {
        let key = (self.known.access.raw_id.clone(), language.name(), name.to_owned());
        if let Some(id) = self.client.contexts.ids().get(&key) {
            return Ok(id.clone());
        }
        let id = self.new_context(language, guard)?;
        let winner = self.client.contexts.ids().entry(key).or_insert_with(|| id.clone()).clone();
        if winner != id {
            // Somebody else made one at the same moment.
            self.remove(&id);
        }
        Ok(winner)
    }

    /// Forgets a named context: the next use makes a new one.
    pub(crate) fn forget(&self, language: Language, name: &str) {
        let key = (self.known.access.raw_id.clone(), language.name(), name.to_owned());
        self.client.contexts.ids().remove(&key);
    }

    /// Makes a context.
    pub(crate) fn new_context(
        &self,
        language: Language,
        guard: &Guard<'_>,
    ) -> std::result::Result<String, Trouble> {
        const OPERATION: &str = "create context";
        let language = match language {
            Language::Shell => "bash",
            other => other.name(),
        };
        let request = ContextRequest { language, cwd: crate::envd::HOME };
        let json = serde_json::to_vec(&request)
            .map_err(|error| Error::internal(format!("a request has no JSON form: {error}")))?;
        let time = Some(self.client.transport.request_time());
        let call = self.call(OPERATION, "POST", "/contexts".to_owned(), Some(&json), time);
        let answer = self.client.transport.fetch(call, guard)?;
        if !(200..300).contains(&answer.head.status) {
            let trouble =
                self.client.transport.refusal(Layer::Interpreter, OPERATION, &answer.head, &answer.body);
            return Err(self.without_interpreter(trouble));
        }
        let context: ContextInfo = serde_json::from_slice(&answer.body)
            .map_err(|error| self.client.transport.unreadable(OPERATION, error))?;
        Ok(context.id)
    }

    /// Ends a context, with whatever runs in it; not for long.
    pub(crate) fn remove(&self, id: &str) {
        let guard = self.client.last_guard();
        let target = format!("/contexts/{}", escape(id));
        let call = self.call("remove context", "DELETE", target, None, Some(SHORT));
        // One that cannot be removed ends with its sandbox.
        let _ = self.client.transport.fetch(call, &guard);
    }

    /// Runs code in a context; what it does goes to `sink`. At `due` the connection is closed, which interrupts the code.
    pub(crate) fn execute(
        &self,
        context_id: &str,
        code: &str,
        due: Instant,
        guard: &Guard<'_>,
        sink: &mut dyn FnMut(Event),
    ) -> std::result::Result<RunEnd, Trouble> {
        const OPERATION: &str = "run code";
        let json = serde_json::to_vec(&ExecuteRequest { code, context_id })
            .map_err(|error| Error::internal(format!("a request has no JSON form: {error}")))?;
        let mut call = self.call(OPERATION, "POST", "/execute".to_owned(), Some(&json), None);
        let transport = &self.client.transport;
        let patience = Patience { until: Some(due), idle: transport.idle_time(), phase: Phase::Request };
        let mut response = match transport.send(&mut call, guard, &patience) {
            Ok(response) => response,
            // The head of the answer comes with the first output.
            Err(_) if Instant::now() >= due && guard.check().is_ok() => return Ok(RunEnd::DeadlinePassed),
            Err(trouble) => return Err(trouble),
        };
        if response.head.status != 200 {
            let patience = transport.patience(Some(transport.request_time()));
            let trouble = transport.refused(&call, response, guard, &patience);
            return Err(self.without_interpreter(trouble));
        }
        let mut lines = Lines::default();
        let mut done = false;
        loop {
            let mut wrong = None;
            let next = response.body.next(guard, &patience, &mut |piece| {
                wrong = lines.push(piece).err();
                Ok(())
            });
            if let Some(why) = wrong {
                return Err(transport.unreadable(OPERATION, why).into());
            }
            let at_end = match next {
                Ok(some) => !some,
                Err(Fault::TimedOut(Phase::Request)) => return Ok(RunEnd::DeadlinePassed),
                // The code's end has been told; how the connection ends is of no interest.
                Err(_) if done => return Ok(RunEnd::Done),
                Err(fault) => return Err(transport.fault(OPERATION, &self.url, fault)),
            };
            while let Some(line) = lines.next() {
                done |= event(transport, line, sink)?;
            }
            if at_end {
                if !lines.rest().is_empty() {
                    done |= event(transport, lines.rest(), sink)?;
                }
                if done {
                    return Ok(RunEnd::Done);
                }
                let why = "the answer ended before the code did".to_owned();
                return Err(transport.fault(OPERATION, &self.url, Fault::Broken(why)));
            }
        }
    }

    /// What a proxy says of a port that nothing listens on means that the template has no interpreter.
    fn without_interpreter(&self, trouble: Trouble) -> Trouble {
        let context = trouble.error.context();
        let status = context.get("http_status").and_then(serde_json::Value::as_u64);
        let said = context.get("server_message").and_then(|said| said.as_str()).unwrap_or_default();
        if status != Some(502) || !said.contains("port is not open") {
            return trouble;
        }
        let template = self.known.template();
        let error = Error::new(
            Code::Unsupported,
            format!(
                "language: the cluster's template of {template} has no code interpreter; use one built on code-interpreter-v1 (config.templates), or execute_e2b_process"
            ),
        )
        .about("language")
        .with("template", template)
        .with("sandbox_id", self.known.id());
        error.into()
    }
}

/// Hands a line on; true when it is the end of the execution.
fn event(
    transport: &Transport,
    line: &[u8],
    sink: &mut dyn FnMut(Event),
) -> std::result::Result<bool, Trouble> {
    let event: Event =
        serde_json::from_slice(line).map_err(|error| transport.unreadable("run code", error))?;
    let end = event.kind == "end_of_execution";
    sink(event);
    Ok(end)
}
