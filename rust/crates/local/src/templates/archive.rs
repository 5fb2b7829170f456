//! The archive file of a template: a plain tar archive of exactly two files, so that `tar -tf` shows what it is.
//!
//! ```text
//! manifest.json     what the template is (JSON, filled with spaces to a fixed length)
//! content.tar.zst   the tree, a canonical tar archive in one Zstandard frame
//! ```
//!
//! The outer headers have one form only, byte for byte; anything else is not a template archive. So is anything after the end.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use e2bridge_core::request::{BuiltinTemplate, check_new_template_name};
use serde::{Deserialize, Serialize};
use tar::{EntryType, Header};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::tree::{Bounds, Origin, Refusal, TreeGate, roots};

const BLOCK: usize = 512;
const FORMAT_VERSION: u32 = 1;
pub(super) const MANIFEST_NAME: &str = "manifest.json";
pub(super) const CONTENT_NAME: &str = "content.tar.zst";
/// Length of the manifest as written: far more than the longest one.
pub(super) const MANIFEST_LENGTH: usize = 2_048;
/// Where the content begins: two headers and the manifest.
const HEAD_LENGTH: usize = 2 * BLOCK + MANIFEST_LENGTH;
/// The same as a position.
const CONTENT_OFFSET: u64 = HEAD_LENGTH as u64;
/// The end of a tar archive.
const END: [u8; 1_024] = [0; 1_024];
/// Speed rather than size; its window is 2 MiB.
const LEVEL: i32 = 3;
/// Largest window that a frame may ask its reader to keep, as a power of two: 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;
/// Content may be a little longer compressed than plain.
const INCOMPRESSIBLE: u64 = 64 << 20;

/// What a template is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// [`FORMAT_VERSION`] of whoever wrote it.
    format_version: u32,
    /// `tpl_` id.
    pub(crate) template_id: String,
    /// Name.
    pub(crate) template_name: String,
    /// Name of the built-in template below it.
    pub(crate) base_template: String,
    /// True when `/home/user` and `/data` are in it.
    pub(crate) include_data: bool,
    /// Files, directories and links.
    pub(crate) entries: u64,
    /// Bytes of file content.
    pub(crate) size_bytes: u64,
    /// When it was exported, RFC 3339.
    pub(crate) created_at: String,
    /// SHA-256 of the tree as a tar archive, before compression.
    pub(crate) sha256: String,
}

impl Manifest {
    /// The built-in template below it.
    pub(crate) fn base(&self) -> Option<BuiltinTemplate> {
        BuiltinTemplate::from_name(&self.base_template)
    }

    /// The rule that it breaks, if it breaks one.
    fn check(&self, bounds: &Bounds) -> Result<(), String> {
        if self.format_version != FORMAT_VERSION {
            return Err(format!(
                "manifest.json: format_version is {}, this version of E2Bridge reads {FORMAT_VERSION}",
                self.format_version
            ));
        }
        let random = self.template_id.strip_prefix("tpl_").unwrap_or_default();
        if !(20..=64).contains(&random.len())
            || !random.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        {
            return Err("manifest.json: template_id must be tpl_ and 20 to 64 lower-case letters and digits"
                .to_owned());
        }
        check_new_template_name("manifest.json: template_name", &self.template_name)
            .map_err(|error| error.message().to_owned())?;
        if self.base().is_none() {
            return Err("manifest.json: base_template must be base, python or node".to_owned());
        }
        if self.entries > bounds.entries || self.size_bytes > bounds.bytes {
            return Err(format!(
                "manifest.json: at most {} entries and {} bytes are allowed, it says {} and {}",
                bounds.entries, bounds.bytes, self.entries, self.size_bytes
            ));
        }
        if self.created_at.len() > 64 || OffsetDateTime::parse(&self.created_at, &Rfc3339).is_err() {
            return Err("manifest.json: created_at must be a time in the form of RFC 3339".to_owned());
        }
        if self.sha256.len() != 64
            || !self.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return Err("manifest.json: sha256 must be 64 lower-case hexadecimal digits".to_owned());
        }
        Ok(())
    }
}

