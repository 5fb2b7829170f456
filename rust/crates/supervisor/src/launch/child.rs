//! The clone's part of a launch: what remains to be done inside, then every way back is closed, then init.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use e2bridge_init::weaken::{self, Defence};
use e2bridge_init::{Badness, Watched};
use e2bridge_protocol::socket;
use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, mount, mount_bind};
use rustix::process::{DumpableBehavior, Gid, Resource, Rlimit, Uid};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, SecureComputingMode, UnshareFlags,
};

use super::{Prepared, PreparedCarried, limit_watches, shown, write};
use crate::message::{At, CloneCommand, CloneReport, JOIN_CGROUP, Order, PerProcess, Step};
use crate::plan::{self, PLACES, SCRATCH, USER_ID, WATCHES};
use crate::sys;

/// Newest Landlock ABI whose rights have been tried with this set of rules.
pub(crate) const TRIED_LANDLOCK_ABI: ABI = ABI::V7;

/// Least badness of init when memory runs out, of the machine or of the sandbox's group: sandboxes end before the service that
/// owns them,
const INIT_BADNESS: i16 = 500;
/// and the programs of a sandbox before its init.
const PROGRAM_BADNESS: i16 = 1000;

/// The device whose shared mappings are memory.
pub(crate) const ZERO: &str = "/dev/zero";

/// Namespaces of which nobody inside may make another one. `user` alone would do, because there is no capability for the others.
const FURTHER_NAMESPACES: [&str; 8] = ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup", "time"];

/// Runs the clone of a zygote: confinement, then init. Descriptors: where to report, and init's control socket.
pub(super) fn run(prepared: &Prepared, order: &Order, status: RawFd, control: RawFd) -> ! {
    let ([status, control], closed) = sys::keep_only([status, control]);
    let mut kept = None;
    let report = match closed.at("close descriptors").and_then(|()| confine(prepared, order, status.as_fd()))
    {
        Ok(Confined { landlock_abi, badness, zero }) => {
            kept = Some((badness, zero));
            CloneReport::Confined { landlock_abi }
        }
        Err(step) => CloneReport::Failed(step),
    };
    let sent = socket::send(&status, &report, &[]);
    let (Ok(()), Some((badness, zero))) = (sent, kept) else { sys::exit(1) };
    drop(status);
    e2bridge_init::run(e2bridge_init::InitOptions {
        control,
        embedded_javascript: e2bridge_worker::serve_javascript,
        inherit_engine: e2bridge_worker::inherit,
        python: prepared.python,
        zero,
        badness: Some(badness),
        watched_memory: weaken::keeps(Defence::Memory).then_some(match order.per_process {
            Some(bounds) => Watched::Everything(bounds.memory),
            None => Watched::Answers(order.memory),
        }),
        confinement: None,
    })
}

/// What a confined clone has in hand for its init.
struct Confined {
    /// In force; 0 = the kernel has no Landlock.
    landlock_abi: u32,
    /// As it is in force.
    badness: Badness,
    /// `/dev/zero`.
    zero: OwnedFd,
}

fn confine(prepared: &Prepared, order: &Order, status: BorrowedFd<'_>) -> Result<Confined, Step> {
    await_go(status)?;
    rustix::thread::set_name(c"e2b-init").at("set name")?;
    // While this process still owns its files in /proc.
    let badness = set_badness()?;
    // Now that it is in its cgroups, they become the root of what it sees.
    sys::unshare(UnshareFlags::NEWCGROUP).at("make cgroup namespace")?;
    let (group, user) = (Gid::from_raw(USER_ID), Uid::from_raw(USER_ID));
    rustix::thread::set_thread_res_gid(group, group, group).at("set group id")?;
    rustix::thread::set_thread_res_uid(user, user, user).at("set user id")?;
    mount_file_systems(prepared, order)?;
    if weaken::keeps(Defence::Uts) {
        rustix::system::sethostname(order.host_name.as_bytes()).about("set host name", &order.host_name)?;
    }
    if weaken::keeps(Defence::Session) {
        rustix::process::setsid().at("make session")?;
    }
    limit(order)?;
    let zero = open_zero()?;
    let landlock_abi = restrict_files(prepared, order)?;
    drop_privileges()?;
    check()?;
    Ok(Confined { landlock_abi, badness, zero })
}

/// Waits for the supervisor's word, and joins the cgroups that this process must join by itself.
pub(crate) fn await_go(status: BorrowedFd<'_>) -> Result<(), Step> {
    let Some((CloneCommand::Go, groups)) = socket::recv(status).at("receive")? else {
        return Err(Step::refused("receive", "no supervisor"));
    };
    for group in &groups {
        rustix::io::write(group, b"0").at(JOIN_CGROUP)?;
    }
    Ok(())
}

