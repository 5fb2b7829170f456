//! The only unsafe code of this crate: what no safe wrapper offers.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use e2bridge_wait::with_signals_blocked;

/// Bytes of the child's stack between `clone` and `execveat`; it makes a dozen calls and no deep ones.
const CHILD_STACK_BYTES: usize = 64 * 1024;

/// A huge page of x86-64.
const HUGE_PAGE: usize = 2 << 20;

/// A process that was started, a child of this process. Until it executes its program its exit signal is 0; the kernel makes that
/// SIGCHLD in `execve`, so a `waitpid(-1)` of others may take its end. Nothing here relies on taking it: the pidfd tells the end
/// whoever took it.
pub(crate) struct Started {
    /// Its id in this process's pid namespace.
    pub(crate) pid: u32,
    /// Refers to it whatever becomes of the id.
    pub(crate) pidfd: OwnedFd,
}

/// What the child needs; it lives in the parent's memory, which the child shares until it executes the program.
struct Plan {
    program: c_int,
    control: c_int,
    null: c_int,
    argv: [*const c_char; 2],
    env: [*const c_char; 1],
    /// Step and `errno` of what failed, written by the child.
    failed: Option<(&'static str, c_int)>,
}

/// Starts `program` (an open executable file) in a session of its own with an empty environment, `control` as descriptor 3, the
/// standard streams on `null`, every other descriptor closed, and default signal dispositions with none blocked.
///
/// No fork: the child shares this process's memory and this thread waits until it has executed the program (as posix_spawn does),
/// so that nothing of a JVM's heap is copied and none of its locks is taken.
///
/// # Errors
/// The step that failed, with its `errno`; then no process is left.
pub(crate) fn start_program(
    program: &OwnedFd,
    name: &CStr,
    control: &OwnedFd,
    null: &OwnedFd,
) -> Result<Started, (&'static str, io::Error)> {
    // Numbers above those that the child assigns, so that no dup2 of it hits one that it still needs.
    let above =
        |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, 10).map_err(|error| ("fcntl", error.into()));
    let (program, control, null) = (above(program)?, above(control)?, above(null)?);
    let mut plan = Plan {
        program: program.as_raw_fd(),
        control: control.as_raw_fd(),
        null: null.as_raw_fd(),
        argv: [name.as_ptr(), ptr::null()],
        env: [ptr::null()],
        failed: None,
    };
    let mut stack = vec![0_u128; CHILD_STACK_BYTES / size_of::<u128>()];
    let mut pidfd: c_int = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;
    let top = stack.as_mut_ptr_range().end;
    let pid = with_signals_blocked(|| {
        // SAFETY: the child runs `child` on a stack of its own that outlives it here, because CLONE_VFORK keeps this thread waiting
        // until the child has executed the program or exited; `plan` and `pidfd` outlive it for the same reason. With all signals
        // blocked no handler of this process runs in the child. The exit signal in the low byte of the flags is 0.
        let pid = unsafe {
            libc::clone(child, top.cast(), flags, ptr::from_mut(&mut plan).cast(), ptr::from_mut(&mut pidfd))
        };
        if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) }
    })
    .map_err(|error| ("clone", error))?;
    // SAFETY: CLONE_PIDFD stored a new descriptor there that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // SAFETY: the child is done with the memory; it wrote there, if it did, before this thread went on.
    let failed = unsafe { ptr::read_volatile(&raw const plan.failed) };
    if let Some((step, errno)) = failed {
        let _ = wait(&pidfd, true);
        return Err((step, io::Error::from_raw_os_error(errno)));
    }
    Ok(Started { pid: pid.unsigned_abs(), pidfd })
}

/// Runs in the child, in memory shared with a process whose other threads go on: async-signal-safe calls only, no allocation.
extern "C" fn child(plan: *mut c_void) -> c_int {
    let plan: *mut Plan = plan.cast();
    // SAFETY: the parent passes a pointer to a plan that lives until this process has executed the program or exited, and does not
    // touch it meanwhile. All calls are plain system calls on plain numbers and on strings that the plan keeps alive.
    unsafe {
        let step = exec(&*plan);
        let errno = *libc::__errno_location();
        ptr::write_volatile(&raw mut (*plan).failed, Some((step, errno)));
        libc::_exit(127)
    }
}

