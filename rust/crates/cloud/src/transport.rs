//! What every request of a client goes through: the pool, the time-outs, the retries, the errors.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use e2bridge_core::{CancelToken, Error, Result};
use e2bridge_wait::{Interrupt, Wakeups};

use crate::error_map::{Layer, Trouble, from_answer, from_fault};
use crate::http::connection::{Fault, Patience, Phase};
use crate::http::exchange::{Head, Payload, Request, Response, exchange};
use crate::http::guard::{Closing, Guard};
use crate::http::pool::{MAX_IN_USE, Pool};
use crate::http::retry::{self, Plane, Repeat, Verdict, after_answer, after_failure};
use crate::http::tls;
use crate::http::url::Url;
use crate::secret::{Secret, scrub};
use crate::settings::Settings;

/// Most bytes of an answer that is read whole.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// What a request is, beside where it goes.
pub(crate) struct Call<'a> {
    /// Its name in errors.
    pub(crate) operation: &'static str,
    pub(crate) layer: Layer,
    pub(crate) repeat: Repeat,
    pub(crate) method: &'static str,
    pub(crate) url: &'a Url,
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) payload: Payload<'a>,
    /// Time for the request and its whole answer; `None`: only the pauses are bounded.
    pub(crate) time: Option<Duration>,
}

/// An answer that was read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

/// The way out of a client. Any thread.
pub(crate) struct Transport {
    pub(crate) pool: Arc<Pool>,
    pub(crate) closing: Closing,
    wakeups: Wakeups,
    times: (Duration, Duration, Duration),
    secrets: Mutex<VecDeque<Secret>>,
    /// The account's, which are the first of them.
    own_secrets: usize,
}

