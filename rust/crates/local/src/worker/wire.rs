//! What goes over the socket of a worker: requests in pieces, replies in pieces, bounded.

use std::os::fd::AsFd;

use e2bridge_core::output::{MAX_RESULT_BYTES, MAX_RESULT_DEPTH, json_depth};
use e2bridge_core::{Code, Error, Result};
use e2bridge_protocol::worker::{MAX_MESSAGE, WorkerReply, WorkerRequest};
use rustix::net::SendFlags;

use crate::wait::host_error;

/// A request on its way; the default one is there already.
#[derive(Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
    sent: usize,
}

impl Message {
    pub(super) fn request(request: &WorkerRequest) -> Result<Self> {
        let mut bytes = vec![0; 4];
        serde_json::to_writer(&mut bytes, request)
            .map_err(|error| Error::internal(format!("encode: {error}")))?;
        let length = bytes.len() - 4;
        if length > MAX_MESSAGE {
            return Err(Error::new(
                Code::LimitExceeded,
                format!("code: the request is {length} bytes long, more than {MAX_MESSAGE}"),
            )
            .about("code"));
        }
        let length = u32::try_from(length).map_err(|_| Error::internal("a bounded length is too long"))?;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        Ok(Self { bytes, sent: 0 })
    }

    /// A shell reads lines and decodes words: the code as one word in quotes, its line ends as a variable that holds one.
    pub(super) fn line(code: &str) -> Self {
        let word = code.replace('\'', "'\\''").replace('\n', "'\"$__e2b_nl\"'");
        Self { bytes: format!("'{word}'\n").into_bytes(), sent: 0 }
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sent == self.bytes.len()
    }

    pub(super) fn send(&mut self, socket: impl AsFd) -> Result<()> {
        match rustix::net::send(socket, &self.bytes[self.sent..], SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(sent) => self.sent += sent,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            // A worker that is gone: its exit is reported on the channel.
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => self.sent = self.bytes.len(),
            Err(error) => return Err(host_error("send", &error.into())),
        }
        Ok(())
    }
}

/// A reply on its way.
#[derive(Default)]
pub(super) struct Reply {
    bytes: Vec<u8>,
}

pub(super) enum Received {
    Part,
    Whole(Box<WorkerReply>),
    /// Too long, or no reply.
    Garbled,
    End,
}

impl Reply {
    /// Reads once.
    pub(super) fn receive(&mut self, socket: impl AsFd) -> Received {
        // Most replies are short; and freeing 64 KiB makes the allocator tidy up each time.
        self.bytes.reserve(if self.bytes.is_empty() { 16 * 1024 } else { 64 * 1024 });
        match rustix::net::recv(
            socket,
            rustix::buffer::spare_capacity(&mut self.bytes),
            rustix::net::RecvFlags::DONTWAIT,
        ) {
            Ok((_, 0)) => return Received::End,
            Ok(_) => {}
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Received::Part,
            Err(_) => return Received::End,
        }
        let Some((header, body)) = self.bytes.split_first_chunk::<4>() else { return Received::Part };
        let length = usize::try_from(u32::from_le_bytes(*header)).unwrap_or(usize::MAX);
        if length > MAX_MESSAGE || body.len() > length {
            return Received::Garbled;
        }
        if body.len() < length {
            return Received::Part;
        }
        match serde_json::from_slice(body) {
            Ok(reply) => bounded(reply).map_or(Received::Garbled, Received::Whole),
            Err(_) => Received::Garbled,
        }
    }
}

/// A reply whose results are no more than a worker sends; JSON of too many levels is left out.
fn bounded(mut reply: Box<WorkerReply>) -> Option<Box<WorkerReply>> {
    let mut bytes = 0;
    for output in &mut reply.results {
        bytes += output.text.len() + output.json.as_ref().map_or(0, |json| json.get().len());
        output.json = output.json.take().filter(|json| json_depth(json.get()) <= MAX_RESULT_DEPTH);
    }
    (bytes <= MAX_RESULT_BYTES).then_some(reply)
}

/// The reply that comes over a socket, if it is one.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_reply(socket: impl AsFd) -> Option<Box<WorkerReply>> {
    let mut reply = Reply::default();
    loop {
        match reply.receive(&socket) {
            Received::Part => {}
            Received::Whole(reply) => return Some(reply),
            Received::Garbled | Received::End => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use rustix::event::{PollFd, PollFlags};

    use super::*;
    use crate::wait;

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend_from_slice(body);
        bytes
    }

    fn received(body: &[u8]) -> Option<Box<WorkerReply>> {
        let (near, mut far) = UnixStream::pair().unwrap();
        let sent = framed(body);
        let writer = std::thread::spawn(move || far.write_all(&sent));
        let mut reply = Reply::default();
        let received = loop {
            wait::poll(&mut [PollFd::new(&near, PollFlags::IN)], None).unwrap();
            match reply.receive(&near) {
                Received::Part => {}
                Received::Whole(reply) => break Some(reply),
                Received::Garbled | Received::End => break None,
            }
        };
        drop(near);
        let _ = writer.join().unwrap();
        received
    }

    #[test]
    fn results_of_a_reply_are_bounded_in_bytes_and_levels() {
        let result =
            |json: &str| format!(r#"{{"results":[{{"text":"","json":{json},"is_main_result":true}}]}}"#);
        let json = |json: &str| received(result(json).as_bytes()).unwrap().results.remove(0).json;
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert_eq!(json(&nested(128)).unwrap().get().len(), 256);
        assert!(json(&nested(129)).is_none());
        assert!(json(&nested(1_000_000)).is_none(), "no recursion on the depth of what comes");
        assert!(
            json(&format!(r#""{}""#, "[{\\\"".repeat(1_000))).is_some(),
            "brackets in a text are no levels"
        );
        assert!(json("null").is_none());
        let zeros = |count: usize| format!("[{}0]", "0,".repeat(count));
        assert!(received(result(&zeros(1 << 20)).as_bytes()).is_some());
        assert!(received(result(&zeros(17 << 20)).as_bytes()).is_none());
    }

    #[test]
    fn a_reply_is_taken_in_pieces_and_what_is_none_is_refused() {
        for (sent, whole) in [
            (framed(br#"{"result":"7"}"#), true),
            (framed(b"7"), false),
            (framed(b"\xff"), false),
            (u32::MAX.to_le_bytes().to_vec(), false),
            ([framed(b"{}"), b"more".to_vec()].concat(), false),
        ] {
            let (near, mut far) = UnixStream::pair().unwrap();
            let mut reply = Reply::default();
            far.write_all(&sent[..3]).unwrap();
            assert!(matches!(reply.receive(&near), Received::Part));
            far.write_all(&sent[3..]).unwrap();
            match reply.receive(&near) {
                Received::Whole(reply) => assert!(whole, "{reply:?}"),
                Received::Garbled => assert!(!whole, "{sent:?}"),
                Received::Part | Received::End => panic!("{sent:?}"),
            }
        }
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        assert!(matches!(Reply::default().receive(&near), Received::End));
    }
}
