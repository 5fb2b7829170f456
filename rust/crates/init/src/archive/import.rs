//! Trees into the sandbox: regular files, directories and symbolic links, and every other thing an archive can hold is refused.
//!
//! The reader is stricter than readers of tar archives are, so that no two of them can see different trees in one archive: one form
//! of long names at a time, no unknown keyword, no data behind the end.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;
use tar::{EntryType, Header};

use super::{BLOCK, DIRECTORY, MAX_DEPTH, MAX_NAME, MAX_TARGET, RESOLVE, padding, root_name};
use crate::failure::{At, Failure, read_some, write_all};
use crate::sys;

/// Longest extension header: a path of the deepest level with the longest names has its place in it.
const MAX_EXTENSION: u64 = 512 * 1024;
/// Most bytes of names in one archive: they are remembered until its end.
const MAX_NAMES: usize = 64 << 20;
/// Longest piece of a path that the kernel is given at a time.
const MAX_PIECE: usize = 4000;

/// Unpacks what comes, until its end: entries and bytes of content. When it fails, what it had made is gone.
pub(super) fn import(top: &str, roots: &[String], data: BorrowedFd<'_>) -> Result<(u64, u64), Failure> {
    let top = rustix::fs::open(top, OFlags::PATH | DIRECTORY, Mode::empty()).at("open")?;
    let roots = roots
        .iter()
        .map(|root| {
            let name = root_name(root)?;
            let flags = OFlags::PATH | DIRECTORY;
            let directory = rustix::fs::openat2(&top, name, flags, Mode::empty(), RESOLVE).at("open")?;
            Ok(Root { name: name.as_bytes().to_vec(), directory })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let mut reader = Reader::new(In(data));
    let mut trees = Trees { roots, made: Vec::new(), directories: BTreeMap::new(), names: 0, recent: None };
    let mut done = (0, 0);
    let unpacked = (|| {
        while let Some(entry) = reader.next()? {
            trees.unpack(&entry, &mut reader)?;
            done = (done.0 + 1, done.1 + entry.size);
        }
        trees.finish()
    })();
    if unpacked.is_err() {
        trees.remove();
    }
    unpacked.map(|()| done)
}

/// An archive that is refused.
fn refused(what: impl std::fmt::Display) -> Failure {
    Failure::new(format!("archive: {what}"), Errno::INVAL)
}

struct In<'a>(BorrowedFd<'a>);

impl Read for In<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok(read_some(self.0, buffer)?)
    }
}

// ---- Reading

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
}

/// One entry, its name and target checked for what they may be anywhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Relative, without empty, `.` and `..` components.
    pub(super) path: Vec<u8>,
    /// Of a symbolic link.
    pub(super) target: Vec<u8>,
    size: u64,
    pub(super) mode: u32,
    mtime: u64,
}

/// What extension headers said about the next entry.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    mtime: Option<u64>,
}

struct Reader<R: Read> {
    input: BufReader<R>,
}

impl<R: Read> Reader<R> {
    fn new(input: R) -> Self {
        Self { input: BufReader::with_capacity(64 * 1024, input) }
    }

    /// The next entry, behind whose header the input is then; `None` at the end.
    fn next(&mut self) -> Result<Option<Entry>, Failure> {
        let mut extensions = Extensions::default();
        let mut extended = false;
        loop {
            let block = self.block()?;
            if block == [0; BLOCK] {
                if extended {
                    return Err(refused("extension without an entry"));
                }
                self.end()?;
                return Ok(None);
            }
            let header = Header::from_byte_slice(&block);
            check(header)?;
            let size = size_of(header)?;
            match header.entry_type() {
                EntryType::GNULongName => {
                    let name = self.long_name(size)?;
                    set_once(&mut extensions.path, name, "two names of one entry")?;
                }
                EntryType::GNULongLink => {
                    let name = self.long_name(size)?;
                    set_once(&mut extensions.target, name, "two link targets of one entry")?;
                }
                EntryType::XHeader => {
                    let records = self.extension(size)?;
                    extensions.records(&records)?;
                }
                kind => return entry(kind, header, size, extensions).map(Some),
            }
            extended = true;
        }
    }

