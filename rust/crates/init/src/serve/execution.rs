//! One execution: how its program runs, is ended, and what is left of it then.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use e2bridge_protocol::init::{Exit, InitEvent};

use crate::shepherd::state;
use crate::spawn::tell;
use crate::sys::{self, Slot, Waited};

/// Between two rounds of killing: the first interval, and the longest.
const KILL_ROUND: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(5));

/// One execution.
pub(super) struct Execution {
    /// The child of init below which all of it hangs.
    pub(super) top: i32,
    /// It has not been waited for.
    pub(super) top_lives: bool,
    /// Absent for an embedded worker, which has no shepherd.
    pub(super) slot: Option<&'static Slot>,
    /// Absent once the library has closed it.
    pub(super) channel: Option<OwnedFd>,
    pub(super) deadline: Option<Instant>,
    pub(super) phase: Phase,
}

pub(super) enum Phase {
    /// The program runs, as far as init knows.
    Running,
    /// The library has been told the end; what is left lives on.
    Background,
    /// Everything of it is being killed.
    Ending(Ending),
    /// Nothing of it is left.
    Over,
}

pub(super) struct Ending {
    /// To be sent when nothing is left.
    report: Option<Exit>,
    pub(super) began: Instant,
    pub(super) next: Instant,
    pub(super) rounds: u32,
    /// Looks in a row that found nothing.
    pub(super) clean: u32,
}

impl Ending {
    pub(super) fn new(report: Option<Exit>) -> Self {
        let now = Instant::now();
        Self { report, began: now, next: now, rounds: 0, clean: 0 }
    }

    pub(super) fn schedule(&mut self, now: Instant) {
        self.next = now + KILL_ROUND.0.saturating_mul(1 << self.rounds.min(8)).min(KILL_ROUND.1);
        self.rounds += 1;
    }
}

impl Execution {
    /// Whether the program has not ended.
    pub(super) fn running(&self) -> bool {
        matches!(self.phase, Phase::Running)
            && self.slot.is_none_or(|slot| slot.state.load(Ordering::Acquire) == state::RUNNING)
    }

    /// Tries to be the one who ends it; false when the program has ended by itself.
    fn claim(&self) -> bool {
        matches!(self.phase, Phase::Running) && self.slot.is_none_or(|slot| slot.claim(state::KILLED))
    }

    fn end(&mut self, report: Option<Exit>) {
        self.deadline = None;
        self.phase = Phase::Ending(Ending::new(report));
    }

    /// The program has ended by itself before init could end it.
    fn settle(&mut self) {
        self.deadline = None;
        if matches!(self.phase, Phase::Running) {
            self.phase = Phase::Background;
        }
    }

    /// A request to end all of it, from the library.
    pub(super) fn kill(&mut self) {
        self.end_all(killed());
    }

    /// It takes too much memory.
    pub(super) fn exceed(&mut self) {
        self.end_all(Exit { out_of_memory: true, ..killed() });
    }

    fn end_all(&mut self, report: Exit) {
        if self.claim() {
            self.end(Some(report));
        } else if !matches!(self.phase, Phase::Ending(_) | Phase::Over) {
            // The library has been told how the program ended; what is left goes all the same.
            self.end(None);
        }
    }

    /// The library closed the channel.
    pub(super) fn hang_up(&mut self) {
        self.channel = None;
        if self.claim() {
            self.end(None);
        } else {
            self.settle();
        }
    }

    pub(super) fn expire(&mut self) {
        if self.claim() {
            self.end(Some(Exit { timed_out: true, ..killed() }));
        } else {
            self.settle();
        }
    }

    /// The shepherd or worker has ended. False when processes of it may be left without one.
    pub(super) fn top_ended(&mut self, waited: &Waited) -> bool {
        self.top_lives = false;
        let orderly = waited.exit_code() == Some(0) && self.slot.is_some();
        let usage = |exit: Exit| Exit { cpu_us: waited.cpu_us, max_rss_bytes: waited.max_rss_bytes, ..exit };
        match &mut self.phase {
            Phase::Ending(ending) => ending.report = ending.report.map(usage),
            Phase::Background | Phase::Over => self.end(None),
            Phase::Running => match self.slot {
                // A worker: its end is that of the execution.
                None => self.end(Some(usage(Exit {
                    exit_code: waited.exit_code(),
                    signal: sys::term_signal(waited.status),
                    ..killed()
                }))),
                // Killed before it could tell anything, by code of the same uid.
                Some(slot) if slot.claim(state::KILLED) => self.end(Some(usage(killed()))),
                Some(slot) => {
                    // Killed between the end of the program and the report of it.
                    let untold = slot.state.load(Ordering::Acquire) == state::ENDED;
                    let exit = slot.exit();
                    self.end(untold.then_some(exit));
                }
            },
        }
        if orderly {
            self.finish();
        }
        orderly
    }

    /// Nothing of it is left: says so, and leaves it to be removed.
    pub(super) fn finish(&mut self) {
        if let Phase::Ending(Ending { report: Some(exit), .. }) = &self.phase
            && let Some(channel) = &self.channel
        {
            tell(channel, &InitEvent::Exited(*exit));
        }
        if let Some(slot) = self.slot {
            slot.state.store(state::FREE, Ordering::Release);
        }
        self.phase = Phase::Over;
    }

    pub(super) fn over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }
}

/// An end by SIGKILL.
fn killed() -> Exit {
    Exit {
        exit_code: None,
        signal: Some(libc::SIGKILL),
        timed_out: false,
        out_of_memory: false,
        cpu_us: 0,
        max_rss_bytes: 0,
    }
}
