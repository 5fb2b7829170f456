//! The worker program of Node.js under the real interpreter, driven over its socket.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use e2bridge_protocol::worker::WorkerRequest;
use serde_json::json;
use support::*;

/// A worker in a working directory of its own, with nothing in its environment but what a sandbox has.
struct Node {
    worker: Worker,
    directory: tempfile::TempDir,
}

impl std::ops::Deref for Node {
    type Target = Worker;
    fn deref(&self) -> &Worker {
        &self.worker
    }
}

impl std::ops::DerefMut for Node {
    fn deref_mut(&mut self) -> &mut Worker {
        &mut self.worker
    }
}

fn node() -> Node {
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("worker.js");
    std::fs::write(&program, e2bridge_worker::NODE_WORKER).expect("the program written");
    let home = directory.path().join("home");
    std::fs::create_dir(&home).expect("a home");
    let mut command = Command::new("/usr/bin/node");
    command.arg("--max-old-space-size=256").arg(&program).current_dir(&home).env_clear();
    command.env("PATH", "/usr/bin:/bin").env("HOME", &home).env("LANG", "C.UTF-8");
    Node { worker: Worker::program(&mut command), directory }
}

/// Runs the first code, then checks what the second one says in the same worker.
fn forgets(first: &str, then: &str, expected: &str) {
    let mut worker = node();
    assert_eq!(worker.result(then), expected, "in a new worker: {then}");
    let reply = worker.code(first);
    assert!(reply.error.is_none() && !reply.spent, "{first}: {reply:?}");
    assert_eq!(worker.result(then), expected, "after {first}");
}

/// The code leaves what cannot be put back: the worker says so, and leaves.
fn spends(code: &str) {
    let mut worker = node();
    let reply = worker.run(&WorkerRequest { timeout_ms: 1_000, ..request(code) });
    assert!(reply.spent, "{code}: {reply:?}");
    let Node { worker, directory } = worker;
    assert_eq!(worker.finish(), 0, "{code}");
    drop(directory);
}

#[test]
fn the_last_expression_is_the_result() {
    let mut worker = node();
    for (code, text) in [
        ("1 + 1", "2"),
        ("'a' + 'b'", "ab"),
        ("const x = 3; x * 2", "6"),
        ("[1, 'two', null, { a: new Map([[1, 2]]) }]", "[ 1, 'two', null, { a: Map(1) { 1 => 2 } } ]"),
        ("Promise.resolve(4)", "4"),
        ("await new Promise((done) => setTimeout(() => done('late'), 5))", "late"),
        ("const f = async () => { await null; return 9 }; await f()", "9"),
        ("await (async () => ({ a: [1] }))()", "{ a: [ 1 ] }"),
        ("(await Promise.all([1, 2].map(async (x) => x * 2))).join()", "2,4"),
        ("const b = await 5n; b", "5n"),
        ("await NaN", "NaN"),
        ("null", "null"),
        ("'\u{1f600}\u{20ac}\\ud800'", "\u{1f600}\u{20ac}\u{fffd}"),
        ("require('os').EOL.length", "1"),
        (
            "[Buffer.from('hi').toString('hex'), typeof URL, typeof crypto.randomUUID(), typeof process.version].join()",
            "6869,function,string,string",
        ),
        (
            "[typeof fetch, typeof global.console, globalThis === global, typeof module.exports, new TextEncoder().encode('a').length].join()",
            "undefined,object,true,object,1",
        ),
        ("structuredClone({ a: 1 }).a + performance.now() > 1", "true"),
        ("(await import('node:path')).basename('/a/b')", "b"),
        ("await require('fs').promises.readFile('/proc/self/comm', 'utf8')", "node\n"),
    ] {
        assert_eq!(worker.result(code), text, "{code}");
        if code.contains("import(") {
            worker = node();
        }
    }
    for code in ["undefined", "", "let y = 1", "// nothing", "await null; undefined", "console.log('p')"] {
        let reply = worker.code(code);
        assert_eq!((reply.result, reply.results.len(), reply.error.is_none()), (None, 0, true), "{code}");
    }
}

