//! The worker program of CPython under the real interpreter, driven over its socket.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use e2bridge_protocol::worker::WorkerRequest;
use serde_json::json;
use support::*;

/// A worker in a working directory of its own, with nothing in its environment but what a sandbox has.
struct Python {
    worker: Worker,
    directory: tempfile::TempDir,
}

impl std::ops::Deref for Python {
    type Target = Worker;
    fn deref(&self) -> &Worker {
        &self.worker
    }
}

impl std::ops::DerefMut for Python {
    fn deref_mut(&mut self) -> &mut Worker {
        &mut self.worker
    }
}

fn python() -> Python {
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("worker.py");
    std::fs::write(&program, e2bridge_worker::PYTHON_WORKER).expect("the program written");
    let home = directory.path().join("home");
    std::fs::create_dir(&home).expect("a home");
    let mut command = Command::new("/usr/bin/python3");
    command.args(e2bridge_protocol::worker::PYTHON_OPTIONS).arg(&program).current_dir(&home).env_clear();
    command.env("PATH", "/usr/bin:/bin").env("HOME", &home).env("LANG", "C.UTF-8");
    Python { worker: Worker::program(&mut command), directory }
}

/// Runs the first code, then checks what the second one says in the same worker.
fn forgets(first: &str, then: &str, expected: &str) {
    let mut worker = python();
    assert_eq!(worker.result(then), expected, "in a new worker: {then}");
    let reply = worker.code(first);
    assert!(reply.error.is_none() && !reply.spent, "{first}: {reply:?}");
    assert_eq!(worker.result(then), expected, "after {first}");
}

/// The code leaves what cannot be put back: the worker says so, and leaves.
fn spends(code: &str) {
    let mut worker = python();
    let reply = worker.code(code);
    assert!(reply.spent, "{code}: {reply:?}");
    let Python { worker, directory } = worker;
    assert_eq!(worker.finish(), 0, "{code}");
    drop(directory);
}

#[test]
fn no_error_handler_of_one_run_sees_the_reply_of_another() {
    let mut worker = python();
    worker.code(
        "import codecs\nfor name in ('e2bridge', 'strict', 'replace', 'ignore', 'surrogateescape', 'surrogatepass', 'backslashreplace'):\n    \
         codecs.register_error(name, lambda error: ('forged', len(error.object)))",
    );
    assert_eq!(worker.result("'secret \\ud800'"), "secret \u{fffd}");
    // What the next run does itself is as in a new interpreter, too.
    let reply = worker.code("print('\\ud800')");
    assert_eq!(reply.error.map(|error| error.name).as_deref(), Some("UnicodeEncodeError"));
    // Nor is the reply of the run that replaced them for its own code to write.
    let own = worker.result(
        "import codecs\ncodecs.register_error('strict', lambda error: ('forged', len(error.object)))\n'own \\ud800'",
    );
    assert_eq!(own, "own \u{fffd}");
}

#[test]
fn the_last_expression_is_the_result() {
    let mut worker = python();
    for (code, text) in [
        ("1 + 1", "2"),
        ("'a' + 'b'", "ab"),
        ("x = 3\nx * 2", "6"),
        ("[1, 'two', None]", "[1, 'two', None]"),
        ("def f():\n    return {'a': (1,)}\n\nf()", "{'a': (1,)}"),
        ("import asyncio\nawait asyncio.sleep(0.001)\n'late'", "late"),
        ("async def g():\n    return 9\nawait g()", "9"),
        (
            "from __future__ import annotations\nclass A:\n    x: Missing\nA.__annotations__",
            "{'x': 'Missing'}",
        ),
        ("'\\u20ac\u{1f600}'", "\u{20ac}\u{1f600}"),
        ("'\\ud800'", "\u{fffd}"),
        ("__name__", "__main__"),
        ("import sys\nsys.modules['__main__'].__dict__ is globals()", "True"),
        ("class S(str):\n    __str__ = __repr__ = lambda self: 'other'\nS('own')", "own"),
    ] {
        assert_eq!(worker.result(code), text, "{code}");
    }
    for code in ["None", "", "x = 1", "# nothing", "pass", "print('p')"] {
        let reply = worker.code(code);
        assert_eq!((reply.result, reply.results.len(), reply.error.is_none()), (None, 0, true), "{code}");
    }
}

