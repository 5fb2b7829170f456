//! Single files.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use e2bridge_protocol::init::{InitEvent, InitRequest};

use crate::support::{DISK, Sandbox, deliver, failure, fetch, next_event, own_program, sandbox, shell};

const MAX: u64 = 32 << 20;

fn read(sandbox: &Sandbox, path: &str, max_bytes: u64) -> Result<Vec<u8>, (String, i32)> {
    let began = Instant::now();
    let (event, bytes) = fetch(sandbox, &InitRequest::ReadFile { path: path.to_owned(), max_bytes });
    assert!(began.elapsed() < Duration::from_secs(5), "{path} took {:?}", began.elapsed());
    match event {
        InitEvent::Done { entries: 1, bytes: count } => {
            assert_eq!(count, bytes.len() as u64);
            Ok(bytes)
        }
        other => Err(failure(other)),
    }
}

fn write(sandbox: &Sandbox, path: &str, bytes: &[u8]) -> Result<(), (String, i32)> {
    write_of(sandbox, path, bytes, bytes.len() as u64)
}

fn write_of(sandbox: &Sandbox, path: &str, bytes: &[u8], announced: u64) -> Result<(), (String, i32)> {
    match deliver(sandbox, &InitRequest::WriteFile { path: path.to_owned(), bytes: announced }, bytes) {
        InitEvent::Done { entries: 1, bytes } => {
            assert_eq!(bytes, announced);
            Ok(())
        }
        other => Err(failure(other)),
    }
}

fn errno<T: std::fmt::Debug>(result: Result<T, (String, i32)>) -> i32 {
    result.unwrap_err().1
}

#[test]
fn what_is_written_is_read() {
    let sandbox = sandbox!();
    let large: Vec<u8> = (0..10_000_000_u32).map(|index| index.to_le_bytes()[index as usize % 3]).collect();
    for bytes in [&b""[..], b"x", b"line\n\0\xff", &large] {
        write(&sandbox, "some/new/directory/file", bytes).unwrap();
        assert!(read(&sandbox, "/home/user/some/new/directory/file", MAX).unwrap() == bytes);
    }
    assert_eq!(
        sandbox.output("stat -c '%a %u %U' some some/new some/new/directory/file 2>&1 | cut -d' ' -f1,2"),
        "755 1000\n755 1000\n644 1000\n"
    );
    assert_eq!(sandbox.output("find some -type f"), "some/new/directory/file\n");
    write(&sandbox, "/tmp/../tmp/./x", b"y").unwrap();
    assert_eq!(sandbox.output("cat /tmp/x"), "y");
}

