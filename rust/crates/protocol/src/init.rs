//! Library to the init of a sandbox: one `SOCK_SEQPACKET` control socket per sandbox. Every request carries, as its first
//! descriptor, a `SOCK_SEQPACKET` *channel* on which its events come back; bulk data has a descriptor of its own.
//!
//! The library treats what comes out of a sandbox as hostile: it is bounded, decoded strictly and never trusted.

use serde::{Deserialize, Serialize};

/// Requests. The descriptors that come with each are named behind it, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum InitRequest {
    /// Starts a program under a shepherd of its own. `[channel]`, then, with `capture`, `[stdout write end, stderr write end,
    /// stdout read end, stderr read end]` (the read ends let the shepherd go on draining for what stays in the background),
    /// then, with `worker`, `[worker socket]`, which becomes descriptor 3 of the program.
    ///
    /// Events: `Started`, then `Exited`; or `Failed`. [`InitCommand::Kill`], and the closing of the channel before `Exited`,
    /// end everything of it: every descendant, sessions of their own and double forks included. After `Exited` the channel
    /// may be closed; what was left in the background lives on.
    Spawn(Spawn),
    /// Reads a regular file into `data`. `[channel, data]`. Events: `Done` (bytes = its size) or `Failed`.
    ReadFile {
        /// Absolute, or relative to `/home/user`.
        path: String,
        /// A longer file is `Failed` with `EFBIG` before anything is sent.
        max_bytes: u64,
    },
    /// Writes a regular file from `data` until its end, by way of a temporary file beside it and a rename; makes missing
    /// parent directories. `[channel, data]`. Events: `Done` or `Failed`.
    WriteFile {
        /// Absolute, or relative to `/home/user`.
        path: String,
        /// Exact number of bytes to come; fewer is `Failed`, and the file is as it was.
        bytes: u64,
    },
    /// Writes a tar archive of the directories into `data`: regular files, directories and symbolic links, nothing else;
    /// names relative to `/`. `[channel, data]`. Events: `Done` (entries, bytes of content) or `Failed`.
    ExportTree {
        /// Absolute directories.
        roots: Vec<String>,
        /// More is `Failed` with `EFBIG`.
        max_bytes: u64,
        /// More is `Failed` with `EFBIG`.
        max_entries: u64,
    },
    /// Unpacks a tar archive from `data` below the given directories and refuses everything else. `[channel, data]`.
    /// Events: `Done` or `Failed`.
    ImportTree {
        /// Absolute directories.
        roots: Vec<String>,
    },
    /// Figures that only the inside knows. `[channel]`. Event: `Statistics`. Serves as the health probe, too.
    Statistics,
    /// SIGTERM to everything, then waits until no program and no transfer of files is left, at most `grace_ms`. Where there is none to
    /// begin with, nothing is signalled. Embedded workers end with init. `[channel]`. Event: `ShutDown`.
    Shutdown {
        /// Milliseconds.
        grace_ms: u32,
    },
    /// The real request is longer than a datagram: its bytes follow on the channel in datagrams. Same descriptors.
    Long {
        /// Length of the encoded request, at most [`crate::socket::MAX_LONG_MESSAGE`].
        bytes: u64,
    },
}

/// A program to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spawn {
    /// What.
    pub program: Program,
    /// The whole environment, `NAME=value`.
    pub env: Vec<String>,
    /// Absolute; must exist.
    pub cwd: String,
    /// After this long everything of it is ended and `Exited` says `timed_out`; absent = no limit.
    pub timeout_ms: Option<u64>,
    /// False: both streams are `/dev/null`.
    pub capture: bool,
    /// True: a worker socket comes as the last descriptor.
    pub worker: bool,
}

/// What a [`Spawn`] runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Program {
    /// `execve`; a name without a slash is looked for along `PATH` of the environment given.
    Exec {
        /// Program and arguments; at least one.
        argv: Vec<String>,
    },
    /// The embedded JavaScript engine, forked warm; it serves the worker protocol on descriptor 3.
    EmbeddedJavaScript,
    /// The CPython that init has taken over from its zygote, forked warm; it serves the worker protocol on descriptor 3. `Failed` with
    /// `ENOEXEC` where there is none: see `forks_python` of [`crate::supervisor::Created`].
    WarmPython,
}

/// From the library, on the channel of a `Spawn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InitCommand {
    /// Ends everything of it now.
    Kill,
}

/// From init, on a channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum InitEvent {
    /// The program runs.
    Started {
        /// Inside the sandbox's pid namespace.
        pid: u32,
    },
    /// The program ended; with `timed_out` or after a kill everything of it is gone.
    Exited(Exit),
    /// The request failed; nothing of it is left.
    Failed {
        /// The step: `execve`, `chdir`, `open`, `fork`, …
        stage: String,
        /// `errno`.
        errno: i32,
    },
    /// A file or tree request is complete.
    Done {
        /// Files, directories and links.
        entries: u64,
        /// Bytes of content.
        bytes: u64,
    },
    /// Answer to `Statistics`.
    Statistics(Statistics),
    /// Answer to `Shutdown`.
    ShutDown {
        /// True when the grace period did not run out: no program and no transfer of files was left.
        clean: bool,
    },
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit status, unless a signal ended it.
    pub exit_code: Option<i32>,
    /// Number of the signal that ended it.
    pub signal: Option<i32>,
    /// The time-out ended it.
    pub timed_out: bool,
    /// Init ended it because all processes together took more memory than the sandbox has. Where a cgroup bounds memory, the kernel
    /// ends processes, and the group tells.
    pub out_of_memory: bool,
    /// User and system time of the program and its waited-for children, microseconds.
    pub cpu_us: u64,
    /// Largest resident set among them, bytes.
    pub max_rss_bytes: u64,
}

/// Figures that only the inside knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Bytes of writable files.
    pub disk_used_bytes: u64,
    /// Files, directories and links.
    pub disk_used_inodes: u64,
    /// Processes alive, init, shepherds and workers included.
    pub processes: u32,
    /// Executions whose program has not ended.
    pub running: u32,
    /// User and system time of everything that has ended or is alive, microseconds.
    pub cpu_us: u64,
    /// Anonymous resident memory of everything alive, bytes; a page that forks still share counts for each of them.
    pub anonymous_bytes: u64,
}
