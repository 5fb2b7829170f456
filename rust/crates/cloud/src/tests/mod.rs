//! The backend against scripted servers on loopback, which are doubles of a cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e2bridge_core::document::{ProcessResult, SandboxState};
use e2bridge_core::request::{CreateSandbox, DeployTemplate, ExecuteProcess, ScaleDeployment, StatusFilter};
use e2bridge_core::{Backend, CancelToken, Code, Error, Result};
use serde_json::{Value, json};

use self::server::{Asked, Reply, Server, answer, detail, frames, program, started, stream_head, wait_until};
use crate::client::Client;
use crate::{CloudBackend, Config, Secret};

mod hostile;
mod server;
mod tls;

const KEY: &str = "e2b_0123456789abcdef";
/// Longer than any of these tests may take.
const LONG: Duration = Duration::from_secs(30);

fn config(url: &str) -> Config {
    Config {
        api_key: Some(Secret::new(KEY)),
        api_url: Some(url.to_owned()),
        sandbox_url: Some(url.to_owned()),
        connect_timeout: Some(2),
        request_timeout: Some(2),
        idle_timeout: Some(2),
        ..Config::default()
    }
}

/// Opened without any variable of the environment.
fn open_with(config: Config) -> CloudBackend {
    CloudBackend { client: Client::open(config, &|_| None).unwrap() }
}

fn open(server: &Server) -> CloudBackend {
    open_with(config(&server.url()))
}

fn create(backend: &CloudBackend, token: &CancelToken) -> Result<String> {
    let request = CreateSandbox::new("n", Some("python"), Some(60), None, None).unwrap();
    backend.create_sandbox(&request, token).map(|created| created.sandbox_id)
}

fn execute(backend: &CloudBackend, line: &str, seconds: i64, token: &CancelToken) -> Result<ProcessResult> {
    let request = ExecuteProcess::new("sb_iabc", line, None, Some(seconds), None).unwrap();
    backend.execute_process(&request, token)
}

