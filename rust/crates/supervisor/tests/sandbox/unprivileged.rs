//! The same tests as an ordinary user: no cgroups, no ids of its own; and some of them with subordinate ids.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use e2bridge_protocol::supervisor::Template;

use crate::support::{Engine, ORDINARY, open_copy, privileged, skip};

/// First of the ids that are granted to it.
const GRANTED: u32 = 400_000;

/// Runs tests of this program as an ordinary user, by a command that ends with `setpriv`, in a directory to which everybody has access.
fn run(arguments: &[&str], variables: &[(&str, String)], prepare: impl Fn(&Path) -> Vec<OsString>) {
    let (directory, supervisor) = open_copy();
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let tests = directory.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    open(&tests, 0o755);
    let scratch = directory.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    open(&scratch, 0o777);
    let id = ORDINARY.to_string();
    let mut command = prepare(directory.path());
    command
        .extend(["/usr/bin/setpriv", "--reuid", &id, "--regid", &id, "--clear-groups", "--"].map(Into::into));
    command.push(tests.into());
    let output = Command::new(&command[0])
        .args(&command[1..])
        .args(arguments)
        .args(["--test-threads", "2"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TMPDIR", scratch)
        .env("E2B_TEST_SUPERVISOR", supervisor)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("test result: ok. ") && !said.contains("ok. 0 passed"), "{said}");
}

#[test]
fn everything_holds_for_an_ordinary_user() {
    if !privileged() {
        return skip("this is an ordinary user already");
    }
    run(&["--skip", "unprivileged::"], &[], |_| Vec::new());
}

#[test]
fn each_sandbox_of_an_ordinary_user_has_an_id_of_its_own_where_some_are_granted() {
    if !can_grant() {
        return;
    }
    let variables = [("E2B_TEST_SUBORDINATE_IDS", GRANTED.to_string())];
    let arguments = ["posture::", "life::", "files::", "network::", "--skip", "unprivileged::"];
    run(&arguments, &variables, |directory| granted(directory, "true"));
}

#[test]
fn ids_that_cannot_be_mapped_after_all_are_gone_without_and_said_so() {
    if !can_grant() {
        return;
    }
    let line = "mount --bind /bin/false /usr/bin/newuidmap";
    run(&["unprivileged::refused_ids", "--ignored"], &[], |directory| granted(directory, line));
}

#[test]
#[ignore = "started by another test, where ids are granted that cannot be mapped"]
fn refused_ids() {
    let engine = Engine::start();
    let sandboxes = [engine.create(Template::Base), engine.create(Template::Base)];
    assert!(sandboxes.iter().all(|sandbox| !sandbox.created.posture.dedicated_ids));
    let checked = engine.check();
    let ids = checked.facilities.iter().find(|facility| facility.name == "dedicated_ids").unwrap();
    assert!(!ids.available && ids.detail.contains("subordinate"), "{ids:?}");
    assert!(ids.remedy.as_ref().unwrap().contains("--add-subuids"), "{ids:?}");
}

fn can_grant() -> bool {
    if !privileged() {
        skip("only root can grant subordinate ids");
        return false;
    }
    let there = Path::new("/usr/bin/newuidmap").exists() && Path::new("/etc/subuid").exists();
    if !there {
        skip("there is no /usr/bin/newuidmap (package uidmap)");
    }
    there
}

/// A command that grants ids and runs a line of shell, in a mount namespace so that nobody else sees it.
fn granted(directory: &Path, line: &str) -> Vec<OsString> {
    let mut lines = String::new();
    for table in ["subuid", "subgid"] {
        let path = directory.join(table);
        fs::write(&path, format!("{ORDINARY}:{GRANTED}:65536\n")).unwrap();
        lines.push_str(&format!("mount --bind {} /etc/{table} && ", path.display()));
    }
    let lines = format!("{lines} {line} && exec \"$@\"");
    ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", &lines, "sh"].map(Into::into).to_vec()
}
