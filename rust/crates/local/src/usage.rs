//! What a sandbox uses: figures of its cgroups, read through descriptors that stay open, and what only its init knows.

use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use e2bridge_core::time::now;
use e2bridge_protocol::init::Statistics;
use e2bridge_protocol::supervisor::Cgroups;
use rustix::fs::{Mode, OFlags};

/// The usage files of one sandbox. Each is opened when it is first read and stays open as long as the sandbox is held.
#[derive(Debug)]
pub(crate) struct Usage {
    cgroups: Cgroups,
    memory: OnceLock<Option<OwnedFd>>,
    peak: OnceLock<Option<OwnedFd>>,
    kills: OnceLock<Option<OwnedFd>>,
    cpu: OnceLock<Option<(OwnedFd, CpuFormat)>>,
    processes: OnceLock<Option<OwnedFd>>,
}

#[derive(Clone, Copy, Debug)]
enum CpuFormat {
    /// v1 `cpuacct.usage`: nanoseconds.
    Nanoseconds,
    /// v2 `cpu.stat`: lines, one of which is `usage_usec`.
    Stat,
}

impl Usage {
    pub(crate) fn new(cgroups: Cgroups) -> Self {
        Self {
            cgroups,
            memory: OnceLock::new(),
            peak: OnceLock::new(),
            kills: OnceLock::new(),
            cpu: OnceLock::new(),
            processes: OnceLock::new(),
        }
    }

    /// Bytes in use; `None` without a memory controller.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        number(&self.memory(&self.memory, &["memory.usage_in_bytes", "memory.current"])?)
    }

    /// Most bytes that were ever in use.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        number(&self.memory(&self.peak, &["memory.max_usage_in_bytes", "memory.peak"])?)
    }

    /// Processes that the kernel killed because the memory limit was met.
    pub(crate) fn memory_kills(&self) -> Option<u64> {
        field(&self.memory(&self.kills, &["memory.oom_control", "memory.events"])?, "oom_kill")
    }

    /// Processor time, microseconds.
    pub(crate) fn cpu_us(&self) -> Option<u64> {
        let open = || {
            let directory = self.cgroups.cpu.as_deref()?;
            open(directory, "cpuacct.usage")
                .map(|file| (file, CpuFormat::Nanoseconds))
                .or_else(|| open(directory, "cpu.stat").map(|file| (file, CpuFormat::Stat)))
        };
        match self.cpu.get_or_init(open).as_ref()? {
            (file, CpuFormat::Nanoseconds) => number(&content(file)?).map(|nanoseconds| nanoseconds / 1_000),
            (file, CpuFormat::Stat) => field(&content(file)?, "usage_usec"),
        }
    }

    /// Processes and threads.
    pub(crate) fn processes(&self) -> Option<u64> {
        let open = || open(self.cgroups.processes.as_deref()?, "pids.current");
        number(&content(self.processes.get_or_init(open).as_ref()?)?)
    }

    fn memory(&self, kept: &OnceLock<Option<OwnedFd>>, names: &[&str]) -> Option<Content> {
        let open = || {
            let directory = self.cgroups.memory.as_deref()?;
            names.iter().find_map(|name| open(directory, name))
        };
        content(kept.get_or_init(open).as_ref()?)
    }
}

