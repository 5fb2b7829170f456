//! The gate through which every tree of files passes on its way into the store, whether it comes out of a sandbox or out of
//! a file on the host: what it lets through is written anew in one canonical form, so that whoever unpacks it later reads the
//! very archive that was checked here.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};

use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

/// Size of the blocks of a tar archive.
const BLOCK: usize = 512;
/// Longest path and longest target of a link, bytes (Linux `PATH_MAX` without its NUL).
const MAX_PATH: usize = 4_095;
/// Longest component of a path, bytes (Linux `NAME_MAX`).
const MAX_COMPONENT: usize = 255;
/// Longest header extension: two paths and a few numbers.
const MAX_EXTENSION: u64 = 16 * 1024;
/// Zero bytes that may follow the end of an archive; `tar` fills up to 10,240 bytes.
const MAX_TAIL: u64 = 64 * 1024;
/// Owner of everything in a template: the one user of a sandbox.
const OWNER: u64 = 1_000;
/// Latest modification time kept; later ones do not fit into the canonical form.
const MAX_MTIME: u64 = 0o77_777_777_777;

/// Places that are always part of a template, without the leading slash.
const ROOTS: [&str; 4] = ["opt", "usr/local", "srv", "var/tmp"];
/// Places that are part of a template with data.
const DATA_ROOTS: [&str; 2] = ["home/user", "data"];

/// The places that a template may hold files of, without the leading slash.
pub(crate) fn roots(include_data: bool) -> Vec<&'static str> {
    let data: &[&str] = if include_data { &DATA_ROOTS } else { &[] };
    ROOTS.iter().chain(data).copied().collect()
}

/// The same as absolute directories, for the requests to a sandbox.
pub(crate) fn absolute_roots(include_data: bool) -> Vec<String> {
    roots(include_data).into_iter().map(|root| format!("/{root}")).collect()
}

/// How large a tree may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of file content.
    pub(crate) bytes: u64,
    /// Files, directories and links.
    pub(crate) entries: u64,
    /// Components of a path.
    pub(crate) depth: usize,
    /// Bytes of all paths and link targets together.
    pub(crate) name_bytes: u64,
    /// Most bytes of a tar archive that one byte of it compressed may stand for…
    pub(crate) ratio: u64,
    /// …beyond so many.
    pub(crate) ratio_free: u64,
}

/// The bounds of templates.
pub(crate) const BOUNDS: Bounds = Bounds {
    bytes: 4 << 30,
    entries: 200_000,
    depth: 256,
    name_bytes: 64 << 20,
    ratio: 1_000,
    ratio_free: 256 << 20,
};

/// Where a tree comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A live sandbox, whose user may have set any mode on files of his own: the special bits are left out.
    Sandbox,
    /// An archive on the host: special bits are refused.
    File,
}

/// Why a tree was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Path of the entry, when it is about one.
    pub(crate) entry: Option<String>,
    /// The rule that was broken.
    pub(crate) rule: String,
    /// True when a bound was met rather than the form broken.
    pub(crate) bound: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entry {
            Some(entry) => write!(formatter, "entry {entry}: {}", self.rule),
            None => formatter.write_str(&self.rule),
        }
    }
}

impl std::error::Error for Refusal {}

/// The refusal inside an I/O error, if that is what it is.
pub(crate) fn refusal(error: &io::Error) -> Option<&Refusal> {
    error.get_ref()?.downcast_ref()
}

/// What passed the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeSummary {
    /// Files, directories and links.
    pub(crate) entries: u64,
    /// Bytes of file content.
    pub(crate) bytes: u64,
    /// Bytes of the canonical archive.
    pub(crate) archive_bytes: u64,
    /// SHA-256 of the canonical archive, lower-case hexadecimal.
    pub(crate) sha256: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Directory,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    GnuName,
    GnuLink,
    Pax,
}

enum State {
    /// A header is due.
    Header,
    /// The content of a header extension is due.
    Extension { kind: Extension, left: u64 },
    /// Content of a file is due.
    Content { left: u64, size: u64 },
    /// The rest of a block is due: after content when true, after an extension when false.
    Padding { left: u64, of_content: bool },
    /// The first of the two zero blocks at the end was there.
    HalfEnd,
    /// The archive has ended; only so many zero bytes may follow.
    End { tail: u64 },
}

/// What the extensions before a header say about it.
#[derive(Default)]
struct Pending {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    gnu_name: bool,
    gnu_link: bool,
    pax: bool,
}

