//! Waiting, as both backends do it: polls with a deadline, the descriptor by which another thread wakes a call, and threads that
//! take no signals of the process that they live in.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use e2bridge_core::{CancelToken, Code, Error, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};

/// Most idle wake-up descriptors that are kept.
const MAX_IDLE: usize = 64;

/// Polls until something is ready or the deadline has passed; `false` at the deadline.
pub fn poll(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let timeout = deadline.map(|at| timespec(at.saturating_duration_since(Instant::now())));
        match rustix::event::poll(fds, timeout.as_ref()) {
            Ok(0) if deadline.is_none() => {}
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// True when `fd` is ready for any of `events`, or has hung up, at this moment.
pub fn ready(fd: impl AsFd, events: PollFlags) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), events)];
    poll(&mut fds, Some(Instant::now())).unwrap_or(true)
}

/// `time` as the kernel takes it.
pub fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}

/// The eventfds by which cancelled calls are woken. Kept between calls: making one costs two system calls.
#[derive(Debug, Default)]
pub struct Wakeups {
    idle: Mutex<Vec<Arc<OwnedFd>>>,
    /// By address of the token, which lives at least as long as the [`Interrupt`]s of it.
    watched: Mutex<HashMap<usize, Arc<Waiters>>>,
}

/// Everybody who waits with one token: a deployment runs several calls with that of its own call.
#[derive(Debug, Default)]
struct Waiters {
    eventfds: Mutex<Vec<Arc<OwnedFd>>>,
}

impl Waiters {
    fn eventfds(&self) -> MutexGuard<'_, Vec<Arc<OwnedFd>>> {
        self.eventfds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wakeups {
    /// Lets `token` wake the calling thread while the answer lives.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` when this process has no descriptor left.
    pub fn watch<'a>(&'a self, token: &'a CancelToken) -> Result<Interrupt<'a>> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let eventfd = match kept {
            Some(eventfd) => eventfd,
            None => Arc::new(eventfd()?),
        };
        let mut watched = self.watched();
        match watched.get(&address(token)) {
            Some(waiters) => waiters.eventfds().push(Arc::clone(&eventfd)),
            None => {
                let waiters = Arc::new(Waiters { eventfds: Mutex::new(vec![Arc::clone(&eventfd)]) });
                watched.insert(address(token), Arc::clone(&waiters));
                token.on_cancel(move || waiters.eventfds().iter().for_each(signal));
            }
        }
        drop(watched);
        if token.is_cancelled() {
            signal(&eventfd);
        }
        Ok(Interrupt { token, eventfd, wakeups: self })
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<usize, Arc<Waiters>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address(token: &CancelToken) -> usize {
    std::ptr::from_ref(token).addr()
}

/// A call that its token can wake: [`Interrupt::fd`] becomes readable.
pub struct Interrupt<'a> {
    token: &'a CancelToken,
    eventfd: Arc<OwnedFd>,
    wakeups: &'a Wakeups,
}

impl Interrupt<'_> {
    /// What to poll for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }

    /// True once the token was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }
}

impl Drop for Interrupt<'_> {
    fn drop(&mut self) {
        let mut watched = self.wakeups.watched();
        if let Some(waiters) = watched.get(&address(self.token)) {
            let last = {
                let mut eventfds = waiters.eventfds();
                eventfds.retain(|eventfd| !Arc::ptr_eq(eventfd, &self.eventfd));
                eventfds.is_empty()
            };
            // Not under the lock of the waiters, which the waker takes under that of the token.
            if last {
                self.token.clear_waker();
                watched.remove(&address(self.token));
            }
        }
        drop(watched);
        // One that was signalled stays readable, so it is not used again.
        if !self.token.is_cancelled() {
            let mut idle = self.wakeups.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < MAX_IDLE {
                idle.push(Arc::clone(&self.eventfd));
            }
        }
    }
}

/// A new eventfd that neither blocks nor survives an exec.
pub fn eventfd() -> Result<OwnedFd> {
    rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|error| host_error("eventfd", &error.into()))
}

/// Makes an eventfd readable. Never blocks.
pub fn signal(eventfd: impl AsFd) {
    let _ = rustix::io::write(eventfd, &1_u64.to_ne_bytes());
}

/// Runs `work` with every signal of this thread blocked; a thread started by it inherits that.
pub fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` initialises `all`; `pthread_sigmask` reads it and initialises `before`. Neither fails on these arguments.
    let before = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    };
    let result = work();
    // SAFETY: `before` is the mask that the call above stored.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    result
}

/// The error for a failed system call of this process.
pub fn host_error(call: &str, error: &io::Error) -> Error {
    let code = match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::EAGAIN | libc::ENOSPC) => {
            Code::LimitExceeded
        }
        Some(libc::EACCES | libc::EPERM) => Code::PermissionDenied,
        _ => Code::Internal,
    };
    let hint = match error.raw_os_error() {
        Some(libc::EMFILE) => "; this process is at its limit of open files (ulimit -n)",
        Some(libc::ENFILE) => "; the host is at its limit of open files (fs.file-max)",
        _ => "",
    };
    let mut result = Error::new(code, format!("{call}: {error}{hint}")).with("call", call);
    if let Some(errno) = error.raw_os_error() {
        result = result.with("errno", errno);
    }
    result
}

/// The error of a call whose caller cancelled it.
pub fn cancelled() -> Error {
    Error::new(Code::Cancelled, "the call was cancelled")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(interrupt: &Interrupt<'_>) -> bool {
        ready(interrupt.fd(), PollFlags::IN)
    }

    #[test]
    fn a_token_wakes_everybody_who_waits_with_it_and_nobody_else() {
        let wakeups = Wakeups::default();
        let (token, other) = (CancelToken::new(), CancelToken::new());
        let first = wakeups.watch(&token).unwrap();
        let second = wakeups.watch(&token).unwrap();
        let stranger = wakeups.watch(&other).unwrap();
        drop(wakeups.watch(&token).unwrap());
        assert!(!readable(&first) && !readable(&second));
        token.cancel();
        assert!(readable(&first) && readable(&second) && !readable(&stranger));
        let late = wakeups.watch(&token).unwrap();
        assert!(readable(&late));
        drop((first, second, late));
        assert!(readable(&wakeups.watch(&token).unwrap()), "also the first after the last");
        assert!(wakeups.watched().len() == 1, "only the stranger is left");
    }

    #[test]
    fn an_eventfd_is_used_again_unless_it_was_signalled() {
        let wakeups = Wakeups::default();
        for round in 0..3 {
            let token = CancelToken::new();
            drop(wakeups.watch(&token).unwrap());
            token.cancel();
            assert_eq!(wakeups.idle.lock().unwrap().len(), 1, "{round}");
            let after = wakeups.watch(&token).unwrap();
            assert!(readable(&after));
            drop(after);
            assert_eq!(wakeups.idle.lock().unwrap().len(), 0, "{round}");
            let fresh = CancelToken::new();
            assert!(!readable(&wakeups.watch(&fresh).unwrap()), "{round}");
            wakeups.idle.lock().unwrap().clear();
        }
    }
}