    fn block(&mut self) -> Result<[u8; BLOCK], Failure> {
        let mut block = [0; BLOCK];
        self.exact(&mut block)?;
        Ok(block)
    }

    fn exact(&mut self, bytes: &mut [u8]) -> Result<(), Failure> {
        self.input.read_exact(bytes).map_err(|error| input_failure(&error))
    }

    /// Reads some of the content of an entry; at least one byte.
    fn content(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        match self.input.read(buffer) {
            Ok(0) => Err(refused("cut short")),
            Ok(length) => Ok(length),
            Err(error) => Err(input_failure(&error)),
        }
    }

    fn padding(&mut self, size: u64) -> Result<(), Failure> {
        let length = usize::try_from(padding(size)).unwrap_or(0);
        self.exact(&mut [0; BLOCK][..length])
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Failure> {
        if size > MAX_EXTENSION {
            return Err(refused(format_args!("extension of {size} bytes")));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        self.exact(&mut bytes)?;
        self.padding(size)?;
        Ok(bytes)
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, Failure> {
        let mut name = self.extension(size)?;
        // One NUL ends it; another one is found when the name is checked.
        name.pop_if(|&mut last| last == 0);
        Ok(name)
    }

    /// Behind the first of two blocks of zeroes: nothing but zeroes until the end.
    fn end(&mut self) -> Result<(), Failure> {
        if self.block()? != [0; BLOCK] {
            return Err(refused("half an end"));
        }
        let mut buffer = [0; BLOCK];
        loop {
            match self.input.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) if buffer[..length].iter().all(|&byte| byte == 0) => {}
                Ok(_) => return Err(refused("data behind its end")),
                Err(error) => return Err(input_failure(&error)),
            }
        }
    }
}

fn input_failure(error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => refused("cut short"),
        _ => Failure { stage: "data".to_owned(), errno: sys::errno(error) },
    }
}

fn set_once<T>(place: &mut Option<T>, value: T, what: &str) -> Result<(), Failure> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(refused(what)),
    }
}

/// Magic and checksum.
fn check(header: &Header) -> Result<(), Failure> {
    if header.as_gnu().is_none() && header.as_ustar().is_none() {
        return Err(refused("not a header"));
    }
    let checksum = header
        .as_bytes()
        .iter()
        .enumerate()
        .map(|(index, &byte)| u32::from(if (148..156).contains(&index) { b' ' } else { byte }))
        .sum::<u32>();
    match header.cksum() {
        Ok(expected) if expected == checksum => Ok(()),
        _ => Err(refused("wrong checksum")),
    }
}

fn size_of(header: &Header) -> Result<u64, Failure> {
    let field = &header.as_old().size;
    // In its binary form only what fits into 64 bits.
    if field[0] & 0x80 != 0 && field[..4] != [0x80, 0, 0, 0] {
        return Err(refused("size"));
    }
    header.entry_size().ok().filter(|&size| size < 1 << 62).ok_or_else(|| refused("size"))
}

fn entry(kind: EntryType, header: &Header, size: u64, extensions: Extensions) -> Result<Entry, Failure> {
    let kind = match kind {
        EntryType::Regular => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink,
        other => return Err(refused(format_args!("entry of type {:?}", char::from(other.as_byte())))),
    };
    let mut path = extensions.path.unwrap_or_else(|| header.path_bytes().into_owned());
    if kind == Kind::Directory {
        path.pop_if(|&mut last| last == b'/');
    }
    check_path(&path)?;
    let target = match kind {
        Kind::Symlink => {
            let target = extensions
                .target
                .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
                .unwrap_or_default();
            if target.is_empty() || target.len() > MAX_TARGET || target.contains(&0) {
                return Err(refused("link target"));
            }
            target
        }
        _ if extensions.target.is_some() => return Err(refused("link target of what is no link")),
        _ => Vec::new(),
    };
    if extensions.size.is_some_and(|other| other != size) {
        return Err(refused("two sizes of one entry"));
    }
    if kind != Kind::File && size != 0 {
        return Err(refused("content of what is no file"));
    }
    let mode = header.mode().map_err(|_| refused("mode"))? & 0o777;
    let mtime = match extensions.mtime {
        Some(mtime) => mtime,
        None => header.mtime().map_err(|_| refused("time"))?,
    };
    Ok(Entry { kind, path, target, size, mode, mtime })
}

