//! Trees out of the sandbox.

use std::io::{BufWriter, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use tar::{EntryType, Header};

use super::{BLOCK, DIRECTORY, MAX_DEPTH, RESOLVE, padding, root_name};
use crate::failure::{At, Failure, read_some, write_all};
use crate::sys;

/// Owner of everything in a sandbox.
const OWNER: u64 = 1000;
/// Longest name that fits into a header.
const SHORT: usize = 100;

/// Sends what is below the roots: entries and bytes of content.
pub(super) fn export(
    top: &str,
    roots: &[String],
    max_bytes: u64,
    max_entries: u64,
    data: BorrowedFd<'_>,
) -> Result<(u64, u64), Failure> {
    // Every level holds a descriptor.
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let mut archive = Archive {
        out: BufWriter::with_capacity(64 * 1024, Out(data)),
        entries: 0,
        bytes: 0,
        long: 0,
        max_bytes,
        max_entries,
        buffer: vec![0; 64 * 1024],
    };
    for root in roots {
        let name = root_name(root)?;
        let top = rustix::fs::open(top, OFlags::PATH | DIRECTORY, Mode::empty()).at("open")?;
        let flags = OFlags::RDONLY | DIRECTORY;
        let fd = rustix::fs::openat2(top, name, flags, Mode::empty(), RESOLVE).at("open")?;
        archive.tree(name.as_bytes(), Open { fd, mode: None })?;
    }
    archive.raw(&[0; 2 * BLOCK])?;
    archive.out.flush().map_err(|error| data_failure(&error))?;
    Ok((archive.entries, archive.bytes))
}

struct Out<'a>(BorrowedFd<'a>);

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        write_all(self.0, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn data_failure(error: &std::io::Error) -> Failure {
    Failure { stage: "data".to_owned(), errno: sys::errno(error) }
}

struct Archive<'a> {
    out: BufWriter<Out<'a>>,
    entries: u64,
    bytes: u64,
    /// Bytes of names that did not fit into a header.
    long: u64,
    max_bytes: u64,
    max_entries: u64,
    buffer: Vec<u8>,
}

/// A directory that is being gone through.
struct Level {
    directory: Open,
    names: std::vec::IntoIter<Vec<u8>>,
    /// Length of its own path.
    path: usize,
}

