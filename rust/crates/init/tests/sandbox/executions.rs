//! Executions.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use e2bridge_protocol::init::{InitEvent, InitRequest, Program, Spawn};
use e2bridge_protocol::socket;

use crate::support::{Execution, Outcome, Sandbox, next_event, own_program, program, sandbox, shell, within};

/// Runs it in a sandbox of its own with a time-out, and nothing of it is left.
fn ends_in_time(spawn: Spawn) {
    let sandbox = sandbox!();
    let began = Instant::now();
    let outcome = sandbox.run(within(300, spawn));
    let took = began.elapsed();
    let exit = outcome.exit();
    assert!(exit.timed_out && exit.signal == Some(9) && exit.exit_code.is_none(), "{exit:?}");
    assert_eq!(sandbox.statistics().processes, 1, "something is left");
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(6), "{took:?}");
    // The sandbox is as good as new.
    assert_eq!(sandbox.output("echo fine"), "fine\n");
}

/// Waits until a script succeeds.
fn until(sandbox: &Sandbox, script: &str) {
    let end = Instant::now() + Duration::from_secs(10);
    while sandbox.shell(script).exit().exit_code != Some(0) {
        assert!(Instant::now() < end, "never: {script}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn exit_codes_streams_and_the_environment_are_the_programs() {
    let sandbox = sandbox!();
    let outcome = sandbox.shell("echo out; echo err >&2; exit 3");
    assert_eq!(outcome.exit().exit_code, Some(3));
    assert_eq!((outcome.exit().signal, outcome.exit().timed_out), (None, false));
    assert_eq!((outcome.text(), &outcome.stderr[..]), ("out\n", &b"err\n"[..]));
    assert!(outcome.started.is_some_and(|pid| pid > 1));
    assert!(outcome.exit().max_rss_bytes > 100_000);

    let mut spawn = program(&["env"]);
    spawn.env = vec!["PATH=/bin".to_owned(), "A=b c".to_owned(), "EMPTY=".to_owned()];
    assert_eq!(sandbox.run(spawn).text(), "PATH=/bin\nA=b c\nEMPTY=\n");
    let spawn = Spawn { cwd: "/usr/bin".to_owned(), ..program(&["pwd"]) };
    assert_eq!(sandbox.run(spawn).text(), "/usr/bin\n");
}

#[test]
fn a_signal_is_told() {
    let sandbox = sandbox!();
    for signal in [9, 11, 15] {
        let exit = sandbox.shell(&format!("kill -{signal} $$")).exit();
        assert_eq!((exit.exit_code, exit.signal, exit.timed_out), (None, Some(signal), false));
    }
}

#[test]
fn what_cannot_be_started_fails_with_its_step() {
    let sandbox = sandbox!();
    sandbox.output("echo x > plain; echo '#!/bin/sh\necho ran' > script; printf rubbish > rubbish; chmod +x script rubbish");
    let failed = |spawn: Spawn| {
        let outcome = sandbox.run(spawn);
        assert!(outcome.started.is_none() && outcome.exit.is_none());
        outcome.failed.unwrap()
    };
    let step = |stage: &str, errno| (stage.to_owned(), errno);
    assert_eq!(failed(program(&["no-such-program"])), step("execve", libc::ENOENT));
    assert_eq!(failed(program(&["/no/such/program"])), step("execve", libc::ENOENT));
    assert_eq!(failed(program(&[""])), step("execve", libc::ENOENT));
    assert_eq!(failed(program(&["/home/user/plain"])), step("execve", libc::EACCES));
    assert_eq!(failed(program(&["/home/user"])), step("execve", libc::EACCES));
    assert_eq!(failed(program(&["/home/user/rubbish"])), step("execve", libc::ENOEXEC));
    assert_eq!(failed(program(&[])), step("argument", libc::EINVAL));
    assert_eq!(failed(program(&["/bin/echo", "a\0b"])), step("argument", libc::EINVAL));
    assert_eq!(failed(Spawn { cwd: "/none".to_owned(), ..program(&["pwd"]) }), step("chdir", libc::ENOENT));
    assert_eq!(failed(Spawn { cwd: "plain".to_owned(), ..program(&["pwd"]) }), step("chdir", libc::ENOENT));
    let big = "x".repeat(140_000);
    assert_eq!(failed(program(&["/bin/echo", &big])), step("execve", libc::E2BIG));
    // A denied place along the path is passed over, and remembered only when there is no other.
    let path = |path: &str| Spawn { env: vec![format!("PATH={path}")], ..program(&["plain"]) };
    assert_eq!(failed(path("/home/user:/bin")), step("execve", libc::EACCES));
    let script =
        Spawn { env: vec!["PATH=/none:/home/user/plain:/home/user".to_owned()], ..program(&["script"]) };
    assert_eq!(sandbox.run(script).text(), "ran\n");
    // Without a PATH there is the usual one.
    assert_eq!(sandbox.run(Spawn { env: Vec::new(), ..program(&["echo", "hello"]) }).text(), "hello\n");
    sandbox.wait_until_idle();
}

#[test]
fn a_program_starts_with_a_clean_slate() {
    let sandbox = sandbox!();
    assert_eq!(sandbox.output("ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3 ", "3 is that of ls");
    assert_eq!(sandbox.output("readlink /proc/self/fd/0"), "/dev/null\n");
    let status = sandbox.output("cat /proc/self/status");
    for field in ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd", "CapEff", "CapPrm"] {
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        assert!(line.ends_with("\t0000000000000000"), "{line}");
    }
    // Session and group of its own: fields 5 and 6 are its process id.
    let stat = sandbox.run(program(&["cat", "/proc/self/stat"]));
    let fields: Vec<&str> = stat.text().split(' ').collect();
    assert!(fields[0] == fields[4] && fields[0] == fields[5], "{fields:?}");
    // Nobody looks into init or into a shepherd.
    for of in ["1", "$PPID"] {
        for look in [
            "exec 5< /proc/{}/mem",
            "cat /proc/{}/environ",
            "ls /proc/{}/fd/",
            "cat /proc/{}/maps",
            "ls /proc/{}/cwd/",
        ] {
            let look = look.replace("{}", of);
            assert_ne!(sandbox.shell(&look).exit().exit_code, Some(0), "{look}");
            let own = look.replace(of, "$$");
            assert_eq!(sandbox.shell(&own).exit().exit_code, Some(0), "{own}");
        }
    }
    // Nor ends it.
    for signal in ["KILL", "STOP", "TERM", "SEGV", "CHLD"] {
        sandbox.shell(&format!("kill -{signal} 1"));
    }
    assert_eq!(sandbox.output("echo alive"), "alive\n");
}

#[test]
fn all_output_arrives() {
    let sandbox = sandbox!();
    for _ in 0..5 {
        let outcome = sandbox.shell("yes out | head -c 1048576 & yes err | head -c 1048576 >&2; wait");
        assert_eq!(outcome.exit().exit_code, Some(0));
        assert_eq!((outcome.stdout.len(), outcome.stderr.len()), (1 << 20, 1 << 20));
    }
    // Written at the last moment, with a background process that holds the streams open.
    for round in 0..50 {
        let outcome = sandbox.shell(&format!("sleep 0.05 & head -c 60000 /dev/zero; echo {round}"));
        assert!(outcome.stdout.len() > 60_000, "round {round}: {}", outcome.stdout.len());
    }
}

#[test]
fn without_capture_there_are_no_streams() {
    let sandbox = sandbox!();
    let spawn =
        Spawn { capture: false, ..shell("readlink /proc/self/fd/1 > /tmp/names; echo x; echo y >&2") };
    let outcome = sandbox.run(spawn);
    assert_eq!(outcome.exit().exit_code, Some(0));
    assert!(outcome.stdout.is_empty() && outcome.stderr.is_empty());
    let spawn =
        Spawn { capture: false, ..shell("sleep 0.2; test -c /proc/self/fd/1 && test -c /proc/self/fd/2") };
    assert_eq!(sandbox.run(spawn).exit().exit_code, Some(0));
    assert_eq!(sandbox.output("cat /tmp/names"), "/tmp/names\n");
}

#[test]
fn a_worker_has_its_socket() {
    let sandbox = sandbox!();
    let execution =
        sandbox.spawn(Spawn { worker: true, ..shell("read line <&3; echo got $line >&3; ls /proc/$$/fd") });
    let mut socket = std::fs::File::from(execution.worker.try_clone().unwrap());
    socket.write_all(b"hello\n").unwrap();
    let mut answer = [0; 10];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"got hello\n");
    let outcome = execution.wait();
    assert_eq!((outcome.exit().exit_code, outcome.text()), (Some(0), "0\n1\n2\n3\n"));
}

fn embedded(sandbox: &Sandbox) -> Execution {
    sandbox.spawn(Spawn { program: Program::EmbeddedJavaScript, worker: true, ..shell("") })
}

fn ask(execution: &Execution, byte: u8) -> u8 {
    let mut socket = std::fs::File::from(execution.worker.try_clone().unwrap());
    socket.write_all(&[byte]).unwrap();
    let mut answer = [0];
    socket.read_exact(&mut answer).unwrap();
    answer[0]
}

#[test]
fn the_embedded_engine_is_a_forked_worker() {
    let sandbox = sandbox!();
    let execution = embedded(&sandbox);
    assert_eq!((ask(&execution, b'a'), ask(&execution, b'x')), (b'b', b'y'));
    assert_eq!(sandbox.statistics().running, 1);
    let mut socket = std::fs::File::from(execution.worker.try_clone().unwrap());
    socket.write_all(b"q").unwrap();
    let outcome = execution.wait();
    assert_eq!((outcome.exit().exit_code, outcome.text()), (Some(7), "ax"));
    sandbox.wait_until_idle();

    let execution = embedded(&sandbox);
    ask(&execution, b'f');
    ask(&execution, b'f');
    sandbox.wait_for_processes(4);
    execution.kill();
    let exit = execution.wait().exit();
    assert_eq!((exit.signal, exit.timed_out), (Some(9), false));
    assert_eq!(sandbox.statistics().processes, 1);

    // What it should never have started does not outlive it.
    let execution = embedded(&sandbox);
    ask(&execution, b'f');
    let mut socket = std::fs::File::from(execution.worker.try_clone().unwrap());
    socket.write_all(b"q").unwrap();
    assert_eq!(execution.wait().exit().exit_code, Some(7));
    assert_eq!(sandbox.statistics().processes, 1);

    let spawn =
        Spawn { program: Program::EmbeddedJavaScript, worker: true, cwd: "/none".to_owned(), ..shell("") };
    assert_eq!(sandbox.run(spawn).failed, Some(("chdir".to_owned(), libc::ENOENT)));
}

#[test]
fn wrong_descriptors_are_refused() {
    let sandbox = sandbox!();
    let (one, _other) = socket::stream_pair().unwrap();
    for (request, fds) in [
        (InitRequest::Spawn(shell("")), vec![]),
        (InitRequest::Spawn(shell("")), vec![one.as_fd(); 3]),
        (InitRequest::Spawn(shell("")), vec![one.as_fd(); 5]),
        (
            InitRequest::Spawn(Spawn { program: Program::EmbeddedJavaScript, ..shell("") }),
            vec![one.as_fd(); 4],
        ),
        (InitRequest::ReadFile { path: "x".to_owned(), max_bytes: 1 }, vec![]),
        (InitRequest::ReadFile { path: "x".to_owned(), max_bytes: 1 }, vec![one.as_fd(); 2]),
        (InitRequest::Long { bytes: 1 << 40 }, vec![]),
        (InitRequest::Long { bytes: 0 }, vec![]),
    ] {
        let event = next_event(&sandbox.request(&request, &fds)).unwrap();
        assert!(matches!(event, InitEvent::Failed { .. }), "{request:?}: {event:?}");
    }
    assert_eq!(sandbox.output("echo fine"), "fine\n");
}

#[test]
fn a_long_request_comes_in_pieces() {
    let sandbox = sandbox!();
    let arguments: Vec<String> = (0..10).map(|index| index.to_string().repeat(100_000)).collect();
    let mut argv = vec!["/bin/echo"];
    argv.extend(arguments.iter().map(String::as_str));
    let outcome = sandbox.run(program(&argv));
    assert_eq!(outcome.text(), format!("{}\n", arguments.join(" ")));
    // One that never arrives whole disturbs nobody.
    let channel = sandbox.request(&InitRequest::Long { bytes: 100_000 }, &[]);
    socket::send_bytes(&channel, &[0; 50_000], &[]).unwrap();
    assert_eq!(sandbox.output("echo fine"), "fine\n");
    socket::send_bytes(&channel, &[0; 50_001], &[]).unwrap();
    assert!(matches!(next_event(&channel), Some(InitEvent::Failed { errno: libc::EMSGSIZE, .. })));
    drop(sandbox.request(&InitRequest::Long { bytes: 100_000 }, &[]));
    assert_eq!(sandbox.output("echo fine"), "fine\n");
}

#[test]
fn the_background_lives_on_and_keeps_writing() {
    let sandbox = sandbox!();
    // Writes far more than a pipe holds after its parent, and the library, have gone.
    let outcome = sandbox.shell(
        "(while ! test -e /tmp/go; do sleep 0.01; done; yes | head -c 3000000; yes | head -c 3000000 >&2; \
         echo done > /tmp/done) & echo started",
    );
    assert_eq!((outcome.exit().exit_code, outcome.text()), (Some(0), "started\n"));
    assert!(sandbox.statistics().processes > 1);
    assert_eq!(sandbox.statistics().running, 0);
    sandbox.output("touch /tmp/go");
    until(&sandbox, "test -e /tmp/done");
    sandbox.wait_until_idle();
}

#[test]
fn the_background_waits_while_the_library_still_reads() {
    let sandbox = sandbox!();
    let execution =
        sandbox.spawn(shell("(sleep 0.1; yes | head -c 1000000; echo done > /tmp/done) & echo started"));
    let (outcome, execution) = execution.wait_and_keep();
    assert_eq!(outcome.text(), "started\n");
    std::thread::sleep(Duration::from_millis(300));
    // The channel is open: nothing is taken away from the library.
    assert_ne!(sandbox.shell("test -e /tmp/done").exit().exit_code, Some(0));
    drop(execution);
    until(&sandbox, "test -e /tmp/done");
}

#[test]
fn a_time_out_ends_sessions_double_forks_and_what_ignores_signals() {
    ends_in_time(shell("sleep 1000"));
    ends_in_time(shell("trap '' TERM INT HUP; while :; do :; done"));
    ends_in_time(shell("setsid sleep 1000 & (setsid sh -c 'sleep 1000 & exec sleep 1000' &) ; sleep 1000"));
    ends_in_time(shell(
        "for i in 1 2 3 4 5 6 7 8; do (trap '' TERM; setsid sleep 1000 & setsid sleep 1000 &) & done; wait; sleep 1000",
    ));
    ends_in_time(shell("kill -STOP $$"));
}

#[test]
fn a_time_out_ends_tricks_with_threads_and_exit_signals() {
    ends_in_time(own_program("headless"));
    ends_in_time(own_program("quiet"));
}

#[test]
fn a_time_out_ends_fork_bombs() {
    ends_in_time(shell("(b() { b | b & }; b) 2> /dev/null & exec sleep 1000"));
    ends_in_time(shell(
        "while :; do setsid sh -c 'sleep 1000 & sleep 1000' & done 2> /dev/null & exec sleep 1000",
    ));
    ends_in_time(own_program("bomb"));
}

#[test]
fn a_time_out_ends_processes_on_the_move() {
    ends_in_time(own_program("hops"));
}

#[test]
fn a_background_on_the_move_ends_with_its_kill() {
    let sandbox = sandbox!();
    let (outcome, execution) = sandbox.spawn(own_program("hop")).wait_and_keep();
    assert_eq!(outcome.exit().exit_code, Some(0));
    let newest = || sandbox.output("echo $$").trim().parse::<i32>().unwrap();
    let (began, before) = (Instant::now(), newest());
    // Process ids start again at the end of their range.
    while (0..200).contains(&(newest() - before)) {
        assert!(began.elapsed() < Duration::from_secs(10), "it does not move");
        std::thread::sleep(Duration::from_millis(50));
    }
    execution.kill();
    sandbox.wait_until_idle();
}

#[test]
fn a_sibling_is_part_of_the_execution() {
    let sandbox = sandbox!();
    let (outcome, execution) = sandbox.spawn(own_program("sibling")).wait_and_keep();
    assert_eq!(outcome.exit().exit_code, Some(0));
    sandbox.wait_for_processes(3);
    execution.kill();
    sandbox.wait_until_idle();
}

#[test]
fn a_time_out_of_nothing_is_at_once() {
    let sandbox = sandbox!();
    assert!(sandbox.run(within(0, shell("sleep 1000"))).exit().timed_out);
    let exit = sandbox.run(within(60_000, shell("exit 4"))).exit();
    assert_eq!((exit.exit_code, exit.timed_out), (Some(4), false));
}

#[test]
fn kill_and_a_closed_channel_end_all_of_it() {
    let sandbox = sandbox!();
    let started = |execution: &Execution| {
        assert!(matches!(next_event(&execution.channel), Some(InitEvent::Started { .. })));
    };
    let execution = sandbox.spawn(shell("setsid sleep 1000 & setsid sleep 1000 & sleep 1000"));
    started(&execution);
    std::thread::sleep(Duration::from_millis(50));
    execution.kill();
    let exit = execution.wait().exit();
    assert_eq!((exit.signal, exit.exit_code, exit.timed_out), (Some(9), None, false));
    assert_eq!(sandbox.statistics().processes, 1);

    let execution = sandbox.spawn(shell("setsid sleep 1000 & setsid sleep 1000 & sleep 1000"));
    started(&execution);
    std::thread::sleep(Duration::from_millis(50));
    drop(execution);
    sandbox.wait_until_idle();

    // At once, perhaps before there is a program.
    for _ in 0..50 {
        let execution = sandbox.spawn(shell("sleep 1000"));
        execution.kill();
        assert_eq!(execution.wait().exit().signal, Some(9));
        drop(sandbox.spawn(shell("sleep 1000")));
    }
    sandbox.wait_until_idle();

    // What was left in the background, too, as long as the channel is open.
    let (outcome, execution) = sandbox.spawn(shell("sleep 1000 & echo $!")).wait_and_keep();
    assert_eq!(outcome.exit().exit_code, Some(0));
    assert!(sandbox.statistics().processes > 1);
    execution.kill();
    sandbox.wait_until_idle();
}

#[test]
fn the_background_of_one_execution_outlives_the_end_of_another() {
    let sandbox = sandbox!();
    let survivor = sandbox.output("setsid sleep 1000 > /dev/null 2>&1 & echo $!");
    let outcome = sandbox.run(within(100, shell("setsid sleep 1001 & sleep 1002")));
    assert!(outcome.exit().timed_out);
    let execution = sandbox.spawn(shell("sleep 1003"));
    execution.kill();
    execution.wait();
    assert_eq!(sandbox.output(&format!("cat /proc/{}/comm", survivor.trim())), "sleep\n");
    // Its shepherd and itself.
    sandbox.wait_for_processes(3);
}

#[test]
fn who_kills_his_shepherd_ends_himself() {
    let sandbox = sandbox!();
    for script in
        ["kill -9 $PPID; sleep 1000", "setsid sleep 1000 & (setsid sleep 1000 &); kill -9 $PPID; sleep 1000"]
    {
        let began = Instant::now();
        let exit = sandbox.shell(script).exit();
        assert_eq!((exit.signal, exit.exit_code, exit.timed_out), (Some(9), None, false));
        assert_eq!(sandbox.statistics().processes, 1);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    // From another execution, and long after the end of its program.
    let shepherd = sandbox.output("sleep 1000 > /dev/null 2>&1 & echo $PPID");
    sandbox.wait_for_processes(3);
    sandbox.output(&format!("kill -9 {}", shepherd.trim()));
    sandbox.wait_until_idle();
    // Real-time signals included, which the C library keeps for itself.
    for signal in [1, 2, 3, 13, 14, 15, 32, 33, 34, 64] {
        assert_eq!(sandbox.output(&format!("kill -{signal} $PPID; sleep 0.01; echo alive")), "alive\n");
    }
}

#[test]
fn who_stops_his_shepherd_gains_nothing() {
    let sandbox = sandbox!();
    let exit = sandbox.shell("kill -STOP $PPID; exit 5").exit();
    assert_eq!(exit.exit_code, Some(5));
    let outcome = sandbox
        .run(within(200, shell("(setsid sh -c \"while :; do kill -STOP $PPID; done\" &) ; sleep 1000")));
    assert!(outcome.exit().timed_out);
    sandbox.wait_until_idle();
    // Kept stopped from outside of its execution.
    let shepherd = sandbox.spawn(within(400, shell("echo $PPID > /tmp/shepherd; sleep 1000")));
    until(&sandbox, "test -s /tmp/shepherd");
    let stopper = sandbox
        .spawn(shell("read pid < /tmp/shepherd; while kill -STOP $pid; do :; done 2> /dev/null; echo gone"));
    assert!(shepherd.wait().exit().timed_out);
    assert_eq!(stopper.wait().text(), "gone\n");
    sandbox.wait_until_idle();
}

#[test]
fn fifty_at_a_time() {
    let sandbox = sandbox!();
    let executions: Vec<Execution> = (0..50)
        .map(|index| sandbox.spawn(shell(&format!("read x < /dev/null; echo {index}; exit {index}"))))
        .collect();
    for (index, execution) in executions.into_iter().enumerate() {
        let outcome: Outcome = execution.wait();
        assert_eq!(outcome.exit().exit_code, Some(i32::try_from(index).unwrap()));
        assert_eq!(outcome.text(), format!("{index}\n"));
    }
    sandbox.wait_until_idle();
}

#[test]
fn more_than_the_host_has_room_for_is_refused_and_goes_by() {
    let sandbox = sandbox!();
    let executions: Vec<Execution> = (0..200).map(|_| sandbox.spawn(shell("exec sleep 2"))).collect();
    let outcomes: Vec<Outcome> = executions.into_iter().map(Execution::wait).collect();
    let failed = outcomes.iter().filter_map(|outcome| outcome.failed.as_ref());
    assert!(failed.clone().count() > 0, "the limit of processes was never reached");
    for (stage, errno) in failed {
        assert_eq!((stage.as_str(), *errno), ("fork", libc::EAGAIN));
    }
    assert!(outcomes.iter().filter(|outcome| outcome.exit.is_some()).count() > 50);
    sandbox.wait_until_idle();
}

#[test]
fn no_zombie_is_left() {
    let sandbox = sandbox!();
    sandbox.output("i=0; while [ $i -lt 200 ]; do ( (true &) & ); i=$((i+1)); done");
    // Those of a shepherd that is killed become children of init.
    sandbox.shell("i=0; while [ $i -lt 50 ]; do (sleep 0.1 &); i=$((i+1)); done; kill -9 $PPID; sleep 1000");
    sandbox.wait_until_idle();
    let states = sandbox.output("cat /proc/[0-9]*/stat");
    assert!(!states.contains(") Z "), "{states}");
    assert!(
        (3..=4).contains(&states.lines().count()),
        "init, the shepherd, the shell or cat or both: {states}"
    );
}

#[test]
fn shutdown_gives_the_grace_it_is_told() {
    let shut_down = |sandbox: &Sandbox, grace_ms| {
        let began = Instant::now();
        match next_event(&sandbox.request(&InitRequest::Shutdown { grace_ms }, &[])) {
            Some(InitEvent::ShutDown { clean }) => (clean, began.elapsed()),
            other => panic!("{other:?}"),
        }
    };
    let sandbox = sandbox!();
    let (clean, took) = shut_down(&sandbox, 5000);
    assert!(clean && took < Duration::from_secs(4), "{took:?}");
    let sandbox = sandbox!();
    let running = sandbox
        .spawn(shell("trap 'echo bye; exit 0' TERM; echo ready > /tmp/ready; while :; do sleep 0.01; done"));
    sandbox.output("setsid sleep 1000 > /dev/null 2>&1 &");
    until(&sandbox, "test -e /tmp/ready");
    let (clean, took) = shut_down(&sandbox, 5000);
    assert!(clean && took < Duration::from_secs(4), "{took:?}");
    let outcome = running.wait();
    assert_eq!((outcome.exit().exit_code, outcome.text()), (Some(0), "bye\n"));

    let sandbox = sandbox!();
    let _running =
        sandbox.spawn(shell("trap '' TERM; echo ready > /tmp/ready; while :; do sleep 0.01; done"));
    until(&sandbox, "test -e /tmp/ready");
    let (clean, took) = shut_down(&sandbox, 200);
    assert!(!clean && took >= Duration::from_millis(200) && took < Duration::from_secs(2), "{took:?}");
    assert!(sandbox.end());

    let sandbox = sandbox!();
    let execution = embedded(&sandbox);
    assert_eq!(ask(&execution, b'a'), b'b');
    let (clean, _) = shut_down(&sandbox, 5000);
    assert!(clean);
    assert_eq!(ask(&execution, b'b'), b'c', "an embedded worker is left to end with init");
    assert!(sandbox.end());
}

#[test]
fn nothing_outlives_the_control_socket() {
    let sandbox = sandbox!();
    sandbox.output("setsid sleep 1000 > /dev/null 2>&1 &");
    let _running = sandbox.spawn(shell("trap '' TERM; sleep 1000"));
    assert!(sandbox.end());
}

#[test]
fn figures_are_true() {
    let sandbox = sandbox!();
    let idle = sandbox.statistics();
    assert_eq!((idle.processes, idle.running), (1, 0));
    assert!(idle.anonymous_bytes > 0);
    let outcome =
        sandbox.shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; head -c 1000000 /dev/zero > file");
    let exit = outcome.exit();
    assert!(exit.cpu_us > 50_000, "{exit:?}");
    let after = sandbox.statistics();
    // What is alive is counted in ticks of 10 ms, a shepherd that is about to exit included.
    assert!(after.cpu_us + 20_000 >= idle.cpu_us + exit.cpu_us, "{after:?} {exit:?}");
    let grown = after.disk_used_bytes - idle.disk_used_bytes;
    assert!((1_000_000..1_100_000).contains(&grown), "{grown}");
    assert_eq!(after.disk_used_inodes, idle.disk_used_inodes + 1);
    let execution = sandbox.spawn(shell("while :; do :; done"));
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let busy = sandbox.statistics();
        if busy.cpu_us > after.cpu_us + 150_000 {
            assert_eq!((busy.processes, busy.running), (3, 1));
            break;
        }
        assert!(Instant::now() < until, "{busy:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    execution.kill();
    let exit = execution.wait().exit();
    assert!(exit.cpu_us > 100_000, "{exit:?}");
}
