//! What a sandbox is made of, as data: ids, the read-only view, writable places, limits. No system call is made here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use e2bridge_protocol::supervisor::Limits;
use rustix::process::Resource;

use crate::message::Order;

/// User and group id of everything inside.
pub(crate) const USER_ID: u32 = 1000;

/// Namespaces of a sandbox, as reported.
pub(crate) const NAMESPACES: [&str; 7] = ["user", "pid", "mount", "ipc", "uts", "net", "cgroup"];

/// Host ids that a client's sandboxes use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// `count` host ids from `base` on, which own nothing. The first is the zygotes', the others are for one sandbox each.
    Dedicated {
        /// First of them.
        base: u32,
        /// How many.
        count: u32,
    },
    /// The calling user's own.
    Own {
        /// User id.
        user: u32,
        /// Group id.
        group: u32,
    },
}

impl Identity {
    /// The zygote's id in its own user namespace. Not 0 where that would be the calling user: the namespace's 0 owns the
    /// `/proc/sys` files of the network namespaces that the zygote makes.
    pub(crate) fn zygote_id(self) -> u32 {
        match self {
            Self::Dedicated { .. } => 0,
            Self::Own { .. } => USER_ID,
        }
    }

    /// `uid_map` of a zygote.
    pub(crate) fn user_map(self) -> String {
        match self {
            Self::Dedicated { base, count } => format!("0 {base} {count}\n"),
            Self::Own { user, .. } => format!("{USER_ID} {user} 1\n"),
        }
    }

    /// `gid_map` of a zygote.
    pub(crate) fn group_map(self) -> String {
        match self {
            Self::Dedicated { base, count } => format!("0 {base} {count}\n"),
            Self::Own { group, .. } => format!("{USER_ID} {group} 1\n"),
        }
    }

    /// Ids for sandboxes, in the zygote's namespace.
    pub(crate) fn sandbox_ids(self) -> std::ops::Range<u32> {
        match self {
            Self::Dedicated { count, .. } => 1..count,
            Self::Own { .. } => USER_ID..USER_ID + 1,
        }
    }

    /// Whether each sandbox has an id that owns nothing.
    pub(crate) fn dedicated(self) -> bool {
        matches!(self, Self::Dedicated { .. })
    }
}

/// `uid_map` and `gid_map` of a sandbox whose outer id is given.
pub(crate) fn sandbox_map(outer: u32) -> String {
    format!("{USER_ID} {outer} 1\n")
}

/// A directory in which a sandbox can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Absolute path inside.
    pub(crate) path: &'static str,
    /// Its directory on the sandbox's file system of writable files.
    pub(crate) name: &'static str,
    /// Permissions.
    pub(crate) mode: u32,
}

/// Writable places. [`SCRATCH`] is the last, because the file system is mounted there before it is covered by its own part.
pub(crate) const PLACES: [Place; 8] = [
    Place { path: "/home/user", name: "home", mode: 0o755 },
    Place { path: "/data", name: "data", mode: 0o755 },
    Place { path: "/opt", name: "opt", mode: 0o755 },
    Place { path: "/usr/local", name: "local", mode: 0o755 },
    Place { path: "/srv", name: "srv", mode: 0o755 },
    Place { path: "/var/tmp", name: "vartmp", mode: 0o1777 },
    Place { path: "/dev/shm", name: "shm", mode: 0o1777 },
    Place { path: SCRATCH, name: "tmp", mode: 0o1777 },
];

/// Where the writable file system is mounted first.
pub(crate) const SCRATCH: &str = "/tmp";

/// Device nodes inside.
pub(crate) const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Mount options of the writable file system.
pub(crate) fn writable_options(order: &Order) -> String {
    // One page at least, because 0 means unlimited.
    format!(
        "size={},nr_inodes={},mode=0755,uid={USER_ID},gid={USER_ID}",
        order.disk_bytes.max(4096),
        order.disk_inodes.max(PLACES.len() as u64 + 2)
    )
}

