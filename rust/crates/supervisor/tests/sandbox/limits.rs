//! Memory, processes, processors: bounded by the mechanism that the posture names.

use std::fs;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use e2bridge_protocol::init::{Exit, InitEvent, InitRequest, Program, Spawn};
use e2bridge_protocol::socket;
use e2bridge_protocol::supervisor::{Limits, Mechanism, SupervisorReply, Template};

use crate::support::{Engine, LIMITS, NoAnswer, next_event, skip};

const FORK: &str = "import os, time, sys\n\
    made = 0\n\
    try:\n\
    \u{20}   for i in range(400):\n\
    \u{20}       if os.fork() == 0:\n\
    \u{20}           os.closerange(0, 3)\n\
    \u{20}           time.sleep(60)\n\
    \u{20}           os._exit(0)\n\
    \u{20}       made += 1\n\
    except OSError as error: print(made, error.errno)\n\
    else: print(made, 'all')";

#[test]
fn processes_are_bounded_for_each_sandbox_alone() {
    let engine = Engine::start();
    let (one, two) = (engine.create(Template::Base), engine.create(Template::Base));
    for sandbox in [&one, &two] {
        if sandbox.created.posture.processes == Mechanism::Fallback {
            // Where pid namespaces have their own (Linux 6.14), it leaves room above the 300 ids that are given once.
            let host = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
            let inside = sandbox.print("cat /proc/sys/kernel/pid_max");
            assert!(inside == "364" || inside == host.trim(), "{inside}");
        }
        let output = sandbox.python(FORK);
        let (made, error) = output.split_once(' ').unwrap();
        assert_eq!(error, libc::EAGAIN.to_string());
        let made: u32 = made.parse().unwrap();
        assert!(made < LIMITS.processes && made > LIMITS.processes - 8, "{made}");
        // The first one keeps its processes while the second one makes its own.
        assert!(sandbox.statistics().unwrap().processes > made);
    }
    assert!(matches!(engine.kill(one.number), SupervisorReply::Killed { .. }));
    assert!(!one.alive() && two.alive());
}

#[test]
fn a_fork_bomb_ends_with_its_sandbox() {
    let engine = Engine::start();
    let (one, two) = (engine.create(Template::Base), engine.create(Template::Base));
    let bomb = one.shell("bomb() { bomb | bomb & }; bomb 2>/dev/null >/dev/null; sleep 1");
    assert!(bomb.exit.exit_code.is_some() || bomb.exit.signal.is_some());
    assert!(matches!(engine.kill(one.number), SupervisorReply::Killed { .. }));
    assert!(!one.alive() && two.alive());
}

#[test]
fn init_is_spared_when_no_process_is_left() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let badness = || {
        // Answered when all that was asked for before is done.
        sandbox.statistics().unwrap();
        fs::read_to_string(format!("/proc/{}/oom_score_adj", sandbox.created.init_pid)).unwrap()
    };
    let spared = badness();
    let start = |program: Program| {
        let (near, far) = socket::stream_pair().unwrap();
        let (env, cwd) = (Vec::new(), "/".to_owned());
        let spawn = Spawn { program, env, cwd, timeout_ms: None, capture: false, worker: true };
        let channel = sandbox.request(&InitRequest::Spawn(spawn), &[far.as_fd()]).unwrap();
        next_event(&channel).map(|_| (channel, near))
    };
    let refused = |error: NoAnswer| {
        assert!(
            matches!(&error, NoAnswer::Failed { stage, errno: libc::EAGAIN } if stage == "fork"),
            "{error:?}"
        );
        assert_eq!(badness(), spared);
    };
    let mut workers = Vec::new();
    loop {
        match start(Program::EmbeddedJavaScript) {
            Ok(worker) => workers.push(worker),
            Err(error) => break refused(error),
        }
    }
    let program = || Program::Exec { argv: vec!["/bin/true".to_owned()] };
    refused(start(program()).unwrap_err());
    // One for the shepherd, none for the program.
    workers.pop();
    while sandbox.statistics().unwrap().processes >= LIMITS.processes {
        std::thread::sleep(Duration::from_millis(5));
    }
    refused(start(program()).unwrap_err());
}

