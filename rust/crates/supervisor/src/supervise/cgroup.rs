//! Control groups: v1, v2, both or none, each controller on its own.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use e2bridge_init::weaken::{self, Defence};
use e2bridge_protocol::supervisor::{Cgroups, Failure, FailureKind, Limits, Mechanism};
use rustix::fs::Access;

use crate::failure::{failure, system};
use crate::message::JOIN_CGROUP;

/// Time over which a quota of processor time is counted, microseconds; what a new group of v1 has by itself.
const PERIOD_US: u64 = 100_000;

/// Part of the memory that buffers of TCP may take on top, where they are not counted together.
const TCP_SHARE: u64 = 8;

/// What is bounded or counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Controller {
    Memory,
    Processes,
    Cpu,
    Accounting,
}

const CONTROLLERS: [Controller; 4] =
    [Controller::Memory, Controller::Processes, Controller::Cpu, Controller::Accounting];

impl Controller {
    fn v1_name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Processes => "pids",
            Self::Cpu => "cpu",
            Self::Accounting => "cpuacct",
        }
    }

    /// Absent: every v2 group has it.
    fn v2_name(self) -> Option<&'static str> {
        match self {
            Self::Memory => Some("memory"),
            Self::Processes => Some("pids"),
            Self::Cpu => Some("cpu"),
            Self::Accounting => None,
        }
    }

    /// A file that a v1 group of it must have.
    fn v1_file(self) -> &'static str {
        match self {
            Self::Memory => "memory.limit_in_bytes",
            Self::Processes => "pids.max",
            Self::Cpu => "cpu.cfs_quota_us",
            Self::Accounting => "cpuacct.usage",
        }
    }
}

/// The groups that this process is in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Own {
    v1: Vec<(Controller, PathBuf)>,
    /// From the own group up to the root that is visible.
    v2: Vec<PathBuf>,
}

impl Own {
    /// Of this process.
    pub(crate) fn read() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
    }

    fn parse(mountinfo: &str, cgroup: &str) -> Self {
        let path_of = |wanted: &str| {
            cgroup.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let (names, path) = (fields.next()?, fields.next()?);
                names.split(',').any(|name| name == wanted).then_some(path)
            })
        };
        let mut own = Self::default();
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let mut left = left.split(' ').skip(3);
            let (Some(root), Some(point)) = (left.next(), left.next()) else { continue };
            let (root, point) = (unescape(root), PathBuf::from(unescape(point)));
            let mut right = right.split(' ');
            let (kind, options) = (right.next().unwrap_or(""), right.nth(1).unwrap_or(""));
            let directory = |path: &str| {
                // The mount may show a part of the hierarchy only.
                let below = Path::new(path).strip_prefix(&root).ok().map(Path::to_owned);
                point.join(below.unwrap_or_default())
            };
            match kind {
                "cgroup" => {
                    for controller in CONTROLLERS {
                        let name = controller.v1_name();
                        let known = own.v1.iter().any(|(other, _)| *other == controller);
                        if known || !options.split(',').any(|option| option == name) {
                            continue;
                        }
                        own.v1.extend(path_of(name).map(|path| (controller, directory(path))));
                    }
                }
                "cgroup2" if own.v2.is_empty() => {
                    let Some(path) = path_of("") else { continue };
                    let start = directory(path);
                    own.v2 = start
                        .ancestors()
                        .take_while(|ancestor| ancestor.starts_with(&point))
                        .map(Path::to_owned)
                        .collect();
                }
                _ => {}
            }
        }
        own
    }

    /// Directories that [`Layout::make`] may make, to be written down before.
    pub(crate) fn directories(&self, client: &str) -> Vec<PathBuf> {
        let mut directories: Vec<_> = self
            .v1
            .iter()
            .map(|(_, parent)| parent)
            .chain(&self.v2)
            .map(|parent| home(parent, client))
            .collect();
        directories.sort();
        directories.dedup();
        directories
    }
}

/// Undoes the octal escapes of mountinfo.
fn unescape(field: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .into_iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(field.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn home(parent: &Path, client: &str) -> PathBuf {
    parent.join(format!("{PREFIX}{client}"))
}

/// How the directories of every client begin.
pub(crate) const PREFIX: &str = "e2bridge-";

/// Where a controller's groups of this client are.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Home {
    controller: Controller,
    mechanism: Mechanism,
    directory: PathBuf,
}

/// The groups of a client.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    homes: Vec<Home>,
    /// Why a controller has none, of every place that was tried.
    refusals: Vec<(Controller, Refusal)>,
}

