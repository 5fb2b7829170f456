//! Trees.

use std::time::{Duration, Instant};

use e2bridge_protocol::init::{InitEvent, InitRequest};
use tar::{EntryType, Header};

use crate::support::{Sandbox, deliver, failure, fetch, sandbox};

const MAX_BYTES: u64 = 256 << 20;
const MAX_ENTRIES: u64 = 100_000;
const ROOTS: [&str; 6] = ["/opt", "/usr/local", "/srv", "/var/tmp", "/home/user", "/data"];

fn roots(roots: &[&str]) -> Vec<String> {
    roots.iter().map(|&root| root.to_owned()).collect()
}

fn export_of(sandbox: &Sandbox, from: &[&str], max_bytes: u64, max_entries: u64) -> (InitEvent, Vec<u8>) {
    fetch(sandbox, &InitRequest::ExportTree { roots: roots(from), max_bytes, max_entries })
}

fn export(sandbox: &Sandbox, from: &[&str]) -> (u64, u64, Vec<u8>) {
    match export_of(sandbox, from, MAX_BYTES, MAX_ENTRIES) {
        (InitEvent::Done { entries, bytes }, archive) => (entries, bytes, archive),
        (other, _) => panic!("{other:?}"),
    }
}

fn import(sandbox: &Sandbox, archive: &[u8]) -> InitEvent {
    deliver(sandbox, &InitRequest::ImportTree { roots: roots(&ROOTS) }, archive)
}

/// What is there: type, mode, size but of directories, time, link target, path, and a digest of all contents.
fn manifest(sandbox: &Sandbox) -> String {
    let script = "for root in /opt /usr/local /var/tmp /home/user /data; do find $root -mindepth 1 -type d -printf '%y %m %T@ %p\\n'; \
                  find $root -mindepth 1 -not -type d -printf '%y %m %s %T@ %l %p\\n'; \
                  find $root -type f -print0 | LC_ALL=C sort -z | xargs -0 -r cat | cksum; done | \
                  LC_ALL=C sed -E 's/([0-9]+)[.][0-9]{10}/\\1/' | LC_ALL=C sort";
    String::from_utf8_lossy(&sandbox.shell(script).stdout).into_owned()
}

#[test]
fn a_tree_comes_out_as_it_went_in() {
    let sandbox = sandbox!();
    sandbox.output(
        "cd /home/user; umask 0; mkdir -p a/b empty; echo content > a/b/file; seq 1 50000 > a/random; : > a/nothing; \
         ln -s /etc/passwd absolute; ln -s ../../../up relative; ln -s a//./b/ odd; ln -s none dangling; chmod 4755 a/b/file; chmod 1777 a; \
         ln a/random a/hard; mkdir shut; echo hidden > shut/hidden; chmod 0 shut/hidden; chmod 0 shut; mkdir ro; echo 1 > ro/1; chmod 555 ro; \
         mkfifo fifo; cp /usr/bin/env /opt/tool; chmod 755 /opt/tool; touch -h -d @1000000000 absolute a/b/file a/b a empty /opt/tool; \
         n=$(printf '%0250d' 7); mkdir -p /data/$n/$n; echo long > /data/$n/$n/$n; ln -s $n$n /data/longlink; \
         printf odd > \"$(printf '/var/tmp/\\377\\376\\n -x')\"; ln -s \"$(printf '\\200/\\300')\" /var/tmp/link; touch -h -d @1 /var/tmp/*",
    );
    let (entries, bytes, archive) =
        export(&sandbox, &["/opt", "/usr/local", "/var/tmp", "/home/user", "/data"]);
    assert_eq!(archive.len() % 512, 0);
    // Found again as it was, what was lent included.
    assert_eq!(
        sandbox.output("stat -c %a shut; chmod 700 shut; stat -c %a shut/hidden; chmod 0 shut"),
        "0\n0\n"
    );

    let copy = sandbox!();
    assert_eq!(archive_names(&archive).len() as u64, entries);
    match import(&copy, &archive) {
        InitEvent::Done { entries: e, bytes: b } => assert_eq!((e, b), (entries, bytes)),
        other => panic!("{other:?}"),
    }
    // What the copy must not have, and what find cannot look into.
    sandbox.output("rm fifo; chmod 755 a/b/file; chmod 777 a; touch -d @1000000000 a");
    for sandbox in [&sandbox, &copy] {
        assert_eq!(
            sandbox.output("stat -c %a shut; chmod 700 shut; stat -c %a shut/hidden; chmod 600 shut/hidden"),
            "0\n0\n"
        );
    }
    let expected = manifest(&sandbox);
    assert!(
        expected.lines().count() > 25 && expected.contains("f 755 8 1000000000  /home/user/a/b/file"),
        "{expected}"
    );
    assert_eq!(manifest(&copy), expected);
    // The same tree gives the same archive.
    assert!(export(&copy, &["/data"]).2 == export(&sandbox, &["/data"]).2);
}

