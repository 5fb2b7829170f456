//! The reader of archives without anything being unpacked.

use super::import::{Kind, read_all};

/// One entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEntry {
    /// `f`, `d` or `l`.
    pub kind: char,
    /// Relative to the root of the sandbox.
    pub path: Vec<u8>,
    /// Of a symbolic link.
    pub target: Vec<u8>,
    /// Permissions.
    pub mode: u32,
    /// Of a file.
    pub content: Vec<u8>,
}

/// All entries; `None` when the archive is refused.
pub fn read_archive(bytes: &[u8]) -> Option<Vec<FoundEntry>> {
    let entries = read_all(bytes).ok()?;
    let found = entries.into_iter().map(|(entry, content)| FoundEntry {
        kind: match entry.kind {
            Kind::File => 'f',
            Kind::Directory => 'd',
            Kind::Symlink => 'l',
        },
        path: entry.path,
        target: entry.target,
        mode: entry.mode,
        content,
    });
    Some(found.collect())
}