#[test]
fn results_have_json_where_there_is_such_a_form() {
    let mut worker = python();
    for (code, form) in [
        ("{'a': [1, 2.5, True, None], 3: 'x\\n'}", Some(json!({"a": [1, 2.5, true, null], "3": "x\n"}))),
        ("(1, 'b')", Some(json!([1, "b"]))),
        ("'\\ud800x'", Some(json!("\u{fffd}x"))),
        ("float('nan')", None),
        ("[1, float('inf')]", None),
        ("{1, 2}", None),
        ("a = []\na.append(a)\na", None),
        ("d = 1\nfor _ in range(200):\n    d = [d]\nd", None),
        ("'[' * 500", Some(json!("[".repeat(500)))),
        ("10 ** 30", None),
        ("['1' * 30, 123456789012345678]", Some(json!(["1".repeat(30), 123_456_789_012_345_678_i64]))),
        ("object", None),
        ("b'bytes'", None),
    ] {
        let reply = worker.code(code);
        assert!(reply.error.is_none(), "{code}: {:?}", reply.error);
        assert_eq!(reply.results.len(), 1, "{code}");
        assert!(reply.results[0].is_main_result);
        assert_eq!(json_of(&reply.results[0]), form, "{code}");
    }
    let reply = worker.code("display({'a': 1})\ndisplay('text', 2)\n3");
    let found: Vec<_> = reply.results.iter().map(|one| (one.text.as_str(), one.is_main_result)).collect();
    assert_eq!(found, [("{'a': 1}", false), ("text", false), ("2", false), ("3", true)]);
}

#[test]
fn output_comes_before_the_reply() {
    let mut worker = python();
    let reply = worker.code(
        "import os, subprocess, sys\nprint('a\u{20ac}', end='')\nsys.stdout.buffer.write(b'b\\n')\nsys.stderr.write('err')\n\
         sys.stdout.flush()\nos.write(1, b'raw\\n')\nsubprocess.run(['echo', 'child'])\nprint('end', end='')",
    );
    assert_eq!(
        (reply.stdout.as_str(), reply.stderr.as_str()),
        ("a\u{20ac}b\nraw\nchild\nend", "err"),
        "{reply:?}"
    );
    let reply = worker.code("class D:\n    def __del__(self):\n        print('gone')\nd = D()");
    assert_eq!(reply.stdout, "gone\n", "objects end with their run");
}

