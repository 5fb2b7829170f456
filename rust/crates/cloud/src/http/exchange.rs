//! One request and the head of its answer.

use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use super::body::{Body, Framing};
use super::connection::{Connection, Fault, Patience, Phase};
use super::guard::Guard;
use super::pool::Pool;
use super::url::Url;

/// Most headers of an answer.
const MAX_HEADERS: usize = 100;
/// Most provisional answers before the one that counts.
const MAX_PROVISIONAL: usize = 16;
/// Bytes of a body that are sent at once.
const PIECE: usize = 64 * 1024;

/// What is sent.
pub(crate) enum Payload<'a> {
    /// No body.
    None,
    /// These bytes; they can be sent again.
    Bytes(&'a [u8]),
    /// So many bytes out of a reader, between two short pieces; only once.
    Stream { before: &'a [u8], reader: &'a mut dyn Read, length: u64, after: &'a [u8] },
}

/// A request. It has secrets in its headers, so that it is not shown.
pub(crate) struct Request<'a, 'p> {
    pub(crate) method: &'static str,
    /// Where.
    pub(crate) url: &'a Url,
    /// Below the base address: a path with its query.
    pub(crate) target: &'a str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) payload: &'a mut Payload<'p>,
}

/// The head of an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) keep_alive: bool,
}

impl Head {
    /// The value of the first header of that name, in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// An answer whose body is still to come.
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Body,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    /// The other side may have got the request, or a part of it.
    pub(crate) sent: bool,
    /// The connection was a kept one, which the other side may have ended before it got anything.
    pub(crate) reused: bool,
}

/// Sends a request and reads the head of its answer.
pub(crate) fn exchange(
    pool: &Arc<Pool>,
    request: &mut Request<'_, '_>,
    fresh: bool,
    guard: &Guard<'_>,
    patience: &Patience,
) -> Result<Response, Failure> {
    let mut lease = pool.take(request.url, fresh, guard).map_err(|fault| Failure {
        fault,
        sent: false,
        reused: false,
    })?;
    let through_proxy = !request.url.https && pool.proxies.of(request.url).is_some();
    let mut reused = false;
    let mut work = || -> Result<Head, Fault> {
        let connection = lease.connection()?;
        reused = connection.uses > 0;
        connection.uses += 1;
        let head = head_text(pool, request, through_proxy)?;
        let mut listens = connection.send(head.as_bytes(), guard, patience)?;
        if listens {
            listens = send_payload(connection, request.payload, guard, patience)?;
        }
        // Whatever comes then, the head comes without a long pause.
        let whole = Patience { until: patience.until.or(Some(Instant::now() + patience.idle)), ..*patience };
        let phase = if patience.until.is_none() { Phase::Idle } else { patience.phase };
        let mut head = read_head(connection, guard, &Patience { phase, ..whole })?;
        // After an early answer the rest of the request would be taken for the next one.
        head.keep_alive &= listens;
        Ok(head)
    };
    let head = match work() {
        Ok(head) => head,
        Err(fault) => return Err(Failure { fault, sent: true, reused }),
    };
    let framing =
        Framing::of(request.method, &head).map_err(|fault| Failure { fault, sent: true, reused })?;
    let body = Body::new(lease, framing, head.keep_alive);
    Ok(Response { head, body })
}

/// The head of a request. What is no header value would be another header: our settings are checked, a server's words may be
/// anything.
fn head_text(pool: &Pool, request: &Request<'_, '_>, through_proxy: bool) -> Result<String, Fault> {
    let mut text = String::with_capacity(512);
    let base = if through_proxy { request.url.text() } else { request.url.path.clone() };
    push(
        &mut text,
        &[
            request.method,
            " ",
            &base,
            request.target,
            " HTTP/1.1\r\nHost: ",
            &request.url.authority(),
            "\r\n",
        ],
    );
    if through_proxy
        && let Some(authorization) =
            pool.proxies.of(request.url).and_then(|proxy| proxy.authorization.as_ref())
    {
        push(&mut text, &["Proxy-Authorization: ", authorization.expose(), "\r\n"]);
    }
    for (name, value) in &request.headers {
        if value.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(Fault::Garbled(format!("a value that cannot be that of the header {name}")));
        }
        push(&mut text, &[name, ": ", value, "\r\n"]);
    }
    let length = match &*request.payload {
        // A POST says that it has no body.
        Payload::None => (request.method != "GET" && request.method != "DELETE").then_some(0),
        Payload::Bytes(bytes) => Some(bytes.len() as u64),
        Payload::Stream { before, length, after, .. } => {
            Some(length + before.len() as u64 + after.len() as u64)
        }
    };
    if let Some(length) = length {
        push(&mut text, &["Content-Length: ", &length.to_string(), "\r\n"]);
    }
    text.push_str("\r\n");
    Ok(text)
}

