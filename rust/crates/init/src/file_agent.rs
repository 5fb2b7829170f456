//! Reads and writes single files, in a forked child of init with the rights of the sandbox's user.
//!
//! Regular files only, and everything else is an error at once: an open never waits (`O_NONBLOCK`), what was opened is what is
//! looked at, and no magic link of `/proc` is followed. Ordinary symbolic links are: they lead nowhere that the user's own
//! programs cannot go.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use e2bridge_protocol::init::InitEvent;
use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, RawMode, ResolveFlags};
use rustix::io::Errno;

use crate::confinement::HOME;
use crate::failure::{At, Failure, read_some, write_all};

/// As the kernel counts.
const MAX_LINKS: usize = 40;
const BUFFER: usize = 128 * 1024;
const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// Sends a file.
pub(crate) fn read(path: &str, max_bytes: u64, data: BorrowedFd<'_>) -> InitEvent {
    match read_file(path, max_bytes, data) {
        Ok(bytes) => InitEvent::Done { entries: 1, bytes },
        Err(failure) => failure.event(),
    }
}

/// Receives a file.
pub(crate) fn write(path: &str, bytes: u64, data: BorrowedFd<'_>) -> InitEvent {
    match write_file(path, bytes, data) {
        Ok(()) => InitEvent::Done { entries: 1, bytes },
        Err(failure) => failure.event(),
    }
}

fn read_file(path: &str, max_bytes: u64, data: BorrowedFd<'_>) -> Result<u64, Failure> {
    let start = directory(rustix::fs::CWD, start_of(path)).at("open")?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file =
        rustix::fs::openat2(start, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS).at("open")?;
    let size = regular(&file).at("open")?;
    if size > max_bytes {
        return Err(Failure::new("size", Errno::FBIG));
    }
    let mut buffer = vec![0; BUFFER];
    let mut sent = 0;
    loop {
        let length = read_some(&file, &mut buffer).at("read")?;
        if length == 0 {
            return Ok(sent);
        }
        sent += length as u64;
        // It grows while it is read.
        if sent > max_bytes {
            return Err(Failure::new("size", Errno::FBIG));
        }
        write_all(data, &buffer[..length]).at("data")?;
    }
}

/// The size of an open regular file; anything else is an error, and so is `/proc`, whose files show the one who opens them.
fn regular(file: &OwnedFd) -> Result<u64, Errno> {
    let stat = rustix::fs::fstat(file)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Errno::ISDIR),
        _ => return Err(Errno::INVAL),
    }
    if rustix::fs::fstatfs(file)?.f_type == PROC_SUPER_MAGIC {
        return Err(Errno::INVAL);
    }
    Ok(u64::try_from(stat.st_size).unwrap_or(0))
}

fn start_of(path: &str) -> &'static str {
    if path.starts_with('/') { "/" } else { HOME }
}

fn directory(at: impl AsFd, path: &str) -> Result<OwnedFd, Errno> {
    directory_bytes(at, path.as_bytes(), OFlags::empty())
}

