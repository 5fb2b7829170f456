//! Times of `run_e2b_code` for each language, without the boundary to Java: `cargo bench -p e2bridge-local --bench code [-- WORD...]`,
//! where the words choose languages. Prints p10, p50, p90 and p99 in microseconds, beside the floor of one round trip between two
//! processes; needs a host that can isolate.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a program that prints what it measures")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use e2bridge_core::request::{CreateSandbox, RunCode};
use e2bridge_core::{Backend, CancelToken};
use e2bridge_local::{Config, LocalBackend};

/// A language, the template that has it, its code, how far apart its paced runs are, and how long a pool takes to be filled.
struct Case {
    language: &'static str,
    template: &'static str,
    code: &'static str,
    pace: Duration,
    refill: Duration,
}

const CASES: [Case; 3] = [
    Case {
        language: "javascript",
        template: "base",
        code: KELLY_JAVASCRIPT,
        pace: Duration::from_millis(1),
        refill: Duration::from_millis(8),
    },
    Case {
        language: "python",
        template: "python",
        code: "def kelly(p, b):\n    return p - (1 - p) / b\nfraction = kelly(0.55, 2.0)\nprint(f'{fraction:.4f}')\n\
               {'fraction': fraction, 'stake': round(fraction * 10000)}",
        pace: Duration::from_millis(2),
        refill: Duration::from_millis(60),
    },
    Case {
        language: "node",
        template: "node",
        code: KELLY_JAVASCRIPT,
        pace: Duration::from_millis(3),
        refill: Duration::from_millis(120),
    },
];

const KELLY_JAVASCRIPT: &str = "var kelly = (p, b) => p - (1 - p) / b; var fraction = kelly(0.55, 2.0); \
     console.log(fraction.toFixed(4)); ({ fraction, stake: Math.round(fraction * 10000) })";

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    floor();
    for case in CASES.iter().filter(|case| chosen.is_empty() || chosen.iter().any(|it| it == case.language)) {
        let engine = LocalBackend::open(Config::default()).expect("an engine");
        firsts(&engine, case);
        laters(&engine, case);
        cycles(case);
    }
}

/// What the kernel takes to hand a message to another process and the answer back.
fn floor() {
    let (mut near, mut far) = UnixStream::pair().expect("a socket pair");
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = far.read(&mut buffer) {
            far.write_all(&buffer[..count]).expect("write");
        }
    });
    let mut buffer = [0; 4096];
    let mut round_trip = || {
        near.write_all(&buffer[..300]).expect("write");
        assert_ne!(near.read(&mut buffer).expect("read"), 0);
    };
    measure("floor: round trip, back to back", 5_000, Duration::ZERO, &mut round_trip);
    measure("floor: round trip, 1 ms apart", 1_000, Duration::from_millis(1), &mut round_trip);
    drop(near);
    echo.join().expect("join");
}

fn firsts(engine: &LocalBackend, case: &Case) {
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..100 {
        std::thread::sleep(case.refill);
        let began = Instant::now();
        let id = create(engine, case.template);
        times.0.push(began.elapsed());
        let began = Instant::now();
        run(engine, &id, case, None);
        times.1.push(began.elapsed());
        engine.terminate_sandbox(&id, true).expect("terminate");
    }
    report(&format!("{}: create, from the pool", case.language), times.0);
    report(&format!("{}: first in a sandbox", case.language), times.1);
}

fn laters(engine: &LocalBackend, case: &Case) {
    let id = create(engine, case.template);
    let named = |what: &str| format!("{}: {what}", case.language);
    for _ in 0..50 {
        run(engine, &id, case, None);
        run(engine, &id, case, Some("warm"));
    }
    measure(&named("stateless, paced"), 1_000, case.pace, &mut || run(engine, &id, case, None));
    measure(&named("stateless, back to back"), 1_000, Duration::ZERO, &mut || run(engine, &id, case, None));
    measure(&named("in a context, paced"), 1_000, case.pace, &mut || run(engine, &id, case, Some("warm")));
    let in_context = &mut || run(engine, &id, case, Some("warm"));
    measure(&named("in a context, back to back"), 5_000, Duration::ZERO, in_context);
    engine.terminate_sandbox(&id, true).expect("terminate");
}

/// A sandbox for each run, by several callers, for some seconds.
fn cycles(case: &Case) {
    for threads in [1, 2, 4] {
        let engine = LocalBackend::open(Config::default()).expect("an engine");
        engine.terminate_sandbox(&create(&engine, case.template), true).expect("terminate");
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        let until = began + Duration::from_secs(3);
        let count: usize = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        let mut count = 0;
                        while Instant::now() < until {
                            let id = create(&engine, case.template);
                            run(&engine, &id, case, None);
                            engine.terminate_sandbox(&id, true).expect("terminate");
                            count += 1;
                        }
                        count
                    })
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().expect("join")).sum()
        });
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let rate = count as f64 / began.elapsed().as_secs_f64();
        let name = format!("{}: create + run + terminate, {threads} callers", case.language);
        println!("{name:<56} {rate:>9.0} per second");
    }
}

fn create(engine: &LocalBackend, template: &str) -> String {
    let request = CreateSandbox::new("bench", Some(template), None, None, None).expect("a request");
    engine.create_sandbox(&request, &CancelToken::new()).expect("create").sandbox_id
}

fn run(engine: &LocalBackend, id: &str, case: &Case, context: Option<&str>) {
    let language = if case.language == "node" { "javascript" } else { case.language };
    let request = RunCode::new(id, language, case.code, context, None).expect("a request");
    let result = engine.run_code(&request, &CancelToken::new()).expect("run");
    assert_eq!(result.stdout, "0.3250\n");
    assert!(result.result.as_deref().is_some_and(|text| text.contains("3250")), "{:?}", result.error);
}

fn measure(name: &str, count: usize, pace: Duration, work: &mut dyn FnMut()) {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        if !pace.is_zero() {
            std::thread::sleep(pace);
        }
        let began = Instant::now();
        work();
        times.push(began.elapsed());
    }
    report(name, times);
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    println!(
        "{name:<56} p10 {:>9.1}  p50 {:>9.1}  p90 {:>9.1}  p99 {:>9.1} us",
        at(10),
        at(50),
        at(90),
        at(99)
    );
}
