//! A template's zygote: process 1 of namespaces of its own, with the finished root, seccomp and limits that its clones inherit,
//! and the capabilities over its own id range that cloning needs. It runs no code but this program's and, where it is CPython, the
//! interpreter's own.

pub(crate) mod python;
pub(crate) mod root;
pub(crate) mod seccomp;

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::AssertUnwindSafe;

use e2bridge_init::WarmPython;
use e2bridge_init::weaken::{self, Defence};
use e2bridge_protocol::socket;
use e2bridge_protocol::supervisor::Template;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{DumpableBehavior, Rlimit, Signal};
use rustix::thread::{CapabilitySet, UnshareFlags};

use crate::launch;
use crate::launch::networks::Networks;
use crate::launch::parent::Clone;
use crate::message::{At, Order, Step, ZygoteReply, ZygoteRequest};
use crate::plan::{INHERITED_LIMITS, Identity, Tier, View, WATCHES, WATCHES_SHARE};
use crate::{process_tier, sys};

/// Name of a zygote's process.
const NAME: &std::ffi::CStr = c"e2b-zygote";

/// Namespaces of a zygote.
pub(crate) fn namespaces(tier: Tier) -> u32 {
    match tier {
        Tier::Full => {
            launch::parent::NAMESPACES
                | weaken::flags_of(Defence::Network, UnshareFlags::NEWNET.bits())
                | UnshareFlags::NEWCGROUP.bits()
        }
        Tier::Process => 0,
    }
}

/// What a zygote is started with.
pub(crate) struct Zygote {
    /// Which one.
    pub(crate) template: Template,
    /// What its clones become.
    pub(crate) tier: Tier,
    /// Its ids.
    pub(crate) identity: Identity,
    /// Its root.
    pub(crate) view: View,
    /// It becomes the interpreter, so that workers are forks of it: see [`python`].
    pub(crate) forks: bool,
    /// No cgroup bounds memory: each process is bounded by itself.
    pub(crate) per_process_memory: bool,
}

/// What a zygote of the tier `full` clones with.
struct Cloner {
    prepared: launch::Prepared,
    networks: Networks,
}

/// What a zygote keeps for its clones: a network namespace, its loopback, and the way back; other ids than its own, in the id maps of
/// clones or to take them, where it has some.
const CAPABILITIES_FOR_CLONING: CapabilitySet = CapabilitySet::from_bits_retain(
    CapabilitySet::SYS_ADMIN.bits()
        | CapabilitySet::NET_ADMIN.bits()
        | CapabilitySet::SETUID.bits()
        | CapabilitySet::SETGID.bits(),
);