/// For memory that init shares with its children.
pub(crate) fn open_zero() -> Result<OwnedFd, Step> {
    rustix::fs::open(ZERO, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).about("open", ZERO)
}

/// Makes this process, an init, one that the kernel takes early when memory runs out; to be called while it owns its files in /proc.
/// Not below what it is already: the kernel forbids that where the service was given it by somebody with more rights (a pod without
/// guaranteed memory has 1000).
pub(crate) fn set_badness() -> Result<Badness, Step> {
    let path = "/proc/self/oom_score_adj";
    let inherited = std::fs::read_to_string(path).about("read", path)?.trim().parse().unwrap_or(0);
    let init = INIT_BADNESS.max(inherited);
    Ok(Badness { file: write(path, &init.to_string())?, init, programs: PROGRAM_BADNESS })
}

fn mount_file_systems(prepared: &Prepared, order: &Order) -> Result<(), Step> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    if weaken::keeps(Defence::FreshProc) {
        mount("proc", "/proc", "proc", flags | MountFlags::NOEXEC, None).at("mount proc")?;
    }
    let options = CString::new(plan::writable_options(order))
        .map_err(|error| Step::refused("mount writable file system", error))?;
    mount("e2bridge", SCRATCH, "tmpfs", flags, options.as_c_str()).at("mount writable file system")?;
    // Modes are as given: no bit is masked.
    rustix::process::umask(Mode::empty());
    for place in &prepared.places {
        rustix::fs::mkdir(&place.source, place.mode).about("make directory", shown(&place.source))?;
    }
    for place in &prepared.places {
        mount_bind(&place.source, &place.target).about("bind", shown(&place.target))?;
    }
    rustix::process::umask(Mode::from_bits_truncate(0o022));
    prepared.carried.iter().try_for_each(carry)
}

/// Shows something of the host below a writable place.
fn carry(item: &PreparedCarried) -> Result<(), Step> {
    for path in &item.above {
        make_directory(path)?;
    }
    if item.directory {
        make_directory(&item.target)?;
    } else {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::open(&item.target, flags, Mode::from_bits_truncate(0o444))
            .about("make file", shown(&item.target))?;
    }
    mount_bind(&item.kept, &item.target).about("bind", shown(&item.target))
}

fn make_directory(path: &CString) -> Result<(), Step> {
    match rustix::fs::mkdir(path, Mode::from_bits_truncate(0o755)) {
        Err(rustix::io::Errno::EXIST) => Ok(()),
        other => other.about("make directory", shown(path)),
    }
}