/// What is known of a template before its tree was read.
pub(crate) struct NewTemplate {
    /// `tpl_` id.
    pub(crate) template_id: String,
    /// Name.
    pub(crate) template_name: String,
    /// The built-in template below it.
    pub(crate) base: BuiltinTemplate,
    /// True when `/home/user` and `/data` are in it.
    pub(crate) include_data: bool,
    /// When it was exported, RFC 3339.
    pub(crate) created_at: String,
}

/// Writes an archive to an empty file; `fill` writes the tree, a tar archive of whatever form, which is checked on its way.
///
/// # Errors
/// What `fill` answers; a [`Refusal`] inside an I/O error (see [`super::tree::refusal`]) when the tree breaks a rule; else what writing the
/// file answers.
pub(crate) fn write<E: From<io::Error>>(
    file: &mut File,
    template: NewTemplate,
    origin: Origin,
    bounds: Bounds,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<Manifest, E> {
    file.seek(SeekFrom::Start(CONTENT_OFFSET))?;
    let mut encoder = zstd::stream::write::Encoder::new(&mut *file, LEVEL)?;
    encoder.include_checksum(true)?;
    let mut gate = TreeGate::new(encoder, roots(template.include_data), origin, bounds);
    let filled = fill(&mut gate);
    if let Some(error) = gate.failure() {
        return Err(error.into());
    }
    filled?;
    let (encoder, tree) = gate.finish()?;
    encoder.finish()?;
    let end = file.stream_position()?;
    let length = end - CONTENT_OFFSET;
    check_ratio(tree.archive_bytes, length, &bounds)?;
    file.write_all(&[0; BLOCK][..fill_up(length)])?;
    file.write_all(&END)?;

    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        template_id: template.template_id,
        template_name: template.template_name,
        base_template: template.base.name().to_owned(),
        include_data: template.include_data,
        entries: tree.entries,
        size_bytes: tree.bytes,
        created_at: template.created_at,
        sha256: tree.sha256,
    };
    let mut text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::other)?;
    text.resize(MANIFEST_LENGTH, b' ');
    text[MANIFEST_LENGTH - 1] = b'\n';
    let mut head = Vec::new();
    head.extend_from_slice(outer_header(MANIFEST_NAME, MANIFEST_LENGTH as u64).as_bytes());
    head.extend_from_slice(&text);
    head.extend_from_slice(outer_header(CONTENT_NAME, length).as_bytes());
    file.write_all_at(&head, 0)?;
    Ok(manifest)
}

/// An archive whose manifest and outer form were checked, not yet its tree.
#[derive(Debug)]
pub(crate) struct Archive {
    file: File,
    /// What it says it is.
    pub(crate) manifest: Manifest,
    content_length: u64,
    length: u64,
}