impl Archive<'_> {
    fn tree(&mut self, root: &[u8], directory: Open) -> Result<(), Failure> {
        let mut path = root.to_vec();
        let names = self.names(&directory.fd)?;
        let mut levels = vec![Level { directory, names, path: path.len() }];
        loop {
            let depth = levels.len();
            let Some(level) = levels.last_mut() else { return Ok(()) };
            let Some(name) = level.names.next() else {
                levels.pop();
                continue;
            };
            path.truncate(level.path);
            path.push(b'/');
            path.extend_from_slice(&name);
            let directory = &level.directory.fd;
            // What goes away meanwhile is not there.
            let stat = match rustix::fs::statat(directory, &name[..], AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                other => other.at("stat")?,
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    if depth >= MAX_DEPTH {
                        return Err(Failure::new("depth", Errno::NAMETOOLONG));
                    }
                    let opened = open(directory, &name, OFlags::RDONLY | DIRECTORY, &stat, 0o500);
                    let Some(inner) = gone(opened)? else { continue };
                    self.header(EntryType::Directory, &path, b"", (stat.st_mode, stat.st_mtime), 0)?;
                    let names = self.names(&inner.fd)?;
                    levels.push(Level { directory: inner, names, path: path.len() });
                }
                FileType::RegularFile => {
                    let flags = OFlags::RDONLY
                        | OFlags::NOFOLLOW
                        | OFlags::NONBLOCK
                        | OFlags::NOCTTY
                        | OFlags::CLOEXEC;
                    let opened = open(directory, &name, flags, &stat, 0o400);
                    let Some(file) = gone(opened)? else { continue };
                    let now = rustix::fs::fstat(&file.fd).at("stat")?;
                    if FileType::from_raw_mode(now.st_mode) == FileType::RegularFile {
                        // The mode as it was found: the open may have lent itself the right to read.
                        self.file(&path, &file.fd, stat.st_mode, &now)?;
                    }
                }
                FileType::Symlink => {
                    let Some(target) = gone(rustix::fs::readlinkat(directory, &name[..], Vec::new()))? else {
                        continue;
                    };
                    self.header(
                        EntryType::Symlink,
                        &path,
                        target.to_bytes(),
                        (stat.st_mode, stat.st_mtime),
                        0,
                    )?;
                }
                // Sockets, fifos and devices have no content to keep.
                _ => {}
            }
        }
    }

    /// The names in a directory, sorted, so that the same tree gives the same archive.
    fn names(&self, directory: impl AsFd) -> Result<std::vec::IntoIter<Vec<u8>>, Failure> {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut entries = RawDir::new(directory, &mut buffer);
        let mut names = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry.at("read directory")?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(name.to_vec());
            }
            // Some may be sockets that will be skipped, but then there are far too many of those.
            if names.len() as u64 > self.max_entries.saturating_mul(2).saturating_add(16) {
                return Err(Failure::new("entries", Errno::FBIG));
            }
        }
        names.sort_unstable();
        Ok(names.into_iter())
    }

    fn file(&mut self, path: &[u8], file: &OwnedFd, mode: u32, stat: &Stat) -> Result<(), Failure> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > self.max_bytes.saturating_sub(self.bytes) {
            return Err(Failure::new("size", Errno::FBIG));
        }
        self.header(EntryType::Regular, path, b"", (mode, stat.st_mtime), size)?;
        self.bytes += size;
        let mut left = size;
        let mut buffer = std::mem::take(&mut self.buffer);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            // What a file lost since its header was written is made up for by zeroes, what it gained is left out.
            let length = match read_some(file, &mut buffer[..most]).at("read")? {
                0 => {
                    buffer[..most].fill(0);
                    most
                }
                length => length,
            };
            self.raw(&buffer[..length])?;
            left -= length as u64;
        }
        self.buffer = buffer;
        self.pad(size)
    }

    fn header(
        &mut self,
        kind: EntryType,
        path: &[u8],
        target: &[u8],
        (mode, mtime): (u32, i64),
        size: u64,
    ) -> Result<(), Failure> {
        self.entries += 1;
        if self.entries > self.max_entries {
            return Err(Failure::new("entries", Errno::FBIG));
        }
        if target.len() > SHORT {
            self.long(EntryType::GNULongLink, target)?;
        }
        if path.len() > SHORT {
            self.long(EntryType::GNULongName, path)?;
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        // Neither set-user-id, set-group-id nor sticky.
        header.set_mode(mode & 0o777);
        header.set_uid(OWNER);
        header.set_gid(OWNER);
        header.set_mtime(u64::try_from(mtime).unwrap_or(0));
        header.set_size(size);
        let fields = header.as_old_mut();
        copy(&mut fields.name, path);
        copy(&mut fields.linkname, target);
        header.set_cksum();
        self.raw(header.as_bytes())
    }

    /// A name that does not fit, ahead of its entry, as GNU tar does it.
    fn long(&mut self, kind: EntryType, name: &[u8]) -> Result<(), Failure> {
        self.long += name.len() as u64;
        // Thousands of files below a very long path would be far more than their content.
        if self.long > self.max_bytes {
            return Err(Failure::new("size", Errno::FBIG));
        }
        let size = name.len() as u64 + 1;
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        copy(&mut header.as_old_mut().name, b"././@LongLink");
        header.set_cksum();
        self.raw(header.as_bytes())?;
        self.raw(name)?;
        self.raw(&[0])?;
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> Result<(), Failure> {
        let length = usize::try_from(padding(size)).unwrap_or(0);
        self.raw(&[0; BLOCK][..length])
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(|error| data_failure(&error))
    }
}

/// A file or directory that is open; gets back the mode that was changed for that.
struct Open {
    fd: OwnedFd,
    mode: Option<Mode>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(mode) = self.mode {
            let _ = rustix::fs::fchmod(&self.fd, mode);
        }
    }
}

/// Opens something in a directory; where its mode denies that to its owner, with the rights lent for as long as it is open.
fn open(directory: &OwnedFd, name: &[u8], flags: OFlags, stat: &Stat, rights: u32) -> Result<Open, Errno> {
    let open = || rustix::fs::openat(directory, name, flags, Mode::empty());
    if stat.st_mode & rights == rights {
        return Ok(Open { fd: open()?, mode: None });
    }
    let lent = Mode::from_raw_mode(stat.st_mode & 0o7777 | rights);
    // A link that takes its place meanwhile leads to what the sandbox's programs could change as well.
    rustix::fs::chmodat(directory, name, lent, AtFlags::empty())?;
    Ok(Open { fd: open()?, mode: Some(Mode::from_raw_mode(stat.st_mode & 0o7777)) })
}

/// Takes what went away, or became something else, meanwhile for nothing.
fn gone<T>(result: Result<T, Errno>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::INVAL) => Ok(None),
        Err(errno) => Err(Failure::new("open", errno)),
    }
}

fn copy(field: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}