fn check_path(path: &[u8]) -> Result<(), Failure> {
    let fine =
        |part: &[u8]| !matches!(part, b"" | b"." | b"..") && part.len() <= MAX_NAME && !part.contains(&0);
    let parts = || path.split(|&byte| byte == b'/');
    if parts().all(fine) && parts().nth(MAX_DEPTH).is_none() {
        return Ok(());
    }
    let shown: String = String::from_utf8_lossy(path).chars().take(100).collect();
    Err(refused(format_args!("name {shown:?}")))
}

impl Extensions {
    /// `length keyword=value` lines.
    fn records(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        let bad = || refused("extension record");
        while !bytes.is_empty() {
            let space = bytes.iter().position(|&byte| byte == b' ').ok_or_else(bad)?;
            let length: usize = decimal(&bytes[..space]).ok_or_else(bad)?;
            let record = bytes.get(space + 1..length).ok_or_else(bad)?;
            bytes = &bytes[length..];
            let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(bad)?;
            let (keyword, value) = (&record[..equals], &record[equals + 1..]);
            match keyword {
                b"path" => set_once(&mut self.path, value.to_vec(), "two names of one entry")?,
                b"linkpath" => set_once(&mut self.target, value.to_vec(), "two link targets of one entry")?,
                b"size" => {
                    let size = decimal(value).filter(|&size| size < 1 << 62).ok_or_else(bad)?;
                    set_once(&mut self.size, size, "two sizes of one entry")?;
                }
                b"mtime" => {
                    // Seconds with a fraction, which is not kept.
                    let seconds =
                        value.split(|&byte| byte == b'.').next().and_then(decimal).ok_or_else(bad)?;
                    set_once(&mut self.mtime, seconds, "two times of one entry")?;
                }
                other => {
                    let shown: String = String::from_utf8_lossy(other).chars().take(40).collect();
                    return Err(refused(format_args!("extension {shown:?}")));
                }
            }
        }
        Ok(())
    }
}

fn decimal<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// All entries with their content, as `import` goes through them.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn read_all(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, Failure> {
    let mut reader = Reader::new(bytes);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next()? {
        let mut content = Vec::new();
        let mut buffer = [0; 100];
        while (content.len() as u64) < entry.size {
            let left = usize::try_from(entry.size - content.len() as u64).unwrap_or(usize::MAX);
            let length = reader.content(&mut buffer[..left.min(100)])?;
            content.extend_from_slice(&buffer[..length]);
        }
        reader.padding(entry.size)?;
        entries.push((entry, content));
    }
    Ok(entries)
}

// ---- Writing

struct Root {
    /// Without the leading slash.
    name: Vec<u8>,
    directory: OwnedFd,
}

struct Trees {
    roots: Vec<Root>,
    /// What was made, in order; true for directories.
    made: Vec<(Vec<u8>, bool)>,
    /// Modes and times that directories get in the end: before that, nothing could be put into one that is not writable.
    directories: BTreeMap<Vec<u8>, (u32, u64)>,
    /// Bytes of names remembered.
    names: usize,
    /// The directory that was used last.
    recent: Option<(Vec<u8>, OwnedFd)>,
}