#[test]
fn exceptions_are_results() {
    let mut worker = python();
    let error = worker.code("def f():\n    raise ValueError('why')\n\nf()").error.unwrap();
    assert_eq!((error.name.as_str(), error.value.as_str()), ("ValueError", "why"));
    assert!(
        error.traceback.starts_with(
            "Traceback (most recent call last):\n  File \"<code>\", line 4, in <module>\n    f()\n"
        ),
        "{error:?}"
    );
    assert!(!error.traceback.contains("worker.py"), "{error:?}");
    let error = worker.code("x = = 1").error.unwrap();
    assert_eq!(error.name, "SyntaxError");
    assert!(error.traceback.contains("x = = 1") && !error.traceback.contains("worker.py"), "{error:?}");
    for (code, name, value) in [
        ("{}['k']", "KeyError", "'k'"),
        ("import sys\nsys.exit(3)", "SystemExit", "3"),
        ("raise SystemExit('bye')", "SystemExit", "bye"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
        ("def f():\n    f()\nf()", "RecursionError", "maximum recursion depth exceeded"),
        ("raise BaseException('b')", "BaseException", "b"),
        (
            "class E(Exception):\n    def __str__(self):\n        raise TypeError\nraise E",
            "E",
            "<exception str() failed>",
        ),
        ("class R:\n    def __repr__(self):\n        raise KeyError('r')\nR()", "KeyError", "'r'"),
        ("await 1", "TypeError", "object int can't be used in 'await' expression"),
        ("import nothing_such", "ModuleNotFoundError", "No module named 'nothing_such'"),
    ] {
        let error = worker.code(code).error.unwrap_or_else(|| panic!("{code}"));
        assert_eq!((error.name.as_str(), error.value.as_str()), (name, value), "{code}");
    }
    for code in ["import sys\nsys.exit()", "import sys\nsys.exit(0)"] {
        assert!(worker.code(code).error.is_none());
    }
    let reply = worker.code("raise ValueError('\\ud800' * 3)");
    assert_eq!(reply.error.unwrap().value, "\u{fffd}\u{fffd}\u{fffd}");
}

#[test]
fn forgets_names() {
    forgets(
        "x = 1\n_ = 2\ndef f(): pass",
        "sorted(name for name in globals() if not name.startswith('__'))",
        "[]",
    );
}

#[test]
fn forgets_builtins() {
    forgets(
        "import builtins\nbuiltins.len = lambda _: 5\nbuiltins.extra = 1\ndel builtins.max",
        "import builtins\n[len([1]), hasattr(builtins, 'extra'), max(1, 2)]",
        "[1, False, 2]",
    );
}

#[test]
fn forgets_the_environment() {
    forgets(
        "import os\nos.environ['ADDED'] = '1'\nos.environ['HOME'] = '/x'\ndel os.environ['PATH']",
        "import os, subprocess\n[os.environ.get('ADDED'), os.environ['PATH'], subprocess.run(['/usr/bin/env'], capture_output=True).stdout.count(b'ADDED')]",
        "[None, '/usr/bin:/bin', 0]",
    );
    forgets("import os\nos.environ = {'A': '1'}", "import os\n'PATH' in os.environ", "True");
}

#[test]
fn forgets_the_working_directory() {
    forgets("import os\nos.chdir('/')", "import os\nos.path.basename(os.getcwd())", "home");
}

#[test]
fn forgets_the_umask() {
    forgets("import os\nos.umask(0)", "import os\noct(os.umask(0o22))", "0o22");
}

#[test]
fn forgets_what_is_in_sys() {
    forgets(
        "import sys\nsys.argv.append('x')\nsys.path.append('/x')\nsys.path = []\nsys.displayhook = sys.excepthook = None\n\
         sys.setrecursionlimit(50000)\nsys.ps1 = 'x'\nsys.meta_path.clear()\nsys.setswitchinterval(1)",
        "import sys, os\n[sys.argv, '/x' in sys.path, len(sys.path) > 2, callable(sys.excepthook), sys.getrecursionlimit(), \
         hasattr(sys, 'ps1'), len(sys.meta_path) > 0, sys.getswitchinterval(), sys.path[0] == os.getcwd()]",
        "[[''], False, True, True, 1000, False, True, 0.005, True]",
    );
}

#[test]
fn forgets_tracing() {
    forgets(
        "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)",
        "import sys\n[sys.gettrace(), sys.getprofile()]",
        "[None, None]",
    );
}

#[test]
fn forgets_the_standard_streams() {
    forgets(
        "import sys, io\nsys.stdout.close()\nsys.stderr = None\nsys.stdin = io.StringIO('typed')",
        "import sys\n[sys.stdout.write(''), sys.stderr.write(''), sys.stdin.read()]",
        "[0, 0, '']",
    );
    // Also when the descriptors themselves went elsewhere.
    let mut worker = python();
    worker.code("import os\nn = os.open('/dev/null', os.O_WRONLY)\nos.dup2(n, 1)\nos.close(2)");
    let reply = worker.code("import os\nprint('out')\nos.write(2, b'err')");
    assert_eq!((reply.stdout.as_str(), reply.stderr.as_str()), ("out\n", "err"));
}

#[test]
fn forgets_descriptors() {
    forgets(
        "import os\nr, w = os.pipe()\nos.dup2(r, 200)\nopen_file = open('/dev/null')\nos.open('/', os.O_RDONLY)",
        "import os\nlen([n for n in os.listdir('/proc/self/fd') if not os.path.isdir('/proc/self/fd/' + n)])",
        // Three streams, the channel, three copies, /dev/null, and the listed directory, which is closed by then.
        "9",
    );
}

#[test]
fn forgets_signal_handlers_and_timers() {
    forgets(
        "import signal\nsignal.signal(signal.SIGTERM, lambda *a: None)\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n\
         signal.signal(signal.SIGALRM, signal.SIG_IGN)\nsignal.setitimer(signal.ITIMER_VIRTUAL, 100)\nsignal.alarm(100)\n\
         signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])",
        "import signal\n[signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, signal.getsignal(signal.SIGINT) == signal.default_int_handler, \
         signal.getitimer(signal.ITIMER_VIRTUAL)[0], signal.alarm(0) < 20, len(signal.pthread_sigmask(signal.SIG_BLOCK, []))]",
        "[True, True, 0.0, True, 0]",
    );
}

#[test]
fn forgets_exit_handlers() {
    let mut worker = python();
    worker.code("import atexit\natexit.register(print, 'leak')");
    assert_eq!(worker.result("import atexit\natexit._ncallbacks()"), "0");
}

#[test]
fn forgets_warning_filters() {
    forgets("import warnings\nwarnings.simplefilter('error')", "import warnings\nwarnings.warn('x')\n1", "1");
}

#[test]
fn forgets_modules_of_the_code() {
    let mut worker = python();
    let home = worker.directory.path().join("home");
    std::fs::write(home.join("mine.py"), "state = []\n").unwrap();
    assert_eq!(worker.result("import mine\nmine.state.append(1)\nmine.state"), "[1]");
    assert_eq!(worker.result("import mine\nmine.state"), "[]", "imported anew");
    std::fs::write(home.join("mine.py"), "state = 'changed'\n").unwrap();
    assert_eq!(worker.result("import mine\nmine.state"), "changed");
    std::fs::write(home.join("later.py"), "x = 1\n").unwrap();
    assert_eq!(worker.result("import later\nlater.x"), "1", "no stale directory listing");
    worker.code("import sys, types\nsys.modules['made'] = types.ModuleType('made')\nsys.modules['os'] = None\nsys.modules['json'] = 5");
    assert_eq!(
        worker.result(
            "import sys, os, json\n['made' in sys.modules, callable(os.getpid), callable(json.dumps)]"
        ),
        "[False, True, True]"
    );
    assert_eq!(worker.result("import decimal, sys\n'decimal' in sys.modules"), "True");
    assert_eq!(worker.result("import sys\n'decimal' in sys.modules"), "True", "library modules stay");
}

#[test]
fn random_numbers_are_seeded_anew() {
    let mut worker = python();
    worker.code("import random\nrandom.seed(1)");
    let first = worker.result("import random\nrandom.random()");
    worker.code("import random\nrandom.seed(1)");
    assert_ne!(worker.result("import random\nrandom.random()"), first);
}

#[test]
fn threads_children_and_limits_spend_the_worker() {
    spends("import threading, time\nthreading.Thread(target=time.sleep, args=(5,), daemon=True).start()");
    spends("import subprocess\nsubprocess.Popen(['sleep', '5'])");
    spends("import os, time\nif os.fork() == 0:\n    time.sleep(5)");
    spends("import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))");
    spends("import os\nos.nice(1)");
    let mut worker = python();
    let reply = worker.code("import threading, subprocess\nt = threading.Thread(target=print, args=('t',))\nt.start()\nt.join()\nsubprocess.run(['true'])\nsubprocess.Popen(['true']).wait()");
    assert!(!reply.spent && reply.error.is_none(), "{reply:?}");
}

#[test]
fn a_forked_child_ends_with_the_code() {
    let mut worker = python();
    let reply = worker.code("import os\npid = os.fork()\nif pid:\n    os.waitpid(pid, 0)\nprint('here', pid > 0, flush=True)\npid > 0");
    assert_eq!((reply.stdout.as_str(), reply.result.as_deref()), ("here False\nhere True\n", Some("True")));
    let reply = worker.code(
        "import os\npid = os.fork()\nif pid == 0:\n    raise ValueError('child')\nos.waitpid(pid, 0)[1]",
    );
    assert_eq!(reply.result.as_deref(), Some("256"));
    assert!(reply.stderr.contains("ValueError: child"), "{reply:?}");
    assert_eq!(worker.result("1"), "1");
}

#[test]
fn programs_do_not_inherit_the_channel() {
    let mut worker = python();
    assert_eq!(worker.result("import subprocess\nsubprocess.run(['ls', '/proc/self/fd'], capture_output=True, text=True, close_fds=False).stdout.split()"), "['0', '1', '2', '3']");
    // 3 is the directory being listed.
    let reply = worker.code("import os\nos.system('test -S /proc/self/fd/3 && echo socket')");
    assert_eq!(reply.stdout, "");
}

#[test]
fn a_context_keeps_its_state() {
    let mut worker = python();
    worker.stateful(
        "import os\nx = [1]\ndef f(n):\n    return x + [n]\nos.environ['KEPT'] = 'y'\nos.chdir('/')",
    );
    assert_eq!(worker.stateful("x.append(2)\nf(3)").result.as_deref(), Some("[1, 2, 3]"));
    assert_eq!(worker.stateful("os.environ['KEPT'] + os.getcwd()").result.as_deref(), Some("y/"));
    assert_eq!(worker.stateful("_ + '!'").result.as_deref(), Some("y/!"));
    let error = worker.stateful("1\nf()").error.unwrap();
    assert!(error.traceback.contains("line 2, in <module>\n    f()\n"), "{error:?}");
    worker.stateful("def bad():\n    return 1 / 0");
    let error = worker.stateful("bad()").error.unwrap();
    assert!(error.traceback.contains("    return 1 / 0\n"), "lines of earlier code: {error:?}");
    let reply = worker.stateful(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(5,), daemon=True).start()\n'kept'",
    );
    assert!(!reply.spent, "a context may keep threads");
    assert_eq!(
        worker.stateful("import asyncio\nq = asyncio.Queue()\nawait q.put(5)").error.map(|error| error.value),
        None
    );
    assert_eq!(worker.stateful("await q.get()").result.as_deref(), Some("5"), "one event loop");
}

