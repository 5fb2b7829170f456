//! Archives of templates: the gate on the way into the store, the file on the host, the reader inside a sandbox, and the reader of the
//! tar crate beside them.

use std::collections::BTreeMap;
use std::io::Read;

use e2bridge_init::fuzzing::{FoundEntry, read_archive};
use e2bridge_local::fuzzing::{PassedTree, pass_tree, read_archive_file, write_archive_file};
use tar::{EntryType, Header};

const BLOCK: usize = 512;
/// Where the files of a template may lie.
const ROOTS: [&str; 6] = ["opt/", "usr/local/", "srv/", "var/tmp/", "home/user/", "data/"];

/// The first byte says what the rest is: a tree as it is, or with its checksums mended, in pieces of some size; or the file of a
/// template. Nothing outside of the roots, no link on the way, nothing but files, directories and links comes through, every reader sees
/// the same, and little never becomes much.
pub fn archives(data: &[u8]) {
    let Some((&mode, bytes)) = data.split_first() else { return };
    let piece = [BLOCK, 1, 7, 1_000][usize::from(mode >> 4 & 3)];
    let from_sandbox = mode & 0x80 != 0;
    match mode % 4 {
        0 => tree(bytes, piece, from_sandbox),
        1 => tree(&mended(bytes), piece, from_sandbox),
        2 => file(bytes),
        _ => {
            // The file of a good tree, changed behind its first header.
            if let Some(whole) = write_archive_file(&mended(bytes)).expect("a memory file") {
                file(&whole);
            }
        }
    }
}

fn tree(bytes: &[u8], piece: usize, from_sandbox: bool) {
    // The reader inside is given canonical archives only, but may not rely on it.
    for entry in read_archive(bytes).iter().flatten() {
        relative(&entry.path);
        assert_eq!(entry.mode & !0o777, 0);
    }
    let Some(passed) = pass_tree(bytes, piece, from_sandbox) else { return };
    assert!(passed.archive.len() <= 2 * bytes.len() + 2 * BLOCK);
    assert_eq!(pass_tree(&passed.archive, 4_096, false).as_ref(), Some(&passed), "not canonical");
    check(&passed);
}

fn file(bytes: &[u8]) {
    let Some(tree) = read_archive_file(bytes).expect("a memory file") else { return };
    let passed = pass_tree(&tree, 4_096, false).expect("it passed before");
    assert_eq!(passed.archive, tree);
    check(&passed);
}

/// Checks a canonical archive by what two other readers see in it.
fn check(passed: &PassedTree) {
    let inside = read_archive(&passed.archive).expect("the reader inside takes what the gate wrote");
    let mut seen: BTreeMap<&[u8], char> = BTreeMap::new();
    for entry in &inside {
        relative(&entry.path);
        assert!(
            ROOTS.iter().any(|root| entry.path.starts_with(root.as_bytes())),
            "{}",
            entry.path.escape_ascii()
        );
        // No entry lies below a link or a file.
        for (at, _) in entry.path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            assert!(
                seen.get(&entry.path[..at]).is_none_or(|kind| *kind == 'd'),
                "{}",
                entry.path.escape_ascii()
            );
        }
        assert!(seen.insert(&entry.path, entry.kind).is_none(), "twice: {}", entry.path.escape_ascii());
        assert_eq!(entry.mode & !0o777, 0);
        assert!(entry.kind != 'l' || (1..=4_095).contains(&entry.target.len()) && !entry.target.contains(&0));
    }
    assert_eq!(inside.len() as u64, passed.entries);
    assert_eq!(inside.iter().map(|entry| entry.content.len() as u64).sum::<u64>(), passed.bytes);
    assert_eq!(inside, other_reader(&passed.archive));
}

fn relative(path: &[u8]) {
    assert!(!path.contains(&0));
    assert!(
        path.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b"..") && part.len() <= 255)
    );
}

fn other_reader(archive: &[u8]) -> Vec<FoundEntry> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("entries");
    let found = entries.map(|entry| {
        let mut entry = entry.expect("an entry");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        let header = entry.header();
        FoundEntry {
            kind: match header.entry_type() {
                EntryType::Regular => 'f',
                EntryType::Directory => 'd',
                EntryType::Symlink => 'l',
                other => panic!("{other:?}"),
            },
            path: entry.path_bytes().into_owned(),
            target: entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default(),
            mode: header.mode().expect("a mode"),
            content,
        }
    });
    found.collect()
}

/// The bytes with the checksum of every header put right, which no mutation would find: what is behind it is what matters.
fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    let mut at = 0;
    while let Some(block) = bytes.get_mut(at..at + BLOCK) {
        at += BLOCK;
        if block.iter().all(|byte| *byte == 0) {
            continue;
        }
        let mut header = Header::new_gnu();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
        let size = header.entry_size().ok().and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
        if size <= bytes.len() {
            at += size.next_multiple_of(BLOCK);
        }
    }
    bytes
}
