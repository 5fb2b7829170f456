//! A double of a cluster: a scripted server on loopback. Each test says what it answers; it counts what it is asked.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// How many of the same method and path came before it.
    pub(crate) before: usize,
}

impl Asked {
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The message in the frame that a stream is asked for with.
    pub(crate) fn message(&self) -> Value {
        serde_json::from_slice(self.body.get(5..).unwrap_or_default()).unwrap_or(Value::Null)
    }
}

/// What is done about a request.
pub(crate) enum Reply {
    /// An answer of JSON.
    Json(u16, Value),
    /// An answer of JSON with more headers.
    With(u16, &'static str, Value),
    /// These bytes, then the connection is ended.
    Raw(Vec<u8>),
    /// Bytes and pauses, then the connection is ended.
    Script(Vec<(Duration, Vec<u8>)>),
    /// Bytes, others once something is so, then the connection is ended.
    Until(Vec<u8>, Box<dyn Fn() -> bool + Send>, Vec<u8>),
    /// The connection is reset.
    Reset,
    /// No answer; the connection stays until the client ends it.
    Silence,
}

type Handler = dyn Fn(&Asked) -> Option<Reply> + Send + Sync;

/// The server; it ends with the value.
pub(crate) struct Server {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    handler: Box<Handler>,
    asked: Mutex<Vec<Asked>>,
    open: AtomicUsize,
    peak: AtomicUsize,
    accepted: AtomicUsize,
    stop: AtomicBool,
}

impl Server {
    /// Answers what `handler` says, and where it says nothing as a cluster with the one sandbox `iabc` does.
    pub(crate) fn new(handler: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            asked: Mutex::default(),
            open: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let all = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if all.stop.load(Ordering::SeqCst) {
                    return;
                }
                let all = Arc::clone(&all);
                std::thread::spawn(move || all.serve(stream));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The requests for a method and a path.
    pub(crate) fn asked(&self, method: &str, path: &str) -> Vec<Asked> {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.method == method && asked.path() == path).cloned().collect()
    }

    pub(crate) fn all_asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Connections that were made, and the most at a time.
    pub(crate) fn connections(&self) -> (usize, usize) {
        (self.shared.accepted.load(Ordering::SeqCst), self.shared.peak.load(Ordering::SeqCst))
    }

    /// Waits until no connection is left.
    pub(crate) fn await_no_connection(&self) {
        wait_until("a connection was left open", || self.shared.open.load(Ordering::SeqCst) == 0);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Waits for a condition of another thread.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < give_up, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(open, Ordering::SeqCst);
        let mut ahead = Vec::new();
        while let Some(asked) = self.read(&mut stream, &mut ahead) {
            if !self.answer(&asked, &mut stream) {
                break;
            }
        }
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    fn read(&self, stream: &mut TcpStream, ahead: &mut Vec<u8>) -> Option<Asked> {
        let mut piece = [0; 65_536];
        let end = loop {
            if let Some(end) = ahead.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => return None,
                Ok(length) => ahead.extend_from_slice(&piece[..length]),
            }
        };
        let head = String::from_utf8(ahead.drain(..end).collect()).unwrap();
        let mut lines = head.lines();
        let mut first = lines.next()?.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
        while ahead.len() < length {
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => return None,
                Ok(got) => ahead.extend_from_slice(&piece[..got]),
            }
        }
        let body = ahead.drain(..length).collect();
        let mut asked = Asked { method, target, headers, body, before: 0 };
        let mut all = self.asked.lock().unwrap();
        asked.before =
            all.iter().filter(|other| other.method == asked.method && other.path() == asked.path()).count();
        all.push(asked.clone());
        Some(asked)
    }

