//! System calls that rustix does not offer in a safe form. The only file of this crate with unsafe code.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64};

use crate::confinement::Confinement;
use crate::weaken::{self, Defence};

/// Ends the process without running anything of the standard library.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: `_exit` touches no memory of this process.
    unsafe { libc::_exit(code) }
}

/// Which side of a [`fork`] this is.
pub(crate) enum Fork {
    /// With the child's process id.
    Parent(i32),
    /// Must end by [`exit`] and never return to the code of its parent.
    Child,
}

/// A copy of this process.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: init and its shepherds are single-threaded, so that no lock is held by a thread that the child lacks.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Gives every signal its default disposition: a signal that is ignored here would be ignored by every program.
pub(crate) fn reset_signal_dispositions() {
    // Handler (SIG_DFL), flags, restorer, mask, as the kernel has them; the C library refuses the two signals that it uses itself.
    let action = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: the action is as long as the kernel reads, and no old one is asked for. It fails for KILL and STOP only.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), ptr::null_mut::<u64>(), 8) };
    }
}

/// Lets other processes of the sandbox look at this one, and this one at its own files in /proc, as exec does.
pub(crate) fn set_dumpable() {
    // It cannot fail for a behaviour that exists.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable);
}

/// Sets the signal mask: every signal that can be, or none.
pub(crate) fn block_signals(all: bool) {
    let mask: u64 = if all { !0 } else { 0 };
    // SAFETY: the mask is as long as said, and no old one is asked for.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, ptr::null_mut::<u64>(), 8)
    };
}

/// A descriptor that is readable while SIGCHLD is pending. SIGCHLD must be blocked.
pub(crate) fn child_signals() -> io::Result<OwnedFd> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set, which the other two calls then read.
    let fd = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A child that ended or stopped.
pub(crate) struct Waited {
    pub(crate) pid: i32,
    pub(crate) status: i32,
    pub(crate) cpu_us: u64,
    pub(crate) max_rss_bytes: u64,
}

impl Waited {
    /// It was stopped and is alive.
    pub(crate) fn stopped(&self) -> bool {
        libc::WIFSTOPPED(self.status)
    }

    /// Exit status, unless a signal ended it.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        exit_code(self.status)
    }
}

/// Exit status in the status word of `wait`, unless a signal ended the process.
pub(crate) fn exit_code(status: i32) -> Option<i32> {
    libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))
}

/// Signal in the status word of `wait`, when one ended the process.
pub(crate) fn term_signal(status: i32) -> Option<i32> {
    libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status))
}

/// Waits until any child ended.
///
/// # Errors
/// ECHILD when there is no child.
pub(crate) fn wait_child() -> io::Result<Waited> {
    wait_any(0).and_then(|waited| waited.ok_or_else(|| io::Error::from_raw_os_error(libc::ECHILD)))
}

/// The next child that ended, when there is one now.
///
/// # Errors
/// ECHILD when there is no child.
pub(crate) fn poll_child() -> io::Result<Option<Waited>> {
    wait_any(libc::WNOHANG)
}

/// The next child that ended or was stopped, when there is one now.
///
/// # Errors
/// ECHILD when there is no child.
pub(crate) fn poll_child_or_stopped() -> io::Result<Option<Waited>> {
    wait_any(libc::WNOHANG | libc::WUNTRACED)
}

fn wait_any(options: i32) -> io::Result<Option<Waited>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both places are valid for writing. __WALL, because hostile code chooses the exit signal of its children.
        let pid = unsafe { libc::wait4(-1, &raw mut status, options | libc::__WALL, usage.as_mut_ptr()) };
        match pid {
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            0 => return Ok(None),
            _ => {
                // SAFETY: all zeroes is a valid `rusage`, and the kernel may have written it.
                let usage = unsafe { usage.assume_init() };
                return Ok(Some(Waited {
                    pid,
                    status,
                    cpu_us: cpu_us(&usage),
                    max_rss_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
                }));
            }
        }
    }
}

fn cpu_us(usage: &libc::rusage) -> u64 {
    let of = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    of(usage.ru_utime) + of(usage.ru_stime)
}

/// User and system time of this process and all that it waited for, with what those waited for, microseconds.
pub(crate) fn own_and_ended_cpu_us() -> u64 {
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN]
        .into_iter()
        .map(|who| {
            let mut usage = MaybeUninit::<libc::rusage>::zeroed();
            // SAFETY: the place is valid for writing, and all zeroes is a valid `rusage`.
            cpu_us(&unsafe {
                libc::getrusage(who, usage.as_mut_ptr());
                usage.assume_init()
            })
        })
        .sum()
}

