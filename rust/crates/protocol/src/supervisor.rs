//! Library to supervisor: one `SOCK_SEQPACKET` socket, descriptor 3 of the supervisor. When it closes, the supervisor ends
//! everything and exits: that is the lifeline. Every request carries, as its first descriptor, the socket for its one reply.

use serde::{Deserialize, Serialize};

/// Requests. The descriptors that come with each are named behind it, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum SupervisorRequest {
    /// First request of a connection. `[reply]`
    Start(Start),
    /// A new sandbox. `[reply, control]`: `control` becomes its init's control socket.
    Create(Create),
    /// Ends a sandbox: SIGKILL to its init. Answered when every process, cgroup and mount of it is gone; also when there is no
    /// such sandbox any more. `[reply]`
    Kill {
        /// As in [`Create`].
        sandbox: u64,
    },
    /// Tries what the host allows. `[reply]`
    Check,
}

/// What a supervisor needs to know once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// [`crate::PROTOCOL_VERSION`] of the library.
    pub protocol_version: u32,
    /// Random letters and digits that name this client in cgroups and in its owner record.
    pub client: String,
    /// Directory of owner records, made by the library with mode 0700.
    pub runtime_directory: String,
    /// True: isolation REQUIRED; false: the strongest tier that works.
    pub required: bool,
    /// Interpreters to try for the template `python`, in order.
    pub python_candidates: Vec<String>,
    /// Interpreters to try for the template `node`, in order.
    pub node_candidates: Vec<String>,
}

/// Built-in templates: what a zygote is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Template {
    /// Shell and embedded JavaScript.
    Base,
    /// CPython.
    Python,
    /// Node.js.
    Node,
}

/// A sandbox to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Create {
    /// Chosen by the library, never reused by it.
    pub sandbox: u64,
    /// Which zygote.
    pub template: Template,
    /// Limits.
    pub limits: Limits,
    /// Host name inside.
    pub host_name: String,
}

/// Limits of a sandbox, enforced by the strongest mechanism of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// All processes and files together, bytes.
    pub memory_bytes: u64,
    /// Processors' worth of time.
    pub cpu_count: u32,
    /// Writable files, bytes.
    pub disk_bytes: u64,
    /// Writable files, directories and links.
    pub disk_inodes: u64,
    /// Processes and threads.
    pub processes: u32,
}

/// Replies. One per request; no reply and a closed socket means that the supervisor died.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum SupervisorReply {
    /// To `Start`.
    Started(Started),
    /// To `Create`: the init is ready and listens on its control socket.
    Created(Box<Created>),
    /// To `Kill`.
    Killed {
        /// Its init had ended by itself, after the kernel had ended processes of it because the memory limit of its cgroup was met.
        out_of_memory: bool,
    },
    /// To `Check`.
    Checked(Box<Checked>),
    /// To any: nothing of the request is left behind.
    Failed(Failure),
}

/// Answer to [`Start`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Started {
    /// Of the supervisor, in the library's pid namespace.
    pub pid: u32,
    /// Owner records of dead clients that were swept.
    pub swept: u32,
}

/// Answer to [`Create`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Created {
    /// Of the sandbox's init, in the supervisor's pid namespace.
    pub init_pid: u32,
    /// What is in force.
    pub posture: Posture,
    /// Where the library reads usage; absent where there is no such group.
    pub cgroups: Cgroups,
    /// Absolute path, inside the sandbox, of the template's interpreter; absent for `base`.
    pub interpreter: Option<String>,
    /// Its init can start [`crate::init::Program::WarmPython`].
    pub forks_python: bool,
    /// Of a sandbox without namespaces: the directory on the host below which its writable places and the worker programs are.
    pub root: Option<String>,
}

/// Mechanism that enforces a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mechanism {
    /// A cgroup of the v1 hierarchy.
    CgroupV1,
    /// A cgroup of the v2 hierarchy.
    CgroupV2,
    /// No cgroup: RLIMIT_DATA per process for memory, `pid_max` of the pid namespace (without one RLIMIT_NPROC) for processes, an
    /// affinity set for cpu.
    Fallback,
}

/// The isolation of a sandbox, as its launcher and its init found it in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posture {
    /// `full`, or the name of a weaker tier: `process` has no namespaces, `unbounded_processes` and
    /// `unbounded_memory` lack that bound.
    pub tier: String,
    /// Namespaces of its own.
    pub namespaces: Vec<String>,
    /// True: host ids that own nothing, distinct per sandbox; false: the calling user's own id.
    pub dedicated_ids: bool,
    /// A seccomp filter is in force.
    pub seccomp: bool,
    /// Landlock ABI in force; 0 = none.
    pub landlock_abi: u32,
    /// For memory.
    pub memory: Mechanism,
    /// For processes.
    pub processes: Mechanism,
    /// For cpu.
    pub cpu: Mechanism,
}

/// Directories of a sandbox's cgroups on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroups {
    /// Of the memory controller.
    pub memory: Option<String>,
    /// Of the cpu accounting (v1 `cpuacct` or v2).
    pub cpu: Option<String>,
    /// Of the pids controller.
    pub processes: Option<String>,
}

/// Why something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// The host cannot give the isolation that is required.
    Isolation,
    /// The template's interpreter is not on this host.
    MissingInterpreter,
    /// The host has no room: processes, descriptors, memory.
    Limit,
    /// The supervisor or a zygote died or does not answer.
    Unavailable,
    /// A defect.
    Internal,
}

/// A failed request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// Kind.
    pub kind: FailureKind,
    /// Step of set-up, for example `mount proc`.
    pub stage: String,
    /// `errno` of the system call that failed, when one did.
    pub errno: Option<i32>,
    /// For people: the call, its arguments, the cause.
    pub message: String,
    /// Command or setting that mends it, when known.
    pub remedy: Option<String>,
}

/// Answer to `Check`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checked {
    /// What a sandbox gets; absent when REQUIRED cannot be given.
    pub posture: Option<Posture>,
    /// Each facility that was tried.
    pub facilities: Vec<Facility>,
    /// Per built-in template: the interpreter found, or why there is none.
    pub interpreters: Vec<(Template, Result<Option<String>, String>)>,
}

/// One facility of the host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Facility {
    /// For example `user_namespaces`.
    pub name: String,
    /// Found by trying it.
    pub available: bool,
    /// A version, a mechanism, the error.
    pub detail: String,
    /// Command or setting that mends it.
    pub remedy: Option<String>,
}
