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
    name: c"e2bridge_python_zygote".as_ptr(),
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
pub unsafe extern "C" fn PyInit_e2bridge_python_zygote() -> Object {
    // SAFETY: the definition lives as long as the process, and only the interpreter changes it, under its lock.
    unsafe { PyModuleDef_Init(&raw mut DEFINITION) }
}

/// `serve(resume)`: goes on as a zygote until the supervisor ends; never returns. In each worker that is forked of a clone,
/// `resume(environment)` is called, with `NAME=value` and a zero byte after each, and must not return.
unsafe extern "C" fn serve(_module: Object, resume: Object) -> Object {
    RESUME.store(resume, Ordering::Relaxed);
    std::panic::set_hook(Box::new(|_| {}));
    let served = std::panic::catch_unwind(AssertUnwindSafe(|| {
        // This also closes what the interpreter has opened, whose objects are told again in each worker.
        let ([socket, handover], closed) = sys::keep_only([3, 4]);
        let went_on = closed.at("close descriptors").and_then(|()| super::go_on(socket.as_fd(), handover));
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
pub(super) fn try_fork() -> io::Result<()> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    before_fork();
    // SAFETY: this process is single-threaded.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        drop(ours);
        if sys::place([(theirs.as_fd(), 3)]).is_err() {
            sys::exit(1);
        }
        // Without an environment, which no sandbox is: what is visible here is not what a sandbox sees.
        work(&[]);
    }
    // SAFETY: as `before_fork`; this is the process that has forked.
    unsafe { PyOS_AfterFork_Parent() };
    let pid = rustix::process::Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(io::Error::last_os_error)?;
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