fn open(directory: &str, name: &str) -> Option<OwnedFd> {
    rustix::fs::open(format!("{directory}/{name}"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// The beginning of a file; these are short.
struct Content {
    bytes: [u8; 1024],
    length: usize,
}

impl Content {
    fn text(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

fn content(file: &OwnedFd) -> Option<Content> {
    let mut bytes = [0; 1024];
    let length = rustix::io::pread(file, &mut bytes, 0).ok()?;
    Some(Content { bytes, length })
}

fn number(content: &Content) -> Option<u64> {
    content.text().trim().parse().ok()
}

fn field(content: &Content, name: &str) -> Option<u64> {
    content.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Figures taken at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// When.
    pub(crate) taken: Instant,
    /// The same for documents.
    pub(crate) sampled_at: Arc<str>,
    pub(crate) cpu_us: Option<u64>,
    /// Percent of one processor since the sample before.
    pub(crate) cpu_percent: Option<f64>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) memory_peak_bytes: Option<u64>,
    pub(crate) processes: Option<u64>,
    pub(crate) disk_used_bytes: Option<u64>,
}

impl Sample {
    /// Reads the cgroups and adds what init said, which fills in for controllers that are not there.
    pub(crate) fn take(
        usage: &Usage,
        inside: Option<&Statistics>,
        before: Option<&Sample>,
        start: Instant,
    ) -> Self {
        let taken = Instant::now();
        let cpu_us = usage.cpu_us().or_else(|| inside.map(|inside| inside.cpu_us));
        let (earlier, earlier_cpu) = match before {
            Some(before) => (before.taken, before.cpu_us),
            None => (start, Some(0)),
        };
        let cpu_percent = match (cpu_us, earlier_cpu) {
            (Some(now), Some(earlier_cpu)) => {
                let wall = taken.saturating_duration_since(earlier).as_secs_f64();
                // A microsecond count stays exact in a double for centuries.
                #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
                let used = now.saturating_sub(earlier_cpu) as f64 / 1e6;
                (wall > 0.0).then(|| used / wall * 100.0)
            }
            _ => None,
        };
        let memory_bytes = usage.memory_bytes().or_else(|| inside.map(|inside| inside.anonymous_bytes));
        Self {
            taken,
            sampled_at: now().into(),
            cpu_us,
            cpu_percent,
            memory_bytes,
            memory_peak_bytes: usage
                .peak_bytes()
                .max(memory_bytes.filter(|_| usage.cgroups.memory.is_some())),
            processes: usage.processes().or_else(|| inside.map(|inside| u64::from(inside.processes))),
            disk_used_bytes: match inside {
                Some(inside) => Some(inside.disk_used_bytes),
                None => before.and_then(|before| before.disk_used_bytes),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn both_generations_of_files_are_read() {
        for (files, generation) in [
            (
                [
                    ("memory.usage_in_bytes", "1048576\n"),
                    ("memory.max_usage_in_bytes", "2097152\n"),
                    ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
                    ("cpuacct.usage", "5000000\n"),
                    ("pids.current", "7\n"),
                ],
                1,
            ),
            (
                [
                    ("memory.current", "1048576\n"),
                    ("memory.peak", "2097152\n"),
                    ("memory.events", "low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\n"),
                    ("cpu.stat", "usage_usec 5000\nuser_usec 4000\nsystem_usec 1000\n"),
                    ("pids.current", "7\n"),
                ],
                2,
            ),
        ] {
            let directory = tempfile::tempdir().unwrap();
            for (name, content) in files {
                fs::write(directory.path().join(name), content).unwrap();
            }
            let path = directory.path().to_str().map(str::to_owned);
            let usage = Usage::new(Cgroups { memory: path.clone(), cpu: path.clone(), processes: path });
            assert_eq!(usage.memory_bytes(), Some(1 << 20), "v{generation}");
            assert_eq!(usage.peak_bytes(), Some(2 << 20), "v{generation}");
            assert_eq!(usage.memory_kills(), Some(3), "v{generation}");
            assert_eq!(usage.cpu_us(), Some(5_000), "v{generation}");
            assert_eq!(usage.processes(), Some(7), "v{generation}");
            // The files are kept open: what is written later is seen.
            fs::write(directory.path().join("pids.current"), "8\n").unwrap();
            assert_eq!(usage.processes(), Some(8), "v{generation}");
        }
    }

    #[test]
    fn without_a_group_the_inside_is_believed_and_unknown_stays_unknown() {
        let usage = Usage::new(Cgroups::default());
        let start = Instant::now();
        let none = Sample::take(&usage, None, None, start);
        assert_eq!(
            (none.memory_bytes, none.cpu_us, none.processes, none.disk_used_bytes),
            (None, None, None, None)
        );
        let inside = Statistics {
            disk_used_bytes: 1,
            processes: 2,
            cpu_us: 3,
            anonymous_bytes: 4,
            ..Statistics::default()
        };
        let sample = Sample::take(&usage, Some(&inside), Some(&none), start);
        assert_eq!(
            (sample.memory_bytes, sample.cpu_us, sample.processes, sample.disk_used_bytes),
            (Some(4), Some(3), Some(2), Some(1))
        );
        assert_eq!(sample.memory_peak_bytes, None);
    }
}
