use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Digest;
use tar::{Builder, EntryType, Header};

use super::archive::{CONTENT_NAME, MANIFEST_LENGTH, MANIFEST_NAME, outer_header};
use super::tree::{TreeGate, TreeSummary, hex, roots};
use super::*;

/// Small enough to be met in a test.
const SMALL: Bounds =
    Bounds { bytes: 10_000, entries: 8, depth: 6, name_bytes: 6_000, ratio: 20, ratio_free: 2_000 };

/// One entry to be put into an archive as it is, rules or no rules.
#[derive(Clone, Debug)]
struct Entry {
    path: Vec<u8>,
    kind: EntryType,
    mode: u32,
    link: Vec<u8>,
    content: Vec<u8>,
}

fn file(path: &str, content: &[u8]) -> Entry {
    Entry {
        path: path.into(),
        kind: EntryType::Regular,
        mode: 0o644,
        link: Vec::new(),
        content: content.to_vec(),
    }
}

fn directory(path: &str) -> Entry {
    Entry {
        path: path.into(),
        kind: EntryType::Directory,
        mode: 0o755,
        link: Vec::new(),
        content: Vec::new(),
    }
}

fn link(path: &str, target: &str) -> Entry {
    Entry {
        path: path.into(),
        kind: EntryType::Symlink,
        mode: 0o777,
        link: target.into(),
        content: Vec::new(),
    }
}

fn typed(path: &str, kind: EntryType) -> Entry {
    Entry { kind, ..file(path, b"") }
}

/// A tar archive of exactly these entries: names longer than their field become GNU extensions.
fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut archive = Vec::new();
    for entry in entries {
        push_entry(&mut archive, entry);
    }
    archive.extend_from_slice(&[0; 1_024]);
    archive
}

fn push_entry(archive: &mut Vec<u8>, entry: &Entry) {
    let mut header = Header::new_gnu();
    header.set_entry_type(entry.kind);
    header.set_mode(entry.mode);
    header.set_mtime(1_700_000_000);
    header.set_size(entry.content.len() as u64);
    let old = header.as_old_mut();
    for (kind, name, field) in [
        (EntryType::GNULongLink, &entry.link, &mut old.linkname),
        (EntryType::GNULongName, &entry.path, &mut old.name),
    ] {
        let fits = name.len().min(100);
        field[..fits].copy_from_slice(&name[..fits]);
        if name.len() > 100 {
            push_block(archive, kind, &[name, &[0][..]].concat());
        }
    }
    header.set_cksum();
    archive.extend_from_slice(header.as_bytes());
    push_content(archive, &entry.content);
}

fn push_block(archive: &mut Vec<u8>, kind: EntryType, content: &[u8]) {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    archive.extend_from_slice(header.as_bytes());
    push_content(archive, content);
}

fn push_content(archive: &mut Vec<u8>, content: &[u8]) {
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512), 0);
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length += 1;
        }
        text.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
    }
    text
}

fn with_pax(records: &[(&str, &str)], entry: &Entry) -> Vec<u8> {
    let mut archive = Vec::new();
    push_block(&mut archive, EntryType::XHeader, &pax(records));
    push_entry(&mut archive, entry);
    archive.extend_from_slice(&[0; 1_024]);
    archive
}

/// Sends an archive through the gate in pieces of `piece` bytes.
fn pass(archive: &[u8], origin: Origin, bounds: Bounds, piece: usize) -> io::Result<(Vec<u8>, TreeSummary)> {
    let mut gate = TreeGate::new(Vec::new(), roots(true), origin, bounds);
    for piece in archive.chunks(piece) {
        gate.write_all(piece)?;
    }
    gate.finish()
}

/// The rule that an archive is refused by.
fn rule(archive: &[u8], origin: Origin) -> String {
    rule_within(archive, origin, BOUNDS)
}

fn rule_within(archive: &[u8], origin: Origin, bounds: Bounds) -> String {
    let error = pass(archive, origin, bounds, 1_000).expect_err("it passed");
    refusal(&error).unwrap_or_else(|| panic!("not a refusal: {error}")).to_string()
}

/// By path: type, mode, target of a link, content.
type Tree = BTreeMap<Vec<u8>, (EntryType, u32, Option<Vec<u8>>, Vec<u8>)>;

/// What another reader of tar archives finds in it.
fn read(archive: &[u8]) -> Tree {
    tar::Archive::new(archive)
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            io::Read::read_to_end(&mut entry, &mut content).unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (1_000, 1_000));
            let what = (
                header.entry_type(),
                header.mode().unwrap(),
                entry.link_name_bytes().map(std::borrow::Cow::into_owned),
                content,
            );
            (entry.path_bytes().into_owned(), what)
        })
        .collect()
}

#[test]
fn a_tree_is_written_anew_and_is_the_same_tree() {
    let long = format!("opt/{}/{}", "d".repeat(120), "f".repeat(200));
    let target = format!("/usr/lib/{}", "t".repeat(150));
    let entries = [
        // What is there in every sandbox may be in the archive, and is left out.
        directory("usr/"),
        directory("usr/local"),
        directory("opt/"),
        directory("opt/bin/"),
        Entry { mode: 0o755, ..file("opt/bin/run", b"#!/bin/sh\n") },
        file("opt/empty", b""),
        file("opt/block", &[7; 512]),
        file("home/user/.profile", b"x"),
        link("opt/python", "/usr/bin/python3"),
        link("opt/up", "../../../etc/hostname"),
        link("opt/long", &target),
        directory(&format!("opt/{}", "d".repeat(120))),
        file(&long, b"deep"),
        Entry { path: b"srv/\xff\xfe name".to_vec(), ..file("", b"bytes") },
    ];
    let archive = tar(&entries);
    let (canonical, summary) = pass(&archive, Origin::File, BOUNDS, archive.len()).unwrap();
    assert_eq!((summary.entries, summary.bytes), (11, 10 + 512 + 1 + 4 + 5));
    assert_eq!(summary.sha256, hex(&sha2::Sha256::digest(&canonical)));

    let found = read(&canonical);
    assert_eq!(found.len(), 11);
    assert_eq!(found[&b"opt/bin/run"[..]], (EntryType::Regular, 0o755, None, b"#!/bin/sh\n".to_vec()));
    assert_eq!(found[&b"opt/block"[..]].3, vec![7; 512]);
    assert_eq!(found[long.as_bytes()].3, b"deep");
    assert_eq!(found[&b"opt/long"[..]].2.as_deref(), Some(target.as_bytes()));
    assert_eq!(found[&b"srv/\xff\xfe name"[..]].3, b"bytes");

    // However it is cut into pieces, and a second time, the result is the same.
    for piece in [1, 7, 511, 512, 513] {
        assert_eq!(pass(&archive, Origin::File, BOUNDS, piece).unwrap().0, canonical, "pieces of {piece}");
    }
    assert_eq!(pass(&canonical, Origin::File, BOUNDS, 4_096).unwrap().0, canonical);
}

