//! The embedded engine, driven over its socket.

mod support;

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use e2bridge_protocol::worker::{WorkerCall, WorkerRequest};
use serde_json::json;
use support::*;

const NODE: &str = "/usr/bin/node";

#[test]
fn the_last_expression_is_the_result() {
    let mut worker = Worker::javascript();
    for (code, text) in [
        ("1 + 1", "2"),
        ("'a' + 'b'", "ab"),
        ("const x = 3; x * 2", "6"),
        ("if (true) { 5 } else { 6 }", "5"),
        ("[1, 'two', null]", "[ 1, 'two', null ]"),
        ("({ a: { b: { c: { d: 1 } } } })", "{ a: { b: { c: [Object] } } }"),
        ("10n ** 20n", "100000000000000000000n"),
        ("-0", "-0"),
        ("0.1 + 0.2", "0.30000000000000004"),
        ("Promise.resolve(4)", "4"),
        ("await new Promise((done) => setTimeout(() => done('late'), 5))", "late"),
        ("const f = async () => { await null; return 9 }; await f()", "9"),
        ("null", "null"),
        ("'\u{1f600}\u{20ac}'", "\u{1f600}\u{20ac}"),
        ("'\\ud800'", "\u{fffd}"),
    ] {
        assert_eq!(worker.result(code), text, "{code}");
    }
    for code in ["undefined", "", "let y = 1", "// nothing", "await null; undefined"] {
        let reply = worker.code(code);
        assert_eq!((reply.result, reply.results.len(), reply.error.is_none()), (None, 0, true), "{code}");
    }
}

#[test]
fn results_have_json_where_there_is_such_a_form() {
    let mut worker = Worker::javascript();
    for (code, form) in [
        (
            "({ a: [1, 2.5, -0], b: 'x\\n', c: null, d: undefined, e() {} })",
            Some(json!({"a": [1, 2.5, 0], "b": "x\n", "c": null})),
        ),
        ("[true, new Date(0), new Number(3)]", Some(json!([true, "1970-01-01T00:00:00.000Z", 3]))),
        ("'\\ud800x'", Some(json!("\u{fffd}x"))),
        ("NaN", None),
        ("[1, Infinity]", None),
        ("[undefined]", None),
        ("5n", None),
        ("const a = []; a.push(a); a", None),
        ("let deep = 1; for (let i = 0; i < 5000; i++) deep = [deep]; deep", None),
        ("(() => 1)", None),
        ("new Proxy({}, { ownKeys() { throw 1 } })", None),
        ("({ get a() { throw new Error('no') } })", None),
        ("({ toJSON() { return { z: 1 } } })", Some(json!({"z": 1}))),
        ("1e21", Some(json!(1e21))),
    ] {
        let reply = worker.code(code);
        assert!(reply.error.is_none(), "{code}: {:?}", reply.error);
        assert_eq!(reply.results.len(), 1, "{code}");
        assert!(reply.results[0].is_main_result);
        assert_eq!(json_of(&reply.results[0]), form, "{code}");
        assert_eq!(Some(&reply.results[0].text), reply.result.as_ref());
    }
}

#[test]
fn display_adds_results() {
    let mut worker = Worker::javascript();
    let reply = worker.code("display({ a: 1 }); display('text', 2); 3");
    let found: Vec<_> = reply.results.iter().map(|one| (one.text.as_str(), one.is_main_result)).collect();
    assert_eq!(found, [("{ a: 1 }", false), ("text", false), ("2", false), ("3", true)]);
    assert_eq!(json_of(&reply.results[0]), Some(json!({"a": 1})));
}

#[test]
fn console_writes_to_its_streams() {
    let mut worker = Worker::javascript();
    let reply = worker.code(
        "console.log('a', 1, [1]); console.info('%s is %d%%', 'x', 5, 'rest'); console.debug({ k: 'v' }); console.error('bad');\
         console.warn(new Map([[1, 2]])); print('p'); console.group('g'); console.log('in\\nside'); console.groupEnd(); console.log();\
         console.assert(1 > 2, 'no'); console.count(); console.count(); console.log('%', '%s')",
    );
    assert_eq!(
        reply.stdout,
        "a 1 [ 1 ]\nx is 5% rest\n{ k: 'v' }\np\ng\n  in\n  side\n\ndefault: 1\ndefault: 2\n% %s\n"
    );
    assert_eq!(reply.stderr, "bad\nMap(1) { 1 => 2 }\nAssertion failed: no\n");
}

