//! Programs: how they are started, what comes back, how they end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use e2bridge_core::request::ExecuteProcess;
use e2bridge_core::{Backend, CancelToken, Code};

use crate::harness::{create, eventually, open, processes_with, run, sh, try_sh};

#[test]
fn a_line_goes_through_a_shell_and_a_list_does_not() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    assert_eq!(sh(&engine, &id, "echo $HOME | tr a-z A-Z").stdout, "/HOME/USER\n");
    assert_eq!(run(&engine, &id, "echo", &["$HOME", "a  b", "", "*"]).stdout, "$HOME a  b  *\n");
    assert_eq!(run(&engine, &id, "/bin/echo", &[]).stdout, "\n");
}

#[test]
fn a_program_starts_as_the_contract_says() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    let result = sh(
        &engine,
        &id,
        "id -un; id -u; id -g; pwd; umask; readlink /proc/self/fd/0; echo $(ls /proc/self/fd)",
    );
    // `ls` has the directory open as 3.
    let expected = ["user", "1000", "1000", "/home/user", "0022", "/dev/null", "0 1 2 3"];
    assert_eq!(result.stdout.lines().collect::<Vec<_>>(), expected);
    let mut environment: Vec<String> =
        run(&engine, &id, "env", &[]).stdout.lines().map(str::to_owned).collect();
    environment.sort();
    let sandbox_id = format!("E2B_SANDBOX_ID={id}");
    let expected = [
        "E2B_SANDBOX=true",
        &sandbox_id,
        "HOME=/home/user",
        "LANG=C.UTF-8",
        "LOGNAME=user",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "SHELL=/bin/sh",
        "USER=user",
    ];
    assert_eq!(environment, expected);
}

#[test]
fn exit_codes_and_signals_are_results() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    for (line, code, signal) in [
        ("true", 0, None),
        ("exit 3", 3, None),
        ("exit 255", 255, None),
        ("kill -TERM $$", -1, Some("SIGTERM")),
        ("kill -KILL $$", -1, Some("SIGKILL")),
        ("kill -SEGV $$", -1, Some("SIGSEGV")),
        ("nosuchprogram", 127, None),
    ] {
        let result = sh(&engine, &id, line);
        assert_eq!((result.exit_code, result.signal.as_deref()), (code, signal), "{line}");
        assert!(!result.timed_out && !result.out_of_memory && !result.truncated, "{line}");
    }
}

#[test]
fn what_cannot_be_executed_says_why() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    for (program, code, words) in [
        ("no-such-program", 127, "No such file or directory"),
        ("/no/such/program", 127, "No such file or directory"),
        ("/etc/passwd", 126, "Permission denied"),
        ("/tmp", 126, "Permission denied"),
    ] {
        let result = run(&engine, &id, program, &["x"]);
        assert_eq!(result.exit_code, code, "{program}: {result:?}");
        assert!(
            result.stderr.contains(program) && result.stderr.contains(words),
            "{program}: {}",
            result.stderr
        );
        assert_eq!(result.output, result.stderr);
    }
    sh(&engine, &id, "printf 'garbage' >g; chmod +x g");
    assert_eq!(run(&engine, &id, "/home/user/g", &[]).exit_code, 126);
}

#[test]
fn a_time_out_ends_everything_of_the_execution_and_nothing_else() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    // Unlikely numbers of seconds, to be found in the host's process table.
    sh(&engine, &id, "sleep 98761 >/dev/null 2>&1 &");
    let began = Instant::now();
    let result = try_sh(
        &engine,
        &id,
        "echo begun; setsid sleep 98762 & (setsid sh -c 'sleep 98763 & sleep 98763' &) ; trap '' TERM INT; sleep 98764; echo never",
        1,
    )
    .unwrap();
    let took = began.elapsed();
    assert!(result.timed_out);
    assert_eq!((result.exit_code, result.stdout.as_str()), (-1, "begun\n"));
    assert!((0.95..1.8).contains(&took.as_secs_f64()), "{took:?}");
    for gone in ["98762", "98763", "98764"] {
        assert_eq!(processes_with(gone), 0, "sleep {gone} lives");
    }
    assert_eq!(processes_with("98761"), 1, "an earlier execution's background process lives on");
    assert_eq!(sh(&engine, &id, "echo ok").stdout, "ok\n");
    engine.terminate_sandbox(&id, true).unwrap();
    assert_eq!(processes_with("98761"), 0);
}

#[test]
fn execute_returns_when_the_program_ends_and_leaves_the_background_alone() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    let began = Instant::now();
    // It holds both streams open and goes on writing.
    let result = sh(
        &engine,
        &id,
        "(while sleep 0.05; do echo tick; echo tock >&2; date >>beats; done) & echo started",
    );
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(result.stdout.starts_with("started\n"), "{result:?}");
    eventually(Duration::from_secs(5), "the background goes on", || {
        sh(&engine, &id, "wc -l <beats").stdout.trim().parse::<u32>().is_ok_and(|beats| beats >= 5)
    });
}