/// Limits of a zygote that its clones inherit: resource, soft, hard.
pub(crate) const INHERITED_LIMITS: [(Resource, u64, u64); 7] = [
    // Not 0: a handler in `core_pattern` runs even then; exactly 1 stops it.
    (Resource::Core, 1, 1),
    (Resource::Nofile, 4096, 4096),
    (Resource::Rtprio, 0, 0),
    (Resource::Nice, 0, 0),
    (Resource::Memlock, 64 * 1024, 64 * 1024),
    (Resource::Msgqueue, 0, 0),
    (Resource::Sigpending, 1024, 1024),
];

/// Which limits have no cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WithoutCgroup {
    /// Memory.
    pub(crate) memory: bool,
    /// Processes.
    pub(crate) processes: bool,
}

/// Smallest `pid_max` that the kernel takes.
const LEAST_PID_MAX: u32 = 301;

/// The order for a zygote.
pub(crate) fn order(
    sandbox: u64,
    id: u32,
    host_name: String,
    limits: &Limits,
    without: WithoutCgroup,
    processes_per_namespace: bool,
) -> Order {
    Order {
        sandbox,
        id,
        host_name,
        disk_bytes: limits.disk_bytes,
        disk_inodes: limits.disk_inodes,
        data_limit: without.memory.then_some(limits.memory_bytes),
        process_limit: processes_per_namespace.then(|| u64::from(limits.processes)),
        pid_max: without.processes.then(|| limits.processes.max(LEAST_PID_MAX)),
    }
}

/// An interpreter of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// Absolute path without links.
    pub(crate) executable: PathBuf,
    /// Everything that it needs.
    pub(crate) needs: Vec<Need>,
    /// For people.
    pub(crate) version: String,
}

/// A part of the host that an interpreter needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// Absolute path without links.
    pub(crate) path: PathBuf,
    /// Else a file.
    pub(crate) directory: bool,
}

/// What the host's root looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Host {
    /// `/bin`, `/lib` and their like that exist, with the target of those that are links.
    pub(crate) top: Vec<(String, Option<String>)>,
    /// `/etc/alternatives`: name and target.
    pub(crate) alternatives: Vec<(String, String)>,
    /// `/etc/ld.so.cache`.
    pub(crate) linker_cache: Vec<u8>,
    /// `/etc/localtime`.
    pub(crate) time_zone: TimeZone,
}

/// What `/etc/localtime` is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum TimeZone {
    /// Absent: UTC.
    #[default]
    Absent,
    /// A link into `/usr`.
    Link(String),
    /// A file.
    Content(Vec<u8>),
}

/// Names of the top level that are taken from the host as they are.
pub(crate) const TOP: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec"];

/// An entry of the view's own file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// With its permissions.
    Directory(u32),
    /// With its target.
    Link(String),
    /// With its content; permissions 0444.
    File(Vec<u8>),
    /// An empty file to bind something on.
    Mountpoint,
}

/// A part of the host, visible read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    /// On the host.
    pub(crate) source: PathBuf,
    /// Inside, without the leading slash.
    pub(crate) target: PathBuf,
    /// One of [`DEVICES`].
    pub(crate) device: bool,
}

/// Something of the host that belongs below a writable place. It is kept elsewhere in the view, and bound by each sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Carried {
    /// Where it is kept, absolute inside.
    pub(crate) kept: PathBuf,
    /// Where it belongs: a writable place and the path below it.
    pub(crate) place: Place,
    /// Relative to the place.
    pub(crate) below: PathBuf,
    /// Else a file.
    pub(crate) directory: bool,
}

/// The finished root of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// Relative paths, parents first.
    pub(crate) entries: BTreeMap<PathBuf, Entry>,
    /// In order.
    pub(crate) binds: Vec<Bind>,
    /// In order.
    pub(crate) carried: Vec<Carried>,
    /// Absolute path of the interpreter.
    pub(crate) interpreter: Option<PathBuf>,
}

