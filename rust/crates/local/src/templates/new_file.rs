//! A file that takes a name when it is whole. Where the file system can do so it has none until then, so that nothing of it stays
//! when its writer is killed.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use tempfile::TempPath;

/// A file that is being written.
pub(super) struct NewFile {
    file: File,
    /// The name that it has meanwhile, on a file system without files that have none.
    path: Option<TempPath>,
}

impl NewFile {
    /// An empty one, mode 0600, on the file system of a directory; `prefix` begins its name while it has another than its own.
    ///
    /// # Errors
    /// As `open(2)`.
    pub(super) fn create(directory: &Path, prefix: &OsStr) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Ok(Self { file: file.into(), path: None }),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Self::create_named(directory, prefix),
            Err(error) => Err(error.into()),
        }
    }

    fn create_named(directory: &Path, prefix: &OsStr) -> io::Result<Self> {
        let (file, path) = tempfile::Builder::new().prefix(prefix).tempfile_in(directory)?.into_parts();
        Ok(Self { file, path: Some(path) })
    }

    /// To write to.
    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts the file at `path`, on the file system of its directory, in place of what is there.
    ///
    /// # Errors
    /// What is there stays as it is then.
    pub(super) fn persist(self, path: &Path, prefix: &OsStr) -> io::Result<()> {
        let named = match self.path {
            Some(path) => path,
            None => {
                // A link cannot replace anything, a rename can.
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let directory = parent.unwrap_or(Path::new("."));
                let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                let link =
                    |name: &Path| Ok(rustix::fs::linkat(CWD, &own, CWD, name, AtFlags::SYMLINK_FOLLOW)?);
                tempfile::Builder::new().prefix(prefix).make_in(directory, link)?.into_temp_path()
            }
        };
        named.persist(path).map_err(|error| error.error)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_to_be_seen_before_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let prefix = OsStr::new(".new-");
        let mut new = NewFile::create(directory.path(), prefix).unwrap();
        new.file().write_all(b"never").unwrap();
        assert!(new.path.is_some() || names(directory.path()).is_empty());
        drop(new);
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn it_replaces_what_is_there_with_or_without_a_name_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let prefix = OsStr::new(".new-");
        let place = directory.path().join("place");
        for (create, content) in
            [(NewFile::create as fn(&Path, &OsStr) -> _, "one"), (NewFile::create_named, "two")]
        {
            let mut new: NewFile = create(directory.path(), prefix).unwrap();
            new.file().write_all(content.as_bytes()).unwrap();
            new.persist(&place, prefix).unwrap();
            assert_eq!(fs::read_to_string(&place).unwrap(), content);
            assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o7777, 0o600);
            assert_eq!(names(directory.path()), ["place"]);
        }
    }

    #[test]
    fn a_place_that_cannot_be_taken_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let prefix = OsStr::new(".new-");
        let place = directory.path().join("place");
        fs::create_dir(&place).unwrap();
        let new = NewFile::create(directory.path(), prefix).unwrap();
        assert!(new.persist(&place, prefix).is_err());
        assert_eq!(names(directory.path()), ["place"]);
        assert!(NewFile::create(&directory.path().join("none"), prefix).is_err());
    }
}
