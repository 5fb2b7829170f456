//! The same question to many sandboxes at a time, by one thread.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2bridge_core::Result;
use e2bridge_protocol::init::{InitEvent, InitRequest};
use rustix::event::{PollFd, PollFlags};

use crate::sandbox::Sandbox;
use crate::wait::{self, host_error};

/// Most sandboxes that are asked at the same time; each takes a descriptor meanwhile.
const BATCH: usize = 128;

/// An answer, and how long it took.
pub(crate) type Answer = Result<(InitEvent, Duration)>;

/// Sends `request`, which must be answered by one event, to the init of each sandbox and waits for the answers, at most `patience`
/// for each batch of [`BATCH`]. In the order of `sandboxes`.
pub(crate) fn ask_all(sandboxes: &[Arc<Sandbox>], request: &InitRequest, patience: Duration) -> Vec<Answer> {
    sandboxes.chunks(BATCH).flat_map(|batch| ask_batch(batch, request, patience)).collect()
}

struct Pending {
    index: usize,
    channel: OwnedFd,
    asked: Instant,
}

fn ask_batch(batch: &[Arc<Sandbox>], request: &InitRequest, patience: Duration) -> Vec<Answer> {
    let deadline = Instant::now() + patience;
    // Until it answers, a sandbox is one that does not.
    let mut answers: Vec<Answer> = batch.iter().map(|sandbox| Err(sandbox.unresponsive())).collect();
    // The others do not wait until one of them has room for the request.
    let room = Instant::now();
    let mut pending = Vec::with_capacity(batch.len());
    for (index, sandbox) in batch.iter().enumerate() {
        match sandbox.check_running().and_then(|()| sandbox.ask(request, room)) {
            Ok(channel) => pending.push(Pending { index, channel, asked: Instant::now() }),
            Err(error) => answers[index] = Err(error),
        }
    }
    while !pending.is_empty() {
        let mut polled: Vec<PollFd<'_>> =
            pending.iter().map(|waiting| PollFd::new(&waiting.channel, PollFlags::IN)).collect();
        match wait::poll(&mut polled, Some(deadline)) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                for waiting in &pending {
                    answers[waiting.index] = Err(host_error("poll", &error));
                }
                break;
            }
        }
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        pending.retain(|waiting| {
            if !ready.next().unwrap_or(false) {
                return true;
            }
            let took = waiting.asked.elapsed();
            answers[waiting.index] =
                batch[waiting.index].receive(&waiting.channel).map(|event| (event, took));
            false
        });
    }
    answers
}