impl View {
    /// The root for a template. `workers` are the names and texts of the worker programs.
    pub(crate) fn new(host: &Host, interpreter: Option<&Interpreter>, workers: &[(&str, &str)]) -> Self {
        let mut view = Self {
            entries: BTreeMap::new(),
            binds: Vec::new(),
            carried: Vec::new(),
            interpreter: interpreter.map(|interpreter| interpreter.executable.clone()),
        };
        view.bind("/usr".into(), true, false);
        for (name, target) in &host.top {
            match target {
                Some(target) => view.add(name, Entry::Link(target.clone())),
                None => view.bind(Path::new("/").join(name), true, false),
            }
        }
        view.add_etc(host, workers);
        for name in DEVICES {
            view.bind(Path::new("/dev").join(name), false, true);
        }
        for (name, target) in
            [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
        {
            view.add(format!("dev/{name}"), Entry::Link(target.to_owned()));
        }
        view.directory("proc", 0o555);
        view.directory("run", 0o755);
        view.add("var/run", Entry::Link("../run".to_owned()));
        view.directory("root", 0o755);
        for place in PLACES.iter().filter(|place| !place.path.starts_with("/usr/")) {
            view.directory(&place.path[1..], 0o755);
        }
        for need in interpreter.into_iter().flat_map(|interpreter| &interpreter.needs) {
            view.show(need);
        }
        view
    }

    /// Makes a path of the host visible under the same name.
    fn show(&mut self, Need { path, directory }: &Need) {
        let directory = *directory;
        if let Some(place) = PLACES.iter().find(|place| path.starts_with(place.path)) {
            let kept = Path::new("/run/e2bridge").join(self.carried.len().to_string());
            let below = path.strip_prefix(place.path).unwrap_or(Path::new("")).to_owned();
            self.bind_at(path.to_owned(), kept.clone(), directory, false);
            self.carried.push(Carried { kept, place: *place, below, directory });
        } else if !path.starts_with("/usr") {
            self.bind(path.to_owned(), directory, false);
        }
    }

    fn bind(&mut self, path: PathBuf, directory: bool, device: bool) {
        self.bind_at(path.clone(), path, directory, device);
    }

    fn bind_at(&mut self, source: PathBuf, target: PathBuf, directory: bool, device: bool) {
        let target = target.strip_prefix("/").unwrap_or(&target).to_owned();
        self.add(&target, if directory { Entry::Directory(0o755) } else { Entry::Mountpoint });
        self.binds.push(Bind { source, target, device });
    }

    fn directory(&mut self, path: impl AsRef<Path>, mode: u32) {
        self.add(path, Entry::Directory(mode));
    }

    /// Adds an entry and the directories above it.
    fn add(&mut self, path: impl AsRef<Path>, entry: Entry) {
        let path = path.as_ref();
        for parent in path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
            self.entries.entry(parent.to_owned()).or_insert(Entry::Directory(0o755));
        }
        self.entries.insert(path.to_owned(), entry);
    }

    fn add_etc(&mut self, host: &Host, workers: &[(&str, &str)]) {
        let texts = [
            (
                "passwd",
                "root:x:0:0:root:/root:/usr/sbin/nologin\nuser:x:1000:1000:user:/home/user:/bin/sh\n\
                 nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
            ),
            ("group", "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n"),
            ("hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"),
            ("nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\n"),
            ("resolv.conf", ""),
        ];
        for (name, text) in texts {
            self.add(format!("etc/{name}"), Entry::File(text.into()));
        }
        self.add("etc/mtab", Entry::Link("../proc/self/mounts".to_owned()));
        self.add("etc/os-release", Entry::Link("../usr/lib/os-release".to_owned()));
        self.add("etc/ld.so.cache", Entry::File(host.linker_cache.clone()));
        self.directory("etc/alternatives", 0o755);
        for (name, target) in &host.alternatives {
            self.add(format!("etc/alternatives/{name}"), Entry::Link(target.clone()));
        }
        match &host.time_zone {
            TimeZone::Absent => {}
            TimeZone::Link(target) => self.add("etc/localtime", Entry::Link(target.clone())),
            TimeZone::Content(bytes) => self.add("etc/localtime", Entry::File(bytes.clone())),
        }
        for (name, text) in workers {
            self.add(format!("etc/e2bridge/{name}"), Entry::File((*text).into()));
        }
    }
}