#[test]
fn the_time_out_interrupts() {
    for code in [
        "while True: pass",
        "import time\ntime.sleep(30)",
        "while True:\n    try:\n        while True: pass\n    except BaseException:\n        if hits: raise\n        hits.append(1)",
        "import asyncio\nawait asyncio.sleep(30)",
        "class R:\n    def __repr__(self):\n        while True: pass\nR()",
        "class E(Exception): pass\ntry:\n    while True: pass\nfinally:\n    print('cleaned')",
    ] {
        let mut worker = python();
        let start = Instant::now();
        let reply = worker
            .run(&WorkerRequest { timeout_ms: 200, ..request(&format!("hits = []\nprint('said')\n{code}")) });
        assert!(
            reply.timed_out && reply.spent && reply.error.is_none() && reply.result.is_none(),
            "{code}: {reply:?}"
        );
        assert!(reply.stdout.starts_with("said\n"));
        assert!(start.elapsed() < Duration::from_secs(3), "{code}: {:?}", start.elapsed());
    }
    let mut worker = python();
    let reply = worker.run(&WorkerRequest { timeout_ms: 200, ..in_context("x = 1\nwhile True: pass") });
    assert!(reply.timed_out);
}

#[test]
fn memory_errors_are_told() {
    let mut worker = python();
    let reply = worker.code("import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 28, resource.getrlimit(resource.RLIMIT_AS)[1]))\nx = bytearray(1 << 30)");
    assert!(reply.out_of_memory && reply.spent, "{reply:?}");
    assert_eq!(reply.error.unwrap().name, "MemoryError");
}