#[test]
fn values_look_as_in_node() {
    let expressions = [
        "[]",
        "{}",
        "[[[[1]]]]",
        "[,1,,,2]",
        "Array(3)",
        "new Array(5).fill(0)",
        "[1,2,3,4,5,6,7]",
        "[undefined,null]",
        "Array.from({length: 30}, (_, i) => i * 1000)",
        "Array.from({length: 101}, (_, i) => 'item ' + i)",
        "Array.from({length: 8}, (_, i) => 'x'.repeat(i * 3))",
        "[1.5, -2, 1e100, 12345678]",
        "Object.assign([1, 2], { extra: true, 'odd key': 1 })",
        "({ a: 1, 'b-c': 2, 3: 4, [Symbol('s')]: 5 })",
        "({ f() {}, g: () => 1, h: function named() {} })",
        "({ a: 'it\\'s', b: '\"', c: '`\\'\"', d: 'tab\\t\\u0001' })",
        "({ get a() { return 1 }, set b(v) {}, get c() { return 1 }, set c(v) {} })",
        "class A {}",
        "class B extends Array {}",
        "(class {})",
        "new (class Point { x = 1; y = { z: 2 } })",
        "function f() {}",
        "async function g() {}",
        "function* h() {}",
        "Object.assign(() => {}, { p: 1 })",
        "Math.max",
        "new Date(0)",
        "new Date(NaN)",
        "/a\\/b/gi",
        "new Map([['a', { b: 1 }], [{ k: 1 }, 2]])",
        "new Set([1, 'a', [2]])",
        "new Map()",
        "new Set()",
        "new WeakMap()",
        "new WeakSet()",
        "Promise.resolve({ a: 1 })",
        "new Promise(() => {})",
        "new Uint8Array([1, 2, 3])",
        "new Float64Array(2)",
        "new BigInt64Array(1)",
        "new ArrayBuffer(4)",
        "new Uint8Array(0)",
        "new Number(3)",
        "new String('abc')",
        "new Boolean(false)",
        "Object(Symbol('q'))",
        "Object(7n)",
        "Symbol('x')",
        "Symbol()",
        "Symbol.iterator",
        "null",
        "undefined",
        "true",
        "-0",
        "NaN",
        "123456789012345678901234567890n",
        "Object.create(null)",
        "Object.assign(Object.create(null), { a: 1 })",
        "(() => { const o = { a: 1 }; o.self = o; return o })()",
        "(() => { const a = [1]; a.push({ a }); return a })()",
        "new Proxy({ a: 1 }, {})",
        "new Proxy([1, 2], {})",
        "({ a: { b: { c: {} } } })",
        "({ a: { b: { c: { d: 1 } } } })",
        "({ a: [[[]]] })",
        "({ a: [[[1]]] })",
        "({ long: 'x'.repeat(90) })",
        "({ a: 'x'.repeat(30), b: 'y'.repeat(30), c: 'z'.repeat(30) })",
        "['a\\nb', 'c']",
        "'x'.repeat(10).split('')",
        "({ lines: 'first line of some length that is long\\nsecond line of some length that is long' })",
        "({ [Symbol.toStringTag]: 'Tagged', a: 1 })",
        "(function () { return arguments })(1, 2)",
        "(function* () {})()",
        "[new Date(0), /x/, null, undefined, () => {}]",
        "Object.defineProperty({}, 'hidden', { value: 1 })",
        "({ users: [{ id: 1, name: 'Ann', tags: ['a', 'b'] }, { id: 2, name: 'Bob', tags: [] }], total: 2, next: null })",
        "[[1, 2, 3], [4, 5, 6], [7, 8, 9]]",
        "Array.from({ length: 10 }, (_, i) => ({ i, sq: i * i }))",
        "Array.from({ length: 27 }, (_, i) => String.fromCharCode(97 + i % 26).repeat(i % 7 + 1))",
        "JSON",
        "[1n, 2n]",
        "new (class extends Map {})([[1, 2]])",
        "new (class Stack extends Array {})(1, 2)",
    ];
    let script = format!(
        "const {{ inspect }} = require('util'); const out = []; for (const e of {}) out.push(inspect((0, eval)('(' + e + ')'))); \
         process.stdout.write(JSON.stringify(out))",
        serde_json::to_string(&expressions[..]).unwrap()
    );
    let Ok(node) = Command::new(NODE).arg("-e").arg(script).env_remove("NODE_EXTRA_CA_CERTS").output() else {
        println!("no Node.js to compare with");
        return;
    };
    assert!(node.status.success(), "{}", String::from_utf8_lossy(&node.stderr));
    let expected: Vec<String> = serde_json::from_slice(&node.stdout).unwrap();
    let mut worker = Worker::javascript();
    let mut differences = Vec::new();
    for (expression, expected) in expressions.iter().zip(expected) {
        let reply = worker.code(&format!("console.dir(({expression}))"));
        let found = reply.stdout.trim_end_matches('\n').to_owned();
        if found != expected {
            differences
                .push(format!("{expression}\n--- node\n{expected}\n--- here\n{found}{:?}", reply.error));
        }
    }
    assert!(differences.is_empty(), "{} differ\n{}", differences.len(), differences.join("\n\n"));
}