#[test]
fn a_file_keeps_its_mode_and_only_its_content_changes() {
    let sandbox = sandbox!();
    sandbox.output("echo old > tool; chmod 4755 tool; echo secret > private; chmod 600 private");
    write(&sandbox, "tool", b"#!/bin/sh\necho new").unwrap();
    write(&sandbox, "private", b"s").unwrap();
    assert_eq!(sandbox.output("stat -c %a tool private; ./tool"), "755\n600\nnew\n");
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let sandbox = sandbox!();
    sandbox.output(
        "mkfifo fifo; mkdir directory; ln -s loop loop; ln -s /dev/zero link; ln -s gone/away dangling; ln -s fifo to_fifo; \
         echo x > unreadable; chmod 0 unreadable; echo x > file",
    );
    for (path, expected) in [
        ("fifo", libc::EINVAL),
        ("to_fifo", libc::EINVAL),
        ("/dev/zero", libc::EINVAL),
        ("/dev/full", libc::EINVAL),
        ("link", libc::EINVAL),
        ("directory", libc::EISDIR),
        ("directory/", libc::EISDIR),
        ("/", libc::EISDIR),
        (".", libc::EISDIR),
        ("loop", libc::ELOOP),
        ("unreadable", libc::EACCES),
        ("file/x", libc::ENOTDIR),
    ] {
        assert_eq!(errno(read(&sandbox, path, MAX)), expected, "read {path}");
        let began = Instant::now();
        assert_eq!(errno(write(&sandbox, path, b"z")), expected, "write {path}");
        assert!(began.elapsed() < Duration::from_secs(2), "write {path}");
    }
    assert_eq!(errno(read(&sandbox, "dangling", MAX)), libc::ENOENT);
    assert_eq!(errno(read(&sandbox, "", MAX)), libc::ENOENT);
    assert_eq!(errno(read(&sandbox, "none", MAX)), libc::ENOENT);
    assert_eq!(errno(write(&sandbox, "", b"")), libc::EISDIR);
    assert_eq!(errno(write(&sandbox, "file/", b"")), libc::EISDIR);
    assert_eq!(errno(write(&sandbox, "..", b"")), libc::EISDIR);
    for path in ["a\0b", "/tmp/\0"] {
        assert_eq!(errno(read(&sandbox, path, MAX)), libc::EINVAL);
        assert_eq!(errno(write(&sandbox, path, b"")), libc::EINVAL);
    }
    let long = "x".repeat(300);
    assert_eq!(errno(read(&sandbox, &long, MAX)), libc::ENAMETOOLONG);
    assert_eq!(errno(write(&sandbox, &long, b"")), libc::ENAMETOOLONG);
    assert_eq!(errno(read(&sandbox, &"x/".repeat(3000), MAX)), libc::ENAMETOOLONG);
    // A socket.
    if sandbox.shell("command -v perl").exit().exit_code == Some(0) {
        sandbox.output("perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un(\"socket\")) or die'");
        assert_eq!(errno(read(&sandbox, "socket", MAX)), libc::ENXIO);
        assert_eq!(errno(write(&sandbox, "socket", b"")), libc::EINVAL);
    }
    assert_eq!(
        sandbox.output("ls -A | wc -l").trim(),
        if sandbox.shell("test -S socket").exit().exit_code == Some(0) { "9" } else { "8" }
    );
}

#[test]
fn the_proc_of_the_agent_is_not_read() {
    let sandbox = sandbox!();
    sandbox.output(
        "ln -s /proc/self/environ environ; ln -s /proc/self/fd/0 descriptor; ln -s /proc/1/root/home root",
    );
    for path in ["/proc/self/environ", "/proc/self/maps", "/proc/self/mem", "environ", "/proc/1/stat"] {
        assert!([libc::EINVAL, libc::EACCES].contains(&errno(read(&sandbox, path, MAX))), "{path}");
    }
    for path in
        ["/proc/self/fd/0", "/proc/self/exe", "/proc/self/root/home/user/x", "/proc/self/cwd/x", "descriptor"]
    {
        assert_eq!(errno(read(&sandbox, path, MAX)), libc::ELOOP, "{path}");
    }
    for path in ["/proc/self/root/home/user/x", "/proc/self/cwd/x"] {
        assert_eq!(errno(write(&sandbox, path, b"")), libc::ELOOP, "{path}");
    }
    assert!(write(&sandbox, "root/user/x", b"").is_err());
    assert!(write(&sandbox, "/proc/self/comm", b"x").is_err());
}

#[test]
fn links_are_followed_where_the_user_may_go() {
    let sandbox = sandbox!();
    sandbox.output("mkdir /data/real; ln -s /data/real linked; ln -s target link; ln -s /tmp/new/file far; echo 1 > target; ln -s link link2");
    write(&sandbox, "linked/file", b"a").unwrap();
    assert_eq!(sandbox.output("cat /data/real/file"), "a");
    write(&sandbox, "link2", b"b").unwrap();
    assert_eq!(sandbox.output("cat target; readlink link"), "btarget\n");
    write(&sandbox, "far", b"c").unwrap();
    assert_eq!(sandbox.output("cat /tmp/new/file; readlink far"), "c/tmp/new/file\n");
    assert_eq!(read(&sandbox, "link2", MAX).unwrap(), b"b");
    assert_eq!(errno(write(&sandbox, "/usr/bin/env2", b"")), libc::EACCES);
    assert_eq!(errno(write(&sandbox, "/usr/none/file", b"")), libc::EACCES);
}

#[test]
fn too_long_is_said_before_anything_is_sent() {
    let sandbox = sandbox!();
    sandbox.output("head -c 1000 /dev/zero > file; truncate -s 1T sparse");
    assert_eq!(read(&sandbox, "file", 1000).unwrap().len(), 1000);
    for (path, max) in [("file", 999), ("sparse", MAX), ("file", 0)] {
        let request = InitRequest::ReadFile { path: path.to_owned(), max_bytes: max };
        let (event, bytes) = fetch(&sandbox, &request);
        assert_eq!(failure(event), ("size".to_owned(), libc::EFBIG));
        assert!(bytes.is_empty());
    }
}

