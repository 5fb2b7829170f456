//! Servers that mean harm: what they say ends in the right error, in time, and nothing of it goes where it should not.

use std::time::{Duration, Instant};

use e2bridge_core::request::StatusFilter;
use e2bridge_core::{Backend, CancelToken, Code, Error};
use serde_json::{Value, json};

use super::server::{Reply, Server, answer, detail, frames, started, stream_head};
use super::{KEY, LONG, assert_no_leak, assert_no_secret, config, create, execute, is_start, made, open};
use crate::client::Client;
use crate::{CloudBackend, Config};

fn raw(head: &str) -> Reply {
    Reply::Raw(format!("HTTP/1.1 {head}").into_bytes())
}

/// Answers `path` so, and everything else as usual.
fn answering(path: &'static str, reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Server {
    Server::new(move |asked| (asked.path() == path).then(|| reply(asked.before)))
}

fn listing(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Error {
    let server = answering("/v2/sandboxes", reply);
    let backend = open(&server);
    let error = backend.list_sandboxes(StatusFilter::All).unwrap_err();
    assert_no_leak(&server, backend);
    error
}

fn reading(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Error {
    let server = answering("/files", reply);
    let (backend, began) = (open(&server), Instant::now());
    let error = backend.read_file("iabc", "x", &CancelToken::new()).unwrap_err();
    assert!(began.elapsed() < LONG);
    assert_no_leak(&server, backend);
    error
}

#[test]
fn a_key_that_a_server_repeats_is_not_repeated_to_anybody() {
    let request_id: &'static str = Box::leak(format!("X-Request-Id: {KEY}\r\n").into_boxed_str());
    let errors = [
        listing(move |_| Reply::With(400, request_id, json!({"code": 400}))),
        listing(|_| Reply::Json(400, json!({"code": KEY, "error_code": KEY, "message": KEY}))),
        listing(|_| {
            Reply::Json(
                200,
                json!([{"sandboxID": "i1", "startedAt": "", "endAt": "", "state": "running", "cpuCount": KEY}]),
            )
        }),
        listing(|_| raw(&format!("200 X\r\nTransfer-Encoding: {KEY}\r\n\r\n"))),
        listing(|_| raw(&format!("200 X\r\nContent-Encoding: {KEY}\r\n\r\n"))),
    ];
    for error in &errors {
        assert_no_secret(error);
    }
    for reply in [
        raw(&format!("200 X\r\nContent-Type: {KEY}\r\n\r\n")),
        Reply::Raw([stream_head(), frames(&[], &json!({"error": {"code": KEY, "message": KEY}}))].concat()),
        Reply::Raw(started(&[json!({"event": {"start": {"pid": KEY}}})])),
    ] {
        let reply = std::sync::Mutex::new(Some(reply));
        let server =
            Server::new(move |asked| is_start(asked).then(|| reply.lock().unwrap().take()).flatten());
        assert_no_secret(&execute(&open(&server), "x", 10, &CancelToken::new()).unwrap_err());
    }
}

#[test]
fn what_a_server_says_becomes_no_header_and_no_address() {
    for (field, value) in [
        ("envdAccessToken", "t\r\nX-Injected: 1"),
        ("trafficAccessToken", "t\nX-Injected: 1"),
        ("sandboxID", "iabc\r\nX-Injected: 1"),
        ("sandboxID", "x.elsewhere.example/"),
        ("sandboxID", "../templates"),
        ("sandboxID", ""),
    ] {
        let server = Server::new(move |asked| {
            let mut new = json!({"sandboxID": "iabc", "envdVersion": "0.6.13", "envdAccessToken": "tok"});
            new[field] = json!(value);
            match asked.method.as_str() {
                "POST" => Some(Reply::Json(201, new)),
                "GET" if asked.path() == "/v2/sandboxes" => Some(made(asked)),
                _ => None,
            }
        });
        let backend = open(&server);
        let error = create(&backend, &CancelToken::new()).unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{field}: {error}");
        drop(backend);
        assert_eq!(server.asked("DELETE", "/sandboxes/iabc").len(), 1, "what was made is ended");
        assert!(server.all_asked().iter().all(|asked| asked.header("x-injected").is_none()));
    }
    let server = Server::new(|_| None);
    let id = "a".repeat(1_000_000);
    assert_eq!(open(&server).sandbox_status(&id).unwrap_err().code(), Code::NotFound);
    assert!(server.all_asked().is_empty());
}

#[test]
fn a_file_has_no_end_of_heads_and_trailers_and_no_coding() {
    let provisional = "HTTP/1.1 103 Early\r\n\r\n".repeat(1_000);
    let flood = reading(move |_| Reply::Raw(provisional.clone().into_bytes()));
    let lines = "X: y\r\n".repeat(1_000);
    let trailers = reading(move |_| raw(&format!("200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{lines}")));
    let coded = reading(|_| raw("200 X\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"));
    let headers = "X: y\r\n".repeat(200);
    let many = reading(move |_| raw(&format!("200 X\r\n{headers}\r\n")));
    let long = "y".repeat(100_000);
    let large = reading(move |_| raw(&format!("200 X\r\nX: {long}\r\n\r\n")));
    for error in [flood, trailers, coded, many, large] {
        assert_eq!(error.code(), Code::Unavailable, "{error}");
    }
    // A head that comes byte by byte, each of them in time.
    let slow = reading(|_| {
        Reply::Script(
            "HTTP/1.1 200 OK\r\nX-Long: yyyyyyyyyyyyyyyyyyyy\r\n"
                .bytes()
                .map(|byte| (Duration::from_millis(100), vec![byte]))
                .collect(),
        )
    });
    assert_eq!((slow.code(), &slow.context()["phase"]), (Code::Timeout, &json!("idle")), "{slow}");
    let later = reading(|_| Reply::With(429, "Retry-After: 3600\r\n", json!({"code": 429})));
    assert_eq!(later.code(), Code::RateLimited, "{later}");
}

#[test]
fn a_list_without_end_is_an_error_and_no_part_of_a_list() {
    let error = listing(|_| Reply::With(200, "X-Next-Token: again\r\n", json!([])));
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    let error = listing(|before| {
        let token = format!("X-Next-Token: {before}\r\n");
        Reply::Raw(answer(200, &token, &json!([])))
    });
    assert_eq!(error.code(), Code::Unavailable, "{error}");
}

#[test]
fn numbers_beyond_all_bounds_are_errors_or_nothing() {
    let end = json!({"event": {"end": {"exitCode": 99_999_999_999_i64, "exited": true, "status": "exit status 99999999999"}}});
    let server = Server::new(move |asked| {
        is_start(asked).then(|| Reply::Raw(started(&[json!({"event": {"start": {"pid": 7}}}), end.clone()])))
    });
    let error = execute(&open(&server), "x", 10, &CancelToken::new()).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    let server = Server::new(|asked| match asked.path() {
        "/sandboxes/iabc" => {
            let mut far = detail();
            far["startedAt"] = json!("0000-01-01T00:00:00+23:59");
            far["endAt"] = json!("9999-12-31T23:59:59-23:59");
            Some(Reply::Json(200, far))
        }
        "/sandboxes/iabc/metrics" => Some(Reply::Json(
            200,
            json!([{"timestampUnix": i64::MAX, "cpuUsedPct": 1e300, "memTotal": u64::MAX}]),
        )),
        _ => None,
    });
    let status = open(&server).sandbox_status("iabc").unwrap();
    assert_eq!(status.metrics.memory_limit_bytes, u64::MAX);
}

#[test]
fn a_path_means_the_same_as_on_the_local_engine() {
    let server = Server::new(|asked| match (asked.method.as_str(), asked.path()) {
        ("POST", "/files") => Some(Reply::Json(200, json!([{"path": "x"}]))),
        ("GET", "/files") => Some(Reply::Raw(answer(200, "", &Value::Null))),
        _ => None,
    });
    let backend = open(&server);
    for (path, sent) in [
        ("~/x", "%2Fhome%2Fuser%2F~%2Fx"),
        ("a%2F..", "%2Fhome%2Fuser%2Fa%252F.."),
        ("/etc/../x?y#z&user=root", "%2Fetc%2F..%2Fx%3Fy%23z%26user%3Droot"),
    ] {
        backend.read_file("iabc", path, &CancelToken::new()).unwrap();
        let target = server.asked("GET", "/files").pop().unwrap().target;
        assert!(target.starts_with(&format!("/files?path={sent}&username=user&")), "{target}");
    }
}

#[test]
fn a_redirection_leads_the_key_nowhere() {
    let elsewhere = Server::new(|_| None);
    let location: &'static str =
        Box::leak(format!("Location: {}/v2/sandboxes\r\n", elsewhere.url()).into_boxed_str());
    for status in [301, 302, 303, 307, 308] {
        let error = listing(move |_| Reply::With(status, location, json!({})));
        assert_eq!(error.code(), Code::Unavailable, "{status}: {error}");
    }
    assert!(elsewhere.all_asked().is_empty());
}

#[test]
fn the_password_of_a_proxy_is_not_repeated() {
    let server = Server::new(|asked| {
        let said = asked.header("proxy-authorization").unwrap_or_default();
        Some(Reply::Json(407, json!({"code": 407, "message": format!("wrong: {said}")})))
    });
    let proxy = format!("http://u:hunter2@127.0.0.1:{}", server.port);
    let config = Config { api_url: Some("http://api.example.test".to_owned()), ..config(&server.url()) };
    let variable = |name: &str| (name == "http_proxy").then(|| proxy.clone());
    let backend = CloudBackend { client: Client::open(config, &variable).unwrap() };
    let error = backend.list_sandboxes(StatusFilter::All).unwrap_err();
    let shown = format!("{error:?} {backend:?}");
    assert!(shown.contains("wrong: Basic ***") && !shown.contains("dTpodW50ZXIy"), "{shown}");
    assert!(server.all_asked()[0].target.starts_with("http://api.example.test/v2/sandboxes?"));
}
