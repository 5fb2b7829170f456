//! The shell, in every template.

use crate::support::Host;

#[test]
fn without_a_context_it_is_a_process() {
    let Some(host) = Host::new("base") else { return };
    let done = host.run("shell", "x=5; echo out; echo err >&2; (exit 3)");
    assert_eq!((done.stdout.as_str(), done.stderr.as_str(), done.result), ("out\n", "err\n", None));
    let error = done.error.expect("an error");
    assert_eq!((error.name.as_str(), error.value.as_str()), ("ExitStatus", "exit status 3"));
    assert!(host.run("sh", "true").error.is_none());
    let done = host.try_run("bash", "echo said; sleep 30", None, Some(1)).expect("a result");
    assert!(done.timed_out && done.error.is_none() && done.stdout == "said\n", "{done:?}");
}

#[test]
fn a_context_keeps_variables_functions_and_the_directory() {
    let Some(host) = Host::new("base") else { return };
    let run = |code: &str| host.run_in("c", "shell", code);
    assert!(run("x='a  b'; f() { echo \"f: $1 $x\"; }; cd /data").error.is_none());
    let done = run("f 'it'\\''s'; pwd\ncat <<END\nhere $x\nEND");
    assert_eq!((done.stdout.as_str(), done.error), ("f: it's a  b\n/data\nhere a  b\n", None));
    for (code, status) in [("false", "1"), ("nosuch", "127"), ("if then", "2"), ("(exit 42)", "42")] {
        let error = run(code).error.unwrap_or_else(|| panic!("{code}"));
        assert_eq!(
            (error.name.as_str(), error.value),
            ("ExitStatus", format!("exit status {status}")),
            "{code}"
        );
    }
    // Every byte that UTF-8 can have behind its first.
    let text: String = ('\u{80}'..'\u{a00}').collect();
    assert_eq!(run(&format!("printf %s '{text}'")).stdout, text);
    assert_eq!(
        run("ls /proc/self/fd | wc -l").stdout.trim(),
        "4",
        "no descriptor of the worker but that of ls itself"
    );
    assert_eq!(run("read line; echo \"[$line]\"").stdout, "[]\n");
    assert_eq!(run("sleep 60 & echo started").stdout, "started\n");
    assert_eq!(run("echo \"$x\"").stdout, "a  b\n", "the state is still there");
    let error = run("exit 4").error.expect("an error");
    assert!(error.value.contains("exit status 4"), "{error:?}");
    assert_eq!(run("echo \"[$x]\"").stdout, "[]\n", "left, it starts afresh");
    let done = host.try_run("shell", "x=1; sleep 30", Some("c"), Some(1)).expect("a result");
    assert!(done.timed_out, "{done:?}");
    assert_eq!(run("echo \"[$x]\"").stdout, "[]\n");
}
