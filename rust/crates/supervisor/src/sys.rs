//! System calls that rustix does not offer in a safe form. The only file of this crate with unsafe code,
//! but for the module of CPython.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use e2bridge_init::weaken::{self, Defence};
use rustix::fs::{Mode, OFlags};
use rustix::process::Resource;
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Ends the process without running anything of the standard library.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: `_exit` touches no memory of this process.
    unsafe { libc::_exit(code) }
}

/// Descriptor 3, when it is a socket. To be called once, first.
pub(crate) fn library_socket() -> Option<OwnedFd> {
    const LIBRARY: RawFd = 3;
    // SAFETY: `fstat` on a number that may be closed is an error; nothing else uses descriptor 3 yet.
    let socket = unsafe {
        let stat = rustix::fs::fstat(BorrowedFd::borrow_raw(LIBRARY)).ok()?;
        (stat.st_mode & libc::S_IFMT == libc::S_IFSOCK).then(|| OwnedFd::from_raw_fd(LIBRARY))?
    };
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC).ok()?;
    Some(socket)
}

/// Frees this process from what it was started with: streams, session, signals, descriptors, directory.
///
/// # Errors
/// What it was started with cannot be closed, `/dev/null` not be opened, or the session not be left.
pub(crate) fn become_helper() -> io::Result<()> {
    close_range(4, RawFd::MAX)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    reset_signals();
    if weaken::keeps(Defence::Session)
        && let Err(error) = rustix::process::setsid()
        && rustix::process::getsid(None)? != rustix::process::getpid()
    {
        return Err(error.into());
    }
    // When the process that started it ends, one that somebody has stopped goes on, sees that, and cleans up. The signal comes as
    // well when only the thread ends that started it; to one that is not stopped it is nothing.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::CONT))?;
    give_up_priority()?;
    rustix::process::umask(Mode::from_bits_truncate(0o077));
    rustix::process::chdir("/")?;
    // Each sandbox costs two descriptors here. Less than asked for is reported when it runs out.
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = rustix::process::setrlimit(Resource::Nofile, limit);
    Ok(())
}

/// Gives up a service's priority over others, for the processor and for input and output, which sandboxes would inherit.
fn give_up_priority() -> io::Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    // SAFETY: all zeroes is a valid `sched_param`, and the one of an ordinary policy; it outlives the call. No other memory is involved.
    let (policy, io_priority) = unsafe {
        let none: libc::sched_param = std::mem::zeroed();
        let policy = match libc::sched_getscheduler(0) & !libc::SCHED_RESET_ON_FORK {
            libc::SCHED_OTHER | libc::SCHED_BATCH | libc::SCHED_IDLE => 0,
            _ => libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const none),
        };
        (policy, libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, 0))
    };
    if policy != 0 || io_priority != 0 {
        return Err(io::Error::last_os_error());
    }
    if rustix::process::getpriority_process(None)? < 0 {
        rustix::process::setpriority_process(None, 0)?;
    }
    Ok(())
}

/// Gives up what this process could do beside its work, for good. With `helpers` it can still start set-user-id programs, as
/// `newuidmap` is one.
///
/// # Errors
/// As `capset(2)` and `prctl(2)`.
pub(crate) fn give_up_privileges(helpers: bool, more: CapabilitySet) -> io::Result<()> {
    let kept = SUPERVISOR_CAPABILITIES | more;
    // An ordinary user may not, and has no use for the set without set-user-id programs.
    if rustix::thread::capabilities(None)?.effective.contains(CapabilitySet::SETPCAP) {
        drop_bounding_set(kept)?;
    }
    let set_own_id = if weaken::keeps(Defence::DedicatedIds) { 0 } else { CapabilitySet::SETFCAP.bits() };
    keep_capabilities(kept | CapabilitySet::from_bits_retain(set_own_id))?;
    let keep = helpers || !weaken::keeps(Defence::NoNewPrivileges);
    if keep { Ok(()) } else { Ok(rustix::thread::set_no_new_privs(true)?) }
}

/// What a supervisor that is root keeps of its capabilities; one that is not has none. The rest of what it does it may do as the
/// owner: of its files, and of the user namespaces that it makes.
const SUPERVISOR_CAPABILITIES: CapabilitySet = CapabilitySet::from_bits_retain(
    // A runtime directory, a cgroup or an interpreter that belongs to another user.
    CapabilitySet::DAC_OVERRIDE.bits()
        // The id maps of its zygotes.
        | CapabilitySet::SETUID.bits()
        | CapabilitySet::SETGID.bits()
        // Hosts that keep user namespaces for those who have it.
        | CapabilitySet::SYS_ADMIN.bits(),
);