#[test]
fn what_could_harm_is_refused_by_name() {
    let opt = |entry: Entry| tar(&[entry]);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("absolute path", opt(file("/opt/x", b"")), "path is absolute"),
        ("parent", opt(file("opt/../etc/passwd", b"")), "component \"..\""),
        ("parent at the end", opt(directory("opt/a/..")), "component \"..\""),
        ("current directory", opt(file("./opt/x", b"")), "component \".\""),
        ("empty component", opt(file("opt//x", b"")), "empty component"),
        ("file with a slash", opt(file("opt/x/", b"")), "empty component"),
        ("empty path", opt(file("", b"")), "empty path"),
        ("outside", opt(file("etc/passwd", b"")), "lies outside of"),
        ("tmp", opt(file("tmp/x", b"")), "lies outside of"),
        ("beside a root", opt(file("optional/x", b"")), "lies outside of"),
        ("a root that is a file", opt(file("opt", b"")), "lies outside of"),
        ("a root that is a link", opt(link("opt", "/etc")), "lies outside of"),
        ("above a root that is a link", opt(link("usr", "/etc")), "lies outside of"),
        (
            "hard link",
            opt(Entry { link: b"opt/y".to_vec(), ..typed("opt/x", EntryType::Link) }),
            "hard links",
        ),
        ("character device", opt(typed("opt/x", EntryType::Char)), "character devices"),
        ("block device", opt(typed("opt/x", EntryType::Block)), "block devices"),
        ("fifo", opt(typed("opt/x", EntryType::Fifo)), "fifos"),
        ("sparse", opt(typed("opt/x", EntryType::GNUSparse)), "sparse files"),
        ("contiguous", opt(typed("opt/x", EntryType::Continuous)), "contiguous files"),
        ("global", opt(typed("opt/x", EntryType::XGlobalHeader)), "global pax headers"),
        ("unknown", opt(typed("opt/x", EntryType::new(b'V'))), "entries of type"),
        ("set-uid", opt(Entry { mode: 0o4755, ..file("opt/x", b"") }), "set-user-id"),
        ("set-gid", opt(Entry { mode: 0o2755, ..directory("opt/x") }), "set-user-id"),
        ("sticky", opt(Entry { mode: 0o1777, ..directory("opt/x") }), "sticky"),
        (
            "target of a file",
            opt(Entry { link: b"t".repeat(120), ..file("opt/x", b"") }),
            "a regular file must not have a link target",
        ),
        ("pax target of a directory", with_pax(&[("linkpath", "/etc")], &directory("opt/x")), "link target"),
        ("a root twice", tar(&[directory("opt"), directory("opt/")]), "there twice"),
        (
            "what is above a root twice",
            tar(&[directory("usr"), directory("opt"), directory("usr")]),
            "there twice",
        ),
        ("a root, then a link", tar(&[directory("opt"), link("opt", "/etc")]), "lies outside of"),
        ("a file made a directory", tar(&[file("opt/x", b""), directory("opt/x/")]), "there twice"),
        ("a device at a mount point", opt(typed("usr/local", EntryType::Char)), "character devices"),
        ("proc", opt(link("proc", "/etc")), "lies outside of"),
        ("dev", opt(link("dev", "/etc")), "lies outside of"),
        ("etc", opt(link("etc", "/tmp")), "lies outside of"),
        ("through a link", tar(&[link("opt/x", "/etc"), file("opt/x/passwd", b"")]), "not a directory"),
        ("through a file", tar(&[file("opt/x", b""), file("opt/x/y", b"")]), "not a directory"),
        ("before its directory", opt(file("opt/a/b", b"")), "before its directory"),
        ("twice", tar(&[file("opt/x", b"1"), file("opt/x", b"2")]), "there twice"),
        ("a directory made a link", tar(&[directory("opt/x"), link("opt/x", "/etc")]), "there twice"),
        ("no target", opt(link("opt/x", "")), "must have a target"),
        ("target with NUL", opt(link("opt/x", &format!("{}\0b", "a".repeat(120)))), "without NUL"),
        ("path with NUL", opt(file(&format!("opt/{}\0b", "a".repeat(120)), b"")), "has a NUL"),
        ("long component", opt(file(&format!("opt/{}", "a".repeat(256)), b"")), "longer than 255"),
        ("long path", opt(file(&format!("opt/{}", "a/".repeat(2_100)), b"")), "longer than 4,095"),
        (
            "directory with content",
            opt(Entry { content: b"x".to_vec(), ..directory("opt/x") }),
            "must not have content",
        ),
        (
            "link with content",
            opt(Entry { content: b"x".to_vec(), ..link("opt/x", "y") }),
            "must not have content",
        ),
        (
            "xattr",
            with_pax(&[("SCHILY.xattr.security.capability", "x")], &file("opt/x", b"")),
            "SCHILY.xattr.security.capability",
        ),
        (
            "xattr of libarchive",
            with_pax(&[("LIBARCHIVE.xattr.trusted.x", "x")], &file("opt/x", b"")),
            "LIBARCHIVE",
        ),
        ("access list", with_pax(&[("SCHILY.acl.access", "x")], &file("opt/x", b"")), "SCHILY.acl.access"),
        ("pax sparse", with_pax(&[("GNU.sparse.major", "1")], &file("opt/x", b"")), "GNU.sparse.major"),
        (
            "xattr of the user",
            with_pax(&[("SCHILY.xattr.user.x", "x")], &file("opt/x", b"")),
            "SCHILY.xattr.user.x",
        ),
        ("pax size", with_pax(&[("size", "1024")], &file("opt/x", b"x")), "two different sizes"),
        ("pax size of a link", with_pax(&[("size", "1024")], &link("opt/x", "y")), "two different sizes"),
        ("pax size that is negative", with_pax(&[("size", "-1")], &file("opt/x", b"x")), "malformed"),
        (
            "pax size beyond 64 bits",
            with_pax(&[("size", "18446744073709551617")], &file("opt/x", b"x")),
            "malformed",
        ),
        ("pax owner", with_pax(&[("uid", "0")], &file("opt/x", b"x")), "the key \"uid\""),
        ("pax character set", with_pax(&[("hdrcharset", "BINARY")], &file("opt/x", b"x")), "hdrcharset"),
        ("pax path", with_pax(&[("path", "../x")], &file("opt/x", b"x")), "component \"..\""),
        (
            "pax path twice",
            with_pax(&[("path", "opt/a"), ("path", "opt/b")], &file("opt/x", b"")),
            "different names",
        ),
        ("pax mtime twice", with_pax(&[("mtime", "1"), ("mtime", "2")], &file("opt/x", b"")), "twice"),
    ];
    for (what, archive, expected) in cases {
        let rule = rule(&archive, Origin::File);
        assert!(rule.contains(expected), "{what}: {rule}");
    }
}