/// Bytes of a page. Asked of the C library, which knows it since the program began: rustix asks the kernel, and before Linux 6.4 it reads
/// `/proc/self/auxv`, which a process that is not dumpable may not open.
pub(crate) fn page_size() -> u64 {
    constant(libc::_SC_PAGESIZE)
}

/// Ticks of a second in `/proc/PID/stat`.
pub(crate) fn clock_ticks_per_second() -> u64 {
    constant(libc::_SC_CLK_TCK)
}

fn constant(name: libc::c_int) -> u64 {
    // SAFETY: takes a number, returns a number.
    u64::try_from(unsafe { libc::sysconf(name) }).unwrap_or(0)
}

/// Every process of the sandbox but init, which calls it, in one step that no fork can slip through.
pub(crate) fn signal_all(signal: i32) {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(-1, signal) };
}

/// Sends a signal to a child that has not been waited for, whose process id is therefore still its own.
pub(crate) fn signal_child(pid: i32, signal: i32) {
    debug_assert!(pid > 1);
    // SAFETY: no memory is involved.
    unsafe { libc::kill(pid, signal) };
}

/// SIGKILL to the process group that the process leads, in one step that no fork can slip through. False where the kernel (before
/// 6.9) lacks that.
pub(crate) fn kill_group(leader: BorrowedFd<'_>) -> bool {
    const PIDFD_SIGNAL_PROCESS_GROUP: u32 = 1 << 2;
    // SAFETY: no memory is involved.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            leader.as_raw_fd(),
            libc::SIGKILL,
            ptr::null::<libc::siginfo_t>(),
            PIDFD_SIGNAL_PROCESS_GROUP,
        )
    };
    result == 0
}

/// Closes every descriptor from 3 on that is not in the list.
///
/// # Errors
/// Some are open still.
pub(crate) fn close_others(keep: &mut [RawFd]) -> io::Result<()> {
    keep.sort_unstable();
    let mut first = 3;
    for &fd in keep.iter().filter(|&&fd| fd >= 3) {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = fd + 1;
    }
    close_range(first, RawFd::MAX)
}

fn close_range(first: RawFd, last: RawFd) -> io::Result<()> {
    if !weaken::keeps(Defence::Descriptors) {
        return Ok(());
    }
    // SAFETY: the caller is a fresh fork that keeps no owner of a descriptor in that range, or about to exec.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes `target` a copy of the descriptor that survives exec.
pub(crate) fn install(fd: BorrowedFd<'_>, target: RawFd) -> io::Result<()> {
    // SAFETY: the target is a standard stream or descriptor 3 of a fresh fork, which nothing there owns.
    match unsafe { install_raw(fd.as_raw_fd(), target) } {
        true => Ok(()),
        false => Err(io::Error::last_os_error()),
    }
}

/// As [`install`], for use between clone and exec.
///
/// # Safety
/// Nothing in this process may own `target`.
unsafe fn install_raw(fd: RawFd, target: RawFd) -> bool {
    if fd == target {
        // SAFETY: clears the close-on-exec flag; no memory is involved.
        return unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } >= 0;
    }
    // SAFETY: as the caller says; no memory is involved.
    unsafe { libc::dup2(fd, target) >= 0 }
}

/// Zeroes of which each page takes memory only once it is written to; for good.
///
/// # Errors
/// ENOMEM.
pub(crate) fn zeroed(length: usize) -> io::Result<&'static mut [u8]> {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at a place that the kernel chooses, which nobody else knows and which is never given back.
    unsafe {
        match libc::mmap(ptr::null_mut(), length, access, kind, -1, 0) {
            libc::MAP_FAILED => Err(io::Error::last_os_error()),
            start => Ok(std::slice::from_raw_parts_mut(start.cast(), length)),
        }
    }
}