impl Trees {
    fn unpack<R: Read>(&mut self, entry: &Entry, reader: &mut Reader<R>) -> Result<(), Failure> {
        let (parent, name) = self.parent(&entry.path)?;
        match entry.kind {
            Kind::Directory => {
                match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
                    Ok(()) => self.remember(&entry.path, true)?,
                    Err(Errno::EXIST) => {
                        rustix::fs::openat2(&parent, name, OFlags::PATH | DIRECTORY, Mode::empty(), RESOLVE)
                            .map_err(|errno| through_link(errno, "open"))?;
                    }
                    Err(errno) => return Err(Failure::new("mkdir", errno)),
                }
                if self.directories.insert(entry.path.clone(), (entry.mode, entry.mtime)).is_none() {
                    self.count(&entry.path)?;
                }
            }
            Kind::File => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&parent, name, flags, Mode::RUSR | Mode::WUSR)
                    .map_err(|errno| taken(errno, "create"))?;
                self.remember(&entry.path, false)?;
                copy(&file, entry.size, reader)?;
                rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode)).at("chmod")?;
                rustix::fs::futimens(&file, &times(entry.mtime)).at("utimens")?;
            }
            Kind::Symlink => {
                rustix::fs::symlinkat(&entry.target[..], &parent, name)
                    .map_err(|errno| taken(errno, "symlink"))?;
                self.remember(&entry.path, false)?;
                rustix::fs::utimensat(&parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
                    .at("utimens")?;
            }
        }
        Ok(())
    }

    fn remember(&mut self, path: &[u8], directory: bool) -> Result<(), Failure> {
        self.made.push((path.to_vec(), directory));
        self.count(path)
    }

    fn count(&mut self, path: &[u8]) -> Result<(), Failure> {
        self.names += path.len();
        if self.names > MAX_NAMES { Err(refused("too many names")) } else { Ok(()) }
    }

    /// The root below which a path lies, and the rest of it.
    fn below<'a>(&self, path: &'a [u8]) -> Result<(&Root, &'a [u8]), Failure> {
        self.roots
            .iter()
            .find_map(|root| Some((root, path.strip_prefix(&root.name[..])?.strip_prefix(b"/")?)))
            .ok_or_else(|| {
                let shown: String = String::from_utf8_lossy(path).chars().take(100).collect();
                refused(format_args!("{shown:?} lies outside"))
            })
    }

    /// Opens the directory in which a path lies; directories without an entry of their own are made.
    fn parent<'a>(&mut self, path: &'a [u8]) -> Result<(OwnedFd, &'a [u8]), Failure> {
        let (root, rest) = self.below(path)?;
        let split = rest.iter().rposition(|&byte| byte == b'/');
        let name = &rest[split.map_or(0, |at| at + 1)..];
        let rest = &rest[..split.unwrap_or(0)];
        let whole = &path[..path.len() - name.len() - 1];
        if let Some((recent, directory)) = &self.recent
            && recent == whole
        {
            return Ok((duplicate(directory)?, name));
        }
        let directory = match open_below(&root.directory, rest) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => {
                let mut at = duplicate(&root.directory)?;
                let mut length = root.name.len();
                for part in rest.split(|&byte| byte == b'/') {
                    length += 1 + part.len();
                    match rustix::fs::mkdirat(&at, part, Mode::from_raw_mode(0o755)) {
                        Ok(()) => self.remember(&path[..length], true)?,
                        Err(Errno::EXIST) => {}
                        Err(errno) => return Err(Failure::new("mkdir", errno)),
                    }
                    at = open_below(&at, part).map_err(|errno| through_link(errno, "open"))?;
                }
                at
            }
            Err(errno) => return Err(through_link(errno, "open")),
        };
        self.recent = Some((whole.to_vec(), duplicate(&directory)?));
        Ok((directory, name))
    }

    /// Gives directories their modes and times, the deepest first.
    fn finish(&mut self) -> Result<(), Failure> {
        for (path, (mode, mtime)) in std::mem::take(&mut self.directories).into_iter().rev() {
            let (root, rest) = self.below(&path)?;
            let directory = open_below(&root.directory, rest).map_err(|errno| through_link(errno, "open"))?;
            let directory =
                rustix::fs::openat(&directory, c".", OFlags::RDONLY | DIRECTORY, Mode::empty()).at("open")?;
            rustix::fs::fchmod(&directory, Mode::from_raw_mode(mode)).at("chmod")?;
            rustix::fs::futimens(&directory, &times(mtime)).at("utimens")?;
        }
        Ok(())
    }

    /// Takes back what was made.
    fn remove(&mut self) {
        self.recent = None;
        for (path, directory) in std::mem::take(&mut self.made).into_iter().rev() {
            let Ok((root, rest)) = self.below(&path) else { continue };
            let split = rest.iter().rposition(|&byte| byte == b'/');
            let (parent, name) = (&rest[..split.unwrap_or(0)], &rest[split.map_or(0, |at| at + 1)..]);
            let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            if let Ok(parent) = open_below(&root.directory, parent) {
                // What others put there meanwhile stays.
                let _ = rustix::fs::unlinkat(&parent, name, flags);
            }
        }
    }
}

