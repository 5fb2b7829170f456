//! Node.js in `node`.

use crate::support::Host;

#[test]
fn results_output_and_errors_arrive() {
    let Some(host) = Host::new("node") else { return };
    let done = host.run("javascript", "console.log('out'); console.error('err'); ({ a: [1, 2] })");
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "err\n"), "{done:?}");
    assert_eq!(done.result.as_deref(), Some("{ a: [ 1, 2 ] }"));
    let error = host.run("js", "function f() { throw new RangeError('why') }\nf()").error.expect("an error");
    assert_eq!((error.name.as_str(), error.value.as_str()), ("RangeError", "why"));
    assert!(!error.traceback.contains("e2bridge"), "{error:?}");
    assert_eq!(
        host.result(
            "javascript",
            "[process.cwd(), process.env.HOME, require('os').userInfo().username].join()"
        ),
        "/home/user,/home/user,user"
    );
    assert_eq!(host.result("javascript", "await new Promise((done) => setTimeout(() => done(3), 5))"), "3");
    host.write("/home/user/mine.js", "exports.x = 5");
    assert_eq!(host.result("javascript", "require('./mine').x"), "5");
    // Where the memory limit comes from.
    let limit: f64 = host
        .result("javascript", "require('v8').getHeapStatistics().heap_size_limit")
        .parse()
        .expect("a number");
    assert!((300e6..500e6).contains(&limit), "{limit}");
}

#[test]
fn contexts_and_time_outs() {
    let Some(host) = Host::new("node") else { return };
    host.run("javascript", "var a = 1; process.env.A = 'b'; process.chdir('/')");
    assert_eq!(
        host.result("javascript", "[typeof a, process.env.A, process.cwd()].join()"),
        "undefined,,/home/user"
    );
    host.run_in("c", "javascript", "var n = 1; const k = await Promise.resolve(5)");
    assert_eq!(host.run_in("c", "javascript", "n + k").result.as_deref(), Some("6"));
    for code in ["console.log('said'); for (;;);", "console.log('said'); setInterval(() => {}, 10)"] {
        let done = host.try_run("javascript", code, None, Some(1)).expect("a result");
        assert!(done.timed_out && done.error.is_none() && done.stdout == "said\n", "{code}: {done:?}");
        assert!((900.0..2_500.0).contains(&done.duration_ms), "{code}: {} ms", done.duration_ms);
    }
    assert_eq!(host.result("javascript", "1 + 1"), "2");
    let error = host.run("javascript", "process.exit(3)").error.expect("an error");
    assert_eq!(error.name, "ProcessExit");
}
