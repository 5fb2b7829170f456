//! The clone's part of a launch without namespaces: the keeper, which becomes what the sandbox is put under, starts init below itself,
//! and ends everything when init has ended or the supervisor lets go.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use e2bridge_init::{Badness, Confinement, Watched};
use e2bridge_protocol::socket;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Gid, Resource, Rlimit, Uid, WaitIdOptions};
use rustix::thread::{CapabilitySet, SecureComputingMode};

use super::rules::{self, Proc};
use super::{Prepared, files, tasks_of};
use crate::launch::child;
use crate::message::{At, CloneReport, Order, PerProcess, Step};
use crate::plan::{Identity, PLACES};
use crate::sys::{self, Cloned};

/// Between two rounds of killing: the first interval, and the longest.
const KILL_ROUND: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(5));
/// Processes that belong to the sandbox and not to its programs: the keeper and init.
const OWN_PROCESSES: u64 = 2;

/// Makes a clone that becomes a sandbox. It waits for the supervisor.
///
/// # Errors
/// There is no clone then.
pub(crate) fn clone(
    prepared: &Prepared,
    order: &Order,
    status: OwnedFd,
    control: OwnedFd,
) -> Result<OwnedFd, Step> {
    match sys::clone_process(0).at("clone sandbox")? {
        Cloned::Parent(pidfd, _) => Ok(pidfd),
        Cloned::Child => run(prepared, order, status.as_raw_fd(), control.as_raw_fd()),
    }
}

fn run(prepared: &Prepared, order: &Order, status: RawFd, control: RawFd) -> ! {
    let ([status, control], closed) = sys::keep_only([status, control]);
    let directory = Path::new(order.directory.as_deref().unwrap_or_default());
    let confined = closed.at("close descriptors");
    let started = match confined.and_then(|()| confine(prepared, order, directory, status.as_fd())) {
        Ok(landlock_abi) => match sys::clone_process(0).at("clone init") {
            Ok(Cloned::Child) => init(prepared, order, landlock_abi, directory, status, control),
            Ok(Cloned::Parent(pidfd, _)) => Ok(pidfd),
            Err(step) => Err(step),
        },
        Err(step) => Err(step),
    };
    // The library notices the end of init by its end.
    drop(control);
    match started {
        Ok(init) => {
            // Nobody reads its memory or its files in /proc.
            let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
            watch(status.as_fd(), init.as_fd());
            end_everything();
        }
        Err(step) => {
            // Who is not there to be told has let go.
            let _ = socket::send(&status, &CloneReport::Failed(step), &[]);
        }
    }
    // What cannot be removed here, the supervisor tries once more.
    let _ = files::empty(directory);
    sys::exit(0)
}

/// Everything that is to hold for the sandbox, in the keeper. Returns the ABI of Landlock in force.
fn confine(
    prepared: &Prepared,
    order: &Order,
    directory: &Path,
    status: BorrowedFd<'_>,
) -> Result<u32, Step> {
    child::await_go(status)?;
    rustix::thread::set_name(c"e2b-keeper").at("set name")?;
    rustix::process::setsid().at("make session")?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).at("become subreaper")?;
    sys::block_signals();
    let (user, group) = prepared.ids(order.id);
    // The kernel counts the processes of a user id: those that are the sandbox's alone, or all that the caller has.
    let others = if prepared.identity.dedicated() { 0 } else { tasks_of(user)? };
    become_user(prepared.identity, user, group)?;
    files::furnish(directory, &prepared.programs)?;
    rustix::process::chdir(directory).about("enter directory", directory.display())?;
    let per_process = order.per_process.map(PerProcess::limits).into_iter().flatten();
    let processes = order.process_limit.map(|most| (Resource::Nproc, most + OWN_PROCESSES + others));
    for (resource, value) in per_process.chain(processes).chain([(Resource::Fsize, order.disk_bytes)]) {
        let most = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Rlimit { current: Some(value.min(most)), maximum: Some(value.min(most)) };
        rustix::process::setrlimit(resource, limit).about("set limit", format!("{resource:?} {value}"))?;
    }
    let landlock_abi = rules::restrict_self(prepared, directory, Proc::Write)?;
    check(prepared, user, group)?;
    if let Some(path) = &prepared.interpreter {
        // Where the template's zygote finds it, an id that owns nothing may not.
        rustix::fs::access(path, rustix::fs::Access::EXEC_OK).about("reach interpreter", path.display())?;
    }
    // Until init has opened its own file in /proc.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).at("set dumpable")?;
    Ok(landlock_abi)
}

/// Takes the ids of the sandbox and gives up every capability there may be.
fn become_user(identity: Identity, user: u32, group: u32) -> Result<(), Step> {
    if identity.dedicated() {
        rustix::thread::set_thread_groups(&[]).at("drop groups")?;
        let (group, user) = (Gid::from_raw(group), Uid::from_raw(user));
        rustix::thread::set_thread_res_gid(group, group, group).at("set group id")?;
        rustix::thread::set_thread_res_uid(user, user, user).at("set user id")?;
    }
    sys::keep_capabilities(CapabilitySet::empty()).at("drop capabilities")
}