/// Neither key nor token is anywhere in an error.
fn assert_no_secret(error: &Error) {
    let shown = format!("{error} {error:?} {error:#?} {}", serde_json::to_string(error).unwrap());
    for secret in [KEY, "tok_sandbox_secret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// No connection is in use and closing leaves none.
fn assert_no_leak(server: &Server, backend: CloudBackend) {
    wait_until("a connection is in use", || backend.client.transport.pool.figures().in_use == 0);
    drop(backend);
    server.await_no_connection();
}

fn is_start(asked: &Asked) -> bool {
    asked.path() == "/process.Process/Start"
}

/// The end of everything of an execution, which is a start as well.
fn is_kill(asked: &Asked) -> bool {
    is_start(asked) && asked.message()["process"]["args"].to_string().contains("kill -KILL")
}

/// The question whether a program has ended, which is a start as well.
fn is_look(asked: &Asked) -> bool {
    is_start(asked) && asked.message()["process"]["args"].to_string().contains("Threads:")
}

#[test]
fn every_fault_of_an_answer_is_a_typed_error_in_time_and_leaks_nothing() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let raw = |text: &str| text.as_bytes().to_vec();
    let wrong_length = raw("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n[");
    let slow: Vec<(Duration, Vec<u8>)> = std::iter::once((Duration::ZERO, raw(chunked)))
        .chain((0..60).map(|_| (Duration::from_millis(100), raw("1\r\n \r\n"))))
        .collect();
    let echo = json!({"code": 500, "message": format!("X-API-Key: {KEY}")});
    type Case = (&'static str, Box<dyn Fn() -> Reply + Send + Sync>, Code, Value);
    let plain = |status: u16| -> Box<dyn Fn() -> Reply + Send + Sync> {
        Box::new(move || Reply::Json(status, json!({"code": status, "message": "why"})))
    };
    let cases: Vec<Case> = vec![
        ("reset", Box::new(|| Reply::Reset), Code::Unavailable, Value::Null),
        ("no answer", Box::new(|| Reply::Raw(Vec::new())), Code::Unavailable, Value::Null),
        (
            "half a head",
            Box::new(move || Reply::Raw(b"HTTP/1.1 200 OK\r\nConte".to_vec())),
            Code::Unavailable,
            Value::Null,
        ),
        ("half a body", Box::new(move || Reply::Raw(wrong_length.clone())), Code::Unavailable, Value::Null),
        (
            "half a chunk",
            Box::new(move || Reply::Raw([raw(chunked), raw("5\r\n[")].concat())),
            Code::Unavailable,
            Value::Null,
        ),
        (
            "no chunk",
            Box::new(move || Reply::Raw([raw(chunked), raw("five\r\n[]")].concat())),
            Code::Unavailable,
            Value::Null,
        ),
        ("not HTTP", Box::new(|| Reply::Raw(b"SSH-2.0-x\r\n".to_vec())), Code::Unavailable, Value::Null),
        (
            "wrong JSON",
            Box::new(|| Reply::Json(200, json!({"sandboxes": 1}))),
            Code::Unavailable,
            Value::Null,
        ),
        (
            "no JSON",
            Box::new(|| Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<a>".to_vec())),
            Code::Unavailable,
            Value::Null,
        ),
        ("silence", Box::new(|| Reply::Silence), Code::Timeout, json!("request")),
        ("slow", Box::new(move || Reply::Script(slow.clone())), Code::Timeout, json!("request")),
        ("401", plain(401), Code::Unauthenticated, Value::Null),
        ("403", plain(403), Code::PermissionDenied, Value::Null),
        ("400", plain(400), Code::InvalidArgument, Value::Null),
        ("429", plain(429), Code::RateLimited, Value::Null),
        ("500", Box::new(move || Reply::Json(500, echo.clone())), Code::Unavailable, Value::Null),
        ("502", plain(502), Code::Unavailable, Value::Null),
        ("503", plain(503), Code::Unavailable, Value::Null),
        ("504", plain(504), Code::Timeout, Value::Null),
        (
            "redirect",
            Box::new(|| Reply::With(302, "Location: http://elsewhere/\r\n", json!({}))),
            Code::Unavailable,
            Value::Null,
        ),
    ];
    for (name, reply, code, phase) in cases {
        let server = Server::new(move |asked| (asked.path() == "/v2/sandboxes").then(&reply));
        let backend = open(&server);
        let began = Instant::now();
        let error = backend.list_sandboxes(StatusFilter::All).unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
        assert_eq!(error.context().get("phase").unwrap_or(&Value::Null), &phase, "{name}: {error}");
        assert_eq!(error.context()["operation"], json!("list sandboxes"), "{name}");
        assert!(began.elapsed() < LONG, "{name}");
        assert_no_secret(&error);
        assert_no_leak(&server, backend);
    }
}

#[test]
fn nobody_there_is_said_at_once_and_a_full_backlog_within_the_time_for_connecting() {
    let backend = open_with(config("http://127.0.0.1:9"));
    let error = backend.list_sandboxes(StatusFilter::All).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().contains("127.0.0.1:9") && error.message().contains("refused"), "{error}");
    // A documentation address, to which no packet has a way; where there is no network at all that is said instead.
    let backend = open_with(config("http://192.0.2.1:9"));
    let began = Instant::now();
    let error = backend.list_sandboxes(StatusFilter::All).unwrap_err();
    assert!(matches!(error.code(), Code::Timeout | Code::Unavailable), "{error}");
    assert!(began.elapsed() < LONG);
    let backend = open_with(config("http://no-such-host.invalid"));
    assert_eq!(backend.list_sandboxes(StatusFilter::All).unwrap_err().code(), Code::Unavailable);
}

#[test]
fn the_request_has_what_the_official_clients_send() {
    let server = Server::new(|_| None);
    let backend = open(&server);
    assert_eq!(create(&backend, &CancelToken::new()).unwrap(), "sb_iabc");
    let asked = &server.asked("POST", "/v2/sandboxes")[0];
    assert_eq!(asked.header("x-api-key"), Some(KEY));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("host"), Some(format!("127.0.0.1:{}", server.port).as_str()));
    let body = asked.json();
    assert_eq!((&body["templateID"], &body["timeout"]), (&json!("code-interpreter-v1"), &json!(60)));
    assert_eq!(body.get("secure"), None);
    assert_eq!(body["metadata"]["e2bridge_template"], json!("python"));
    backend.list_sandboxes(StatusFilter::All).unwrap();
    let target = &server.asked("GET", "/v2/sandboxes")[0].target;
    assert_eq!(target, "/v2/sandboxes?metadata=e2bridge%3D1&state=running,paused&order=asc&limit=100");
}

/// What a list answers that is asked for the sandbox of a request.
fn made(asked: &Asked) -> Reply {
    let mut made = detail();
    let filter = asked.target.split("e2bridge_request%3D").nth(1).unwrap_or_default();
    made["metadata"]["e2bridge_request"] = json!(filter.split('&').next());
    Reply::Json(200, json!([made]))
}

#[test]
fn a_create_whose_answer_is_lost_makes_no_second_one_and_the_first_is_ended() {
    let server = Server::new(|asked| match (asked.method.as_str(), asked.path()) {
        ("POST", "/v2/sandboxes") => Some(Reply::Reset),
        // It was made all the same.
        ("GET", "/v2/sandboxes") => Some(made(asked)),
        _ => None,
    });
    let backend = open(&server);
    let error = create(&backend, &CancelToken::new()).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert_eq!(server.asked("POST", "/v2/sandboxes").len(), 1);
    assert_eq!(server.asked("POST", "/sandboxes").len(), 0);
    wait_until("it was not ended", || !server.asked("DELETE", "/sandboxes/iabc").is_empty());
}

#[test]
fn a_create_is_asked_for_again_when_the_server_says_when() {
    for status in [429, 503] {
        let server = Server::new(move |asked| {
            (asked.method == "POST" && asked.path() == "/v2/sandboxes" && asked.before < 2).then(|| {
                Reply::With(status, "Retry-After: 0\r\n", json!({"code": status, "message": "later"}))
            })
        });
        let backend = open(&server);
        create(&backend, &CancelToken::new()).unwrap();
        assert_eq!(server.asked("POST", "/v2/sandboxes").len(), 3, "{status}");
        // Without saying when, not.
        let server = Server::new(move |asked| {
            (asked.method == "POST").then(|| Reply::Json(status, json!({"code": status, "message": "later"})))
        });
        let backend = open(&server);
        let error = create(&backend, &CancelToken::new()).unwrap_err();
        let code = if status == 429 { Code::RateLimited } else { Code::Unavailable };
        assert_eq!((error.code(), server.asked("POST", "/v2/sandboxes").len()), (code, 1));
    }
    // Nor when it says so for longer than a request may take.
    let server = Server::new(|asked| {
        (asked.method == "POST").then(|| Reply::With(429, "Retry-After: 3600\r\n", json!({"code": 429})))
    });
    let error = create(&open(&server), &CancelToken::new()).unwrap_err();
    assert_eq!((error.code(), &error.context()["retry_after_seconds"]), (Code::RateLimited, &json!(3600)));
}

#[test]
fn what_can_be_repeated_is_until_a_gateway_is_there_again() {
    let server = Server::new(|asked| match asked.before {
        0 => Some(Reply::Json(502, json!({}))),
        1 => Some(Reply::Reset),
        _ => None,
    });
    let backend = open(&server);
    assert_eq!(backend.list_sandboxes(StatusFilter::All).unwrap().total_count, 1);
    assert_eq!(server.asked("GET", "/v2/sandboxes").len(), 3);
}

#[test]
fn a_cluster_of_the_first_version_is_found_out_once() {
    for status in [404, 405] {
        let server = Server::new(move |asked| {
            (asked.method == "POST" && asked.path() == "/v2/sandboxes")
                .then(|| Reply::Json(status, json!({})))
        });
        let backend = open(&server);
        for _ in 0..3 {
            create(&backend, &CancelToken::new()).unwrap();
        }
        assert_eq!(server.asked("POST", "/v2/sandboxes").len(), 1, "{status}");
        let old = server.asked("POST", "/sandboxes");
        assert_eq!((old.len(), &old[0].json()["secure"]), (3, &json!(true)));
    }
    // A template that is not there is no old cluster.
    let server = Server::new(|asked| {
        (asked.method == "POST")
            .then(|| Reply::Json(404, json!({"code": 404, "message": "template not found"})))
    });
    let backend = open(&server);
    for round in 1..3 {
        let error = create(&backend, &CancelToken::new()).unwrap_err();
        assert_eq!((error.code(), error.argument()), (Code::NotFound, Some("template")));
        assert_eq!(server.asked("POST", "/v2/sandboxes").len(), round);
    }
}

#[test]
fn a_stream_cut_at_every_byte_gives_the_same_result() {
    let body = frames(&program("grün €", 3), &json!({}));
    let pieces = body.clone();
    let server = Server::new(move |asked| {
        is_start(asked).then(|| {
            let mut steps = vec![(Duration::ZERO, stream_head())];
            steps.extend(pieces.iter().map(|byte| (Duration::ZERO, vec![*byte])));
            Reply::Script(steps)
        })
    });
    let backend = open(&server);
    let result = execute(&backend, "x", 10, &CancelToken::new()).unwrap();
    assert_eq!((result.stdout.as_str(), result.exit_code, result.timed_out), ("grün €", 3, false));
    let asked = &server.all_asked().into_iter().find(is_start).unwrap();
    assert_eq!(asked.header("x-access-token"), Some("tok_sandbox_secret"));
    assert_eq!(
        (asked.header("e2b-sandbox-id"), asked.header("e2b-sandbox-port")),
        (Some("iabc"), Some("49983"))
    );
    assert_eq!(asked.header("authorization"), Some("Basic dXNlcjo="));
    assert_eq!(asked.header("connect-timeout-ms"), Some("10000"));
    let message = asked.message();
    assert_eq!(message["process"]["cmd"], json!("/bin/sh"));
    assert_eq!((&message["process"]["args"], &message["stdin"]), (&json!(["-c", "x"]), &json!(false)));
    assert_no_leak(&server, backend);
}

#[test]
fn a_character_cut_between_two_messages_stays_whole() {
    use base64::Engine as _;
    let euro = "€".as_bytes();
    let data = |bytes: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        json!({"event": {"data": {"stdout": text}}})
    };
    let mut messages = program("", 0);
    messages.splice(1..2, [data(&euro[..1]), data(&euro[1..])]);
    let server = Server::new(move |asked| is_start(asked).then(|| Reply::Raw(started(&messages))));
    let result = execute(&open(&server), "x", 10, &CancelToken::new()).unwrap();
    assert_eq!((result.stdout.as_str(), result.stdout_base64, result.exit_code), ("€", None, 0));
}

