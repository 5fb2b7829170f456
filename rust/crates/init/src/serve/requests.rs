//! Requests of the library: taken from the control socket, whole or in pieces, and begun.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use e2bridge_protocol::init::{InitEvent, InitRequest, Program, Spawn};
use e2bridge_protocol::socket;
use rustix::io::Errno;

use super::execution::{Execution, Phase};
use super::{Agent, Server, Shutdown};
use crate::shepherd::state;
use crate::spawn::{self, Started, Streams, in_child, tell};
use crate::sys::{self, Fork, Slot};
use crate::weaken::{self, Defence};
use crate::{archive, confinement, file_agent, statistics};

/// Most requests at a time whose bytes are still arriving.
const MAX_LONG: usize = 16;

/// A request whose bytes are still arriving.
pub(super) struct Long {
    pub(super) channel: OwnedFd,
    fds: Vec<OwnedFd>,
    bytes: Vec<u8>,
    expected: usize,
}

impl Server {
    /// Takes the next one from the control socket.
    pub(super) fn request(&mut self) {
        match socket::recv_bytes(&self.control, self.buffer) {
            // The library and the supervisor are gone, and with process 1 goes the sandbox.
            Ok((0, _)) => sys::exit(0),
            Ok((length, fds)) => match socket::decode(&self.buffer[..length]) {
                Ok(request) => self.dispatch(request, fds),
                Err(_) => refuse(fds.first(), "request", libc::EBADMSG),
            },
            // A datagram whose descriptors found no room: they are closed by now, which its sender sees.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {}
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {}
            Err(error)
                if matches!(
                    sys::errno(&error),
                    libc::ENOMEM | libc::ENOBUFS | libc::EMFILE | libc::ENFILE
                ) => {}
            Err(_) => sys::exit(0),
        }
    }

    fn dispatch(&mut self, request: InitRequest, mut fds: Vec<OwnedFd>) {
        if fds.is_empty() {
            return;
        }
        let channel = fds.remove(0);
        if self.shutdown.is_some() && !matches!(request, InitRequest::Statistics) {
            return refuse(Some(&channel), "shutdown", libc::ESHUTDOWN);
        }
        let confinement = self.confinement;
        let top = confinement.map_or("/", |confinement| &confinement.root);
        match request {
            InitRequest::Spawn(spawn) => self.spawn(&spawn, channel, fds),
            InitRequest::ReadFile { path, max_bytes } => {
                let path = confinement::find(confinement, &path);
                self.agent(channel, fds, false, |data| file_agent::read(&path, max_bytes, data));
            }
            InitRequest::WriteFile { path, bytes } => {
                let path = confinement::find(confinement, &path);
                self.agent(channel, fds, true, |data| file_agent::write(&path, bytes, data));
            }
            InitRequest::ExportTree { roots, max_bytes, max_entries } => {
                let export =
                    |data: BorrowedFd<'_>| archive::export(top, &roots, max_bytes, max_entries, data);
                self.agent(channel, fds, false, export);
            }
            InitRequest::ImportTree { roots } => {
                self.agent(channel, fds, true, |data| archive::import(top, &roots, data));
            }
            InitRequest::Statistics => {
                let running = self.executions.iter().filter(|execution| execution.running()).count();
                tell(
                    &channel,
                    &InitEvent::Statistics(statistics::collect(&mut self.processes, running, confinement)),
                );
            }
            InitRequest::Shutdown { grace_ms } => self.shut_down(channel, grace_ms),
            InitRequest::Long { bytes } => match usize::try_from(bytes) {
                Ok(expected)
                    if expected <= socket::MAX_LONG_MESSAGE && expected > 0 && self.long.len() < MAX_LONG =>
                {
                    self.long.push(Long { channel, fds, bytes: Vec::with_capacity(expected), expected });
                }
                _ => refuse(Some(&channel), "request", libc::EMSGSIZE),
            },
        }
    }