#[test]
fn results_have_json_where_there_is_such_a_form() {
    let mut worker = node();
    for (code, form) in [
        (
            "({ a: [1, 2.5], b: 'x\\n', c: null, d: undefined, e() {} })",
            Some(json!({"a": [1, 2.5], "b": "x\n", "c": null})),
        ),
        ("'\\ud800x'", Some(json!("\u{fffd}x"))),
        ("NaN", None),
        ("[1, Infinity]", None),
        ("[undefined]", None),
        ("5n", None),
        ("const a = []; a.push(a); a", None),
        ("let deep = 1; for (let i = 0; i < 200; i++) deep = [deep]; deep", None),
        ("'['.repeat(500)", Some(json!("[".repeat(500)))),
        ("(() => 1)", None),
        ("({ get a() { throw new Error('no') } })", None),
    ] {
        let reply = worker.code(code);
        assert!(reply.error.is_none(), "{code}: {:?}", reply.error);
        assert_eq!(reply.results.len(), 1, "{code}");
        assert!(reply.results[0].is_main_result);
        assert_eq!(json_of(&reply.results[0]), form, "{code}");
    }
    let reply = worker.code("display({ a: 1 }); display('text', 2); 3");
    let found: Vec<_> = reply.results.iter().map(|one| (one.text.as_str(), one.is_main_result)).collect();
    assert_eq!(found, [("{ a: 1 }", false), ("text", false), ("2", false), ("3", true)]);
}

#[test]
fn output_comes_before_the_reply() {
    let mut worker = node();
    let reply = worker.code(
        "console.log('a\u{20ac}', [1]); process.stdout.write('raw\\n'); console.error('err'); \
         require('child_process').execSync('echo child', { stdio: 'inherit' }); process.nextTick(() => console.log('tick')); \
         setTimeout(() => console.log('late'), 100); require('fs').readFile('/proc/self/comm', 'utf8', (e, text) => console.log(text.trim())); 1",
    );
    assert_eq!(
        (reply.stdout.as_str(), reply.stderr.as_str()),
        ("a\u{20ac} [ 1 ]\nraw\nchild\ntick\nnode\nlate\n", "err\n"),
        "{reply:?}"
    );
    let reply = worker.code("for (let i = 0; i < 5000; i++) console.log('line ' + i)");
    assert_eq!(reply.stdout.lines().count(), 5_000);
}

#[test]
fn exceptions_are_results() {
    let mut worker = node();
    let error = worker.code("function f() { throw new TypeError('why') }\n\nf()").error.unwrap();
    assert_eq!((error.name.as_str(), error.value.as_str()), ("TypeError", "why"));
    assert!(error.traceback.contains("at f (") && error.traceback.contains("code.js:1:"), "{error:?}");
    assert!(!error.traceback.contains("worker.js") && !error.traceback.contains("node:"), "{error:?}");
    let error = worker.code("let x = ;").error.unwrap();
    assert_eq!((error.name.as_str(), error.value.as_str()), ("SyntaxError", "Unexpected token ';'"));
    assert!(!error.traceback.contains("worker.js"), "{error:?}");
    for (code, value) in [
        ("throw 5", "5"),
        ("throw 'text'", "text"),
        ("throw { a: 1 }", "{ a: 1 }"),
        ("throw undefined", "undefined"),
    ] {
        let error = worker.code(code).error.unwrap();
        assert_eq!((error.name.as_str(), error.value.as_str()), ("Error", value), "{code}");
    }
    for code in [
        "await Promise.reject(new RangeError('r'))",
        "await (async () => { throw new RangeError('r') })()",
        "Promise.reject(new RangeError('r'))",
        "Promise.reject(new RangeError('r')); 1",
        "setTimeout(() => { throw new RangeError('r') }, 1); 1",
        "process.nextTick(() => { throw new RangeError('r') }); 1",
        "queueMicrotask(() => { throw new RangeError('r') }); 1",
        "require('fs').readFile('/', () => { throw new RangeError('r') }); 1",
    ] {
        let reply = worker.code(code);
        assert_eq!(reply.error.map(|error| error.name), Some("RangeError".to_owned()), "{code}");
        assert_eq!(reply.result, None, "{code}");
        assert!(!reply.spent, "{code}");
        assert_eq!(worker.result("1"), "1", "after {code}");
    }
    let error = worker.code("await new Promise(() => {})").error.unwrap();
    assert!(error.value.contains("nothing is left to settle"), "{error:?}");
    let error = worker.code("const f = () => f() + 1; f()").error.unwrap();
    assert_eq!(error.name, "RangeError");
}

