//! What a sandbox is made of, as data: ids, the read-only view, writable places, limits. No system call is made here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use e2bridge_init::weaken::{self, Defence};
use e2bridge_protocol::supervisor::Limits;
use e2bridge_protocol::worker::PROGRAMS;
use rustix::process::Resource;
use serde::{Deserialize, Serialize};

use crate::message::{Order, PerProcess};

/// User and group id of everything inside.
pub(crate) const USER_ID: u32 = 1000;

/// Namespaces of a sandbox, as reported.
pub(crate) const NAMESPACES: [&str; 7] = ["user", "pid", "mount", "ipc", "uts", "net", "cgroup"];

/// Host ids that a client's sandboxes use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Identity {
    /// `count` host ids from `base` on, which own nothing. The first is the zygotes', the others are for one sandbox each.
    Dedicated {
        /// First of them.
        base: u32,
        /// How many.
        count: u32,
        /// Who may write them into an id map.
        writer: MapWriter,
    },
    /// The calling user's own.
    Own {
        /// User id.
        user: u32,
        /// Group id.
        group: u32,
    },
}

/// Who writes the id maps of a zygote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MapWriter {
    /// This process, which is root.
    Own,
    /// `newuidmap` and `newgidmap`: the ids are subordinate ones, granted to the calling user in `/etc/subuid` and `/etc/subgid`.
    Helpers,
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
            Self::Dedicated { base, count, .. } => format!("0 {base} {count}\n"),
            Self::Own { user, .. } => format!("{USER_ID} {user} 1\n"),
        }
    }

    /// `gid_map` of a zygote.
    pub(crate) fn group_map(self) -> String {
        match self {
            Self::Dedicated { base, count, .. } => format!("0 {base} {count}\n"),
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

    /// Whether the id maps are written by `newuidmap` and `newgidmap`.
    pub(crate) fn by_helpers(self) -> bool {
        matches!(self, Self::Dedicated { writer: MapWriter::Helpers, .. })
    }

    /// Whether each sandbox has an id that owns nothing.
    pub(crate) fn dedicated(self) -> bool {
        matches!(self, Self::Dedicated { .. })
    }
}

/// What keeps a sandbox apart from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Namespaces and everything else.
    Full,
    /// Everything but namespaces; never where isolation is required.
    Process,
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

/// The writable place that a path is, or is below of.
fn place_of(path: &Path) -> Option<&'static Place> {
    PLACES.iter().find(|place| path.starts_with(place.path))
}

/// Where the writable file system is mounted first.
pub(crate) const SCRATCH: &str = "/tmp";

/// Device nodes inside.
pub(crate) const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Mount options of the writable file system.
pub(crate) fn writable_options(order: &Order) -> String {
    // One page at least, because 0 means unlimited.
    let size = if weaken::keeps(Defence::DiskSize) { order.disk_bytes.max(4096) } else { 0 };
    let inodes = match weaken::keeps(Defence::DiskInodes) {
        true => order.disk_inodes.max(PLACES.len() as u64 + 2),
        false => 0,
    };
    format!("size={size},nr_inodes={inodes},mode=0755,uid={USER_ID},gid={USER_ID}")
}

/// Limits of a zygote that its clones inherit: resource, soft, hard.
pub(crate) const INHERITED_LIMITS: [(Resource, u64, u64); 8] = [
    // Not 0: a handler in `core_pattern` runs even then; exactly 1 stops it.
    (Resource::Core, 1, 1),
    (Resource::Nofile, 4096, 4096),
    (Resource::Rtprio, 0, 0),
    (Resource::Nice, 0, 0),
    (Resource::Memlock, 64 * 1024, 64 * 1024),
    (Resource::Msgqueue, 0, 0),
    (Resource::Sigpending, 1024, 1024),
    // Where the service has none, memory would be laid out in the old way, with less at random.
    (Resource::Stack, 8 * 1024 * 1024, 64 * 1024 * 1024),
];

