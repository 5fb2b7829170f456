//! The zygote of the template `python` where that can be: the interpreter itself, which [`become_interpreter`] executes in the finished
//! root. It loads and rehearses its worker program, then the extension module, of which this file is the entry: from there on it
//! clones as any other zygote, and what it clones becomes an init that holds the interpreter warm.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use e2bridge_init::weaken::{self, Defence};
use e2bridge_protocol::socket;
use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};

use super::{CAPABILITIES_FOR_CLONING, Zygote, root};
use crate::message::{At, Step, ZygoteReply};
use crate::plan::Identity;
use crate::sys;

/// Path of the module in the root, relative.
pub(crate) const MODULE: &str = "zygote.so";
/// The worker program's argument that makes a zygote of it.
const ARGUMENT: &str = "zygote";
/// What a start of the interpreter looks at, as sandboxes have it unless they say otherwise.
const ENVIRONMENT: [(&str, &str); 2] = [("HOME", "/home/user"), ("LANG", "C.UTF-8")];

/// What the interpreter's part has to know of the zygote that it is.
#[derive(Serialize, Deserialize)]
struct Handover {
    identity: Identity,
    per_process_memory: bool,
}

/// Executes the interpreter, with descriptor 3 for the supervisor and 4 for the [`Handover`]; or tells the supervisor why not.
pub(super) fn become_interpreter(zygote: &Zygote, interpreter: &Path, socket: BorrowedFd<'_>) -> ! {
    let told = match prepare(zygote, socket) {
        Err(step) => socket::send(socket, &ZygoteReply::Failed(step), &[]),
        Ok([socket, _]) => {
            let error = Command::new(interpreter)
                .args(["-I", "-B", "-u", "/etc/e2bridge/python.py", ARGUMENT])
                .env_clear()
                .envs(ENVIRONMENT)
                .exec();
            let errno = error.raw_os_error().unwrap_or(0);
            let (stage, detail) = ("execute interpreter".to_owned(), interpreter.display().to_string());
            socket::send(&socket, &ZygoteReply::Failed(Step { stage, detail, errno }), &[])
        }
    };
    sys::exit(i32::from(told.is_err()))
}

/// Makes this process what the interpreter is to begin as. Other descriptors of what it was given come back, because their numbers may
/// be taken.
fn prepare(zygote: &Zygote, socket: BorrowedFd<'_>) -> Result<[OwnedFd; 2], Step> {
    let handover = Handover { identity: zygote.identity, per_process_memory: zygote.per_process_memory };
    let handover = serde_json::to_vec(&handover).map_err(|error| Step::refused("hand over", error))?;
    let file = rustix::fs::memfd_create("e2b-handover", MemfdFlags::CLOEXEC).at("hand over")?;
    let mut file = std::fs::File::from(file);
    file.write_all(&handover).at("hand over")?;
    root::hide_local()?;
    if weaken::keeps(Defence::NoNewPrivileges) {
        rustix::thread::set_no_new_privs(true).at("set no_new_privs")?;
    }
    sys::keep_capabilities_over_exec(CAPABILITIES_FOR_CLONING).at("keep capabilities")?;
    let placed = sys::place([(socket, 3), (file.as_fd(), 4)]).at("place descriptors")?;
    // Its number may be one of the two by now.
    std::mem::forget(file);
    Ok(placed)
}