#[test]
fn process_exit_ends_the_run_and_not_the_worker() {
    let mut worker = node();
    for code in [
        "process.exit(3); console.log('no')",
        "setTimeout(() => process.exit(3), 1); setInterval(() => {}, 5)",
        "await null; process.exit(3)",
        "require('process').exit(3)",
        "process.exitCode = 3; process.exit()",
        "try { process.exit(3) } catch {}",
    ] {
        let reply = worker.code(code);
        let error = reply.error.unwrap_or_else(|| panic!("{code}"));
        assert_eq!(
            (error.name.as_str(), error.value.as_str(), reply.stdout.as_str()),
            ("ProcessExit", "process exited with code 3", ""),
            "{code}"
        );
        assert!(!reply.spent, "{code}");
    }
    assert!(worker.code("process.exit()").error.is_none());
    assert_eq!(worker.result("1"), "1");
}

#[test]
fn forgets_globals() {
    forgets(
        "var a = 1; let b = 2; globalThis.c = 3; Array.prototype.map = null; JSON.stringify = null; Math.random = null; module.exports.x = 1; console.log = null",
        "[typeof a, typeof b, typeof c, typeof [].map, typeof JSON.stringify, typeof Math.random, module.exports.x, typeof console.log].join()",
        "undefined,undefined,undefined,function,function,function,,function",
    );
}

#[test]
fn forgets_the_environment() {
    forgets(
        "process.env.ADDED = '1'; process.env.HOME = '/x'; delete process.env.PATH",
        "[process.env.ADDED, process.env.PATH, require('child_process').execSync('/usr/bin/env').toString().includes('ADDED')].join()",
        ",/usr/bin:/bin,false",
    );
}

#[test]
fn forgets_the_working_directory_and_umask() {
    forgets(
        "process.chdir('/'); process.umask(0)",
        "[require('path').basename(process.cwd()), process.umask().toString(8)].join()",
        "home,22",
    );
}

#[test]
fn forgets_what_is_in_process() {
    forgets(
        "process.exit = process.chdir = null; process.extra = 1; process.exitCode = 5; process.on('SIGTERM', () => {}); process.removeAllListeners('uncaughtException'); process.argv.length",
        "[typeof process.exit, process.extra, process.exitCode, process.listenerCount('SIGTERM'), process.listenerCount('uncaughtException')].join()",
        "function,,,0,1",
    );
}

#[test]
fn forgets_modules_of_the_code() {
    let mut worker = node();
    let home = worker.directory.path().join("home");
    std::fs::write(home.join("mine.js"), "exports.state = [];").unwrap();
    assert_eq!(worker.result("const m = require('./mine'); m.state.push(1); m.state.length"), "1");
    assert_eq!(worker.result("require('./mine').state.length"), "0", "loaded anew");
    std::fs::write(home.join("mine.js"), "exports.state = 'changed';").unwrap();
    assert_eq!(worker.result("require('./mine').state"), "changed");
}

#[test]
fn what_a_run_left_pending_does_not_reach_the_next() {
    let mut worker = node();
    let reply = worker.code("setTimeout(() => console.log('leak'), 30).unref(); setInterval(() => console.log('leak'), 10).unref(); 1");
    assert!(!reply.spent, "{reply:?}");
    let reply = worker.code("await new Promise((done) => setTimeout(done, 60)); 2");
    assert_eq!((reply.stdout.as_str(), reply.result.as_deref()), ("", Some("2")));
}