/// What inotify of a sandbox may have: instances and watches. Otherwise all sandboxes count together with the user that runs the service,
/// who has 128 instances as a rule.
pub(crate) const WATCHES: [(&str, u64); 2] = [("instances", 16), ("watches", 8192)];

/// Part of what the service's user may have that all sandboxes of a template get together.
pub(crate) const WATCHES_SHARE: u64 = 4;

/// Which limits have no cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WithoutCgroup {
    /// Memory.
    pub(crate) memory: bool,
    /// Processes.
    pub(crate) processes: bool,
}

/// Largest buffer of a socket, bytes, unless the host's default is larger: nobody may ask for more where buffers have no group.
pub(crate) const SOCKET_BUFFER: u64 = 212_992;

/// `tcp_rmem` and `tcp_wmem` of a sandbox's network where no cgroup bounds memory: least, initial, most. The kernel's own most is 4 to 6
/// MiB a connection, taken without being asked for.
pub(crate) const TCP_BUFFERS: &str = "4096 65536 212992";

impl PerProcess {
    /// For a sandbox of that much memory, where a socket gets buffers of `socket_buffer` bytes each way.
    pub(crate) fn new(memory: u64, socket_buffer: u64) -> Self {
        // What a small interpreter or a shell with a pipeline needs, and what none needs more of.
        const DESCRIPTORS: (u64, u64) = (128, 1024);
        let each = 2 * socket_buffer.max(SOCKET_BUFFER);
        Self { memory, descriptors: (memory / each).clamp(DESCRIPTORS.0, DESCRIPTORS.1) }
    }

    /// The limits, soft and hard alike.
    pub(crate) fn limits(self) -> [(Resource, u64); 4] {
        // Counted apart from RLIMIT_DATA.
        const STACK: u64 = 8 * 1024 * 1024;
        // Interpreters reserve much of which they use little. The page tables of so much are 32 MiB at the most.
        const RESERVED: u64 = 16 * 1024 * 1024 * 1024;
        [
            (Resource::Data, self.memory),
            (Resource::As, self.memory.saturating_add(RESERVED)),
            (Resource::Stack, STACK),
            (Resource::Nofile, self.descriptors),
        ]
    }
}

/// Ids that a pid namespace gives only once: when they are used up, it goes on above them. A `pid_max` without room above them would
/// leave a sandbox that has started so many processes unable to start more, though none of them is alive.
const RESERVED_PIDS: u32 = 300;