/// Why a controller cannot be had in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) remedy: String,
}

impl Refusal {
    /// What an error of the kernel at a place means. In v2 most of them have a meaning of their own.
    fn new(place: &Path, version: Mechanism, error: &io::Error) -> Self {
        let place = place.display();
        let (cause, remedy) = match (version, error.raw_os_error()) {
            (Mechanism::CgroupV2, Some(libc::EBUSY)) => (
                "; the group holds processes itself, and the kernel hands controllers on to empty groups only",
                format!(
                    "put the service into a group of its own below the delegated one: DelegateSubgroup=main in its unit, or, before it \
                     starts, mkdir {place}/main && echo $$ >{place}/main/cgroup.procs"
                ),
            ),
            (_, Some(libc::EROFS)) => (
                "",
                "give the container a writable /sys/fs/cgroup and a cgroup namespace of its own".to_owned(),
            ),
            _ => ("", DELEGATE.to_owned()),
        };
        Self { reason: format!("{place}: {error}{cause}"), remedy }
    }

    /// A v2 group that has not been given a controller.
    fn not_handed_on(place: &Path, controller: Controller) -> Self {
        let (place, name) = (place.display(), controller.v2_name().unwrap_or_default());
        Self {
            reason: format!("{place}: the {name} controller is not handed on to this group"),
            remedy: format!(
                "{DELEGATE}; without systemd: echo +{name} >cgroup.subtree_control in every group above {place}"
            ),
        }
    }

    fn nowhere() -> Self {
        Self {
            reason: "no hierarchy with this controller".to_owned(),
            remedy: "mount -t cgroup2 none /sys/fs/cgroup".to_owned(),
        }
    }
}

/// How a host gives a service groups to manage.
const DELEGATE: &str = "run the service as root, as a user by systemd-run --user --scope -p Delegate=yes, or with Delegate=yes and \
                        DelegateSubgroup=main in its unit";

impl Layout {
    /// Makes the directories of a client, for as many controllers as the host lets it.
    pub(crate) fn make(own: &Own, client: &str) -> Self {
        let mut layout = Self::default();
        for (controller, parent) in &own.v1 {
            match make_v1(*controller, parent, client) {
                Ok(directory) => layout.add(*controller, Mechanism::CgroupV1, directory),
                Err(reason) => layout.refusals.push((*controller, reason)),
            }
        }
        let wanted: Vec<_> = CONTROLLERS
            .into_iter()
            .filter(|controller| controller.v2_name().is_some() && layout.home(*controller).is_none())
            .collect();
        if !wanted.is_empty() {
            layout.make_v2(own, client, &wanted);
        }
        for controller in wanted {
            if layout.home(controller).is_none()
                && !layout.refusals.iter().any(|(other, _)| *other == controller)
            {
                layout.refusals.push((controller, Refusal::nowhere()));
            }
        }
        layout
    }

    fn make_v2(&mut self, own: &Own, client: &str, wanted: &[Controller]) {
        let mut best: Option<(PathBuf, Vec<Controller>)> = None;
        for parent in &own.v2 {
            let directory = home(parent, client);
            let (got, refused) = make_v2(parent, &directory, wanted);
            self.refusals.extend(refused);
            if got.len() <= best.as_ref().map_or(0, |(_, got)| got.len()) {
                remove(&directory);
                continue;
            }
            let complete = got.len() == wanted.len();
            if let Some((worse, _)) = best.replace((directory, got)) {
                remove(&worse);
            }
            if complete {
                break;
            }
        }
        let Some((directory, got)) = best else { return };
        for controller in got {
            self.add(controller, Mechanism::CgroupV2, directory.clone());
        }
        if self.home(Controller::Accounting).is_none() {
            self.add(Controller::Accounting, Mechanism::CgroupV2, directory);
        }
    }

    fn add(&mut self, controller: Controller, mechanism: Mechanism, directory: PathBuf) {
        self.refusals.retain(|(other, _)| *other != controller);
        self.homes.push(Home { controller, mechanism, directory });
    }

    fn home(&self, controller: Controller) -> Option<&Home> {
        self.homes.iter().find(|home| home.controller == controller)
    }

    /// What enforces the limit of a controller.
    pub(crate) fn mechanism(&self, controller: Controller) -> Mechanism {
        self.home(controller).map_or(Mechanism::Fallback, |home| home.mechanism)
    }

