//! The zygote's part of a launch.

use std::os::fd::{AsRawFd, OwnedFd};

use e2bridge_init::weaken::{self, Defence};
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use rustix::thread::UnshareFlags;

use super::networks::Networks;
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

/// A clone: its process, and its network unless a test leaves that defence out.
pub(crate) struct Clone {
    pub(crate) pidfd: OwnedFd,
    pub(crate) network: Option<OwnedFd>,
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
) -> Result<Clone, Step> {
    let network = networks.enter()?;
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
    Ok(Clone { pidfd, network })
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