#[test]
fn malformed_archives_are_refused() {
    let good = tar(&[file("opt/x", b"content")]);
    let cut = |length: usize| rule(&good[..length], Origin::File);
    assert!(cut(0).contains("cut short"));
    for length in [1, 511, 512, 600, 1_024, 1_536, 2_047] {
        assert!(cut(length).contains("cut short"), "{length}");
    }
    assert!(rule(&[good.as_slice(), b"x"].concat(), Origin::File).contains("bytes after the end"));
    assert!(rule(&[good.as_slice(), &good].concat(), Origin::File).contains("bytes after the end"));
    assert!(rule(&[&good[..1_536], &good].concat(), Origin::File).contains("follows the end"));
    assert!(
        rule(&[good.as_slice(), &vec![0; 70_000]].concat(), Origin::File).contains("bytes after the end")
    );
    let mut wrong_sum = good.clone();
    wrong_sum[0] ^= 1;
    assert!(rule(&wrong_sum, Origin::File).contains("checksum"));
    assert!(rule(b"not a tar archive".repeat(100).as_slice(), Origin::File).contains("header"));

    let mut old = Header::new_old();
    old.set_path("opt/x").unwrap();
    old.set_size(0);
    old.set_mode(0o644);
    old.set_mtime(0);
    old.set_cksum();
    assert!(
        rule(&[old.as_bytes().as_slice(), &[0; 1_024]].concat(), Origin::File).contains("neither the ustar")
    );

    let mut two_names = Vec::new();
    push_block(&mut two_names, EntryType::GNULongName, b"opt/a\0");
    push_block(&mut two_names, EntryType::XHeader, &pax(&[("path", "opt/b")]));
    push_entry(&mut two_names, &file("opt/c", b""));
    assert!(rule(&two_names, Origin::File).contains("different names"));

    let mut repeated = Vec::new();
    push_block(&mut repeated, EntryType::GNULongName, b"opt/a\0");
    push_block(&mut repeated, EntryType::GNULongName, b"opt/b\0");
    assert!(rule(&repeated, Origin::File).contains("two header extensions"));

    let mut dangling = Vec::new();
    push_block(&mut dangling, EntryType::GNULongName, b"opt/a\0");
    dangling.extend_from_slice(&[0; 1_024]);
    assert!(rule(&dangling, Origin::File).contains("after a header extension"));

    let mut huge = Vec::new();
    push_block(&mut huge, EntryType::GNULongName, &vec![b'a'; 20_000]);
    assert!(rule(&huge, Origin::File).contains("header extension has 20000 bytes"));

    for text in
        [&b"7 path=x"[..], b"x path=y\n", b"99 path=y\n", b"10 pathxxx\n", b"3 \n", b"99999999 path=x\n"]
    {
        let mut malformed = Vec::new();
        push_block(&mut malformed, EntryType::XHeader, text);
        assert!(rule(&malformed, Origin::File).contains("malformed"), "{}", text.escape_ascii());
    }
}

#[test]
fn bounds_are_met_before_anything_is_kept() {
    let many: Vec<Entry> = (0..9).map(|number| file(&format!("opt/{number}"), b"")).collect();
    let deep: Vec<Entry> = (1..8).map(|depth| directory(&format!("opt{}", "/d".repeat(depth)))).collect();
    let names: Vec<Entry> = (0..8).map(|number| link(&format!("opt/{number}"), &"t".repeat(1_000))).collect();
    let cases = [
        ("entries", tar(&many), "more than 8 entries"),
        ("depth", tar(&deep), "7 levels deep"),
        ("names", tar(&names), "bytes of names"),
        ("bytes", tar(&[file("opt/a", &[1; 6_000]), file("opt/b", &[1; 6_000])]), "more than 10000 bytes"),
    ];
    for (what, archive, expected) in cases {
        let rule = rule_within(&archive, Origin::File, SMALL);
        assert!(rule.contains(expected), "{what}: {rule}");
    }
    // A size that only the header claims: nothing is read or kept for it.
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..5].copy_from_slice(b"opt/x");
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(1 << 50);
    header.set_cksum();
    assert!(rule(header.as_bytes(), Origin::File).contains("bytes of content"));
}

/// A header whose numbers are in the binary form, which holds what octal digits cannot.
fn binary(size: [u8; 12], mtime: [u8; 12]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    let old = header.as_old_mut();
    old.name[..5].copy_from_slice(b"opt/x");
    old.size = size;
    old.mtime = mtime;
    header.set_cksum();
    [header.as_bytes().as_slice(), &[0; 1_024]].concat()
}

#[test]
fn sizes_that_readers_disagree_about_are_refused_and_times_are_bounded() {
    const ZERO: [u8; 12] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let number = |at: usize, byte: u8| {
        let mut field = ZERO;
        field[at] = byte;
        field
    };
    assert!(pass(&binary(ZERO, ZERO), Origin::File, BOUNDS, 512).is_ok());
    // Negative; 2 to the power of 95, 64 and 63.
    for size in [[0xff; 12], number(0, 0xc0), number(3, 1), number(4, 0x80)] {
        let rule = rule(&binary(size, ZERO), Origin::File);
        assert!(rule.contains("out of range"), "{size:x?}: {rule}");
    }
    // More than a template may have.
    assert!(rule(&binary(number(5, 0x80), ZERO), Origin::File).contains("bytes of content"));
    for mtime in [[0xff; 12], number(4, 0x80), number(0, 0x81)] {
        let (canonical, _) = pass(&binary(ZERO, mtime), Origin::File, BOUNDS, 512).unwrap();
        let mtime = Header::from_byte_slice(&canonical[..512]).mtime().unwrap();
        assert!(mtime <= 0o77_777_777_777, "{mtime}");
    }
}

#[test]
fn special_bits_out_of_a_sandbox_are_left_out() {
    let archive =
        tar(&[Entry { mode: 0o6755, ..file("opt/x", b"") }, Entry { mode: 0o1777, ..directory("opt/t") }]);
    let (canonical, _) = pass(&archive, Origin::Sandbox, BOUNDS, 512).unwrap();
    let found = read(&canonical);
    assert_eq!(found[&b"opt/x"[..]].1, 0o755);
    assert_eq!(found[&b"opt/t"[..]].1, 0o777);
}

#[test]
fn data_is_let_through_only_with_data() {
    let archive = tar(&[file("data/SPY.csv", b"1")]);
    let mut gate = TreeGate::new(Vec::new(), roots(false), Origin::File, BOUNDS);
    let error = gate.write_all(&archive).unwrap_err();
    assert!(refusal(&error).unwrap().rule.contains("lies outside"));
    assert!(pass(&archive, Origin::File, BOUNDS, 512).is_ok());
}

