//! Times of the engine's calls, without the boundary to Java: `cargo bench -p e2bridge-local`, or, of whole lives alone, `... -- rates`,
//! of single ones with pauses, `... -- ends`, and of many sandboxes at once, `... -- growth`.
//! Prints p50, p90 and p99 in microseconds; needs a host that can isolate.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a program that prints what it measures")]

use std::time::{Duration, Instant};

use e2bridge_core::request::{CreateSandbox, ExecuteProcess, RunCode, StatusFilter, WriteFile};
use e2bridge_core::{Backend, CancelToken};
use e2bridge_local::{Config, LocalBackend};

/// The smallest static program: an ELF header, a program header, `exit(0)`.
#[rustfmt::skip]
const TINY: [u8; 129] = [
    0x7f, 0x45, 0x4c, 0x46, 0x02, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x3e, 0x00, 0x01, 0x00, 0x00, 0x00,
    0x78, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x40, 0x00, 0x38, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x81, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x81, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x31, 0xff, 0xb8, 0x3c, 0x00, 0x00, 0x00, 0x0f, 0x05,
];

fn main() {
    let pooled = LocalBackend::open(Config::default()).expect("an engine");
    if std::env::args().any(|argument| argument == "rates") {
        return rates(&pooled);
    }
    if std::env::args().any(|argument| argument == "growth") {
        return growth(pooled);
    }
    if std::env::args().any(|argument| argument == "ends") {
        return ends(&pooled);
    }
    let cold = LocalBackend::open(Config { pool_base: Some(0), ..Config::default() }).expect("an engine");
    let mut one = create(&cold);
    terminate(&cold, &one);

    one = create(&pooled);
    measure("status, sampled before", 20_000, || drop(pooled.sandbox_status(&one).expect("status")));
    let mut anew = Vec::new();
    for _ in 0..300 {
        execute(&pooled, &one, "/bin/true");
        let began = Instant::now();
        drop(pooled.sandbox_status(&one).expect("status"));
        anew.push(began.elapsed());
    }
    report("status, sampled anew", anew);
    measure("list of one", 20_000, || {
        drop(pooled.list_sandboxes(StatusFilter::parse(None).expect("a filter")).expect("list"));
    });
    measure("execute /bin/true", 1_000, || execute(&pooled, &one, "/bin/true"));
    let tiny = WriteFile::new(&one, "/home/user/tiny", &TINY).expect("a request");
    pooled.write_file(&tiny, &CancelToken::new()).expect("write");
    execute_with(&pooled, &one, "/bin/chmod", &["+x", "tiny"]);
    measure("execute a static program", 1_000, || execute(&pooled, &one, "/home/user/tiny"));
    terminate(&pooled, &one);

    let mut ids = Vec::new();
    measure("create, pool empty", 300, || ids.push(create(&cold)));
    let mut left = ids.into_iter();
    measure("terminate", 300, || terminate(&cold, &left.next().expect("one each")));

    ends(&pooled);
    rates(&pooled);
}

/// Single lives, far enough apart for the pool to be full and its interpreters at rest.
fn ends(pooled: &LocalBackend) {
    let mut times = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..300 {
        std::thread::sleep(Duration::from_millis(5));
        let began = Instant::now();
        let id = create(pooled);
        times.0.push(began.elapsed());
        let began = Instant::now();
        javascript(pooled, &id);
        times.1.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(5));
        let began = Instant::now();
        terminate(pooled, &id);
        times.2.push(began.elapsed());
    }
    report("create, from the pool, 5 ms apart", times.0);
    report("first javascript, 5 ms apart", times.1);
    report("terminate, 5 ms apart", times.2);
}

/// What calls take, and how much memory each sandbox has to itself, while more and more of them live.
fn growth(pooled: LocalBackend) {
    drop(pooled);
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).expect("descriptors");
    let engine = LocalBackend::open(Config { pool_base: Some(0), ..Config::default() }).expect("an engine");
    drop(create(&engine));
    for template in ["base", "python", "node"] {
        ready_memory(template);
    }
    let mut ids = Vec::new();
    for most in [10, 100, 500, 1_000, 1_500, 2_000] {
        ids.extend((ids.len()..most - 50.min(most)).map(|_| create(&engine)));
        measure(&format!("create, {most} live"), most - ids.len(), || ids.push(create(&engine)));
        let mut turn = ids.iter().cycle();
        measure("  status", 1_000, || {
            drop(engine.sandbox_status(turn.next().expect("one")).expect("status"));
        });
        measure("  list", 100, || {
            drop(engine.list_sandboxes(StatusFilter::parse(None).expect("a filter")).expect("list"));
        });
        let mut last: Vec<_> = (0..50).map(|_| create(&engine)).collect();
        measure("  terminate", 50, || terminate(&engine, &last.pop().expect("one each")));
        let (private, shared) = memory_of_inits();
        println!(
            "  each has {private:.0} KiB to itself, and {shared:.0} KiB with its share of what is common"
        );
    }
}

