//! What the cluster answers when it refuses or fails, as our errors. One table for each layer; `docs/cloud.md` repeats them.

use e2bridge_core::{Code, Error};
use serde::Deserialize;
use serde_json::Value;

use crate::http::connection::{Fault, Phase};
use crate::http::exchange::Head;
use crate::http::retry::retry_after;
use crate::http::url::Url;
use crate::secret::{Secret, scrub};

/// Most characters of the server's message that are repeated.
const MAX_MESSAGE: usize = 1_000;

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// The API.
    Control,
    /// The daemon of a sandbox: files and everything that is no Connect call.
    Files,
    /// A Connect call of the daemon.
    Connect,
    /// The code interpreter.
    Interpreter,
}

/// An error of a call on a sandbox, with whether the sandbox may be gone: only the API knows.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) error: Error,
    pub(crate) maybe_gone: bool,
    /// The execution's own time-out ended it.
    pub(crate) deadline: bool,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self { error, maybe_gone: false, deadline: false }
    }
}

/// Bodies of errors: `code` is a number, or a word of Connect's.
#[derive(Debug, Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: Value,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    error_code: Option<String>,
    #[serde(default)]
    detail: Option<String>,
}

/// The code for an HTTP status.
pub(crate) fn code_of_status(layer: Layer, status: u16) -> Code {
    match (layer, status) {
        (_, 401) => Code::Unauthenticated,
        (_, 403) => Code::PermissionDenied,
        (_, 404 | 410) => Code::NotFound,
        (_, 405 | 406 | 501) => Code::Unsupported,
        (_, 408 | 499 | 504) => Code::Timeout,
        // The API has 409 for a sandbox on its way between two states, Connect also for names that are taken.
        (_, 409 | 425) => Code::Unavailable,
        (_, 413 | 507) => Code::LimitExceeded,
        (_, 429) => Code::RateLimited,
        (_, 400..=499) => Code::InvalidArgument,
        _ => Code::Unavailable,
    }
}

/// The code for a word of Connect's.
pub(crate) fn code_of_word(word: &str) -> Code {
    match word {
        "invalid_argument" | "failed_precondition" | "out_of_range" => Code::InvalidArgument,
        "not_found" => Code::NotFound,
        "already_exists" => Code::AlreadyExists,
        "permission_denied" => Code::PermissionDenied,
        "unauthenticated" => Code::Unauthenticated,
        "resource_exhausted" => Code::RateLimited,
        "unimplemented" => Code::Unsupported,
        // `canceled` is what a server says of a request that it gave up.
        "deadline_exceeded" | "canceled" => Code::Timeout,
        // aborted, internal, unavailable, data_loss, unknown, and what there may be one day
        _ => Code::Unavailable,
    }
}

/// The error for an answer that is none of those that were expected.
pub(crate) fn from_answer<'a>(
    layer: Layer,
    operation: &str,
    head: &Head,
    body: &[u8],
    secrets: impl IntoIterator<Item = &'a Secret> + Clone,
) -> Trouble {
    let clean = |text: &str| tidy(&scrub(secrets.clone(), text));
    let status = head.status;
    let parsed: Option<ErrorBody> = serde_json::from_slice(body).ok();
    let word = parsed.as_ref().and_then(|parsed| parsed.code.as_str()).map(str::to_owned);
    let said = match &parsed {
        Some(parsed) => parsed.message.clone().or_else(|| parsed.detail.clone()).unwrap_or_default(),
        None => String::from_utf8_lossy(&body[..body.len().min(4 * MAX_MESSAGE)]).into_owned(),
    };
    let said = clean(&said);
    let code = match (layer, &word) {
        (Layer::Connect, Some(word)) => code_of_word(word),
        _ => code_of_status(layer, status),
    };
    let hint = match code {
        Code::Unauthenticated if layer == Layer::Control => "; check the key",
        _ if (300..400).contains(&status) => "; redirections are not followed: set config.api_url",
        _ => "",
    };
    let what = if said.is_empty() { format!("status {status}") } else { format!("status {status}: {said}") };
    let mut error = Error::new(code, format!("{operation}: {what}{hint}"))
        .with("operation", operation)
        .with("http_status", status);
    if !said.is_empty() {
        error = error.with("server_message", said);
    }
    if let Some(word) = word.or_else(|| parsed.and_then(|parsed| parsed.error_code)) {
        error = error.with("server_code", clean(&word));
    }
    if let Some(id) =
        ["x-request-id", "x-trace-id", "traceparent", "cf-ray"].iter().find_map(|name| head.header(name))
    {
        error = error.with("request_id", clean(id));
    }
    if let Some(seconds) = retry_after(head) {
        error = error.with("retry_after_seconds", seconds.as_secs());
    }
    let maybe_gone = layer != Layer::Control && (status == 502 || status == 503);
    Trouble { error, maybe_gone, deadline: false }
}

