//! The daemon of a sandbox: programs and files.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::time::{Duration, Instant};

use base64::Engine as _;
use e2bridge_core::{Error, Result};

use crate::error_map::{Layer, Trouble};
use crate::http::connection::{Fault, Patience, Phase};
use crate::http::exchange::{Payload, Response};
use crate::http::guard::Guard;
use crate::http::retry::Repeat;
use crate::http::url::{Url, query};
use crate::secret::Secret;
use crate::settings::Settings;
use crate::transport::{Call, Transport};
use crate::wire::api::WrittenFile;
use crate::wire::connect::{Frame, Frames, frame};
use crate::wire::process::{
    EndEvent, ListResponse, ProcessConfig, Selector, SendSignalRequest, StartRequest, StartResponse,
};
use crate::wire::signature::signature;

/// Its port.
pub(crate) const PORT: u16 = 49983;
/// The user that everything runs as.
pub(crate) const USER: &str = "user";
/// Where programs start.
pub(crate) const HOME: &str = "/home/user";
/// How often a stream says that it is still there, seconds, unless it has to more often.
const KEEPALIVE_SECONDS: u64 = 50;
/// From this version on a file is the body of its request, before it is a part of a form.
const PLAIN_UPLOADS: (u32, u32, u32) = (0, 5, 7);
/// Separates the parts of a form; what is between is of known length, so that nothing in it can end it early.
const BOUNDARY: &str = "e2bridge-1f7c9a5d3b";

/// How one sandbox is reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// The cluster's id.
    pub(crate) raw_id: String,
    pub(crate) token: Option<Secret>,
    pub(crate) traffic_token: Option<Secret>,
    pub(crate) domain: Option<String>,
    /// Of the daemon.
    pub(crate) version: String,
}

impl Access {
    /// Headers for a port of the sandbox.
    pub(crate) fn headers(&self, port: u16) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("User-Agent", crate::control::user_agent()),
            ("E2b-Sandbox-Id", self.raw_id.clone()),
            ("E2b-Sandbox-Port", port.to_string()),
        ];
        if let Some(token) = &self.token {
            headers.push(("X-Access-Token", token.expose().to_owned()));
        }
        if let Some(token) = &self.traffic_token {
            headers.push(("E2B-Traffic-Access-Token", token.expose().to_owned()));
        }
        headers
    }

    fn is_at_least(&self, (major, minor, patch): (u32, u32, u32)) -> bool {
        let mut numbers = self.version.split(['.', '-', '+']).map(|part| part.parse::<u32>().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        (next(), next(), next()) >= (major, minor, patch)
    }
}

/// The daemon of one sandbox, for the length of a call.
pub(crate) struct Envd<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) access: &'a Access,
    url: Url,
}

/// What is to be started.
pub(crate) struct Start<'a> {
    pub(crate) argv: &'a [String],
    pub(crate) envs: BTreeMap<&'a str, &'a str>,
    pub(crate) cwd: Option<&'a str>,
    pub(crate) tag: Option<&'a str>,
    /// The daemon kills the program after so long; `None` = never.
    pub(crate) timeout: Option<Duration>,
}

/// Takes a file piece by piece, and its whole length where that is known.
type FileSink<'a> = &'a mut dyn FnMut(Option<u64>, &[u8]) -> Result<()>;

/// What comes of a started program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ProcessStep {
    Started {
        pid: u32,
    },
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    Ended(EndEvent),
    /// Time is over.
    DeadlinePassed,
}

/// The stream of a started program. Dropping it leaves the program alone.
pub(crate) struct ProcessStream<'a> {
    transport: &'a Transport,
    url: Url,
    response: Response,
    /// When the last of it came.
    heard: Instant,
    frames: Frames,
    waiting: VecDeque<ProcessStep>,
    /// What is to be said once nothing waits any more.
    failed: Option<Trouble>,
    ended: bool,
    started: bool,
}

const START: &str = "start process";

impl<'a> Envd<'a> {
    pub(crate) fn new(transport: &'a Transport, settings: &Settings, access: &'a Access) -> Result<Self> {
        let url = settings.sandbox_address(&access.raw_id, PORT, access.domain.as_deref())?;
        Ok(Self { transport, access, url })
    }