    /// Where a controller's groups are, or why there are none.
    pub(crate) fn describe(&self, controller: Controller) -> Result<String, Refusal> {
        match self.home(controller) {
            Some(Home { mechanism: Mechanism::CgroupV2, directory, .. }) => {
                Ok(format!("cgroup v2, {}", directory.display()))
            }
            Some(Home { directory, .. }) => Ok(format!("cgroup v1, {}", directory.display())),
            // The first place is the nearest one.
            None => Err(self
                .refusals
                .iter()
                .find(|(other, _)| *other == controller)
                .map_or_else(Refusal::nowhere, |(_, refusal)| refusal.clone())),
        }
    }

    /// Makes the groups of a sandbox, with its limits.
    ///
    /// # Errors
    /// Nothing is left then.
    pub(crate) fn make_groups(&self, name: &str, limits: &Limits) -> Result<Groups, Failure> {
        let mut groups = Groups::default();
        for home in &self.homes {
            let directory = home.directory.join(name);
            match home.controller {
                Controller::Memory => groups.reported.memory = shown(&directory),
                Controller::Processes => groups.reported.processes = shown(&directory),
                Controller::Accounting => groups.reported.cpu = shown(&directory),
                Controller::Cpu => {}
            }
            if groups.directories.contains(&directory) {
                continue;
            }
            let made = fs::create_dir(&directory);
            match home.mechanism {
                Mechanism::CgroupV2 => groups.joined_by_pid.push(directory.join("cgroup.procs")),
                _ => groups.joined_by_self.push(directory.join("tasks")),
            }
            groups.directories.push(directory);
            if let Err(error) = made {
                groups.remove();
                return Err(full("make cgroup", &home.directory, error));
            }
        }
        for home in &self.homes {
            if let Err(error) = set_limits(home, &home.directory.join(name), limits) {
                groups.remove();
                return Err(full("limit cgroup", &home.directory, error));
            }
        }
        Ok(groups)
    }

    /// Removes the directories of the client, which must be empty. True when none is left.
    pub(crate) fn remove(&self) -> bool {
        self.homes.iter().fold(true, |all, home| {
            remove(&home.directory);
            all && !home.directory.exists()
        })
    }
}

fn full(stage: &str, directory: &Path, error: io::Error) -> Failure {
    match error.raw_os_error() {
        // The hierarchy's own bound on groups.
        Some(libc::ENOSPC) => failure(
            FailureKind::Limit,
            stage,
            format!("{}: no room for a further cgroup", directory.display()),
        ),
        _ => system(stage, &directory.display().to_string(), error),
    }
}

fn shown(directory: &Path) -> Option<String> {
    directory.to_str().map(str::to_owned)
}

fn remove(directory: &Path) {
    // A directory that is not empty or not there stays as it is; the next client sweeps by the record.
    let _ = fs::remove_dir(directory);
}

fn make_v1(controller: Controller, parent: &Path, client: &str) -> Result<PathBuf, Refusal> {
    let directory = home(parent, client);
    let refused = |place: &Path, error| Refusal::new(place, Mechanism::CgroupV1, &error);
    match fs::create_dir(&directory) {
        // Made for another controller of the same hierarchy.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other.map_err(|error| refused(&directory, error))?,
    }
    let limit = directory.join(controller.v1_file());
    match rustix::fs::access(&limit, Access::READ_OK) {
        Ok(()) => Ok(directory),
        Err(error) => {
            remove(&directory);
            Err(refused(&limit, error.into()))
        }
    }
}

/// Makes a client's directory in a v2 group and hands on to it what the kernel lets it of what is wanted: that, and why not the rest.
/// The directory may be there even when nothing is handed on.
fn make_v2(
    parent: &Path,
    directory: &Path,
    wanted: &[Controller],
) -> (Vec<Controller>, Vec<(Controller, Refusal)>) {
    let mut got = wanted.to_vec();
    let mut refusals = Vec::new();
    let mut step = |got: &mut Vec<Controller>, may: &dyn Fn(Controller) -> Result<(), Refusal>| {
        got.retain(|controller| match may(*controller) {
            Ok(()) => true,
            Err(refusal) => {
                refusals.push((*controller, refusal));
                false
            }
        });
    };
    let refused = |error: io::Error| Refusal::new(parent, Mechanism::CgroupV2, &error);
    // Whoever moves a process must be allowed to write here, in the nearest group above both its places.
    let procs = rustix::fs::access(parent.join("cgroup.procs"), Access::WRITE_OK);
    step(&mut got, &|_| procs.map_err(|error| refused(error.into())));
    step(&mut got, &|controller| enable(parent, controller));
    if !got.is_empty() {
        let made = fs::create_dir(directory).map_err(refused);
        step(&mut got, &|_| made.clone());
    }
    step(&mut got, &|controller| enable(directory, controller));
    (got, refusals)
}

