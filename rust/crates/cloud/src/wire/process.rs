//! Messages of the process service. Bytes are base64, 64-bit numbers are strings, zero values are absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// Starts a program.
#[derive(Debug, Serialize)]
pub(crate) struct StartRequest<'a> {
    pub(crate) process: ProcessConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<&'a str>,
    /// False: `/dev/null`.
    pub(crate) stdin: bool,
}

/// What to start.
#[derive(Debug, Serialize)]
pub(crate) struct ProcessConfig<'a> {
    pub(crate) cmd: &'a str,
    pub(crate) args: &'a [String],
    pub(crate) envs: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cwd: Option<&'a str>,
}

/// One message of the stream of a start.
#[derive(Debug, Deserialize)]
pub(crate) struct StartResponse {
    #[serde(default)]
    pub(crate) event: ProcessEvent,
}

/// Exactly one of them, or one that is not known here.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ProcessEvent {
    pub(crate) start: Option<StartEvent>,
    pub(crate) data: Option<DataEvent>,
    pub(crate) end: Option<EndEvent>,
}

/// It runs.
#[derive(Debug, Deserialize)]
pub(crate) struct StartEvent {
    #[serde(default)]
    pub(crate) pid: u32,
}

/// It wrote something.
#[derive(Debug, Deserialize)]
pub(crate) struct DataEvent {
    #[serde(default, deserialize_with = "bytes")]
    pub(crate) stdout: Option<Vec<u8>>,
    #[serde(default, deserialize_with = "bytes")]
    pub(crate) stderr: Option<Vec<u8>>,
}

/// It ended.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndEvent {
    #[serde(default)]
    pub(crate) exit_code: i32,
    /// By itself, not by a signal.
    #[serde(default)]
    pub(crate) exited: bool,
    /// `exit status 3`, `signal: killed`.
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) error: Option<String>,
}

/// The programs of a sandbox that its daemon started.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ListResponse {
    #[serde(default)]
    pub(crate) processes: Vec<ProcessInfo>,
}

/// One of them.
#[derive(Debug, Deserialize)]
pub(crate) struct ProcessInfo {
    #[serde(default)]
    pub(crate) pid: u32,
    #[serde(default)]
    pub(crate) tag: Option<String>,
}

/// Sends a signal.
#[derive(Debug, Serialize)]
pub(crate) struct SendSignalRequest {
    pub(crate) process: Selector,
    pub(crate) signal: &'static str,
}

/// Which program.
#[derive(Debug, Serialize)]
pub(crate) struct Selector {
    pub(crate) pid: u32,
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    use base64::Engine as _;
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map(Some)
        .map_err(|error| serde::de::Error::custom(format!("base64: {error}")))
}

impl EndEvent {
    /// The name of the signal that ended it, for example `SIGKILL`.
    pub(crate) fn signal(&self) -> Option<String> {
        let word = self.status.strip_prefix("signal: ")?;
        // The daemon adds this to one that left a core.
        let word = word.strip_suffix(" (core dumped)").unwrap_or(word);
        Some(match SIGNALS.iter().find(|(said, _)| *said == word) {
            Some((_, name)) => (*name).to_owned(),
            None => match word.strip_prefix("signal ").and_then(|number| number.parse::<u32>().ok()) {
                Some(number @ 34..=64) => format!("SIGRTMIN+{}", number - 34),
                Some(number) => format!("SIG{number}"),
                None => word.to_owned(),
            },
        })
    }
}

