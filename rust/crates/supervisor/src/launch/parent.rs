//! The zygote's part of a launch.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::{Prepared, child};
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

/// Makes a clone and writes its id maps. It waits for the supervisor then.
///
/// # Errors
/// There is no clone then.
pub(crate) fn clone(
    prepared: &Prepared,
    order: &Order,
    status: OwnedFd,
    control: OwnedFd,
) -> Result<OwnedFd, Step> {
    let network = Network::enter(prepared.network.as_fd())?;
    let cloned = sys::clone_process(NAMESPACES);
    if matches!(cloned, Ok(Cloned::Child)) {
        child::run(prepared, order, status.as_raw_fd(), control.as_raw_fd());
    }
    network.leave()?;
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

/// A network namespace for the next clone, with its loopback up.
struct Network<'a> {
    own: BorrowedFd<'a>,
}

impl<'a> Network<'a> {
    /// Makes one and enters it; `own` is the one to come back to.
    fn enter(own: BorrowedFd<'a>) -> Result<Self, Step> {
        sys::unshare(UnshareFlags::NEWNET).at("make network namespace")?;
        let network = Self { own };
        match sys::raise_loopback().at("raise loopback") {
            Ok(()) => Ok(network),
            Err(step) => network.leave().and(Err(step)),
        }
    }

    fn leave(self) -> Result<(), Step> {
        rustix::thread::move_into_link_name_space(self.own, Some(LinkNameSpaceType::Network))
            .at("leave network namespace")
    }
}