#[test]
fn ends_of_a_stream_are_told_apart() {
    let start = vec![json!({"event": {"start": {"pid": 7}}})];
    let end =
        |word: &str| json!({"error": {"code": word, "message": format!("said {KEY} tok_sandbox_secret")}});
    let run = |messages: Vec<Value>, end: Value| {
        let server = Server::new(move |asked| {
            is_start(asked).then(|| Reply::Raw([stream_head(), frames(&messages, &end)].concat()))
        });
        execute(&open(&server), "x", 10, &CancelToken::new())
    };
    // The time-out of the execution is a result, with what was written before.
    let result = run(program("before", 0)[..2].to_vec(), end("deadline_exceeded")).unwrap();
    assert_eq!((result.timed_out, result.exit_code, result.stdout.as_str()), (true, -1, "before"));
    for (word, code) in [
        ("invalid_argument", Code::InvalidArgument),
        ("unauthenticated", Code::Unauthenticated),
        ("resource_exhausted", Code::RateLimited),
        ("unavailable", Code::Unavailable),
        ("canceled", Code::Timeout),
    ] {
        let error = run(start.clone(), end(word)).unwrap_err();
        assert_eq!((error.code(), &error.context()["server_code"]), (code, &json!(word)));
        assert_no_secret(&error);
    }
    // An end without the program's end is none.
    assert_eq!(run(start.clone(), json!({})).unwrap_err().code(), Code::Unavailable);
    // A program that is not there is a result.
    let missing =
        json!({"error": {"code": "internal", "message": "exec: \"x\": executable file not found in $PATH"}});
    assert_eq!(run(Vec::new(), missing).unwrap().exit_code, 127);
    // A program that a signal ended.
    let killed =
        json!({"event": {"end": {"exitCode": -1, "status": "signal: killed", "error": "signal: killed"}}});
    let result = run(vec![start[0].clone(), killed], json!({})).unwrap();
    assert_eq!((result.exit_code, result.signal.as_deref(), result.timed_out), (-1, Some("SIGKILL"), false));
}

