//! The read-only view that becomes the root of a template: made from nothing, only what [`View`] names is in it.

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use e2bridge_init::weaken::{self, Defence};
use rustix::fs::{AtFlags, CWD, FileType, Mode};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change,
    move_mount, open_tree, unmount,
};

use crate::message::{At, Step};
use crate::plan::{Bind, DEVICES, Entry, Host, TOP, TimeZone, View};
use crate::sys::{self, MountAttributes};

/// A directory that is on every host, to mount the new root on until it is the root.
const STAGING: &str = "/usr";

/// Reads what a [`View`] takes over from the host. What is missing there is left out.
///
/// # Errors
/// A name of the top level cannot be read: nothing would run without.
pub(crate) fn read_host() -> Result<Host, Step> {
    const LARGEST_CACHE: u64 = 4 * 1024 * 1024;
    const LARGEST_TIME_ZONE: u64 = 64 * 1024;
    let link =
        |path: &Path| fs::read_link(path).ok().and_then(|target| target.into_os_string().into_string().ok());
    let content = |path: &str, most: u64| {
        let metadata = fs::metadata(path).ok()?;
        (metadata.is_file() && metadata.len() <= most).then(|| fs::read(path).ok())?
    };
    let mut host = Host::default();
    for name in TOP {
        let path = Path::new("/").join(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => host.top.push((name.to_owned(), None)),
            Ok(metadata) if metadata.is_symlink() => {
                let target = fs::read_link(&path).about("read host", path.display())?;
                host.top
                    .extend(target.into_os_string().into_string().ok().map(|it| (name.to_owned(), Some(it))));
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).about("read host", path.display());
            }
            _ => {}
        }
    }
    for entry in fs::read_dir("/etc/alternatives").into_iter().flatten().flatten() {
        let (Ok(name), Some(target)) = (entry.file_name().into_string(), link(&entry.path())) else {
            continue;
        };
        host.alternatives.push((name, target));
    }
    host.alternatives.sort();
    host.linker_cache = content("/etc/ld.so.cache", LARGEST_CACHE).unwrap_or_default();
    let local = "/etc/localtime";
    host.time_zone =
        match fs::canonicalize(local).ok().and_then(|path| path.into_os_string().into_string().ok()) {
            Some(target) if target.starts_with("/usr/") => TimeZone::Link(target),
            Some(_) => content(local, LARGEST_TIME_ZONE).map_or(TimeZone::Absent, TimeZone::Content),
            None => TimeZone::Absent,
        };
    Ok(host)
}

/// Copies of the host's mounts that the view needs, attached to nothing yet, in the order of its binds.
pub(super) struct Trees(Vec<OwnedFd>);

impl Trees {
    /// Makes the copies, with the file permissions of the caller: to be called before the ids change.
    ///
    /// # Errors
    /// Names the path.
    pub(super) fn copy(view: &View) -> Result<Self, Step> {
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .at("make mounts private")?;
        view.binds.iter().map(copy_tree).collect::<Result<_, _>>().map(Self)
    }
}

fn copy_tree(bind: &Bind) -> Result<OwnedFd, Step> {
    let single = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = match open_tree(CWD, &bind.source, single) {
        // There are mounts below it that an unprivileged copy may not uncover.
        Err(rustix::io::Errno::INVAL) => open_tree(CWD, &bind.source, single | OpenTreeFlags::AT_RECURSIVE),
        other => other,
    }
    .about("open tree", bind.source.display())?;
    let attributes = MountAttributes::READ_ONLY
        .unless_left_out(Defence::ReadOnly)
        .and(MountAttributes::NO_SUID.unless_left_out(Defence::NoSuid))
        .and(match bind.device {
            true => MountAttributes::NO_EXEC,
            false => MountAttributes::NO_DEVICES.unless_left_out(Defence::NoDevices),
        });
    sys::restrict_mount(&tree, attributes, true).about("restrict mount", bind.source.display())?;
    Ok(tree)
}

