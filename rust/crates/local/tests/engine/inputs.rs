//! Hostile ids, environments, working directories and paths: a typed error or an ordinary result, nothing created, nothing lost.

use std::fs;
use std::time::{Duration, Instant};

use e2bridge_core::request::{
    DeployTemplate, ExecuteProcess, ExportTemplate, MAX_ARGUMENT_BYTES, RunAgent, RunCode, ScaleDeployment,
    WriteFile,
};
use e2bridge_core::{Backend, CancelToken, Code, Result};
use e2bridge_local::LocalBackend;
use serde_json::{Map, Value, json};

use crate::harness::{create, descendants, ids, open, open_without_pools, request, run, sh, write};

fn object(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn deploy(engine: &LocalBackend, configuration: Value) -> Result<(String, Vec<String>)> {
    let request = DeployTemplate::new("base", "inputs", object(configuration))?;
    let created = engine.deploy_template(&request, &CancelToken::new())?;
    Ok((created.deployment_id, created.sandbox_ids))
}

/// Every call that takes the id of a sandbox.
fn every_call(engine: &LocalBackend, id: &str) -> Vec<(&'static str, Result<()>)> {
    let token = CancelToken::new();
    let symbols = vec!["SPY".to_owned()];
    let prices = object(json!({"prices": {"SPY": [1, 2, 3]}}));
    vec![
        ("status", engine.sandbox_status(id).map(drop)),
        (
            "execute",
            ExecuteProcess::new(id, "true", None, Some(5), None)
                .and_then(|request| engine.execute_process(&request, &token))
                .map(drop),
        ),
        (
            "code",
            RunCode::new(id, "js", "1", None, Some(5))
                .and_then(|request| engine.run_code(&request, &token))
                .map(drop),
        ),
        (
            "agent",
            RunAgent::new(id, "buy_and_hold", symbols, Some(prices), None)
                .and_then(|request| engine.run_agent(&request, &token))
                .map(drop),
        ),
        (
            "write",
            WriteFile::new(id, "x", b"x").and_then(|request| engine.write_file(&request, &token)).map(drop),
        ),
        ("read", engine.read_file(id, "x", &token).map(drop)),
        ("timeout", engine.set_timeout(id, 60).map(drop)),
        (
            "export",
            ExportTemplate::new(id, "inputs", None)
                .and_then(|request| engine.export_template(&request, &token))
                .map(drop),
        ),
        ("terminate", engine.terminate_sandbox(id, true).map(drop)),
    ]
}

#[test]
fn an_id_that_is_not_this_clients_sandbox_is_not_found_by_any_call() {
    let Some(engine) = open_without_pools() else { return };
    let id = create(&engine).sandbox_id;
    let (deployment, instances) = deploy(&engine, json!({"memory_mb": 32})).unwrap();
    let other = LocalBackend::open(crate::harness::without_pools()).unwrap();
    let foreign = other.create_sandbox(&request("foreign"), &CancelToken::new()).unwrap().sandbox_id;
    let execution = sh(&engine, &id, "true").execution_id;
    let mut swapped = id.clone().into_bytes();
    let last = swapped.len() - 1;
    swapped[last] = if swapped[last] == b'a' { b'b' } else { b'a' };
    let strange = [
        "../../etc/passwd".to_owned(),
        format!("../{id}"),
        format!("{id}/../{id}"),
        id.to_uppercase(),
        format!("{id}\0"),
        format!("\0{id}"),
        "\0".to_owned(),
        format!("{id} "),
        format!("{id}\n"),
        id[..id.len() - 1].to_owned(),
        format!("{id}a"),
        String::from_utf8(swapped).unwrap(),
        id.replacen("sb_", "ѕb_", 1),
        id.replacen("sb_", "dep_", 1),
        "sb_".to_owned(),
        "1".to_owned(),
        "x".repeat(1 << 20),
        deployment.clone(),
        execution,
        foreign.clone(),
    ];
    for strange in &strange {
        for (call, result) in every_call(&engine, strange) {
            let error = result.expect_err(call);
            assert_eq!(
                (error.code(), error.argument()),
                (Code::NotFound, Some("sandbox_id")),
                "{call}: {error}"
            );
            assert!(error.message().len() < 400, "{call}: {} bytes", error.message().len());
            assert!(!error.message().contains('\0'), "{call}");
        }
        let scale = ScaleDeployment::new(if *strange == deployment { &id } else { strange }, Some(0), None)
            .and_then(|request| engine.scale_deployment(&request, &CancelToken::new()));
        let error = scale.expect_err("scale");
        assert_eq!((error.code(), error.argument()), (Code::NotFound, Some("deployment_id")), "{error}");
    }
    for (call, result) in every_call(&engine, "") {
        let error = result.expect_err(call);
        assert!(matches!(error.code(), Code::InvalidArgument | Code::NotFound), "{call}: {error}");
        assert_eq!(error.argument(), Some("sandbox_id"), "{call}");
    }
    // All that was there is there.
    let mut live = ids(&engine, "running");
    live.sort_unstable();
    let mut expected = [instances, vec![id.clone()]].concat();
    expected.sort_unstable();
    assert_eq!(live, expected);
    assert_eq!(sh(&other, &foreign, "echo mine").stdout, "mine\n");
    for (call, result) in every_call(&engine, &id) {
        // Nothing of that name was made by the calls above.
        assert!(result.is_ok() || call == "export", "{call}: {result:?}");
    }
    other.close();
    drop(other);
}

/// Processes below this one with a variable of that beginning in their environment, by whether they run the helper's own program.
fn carriers(beginning: &str) -> (Vec<u32>, Vec<u32>) {
    let has = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(beginning.as_bytes()))
    };
    let helper = |pid: &u32| {
        fs::read_link(format!("/proc/{pid}/exe"))
            .is_ok_and(|program| program.to_string_lossy().contains("e2bridge-supervisor"))
    };
    descendants(std::process::id()).into_iter().filter(has).partition(helper)
}