/// Turns the child into the program; returns the step that failed, `errno` set.
///
/// # Safety
/// Only in the child of [`start_program`].
unsafe fn exec(plan: &Plan) -> &'static str {
    // SAFETY: see `child`.
    unsafe {
        if libc::setsid() < 0 {
            return "setsid";
        }
        // As the kernel defines them: a zeroed `sigaction` is SIG_DFL without flags. The C library refuses the two signals that it
        // keeps to itself; the kernel does not, and refuses only SIGKILL and SIGSTOP, whose disposition cannot have changed.
        let default = [0_u64; 4];
        for signal in 1..=64 {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null::<c_void>(),
                size_of::<u64>(),
            );
        }
        for stream in 0..3 {
            if libc::dup2(plan.null, stream) < 0 {
                return "dup2";
            }
        }
        if libc::dup2(plan.control, 3) < 0 {
            return "dup2";
        }
        let close = |from: c_int, to: c_int| libc::syscall(libc::SYS_close_range, from, to, 0) < 0;
        if close(4, plan.program - 1) || close(plan.program + 1, c_int::MAX) {
            return "close_range";
        }
        if libc::chdir(c"/".as_ptr()) < 0 {
            return "chdir";
        }
        libc::umask(0o077);
        let none = 0_u64;
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const none,
            ptr::null::<c_void>(),
            size_of::<u64>(),
        );
        libc::syscall(
            libc::SYS_execveat,
            plan.program,
            c"".as_ptr(),
            plan.argv.as_ptr(),
            plan.env.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
        "execveat"
    }
}

