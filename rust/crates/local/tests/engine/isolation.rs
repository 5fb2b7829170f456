//! Two sandboxes, and the host, do not see each other. What attacks this has its own tests beside the launcher.

use crate::harness::{create, open, sh, write};

#[test]
fn two_sandboxes_do_not_see_each_others_files_and_processes() {
    let Some(engine) = open() else { return };
    let (one, other) = (create(&engine).sandbox_id, create(&engine).sandbox_id);
    write(&engine, &one, "/tmp/mine", b"x").unwrap();
    write(&engine, &one, "/dev/shm/mine", b"x").unwrap();
    sh(&engine, &one, "sleep 98781 >/dev/null 2>&1 &");
    let seen = sh(&engine, &other, "ls /tmp /dev/shm /home; cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
    assert!(!seen.stdout.contains("mine") && !seen.stdout.contains("98781"), "{}", seen.stdout);
    assert!(seen.stdout.contains("user"), "{}", seen.stdout);
    let own = sh(&engine, &one, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
    assert!(own.stdout.contains("98781"), "{}", own.stdout);
    let signalled = sh(&engine, &other, "for p in $(seq 2 4000); do kill -0 $p 2>/dev/null && echo $p; done");
    assert!(signalled.stdout.lines().count() <= 6, "{}", signalled.stdout);
}

#[test]
fn the_host_is_out_of_sight() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    let marker = tempfile::NamedTempFile::new().unwrap();
    let path = marker.path().display();
    let result = sh(
        &engine,
        &id,
        &format!("ls {path}; cat /etc/shadow; touch /usr/x /etc/x; ls /root; cat /proc/1/environ; hostname"),
    );
    assert_eq!(result.stdout, "e2bridge\n", "{result:?}");
}
