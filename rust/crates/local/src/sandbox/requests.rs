//! Requests to the init of a sandbox, and what comes back.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use e2bridge_core::{Code, Error, Result};
use e2bridge_protocol::init::{InitEvent, InitRequest, Program, Spawn, Statistics};
use e2bridge_protocol::socket;
use rustix::event::{PollFd, PollFlags};

use super::Sandbox;
use crate::offer::{Offer, offer};
use crate::wait::{self, Interrupt, cancelled, host_error};

/// How long an init may take to read a request from its socket.
const SEND_PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes of an event.
pub(super) const MAX_EVENT: usize = 4 * 1024;
/// The grace period: how long programs have to end when they are asked to.
const GRACE: Duration = Duration::from_secs(5);
/// How long the answer to [`shut_down_request`] may take.
pub(crate) const SHUT_DOWN_PATIENCE: Duration = GRACE.saturating_add(Duration::from_millis(500));

impl Sandbox {
    /// The control socket, to be watched for its end.
    pub(crate) fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// Sends a request to init; `far` are the descriptors that go along, the channel first, and `channel` is its near end.
    ///
    /// # Errors
    /// What [`Sandbox::gone`] says when the sandbox has ended; `UNAVAILABLE` when init does not take it; `LIMIT_EXCEEDED` when it is
    /// too long or the host is out of something.
    pub(crate) fn send(
        &self,
        request: &InitRequest,
        channel: BorrowedFd<'_>,
        far: &[BorrowedFd<'_>],
        interrupt: Option<&Interrupt<'_>>,
    ) -> Result<()> {
        if may_need_orderly_end(request) {
            self.had_programs.store(true, Ordering::Release);
        }
        let deadline = Instant::now() + SEND_PATIENCE;
        let send = |to, bytes: &[u8], fds: &[BorrowedFd<'_>]| {
            if self.offer(to, bytes, fds, deadline, interrupt)? { Ok(()) } else { Err(self.gone()) }
        };
        let bytes = encode(request)?;
        if bytes.len() <= socket::MAX_DATAGRAM {
            return send(self.control(), &bytes, far);
        }
        if bytes.len() > socket::MAX_LONG_MESSAGE {
            return Err(Error::new(
                Code::LimitExceeded,
                format!("the request is {} bytes long, more than {}", bytes.len(), socket::MAX_LONG_MESSAGE),
            ));
        }
        send(self.control(), &encode(&InitRequest::Long { bytes: bytes.len() as u64 })?, far)?;
        bytes.chunks(socket::MAX_DATAGRAM).try_for_each(|piece| send(channel, piece, &[]))
    }

    /// Sends one datagram, once there is room for it; false when nobody is there any more who could take it.
    fn offer(
        &self,
        to: BorrowedFd<'_>,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
        deadline: Instant,
        interrupt: Option<&Interrupt<'_>>,
    ) -> Result<bool> {
        loop {
            match offer(to, bytes, fds)? {
                Offer::Taken => return Ok(true),
                Offer::Nobody => return Ok(false),
                Offer::NoRoom => {}
            }
            let mut polled = vec![PollFd::from_borrowed_fd(to, PollFlags::OUT)];
            polled.extend(interrupt.map(Interrupt::fd).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            if !wait::poll(&mut polled, Some(deadline)).map_err(|error| host_error("poll", &error))? {
                return Err(self.unresponsive());
            }
            if interrupt.is_some_and(Interrupt::is_cancelled) {
                return Err(cancelled());
            }
        }
    }

    /// The next event on a channel that is readable.
    ///
    /// # Errors
    /// What [`Sandbox::gone`] says at its end; `UNAVAILABLE` for what is no event.
    pub(crate) fn receive(&self, channel: &OwnedFd) -> Result<InitEvent> {
        let mut buffer = [0; MAX_EVENT];
        match socket::recv_bytes(channel, &mut buffer) {
            Ok((0, _)) => Err(self.gone()),
            Ok((length, _)) => socket::decode(&buffer[..length]).map_err(|_| {
                Error::new(Code::Unavailable, "the sandbox's init sent what is no event")
                    .with("sandbox_id", &*self.id)
            }),
            Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => Err(self.gone()),
            Err(error) => Err(host_error("recvmsg", &error)),
        }
    }

    /// Figures that only the inside knows; also the health probe.
    ///
    /// # Errors
    /// `UNAVAILABLE` when init does not answer in `patience`; what [`Sandbox::gone`] says when the sandbox has ended.
    pub(crate) fn statistics(&self, patience: Duration) -> Result<Statistics> {
        match self.request(&InitRequest::Statistics, Instant::now() + patience)? {
            InitEvent::Statistics(statistics) => Ok(statistics),
            other => Err(self.out_of_turn(&other)),
        }
    }

    /// Whether programs or transfers of files may be there, for which [`Sandbox::shut_down`] is.
    pub(crate) fn had_programs(&self) -> bool {
        self.had_programs.load(Ordering::Acquire)
    }

    /// Gives programs and transfers of files the chance to end: SIGTERM, then at most [`GRACE`]. True when none is left. Where there has
    /// been none, init is not asked.
    pub(crate) fn shut_down(&self) -> Result<bool> {
        if !self.had_programs() {
            return Ok(true);
        }
        match self.request(&shut_down_request(), Instant::now() + SHUT_DOWN_PATIENCE)? {
            InitEvent::ShutDown { clean } => Ok(clean),
            other => Err(self.out_of_turn(&other)),
        }
    }

    /// Asks init what it answers by one event, and waits for that.
    fn request(&self, request: &InitRequest, deadline: Instant) -> Result<InitEvent> {
        let channel = self.ask(request, deadline)?;
        self.await_event(&channel, deadline)
    }

    /// Asks init what it answers by one event, which comes on the channel that is returned. Waits for room in its socket until `room`,
    /// and not at all when that has passed.
    ///
    /// # Errors
    /// As [`Sandbox::send`].
    pub(crate) fn ask(&self, request: &InitRequest, room: Instant) -> Result<OwnedFd> {
        self.try_ask(request, room)?.ok_or_else(|| self.gone())
    }

    /// As [`Sandbox::ask`]; `None` when init is gone.
    pub(super) fn try_ask(&self, request: &InitRequest, room: Instant) -> Result<Option<OwnedFd>> {
        let (channel, far) = channel_pair()?;
        let taken = self.offer(self.control(), &encode(request)?, &[far.as_fd()], room, None)?;
        Ok(taken.then_some(channel))
    }

    /// The next event on a channel.
    ///
    /// # Errors
    /// As [`Sandbox::receive`]; `UNAVAILABLE` at the deadline.
    pub(crate) fn await_event(&self, channel: &OwnedFd, deadline: Instant) -> Result<InitEvent> {
        let mut fds = [PollFd::new(channel, PollFlags::IN)];
        if wait::poll(&mut fds, Some(deadline)).map_err(|error| host_error("poll", &error))? {
            self.receive(channel)
        } else {
            Err(self.unresponsive())
        }
    }

    /// The error for an event that does not belong to the request.
    pub(crate) fn out_of_turn(&self, event: &InitEvent) -> Error {
        let message = match event {
            InitEvent::Failed { stage, errno } => {
                format!("the sandbox's init: {stage}: {}", std::io::Error::from_raw_os_error(*errno))
            }
            _ => "the sandbox's init answered out of turn".to_owned(),
        };
        Error::new(Code::Unavailable, message).with("sandbox_id", &*self.id)
    }

    /// The error for an init that does not answer.
    pub(crate) fn unresponsive(&self) -> Error {
        Error::new(Code::Unavailable, "the sandbox's init does not answer").with("sandbox_id", &*self.id)
    }
}

fn encode(request: &InitRequest) -> Result<Vec<u8>> {
    socket::encode(request).map_err(|error| Error::internal(format!("encode: {error}")))
}

/// Asks the programs of a sandbox to end.
pub(crate) fn shut_down_request() -> InitRequest {
    InitRequest::Shutdown { grace_ms: u32::try_from(GRACE.as_millis()).unwrap_or(u32::MAX) }
}

/// Whether a request starts what can make use of an orderly end: a program, or a transfer of files.
fn may_need_orderly_end(request: &InitRequest) -> bool {
    !matches!(
        request,
        InitRequest::Spawn(Spawn { program: Program::EmbeddedJavaScript, .. })
            | InitRequest::Statistics
            | InitRequest::Shutdown { .. }
    )
}

/// A channel of a request: our end, which never blocks in a send, and the one that goes along.
pub(crate) fn channel_pair() -> Result<(OwnedFd, OwnedFd)> {
    let (near, far) = socket::seqpacket_pair().map_err(|error| host_error("socketpair", &error))?;
    rustix::fs::fcntl_setfl(&near, rustix::fs::OFlags::NONBLOCK)
        .map_err(|error| host_error("fcntl", &error.into()))?;
    Ok((near, far))
}
