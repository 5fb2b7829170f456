//! CPython in `python`.

use crate::support::Host;

#[test]
fn results_output_and_errors_arrive() {
    let Some(host) = Host::new("python") else { return };
    let done = host.run("python", "import sys\nprint('out')\nsys.stderr.write('err')\n{'a': [1, 2]}");
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "err"), "{done:?}");
    assert_eq!(done.result.as_deref(), Some("{'a': [1, 2]}"));
    let json = done.results[0].json.as_ref().expect("JSON").get();
    assert_eq!(serde_json::from_str::<serde_json::Value>(json).unwrap(), serde_json::json!({"a": [1, 2]}));
    let error = host.run("py", "1 / 0").error.expect("an error");
    assert_eq!((error.name.as_str(), error.value.as_str()), ("ZeroDivisionError", "division by zero"));
    assert!(
        error.traceback.contains("File \"<code>\", line 1") && !error.traceback.contains("e2bridge"),
        "{error:?}"
    );
    assert_eq!(
        host.result("python", "import os\nos.getcwd() + ' ' + os.environ['HOME'] + ' ' + str(os.getuid())"),
        "/home/user /home/user 1000"
    );
    let compiled =
        "import importlib.util as it\nopen('/etc/e2bridge/python.py', 'rb').read(4) == it.MAGIC_NUMBER";
    assert_eq!(
        host.result("python", compiled),
        "True",
        "the interpreter does not compile its worker at each start"
    );
    host.write("/home/user/mine.py", "x = 5");
    assert_eq!(host.result("python", "import mine\nmine.x"), "5");
}

#[test]
fn stateless_runs_share_nothing_and_contexts_keep_theirs() {
    let Some(host) = Host::new("python") else { return };
    host.run(
        "python",
        "import os, builtins\nx = 1\nos.environ['A'] = 'b'\nos.chdir('/')\nbuiltins.len = None",
    );
    assert_eq!(
        host.result("python", "import os\n['x' in globals(), 'A' in os.environ, os.getcwd(), len('ab')]"),
        "[False, False, '/home/user', 2]"
    );
    host.run_in("c", "python", "x = [1]");
    assert_eq!(host.run_in("c", "python", "x.append(2)\nx").result.as_deref(), Some("[1, 2]"));
    let done = host.try_run("python", "while True: pass", Some("c"), Some(1)).expect("a result");
    assert!(done.timed_out && done.error.is_none(), "{done:?}");
    assert_eq!(host.run_in("c", "python", "'x' in globals()").result.as_deref(), Some("False"));
}

#[test]
fn what_a_run_leaves_behind_costs_its_worker_and_not_the_next_run() {
    let Some(host) = Host::new("python") else { return };
    let done = host.run("python", "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n'left'");
    assert_eq!(done.result.as_deref(), Some("left"), "{done:?}");
    assert_eq!(host.result("python", "import threading\nthreading.active_count()"), "1");
    let done = host.run("python", "import os\nos._exit(5)");
    let error = done.error.expect("an error");
    assert!(error.value.contains("exit status 5"), "{error:?}");
    assert_eq!(host.result("python", "1 + 1"), "2");
}

#[test]
fn code_that_disturbs_the_channel_is_an_error() {
    let Some(host) = Host::new("python") else { return };
    for code in [
        "import os\nos.close(3)",
        "import os\nos.write(3, b'\\xff\\xff\\xff\\xff')",
        "import os\nos.write(3, b'\\x02\\x00\\x00\\x00[]')",
        "import os\nos.write(3, b'\\x04\\x00\\x00\\x00nope')",
    ] {
        let done = host.run("python", code);
        assert!(done.error.is_some(), "{code}: {done:?}");
        assert_eq!(host.result("python", "7"), "7", "after {code}");
    }
}