/// Takes a tar archive as it is written to it, in pieces of any size, and writes the canonical one to `out`.
pub(crate) struct TreeGate<W> {
    out: W,
    digest: Sha256,
    roots: Vec<&'static str>,
    origin: Origin,
    bounds: Bounds,
    state: State,
    block: Vec<u8>,
    extension: Vec<u8>,
    pending: Pending,
    // Paths by their hash, so that 200,000 long ones stay small.
    seen: HashMap<[u8; 16], Kind>,
    entries: u64,
    bytes: u64,
    name_bytes: u64,
    written: u64,
    failed: Option<Failed>,
}

/// Why the gate closed, kept because whoever writes to it may tell it in words of his own.
#[derive(Clone)]
enum Failed {
    Refused(Refusal),
    System(i32),
}

impl<W: Write> TreeGate<W> {
    /// A gate that lets through what lies below `roots`.
    pub(crate) fn new(out: W, roots: Vec<&'static str>, origin: Origin, bounds: Bounds) -> Self {
        Self {
            out,
            digest: Sha256::new(),
            roots,
            origin,
            bounds,
            state: State::Header,
            block: Vec::with_capacity(BLOCK),
            extension: Vec::new(),
            pending: Pending::default(),
            seen: HashMap::new(),
            entries: 0,
            bytes: 0,
            name_bytes: 0,
            written: 0,
            failed: None,
        }
    }