#[test]
fn a_program_that_has_ended_is_told_so_by_its_daemon_and_one_that_lives_is_left_alone() {
    for (status, asks) in [(0, true), (1, false), (2, false)] {
        let told = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let signalled = Arc::clone(&told);
        let server = Server::new(move |asked| match asked.path() {
            _ if is_look(asked) => Some(Reply::Raw(started(&program("", status)))),
            _ if is_kill(asked) => Some(Reply::Raw(started(&program("", 0)))),
            // The stream of the program goes on until the daemon is asked, or for longer than its time.
            _ if is_start(asked) => {
                let messages = program("out", 5);
                let head = frames(&messages[..2], &json!({}));
                let begun = [stream_head(), head[..head.len() - 7].to_vec()].concat();
                let signalled = Arc::clone(&signalled);
                Some(Reply::Until(
                    begun,
                    Box::new(move || signalled.load(std::sync::atomic::Ordering::SeqCst)),
                    frames(&messages[3..], &json!({})),
                ))
            }
            "/process.Process/SendSignal" => {
                signalled.store(true, std::sync::atomic::Ordering::SeqCst);
                Some(Reply::Json(200, json!({})))
            }
            _ => None,
        });
        let backend = open_with(Config { idle_timeout: Some(60), ..config(&server.url()) });
        let result = execute(&backend, "x", 2, &CancelToken::new()).unwrap();
        let expected = if asks { (false, 5, "out") } else { (true, -1, "out") };
        assert_eq!((result.timed_out, result.exit_code, result.stdout.as_str()), expected, "{status}");
        assert_eq!(told.load(std::sync::atomic::Ordering::SeqCst), asks, "{status}");
        assert!(server.all_asked().iter().any(is_look));
        assert_no_leak(&server, backend);
    }
}