/// Trees that follow the rules.
fn trees() -> impl Strategy<Value = Vec<Entry>> {
    let name = proptest::collection::vec(1_u8..=255, 1..140)
        .prop_map(|bytes| bytes.into_iter().map(|b| if b == b'/' { b'_' } else { b }).collect::<Vec<u8>>())
        .prop_filter("dots", |name| name != b"." && name != b"..");
    let node = (name, 0..3_u8, 0_u32..0o1000, proptest::collection::vec(any::<u8>(), 0..1_500), any::<u16>());
    proptest::collection::vec(node, 0..12).prop_map(|nodes| {
        let mut directories: Vec<Vec<u8>> = roots(true).iter().map(|root| root.as_bytes().to_vec()).collect();
        let mut entries: Vec<Entry> = Vec::new();
        for (name, kind, mode, content, place) in nodes {
            let parent = &directories[usize::from(place) % directories.len()];
            let path = [parent.as_slice(), b"/", &name].concat();
            if entries.iter().any(|entry| entry.path == path) {
                continue;
            }
            entries.push(match kind {
                0 => {
                    directories.push(path.clone());
                    Entry { path, kind: EntryType::Directory, mode, link: Vec::new(), content: Vec::new() }
                }
                1 => Entry { path, kind: EntryType::Symlink, mode: 0o777, link: name, content: Vec::new() },
                _ => Entry { path, kind: EntryType::Regular, mode, link: Vec::new(), content },
            });
        }
        entries
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_tree_comes_through_unchanged(entries in trees(), piece in 1_usize..3_000) {
        let archive = tar(&entries);
        let (canonical, summary) = pass(&archive, Origin::File, BOUNDS, piece).unwrap();
        prop_assert_eq!(summary.entries, entries.len() as u64);
        let found = read(&canonical);
        prop_assert_eq!(found.len(), entries.len());
        for entry in &entries {
            let (kind, mode, link, content) = &found[&entry.path];
            prop_assert_eq!((*kind, *mode), (entry.kind, entry.mode));
            prop_assert_eq!(content, &entry.content);
            prop_assert_eq!(link.as_deref().unwrap_or_default(), entry.link.as_slice());
        }
        prop_assert_eq!(pass(&canonical, Origin::File, BOUNDS, 777).unwrap().0, canonical);
    }

    #[test]
    fn what_comes_through_a_damaged_archive_still_follows_the_rules(
        entries in trees(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
    ) {
        let mut archive = tar(&entries);
        for (place, byte, mend) in damage {
            let place = place.index(archive.len());
            archive[place] = byte;
            // A wrong checksum would end it at once: mend it half of the time, so that what is behind it is reached.
            let block = place / 512 * 512;
            if mend {
                let mut header = Header::from_byte_slice(&archive[block..block + 512]).clone();
                header.set_cksum();
                archive[block..block + 512].copy_from_slice(header.as_bytes());
            }
        }
        if let Ok((canonical, summary)) = pass(&archive, Origin::File, BOUNDS, 600) {
            let found = read(&canonical);
            prop_assert_eq!(found.len() as u64, summary.entries);
            for (path, (kind, mode, _, _)) in found {
                prop_assert!(matches!(kind, EntryType::Regular | EntryType::Directory | EntryType::Symlink));
                prop_assert_eq!(mode & !0o777, 0);
                prop_assert!(path.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b"..")));
                let rooted = roots(true).iter().any(|root| path.starts_with(format!("{root}/").as_bytes()));
                prop_assert!(rooted);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4_000), piece in 1_usize..600) {
        let _ = pass(&bytes, Origin::File, BOUNDS, piece);
    }
}

/// A store of its own.
struct Store {
    directory: tempfile::TempDir,
    templates: Templates,
}

impl Store {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let templates = Templates::open(Some(directory.path())).unwrap();
        Self { directory, templates }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn export(&self, name: &str, entries: &[Entry]) -> Result<TemplateExported> {
        export(&self.templates, name, &tar(entries))
    }

    fn inside(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.directory.path().join("templates"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn import(&self, archive: &[u8]) -> Result<TemplateExported> {
        let file = self.path("archive.tar");
        fs::write(&file, archive).unwrap();
        self.templates.import_file(&file, None)
    }
}

fn export(templates: &Templates, name: &str, archive: &[u8]) -> Result<TemplateExported> {
    let export = Export {
        sandbox_id: "sb_a",
        template_name: name,
        base: BuiltinTemplate::Python,
        include_data: false,
    };
    templates.export(&export, |sink| {
        sink.write_all(archive).map_err(|error| match refusal(&error) {
            Some(refusal) => Error::new(Code::Cancelled, refusal.to_string()),
            None => Error::internal(error.to_string()),
        })
    })
}

fn content(template: &ResolvedTemplate) -> Tree {
    let mut archive = Vec::new();
    template.write_content(&mut archive).unwrap();
    read(&archive)
}

#[test]
fn a_template_lives_from_export_to_deletion() {
    let store = Store::new();
    let templates = &store.templates;
    let available = |_| None;
    assert_eq!(templates.list(available).unwrap().total_count, 3);
    assert!(!store.directory.path().join("templates").exists(), "nothing is made before it is needed");

    let first = store.export("strategy", &[directory("opt/a"), file("opt/a/x", b"one")]).unwrap();
    assert_eq!(
        (first.status.as_str(), first.replaced, first.entries, first.size_bytes),
        ("exported", false, 2, 3)
    );
    assert_eq!((first.base_template.as_str(), first.sandbox_id.as_deref()), ("python", Some("sb_a")));
    let old = templates.resolve("template", "strategy").unwrap();
    assert_eq!(old.template_id(), Some(first.template_id.as_str()));
    assert_eq!((old.name(), old.base(), old.has_content()), ("strategy", BuiltinTemplate::Python, true));
    assert_eq!(old.roots(), ["/opt", "/usr/local", "/srv", "/var/tmp"]);
    assert_eq!(content(&old)[&b"opt/a/x"[..]].3, b"one");

    let second = store.export("strategy", &[file("opt/y", b"two!")]).unwrap();
    assert!(second.replaced);
    assert_ne!(second.template_id, first.template_id);
    let new = templates.resolve("template", &second.template_id).unwrap();
    assert_eq!(content(&new)[&b"opt/y"[..]].3, b"two!");
    assert_eq!(content(&old)[&b"opt/a/x"[..]].3, b"one", "one that is in use stays whole");
    assert_eq!(templates.resolve("template", &first.template_id).unwrap_err().code(), Code::NotFound);
    assert_eq!(store.inside(), [".lock", "strategy.tar"]);

    let rows = templates
        .list(|base| (base == BuiltinTemplate::Python).then(|| "no python here".to_owned()))
        .unwrap();
    let row = rows.templates.last().unwrap();
    assert_eq!((row.template_name.as_str(), row.size_bytes, row.built_in), ("strategy", 4, false));
    assert_eq!((row.available, row.reason.as_deref()), (false, Some("no python here")));
    assert_eq!(row.languages, ["python", "shell"]);
    assert!(rows.templates[0].available && rows.templates[0].built_in);

    let gone = templates.delete(&second.template_id).unwrap();
    assert_eq!((gone.template_name.as_str(), gone.status.as_str()), ("strategy", "deleted"));
    assert_eq!(templates.delete("strategy").unwrap_err().code(), Code::NotFound);
    assert_eq!(content(&new)[&b"opt/y"[..]].3, b"two!");
    assert_eq!(store.inside(), [".lock"]);
}

#[test]
fn the_store_is_closed_to_others() {
    let store = Store::new();
    store.export("a", &[]).unwrap();
    let directory = store.directory.path().join("templates");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join("a.tar")), 0o600);

    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    let error = store.templates.resolve("template", "a").unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied, "{error}");
    assert_eq!(Templates::open(Some(store.directory.path())).unwrap_err().code(), Code::PermissionDenied);
}

#[test]
fn bad_names_and_unknown_ones_are_told_apart() {
    let store = Store::new();
    store.export("mine", &[]).unwrap();
    for name in ["base", "python", "node", "tpl_x"] {
        let error = store.export(name, &[]).unwrap_err();
        assert_eq!((error.code(), error.argument()), (Code::AlreadyExists, Some("template_name")), "{name}");
    }
    for name in ["", "../x", "A", "a/b", "a\0b", "-a", &"a".repeat(65)] {
        assert_eq!(store.export(name, &[]).unwrap_err().code(), Code::InvalidArgument, "{name:?}");
        assert_eq!(
            store.templates.resolve("template", name).unwrap_err().code(),
            Code::InvalidArgument,
            "{name:?}"
        );
        assert_eq!(store.templates.delete(name).unwrap_err().code(), Code::InvalidArgument, "{name:?}");
    }
    let error = store.templates.resolve("template", "yours").unwrap_err();
    assert_eq!((error.code(), error.argument()), (Code::NotFound, Some("template")));
    assert!(error.message().contains("base, python, node, mine"), "{error}");
    assert_eq!(error.context()["known"], json!(["base", "python", "node", "mine"]));
    assert_eq!(
        store.templates.resolve("template", &format!("tpl_{}", "a".repeat(26))).unwrap_err().code(),
        Code::NotFound
    );
    let error = store.templates.delete("base").unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("cannot be deleted"), "{error}");
}

