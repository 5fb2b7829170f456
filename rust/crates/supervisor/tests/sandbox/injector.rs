//! Hears every system call of a supervisor and of all that it starts, before it happens, and can make one of them fail.
//!
//! The supervisor starts under a filter that sends its calls to a listener here (`SECCOMP_RET_USER_NOTIF`). What it starts inherits
//! that. The listener lets a call happen, answers it with an error in the place of the kernel, or kills the process that makes it.
//! Which process it is and how often that has made the call are known, so that a fault hits one call and no other.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

/// Where the listener is in the process that becomes the supervisor.
const LISTENER: i32 = 4;
/// `SECCOMP_IOCTL_NOTIF_RECV` and `SECCOMP_IOCTL_NOTIF_SEND`.
const RECEIVE: libc::Ioctl = 0xc050_2100;
const SEND: libc::Ioctl = 0xc018_2101;

/// A call: whose, which, and the how manieth of its kind there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Site {
    /// `supervisor`, `zygote`, `init`, `child 1` of it and so on, `program 1`, `probe 1`; without namespaces `probe 1` is the zygote,
    /// and below it is the `keeper`.
    pub(crate) role: String,
    pub(crate) number: i32,
    /// From 1.
    pub(crate) occurrence: u32,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It fails.
    Error(i32),
    /// The process is killed before it happens.
    Kill,
}

/// A fault to come, and what was heard.
#[derive(Clone, Default)]
pub(crate) struct Injector(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    fault: Option<(Site, Effect)>,
    fired: bool,
    /// In order.
    sites: Vec<Site>,
    counts: BTreeMap<(String, i32), u32>,
    processes: HashMap<u32, Heard>,
    children: u32,
}

/// A process that was heard of.
struct Heard {
    role: String,
    /// It has executed a program that is none of ours.
    foreign: bool,
}

impl Injector {
    pub(crate) fn new(fault: Option<(Site, Effect)>) -> Self {
        Self(Arc::new(Mutex::new(State { fault, ..State::default() })))
    }

    /// Every call until now, in order.
    pub(crate) fn sites(&self) -> Vec<Site> {
        self.0.lock().unwrap().sites.clone()
    }

    /// Whether the fault has come.
    pub(crate) fn fired(&self) -> bool {
        self.0.lock().unwrap().fired
    }

    /// Process ids of all that were heard.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.0.lock().unwrap().processes.keys().copied().collect()
    }

    /// Takes the listener out of a process that waits after [`hand_over`], and answers until all its processes have ended.
    pub(crate) fn listen(&self, supervisor: u32) {
        let listener = take(supervisor);
        let state = Arc::clone(&self.0);
        std::thread::spawn(move || {
            while let Some(heard) = receive(&listener) {
                answer(&listener, &state, supervisor, &heard);
            }
        });
    }
}

/// Puts the filter in force, in the child that will execute the supervisor: system calls only.
pub(crate) fn hand_over() -> io::Result<()> {
    let code = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_USER_NOTIF }];
    let program = libc::sock_fprog { len: 1, filter: code.as_ptr().cast_mut() };
    // SAFETY: only system calls; the program outlives the one that reads it, and nothing of this process uses the descriptors again.
    let listener = unsafe {
        libc::syscall(libc::SYS_close_range, LISTENER, i32::MAX, 0);
        if libc::geteuid() != 0 {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        }
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    if listener == i64::from(LISTENER) { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn take(pid: u32) -> OwnedFd {
    let process = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    let pidfd = rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        // SAFETY: no memory is involved; the result is a new descriptor or an error.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), LISTENER, 0) };
        if let Ok(fd @ 0..) = i32::try_from(fd) {
            // SAFETY: a new descriptor that nothing else owns.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            // Before it is there, that number may be something else.
            let target = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap();
            if target.to_str().unwrap().contains("seccomp") {
                return fd;
            }
        }
        assert!(Instant::now() < deadline, "there is no listener");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// The next call, or `None` when nobody is left who could make one.
fn receive(listener: &OwnedFd) -> Option<libc::seccomp_notif> {
    loop {
        let wait = Timespec { tv_sec: 60, tv_nsec: 0 };
        let mut polled = [PollFd::new(listener, PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&wait)) {
            Ok(_) if polled[0].revents().contains(PollFlags::IN) => {}
            Ok(0) | Err(_) => continue,
            Ok(_) => return None,
        }
        // SAFETY: all zeroes is what the kernel asks for.
        let mut heard: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the structure is the one that this command fills.
        if unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut heard) } == 0 {
            return Some(heard);
        }
        // Whoever made the call has been killed meanwhile.
    }
}

fn answer(listener: &OwnedFd, state: &Mutex<State>, supervisor: u32, heard: &libc::seccomp_notif) {
    let effect = state.lock().unwrap().judge(supervisor, heard);
    let mut reply = libc::seccomp_notif_resp { id: heard.id, val: 0, error: 0, flags: 0 };
    match effect {
        Some(Effect::Error(errno)) => reply.error = -errno,
        other => {
            if other == Some(Effect::Kill) {
                // SAFETY: no memory is involved. The process waits for its answer, so that the number is its own.
                unsafe { libc::kill(heard.pid.cast_signed(), libc::SIGKILL) };
            }
            reply.flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap();
        }
    }
    // SAFETY: the structure is the one that this command reads. It fails when the process has been killed.
    unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw mut reply) };
}

impl State {
    fn judge(&mut self, supervisor: u32, heard: &libc::seccomp_notif) -> Option<Effect> {
        let (pid, number) = (heard.pid, heard.data.nr);
        if !self.processes.contains_key(&pid) {
            let role = self.role(supervisor, pid);
            self.processes.insert(pid, Heard { foreign: role == "other", role });
        }
        let process = self.processes.get_mut(&pid)?;
        if process.foreign {
            return None;
        }
        let execution = i64::from(number) == libc::SYS_execve;
        process.foreign = execution && process.role != "supervisor";
        let count = self.counts.entry((process.role.clone(), number)).or_default();
        *count += 1;
        // The supervisor's own is the first of its calls, and made by this program.
        if execution && process.role == "supervisor" {
            return None;
        }
        let site = Site { role: process.role.clone(), number, occurrence: *count };
        let effect =
            self.fault.as_ref().filter(|(fault, _)| !self.fired && *fault == site).map(|(_, effect)| *effect);
        self.fired |= effect.is_some();
        self.sites.push(site);
        effect
    }

    fn role(&mut self, supervisor: u32, pid: u32) -> String {
        if pid == supervisor {
            return "supervisor".to_owned();
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let parent: u32 = of("PPid:").trim().parse().unwrap_or(0);
        let nested = of("NSpid:").split_whitespace().count() > 1;
        let parent = self.processes.get(&parent).filter(|parent| !parent.foreign);
        let parent = parent.map_or("", |parent| parent.role.as_str());
        let below = parent.strip_prefix("child ").map(|child| format!("program {child}"));
        match parent {
            "supervisor" if nested => "zygote".to_owned(),
            "supervisor" => self.next("probe"),
            "zygote" => "init".to_owned(),
            "init" => self.next("child"),
            _ if parent.starts_with("probe ") => "keeper".to_owned(),
            _ => below.unwrap_or_else(|| "other".to_owned()),
        }
    }

    fn next(&mut self, kind: &str) -> String {
        self.children += 1;
        format!("{kind} {}", self.children)
    }
}
