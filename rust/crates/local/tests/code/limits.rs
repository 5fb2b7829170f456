//! What a run may not exceed, and what refuses it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2bridge_core::document::SandboxState;
use e2bridge_core::request::RunCode;
use e2bridge_core::{Backend, CancelToken, Code};

use crate::support::Host;

#[test]
fn a_language_that_the_template_lacks_is_refused() {
    let Some(host) = Host::new("base") else { return };
    let error = host.try_run("python", "1", None, None).expect_err("no Python in base");
    assert_eq!((error.code(), error.argument()), (Code::Unsupported, Some("language")));
    assert!(error.message().contains("templates that have it: python"), "{error}");
}

#[test]
fn contexts_are_bounded() {
    let Some(host) = Host::new("base") else { return };
    for index in 0..16 {
        host.run_in(&format!("c{index}"), "javascript", "1");
    }
    let error = host.try_run("javascript", "1", Some("c16"), None).expect_err("one too many");
    assert_eq!((error.code(), error.argument()), (Code::LimitExceeded, Some("context")));
    assert_eq!(host.run_in("c3", "javascript", "2").result.as_deref(), Some("2"));
    assert_eq!(host.result("javascript", "3"), "3", "stateless runs need none");
}

#[test]
fn output_is_bounded() {
    let Some(host) = Host::new("base") else { return };
    let done =
        host.run("javascript", "const s = 'x'.repeat(1 << 20); for (let i = 0; i < 20; i++) console.log(s)");
    assert!(done.truncated && done.stdout.len() == 8 << 20, "{}", done.stdout.len());
    let done = host.run("shell", "head -c 20000000 /dev/zero; printf '\\377' >&2");
    assert!(done.truncated && done.stdout.len() == 8 << 20);
    assert_eq!(done.stderr, "\u{fffd}");
}

#[test]
fn memory_is_bounded_in_every_language() {
    for (template, language, code) in [
        ("base", "javascript", "const a = []; for (;;) a.push(new Array(10000).fill(a.length))"),
        ("python", "python", "a = []\nwhile True:\n    a.append(bytearray(1 << 20))"),
        ("node", "javascript", "const a = []; for (;;) a.push(new Array(10000).fill(a.length + 0.5))"),
        ("node", "javascript", "const a = []; for (;;) a.push(Buffer.alloc(1 << 20, 1))"),
    ] {
        let Some(host) = Host::with_memory(template, Some(128)) else { continue };
        let done = host.run(language, code);
        assert!(done.out_of_memory && !done.timed_out, "{template} {code}: {done:?}");
        assert_eq!(host.state(), SandboxState::Running, "{template}");
        assert_eq!(host.result(language, "1 + 1"), "2", "{template}: the next run has a new worker");
    }
}

#[test]
fn memory_of_the_kernel_counts_and_is_said_to_have_run_out() {
    // Pipes and sockets belong to no program, so that ending programs may not help: then the sandbox ends, and the call says why.
    let fill = "import os, socket\n\
        held = []\n\
        for i in range(8):\n\
        \u{20}   if os.fork() == 0: break\n\
        try:\n\
        \u{20}   for i in range(1500):\n\
        \u{20}       r, w = os.pipe(); held.append((r, w)); os.set_blocking(w, False)\n\
        \u{20}       try:\n\
        \u{20}           while True: os.write(w, bytes(65536))\n\
        \u{20}       except BlockingIOError: pass\n\
        except OSError: pass\n\
        import time; time.sleep(2)";
    let Some(host) = Host::with_memory("python", Some(64)) else { return };
    let by_group =
        host.backend.sandbox_status(&host.sandbox).expect("a status").isolation.memory.starts_with("cgroup");
    let done = host.run("python", fill);
    // Without a group they are bounded by the number of descriptors.
    assert_eq!(done.out_of_memory, by_group, "{done:?}");
    // What it started ends a little later, and fills the memory until then.
    std::thread::sleep(Duration::from_secs(4));
    if host.state() == SandboxState::Running {
        assert_eq!(host.result("python", "1 + 1"), "2");
    } else {
        let error = host.try_run("python", "1", None, None).expect_err("it has ended");
        assert_eq!(
            error.context().get("status").and_then(|status| status.as_str()),
            Some("failed"),
            "{error}"
        );
        let said = || host.backend.sandbox_status(&host.sandbox).expect("it is remembered").reason;
        let began = Instant::now();
        while !said().is_some_and(|reason| reason.contains("memory was full")) {
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_cancelled_run_ends_at_once() {
    let Some(host) = Host::new("base") else { return };
    host.run_in("c", "javascript", "var n = 1");
    for (language, code, context) in [
        ("javascript", "for (;;);", None),
        ("javascript", "for (;;);", Some("c")),
        ("shell", "sleep 60", Some("s")),
    ] {
        let token = Arc::new(CancelToken::new());
        let later = Arc::clone(&token);
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            later.cancel();
        });
        let began = Instant::now();
        let request = RunCode::new(&host.sandbox, language, code, context, Some(30)).expect("a request");
        let error = host.backend.run_code(&request, &token).expect_err("cancelled");
        assert_eq!(error.code(), Code::Cancelled);
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        thread.join().expect("the thread");
    }
    assert_eq!(host.run_in("c", "javascript", "typeof n").result.as_deref(), Some("undefined"));
}

#[test]
fn runs_go_on_side_by_side() {
    let Some(host) = Host::new("base") else { return };
    let host = &host;
    std::thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || {
                for round in 0..20 {
                    assert_eq!(
                        host.result("javascript", &format!("{number} * 100 + {round}")),
                        (number * 100 + round).to_string()
                    );
                }
            });
        }
        // One context serves one call at a time.
        for _ in 0..4 {
            scope.spawn(move || {
                for _ in 0..20 {
                    host.run_in("shared", "javascript", "var n = (globalThis.n ?? 0) + 1");
                }
            });
        }
    });
    assert_eq!(host.run_in("shared", "javascript", "n").result.as_deref(), Some("80"));
}

#[test]
fn a_sandbox_that_ended_runs_nothing() {
    let Some(host) = Host::new("base") else { return };
    host.run("javascript", "1");
    host.backend.terminate_sandbox(&host.sandbox, true).expect("ended");
    let error = host.try_run("javascript", "1", None, None).expect_err("ended");
    assert_eq!(error.code(), Code::NotFound);
}