#[test]
fn variables_reach_programs_and_neither_init_nor_helper() {
    let Some(engine) = open_without_pools() else { return };
    let env = json!({
        "LD_PRELOAD": "/opt/evil.so", "LD_LIBRARY_PATH": "/opt", "LD_AUDIT": "/opt/audit.so", "GLIBC_TUNABLES": "glibc.malloc.check=3",
        "PATH": "/opt/bin:/usr/bin:/bin", "HOME": "/opt", "USER": "root", "IFS": "x", "ENV": "/opt/rc", "RUST_BACKTRACE": "full",
        "E2B_SANDBOX_ID": "sb_mine", "E2B_CONFIGURATION": "mine", "E2B_DEPLOYMENT_ID": "mine", "E2B_INSTANCE": "9",
        "E2B_OWN_MARK": "here",
    });
    let (deployment, instances) =
        deploy(&engine, json!({"memory_mb": 64, "env": env, "start_command": "sleep 30"})).unwrap();
    let id = &instances[0];
    let mut last = (Vec::new(), Vec::new());
    let began = Instant::now();
    // The program that runs is there, so that a look that finds nothing means something.
    while last.1.is_empty() && began.elapsed() < Duration::from_secs(5) {
        last = carriers("E2B_OWN_MARK=");
    }
    let readable = fs::read(format!("/proc/{}/environ", descendants(std::process::id()).first().unwrap()));
    if rustix::process::geteuid().is_root() && readable.is_ok() {
        assert!(!last.1.is_empty(), "the start command must be seen with its variables");
    }
    assert_eq!(last.0, Vec::<u32>::new(), "the helper's own program has variables of a deployment");

    let seen = sh(&engine, id, "env").stdout;
    let value = |name: &str| {
        let prefix = format!("{name}=");
        let mut found = seen.lines().filter_map(|line| line.strip_prefix(&prefix));
        let value = found.next().map(str::to_owned);
        assert_eq!(found.next(), None, "{name} is there twice");
        value.unwrap_or_default()
    };
    // The caller's own win, but for what says which instance of what this is.
    for (name, expected) in [
        ("LD_PRELOAD", "/opt/evil.so"),
        ("PATH", "/opt/bin:/usr/bin:/bin"),
        ("HOME", "/opt"),
        ("USER", "root"),
        ("E2B_SANDBOX_ID", "sb_mine"),
        ("E2B_SANDBOX", "true"),
        ("E2B_DEPLOYMENT_ID", deployment.as_str()),
        ("E2B_INSTANCE", "0"),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    assert!(value("E2B_CONFIGURATION").starts_with('{'));
    assert_eq!(sh(&engine, id, "cat /proc/1/environ 2>/dev/null | wc -c").stdout.trim(), "0");
    // Nothing of it hinders the engine itself: code, files, health, the end.
    let code = RunCode::new(id, "js", "40 + 2", None, Some(5)).unwrap();
    assert_eq!(engine.run_code(&code, &CancelToken::new()).unwrap().result.as_deref(), Some("42"));
    write(&engine, id, "x", b"x").unwrap();
    // HOME is a variable; the home directory is where it always is.
    assert_eq!(sh(&engine, id, "cat /home/user/x").stdout, "x");
    engine.terminate_sandbox(id, false).unwrap();
}

#[test]
fn ten_thousand_variables_and_the_longest_one_are_taken_and_more_is_a_limit() {
    let Some(engine) = open_without_pools() else { return };
    let many: Map<String, Value> = (0..10_000).map(|number| (format!("V{number}"), json!(""))).collect();
    assert!(Value::Object(many.clone()).to_string().len() < MAX_ARGUMENT_BYTES);
    let (_, instances) = deploy(&engine, json!({"memory_mb": 64, "env": many})).unwrap();
    let began = Instant::now();
    for _ in 0..5 {
        assert_eq!(sh(&engine, &instances[0], "env | grep -c '^V[0-9]'").stdout.trim(), "10000");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let long = "x".repeat(MAX_ARGUMENT_BYTES - 100);
    let (_, instances) = deploy(&engine, json!({"memory_mb": 64, "env": {"A": long}})).unwrap();
    assert_eq!(sh(&engine, &instances[0], "printf %s \"$A\" | wc -c").stdout.trim(), long.len().to_string());

    let before = ids(&engine, "all").len();
    let over = "x".repeat(MAX_ARGUMENT_BYTES + 1);
    for (configuration, code, argument) in [
        (json!({"env": {"A": over}}), Code::LimitExceeded, "configuration.env.A"),
        (json!({"more": over}), Code::LimitExceeded, "configuration"),
        (json!({"env": {"": "x"}}), Code::InvalidArgument, "configuration.env."),
        (json!({"env": {"A=B": "x"}}), Code::InvalidArgument, "configuration.env.A=B"),
        (json!({"env": {"A": "x\0"}}), Code::InvalidArgument, "configuration.env.A"),
    ] {
        let error = deploy(&engine, configuration).unwrap_err();
        assert_eq!((error.code(), error.argument()), (code, Some(argument)), "{error}");
    }
    assert_eq!(ids(&engine, "all").len(), before, "nothing was created");
}

#[test]
fn a_home_that_hostile_code_has_spoilt_is_an_error_or_a_result_and_nothing_hangs() {
    let Some(engine) = open_without_pools() else { return };
    let id = create(&engine).sandbox_id;
    // Neither a mount point nor the writable places can be taken away or turned into links.
    let line = "for p in /home/user /data /opt /usr/local /srv /var/tmp /tmp /dev /proc /etc /dev/shm /dev/null; do \
                mv $p $p.old 2>/dev/null && echo moved $p; rmdir $p 2>/dev/null && echo removed $p; \
                ln -sfn /etc $p.l 2>/dev/null && ln -sfT /etc $p 2>/dev/null && echo linked $p; \
                test -L $p && echo link $p; done; rm -f /tmp/*.l /opt/*.l; ls -d /home/user /data /opt /srv /var/tmp /tmp";
    let result = sh(&engine, &id, line);
    assert_eq!(result.stdout, "/data\n/home/user\n/opt\n/srv\n/tmp\n/var/tmp\n", "{result:?}");

    sh(&engine, &id, "mkdir sub; chmod 0 /home/user");
    for _ in 0..2 {
        let result = sh(&engine, &id, "pwd");
        assert_eq!((result.exit_code, result.stderr.as_str()), (126, "/home/user: Permission denied\n"));
        let code = RunCode::new(&id, "js", "1", None, Some(5)).unwrap();
        if let Err(error) = engine.run_code(&code, &CancelToken::new()) {
            assert_ne!(error.code(), Code::Internal, "{error}");
        }
        let error = write(&engine, &id, "x", b"x").unwrap_err();
        assert_eq!((error.code(), error.argument()), (Code::PermissionDenied, Some("path")), "{error}");
        assert_eq!(write(&engine, &id, "/data/x", b"x").map_err(|error| error.to_string()), Ok(()));
    }
    let began = Instant::now();
    engine.terminate_sandbox(&id, true).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn hostile_paths_are_refused_by_rule_and_lead_nowhere() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    fs::write(std::env::temp_dir().join("e2bridge-inputs-host"), b"of the host").unwrap();
    sh(
        &engine,
        &id,
        "mkfifo fifo; ln -s fifo to_fifo; ln -s /proc/1/root/tmp magic; ln -s / root; ln -s ../../../../../.. up; \
         ln -s loop loop; mkdir d; ln -s d/../d/../d through; echo x >file; truncate -s 1T sparse || true; \
         ln -s /proc/self/fd/0 fd; ln -s /proc/self/mem mem",
    );
    let deep = format!("{}x", "d/".repeat(2_047));
    let long_name = "x".repeat(256);
    let cases: [(&str, &[Code]); 24] = [
        ("../../../../tmp/e2bridge-inputs-host", &[Code::NotFound]),
        ("/tmp/e2bridge-inputs-host", &[Code::NotFound]),
        ("up/tmp/e2bridge-inputs-host", &[Code::NotFound]),
        ("root/tmp/e2bridge-inputs-host", &[Code::NotFound]),
        ("magic/e2bridge-inputs-host", &[Code::InvalidArgument, Code::PermissionDenied]),
        ("/proc/1/root/tmp/e2bridge-inputs-host", &[Code::InvalidArgument, Code::PermissionDenied]),
        ("/proc/self/root/tmp/e2bridge-inputs-host", &[Code::InvalidArgument]),
        ("/proc/self/cwd/file", &[Code::InvalidArgument]),
        ("/proc/self/fd/0", &[Code::InvalidArgument]),
        ("fd", &[Code::InvalidArgument]),
        ("mem", &[Code::InvalidArgument, Code::PermissionDenied]),
        ("/proc/self/environ", &[Code::InvalidArgument, Code::PermissionDenied]),
        ("/proc/1/environ", &[Code::InvalidArgument, Code::PermissionDenied]),
        ("/proc/kcore", &[Code::InvalidArgument, Code::PermissionDenied, Code::NotFound]),
        ("fifo", &[Code::InvalidArgument]),
        ("to_fifo", &[Code::InvalidArgument]),
        ("/dev/null", &[Code::InvalidArgument]),
        ("/dev/tty", &[Code::InvalidArgument, Code::NotFound]),
        (".", &[Code::InvalidArgument]),
        ("..", &[Code::InvalidArgument]),
        ("d", &[Code::InvalidArgument]),
        ("loop", &[Code::InvalidArgument]),
        ("file/../file", &[Code::NotFound]),
        (&long_name, &[Code::InvalidArgument]),
    ];
    let token = CancelToken::new();
    let began = Instant::now();
    for (path, codes) in cases {
        let error = engine.read_file(&id, path, &token).expect_err(path);
        assert!(codes.contains(&error.code()), "{path}: {error}");
        assert_eq!(error.argument(), Some("path"), "{path}: {error}");
    }
    for (path, codes) in cases.into_iter().skip(4) {
        let error = write(&engine, &id, path, b"x").expect_err(path);
        // What is not there cannot be made there either.
        assert!(codes.contains(&error.code()) || error.code() == Code::PermissionDenied, "{path}: {error}");
        assert_eq!(error.argument(), Some("path"), "{path}: {error}");
    }
    let long = "x".repeat(4_096);
    for path in ["", "a\0b", "\0", "d/", "/", &long] {
        let error = write(&engine, &id, path, b"x").expect_err(path);
        assert_eq!(
            (error.code(), error.argument()),
            (Code::InvalidArgument, Some("path")),
            "{path:?}: {error}"
        );
    }
    // More levels than there are descriptors for: done, or refused with nothing left of it.
    sh(&engine, &id, "rm -rf d");
    match write(&engine, &id, &deep, b"deep") {
        Ok(()) => assert!(engine.read_file(&id, &deep, &token).is_ok()),
        Err(error) => {
            assert_eq!((error.code(), error.argument()), (Code::LimitExceeded, Some("path")), "{error}");
            assert_eq!(run(&engine, &id, "test", &["-e", "d"]).exit_code, 1, "{error}");
        }
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    fs::remove_file(std::env::temp_dir().join("e2bridge-inputs-host")).unwrap();
    engine.terminate_sandbox(&id, true).unwrap();
}

#[test]
fn a_link_that_flips_at_every_component_leads_nowhere_else() {
    let Some(engine) = open_without_pools() else { return };
    let id = create(&engine).sandbox_id;
    sh(&engine, &id, "mkdir -p a/b/c; echo inside >a/b/c/f; cp -r a real; mkfifo fifo; mkdir empty");
    let request = ExecuteProcess::new(
        &id,
        "(i=0; while [ $i -lt 3000 ]; do for t in / /proc/self/root /proc/1/root /etc fifo empty loop ..; do \
         mv a/b/c/f a/b/c/g; ln -s /etc/passwd a/b/c/f; rm a/b/c/f; ln -s ~/fifo a/b/c/f; rm a/b/c/f; mv a/b/c/g a/b/c/f; \
         mv a/b x; ln -s $t a/b; rm a/b; mv x a/b; mv a y; ln -s $t a; rm a; mv y a; done; i=$((i+1)); done) 2>/dev/null &",
        None,
        Some(10),
        None,
    )
    .unwrap();
    engine.execute_process(&request, &CancelToken::new()).unwrap();
    let began = Instant::now();
    let (mut good, mut refused) = (0, 0);
    while began.elapsed() < Duration::from_secs(3) {
        match engine.read_file(&id, "a/b/c/f", &CancelToken::new()) {
            // `inside`, what was written below, or the sandbox's own /etc/passwd: never anything of the host.
            Ok(content) => {
                use base64::Engine as _;
                let bytes =
                    base64::engine::general_purpose::STANDARD.decode(&content.content_base64).unwrap();
                let text = String::from_utf8(bytes).unwrap();
                assert!(text == "inside\n" || text == "new" || text.contains(":/home/user:"), "{text:?}");
                good += 1;
            }
            Err(error) => {
                assert!(
                    matches!(error.code(), Code::NotFound | Code::InvalidArgument | Code::PermissionDenied),
                    "{error}"
                );
                refused += 1;
            }
        }
        if let Err(error) = write(&engine, &id, "a/b/c/f", b"new") {
            assert!(
                matches!(error.code(), Code::NotFound | Code::InvalidArgument | Code::PermissionDenied),
                "{error}"
            );
        }
    }
    assert!(good + refused > 20, "{good} {refused}");
    let began = Instant::now();
    engine.terminate_sandbox(&id, false).unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
