//! The template store: what sandboxes changed, kept as archives in one directory that several processes may share.
//!
//! `<data directory>/templates/<name>.tar` is all there is of a template: the name is the file's, the id and everything else
//! stand in the archive's manifest. So one rename replaces a template, and a crash at any point leaves the old or the new one.
//! New archives are written to files without a name, so that nothing of them stays when their writer is killed. Where the file system
//! has none, they are `.new-*` files that their writer holds locked; the lock of a dead writer is free, which is how the next one who
//! opens the store knows what to sweep. Readers take no lock: an archive they opened stays whole.
//!
//! Somebody may have edited what is in the directory. No link in it is followed, nothing in it is waited for, and what is no
//! archive of the owner's is a damaged template that can be deleted.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2bridge_core::document::{
    TemplateDeleted, TemplateExported, TemplateFile, TemplateList, TemplateSummary,
};
use e2bridge_core::id::{IdKind, new_id};
use e2bridge_core::request::{BuiltinTemplate, check_name, check_new_template_name, quote};
use e2bridge_core::time::now;
use e2bridge_core::{Code, Error, Result};
use rustix::fs::{Mode, OFlags};

use self::archive::{Archive, Manifest, NewTemplate};
use self::new_file::NewFile;
use self::tree::{Bounds, Origin, refusal};

mod archive;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod new_file;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use self::tree::{BOUNDS, absolute_roots};

/// Ends the name of an archive in the store.
const SUFFIX: &str = ".tar";
/// Begins the name of an archive that is being written.
const NEW: &str = ".new-";
/// Held by whoever renames or removes.
const LOCK: &str = ".lock";
/// How long to wait for another process that holds the lock, which it does for the length of a rename.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// Most names in an error message.
const MAX_KNOWN: usize = 20;

/// The store of exported templates of one data directory, and the built-in ones beside them. Any thread may use it.
#[derive(Debug)]
pub struct Templates {
    directory: Option<PathBuf>,
    bounds: Bounds,
}

/// A template that a sandbox can be made of. Keeps its archive open, so that it stays whole when it is replaced or deleted.
#[derive(Clone, Debug)]
pub struct ResolvedTemplate {
    name: String,
    base: BuiltinTemplate,
    archive: Option<Arc<Archive>>,
    bounds: Bounds,
}

impl ResolvedTemplate {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The built-in template below it, or itself.
    pub fn base(&self) -> BuiltinTemplate {
        self.base
    }

    /// `tpl_` id; `None` for a built-in one.
    pub fn template_id(&self) -> Option<&str> {
        self.archive.as_ref().map(|archive| archive.manifest.template_id.as_str())
    }

    /// True when a new sandbox must get files of it.
    pub fn has_content(&self) -> bool {
        self.archive.is_some()
    }

    /// Absolute directories that its files lie below.
    pub fn roots(&self) -> Vec<String> {
        absolute_roots(self.archive.as_ref().is_some_and(|archive| archive.manifest.include_data))
    }

    /// Checks that its files fit into a sandbox of those limits.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` naming both sizes.
    pub fn check_fits(&self, disk_bytes: u64, disk_inodes: u64) -> Result<()> {
        let Some(archive) = &self.archive else { return Ok(()) };
        let manifest = &archive.manifest;
        if manifest.size_bytes > disk_bytes || manifest.entries > disk_inodes {
            return Err(Error::new(
                Code::LimitExceeded,
                format!(
                    "template {} has {} bytes in {} entries, the sandbox has room for {disk_bytes} bytes in {disk_inodes}; \
                     raise memory_mb or E2BConfig.diskMb",
                    quote(&self.name),
                    manifest.size_bytes,
                    manifest.entries
                ),
            )
            .with("template", self.name.as_str())
            .with("size_bytes", manifest.size_bytes)
            .with("disk_bytes", disk_bytes));
        }
        Ok(())
    }

    /// Writes its files, as a tar archive, to `sink`; nothing for a built-in one. The archive is checked on its way; what was
    /// written before an error is not a whole template.
    ///
    /// # Errors
    /// What `sink` answers, or `UNAVAILABLE` inside it when the stored archive is damaged: see [`Templates::content_error`].
    pub fn write_content(&self, sink: &mut dyn Write) -> io::Result<()> {
        match &self.archive {
            Some(archive) => archive.read_tree(&self.bounds, sink),
            None => Ok(()),
        }
    }

