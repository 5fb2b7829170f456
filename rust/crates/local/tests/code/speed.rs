//! Prints how long runs take, from the library's call to its answer. The bounds are loose: they catch a warm interpreter that is
//! started anew each time, not a busy machine.

use std::time::{Duration, Instant};

use e2bridge_core::request::{CreateSandbox, RunCode};
use e2bridge_core::{Backend, CancelToken};
use e2bridge_local::{Config, LocalBackend};

use crate::support::Host;

fn p50(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

#[test]
fn warm_runs() {
    for (template, language, code, pause) in [
        ("base", "javascript", "var s = 0; for (let i = 0; i < 10; i++) s += i; s", 1),
        ("python", "python", "s = 0\nfor i in range(10):\n    s += i\ns", 1),
        ("node", "javascript", "var s = 0; for (let i = 0; i < 10; i++) s += i; s", 3),
    ] {
        let Some(host) = Host::new(template) else { continue };
        let began = Instant::now();
        host.result(language, code);
        let first = began.elapsed();
        let time = |context: Option<&str>, pause| {
            let mut times = Vec::new();
            for _ in 0..300 {
                std::thread::sleep(Duration::from_millis(pause));
                let began = Instant::now();
                let done = host.try_run(language, code, context, None).expect("a run");
                times.push(began.elapsed());
                assert_eq!(done.result.as_deref(), Some("45"));
            }
            p50(times)
        };
        let (stateless, context) = (time(None, pause), time(Some("c"), 0));
        println!(
            "{template}: first {:.0} us; p50 stateless, paced {pause} ms {stateless:.1} us; in a context {context:.1} us",
            first.as_secs_f64() * 1e6
        );
        assert!(stateless < 10_000.0 && context < 10_000.0, "{stateless} {context}");
    }
}

#[test]
fn first_runs_from_the_pool() {
    for (template, language, rounds, pause) in
        [("base", "javascript", 60, 20), ("python", "python", 10, 150), ("node", "javascript", 10, 300)]
    {
        if Host::new(template).is_none() {
            continue;
        }
        let backend = LocalBackend::open(Config::default()).expect("an engine");
        let token = CancelToken::new();
        let mut times = Vec::new();
        for round in 0..rounds + 5 {
            let request = CreateSandbox::new("first", Some(template), None, None, None).expect("a request");
            let id = backend.create_sandbox(&request, &token).expect("a sandbox").sandbox_id;
            let request = RunCode::new(&id, language, "1 + 1", None, None).expect("a request");
            let began = Instant::now();
            let done = backend.run_code(&request, &token).expect("a run");
            // The first sandboxes come before there is a pool.
            if round >= 5 {
                times.push(began.elapsed());
            }
            assert_eq!(done.result.as_deref(), Some("2"));
            backend.terminate_sandbox(&id, true).expect("ended");
            std::thread::sleep(Duration::from_millis(pause));
        }
        let first = p50(times);
        println!("{template}: p50 of the first run in a sandbox of the pool {first:.1} us");
        assert!(first < 100_000.0, "{first}");
    }
}
