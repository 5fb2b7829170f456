//! Network namespaces for clones, with their loopback up. They belong to the zygote's user namespace, so that nothing inside a sandbox
//! has a capability over its own. To make one, and to let the kernel remove it, takes longer than everything else of a clone
//! together. So one is kept ready; and one whose sandbox has ended is used again, if it is as it was when it was made.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use e2bridge_init::weaken::{self, Defence};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::write;
use crate::message::{At, Step};
use crate::{plan, sys};

/// What shows that something was done in a network: bytes and packets of its interface, everything that IPv4, IPv6, TCP, UDP and ICMP
/// count (also what failed for want of a route), and labels of flows, which outlive their socket.
const TRACES: [&str; 4] = ["dev", "snmp", "snmp6", "ip6_flowlabel"];

/// Most networks that are kept to be looked at.
const MOST_RETURNED: usize = 8;

/// The networks of a zygote.
pub(crate) struct Networks {
    /// The zygote's, to come back to.
    own: OwnedFd,
    ready: Option<OwnedFd>,
    /// Of sandboxes that have ended.
    returned: Vec<OwnedFd>,
    /// What [`Networks::traces`] read in the newest one when it was made.
    untouched: Vec<u8>,
    /// No cgroup counts what is in the buffers of connections.
    bound_buffers: bool,
}

impl Networks {
    /// To be called in the zygote's own.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn new(bound_buffers: bool) -> Result<Self, Step> {
        let (own, untouched) = (current()?, Vec::new());
        Ok(Self { own, ready: None, returned: Vec::new(), untouched, bound_buffers })
    }

    /// Takes back the network of a sandbox of which no process is left, some time after its end, so that what its sockets left to timers
    /// (the kernel announces that a multicast group was joined and left) has been done and counted.
    pub(crate) fn take_back(&mut self, network: OwnedFd) {
        if self.returned.len() < MOST_RETURNED {
            self.returned.push(network);
        }
    }

    /// Gets the next one ready, unless it is there.
    ///
    /// # Errors
    /// This process may be in the wrong one then, or none can be made.
    pub(crate) fn stock(&mut self) -> Result<(), Step> {
        if self.ready.is_none() {
            self.ready = self.enter_another()?;
            self.leave()?;
        }
        Ok(())
    }

    /// Enters one that nobody has used, or of whose use nothing is left. It goes along with the clone; none when a test leaves this
    /// defence out.
    ///
    /// # Errors
    /// As [`Networks::stock`].
    pub(crate) fn enter(&mut self) -> Result<Option<OwnedFd>, Step> {
        match self.ready.take() {
            Some(network) => {
                go_to(network.as_fd()).at("enter network namespace")?;
                Ok(Some(network))
            }
            None => self.enter_another(),
        }
    }

    fn enter_another(&mut self) -> Result<Option<OwnedFd>, Step> {
        if !weaken::keeps(Defence::Network) {
            return Ok(None);
        }
        while let Some(network) = self.returned.pop() {
            go_to(network.as_fd()).at("enter network namespace")?;
            if traces().is_some_and(|traces| traces == self.untouched) {
                return Ok(Some(network));
            }
        }
        sys::unshare(UnshareFlags::NEWNET).at("make network namespace")?;
        match self.set_up().and_then(|()| current()) {
            Ok(network) => Ok(Some(network)),
            Err(step) => self.leave().and(Err(step)),
        }
    }

    /// To be called in the new one.
    fn set_up(&mut self) -> Result<(), Step> {
        if self.bound_buffers {
            for path in ["/proc/sys/net/ipv4/tcp_rmem", "/proc/sys/net/ipv4/tcp_wmem"] {
                write(path, plan::TCP_BUFFERS)?;
            }
        }
        sys::raise_loopback().at("raise loopback")?;
        // Where they cannot be read, none is used again.
        self.untouched = traces().unwrap_or_default();
        Ok(())
    }

    /// Goes back to the zygote's own.
    ///
    /// # Errors
    /// As `setns(2)`.
    pub(crate) fn leave(&self) -> Result<(), Step> {
        go_to(self.own.as_fd()).at("leave network namespace")
    }
}

/// What is to be seen of the use of this process's network. Nothing when it has a socket, or a trace cannot be read.
fn traces() -> Option<Vec<u8>> {
    let mut all = Vec::with_capacity(16 * 1024);
    for name in TRACES {
        all.extend_from_slice(name.as_bytes());
        match append(&mut all, &format!("/proc/net/{name}")) {
            Ok(()) => {}
            // A kernel without IPv6 has none of its tables.
            Err(Errno::NOENT) if name.contains('6') => {}
            Err(_) => return None,
        }
    }
    // The first line counts sockets of every kind; those below it are the machine's in part.
    let before = all.len();
    append(&mut all, "/proc/net/sockstat").ok()?;
    let unused = all[before..].starts_with(b"sockets: used 0\n");
    all.truncate(before);
    unused.then_some(all)
}

/// Reads all of a file of the kernel, in large pieces.
fn append(all: &mut Vec<u8>, path: &str) -> rustix::io::Result<()> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    loop {
        all.reserve(8 * 1024);
        if rustix::io::read(&file, rustix::buffer::spare_capacity(all))? == 0 {
            return Ok(());
        }
    }
}

fn go_to(network: BorrowedFd<'_>) -> rustix::io::Result<()> {
    if !weaken::keeps(Defence::Network) {
        return Ok(());
    }
    rustix::thread::move_into_link_name_space(network, Some(LinkNameSpaceType::Network))
}

fn current() -> Result<OwnedFd, Step> {
    rustix::fs::open("/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .about("open", "/proc/self/ns/net")
}