#[test]
fn exceptions_are_results() {
    let mut worker = Worker::javascript();
    let error = worker.code("function f() { null.x }\n\nf()").error.unwrap();
    assert_eq!(error.name, "TypeError");
    assert!(error.value.contains("of null"), "{error:?}");
    assert!(
        error.traceback.starts_with("TypeError: ") && error.traceback.contains("at f (code.js:1:"),
        "{error:?}"
    );
    assert!(!error.traceback.contains("prelude"));
    let error = worker.code("let x = ;").error.unwrap();
    assert_eq!(error.name, "SyntaxError");
    assert!(error.traceback.contains("code.js:1:"), "{error:?}");
    let error =
        worker.code("class Mine extends Error { name = 'Mine' }\nthrow new Mine('why')").error.unwrap();
    assert_eq!((error.name.as_str(), error.value.as_str()), ("Mine", "why"));
    for (code, value) in [
        ("throw 5", "5"),
        ("throw 'text'", "text"),
        ("throw { a: 1 }", "{ a: 1 }"),
        ("throw undefined", "undefined"),
        ("throw null", "null"),
    ] {
        let error = worker.code(code).error.unwrap();
        assert_eq!((error.name.as_str(), error.value.as_str()), ("Error", value), "{code}");
    }
    for code in [
        "await Promise.reject(new RangeError('r'))",
        "Promise.reject(new RangeError('r'))",
        "Promise.reject(new RangeError('r')); 1",
        "setTimeout(() => { throw new RangeError('r') }, 1); 1",
        "queueMicrotask(() => { throw new RangeError('r') }); 1",
        "(async () => { throw new RangeError('r') })(); 1",
    ] {
        let reply = worker.code(code);
        assert_eq!(reply.error.map(|error| error.name), Some("RangeError".to_owned()), "{code}");
        assert_eq!(reply.result, None);
    }
    let reply = worker
        .code("console.log('before'); const p = Promise.reject(1); p.catch(() => {}); await null; 'fine'");
    assert_eq!((reply.stdout.as_str(), reply.result.as_deref()), ("before\n", Some("fine")));
    let error = worker.code("await new Promise(() => {})").error.unwrap();
    assert!(error.value.contains("nothing is left to settle"), "{error:?}");
}

#[test]
fn a_stack_overflow_is_an_exception() {
    let mut worker = Worker::javascript();
    let error = worker.code("function f() { return f() + 1 } f()").error.unwrap();
    assert_eq!(
        (error.name.as_str(), error.value.as_str()),
        ("RangeError", "Maximum call stack size exceeded")
    );
    for code in [
        "let a = []; for (let i = 0; i < 100000; i++) a = [a]; JSON.stringify(a)",
        "eval('('.repeat(100000))",
        "eval('['.repeat(1000000))",
        "new RegExp('('.repeat(100000))",
        "JSON.parse('['.repeat(1000000))",
        "let p = {}; for (let i = 0; i < 100000; i++) p = new Proxy(p, {}); p.x",
        "let o = 1; for (let i = 0; i < 100000; i++) o = { o }; structuredClone(o)",
        "const o = { toString() { return `${this}` } }; `${o}`",
    ] {
        let reply = worker.code(code);
        assert!(reply.error.is_some(), "{code}");
    }
    assert_eq!(worker.result("2 + 2"), "4");
}