    fn connect_headers(&self, content_type: &str) -> Vec<(&'static str, String)> {
        let mut headers = self.access.headers(PORT);
        headers.push(("Connect-Protocol-Version", "1".to_owned()));
        headers.push(("Content-Type", content_type.to_owned()));
        let user = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:"));
        headers.push(("Authorization", format!("Basic {user}")));
        headers
    }

    fn unary<T: serde::de::DeserializeOwned>(
        &self,
        operation: &'static str,
        procedure: &str,
        request: &impl serde::Serialize,
        guard: &Guard<'_>,
        time: Duration,
    ) -> std::result::Result<T, Trouble> {
        let json = serde_json::to_vec(request)
            .map_err(|error| Error::internal(format!("a request has no JSON form: {error}")))?;
        let call = Call {
            operation,
            layer: Layer::Connect,
            repeat: Repeat::Harmless,
            method: "POST",
            url: &self.url,
            target: procedure.to_owned(),
            headers: self.connect_headers("application/json"),
            payload: Payload::Bytes(&json),
            time: Some(time),
        };
        let answer = self.transport.fetch(call, guard)?;
        if answer.head.status != 200 {
            return Err(self.transport.refusal(Layer::Connect, operation, &answer.head, &answer.body));
        }
        Ok(serde_json::from_slice(&answer.body)
            .map_err(|error| self.transport.unreadable(operation, error))?)
    }

    /// Whether it answers, within `time`.
    pub(crate) fn health(&self, guard: &Guard<'_>, time: Duration) -> std::result::Result<(), Trouble> {
        const OPERATION: &str = "probe sandbox";
        let call = Call {
            operation: OPERATION,
            layer: Layer::Files,
            repeat: Repeat::Creates,
            method: "GET",
            url: &self.url,
            target: "/health".to_owned(),
            headers: self.access.headers(PORT),
            payload: Payload::None,
            time: Some(time),
        };
        let answer = self.transport.fetch(call, guard)?;
        if (200..300).contains(&answer.head.status) {
            Ok(())
        } else {
            Err(self.transport.refusal(Layer::Files, OPERATION, &answer.head, &answer.body))
        }
    }

    /// The programs that were started through the daemon.
    pub(crate) fn list(
        &self,
        guard: &Guard<'_>,
        time: Duration,
    ) -> std::result::Result<ListResponse, Trouble> {
        self.unary("list processes", "/process.Process/List", &serde_json::json!({}), guard, time)
    }

    /// Sends `SIGNAL_SIGTERM` or `SIGNAL_SIGKILL`.
    pub(crate) fn signal(
        &self,
        pid: u32,
        signal: &'static str,
        guard: &Guard<'_>,
        time: Duration,
    ) -> std::result::Result<(), Trouble> {
        let request = SendSignalRequest { process: Selector { pid }, signal };
        self.unary::<serde_json::Value>("send signal", "/process.Process/SendSignal", &request, guard, time)
            .map(drop)
    }