#[test]
fn a_failed_export_leaves_the_old_one_and_nothing_else() {
    let store = Store::new();
    store.export("t", &[file("opt/x", b"old")]).unwrap();
    let export_of = |fill: fn(&mut dyn Write) -> Result<()>| {
        let export = Export {
            sandbox_id: "sb_a",
            template_name: "t",
            base: BuiltinTemplate::Base,
            include_data: false,
        };
        store.templates.export(&export, fill).unwrap_err()
    };
    assert_eq!(export_of(|_| Err(Error::new(Code::Cancelled, "cancelled"))).code(), Code::Cancelled);
    let error = export_of(|sink| {
        let whole = tar(&[file("opt/x", b"new")]);
        sink.write_all(&whole[..700]).map_err(|error| Error::internal(error.to_string()))
    });
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert_eq!(store.inside(), [".lock", "t.tar"]);
    let kept = store.templates.resolve("template", "t").unwrap();
    assert_eq!(content(&kept)[&b"opt/x"[..]].3, b"old");
}

#[test]
fn too_large_an_export_is_a_limit() {
    let mut store = Store::new();
    store.templates.bounds = SMALL;
    let many: Vec<Entry> = (0..9).map(|number| file(&format!("opt/{number}"), b"")).collect();
    let whole = tar(&many);
    let export =
        Export { sandbox_id: "sb_a", template_name: "t", base: BuiltinTemplate::Base, include_data: false };
    // The sandbox's side sees the refusal as a failed write and stops; the store knows why.
    let error = store
        .templates
        .export(&export, |sink| sink.write_all(&whole).map_err(|error| stopped(&error)))
        .unwrap_err();
    assert_eq!(error.code(), Code::LimitExceeded, "{error}");
    // Four thousand zeros compress to next to nothing.
    let error = store.export("t", &[file("opt/zeros", &[0; 9_000])]).unwrap_err();
    assert_eq!(error.code(), Code::LimitExceeded, "{error}");
    assert!(error.message().contains("archive bomb"), "{error}");
    assert_eq!(store.inside(), [".lock"]);
}

#[test]
fn a_template_that_does_not_fit_is_a_limit() {
    let store = Store::new();
    store.export("t", &[file("opt/x", &[1; 5_000])]).unwrap();
    let template = store.templates.resolve("template", "t").unwrap();
    template.check_fits(5_000, 1).unwrap();
    assert_eq!(template.check_fits(4_999, 1).unwrap_err().code(), Code::LimitExceeded);
    assert_eq!(template.check_fits(5_000, 0).unwrap_err().code(), Code::LimitExceeded);
    store.templates.resolve("template", "base").unwrap().check_fits(0, 0).unwrap();
}

#[test]
fn a_damaged_archive_is_said_to_be_so_and_can_be_deleted() {
    let store = Store::new();
    store.export("good", &[file("opt/x", b"content")]).unwrap();
    store.export("bad", &[file("opt/x", &(0..200_u8).collect::<Vec<_>>())]).unwrap();
    let path = store.directory.path().join("templates/bad.tar");
    let whole = fs::read(&path).unwrap();

    // In the content: found while it is unpacked.
    let mut bytes = whole.clone();
    bytes[3_072 + 20] ^= 0xff;
    fs::write(&path, &bytes).unwrap();
    let template = store.templates.resolve("template", "bad").unwrap();
    let error = template.content_error(&template.write_content(&mut io::sink()).unwrap_err());
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(error.message().contains("damaged"), "{error}");

    // In the outer form: found at once, and the others stay usable.
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let error = store.templates.resolve("template", "bad").unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    let rows = store.templates.list(|_| None).unwrap();
    assert_eq!(rows.total_count, 5);
    assert!(!rows.templates[3].available && rows.templates[4].available);
    store.templates.delete("bad").unwrap();
    assert_eq!(store.templates.list(|_| None).unwrap().total_count, 4);

    // Renamed by hand, so that name and manifest disagree.
    fs::rename(
        store.directory.path().join("templates/good.tar"),
        store.directory.path().join("templates/other.tar"),
    )
    .unwrap();
    assert_eq!(store.templates.resolve("template", "other").unwrap_err().code(), Code::Unavailable);
}

#[test]
fn templates_travel_as_files() {
    let (here, there) = (Store::new(), Store::new());
    let exported = here
        .export("t", &[directory("opt/a"), link("opt/a/l", "/etc/hosts"), file("opt/a/x", b"content")])
        .unwrap();
    let file = here.path("t.tar");
    fs::write(&file, b"what was there before").unwrap();
    let written = here.templates.export_file("t", &file).unwrap();
    assert_eq!(
        (written.template_id.as_str(), written.status.as_str()),
        (exported.template_id.as_str(), "written")
    );
    assert_eq!(written.size_bytes, fs::metadata(&file).unwrap().len());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(here.directory.path()).unwrap().count(), 2, "no temporary file is left");

    let imported = there.templates.import_file(&file, None).unwrap();
    assert_eq!((imported.template_name.as_str(), imported.status.as_str()), ("t", "imported"));
    assert_ne!(imported.template_id, exported.template_id, "an id is never used again");
    assert_eq!((imported.entries, imported.size_bytes, imported.sandbox_id), (3, 7, None));
    let renamed = there.templates.import_file(&file, Some("u")).unwrap();
    assert_eq!((renamed.template_name.as_str(), renamed.replaced), ("u", false));
    assert!(there.templates.import_file(&file, Some("u")).unwrap().replaced);
    let found = content(&there.templates.resolve("template", "u").unwrap());
    assert_eq!(found, content(&here.templates.resolve("template", "t").unwrap()));
    assert_eq!(there.templates.import_file(&file, Some("base")).unwrap_err().code(), Code::AlreadyExists);

    // tar(1) reads it, too.
    let listed = Command::new("tar").arg("-tf").arg(&file).output().unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), "manifest.json\ncontent.tar.zst\n");
}

#[test]
fn paths_on_the_host_are_checked() {
    let store = Store::new();
    store.export("t", &[]).unwrap();
    let templates = &store.templates;
    let fifo = store.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let inside = store.path("");
    let cases = [
        ("", Code::InvalidArgument, Code::InvalidArgument),
        ("/tmp/a\0b", Code::InvalidArgument, Code::InvalidArgument),
        (inside.as_str(), Code::InvalidArgument, Code::InvalidArgument),
        (inside.trim_end_matches('/'), Code::InvalidArgument, Code::InvalidArgument),
        (fifo.as_str(), Code::InvalidArgument, Code::InvalidArgument),
        ("/dev/null", Code::InvalidArgument, Code::InvalidArgument),
        ("/dev/tty", Code::InvalidArgument, Code::InvalidArgument),
        ("/no/such/directory/t.tar", Code::NotFound, Code::NotFound),
        ("..", Code::InvalidArgument, Code::InvalidArgument),
    ];
    for (path, export, import) in cases {
        let error = templates.export_file("t", path).unwrap_err();
        assert_eq!((error.code(), error.argument()), (export, Some("file")), "{path:?}: {error}");
        let error = templates.import_file(path, None).unwrap_err();
        // Without a terminal /dev/tty cannot even be opened.
        if path != "/dev/tty" {
            assert_eq!((error.code(), error.argument()), (import, Some("file")), "{path:?}: {error}");
        }
    }
    assert!(fs::metadata("/dev/null").is_ok_and(|found| !found.is_file()));
    assert_eq!(templates.export_file("base", &store.path("x")).unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(templates.export_file("unknown", &store.path("x")).unwrap_err().code(), Code::NotFound);
    assert!(!Path::new(&store.path("x")).exists());

    // A symbolic link is replaced, not followed; an import follows it.
    let target = store.path("target");
    fs::write(&target, b"kept").unwrap();
    let link = store.path("link.tar");
    symlink(&target, &link).unwrap();
    templates.export_file("t", &link).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"kept");
    assert!(fs::symlink_metadata(&link).unwrap().is_file());
    let second = store.path("second.tar");
    symlink(&link, &second).unwrap();
    templates.import_file(&second, None).unwrap();
}