/// Gives up every capability of this process that is not in `kept`; none can be inherited.
///
/// # Errors
/// As `capset(2)`.
pub(crate) fn keep_capabilities(kept: CapabilitySet) -> io::Result<()> {
    let had = rustix::thread::capabilities(None)?;
    let sets = CapabilitySets {
        effective: had.effective & kept,
        permitted: had.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets)?;
    // The kernel has taken the ambient ones along with the inheritable ones.
    Ok(())
}

/// As [`keep_capabilities`], and the program that this process executes has them as well; the bounding set is empty then.
///
/// # Errors
/// As `capset(2)` and `prctl(2)`.
pub(crate) fn keep_capabilities_over_exec(kept: CapabilitySet) -> io::Result<()> {
    let had = rustix::thread::capabilities(None)?;
    let kept = had.permitted & kept;
    // While they are in the bounding set, which takes a capability of its own to empty.
    rustix::thread::set_capabilities(None, CapabilitySets { inheritable: kept, ..had })?;
    for capability in kept.iter() {
        rustix::thread::configure_capability_in_ambient_set(capability, true)?;
    }
    drop_bounding_set(CapabilitySet::empty())?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: kept };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Gives every signal its default disposition and unblocks all.
pub(crate) fn reset_signals() {
    // Handler (SIG_DFL), flags, restorer, mask, as the kernel has them; the C library refuses the two signals that it uses itself.
    let action = [0_u64; 4];
    let mask = 0_u64;
    for signal in 1..=64 {
        // SAFETY: the action is as long as the kernel reads, and no old one is asked for. It fails for KILL and STOP only.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), ptr::null_mut::<u64>(), 8) };
    }
    // SAFETY: the mask is as long as said, and no old one is asked for.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, ptr::null_mut::<u64>(), 8)
    };
}

/// Blocks every signal that can be blocked.
pub(crate) fn block_signals() {
    let mask = !0_u64;
    // SAFETY: the mask is as long as said, and no old one is asked for.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, ptr::null_mut::<u64>(), 8)
    };
}