#[test]
fn long_results_fit_a_message() {
    let mut worker = python();
    let reply = worker.code("'\\x01' * (1 << 24)");
    assert!(reply.dropped_bytes > 0 && reply.result.unwrap().len() > 1 << 20);
    let reply =
        worker.code("for _ in range(3000):\n    display('\\x01' * (1 << 16))\n'\u{20ac}' * (1 << 23)");
    assert!(reply.dropped_bytes > 0 && reply.result.is_some());
    let reply = worker.code("raise ValueError('x' * (1 << 24))");
    assert!(reply.error.unwrap().value.len() < 1 << 20);
    let reply = worker.code("list(range(3000000))");
    assert!(reply.error.is_none() && reply.result.is_some());
}

#[test]
fn hostile_code_does_not_break_the_next_run() {
    let mut worker = python();
    for code in [
        "import json, os, sys, re, traceback, linecache, ast, signal, gc\njson.dumps = json.JSONEncoder.encode = json.loads = None\n\
         traceback.format_exception = re.compile = os.read = os.write = os.getpid = ast.parse = None\nlinecache.cache = None\n[1]",
        "import builtins\nfor name in list(vars(builtins)):\n    if name not in ('__import__', '__build_class__', '__name__'):\n        delattr(builtins, name)",
        "import sys\nsys.modules.clear()",
        "import gc\ngc.disable()\ngc.set_threshold(0)",
        "globals().clear()",
        "__builtins__ = None\n1",
        "class M(type):\n    @property\n    def __name__(cls):\n        raise KeyError\nclass E(Exception, metaclass=M): pass\nraise E",
        "class L(list):\n    def __iter__(self):\n        raise KeyError\n    def __repr__(self):\n        return 'L'\nL([1])",
        "class D(dict):\n    def items(self):\n        raise KeyError\nD(a=1)",
        "class I(int):\n    def __repr__(self):\n        return 'x'\nI(5)",
        "class D:\n    def __del__(self):\n        raise ValueError('del')\nd = D()\nd.d = d",
        "import sys\nsys.stdout = sys.stderr = 5",
        "import threading\nthreading.excepthook = None\nimport sys\nsys.unraisablehook = 5",
        "import signal\nsignal.raise_signal(signal.SIGALRM)",
        "exec('x = ' + '(' * 1000 + ')' * 1000)",
        "eval('-' * 100000 + '1')",
        "compile('a\\0b', 'x', 'exec')",
        "x = []\nfor _ in range(100000):\n    x = [x]\nx",
        "raise ValueError(*range(5)) from KeyError('c')",
        "e = ValueError()\ne.__cause__ = e\nraise e",
    ] {
        let reply = worker.code(code);
        assert!(!reply.timed_out, "{code}: {reply:?}");
        if reply.spent {
            worker = python();
        }
        let reply = worker.code("import json\nprint('ok')\nsum(len(x) for x in ['a', 'bc'])");
        assert_eq!(
            (reply.result.as_deref(), reply.stdout.as_str()),
            (Some("3"), "ok\n"),
            "after {code}: {reply:?}"
        );
    }
}