/// Goes on as the zygote, in the interpreter.
///
/// # Errors
/// Is told the supervisor, too.
#[cfg(feature = "python-module")]
fn go_on(socket: BorrowedFd<'_>, handover: OwnedFd) -> Result<(), Step> {
    use e2bridge_protocol::supervisor::Template;

    use rustix::process::WaitOptions;

    use crate::plan::{Tier, View};

    let mut bytes = Vec::new();
    let mut file = std::fs::File::from(handover);
    std::io::Seek::rewind(&mut file)
        .and_then(|()| std::io::Read::read_to_end(&mut file, &mut bytes))
        .at("take over")?;
    drop(file);
    let Handover { identity, per_process_memory } =
        serde_json::from_slice(&bytes).map_err(|error| Step::refused("take over", error))?;
    // Sandboxes inherit this memory, and have no use for it.
    bytes.fill(0);
    let threads = std::fs::read_dir("/proc/self/task").at("count threads")?.count();
    if threads != 1 {
        // A fork would be without the others, and they could hold locks.
        return Err(Step::refused("count threads", threads));
    }
    if !matches!(rustix::process::wait(WaitOptions::NOHANG), Err(rustix::io::Errno::CHILD)) {
        return Err(Step::refused("count children", "the interpreter has started some"));
    }
    // What the interpreter has set for itself, and each worker sets again.
    sys::reset_signals();
    root::show_local()?;
    let template = Template::Python;
    let zygote = Zygote {
        template,
        tier: Tier::Full,
        identity,
        view: View::default(),
        forks: true,
        per_process_memory,
    };
    zygote.serve_in_interpreter(socket, module::warm().at("keep name")?, || module::rehearse().at("rehearse"))
}

#[cfg(feature = "python-module")]
mod module {
    //! The module as CPython sees it: one function, `serve(resume)`. Only what every CPython since 3.8 has in its stable ABI is used, so
    //! that one build fits all; names and layouts: <https://docs.python.org/3/c-api/stable.html>.

    use std::ffi::{c_char, c_int, c_void};
    use std::io;
    use std::os::fd::AsFd;
    use std::panic::AssertUnwindSafe;
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use e2bridge_init::WarmPython;
    use e2bridge_protocol::socket;

    use crate::message::{At, ZygoteReply};
    use crate::sys;

    type Object = *mut c_void;

    #[repr(C)]
    struct Method {
        name: *const c_char,
        function: Option<unsafe extern "C" fn(Object, Object) -> Object>,
        flags: c_int,
        doc: *const c_char,
    }

    /// `PyModuleDef`, its head as `PyModuleDef_HEAD_INIT` makes it.
    #[repr(C)]
    struct Definition {
        references: isize,
        kind: Object,
        init: *const c_void,
        index: isize,
        copy: Object,
        name: *const c_char,
        doc: *const c_char,
        size: isize,
        methods: *mut Method,
        slots: *mut c_void,
        traverse: *const c_void,
        clear: *const c_void,
        free: *const c_void,
    }

    unsafe extern "C" {
        fn PyModuleDef_Init(definition: *mut Definition) -> Object;
        fn PyOS_BeforeFork();
        fn PyOS_AfterFork_Child();
        fn PyOS_AfterFork_Parent();
        fn PyBytes_FromStringAndSize(bytes: *const c_char, length: isize) -> Object;
        fn PyObject_CallFunctionObjArgs(callable: Object, ...) -> Object;
    }

    // The engine for JavaScript asks for the newest version of this function, of glibc 2.35; the first one differs in nothing but what it
    // leaves in `errno`. All else that this module needs is no newer than what the library needs: see scripts/glibc-floor.
    std::arch::global_asm!(
        ".symver e2bridge_first_hypot, hypot@GLIBC_2.2.5",
        ".globl hypot",
        ".hidden hypot",
        ".type hypot, @function",
        "hypot: jmp e2bridge_first_hypot@PLT",
    );

    /// One argument.
    const METH_O: c_int = 0x0008;

    static mut METHODS: [Method; 2] = [
        Method { name: c"serve".as_ptr(), function: Some(serve), flags: METH_O, doc: ptr::null() },
        Method { name: ptr::null(), function: None, flags: 0, doc: ptr::null() },
    ];

