//! What a call is told whose connection to the inside has ended.

use std::time::{Duration, Instant};

use e2bridge_core::{Code, Error};
use e2bridge_protocol::init::InitRequest;
use e2bridge_protocol::socket;
use rustix::event::{PollFd, PollFlags};

use super::Sandbox;
use super::life::Cause;
use super::requests::MAX_EVENT;
use crate::engine::closed;
use crate::wait;

/// How long the init of a sandbox that has ended a call may take to answer, or to be gone.
const FATE_PATIENCE: Duration = Duration::from_secs(5);

/// What became of a sandbox that has ended a call.
#[derive(Debug)]
enum Fate {
    /// Its init answers.
    Lives,
    /// It is gone, for that reason, unless somebody had ended it for another.
    Ended(Cause),
    /// Neither.
    Silent,
}

impl Sandbox {
    /// The error of a call whose connection to the inside ended: why the sandbox ended, if it did. One that ended by itself is
    /// cleaned up.
    pub(crate) fn gone(&self) -> Error {
        let Some(engine) = self.engine.upgrade().filter(|engine| !engine.is_closed()) else {
            return closed();
        };
        if let Some(cause) = self.cause() {
            return cause.error(&self.id);
        }
        let fate = self.fate(Instant::now() + FATE_PATIENCE);
        if engine.is_closed() {
            return closed();
        }
        match (fate, self.cause()) {
            (Fate::Ended(cause), _) => engine.end(self, cause).error(&self.id),
            // Somebody has ended it meanwhile, and it is not gone yet.
            (Fate::Lives | Fate::Silent, Some(cause)) => cause.error(&self.id),
            (Fate::Lives, None) => {
                Error::new(Code::Unavailable, "the sandbox ended the call without an answer")
                    .with("sandbox_id", &*self.id)
            }
            (Fate::Silent, None) => self.unresponsive(),
        }
    }

    /// Whether it has ended together with a call. Its own socket closes before that of the call or after it, under load by far; so its
    /// init is asked, and either answers or is gone.
    fn fate(&self, deadline: Instant) -> Fate {
        let ended =
            || Fate::Ended(if self.supervisor.is_dead() { Cause::SupervisorEnded } else { Cause::InitEnded });
        let mut asked = match self.try_ask(&InitRequest::Statistics, deadline) {
            Ok(None) => return ended(),
            Ok(asked) => asked,
            // It cannot be asked, but its end can be seen.
            Err(_) => None,
        };
        loop {
            let mut polled = vec![
                PollFd::new(&self.control, PollFlags::empty()),
                PollFd::from_borrowed_fd(self.supervisor.pidfd(), PollFlags::IN),
            ];
            polled.extend(asked.as_ref().map(|channel| PollFd::new(channel, PollFlags::IN)));
            if !wait::poll(&mut polled, Some(deadline)).unwrap_or(false) {
                return Fate::Silent;
            }
            if polled[..2].iter().any(|fd| !fd.revents().is_empty()) {
                return ended();
            }
            let answer = asked.take().map(|channel| socket::recv_bytes(&channel, &mut [0; MAX_EVENT]));
            if matches!(answer, Some(Ok((1.., _)))) {
                return Fate::Lives;
            }
            // It has dropped that one, too: its end follows.
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::thread;

    use e2bridge_protocol::init::InitEvent;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// The channel of the request that comes next.
    fn next(control: &OwnedFd) -> OwnedFd {
        let (request, mut fds) = socket::recv::<InitRequest>(control).unwrap().unwrap();
        assert!(matches!(request, InitRequest::Statistics), "{request:?}");
        fds.remove(0)
    }

    #[test]
    fn one_whose_init_answers_lives() {
        let (sandbox, control) = Sandbox::stand_in().unwrap();
        thread::scope(|scope| {
            // A double of init: any answer will do.
            scope.spawn(|| socket::send(next(&control), &InitEvent::ShutDown { clean: true }, &[]).unwrap());
            let fate = sandbox.fate(Instant::now() + LONG);
            assert!(matches!(fate, Fate::Lives), "{fate:?}");
        });
    }

    #[test]
    fn an_end_is_found_however_long_it_takes() {
        for (takes_request, millis) in [(true, 0), (true, 300), (false, 0), (false, 300)] {
            let (sandbox, control) = Sandbox::stand_in().unwrap();
            thread::scope(|scope| {
                // A double of an init that ends: its sockets close one after the other.
                scope.spawn(move || {
                    if takes_request {
                        drop(next(&control));
                    }
                    thread::sleep(Duration::from_millis(millis));
                    drop(control);
                });
                let fate = sandbox.fate(Instant::now() + LONG);
                assert!(matches!(fate, Fate::Ended(Cause::InitEnded)), "{takes_request} {millis}: {fate:?}");
            });
        }
    }

    #[test]
    fn one_whose_init_does_neither_is_silent() {
        let (sandbox, _control) = Sandbox::stand_in().unwrap();
        let fate = sandbox.fate(Instant::now() + Duration::from_millis(50));
        assert!(matches!(fate, Fate::Silent), "{fate:?}");
    }
}