impl Transport {
    /// Without connections.
    ///
    /// # Errors
    /// Those of the TLS settings; `LIMIT_EXCEEDED` when this process has no descriptor left.
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let tls = tls::settings(settings.ca_file.as_deref())?;
        let secrets: VecDeque<Secret> = settings
            .api_key
            .iter()
            .chain(&settings.access_token)
            .cloned()
            .chain(settings.proxies.secrets())
            .collect();
        Ok(Self {
            pool: Pool::new(tls, settings.proxies.clone(), settings.connect_time, MAX_IN_USE)?,
            closing: Closing::new()?,
            wakeups: Wakeups::default(),
            times: (settings.connect_time, settings.request_time, settings.idle_time),
            own_secrets: secrets.len(),
            secrets: Mutex::new(secrets),
        })
    }

    /// Lets `token` end the waits of a call.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` when this process has no descriptor left.
    pub(crate) fn watch<'a>(&'a self, token: &'a CancelToken) -> Result<Interrupt<'a>> {
        self.wakeups.watch(token)
    }

    /// Time for an ordinary request.
    pub(crate) fn request_time(&self) -> Duration {
        self.times.1
    }

    /// Longest pause.
    pub(crate) fn idle_time(&self) -> Duration {
        self.times.2
    }

    /// A token of a sandbox, which no error repeats either.
    pub(crate) fn hide(&self, secret: &Secret) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if !secrets.contains(secret) {
            // Of sandboxes' only the newest are kept.
            if secrets.len() > 1_000 {
                secrets.remove(self.own_secrets);
            }
            secrets.push_back(secret.clone());
        }
    }

    fn secrets(&self) -> Vec<Secret> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The patience of a call that begins now.
    pub(crate) fn patience(&self, time: Option<Duration>) -> Patience {
        Patience { until: time.map(|time| Instant::now() + time), idle: self.times.2, phase: Phase::Request }
    }

    /// Sends a request, again where that is right, and answers with the head of whatever came; its body is to be read.
    pub(crate) fn send(
        &self,
        call: &mut Call<'_>,
        guard: &Guard<'_>,
        patience: &Patience,
    ) -> std::result::Result<Response, Trouble> {
        guard.check()?;
        let plane = if call.layer == Layer::Control { Plane::Control } else { Plane::Sandbox };
        let mut retries = 0;
        let mut fresh = false;
        loop {
            let replayable = !matches!(call.payload, Payload::Stream { .. });
            let mut request = Request {
                method: call.method,
                url: call.url,
                target: &call.target,
                headers: call.headers.clone(),
                payload: &mut call.payload,
            };
            let outcome = exchange(&self.pool, &mut request, fresh, guard, patience);
            // A call without an end of its own waits for a server no longer than another.
            let left =
                patience.until.map_or(self.times.1, |until| until.saturating_duration_since(Instant::now()));
            let verdict = match &outcome {
                Ok(response) => {
                    after_answer(&response.head, (plane, call.repeat), retries, retry::jitter(), left)
                }
                Err(failure) => after_failure(failure, call.repeat, retries, retry::jitter()),
            };
            let verdict = if replayable { verdict } else { Verdict::Done };
            retries += 1;
            match (verdict, outcome) {
                (Verdict::Done, Ok(response)) => return Ok(response),
                (Verdict::Done, Err(failure)) => {
                    return Err(self.fault(call.operation, call.url, failure.fault));
                }
                (Verdict::AgainNow, _) => fresh = true,
                (Verdict::AgainAfter(pause), outcome) => {
                    // What is left of the answer must not keep the connection in use meanwhile.
                    drop(outcome);
                    fresh = true;
                    guard.sleep(pause)?;
                }
            }
        }
    }

    /// Sends a request and reads its whole answer, whatever its status.
    pub(crate) fn fetch(
        &self,
        mut call: Call<'_>,
        guard: &Guard<'_>,
    ) -> std::result::Result<Answer, Trouble> {
        let patience = self.patience(call.time);
        let mut response = self.send(&mut call, guard, &patience)?;
        let (body, more) = response
            .body
            .rest(MAX_ANSWER, guard, &patience)
            .map_err(|fault| self.fault(call.operation, call.url, fault))?;
        if more {
            return Err(self
                .unreadable(call.operation, format!("it is longer than {MAX_ANSWER} bytes"))
                .into());
        }
        Ok(Answer { head: response.head, body })
    }

    /// The error for an answer that was not expected; reads what it says.
    pub(crate) fn refused(
        &self,
        call: &Call<'_>,
        mut response: Response,
        guard: &Guard<'_>,
        patience: &Patience,
    ) -> Trouble {
        match response.body.rest(64 * 1024, guard, patience) {
            Ok((body, _)) => self.refusal(call.layer, call.operation, &response.head, &body),
            Err(_) => self.refusal(call.layer, call.operation, &response.head, &[]),
        }
    }

    /// The error for an answer that was not expected.
    pub(crate) fn refusal(&self, layer: Layer, operation: &str, head: &Head, body: &[u8]) -> Trouble {
        from_answer(layer, operation, head, body, &self.secrets())
    }

    /// The error for a body that is not what the protocol says.
    pub(crate) fn unreadable(&self, operation: &str, what: impl std::fmt::Display) -> Error {
        crate::error_map::unreadable(operation, &what.to_string(), &self.secrets())
    }

    /// The error for the end-of-stream message of a Connect stream.
    pub(crate) fn end_of_stream(&self, operation: &str, word: &str, message: &str) -> Trouble {
        crate::error_map::from_end_of_stream(operation, word, message, &self.secrets())
    }

    /// The error for an exchange that did not come to its end.
    pub(crate) fn fault(&self, operation: &str, url: &Url, fault: Fault) -> Trouble {
        let (connect, request, idle) = self.times;
        // What is wrong with an answer may repeat a piece of it.
        let fault = match fault {
            Fault::Garbled(why) => Fault::Garbled(scrub(&self.secrets(), &why)),
            other => other,
        };
        from_fault(operation, url, fault, (connect.as_secs(), request.as_secs(), idle.as_secs()))
    }
}