impl Archive {
    /// Reads the outer form of an archive; `file` must be a regular file.
    ///
    /// # Errors
    /// A [`Refusal`] inside an I/O error (see [`super::tree::refusal`]) when it is not one; else what reading the file answers.
    pub(crate) fn open(file: File, bounds: &Bounds) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut head = [0; HEAD_LENGTH];
        file.read_exact_at(&mut head, 0).map_err(cut)?;
        let (manifest_header, rest) = head.split_at(BLOCK);
        let (text, content_header) = rest.split_at(MANIFEST_LENGTH);
        if manifest_header != outer_header(MANIFEST_NAME, MANIFEST_LENGTH as u64).as_bytes() {
            return Err(broken(
                "not a template archive: it does not begin with manifest.json as export writes it",
            ));
        }
        let content_length = Header::from_byte_slice(content_header).entry_size().unwrap_or(0);
        if content_header != outer_header(CONTENT_NAME, content_length).as_bytes() {
            return Err(broken(
                "not a template archive: content.tar.zst does not follow manifest.json as export writes it",
            ));
        }
        let manifest: Manifest =
            serde_json::from_slice(text).map_err(|error| broken(format!("manifest.json: {error}")))?;
        manifest.check(bounds).map_err(broken)?;
        if content_length > bounds.bytes.saturating_add(bounds.name_bytes).saturating_add(INCOMPRESSIBLE) {
            return Err(broken(format!(
                "content.tar.zst has {content_length} bytes, more than a template can have"
            )));
        }
        let tail = fill_up(content_length) + END.len();
        let expected = CONTENT_OFFSET + content_length + tail as u64;
        if length != expected {
            return Err(broken(format!(
                "the archive must be {expected} bytes long, it is {length}: {}",
                if length < expected { "it was cut" } else { "there are bytes after its end" }
            )));
        }
        let mut end = vec![0; tail];
        file.read_exact_at(&mut end, CONTENT_OFFSET + content_length).map_err(cut)?;
        if end.iter().any(|byte| *byte != 0) {
            return Err(broken("there are bytes after the end of content.tar.zst"));
        }
        Ok(Self { file, manifest, content_length, length })
    }

    /// Length of the archive, bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// All bytes of the archive.
    pub(crate) fn bytes(&self) -> impl Read {
        Window { file: &self.file, position: 0, end: self.length }
    }

    /// Reads the tree, as a tar archive, into `sink`, and checks that it is what the manifest says.
    ///
    /// # Errors
    /// What `sink` answers; a [`Refusal`] inside an I/O error when the content is damaged.
    pub(crate) fn read_tree(&self, bounds: &Bounds, sink: &mut dyn Write) -> io::Result<()> {
        let window =
            Window { file: &self.file, position: CONTENT_OFFSET, end: CONTENT_OFFSET + self.content_length };
        // The gate writes a canonical archive as it is, so that what arrives in `sink` is what the digest was made of.
        let mut gate = TreeGate::new(sink, roots(self.manifest.include_data), Origin::File, *bounds);
        let mut decoder =
            zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(128 << 10, window))?
                .single_frame();
        decoder.window_log_max(WINDOW_LOG_MAX)?;
        let mut buffer = vec![0; 128 << 10];
        let mut decoded = 0;
        loop {
            match decoder.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    // Before it is gone through: a bomb costs no more than what it may stand for.
                    decoded += length as u64;
                    check_ratio(decoded, self.content_length, bounds)?;
                    gate.write_all(&buffer[..length])?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error().is_some() => return Err(error),
                Err(error) => return Err(broken(format!("content.tar.zst: {error}"))),
            }
        }
        let rest = decoder.finish();
        if !rest.buffer().is_empty() || rest.get_ref().position < rest.get_ref().end {
            return Err(broken("content.tar.zst: there are bytes after the end of the frame"));
        }
        let (_, tree) = gate.finish()?;
        let manifest = &self.manifest;
        if (tree.entries, tree.bytes, &tree.sha256)
            != (manifest.entries, manifest.size_bytes, &manifest.sha256)
        {
            return Err(broken(format!(
                "content.tar.zst is not what manifest.json says: {} entries, {} bytes, sha256 {}",
                tree.entries, tree.bytes, tree.sha256
            )));
        }
        Ok(())
    }
}

/// A range of a file, read without moving its position, so that several threads can share it.
struct Window<'a> {
    file: &'a File,
    position: u64,
    end: u64,
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        if wanted == 0 {
            return Ok(0);
        }
        let length = self.file.read_at(&mut buffer[..wanted], self.position)?;
        if length == 0 {
            return Err(broken("the archive is cut short"));
        }
        self.position += length as u64;
        Ok(length)
    }
}

/// Bounds how long a tar archive may be for its length when compressed: content, headers and names alike.
fn check_ratio(plain: u64, compressed: u64, bounds: &Bounds) -> io::Result<()> {
    let most = compressed.saturating_mul(bounds.ratio).saturating_add(bounds.ratio_free);
    if plain > most {
        let rule =
            format!("{plain} or more bytes in {compressed} compressed ones are refused as an archive bomb");
        return Err(io::Error::other(Refusal { entry: None, rule, bound: true }));
    }
    Ok(())
}

/// The one form of a header of the outer archive.
pub(super) fn outer_header(name: &str, length: u64) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(length);
    header.set_cksum();
    header
}

/// Zero bytes that fill `length` up to whole blocks; less than a block.
fn fill_up(length: u64) -> usize {
    const BLOCK_LENGTH: u64 = BLOCK as u64;
    usize::try_from((BLOCK_LENGTH - length % BLOCK_LENGTH) % BLOCK_LENGTH).unwrap_or(0)
}

fn broken(rule: impl Into<String>) -> io::Error {
    io::Error::other(Refusal { entry: None, rule: rule.into(), bound: false })
}

fn cut(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        broken("not a template archive: it is too short")
    } else {
        error
    }
}