fn manifest(changes: &Value, tree: &[u8], entries: u64, bytes: u64) -> Value {
    let mut manifest = json!({
        "format_version": 1,
        "template_id": format!("tpl_{}", "a".repeat(26)),
        "template_name": "made",
        "base_template": "base",
        "include_data": false,
        "entries": entries,
        "size_bytes": bytes,
        "created_at": "2026-11-22T21:25:52Z",
        "sha256": hex(&sha2::Sha256::digest(tree)),
    });
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => manifest.as_object_mut().unwrap().remove(key),
            value => manifest.as_object_mut().unwrap().insert(key.clone(), value.clone()),
        };
    }
    manifest
}

/// An archive file of these parts.
fn archive(manifest: &Value, content: &[u8]) -> Vec<u8> {
    let mut text = manifest.to_string().into_bytes();
    text.resize(MANIFEST_LENGTH, b' ');
    let mut archive = outer_header(MANIFEST_NAME, MANIFEST_LENGTH as u64).as_bytes().to_vec();
    archive.extend_from_slice(&text);
    archive.extend_from_slice(outer_header(CONTENT_NAME, content.len() as u64).as_bytes());
    push_content(&mut archive, content);
    archive.extend_from_slice(&[0; 1_024]);
    archive
}

fn compress(tree: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(tree, 3).unwrap()
}

#[test]
fn archives_that_could_harm_are_refused_and_nothing_is_stored() {
    let mut store = Store::new();
    store.templates.bounds.ratio_free = 2 << 20;
    // Canonical, so that its digest is that of what the gate writes.
    let (tree, _) = pass(&tar(&[file("opt/x", b"content")]), Origin::File, BOUNDS, 512).unwrap();
    let make = |changes: Value| archive(&manifest(&changes, &tree, 1, 7), &compress(&tree));
    let made = store.import(&make(json!({}))).unwrap();
    assert_eq!((made.template_name.as_str(), made.entries), ("made", 1));
    store.templates.delete("made").unwrap();

    let good = make(json!({}));
    let hostile_tree = tar(&[directory("opt/a"), link("opt/a/l", "/etc"), file("opt/a/l/shadow", b"x")]);
    let device = tar(&[typed("opt/null", EntryType::Char)]);
    let patched = |range: std::ops::Range<usize>, bytes: &[u8]| {
        let mut archive = good.clone();
        archive[range].copy_from_slice(bytes);
        archive
    };
    let window = {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(25).unwrap();
        encoder.include_contentsize(false).unwrap();
        encoder.write_all(&tree).unwrap();
        encoder.finish().unwrap()
    };
    let wrong_sum = {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(&tree).unwrap();
        let mut frame = encoder.finish().unwrap();
        let last = frame.len() - 1;
        frame[last] ^= 1;
        frame
    };
    // Long names that no entry has: nothing of them is content.
    let names: Vec<u8> = {
        let mut names = Vec::new();
        for number in 0..2_000 {
            push_block(&mut names, EntryType::XHeader, &pax(&[("mtime", &"0".repeat(8_000))]));
            push_entry(&mut names, &file(&format!("opt/{number}"), b""));
        }
        names
    };
    let key_twice = {
        let mut twice = good.clone();
        let at = 512 + MANIFEST_LENGTH - 40;
        let text = String::from_utf8(good[512..at].to_vec()).unwrap().trim_end().to_owned();
        let text = format!("{},\"template_name\":\"other\"}}", text.strip_suffix('}').unwrap());
        twice[512..512 + text.len()].copy_from_slice(text.as_bytes());
        twice
    };
    let whole = |content: &[u8]| archive(&manifest(&json!({}), &tree, 1, 7), content);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "too short"),
        ("zeros", vec![0; 8_192], "not a template archive"),
        ("some other tar", tar(&[file("opt/x", &[1; 5_000])]), "not a template archive"),
        ("cut", good[..good.len() - 512].to_vec(), "it was cut"),
        ("trailing garbage", [good.as_slice(), b"PK"].concat(), "bytes after its end"),
        ("two archives", [good.as_slice(), &good].concat(), "bytes after its end"),
        (
            "hidden in the end",
            patched(good.len() - 600..good.len() - 598, b"xx"),
            "bytes after the end of content",
        ),
        ("other mode outside", patched(100..108, b"0000755\0"), "not a template archive"),
        ("other name outside", patched(0..13, b"Manifest.json"), "not a template archive"),
        ("no JSON", patched(512..513, b"!"), "manifest.json"),
        ("two documents", patched(512 + MANIFEST_LENGTH - 2..512 + MANIFEST_LENGTH, b"{}"), "manifest.json"),
        ("future", make(json!({"format_version": 2})), "format_version is 2"),
        ("unknown key", make(json!({"hook": "rm -rf /"})), "unknown field"),
        ("missing key", make(json!({"sha256": null})), "missing field"),
        ("bad id", make(json!({"template_id": "tpl_../../x"})), "template_id"),
        ("bad name", make(json!({"template_name": "../../x"})), "template_name"),
        ("reserved name", make(json!({"template_name": "python"})), "template_name"),
        ("id as name", make(json!({"template_name": "tpl_x"})), "template_name"),
        ("bad base", make(json!({"base_template": "ubuntu"})), "base_template"),
        ("bad time", make(json!({"created_at": "yesterday"})), "created_at"),
        ("bad digest", make(json!({"sha256": "0".repeat(63)})), "sha256"),
        ("wrong digest", make(json!({"sha256": "0".repeat(64)})), "is not what manifest.json says"),
        ("wrong entries", make(json!({"entries": 2})), "is not what manifest.json says"),
        ("wrong bytes", make(json!({"size_bytes": 8})), "is not what manifest.json says"),
        ("too many claimed", make(json!({"entries": 1_u64 << 40})), "at most"),
        ("not compressed", whole(&tree), "content.tar.zst"),
        ("cut frame", whole(&compress(&tree)[..30]), "content.tar.zst"),
        ("two frames", whole(&[compress(&tree), compress(&tree)].concat()), "after the end of the frame"),
        (
            "garbage after the frame",
            whole(&[compress(&tree), b"x".to_vec()].concat()),
            "after the end of the frame",
        ),
        (
            "skippable frame",
            whole(&[compress(&tree), vec![0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9]].concat()),
            "after the end of the frame",
        ),
        ("two trees", whole(&compress(&[tree.as_slice(), &tree].concat())), "bytes after the end"),
        ("large window", whole(&window), "content.tar.zst"),
        (
            "through a link",
            archive(&manifest(&json!({}), &hostile_tree, 3, 1), &compress(&hostile_tree)),
            "opt/a/l/shadow",
        ),
        ("device", archive(&manifest(&json!({}), &device, 1, 0), &compress(&device)), "character devices"),
        ("bomb", bomb(), "archive bomb"),
        ("bomb of names", archive(&manifest(&json!({}), b"", 1, 7), &compress(&names)), "archive bomb"),
        ("a template in a template", whole(&compress(&bomb())), "lies outside of"),
        ("wrong checksum of the frame", whole(&wrong_sum), "content.tar.zst"),
        (
            "a skippable frame first",
            whole(&[&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9], &compress(&tree)[..]].concat()),
            "",
        ),
        ("a gzip", whole(&[&[0x1f, 0x8b, 8, 0][..], &[0; 200]].concat()), "content.tar.zst"),
        ("key twice", key_twice, "duplicate field"),
        (
            "text behind the document",
            patched(512 + MANIFEST_LENGTH - 1..512 + MANIFEST_LENGTH, b"\0"),
            "manifest.json",
        ),
    ];
    for (what, bytes, expected) in cases {
        let error = store.import(&bytes).expect_err(what);
        assert_eq!(
            (error.code(), error.argument()),
            (Code::InvalidArgument, Some("file")),
            "{what}: {error}"
        );
        assert!(error.message().contains(expected), "{what}: {error}");
    }
    let error = store.import(&archive(&manifest(&json!({}), &device, 1, 0), &compress(&device))).unwrap_err();
    assert_eq!(error.context()["entry"], json!("\"opt/null\""));
    assert_eq!(store.inside(), [".lock"]);
}

