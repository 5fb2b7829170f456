//! The embedded engine of `base`.

use crate::support::Host;

#[test]
fn results_output_and_errors_arrive() {
    let Some(host) = Host::new("base") else { return };
    let done = host.run("javascript", "console.log('out'); console.error('err'); ({ a: [1, 2] })");
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(done.result.as_deref(), Some("{ a: [ 1, 2 ] }"));
    let json = done.results[0].json.as_ref().expect("JSON").get();
    assert_eq!(serde_json::from_str::<serde_json::Value>(json).unwrap(), serde_json::json!({"a": [1, 2]}));
    assert!(
        done.execution_id.starts_with("exec_")
            && done.sandbox_id == host.sandbox
            && done.language == "javascript"
    );
    assert!(done.duration_ms > 0.0 && done.context.is_none() && !done.truncated);
    let error = host.run("js", "null.x").error.expect("an error");
    assert_eq!(error.name, "TypeError");
    assert_eq!(host.result("javascript", "e2b.env.E2B_SANDBOX_ID"), host.sandbox);
    assert_eq!(
        host.result("javascript", "Object.keys(e2b.env).sort().join()"),
        "E2B_SANDBOX,E2B_SANDBOX_ID,HOME,LANG,LOGNAME,PATH,SHELL,USER"
    );
    host.write("/data/x.txt", "from outside");
    assert_eq!(host.result("javascript", "e2b.readTextFile('/data/x.txt')"), "from outside");
    assert_eq!(
        host.result("javascript", "e2b.writeTextFile('y.txt', 'in'); e2b.listDirectory('/home/user').join()"),
        "y.txt"
    );
}

#[test]
fn stateless_runs_share_nothing_and_contexts_keep_theirs() {
    let Some(host) = Host::new("base") else { return };
    host.run("javascript", "var a = 1; Array.prototype.map = null");
    assert_eq!(host.result("javascript", "typeof a + typeof [].map"), "undefinedfunction");
    host.run_in("one", "javascript", "var n = 1");
    host.run_in("two", "javascript", "var n = 10");
    assert_eq!(host.run_in("one", "javascript", "++n").result.as_deref(), Some("2"));
    assert_eq!(host.run_in("two", "javascript", "++n").result.as_deref(), Some("11"));
}

#[test]
fn a_time_out_loses_the_context_and_nothing_else() {
    let Some(host) = Host::new("base") else { return };
    host.run_in("c", "javascript", "var n = 1");
    let done =
        host.try_run("javascript", "console.log('said'); for (;;);", Some("c"), Some(1)).expect("a result");
    assert!(done.timed_out && done.error.is_none() && done.stdout == "said\n", "{done:?}");
    assert_eq!(host.run_in("c", "javascript", "typeof n").result.as_deref(), Some("undefined"));
    let done = host.try_run("javascript", "for (;;);", None, Some(1)).expect("a result");
    assert!(done.timed_out);
    assert_eq!(host.result("javascript", "1 + 1"), "2");
}

#[test]
fn sandboxes_do_not_share_random_numbers() {
    let Some(host) = Host::new("base") else { return };
    let mut seen = std::collections::HashSet::new();
    for _ in 0..8 {
        let request =
            e2bridge_core::request::CreateSandbox::new("r", None, None, None, None).expect("a request");
        let token = e2bridge_core::CancelToken::new();
        let id = e2bridge_core::Backend::create_sandbox(&host.backend, &request, &token)
            .expect("a sandbox")
            .sandbox_id;
        let request = e2bridge_core::request::RunCode::new(
            &id,
            "js",
            "Math.random() + crypto.randomUUID()",
            None,
            None,
        );
        let done = e2bridge_core::Backend::run_code(&host.backend, &request.expect("a request"), &token)
            .expect("a run");
        assert!(seen.insert(done.result.expect("a number")));
    }
}
