//! The processes of the sandbox, as `/proc` shows them, and how they are killed.
//!
//! What it reads was made by hostile code: every number is checked, nothing recurses, and a process id is only acted upon through a
//! descriptor whose process has been found to be the one meant.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, RawDir};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::sys;

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    /// With the process id an identity.
    pub(crate) start: u64,
    pub(crate) state: u8,
    pub(crate) threads: u32,
    /// User and system time, of itself and of what it waited for, clock ticks.
    pub(crate) ticks: u64,
}

impl Process {
    /// A zombie whose other threads run is alive: the main thread may end before them.
    pub(crate) fn alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X') || self.threads > 1
    }

    /// Stopped by a signal.
    pub(crate) fn stopped(&self) -> bool {
        self.state == b'T'
    }

    /// The fields of `/proc/PID/stat`. The name in the second one may hold anything, spaces and parentheses included.
    fn parse(stat: &[u8]) -> Option<Self> {
        let end = stat.iter().rposition(|&byte| byte == b')')?;
        let pid = number(stat.split(|&byte| byte == b' ').next()?)?;
        let mut fields = stat.get(end + 2..)?.split(|&byte| byte == b' ');
        let state = *fields.next()?.first()?;
        // The fields behind it, numbered from 4 in proc_pid_stat(5).
        let numbers: Vec<i64> = fields.take(21).map_while(number).collect();
        let field = |index: usize| numbers.get(index - 4).copied();
        let unsigned = |index: usize| Some(u64::try_from(field(index)?).unwrap_or(0));
        Some(Self {
            pid: i32::try_from(pid).ok()?,
            parent: i32::try_from(field(4)?).ok()?,
            group: i32::try_from(field(5)?).ok()?,
            start: unsigned(22)?,
            state,
            threads: u32::try_from(unsigned(20)?).ok()?,
            ticks: unsigned(14)? + unsigned(15)? + unsigned(16)? + unsigned(17)?,
        })
    }
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A look at all processes. Not atomic: processes may come and go while it is taken.
pub(crate) struct Snapshot {
    /// Ascending by process id.
    pub(crate) processes: Vec<Process>,
    /// A process was listed but gone when looked at: something is on the move.
    pub(crate) vanished: bool,
    /// Process id of init.
    pub(crate) init: i32,
}

/// Where a process hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Top {
    /// Below, or itself, this child of init.
    Child(i32),
    /// Init itself, or not below it.
    Outside,
    /// An ancestor went away while the snapshot was taken.
    Unknown,
}

impl Snapshot {
    /// The process of that number.
    pub(crate) fn find(&self, pid: i32) -> Option<&Process> {
        let index = self.processes.binary_search_by_key(&pid, |process| process.pid).ok()?;
        self.processes.get(index)
    }

    /// Leaves only init and what is below it.
    fn leave_out_foreign(&mut self) {
        let tops = self.tops();
        self.vanished |= tops.contains(&Top::Unknown);
        let mut tops = tops.into_iter();
        let init = self.init;
        self.processes.retain(|process| matches!(tops.next(), Some(Top::Child(_))) || process.pid == init);
    }

    /// For every process, in the same order, where it hangs.
    pub(crate) fn tops(&self) -> Vec<Top> {
        let processes = &self.processes;
        let mut tops: Vec<Option<Top>> = vec![None; processes.len()];
        let mut way = Vec::new();
        for start in 0..processes.len() {
            way.clear();
            let mut index = start;
            let top = loop {
                if let Some(top) = tops[index] {
                    break top;
                }
                let process = &processes[index];
                // Not atomic, hence not even free of cycles.
                if way.len() > processes.len() {
                    break Top::Unknown;
                }
                way.push(index);
                if process.pid == self.init || process.parent == 0 {
                    break Top::Outside;
                }
                if process.parent == self.init {
                    break Top::Child(process.pid);
                }
                match processes.binary_search_by_key(&process.parent, |parent| parent.pid) {
                    Ok(parent) => index = parent,
                    Err(_) => break Top::Unknown,
                }
            };
            for &index in &way {
                tops[index] = Some(top);
            }
        }
        tops.into_iter().map(|top| top.unwrap_or(Top::Unknown)).collect()
    }
}

/// `/proc` of the sandbox, or of the host when the sandbox has no pid namespace.
pub(crate) struct Processes {
    directory: OwnedFd,
    init: i32,
    buffer: Box<[MaybeUninit<u8>]>,
}

