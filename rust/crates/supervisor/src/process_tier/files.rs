//! The writable files of sandboxes without a file system of their own: a directory for the client, in it one for each sandbox, in that
//! the writable places under their names. Nothing bounds them in sum but the disk they are on.

use std::ffi::CString;
use std::fs;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, StatVfsMountFlags};
use rustix::io::Errno;

use crate::message::{At, Step};
use crate::plan::PLACES;

/// Where the directories of clients may be: on a disk if there is one, and everybody can go through these.
const PARENTS: [&str; 2] = ["/var/tmp", "/tmp"];

/// How the directories of clients begin.
pub(crate) const PREFIX: &str = "e2bridge-";

/// The directory of a client; made when it is first needed.
pub(crate) fn of_client(client: &str) -> PathBuf {
    let fits = |parent: &&&str| {
        let parent = Path::new(parent);
        rustix::fs::statvfs(parent).is_ok_and(|it| !it.f_flag.contains(StatVfsMountFlags::NOEXEC))
            && rustix::fs::access(parent, rustix::fs::Access::WRITE_OK).is_ok()
    };
    let parent = PARENTS.iter().find(fits).unwrap_or(&PARENTS[0]);
    Path::new(parent).join(format!("{PREFIX}{client}"))
}

/// Makes the directory of a sandbox, and that of the client above it. `id` is to own it, when that is not the caller.
///
/// # Errors
/// Nothing is left then but the client's directory. One of that name that somebody else has made, where everybody may, is refused.
pub(crate) fn make(directory: &Path, id: Option<u32>) -> io::Result<()> {
    let client = directory.parent().unwrap_or(directory);
    match fs::DirBuilder::new().mode(0o700).create(client) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !is_own(client) {
                return Err(error);
            }
        }
        made => {
            made?;
            // Sandboxes with ids of their own go through, and see no names.
            fs::set_permissions(client, fs::Permissions::from_mode(0o711))?;
        }
    }
    fs::DirBuilder::new().mode(0o700).create(directory)?;
    if id.is_some() {
        std::os::unix::fs::lchown(directory, id, id).inspect_err(|_| {
            // It is empty.
            let _ = fs::remove_dir(directory);
        })?;
    }
    Ok(())
}

/// Whether the directory of a client is this user's, and writable by nobody else: where it is, everybody may make one.
fn is_own(client: &Path) -> bool {
    let user = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(client).is_ok_and(|it| it.is_dir() && it.uid() == user && it.mode() & 0o022 == 0)
}

/// Removes the directory of a client; true when nothing is left that is its own.
pub(crate) fn remove_client(client: &Path) -> bool {
    !is_own(client) || remove(client)
}

/// Makes the writable places and the programs given, by path below and text. To be called with the id of the sandbox.
///
/// # Errors
/// Names the path.
pub(super) fn furnish(directory: &Path, programs: &[(PathBuf, Vec<u8>)]) -> Result<(), Step> {
    let make = |path: &Path, mode: u32| {
        let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(path);
        made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
            .about("make directory", path.display())
    };
    for place in PLACES {
        make(&directory.join(&place.path[1..]), place.mode)?;
    }
    for (path, text) in programs {
        let path = directory.join(path);
        make(path.parent().unwrap_or(directory), 0o755)?;
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o444)
            .open(&path)
            .and_then(|mut file| file.write_all(text))
            .about("make file", path.display())?;
    }
    Ok(())
}

/// Removes a directory and everything below it; true when nothing is left. No process may be left that could change it.
pub(crate) fn remove(directory: &Path) -> bool {
    match fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Ok(()) => true,
        Err(_) => empty(directory).is_ok() && fs::remove_dir(directory).is_ok(),
    }
}

/// Removes everything below a directory. Hostile code chose the names, the permissions and the depth: nothing recurses, no link is
/// followed, and two descriptors are enough, because what is nested is moved up before it is gone through.
///
/// # Errors
/// What cannot be removed.
pub(crate) fn empty(directory: &Path) -> io::Result<()> {
    let top = open(CWD, directory)?;
    let mut moved = 0_u64;
    loop {
        let names = list(&top)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            if unlink(&top, &name)? {
                continue;
            }
            let inner = open_own(&top, &name)?;
            loop {
                let names = list(&inner)?;
                if names.is_empty() {
                    break;
                }
                for name in names {
                    if unlink(&inner, &name)? {
                        continue;
                    }
                    // A directory can only be moved by who may write in it.
                    drop(open_own(&inner, &name)?);
                    move_up(&inner, &name, &top, &mut moved)?;
                }
            }
            rustix::fs::unlinkat(&top, &name, AtFlags::REMOVEDIR)?;
        }
    }
}

