//! Whom the kernel takes when memory runs out: what init starts, before init itself.

use e2bridge_protocol::init::{InitEvent, Program, Spawn};

use crate::support::{
    Execution, PROGRAM_BADNESS, Sandbox, init_badness, next_event, program, sandbox, shell,
};

/// Init is none of its programs when it has done all that it was asked for so far.
fn init_is_itself(sandbox: &Sandbox, after: &str) {
    sandbox.statistics();
    assert_eq!(sandbox.badness(), init_badness(), "after {after}");
}

fn embedded() -> Spawn {
    Spawn { program: Program::EmbeddedJavaScript, worker: true, ..shell("") }
}

/// The process id of what has started, or the step and the error of what has not.
fn started(execution: &Execution) -> Result<u32, (String, i32)> {
    match next_event(&execution.channel) {
        Some(InitEvent::Started { pid }) => Ok(pid),
        Some(InitEvent::Failed { stage, errno }) => Err((stage, errno)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn init_is_spared_and_what_it_starts_is_not() {
    let sandbox = sandbox!();
    init_is_itself(&sandbox, "its own start");
    let worst = format!("{PROGRAM_BADNESS}\n");
    let mut executions = Vec::new();
    for round in 0..20 {
        for spawn in [shell("cat /proc/self/oom_score_adj; sleep 1000"), embedded()] {
            let execution = sandbox.spawn(spawn);
            let pid = started(&execution).unwrap();
            init_is_itself(&sandbox, &format!("start {round}"));
            assert_eq!(sandbox.output(&format!("cat /proc/{pid}/oom_score_adj")), worst, "{round}");
            executions.push(execution);
        }
    }
    // All at once, and nobody waits for them.
    executions.extend((0..20).map(|_| sandbox.spawn(shell("cat /proc/self/oom_score_adj"))));
    init_is_itself(&sandbox, "twenty starts");
    for execution in executions.split_off(40) {
        assert_eq!(execution.wait().text(), worst);
    }
}

#[test]
fn init_is_spared_after_a_start_that_fails() {
    let sandbox = sandbox!();
    sandbox.output("echo x > plain; printf rubbish > rubbish; chmod +x rubbish");
    let big = "x".repeat(140_000);
    for (spawn, stage, errno) in [
        (program(&["/no/such/program"]), "execve", libc::ENOENT),
        (program(&["/home/user/plain"]), "execve", libc::EACCES),
        (program(&["/home/user/rubbish"]), "execve", libc::ENOEXEC),
        (program(&["/bin/echo", &big]), "execve", libc::E2BIG),
        (program(&["/bin/echo", "a\0b"]), "argument", libc::EINVAL),
        (Spawn { cwd: "/none".to_owned(), ..shell("") }, "chdir", libc::ENOENT),
        (Spawn { cwd: "/none".to_owned(), ..embedded() }, "chdir", libc::ENOENT),
    ] {
        let execution = sandbox.spawn(spawn);
        assert_eq!(started(&execution), Err((stage.to_owned(), errno)));
        init_is_itself(&sandbox, stage);
    }
}

#[test]
fn init_is_spared_after_a_start_that_finds_no_process_left() {
    let sandbox = sandbox!();
    let none_left = || Err(("fork".to_owned(), libc::EAGAIN));
    let mut workers = Vec::new();
    loop {
        let worker = sandbox.spawn(embedded());
        match started(&worker) {
            Ok(_) => workers.push(worker),
            error => break assert_eq!(error, none_left()),
        }
    }
    init_is_itself(&sandbox, "a worker without a process");
    assert_eq!(started(&sandbox.spawn(shell(""))), none_left());
    init_is_itself(&sandbox, "a program without a shepherd");
    let worker = workers.pop().unwrap();
    worker.kill();
    worker.wait();
    assert_eq!(started(&sandbox.spawn(shell(""))), none_left());
    init_is_itself(&sandbox, "a shepherd without a program");
}

#[test]
fn init_is_spared_while_a_start_takes_long() {
    let sandbox = sandbox!();
    let slow = Spawn { program: Program::WarmPython, worker: true, ..shell("") };
    let executions: Vec<_> = (0..8).map(|_| sandbox.spawn(slow.clone())).collect();
    init_is_itself(&sandbox, "starts that are not over");
    for execution in executions {
        execution.kill();
        assert_eq!(execution.wait().started, None);
    }
}
