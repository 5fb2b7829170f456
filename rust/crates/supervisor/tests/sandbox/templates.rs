//! Templates with an interpreter, and the check of the host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use e2bridge_protocol::supervisor::{FailureKind, Template};

use crate::support::{Engine, LIMITS, Options, parent, process_exists, skip};

#[test]
fn the_systems_interpreters_run_inside() {
    for (template, path, code) in [
        (
            Template::Python,
            "/usr/bin/python3",
            ["-c", "import json, ssl, sqlite3; print(json.dumps([6 * 7]))"],
        ),
        (Template::Node, "/usr/bin/node", ["-e", "console.log(JSON.stringify([6 * 7]))"]),
    ] {
        if !Path::new(path).exists() {
            skip(&format!("there is no {path}"));
            continue;
        }
        let engine = Engine::start();
        let limits = e2bridge_protocol::supervisor::Limits { memory_bytes: 256 << 20, ..LIMITS };
        let sandbox = engine.try_create(template, limits).unwrap();
        let interpreter = sandbox.created.interpreter.clone().unwrap();
        assert_eq!(interpreter, fs::canonicalize(path).unwrap().to_str().unwrap());
        // The built supervisor has the module for it.
        assert_eq!(sandbox.created.forks_python, template == Template::Python);
        let output = sandbox.run(&[&interpreter, code[0], code[1]]);
        assert_eq!(output.stdout.trim().replace(' ', ""), "[42]", "{output:?}");
    }
}

/// A program that answers as an interpreter does, and its directory.
fn pretender(directory: &Path, prefixes: &[&Path]) -> String {
    pretender_that(directory, prefixes, "echo real")
}