impl Processes {
    /// Opens `/proc`, once, so that a full descriptor table cannot hinder a kill later.
    pub(crate) fn open() -> rustix::io::Result<Self> {
        let directory =
            rustix::fs::open("/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let init = rustix::process::getpid().as_raw_nonzero().get();
        Ok(Self { directory, init, buffer: vec![MaybeUninit::uninit(); 16 * 1024].into_boxed_slice() })
    }

    /// A look that found nothing.
    pub(crate) fn nothing(&self) -> Snapshot {
        Snapshot { processes: Vec::new(), vanished: false, init: self.init }
    }

    /// Looks at all processes.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = self.nothing();
        if rustix::fs::seek(&self.directory, rustix::fs::SeekFrom::Start(0)).is_err() {
            snapshot.vanished = true;
            return snapshot;
        }
        let mut entries = RawDir::new(self.directory.as_fd(), &mut self.buffer);
        while let Some(entry) = entries.next() {
            let Ok(entry) = entry else {
                snapshot.vanished = true;
                break;
            };
            let Some(pid) = number(entry.file_name().to_bytes()).and_then(|pid| i32::try_from(pid).ok())
            else {
                continue;
            };
            match read_stat(&self.directory, pid) {
                Some(process) if process.pid == pid => snapshot.processes.push(process),
                _ => snapshot.vanished = true,
            }
        }
        snapshot.processes.sort_unstable_by_key(|process| process.pid);
        snapshot.processes.dedup_by_key(|process| process.pid);
        if self.init != 1 {
            snapshot.leave_out_foreign();
        }
        snapshot
    }

    /// SIGKILL to this very process; to one that has its number meanwhile, never. With `group`, to the process group that it
    /// leads, where the kernel can do that.
    pub(crate) fn kill(&self, process: &Process, group: bool) {
        self.signal(process, Signal::KILL, group);
    }

    /// SIGCONT to this very process.
    pub(crate) fn resume(&self, process: &Process) {
        self.signal(process, Signal::CONT, false);
    }