/// The error for the end-of-stream message of a Connect stream.
pub(crate) fn from_end_of_stream<'a>(
    operation: &str,
    word: &str,
    message: &str,
    secrets: impl IntoIterator<Item = &'a Secret> + Clone,
) -> Trouble {
    let said = tidy(&scrub(secrets.clone(), message));
    let shown = tidy(&scrub(secrets, word));
    let error = Error::new(code_of_word(word), format!("{operation}: {shown}: {said}"))
        .with("operation", operation)
        .with("server_code", shown)
        .with("server_message", said);
    Trouble {
        error,
        maybe_gone: matches!(word, "unavailable" | "canceled" | "unknown" | "internal"),
        deadline: word == "deadline_exceeded",
    }
}

/// The error for an exchange that did not come to its end.
pub(crate) fn from_fault(operation: &str, url: &Url, fault: Fault, times: (u64, u64, u64)) -> Trouble {
    let host = url.host_and_port();
    let (connect, request, idle) = times;
    let (code, message, maybe_gone) = match fault {
        Fault::Ended(error) => return error.into(),
        Fault::TimedOut(phase) => {
            let (seconds, what) = match phase {
                Phase::Connect => (connect, "no connection"),
                Phase::Request => (request, "no whole answer"),
                Phase::Idle => (idle, "no byte"),
            };
            let error = Error::new(
                Code::Timeout,
                format!("{operation}: the request timed out: {what} from {host} within {seconds} s"),
            )
            .with("operation", operation)
            .with("host", host)
            .with("phase", phase.word())
            .with("timeout_seconds", seconds);
            return Trouble { error, maybe_gone: phase != Phase::Connect, deadline: false };
        }
        Fault::Broken(why) => (Code::Unavailable, why, true),
        Fault::Garbled(why) => (Code::Unavailable, why, false),
    };
    let error = Error::new(code, format!("{operation}: {host}: {message}"))
        .with("operation", operation)
        .with("host", host);
    Trouble { error, maybe_gone, deadline: false }
}

/// The error for a body that is not what the protocol says. What is wrong with it may repeat a piece of it.
pub(crate) fn unreadable<'a>(
    operation: &str,
    what: &str,
    secrets: impl IntoIterator<Item = &'a Secret>,
) -> Error {
    let what = tidy(&scrub(secrets, what));
    Error::new(Code::Unavailable, format!("{operation}: the answer cannot be read: {what}"))
        .with("operation", operation)
}