#[test]
fn processes_that_ended_do_not_count() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    // More, one after the other, than there may be at a time, and than a pid namespace has ids that it gives only once.
    let line = "i=0; while [ $i -lt 500 ]; do /bin/true || exit 1; i=$((i+1)); done; echo $i";
    assert_eq!(sandbox.print(line), "500");
    assert_eq!(sandbox.print("echo and on"), "and on");
}

#[test]
fn memory_is_bounded() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let output = sandbox.run(&["/usr/bin/python3", "-c", "x = bytearray(400 << 20); print(len(x))"]);
    match sandbox.created.posture.memory {
        Mechanism::Fallback => {
            assert_eq!(output.exit.exit_code, Some(1), "{output:?}");
            assert!(output.stderr.contains("MemoryError"), "{output:?}");
        }
        mechanism => {
            assert_eq!(output.exit.signal, Some(libc::SIGKILL), "{output:?}");
            let group = sandbox.created.cgroups.memory.clone().unwrap();
            let file = if mechanism == Mechanism::CgroupV1 { "memory.oom_control" } else { "memory.events" };
            let events = fs::read_to_string(format!("{group}/{file}")).unwrap();
            let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill ")).unwrap();
            assert!(kills.parse::<u32>().unwrap() >= 1, "{events}");
        }
    }
    assert_eq!(sandbox.print("echo the sandbox lives"), "the sandbox lives");
    let fits = sandbox.python("x = bytearray(60 << 20); print(len(x))");
    assert_eq!(fits, (60 << 20).to_string());
}

/// Ways to memory beside the heap, each of which tries to take `SIZE` bytes and touches them.
const WAYS: &str = "import ctypes, mmap, os\n\
    libc = ctypes.CDLL(None, use_errno=True)\n\
    libc.mmap.restype = libc.shmat.restype = ctypes.c_void_p\n\
    SIZE = 300 << 20\n\
    def touch(memory):\n\
    \u{20}   for at in range(0, SIZE, 4096): memory[at] = 1\n\
    def shared(): touch(mmap.mmap(-1, SIZE))\n\
    def zero():\n\
    \u{20}   with open('/dev/zero', 'r+b', 0) as f: touch(mmap.mmap(f.fileno(), SIZE))\n\
    def memfd():\n\
    \u{20}   fd = os.memfd_create('x'); os.ftruncate(fd, SIZE); touch(mmap.mmap(fd, SIZE))\n\
    def stack():\n\
    \u{20}   at = libc.mmap(None, ctypes.c_size_t(SIZE), 3, 0x122, -1, ctypes.c_long(0))\n\
    \u{20}   if at == ctypes.c_void_p(-1).value: raise OSError(ctypes.get_errno(), 'mmap')\n\
    \u{20}   touch((ctypes.c_char * SIZE).from_address(at))\n\
    def segment():\n\
    \u{20}   id = libc.shmget(0, ctypes.c_size_t(SIZE), 0o1600)\n\
    \u{20}   if id < 0: raise OSError(ctypes.get_errno(), 'shmget')\n\
    \u{20}   touch((ctypes.c_char * SIZE).from_address(libc.shmat(id, None, 0)))\n";

#[test]
fn there_is_no_way_to_memory_that_is_not_bounded() {
    let engine = Engine::start();
    for way in ["shared", "zero", "memfd", "stack", "segment"] {
        let sandbox = engine.create(Template::Base);
        let output = sandbox.run(&["/usr/bin/python3", "-c", &format!("{WAYS}{way}(); print('taken')")]);
        assert!(!output.stdout.contains("taken"), "{way}: {output:?}");
        if sandbox.created.posture.memory == Mechanism::Fallback {
            assert!(output.stderr.contains("PermissionError"), "{way}: {output:?}");
        } else {
            assert_eq!(output.exit.signal, Some(libc::SIGKILL), "{way}: {output:?}");
        }
    }
}