    /// The error for a failure of [`ResolvedTemplate::write_content`].
    pub fn content_error(&self, error: &io::Error) -> Error {
        match refusal(error) {
            Some(refusal) => damaged(&self.name, &refusal.to_string()),
            None => failed(&format!("unpack template {}", quote(&self.name)), error),
        }
    }
}

/// What is exported under which name.
pub(crate) struct Export<'a> {
    /// Sandbox that it comes out of.
    pub(crate) sandbox_id: &'a str,
    /// Name of the template.
    pub(crate) template_name: &'a str,
    /// Built-in template of the sandbox.
    pub(crate) base: BuiltinTemplate,
    /// True takes `/home/user` and `/data` too.
    pub(crate) include_data: bool,
}

/// A failure on the way into the store: of the store's own I/O, or of whoever gives the tree.
enum Failure {
    Io(io::Error),
    Other(Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Io(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Other(error)
    }
}

impl Templates {
    /// Opens the store below `data_directory`, or below the default one: `$XDG_DATA_HOME/e2bridge` or
    /// `~/.local/share/e2bridge`, as root `/var/lib/e2bridge`. Sweeps what dead writers left. Nothing is made until the first
    /// template is stored.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when a data directory is given that is not one; `PERMISSION_DENIED` when the store belongs to
    /// another user or others may write to it.
    pub fn open(data_directory: Option<&Path>) -> Result<Self> {
        if let Some(given) = data_directory {
            match fs::metadata(given) {
                Ok(found) if !found.is_dir() => {
                    return Err(Error::invalid(
                        "config.data_directory",
                        format!("{} is not a directory", shown(given)),
                    ));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(
                        failed(&format!("stat {}", shown(given)), &error).about("config.data_directory")
                    );
                }
            }
        }
        let directory = data_directory
            .map(Path::to_owned)
            .or_else(default_data_directory)
            .map(|data| std::path::absolute(&data).unwrap_or(data).join("templates"));
        let store = Self { directory, bounds: BOUNDS };
        if let Some(directory) = store.existing()? {
            // What cannot be swept now (a file system that became read-only, say) does no harm.
            let _ = sweep(&directory);
        }
        Ok(store)
    }

    /// The template of that name or `tpl_` id; `argument` is what an error names.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`; `NOT_FOUND` naming the known ones; `UNAVAILABLE` when its archive is damaged.
    pub fn resolve(&self, argument: &str, name_or_id: &str) -> Result<ResolvedTemplate> {
        check_name(argument, name_or_id)?;
        if let Some(base) = BuiltinTemplate::from_name(name_or_id) {
            return Ok(ResolvedTemplate {
                name: base.name().to_owned(),
                base,
                archive: None,
                bounds: self.bounds,
            });
        }
        let archive = self.find(argument, name_or_id)?;
        Ok(ResolvedTemplate {
            name: archive.manifest.template_name.clone(),
            base: archive.manifest.base().ok_or_else(|| damaged(name_or_id, "it has no base template"))?,
            archive: Some(Arc::new(archive)),
            bounds: self.bounds,
        })
    }

    /// Built-in and exported templates. `unavailable` says why a built-in one cannot be used on this host, if it cannot.
    ///
    /// # Errors
    /// As reading the directory.
    pub fn list(&self, unavailable: impl Fn(BuiltinTemplate) -> Option<String>) -> Result<TemplateList> {
        let mut templates = builtin_summaries(&unavailable);
        for name in self.names()? {
            match self.open_archive(&name) {
                Ok(Some(Archive { manifest, .. })) => {
                    let Some(base) = manifest.base() else { continue };
                    let reason = unavailable(base);
                    templates.push(TemplateSummary {
                        template_name: manifest.template_name,
                        template_id: Some(manifest.template_id),
                        built_in: false,
                        base_template: base.name().to_owned(),
                        languages: languages(base),
                        available: reason.is_none(),
                        reason,
                        size_bytes: manifest.size_bytes,
                        created_at: Some(manifest.created_at),
                    });
                }
                // Deleted since the directory was read.
                Ok(None) => {}
                Err(error) => templates.push(TemplateSummary {
                    template_name: name,
                    template_id: None,
                    built_in: false,
                    base_template: String::new(),
                    languages: Vec::new(),
                    available: false,
                    reason: Some(error.message().to_owned()),
                    size_bytes: 0,
                    created_at: None,
                }),
            }
        }
        Ok(TemplateList { total_count: templates.len(), templates, timestamp: now() })
    }

