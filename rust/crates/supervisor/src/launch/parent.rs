//! The zygote's part of a launch.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use e2bridge_init::weaken::{self, Defence};
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::{Prepared, child, write};
use crate::message::{At, Order, Step};
use crate::plan;
use crate::sys::{self, Cloned};

/// Namespaces that a clone gets by being cloned. Its network namespace is made before and belongs to the zygote's user namespace, so
/// that nothing inside has a capability over it; its cgroup namespace is made after, when it is in its cgroups.
pub(crate) const NAMESPACES: u32 = UnshareFlags::NEWUSER.bits()
    | UnshareFlags::NEWNS.bits()
    | UnshareFlags::NEWPID.bits()
    | UnshareFlags::NEWIPC.bits()
    | UnshareFlags::NEWUTS.bits();

/// [`NAMESPACES`], but for what tests leave out.
fn namespaces() -> u32 {
    [
        (Defence::Pid, UnshareFlags::NEWPID),
        (Defence::Ipc, UnshareFlags::NEWIPC),
        (Defence::Uts, UnshareFlags::NEWUTS),
    ]
    .into_iter()
    .filter(|(defence, _)| !weaken::keeps(*defence))
    .fold(NAMESPACES, |flags, (_, left_out)| flags & !left_out.bits())
}

/// Makes a clone and writes its id maps. It waits for the supervisor then.
///
/// # Errors
/// There is no clone then.
pub(crate) fn clone(
    prepared: &Prepared,
    networks: &mut Networks,
    order: &Order,
    status: OwnedFd,
    control: OwnedFd,
) -> Result<OwnedFd, Step> {
    networks.enter()?;
    let cloned = sys::clone_process(namespaces());
    if matches!(cloned, Ok(Cloned::Child)) {
        child::run(prepared, order, status.as_raw_fd(), control.as_raw_fd());
    }
    networks.leave()?;
    let Cloned::Parent(pidfd, pid) = cloned.at("clone sandbox")? else { sys::exit(1) };
    map_ids(order, pid).inspect_err(|_| {
        // It has no right to exist, and waits; when this fails, it is gone.
        let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
    })?;
    Ok(pidfd)
}

fn map_ids(order: &Order, pid: i32) -> Result<(), Step> {
    let map = plan::sandbox_map(order.id);
    for (name, content) in [("setgroups", "deny"), ("gid_map", &map), ("uid_map", &map)] {
        let path = format!("/proc/{pid}/{name}");
        let file =
            rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).about("map ids", name)?;
        rustix::io::write(&file, content.as_bytes()).about("map ids", format!("{name} {content}"))?;
    }
    Ok(())
}

/// Network namespaces for clones, with their loopback up. To make one takes longer than everything else of a clone together, so that
/// one is kept ready.
pub(crate) struct Networks {
    /// The zygote's, to come back to.
    own: OwnedFd,
    ready: Option<OwnedFd>,
    /// No cgroup counts what is in the buffers of connections.
    bound_buffers: bool,
}

impl Networks {
    /// To be called in the zygote's own.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn new(bound_buffers: bool) -> Result<Self, Step> {
        Ok(Self { own: current_network()?, ready: None, bound_buffers })
    }

    /// Makes the next one, unless it is there.
    ///
    /// # Errors
    /// This process may be in the wrong one then, or none can be made.
    pub(crate) fn stock(&mut self) -> Result<(), Step> {
        if self.ready.is_none() {
            self.make()?;
            self.ready = Some(current_network()?);
            self.leave()?;
        }
        Ok(())
    }

    /// Enters one that nobody has used.
    fn enter(&mut self) -> Result<(), Step> {
        match self.ready.take() {
            Some(network) => enter_network(network.as_fd()).at("enter network namespace"),
            None => self.make(),
        }
    }

    fn make(&self) -> Result<(), Step> {
        if !weaken::keeps(Defence::Network) {
            return Ok(());
        }
        sys::unshare(UnshareFlags::NEWNET).at("make network namespace")?;
        match self.set_up() {
            Ok(()) => Ok(()),
            Err(step) => self.leave().and(Err(step)),
        }
    }

    /// To be called in the new one.
    fn set_up(&self) -> Result<(), Step> {
        if self.bound_buffers {
            for path in ["/proc/sys/net/ipv4/tcp_rmem", "/proc/sys/net/ipv4/tcp_wmem"] {
                write(path, plan::TCP_BUFFERS)?;
            }
        }
        sys::raise_loopback().at("raise loopback")
    }

    /// Goes back to the zygote's own.
    ///
    /// # Errors
    /// As `setns(2)`.
    pub(crate) fn leave(&self) -> Result<(), Step> {
        enter_network(self.own.as_fd()).at("leave network namespace")
    }
}

fn enter_network(network: BorrowedFd<'_>) -> rustix::io::Result<()> {
    if !weaken::keeps(Defence::Network) {
        return Ok(());
    }
    rustix::thread::move_into_link_name_space(network, Some(LinkNameSpaceType::Network))
}

fn current_network() -> Result<OwnedFd, Step> {
    rustix::fs::open("/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .about("open", "/proc/self/ns/net")
}
