//! What the fuzz targets call: everything of this crate that reads bytes which a sandbox, or an archive, may have made.

use std::io;
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::Duration;

use e2bridge_core::CancelToken;
use e2bridge_protocol::socket;
use e2bridge_protocol::supervisor::SupervisorReply;

use crate::code::{Outcome, code_error};
use crate::output::Output;
use crate::posture::{check_required, isolation_report};
use crate::sandbox::{Sandbox, channel_pair};
use crate::wait::Wakeups;
use crate::worker::{Interpreter, Run, RunEnd, read_reply};
use crate::{files, supervisor};

pub use crate::templates::fuzzing::{PassedTree, pass_tree, read_archive_file, write_archive_file};

/// Most bytes that a socket takes without a reader.
const ROOM: usize = 64 * 1024;
/// Most datagrams that one does.
const MAX_DATAGRAMS: usize = 8;

/// What the library makes of the bytes that a worker sends: true when they are a reply.
///
/// # Errors
/// When the host is out of descriptors.
pub fn worker_reply(bytes: &[u8]) -> io::Result<bool> {
    let (near, far) = socket::stream_pair()?;
    rustix::io::write(&far, &bytes[..bytes.len().min(ROOM)])?;
    drop(far);
    let reply = read_reply(&near);
    let found = reply.is_some();
    let end = reply.map_or(RunEnd::Garbled, RunEnd::Replied);
    let run = Run { end, output: Output::default(), out_of_memory: false, duration: Duration::ZERO };
    let outcome = Outcome::of(Interpreter::Node, run);
    let error = outcome.reply.error.map(code_error);
    let document = serde_json::json!({
        "stdout": outcome.stdout, "stderr": outcome.stderr, "error": error, "results": outcome.reply.results,
    });
    // An escaped control character is six times as long.
    assert!(document.to_string().len() <= 8 * bytes.len() + 1_000, "much out of little");
    Ok(found)
}

/// What the library makes of a reply of the supervisor.
pub fn supervisor_reply(bytes: &[u8]) {
    match socket::decode(bytes) {
        Ok(SupervisorReply::Failed(failure)) => {
            let error = supervisor::failed(failure);
            assert!(serde_json::to_string(&error).is_ok());
        }
        Ok(SupervisorReply::Created(created)) => {
            let report = isolation_report(&created.posture);
            let complete = check_required(&created.posture).is_ok();
            assert!(!complete || report.seccomp && report.tier == "full");
        }
        Ok(reply) => drop(supervisor::unexpected("create", &reply)),
        Err(_) => {}
    }
}

/// What the library makes of an init that answers a read of a file with that data and those datagrams: the length of the content when
/// that is a complete answer.
///
/// # Errors
/// When the host is out of descriptors.
pub fn file_answer(data: &[u8], datagrams: &[&[u8]]) -> io::Result<Option<usize>> {
    static SANDBOX: OnceLock<&Sandbox> = OnceLock::new();
    let sandbox = SANDBOX.get_or_init(|| Sandbox::stand_in().expect("a few descriptors").0);
    let (channel, channel_far) = channel_pair().map_err(io::Error::other)?;
    let (near, far) = socket::stream_pair()?;
    rustix::io::write(&far, &data[..data.len().min(ROOM)])?;
    for datagram in datagrams.iter().take(MAX_DATAGRAMS) {
        socket::send_bytes(channel_far.as_fd(), &datagram[..datagram.len().min(4_096)], &[])?;
    }
    drop((channel_far, far));
    let wakeups = Wakeups::default();
    let token = CancelToken::new();
    let interrupt = wakeups.watch(&token).map_err(io::Error::other)?;
    let answer = files::receive_over(sandbox, &interrupt, channel, near);
    Ok(answer.ok().map(|(content, _)| {
        assert!(content.len() <= data.len());
        content.len()
    }))
}