#[test]
fn a_sandbox_that_ended_is_told_from_a_request_that_timed_out() {
    // The stream breaks and the API knows no sandbox any more.
    let broken = |gone: bool, before_end: bool| {
        let server = Server::new(move |asked| match asked.path() {
            _ if is_start(asked) => Some(Reply::Raw([stream_head(), b"\0\0".to_vec()].concat())),
            "/sandboxes/iabc" if gone && asked.before > 0 => {
                Some(Reply::Json(404, json!({"code": 404, "message": "not found"})))
            }
            "/sandboxes/iabc" if before_end => None,
            "/sandboxes/iabc" => {
                let mut over = detail();
                let end = std::time::SystemTime::now() + Duration::from_millis(500);
                over["endAt"] = json!(e2bridge_core::time::rfc3339(end));
                Some(Reply::Json(200, over))
            }
            _ => None,
        });
        let backend = open(&server);
        let error = execute(&backend, "x", 1, &CancelToken::new()).unwrap_err();
        let status = backend.sandbox_status("sb_iabc").ok().map(|status| status.status);
        (error, status)
    };
    let (error, status) = broken(true, true);
    assert_eq!((error.code(), &error.context()["status"]), (Code::NotFound, &json!("terminated")), "{error}");
    assert_eq!(status, Some(SandboxState::Terminated));
    let (error, status) = broken(true, false);
    assert_eq!((error.code(), &error.context()["status"]), (Code::NotFound, &json!("expired")), "{error}");
    assert_eq!(status, Some(SandboxState::Expired));
    let (error, _) = broken(false, true);
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert_eq!(error.context()["sandbox_id"], json!("sb_iabc"));
    // A proxy that has nobody behind it.
    let server = Server::new(|asked| match asked.path() {
        _ if is_start(asked) => Some(Reply::Json(
            502,
            json!({"sandboxId": "iabc", "message": "The sandbox was not found", "code": 502}),
        )),
        "/sandboxes/iabc" if asked.before > 0 => Some(Reply::Json(404, json!({"code": 404}))),
        _ => None,
    });
    let error = execute(&open(&server), "x", 10, &CancelToken::new()).unwrap_err();
    assert_eq!((error.code(), &error.context()["status"]), (Code::NotFound, &json!("terminated")), "{error}");
    // Silence: the sandbox is there, and its request timed out.
    let server = Server::new(|asked| (is_start(asked) && !is_kill(asked)).then_some(Reply::Silence));
    let backend = open(&server);
    let error = execute(&backend, "x", 10, &CancelToken::new()).unwrap_err();
    assert_eq!((error.code(), &error.context()["phase"]), (Code::Timeout, &json!("request")), "{error}");
    assert!(server.all_asked().iter().any(is_kill), "what may have been started is ended");
    assert_no_leak(&server, backend);
    // A stream that falls silent, while everything else is answered.
    let lives = program("", 1);
    let server = Server::new(move |asked| {
        if is_look(asked) {
            return Some(Reply::Raw(started(&lives)));
        }
        (is_start(asked) && !is_kill(asked)).then(|| {
            let first = frames(&[json!({"event": {"start": {"pid": 7}}})], &json!({}));
            let first = first[..first.len() - 7].to_vec();
            Reply::Script(vec![
                (Duration::ZERO, [stream_head(), first].concat()),
                (Duration::from_secs(20), Vec::new()),
            ])
        })
    });
    let error = execute(&open(&server), "x", 5, &CancelToken::new()).unwrap_err();
    assert_eq!((error.code(), &error.context()["phase"]), (Code::Timeout, &json!("idle")), "{error}");
}

#[test]
fn a_cancel_ends_a_waiting_call_and_its_connection_and_the_program() {
    let server = Server::new(|asked| match is_start(asked) {
        true if is_kill(asked) => Some(Reply::Raw(started(&program("", 0)))),
        true => Some(Reply::Silence),
        false => None,
    });
    let backend =
        open_with(Config { request_timeout: Some(60), idle_timeout: Some(60), ..config(&server.url()) });
    let token = CancelToken::new();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| execute(&backend, "x", 60, &token));
        wait_until("it was not started", || server.all_asked().iter().any(is_start));
        let began = Instant::now();
        token.cancel();
        let error = call.join().unwrap().unwrap_err();
        assert_eq!(error.code(), Code::Cancelled, "{error}");
        assert!(began.elapsed() < LONG);
    });
    let kill = server.all_asked().into_iter().find(is_kill).unwrap();
    let id = server.all_asked().into_iter().find(is_start).unwrap().message()["process"]["envs"]["E2B_EXECUTION_ID"].clone();
    assert!(kill.message()["process"]["args"].to_string().contains(id.as_str().unwrap()));
    assert_no_leak(&server, backend);
}

#[test]
fn a_cancel_before_and_while_creating_makes_nothing_that_stays() {
    let server = Server::new(|asked| (asked.method == "POST").then_some(Reply::Silence));
    let backend = open(&server);
    let token = CancelToken::new();
    token.cancel();
    assert_eq!(create(&backend, &token).unwrap_err().code(), Code::Cancelled);
    assert!(server.asked("POST", "/v2/sandboxes").is_empty());
    let token = CancelToken::new();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| create(&backend, &token));
        wait_until("nothing was asked", || !server.asked("POST", "/v2/sandboxes").is_empty());
        token.cancel();
        assert_eq!(call.join().unwrap().unwrap_err().code(), Code::Cancelled);
    });
    wait_until("it was not looked for", || {
        server.asked("GET", "/v2/sandboxes").iter().any(|asked| asked.target.contains("e2bridge_request"))
    });
}

#[test]
fn closing_ends_calls_in_flight_and_what_was_made_here() {
    let server = Server::new(|asked| is_start(asked).then_some(Reply::Silence));
    let backend = open_with(Config { request_timeout: Some(60), ..config(&server.url()) });
    create(&backend, &CancelToken::new()).unwrap();
    assert_eq!(backend.live_sandboxes(), 1);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| execute(&backend, "x", 60, &CancelToken::new()));
        wait_until("it was not started", || server.all_asked().iter().any(is_start));
        backend.close();
        assert_eq!(call.join().unwrap().unwrap_err().code(), Code::Closed);
    });
    assert_eq!(server.asked("DELETE", "/sandboxes/iabc").len(), 1);
    assert_eq!(backend.live_sandboxes(), 0);
    assert_eq!(backend.list_sandboxes(StatusFilter::All).unwrap_err().code(), Code::Closed);
    assert_eq!(create(&backend, &CancelToken::new()).unwrap_err().code(), Code::Closed);
    assert_no_leak(&server, backend);
}