/// The order for a zygote.
pub(crate) fn order(
    sandbox: u64,
    id: u32,
    host_name: String,
    limits: &Limits,
    without: WithoutCgroup,
    socket_buffer: u64,
    processes_per_namespace: bool,
) -> Order {
    Order {
        sandbox,
        id,
        host_name,
        disk_bytes: limits.disk_bytes,
        disk_inodes: limits.disk_inodes,
        memory: limits.memory_bytes,
        per_process: (without.memory && weaken::keeps(Defence::Memory))
            .then(|| PerProcess::new(limits.memory_bytes, socket_buffer)),
        process_limit: (processes_per_namespace && weaken::keeps(Defence::Processes))
            .then(|| u64::from(limits.processes)),
        pid_max: (without.processes && weaken::keeps(Defence::Processes))
            .then(|| limits.processes.max(1).saturating_add(RESERVED_PIDS)),
        directory: None,
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
    /// Its worker program, compiled by itself.
    pub(crate) worker: Option<Vec<u8>>,
}

impl Interpreter {
    /// Whether something of it is below a place that is writable inside, and is there only in a sandbox.
    pub(crate) fn carried(&self) -> bool {
        self.needs.iter().any(|need| place_of(&need.path).is_some())
    }
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// The root for a template. `workers` are the names and contents of the worker programs.
    pub(crate) fn new(host: &Host, interpreter: Option<&Interpreter>, workers: &[(&str, &[u8])]) -> Self {
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
        if let Some(place) = place_of(path) {
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

    fn add_etc(&mut self, host: &Host, workers: &[(&str, &[u8])]) {
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
        for (name, content) in workers {
            self.add(format!("{}/{name}", &PROGRAMS[1..]), Entry::File(content.to_vec()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host {
            top: vec![("bin".to_owned(), Some("usr/bin".to_owned())), ("lib64".to_owned(), None)],
            alternatives: vec![("awk".to_owned(), "/usr/bin/mawk".to_owned())],
            linker_cache: b"cache".to_vec(),
            time_zone: TimeZone::Link("/usr/share/zoneinfo/UTC".to_owned()),
        }
    }

    fn need(path: &str, directory: bool) -> Need {
        Need { path: path.into(), directory }
    }

    #[test]
    fn the_view_holds_what_is_named_and_no_more() {
        let view = View::new(&host(), None, &[("python.py", b"code")]);
        let listed = |wanted: fn(&Entry) -> bool| -> Vec<&str> {
            view.entries
                .iter()
                .filter(|(_, entry)| wanted(entry))
                .map(|(path, _)| path.to_str().unwrap())
                .collect()
        };
        assert_eq!(
            listed(|entry| matches!(entry, Entry::Directory(_))),
            [
                "data",
                "dev",
                "dev/shm",
                "etc",
                "etc/alternatives",
                "etc/e2bridge",
                "home",
                "home/user",
                "lib64",
                "opt",
                "proc",
                "root",
                "run",
                "srv",
                "tmp",
                "usr",
                "var",
                "var/tmp"
            ]
        );
        assert_eq!(
            listed(|entry| matches!(entry, Entry::File(_))),
            [
                "etc/e2bridge/python.py",
                "etc/group",
                "etc/hosts",
                "etc/ld.so.cache",
                "etc/nsswitch.conf",
                "etc/passwd",
                "etc/resolv.conf"
            ]
        );
        assert_eq!(
            listed(|entry| matches!(entry, Entry::Link(_))),
            [
                "bin",
                "dev/fd",
                "dev/stderr",
                "dev/stdin",
                "dev/stdout",
                "etc/alternatives/awk",
                "etc/localtime",
                "etc/mtab",
                "etc/os-release",
                "var/run"
            ]
        );
        let binds: Vec<_> =
            view.binds.iter().map(|bind| (bind.source.to_str().unwrap(), bind.device)).collect();
        let expected =
            ["null", "zero", "full", "random", "urandom", "tty"].map(|name| format!("/dev/{name}"));
        assert_eq!(binds[..2], [("/usr", false), ("/lib64", false)]);
        assert_eq!(
            binds[2..].iter().map(|(path, device)| (path.to_string(), *device)).collect::<Vec<_>>(),
            expected.map(|path| (path, true))
        );
        assert!(view.carried.is_empty() && view.interpreter.is_none());
    }

    #[test]
    fn parents_come_before_what_is_in_them() {
        let interpreter = Interpreter {
            executable: "/deep/er/than/most/bin/python3".into(),
            needs: vec![need("/deep/er/than/most", true)],
            version: String::new(),
            worker: None,
        };
        let view = View::new(&host(), Some(&interpreter), &[]);
        let mut made: Vec<&Path> = vec![Path::new("")];
        for (path, entry) in &view.entries {
            let parent = path.parent().unwrap();
            assert!(made.contains(&parent), "{} comes before {}", path.display(), parent.display());
            if matches!(entry, Entry::Directory(_)) {
                made.push(path);
            }
        }
        assert_eq!(view.binds.last().unwrap().target, Path::new("deep/er/than/most"));
        assert_eq!(view.interpreter.as_deref(), Some(interpreter.executable.as_path()));
    }

    #[test]
    fn what_belongs_below_a_writable_place_is_kept_and_carried() {
        let interpreter = Interpreter {
            executable: "/usr/local/bin/python3".into(),
            needs: vec![
                need("/usr/local/bin/python3", false),
                need("/usr/lib/more", true),
                need("/opt/python", true),
            ],
            version: String::new(),
            worker: None,
        };
        let view = View::new(&host(), Some(&interpreter), &[]);
        let carried: Vec<_> = view
            .carried
            .iter()
            .map(|item| {
                (item.kept.to_str().unwrap(), item.place.path, item.below.to_str().unwrap(), item.directory)
            })
            .collect();
        assert_eq!(
            carried,
            [
                ("/run/e2bridge/0", "/usr/local", "bin/python3", false),
                ("/run/e2bridge/1", "/opt", "python", true)
            ]
        );
        assert_eq!(view.entries[Path::new("run/e2bridge/0")], Entry::Mountpoint);
        // Below /usr it is visible already.
        assert!(view.binds.iter().all(|bind| bind.source != Path::new("/usr/lib/more")));
        assert!(view.binds.iter().any(
            |bind| bind.source == Path::new("/opt/python") && bind.target == Path::new("run/e2bridge/1")
        ));
    }

    #[test]
    fn ids_inside_are_one_and_those_outside_distinct() {
        let dedicated = Identity::Dedicated { base: 0x7000_0000, count: 0x1_0000, writer: MapWriter::Own };
        assert_eq!((dedicated.user_map(), dedicated.zygote_id()), ("0 1879048192 65536\n".to_owned(), 0));
        assert_eq!(dedicated.sandbox_ids(), 1..0x1_0000);
        let own = Identity::Own { user: 501, group: 20 };
        assert_eq!((own.user_map(), own.group_map()), ("1000 501 1\n".to_owned(), "1000 20 1\n".to_owned()));
        assert!(own.sandbox_ids().contains(&own.zygote_id()));
        assert_eq!(sandbox_map(7), "1000 7 1\n");
    }

    #[test]
    fn an_order_carries_only_the_limits_without_a_group() {
        let limits =
            Limits { memory_bytes: 1 << 29, cpu_count: 1, disk_bytes: 0, disk_inodes: 0, processes: 64 };
        let of = |memory, processes, namespace| {
            let without = WithoutCgroup { memory, processes };
            let order = order(1, 2, "h".to_owned(), &limits, without, SOCKET_BUFFER, namespace);
            (order.per_process.map(|it| it.memory), order.process_limit, order.pid_max)
        };
        assert_eq!(of(false, false, true), (None, Some(64), None));
        assert_eq!(of(true, true, true), (Some(1 << 29), Some(64), Some(364)));
        assert_eq!(of(false, true, false), (None, None, Some(364)));
        let without = WithoutCgroup { memory: false, processes: false };
        let order = order(1, 2, "h".to_owned(), &limits, without, SOCKET_BUFFER, true);
        // Neither can be 0, which would be no limit at all.
        assert_eq!(writable_options(&order), "size=4096,nr_inodes=10,mode=0755,uid=1000,gid=1000");
    }

    #[test]
    fn descriptors_are_as_many_as_their_buffers_fit_into_the_memory() {
        let descriptors = |mebibytes: u64, buffer| PerProcess::new(mebibytes << 20, buffer).descriptors;
        assert_eq!(descriptors(64, 0), 157);
        assert_eq!(descriptors(64, SOCKET_BUFFER), 157);
        assert_eq!(descriptors(256, 1 << 20), 128);
        assert_eq!((descriptors(16, 0), descriptors(4096, 0)), (128, 1024));
        assert!(TCP_BUFFERS.ends_with(&SOCKET_BUFFER.to_string()));
    }

    #[test]
    fn the_place_that_covers_the_file_system_is_the_last() {
        assert_eq!(PLACES.last().unwrap().path, SCRATCH);
        assert_eq!(PLACES.iter().filter(|place| place.path == SCRATCH).count(), 1);
    }
}
