//! The tier without namespaces, for hosts that refuse them to a client that asks for the strongest tier that works. A client that
//! requires isolation never comes here.
//!
//! ```text
//! zygote ──── keeper            Landlock domain 1: ends everything of the sandbox, removes its files
//!               └── init        domain 2: as in a namespace of its own, but not process 1
//!                     └── ...   a domain of its own for each program, and the filters of `policy/process.json`
//! ```
//!
//! No signal and no abstract socket leaves a domain upwards (Landlock ABI 6, without which there is no such tier), so that the keeper
//! reaches everything of the sandbox by one `kill(-1)`, init everything but the keeper, and a program nobody but its own. What
//! namespaces closed is closed by Landlock (files, `/proc`), by seccomp (sockets, System V and POSIX queues, mounts) and, as root, by a
//! host id that owns nothing. Writable files are in a directory of the sandbox's own, see [`files`].

pub(crate) mod files;
mod keeper;
pub(crate) mod rules;

use std::path::{Path, PathBuf};

use e2bridge_protocol::worker::PROGRAMS;
use rustix::process::Pid;

pub(crate) use self::keeper::clone;
use crate::message::{At, Step};
use crate::plan::{DEVICES, Entry, Identity, View};
use crate::zygote::seccomp;

/// Name of this tier in documents.
pub(crate) const NAME: &str = "process";

/// Files of the host that ordinary programs need and that say nothing about the host's users. Names that end in `*` are beginnings.
const ETC: [&str; 6] = [
    // The dynamic linker, and the names that Debian's alternatives give to programs.
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    // An interpreter complains when it sees these by their links and cannot open them.
    "/etc/ssl/openssl.cnf",
    "/etc/python3*",
];

/// What every clone needs, prepared once in the zygote.
pub(crate) struct Prepared {
    identity: Identity,
    /// Directories and files to read and execute.
    readable: Vec<PathBuf>,
    devices: Vec<PathBuf>,
    /// Worker programs: path below the sandbox's directory, and text.
    programs: Vec<(PathBuf, Vec<u8>)>,
    interpreter: Option<PathBuf>,
    /// Of programs.
    filters: Vec<Vec<libc::sock_filter>>,
    /// Whom no signal may reach.
    supervisor: Pid,
}

impl Prepared {
    /// For sandboxes of a view, as far as it can be had without mounts.
    ///
    /// # Errors
    /// A defect of the policy; the supervisor has gone.
    pub(crate) fn new(identity: Identity, view: &View) -> Result<Self, Step> {
        let visible = view.binds.iter().filter(|bind| !bind.device).map(|bind| bind.source.clone());
        let programs = view.entries.iter().filter_map(|(path, entry)| match entry {
            Entry::File(text) if path.starts_with(&PROGRAMS[1..]) => Some((path.clone(), text.clone())),
            _ => None,
        });
        Ok(Self {
            identity,
            readable: visible.chain(etc()).collect(),
            devices: DEVICES.iter().map(|name| Path::new("/dev").join(name)).collect(),
            programs: programs.collect(),
            interpreter: view.interpreter.clone(),
            filters: seccomp::process_filters(identity.dedicated())?,
            supervisor: rustix::process::getppid().ok_or_else(|| Step::refused("start", "no supervisor"))?,
        })
    }

    /// Host ids of a sandbox.
    fn ids(&self, order: u32) -> (u32, u32) {
        match self.identity {
            Identity::Dedicated { base, .. } => (base + order, base + order),
            Identity::Own { user, group } => (user, group),
        }
    }
}

fn etc() -> impl Iterator<Item = PathBuf> {
    let names: Vec<_> = std::fs::read_dir("/etc").into_iter().flatten().flatten().collect();
    ETC.into_iter().flat_map(move |path| match path.strip_suffix('*') {
        None => vec![PathBuf::from(path)],
        Some(beginning) => names
            .iter()
            .map(std::fs::DirEntry::path)
            .filter(|path| path.to_string_lossy().starts_with(beginning))
            .collect(),
    })
}

/// Processes and threads that a user has now, of which the kernel counts those of a sandbox among them. Taken before the files of
/// other processes are closed off.
fn tasks_of(user: u32) -> Result<u64, Step> {
    let mut tasks = 0;
    for entry in std::fs::read_dir("/proc").at("read /proc")?.flatten() {
        let Ok(status) = std::fs::read_to_string(entry.path().join("status")) else { continue };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        if field("Uid:") == Some(u64::from(user)) {
            tasks += field("Threads:").unwrap_or(1);
        }
    }
    Ok(tasks)
}