/// What is reported as in force is tried, not believed.
fn check(prepared: &Prepared, user: u32, group: u32) -> Result<(), Step> {
    let none = CapabilitySet::empty();
    let capabilities = rustix::thread::capabilities(None).at("check capabilities")?;
    let refused = |result: rustix::io::Result<()>, errno| result == Err(errno);
    let listed = rustix::fs::open("/", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let zygote = rustix::process::getppid();
    let checks = [
        (
            "user id",
            rustix::process::getuid().as_raw() == user && rustix::process::geteuid().as_raw() == user,
        ),
        (
            "group id",
            rustix::process::getgid().as_raw() == group && rustix::process::getegid().as_raw() == group,
        ),
        (
            "capabilities",
            capabilities.effective == none
                && capabilities.permitted == none
                && capabilities.inheritable == none,
        ),
        ("no_new_privs", rustix::thread::no_new_privs().at("check no_new_privs")?),
        (
            "seccomp",
            rustix::thread::secure_computing_mode().at("check seccomp")? == SecureComputingMode::Filter,
        ),
        ("closed files", listed.map(drop) == Err(Errno::ACCESS)),
        (
            "signals that stay inside",
            refused(rustix::process::test_kill_process(prepared.supervisor), Errno::PERM)
                && zygote.is_some_and(|pid| refused(rustix::process::test_kill_process(pid), Errno::PERM)),
        ),
    ];
    match checks.into_iter().find(|(_, holds)| !holds) {
        Some((what, _)) => Err(Step::refused("check", format!("{what} not as set"))),
        None => Ok(()),
    }
}

/// Runs init, in a fresh clone of the keeper.
fn init(
    prepared: &Prepared,
    order: &Order,
    landlock_abi: u32,
    directory: &Path,
    status: OwnedFd,
    control: OwnedFd,
) -> ! {
    let (report, started) = match confine_init(prepared, order, directory) {
        Ok(started) => (CloneReport::Confined { landlock_abi }, Some(started)),
        Err(step) => (CloneReport::Failed(step), None),
    };
    let heard = socket::send(&status, &report, &[]).is_ok();
    drop(status);
    let (true, Some(Started { badness, zero, confinement })) = (heard, started) else { sys::exit(1) };
    e2bridge_init::run(e2bridge_init::InitOptions {
        control,
        embedded_javascript: e2bridge_worker::serve_javascript,
        inherit_engine: e2bridge_worker::inherit,
        python: None,
        zero,
        badness: Some(badness),
        watched_memory: order.per_process.map(|bounds| Watched::Processes(bounds.memory)),
        confinement: Some(confinement),
    })
}

/// What init is started with.
struct Started {
    badness: Badness,
    zero: OwnedFd,
    confinement: Confinement,
}

fn confine_init(prepared: &Prepared, order: &Order, directory: &Path) -> Result<Started, Step> {
    rustix::thread::set_name(c"e2b-init").at("set name")?;
    let keeper = rustix::process::getppid().ok_or_else(|| Step::refused("start init", "no keeper"))?;
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .at("set parent death signal")?;
    rustix::process::setsid().at("make session")?;
    let (badness, zero) = (child::set_badness()?, child::open_zero()?);
    rules::restrict_self(prepared, directory, Proc::Read)?;
    if rustix::process::test_kill_process(keeper) != Err(Errno::PERM) {
        return Err(Step::refused("check", "a keeper out of reach not as set"));
    }
    let root = directory.to_str().ok_or_else(|| Step::refused("start init", "directory not UTF-8"))?;
    let confinement = Confinement {
        root: root.to_owned(),
        places: PLACES.iter().map(|place| place.path.to_owned()).collect(),
        ruleset: rules::for_programs(prepared, directory, order.per_process.is_some())?,
        filters: prepared.filters.clone(),
    };
    Ok(Started { badness, zero, confinement })
}

/// Returns when the supervisor has let go, by closing its end or by dying, or init has ended.
fn watch(status: BorrowedFd<'_>, init: BorrowedFd<'_>) {
    loop {
        let mut fds = [
            // No events asked for: only the end of the connection wakes.
            PollFd::from_borrowed_fd(status, PollFlags::empty()),
            PollFd::from_borrowed_fd(init, PollFlags::IN),
        ];
        match rustix::event::poll(&mut fds, None) {
            Ok(1..) => return,
            Ok(0) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Kills everything below this process until nothing is left.
fn end_everything() {
    let mut pause = KILL_ROUND.0;
    loop {
        // Reaches this domain and those below it, which has been checked, and not its caller.
        sys::kill_everything();
        match rustix::process::waitid(
            rustix::process::WaitId::All,
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        ) {
            Err(Errno::CHILD) => return,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(KILL_ROUND.1);
            }
        }
    }
}