    /// Starts a program; never twice.
    pub(crate) fn start(
        &self,
        start: &Start<'_>,
        guard: &Guard<'_>,
    ) -> std::result::Result<ProcessStream<'a>, Trouble> {
        self.start_within(start, guard, self.transport.request_time())
    }

    /// As [`Envd::start`], when the first word of the answer may take `time`.
    pub(crate) fn start_within(
        &self,
        start: &Start<'_>,
        guard: &Guard<'_>,
        time: Duration,
    ) -> std::result::Result<ProcessStream<'a>, Trouble> {
        let Some((cmd, args)) = start.argv.split_first() else {
            return Err(Error::internal("a program without a name").into());
        };
        let request = StartRequest {
            process: ProcessConfig { cmd, args, envs: start.envs.clone(), cwd: start.cwd },
            tag: start.tag,
            stdin: false,
        };
        let json = serde_json::to_vec(&request)
            .map_err(|error| Error::internal(format!("a request has no JSON form: {error}")))?;
        let body = frame(&json);
        let mut headers = self.connect_headers("application/connect+json");
        let keepalive = (self.transport.idle_time().as_secs() / 2).clamp(1, KEEPALIVE_SECONDS);
        headers.push(("Keepalive-Ping-Interval", keepalive.to_string()));
        if let Some(timeout) = start.timeout {
            headers.push(("Connect-Timeout-Ms", timeout.as_millis().to_string()));
        }
        let mut call = Call {
            operation: START,
            layer: Layer::Connect,
            repeat: Repeat::Creates,
            method: "POST",
            url: &self.url,
            target: "/process.Process/Start".to_owned(),
            headers,
            payload: Payload::Bytes(&body),
            time: None,
        };
        // The answer's head comes with the first event.
        let patience = self.transport.patience(Some(time));
        let response = self.transport.send(&mut call, guard, &patience)?;
        if response.head.status != 200 {
            return Err(self.transport.refused(&call, response, guard, &patience));
        }
        let kind = response.head.header("content-type").unwrap_or_default();
        if !kind.starts_with("application/connect+json") {
            return Err(self
                .transport
                .unreadable(START, format!("it is {kind:?}, no Connect stream"))
                .into());
        }
        Ok(ProcessStream {
            transport: self.transport,
            url: self.url.clone(),
            response,
            heard: Instant::now(),
            frames: Frames::default(),
            waiting: VecDeque::new(),
            failed: None,
            ended: false,
            started: false,
        })
    }

    fn file_target(&self, path: &str, operation: &str) -> String {
        let signed =
            self.access.token.as_ref().map(|token| signature(path, operation, USER, token.expose(), None));
        format!(
            "/files{}",
            query(&[("path", Some(path)), ("username", Some(USER)), ("signature", signed.as_deref())])
        )
    }

    /// The content of a file, piece by piece, into `sink`, which is told the whole length before the first piece, if it is known.
    pub(crate) fn download(
        &self,
        path: &str,
        guard: &Guard<'_>,
        sink: FileSink<'_>,
    ) -> std::result::Result<u64, Trouble> {
        const OPERATION: &str = "read file";
        let mut call = Call {
            operation: OPERATION,
            layer: Layer::Files,
            repeat: Repeat::Harmless,
            method: "GET",
            url: &self.url,
            target: self.file_target(path, "read"),
            headers: self.access.headers(PORT),
            payload: Payload::None,
            time: None,
        };
        let patience = self.transport.patience(None);
        let mut response = self.transport.send(&mut call, guard, &patience)?;
        if response.head.status != 200 {
            return Err(self.transport.refused(&call, response, guard, &patience));
        }
        let length = response.body.length();
        sink(length, &[])?;
        let mut bytes = 0;
        let mut piece = |piece: &[u8]| {
            bytes += piece.len() as u64;
            sink(length, piece).map_err(Fault::Ended)
        };
        while response
            .body
            .next(guard, &patience, &mut piece)
            .map_err(|fault| self.transport.fault(OPERATION, &self.url, fault))?
        {}
        Ok(bytes)
    }

    /// Writes `length` bytes out of `reader` into a file, which is replaced.
    pub(crate) fn upload(
        &self,
        path: &str,
        reader: &mut dyn Read,
        length: u64,
        guard: &Guard<'_>,
    ) -> std::result::Result<(), Trouble> {
        const OPERATION: &str = "write file";
        let plain = self.access.is_at_least(PLAIN_UPLOADS);
        let (before, after) = if plain { (String::new(), String::new()) } else { form(path) };
        let mut headers = self.access.headers(PORT);
        let kind = if plain {
            "application/octet-stream".to_owned()
        } else {
            format!("multipart/form-data; boundary={BOUNDARY}")
        };
        headers.push(("Content-Type", kind));
        let mut call = Call {
            operation: OPERATION,
            layer: Layer::Files,
            repeat: Repeat::Creates,
            method: "POST",
            url: &self.url,
            target: self.file_target(path, "write"),
            headers,
            payload: Payload::Stream { before: before.as_bytes(), reader, length, after: after.as_bytes() },
            time: None,
        };
        let patience = self.transport.patience(None);
        let mut response = self.transport.send(&mut call, guard, &patience)?;
        if !(200..300).contains(&response.head.status) {
            return Err(self.transport.refused(&call, response, guard, &patience));
        }
        let (body, _) = response
            .body
            .rest(1024 * 1024, guard, &patience)
            .map_err(|fault| self.transport.fault(OPERATION, &self.url, fault))?;
        let written: Vec<WrittenFile> =
            serde_json::from_slice(&body).map_err(|error| self.transport.unreadable(OPERATION, error))?;
        if written.len() == 1 && !written[0].path.is_empty() {
            Ok(())
        } else {
            Err(self
                .transport
                .unreadable(OPERATION, format!("it names {} files instead of one", written.len()))
                .into())
        }
    }
}