/// A creation that nobody answers, and whose client is closed.
fn close_while_creating(server: &Server) -> CloudBackend {
    let backend = open_with(Config { request_timeout: Some(60), ..config(&server.url()) });
    std::thread::scope(|scope| {
        let call = scope.spawn(|| create(&backend, &CancelToken::new()));
        wait_until("nothing was asked", || !server.asked("POST", "/v2/sandboxes").is_empty());
        backend.close();
        assert_eq!(call.join().unwrap().unwrap_err().code(), Code::Closed);
    });
    backend
}

#[test]
fn closing_waits_until_a_sandbox_that_was_being_made_is_found_and_ended() {
    // The first look comes too early.
    let server = Server::new(|asked| match (asked.method.as_str(), asked.path(), asked.before) {
        ("POST", "/v2/sandboxes", _) => Some(Reply::Silence),
        ("GET", "/v2/sandboxes", 0) => Some(Reply::Json(200, json!([]))),
        ("GET", "/v2/sandboxes", _) => Some(made(asked)),
        _ => None,
    });
    let backend = close_while_creating(&server);
    assert_eq!(server.asked("DELETE", "/sandboxes/iabc").len(), 1);
    assert_eq!(Arc::strong_count(&backend.client), 1, "no thread has it any more");
    // A later one asks nothing and is not looked for.
    assert_eq!(create(&backend, &CancelToken::new()).unwrap_err().code(), Code::Closed);
    assert_eq!(Arc::strong_count(&backend.client), 1);
    assert_no_leak(&server, backend);
}

#[test]
fn closing_ends_where_nobody_answers() {
    let server = Server::new(|_| Some(Reply::Silence));
    let began = Instant::now();
    let backend = close_while_creating(&server);
    assert!(began.elapsed() < LONG);
    wait_until("a thread goes on", || Arc::strong_count(&backend.client) == 1);
    assert_no_leak(&server, backend);
}

#[test]
fn sixty_four_executions_at_once_share_the_connections() {
    let messages = program("ok", 0);
    let server = Server::new(move |asked| {
        is_start(asked).then(|| Reply::Script(vec![(Duration::from_millis(50), started(&messages))]))
    });
    let backend =
        open_with(Config { request_timeout: Some(60), connect_timeout: Some(60), ..config(&server.url()) });
    std::thread::scope(|scope| {
        let calls: Vec<_> =
            (0..64).map(|_| scope.spawn(|| execute(&backend, "x", 30, &CancelToken::new()))).collect();
        for call in calls {
            assert_eq!(call.join().unwrap().unwrap().stdout, "ok");
        }
    });
    let (_, peak) = server.connections();
    assert!(peak <= 128, "{peak}");
    assert_no_leak(&server, backend);
}

#[test]
fn a_connection_is_used_again_and_one_that_the_server_ended_is_not() {
    let server = Server::new(|_| None);
    let backend = open(&server);
    for _ in 0..10 {
        backend.list_sandboxes(StatusFilter::All).unwrap();
    }
    assert_eq!(server.connections().0, 1);
    let figures = backend.client.transport.pool.figures();
    assert_eq!((figures.in_use, figures.idle, figures.opened, figures.reused), (0, 1, 1, 9));
    // The server ends each connection behind its answer, without having said so.
    let server = Server::new(|_| Some(Reply::Raw(answer(200, "", &json!([])))));
    let backend = open(&server);
    for _ in 0..5 {
        backend.list_sandboxes(StatusFilter::All).unwrap();
    }
    assert_eq!(server.asked("GET", "/v2/sandboxes").len(), 5);
    assert_no_leak(&server, backend);
}

#[test]
fn a_sandbox_is_kept_alive_for_a_call_and_no_longer() {
    let messages = program("ok", 0);
    let server = Server::new(move |asked| is_start(asked).then(|| Reply::Raw(started(&messages))));
    let backend = open(&server);
    // It ends in 3,000 s; 60 s are within that.
    execute(&backend, "x", 60, &CancelToken::new()).unwrap();
    assert!(server.asked("POST", "/sandboxes/iabc/timeout").is_empty());
    execute(&backend, "x", 5_000, &CancelToken::new()).unwrap();
    let times: Vec<i64> = server
        .asked("POST", "/sandboxes/iabc/timeout")
        .iter()
        .map(|asked| asked.json()["timeout"].as_i64().unwrap())
        .collect();
    assert_eq!(times[0], 5_010);
    assert!((2_900..=3_000).contains(&times[1]) && times.len() == 2, "{times:?}");
}