/// Opens a directory below another, without going through any link; the path may be longer than the kernel takes at a time.
fn open_below(directory: impl AsFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let open = |at: BorrowedFd<'_>, piece: &[u8]| {
        rustix::fs::openat2(at, piece, OFlags::PATH | DIRECTORY, Mode::empty(), RESOLVE)
    };
    if path.len() <= MAX_PIECE {
        return open(directory.as_fd(), if path.is_empty() { b"." } else { path });
    }
    let mut at = open(directory.as_fd(), b".")?;
    let mut rest = path;
    while !rest.is_empty() {
        let most = rest.len().min(MAX_PIECE);
        // Names are far shorter than a piece, so that there is always one whole name in it.
        let end = if most == rest.len() {
            most
        } else {
            rest[..most].iter().rposition(|&byte| byte == b'/').unwrap_or(most)
        };
        at = open(at.as_fd(), &rest[..end])?;
        rest = rest[end..].strip_prefix(b"/").unwrap_or(&rest[end..]);
    }
    Ok(at)
}

fn duplicate(fd: &OwnedFd) -> Result<OwnedFd, Failure> {
    rustix::io::fcntl_dupfd_cloexec(fd, 3).at("open")
}

/// A link or a file where a directory must be.
fn through_link(errno: Errno, stage: &str) -> Failure {
    match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::XDEV => refused("name that leads through what is no directory"),
        errno => Failure::new(stage, errno),
    }
}

fn taken(errno: Errno, stage: &str) -> Failure {
    match errno {
        Errno::EXIST => refused("name that exists"),
        errno => Failure::new(stage, errno),
    }
}

fn copy<R: Read>(file: &OwnedFd, size: u64, reader: &mut Reader<R>) -> Result<(), Failure> {
    let mut buffer = [0; 32 * 1024];
    let mut left = size;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let length = reader.content(&mut buffer[..most])?;
        write_all(file, &buffer[..length]).at("write")?;
        left -= length as u64;
    }
    reader.padding(size)
}

fn times(seconds: u64) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(seconds).unwrap_or(0), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
mod tests {
    use super::read_all as read;
    use super::*;

