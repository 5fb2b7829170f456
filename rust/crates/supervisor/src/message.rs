//! Messages between the supervisor, its zygotes and the clones that become sandboxes. None of these runs a user's code; where CPython is
//! the zygote, that and its clones hold the host's interpreter, too.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// Supervisor to zygote.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ZygoteRequest {
    /// The id maps are written: build the root.
    Begin,
    /// A new sandbox. `[status, control]`: `status` carries [`CloneCommand`] and [`CloneReport`], `control` is for its init. A network of
    /// a sandbox that has ended may follow.
    Clone(Order),
}

/// A sandbox to be cloned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// As in the library's request.
    pub(crate) sandbox: u64,
    /// Outer user and group id, in the zygote's user namespace; without one, its number among the client's.
    pub(crate) id: u32,
    /// Host name inside.
    pub(crate) host_name: String,
    /// Writable files, bytes.
    pub(crate) disk_bytes: u64,
    /// Writable files, directories and links.
    pub(crate) disk_inodes: u64,
    /// Memory of all of it, bytes.
    pub(crate) memory: u64,
    /// Bounds of every process, where no cgroup bounds memory.
    pub(crate) per_process: Option<PerProcess>,
    /// RLIMIT_NPROC.
    pub(crate) process_limit: Option<u64>,
    /// `pid_max` of the pid namespace.
    pub(crate) pid_max: Option<u32>,
    /// Its own directory on the host, where it has no namespaces.
    pub(crate) directory: Option<String>,
}

/// Bounds of a process that together bound its memory. What is memory but none of this is closed off by `without_memory_group` of the
/// system call policy, by [`crate::plan::TCP_BUFFERS`], and for `/dev/zero` by Landlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PerProcess {
    /// RLIMIT_DATA, bytes.
    pub(crate) memory: u64,
    /// RLIMIT_NOFILE: the buffers behind that many sockets and pipes take no more than `memory` again.
    pub(crate) descriptors: u64,
}

/// Zygote to supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ZygoteReply {
    /// The root is finished, and the interpreter is about to be executed in it, to become the zygote.
    BecomesInterpreter,
    /// The root is finished and seccomp is in force.
    Ready,
    /// The zygote cannot be; it exits.
    Failed(Step),
    /// The clone exists, its id maps are written, it waits for [`CloneCommand::Go`]. `[pidfd]`, then
    /// its network, if it has one of its own.
    Cloned {
        /// As in the order.
        sandbox: u64,
    },
    /// There is no clone.
    CloneFailed {
        /// As in the order.
        sandbox: u64,
        /// Why.
        step: Step,
    },
}

/// The step in which a process gets into a cgroup: by the supervisor in v2, by itself in v1.
pub(crate) const JOIN_CGROUP: &str = "join cgroup";

/// Supervisor to clone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum CloneCommand {
    /// The clone is in its cgroups of v2. `[file, …]`: what it writes 0 to, to be in those of v1.
    Go,
}

/// Clone to supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum CloneReport {
    /// Everything is in force; init starts.
    Confined {
        /// 0 = the kernel has no Landlock.
        landlock_abi: u32,
    },
    /// The clone exits.
    Failed(Step),
}

/// A step of set-up that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    /// For example `mount proc`.
    pub(crate) stage: String,
    /// What it was about: a path, a value.
    pub(crate) detail: String,
    /// 0 when no system call failed.
    pub(crate) errno: i32,
}

impl Step {
    /// A step that failed for another reason than a system call.
    pub(crate) fn refused(stage: &str, detail: impl fmt::Display) -> Self {
        Self { stage: stage.to_owned(), detail: detail.to_string(), errno: 0 }
    }
}

/// Names the step in which an error arose.
pub(crate) trait At<T> {
    /// With the step alone.
    fn at(self, stage: &str) -> Result<T, Step>;
    /// With what it was about.
    fn about(self, stage: &str, detail: impl fmt::Display) -> Result<T, Step>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, stage: &str) -> Result<T, Step> {
        self.about(stage, "")
    }

    fn about(self, stage: &str, detail: impl fmt::Display) -> Result<T, Step> {
        self.map_err(|error| {
            let error = error.into();
            let detail = match error.raw_os_error() {
                Some(_) => detail.to_string(),
                None => format!("{detail}: {error}"),
            };
            Step { stage: stage.to_owned(), detail, errno: error.raw_os_error().unwrap_or(0) }
        })
    }
}
