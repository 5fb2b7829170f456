//! Trees and archives of templates without a store around them.

use std::fs::File;
use std::io::{self, Seek, Write};

use e2bridge_core::request::BuiltinTemplate;

use super::archive::{self, Archive, NewTemplate};
use super::tree::{BOUNDS, Bounds, Origin, TreeGate, refusal, roots};

/// Small enough for every bound to be met by a few kilobytes.
const SMALL: Bounds =
    Bounds { bytes: 64 << 10, entries: 64, depth: 12, name_bytes: 16 << 10, ratio: 50, ratio_free: 32 << 10 };

/// A tree that was let through.
#[derive(Debug, PartialEq, Eq)]
pub struct PassedTree {
    /// The canonical archive.
    pub archive: Vec<u8>,
    /// Files, directories and links.
    pub entries: u64,
    /// Bytes of file content.
    pub bytes: u64,
}

/// Sends a tar archive through the gate in pieces of `piece` bytes; `None` when it is refused.
pub fn pass_tree(tar: &[u8], piece: usize, from_sandbox: bool) -> Option<PassedTree> {
    let origin = if from_sandbox { Origin::Sandbox } else { Origin::File };
    let mut gate = TreeGate::new(Vec::new(), roots(true), origin, SMALL);
    let written = tar.chunks(piece.max(1)).try_for_each(|piece| gate.write_all(piece));
    if let Err(error) = written {
        assert!(refusal(&error).is_some(), "refused without a rule: {error}");
        return None;
    }
    let (archive, summary) = gate.finish().ok()?;
    assert_eq!(archive.len() as u64, summary.archive_bytes);
    Some(PassedTree { archive, entries: summary.entries, bytes: summary.bytes })
}

/// Reads the file of a template archive; its tree, or `None` when it is refused.
///
/// # Errors
/// When the host has no memory files.
pub fn read_archive_file(bytes: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut tree = Vec::new();
    let read =
        Archive::open(memory_file(bytes)?, &SMALL).and_then(|archive| archive.read_tree(&SMALL, &mut tree));
    assert!(tree.len() <= 256 << 10, "a bomb of {} bytes", tree.len());
    match read {
        Ok(()) => Ok(Some(tree)),
        Err(error) => {
            assert!(refusal(&error).is_some(), "refused without a rule: {error}");
            Ok(None)
        }
    }
}

/// The file of a template archive with that tree; `None` when the tree is refused.
///
/// # Errors
/// When the host has no memory files.
pub fn write_archive_file(tar: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut file = memory_file(&[])?;
    let template = NewTemplate {
        template_id: format!("tpl_{}", "a".repeat(26)),
        template_name: "made".to_owned(),
        base: BuiltinTemplate::Base,
        include_data: true,
        created_at: "2026-01-01T00:00:00Z".to_owned(),
    };
    let written = archive::write(&mut file, template, Origin::Sandbox, BOUNDS, |sink| sink.write_all(tar));
    if written.is_err() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.rewind()?;
    io::Read::read_to_end(&mut file, &mut bytes)?;
    Ok(Some(bytes))
}

fn memory_file(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("archive", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}