    fn header(kind: u8, name: &[u8], size: u64) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::new(kind));
        header.set_mode(0o6755);
        header.set_mtime(9);
        header.set_size(size);
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_cksum();
        header
    }

    fn entry_bytes(kind: u8, name: &[u8], content: &[u8]) -> Vec<u8> {
        let mut bytes = header(kind, name, content.len() as u64).as_bytes().to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    fn sample() -> Vec<u8> {
        let mut bytes = entry_bytes(b'5', b"opt/d/", b"");
        bytes.extend(entry_bytes(b'x', b"pax", b"18 path=opt/d/pax\n17 mtime=77.5000\n"));
        bytes.extend(entry_bytes(b'0', b"short", b"content"));
        bytes.extend(entry_bytes(b'L', b"././@LongLink", b"opt/gnu\xff\0"));
        bytes.extend(entry_bytes(b'0', b"short", &[7; 1000]));
        bytes.resize(bytes.len() + 2 * BLOCK, 0);
        bytes
    }

    #[test]
    fn names_times_and_contents_are_those_of_the_archive() {
        let entries = read(&sample()).unwrap();
        let seen: Vec<_> = entries
            .iter()
            .map(|(entry, content)| (entry.kind, &entry.path[..], entry.mtime, content.len()))
            .collect();
        assert_eq!(
            seen,
            [
                (Kind::Directory, &b"opt/d"[..], 9, 0),
                (Kind::File, b"opt/d/pax", 77, 7),
                (Kind::File, b"opt/gnu\xff", 9, 1000),
            ]
        );
        assert!(entries.iter().all(|(entry, _)| entry.mode == 0o755));
    }

    #[test]
    fn a_ustar_prefix_is_part_of_the_name() {
        let mut header = header(b'0', b"name", 0);
        header.as_ustar_mut().unwrap().prefix[..7].copy_from_slice(b"opt/a/b");
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.resize(3 * BLOCK, 0);
        assert_eq!(read(&bytes).unwrap()[0].0.path, b"opt/a/b/name");
    }

    #[test]
    fn an_archive_cut_anywhere_is_refused() {
        let whole = sample();
        for cut in 0..whole.len() {
            let failure = read(&whole[..cut]).unwrap_err();
            assert!(failure.stage.starts_with("archive: "), "{cut}: {failure:?}");
        }
    }

    #[test]
    fn changed_bytes_are_refused_or_change_what_is_read_but_never_more() {
        let whole = sample();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut refused = 0;
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..3 {
                // xorshift64
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let at = usize::try_from(state >> 8).unwrap_or(0) % bytes.len();
                bytes[at] = state.to_le_bytes()[0];
            }
            match read(&bytes) {
                Ok(entries) => {
                    for (entry, _) in entries {
                        assert!(check_path(&entry.path).is_ok() && entry.mode <= 0o777);
                    }
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 10_000, "{refused}");
    }

    #[test]
    fn only_plain_relative_names_pass() {
        for name in [&b"a"[..], b"a/b", b"...", b"a b/\xff", b"-", b"..a/a.."] {
            assert!(check_path(name).is_ok(), "{}", String::from_utf8_lossy(name));
        }
        for name in [
            &b""[..],
            b"/",
            b"/a",
            b"a/",
            b"a//b",
            b".",
            b"..",
            b"a/./b",
            b"a/../b",
            b"a/..",
            b"a\0",
            b"a/\0/b",
        ] {
            assert_eq!(
                check_path(name).unwrap_err().errno,
                libc::EINVAL,
                "{}",
                String::from_utf8_lossy(name)
            );
        }
        assert!(check_path(&[b'x'; 255]).is_ok());
        assert!(check_path(&[b'x'; 256]).is_err());
        let levels = |count| vec!["d"; count].join("/").into_bytes();
        assert!(check_path(&levels(MAX_DEPTH)).is_ok());
        assert!(check_path(&levels(MAX_DEPTH + 1)).is_err());
    }

    #[test]
    fn records_are_read_by_their_length() {
        let mut extensions = Extensions::default();
        extensions.records(b"12 path=a\nb\n22 linkpath=a b=c d/e\n").unwrap();
        assert_eq!(extensions.path.as_deref(), Some(&b"a\nb"[..]));
        assert_eq!(extensions.target.as_deref(), Some(&b"a b=c d/e"[..]));
        for bad in [
            &b"x"[..],
            b"1 ",
            b"3 x",
            b"9 path=a",
            b"5 pat\n",
            b"-9 path=a\n",
            b"99999999999999999999999 path=a\n",
            b" path=a\n",
        ] {
            assert!(Extensions::default().records(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
