//! The same tests as an ordinary user: no cgroups, no ids of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::support::{privileged, skip, supervisor};

/// An id that owns nothing.
const ORDINARY: u32 = 65_534;

#[test]
fn everything_holds_for_an_ordinary_user() {
    if !privileged() {
        return skip("this is an ordinary user already");
    }
    // Where the programs were built need not be open to everybody.
    let directory = tempfile::tempdir().unwrap();
    let open =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(directory.path(), 0o755);
    let copy = |from: &std::path::Path, name: &str| {
        let to = directory.path().join(name);
        fs::copy(from, &to).unwrap();
        open(&to, 0o755);
        to
    };
    let tests = copy(&std::env::current_exe().unwrap(), "tests");
    let supervisor = copy(&supervisor(), "supervisor");
    let scratch = directory.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    open(&scratch, 0o777);
    let output = Command::new(tests)
        .args(["--skip", "unprivileged::", "--test-threads", "2"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TMPDIR", scratch)
        .env("E2B_TEST_SUPERVISOR", supervisor)
        .current_dir("/")
        .uid(ORDINARY)
        .gid(ORDINARY)
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("test result: ok. ") && !said.contains("ok. 0 passed"), "{said}");
}