    /// More bytes of a long request.
    pub(super) fn more(&mut self, index: usize) {
        let long = &mut self.long[index];
        match rustix::net::recv(&long.channel, &mut self.buffer[..], rustix::net::RecvFlags::DONTWAIT) {
            Ok((length @ 1.., _)) if long.bytes.len() + length <= long.expected => {
                long.bytes.extend_from_slice(&self.buffer[..length]);
                if long.bytes.len() < long.expected {
                    return;
                }
                let Long { channel, mut fds, bytes, .. } = self.long.remove(index);
                match socket::decode(&bytes) {
                    Ok(InitRequest::Long { .. }) | Err(_) => refuse(Some(&channel), "request", libc::EBADMSG),
                    Ok(request) => {
                        drop(bytes);
                        fds.insert(0, channel);
                        self.dispatch(request, fds);
                        sys::trim_heap();
                    }
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok((1.., _)) => {
                let long = self.long.remove(index);
                refuse(Some(&long.channel), "request", libc::EMSGSIZE);
            }
            // The library closed it.
            Ok(_) | Err(_) => drop(self.long.remove(index)),
        }
    }

    fn spawn(&mut self, spawn: &Spawn, channel: OwnedFd, fds: Vec<OwnedFd>) {
        let Some(streams) = Streams::new(spawn, fds) else {
            return refuse(Some(&channel), "descriptors", libc::EINVAL);
        };
        if matches!(spawn.program, Program::EmbeddedJavaScript | Program::WarmPython) {
            if !spawn.worker {
                return refuse(Some(&channel), "descriptors", libc::EINVAL);
            }
            let cwd = confinement::find(self.confinement, &spawn.cwd);
            if let Err(error) = rustix::fs::access(&*cwd, rustix::fs::Access::EXEC_OK) {
                return refuse(Some(&channel), "chdir", error.raw_os_error());
            }
        }
        let free = |slot: &&'static Slot| slot.state.load(Ordering::Acquire) == state::FREE;
        let Some(slot) = self.slots.all().iter().find(free) else {
            return refuse(Some(&channel), "fork", libc::EAGAIN);
        };
        let deadline =
            spawn.timeout_ms.and_then(|timeout| Instant::now().checked_add(Duration::from_millis(timeout)));
        let deadline = deadline.filter(|_| weaken::keeps(Defence::Deadline));
        let started = self.expendable(|| {
            spawn::start(spawn, &channel, streams, slot, self.slots, &self.interpreters, self.confinement)
        });
        let (top, slot) = match started {
            Ok(Started::Shepherd(pid)) => (pid, Some(slot)),
            Ok(Started::Worker(pid)) => {
                tell(&channel, &InitEvent::Started { pid: pid.unsigned_abs() });
                (pid, None)
            }
            Err(error) => return refuse(Some(&channel), "fork", sys::errno(&error)),
        };
        if let (true, Some(memory)) = (self.executions.is_empty(), &mut self.memory) {
            memory.begin();
        }
        self.executions.push(Execution {
            top,
            top_lives: true,
            slot,
            channel: Some(channel),
            deadline,
            phase: Phase::Running,
        });
    }

    /// Starts something that the kernel is to take before init when memory runs out: a fork inherits the value of its parent.
    fn expendable<T>(&self, start: impl FnOnce() -> T) -> T {
        let Some(badness) = &self.badness else { return start() };
        // Without the higher value it starts all the same.
        let set = |value: i16| {
            let _ = rustix::io::pwrite(&badness.file, value.to_string().as_bytes(), 0);
        };
        set(if weaken::keeps(Defence::Badness) { badness.programs } else { badness.init });
        let started = start();
        set(badness.init);
        started
    }

    /// Starts a child that works on files and reports by itself.
    fn agent(
        &mut self,
        channel: OwnedFd,
        mut fds: Vec<OwnedFd>,
        cleans_up: bool,
        work: impl FnOnce(BorrowedFd<'_>) -> InitEvent,
    ) {
        let (Some(data), true) = (fds.pop(), fds.is_empty()) else {
            return refuse(Some(&channel), "descriptors", libc::EINVAL);
        };
        match sys::fork() {
            Ok(Fork::Parent(pid)) => {
                self.agents.push(Agent { pid, channel: Some(channel), cleans_up, kill_at: None });
            }
            Ok(Fork::Child) => in_child(|| {
                if let Some(confinement) = self.confinement {
                    sys::end_with_parent();
                    if confinement.fence().is_err() {
                        sys::exit(105);
                    }
                }
                let event = match sys::close_others(&mut [channel.as_raw_fd(), data.as_raw_fd()]) {
                    Ok(()) => work(data.as_fd()),
                    Err(error) => {
                        InitEvent::Failed { stage: "close_range".to_owned(), errno: sys::errno(&error) }
                    }
                };
                tell(&channel, &event);
                sys::exit(0)
            }),
            Err(error) => refuse(Some(&channel), "fork", sys::errno(&error)),
        }
    }

    fn shut_down(&mut self, channel: OwnedFd, grace_ms: u32) {
        if !self.can_end_orderly() {
            return tell(&channel, &InitEvent::ShutDown { clean: true });
        }
        // Init is spared by the kernel, shepherds and agents have it blocked.
        sys::signal_all(libc::SIGTERM);
        sys::signal_all(libc::SIGCONT);
        let deadline = Instant::now() + Duration::from_millis(u64::from(grace_ms));
        self.shutdown = Some(Shutdown { channel, deadline });
    }
}

fn refuse(channel: Option<&OwnedFd>, stage: &str, errno: i32) {
    if let Some(channel) = channel {
        tell(channel, &InitEvent::Failed { stage: stage.to_owned(), errno });
    }
}