/// Hands a controller of a v2 group on to the groups below it.
fn enable(directory: &Path, controller: Controller) -> Result<(), Refusal> {
    let name = controller.v2_name().unwrap_or_default();
    let lists = |file: &str| {
        let text = fs::read_to_string(directory.join(file)).unwrap_or_default();
        text.split_whitespace().any(|other| other == name)
    };
    if !lists("cgroup.controllers") {
        return Err(Refusal::not_handed_on(directory, controller));
    }
    if holds_processes(directory) {
        return Err(Refusal::new(directory, Mechanism::CgroupV2, &io::Error::from_raw_os_error(libc::EBUSY)));
    }
    if lists("cgroup.subtree_control") {
        return Ok(());
    }
    put(&directory.join("cgroup.subtree_control"), &format!("+{name}"))
        .map_err(|error| Refusal::new(directory, Mechanism::CgroupV2, &error))
}

/// Whether a v2 group holds processes itself, which the root may. The kernel refuses to hand memory on then; processor time and the
/// number of processes it does hand on, but only to groups of threads, and turns this group into the root of such ones.
fn holds_processes(directory: &Path) -> bool {
    directory.join("cgroup.type").exists()
        && fs::read_to_string(directory.join("cgroup.procs")).is_ok_and(|processes| !processes.is_empty())
}

/// Writes to a file of a group, which is not made: whoever asks to make one is told that it may not, where the answer must be that
/// there is none.
fn put(file: &Path, content: &str) -> io::Result<()> {
    use std::io::Write;
    writable(file)?.write_all(content.as_bytes())
}

fn writable(file: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).open(file)
}

fn set_limits(home: &Home, directory: &Path, limits: &Limits) -> io::Result<()> {
    let set = |file: &str, value: u64| put(&directory.join(file), &value.to_string());
    let optional = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    let quota = u64::from(limits.cpu_count) * PERIOD_US;
    let left_out = match home.controller {
        Controller::Memory => !weaken::keeps(Defence::Memory),
        Controller::Processes => !weaken::keeps(Defence::Processes),
        Controller::Cpu => !weaken::keeps(Defence::Cpu),
        Controller::Accounting => false,
    };
    if left_out {
        return Ok(());
    }
    match (home.controller, home.mechanism) {
        (Controller::Memory, Mechanism::CgroupV2) => {
            set("memory.max", limits.memory_bytes)?;
            optional(set("memory.swap.max", 0))?;
            optional(set("memory.oom.group", 0))
        }
        (Controller::Memory, _) => {
            set("memory.limit_in_bytes", limits.memory_bytes)?;
            // The buffers of TCP have an account of their own here, without a limit unless one is set.
            optional(set("memory.kmem.tcp.limit_in_bytes", limits.memory_bytes / TCP_SHARE))?;
            match set("memory.memsw.limit_in_bytes", limits.memory_bytes) {
                // Swap is not accounted: keep the sandbox out of it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    optional(set("memory.swappiness", 0))
                }
                other => other,
            }
        }
        (Controller::Processes, _) => set("pids.max", u64::from(limits.processes)),
        (Controller::Cpu, Mechanism::CgroupV2) => {
            put(&directory.join("cpu.max"), &format!("{quota} {PERIOD_US}"))
        }
        (Controller::Cpu, _) => {
            match set("cpu.cfs_quota_us", quota) {
                // A group above has a lower quota already, which holds here, too.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
                other => other,
            }
        }
        (Controller::Accounting, _) => Ok(()),
    }
}

/// The groups of a sandbox.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// Each once; memory first.
    directories: Vec<PathBuf>,
    /// Of v2: files that take the number of a process.
    joined_by_pid: Vec<PathBuf>,
    /// Of v1: files that take a thread, as 0 the one that writes. Of v1's ways into a group, this alone needs no lock against forks
    /// and exits of the whole machine: taking that lock costs 7 to 15 ms after a pause, in which nothing on the machine can fork or exit.
    joined_by_self: Vec<PathBuf>,
    /// As the library gets to know them.
    pub(crate) reported: Cgroups,
}