    /// Deletes an exported template by name or id. Sandboxes made of it are not touched. A damaged archive can be deleted by
    /// name.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for a built-in one; `NOT_FOUND` naming the known ones.
    pub fn delete(&self, name_or_id: &str) -> Result<TemplateDeleted> {
        const ARGUMENT: &str = "template_name";
        check_name(ARGUMENT, name_or_id)?;
        if BuiltinTemplate::from_name(name_or_id).is_some() {
            return Err(Error::invalid(
                ARGUMENT,
                format!("{}: built-in templates cannot be deleted", quote(name_or_id)),
            ));
        }
        let Some(directory) = self.existing()? else { return Err(self.unknown(ARGUMENT, name_or_id)) };
        let _lock = lock(&directory)?;
        let (template_id, template_name) = match self.find(ARGUMENT, name_or_id) {
            Ok(archive) => (archive.manifest.template_id, archive.manifest.template_name),
            Err(error) if error.code() == Code::Unavailable => (String::new(), name_or_id.to_owned()),
            Err(error) => return Err(error),
        };
        let path = archive_path(&directory, &template_name);
        fs::remove_file(&path).map_err(|error| failed(&format!("unlink {}", shown(&path)), &error))?;
        sync_directory(&directory)?;
        Ok(TemplateDeleted { template_id, template_name, status: "deleted".to_owned(), timestamp: now() })
    }

