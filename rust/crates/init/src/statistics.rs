//! Figures that only the inside knows.

use std::mem::MaybeUninit;

use e2bridge_protocol::init::Statistics;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags};

use crate::confinement::{Confinement, HOME};
use crate::sys;
use crate::tree::Processes;

/// Most files that are counted one by one: who asks for figures does not wait for a million of them.
const MAX_COUNTED: u64 = 10_000;

/// Collects them. `running` is the number of executions whose program has not ended.
pub(crate) fn collect(
    processes: &mut Processes,
    running: usize,
    confinement: Option<&Confinement>,
) -> Statistics {
    let snapshot = processes.snapshot();
    let (bytes, inodes) = match confinement {
        Some(confinement) => count(&confinement.root),
        None => file_system(),
    };
    let others = || snapshot.processes.iter().filter(|process| process.pid != snapshot.init);
    let ticks: u64 = others().map(|process| process.ticks).sum();
    let alive = || snapshot.processes.iter().filter(|process| process.alive());
    Statistics {
        disk_used_bytes: bytes,
        disk_used_inodes: inodes,
        processes: u32::try_from(alive().count()).unwrap_or(u32::MAX),
        running: u32::try_from(running).unwrap_or(u32::MAX),
        cpu_us: ticks * 1_000_000 / sys::clock_ticks_per_second().max(1) + sys::own_and_ended_cpu_us(),
        anonymous_bytes: alive().filter_map(|process| processes.anonymous_bytes(process.pid)).sum(),
    }
}

/// All writable places of a sandbox with a mount namespace are on one file system.
fn file_system() -> (u64, u64) {
    match rustix::fs::statfs(HOME) {
        Ok(disk) => (
            disk.f_blocks.saturating_sub(disk.f_bfree) * u64::try_from(disk.f_bsize).unwrap_or(0),
            disk.f_files.saturating_sub(disk.f_ffree),
        ),
        Err(_) => (0, 0),
    }
}

/// Bytes and number of what is below a directory, as far as it is counted. Nothing recurses, and no link is followed.
fn count(root: &str) -> (u64, u64) {
    let (mut bytes, mut found) = (0, 0);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(top) = rustix::fs::open(root, flags, Mode::empty()) else { return (0, 0) };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let mut buffer = vec![MaybeUninit::uninit(); 16 * 1024];
    let mut waiting = vec![b".".to_vec()];
    while let Some(path) = waiting.pop() {
        // What is nested too deeply for a path is not counted.
        let Ok(directory) = rustix::fs::openat2(&top, &path[..], flags, Mode::empty(), resolve) else {
            continue;
        };
        let mut entries = RawDir::new(&directory, &mut buffer);
        while let Some(Ok(entry)) = entries.next() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if found == MAX_COUNTED {
                return (bytes, found);
            }
            found += 1;
            if let Ok(stat) = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
            }
            if entry.file_type() == FileType::Directory {
                waiting.push([&path[..], b"/", name.to_bytes()].concat());
            }
        }
    }
    (bytes, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_directory_is_counted_and_links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path();
        std::fs::create_dir_all(top.join("a/b")).unwrap();
        std::fs::write(top.join("a/b/file"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/usr", top.join("link")).unwrap();
        std::os::unix::fs::symlink("..", top.join("a/up")).unwrap();
        let (bytes, found) = count(top.to_str().unwrap());
        assert_eq!(found, 5);
        assert!((100_000..1_000_000).contains(&bytes), "{bytes}");
        assert_eq!(count("/nowhere"), (0, 0));
    }
}