/// Names in an archive, as another reader sees them.
fn archive_names(archive: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = tar::Archive::new(archive);
    reader.entries().unwrap().map(|entry| entry.unwrap().path_bytes().into_owned()).collect()
}

#[test]
fn another_reader_understands_the_archive() {
    let sandbox = sandbox!();
    let n = "n".repeat(200);
    sandbox.output(&format!(
        "mkdir -p d/{n}; echo text > d/{n}/file; ln -s t d/link; chmod 4711 d/{n}/file; touch -d @77 d/{n}/file"
    ));
    let (_, _, archive) = export(&sandbox, &["/home/user"]);
    let mut reader = tar::Archive::new(&archive[..]);
    let mut seen = Vec::new();
    for entry in reader.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = String::new();
        std::io::Read::read_to_string(&mut entry, &mut content).unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (1000, 1000));
        assert_eq!((header.username_bytes(), header.groupname_bytes()), (Some(&b""[..]), Some(&b""[..])));
        seen.push((entry.path().unwrap().display().to_string(), header.entry_type(), content));
        if header.entry_type() == EntryType::Regular {
            assert_eq!((header.mode().unwrap(), header.mtime().unwrap()), (0o711, 77));
        }
    }
    let expected = [
        ("home/user/d".to_owned(), EntryType::Directory, String::new()),
        ("home/user/d/link".to_owned(), EntryType::Symlink, String::new()),
        (format!("home/user/d/{n}"), EntryType::Directory, String::new()),
        (format!("home/user/d/{n}/file"), EntryType::Regular, "text\n".to_owned()),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn six_hundred_levels_and_twenty_thousand_entries() {
    let sandbox = sandbox!();
    let deep = "i=0; while [ $i -lt 600 ]; do mkdir directory$i; cd -P directory$i || exit 1; i=$((i+1)); done; echo deep > file";
    sandbox.output(deep);
    sandbox.output("mkdir many; cd many; seq 1 20000 | xargs touch");
    let began = Instant::now();
    let (entries, bytes, archive) = export(&sandbox, &["/home/user"]);
    assert_eq!((entries, bytes), (600 + 1 + 1 + 20_000, 5));
    let copy = sandbox!();
    assert!(matches!(import(&copy, &archive), InitEvent::Done { entries: 20_602, bytes: 5 }));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(copy.output("ls many | wc -l; i=0; while [ $i -lt 600 ]; do cd -P directory$i || exit 1; i=$((i+1)); done; cat file"), "20000\ndeep\n");
    assert!(export(&copy, &["/home/user"]).2 == archive);

    assert_eq!(
        failure(export_of(&sandbox, &["/home/user"], MAX_BYTES, 20_601).0),
        ("entries".to_owned(), libc::EFBIG)
    );
    // Deeper than is followed: an error, and no crash.
    let deeper = "i=0; while [ $i -lt 600 ]; do cd -P directory$i || exit 1; i=$((i+1)); done; \
                  while [ $i -lt 1100 ]; do mkdir d; cd -P d || exit 1; i=$((i+1)); done";
    sandbox.output(deeper);
    assert_eq!(
        failure(export_of(&sandbox, &["/home/user"], MAX_BYTES, MAX_ENTRIES).0),
        ("depth".to_owned(), libc::ENAMETOOLONG)
    );
    assert!(sandbox.end());
}

#[test]
fn more_than_wanted_is_not_exported() {
    let sandbox = sandbox!();
    sandbox.output("truncate -s 1T sparse");
    let (event, archive) = export_of(&sandbox, &["/home/user"], MAX_BYTES, MAX_ENTRIES);
    assert_eq!(failure(event), ("size".to_owned(), libc::EFBIG));
    assert!(archive.len() < 100_000);
    sandbox.output("rm sparse; head -c 600 /dev/zero > a; head -c 401 /dev/zero > b");
    assert_eq!(failure(export_of(&sandbox, &["/home/user"], 1000, 10).0), ("size".to_owned(), libc::EFBIG));
    assert!(matches!(
        export_of(&sandbox, &["/home/user"], 1001, 2).0,
        InitEvent::Done { entries: 2, bytes: 1001 }
    ));
    assert_eq!(failure(export_of(&sandbox, &["/home/user"], 1001, 1).0), ("entries".to_owned(), libc::EFBIG));
    // Long paths are bytes as well.
    let n = "n".repeat(250);
    sandbox.output(&format!("rm a b; mkdir -p {n}/{n}/{n}; cd {n}/{n}/{n}; seq 1 1000 | xargs touch"));
    assert_eq!(
        failure(export_of(&sandbox, &["/home/user"], 100_000, 10_000).0),
        ("size".to_owned(), libc::EFBIG)
    );
    for root in ["/none", "home/user", "/home/../home/user", "/", ""] {
        assert!(matches!(export_of(&sandbox, &[root], 1, 1).0, InitEvent::Failed { .. }), "{root}");
    }
}

#[test]
fn a_tree_that_changes_meanwhile_is_exported_or_refused_and_nothing_hangs() {
    let sandbox = sandbox!();
    sandbox.output("mkdir -p tree; cd tree; for d in 1 2 3 4 5 6 7 8; do mkdir $d; seq 1 200 | sed s,^,$d/, | xargs touch; done; mkfifo /tmp/fifo");
    let restless = sandbox.spawn(crate::support::shell(
        "cd tree; while :; do for d in 1 2 3 4 5 6 7 8; do mv $d /tmp/x; ln -s / $d; rm $d; mkfifo $d; rm $d; \
         ln -s /proc/1 $d; rm $d; mv /tmp/x $d; head -c 100000 /dev/zero > $d/7; : > $d/7; done; done",
    ));
    for _ in 0..50 {
        let (event, archive) = export_of(&sandbox, &["/home/user"], MAX_BYTES, MAX_ENTRIES);
        match event {
            InitEvent::Done { entries, .. } => {
                let names = archive_names(&archive);
                assert_eq!(names.len() as u64, entries);
                assert!(names.iter().all(|name| name.starts_with(b"home/user/tree")));
            }
            other => panic!("{other:?}"),
        }
    }
    restless.kill();
    restless.wait();
}

// ---- Hostile archives

/// An entry with exactly these fields.
fn raw(kind: u8, name: &[u8], target: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::new(kind));
    header.set_mode(0o7777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_size(content.len() as u64);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &[u8]) -> Vec<u8> {
    raw(b'0', name, b"", b"content")
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn pax(keyword: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {keyword}={value}\n");
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    raw(b'x', b"pax", b"", format!("{length}{rest}").as_bytes())
}

#[test]
fn hostile_archives_are_refused_and_leave_nothing() {
    let sandbox = sandbox!();
    sandbox.output("mkdir /tmp/outside; echo safe > /tmp/outside/file; ln -s /tmp/outside /opt/planted; echo mine > /opt/mine");
    let before =
        sandbox.output("find / -xdev -path /proc -prune -o -printf '%y %m %s %p %l\\n' 2> /dev/null | sort");
    let ok = file(b"opt/ok");
    let many_names = pax("path", "opt/other");
    let unended = [file(b"opt/x")].concat();
    let mut wrong_sum = file(b"opt/x");
    wrong_sum[0] = b'O';
    let mut no_magic = file(b"opt/x");
    no_magic[257..265].fill(0);
    let mut huge = Header::new_gnu();
    huge.set_size(1 << 61);
    huge.as_old_mut().name[..5].copy_from_slice(b"opt/h");
    huge.set_mode(0o644);
    huge.set_mtime(0);
    huge.set_cksum();
    let mut binary = file(b"opt/x");
    binary[124..136].copy_from_slice(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let long = |kind, content: &[u8]| raw(kind, b"././@LongLink", b"", content);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("parent", archive(&[file(b"opt/../etc/x")])),
        ("parent at the end", archive(&[raw(b'5', b"opt/..", b"", b"")])),
        ("absolute", archive(&[file(b"/opt/x")])),
        ("dot", archive(&[file(b"./opt/x")])),
        ("empty part", archive(&[file(b"opt//x")])),
        ("empty", archive(&[file(b"")])),
        ("outside", archive(&[file(b"tmp/outside/file2")])),
        ("outside by prefix", archive(&[file(b"optional/x")])),
        ("outside in etc", archive(&[file(b"etc/passwd")])),
        ("the root itself", archive(&[raw(b'5', b"opt/", b"", b"")])),
        ("above a root", archive(&[raw(b'5', b"usr", b"", b"")])),
        ("file with a slash", archive(&[file(b"opt/x/")])),
        ("link, then through it", archive(&[raw(b'2', b"opt/l", b"/tmp/outside", b""), file(b"opt/l/file")])),
        (
            "link, then a directory over it",
            archive(&[raw(b'2', b"opt/l", b"/tmp/outside", b""), raw(b'5', b"opt/l", b"", b"")]),
        ),
        (
            "link, then a file over it",
            archive(&[raw(b'2', b"opt/l", b"/tmp/outside/file", b""), file(b"opt/l")]),
        ),
        ("through what is there", archive(&[file(b"opt/planted/file")])),
        ("over what is there", archive(&[file(b"opt/mine")])),
        ("through a file", archive(&[file(b"opt/mine/x")])),
        ("twice", archive(&[file(b"opt/x"), file(b"opt/x")])),
        ("hard link out", archive(&[raw(b'1', b"opt/x", b"/etc/passwd", b"")])),
        ("hard link in", archive(&[file(b"opt/a"), raw(b'1', b"opt/x", b"opt/a", b"")])),
        ("character device", archive(&[raw(b'3', b"opt/x", b"", b"")])),
        ("block device", archive(&[raw(b'4', b"opt/x", b"", b"")])),
        ("fifo", archive(&[raw(b'6', b"opt/x", b"", b"")])),
        ("contiguous", archive(&[raw(b'7', b"opt/x", b"", b"")])),
        ("sparse", archive(&[raw(b'S', b"opt/x", b"", b"")])),
        ("dump directory", archive(&[raw(b'D', b"opt/x", b"", b"")])),
        ("multi-volume", archive(&[raw(b'M', b"opt/x", b"", b"")])),
        ("volume label", archive(&[raw(b'V', b"opt/x", b"", b"")])),
        ("solaris extension", archive(&[raw(b'X', b"opt/x", b"", b"")])),
        ("unknown type", archive(&[raw(b'!', b"opt/x", b"", b"")])),
        ("global extension", archive(&[raw(b'g', b"x", b"", b"20 comment=whatever\n"), file(b"opt/x")])),
        ("xattr", archive(&[pax("SCHILY.xattr.security.capability", "x"), file(b"opt/x")])),
        ("pax sparse", archive(&[pax("GNU.sparse.major", "1"), file(b"opt/x")])),
        ("pax uid", archive(&[pax("uid", "0"), file(b"opt/x")])),
        ("pax parent", archive(&[pax("path", "opt/../../x"), file(b"opt/x")])),
        ("pax size other than the header's", archive(&[pax("size", "3"), file(b"opt/x")])),
        ("pax character set", archive(&[pax("hdrcharset", "BINARY"), file(b"opt/x")])),
        ("xattr of the user", archive(&[pax("LIBARCHIVE.xattr.user.x", "x"), file(b"opt/x")])),
        (
            "xattr that is trusted",
            archive(&[pax("SCHILY.xattr.trusted.overlay.opaque", "y"), file(b"opt/x")]),
        ),
        ("file, then a directory over it", archive(&[file(b"opt/x"), raw(b'5', b"opt/x/", b"", b"")])),
        ("directory, then a file over it", archive(&[raw(b'5', b"opt/x/", b"", b""), file(b"opt/x")])),
        (
            "directory, then a link over it",
            archive(&[raw(b'5', b"opt/x/", b"", b""), raw(b'2', b"opt/x", b"/etc", b"")]),
        ),
        (
            "link out, then a directory through it",
            archive(&[raw(b'2', b"opt/l", b"/", b""), raw(b'5', b"opt/l/x", b"", b"")]),
        ),
        ("device node at a root", archive(&[raw(b'3', b"opt", b"", b"")])),
        ("link in place of a root", archive(&[raw(b'2', b"opt", b"/etc", b"")])),
        ("link in place of proc", archive(&[raw(b'2', b"proc", b"/etc", b"")])),
        ("link in place of dev", archive(&[raw(b'2', b"dev/null", b"/etc/passwd", b"")])),
        ("pax NUL", archive(&[pax("path", "opt/a\0b"), file(b"opt/x")])),
        ("pax negative size", archive(&[pax("size", "-1"), file(b"opt/x")])),
        ("pax huge size", archive(&[pax("size", "99999999999999999999"), file(b"opt/x")])),
        ("pax rubbish", archive(&[raw(b'x', b"pax", b"", b"rubbish"), file(b"opt/x")])),
        ("pax length 0", archive(&[raw(b'x', b"pax", b"", b"0 path=opt/x\n"), file(b"opt/x")])),
        ("pax length beyond", archive(&[raw(b'x', b"pax", b"", b"99 path=opt/x\n"), file(b"opt/x")])),
        ("pax without an entry", archive(&[pax("path", "opt/x")])),
        ("two names", archive(&[many_names.clone(), many_names.clone(), file(b"opt/x")])),
        ("GNU name and pax name", archive(&[long(b'L', b"opt/y\0"), many_names, file(b"opt/x")])),
        ("two GNU names", archive(&[long(b'L', b"opt/y\0"), long(b'L', b"opt/z\0"), file(b"opt/x")])),
        ("GNU name with NUL", archive(&[long(b'L', b"opt/y\0z\0"), file(b"opt/x")])),
        ("GNU parent", archive(&[long(b'L', b"opt/../etc/y\0"), file(b"opt/x")])),
        ("GNU target of a file", archive(&[long(b'K', b"/etc\0"), file(b"opt/x")])),
        ("long name of a megabyte", archive(&[long(b'L', &[b'x'; 1 << 20]), file(b"opt/x")])),
        (
            "name over 255",
            archive(&[long(b'L', &[b"opt/".to_vec(), vec![b'x'; 256]].concat()), file(b"opt/x")]),
        ),
        ("too deep", archive(&[long(b'L', &b"opt/".repeat(1025)), file(b"opt/x")])),
        ("empty target", archive(&[raw(b'2', b"opt/l", b"", b"")])),
        ("target too long", archive(&[long(b'K', &[b'x'; 5000]), raw(b'2', b"opt/l", b"", b"")])),
        ("directory with content", archive(&[raw(b'5', b"opt/d", b"", b"content")])),
        ("link with content", archive(&[raw(b'2', b"opt/l", b"x", b"content")])),
        ("no end", unended.clone()),
        ("half an end", [unended.clone(), vec![0; 512]].concat()),
        ("half an end, then more", [unended.clone(), vec![0; 512], file(b"opt/y"), vec![0; 1024]].concat()),
        ("data behind the end", [archive(&[file(b"opt/x")]), file(b"opt/y")].concat()),
        ("nothing", Vec::new()),
        ("cut header", unended[..300].to_vec()),
        ("cut content", unended[..515].to_vec()),
        ("rubbish", vec![b'a'; 4096]),
        ("compressed", [&[0x1f, 0x8b, 8, 0][..], &[7; 4092]].concat()),
        ("wrong checksum", archive(&[wrong_sum])),
        ("no magic", archive(&[no_magic])),
        ("size of an exabyte", archive(&[huge.as_bytes().to_vec()])),
        ("size beyond 64 bits", archive(&[binary])),
    ];
    for (what, bytes) in &cases {
        // Behind a good entry, so that there is something to be taken back; an archive cut at once has none.
        for bytes in [bytes.clone(), [&ok[..], bytes].concat()] {
            let (stage, errno) = failure(import(&sandbox, &bytes));
            assert!(stage.starts_with("archive: ") && errno == libc::EINVAL, "{what}: {stage} {errno}");
        }
    }
    let after =
        sandbox.output("find / -xdev -path /proc -prune -o -printf '%y %m %s %p %l\\n' 2> /dev/null | sort");
    assert_eq!(after, before);
    assert_eq!(sandbox.output("cat /tmp/outside/file /opt/mine"), "safe\nmine\n");
}

#[test]
fn what_is_in_order_is_taken() {
    let sandbox = sandbox!();
    let deep = format!("opt/{}end", "d/".repeat(900));
    let long = "opt/".to_owned() + &format!("{}/", "l".repeat(250)).repeat(40) + "end";
    let entries = [
        raw(b'5', b"opt/shut", b"", b""),
        file(b"opt/shut/inner"),
        raw(b'0', b"opt/implicit/parents/file", b"", b"x"),
        raw(b'5', b"opt/implicit/", b"", b""),
        raw(b'2', b"opt/link", b"/etc/../etc/passwd", b""),
        pax("path", &deep),
        raw(b'0', b"short", b"", b"deep"),
        raw(b'L', b"././@LongLink", b"", long.as_bytes()),
        raw(b'0', b"short", b"", b"long"),
        pax("linkpath", "target of pax"),
        raw(b'2', b"data/link", b"short", b""),
        pax("mtime", "1234567890.987654321"),
        file(b"srv/dated"),
        file(b"home/user/mode"),
    ];
    let event = import(&sandbox, &archive(&entries));
    assert!(matches!(event, InitEvent::Done { entries: 10, .. }), "{event:?}");
    assert_eq!(
        sandbox.output("stat -c '%a %Y %u %n' /opt/shut /opt/shut/inner /opt/implicit /home/user/mode /srv/dated | sed s,/.*/,,"),
        "777 1 1000 shut\n777 1 1000 inner\n777 1 1000 implicit\n777 1 1000 mode\n777 1234567890 1000 dated\n"    );
    assert_eq!(
        sandbox.output("readlink /opt/link /data/link; cat /opt/implicit/parents/file"),
        "/etc/../etc/passwd\ntarget of pax\nx"
    );
    assert_eq!(sandbox.output(&format!("cat /{deep}")), "deep");
    let (_, _, exported) = export(&sandbox, &["/opt"]);
    assert!(archive_names(&exported).contains(&long.into_bytes()));
}

#[test]
fn times_beyond_what_a_file_system_has_are_taken_for_what_it_has() {
    let sandbox = sandbox!();
    let mut entries = Vec::new();
    for (name, field) in [
        ("opt/max", [0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("opt/over", [0xff; 12]),
    ] {
        let mut header = Header::from_byte_slice(&file(name.as_bytes())[..512]).clone();
        header.as_old_mut().mtime = field;
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(b"content");
        bytes.resize(1_024, 0);
        entries.push(bytes);
    }
    let event = import(&sandbox, &archive(&entries));
    assert!(matches!(event, InitEvent::Done { entries: 2, .. }), "{event:?}");
    // Whatever came of it comes out again.
    assert_eq!(export(&sandbox, &["/opt"]).0, 2);
    assert_eq!(failure(import(&sandbox, &archive(&[pax("mtime", "-1"), file(b"opt/x")]))).1, libc::EINVAL);
    assert!(sandbox.end());
}

#[test]
fn a_full_disk_stops_an_import_and_frees_itself() {
    let sandbox = sandbox!();
    let before = sandbox.statistics();
    let bomb: Vec<Vec<u8>> =
        (0..80).map(|index| raw(b'0', format!("opt/{index}").as_bytes(), b"", &[0; 1 << 20])).collect();
    assert_eq!(failure(import(&sandbox, &archive(&bomb))), ("write".to_owned(), libc::ENOSPC));
    assert_eq!(sandbox.statistics().disk_used_bytes, before.disk_used_bytes);
    let bomb: Vec<Vec<u8>> =
        (0..70_000).map(|index| raw(b'2', format!("opt/{index}").as_bytes(), b"x", b"")).collect();
    assert_eq!(failure(import(&sandbox, &archive(&bomb))), ("symlink".to_owned(), libc::ENOSPC));
    assert_eq!(sandbox.statistics().disk_used_inodes, before.disk_used_inodes);
}

#[test]
fn a_race_for_a_parent_does_not_lead_out() {
    let sandbox = sandbox!();
    sandbox.output("mkdir /tmp/outside");
    let flip = sandbox.spawn(crate::support::shell(
        "cd /opt; while :; do mkdir -p d/e 2> /dev/null; mv d d2 2> /dev/null; ln -s /tmp/outside d 2> /dev/null; rm -rf d d2; done",
    ));
    let entries: Vec<Vec<u8>> = (0..200).map(|index| file(format!("opt/d/e/{index}").as_bytes())).collect();
    for _ in 0..30 {
        let event = import(&sandbox, &archive(&entries));
        assert!(matches!(event, InitEvent::Done { .. } | InitEvent::Failed { .. }));
    }
    flip.kill();
    flip.wait();
    assert_eq!(sandbox.output("ls -A /tmp/outside"), "");
}