    /// Stores what `fill` writes, a tar archive of the roots of a sandbox, as a template; one of that name is replaced.
    ///
    /// # Errors
    /// What `fill` answers; `LIMIT_EXCEEDED` when it is larger than a template may be, or the disk is full; `ALREADY_EXISTS` for a
    /// reserved name. The template that was there is then as it was.
    pub(crate) fn export(
        &self,
        export: &Export<'_>,
        fill: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<TemplateExported> {
        check_new_template_name("template_name", export.template_name)?;
        let template = NewTemplate {
            template_id: new_id(IdKind::Template)?,
            template_name: export.template_name.to_owned(),
            base: export.base,
            include_data: export.include_data,
            created_at: now(),
        };
        let fill = |sink: &mut dyn Write| fill(sink).map_err(Failure::Other);
        let (manifest, replaced) =
            self.store(template, Origin::Sandbox, fill).map_err(|failure| match failure {
                Failure::Other(error) => error,
                Failure::Io(error) => match refusal(&error) {
                    Some(refusal) if refusal.bound => Error::new(
                        Code::LimitExceeded,
                        format!("export of sandbox {}: {refusal}", quote(export.sandbox_id)),
                    )
                    .with("sandbox_id", export.sandbox_id),
                    Some(refusal) => Error::new(
                        Code::Unavailable,
                        format!(
                            "export of sandbox {}: what it sent is not usable: {refusal}",
                            quote(export.sandbox_id)
                        ),
                    )
                    .with("sandbox_id", export.sandbox_id),
                    None => failed(&format!("store template {}", quote(export.template_name)), &error),
                },
            })?;
        Ok(exported(manifest, Some(export.sandbox_id), "exported", replaced))
    }

    /// Writes an exported template to an archive file on the host, mode 0600; a regular file of that name is replaced
    /// atomically.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`; `NOT_FOUND` for the template, or for the directory of the file; `PERMISSION_DENIED`;
    /// `LIMIT_EXCEEDED` when the disk is full.
    pub fn export_file(&self, template_name: &str, file: &str) -> Result<TemplateFile> {
        const ARGUMENT: &str = "template_name";
        check_name(ARGUMENT, template_name)?;
        if BuiltinTemplate::from_name(template_name).is_some() {
            return Err(Error::invalid(
                ARGUMENT,
                format!(
                    "{}: built-in templates are the host's own interpreters and cannot be exported",
                    quote(template_name)
                ),
            ));
        }
        let path = host_path(file)?;
        match fs::metadata(&path) {
            Ok(found) if !found.is_file() => {
                return Err(Error::invalid(
                    "file",
                    format!("{} exists and is not a regular file", shown(&path)),
                ));
            }
            _ => {}
        }
        let name = path.file_name().ok_or_else(|| Error::invalid("file", "must name a file"))?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let archive = self.find(ARGUMENT, template_name)?;
        let wrong = |error: &io::Error| failed(&format!("write {}", shown(&path)), error).about("file");
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(name);
        let mut new = NewFile::create(parent, &prefix).map_err(|error| {
            if parent.is_dir() {
                return wrong(&error);
            }
            Error::not_found("file", format!("file: there is no directory {}", shown(parent)))
        })?;
        io::copy(&mut archive.bytes(), new.file()).map_err(|error| match refusal(&error) {
            Some(refusal) => damaged(template_name, &refusal.to_string()),
            None => wrong(&error),
        })?;
        new.file().sync_all().map_err(|error| wrong(&error))?;
        new.persist(&path, &prefix).map_err(|error| wrong(&error))?;
        sync_directory(parent)?;
        Ok(TemplateFile {
            template_id: archive.manifest.template_id.clone(),
            template_name: archive.manifest.template_name.clone(),
            file: file.to_owned(),
            size_bytes: archive.length(),
            status: "written".to_owned(),
            timestamp: now(),
        })
    }

    /// Reads a template archive from the host and stores it, under `template_name` or the name it has, with a new id. All of
    /// it is checked, and written anew, before it is stored.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such file; `INVALID_ARGUMENT` naming `file`, with the rule and the entry, when it is not
    /// a template archive that can be used; `ALREADY_EXISTS` for a reserved name; as [`Templates::export`].
    pub fn import_file(&self, file: &str, template_name: Option<&str>) -> Result<TemplateExported> {
        if let Some(name) = template_name {
            check_new_template_name("template_name", name)?;
        }
        let path = host_path(file)?;
        let source = open_regular(&path, OFlags::empty()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Error::not_found("file", format!("file: there is no file {}", shown(&path)))
            }
            io::ErrorKind::InvalidInput => {
                Error::invalid("file", format!("{} is not a regular file", shown(&path)))
            }
            _ => failed(&format!("open {}", shown(&path)), &error).about("file"),
        })?;
        let wrong = |error: &io::Error| match refusal(error) {
            Some(refusal) => {
                let refused = Error::invalid("file", format!("{}: {refusal}", shown(&path)));
                match &refusal.entry {
                    Some(entry) => refused.with("entry", entry.as_str()),
                    None => refused,
                }
            }
            None => failed(&format!("import {}", shown(&path)), error).about("file"),
        };
        let archive = Archive::open(source, &self.bounds).map_err(|error| wrong(&error))?;
        let manifest = &archive.manifest;
        let template = NewTemplate {
            template_id: new_id(IdKind::Template)?,
            template_name: template_name.unwrap_or(&manifest.template_name).to_owned(),
            base: manifest
                .base()
                .ok_or_else(|| Error::invalid("file", "its base template is not a built-in one"))?,
            include_data: manifest.include_data,
            created_at: manifest.created_at.clone(),
        };
        let fill = |sink: &mut dyn Write| archive.read_tree(&self.bounds, sink).map_err(Failure::Io);
        let (manifest, replaced) =
            self.store(template, Origin::File, fill).map_err(|failure| match failure {
                Failure::Io(error) => wrong(&error),
                Failure::Other(error) => error,
            })?;
        Ok(exported(manifest, None, "imported", replaced))
    }

    /// Writes an archive and puts it in place; answers whether one of that name was there.
    fn store(
        &self,
        template: NewTemplate,
        origin: Origin,
        fill: impl FnOnce(&mut dyn Write) -> std::result::Result<(), Failure>,
    ) -> std::result::Result<(Manifest, bool), Failure> {
        let directory = self.make()?;
        let path = archive_path(&directory, &template.template_name);
        let mut new = {
            let _lock = lock(&directory)?;
            let mut new = NewFile::create(&directory, NEW.as_ref())?;
            // Held as long as the file is open: says that its writer lives.
            new.file().lock()?;
            new
        };
        let manifest = archive::write(new.file(), template, origin, self.bounds, fill)?;
        new.file().sync_all()?;
        let replaced = {
            let _lock = lock(&directory)?;
            let replaced = path.symlink_metadata().is_ok();
            new.persist(&path, NEW.as_ref())?;
            sync_directory(&directory)?;
            replaced
        };
        Ok((manifest, replaced))
    }