    fn signal(&self, process: &Process, signal: Signal, group: bool) {
        let Some(pid) = Pid::from_raw(process.pid) else { return };
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => {
                if read_stat(&self.directory, process.pid).is_some_and(|now| now.start == process.start) {
                    let led = group && process.group == process.pid && sys::kill_group(fd.as_fd());
                    if !led {
                        // It may have ended meanwhile, which is as good.
                        let _ = rustix::process::pidfd_send_signal(&fd, signal);
                    }
                }
            }
            // It ended meanwhile.
            Err(Errno::SRCH) => {}
            // No room for a descriptor: better the small risk of a reused number than a process that stays.
            Err(_) => {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    }

    /// The process as it is now.
    pub(crate) fn look(&self, pid: i32) -> Option<Process> {
        read_stat(&self.directory, pid)
    }

    /// Resident memory of a process that is no file's; a page that several share counts for each.
    pub(crate) fn anonymous_bytes(&self, pid: i32) -> Option<u64> {
        let mut text = [0_u8; 256];
        let length = read_file(&self.directory, pid, "statm", &mut text)?;
        let mut fields = text[..length].split(|&byte| byte == b' ').skip(1).map(number);
        let (resident, shared) = (fields.next()??, fields.next()??);
        Some(u64::try_from(resident - shared).unwrap_or(0) * sys::page_size())
    }

    /// The same, each page divided among those who share it. A process may have closed itself to this look.
    pub(crate) fn proportional_bytes(&self, pid: i32) -> Option<u64> {
        let mut text = [0_u8; 2048];
        let length = read_file(&self.directory, pid, "smaps_rollup", &mut text)?;
        let line =
            text[..length].split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Pss_Anon:"))?;
        let kibibytes = number(line.trim_ascii().split(|&byte| byte == b' ').next()?)?;
        Some(u64::try_from(kibibytes).ok()? * 1024)
    }

    /// Number of descriptors; 0 where the kernel does not tell it.
    pub(crate) fn descriptors(&self, pid: i32) -> Option<u64> {
        let status = rustix::fs::statat(&self.directory, format!("{pid}/fd"), AtFlags::empty()).ok()?;
        u64::try_from(status.st_size).ok()
    }
}

fn read_stat(directory: &OwnedFd, pid: i32) -> Option<Process> {
    let mut stat = [0_u8; 1024];
    let length = read_file(directory, pid, "stat", &mut stat)?;
    Process::parse(&stat[..length])
}

/// The beginning of a file of a process.
fn read_file(directory: &OwnedFd, pid: i32, name: &str, buffer: &mut [u8]) -> Option<usize> {
    let path = format!("{pid}/{name}");
    let file = rustix::fs::openat(directory, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    rustix::io::read(&file, buffer).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"42 (a b) S) R 7 42 40 0 -1 4194560 90 0 1 0 3 4 5 6 20 0 2 0 812345 2461696 301 18446744073709551615 1 1 0\n";

    fn process(pid: i32, parent: i32) -> Process {
        Process { pid, parent, group: pid, start: 0, state: b'S', threads: 1, ticks: 0 }
    }

    #[test]
    fn fields_are_found_behind_any_name() {
        let parsed = Process::parse(LINE).unwrap();
        let expected =
            Process { pid: 42, parent: 7, group: 42, start: 812_345, state: b'R', threads: 2, ticks: 18 };
        assert_eq!(parsed, expected);
    }

    #[test]
    fn what_is_no_stat_line_is_refused() {
        for line in [
            &b""[..],
            b")",
            b"1 (x",
            b"1 (x)",
            b"1 (x) ",
            b"1 (x) R",
            b"1 (x) R 2 3 4",
            b"x (x) R 1 1 1 1 1 1 1 1 1 1 1 1",
        ] {
            assert_eq!(Process::parse(line), None, "{}", String::from_utf8_lossy(line));
        }
        for cut in 0..LINE.len() - 40 {
            // Never a panic, whatever is missing.
            let _ = Process::parse(&LINE[..cut]);
        }
    }

    #[test]
    fn a_zombie_main_thread_does_not_hide_its_threads() {
        let mut it = process(5, 1);
        it.state = b'Z';
        assert!(!it.alive());
        it.threads = 2;
        assert!(it.alive());
    }

    #[test]
    fn every_process_hangs_below_a_child_of_the_first() {
        let processes = vec![
            process(1, 0),
            process(2, 1),
            process(3, 2),
            process(4, 3),
            process(5, 1),
            process(6, 99),
            process(7, 6),
        ];
        let tops = Snapshot { processes, vanished: false, init: 1 }.tops();
        let expected = [
            Top::Outside,
            Top::Child(2),
            Top::Child(2),
            Top::Child(2),
            Top::Child(5),
            Top::Unknown,
            Top::Unknown,
        ];
        assert_eq!(tops, expected);
    }

    #[test]
    fn only_what_is_below_an_init_that_is_not_the_first_is_its_own() {
        let processes = [(1, 0), (2, 1), (7, 2), (8, 7), (9, 8), (10, 1), (11, 99)];
        let processes = processes.map(|(pid, parent)| process(pid, parent)).to_vec();
        let mut snapshot = Snapshot { processes, vanished: false, init: 7 };
        snapshot.leave_out_foreign();
        let left: Vec<_> = snapshot.processes.iter().map(|process| process.pid).collect();
        assert_eq!((left, snapshot.vanished), (vec![7, 8, 9], true));
        assert_eq!(snapshot.tops(), [Top::Outside, Top::Child(8), Top::Child(8)]);
    }

    #[test]
    fn a_cycle_ends_the_search() {
        let processes = vec![process(1, 0), process(2, 3), process(3, 2), process(4, 2)];
        let tops = Snapshot { processes, vanished: false, init: 1 }.tops();
        assert_eq!(tops[1..], [Top::Unknown, Top::Unknown, Top::Unknown]);
    }

    #[test]
    fn deep_chains_need_no_stack() {
        let processes = (1..100_000).map(|pid| process(pid, pid - 1)).collect();
        let tops = Snapshot { processes, vanished: false, init: 1 }.tops();
        assert_eq!(tops.last(), Some(&Top::Child(2)));
    }

    #[test]
    fn this_process_is_in_its_own_proc() {
        let mut processes = Processes::open().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let snapshot = processes.snapshot();
        let found = snapshot.processes.iter().find(|process| process.pid == own).unwrap();
        assert!(found.alive() && processes.anonymous_bytes(own).unwrap() > 0);
        assert_eq!(processes.look(own).unwrap().start, found.start);
    }
}