/// 4 MiB of zeros in some hundred bytes.
fn bomb() -> Vec<u8> {
    let zeros = 4_u64 << 20;
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    let mut gate = TreeGate::new(&mut encoder, roots(false), Origin::File, BOUNDS);
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..5].copy_from_slice(b"opt/x");
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(zeros);
    header.set_cksum();
    gate.write_all(header.as_bytes()).unwrap();
    for _ in 0..4 {
        gate.write_all(&vec![0; 1 << 20]).unwrap();
    }
    gate.write_all(&[0; 1_024]).unwrap();
    let (_, summary) = gate.finish().unwrap();
    archive(&manifest(&json!({"sha256": summary.sha256}), b"", 1, zeros), &encoder.finish().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_wrong_byte_is_found_or_changes_nothing(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let store = Store::new();
        let (tree, _) = pass(&tar(&[file("opt/x", b"content")]), Origin::File, BOUNDS, 512).unwrap();
        let mut bytes = archive(&manifest(&json!({}), &tree, 1, 7), &compress(&tree));
        let place = place.index(bytes.len());
        prop_assume!(bytes[place] != byte);
        bytes[place] = byte;
        match store.import(&bytes) {
            Err(error) => prop_assert_eq!(error.code(), Code::InvalidArgument),
            // Another name, time or base of the same form is another template, but its tree is what it was.
            Ok(imported) => {
                let template = store.templates.resolve("template", &imported.template_id).unwrap();
                prop_assert_eq!(&content(&template)[&b"opt/x"[..]].3, b"content");
            }
        }
    }
}

