//! Memory that no hard limit bounds, watched by looking. Where no cgroup bounds memory, that is what all processes take together (each
//! has a hard limit of its own, `RLIMIT_DATA`) and what waits in sockets; with a cgroup it is the kernel's answers in sockets of netlink,
//! which no group counts. Whoever takes most when it is too much is ended.

use std::time::{Duration, Instant};

use crate::confinement::HOME;
use crate::queues;
use crate::tree::{Processes, Snapshot, Top};

/// How fast memory is assumed to be taken, bytes a millisecond. The next look comes before what is left can be used up at that rate:
/// touching a page takes about 0.6 µs, and a sandbox has few processors.
const RATE: u64 = 4 * 1024 * 1024;
/// Shortest and longest time between two looks, milliseconds.
const BETWEEN: (u64, u64) = (5, 100);

/// Part of the memory that the kernel's answers may take on top where there is a cgroup, and how often that is looked at, milliseconds.
const ANSWERS_SHARE: u64 = 8;
const BETWEEN_ANSWERS: u64 = 200;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// The kernel's answers, because a cgroup bounds the rest to so many bytes.
    Answers(u64),
    /// Everything: so many bytes for processes and files, and as many for what waits in sockets.
    Everything(u64),
    /// Processes alone: without namespaces files are on the host's disk, and there are no sockets but pairs.
    Processes(u64),
}

/// The watch.
pub(crate) struct MemoryWatch {
    watched: Watched,
    /// What forks of this process share with it and with the zygote: an interpreter, where that is held warm.
    inherited: u64,
    /// When to look again.
    pub(crate) next: Instant,
}

impl MemoryWatch {
    /// To be called before this process has started anything.
    pub(crate) fn new(watched: Watched, processes: &Processes) -> Self {
        let own = i32::try_from(std::process::id()).ok();
        let inherited = own.and_then(|own| processes.anonymous_bytes(own)).unwrap_or(0);
        Self { watched, inherited, next: Instant::now() }
    }

    /// The first execution starts: the next look comes no sooner than if one had just been made.
    pub(crate) fn begin(&mut self) {
        let between = match self.watched {
            Watched::Answers(_) => BETWEEN_ANSWERS,
            Watched::Everything(_) | Watched::Processes(_) => BETWEEN.0,
        };
        self.next = self.next.max(Instant::now() + Duration::from_millis(between));
    }

    /// Looks, and plans the next look. The child of process 1 whose tree takes most, when all of them together take too much.
    pub(crate) fn look(&mut self, processes: &mut Processes) -> Option<i32> {
        let limit = match self.watched {
            Watched::Answers(memory) => {
                self.next = Instant::now() + Duration::from_millis(BETWEEN_ANSWERS);
                return (queues::answers() > memory / ANSWERS_SHARE).then(|| talker(processes)).flatten();
            }
            Watched::Everything(limit) | Watched::Processes(limit) => limit,
        };
        let everything = matches!(self.watched, Watched::Everything(_));
        if everything
            && (queues::answers().saturating_add(queues::packets()) > limit || queues::local() > limit)
        {
            self.next = Instant::now() + pause(0);
            return talker(processes);
        }
        let snapshot = processes.snapshot();
        let files = rustix::fs::statfs(HOME).ok().filter(|_| everything).map_or(0, |disk| {
            disk.f_blocks.saturating_sub(disk.f_bfree) * u64::try_from(disk.f_bsize).unwrap_or(0)
        });
        // What is cheap to read counts a page once for each process that shares it since a fork, so that it decides only when it is
        // little enough.
        let mut uses = usage(&snapshot, |pid, _| processes.anonymous_bytes(pid));
        if total(&uses, files) > limit {
            uses = usage(&snapshot, |pid, top| {
                // A child of this process is a fork of it, and closed to the look: a shepherd, an agent, the embedded engine.
                let inherited = if pid == top { self.inherited } else { 0 };
                let unshared = || Some(processes.anonymous_bytes(pid)?.saturating_sub(inherited));
                processes.proportional_bytes(pid).or_else(unshared)
            });
        }
        let total = total(&uses, files);
        let left = limit.saturating_sub(total);
        self.next = Instant::now() + pause(left);
        let most = uses.into_iter().max_by_key(|(_, bytes)| *bytes);
        most.filter(|_| total > limit).map(|(top, _)| top)
    }
}

/// How long to wait with that many bytes left.
fn pause(left: u64) -> Duration {
    Duration::from_millis((left / RATE).clamp(BETWEEN.0, BETWEEN.1))
}

/// The child of process 1 whose tree has most descriptors; most memory, before Linux 6.2 shows their number.
fn talker(processes: &mut Processes) -> Option<i32> {
    let snapshot = processes.snapshot();
    let most = |uses: Vec<(i32, u64)>| uses.into_iter().max_by_key(|(_, count)| *count);
    most(usage(&snapshot, |pid, _| processes.descriptors(pid)))
        .filter(|(_, count)| *count > 0)
        .or_else(|| most(usage(&snapshot, |pid, _| processes.anonymous_bytes(pid))))
        .map(|(top, _)| top)
}

/// Bytes of each tree below process 1; `of` is given a process and the child of process 1 that it is below of, or is.
fn usage(snapshot: &Snapshot, of: impl Fn(i32, i32) -> Option<u64>) -> Vec<(i32, u64)> {
    let mut uses: Vec<(i32, u64)> = Vec::new();
    for (process, top) in snapshot.processes.iter().zip(snapshot.tops()) {
        let Top::Child(top) = top else { continue };
        let bytes = of(process.pid, top).unwrap_or(0);
        match uses.iter_mut().find(|(known, _)| *known == top) {
            Some((_, sum)) => *sum += bytes,
            None => uses.push((top, bytes)),
        }
    }
    uses
}

fn total(uses: &[(i32, u64)], files: u64) -> u64 {
    uses.iter().fold(files, |sum, (_, bytes)| sum.saturating_add(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Process;

    fn process(pid: i32, parent: i32) -> Process {
        Process { pid, parent, group: pid, start: 0, state: b'S', threads: 1, ticks: 0 }
    }

    #[test]
    fn a_tree_is_counted_as_one() {
        let processes = vec![process(1, 0), process(2, 1), process(3, 2), process(4, 3), process(5, 1)];
        let snapshot = Snapshot { processes, vanished: false, init: 1 };
        let uses = usage(&snapshot, |pid, _| (pid != 4).then(|| u64::try_from(pid).unwrap()));
        assert_eq!(uses, [(2, 5), (5, 5)]);
        assert_eq!(total(&uses, 7), 17);
    }

    #[test]
    fn what_this_process_takes_is_found() {
        let processes = Processes::open().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let before = (processes.anonymous_bytes(own).unwrap(), processes.proportional_bytes(own).unwrap());
        let held = vec![1_u8; 32 << 20];
        let after = (processes.anonymous_bytes(own).unwrap(), processes.proportional_bytes(own).unwrap());
        assert!(after.0 >= before.0 + (30 << 20) && after.1 >= before.1 + (30 << 20), "{before:?} {after:?}");
        drop(held);
    }

    #[test]
    fn the_next_look_comes_the_sooner_the_less_is_left() {
        assert_eq!(pause(0), Duration::from_millis(5));
        assert_eq!(pause(64 << 20), Duration::from_millis(16));
        assert_eq!(pause(u64::MAX), Duration::from_millis(100));
    }
}