fn push(text: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| text.push_str(part));
}

/// False when an answer came early.
fn send_payload(
    connection: &mut Connection,
    payload: &mut Payload<'_>,
    guard: &Guard<'_>,
    patience: &Patience,
) -> Result<bool, Fault> {
    match payload {
        Payload::None => Ok(true),
        Payload::Bytes(bytes) => connection.send(bytes, guard, patience),
        Payload::Stream { before, reader, length, after } => {
            if !connection.send(before, guard, patience)? {
                return Ok(false);
            }
            let mut piece = vec![0; PIECE];
            let mut left = *length;
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
                let got = match reader.read(&mut piece[..most]) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(Fault::Ended(e2bridge_wait::host_error("read", &error))),
                    Ok(got) => got,
                };
                if got == 0 {
                    return Err(Fault::Ended(e2bridge_core::Error::new(
                        e2bridge_core::Code::Unavailable,
                        format!("what was to be sent ended {left} bytes early"),
                    )));
                }
                left -= got as u64;
                if !connection.send(&piece[..got], guard, patience)? {
                    return Ok(false);
                }
            }
            connection.send(after, guard, patience)
        }
    }
}

/// Reads the head of an answer, passing over the provisional ones (1xx).
pub(crate) fn read_head(
    connection: &mut Connection,
    guard: &Guard<'_>,
    patience: &Patience,
) -> Result<Head, Fault> {
    let mut provisional = 0;
    loop {
        if let Some((head, length)) = parse_head(connection.ahead())? {
            connection.consume(length);
            if head.status >= 200 {
                return Ok(head);
            }
            provisional += 1;
            if provisional > MAX_PROVISIONAL {
                return Err(Fault::Garbled("too many provisional answers".to_owned()));
            }
            if head.status == 101 {
                return Err(Fault::Garbled("the answer switches to another protocol".to_owned()));
            }
            continue;
        }
        if !connection.read_more(guard, patience)? {
            return Err(Fault::Broken(if connection.ahead().is_empty() {
                "the other side ended the connection without an answer".to_owned()
            } else {
                "the other side ended the connection in the head of its answer".to_owned()
            }));
        }
    }
}

/// The head at the beginning of `bytes` and its length; `None` when it is not all there.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, Fault> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Partial) => Ok(None),
        Err(error) => Err(Fault::Garbled(format!("what answers speaks no HTTP/1.1: {error}"))),
        Ok(httparse::Status::Complete(length)) => {
            let mut head = Head {
                status: parsed.code.unwrap_or(0),
                headers: parsed
                    .headers
                    .iter()
                    .map(|header| {
                        let value = String::from_utf8_lossy(header.value).trim().to_owned();
                        (header.name.to_ascii_lowercase(), value)
                    })
                    .collect(),
                keep_alive: false,
            };
            let connection = head.header("connection").unwrap_or_default().to_ascii_lowercase();
            let says = |word: &str| connection.split(',').any(|option| option.trim() == word);
            head.keep_alive = if parsed.version == Some(1) { !says("close") } else { says("keep-alive") };
            Ok(Some((head, length)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_whole_and_its_header_names_in_any_case() {
        let text = b"HTTP/1.1 201 Created\r\nX-Next-Token: a b \r\nCONNECTION: Keep-Alive, Close\r\n\r\nrest";
        for cut in 0..text.len() - 4 {
            assert!(parse_head(&text[..cut]).unwrap().is_none(), "{cut}");
        }
        let (head, length) = parse_head(text).unwrap().unwrap();
        assert_eq!((head.status, head.header("x-next-token"), head.keep_alive), (201, Some("a b"), false));
        assert_eq!(length, text.len() - 4);
        assert!(matches!(parse_head(b"SSH-2.0-OpenSSH\r\n"), Err(Fault::Garbled(_))));
    }
}