    /// Why a write failed, if one did.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        self.failed.as_ref().map(|failed| match failed {
            Failed::Refused(refusal) => io::Error::other(refusal.clone()),
            Failed::System(errno) => io::Error::from_raw_os_error(*errno),
        })
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// A [`Refusal`] when the archive is not complete; else as the writer below.
    pub(crate) fn finish(mut self) -> io::Result<(W, TreeSummary)> {
        if !matches!(self.state, State::End { .. }) {
            return Err(broken("the archive is cut short"));
        }
        self.emit(&[0; 2 * BLOCK])?;
        let sha256 = hex(&self.digest.finalize());
        let (entries, bytes, archive_bytes) = (self.entries, self.bytes, self.written);
        Ok((self.out, TreeSummary { entries, bytes, archive_bytes, sha256 }))
    }

    fn emit(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Takes some of `input`, at least one byte of it; answers how many.
    fn take(&mut self, input: &[u8]) -> io::Result<usize> {
        match self.state {
            State::Header | State::HalfEnd => {
                let taken = input.len().min(BLOCK - self.block.len());
                self.block.extend_from_slice(&input[..taken]);
                if self.block.len() == BLOCK {
                    let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
                    self.header(&block)?;
                }
                Ok(taken)
            }
            State::Extension { kind, left } => {
                let taken = portion(input, left);
                self.extension.extend_from_slice(&input[..taken]);
                let left = left - taken as u64;
                if left == 0 {
                    self.extension_complete(kind)?;
                    self.state = padding(self.extension.len() as u64, false);
                } else {
                    self.state = State::Extension { kind, left };
                }
                Ok(taken)
            }
            State::Content { left, size } => {
                let taken = portion(input, left);
                self.emit(&input[..taken])?;
                let left = left - taken as u64;
                self.state = if left == 0 { padding(size, true) } else { State::Content { left, size } };
                Ok(taken)
            }
            State::Padding { left, of_content } => {
                let taken = portion(input, left);
                let left = left - taken as u64;
                if of_content {
                    self.emit(&[0; BLOCK][..taken])?;
                }
                self.state = if left == 0 { State::Header } else { State::Padding { left, of_content } };
                Ok(taken)
            }
            State::End { tail } => {
                if input.iter().any(|byte| *byte != 0) {
                    return Err(broken("there are bytes after the end of the archive"));
                }
                let left = tail.checked_sub(input.len() as u64);
                self.state = State::End {
                    tail: left.ok_or_else(|| broken("there are bytes after the end of the archive"))?,
                };
                Ok(input.len())
            }
        }
    }

    fn header(&mut self, block: &[u8]) -> io::Result<()> {
        if block.iter().all(|byte| *byte == 0) {
            self.state = match self.state {
                State::HalfEnd => State::End { tail: MAX_TAIL },
                _ if self.pending.gnu_name || self.pending.gnu_link || self.pending.pax => {
                    return Err(broken("the archive ends after a header extension"));
                }
                _ => State::HalfEnd,
            };
            return Ok(());
        }
        if matches!(self.state, State::HalfEnd) {
            return Err(broken("an entry follows the end of the archive"));
        }
        let header = Header::from_byte_slice(block);
        let mut summed = header.clone();
        summed.set_cksum();
        let number = |what: &str, number: io::Result<u64>| {
            number.map_err(|_| broken(format!("the {what} of a header is not a number")))
        };
        if number("checksum", header.cksum().map(u64::from))?
            != number("checksum", summed.cksum().map(u64::from))?
        {
            return Err(broken("the checksum of a header is wrong: not a tar archive, or a damaged one"));
        }
        if header.as_ustar().is_none() && header.as_gnu().is_none() {
            return Err(broken("a header is of neither the ustar nor the GNU format"));
        }
        // In its binary form it could be negative, or longer than 64 bits, and other readers would see another size.
        let field = &header.as_old().size;
        if field[0] & 0x80 != 0 && (field[..4] != [0x80, 0, 0, 0] || field[4] & 0x80 != 0) {
            return Err(broken("the size of a header is out of range"));
        }
        let size = number("size", header.entry_size())?;
        let extension = match header.entry_type() {
            EntryType::GNULongName => Some(Extension::GnuName),
            EntryType::GNULongLink => Some(Extension::GnuLink),
            EntryType::XHeader => Some(Extension::Pax),
            _ => None,
        };
        match extension {
            Some(kind) => self.extension_begins(kind, size),
            None => self.entry(header, size),
        }
    }

    fn extension_begins(&mut self, kind: Extension, size: u64) -> io::Result<()> {
        let there = match kind {
            Extension::GnuName => &mut self.pending.gnu_name,
            Extension::GnuLink => &mut self.pending.gnu_link,
            Extension::Pax => &mut self.pending.pax,
        };
        if std::mem::replace(there, true) {
            return Err(broken("two header extensions of one kind precede an entry"));
        }
        if size == 0 || size > MAX_EXTENSION {
            return Err(broken(format!(
                "a header extension has {size} bytes; allowed are 1 to {MAX_EXTENSION}"
            )));
        }
        self.extension.clear();
        self.state = State::Extension { kind, left: size };
        Ok(())
    }

    fn extension_complete(&mut self, kind: Extension) -> io::Result<()> {
        let text = self.extension.as_slice();
        let text = match kind {
            Extension::Pax => return parse_pax(text, &mut self.pending),
            Extension::GnuName | Extension::GnuLink => text.strip_suffix(&[0]).unwrap_or(text).to_vec(),
        };
        set_once(
            if kind == Extension::GnuName { &mut self.pending.path } else { &mut self.pending.link },
            text,
        )
    }

    fn entry(&mut self, header: &Header, size: u64) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let raw = pending.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let shown = show(&raw);
        let refuse = |rule: String| refused(&shown, rule, false);
        let kind = header.entry_type();
        match kind {
            EntryType::Regular | EntryType::Directory | EntryType::Symlink => {}
            other => {
                return Err(refuse(format!(
                    "{} are not allowed; a template holds regular files, directories and symbolic links",
                    describe(other)
                )));
            }
        }
        if pending.size.is_some_and(|pax| pax != size) {
            return Err(refuse("has two different sizes".to_owned()));
        }
        if kind != EntryType::Regular && size != 0 {
            return Err(refuse(format!(
                "a {} must not have content, this one has {size} bytes",
                describe_one(kind)
            )));
        }
        let mode = header.mode().map_err(|_| refuse("its mode is not a number".to_owned()))?;
        if self.origin == Origin::File && mode & 0o7000 != 0 {
            return Err(refuse(format!(
                "set-user-id, set-group-id and sticky are not allowed, its mode is {:o}",
                mode & 0o7777
            )));
        }
        let mtime = header.mtime().map_err(|_| refuse("its time is not a number".to_owned()))?.min(MAX_MTIME);

        if kind != EntryType::Symlink && pending.link.is_some() {
            return Err(refuse(format!("a {} must not have a link target", describe_one(kind))));
        }

        let path =
            if kind == EntryType::Directory { raw.strip_suffix(b"/").unwrap_or(&raw) } else { &raw[..] };
        // A sandbox can make a path that is too long, but not one of another form: that is a bound.
        let depth = check_path(path).map_err(|rule| refused(&shown, rule, path.len() > MAX_PATH))?;
        if depth > self.bounds.depth {
            return Err(refused(
                &shown,
                format!("is {depth} levels deep; allowed are {}", self.bounds.depth),
                true,
            ));
        }
        let below =
            |root: &&str| path.strip_prefix(root.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'));
        if !self.roots.iter().any(below) {
            // The roots and what is above them are there in every sandbox, so they need not be in the archive.
            let above = |root: &&str| {
                root.as_bytes() == path
                    || root.as_bytes().strip_prefix(path).is_some_and(|rest| rest.first() == Some(&b'/'))
            };
            if kind == EntryType::Directory && self.roots.iter().any(above) {
                // Once: nothing else bounds how many there are.
                if self.seen.insert(key(path), Kind::Directory).is_some() {
                    return Err(refuse("is there twice".to_owned()));
                }
                self.state = State::Header;
                return Ok(());
            }
            return Err(refuse(format!("lies outside of /{}", self.roots.join(", /"))));
        }
        let link =
            match (kind, pending.link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned)))
            {
                (EntryType::Symlink, Some(target)) if !target.is_empty() => {
                    if target.len() > MAX_PATH || target.contains(&0) {
                        return Err(refuse(format!("its target must be 1 to {MAX_PATH} bytes without NUL")));
                    }
                    Some(target)
                }
                (EntryType::Symlink, _) => {
                    return Err(refuse("a symbolic link must have a target".to_owned()));
                }
                (_, _) => None,
            };
        self.account(path, kind, size, link.as_deref(), &shown)?;
        self.emit_header(path, kind, mode & 0o777, mtime, size, link.as_deref())?;
        self.state = if size > 0 { State::Content { left: size, size } } else { State::Header };
        Ok(())
    }

    /// Counts an entry that is well-formed and puts it in its place among the others.
    fn account(
        &mut self,
        path: &[u8],
        kind: EntryType,
        size: u64,
        link: Option<&[u8]>,
        shown: &str,
    ) -> io::Result<()> {
        let parent = path.iter().rposition(|byte| *byte == b'/').map_or(&path[..0], |slash| &path[..slash]);
        if !self.roots.iter().any(|root| root.as_bytes() == parent) {
            match self.seen.get(&key(parent)) {
                Some(Kind::Directory) => {}
                Some(Kind::Other) => {
                    return Err(refused(shown, "lies below something that is not a directory", false));
                }
                None => return Err(refused(shown, "comes before its directory", false)),
            }
        }
        let kind = if kind == EntryType::Directory { Kind::Directory } else { Kind::Other };
        if self.seen.insert(key(path), kind).is_some() {
            return Err(refused(shown, "is there twice", false));
        }
        self.entries += 1;
        if self.entries > self.bounds.entries {
            return Err(refused(shown, format!("more than {} entries", self.bounds.entries), true));
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.bounds.bytes {
            return Err(refused(shown, format!("more than {} bytes of content", self.bounds.bytes), true));
        }
        self.name_bytes += (path.len() + link.map_or(0, <[u8]>::len)) as u64;
        if self.name_bytes > self.bounds.name_bytes {
            return Err(refused(shown, format!("more than {} bytes of names", self.bounds.name_bytes), true));
        }
        Ok(())
    }

    fn emit_header(
        &mut self,
        path: &[u8],
        kind: EntryType,
        mode: u32,
        mtime: u64,
        size: u64,
        link: Option<&[u8]>,
    ) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(OWNER);
        header.set_gid(OWNER);
        header.set_mtime(mtime);
        header.set_size(size);
        if let Some(link) = link {
            self.emit_name(EntryType::GNULongLink, link, &mut header.as_old_mut().linkname)?;
        }
        self.emit_name(EntryType::GNULongName, path, &mut header.as_old_mut().name)?;
        header.set_cksum();
        self.emit(header.as_bytes())
    }

    /// Puts a name into its field, or its beginning there and all of it into an extension.
    fn emit_name(&mut self, extension: EntryType, name: &[u8], field: &mut [u8; 100]) -> io::Result<()> {
        let fits = name.len().min(field.len());
        field[..fits].copy_from_slice(&name[..fits]);
        if name.len() > field.len() {
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..13].copy_from_slice(b"././@LongLink");
            header.set_entry_type(extension);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(name.len() as u64 + 1);
            header.set_cksum();
            self.emit(header.as_bytes())?;
            self.emit(name)?;
            let rest = BLOCK - name.len() % BLOCK;
            self.emit(&[0; BLOCK][..rest])?;
        }
        Ok(())
    }
}