/// The same, which leads to a script that does something else.
fn pretender_that(directory: &Path, prefixes: &[&Path], script: &str) -> String {
    fs::create_dir_all(directory.join("bin")).unwrap();
    let real = directory.join("bin/real");
    fs::write(&real, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(directory.join("secret"), "x").unwrap();
    let answer = format!(
        "{{\"executable\":{real:?},\"prefixes\":{prefixes:?},\"parts\":[],\"version\":\"Real 1\",\"usable\":true}}"
    );
    let shim = directory.join("shim");
    fs::write(&shim, format!("#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")).unwrap();
    fs::set_permissions(&shim, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    shim.to_str().unwrap().to_owned()
}

#[test]
fn an_interpreter_below_a_writable_place_is_visible_there_and_nothing_beside_it() {
    let directory = tempfile::Builder::new().prefix("e2b").tempdir_in("/tmp").unwrap();
    let inner = directory.path().join("prefix");
    for whole in [true, false] {
        fs::create_dir_all(&inner).unwrap();
        let prefixes = [inner.as_path()];
        let shim = pretender(&inner, if whole { &prefixes } else { &[] });
        let engine = Engine::with(Options { python: vec![shim], ..Options::default() }).unwrap();
        let sandbox = engine.create(Template::Python);
        let interpreter = sandbox.created.interpreter.clone().unwrap();
        assert_eq!(interpreter, inner.join("bin/real").to_str().unwrap());
        assert_eq!(sandbox.run(&[&interpreter]).stdout, "real\n");
        let secret = inner.join("secret");
        assert_eq!(sandbox.shell(&format!("cat {}", secret.display())).exit.exit_code == Some(0), whole);
        let changed = sandbox.shell(&format!("echo x >{interpreter}"));
        assert_ne!(changed.exit.exit_code, Some(0), "{changed:?}");
        assert_eq!(sandbox.print("echo own >/tmp/own; cat /tmp/own"), "own");
    }
}

/// A directory that is in none of the writable places.
fn elsewhere() -> Option<tempfile::TempDir> {
    let beside = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let places = ["/tmp", "/home/user", "/data", "/opt", "/srv", "/var/tmp", "/usr"];
    let directory = [Path::new("/var/lib"), &beside]
        .into_iter()
        .filter(|directory| !places.iter().any(|place| directory.starts_with(place)))
        .find_map(|directory| tempfile::Builder::new().prefix("e2b").tempdir_in(directory).ok());
    if let Some(directory) = &directory {
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    } else {
        skip("no directory outside of the writable places can be written");
    }
    directory
}

#[test]
fn an_interpreter_elsewhere_is_visible_at_its_path() {
    let Some(directory) = elsewhere() else { return };
    let inner = fs::canonicalize(directory.path()).unwrap().join("prefix");
    let shim = pretender(&inner, &[&inner]);
    let engine = Engine::with(Options { node: vec![shim], ..Options::default() }).unwrap();
    let sandbox = engine.create(Template::Node);
    let interpreter = sandbox.created.interpreter.clone().unwrap();
    assert_eq!(sandbox.run(&[&interpreter]).stdout, "real\n");
    assert_eq!(sandbox.print(&format!("ls {}", inner.parent().unwrap().display())), "prefix");
    let changed = sandbox.shell(&format!("echo x >{}/new", inner.display()));
    assert!(changed.stderr.contains("Read-only") || changed.stderr.contains("denied"), "{changed:?}");
}

/// Each of them is found out before a sandbox depends on it, and executed for every worker instead.
#[test]
fn an_interpreter_that_cannot_be_a_zygote_costs_nobody_a_sandbox() {
    if !Path::new("/usr/bin/python3").exists() {
        return skip("there is no /usr/bin/python3");
    }
    let Some(directory) = elsewhere() else { return };
    let with = |first: &str| {
        format!(
            "exec /usr/bin/python3 -I -B -u -c 'import os, runpy, sys, threading, time\n{first}\nsys.argv = [\"\", \"zygote\"]\n\
             runpy.run_path(\"/etc/e2bridge/python.py\", run_name=\"__main__\")'"
        )
    };
    for (name, script, works) in [
        ("itself", with("pass"), true),
        ("ends", "echo real".to_owned(), false),
        ("fails", "exit 3".to_owned(), false),
        ("hangs", "exec sleep 60".to_owned(), false),
        ("threads", with("threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"), false),
        ("children", with("os.fork() or time.sleep(60)"), false),
        ("refuses forks", with("os.register_at_fork(after_in_child=lambda: os._exit(9))"), false),
    ] {
        let inner = fs::canonicalize(directory.path()).unwrap().join(name.replace(' ', "-"));
        let shim = pretender_that(&inner, &[&inner], &script);
        let engine = Engine::with(Options { python: vec![shim], ..Options::default() }).unwrap();
        let sandbox = engine.create(Template::Python);
        assert_eq!(sandbox.created.forks_python, works, "{name}");
        assert_eq!(sandbox.print("echo there"), "there", "{name}");
        let again = engine.create(Template::Python);
        assert_eq!(again.created.forks_python, works, "{name}");
    }
}

/// What forks share with each other they do not share for ever.
#[test]
fn another_zygote_takes_the_place_of_an_interpreter_after_many_clones() {
    if !Path::new("/usr/bin/python3").exists() {
        return skip("there is no /usr/bin/python3");
    }
    let engine = Engine::start();
    let kept = engine.create(Template::Python);
    let zygote = parent(kept.created.init_pid);
    for _ in 1..1000 {
        let sandbox = engine.create(Template::Python);
        assert_eq!(parent(sandbox.created.init_pid), zygote);
        engine.kill(sandbox.number);
    }
    let next = engine.create(Template::Python);
    let other = parent(next.created.init_pid);
    assert_ne!(other, zygote);
    assert!(next.created.forks_python && kept.alive());
    assert_eq!(kept.print("echo there"), "there");
    engine.kill(kept.number);
    let deadline = Instant::now() + Duration::from_secs(5);
    while process_exists(zygote) {
        assert!(Instant::now() < deadline, "a zygote without sandboxes that gets no more orders is left");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(next.alive());
    assert_eq!(parent(engine.create(Template::Python).created.init_pid), other);
}

#[test]
fn a_shim_leads_to_the_real_interpreter() {
    if !Path::new("/usr/bin/python3").exists() {
        return skip("there is no /usr/bin/python3");
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let shim = directory.path().join("python3");
    fs::write(&shim, "#!/usr/bin/env sh\nexec python3 \"$@\"\n").unwrap();
    fs::set_permissions(&shim, fs::Permissions::from_mode(0o755)).unwrap();
    let engine =
        Engine::with(Options { python: vec![shim.to_str().unwrap().to_owned()], ..Options::default() })
            .unwrap();
    let sandbox = engine.create(Template::Python);
    let interpreter = sandbox.created.interpreter.clone().unwrap();
    assert_ne!(interpreter, shim.to_str().unwrap());
    assert_eq!(sandbox.run(&[&interpreter, "-c", "print(6 * 7)"]).stdout, "42\n");
    assert_ne!(sandbox.shell(&format!("ls {}", shim.display())).exit.exit_code, Some(0));
}

#[test]
fn a_missing_interpreter_is_a_clear_error_and_can_be_mended() {
    let directory = tempfile::tempdir().unwrap();
    let late = directory.path().join("late").to_str().unwrap().to_owned();
    let engine =
        Engine::with(Options { python: vec![late], node: Vec::new(), ..Options::default() }).unwrap();
    let failures =
        [Template::Python, Template::Node].map(|template| engine.try_create(template, LIMITS).unwrap_err());
    for failure in &failures {
        assert_eq!(failure.kind, FailureKind::MissingInterpreter, "{failure:?}");
        assert!(failure.remedy.is_some());
    }
    assert!(failures[0].message.contains("late: not found"), "{failures:?}");
    assert!(failures[1].message.contains("no candidate"), "{failures:?}");
    assert_eq!(engine.create(Template::Base).print("echo base works"), "base works");
    // The next create looks again.
    let shim = pretender(directory.path(), &[]);
    fs::rename(shim, directory.path().join("late")).unwrap();
    assert_eq!(engine.create(Template::Python).print("echo now"), "now");
}

#[test]
fn a_candidate_that_hangs_delays_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let hang = directory.path().join("hang");
    fs::write(&hang, "#!/bin/sh\nsleep 1000 & wait\n").unwrap();
    fs::set_permissions(&hang, fs::Permissions::from_mode(0o755)).unwrap();
    let engine =
        Engine::with(Options { python: vec![hang.to_str().unwrap().to_owned()], ..Options::default() })
            .unwrap();
    let waiting = engine.create_later(Template::Python, LIMITS);
    let start = std::time::Instant::now();
    assert_eq!(engine.create(Template::Base).print("echo base"), "base");
    assert!(start.elapsed().as_secs() < 4, "{:?}", start.elapsed());
    let failure = waiting.wait().unwrap_err();
    assert!(failure.message.contains("no answer within"), "{failure:?}");
}

#[test]
fn the_check_tells_what_a_sandbox_gets() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("none").to_str().unwrap().to_owned();
    let mut engine = Engine::with(Options { node: vec![missing], ..Options::default() }).unwrap();
    let checked = engine.check();
    let posture = engine.create(Template::Base).created.posture;
    assert_eq!(checked.posture.as_ref(), Some(&posture));
    for name in
        ["sandbox", "user_namespaces", "seccomp", "landlock", "memory_limit", "process_limit", "cpu_limit"]
    {
        let facility = checked.facilities.iter().find(|facility| facility.name == name).unwrap();
        assert!(!facility.detail.is_empty());
        assert_eq!(facility.available, facility.remedy.is_none(), "{facility:?}");
    }
    let of = |wanted| &checked.interpreters.iter().find(|(template, _)| *template == wanted).unwrap().1;
    assert_eq!(*of(Template::Base), Ok(None));
    assert!(of(Template::Node).as_ref().unwrap_err().contains("not found"));
    if Path::new("/usr/bin/python3").exists() {
        assert!(of(Template::Python).as_ref().unwrap().as_ref().unwrap().starts_with("Python 3."));
    }
    engine.close();
    assert!(engine.cgroups().is_empty() && engine.records().is_empty());
}