impl Zygote {
    /// Runs it in a fresh clone with its [`namespaces`]; `socket` leads to the supervisor. Ends when that closes.
    pub(crate) fn run(self, socket: RawFd) -> ! {
        let ([socket], closed) = sys::keep_only([socket]);
        // A panic must not reach the code of the supervisor, of which this process is a copy.
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let served = closed.at("close descriptors").and_then(|()| match self.tier {
                Tier::Full => self.serve(socket.as_fd()),
                Tier::Process => self.serve_process_tier(socket.as_fd()),
            });
            if let Err(step) = served {
                // Nobody is left to be told when this fails.
                let _ = socket::send(&socket, &ZygoteReply::Failed(step), &[]);
            }
        }));
        sys::exit(i32::from(result.is_err()))
    }

    fn serve(self, socket: BorrowedFd<'_>) -> Result<(), Step> {
        self.prepare(socket)?;
        match (&self.view.interpreter, self.forks) {
            (Some(interpreter), true) => python::become_interpreter(&self, interpreter, socket),
            _ => {
                sys::drop_bounding_set(CapabilitySet::empty()).at("drop bounding set")?;
                let cloner = self.cloner(None)?;
                // What is not needed any more, clones need not inherit.
                drop(self);
                cloner.serve(socket)
            }
        }
    }

    /// The part that follows on [`python::become_interpreter`].
    #[cfg(feature = "python-zygote")]
    fn serve_in_interpreter(&self, socket: BorrowedFd<'_>, warm: WarmPython) -> Result<(), Step> {
        rustix::thread::set_name(NAME).at("set name")?;
        self.follow_supervisor()?;
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).at("set dumpable")?;
        let cloner = self.cloner(Some(warm))?;
        // Now that everything is in force that a worker inherits.
        python::try_fork()?;
        cloner.serve(socket)
    }

    /// From here on everything is in force that clones inherit.
    fn cloner(&self, warm: Option<WarmPython>) -> Result<Cloner, Step> {
        let prepared = launch::Prepared::new(&self.view, warm)?;
        let networks = Networks::new(self.per_process_memory)?;
        self.restrict()?;
        Ok(Cloner { prepared, networks })
    }

    fn serve_process_tier(self, socket: BorrowedFd<'_>) -> Result<(), Step> {
        self.begin(socket)?;
        let prepared = process_tier::Prepared::new(self.identity, &self.view)?;
        self.restrict()?;
        drop(self);
        announce(socket)?;
        serve(
            socket,
            || Ok(()),
            |order, [status, control], _| {
                let pidfd = process_tier::clone(&prepared, order, status, control)?;
                Ok(Clone { pidfd, network: None })
            },
        )
    }

    /// Waits for the supervisor's word, and sets what clones inherit.
    fn begin(&self, socket: BorrowedFd<'_>) -> Result<(), Step> {
        rustix::thread::set_name(NAME).at("set name")?;
        self.follow_supervisor()?;
        match socket::recv(socket).at("receive")? {
            Some((ZygoteRequest::Begin, _)) => {}
            _ => return Err(Step::refused("receive", "no beginning")),
        }
        for (resource, soft, hard) in INHERITED_LIMITS {
            if !weaken::keeps_limit(&format!("{resource:?}")) {
                continue;
            }
            let most = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
            let limit = Rlimit { current: Some(soft.min(most)), maximum: Some(hard.min(most)) };
            rustix::process::setrlimit(resource, limit).about("set limit", format!("{resource:?}"))?;
        }
        Ok(())
    }

    /// The engine is warm; seccomp and what is left of the capabilities are in force.
    fn restrict(&self) -> Result<(), Step> {
        if self.template == Template::Base {
            e2bridge_worker::prewarm();
        }
        if weaken::keeps(Defence::NoNewPrivileges) {
            rustix::thread::set_no_new_privs(true).at("set no_new_privs")?;
        }
        if weaken::keeps(Defence::Seccomp) {
            seccomp::Filters::new(self.per_process_memory)?.install()?;
        }
        self.keep_what_cloning_needs()
    }

    fn prepare(&self, socket: BorrowedFd<'_>) -> Result<(), Step> {
        self.begin(socket)?;
        let trees = root::Trees::copy(&self.view)?;
        let id = self.identity.zygote_id();
        if self.identity.dedicated() {
            rustix::thread::set_thread_groups(&[]).at("drop groups")?;
        }
        let (group, user) = (rustix::process::Gid::from_raw(id), rustix::process::Uid::from_raw(id));
        rustix::thread::set_thread_res_gid(group, group, group).at("set group id")?;
        rustix::thread::set_thread_res_uid(user, user, user).at("set user id")?;
        // Changing ids cleared both; without the first, the id maps of clones could not be opened.
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).at("set dumpable")?;
        self.follow_supervisor()?;
        rustix::process::umask(rustix::fs::Mode::empty());
        root::enter(&self.view, trees)?;
        rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o022));
        if let Some(path) = &self.view.interpreter {
            // A carried one is not at its place here.
            if self.view.carried.iter().all(|carried| !path.starts_with(carried.place.path)) {
                rustix::fs::access(path, rustix::fs::Access::EXEC_OK)
                    .about("find interpreter", path.display())?;
            }
        }
        bound_watches()
    }

    /// Gives up all capabilities over its namespaces but those that a clone takes. (The clone has all of them over its own.)
    fn keep_what_cloning_needs(&self) -> Result<(), Step> {
        let ids = CapabilitySet::SETUID | CapabilitySet::SETGID;
        let mut kept = if self.identity.dedicated() { ids } else { CapabilitySet::empty() };
        if self.tier == Tier::Full {
            kept |= CAPABILITIES_FOR_CLONING - ids;
        }
        sys::keep_capabilities(kept).at("drop capabilities")
    }

    /// Dies with the supervisor. (That its socket ends then is the second way to notice.)
    fn follow_supervisor(&self) -> Result<(), Step> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).at("set parent death signal")
    }
}