/// Text of others for a message: one line, bounded.
fn tidy(text: &str) -> String {
    let mut tidy: String =
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE).collect();
    if text.trim().chars().nth(MAX_MESSAGE).is_some() {
        tidy.push('…');
    }
    tidy
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(layer: Layer, status: u16, body: &Value, headers: &[(&str, &str)]) -> Trouble {
        let head = Head {
            status,
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..Head::default()
        };
        from_answer(layer, "create sandbox", &head, body.to_string().as_bytes(), [&Secret::new("e2b_secret")])
    }

    #[test]
    fn every_status_has_its_code() {
        for (status, code) in [
            (300, Code::Unavailable),
            (302, Code::Unavailable),
            (400, Code::InvalidArgument),
            (401, Code::Unauthenticated),
            (402, Code::InvalidArgument),
            (403, Code::PermissionDenied),
            (404, Code::NotFound),
            (405, Code::Unsupported),
            (406, Code::Unsupported),
            (408, Code::Timeout),
            (409, Code::Unavailable),
            (410, Code::NotFound),
            (413, Code::LimitExceeded),
            (422, Code::InvalidArgument),
            (425, Code::Unavailable),
            (429, Code::RateLimited),
            (499, Code::Timeout),
            (500, Code::Unavailable),
            (501, Code::Unsupported),
            (502, Code::Unavailable),
            (503, Code::Unavailable),
            (504, Code::Timeout),
            (507, Code::LimitExceeded),
            (599, Code::Unavailable),
        ] {
            for layer in [Layer::Control, Layer::Files, Layer::Connect, Layer::Interpreter] {
                let trouble = answer(layer, status, &json!({"code": status, "message": "why"}), &[]);
                assert_eq!(trouble.error.code(), code, "{layer:?} {status}");
                assert_eq!(trouble.error.context()["http_status"], json!(status));
                assert_eq!(trouble.error.context()["server_message"], json!("why"));
                let gone = layer != Layer::Control && (status == 502 || status == 503);
                assert_eq!(trouble.maybe_gone, gone, "{layer:?} {status}");
            }
        }
    }

    #[test]
    fn every_word_of_connect_has_its_code() {
        for (word, code) in [
            ("canceled", Code::Timeout),
            ("unknown", Code::Unavailable),
            ("invalid_argument", Code::InvalidArgument),
            ("deadline_exceeded", Code::Timeout),
            ("not_found", Code::NotFound),
            ("already_exists", Code::AlreadyExists),
            ("permission_denied", Code::PermissionDenied),
            ("resource_exhausted", Code::RateLimited),
            ("failed_precondition", Code::InvalidArgument),
            ("aborted", Code::Unavailable),
            ("out_of_range", Code::InvalidArgument),
            ("unimplemented", Code::Unsupported),
            ("internal", Code::Unavailable),
            ("unavailable", Code::Unavailable),
            ("data_loss", Code::Unavailable),
            ("unauthenticated", Code::Unauthenticated),
            ("new_one", Code::Unavailable),
        ] {
            let unary = answer(Layer::Connect, 500, &json!({"code": word, "message": "why"}), &[]);
            let stream = from_end_of_stream("start", word, "why", []);
            assert_eq!((unary.error.code(), stream.error.code()), (code, code), "{word}");
            assert_eq!(unary.error.context()["server_code"], json!(word));
            assert_eq!(stream.deadline, word == "deadline_exceeded");
        }
        // A proxy or a wrong token answers without Connect's words.
        let plain = answer(Layer::Connect, 401, &json!({"code": 401, "message": "no"}), &[]);
        assert_eq!(plain.error.code(), Code::Unauthenticated);
    }

    #[test]
    fn an_error_has_the_servers_words_and_the_requests_id_and_no_secret() {
        let body = json!({"code": 503, "message": "X-API-Key: e2b_secret\nsorry", "error_code": "sandbox_capacity_unavailable"});
        let trouble = answer(Layer::Control, 503, &body, &[("x-request-id", "req-1"), ("retry-after", "7")]);
        let document = serde_json::to_value(&trouble.error).unwrap();
        assert_eq!(
            document["context"],
            json!({"operation": "create sandbox", "http_status": 503, "server_message": "X-API-Key: *** sorry",
                "server_code": "sandbox_capacity_unavailable", "request_id": "req-1", "retry_after_seconds": 7})
        );
        assert!(!document.to_string().contains("e2b_secret"));
        let text =
            from_answer(Layer::Control, "x", &Head { status: 500, ..Head::default() }, &[b'a'; 9_000], []);
        assert!(text.error.message().len() < 1_100);
    }

    #[test]
    fn the_three_time_outs_say_which_they_are() {
        let url = Url::parse("u", "http://h:1").unwrap();
        for (phase, seconds) in [(Phase::Connect, 1), (Phase::Request, 2), (Phase::Idle, 3)] {
            let trouble = from_fault("list", &url, Fault::TimedOut(phase), (1, 2, 3));
            assert_eq!(trouble.error.code(), Code::Timeout);
            assert_eq!(trouble.error.context()["phase"], json!(phase.word()));
            assert_eq!(trouble.error.context()["timeout_seconds"], json!(seconds));
        }
        assert_eq!(
            from_fault("list", &url, Fault::Broken("x".into()), (1, 2, 3)).error.code(),
            Code::Unavailable
        );
        assert_eq!(
            from_fault("list", &url, Fault::Garbled("x".into()), (1, 2, 3)).error.code(),
            Code::Unavailable
        );
    }
}