    static mut DEFINITION: Definition = Definition {
        references: 1,
        kind: ptr::null_mut(),
        init: ptr::null(),
        index: 0,
        copy: ptr::null_mut(),
        name: c"e2bridge_zygote".as_ptr(),
        doc: ptr::null(),
        size: 0,
        methods: (&raw mut METHODS).cast(),
        slots: ptr::null_mut(),
        traverse: ptr::null(),
        clear: ptr::null(),
        free: ptr::null(),
    };

    /// What `serve` was given.
    static RESUME: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

    /// Entry of the module.
    ///
    /// # Safety
    /// To be called by CPython as it loads the module, with the lock of the interpreter held.
    #[unsafe(no_mangle)]
    #[expect(unreachable_pub, reason = "it is what the module exports")]
    pub unsafe extern "C" fn PyInit_e2bridge_zygote() -> Object {
        // SAFETY: the definition lives as long as the process, and only the interpreter changes it, under its lock.
        unsafe { PyModuleDef_Init(&raw mut DEFINITION) }
    }

    /// `serve(resume)`: goes on as a zygote until the supervisor ends; never returns. In each worker that is forked of a clone,
    /// `resume(environment)` is called, with `NAME=value` and a zero byte after each, and must not return.
    unsafe extern "C" fn serve(_module: Object, resume: Object) -> Object {
        RESUME.store(resume, Ordering::Relaxed);
        std::panic::set_hook(Box::new(|_| {}));
        let served = std::panic::catch_unwind(AssertUnwindSafe(|| {
            // With them the interpreter's own are closed.
            let ([socket, handover], closed) = sys::keep_only([3, 4]);
            let went_on =
                closed.at("close descriptors").and_then(|()| super::go_on(socket.as_fd(), handover));
            if let Err(step) = went_on {
                // Nobody is left to be told when this fails.
                let _ = socket::send(&socket, &ZygoteReply::Failed(step), &[]);
            }
        }));
        sys::exit(i32::from(served.is_err()))
    }

    /// The interpreter that has loaded this module. To be called before this process gets another name.
    pub(super) fn warm() -> rustix::io::Result<WarmPython> {
        let name = Box::leak(rustix::thread::name()?.into_boxed_c_str());
        Ok(WarmPython { name, before_fork, serve: work })
    }

    /// Lets one child do what a worker does, up to the end of its channel: what cannot be forked is known before a sandbox needs it.
    pub(super) fn rehearse() -> io::Result<()> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        before_fork();
        // SAFETY: this process is single-threaded.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            drop(ours);
            if sys::place([(theirs.as_fd(), 3)]).is_err() {
                sys::exit(1);
            }
            work(&super::ENVIRONMENT.map(|(name, value)| format!("{name}={value}")));
        }
        // SAFETY: as `before_fork`; this is the process that has forked.
        unsafe { PyOS_AfterFork_Parent() };
        let pid =
            rustix::process::Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(io::Error::last_os_error)?;
        drop((ours, theirs));
        let ended = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())?;
        match ended.and_then(|(_, status)| status.exit_status()) {
            Some(0) => Ok(()),
            other => Err(io::Error::other(format!("a fork ended with status {other:?}"))),
        }
    }

    fn before_fork() {
        // SAFETY: called below `serve`, by a copy of the thread that holds the interpreter's lock, the only one there is.
        unsafe { PyOS_BeforeFork() }
    }

    fn work(environment: &[String]) -> ! {
        let mut bytes = Vec::new();
        for variable in environment {
            bytes.extend_from_slice(variable.as_bytes());
            bytes.push(0);
        }
        // SAFETY: as above, after the fork. The callable is an argument of `serve`, which has not returned; the bytes are as many as said
        // (a length of a `Vec` fits), and a failure to copy them is not passed on as an object.
        unsafe {
            PyOS_AfterFork_Child();
            let environment = PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len().cast_signed());
            if !environment.is_null() {
                PyObject_CallFunctionObjArgs(
                    RESUME.load(Ordering::Relaxed),
                    environment,
                    ptr::null_mut::<c_void>(),
                );
            }
        }
        sys::exit(1)
    }
}