    /// The exported template of that name or id.
    fn find(&self, argument: &str, name_or_id: &str) -> Result<Archive> {
        if name_or_id.starts_with(IdKind::Template.prefix()) {
            for name in self.names()? {
                match self.open_archive(&name) {
                    Ok(Some(archive)) if archive.manifest.template_id == name_or_id => return Ok(archive),
                    // A damaged archive hides its id, but must not hide the others.
                    Ok(_) | Err(_) => {}
                }
            }
            return Err(self.unknown(argument, name_or_id));
        }
        self.open_archive(name_or_id)?.ok_or_else(|| self.unknown(argument, name_or_id))
    }

    fn open_archive(&self, name: &str) -> Result<Option<Archive>> {
        let Some(directory) = self.existing()? else { return Ok(None) };
        let path = archive_path(&directory, name);
        let opened = open_regular(&path, OFlags::NOFOLLOW).and_then(|file| {
            let found = file.metadata()?;
            match intruder(&found) {
                Some(how) => Err(io::Error::new(io::ErrorKind::InvalidInput, how)),
                None => Archive::open(file, &self.bounds),
            }
        });
        match opened {
            Ok(archive) if archive.manifest.template_name == name => Ok(Some(archive)),
            Ok(archive) => {
                Err(damaged(name, &format!("its manifest says {}", quote(&archive.manifest.template_name))))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(match refusal(&error) {
                Some(refusal) => damaged(name, &refusal.to_string()),
                None if error.kind() == io::ErrorKind::InvalidInput => damaged(name, &error.to_string()),
                None => failed(&format!("open {}", shown(&path)), &error),
            }),
        }
    }

    /// Names of the exported templates, in order.
    fn names(&self) -> Result<Vec<String>> {
        let Some(directory) = self.existing()? else { return Ok(Vec::new()) };
        let wrong = |error: io::Error| failed(&format!("read {}", shown(&directory)), &error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory).map_err(wrong)? {
            let name = entry.map_err(wrong)?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            names.extend(name.filter(|name| check_new_template_name("", name).is_ok()).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    fn unknown(&self, argument: &str, name_or_id: &str) -> Error {
        let mut known: Vec<String> = BuiltinTemplate::ALL.iter().map(|base| base.name().to_owned()).collect();
        known.extend(self.names().unwrap_or_default());
        let more = known.len().saturating_sub(MAX_KNOWN);
        known.truncate(MAX_KNOWN);
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        Error::not_found(
            argument,
            format!(
                "{argument}: there is no template {}; known are {}{tail}",
                quote(name_or_id),
                known.join(", ")
            ),
        )
        .with("known", known)
    }

    /// The directory, if it was made already and can be trusted.
    fn existing(&self) -> Result<Option<PathBuf>> {
        let Some(directory) = &self.directory else { return Ok(None) };
        let found = match fs::symlink_metadata(directory) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&format!("stat {}", shown(directory)), &error)),
        };
        if !found.is_dir() {
            return Err(Error::new(
                Code::Unavailable,
                format!(
                    "{} is not a directory; to keep templates elsewhere set E2BConfig.dataDirectory",
                    shown(directory)
                ),
            )
            .with("path", shown(directory)));
        }
        if let Some(how) = intruder(&found) {
            return Err(Error::new(Code::PermissionDenied, format!("{} {how}", shown(directory)))
                .with("path", shown(directory)));
        }
        Ok(Some(directory.clone()))
    }

    fn make(&self) -> Result<PathBuf> {
        let Some(directory) = &self.directory else {
            return Err(Error::new(
                Code::Unavailable,
                "there is no place for templates: neither XDG_DATA_HOME nor a home directory is known; set E2BConfig.dataDirectory",
            ));
        };
        if let Some(directory) = self.existing()? {
            return Ok(directory);
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| failed(&format!("mkdir {}", shown(directory)), &error))?;
        self.existing()?
            .ok_or_else(|| Error::new(Code::Unavailable, format!("{} vanished", shown(directory))))
    }
}

/// The built-in templates as rows of a list.
pub(crate) fn builtin_summaries(
    unavailable: impl Fn(BuiltinTemplate) -> Option<String>,
) -> Vec<TemplateSummary> {
    let row = |base: BuiltinTemplate| {
        let reason = unavailable(base);
        TemplateSummary {
            template_name: base.name().to_owned(),
            template_id: None,
            built_in: true,
            base_template: base.name().to_owned(),
            languages: languages(base),
            available: reason.is_none(),
            reason,
            size_bytes: 0,
            created_at: None,
        }
    };
    BuiltinTemplate::ALL.into_iter().map(row).collect()
}

fn languages(base: BuiltinTemplate) -> Vec<String> {
    base.languages().iter().map(|language| language.name().to_owned()).collect()
}

fn exported(manifest: Manifest, sandbox_id: Option<&str>, status: &str, replaced: bool) -> TemplateExported {
    TemplateExported {
        template_id: manifest.template_id,
        template_name: manifest.template_name,
        sandbox_id: sandbox_id.map(str::to_owned),
        status: status.to_owned(),
        base_template: manifest.base_template,
        include_data: manifest.include_data,
        entries: manifest.entries,
        size_bytes: manifest.size_bytes,
        replaced,
        timestamp: now(),
    }
}

fn default_data_directory() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/e2bridge"));
    }
    // The XDG base directory specification has relative paths ignored.
    let xdg = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home =
        || std::env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(".local/share"));
    xdg.or_else(home).map(|data| data.join("e2bridge"))
}