#[test]
fn many_processes_have_one_memory_together() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let hogs = |count: u32, mebibytes: u32| {
        let code = format!(
            "import os, time\n\
             for i in range({count}):\n\
             \u{20}   if os.fork() == 0:\n\
             \u{20}       x = bytearray({mebibytes} << 20); time.sleep(2); os._exit(0)\n\
             codes = [os.waitstatus_to_exitcode(os.wait()[1]) for i in range({count})]\n\
             print('all' if codes == [0] * {count} else codes)"
        );
        sandbox.run(&["/usr/bin/python3", "-I", "-S", "-c", &code])
    };
    // Each of them alone fits.
    let output = hogs(10, 40);
    assert!(!output.stdout.contains("all"), "{output:?}");
    assert_eq!(
        output.exit.out_of_memory,
        sandbox.created.posture.memory == Mechanism::Fallback,
        "{output:?}"
    );
    let output = hogs(2, 40);
    assert_eq!((output.stdout.trim_end(), output.exit.out_of_memory), ("all", false), "{output:?}");
    // What was there before a fork is there once.
    let shared = "import os, time\n\
        x = bytearray(60 << 20)\n\
        for i in range(6):\n\
        \u{20}   if os.fork() == 0: time.sleep(1); os._exit(0)\n\
        for i in range(6): os.wait()\n\
        print('well')";
    assert_eq!(sandbox.python(shared), "well");
}

#[test]
fn files_count_as_memory_where_there_is_a_group() {
    let engine = Engine::start();
    let limits = Limits { memory_bytes: 48 << 20, disk_bytes: 40 << 20, ..LIMITS };
    let sandbox = engine.try_create(Template::Base, limits).unwrap();
    if let Some(group) = &sandbox.created.cgroups.memory {
        let usage = |group: &str| {
            let file = ["memory.usage_in_bytes", "memory.current"].map(|file| format!("{group}/{file}"));
            file.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap().trim().parse::<u64>().unwrap()
        };
        let before = usage(group);
        sandbox.print("dd if=/dev/zero of=/tmp/x bs=1M count=20 2>/dev/null");
        let after = usage(group);
        assert!(after > before + (19 << 20), "{before} {after}");
    } else {
        assert_eq!(sandbox.created.posture.memory, Mechanism::Fallback);
    }
}

#[test]
fn processors_are_bounded() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let burn = "import os, time\n\
        end = time.time() + 1.5\n\
        for i in range(3): os.fork()\n\
        while time.time() < end: pass\n\
        os._exit(0)";
    let before = sandbox.statistics().unwrap().cpu_us;
    let start = Instant::now();
    sandbox.run(&["/usr/bin/python3", "-I", "-S", "-c", burn]);
    std::thread::sleep(Duration::from_millis(300));
    let wall = start.elapsed().as_secs_f64();
    let used = f64::from(u32::try_from(sandbox.statistics().unwrap().cpu_us - before).unwrap()) / 1e6;
    assert!(used < wall * 1.25, "{used} s of processor time in {wall} s");
    match sandbox.created.posture.cpu {
        Mechanism::Fallback => {
            assert_eq!(sandbox.python("import os; print(len(os.sched_getaffinity(0)))"), "1")
        }
        Mechanism::CgroupV1 => {
            let group = sandbox.created.cgroups.processes.clone().unwrap();
            let name = group.split("/e2bridge-").nth(1).unwrap();
            let found =
                crate::support::cgroups_of(name.split('/').next().unwrap()).into_iter().find_map(|home| {
                    fs::read_to_string(home.join(sandbox.number.to_string()).join("cpu.cfs_quota_us")).ok()
                });
            assert_eq!(found.unwrap().trim(), "100000");
        }
        Mechanism::CgroupV2 => {
            let group = sandbox.created.cgroups.cpu.clone().unwrap();
            assert_eq!(fs::read_to_string(format!("{group}/cpu.max")).unwrap().trim(), "100000 100000");
        }
    }
}

