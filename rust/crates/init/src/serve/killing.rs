//! Killing, in rounds, until nothing is left: everything of the executions that are ending, and whatever has lost its shepherd.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Server;
use super::execution::{Ending, Execution, Phase};
use crate::sys;
use crate::tree::{Process, Snapshot, Top};

/// After this long of killing, everything is stopped while it is looked at, so that nothing can fork away.
const FREEZE_AFTER: Duration = Duration::from_millis(50);
/// After this long the sandbox is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);
/// Looks in a row that find nothing: enough to believe that nothing is left.
const CLEAN_LOOKS: u32 = 2;

impl Server {
    /// One round of killing, for everything that is ending.
    pub(super) fn kill_round(&mut self, now: Instant) {
        let began = self
            .executions
            .iter()
            .filter_map(|execution| match &execution.phase {
                Phase::Ending(ending) => Some(ending.began),
                _ => None,
            })
            .chain(self.escape.iter().map(|escape| escape.began))
            .min()
            .unwrap_or(now);
        let lasted = now.saturating_duration_since(began);
        if lasted > GIVE_UP_AFTER {
            // What survives five seconds of SIGKILL is ended together with process 1.
            sys::exit(71);
        }
        // Most executions are one process group: the kernel ends that in one step, before anything is looked for.
        for execution in &self.executions {
            if let (Phase::Ending(Ending { rounds: 0, .. }), Some(slot)) = (&execution.phase, execution.slot)
            {
                let program = slot.program.load(Ordering::Acquire);
                if program > 0
                    && let Some(process) = self.processes.look(program)
                    && process.parent == execution.top
                {
                    self.processes.kill(&process, true);
                }
            }
        }
        let ending = |execution: &Execution| matches!(execution.phase, Phase::Ending(_) | Phase::Over);
        let nothing_else = self.agents.is_empty() && self.executions.iter().all(ending);
        // At once where that disturbs nobody: to look for hundreds of processes takes long while each of them has as much of the processor
        // as init.
        let frozen = nothing_else || lasted > FREEZE_AFTER;
        if frozen {
            sys::signal_all(libc::SIGSTOP);
        }
        let mut snapshot = self.processes.snapshot();
        let mut resume = Vec::new();
        if frozen {
            for _ in 0..3 {
                if snapshot.vanished {
                    // What was about to end when it was stopped.
                    snapshot = self.processes.snapshot();
                }
            }
            let was_stopped = |now: &Process| {
                self.seen.find(now.pid).is_some_and(|it| it.start == now.start && it.stopped())
            };
            resume =
                snapshot.processes.iter().filter(|it| it.pid != 1 && !was_stopped(it)).copied().collect();
        }
        self.kill_found(&snapshot, now);
        for process in &resume {
            self.processes.resume(process);
        }
        if !frozen {
            self.seen = snapshot;
        }
    }

    /// Kills what in the snapshot is to be killed and judges what is not there any more.
    fn kill_found(&mut self, snapshot: &Snapshot, now: Instant) {
        let tops = snapshot.tops();
        let uncertain = snapshot.vanished || tops.contains(&Top::Unknown);
        let mut escapees = 0;
        let mut found = vec![0_usize; self.executions.len()];
        for (process, top) in snapshot.processes.iter().zip(&tops) {
            let Top::Child(top) = *top else { continue };
            if !process.alive() {
                continue;
            }
            let owner = self.executions.iter().position(|it| it.top_lives && it.top == top);
            match owner {
                Some(index) => {
                    let execution = &self.executions[index];
                    let shepherd = process.pid == top && execution.slot.is_some();
                    if matches!(execution.phase, Phase::Ending(_)) && !shepherd {
                        found[index] += 1;
                        self.processes.kill(process, true);
                    }
                }
                None if self.agents.iter().any(|agent| agent.pid == top) => {}
                // Its shepherd is gone: nothing that init or a shepherd started.
                None => {
                    escapees += 1;
                    self.processes.kill(process, true);
                }
            }
        }
        if let Some(escape) = &mut self.escape {
            escape.clean = if escapees == 0 && !uncertain { escape.clean + 1 } else { 0 };
            escape.schedule(now);
        }
        let swept = self.escape.as_ref().is_none_or(|escape| escape.clean >= CLEAN_LOOKS);
        if swept {
            self.escape = None;
        }
        for (execution, found) in self.executions.iter_mut().zip(found) {
            let Phase::Ending(ending) = &mut execution.phase else { continue };
            if execution.top_lives {
                ending.clean = if found == 0 && !uncertain { ending.clean + 1 } else { 0 };
                // The shepherd exits by itself when nothing is left, which is the better proof; but others can keep it stopped.
                if ending.clean > 4 * CLEAN_LOOKS && execution.slot.is_some() {
                    sys::signal_child(execution.top, libc::SIGKILL);
                }
                ending.schedule(now);
            } else if swept {
                execution.finish();
            } else {
                ending.schedule(now);
            }
        }
    }
}