/// What comes before and after a file in a form. Its name is that in the query; this one is only for show.
fn form(path: &str) -> (String, String) {
    let name: String = path
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect();
    (
        format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        ),
        format!("\r\n--{BOUNDARY}--\r\n"),
    )
}

impl ProcessStream<'_> {
    /// Whether the program runs, as far as was told.
    pub(crate) fn has_started(&self) -> bool {
        self.started
    }

    /// What comes next, until `until`, when that is [`ProcessStep::DeadlinePassed`].
    pub(crate) fn next(
        &mut self,
        guard: &Guard<'_>,
        until: Option<Instant>,
    ) -> std::result::Result<ProcessStep, Trouble> {
        loop {
            if let Some(step) = self.waiting.pop_front() {
                return Ok(step);
            }
            if let Some(trouble) = self.failed.take() {
                return Err(trouble);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(ProcessStep::DeadlinePassed);
            }
            // A pause goes on, however often this is called.
            let idle = self.transport.idle_time().saturating_sub(self.heard.elapsed());
            let patience = Patience { until, idle, phase: Phase::Request };
            let frames = &mut self.frames;
            let piece = self.response.body.next(guard, &patience, &mut |piece| {
                frames.push(piece);
                Ok(())
            });
            match piece {
                Ok(true) => {
                    self.heard = Instant::now();
                    self.failed = self.take().err();
                }
                Ok(false) if self.frames.is_partial() => {
                    return Err(self.broke("the stream ended in the middle of a frame"));
                }
                Ok(false) => return Err(self.broke("the stream ended without the program's end")),
                Err(Fault::TimedOut(Phase::Request)) => return Ok(ProcessStep::DeadlinePassed),
                Err(fault) => return Err(self.transport.fault(START, &self.url, fault)),
            }
        }
    }

    fn broke(&self, why: &str) -> Trouble {
        self.transport.fault(START, &self.url, Fault::Broken(why.to_owned()))
    }

    /// Reads the frames that have come whole.
    fn take(&mut self) -> std::result::Result<(), Trouble> {
        loop {
            match self.frames.next().map_err(|why| self.transport.unreadable(START, why))? {
                None => return Ok(()),
                Some(Frame::Message(json)) => self.message(&json)?,
                Some(Frame::End(Some(error))) if !self.ended => {
                    return Err(self.transport.end_of_stream(START, &error.code, &error.message));
                }
                Some(Frame::End(None)) if !self.ended => {
                    return Err(self.broke("the stream ended without the program's end"));
                }
                Some(Frame::End(_)) => return Ok(()),
            }
        }
    }

    fn message(&mut self, json: &[u8]) -> std::result::Result<(), Trouble> {
        let message: StartResponse =
            serde_json::from_slice(json).map_err(|error| self.transport.unreadable(START, error))?;
        let event = message.event;
        if let Some(start) = event.start {
            self.started = true;
            self.waiting.push_back(ProcessStep::Started { pid: start.pid });
        }
        if let Some(data) = event.data {
            self.waiting.extend(data.stdout.map(ProcessStep::Stdout));
            self.waiting.extend(data.stderr.map(ProcessStep::Stderr));
        }
        if let Some(end) = event.end {
            self.ended = true;
            self.waiting.push_back(ProcessStep::Ended(end));
        }
        Ok(())
    }

    /// Reads the last frame, so that the connection can be used again; not for long.
    pub(crate) fn finish(mut self, guard: &Guard<'_>) {
        let patience = Patience {
            until: Some(Instant::now() + Duration::from_millis(200)),
            idle: Duration::from_secs(1),
            phase: Phase::Request,
        };
        while matches!(self.response.body.next(guard, &patience, &mut |_| Ok(())), Ok(true)) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let at_least = |version: &str| {
            Access { version: version.to_owned(), ..Access::default() }.is_at_least(PLAIN_UPLOADS)
        };
        for new in ["0.5.7", "0.6.13", "0.10.0", "1.0", "0.5.7-rc.1"] {
            assert!(at_least(new), "{new}");
        }
        for old in ["", "0.5.6", "0.2", "x"] {
            assert!(!at_least(old), "{old}");
        }
    }
}