#[test]
fn a_worker_that_loses_its_channel_ends() {
    let mut worker = python();
    worker.send(&request("import os\nos.close(3)\n5")).unwrap();
    assert!(worker.receive().is_err(), "no reply, but the end of the connection");
    let Python { worker, directory } = worker;
    assert_eq!(worker.finish(), 0);
    drop(directory);
    let mut worker = python();
    worker.send(&request("import os\nos._exit(7)")).unwrap();
    assert!(worker.receive().is_err());
    assert_eq!(python().worker.finish(), 0);
}

#[test]
fn a_thousand_runs_do_not_grow() {
    let mut worker = python();
    let code = "import os, json\nkept = [{'i': i, 's': 'x' + str(i)} for i in range(2000)]\nc = {}\nc['c'] = c\nf = open('/dev/null')\n\
                def g(): return kept\nclass K:\n    pass\nk = K()\nk.k = k\nprint(len(kept))\ntry:\n    1 / 0\nexcept ZeroDivisionError as e:\n    err = e\nkept[5]";
    for _ in 0..200 {
        worker.code(code);
    }
    let before = worker.resident();
    for _ in 0..1_000 {
        assert!(!worker.code(code).spent);
    }
    let after = worker.resident();
    println!("resident: {before} then {after} bytes");
    assert!(after < before + (1 << 20), "{before} then {after}");
}

#[test]
fn round_trips() {
    let mut worker = python();
    let code = "s = 0\nfor i in range(10):\n    s += i\ns";
    let paced = worker.p50(&request(code), 300, Duration::from_millis(1));
    let stateless = worker.p50(&request(code), 1_000, Duration::ZERO);
    let context = worker.p50(&in_context(code), 1_000, Duration::ZERO);
    println!(
        "python p50: stateless paced 1 ms {paced:.1} us, back to back {stateless:.1} us; context {context:.1} us"
    );
    assert!(paced < 50_000.0 && stateless < 50_000.0 && context < 50_000.0);
}

#[test]
fn the_first_exception_shows_its_lines_whatever_the_code_did_to_libraries() {
    for before in [
        "open('traceback.py', 'w').write('raise KeyError')\nopen('linecache.py', 'w').write('raise KeyError')",
        "import traceback, linecache, re\ntraceback.format_exception = linecache.getlines = re.compile = None",
        "import sys\nsys.modules.clear()\nsys.path[:] = sys.meta_path[:] = []",
        "import sys\nsys.modules = sys.path = None",
        "import builtins\nbuiltins.__build_class__ = None",
    ] {
        let mut worker = python();
        let error = worker.code(&format!("{before}\nmodules = 1\nmodules / 0")).error.expect("an error");
        assert!(error.traceback.contains("    modules / 0\n"), "{before}: {error:?}");
        assert!(error.traceback.ends_with("ZeroDivisionError: division by zero\n"), "{before}: {error:?}");
    }
    let mut worker = python();
    let modules = "import sys\nsorted(sys.modules)";
    let before = worker.result(modules);
    // Long enough for it to get ready for an exception.
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(worker.result(modules), before);
    assert!(worker.code("1 / 0").error.is_some());
    assert_eq!(worker.result(modules), before, "what shows an exception is not the code's");
}