#[test]
fn a_limit_that_the_template_cannot_give_is_refused_and_nothing_is_left() {
    let server = Server::new(|_| None);
    let backend = open(&server);
    let create = |memory, cpus| {
        let request = CreateSandbox::new("n", Some("python"), None, memory, cpus).unwrap();
        backend.create_sandbox(&request, &CancelToken::new())
    };
    let error = create(Some(2_048), None).unwrap_err();
    assert_eq!((error.code(), error.argument()), (Code::Unsupported, Some("memory_mb")));
    assert!(error.message().contains("1024 MiB"), "{error}");
    assert_eq!(server.asked("DELETE", "/sandboxes/iabc").len(), 1);
    // From then on the size is known.
    let error = create(None, Some(4)).unwrap_err();
    assert_eq!((error.code(), error.argument()), (Code::Unsupported, Some("cpu_count")));
    assert_eq!(server.asked("POST", "/v2/sandboxes").len(), 1);
    let created = create(Some(1_024), Some(2)).unwrap();
    assert_eq!((created.limits.memory_mb, created.limits.cpu_count), (1_024, 2));
}

#[test]
fn files_go_in_and_out_and_an_early_refusal_is_heard() {
    let server = Server::new(|asked| match (asked.method.as_str(), asked.path()) {
        ("GET", "/files") => Some(Reply::Raw(
            [
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\n".to_vec(),
                vec![0, 255, 1, 2],
            ]
            .concat(),
        )),
        ("POST", "/files") if asked.target.contains("full") => {
            Some(Reply::Json(507, json!({"code": 507, "message": "no space"})))
        }
        ("POST", "/files") => {
            Some(Reply::Json(200, json!([{"path": "/home/user/a", "name": "a", "type": "file"}])))
        }
        _ => None,
    });
    let backend = open(&server);
    let token = CancelToken::new();
    let read = backend.read_file("iabc", "a b/c", &token).unwrap();
    assert_eq!(
        (read.content_base64.as_str(), read.size, read.path.as_str()),
        ("AP8BAg==", 4, "/home/user/a b/c")
    );
    let target = &server.asked("GET", "/files")[0].target;
    assert!(
        target.starts_with("/files?path=%2Fhome%2Fuser%2Fa%20b%2Fc&username=user&signature=v1_"),
        "{target}"
    );
    let write = |path: &str, content: &[u8]| {
        backend.write_file(&e2bridge_core::request::WriteFile::new("sb_iabc", path, content).unwrap(), &token)
    };
    assert_eq!(write("a", b"hello").unwrap().size, 5);
    let asked = &server.asked("POST", "/files")[0];
    assert_eq!(
        (asked.body.as_slice(), asked.header("content-type")),
        (&b"hello"[..], Some("application/octet-stream"))
    );
    let error = write("full", b"x").unwrap_err();
    assert_eq!((error.code(), error.argument()), (Code::LimitExceeded, Some("path")), "{error}");
    assert_no_secret(&error);
}

#[test]
fn nothing_that_is_shown_has_a_secret() {
    let server = Server::new(|_| None);
    let backend = open(&server);
    create(&backend, &CancelToken::new()).unwrap();
    let shown = format!("{backend:?} {:?}", backend.client.settings);
    assert!(!shown.contains(KEY) && !shown.contains("tok_sandbox_secret"), "{shown}");
    let health = serde_json::to_string(&backend.monitor_health(true).unwrap()).unwrap();
    let status = serde_json::to_string(&backend.list_sandboxes(StatusFilter::All).unwrap()).unwrap();
    assert!(![&health, &status].iter().any(|text| text.contains(KEY) || text.contains("tok_sandbox_secret")));
}

#[test]
fn ids_of_both_forms_are_taken_and_others_are_not_sent() {
    let server = Server::new(|asked| asked.path().ends_with("/metrics").then(|| Reply::Json(200, json!([]))));
    let backend = open(&server);
    for id in ["sb_iabc", "iabc"] {
        assert_eq!(&*backend.sandbox_status(id).unwrap().sandbox_id, "sb_iabc");
    }
    let before = server.all_asked().len();
    for id in ["sb_", "../x", "sb_a/b", "a?b", ""] {
        assert_eq!(backend.sandbox_status(id).unwrap_err().code(), Code::NotFound, "{id}");
    }
    assert_eq!(server.all_asked().len(), before);
}