#[test]
fn timers_run_until_none_is_left() {
    let mut worker = Worker::javascript();
    let reply = worker.code(
        "let n = 0; const i = setInterval((step) => { n += step; console.log(n); if (n >= 6) clearInterval(i) }, 2, 2);\
         setTimeout(() => console.log('late'), 40); setTimeout(() => console.log('never'), 5000); clearTimeout(3);\
         setImmediate(() => console.log('soon')); 'end'",
    );
    assert_eq!(reply.stdout, "soon\n2\n4\n6\nlate\n");
    assert_eq!(reply.result.as_deref(), Some("end"));
}

#[test]
fn the_time_out_cannot_be_caught() {
    for code in [
        "for (;;);",
        "try { for (;;); } catch { 'caught' } finally { for (;;); }",
        "while (true) { try { while (true); } catch {} }",
        "const again = () => Promise.resolve().then(again); again()",
        "await new Promise(() => { setInterval(() => {}, 10) })",
        "setTimeout(() => {}, 100000)",
        "/(a+)+$/.test('a'.repeat(50) + 'b')",
        "({ toString() { for (;;); } }) + ''",
        "({ toJSON() { for (;;); } })",
        "new Proxy({}, { ownKeys() { for (;;); } })",
        "throw { get name() { for (;;); }, __proto__: Error.prototype }",
        "throw Object.defineProperty(new Error, 'message', { get() { for (;;); } })",
        "console.log({ [Symbol.toPrimitive]() { for (;;); } }); [1,2].sort(() => { for (;;); })",
    ] {
        let mut worker = Worker::javascript();
        let start = Instant::now();
        let reply = worker
            .run(&WorkerRequest { timeout_ms: 200, ..request(&format!("console.log('said'); {code}")) });
        if code.starts_with("throw {") {
            // Not an error object: its properties are shown as they are stored, and none is read.
            assert!(reply.error.is_some() && !reply.timed_out, "{code}: {reply:?}");
            continue;
        }
        assert!(reply.timed_out && reply.spent, "{code}: {reply:?}");
        assert!(reply.error.is_none() && reply.result.is_none(), "{code}: {reply:?}");
        assert!(reply.stdout.starts_with("said\n"), "{code}");
        assert!(start.elapsed() < Duration::from_millis(1_500), "{code}: {:?}", start.elapsed());
        assert_eq!(worker.finish(), 0, "a spent worker leaves");
    }
}

#[test]
fn memory_has_a_limit() {
    for code in [
        "const a = []; for (;;) a.push('x'.repeat(100000) + a.length)",
        "new Array(1e9).fill({})",
        "'x'.repeat(2 ** 29)",
        "new ArrayBuffer(1e9)",
    ] {
        let mut worker = Worker::javascript();
        let reply = worker.run(&WorkerRequest { memory_bytes: Some(64 << 20), ..request(code) });
        assert!(reply.out_of_memory || reply.error.is_some(), "{code}: {reply:?}");
        assert!(!reply.timed_out, "{code}");
        if !reply.spent {
            assert_eq!(worker.result("1"), "1");
        }
    }
    let mut worker = Worker::javascript();
    let code = "const a = []; for (;;) a.push(new Array(1000).fill(0))";
    let reply = worker.run(&WorkerRequest { memory_bytes: Some(32 << 20), ..request(code) });
    assert!(reply.out_of_memory && reply.spent, "{reply:?}");
}