#[test]
fn a_growing_file_ends() {
    let sandbox = sandbox!();
    let growing = sandbox.spawn(shell("while :; do head -c 100000 /dev/zero >> growing; test $(stat -c %s growing) -lt 30000000 || : > growing; done"));
    std::thread::sleep(Duration::from_millis(50));
    for _ in 0..30 {
        let (event, bytes) =
            fetch(&sandbox, &InitRequest::ReadFile { path: "growing".to_owned(), max_bytes: 1_000_000 });
        assert!(bytes.len() <= 1_000_000);
        match event {
            InitEvent::Done { bytes: count, .. } => assert_eq!(count, bytes.len() as u64),
            other => assert_eq!(failure(other).1, libc::EFBIG),
        }
    }
    growing.kill();
    growing.wait();
}

#[test]
fn links_that_flip_meanwhile_lead_where_the_user_may_go_or_nowhere() {
    let sandbox = sandbox!();
    sandbox.output("mkdir -p a/b; echo inside > a/b/f; mkfifo fifo; mkdir /tmp/shut; echo shut > /tmp/shut/f; chmod 0 /tmp/shut/f");
    let flip = sandbox.spawn(shell(
        "while :; do for t in / /proc/self/root /proc/1/root /proc/1/fd /tmp/shut loop ..; do mv a/b x; ln -s $t a/b; rm a/b; mv x a/b; \
         mv a y; ln -s $t a; rm a; mv y a; mv a/b/f z; ln -s ~/fifo a/b/f; rm a/b/f; ln -s /dev/zero a/b/f; rm a/b/f; \
         ln -s /proc/self/mem a/b/f; rm a/b/f; mv z a/b/f; done; done",
    ));
    let (mut read_well, mut written) = (0, 0);
    for _ in 0..200 {
        match read(&sandbox, "a/b/f", MAX) {
            Ok(bytes) => {
                assert!(bytes == b"inside\n" || bytes == b"new", "{}", String::from_utf8_lossy(&bytes));
                read_well += 1;
            }
            Err((stage, errno)) => assert!(
                [libc::ENOENT, libc::ELOOP, libc::EINVAL, libc::EACCES, libc::ENOTDIR].contains(&errno),
                "{stage} {errno}"
            ),
        }
        match write(&sandbox, "a/b/f", b"new") {
            Ok(()) => written += 1,
            Err((stage, errno)) => assert!(
                [libc::ENOENT, libc::ELOOP, libc::EINVAL, libc::EACCES, libc::ENOTDIR, libc::EXDEV]
                    .contains(&errno),
                "{stage} {errno}"
            ),
        }
    }
    flip.kill();
    flip.wait();
    assert!(read_well + written > 0, "it never met a quiet moment");
    // Neither beside the file nor where a link led has anything been left half made.
    assert_eq!(
        sandbox
            .output("find / -xdev -name '.e2bridge-*' 2> /dev/null; chmod 600 /tmp/shut/f; cat /tmp/shut/f"),
        "shut\n"
    );
}

#[test]
fn a_path_of_as_many_levels_as_fit_is_written_or_leaves_nothing() {
    let sandbox = sandbox!();
    for levels in [100, 900, 2_040] {
        let path = format!("{}x", "d/".repeat(levels));
        match write(&sandbox, &path, b"deep") {
            Ok(()) => assert_eq!(read(&sandbox, &path, MAX).unwrap(), b"deep"),
            Err((stage, errno)) => {
                assert_eq!(errno, libc::EMFILE, "{levels}: {stage}");
                assert_eq!(sandbox.output("ls -A"), "", "{levels}");
            }
        }
        sandbox.output("rm -rf d");
    }
    assert_eq!(errno(write(&sandbox, &format!("{}y", "x/".repeat(2_100)), b"")), libc::ENAMETOOLONG);
    assert!(sandbox.end());
}