    /// False when the connection is to end.
    fn answer(&self, asked: &Asked, stream: &mut TcpStream) -> bool {
        let reply = (self.handler)(asked).unwrap_or_else(|| usual(asked));
        match reply {
            Reply::Json(status, body) => stream.write_all(&answer(status, "", &body)).is_ok(),
            Reply::With(status, headers, body) => stream.write_all(&answer(status, headers, &body)).is_ok(),
            Reply::Raw(bytes) => {
                let _ = stream.write_all(&bytes);
                let _ = stream.shutdown(Shutdown::Both);
                false
            }
            Reply::Script(steps) => {
                for (pause, bytes) in steps {
                    std::thread::sleep(pause);
                    if stream.write_all(&bytes).is_err() {
                        break;
                    }
                }
                let _ = stream.shutdown(Shutdown::Both);
                false
            }
            Reply::Until(begun, so, rest) => {
                let _ = stream.write_all(&begun);
                let _ = stream.set_read_timeout(Some(Duration::from_millis(5)));
                // Until the client ends the connection, at last.
                while !so() && !matches!(stream.read(&mut [0]), Ok(0)) {}
                let _ = stream.write_all(&rest);
                let _ = stream.shutdown(Shutdown::Both);
                false
            }
            Reply::Reset => {
                rustix::net::sockopt::set_socket_linger(&*stream, Some(Duration::ZERO)).unwrap();
                false
            }
            Reply::Silence => {
                let mut byte = [0];
                while matches!(stream.read(&mut byte), Ok(1)) {}
                false
            }
        }
    }
}

/// An answer with a length.
pub(crate) fn answer(status: u16, headers: &str, body: &Value) -> Vec<u8> {
    let body = if status == 204 { String::new() } else { body.to_string() };
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes()
}

/// The head of a Connect stream whose body ends with the connection.
pub(crate) fn stream_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Type: application/connect+json\r\n\r\n".to_vec()
}

/// Frames of messages; the last is the end of the stream.
pub(crate) fn frames(messages: &[Value], end: &Value) -> Vec<u8> {
    let mut bytes: Vec<u8> = messages
        .iter()
        .flat_map(|message| crate::wire::connect::frame(message.to_string().as_bytes()))
        .collect();
    let mut last = crate::wire::connect::frame(end.to_string().as_bytes());
    last[0] = 2;
    bytes.extend(last);
    bytes
}

/// The messages of a program that wrote `stdout` and ended with `code`.
pub(crate) fn program(stdout: &str, code: i32) -> Vec<Value> {
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode(stdout);
    vec![
        json!({"event": {"start": {"pid": 7}}}),
        json!({"event": {"data": {"stdout": data}}}),
        json!({"event": {"keepalive": {}}}),
        json!({"event": {"end": {"exitCode": code, "exited": true, "status": format!("exit status {code}")}}}),
    ]
}

/// A whole answer to a start, in one chunk, after which the connection can be used again.
pub(crate) fn started(messages: &[Value]) -> Vec<u8> {
    let body = frames(messages, &json!({}));
    let mut bytes =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/connect+json\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    bytes.extend(format!("{:x}\r\n", body.len()).bytes());
    bytes.extend(body);
    bytes.extend(b"\r\n0\r\n\r\n");
    bytes
}

/// What the API says of the sandbox.
pub(crate) fn detail() -> Value {
    let end = e2bridge_core::time::rfc3339(std::time::SystemTime::now() + Duration::from_secs(3_000));
    json!({"templateID": "t1", "sandboxID": "iabc", "clientID": "c", "startedAt": e2bridge_core::time::now(), "endAt": end,
        "cpuCount": 2, "memoryMB": 1024, "diskSizeMB": 1024, "state": "running", "envdVersion": "0.6.13",
        "envdAccessToken": "tok_sandbox_secret", "metadata": {"e2bridge": "1", "e2bridge_name": "n", "e2bridge_template": "python"}})
}

fn usual(asked: &Asked) -> Reply {
    match (asked.method.as_str(), asked.path()) {
        ("POST", "/v2/sandboxes" | "/sandboxes") => Reply::Json(
            201,
            json!({"templateID": "t1", "sandboxID": "iabc", "clientID": "c", "envdVersion": "0.6.13",
                "envdAccessToken": "tok_sandbox_secret"}),
        ),
        ("GET", "/sandboxes/iabc") => Reply::Json(200, detail()),
        ("GET", "/v2/sandboxes") => Reply::Json(200, json!([detail()])),
        ("DELETE", _) | ("POST", "/sandboxes/iabc/timeout") => Reply::Json(204, Value::Null),
        _ => Reply::Json(404, json!({"code": 404, "message": "no such route in the double"})),
    }
}