impl<W: Write> Write for TreeGate<W> {
    fn write(&mut self, input: &[u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < input.len() {
            done += self.take(&input[done..]).inspect_err(|error| {
                self.failed = match (refusal(error), error.raw_os_error()) {
                    (Some(refusal), _) => Some(Failed::Refused(refusal.clone())),
                    (None, Some(errno)) => Some(Failed::System(errno)),
                    (None, None) => None,
                };
            })?;
        }
        Ok(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The rule that a path breaks, or its number of components.
fn check_path(path: &[u8]) -> Result<usize, &'static str> {
    if path.is_empty() {
        return Err("has an empty path");
    }
    if path.starts_with(b"/") {
        return Err("its path is absolute");
    }
    if path.len() > MAX_PATH {
        return Err("its path is longer than 4,095 bytes");
    }
    if path.contains(&0) {
        return Err("its path has a NUL");
    }
    let mut depth = 0;
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" => return Err("its path has an empty component"),
            b"." => return Err("its path has the component \".\""),
            b".." => return Err("its path has the component \"..\""),
            long if long.len() > MAX_COMPONENT => {
                return Err("its path has a component longer than 255 bytes");
            }
            _ => depth += 1,
        }
    }
    Ok(depth)
}

/// Reads the records `<length> <key>=<value>\n` of a pax extension. Only the keys that the canonical form can keep, or that
/// say nothing about the content, are allowed.
fn parse_pax(mut text: &[u8], pending: &mut Pending) -> io::Result<()> {
    let malformed = || broken("a pax header extension is malformed");
    let mut times = Vec::new();
    while !text.is_empty() {
        let space = text.iter().take(6).position(|byte| *byte == b' ').ok_or_else(malformed)?;
        let length: usize =
            decimal(&text[..space]).and_then(|length| usize::try_from(length).ok()).ok_or_else(malformed)?;
        if length <= space + 1 || length > text.len() || text[length - 1] != b'\n' {
            return Err(malformed());
        }
        let record = &text[space + 1..length - 1];
        text = &text[length..];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => set_once(&mut pending.path, value.to_vec())?,
            b"linkpath" => set_once(&mut pending.link, value.to_vec())?,
            b"size" => {
                let size = decimal(value).ok_or_else(malformed)?;
                if pending.size.replace(size).is_some() {
                    return Err(broken("a pax header extension has the key \"size\" twice"));
                }
            }
            b"mtime" | b"atime" | b"ctime" => {
                if times.contains(&key) {
                    return Err(broken(format!("a pax header extension has the key {} twice", show(key))));
                }
                times.push(key);
            }
            other => {
                return Err(broken(format!(
                    "a pax header extension has the key {}; extended attributes, access lists, sparse maps and the like are not allowed",
                    show(other)
                )));
            }
        }
    }
    Ok(())
}