#[test]
fn output_is_cut_and_counted() {
    let mut worker = Worker::javascript();
    let reply = worker.run(&WorkerRequest {
        max_output_bytes: 1_000,
        ..request("for (let i = 0; i < 100; i++) console.log('x'.repeat(99)); console.error('e'); 1")
    });
    assert_eq!((reply.stdout.len(), reply.dropped_bytes, reply.stderr.as_str()), (1_000, 9_000, "e\n"));
    let reply = worker
        .code("const s = 'y'.repeat(1 << 20); for (let i = 0; i < 40; i++) console.log(s); s.repeat(20)");
    assert_eq!(reply.stdout.len() as u64, OUTPUT_LIMIT);
    assert!(reply.dropped_bytes > 30 << 20);
    assert_eq!(reply.result.unwrap().len() as u64, OUTPUT_LIMIT);
    // Control characters take six bytes each in JSON: both streams, the result and its copy must fit one message.
    let reply = worker.code("const c = '\\u0001'.repeat(1 << 23); console.log(c); console.error(c); display(c, c, c); const e = Error(c); e.stack = c; throw e");
    assert!(reply.error.is_some() && reply.dropped_bytes > 0);
}

#[test]
fn stateless_runs_share_nothing() {
    let mut worker = Worker::javascript();
    for (first, then) in [
        ("var a = 1; let b = 2; globalThis.c = 3", "[typeof a, typeof b, typeof c].join()"),
        (
            "Array.prototype.map = () => 'bad'; Object.prototype.polluted = 1",
            "[[1].map((x) => x)[0] === 1, ({}).polluted].join()",
        ),
        (
            "JSON.stringify = null; console.log = null; setTimeout = null",
            "[typeof JSON.stringify, typeof console.log, typeof setTimeout].join()",
        ),
        ("Math.random = () => 4; Promise = 1", "[Math.random() === 4, typeof Promise].join()"),
        (
            "Symbol.for('kept').x; globalThis.f = new FinalizationRegistry(() => console.log('leak')); f.register({}, 1)",
            "'quiet'",
        ),
    ] {
        worker.code(first);
        let reply = worker.code(then);
        let expected = match then {
            then if then.starts_with("[typeof a") => "undefined,undefined,undefined",
            then if then.starts_with("[[1]") => "true,",
            then if then.starts_with("[typeof JSON") => "function,function,function",
            then if then.starts_with("[Math") => "false,function",
            _ => "quiet",
        };
        assert_eq!((reply.result.as_deref(), reply.stdout.as_str()), (Some(expected), ""), "{first}");
    }
    // What a run left queued does not run in the next one.
    worker.code("const p = new Promise((_, no) => queueMicrotask(no)); queueMicrotask(() => { throw 1 }); Promise.resolve().then(() => console.log('leak'))");
    assert_eq!(worker.code("1").stdout, "");
}

#[test]
fn what_a_run_destroys_is_there_in_the_next() {
    let mut worker = Worker::javascript();
    let everything = "JSON.stringify(Object.getOwnPropertyNames(globalThis).sort().map((name) => [name, typeof globalThis[name]]))";
    let uses = "console.count(); setTimeout(() => console.log('timer'), 1); new TextDecoder().decode(new TextEncoder().encode('é')) + \
        structuredClone([e2b.env.PATH !== '', crypto.randomUUID().length, btoa('a')]) + setTimeout(() => {}, 0)";
    let fresh = worker.code(everything).result;
    let used = worker.code(uses);
    assert_eq!(used.stdout, "default: 1\ntimer\n");
    for destroyed in [
        "for (const name of Object.getOwnPropertyNames(globalThis)) delete globalThis[name]",
        "for (const one of [console, e2b, crypto, TextEncoder.prototype, TextDecoder.prototype]) \
            for (const name of Reflect.ownKeys(one)) { try { delete one[name] } catch {} }",
        "Object.setPrototypeOf(console, null); Object.freeze(e2b); Object.defineProperty(e2b, 'x', { value: 1 })",
        "const heap = []; for (let i = 0; i < 20000; i++) heap.push({ i, self: heap }); console.label = heap; console.group(); console.time()",
        "for (const set of [setTimeout, setInterval, setImmediate]) delete set.name; setTimeout = setInterval = console = e2b = null",
        "new SharedArrayBuffer(1 << 20); new ArrayBuffer(1 << 22).transfer(1 << 23); 'x'.repeat(1 << 22) + 'y'",
        "class Held extends Map {}; globalThis.held = new Held([[{}, new WeakRef({})]]); for (let i = 0; i < 99; i++) Symbol.for('s' + i)",
        "function* g() { yield 1; yield 2 }; const it = g(); it.next(); const p = new Promise(() => {}); p.then(() => it); throw p",
    ] {
        for _ in 0..20 {
            worker.code(destroyed);
        }
        assert_eq!(worker.code(everything).result, fresh, "{destroyed}");
        let again = worker.code(uses);
        assert_eq!(
            (again.result, again.stdout, again.error.is_none()),
            (used.result.clone(), used.stdout.clone(), true),
            "{destroyed}"
        );
    }
}