fn open(at: impl AsFd, path: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

/// Opens a directory whose permissions may be against it. Nobody is left who could put a link in its place.
fn open_own(at: &OwnedFd, name: &CString) -> rustix::io::Result<OwnedFd> {
    // Fails for root where it is not the owner's equal, and then it needs no permission.
    let _ = rustix::fs::chmodat(at, name, Mode::RWXU, AtFlags::empty());
    open(at, name)
}

/// Some of the names in a directory.
fn list(directory: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    rustix::fs::seek(directory, rustix::fs::SeekFrom::Start(0))?;
    let mut buffer = vec![MaybeUninit::uninit(); 16 * 1024];
    let mut entries = RawDir::new(directory, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
        if names.len() == 256 {
            break;
        }
    }
    Ok(names)
}

/// Removes what is no directory; false when it is one.
fn unlink(at: &OwnedFd, name: &CString) -> rustix::io::Result<bool> {
    match rustix::fs::unlinkat(at, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(error) => Err(error),
    }
}

fn move_up(from: &OwnedFd, name: &CString, top: &OwnedFd, moved: &mut u64) -> rustix::io::Result<()> {
    loop {
        *moved += 1;
        match rustix::fs::renameat(from, name, top, format!(".{moved}")) {
            // Something has that name.
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_programs_are_made_and_removed() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("client/7");
        make(&directory, None).unwrap();
        assert!(make(&directory, None).is_err(), "one that is there is nobody's to take");
        let programs = [(PathBuf::from("etc/e2bridge/x.py"), b"text".to_vec())];
        furnish(&directory, &programs).unwrap();
        for place in PLACES {
            let metadata = fs::metadata(directory.join(&place.path[1..])).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o7777, place.mode, "{}", place.path);
        }
        assert_eq!(fs::read(directory.join("etc/e2bridge/x.py")).unwrap(), b"text");
        assert!(remove(&directory) && remove(&directory));
        assert!(parent.path().join("client").exists());
    }

    #[test]
    fn a_directory_of_the_client_that_is_somebody_elses_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let client = parent.path().join("client");
        let refused = || make(&client.join("7"), None).unwrap_err().kind() == io::ErrorKind::AlreadyExists;
        std::os::unix::fs::symlink(parent.path(), &client).unwrap();
        assert!(refused() && remove_client(&client) && client.is_symlink(), "a link");
        fs::remove_file(&client).unwrap();
        fs::create_dir(&client).unwrap();
        fs::set_permissions(&client, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(refused(), "one in which others may write");
        fs::set_permissions(&client, fs::Permissions::from_mode(0o711)).unwrap();
        make(&client.join("7"), None).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&client, Some(65_534), None).unwrap();
            assert!(make(&client.join("8"), None).is_err(), "another user's");
        }
        assert!(!parent.path().join("7").exists() && !client.join("8").exists());
        if rustix::process::geteuid().is_root() {
            assert!(remove_client(&client) && client.exists(), "another user's");
            std::os::unix::fs::chown(&client, Some(0), None).unwrap();
        }
        assert!(remove_client(&client) && !client.exists());
    }

    #[test]
    fn no_depth_no_name_and_no_permission_keeps_files_from_being_removed() {
        let parent = tempfile::tempdir().unwrap();
        let top = parent.path().join("top");
        let outside = parent.path().join("outside");
        fs::create_dir_all(&top).unwrap();
        fs::write(&outside, "stays").unwrap();
        std::os::unix::fs::symlink(&outside, top.join("link")).unwrap();
        std::os::unix::fs::symlink(parent.path(), top.join("directory link")).unwrap();
        for name in [".1", ".2", "a\nb", "-rf"] {
            fs::create_dir(top.join(name)).unwrap();
            fs::write(top.join(name).join("x"), "").unwrap();
        }
        fs::write(top.join(".3"), "").unwrap();
        let mut at = open(CWD, &top).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = open(&at, "d").unwrap();
        }
        fs::set_permissions(top.join("d/d"), fs::Permissions::from_mode(0o000)).unwrap();
        drop(at);
        assert!(remove(&top) && !top.exists());
        assert_eq!(fs::read_to_string(outside).unwrap(), "stays");
    }
}