/// The words of the daemon's language for signals.
const SIGNALS: [(&str, &str); 31] = [
    ("hangup", "SIGHUP"),
    ("interrupt", "SIGINT"),
    ("quit", "SIGQUIT"),
    ("illegal instruction", "SIGILL"),
    ("trace/breakpoint trap", "SIGTRAP"),
    ("aborted", "SIGABRT"),
    ("bus error", "SIGBUS"),
    ("floating point exception", "SIGFPE"),
    ("killed", "SIGKILL"),
    ("user defined signal 1", "SIGUSR1"),
    ("segmentation fault", "SIGSEGV"),
    ("user defined signal 2", "SIGUSR2"),
    ("broken pipe", "SIGPIPE"),
    ("alarm clock", "SIGALRM"),
    ("terminated", "SIGTERM"),
    ("stack fault", "SIGSTKFLT"),
    ("child exited", "SIGCHLD"),
    ("continued", "SIGCONT"),
    ("stopped (signal)", "SIGSTOP"),
    ("stopped", "SIGTSTP"),
    ("stopped (tty input)", "SIGTTIN"),
    ("stopped (tty output)", "SIGTTOU"),
    ("urgent I/O condition", "SIGURG"),
    ("CPU time limit exceeded", "SIGXCPU"),
    ("file size limit exceeded", "SIGXFSZ"),
    ("virtual timer expired", "SIGVTALRM"),
    ("profiling timer expired", "SIGPROF"),
    ("window changed", "SIGWINCH"),
    ("I/O possible", "SIGIO"),
    ("power failure", "SIGPWR"),
    ("bad system call", "SIGSYS"),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(json: serde_json::Value) -> ProcessEvent {
        serde_json::from_value::<StartResponse>(json).unwrap().event
    }

    #[test]
    fn events_are_read_with_their_absent_zeros_and_what_is_unknown_passed_over() {
        assert_eq!(event(json!({"event": {"start": {"pid": 42, "new": [1]}}})).start.unwrap().pid, 42);
        let data = event(json!({"event": {"data": {"stdout": "aGVsbG8K"}}})).data.unwrap();
        assert_eq!((data.stdout.as_deref(), data.stderr), (Some(&b"hello\n"[..]), None));
        let end = event(json!({"event": {"end": {"exited": true, "status": "exit status 0"}}})).end.unwrap();
        assert_eq!((end.exit_code, end.exited, end.signal()), (0, true, None));
        let killed = json!({"event": {"end": {"exitCode": -1, "status": "signal: killed", "error": "signal: killed"}}});
        let end = event(killed).end.unwrap();
        assert_eq!((end.exit_code, end.exited, end.signal().as_deref()), (-1, false, Some("SIGKILL")));
        let nothing = event(json!({"event": {"keepalive": {}}}));
        assert!(nothing.start.is_none() && nothing.data.is_none() && nothing.end.is_none());
        assert!(event(json!({})).end.is_none());
        assert!(
            serde_json::from_value::<StartResponse>(json!({"event": {"data": {"stdout": "%"}}})).is_err()
        );
    }

    #[test]
    fn signals_have_their_names() {
        let name = |status: &str| EndEvent { status: status.to_owned(), ..EndEvent::default() }.signal();
        assert_eq!(name("signal: segmentation fault (core dumped)").as_deref(), Some("SIGSEGV"));
        assert_eq!(name("signal: signal 34").as_deref(), Some("SIGRTMIN+0"));
        assert_eq!(name("signal: signal 99").as_deref(), Some("SIG99"));
        assert_eq!(name("exit status 3"), None);
    }

    #[test]
    fn a_start_has_the_members_that_the_service_knows() {
        let args = vec!["-c".to_owned(), "echo".to_owned()];
        let request = StartRequest {
            process: ProcessConfig {
                cmd: "/bin/sh",
                args: &args,
                envs: BTreeMap::from([("A", "b")]),
                cwd: Some("/home/user"),
            },
            tag: Some("exec_1"),
            stdin: false,
        };
        assert_eq!(
            serde_json::to_value(&request).unwrap(),
            json!({"process": {"cmd": "/bin/sh", "args": ["-c", "echo"], "envs": {"A": "b"}, "cwd": "/home/user"},
                "tag": "exec_1", "stdin": false})
        );
    }
}