impl Cloner {
    /// Clones as it is told, until the supervisor ends.
    fn serve(self, socket: BorrowedFd<'_>) -> Result<(), Step> {
        announce(socket)?;
        let (prepared, networks) = (self.prepared, RefCell::new(self.networks));
        // With nothing to do, the next network is made. When that fails, the next clone says so.
        let idle = || {
            let mut networks = networks.borrow_mut();
            networks.stock().or_else(|_| networks.leave())
        };
        serve(socket, idle, |order, [status, control], returned| {
            let mut networks = networks.borrow_mut();
            let clone = launch::parent::clone(&prepared, &mut networks, order, status, control);
            returned.for_each(|network| networks.take_back(network));
            clone
        })
    }
}

/// The last step: tidies the memory that clones get, and tells the supervisor.
fn announce(socket: BorrowedFd<'_>) -> Result<(), Step> {
    sys::forget_children();
    sys::trim_heap();
    sys::fill_heap();
    socket::send(socket, &ZygoteReply::Ready, &[]).at("send")
}

/// Leaves most of what the service's user may have of inotify to others.
fn bound_watches() -> Result<(), Step> {
    for (what, _) in WATCHES.into_iter().filter(|_| weaken::keeps(Defence::Watches)) {
        let path = format!("/proc/sys/fs/inotify/max_user_{what}");
        let most = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u64>().ok());
        if let Some(most) = most {
            launch::limit_watches(what, (most / WATCHES_SHARE).max(1))?;
        }
    }
    Ok(())
}

/// Clones as it is told, until the supervisor ends.
///
/// # Errors
/// `idle` says why there is no going on.
fn serve(
    socket: BorrowedFd<'_>,
    mut idle: impl FnMut() -> Result<(), Step>,
    mut clone: impl FnMut(&Order, [OwnedFd; 2], std::vec::IntoIter<OwnedFd>) -> Result<Clone, Step>,
) -> Result<(), Step> {
    loop {
        if !waits(socket) {
            idle()?;
        }
        // An error here is the end of the supervisor, or of this program's integrity.
        let Ok(Some((request, fds))) = socket::recv(socket) else { return Ok(()) };
        let ZygoteRequest::Clone(order) = request else { return Ok(()) };
        let mut fds = fds.into_iter();
        let (Some(status), Some(control)) = (fds.next(), fds.next()) else { return Ok(()) };
        let Order { sandbox, .. } = order;
        let sent = match clone(&order, [status, control], fds) {
            Ok(Clone { pidfd, network }) => {
                let fds: Vec<_> = [&pidfd].into_iter().chain(&network).map(AsFd::as_fd).collect();
                socket::send(socket, &ZygoteReply::Cloned { sandbox }, &fds)
            }
            Err(step) => socket::send(socket, &ZygoteReply::CloneFailed { sandbox, step }, &[]),
        };
        if sent.is_err() {
            return Ok(());
        }
    }
}

/// Whether a message, or the end of the connection, is there already.
fn waits(socket: BorrowedFd<'_>) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::IN)], Some(&now)) != Ok(0)
}
