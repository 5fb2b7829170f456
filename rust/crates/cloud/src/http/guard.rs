//! What can end a wait before its time: the caller's cancel, the closing of the client.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2bridge_core::{Code, Error, Result};
use e2bridge_wait::{Interrupt, cancelled, eventfd, host_error, poll, signal};
use rustix::event::{PollFd, PollFlags};

/// How long closing may take: ending what was made, and looking for what may have been made.
const CLOSING_TIME: Duration = Duration::from_secs(10);

/// Says to every wait of a client that it closes.
#[derive(Debug)]
pub(crate) struct Closing {
    eventfd: OwnedFd,
    closed: AtomicBool,
    /// When closing has to be over.
    over: OnceLock<Instant>,
}

impl Closing {
    /// Open.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` when this process has no descriptor left.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { eventfd: eventfd()?, closed: AtomicBool::new(false), over: OnceLock::new() })
    }

    /// Ends every wait but those of what has to be put right, which get their last time; true for the first caller.
    pub(crate) fn close(&self) -> bool {
        self.over.get_or_init(|| Instant::now() + CLOSING_TIME);
        let first = !self.closed.swap(true, Ordering::AcqRel);
        // It stays readable: nobody reads it.
        signal(&self.eventfd);
        first
    }

    /// When closing has to be over; `None` while the client is open.
    pub(crate) fn over(&self) -> Option<Instant> {
        self.over.get().copied()
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
    pub(crate) closing: &'a Closing,
    /// Not ended by the closing, but by the end of the time that closing may take: for what puts something right.
    pub(crate) outlives: bool,
}

impl Guard<'_> {
    /// Refuses to go on after a cancel or a close.
    ///
    /// # Errors
    /// `CANCELLED`, `CLOSED`.
    pub(crate) fn check(&self) -> Result<()> {
        if !self.outlives {
            self.closing.check_open()?;
        } else if self.closing.over().is_some_and(|over| Instant::now() >= over) {
            return Err(closed());
        }
        if self.interrupt.is_some_and(Interrupt::is_cancelled) { Err(cancelled()) } else { Ok(()) }
    }

    /// Waits until `fd` is ready for `events`; false at the deadline.
    ///
    /// # Errors
    /// `CANCELLED`, `CLOSED`.
    pub(crate) fn wait(&self, fd: BorrowedFd<'_>, events: PollFlags, deadline: Instant) -> Result<bool> {
        self.wait_for(Some(PollFd::from_borrowed_fd(fd, events)), deadline)
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// `CANCELLED`, `CLOSED`.
    pub(crate) fn sleep(&self, time: Duration) -> Result<()> {
        self.sleep_until(Instant::now() + time)
    }

    /// As [`Guard::sleep`], until then.
    pub(crate) fn sleep_until(&self, deadline: Instant) -> Result<()> {
        self.wait_for(None, deadline).map(drop)
    }

    fn wait_for(&self, what: Option<PollFd<'_>>, deadline: Instant) -> Result<bool> {
        loop {
            let over = if self.outlives { self.closing.over() } else { None };
            let mut polled: Vec<PollFd<'_>> = Vec::with_capacity(3);
            polled.extend(what.clone());
            polled.extend(
                self.interrupt.map(|interrupt| PollFd::from_borrowed_fd(interrupt.fd(), PollFlags::IN)),
            );
            // What outlives the closing is told of it once, so that it ends in time.
            if over.is_none() {
                polled.push(PollFd::from_borrowed_fd(self.closing.eventfd.as_fd(), PollFlags::IN));
            }
            let until = over.map_or(deadline, |over| over.min(deadline));
            let some = poll(&mut polled, Some(until)).map_err(|error| host_error("poll", &error))?;
            let ready = what.is_some() && !polled[0].revents().is_empty();
            self.check()?;
            if ready || !some || Instant::now() >= deadline {
                return Ok(ready);
            }
        }
    }
}