#[test]
fn handles_children_and_descriptors_spend_the_worker() {
    spends("require('net').createServer().listen(0, '127.0.0.1')");
    spends("require('child_process').spawn('sleep', ['5'])");
    spends("require('child_process').spawn('sleep', ['5'], { detached: true, stdio: 'ignore' }).unref()");
    spends("new (require('worker_threads').Worker)('setInterval(() => {}, 10)', { eval: true }).unref()");
    spends("require('fs').openSync('/dev/null')");
    spends("import('node:os'); 1");
    let mut worker = node();
    let reply = worker.code(
        "require('child_process').execSync('true'); const c = require('child_process').spawn('true'); \
         await new Promise((done) => c.on('exit', done)); const fs = require('fs'); fs.closeSync(fs.openSync('/dev/null')); 1",
    );
    assert!(!reply.spent && reply.error.is_none(), "{reply:?}");
}

#[test]
fn programs_do_not_inherit_the_channel() {
    let mut worker = node();
    let reply = worker
        .code("require('child_process').execSync('test -S /proc/self/fd/3 && echo socket; true').toString()");
    assert_eq!(reply.result.as_deref(), Some(""), "{reply:?}");
}

#[test]
fn a_context_keeps_its_state() {
    let mut worker = node();
    worker.stateful("var a = 1; let b = 2; const c = { n: 3 }; function f() { return a + b + c.n }; process.env.KEPT = 'y'; process.chdir('/')");
    assert_eq!(worker.stateful("c.n++; f()").result.as_deref(), Some("7"));
    assert_eq!(worker.stateful("process.env.KEPT + process.cwd()").result.as_deref(), Some("y/"));
    assert_eq!(worker.stateful("const d = await Promise.resolve(5); d + b").result.as_deref(), Some("7"));
    assert_eq!(worker.stateful("d").result.as_deref(), Some("5"));
    assert!(worker.stateful("throw 1").error.is_some());
    assert_eq!(worker.stateful("a").result.as_deref(), Some("1"));
    let reply =
        worker.stateful("const server = require('net').createServer().listen(0, '127.0.0.1'); 'listens'");
    assert_eq!(
        (reply.result.as_deref(), reply.spent),
        (Some("listens"), false),
        "a context may keep a server"
    );
    assert_eq!(worker.stateful("server.listening").result.as_deref(), Some("true"));
    let reply = worker.stateful("setTimeout(() => console.log('waited'), 500); require('fs').readFile('/proc/self/comm', () => console.log('read')); 1");
    assert_eq!(reply.stdout, "read\nwaited\n");
}

#[test]
fn the_time_out_ends_what_waits() {
    for code in [
        "await new Promise(() => setInterval(() => {}, 10))",
        "setInterval(() => {}, 10)",
        "require('net').createServer().listen(0, '127.0.0.1'); 1",
    ] {
        let mut worker = node();
        let start = Instant::now();
        let reply = worker
            .run(&WorkerRequest { timeout_ms: 200, ..request(&format!("console.log('said'); {code}")) });
        assert!(
            reply.timed_out && reply.spent && reply.error.is_none() && reply.result.is_none(),
            "{code}: {reply:?}"
        );
        assert_eq!(reply.stdout, "said\n");
        assert!(start.elapsed() < Duration::from_secs(2), "{code}: {:?}", start.elapsed());
    }
    let mut worker = node();
    let reply = worker.run(&WorkerRequest { timeout_ms: 200, ..in_context("setInterval(() => {}, 10)") });
    assert!(reply.timed_out, "{reply:?}");
}

#[test]
fn long_results_fit_a_message() {
    let mut worker = node();
    let reply = worker.code("'\\x01'.repeat(1 << 24)");
    assert!(reply.dropped_bytes > 0 && reply.result.unwrap().len() > 1 << 20);
    let reply = worker
        .code("for (let i = 0; i < 3000; i++) display('\\x01'.repeat(1 << 16)); '\u{20ac}'.repeat(1 << 23)");
    assert!(reply.dropped_bytes > 0 && reply.result.is_some());
    let reply = worker.code("throw new Error('x'.repeat(1 << 24))");
    assert!(reply.error.unwrap().value.len() < 1 << 20);
}