#[test]
fn a_context_keeps_its_state() {
    let mut worker = Worker::javascript();
    worker.stateful("var a = 1; let b = 2; const c = { n: 3 }; function f() { return a + b + c.n }");
    assert_eq!(worker.stateful("c.n++; f()").result.as_deref(), Some("7"));
    assert_eq!(worker.stateful("const d = await Promise.resolve(5); d + b").result.as_deref(), Some("7"));
    assert_eq!(worker.stateful("d").result.as_deref(), Some("5"));
    assert!(worker.stateful("throw 1").error.is_some());
    assert_eq!(worker.stateful("a").result.as_deref(), Some("1"));
    assert_eq!(worker.stateful("let s = 'x'; console.log(s)").stdout, "x\n");
    assert_eq!(worker.stateful("s").stdout, "", "what was printed is not printed again");
}

#[test]
fn a_function_is_called_with_texts() {
    let mut worker = Worker::javascript();
    let call = |function: &str, arguments: &[&str]| {
        Some(WorkerCall {
            function: function.to_owned(),
            arguments: arguments.iter().map(|one| (*one).to_owned()).collect(),
        })
    };
    let code = "function join(...parts) { return parts.join('+') } async function later(x) { await null; return x + '!' } var n = 5; function no() {}";
    let reply =
        worker.run(&WorkerRequest { call: call("join", &["a", "{\"b\":1}", "\u{20ac}"]), ..request(code) });
    assert_eq!((reply.result.as_deref(), reply.results.len()), (Some("a+{\"b\":1}+\u{20ac}"), 0));
    let reply = worker.run(&WorkerRequest { call: call("later", &["x"]), ..request(code) });
    assert_eq!(reply.result.as_deref(), Some("x!"));
    for name in ["n", "missing", "no", "__proto__"] {
        let reply = worker.run(&WorkerRequest { call: call(name, &[]), ..request(code) });
        assert_eq!(reply.error.map(|error| error.name), Some("TypeError".to_owned()), "{name}");
    }
    let reply =
        worker.run(&WorkerRequest { call: call("join", &[]), ..request("throw new RangeError('first')") });
    assert_eq!(reply.error.map(|error| error.name), Some("RangeError".to_owned()));
}