/// Builds the view and makes it the root of this process, in its own mount and pid namespace. The old root is gone then.
///
/// # Errors
/// Names the step and the path.
pub(super) fn enter(view: &View, trees: Trees) -> Result<(), Step> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("e2bridge", STAGING, "tmpfs", flags, c"size=16m,nr_inodes=8k,mode=0755").at("mount root")?;
    rustix::process::chdir(STAGING).at("mount root")?;
    for (path, entry) in &view.entries {
        make(path, entry).about("make root", path.display())?;
    }
    for (bind, tree) in view.binds.iter().zip(trees.0) {
        move_mount(&tree, "", CWD, &bind.target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .about("bind", bind.source.display())?;
    }
    let local =
        rustix::fs::statat(CWD, "usr/local", AtFlags::SYMLINK_NOFOLLOW).about("stat", "/usr/local")?;
    if FileType::from_raw_mode(local.st_mode) != FileType::Directory {
        return Err(Step::refused("stat", "/usr/local is no directory"));
    }
    mount("proc", "proc", "proc", flags | MountFlags::NOEXEC, None).at("mount proc")?;
    if weaken::keeps(Defence::OldRoot) {
        rustix::process::pivot_root(".", ".").at("pivot root")?;
        unmount(".", UnmountFlags::DETACH).at("detach old root")?;
    } else {
        rustix::process::pivot_root(".", "run").at("pivot root")?;
    }
    rustix::process::chdir("/").at("detach old root")?;
    let root = rustix::fs::open("/", rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC, Mode::empty())
        .at("make root read-only")?;
    let attributes = MountAttributes::READ_ONLY.unless_left_out(Defence::ReadOnly);
    sys::restrict_mount(root, attributes, false).at("make root read-only")?;
    if weaken::keeps(Defence::OldRoot) { check(view) } else { Ok(()) }
}

fn make(path: &Path, entry: &Entry) -> std::io::Result<()> {
    match entry {
        Entry::Directory(mode) => Ok(rustix::fs::mkdir(path, Mode::from_raw_mode(*mode))?),
        Entry::Link(target) => Ok(rustix::fs::symlink(target, path)?),
        Entry::File(content) => {
            fs::OpenOptions::new().write(true).create_new(true).mode(0o444).open(path)?.write_all(content)
        }
        Entry::Mountpoint => {
            fs::OpenOptions::new().write(true).create_new(true).mode(0o444).open(path).map(drop)
        }
    }
}

/// Covers the host's `/usr/local`, which no sandbox sees: what starts in the root itself is not to find it either.
///
/// # Errors
/// As `mount(2)`.
pub(super) fn hide_local() -> Result<(), Step> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    mount("e2bridge", "/usr/local", "tmpfs", flags, c"size=4k,nr_inodes=2,mode=0755")
        .about("hide", "/usr/local")
}

/// Takes the cover of [`hide_local`] away.
///
/// # Errors
/// As `umount(2)`.
#[cfg(feature = "python-zygote")]
pub(super) fn show_local() -> Result<(), Step> {
    unmount("/usr/local", UnmountFlags::DETACH).about("show", "/usr/local")
}

/// Checks that nothing is mounted but what the view names: the old root is gone.
fn check(view: &View) -> Result<(), Step> {
    let table = fs::read_to_string("/proc/self/mountinfo").at("read mountinfo")?;
    let expected: Vec<PathBuf> = view.binds.iter().map(|bind| Path::new("/").join(&bind.target)).collect();
    let mut found = 0;
    for point in table.lines().filter_map(|line| line.split(' ').nth(4)) {
        let path = Path::new(point);
        if !(point == "/" || point == "/proc" || expected.iter().any(|bind| path.starts_with(bind))) {
            return Err(Step::refused("check mounts", format!("{point} is still mounted")));
        }
        found += 1;
    }
    match found < expected.len() + 2 {
        true => Err(Step::refused("check mounts", format!("{found} mounts, fewer than made"))),
        false => Ok(()),
    }
}

/// Absolute paths of the device nodes inside.
pub(crate) fn device_paths() -> impl Iterator<Item = PathBuf> {
    DEVICES.iter().map(|name| Path::new("/dev").join(name))
}