/// Waits for a child by its pidfd and takes its exit; false when it has not ended and `block` is false, or was taken before.
pub(crate) fn wait(pidfd: &OwnedFd, block: bool) -> bool {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    // __WALL: without it the kernel shows no child that ended before it executed its program, whose exit signal is still 0.
    let all = WaitIdOptions::from_bits_retain(libc::__WALL.cast_unsigned());
    let mut options = WaitIdOptions::EXITED | all;
    if !block {
        options |= WaitIdOptions::NOHANG;
    }
    loop {
        match waitid(WaitId::PidFd(borrow(pidfd)), options) {
            Ok(status) => return status.is_some(),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

fn borrow(fd: &OwnedFd) -> BorrowedFd<'_> {
    use std::os::fd::AsFd;
    fd.as_fd()
}

/// Has the kernel put a file in memory into huge pages, for as long as it lives.
///
/// # Errors
/// The file is as it was, or a part of it: the kernel is older than 6.1, has none at hand, or may not.
pub(crate) fn put_into_huge_pages(file: &OwnedFd, length: usize) -> io::Result<()> {
    let place = AlignedMapping::of(file, length.next_multiple_of(HUGE_PAGE))?;
    // SAFETY: changes how what is mapped is kept, not what it is.
    match unsafe { libc::madvise(place.aligned.cast(), place.length, libc::MADV_COLLAPSE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A file where a huge page could begin, to be read.
struct AlignedMapping {
    whole: *mut u8,
    aligned: *mut u8,
    /// From `aligned`.
    length: usize,
}

impl AlignedMapping {
    fn of(file: &OwnedFd, length: usize) -> io::Result<Self> {
        let map = |at: *mut u8, length: usize, access: c_int, more: c_int, file: c_int| {
            // SAFETY: a new mapping, in a place that the kernel chooses or that the one before has reserved.
            let place = unsafe { libc::mmap(at.cast(), length, access, libc::MAP_PRIVATE | more, file, 0) };
            if place == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(place.cast::<u8>()) }
        };
        let reserve = libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let whole = map(ptr::null_mut(), length + HUGE_PAGE, libc::PROT_NONE, reserve, -1)?;
        let aligned = whole.map_addr(|address| address.next_multiple_of(HUGE_PAGE));
        // When this fails, what was reserved may be another's already and is left alone.
        map(aligned, length, libc::PROT_READ, libc::MAP_FIXED, file.as_raw_fd())?;
        Ok(Self { whole, aligned, length })
    }
}

impl Drop for AlignedMapping {
    fn drop(&mut self) {
        // SAFETY: all of it is this mapping's, and nothing refers to it.
        unsafe { libc::munmap(self.whole.cast(), self.length + HUGE_PAGE) };
    }
}

/// Processors that the host has online.
pub(crate) fn online_processors() -> u32 {
    // SAFETY: a plain query without pointers.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u32::try_from(count).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Runs a shell that reads its script from, and writes to, the descriptor that stands for `/dev/null`. Answers its status
    /// as it was before it read anything, what it wrote, and the process.
    fn shell(script: &str) -> (String, String, Started) {
        let (mut near, far) = UnixStream::pair().unwrap();
        let (control, _control_far) = rustix::pipe::pipe().unwrap();
        let program = OwnedFd::from(File::open("/bin/sh").unwrap());
        let started = start_program(&program, c"double", &control, &OwnedFd::from(far)).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", started.pid)).unwrap();
        near.write_all(script.as_bytes()).unwrap();
        near.shutdown(std::net::Shutdown::Write).unwrap();
        let mut output = String::new();
        near.read_to_string(&mut output).unwrap();
        (status, output, started)
    }

    #[test]
    fn the_program_starts_with_nothing_but_what_it_is_given() {
        // Neither this descriptor nor this variable is to reach it.
        let (leak, _end) = rustix::pipe::pipe().unwrap();
        let (status, output, started) = shell(
            "pwd; cd /proc/$$; ls fd; tr '\\0' '\\n' <environ; echo session $(cut -d' ' -f6 stat) $$\n",
        );
        drop(leak);
        assert!(wait(&started.pidfd, true));
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines[..5], ["/", "0", "1", "2", "3"], "{output}");
        assert!(lines[5].starts_with("session "), "an empty environment\n{output}");
        for line in ["Umask:\t0077", "SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"] {
            assert!(status.lines().any(|found| found == line), "{line}\n{status}");
        }
        let session: Vec<&str> = lines.last().unwrap().split(' ').collect();
        assert_eq!(session[1], session[2], "it leads a session\n{output}");
        assert_eq!(session[2], started.pid.to_string());
    }

    #[test]
    fn it_is_waited_for_by_its_pidfd_and_once() {
        let (_, _, started) = shell("exit 0\n");
        assert!(wait(&started.pidfd, true));
        assert!(!wait(&started.pidfd, true), "it was taken before");
    }

    #[test]
    fn what_cannot_be_executed_is_an_error_and_no_process() {
        let (control, _far) = rustix::pipe::pipe().unwrap();
        let null = OwnedFd::from(File::options().read(true).write(true).open("/dev/null").unwrap());
        let program = OwnedFd::from(File::open("/dev/null").unwrap());
        let (step, error) = start_program(&program, c"double", &control, &null).err().unwrap();
        assert_eq!((step, error.raw_os_error()), ("execveat", Some(libc::EACCES)));
    }

    #[test]
    fn a_file_in_memory_is_put_into_huge_pages() {
        let file = rustix::fs::memfd_create("double", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let length = HUGE_PAGE + HUGE_PAGE / 2;
        File::from(file.try_clone().unwrap()).write_all(&vec![7; length]).unwrap();
        if let Err(error) = put_into_huge_pages(&file, length) {
            // Older, not allowed, none at hand.
            let passing = [libc::EINVAL, libc::ENOMEM, libc::EAGAIN, libc::EBUSY];
            assert!(error.raw_os_error().is_some_and(|errno| passing.contains(&errno)), "{error}");
            return eprintln!("left out: the kernel puts no file into huge pages: {error}");
        }
        // Only a huge page can be mapped by one entry.
        let mapping = AlignedMapping::of(&file, 2 * HUGE_PAGE).unwrap();
        // SAFETY: so long is what was written.
        let content = unsafe { std::slice::from_raw_parts(mapping.aligned, length) };
        assert!(content.iter().all(|byte| *byte == 7));
        let start = format!("{:x}-", mapping.aligned.addr());
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let huge = maps.lines().skip_while(|line| !line.starts_with(&start));
        let huge = huge.map_while(|line| if line.starts_with("VmFlags") { None } else { Some(line) });
        let huge = huge.filter_map(|line| line.strip_prefix("ShmemPmdMapped:")).next().unwrap();
        assert_eq!(huge.trim(), "4096 kB");
    }

    #[test]
    fn signals_are_blocked_only_meanwhile() {
        let blocked = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            status.lines().find(|line| line.starts_with("SigBlk")).unwrap().to_owned()
        };
        let before = blocked();
        let meanwhile = with_signals_blocked(blocked);
        assert_ne!(meanwhile, before);
        assert_eq!(blocked(), before);
    }
}
