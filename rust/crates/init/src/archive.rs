//! Trees of files as tar archives, in a forked child of init.
//!
//! Names and contents are hostile in both directions: what is exported was made by the sandbox's programs, what is imported may
//! come from anywhere. Nothing recurses, nothing grows without a bound, and no name is opened but from a directory held open.

use std::os::fd::BorrowedFd;

use e2bridge_protocol::init::InitEvent;
use rustix::fs::{OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::failure::Failure;

mod export;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod import;

/// Size of a block of a tar archive.
const BLOCK: usize = 512;
/// Most levels of directories. Each level of an export holds a descriptor.
const MAX_DEPTH: usize = 1024;
/// Longest name of one file or directory, as the kernel has it.
const MAX_NAME: usize = 255;
/// Longest target of a symbolic link, as the kernel has it.
const MAX_TARGET: usize = 4095;
/// How every directory is opened: no symbolic link on the way, no way out.
const RESOLVE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Sends the trees below the directory `top`.
pub(crate) fn export(
    top: &str,
    roots: &[String],
    max_bytes: u64,
    max_entries: u64,
    data: BorrowedFd<'_>,
) -> InitEvent {
    outcome(export::export(top, roots, max_bytes, max_entries, data))
}

/// Receives trees below the directory `top`.
pub(crate) fn import(top: &str, roots: &[String], data: BorrowedFd<'_>) -> InitEvent {
    outcome(import::import(top, roots, data))
}

fn outcome(result: Result<(u64, u64), Failure>) -> InitEvent {
    match result {
        Ok((entries, bytes)) => InitEvent::Done { entries, bytes },
        Err(failure) => failure.event(),
    }
}

/// The components of an absolute directory.
fn root_name(root: &str) -> Result<&str, Failure> {
    let name = root.strip_prefix('/').unwrap_or_default();
    let fine = |part: &str| !matches!(part, "" | "." | "..");
    if name.split('/').all(fine) { Ok(name) } else { Err(Failure::new("root", Errno::INVAL)) }
}

/// Bytes up to the next whole block.
fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_an_absolute_directory_below_the_first() {
        assert_eq!(root_name("/usr/local"), Ok("usr/local"));
        for root in ["", "/", "opt", "//opt", "/opt/", "/opt/../etc", "/./opt", "/.."] {
            assert!(root_name(root).is_err(), "{root}");
        }
    }

    #[test]
    fn blocks_are_filled_up() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }
}