#[test]
fn hostile_code_does_not_break_the_next_run() {
    let mut worker = node();
    for code in [
        "const H = Buffer.constructor('return this')(); H.JSON.stringify = H.JSON.parse = H.Buffer.from = null; require('fs').readSync = require('fs').writeSync = null; H.setTimeout = null; 1",
        "Object.defineProperty(Object.prototype, 'then', { get() { throw new Error('then') }, configurable: true }); ({ a: 1 })",
        "class E extends Error { get stack() { throw 1 } get name() { throw 2 } get message() { throw 3 } } throw new E('x')",
        "throw new Proxy(new Error('x'), { get() { throw 1 }, getPrototypeOf() { throw 2 } })",
        "const r = Proxy.revocable({}, {}); r.revoke(); throw r.proxy",
        "({ [require('util').inspect.custom]() { throw new Error('shown') } })",
        "console.log({ get x() { throw 1 } }); throw Object.create(null)",
        "Error.prepareStackTrace = () => { throw 1 }; null.x",
        "Error.stackTraceLimit = -1; null.x",
        "process.removeAllListeners(); process.emit('beforeExit'); 1",
        "process.emit('uncaughtException', 5); 1",
        "Promise.prototype.then = null; Promise.resolve(1)",
        "for (const k of Reflect.ownKeys(globalThis)) try { delete globalThis[k] } catch {} 1",
        "process.stdout.end(); 1",
        "process._tickCallback = null; process.reallyExit = null; 1",
        "clearTimeout(5); clearTimeout({}); clearInterval(null); setTimeout(() => {}, -1); 1",
        "setTimeout('code')",
        "\0",
    ] {
        let reply = worker.code(code);
        assert!(!reply.timed_out, "{code}: {reply:?}");
        if reply.spent {
            worker = node();
        }
        let reply = worker.code("console.log('ok'); [1, 2].map((x) => x + 1)");
        assert_eq!(
            (reply.result.as_deref(), reply.stdout.as_str()),
            (Some("[ 2, 3 ]"), "ok\n"),
            "after {code}: {reply:?}"
        );
    }
}

#[test]
fn a_worker_that_loses_its_channel_ends() {
    let mut worker = node();
    worker.send(&request("require('fs').closeSync(3); 5")).unwrap();
    assert!(worker.receive().is_err(), "no reply, but the end of the connection");
    let mut worker = node();
    worker.send(&request("process.kill(process.pid, 'SIGKILL')")).unwrap();
    assert!(worker.receive().is_err());
    assert_eq!(node().worker.finish(), 0);
}

#[test]
fn a_thousand_runs_do_not_grow() {
    let mut worker = node();
    let code = "globalThis.kept = Array.from({ length: 2000 }, (_, i) => ({ i, s: 'x' + i })); const c = {}; c.c = c; console.log(kept.length); kept[5]";
    for _ in 0..600 {
        worker.code(code);
    }
    let before = worker.resident();
    for _ in 0..1_000 {
        assert!(!worker.code(code).spent);
    }
    let after = worker.resident();
    println!("resident: {before} then {after} bytes");
    // Garbage waits for its collection, so that the figure goes up and down.
    assert!(after < before + (64 << 20), "{before} then {after}");
}

#[test]
fn round_trips() {
    let mut worker = node();
    let code = "let s = 0; for (let i = 0; i < 10; i++) s += i; s";
    let paced = worker.p50(&request(code), 300, Duration::from_millis(3));
    let stateless = worker.p50(&request(code), 1_000, Duration::ZERO);
    let context = worker.p50(&in_context(&code.replace("let s", "var s")), 2_000, Duration::ZERO);
    println!(
        "node p50: stateless paced 3 ms {paced:.1} us, back to back {stateless:.1} us; context {context:.1} us"
    );
    assert!(paced < 50_000.0 && stateless < 50_000.0 && context < 50_000.0);
}