fn archive_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}{SUFFIX}"))
}

/// Holds the store's lock until dropped.
fn lock(directory: &Path) -> Result<File> {
    let path = directory.join(LOCK);
    let wrong = |error: &io::Error| failed(&format!("lock {}", shown(&path)), error);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
        .map(File::from)
        .map_err(|errno| wrong(&errno.into()))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) if begun.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Error::new(
                    Code::Unavailable,
                    format!("another process has held {} for {} s", shown(&path), LOCK_PATIENCE.as_secs()),
                ));
            }
            Err(fs::TryLockError::Error(error)) => return Err(wrong(&error)),
        }
    }
}

/// Removes the archives that dead writers did not finish.
fn sweep(directory: &Path) -> Result<()> {
    let _lock = lock(directory)?;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(NEW.as_bytes()) {
            continue;
        }
        let path = entry.path();
        let dead = open_regular(&path, OFlags::NOFOLLOW).is_ok_and(|file| file.try_lock().is_ok());
        if dead {
            // Tried again the next time the store is opened.
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}

/// Opens a regular file for reading; anything else (a fifo, a device, a directory, with `NOFOLLOW` a link) is `InvalidInput` at once.
fn open_regular(path: &Path, links: OFlags) -> io::Result<File> {
    let other = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | links;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        // A socket, or a device without a driver.
        rustix::io::Errno::NXIO | rustix::io::Errno::NODEV => other(),
        rustix::io::Errno::LOOP if links.contains(OFlags::NOFOLLOW) => other(),
        errno => io::Error::from(errno),
    })?);
    if !file.metadata()?.is_file() {
        return Err(other());
    }
    Ok(file)
}

/// The rule that what is in the store breaks when others own it or may write to it.
fn intruder(found: &fs::Metadata) -> Option<String> {
    let user = rustix::process::geteuid().as_raw();
    (found.uid() != user || found.mode() & 0o022 != 0).then(|| {
        format!(
            "must belong to user {user} and be writable by nobody else; it belongs to {} and has mode {:o}",
            found.uid(),
            found.mode() & 0o7777
        )
    })
}

fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(|error| failed(&format!("fsync {}", shown(directory)), &error))
}

/// The argument `file`: a path on the host.
fn host_path(file: &str) -> Result<PathBuf> {
    e2bridge_core::request::check_path("file", file)?;
    Ok(PathBuf::from(file))
}

fn shown(path: &Path) -> String {
    format!("{path:?}")
}

fn damaged(name: &str, how: &str) -> Error {
    Error::new(
        Code::Unavailable,
        format!("template {} is damaged: {how}; delete it or export it again", quote(name)),
    )
    .with("template", name)
}

/// The error for an I/O failure: `call` says what was tried.
fn failed(call: &str, error: &io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::NotFound => Code::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Code::PermissionDenied,
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::OutOfMemory
        | io::ErrorKind::FileTooLarge => Code::LimitExceeded,
        _ => match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => Code::LimitExceeded,
            _ => Code::Unavailable,
        },
    };
    let known = Error::new(code, format!("{call}: {error}"));
    match error.raw_os_error() {
        Some(errno) => known.with("errno", errno),
        None => known,
    }
}