#[test]
fn resource_limits_are_set_and_cannot_be_raised() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let code = "import resource as r\n\
        for name in ('CORE', 'NOFILE', 'RTPRIO', 'NICE', 'MEMLOCK', 'MSGQUEUE', 'NPROC'):\n\
        \u{20}   number = {'RTPRIO': 14, 'NICE': 13, 'MSGQUEUE': 12}.get(name) or getattr(r, 'RLIMIT_' + name)\n\
        \u{20}   print(name, *r.getrlimit(number))\n\
        \u{20}   try: r.setrlimit(number, (r.getrlimit(number)[1] + 1,) * 2)\n\
        \u{20}   except (ValueError, PermissionError): pass\n\
        \u{20}   else: print('raised')";
    // The last four are kept for init, so that the next program can be started whatever this one does.
    let processes = format!("NPROC {0} {0}", LIMITS.processes - 4);
    // Without a memory group, as many as their buffers fit into the memory.
    let descriptors = if sandbox.created.posture.memory == Mechanism::Fallback { 315 } else { 4096 };
    assert_eq!(
        sandbox.run(&["/usr/bin/python3", "-c", code]).stdout.lines().collect::<Vec<_>>(),
        [
            "CORE 1 1",
            &format!("NOFILE {descriptors} {descriptors}"),
            "RTPRIO 0 0",
            "NICE 0 0",
            "MEMLOCK 65536 65536",
            "MSGQUEUE 0 0",
            &processes
        ]
    );
}

#[test]
fn a_limit_that_cannot_be_set_is_an_error_and_leaves_nothing() {
    let mut engine = Engine::start();
    let limits = Limits { disk_inodes: u64::MAX, ..LIMITS };
    let failure = match engine.try_create(Template::Base, limits) {
        Err(failure) => failure,
        Ok(_) => return skip("tmpfs takes any number of inodes before Linux 6.6"),
    };
    assert_eq!(failure.stage, "mount writable file system", "{failure:?}");
    assert!(failure.errno.is_some());
    // The next one is not affected.
    let sandbox = engine.create(Template::Base);
    assert_eq!(sandbox.print("echo well"), "well");
    drop(sandbox);
    engine.close();
    assert!(engine.cgroups().is_empty());
}

#[test]
fn memory_in_sockets_is_bounded() {
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    // Fills the buffers of as many connections as it can have, and tells how much it got rid of.
    let code = "import os, socket\n\
        server = socket.socket(); server.bind(('127.0.0.1', 0)); server.listen(4096)\n\
        total, held, data = 0, [], bytes(1 << 20)\n\
        try:\n\
        \u{20}   for i in range(1000):\n\
        \u{20}       c = socket.socket()\n\
        \u{20}       c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)\n\
        \u{20}       c.settimeout(1); c.connect(server.getsockname()); c.setblocking(False); held.append(c)\n\
        \u{20}       try:\n\
        \u{20}           while True: total += c.send(data)\n\
        \u{20}       except BlockingIOError: pass\n\
        except OSError: pass\n\
        print(total >> 20)";
    let output = sandbox.run(&["/usr/bin/python3", "-I", "-S", "-c", code]);
    match output.exit.signal {
        Some(signal) => assert_eq!(signal, libc::SIGKILL),
        None => {
            let mebibytes: u64 = output.stdout.trim().parse().unwrap();
            assert!(mebibytes << 20 < LIMITS.memory_bytes, "{mebibytes} MiB");
        }
    }
}

/// Shepherds are forks of init, which holds an interpreter: what they share is not memory that the sandbox takes again and again.
#[test]
fn programs_at_once_are_counted_for_what_they_take() {
    if !std::path::Path::new("/usr/bin/python3").exists() {
        return skip("there is no /usr/bin/python3");
    }
    let engine = Engine::start();
    let sandbox = engine.try_create(Template::Python, Limits { memory_bytes: 64 << 20, ..LIMITS }).unwrap();
    let running: Vec<_> = (0..14).map(|_| sandbox.start(&["/bin/sleep", "1"])).collect();
    for channel in running {
        let event = next_event(&channel);
        assert!(
            matches!(event, Ok(InitEvent::Exited(Exit { exit_code: Some(0), out_of_memory: false, .. }))),
            "{event:?}"
        );
    }
}
