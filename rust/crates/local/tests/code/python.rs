//! CPython in `python`.

use std::collections::HashSet;

use serde_json::json;

use crate::support::Host;

/// Whether the worker is a fork of the template's zygote.
const FORKED: &str = "open('/proc/self/cmdline').read().endswith('zygote\\0')";

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

/// What code may notice of the interpreter that it is in.
const TRAITS: &str = r#"
import sys
loaded = list(sys.modules)
import ast, gc, locale, os, resource, signal, threading, time, warnings
read = lambda path: open(path).read()
status = dict(line.split(':', 1) for line in read('/proc/self/status').splitlines())
with os.popen('env') as stream:
    # Closed, it has waited for its process, which would keep the pipe open.
    printed = stream.read()
kept = ('Name', 'Umask', 'Uid', 'Gid', 'Groups', 'SigBlk', 'SigIgn', 'SigCgt', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp',
    'Seccomp_filters', 'Threads')
traits = {
    'loaded': loaded, 'path': sys.path, 'flags': str(sys.flags), 'argv': sys.argv, 'meta_path': [repr(one).split(' at ')[0] for one in sys.meta_path], 'hooks': len(sys.path_hooks),
    'executable': sys.executable, 'prefix': sys.prefix, 'names': sorted(globals()), 'builtins': sorted(vars(__builtins__)),
    'sys': sorted(one for one in vars(sys) if one != 'orig_argv'),
    'streams': [(one.encoding, one.errors, one.line_buffering, one.fileno(), one.isatty()) for one in (sys.stdin, sys.stdout, sys.stderr)],
    'environment': {name: value for name, value in os.environ.items() if name[:4] != 'E2B_' and name != 'LC_OTHER'},
    'of children': sorted(one for one in printed.splitlines() if one[:4] != 'E2B_' and one != 'LC_OTHER=1'),
    'cwd': os.getcwd(), 'umask': os.umask(0o22), 'session': os.getsid(0) == os.getpid(), 'parent': read('/proc/%d/comm' % os.getppid()),
    'open': sorted(os.listdir('/proc/self/fd')), 'status': {one: status[one].strip() for one in kept},
    'signals': [str(signal.getsignal(one)).split(' at ')[0] for one in sorted(signal.valid_signals())],
    'mask': str(signal.pthread_sigmask(signal.SIG_BLOCK, ())), 'timer': signal.getitimer(signal.ITIMER_VIRTUAL),
    'limits': {one: resource.getrlimit(getattr(resource, one)) for one in dir(resource) if one.startswith('RLIMIT_')},
    'badness': read('/proc/self/oom_score_adj'), 'dumpable': os.stat('/proc/self/mem').st_uid,
    'gc': (gc.get_threshold(), gc.isenabled()), 'recursion': sys.getrecursionlimit(), 'interval': sys.getswitchinterval(),
    'locale': locale.setlocale(locale.LC_ALL), 'zone': time.tzname, 'threads': threading.active_count(), 'filters': len(warnings.filters),
    'main': threading.current_thread().name, 'handle': __name__,
}
str(traits)
"#;

#[test]
fn a_fork_is_what_a_start_would_be() {
    let Some(host) = Host::new("python") else { return };
    assert_eq!(host.result("python", FORKED), "True");
    let variables = json!({"TZ": "Asia/Kathmandu", "A": "b c", "EMPTY": ""});
    let host = host.with_variables("python", variables.clone());
    let forked = host.result("python", TRAITS);
    assert!(forked.contains("+0545") && forked.contains("'b c'"), "{forked}");
    assert_eq!(host.result("python", FORKED), "True");
    // One of those that matter at the start.
    let mut variables = variables;
    variables["LC_OTHER"] = json!("1");
    let host = host.with_variables("python", variables);
    assert_eq!(host.result("python", FORKED), "False");
    // Line by line, to be read when they differ.
    let lines = |traits: &str| traits.replace(", '", ",\n'");
    assert_eq!(lines(&forked), lines(&host.result("python", TRAITS)));
}

#[test]
fn forks_share_no_randomness_and_no_state() {
    let Some(host) = Host::new("python") else { return };
    let draw = "import os, random, secrets, ssl, tempfile, uuid\n\
        ' '.join(map(str, (random.random(), random.SystemRandom().random(), ssl.RAND_bytes(8).hex(), secrets.token_hex(8), uuid.uuid4(), \
        next(tempfile._get_candidate_names()), os.urandom(8).hex())))";
    let mut seen = HashSet::new();
    for context in 0..8 {
        let done = host.run_in(&format!("c{context}"), "python", draw);
        let values = done.result.unwrap_or_else(|| panic!("{:?}", done.error));
        for value in values.split(' ') {
            assert!(seen.insert(value.to_owned()), "{value} twice");
        }
    }
    assert_eq!(seen.len(), 8 * 7);
    // The first code of a worker may be none.
    host.run_in("kept", "python", "");
    host.run_in("kept", "python", "y = 2");
    host.run_in("kept", "python", "");
    assert_eq!(host.run_in("kept", "python", "y").result.as_deref(), Some("2"));
    host.run_in("c0", "python", "import builtins, sys\nbuiltins.mine = sys.mine = 1");
    assert_eq!(
        host.run_in("new", "python", "import sys\nhasattr(sys, 'mine') or 'mine' in dir(__builtins__)")
            .result
            .as_deref(),
        Some("False")
    );
}

#[test]
fn what_is_installed_for_all_is_found_by_the_next_worker() {
    let Some(host) = Host::new("python") else { return };
    let place = "import site\nnext(one for one in site.getsitepackages() if one.startswith('/usr/local/'))";
    let done = host.run("python", place);
    // An interpreter of its own prefix has no such place.
    let Some(place) = done.result else { return };
    assert_eq!(host.result("python", &format!("import sys\n{place:?} in sys.path")), "False");
    host.write(&format!("{place}/installed.py"), "there = 1");
    assert_eq!(
        host.run_in("new", "python", "import installed\ninstalled.there").result.as_deref(),
        Some("1")
    );
}