#[test]
fn streams_are_told_apart_and_put_in_order() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    let result = sh(
        &engine,
        &id,
        "echo a; sleep 0.05; echo b >&2; sleep 0.05; echo c; sleep 0.05; echo d >&2; exit 4",
    );
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("a\nc\n", "b\nd\n"));
    assert_eq!(result.output, "a\nb\nc\nd\n");
    assert_eq!((result.stdout_bytes, result.stderr_bytes, result.exit_code), (4, 4, 4));
}

#[test]
fn what_is_written_at_once_to_both_streams_keeps_its_order() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    for _ in 0..100 {
        assert_eq!(sh(&engine, &id, "echo out; echo err >&2").output, "out\nerr\n");
        assert_eq!(sh(&engine, &id, "echo err >&2; echo out").output, "err\nout\n");
    }
}

#[test]
fn nothing_written_right_before_the_end_is_lost() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    for size in [1_usize, 4_096, 60_000, 65_536, 100_000] {
        for _ in 0..10 {
            let result = sh(&engine, &id, &format!("head -c {size} /dev/zero | tr '\\0' x; echo end >&2"));
            assert_eq!((result.stdout.len(), result.stderr.as_str()), (size, "end\n"), "{size}");
        }
    }
}

#[test]
fn the_head_of_a_long_output_is_kept_and_the_rest_counted() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    let result = sh(&engine, &id, "yes 0123456789abcde | head -c 20971520; echo done >&2");
    assert!(result.truncated);
    assert_eq!(result.stdout.len(), 8 * 1024 * 1024);
    assert_eq!(result.stdout_bytes, 20 * 1024 * 1024);
    assert!(result.stdout.starts_with("0123456789abcde\n"));
    assert_eq!((result.stderr.as_str(), result.exit_code), ("done\n", 0));
}

#[test]
fn bytes_that_are_no_text_come_exactly_too() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    let result = sh(&engine, &id, "printf 'a\\377\\000b'; printf 'gr\\303\\274n' >&2");
    assert_eq!(result.stdout, "a\u{fffd}\0b");
    let exact = base64::engine::general_purpose::STANDARD.decode(result.stdout_base64.unwrap()).unwrap();
    assert_eq!(exact, b"a\xff\0b");
    assert_eq!((result.stderr.as_str(), result.stderr_base64), ("grün", None));
}

#[test]
fn without_capture_nothing_is_kept() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    let request =
        ExecuteProcess::new(&id, "echo out; echo err >&2; exit 5", None, None, Some(false)).unwrap();
    let result = engine.execute_process(&request, &CancelToken::new()).unwrap();
    assert_eq!((result.exit_code, result.stdout_bytes, result.stderr_bytes), (5, 0, 0));
    assert!(result.output.is_empty() && result.stdout.is_empty() && result.stderr.is_empty());
}

#[test]
fn long_arguments_arrive_whole_and_too_long_ones_are_a_limit() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    let long = "x".repeat(131_000);
    let args = vec![long.as_str(); 7];
    let result = run(&engine, &id, "printf", &[&["%s"], args.as_slice()].concat());
    assert_eq!(result.stdout.len(), 7 * 131_000, "{}", result.stderr);
    let over = ExecuteProcess::new(&id, "true", Some(vec!["x".repeat(131_072)]), None, None).unwrap_err();
    assert_eq!((over.code(), over.argument()), (Code::LimitExceeded, Some("args[0]")));
}

#[test]
fn a_cancelled_call_takes_everything_of_its_execution_along() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    let token = Arc::new(CancelToken::new());
    std::thread::scope(|scope| {
        let call = scope.spawn(|| {
            let line = "setsid sleep 98771 & (sleep 98772 &); trap '' TERM; sleep 98773";
            let request = ExecuteProcess::new(&id, line, None, None, None).unwrap();
            engine.execute_process(&request, &token)
        });
        eventually(Duration::from_secs(5), "the program runs", || processes_with("98773") == 1);
        let began = Instant::now();
        token.cancel();
        let error = call.join().unwrap().unwrap_err();
        assert_eq!(error.code(), Code::Cancelled, "{error}");
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    });
    for gone in ["98771", "98772", "98773"] {
        assert_eq!(processes_with(gone), 0, "sleep {gone} lives");
    }
    let before = ExecuteProcess::new(&id, "echo x >made", None, None, None).unwrap();
    assert_eq!(engine.execute_process(&before, &token).unwrap_err().code(), Code::Cancelled);
    assert_eq!(sh(&engine, &id, "test -e made").exit_code, 1, "a call cancelled before it began did nothing");
}

#[test]
fn executions_run_side_by_side() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    let began = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..20 {
            let (engine, id) = (&engine, &id);
            scope.spawn(move || {
                let result = sh(engine, id, &format!("sleep 0.5; echo {number}"));
                assert_eq!(result.stdout, format!("{number}\n"));
            });
        }
    });
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(engine.sandbox_status(&id).unwrap().metrics.executions, 20);
}
