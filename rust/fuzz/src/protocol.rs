//! Messages between the library, the supervisor, the init of a sandbox and its workers.

use std::fmt::Debug;

use e2bridge_local::fuzzing;
use e2bridge_protocol::init::{InitCommand, InitEvent, InitRequest};
use e2bridge_protocol::socket::{decode, encode};
use e2bridge_protocol::supervisor::{SupervisorReply, SupervisorRequest};
use e2bridge_protocol::worker::{WorkerReply, WorkerRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first byte chooses the message, the rest is what came. It is refused, or a message that stays the same when it is sent again;
/// and the library makes a result or an error of whatever an init, a worker or a supervisor says.
pub fn protocol(data: &[u8]) {
    let Some((&kind, bytes)) = data.split_first() else { return };
    match kind % 10 {
        0 => round_trip::<SupervisorRequest>(bytes),
        1 => round_trip::<SupervisorReply>(bytes),
        2 => round_trip::<InitRequest>(bytes),
        3 => round_trip::<InitEvent>(bytes),
        4 => round_trip::<InitCommand>(bytes),
        5 => json_round_trip::<WorkerRequest>(bytes),
        6 => json_round_trip::<WorkerReply>(bytes),
        7 => fuzzing::supervisor_reply(bytes),
        8 => worker(bytes),
        _ => init(bytes),
    }
}

fn round_trip<T: Serialize + DeserializeOwned + Debug>(bytes: &[u8]) {
    let Ok(message) = decode::<T>(bytes) else { return };
    assert!(decode::<T>(&[bytes, &[0]].concat()).is_err(), "{message:?} with more behind it");
    let again = encode(&message).expect("what was decoded can be encoded");
    assert!(again.len() <= bytes.len(), "{message:?} grew");
    let twice: T = decode(&again).expect("what was encoded can be decoded");
    assert_eq!(format!("{message:?}"), format!("{twice:?}"));
}

fn json_round_trip<T: Serialize + DeserializeOwned + Debug>(bytes: &[u8]) {
    let Ok(message) = serde_json::from_slice::<T>(bytes) else { return };
    let again = serde_json::to_vec(&message).expect("what was decoded can be encoded");
    let twice: T = serde_json::from_slice(&again).expect("what was encoded can be decoded");
    assert_eq!(format!("{message:?}"), format!("{twice:?}"));
}

/// With its length in front, as a worker should, or as it is, as code on the worker's descriptor may.
fn worker(bytes: &[u8]) {
    let Some((&framed, body)) = bytes.split_first() else { return };
    let mut sent = Vec::new();
    if framed % 2 == 0 {
        sent.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    }
    sent.extend_from_slice(body);
    let whole = fuzzing::worker_reply(&sent).expect("a socket");
    let fits = framed % 2 == 0 && body.len() < 60_000;
    assert!(!fits || whole == serde_json::from_slice::<WorkerReply>(body).is_ok());
}

/// A length and so many bytes of content, then the same for each datagram.
fn init(bytes: &[u8]) {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some((&length, after)) = rest.split_first() {
        let (part, after) = after.split_at(usize::from(length).min(after.len()));
        parts.push(part);
        rest = after;
    }
    let Some((content, datagrams)) = parts.split_first() else { return };
    // An empty datagram is the end of a connection.
    let answer = fuzzing::file_answer(content, datagrams).expect("a socket");
    let first = datagrams.first().and_then(|datagram| decode::<InitEvent>(datagram).ok());
    assert_eq!(answer.is_some(), matches!(first, Some(InitEvent::Done { .. })), "{first:?}");
}