fn limit(order: &Order) -> Result<(), Step> {
    let per_process = order.per_process.map(PerProcess::limits);
    for (resource, value) in
        per_process.into_iter().flatten().chain(order.process_limit.map(|value| (Resource::Nproc, value)))
    {
        // A lower one that the service is under holds as well.
        let value = rustix::process::getrlimit(resource).maximum.map_or(value, |most| most.min(value));
        let limit = Rlimit { current: Some(value), maximum: Some(value) };
        rustix::process::setrlimit(resource, limit).about("set limit", format!("{resource:?} {value}"))?;
    }
    if let Some(most) = order.pid_max {
        // Older kernels have one for the whole machine, which nobody here may change; RLIMIT_NPROC holds there.
        match write("/proc/sys/kernel/pid_max", &most.to_string()) {
            Err(step) if order.process_limit.is_none() => return Err(step),
            _ => {}
        }
    }
    for (what, most) in WATCHES.into_iter().filter(|_| weaken::keeps(Defence::Watches)) {
        limit_watches(what, most)?;
    }
    for name in FURTHER_NAMESPACES.into_iter().filter(|_| weaken::keeps(Defence::FurtherNamespaces)) {
        match write(&format!("/proc/sys/user/max_{name}_namespaces"), "0") {
            // An older kernel without this kind.
            Err(step) if step.errno == libc::ENOENT && name != "user" => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// Reading and executing everywhere, writing in the writable places and to the devices; no signal and no abstract socket
/// leaves the sandbox. Returns the ABI in force, 0 when the kernel has no Landlock.
fn restrict_files(prepared: &Prepared, order: &Order) -> Result<u32, Step> {
    let refused = |error: &dyn std::fmt::Display| Step::refused("landlock", error);
    let open = |path: &str| PathFd::new(path).map_err(|error| refused(&error));
    let read = AccessFs::from_read(TRIED_LANDLOCK_ABI);
    let all = AccessFs::from_all(TRIED_LANDLOCK_ABI);
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    if !weaken::keeps(Defence::LandlockFiles) && !weaken::keeps(Defence::LandlockScopes) {
        return Ok(0);
    }
    let restrict = || -> Result<RestrictionStatus, landlock::RulesetError> {
        let mut rules = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
        let files = weaken::keeps(Defence::LandlockFiles);
        if files {
            rules = rules.handle_access(all)?;
        }
        if weaken::keeps(Defence::LandlockScopes) {
            rules = rules.scope(Scope::from_all(TRIED_LANDLOCK_ABI))?;
        }
        let mut rules = rules.create()?;
        if !files {
            return rules.restrict_self();
        }
        let mut paths = vec![(open("/"), read)];
        paths.extend(PLACES.iter().map(|place| (open(place.path), all)));
        paths.extend(prepared.devices.iter().map(|path| {
            // A shared mapping of it is memory that no limit of a process counts; one that cannot be written to is a private one.
            let shared = order.per_process.is_some() && path.as_os_str() == ZERO;
            (open(&path.to_string_lossy()), if shared { device & !AccessFs::WriteFile } else { device })
        }));
        for (path, access) in paths {
            let Ok(path) = path else { continue };
            rules = rules.add_rule(PathBeneath::new(path, access))?;
        }
        rules.restrict_self()
    };
    let status = restrict().map_err(|error| refused(&error))?;
    match (status.landlock, status.ruleset) {
        (LandlockStatus::Available { .. }, RulesetStatus::NotEnforced) => Err(refused(&"not enforced")),
        (LandlockStatus::Available { effective_abi, .. }, _) => {
            Ok(u32::try_from((effective_abi as i32).min(TRIED_LANDLOCK_ABI as i32)).unwrap_or(0))
        }
        _ => Ok(0),
    }
}

fn drop_privileges() -> Result<(), Step> {
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    if !weaken::keeps(Defence::Capabilities) {
        return spread_capabilities();
    }
    rustix::thread::set_capabilities_secure_bits(bits).at("lock secure bits")?;
    sys::drop_bounding_set(CapabilitySet::empty()).at("drop bounding set")?;
    sys::keep_capabilities(CapabilitySet::empty()).at("drop capabilities")?;
    rustix::thread::clear_ambient_capability_set().at("drop ambient capabilities")?;
    set_dumpable()
}

fn set_dumpable() -> Result<(), Step> {
    let behavior = match weaken::keeps(Defence::NotDumpable) {
        true => DumpableBehavior::NotDumpable,
        false => DumpableBehavior::Dumpable,
    };
    rustix::process::set_dumpable_behavior(behavior).at("set dumpable")
}

/// For tests that leave the defence out: programs inherit what this process has.
fn spread_capabilities() -> Result<(), Step> {
    let had = rustix::thread::capabilities(None).at("spread capabilities")?;
    let sets = CapabilitySets { inheritable: had.permitted, effective: had.permitted, ..had };
    rustix::thread::set_capabilities(None, sets).at("spread capabilities")?;
    for capability in had.permitted.iter() {
        rustix::thread::configure_capability_in_ambient_set(capability, true).at("spread capabilities")?;
    }
    set_dumpable()
}

/// What is reported as in force is asked of the kernel, not believed.
fn check() -> Result<(), Step> {
    let none = CapabilitySet::empty();
    let capabilities = rustix::thread::capabilities(None).at("check capabilities")?;
    let checks = [
        (
            "user id",
            rustix::process::getuid().as_raw() == USER_ID && rustix::process::geteuid().as_raw() == USER_ID,
        ),
        (
            "group id",
            rustix::process::getgid().as_raw() == USER_ID && rustix::process::getegid().as_raw() == USER_ID,
        ),
        ("process 1", rustix::process::getpid().as_raw_nonzero().get() == 1 || !weaken::keeps(Defence::Pid)),
        (
            "capabilities",
            capabilities.effective == none
                && capabilities.permitted == none
                && capabilities.inheritable == none
                || !weaken::keeps(Defence::Capabilities),
        ),
        (
            "no_new_privs",
            rustix::thread::no_new_privs().at("check no_new_privs")?
                || !weaken::keeps(Defence::NoNewPrivileges),
        ),
        (
            "seccomp",
            rustix::thread::secure_computing_mode().at("check seccomp")? == SecureComputingMode::Filter
                || !weaken::keeps(Defence::Seccomp),
        ),
    ];
    match checks.into_iter().find(|(_, holds)| !holds) {
        Some((what, _)) => Err(Step::refused("check", format!("{what} not as set"))),
        None => Ok(()),
    }
}
