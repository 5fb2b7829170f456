//! What can end a wait before its time: the caller's cancel, the closing of the client.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2bridge_core::{Code, Error, Result};
use e2bridge_wait::{Interrupt, cancelled, eventfd, host_error, poll, signal};
use rustix::event::{PollFd, PollFlags};

/// Says to every wait of a client that it closes.
#[derive(Debug)]
pub(crate) struct Closing {
    eventfd: OwnedFd,
    closed: AtomicBool,
}

impl Closing {
    /// Open.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` when this process has no descriptor left.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { eventfd: eventfd()?, closed: AtomicBool::new(false) })
    }

    /// Ends every wait; true for the first caller.
    pub(crate) fn close(&self) -> bool {
        let first = !self.closed.swap(true, Ordering::AcqRel);
        // It stays readable: nobody reads it.
        signal(&self.eventfd);
        first
    }

    /// Refuses what needs an open client.
    ///
    /// # Errors
    /// `CLOSED`.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }
}

/// The error of a call on a client that is closed.
pub(crate) fn closed() -> Error {
    Error::new(Code::Closed, "the client is closed")
}

/// Whose wait it is.
#[derive(Clone, Copy)]
pub(crate) struct Guard<'a> {
    /// The caller's cancel; `None` for a call that cannot be cancelled.
    pub(crate) interrupt: Option<&'a Interrupt<'a>>,
    /// `None` for what closing itself does.
    pub(crate) closing: Option<&'a Closing>,
}

impl Guard<'_> {
    /// Refuses to go on after a cancel or a close.
    ///
    /// # Errors
    /// `CANCELLED`, `CLOSED`.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(closing) = self.closing {
            closing.check_open()?;
        }
        if self.interrupt.is_some_and(Interrupt::is_cancelled) { Err(cancelled()) } else { Ok(()) }
    }

    /// Waits until `fd` is ready for `events`; false at the deadline.
    ///
    /// # Errors
    /// `CANCELLED`, `CLOSED`.
    pub(crate) fn wait(&self, fd: BorrowedFd<'_>, events: PollFlags, deadline: Instant) -> Result<bool> {
        let mut polled = Vec::with_capacity(3);
        polled.push(PollFd::from_borrowed_fd(fd, events));
        self.also(&mut polled);
        let in_time = poll(&mut polled, Some(deadline)).map_err(|error| host_error("poll", &error))?;
        let ready = !polled[0].revents().is_empty();
        self.check()?;
        Ok(in_time && ready)
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// `CANCELLED`, `CLOSED`.
    pub(crate) fn sleep(&self, time: Duration) -> Result<()> {
        let mut polled = Vec::with_capacity(2);
        self.also(&mut polled);
        poll(&mut polled, Some(Instant::now() + time)).map_err(|error| host_error("poll", &error))?;
        self.check()
    }

    fn also<'s>(&'s self, polled: &mut Vec<PollFd<'s>>) {
        polled
            .extend(self.interrupt.map(|interrupt| PollFd::from_borrowed_fd(interrupt.fd(), PollFlags::IN)));
        polled.extend(
            self.closing.map(|closing| PollFd::from_borrowed_fd(closing.eventfd.as_fd(), PollFlags::IN)),
        );
    }
}
