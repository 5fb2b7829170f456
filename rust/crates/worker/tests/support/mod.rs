//! Drives a worker as the library does.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2bridge_protocol::worker::{WorkerOutput, WorkerReply, WorkerRequest};

pub const OUTPUT_LIMIT: u64 = 8 * 1024 * 1024;

pub fn request(code: &str) -> WorkerRequest {
    WorkerRequest {
        run: 7,
        code: code.to_owned(),
        stateless: true,
        timeout_ms: 10_000,
        max_output_bytes: OUTPUT_LIMIT,
        memory_bytes: None,
        call: None,
    }
}

/// The value that a result has as JSON.
pub fn json_of(output: &WorkerOutput) -> Option<serde_json::Value> {
    output.json.as_ref().map(|json| serde_json::from_str(json.get()).expect("JSON"))
}

pub fn in_context(code: &str) -> WorkerRequest {
    WorkerRequest { stateless: false, ..request(code) }
}

/// A worker at the other end of a socket.
pub struct Worker {
    pub socket: UnixStream,
    process: Process,
    stdout: Option<File>,
    stderr: Option<File>,
}

enum Process {
    Forked(libc::pid_t),
    Started(Child),
}

impl Worker {
    /// The embedded engine, in a forked child.
    pub fn javascript() -> Worker {
        Worker::on_process_stack(Worker::fork)
    }

    /// As many of them, forked from a warm process as sandboxes are made from a template zygote.
    pub fn warm_javascript(count: usize) -> Vec<Worker> {
        Worker::on_process_stack(move || {
            e2bridge_worker::prewarm();
            (0..count).map(|_| Worker::fork()).collect()
        })
    }

    /// A forked child goes on with the stack of the thread that forked; a sandbox's is that of a process, 8 MiB.
    fn on_process_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(work);
        thread.expect("a thread").join().expect("the harness works")
    }

    fn fork() -> Worker {
        let (near, far) = UnixStream::pair().expect("the harness works");
        // SAFETY: the child calls only what this crate promises to work in a forked process, and never returns.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            // Other tests' sockets must not be kept open from here.
            // SAFETY: plain system calls on descriptors that nothing in this process uses any more.
            unsafe {
                libc::dup2(far.as_raw_fd(), 3);
                libc::close_range(4, u32::MAX, 0);
                e2bridge_worker::serve_javascript(OwnedFd::from_raw_fd(3));
            }
        }
        Worker { socket: near, process: Process::Forked(pid), stdout: None, stderr: None }
    }

    /// A program that serves descriptor 3.
    pub fn program(command: &mut Command) -> Worker {
        let (near, far) = UnixStream::pair().expect("the harness works");
        let descriptor = far.as_raw_fd();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: only system calls between fork and exec.
        unsafe {
            command.pre_exec(move || {
                if libc::dup2(descriptor, 3) < 0 || libc::close_range(4, u32::MAX, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        // A descriptor that already is 3 would keep its close-on-exec flag.
        assert_ne!(descriptor, 3);
        let mut child = command.spawn().expect("the harness works");
        let stdout = nonblocking(OwnedFd::from(child.stdout.take().expect("the harness works")));
        let stderr = nonblocking(OwnedFd::from(child.stderr.take().expect("the harness works")));
        Worker { socket: near, process: Process::Started(child), stdout: Some(stdout), stderr: Some(stderr) }
    }

    pub fn pid(&self) -> u32 {
        match &self.process {
            Process::Forked(pid) => u32::try_from(*pid).expect("the harness works"),
            Process::Started(child) => child.id(),
        }
    }

    pub fn send(&mut self, request: &WorkerRequest) -> io::Result<()> {
        let body = serde_json::to_vec(request).expect("the harness works");
        let mut message = u32::try_from(body.len()).expect("the harness works").to_le_bytes().to_vec();
        message.extend(body);
        self.socket.write_all(&message)
    }

    pub fn receive(&mut self) -> io::Result<WorkerReply> {
        self.socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut prefix = [0; 4];
        self.socket.read_exact(&mut prefix)?;
        let mut body = vec![0; u32::from_le_bytes(prefix) as usize];
        self.socket.read_exact(&mut body)?;
        Ok(serde_json::from_slice(&body).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&body[..body.len().min(2_000)]))
        }))
    }

    /// One run. What came through pipes is put where the embedded engine puts it.
    pub fn run(&mut self, request: &WorkerRequest) -> WorkerReply {
        self.send(request).expect("the harness works");
        let mut reply = self.receive().expect("the harness works");
        assert_eq!(reply.run, request.run);
        reply.stdout.push_str(&drain(self.stdout.as_mut()));
        reply.stderr.push_str(&drain(self.stderr.as_mut()));
        reply
    }

    pub fn code(&mut self, code: &str) -> WorkerReply {
        self.run(&request(code))
    }

    pub fn stateful(&mut self, code: &str) -> WorkerReply {
        self.run(&in_context(code))
    }

    /// Text of the result; panics on an error.
    pub fn result(&mut self, code: &str) -> String {
        let reply = self.code(code);
        assert!(reply.error.is_none(), "{:?}", reply.error);
        reply.result.expect("a result")
    }

    /// Closes the socket and waits for the worker's end; its exit status or minus the signal.
    pub fn finish(mut self) -> i32 {
        self.socket.shutdown(std::net::Shutdown::Both).expect("the harness works");
        match &mut self.process {
            Process::Forked(pid) => {
                let mut status = 0;
                // SAFETY: waits for the child that this value owns.
                assert_eq!(unsafe { libc::waitpid(*pid, &raw mut status, 0) }, *pid);
                *pid = 0;
                if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
            }
            Process::Started(child) => child.wait().expect("the harness works").code().unwrap_or(-1),
        }
    }

    /// Resident memory, bytes.
    pub fn resident(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).expect("the harness works");
        text.split(' ').nth(1).expect("the harness works").parse::<u64>().expect("the harness works") * 4096
    }

    /// Median of the round trips of `count` runs, in microseconds.
    pub fn p50(&mut self, request: &WorkerRequest, count: usize, pause: Duration) -> f64 {
        let mut times = Vec::new();
        for _ in 0..count {
            std::thread::sleep(pause);
            let start = Instant::now();
            let reply = self.run(request);
            times.push(start.elapsed().as_secs_f64() * 1e6);
            assert!(reply.error.is_none() && !reply.timed_out, "{reply:?}");
        }
        times.sort_by(f64::total_cmp);
        times[count / 2]
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        match &mut self.process {
            Process::Forked(0) => {}
            Process::Forked(pid) => {
                // SAFETY: the child that this value owns, not waited for yet.
                unsafe {
                    libc::kill(*pid, libc::SIGKILL);
                    libc::waitpid(*pid, std::ptr::null_mut(), 0);
                }
            }
            Process::Started(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

fn nonblocking(descriptor: OwnedFd) -> File {
    // SAFETY: sets a flag of a descriptor that we own, and the pipe's size.
    unsafe {
        libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK);
        libc::fcntl(descriptor.as_raw_fd(), libc::F_SETPIPE_SZ, 1024 * 1024);
    }
    File::from(descriptor)
}

fn drain(pipe: Option<&mut File>) -> String {
    let Some(pipe) = pipe else { return String::new() };
    let mut bytes = Vec::new();
    let mut chunk = [0; 65536];
    while let Ok(count) = pipe.read(&mut chunk) {
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