/// A cluster that keeps what is made; the creation of number `refused`, from 0, is refused.
fn keeping(refused: Option<usize>) -> (Server, Arc<Mutex<BTreeMap<String, Value>>>) {
    let made: Arc<Mutex<BTreeMap<String, Value>>> = Arc::default();
    let all = Arc::clone(&made);
    let server = Server::new(move |asked| {
        let mut all = all.lock().unwrap();
        Some(match (asked.method.as_str(), asked.path()) {
            ("POST", "/v2/sandboxes") if refused == Some(asked.before) => {
                Reply::Json(403, json!({"code": 403, "message": "not that many"}))
            }
            ("POST", "/v2/sandboxes") => {
                let id = format!("i{}", asked.before);
                let mut sandbox = detail();
                sandbox["sandboxID"] = json!(id);
                sandbox["metadata"] = asked.json()["metadata"].clone();
                all.insert(id.clone(), sandbox);
                Reply::Json(201, json!({"sandboxID": id, "envdVersion": "0.6.13"}))
            }
            ("GET", "/v2/sandboxes") => Reply::Json(200, all.values().cloned().collect()),
            ("GET", "/sandboxes/metrics") => Reply::Json(200, json!({"sandboxes": {}})),
            ("POST", "/process.Process/List") => Reply::Json(200, json!({})),
            (method, path) => {
                let id = path.strip_prefix("/sandboxes/").unwrap_or_default();
                let found = if method == "DELETE" { all.remove(id) } else { all.get(id).cloned() };
                match (found, method) {
                    (None, _) => Reply::Json(404, json!({"code": 404, "message": "not found"})),
                    (Some(_), "DELETE") => Reply::Json(204, Value::Null),
                    (Some(sandbox), _) => Reply::Json(200, sandbox),
                }
            }
        })
    });
    (server, made)
}

fn deploy(backend: &CloudBackend, instances: u32) -> Result<e2bridge_core::document::DeploymentCreated> {
    let configuration = json!({"instances": instances, "env": {"A": "b"}, "strategy": "momentum"});
    let request =
        DeployTemplate::new("python", "desk 1", configuration.as_object().unwrap().clone()).unwrap();
    backend.deploy_template(&request, &CancelToken::new())
}

fn scale(
    backend: &CloudBackend,
    id: &str,
    count: i64,
    auto: bool,
) -> Result<e2bridge_core::document::DeploymentScaled> {
    backend.scale_deployment(&ScaleDeployment::new(id, Some(count), Some(auto)).unwrap(), &CancelToken::new())
}

#[test]
fn a_deployment_of_one_client_is_scaled_and_ended_by_another() {
    let (server, made) = keeping(None);
    let first = open(&server);
    let deployed = deploy(&first, 2).unwrap();
    let variables = server.asked("POST", "/v2/sandboxes")[0].json()["envVars"].clone();
    assert_eq!(
        (&variables["A"], &variables["E2B_DEPLOYMENT_ID"]),
        (&json!("b"), &json!(deployed.deployment_id))
    );
    drop(first);
    assert_eq!(made.lock().unwrap().len(), 2, "closing ends no deployment");
    let second = open(&server);
    let listed = second.list_sandboxes(StatusFilter::All).unwrap();
    assert!(listed.sandboxes.iter().all(|row| row.deployment_id.as_ref() == Some(&deployed.deployment_id)));
    let scaled = scale(&second, &deployed.deployment_id, 3, false).unwrap();
    assert_eq!((scaled.previous_instances, scaled.instances, scaled.status.as_str()), (2, 3, "scaled"));
    let made_last = server.asked("POST", "/v2/sandboxes")[2].json();
    assert_eq!(made_last["metadata"]["e2bridge_instance"], json!("2"));
    assert_eq!(made_last["metadata"]["e2bridge_category"], json!("desk 1"));
    assert_eq!(made_last["envVars"]["A"], json!("b"));
    assert_eq!(scale(&second, &deployed.deployment_id, 0, false).unwrap().status, "ended");
    assert!(made.lock().unwrap().is_empty());
    let error = scale(&second, &deployed.deployment_id, 1, false).unwrap_err();
    assert_eq!((error.code(), &error.context()["status"]), (Code::NotFound, &json!("ended")));
    assert_eq!(scale(&second, "dep_unknown", 1, false).unwrap_err().code(), Code::NotFound);
}

#[test]
fn a_deployment_that_cannot_have_all_its_instances_leaves_none_and_a_scale_keeps_what_it_got() {
    let (server, made) = keeping(Some(2));
    let backend = open(&server);
    let error = deploy(&backend, 5).unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied, "{error}");
    assert!(error.message().ends_with("the deployment was rolled back"), "{error}");
    assert!(made.lock().unwrap().is_empty());
    let (server, made) = keeping(Some(1));
    let backend = open(&server);
    let id = deploy(&backend, 1).unwrap().deployment_id;
    let scaled = scale(&backend, &id, 2, false).unwrap();
    assert_eq!((scaled.status.as_str(), scaled.instances), ("partial", 1));
    assert_eq!((scaled.failures[0].instance, scaled.failures[0].code.as_str()), (1, "PERMISSION_DENIED"));
    assert_eq!(made.lock().unwrap().len(), 1);
}

#[test]
fn a_dead_instance_of_a_deployment_that_follows_its_load_is_replaced() {
    let (server, made) = keeping(None);
    let backend = open(&server);
    let id = deploy(&backend, 1).unwrap().deployment_id;
    let scaled = scale(&backend, &id, 2, true).unwrap();
    assert!(scaled.auto_scale && scaled.instances == 2);
    made.lock().unwrap().remove("i0");
    wait_until("it was not replaced", || made.lock().unwrap().contains_key("i2"));
    scale(&backend, &id, 0, false).unwrap();
    assert!(made.lock().unwrap().is_empty());
}
