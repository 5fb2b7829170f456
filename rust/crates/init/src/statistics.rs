//! Figures that only the inside knows.

use e2bridge_protocol::init::Statistics;

use crate::file_agent::HOME;
use crate::sys;
use crate::tree::Snapshot;

/// Collects them. `running` is the number of executions whose program has not ended.
pub(crate) fn collect(snapshot: &Snapshot, running: usize) -> Statistics {
    // All writable places are on one file system.
    let (bytes, inodes) = match rustix::fs::statfs(HOME) {
        Ok(disk) => (
            disk.f_blocks.saturating_sub(disk.f_bfree) * u64::try_from(disk.f_bsize).unwrap_or(0),
            disk.f_files.saturating_sub(disk.f_ffree),
        ),
        Err(_) => (0, 0),
    };
    let page = sys::page_size();
    let others = || snapshot.processes.iter().filter(|process| process.pid != 1);
    let ticks: u64 = others().map(|process| process.ticks).sum();
    let alive = || snapshot.processes.iter().filter(|process| process.alive());
    Statistics {
        disk_used_bytes: bytes,
        disk_used_inodes: inodes,
        processes: u32::try_from(alive().count()).unwrap_or(u32::MAX),
        running: u32::try_from(running).unwrap_or(u32::MAX),
        cpu_us: ticks * 1_000_000 / sys::clock_ticks_per_second().max(1) + sys::own_and_ended_cpu_us(),
        rss_bytes: alive().map(|process| process.resident * page).sum(),
    }
}
