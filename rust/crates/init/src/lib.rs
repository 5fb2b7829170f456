//! Process 1 of a sandbox: executions under shepherds, files, trees; no user code.
//!
//! ```text
//! init ──── shepherd ──── program or forked CPython worker, its descendants, and its orphans
//!   ├────── shepherd ──── ...
//!   ├────── embedded JavaScript worker
//!   └────── agent: one file or tree request
//! ```
//!
//! Code in a sandbox is hostile and has the same uid. It can kill, stop and starve shepherds, workers and agents, but not process 1,
//! which therefore decides everything that must hold: time-outs, kills, and that nothing outlives its execution. What only hostile
//! code can bring about (a shepherd that is killed, or stopped) ends that execution or is undone; what survives five seconds of
//! killing ends the sandbox.
//!
//! A sandbox without namespaces has an init that is not process 1: a [`Confinement`] stands in for them, init is the subreaper of
//! everything below it, and who started init ends what outlives it.
//!
//! System calls that a filter must leave open for this, besides those of any program: `openat2`, `pidfd_open`, `pidfd_send_signal`,
//! `signalfd4`, `close_range`, `clone` with `CLONE_VM | CLONE_VFORK`, `wait4`, `ppoll`, `recvmsg`, `sendto`, `prctl`
//! (`PR_SET_CHILD_SUBREAPER`, `PR_SET_DUMPABLE`, `PR_SET_NAME`).

use std::os::fd::OwnedFd;

mod archive;
mod confinement;
mod failure;
mod file_agent;
mod memory;
mod queues;
mod serve;
mod shepherd;
mod spawn;
mod statistics;
mod sys;
mod tree;
pub mod weaken;

#[cfg(feature = "fuzzing")]
pub mod fuzzing {
    //! What the fuzz targets call.

    pub use crate::archive::fuzzing::{FoundEntry, read_archive};
}
pub use confinement::Confinement;

pub use memory::Watched;

/// What the init of a sandbox is started with.
pub struct InitOptions {
    /// The far end of the library's control socket (`SOCK_SEQPACKET`). When it closes, init exits and takes the sandbox along.
    pub control: OwnedFd,
    /// Entry point of the embedded JavaScript worker: called in a forked child, with the worker socket (descriptor 3), its
    /// standard streams set, all other descriptors closed. It must not return and ends the process by `_exit`.
    pub embedded_javascript: fn(OwnedFd) -> !,
    /// Says whether what init forks from now on has the engine's memory, which is most of what a fork copies; it does when init begins.
    /// False when the kernel has no memory for that.
    pub inherit_engine: fn(bool) -> bool,
    /// CPython that this process holds warm, as its zygote left it.
    pub python: Option<WarmPython>,
    /// `/dev/zero`, open for reading and writing: the way to memory that forks share where anonymous memory of that kind is closed off.
    pub zero: OwnedFd,
    /// `oom_score_adj` of this process, open for writing: code inside cannot reach such files any more. With it init gives what it
    /// starts a higher badness than its own, so that a full memory group costs the program and not the sandbox.
    pub badness: Option<Badness>,
    /// Memory to watch: when it is too much, the execution that takes most is ended, and its `Exited` says so.
    pub watched_memory: Option<Watched>,
    /// For a sandbox without namespaces.
    pub confinement: Option<Confinement>,
}

/// An interpreter in the memory of this process, of which forks serve the worker protocol at once.
#[derive(Clone, Copy)]
pub struct WarmPython {
    /// Name of a worker's process.
    pub name: &'static std::ffi::CStr,
    /// Called right before the fork, in the process that forks.
    pub before_fork: fn(),
    /// Called in the forked child, with its environment (`NAME=value`), the worker socket (descriptor 3) and the standard streams set, all
    /// other descriptors closed. It must not return and ends the process by `_exit`.
    pub serve: fn(&[String]) -> !,
}

/// How likely the kernel takes init, and what init starts, when memory runs out.
pub struct Badness {
    /// `oom_score_adj` of init, open for writing.
    pub file: OwnedFd,
    /// The value of init, which the file has now; -1000 to 1000.
    pub init: i16,
    /// The value of what init starts; not below `init`. Of shepherds, too: a fork has its parent's, the file is that of init for good, and
    /// what is not dumpable may not open its own.
    pub programs: i16,
}

/// Runs the init of a sandbox until its control socket closes; never returns and ends by `_exit`.
///
/// To be called as the last thing in the freshly confined clone: process 1 of its pid namespace (or with a [`Confinement`]),
/// single-threaded, uid 1000, no capabilities, `/proc` mounted, `/dev/null` there. It takes care itself of: descriptors 0 to 2 (`/dev/null`), signal
/// dispositions and mask, dumpable 0. Descriptors other than 0 to 2 and the control socket should be closed, and are close-on-exec
/// or closed in whatever it starts in any case.
pub fn run(options: InitOptions) -> ! {
    serve::run(options)
}