/// Takes over a descriptor in a fresh fork, whose other owner is on a stack to which that process never returns.
pub(crate) fn take_over(fd: RawFd) -> OwnedFd {
    // SAFETY: called once for a descriptor, in a fresh fork in which nothing else uses or closes it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A program ready to be executed.
pub(crate) struct Image {
    /// Paths to try, in order.
    pub(crate) paths: Vec<CString>,
    pub(crate) argv: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: CString,
    pub(crate) stdout: Option<RawFd>,
    pub(crate) stderr: Option<RawFd>,
    /// Becomes descriptor 3.
    pub(crate) worker: Option<RawFd>,
    /// What the program is put under.
    pub(crate) confinement: Option<&'static Confinement>,
}

/// What the child of [`start`] works on; it shares memory with its parent, which sleeps meanwhile.
struct Launch<'a> {
    image: &'a Image,
    paths: Vec<*const libc::c_char>,
    argv: Vec<*const libc::c_char>,
    env: Vec<*const libc::c_char>,
    failed: Option<(&'static str, i32)>,
}

/// A program that could not be started.
#[derive(Clone, Copy)]
pub(crate) struct NotStarted {
    /// The system call.
    pub(crate) stage: &'static str,
    pub(crate) errno: i32,
}

/// Starts a program as a child in a session of its own, standard input as it is here, with default mask and nothing open but
/// its streams. Every signal must have its default disposition.
///
/// # Errors
/// The child that could not be executed has ended then, and remains to be waited for.
pub(crate) fn start(image: &Image) -> Result<i32, NotStarted> {
    const STACK: usize = 32 * 1024;
    let pointers = |strings: &[CString]| {
        strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>()
    };
    let mut launch = Launch {
        image,
        paths: image.paths.iter().map(|path| path.as_ptr()).collect(),
        argv: pointers(&image.argv),
        env: pointers(&image.env),
        failed: None,
    };
    let mut stack = Vec::<MaybeUninit<u128>>::with_capacity(STACK / size_of::<u128>());
    // SAFETY: the child runs `launch_program` on a stack of its own, which grows down from its (16 byte aligned) end, and shares
    // memory with this process, which stays suspended until the child has executed the program or ended; so both the stack and
    // `launch` outlive its use of them, and nobody else touches them meanwhile.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.capacity());
        libc::clone(
            launch_program,
            top.cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            (&raw mut launch).cast(),
        )
    };
    if pid < 0 {
        return Err(NotStarted { stage: "fork", errno: errno(&io::Error::last_os_error()) });
    }
    // SAFETY: reads what the child may have written through the pointer it was given.
    match unsafe { ptr::read_volatile(&raw const launch.failed) } {
        None => Ok(pid),
        Some((stage, errno)) => Err(NotStarted { stage, errno }),
    }
}

/// Puts this process under Landlock rules. It must have `no_new_privs`.
///
/// # Errors
/// As `landlock_restrict_self(2)`.
pub(crate) fn restrict_self(ruleset: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no memory is involved.
    match unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Puts this process under a seccomp filter. It must have `no_new_privs`.
///
/// # Errors
/// As `seccomp(2)`.
pub(crate) fn install_filter(filter: &[libc::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the kernel reads the program, which is as long as it says.
    match unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes this process end when its parent does.
pub(crate) fn end_with_parent() {
    // It cannot fail for a signal that exists.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
}

/// Runs in the child of [`start`]: system calls only, no allocation, no lock.
extern "C" fn launch_program(launch: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `start` passes a `Launch` that is valid and not otherwise used until this child has gone or executed a program.
    let launch = unsafe { &mut *launch.cast::<Launch<'_>>() };
    // SAFETY: system calls on memory that outlives them; every pointer array ends with a null pointer; the descriptors
    // belong to the copy of the table that this child alone has.
    unsafe {
        let image = launch.image;
        for (fd, target) in [(image.stdout, 1), (image.stderr, 2), (image.worker, 3)] {
            if fd.is_some_and(|fd| !install_raw(fd, target)) {
                return fail(launch, "dup2");
            }
        }
        if weaken::keeps(Defence::Session) {
            libc::setsid();
        }
        if libc::chdir(image.cwd.as_ptr()) != 0 {
            return fail(launch, "chdir");
        }
        if let Some(confinement) = image.confinement {
            // What its orphans do is the business of the shepherd, of init, and of who started init.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            if confinement.fence().is_err() {
                return fail(launch, "landlock_restrict_self");
            }
        }
        if close_range(if image.worker.is_some() { 4 } else { 3 }, RawFd::MAX).is_err() {
            return fail(launch, "close_range");
        }
        block_signals(false);
        keep_processes_for_init();
        for filter in image.confinement.iter().flat_map(|confinement| &confinement.filters) {
            if install_filter(filter).is_err() {
                return fail(launch, "seccomp");
            }
        }
        // As the shell does: a place without the file is passed over, one without permission is remembered.
        let mut denied = false;
        for &path in &launch.paths {
            libc::execve(path, launch.argv.as_ptr(), launch.env.as_ptr());
            match *libc::__errno_location() {
                libc::EACCES => denied = true,
                libc::ENOENT | libc::ENOTDIR => {}
                _ => return fail(launch, "execve"),
            }
        }
        *libc::__errno_location() = if denied { libc::EACCES } else { libc::ENOENT };
    }
    fail(launch, "execve")
}

/// Leaves the last processes that the sandbox may have to init and its shepherds: however many a program starts, the next one can be
/// started, too.
pub(crate) fn keep_processes_for_init() {
    const KEPT: libc::rlim_t = 4;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure outlives the calls, which touch nothing else.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NPROC, &raw mut limit) == 0
            && limit.rlim_max != libc::RLIM_INFINITY
            && limit.rlim_max > 4 * KEPT
        {
            limit.rlim_max -= KEPT;
            limit.rlim_cur = limit.rlim_max;
            // Lowering it cannot fail.
            libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit);
        }
    }
}