#[test]
fn hostile_code_changes_nothing_of_the_reply() {
    let mut worker = Worker::javascript();
    for code in [
        "Object.prototype.toJSON = function () { throw 1 }; Array.prototype.toJSON = () => 'x'; ({ a: 1 })",
        "Object.defineProperty(Object.prototype, 'then', { get() { throw new Error('then') } }); ({ a: 1 })",
        "Map.prototype.forEach = Set.prototype.forEach = Date.prototype.toISOString = Function.prototype.toString = null; [new Map([[1, 2]]), new Set([1]), new Date(0), () => 1]",
        "console.log({ get x() { throw 1 } }, new Proxy({}, { get() { throw 1 }, ownKeys() { throw 2 }, getPrototypeOf() { throw 3 } }))",
        "class E extends Error { get stack() { throw 1 } get name() { throw 2 } get message() { throw 3 } } throw new E('x')",
        "throw new Proxy(new Error('x'), { get() { throw 1 } })",
        "throw Object.create(null)",
        "const r = Proxy.revocable({}, {}); r.revoke(); console.log(r.proxy); throw r.proxy",
        "const r = Proxy.revocable([], {}); r.revoke(); r.proxy",
        "({ __proto__: { get constructor() { throw 1 } } })",
        "({ constructor: { name: { toString() { throw 1 } } } })",
        "({ get [Symbol.toStringTag]() { throw 1 } })",
        "Error.prepareStackTrace = () => { throw 1 }; null.x",
        "Error.prepareStackTrace = (e, frames) => frames; throw new Error('x')",
        "Error.stackTraceLimit = -1; null.x",
        "let o = {}; for (let i = 0; i < 3000; i++) o = Object.create(o); o",
        "let p = {}; for (let i = 0; i < 3000; i++) p = new Proxy(p, {}); p",
        "Object.setPrototypeOf(globalThis, new Proxy({}, { get() { throw 1 }, has() { return true } })); undefined_name",
        "const a = []; a.length = 4294967295; a[4294967294] = 1; a",
        "const t = new Uint8Array(8); const b = t.buffer; structuredClone(1); b.transfer && b.transfer(); [t, b]",
        "new Uint8Array(new ArrayBuffer(8, { maxByteLength: 16 }))",
        "crypto.getRandomValues(new Float64Array(2))",
        "crypto.getRandomValues(new Uint8Array(65537))",
        "crypto.getRandomValues({ length: 5 })",
        "console.log.call(null, Symbol('x')); console.log(...Array(10000).fill(0)); console.log.apply({}, [1n])",
        "setTimeout('code')",
        "setTimeout(() => {}, { valueOf() { throw 1 } })",
        "clearTimeout(Symbol()); clearTimeout({ valueOf() { throw 1 } }); display(Symbol(), () => 1, 1n, undefined)",
        "e2b.readTextFile()",
        "e2b.readTextFile({ toString() { throw new Error('x') } })",
        "e2b.readTextFile('a\\0b')",
        "e2b.readTextFile('/proc/self/fd/3')",
        "e2b.readTextFile('/dev/zero')",
        "e2b.readTextFile('/')",
        "e2b.writeTextFile('/proc/self/fd/3', 'x')",
        "e2b.writeTextFile('/proc/self/mem', 'x')",
        "new TextDecoder().decode(1)",
        "new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255]))",
        "structuredClone(() => 1)",
        "eval('1'.repeat(100000)); await (async () => { for await (const x of [1]) ; })()",
        "import('x')",
        "await import('/etc/passwd')",
        "globalThis.valueOf = 1; delete globalThis.console; for (const k of Reflect.ownKeys(globalThis)) try { delete globalThis[k] } catch {} this",
        "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
        "new Promise(() => { throw 1 }).then(2); queueMicrotask(1)",
        "\0",
        "{{{{{",
    ] {
        let reply = worker.code(code);
        assert!(!reply.timed_out && !reply.spent, "{code}: {reply:?}");
        assert_eq!(worker.result("[1, 2].map((x) => x + 1)"), "[ 2, 3 ]", "after {code}");
    }
    let reply = worker
        .code("Object.prototype.toJSON = () => 'x'; JSON.stringify = () => { throw 1 }; [{ a: 1 }, 'b']");
    assert_eq!(reply.result.as_deref(), Some("[ { a: 1 }, 'b' ]"));
    let reply = worker.code("Array.prototype[Symbol.iterator] = Array.prototype.join = String.prototype.replace = null; JSON.stringify = null; [1, { b: [2] }]");
    assert_eq!(json_of(&reply.results[0]), Some(json!([1, {"b": [2]}])));
}

