//! The shepherd: process between init and a program. Orphans of the program become its children (it is their nearest subreaper), so
//! that everything below it is the execution, whatever sessions and double forks the program makes. When it has no child left it
//! exits with status 0, which proves to init that nothing of the execution is left.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::Ordering;

use e2bridge_protocol::init::{Exit, InitEvent};
use rustix::event::{PollFd, PollFlags};

use crate::confinement::Confinement;
use crate::spawn::{Streams, tell};
use crate::sys::{self, NotStarted, Slot};

/// States of a [`Slot`]. Whoever moves it away from `RUNNING` decides how the execution ends and tells the library.
pub(crate) mod state {
    /// Nobody's.
    pub(crate) const FREE: u32 = 0;
    /// The program is being started or runs.
    pub(crate) const RUNNING: u32 = 1;
    /// By the shepherd: the program ended, the rest of the slot says how, and the library is being told.
    pub(crate) const ENDED: u32 = 2;
    /// By the shepherd: the library has been told.
    pub(crate) const TOLD: u32 = 3;
    /// By init: everything of it is being killed, and init tells the library.
    pub(crate) const KILLED: u32 = 4;
}

impl Slot {
    /// Tries to be the one who ends the execution.
    pub(crate) fn claim(&self, state: u32) -> bool {
        self.state.compare_exchange(state::RUNNING, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// How the program ended, when the state says that it did.
    pub(crate) fn exit(&self) -> Exit {
        let status = self.status.load(Ordering::Relaxed);
        Exit {
            exit_code: sys::exit_code(status),
            signal: sys::term_signal(status),
            timed_out: false,
            out_of_memory: false,
            cpu_us: self.cpu_us.load(Ordering::Relaxed),
            max_rss_bytes: self.max_rss_bytes.load(Ordering::Relaxed),
        }
    }
}

/// Runs the program and stays until nothing of it is left.
pub(crate) fn run(
    slot: &'static Slot,
    channel: OwnedFd,
    streams: Streams,
    confinement: Option<&Confinement>,
    start: impl FnOnce(&Streams) -> Result<i32, NotStarted>,
) -> ! {
    let mut keep = vec![channel.as_raw_fd()];
    if let Some(confinement) = confinement {
        keep.push(confinement.raw_fd());
        sys::end_with_parent();
    }
    keep.extend(streams.raw_fds());
    if let Err(error) = sys::close_others(&mut keep) {
        give_up(slot, &channel, &NotStarted { stage: "close_range", errno: sys::errno(&error) });
    }
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        give_up(slot, &channel, &NotStarted { stage: "prctl", errno: error.raw_os_error() });
    }
    if slot.state.load(Ordering::Acquire) != state::RUNNING {
        sys::exit(0);
    }
    let program = match start(&streams) {
        Ok(program) => program,
        Err(error) => {
            while sys::wait_child().is_ok() {}
            give_up(slot, &channel, &error);
        }
    };
    slot.program.store(program, Ordering::Release);
    // Held until the end has been told: who waits for that is not woken before by the end of the pipes.
    let (write_ends, read_ends) = streams.into_pipes();
    tell(&channel, &InitEvent::Started { pid: program.unsigned_abs() });

    loop {
        match sys::wait_child() {
            Ok(ended) if ended.pid == program => {
                slot.status.store(ended.status, Ordering::Relaxed);
                slot.cpu_us.store(ended.cpu_us, Ordering::Relaxed);
                slot.max_rss_bytes.store(ended.max_rss_bytes, Ordering::Relaxed);
                slot.program.store(0, Ordering::Release);
                if slot.claim(state::ENDED) {
                    tell(&channel, &InitEvent::Exited(slot.exit()));
                    slot.state.store(state::TOLD, Ordering::Release);
                }
                break;
            }
            Ok(_) => {}
            Err(_) => sys::exit(0),
        }
    }
    drop(write_ends);
    watch_leftovers(&channel, read_ends)
}

fn give_up(slot: &Slot, channel: &OwnedFd, error: &NotStarted) -> ! {
    // What init says when this process is killed before it can.
    slot.status.store(libc::SIGKILL, Ordering::Relaxed);
    if slot.claim(state::ENDED) {
        tell(channel, &InitEvent::Failed { stage: error.stage.to_owned(), errno: error.errno });
        slot.state.store(state::TOLD, Ordering::Release);
    }
    sys::exit(0)
}

/// Waits for what the program left in the background. From the moment the library has taken the last byte it wants, which it says by
/// closing the channel, reads and drops what the leftovers write: they neither block on a full pipe nor die of SIGPIPE.
fn watch_leftovers(channel: &OwnedFd, mut read_ends: Vec<OwnedFd>) -> ! {
    reap();
    let Ok(signals) = sys::child_signals() else { sys::exit(1) };
    let mut draining = false;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let mut polled = vec![PollFd::new(&signals, PollFlags::IN)];
        if draining {
            polled.extend(read_ends.iter().map(|end| PollFd::new(end, PollFlags::IN)));
        } else {
            // No events asked for: only the end of the connection wakes.
            polled.push(PollFd::new(channel, PollFlags::empty()));
        }
        if rustix::event::poll(&mut polled, None).is_err() {
            continue;
        }
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(polled);
        if ready[0] {
            let _ = rustix::io::read(&signals, &mut buffer[..128]);
            reap();
        }
        if draining {
            let mut ready = ready[1..].iter();
            read_ends.retain(|end| !ready.next().is_some_and(|&ready| ready) || drain(end, &mut buffer));
        } else {
            draining = ready[1];
            if draining {
                // A read that blocks would delay the reaping.
                read_ends.retain(|end| sys::set_nonblocking(end).is_ok());
            }
        }
    }
}

/// Takes what has ended, and exits when that was the last.
fn reap() {
    loop {
        match sys::poll_child() {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(_) => sys::exit(0),
        }
    }
}

/// Reads once and drops it; false when nobody can write any more.
fn drain(end: impl AsFd, buffer: &mut [u8]) -> bool {
    match rustix::io::read(end, buffer) {
        Ok(0) => false,
        Ok(_) => true,
        Err(error) => matches!(error, rustix::io::Errno::AGAIN | rustix::io::Errno::INTR),
    }
}