/// What sandboxes of a template take while they wait in the pool, kernel memory included.
fn ready_memory(template: &str) {
    let request = CreateSandbox::new("bench", Some(template), None, None, None).expect("a request");
    let engine = LocalBackend::open(Config::default()).expect("an engine");
    let made = |_| engine.create_sandbox(&request, &CancelToken::new()).ok();
    // The first one of a template fills its pool.
    let Some(first) = made(0) else { return println!("{template} is not to be had here") };
    let mut taken: Vec<_> = (0..10)
        .map_while(|number| {
            std::thread::sleep(Duration::from_secs(1));
            engine.sandbox_status(&made(number)?.sandbox_id).ok()?.metrics.memory_bytes
        })
        .collect();
    terminate(&engine, &first.sandbox_id);
    taken.sort_unstable();
    let median = taken.get(taken.len() / 2).map_or(f64::NAN, |bytes| *bytes as f64 / 1024.0 / 1024.0);
    println!("{:<44} {median:>9.2} MiB", format!("memory of a ready sandbox, {template}"));
}

/// Mean of the private and of the proportional memory of every init of a sandbox on this machine, KiB.
fn memory_of_inits() -> (f64, f64) {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
    let inits = processes.filter(|path| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim_end() == "e2b-init")
    });
    let (mut count, mut private, mut shared) = (0.0, 0.0, 0.0);
    for init in inits {
        let Ok(text) = std::fs::read_to_string(init.join("smaps_rollup")) else { continue };
        let sum = |names: &[&str]| -> f64 {
            let value = |line: &str| line.split_whitespace().nth(1)?.parse::<f64>().ok();
            text.lines()
                .filter(|line| names.iter().any(|name| line.starts_with(name)))
                .filter_map(value)
                .sum()
        };
        count += 1.0;
        private += sum(&["Private_Clean:", "Private_Dirty:"]);
        shared += sum(&["Pss:"]);
    }
    (private / count, shared / count)
}

/// Whole lives, as many at a time.
fn rates(pooled: &LocalBackend) {
    for threads in [1, 2, 4, 8] {
        rate(&format!("create + terminate, {threads} threads"), threads, || {
            let id = create(pooled);
            terminate(pooled, &id);
        });
    }
    for threads in [1, 2, 4, 8] {
        rate(&format!("create + javascript + terminate, {threads} threads"), threads, || {
            let id = create(pooled);
            javascript(pooled, &id);
            terminate(pooled, &id);
        });
    }
}

/// Cycles a second of several threads, and what each costs this process and everything below it.
fn rate(name: &str, threads: usize, cycle: impl Fn() + Sync) {
    const EACH: usize = 800;
    let before = group_cpu();
    let began = Instant::now();
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        let work = || {
            let timed = |_| {
                let began = Instant::now();
                cycle();
                began.elapsed()
            };
            (0..EACH / threads).map(timed).collect::<Vec<_>>()
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        times.extend(running.into_iter().flat_map(|thread| thread.join().expect("a thread")));
    });
    let (count, lasted) = (times.len() as f64, began.elapsed().as_secs_f64());
    let spent = match (before, group_cpu()) {
        (Some(before), Some(after)) => {
            format!(", {:.0} us of processor each", (after - before) / 1e3 / count)
        }
        _ => String::new(),
    };
    report(name, times);
    println!("{:<44} {:>9.0} per second{spent}", "", count / lasted);
}

/// Nanoseconds that this process's own group of cgroup v1 has used, which those of its sandboxes are below of. Work of the kernel's own
/// threads is not in it.
fn group_cpu() -> Option<f64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| {
        let (names, path) = line.split_once(':')?.1.split_once(':')?;
        names.split(',').any(|name| name == "cpuacct").then(|| path.to_owned())
    })?;
    let file = format!("/sys/fs/cgroup/cpuacct{path}/cpuacct.usage");
    std::fs::read_to_string(file).ok()?.trim().parse().ok().filter(|_| path != "/")
}

fn javascript(engine: &LocalBackend, id: &str) {
    let request =
        RunCode::new(id, "javascript", "[1, 2, 3].map(x => x * x).join()", None, None).expect("a request");
    let done = engine.run_code(&request, &CancelToken::new()).expect("run");
    assert_eq!(done.result.as_deref(), Some("1,4,9"));
}

fn create(engine: &LocalBackend) -> String {
    let request = CreateSandbox::new("bench", None, None, None, None).expect("a request");
    engine.create_sandbox(&request, &CancelToken::new()).expect("create").sandbox_id
}

fn terminate(engine: &LocalBackend, id: &str) {
    engine.terminate_sandbox(id, true).expect("terminate");
}

fn execute(engine: &LocalBackend, id: &str, program: &str) {
    execute_with(engine, id, program, &[]);
}

fn execute_with(engine: &LocalBackend, id: &str, program: &str, args: &[&str]) {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    let request = ExecuteProcess::new(id, program, Some(args), None, None).expect("a request");
    assert_eq!(engine.execute_process(&request, &CancelToken::new()).expect("execute").exit_code, 0);
}

fn measure(name: &str, count: usize, mut work: impl FnMut()) {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        work();
        times.push(began.elapsed());
    }
    report(name, times);
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    println!("{name:<44} p50 {:>9.1}  p90 {:>9.1}  p99 {:>9.1} us", at(50), at(90), at(99));
}