#[test]
fn a_bomb_is_given_up_at_its_bound() {
    let mut store = Store::new();
    store.templates.bounds.ratio_free = 2 << 20;
    // What it stands for would take minutes: 64 GiB of directories that are there anyway.
    let header = tar(&[directory("opt/")])[..512].to_vec();
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    for _ in 0..64 {
        encoder.write_all(&header.repeat(2_048)).unwrap();
    }
    let frame = encoder.finish().unwrap();
    let begun = Instant::now();
    let error = store.import(&archive(&manifest(&json!({}), b"", 1, 7), &frame)).unwrap_err();
    assert!(error.message().contains("there twice"), "{error}");
    let error = store.import(&bomb()).unwrap_err();
    assert!(error.message().contains("archive bomb"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(store.inside(), [".lock"]);
}

#[test]
fn a_failed_import_leaves_the_template_of_that_name_as_it_was() {
    let mut store = Store::new();
    store.templates.bounds.ratio_free = 2 << 20;
    store.export("made", &[file("opt/x", b"old")]).unwrap();
    let before = fs::read(store.path("templates/made.tar")).unwrap();
    let (tree, _) = pass(&tar(&[file("opt/x", b"new")]), Origin::File, BOUNDS, 512).unwrap();
    for bytes in [
        bomb(),
        archive(&manifest(&json!({}), &tree, 1, 4), &compress(&tree)),
        archive(&manifest(&json!({}), &tree, 1, 3), &compress(&tree)[..20]),
    ] {
        assert_eq!(store.import(&bytes).unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(fs::read(store.path("templates/made.tar")).unwrap(), before);
        assert_eq!(store.inside(), [".lock", "made.tar"]);
    }
    assert!(store.import(&archive(&manifest(&json!({}), &tree, 1, 3), &compress(&tree))).unwrap().replaced);
}

#[test]
fn what_somebody_put_into_the_store_is_neither_followed_nor_waited_for() {
    let store = Store::new();
    store.export("good", &[file("opt/x", b"content")]).unwrap();
    let directory = store.directory.path().join("templates");
    let outside = store.directory.path().join("outside.tar");
    fs::copy(directory.join("good.tar"), &outside).unwrap();
    let at = |name: &str| directory.join(name);
    symlink(&outside, at("link.tar")).unwrap();
    symlink("loop.tar", at("loop.tar")).unwrap();
    symlink("/proc/self/environ", at("magic.tar")).unwrap();
    fs::create_dir(at("directory.tar")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo.tar"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket.tar")).unwrap();
    fs::write(at("empty.tar"), b"").unwrap();
    fs::write(at("half.tar"), &fs::read(at("good.tar")).unwrap()[..2_000]).unwrap();
    File::create(at("huge.tar")).unwrap().set_len(1 << 40).unwrap();
    fs::copy(at("good.tar"), at("open.tar")).unwrap();
    fs::set_permissions(at("open.tar"), fs::Permissions::from_mode(0o666)).unwrap();
    let strange = ["link", "loop", "magic", "directory", "fifo", "socket", "empty", "half", "huge", "open"];
    // Names that are no names of templates are nobody's business.
    for name in ["UPPER.tar", ".tar", "-x.tar", "base.tar", "tpl_x.tar", "a b.tar", "x.tar.gz"] {
        fs::write(at(name), b"x").unwrap();
    }
    fs::write(directory.join(std::ffi::OsStr::from_bytes(b"\xff.tar")), b"x").unwrap();
    // Leftovers that are none: not even they are followed, opened for writing, or waited for.
    symlink(&outside, at(".new-link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at(".new-fifo"), rustix::fs::Mode::RUSR).unwrap();

    let begun = Instant::now();
    let templates = Templates::open(Some(store.directory.path())).unwrap();
    let rows = templates.list(|_| None).unwrap();
    assert_eq!(rows.total_count, 3 + 1 + strange.len());
    for row in rows.templates.iter().filter(|row| !row.built_in) {
        assert_eq!(row.available, row.template_name == "good", "{row:?}");
        assert!(
            row.available || row.reason.as_ref().is_some_and(|reason| reason.contains("damaged")),
            "{row:?}"
        );
    }
    for name in strange {
        let error = templates.resolve("template", name).unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{name}: {error}");
        assert!(error.message().contains(&format!("template \"{name}\" is damaged: ")), "{error}");
        let error = templates.export_file(name, &store.path("never")).unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{name}: {error}");
        if name != "directory" {
            templates.delete(name).unwrap();
        }
    }
    assert_eq!(templates.delete("directory").unwrap_err().code(), Code::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(outside.is_file() && !Path::new(&store.path("never")).exists());

    // Replaced, not written through.
    symlink(&outside, at("replaced.tar")).unwrap();
    let before = fs::read(&outside).unwrap();
    assert!(export(&templates, "replaced", &tar(&[file("opt/y", b"anew")])).unwrap().replaced);
    assert!(fs::symlink_metadata(at("replaced.tar")).unwrap().is_file());
    assert_eq!(fs::read(&outside).unwrap(), before);
    let error = export(&templates, "directory", &tar(&[])).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(at("directory.tar").is_dir());
    assert_eq!(content(&templates.resolve("template", "good").unwrap())[&b"opt/x"[..]].3, b"content");
}

#[test]
fn a_lock_that_is_none_and_a_store_that_is_a_link_are_refused_at_once() {
    let begun = Instant::now();
    let target = tempfile::tempdir().unwrap();
    let aim = target.path().join("made-by-nobody");
    for kind in ["link", "fifo", "directory"] {
        let store = Store::new();
        store.export("good", &[]).unwrap();
        let lock = store.directory.path().join("templates/.lock");
        fs::remove_file(&lock).unwrap();
        match kind {
            "link" => symlink(&aim, &lock).unwrap(),
            "fifo" => rustix::fs::mkfifoat(rustix::fs::CWD, &lock, rustix::fs::Mode::RUSR).unwrap(),
            _ => fs::create_dir(&lock).unwrap(),
        }
        for error in [store.export("new", &[]).unwrap_err(), store.templates.delete("good").unwrap_err()] {
            assert_eq!(error.code(), Code::Unavailable, "{kind}: {error}");
            assert!(error.message().contains(".lock"), "{kind}: {error}");
        }
        // Reading takes no lock.
        let templates = Templates::open(Some(store.directory.path())).unwrap();
        templates.resolve("template", "good").unwrap();
    }
    assert!(!aim.exists());

    let data = tempfile::tempdir().unwrap();
    symlink(target.path(), data.path().join("templates")).unwrap();
    let error = Templates::open(Some(data.path())).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(error.message().contains("not a directory"), "{error}");
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn leftovers_of_the_dead_are_swept_and_those_of_the_living_are_not() {
    let store = Store::new();
    store.export("t", &[]).unwrap();
    let directory = store.directory.path().join("templates");
    fs::write(directory.join(".new-dead"), b"half").unwrap();
    let alive = File::create(directory.join(".new-alive")).unwrap();
    alive.lock().unwrap();
    Templates::open(Some(store.directory.path())).unwrap();
    assert_eq!(store.inside(), [".lock", ".new-alive", "t.tar"]);
    drop(alive);
    Templates::open(Some(store.directory.path())).unwrap();
    assert_eq!(store.inside(), [".lock", "t.tar"]);
}

#[test]
fn several_writers_and_readers_share_a_store() {
    let store = Store::new();
    store.export("shared", &[file("opt/n", &[0; 3_000])]).unwrap();
    std::thread::scope(|scope| {
        for writer in 1..=3_u8 {
            let path = store.directory.path();
            scope.spawn(move || {
                let templates = Templates::open(Some(path)).unwrap();
                for _ in 0..30 {
                    assert!(
                        export(&templates, "shared", &tar(&[file("opt/n", &[writer; 3_000])]))
                            .unwrap()
                            .replaced
                    );
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let templates = Templates::open(Some(store.directory.path())).unwrap();
                for _ in 0..200 {
                    let content = content(&templates.resolve("template", "shared").unwrap());
                    let bytes = &content[&b"opt/n"[..]].3;
                    assert!(bytes.len() == 3_000 && bytes.iter().all(|byte| *byte == bytes[0]));
                }
            });
        }
    });
    assert_eq!(store.inside(), [".lock", "shared.tar"]);
}

/// Where the writer of the crash test stores.
const CRASH_VARIABLE: &str = "E2B_TEST_CRASH_DIRECTORY";

/// The process that the crash test kills: replaces one template for ever, its content being one letter repeated.
#[test]
#[ignore = "started and killed by the crash test"]
fn crash_test_writer() {
    let directory = std::env::var_os(CRASH_VARIABLE).expect("started by the crash test");
    let templates = Templates::open(Some(Path::new(&directory))).unwrap();
    for letter in (b'a'..=b'z').cycle() {
        // Incompressible lengths differ, so that a mixture of two could not pass for either.
        let body: Vec<u8> = (0..200_000 + usize::from(letter))
            .map(|at| letter ^ u8::try_from((at * at % 251) & 0x80).unwrap())
            .collect();
        export(&templates, "crash", &tar(&[file("opt/a", &body), file("opt/b", &[letter])])).unwrap();
    }
}

#[test]
fn a_template_survives_the_kill_of_its_writer_at_any_point() {
    let store = Store::new();
    store.export("crash", &[file("opt/a", b"first"), file("opt/b", b"0")]).unwrap();
    let mut letters = std::collections::HashSet::new();
    let mut orphans = 0;
    for round in 0..40_u64 {
        let current =
            || store.templates.resolve("template", "crash").unwrap().template_id().unwrap().to_owned();
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "templates::tests::crash_test_writer", "--ignored"])
            .env(CRASH_VARIABLE, store.directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        // One replacement or two, however slow the host is.
        for _ in 0..=round % 2 {
            let before = current();
            while current() == before {
                assert!(begun.elapsed() < Duration::from_secs(60), "the writer does not write");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        // Somewhere in one of the replacements that follow.
        std::thread::sleep(Duration::from_micros(round * 1_637 % 30_000));
        assert!(writer.try_wait().unwrap().is_none(), "the writer must live until it is killed");
        writer.kill().unwrap();
        writer.wait().unwrap();
        orphans += store.inside().iter().filter(|name| name.starts_with(NEW)).count();

        let templates = Templates::open(Some(store.directory.path())).unwrap();
        assert_eq!(store.inside(), [".lock", "crash.tar"], "round {round}");
        let found = content(&templates.resolve("template", "crash").unwrap());
        let letter = found[&b"opt/b"[..]].3[0];
        let body = &found[&b"opt/a"[..]].3;
        assert!(
            letter == b'0' && body == b"first" || body.len() == 200_000 + usize::from(letter),
            "round {round}"
        );
        letters.insert(letter);
    }
    assert!(letters.len() > 1, "too few replacements for the test to mean anything: {letters:?}");
    // Only the moment between its link and its rename leaves one.
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    if rustix::fs::open(store.directory.path(), flags, Mode::RUSR).is_ok() {
        assert!(orphans <= 2, "{orphans} of 40 kills left a file");
    } else {
        assert!(orphans > 0, "no kill met a writer half way");
    }
}

fn stopped(error: &io::Error) -> Error {
    Error::new(Code::Unavailable, format!("write: {error}"))
}

#[test]
fn the_tar_crate_and_the_gate_agree_on_archives_of_either_format() {
    let mut builder = Builder::new(Vec::new());
    let long = format!("opt/{}", "n".repeat(180));
    for (path, content) in [("opt/short", &b"1"[..]), (long.as_str(), b"22")] {
        let mut header = Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(0);
        builder.append_data(&mut header, path, content).unwrap();
    }
    let archive = builder.into_inner().unwrap();
    let (canonical, summary) = pass(&archive, Origin::File, BOUNDS, 512).unwrap();
    assert_eq!((summary.entries, summary.bytes), (2, 3));
    assert_eq!(read(&canonical)[long.as_bytes()].3, b"22");
}