fn fail(launch: &mut Launch<'_>, stage: &'static str) -> libc::c_int {
    // SAFETY: the place of this thread's errno is always valid.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: the parent reads it by a volatile read when this child is gone.
    unsafe { ptr::write_volatile(&raw mut launch.failed, Some((stage, errno))) };
    exit(127)
}

/// `errno` of an error that comes from a system call.
pub(crate) fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// State of one execution, shared between init and its shepherd. All zeroes is a valid, free one.
#[repr(align(64))]
pub(crate) struct Slot {
    /// One of the states in `shepherd`.
    pub(crate) state: AtomicU32,
    /// Process id of the program; 0 = not started yet.
    pub(crate) program: AtomicI32,
    /// Status word of the program.
    pub(crate) status: AtomicI32,
    /// User and system time of the program, microseconds.
    pub(crate) cpu_us: AtomicU64,
    /// Of the program.
    pub(crate) max_rss_bytes: AtomicU64,
}

/// A fixed number of slots in memory that children share.
#[derive(Clone, Copy)]
pub(crate) struct Slots(&'static [Slot]);

impl Slots {
    /// Room for `count` in memory of `/dev/zero`; untouched pages cost nothing.
    pub(crate) fn new(count: usize, zero: BorrowedFd<'_>) -> io::Result<Self> {
        // SAFETY: a new mapping that overlaps nothing.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                count * size_of::<Slot>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                zero.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the mapping is page-aligned, as long as said, all zeroes (a valid value), and stays for the life of the process
        // but for `give_up`, after which no slot is used.
        Ok(Self(unsafe { std::slice::from_raw_parts(memory.cast::<Slot>(), count) }))
    }

    /// All slots.
    pub(crate) fn all(self) -> &'static [Slot] {
        self.0
    }

    /// Takes the slots away from this process: an embedded worker must not be able to touch them.
    pub(crate) fn give_up(self) {
        // SAFETY: the caller is about to run code that never returns and uses no slot.
        unsafe { libc::munmap(self.0.as_ptr().cast_mut().cast(), size_of_val(self.0)) };
    }
}

/// Gives freed memory back, so that the next fork has less to copy.
pub(crate) fn trim_heap() {
    // SAFETY: no precondition.
    unsafe { libc::malloc_trim(0) };
}

/// A string as the kernel wants it.
///
/// # Errors
/// EINVAL when it holds a NUL.
pub(crate) fn c_string(bytes: impl Into<Vec<u8>>) -> Result<CString, i32> {
    CString::new(bytes).map_err(|_| libc::EINVAL)
}

/// Sets the name of this process as the kernel shows it.
pub(crate) fn set_name(name: &CStr) {
    // A name is for people; nothing depends on it.
    let _ = rustix::thread::set_name(name);
}

/// Makes `NAME=value` variables the environment of this process. To be called by the only thread of a process that has just been
/// forked.
pub(crate) fn set_environment(variables: &[String]) {
    for (name, _) in std::env::vars_os() {
        // SAFETY: no other thread reads the environment, for there is none.
        unsafe { std::env::remove_var(name) };
    }
    for (name, value) in variables.iter().filter_map(|variable| variable.split_once('=')) {
        if !name.is_empty() && !variable_has_nul(name, value) {
            // SAFETY: as above.
            unsafe { std::env::set_var(name, value) };
        }
    }
}

/// What the standard library would panic about.
fn variable_has_nul(name: &str, value: &str) -> bool {
    name.contains('\0') || value.contains('\0')
}

/// Sets O_NONBLOCK on the open file.
pub(crate) fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    Ok(rustix::fs::fcntl_setfl(&fd, flags | rustix::fs::OFlags::NONBLOCK)?)
}
