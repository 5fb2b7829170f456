//! Which defences are in force. In what is shipped: all of them, by constants that cost nothing. Under the feature `weakened`, which
//! only tests of attacks build with, those that [`VARIABLE`] names are left out: an attack that says it is contained must say that
//! it escapes then.

/// A defence that can be left out alone. Its name for [`VARIABLE`] is that of the variant, as `Debug` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defence {
    /// Whatever was open when the supervisor was started, or is open in it, is closed.
    Descriptors,
    /// A session of its own, without a terminal.
    Session,
    /// Host ids that own nothing.
    DedicatedIds,
    /// A network namespace of its own.
    Network,
    /// An ipc namespace of its own for each sandbox.
    Ipc,
    /// A uts namespace of its own for each sandbox.
    Uts,
    /// A pid namespace of its own for each sandbox.
    Pid,
    /// A `/proc` of its own pid namespace.
    FreshProc,
    /// The old root is gone.
    OldRoot,
    /// What is of the host is read-only, and so is the root.
    ReadOnly,
    /// Set-user-id has no effect.
    NoSuid,
    /// Device nodes have no effect, but for the six.
    NoDevices,
    /// `no_new_privs`.
    NoNewPrivileges,
    /// Both filters, the one for foreign architectures with them.
    Seccomp,
    /// No capability in any set.
    Capabilities,
    /// A part of the inotify instances and watches, not all that the user has.
    Watches,
    /// No further namespace can be made.
    FurtherNamespaces,
    /// Rules for files.
    LandlockFiles,
    /// No signal and no abstract socket leaves the sandbox.
    LandlockScopes,
    /// Init can neither be traced nor looked into.
    NotDumpable,
    /// Size of the writable file system.
    DiskSize,
    /// Inodes of the writable file system.
    DiskInodes,
    /// Limit of the memory group, and what stands in for it.
    Memory,
    /// Limit of the group for processes, and what stands in for it.
    Processes,
    /// Quota of the group for processors, and what stands in for it.
    Cpu,
    /// Time-outs end an execution.
    Deadline,
    /// Memory runs out for programs first, and for init last.
    Badness,
}

/// Environment variable of the supervisor: names of defences to leave out, separated by blanks; also `Limit:Core` for a single
/// resource limit and `Call:ptrace` for a system call, with the group of the policy that it is in.
#[cfg(feature = "weakened")]
pub const VARIABLE: &str = "E2BRIDGE_LEFT_OUT";

#[cfg(not(feature = "weakened"))]
mod decision {
    use super::Defence;

    /// Whether a defence is in force: yes.
    #[inline(always)]
    #[must_use]
    pub const fn keeps(_: Defence) -> bool {
        true
    }

    /// Whether a resource limit is in force: yes.
    #[inline(always)]
    #[must_use]
    pub const fn keeps_limit(_: &str) -> bool {
        true
    }

    /// Whether the policy holds for a system call: yes.
    #[inline(always)]
    #[must_use]
    pub const fn keeps_call(_: &str) -> bool {
        true
    }
}

#[cfg(feature = "weakened")]
mod decision {
    use super::{Defence, VARIABLE};

    fn keeps_name(name: &str) -> bool {
        let left_out = std::env::var(VARIABLE).unwrap_or_default();
        !left_out.split_whitespace().any(|other| other == name)
    }

    /// Whether a defence is in force.
    #[must_use]
    pub fn keeps(defence: Defence) -> bool {
        keeps_name(&format!("{defence:?}"))
    }

    /// Whether a resource limit is in force.
    #[must_use]
    pub fn keeps_limit(resource: &str) -> bool {
        keeps_name(&format!("Limit:{resource}"))
    }

    /// Whether the policy holds for a system call.
    #[must_use]
    pub fn keeps_call(call: &str) -> bool {
        keeps_name(&format!("Call:{call}"))
    }
}

/// `flags` as far as the defence is in force, else none.
#[must_use]
pub fn flags_of(defence: Defence, flags: u32) -> u32 {
    if keeps(defence) { flags } else { 0 }
}

pub use decision::{keeps, keeps_call, keeps_limit};