#[test]
fn the_other_globals_work() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.txt");
    let path = path.to_str().unwrap();
    let mut worker = Worker::javascript();
    for (code, text) in [
        ("new TextDecoder().decode(new TextEncoder().encode('h\u{e9}\u{20ac}'))", "h\u{e9}\u{20ac}"),
        ("new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 97, 255]))", "a\u{fffd}"),
        ("new TextEncoder().encodeInto('a\u{20ac}', new Uint8Array(3)).written", "1"),
        ("btoa('abc') + atob('eHl6')", "YWJjxyz"),
        (
            "const a = { m: new Map([[1, new Set([2])]]), d: new Date(5), s: 'x', b: new Uint8Array([1, 2]) }; a.self = a; const c = structuredClone(a); [c !== a, c.self === c, c.m.get(1).has(2), c.d.getTime(), c.b[1]].join()",
            "true,true,true,5,2",
        ),
        ("typeof performance.now()", "number"),
        (
            "/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID())",
            "true",
        ),
        ("const r = crypto.getRandomValues(new Uint8Array(64)); new Set(r).size > 20", "true"),
        (
            "const x = Array.from({ length: 1000 }, Math.random); x.every((v) => v >= 0 && v < 1) && new Set(x).size > 990 && Math.abs(x.reduce((a, b) => a + b) / 1000 - 0.5) < 0.1",
            "true",
        ),
        (
            "const order = []; queueMicrotask(() => order.push(2)); order.push(1); await null; await null; order.join()",
            "1,2",
        ),
        ("new Date(0).toISOString() + Intl", "x"),
    ] {
        if code.contains("Intl") {
            assert_eq!(worker.code(code).error.unwrap().name, "ReferenceError");
            continue;
        }
        assert_eq!(worker.result(code), text, "{code}");
    }
    assert_eq!(worker.result(&format!("e2b.writeTextFile('{path}', 'long text'); e2b.writeTextFile('{path}', 's\u{e9}'); e2b.readTextFile('{path}')")), "s\u{e9}");
    assert_eq!(
        worker.result(&format!("e2b.listDirectory('{}').join()", directory.path().display())),
        "file.txt"
    );
    let error = worker.code("e2b.readTextFile('/no/such')").error.unwrap();
    assert_eq!(error.value, "ENOENT: no such file or directory, open '/no/such'");
    assert_eq!(worker.result("try { e2b.readTextFile('/no/such') } catch (e) { e.code }"), "ENOENT");
    assert_eq!(worker.result("typeof e2b.env.PATH"), "string");
}

#[test]
fn clones_of_one_process_do_not_share_random_numbers() {
    let mut seen = std::collections::HashSet::new();
    for mut worker in Worker::warm_javascript(40) {
        assert!(seen.insert(worker.result("Math.random() + ' ' + crypto.randomUUID()")), "a repeated number");
        let first = worker.result("Math.random()");
        assert_ne!(first, worker.result("Math.random()"));
        assert_eq!(worker.finish(), 0);
    }
    let numbers: std::collections::HashSet<_> = seen.iter().map(|one| one.split(' ').next()).collect();
    assert_eq!(numbers.len(), 40);
}

#[test]
fn a_thousand_runs_do_not_grow() {
    let mut worker = Worker::javascript();
    let code = "globalThis.kept = Array.from({ length: 2000 }, (_, i) => ({ i, s: 'x' + i })); const c = {}; c.c = c; console.log(kept.length); await null; kept[5]";
    for _ in 0..200 {
        worker.code(code);
    }
    let before = worker.resident();
    for _ in 0..1_000 {
        worker.code(code);
    }
    let after = worker.resident();
    println!("resident: {before} then {after} bytes");
    assert!(after < before + (1 << 20), "{before} then {after}");
}

#[test]
fn bad_messages_end_the_worker() {
    let mut worker = Worker::javascript();
    worker.socket.write_all(b"\x03\0\0\0{}x").unwrap();
    assert!(worker.receive().is_err());
    assert_eq!(worker.finish(), 0);
    let mut worker = Worker::javascript();
    worker.socket.write_all(b"\xff\xff\xff\xff").unwrap();
    assert!(worker.receive().is_err());
    assert_eq!(worker.finish(), 0);
    let worker = Worker::javascript();
    assert_eq!(worker.finish(), 0, "the end of the channel is the end of the worker");
}

#[test]
fn round_trips() {
    let mut worker = Worker::javascript();
    let code = "let s = 0; for (let i = 0; i < 10; i++) s += i; s";
    let paced = worker.p50(&request(code), 300, Duration::from_millis(1));
    let stateless = worker.p50(&request(code), 2_000, Duration::ZERO);
    let context = worker.p50(&in_context(&code.replace("let s", "var s")), 2_000, Duration::ZERO);
    println!(
        "javascript p50: stateless paced 1 ms {paced:.1} us, back to back {stateless:.1} us; context {context:.1} us"
    );
    assert!(paced < 20_000.0 && stateless < 20_000.0 && context < 20_000.0);
}
