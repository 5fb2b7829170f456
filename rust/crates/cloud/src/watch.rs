//! The end of a program whose output stays open.
//!
//! The daemon says that a program has ended only when its output is at its end, too, which something in the background may hold open
//! for long. So it is looked now and then whether the program itself has ended. Then the daemon is asked to kill it: that hurts
//! nobody, the daemon reads no more, collects the status, and tells it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::{Client, Known, SHORT};
use crate::http::guard::Guard;

/// When it is first looked, and the shortest pause between two looks.
const SOON: Duration = Duration::from_millis(500);
/// The longest pause; in between it is a quarter of the time that the program has run.
const SELDOM: Duration = Duration::from_secs(5);
/// What was written before the end has come when nothing comes for so long,
const QUIET: Duration = Duration::from_millis(100);
/// or after so long, when something in the background writes all the time.
const DRAINED: Duration = Duration::from_secs(1);

/// When it is looked, and what was seen.
pub(crate) struct Watch {
    began: Instant,
    pid: Option<u32>,
    due: Instant,
    ended: Option<Instant>,
}

impl Watch {
    /// For a program that starts now.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { began: now, pid: None, due: now + SOON, ended: None }
    }

    /// When [`Watch::look`] is to be called.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// The program runs.
    pub(crate) fn started(&mut self, pid: u32) {
        // Without a number, as a strange daemon may leave it out, there is nothing to look at.
        self.pid = (pid > 0).then_some(pid);
    }

    /// Something was written.
    pub(crate) fn heard(&mut self) {
        if let Some(ended) = self.ended {
            self.due = (Instant::now() + QUIET).min(ended + DRAINED);
        }
    }

    /// Looks whether the program has ended; once it has and its output was read, has the daemon tell its status.
    pub(crate) fn look(&mut self, client: &Arc<Client>, known: &Arc<Known>, guard: &Guard<'_>) {
        let pause = (self.began.elapsed() / 4).clamp(SOON, SELDOM);
        match (self.pid, self.ended) {
            (None, _) => {}
            // A look is not worth waiting for while others need every connection.
            (Some(_), None) if !client.transport.pool.has_room() => {}
            (Some(pid), None) if crate::scripts::has_ended(client, known, pid, guard) => {
                let now = Instant::now();
                (self.ended, self.due) = (Some(now), now + QUIET);
                return;
            }
            (Some(_), None) => {}
            (Some(pid), Some(_)) => {
                self.ended = None;
                if let Ok(envd) = client.envd(known) {
                    // One that knows it no more is about to tell its end.
                    let _ = envd.signal(pid, "SIGNAL_SIGKILL", guard, SHORT);
                }
            }
        }
        self.due = Instant::now() + pause;
    }
}