fn directory_bytes(at: impl AsFd, path: &[u8], more: OFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | more;
    rustix::fs::openat2(at, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
}

/// Directories that were made for a file, to be removed again when it does not come about.
#[derive(Default)]
struct Made(Vec<(OwnedFd, Vec<u8>)>);

impl Made {
    fn remove(self) {
        for (parent, name) in self.0.iter().rev() {
            // Not empty any more when others put something there meanwhile.
            let _ = rustix::fs::unlinkat(parent, &name[..], AtFlags::REMOVEDIR);
        }
    }
}

fn write_file(path: &str, bytes: u64, data: BorrowedFd<'_>) -> Result<(), Failure> {
    let mut made = Made::default();
    let written = locate(path, &mut made).and_then(|place| replace(&place, bytes, data));
    if written.is_err() {
        made.remove();
    }
    written
}

/// Where a file is to be written.
struct Place {
    parent: OwnedFd,
    name: Vec<u8>,
    mode: RawMode,
}

/// Follows links to the place where the file is or will be; makes the directories that are missing on the way.
fn locate(path: &str, made: &mut Made) -> Result<Place, Failure> {
    let mut start = directory(rustix::fs::CWD, start_of(path)).at("open")?;
    let mut path = path.as_bytes().to_vec();
    for _ in 0..MAX_LINKS {
        let split = path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
        let (parent, name) = path.split_at(split);
        if matches!(name, b"" | b"." | b"..") {
            return Err(Failure::new("open", Errno::ISDIR));
        }
        let parent = parents(&start, parent, made)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = match rustix::fs::openat(&parent, name, flags, Mode::empty()) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(Place { parent, name: name.to_vec(), mode: 0o644 }),
            Err(errno) => return Err(Failure::new("open", errno)),
        };
        let stat = rustix::fs::fstat(&found).at("open")?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                rustix::fs::accessat(&parent, name, Access::WRITE_OK, AtFlags::empty()).at("open")?;
                return Ok(Place { parent, name: name.to_vec(), mode: stat.st_mode & 0o777 });
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&found, c"", Vec::new()).at("open")?;
                path = target.into_bytes();
                start = parent;
            }
            FileType::Directory => return Err(Failure::new("open", Errno::ISDIR)),
            _ => return Err(Failure::new("open", Errno::INVAL)),
        }
    }
    Err(Failure::new("open", Errno::LOOP))
}

/// Opens a directory, relative to `start` unless absolute; what is missing is made.
fn parents(start: &OwnedFd, path: &[u8], made: &mut Made) -> Result<OwnedFd, Failure> {
    let path = if path.is_empty() { b"." } else { path };
    match directory_bytes(start, path, OFlags::empty()) {
        Err(Errno::NOENT) => {}
        other => return other.at("open"),
    }
    let root: &[u8] = if path.starts_with(b"/") { b"/" } else { b"." };
    let mut at = directory_bytes(start, root, OFlags::empty()).at("open")?;
    for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
        at = match directory_bytes(&at, name, OFlags::empty()) {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(Failure::new("mkdir", errno)),
                }
                let new = directory_bytes(&at, name, OFlags::NOFOLLOW).at("open")?;
                made.0.push((at, name.to_vec()));
                new
            }
            other => other.at("open")?,
        };
    }
    Ok(at)
}

/// Writes beside the place and renames, so that nobody ever sees half a file.
fn replace(place: &Place, bytes: u64, data: BorrowedFd<'_>) -> Result<(), Failure> {
    let (temporary, file) = temporary(&place.parent).at("create")?;
    let written = fill(&file, bytes, data)
        .and_then(|()| rustix::fs::fchmod(&file, Mode::from_raw_mode(place.mode)).at("chmod"))
        .and_then(|()| {
            rustix::fs::renameat(&place.parent, &temporary, &place.parent, &place.name[..]).at("rename")
        });
    if written.is_err() {
        let _ = rustix::fs::unlinkat(&place.parent, &temporary, AtFlags::empty());
    }
    written
}

fn temporary(parent: &OwnedFd) -> Result<(String, OwnedFd), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let pid = rustix::process::getpid();
    for attempt in 0..100 {
        let name = format!(".e2bridge-{pid}-{attempt}.part");
        match rustix::fs::openat(parent, &name, flags, Mode::from_raw_mode(0o600)) {
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
            Ok(file) => return Ok((name, file)),
        }
    }
    Err(Errno::EXIST)
}

fn fill(file: &OwnedFd, bytes: u64, data: BorrowedFd<'_>) -> Result<(), Failure> {
    let mut buffer = vec![0; BUFFER];
    let mut left = bytes;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let length = read_some(data, &mut buffer[..most]).at("data")?;
        if length == 0 {
            return Err(Failure::new("data", Errno::NODATA));
        }
        write_all(file, &buffer[..length]).at("write")?;
        left -= length as u64;
    }
    Ok(())
}