#[test]
fn a_lease_on_a_file_is_not_waited_for() {
    let sandbox = sandbox!();
    sandbox.output("echo leased > file");
    let holder = sandbox.spawn(own_program("lease"));
    sandbox.output("until test -e ready; do sleep 0.01; done");
    let began = Instant::now();
    assert_eq!(errno(read(&sandbox, "file", MAX)), libc::EAGAIN);
    // Another file takes its place.
    write(&sandbox, "file", b"new").unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(read(&sandbox, "file", MAX).unwrap(), b"new");
    holder.kill();
    holder.wait();
}

#[test]
fn a_write_is_all_or_nothing() {
    let sandbox = sandbox!();
    sandbox
        .output("echo old > file; mkdir locked; chmod 555 locked; echo x > read_only; chmod 444 read_only");
    assert_eq!(write_of(&sandbox, "file", b"half", 5), Err(("data".to_owned(), libc::ENODATA)));
    assert_eq!(write_of(&sandbox, "a/b/c", b"half", 5), Err(("data".to_owned(), libc::ENODATA)));
    assert_eq!(errno(write(&sandbox, "locked/file", b"")), libc::EACCES);
    assert_eq!(errno(write(&sandbox, "locked/a/file", b"")), libc::EACCES);
    assert_eq!(errno(write(&sandbox, "read_only", b"new")), libc::EACCES);
    let full = vec![1; usize::try_from(DISK).unwrap() + 1];
    assert_eq!(write(&sandbox, "file", &full), Err(("write".to_owned(), libc::ENOSPC)));
    assert_eq!(
        sandbox.output("cat file read_only; find . | sort | tr '\\n' ' '"),
        "old\nx\n. ./file ./locked ./read_only "
    );
    // More than announced is not waited for.
    write_of(&sandbox, "file", b"12345", 3).unwrap();
    assert_eq!(sandbox.output("cat file"), "123");
}

#[test]
fn closing_the_channel_ends_the_agent() {
    let sandbox = sandbox!();
    sandbox.output("head -c 1000000 /dev/zero > large");
    // It waits for room, and for data.
    let (_data, far) = rustix::pipe::pipe().unwrap();
    let reading =
        sandbox.request(&InitRequest::ReadFile { path: "large".to_owned(), max_bytes: MAX }, &[far.as_fd()]);
    let (near, _data2) = rustix::pipe::pipe().unwrap();
    let writing =
        sandbox.request(&InitRequest::WriteFile { path: "new/file".to_owned(), bytes: 5 }, &[near.as_fd()]);
    drop((far, near));
    sandbox.wait_for_processes(3);
    drop((reading, writing));
    sandbox.wait_until_idle();
}

#[test]
fn a_write_that_is_given_up_leaves_nothing() {
    let sandbox = sandbox!();
    for _ in 0..20 {
        let (near, data) = rustix::pipe::pipe().unwrap();
        let channel = sandbox.request(
            &InitRequest::WriteFile { path: "new/file".to_owned(), bytes: 500_000 },
            &[near.as_fd()],
        );
        drop(near);
        rustix::io::write(&data, &[0; 1000]).unwrap();
        drop((data, channel));
        sandbox.wait_until_idle();
        assert_eq!(sandbox.output("ls -A"), "");
    }
}

#[test]
fn an_agent_that_is_killed_or_stopped_is_told() {
    let sandbox = sandbox!();
    sandbox.output("head -c 1000000 /dev/zero > large");
    let (data, far) = rustix::pipe::pipe().unwrap();
    let channel =
        sandbox.request(&InitRequest::ReadFile { path: "large".to_owned(), max_bytes: MAX }, &[far.as_fd()]);
    drop(far);
    // The agent is the only other child of init but the shepherd of this shell.
    let agents = "for stat in /proc/[0-9]*/stat; do read pid name state parent rest < $stat; \
                  test $parent = 1 && test $pid != $PPID && echo $pid; done; true";
    let pid = sandbox.output(agents);
    sandbox.output(&format!(
        "kill -STOP {0}; sleep 0.05; read pid name state rest < /proc/{0}/stat; test $state != T",
        pid.trim()
    ));
    sandbox.output(&format!("kill -9 {}", pid.trim()));
    assert_eq!(failure(next_event(&channel).unwrap()), ("agent".to_owned(), libc::EIO));
    drop(data);
    sandbox.wait_until_idle();
}