fn set_once(slot: &mut Option<Vec<u8>>, value: Vec<u8>) -> io::Result<()> {
    if slot.replace(value).is_some() {
        return Err(broken("two header extensions give an entry different names"));
    }
    Ok(())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn key(path: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(path).into();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

fn portion(input: &[u8], left: u64) -> usize {
    usize::try_from(left).map_or(input.len(), |left| left.min(input.len()))
}

fn padding(length: u64, of_content: bool) -> State {
    match (BLOCK as u64 - length % BLOCK as u64) % BLOCK as u64 {
        0 => State::Header,
        left => State::Padding { left, of_content },
    }
}

fn describe(kind: EntryType) -> String {
    match kind {
        EntryType::Link => "hard links".to_owned(),
        EntryType::Char => "character devices".to_owned(),
        EntryType::Block => "block devices".to_owned(),
        EntryType::Fifo => "fifos".to_owned(),
        EntryType::Continuous => "contiguous files".to_owned(),
        EntryType::GNUSparse => "sparse files".to_owned(),
        EntryType::XGlobalHeader => "global pax headers".to_owned(),
        other => format!("entries of type {}", show(&[other.as_byte()])),
    }
}

fn describe_one(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Directory => "directory",
        EntryType::Symlink => "symbolic link",
        _ => "regular file",
    }
}

/// A name in quotes, escaped, cut after 128 bytes.
fn show(name: &[u8]) -> String {
    let cut = if name.len() > 128 { "…" } else { "" };
    format!("\"{}{cut}\"", name[..name.len().min(128)].escape_ascii())
}

fn refused(entry: &str, rule: impl Into<String>, bound: bool) -> io::Error {
    io::Error::other(Refusal { entry: Some(entry.to_owned()), rule: rule.into(), bound })
}

fn broken(rule: impl Into<String>) -> io::Error {
    io::Error::other(Refusal { entry: None, rule: rule.into(), bound: false })
}
