//! The one background thread of a client, `e2b-engine`: ends what is past its deadline, notices what has died, keeps the pools
//! filled. It sleeps until the next of these; there is no polling.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use e2bridge_core::{Code, Error, Result};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::engine::Engine;
use crate::sandbox::Sandbox;
use crate::supervisor::Supervisor;
use crate::wait::{eventfd, host_error, signal, timespec, with_signals_blocked};

/// Data of the wake-up eventfd; sandboxes have their number there, which is never 0.
const WAKE: u64 = 0;
/// Data of a supervisor's pidfd.
const SUPERVISOR: u64 = u64::MAX;
/// What [`Background::next`] says while the thread is at work: whoever needs it wakes it.
const AWAKE: u64 = u64::MAX;
/// Stack of the thread; nothing on it is deep.
const STACK_BYTES: usize = 1024 * 1024;

/// What others need of the thread.
#[derive(Debug)]
pub(crate) struct Background {
    epoll: OwnedFd,
    wake: OwnedFd,
    /// When the thread wakes by itself, microseconds after `origin`.
    next: AtomicU64,
    origin: Instant,
    stopping: AtomicBool,
}

impl Background {
    pub(crate) fn new() -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)
            .map_err(|error| host_error("epoll_create1", &error.into()))?;
        let wake = eventfd()?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)
            .map_err(|error| host_error("epoll_ctl", &error.into()))?;
        Ok(Self {
            epoll,
            wake,
            next: AtomicU64::new(AWAKE),
            origin: Instant::now(),
            stopping: AtomicBool::new(false),
        })
    }

    /// Wakes the thread. Never blocks.
    pub(crate) fn wake(&self) {
        signal(&self.wake);
    }

    /// Makes sure that the thread is awake at `at`. To be called after what it is needed for can be seen by it.
    pub(crate) fn needed_by(&self, at: Instant) {
        if self.micros(at) < self.next.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Watches for the end of a sandbox. Once its init is gone, [`Engine::hung_up`] is called.
    pub(crate) fn watch(&self, sandbox: &Sandbox) {
        // Without a watch, the next call into the sandbox notices.
        let _ = epoll::add(
            &self.epoll,
            sandbox.control(),
            EventData::new_u64(sandbox.number),
            EventFlags::RDHUP | EventFlags::ET,
        );
    }

    /// Ends the watch: the end of the sandbox is expected.
    pub(crate) fn unwatch(&self, sandbox: &Sandbox) {
        let _ = epoll::delete(&self.epoll, sandbox.control());
    }

    /// Watches for the end of a supervisor.
    pub(crate) fn watch_supervisor(&self, supervisor: &Supervisor) {
        let _ = epoll::add(
            &self.epoll,
            supervisor.pidfd(),
            EventData::new_u64(SUPERVISOR),
            EventFlags::IN | EventFlags::ONESHOT,
        );
    }

    /// Lets the thread end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn micros(&self, at: Instant) -> u64 {
        let after = at.saturating_duration_since(self.origin).as_micros();
        u64::try_from(after).unwrap_or(AWAKE - 1).min(AWAKE - 1)
    }
}

/// Starts the thread with every signal blocked, so that none of the process's signals is handled on it.
pub(crate) fn start(engine: Arc<Engine>) -> Result<JoinHandle<()>> {
    with_signals_blocked(|| {
        std::thread::Builder::new()
            .name("e2b-engine".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || run(&engine))
    })
    .map_err(|error| Error::new(Code::LimitExceeded, format!("start a thread: {error}")))
}

fn run(engine: &Arc<Engine>) {
    let background = &engine.background;
    let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
    while !background.stopping.load(Ordering::SeqCst) {
        // A defect in one round must not end the thread that all time-outs depend on.
        let round = std::panic::AssertUnwindSafe(|| work(engine, &mut events));
        if std::panic::catch_unwind(round).is_err() {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// One round: everything that is due, then sleep.
fn work(engine: &Arc<Engine>, events: &mut Vec<epoll::Event>) {
    let background = &engine.background;
    background.next.store(AWAKE, Ordering::SeqCst);
    let due = [engine.expire(), engine.pools.fill(engine)];
    let next = due.into_iter().flatten().min();
    background.next.store(next.map_or(AWAKE - 1, |at| background.micros(at)), Ordering::SeqCst);
    let timeout = next.map(|at| timespec(at.saturating_duration_since(Instant::now())));
    events.clear();
    if epoll::wait(&background.epoll, spare_capacity(events), timeout.as_ref()).is_err() {
        // EINTR, which with all signals blocked only a debugger causes.
        return;
    }
    background.next.store(AWAKE, Ordering::SeqCst);
    for event in events.iter() {
        match event.data.u64() {
            WAKE => {
                let _ = rustix::io::read(background.wake.as_fd(), &mut [0_u8; 8]);
            }
            SUPERVISOR => {
                if let Some(supervisor) =
                    engine.running_supervisor().filter(|supervisor| supervisor.is_dead())
                    && !engine.is_closed()
                {
                    engine.supervisor_died(&supervisor);
                }
            }
            number => engine.hung_up(number),
        }
    }
}