impl Groups {
    /// Puts the process `pid` into the groups of v2, which may block for the time that `joined_by_self` tells of. Answers the files of
    /// v1: the process joins by writing 0 to each while it has one thread.
    ///
    /// # Errors
    /// Names the group.
    pub(crate) fn admit(&self, pid: u32) -> Result<Vec<OwnedFd>, Failure> {
        let refused = |file: &Path, error| system(JOIN_CGROUP, &file.display().to_string(), error);
        for file in &self.joined_by_pid {
            put(file, &pid.to_string()).map_err(|error| refused(file, error))?;
        }
        let open = |file: &PathBuf| writable(file).map(OwnedFd::from).map_err(|error| refused(file, error));
        self.joined_by_self.iter().map(open).collect()
    }

    /// Processes that the kernel ended because the memory limit was met.
    pub(crate) fn memory_kills(&self) -> u64 {
        let Some(directory) = &self.reported.memory else { return 0 };
        let counted = |name: &str| {
            let text = fs::read_to_string(Path::new(directory).join(name)).ok()?;
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
        };
        counted("memory.oom_control").or_else(|| counted("memory.events")).unwrap_or(0)
    }

    /// Those that are left.
    pub(crate) fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Removes those that are empty of processes; true when none is left.
    pub(crate) fn remove(&mut self) -> bool {
        self.directories.retain(|directory| match fs::remove_dir(directory) {
            Ok(()) => false,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        });
        self.directories.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_paths_follow_the_root_of_the_mount() {
        let mountinfo = "\
33 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
39 31 0:36 / /sys/fs/cgroup/pids\\040x rw - cgroup cgroup rw,pids\n\
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let cgroup = "8:pids:/\n4:memory:/docker/abc/inner\n1:cpu,cpuacct:/a/b\n0::/x/y\n";
        let own = Own::parse(mountinfo, cgroup);
        let path =
            |wanted| own.v1.iter().find(|(controller, _)| *controller == wanted).unwrap().1.to_str().unwrap();
        assert_eq!(path(Controller::Memory), "/sys/fs/cgroup/memory/inner");
        assert_eq!(path(Controller::Processes), "/sys/fs/cgroup/pids x/");
        assert_eq!(path(Controller::Cpu), "/sys/fs/cgroup/cpu,cpuacct/a/b");
        assert_eq!(path(Controller::Accounting), path(Controller::Cpu));
        assert_eq!(
            own.v2,
            ["/sys/fs/cgroup/unified/x/y", "/sys/fs/cgroup/unified/x", "/sys/fs/cgroup/unified"]
                .map(PathBuf::from)
        );
        assert!(own.directories("c").contains(&PathBuf::from("/sys/fs/cgroup/memory/inner/e2bridge-c")));
        assert_eq!(own.directories("c").len(), 6);
    }

    #[test]
    fn nothing_is_found_where_nothing_is_mounted() {
        assert_eq!(Own::parse("", "0::/\n"), Own::default());
        assert_eq!(Own::parse("rubbish\n", "rubbish\n"), Own::default());
    }

    #[test]
    fn a_group_that_cannot_hand_anything_on_is_removed_and_says_why() {
        let root = tempfile::tempdir().unwrap();
        let parent = root.path();
        fs::write(parent.join("cgroup.procs"), "").unwrap();
        fs::write(parent.join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        fs::write(parent.join("cgroup.subtree_control"), "memory\n").unwrap();
        // A plain directory has no controllers of its own, so that nothing can be handed on: the directory goes again.
        let own = Own { v1: Vec::new(), v2: vec![parent.to_owned()] };
        let layout = Layout::make(&own, "c");
        assert_eq!(layout.mechanism(Controller::Memory), Mechanism::Fallback);
        assert!(!parent.join("e2bridge-c").exists());
        let refusal = |controller| layout.describe(controller).unwrap_err();
        assert!(
            refusal(Controller::Memory).reason.contains("e2bridge-c: the memory controller is not handed on")
        );
        assert!(refusal(Controller::Memory).remedy.contains("Delegate=yes"));
        assert_eq!(Layout::default().describe(Controller::Cpu), Err(Refusal::nowhere()));
    }

    #[test]
    fn a_group_with_processes_is_left_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let files = [
            ("cgroup.type", "domain\n"),
            ("cgroup.procs", "17\n"),
            ("cgroup.controllers", "cpu memory pids\n"),
            ("cgroup.subtree_control", ""),
        ];
        for (file, content) in files {
            fs::write(root.path().join(file), content).unwrap();
        }
        let layout = Layout::make(&Own { v1: Vec::new(), v2: vec![root.path().to_owned()] }, "c");
        for controller in [Controller::Memory, Controller::Processes, Controller::Cpu] {
            let refusal = layout.describe(controller).unwrap_err();
            assert!(refusal.reason.contains("holds processes itself"), "{refusal:?}");
        }
        assert_eq!(fs::read_to_string(root.path().join("cgroup.subtree_control")).unwrap(), "");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), files.len());
    }

    #[test]
    fn what_the_kernel_refuses_has_a_remedy_of_its_own() {
        let refusal =
            |errno| Refusal::new(Path::new("/g"), Mechanism::CgroupV2, &io::Error::from_raw_os_error(errno));
        assert!(refusal(libc::EBUSY).reason.contains("holds processes itself"));
        assert!(refusal(libc::EBUSY).remedy.contains("echo $$ >/g/main/cgroup.procs"));
        assert!(refusal(libc::EROFS).remedy.contains("writable /sys/fs/cgroup"));
        assert!(refusal(libc::EACCES).remedy.contains("systemd-run --user --scope -p Delegate=yes"));
    }

    fn files(mechanism: Mechanism) -> &'static [&'static str] {
        match mechanism {
            Mechanism::CgroupV2 => &["memory.max", "memory.swap.max", "cpu.max", "pids.max"],
            _ => &[
                "memory.limit_in_bytes",
                "memory.memsw.limit_in_bytes",
                "memory.kmem.tcp.limit_in_bytes",
                "cpu.cfs_quota_us",
                "pids.max",
            ],
        }
    }

    #[test]
    fn a_kernel_without_swap_limits_what_there_is() {
        let root = tempfile::tempdir().unwrap();
        let limits =
            Limits { memory_bytes: 1 << 20, cpu_count: 2, disk_bytes: 0, disk_inodes: 0, processes: 7 };
        let set = |controller, mechanism| {
            let home = Home { controller, mechanism, directory: root.path().to_owned() };
            set_limits(&home, root.path(), &limits)
        };
        assert!(
            set(Controller::Memory, Mechanism::CgroupV2).is_err(),
            "there is nothing to bound memory with"
        );
        fs::write(root.path().join("memory.max"), "").unwrap();
        set(Controller::Memory, Mechanism::CgroupV2).unwrap();
        fs::write(root.path().join("memory.limit_in_bytes"), "").unwrap();
        set(Controller::Memory, Mechanism::CgroupV1).unwrap();
        // Nothing is made that the kernel did not make.
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[test]
    fn limits_reach_the_files_of_both_versions() {
        let root = tempfile::tempdir().unwrap();
        let limits =
            Limits { memory_bytes: 1 << 20, cpu_count: 2, disk_bytes: 0, disk_inodes: 0, processes: 7 };
        let written = |controller, mechanism, file: &str| {
            let directory = root.path().join(format!("{mechanism:?}"));
            fs::create_dir_all(&directory).unwrap();
            for file in files(mechanism) {
                fs::write(directory.join(file), "").unwrap();
            }
            let home = Home { controller, mechanism, directory: directory.clone() };
            set_limits(&home, &directory, &limits).unwrap();
            fs::read_to_string(directory.join(file)).unwrap()
        };
        assert_eq!(
            written(Controller::Memory, Mechanism::CgroupV1, "memory.memsw.limit_in_bytes"),
            "1048576"
        );
        assert_eq!(
            written(Controller::Memory, Mechanism::CgroupV1, "memory.kmem.tcp.limit_in_bytes"),
            "131072"
        );
        assert_eq!(written(Controller::Cpu, Mechanism::CgroupV1, "cpu.cfs_quota_us"), "200000");
        assert_eq!(written(Controller::Processes, Mechanism::CgroupV1, "pids.max"), "7");
        assert_eq!(written(Controller::Memory, Mechanism::CgroupV2, "memory.swap.max"), "0");
        assert_eq!(written(Controller::Cpu, Mechanism::CgroupV2, "cpu.max"), "200000 100000");
    }
}