/// SIGKILL to every process that this one may signal, in one step that no fork can slip through. Only for a process whose signals reach
/// nothing but what is to end: by its Landlock domain or by a user id of its own.
pub(crate) fn kill_everything() {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

/// Makes the kernel forget children at their end, so that nobody needs to wait for them.
pub(crate) fn forget_children() {
    // SAFETY: SIG_IGN is no function that could run.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Which side of a [`clone_process`] this is.
pub(crate) enum Cloned {
    /// With a pidfd of the child, and its process id here.
    Parent(OwnedFd, i32),
    /// Must end by [`exit`] and never return to the code of its parent.
    Child,
}

/// A copy of this process in the namespaces of `flags` (`CLONE_NEW*`). Not by clone3, which the filter of the zygotes refuses.
///
/// # Errors
/// As `clone(2)`.
pub(crate) fn clone_process(flags: u32) -> io::Result<Cloned> {
    let mut pidfd: RawFd = -1;
    let flags = libc::c_long::from(flags) | libc::c_long::from(libc::CLONE_PIDFD | libc::SIGCHLD);
    // SAFETY: no new stack, no shared memory: the child works on a copy of everything, as after fork. This process is
    // single-threaded, so that no lock is held by a thread that the child lacks.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
    match i32::try_from(pid) {
        Ok(0) => Ok(Cloned::Child),
        // SAFETY: the kernel made this descriptor for the caller.
        Ok(pid) if pid > 0 => Ok(Cloned::Parent(unsafe { OwnedFd::from_raw_fd(pidfd) }, pid)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes over descriptors in a fresh clone, closing everything else but the standard streams; and whether that could be closed.
///
/// The other owners of what it closes and returns are on a stack to which that process never returns; or an interpreter's, which are told
/// other numbers before they are used again.
pub(crate) fn keep_only<const N: usize>(fds: [RawFd; N]) -> ([OwnedFd; N], io::Result<()>) {
    let mut sorted = fds;
    sorted.sort_unstable();
    let mut first = 3;
    let mut closed = Ok(());
    for fd in sorted {
        if fd > first {
            closed = closed.and(close_range(first, fd - 1));
        }
        first = first.max(fd + 1);
    }
    closed = closed.and(close_range(first, RawFd::MAX));
    // SAFETY: called in a fresh clone for distinct open descriptors that nothing else there uses or closes.
    (fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }), closed)
}

/// Gives descriptors the numbers under which what comes next finds them: a program that is executed, a worker. Answers copies that are
/// closed in a program. Who owned those numbers must not close them any more.
///
/// # Errors
/// As `dup(2)`.
pub(crate) fn place<const N: usize>(fds: [(BorrowedFd<'_>, RawFd); N]) -> io::Result<[OwnedFd; N]> {
    const OUT_OF_THE_WAY: RawFd = 64;
    let mut copies = Vec::with_capacity(N);
    for (fd, _) in fds {
        copies.push(rustix::io::fcntl_dupfd_cloexec(fd, OUT_OF_THE_WAY)?);
    }
    for (copy, (_, number)) in copies.iter().zip(fds) {
        // SAFETY: no memory is involved; the caller sees to the owner of that number.
        if unsafe { libc::dup2(copy.as_raw_fd(), number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    copies.try_into().map_err(|_| io::ErrorKind::InvalidData.into())
}

fn close_range(first: RawFd, last: RawFd) -> io::Result<()> {
    if !weaken::keeps(Defence::Descriptors) {
        return Ok(());
    }
    // SAFETY: the caller keeps no owner of a descriptor in that range.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives this process a network or cgroup namespace of its own.
///
/// # Errors
/// As `unshare(2)`.
pub(crate) fn unshare(namespace: rustix::thread::UnshareFlags) -> io::Result<()> {
    debug_assert!(!namespace.contains(rustix::thread::UnshareFlags::FILES));
    // SAFETY: only FILES is dangerous.
    Ok(unsafe { rustix::thread::unshare_unsafe(namespace) }?)
}

/// What [`restrict_mount`] adds to a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MountAttributes(u64);

impl MountAttributes {
    /// Nothing can be changed.
    pub(crate) const READ_ONLY: Self = Self(libc::MOUNT_ATTR_RDONLY);
    /// Set-user-id has no effect.
    pub(crate) const NO_SUID: Self = Self(libc::MOUNT_ATTR_NOSUID);
    /// Device nodes have no effect.
    pub(crate) const NO_DEVICES: Self = Self(libc::MOUNT_ATTR_NODEV);
    /// Nothing can be executed.
    pub(crate) const NO_EXEC: Self = Self(libc::MOUNT_ATTR_NOEXEC);

    /// Itself, unless a test leaves the defence out.
    pub(crate) fn unless_left_out(self, defence: Defence) -> Self {
        if weaken::keeps(defence) { self } else { Self(0) }
    }

    /// Both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Adds attributes to a mount, given by a descriptor of its root; `recursive` also to everything mounted below.
///
/// # Errors
/// As `mount_setattr(2)`.
pub(crate) fn restrict_mount(
    mount: impl AsFd,
    attributes: MountAttributes,
    recursive: bool,
) -> io::Result<()> {
    let change =
        libc::mount_attr { attr_set: attributes.0, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a string, the structure is as long as said.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Brings up the loopback interface of this process's network namespace.
///
/// # Errors
/// As `socket(2)` and `ioctl(2)`.
pub(crate) fn raise_loopback() -> io::Result<()> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: all zeroes is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    const UP: libc::c_short = 1;
    const _: () = assert!(libc::IFF_UP == 1);
    request.ifr_ifru.ifru_flags = UP;
    // SAFETY: the request is the structure that this command reads.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes every capability that is not in `kept` out of the bounding set of this process.
///
/// # Errors
/// As `prctl(2)`: EPERM.
pub(crate) fn drop_bounding_set(kept: CapabilitySet) -> io::Result<()> {
    for capability in (0..64_u64).filter(|capability| kept.bits() >> capability & 1 == 0) {
        // SAFETY: no memory is involved.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            let error = io::Error::last_os_error();
            // The kernel has no capability of that number, nor of a higher one.
            return if error.raw_os_error() == Some(libc::EINVAL) { Ok(()) } else { Err(error) };
        }
    }
    Ok(())
}

/// Gives freed memory back, so that clones have less to copy.
pub(crate) fn trim_heap() {
    // SAFETY: no precondition.
    unsafe { libc::malloc_trim(0) };
}

/// Takes what is free between what is in use, for good, so that what clones ask for lies together behind it: each page of the heap that a
/// clone writes to has to be copied first. To be called after [`trim_heap`], once.
pub(crate) fn fill_heap() {
    // Where the end of the heap, of which nothing has been given away yet, begins.
    // SAFETY: no precondition; the break of the program is not moved.
    let end = unsafe { libc::sbrk(0).addr() - libc::mallinfo2().keepcost };
    // From the largest pieces to the smallest that there are. The allocator keeps one list for each size up to 1 KiB.
    let sizes = (11..=24).rev().map(|power| 1_usize << power).chain((1..=64).rev().map(|units| units * 16));
    for size in sizes.map(|size| size - 8) {
        loop {
            // SAFETY: no precondition.
            let piece = unsafe { libc::malloc(size) };
            if piece.is_null() || piece.addr() >= end {
                // SAFETY: just allocated, and used by nobody.
                unsafe { libc::free(piece) };
                break;
            }
        }
    }
}

/// Makes a command's process end with this one.
pub(crate) fn end_with_parent(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let follow =
        || Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?);
    // SAFETY: one system call, between fork and exec.
    unsafe { command.pre_exec(follow) };
}
