//! What stands in for the namespaces of a sandbox that has none: a directory that stands for its root, and a fence around each program.
//!
//! Without a mount namespace `/home/user`, `/data` and their like are not at their places. The paths of requests are looked for below
//! [`Confinement::root`] instead; programs find them by `HOME`, by `TMPDIR` and by `E2B_ROOT`.

use std::borrow::Cow;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use crate::sys;

/// Home directory of the sandbox's user, where relative paths start.
pub(crate) const HOME: &str = "/home/user";

/// Of a sandbox without namespaces.
#[derive(Debug)]
pub struct Confinement {
    /// Absolute path of the directory in which the sandbox's own files are.
    pub root: String,
    /// Absolute paths, without the slash at the end, that are found below it.
    pub places: Vec<String>,
    /// The Landlock rules of programs. Each of them gets a domain of its own below that of init, so that none can signal init.
    pub ruleset: OwnedFd,
    /// Seccomp filters of programs.
    pub filters: Vec<Vec<libc::sock_filter>>,
}

impl Confinement {
    /// Where a path of a request really is.
    pub(crate) fn find<'a>(&self, path: &'a str) -> Cow<'a, str> {
        if !path.starts_with('/') {
            return format!("{}{HOME}/{path}", self.root).into();
        }
        let mut plain = String::with_capacity(path.len());
        for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
            plain.push('/');
            plain.push_str(part);
        }
        let inside = |place: &String| {
            plain.strip_prefix(place.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        // A `..` behind the place leads to what Landlock allows, and to nothing else.
        if self.places.iter().any(inside) { format!("{}{path}", self.root).into() } else { path.into() }
    }

    /// Puts the calling process, a fresh fork, under the rules.
    ///
    /// # Errors
    /// As `landlock_restrict_self(2)`.
    pub(crate) fn fence(&self) -> std::io::Result<()> {
        sys::restrict_self(self.ruleset.as_fd())
    }

    /// As [`Self::fence`], and under the filters, which what runs no foreign code does without.
    ///
    /// # Errors
    /// As `landlock_restrict_self(2)` and `seccomp(2)`.
    pub(crate) fn enter(&self) -> std::io::Result<()> {
        self.fence()?;
        self.filters.iter().try_for_each(|filter| sys::install_filter(filter))
    }

    /// To be kept open until a program has been started.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.ruleset.as_raw_fd()
    }
}

/// Where a path of a request really is.
pub(crate) fn find<'a>(confinement: Option<&Confinement>, path: &'a str) -> Cow<'a, str> {
    confinement.map_or(Cow::Borrowed(path), |confinement| confinement.find(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_writable_places_are_found_below_the_root() {
        let confinement = Confinement {
            root: "/var/tmp/e2bridge-x/7".to_owned(),
            places: ["/home/user", "/data", "/usr/local"].map(str::to_owned).to_vec(),
            ruleset: std::fs::File::open("/dev/null").unwrap().into(),
            filters: Vec::new(),
        };
        for (path, found) in [
            ("/data", "/var/tmp/e2bridge-x/7/data"),
            ("/data/a b", "/var/tmp/e2bridge-x/7/data/a b"),
            ("//./data//x", "/var/tmp/e2bridge-x/7//./data//x"),
            ("x/y", "/var/tmp/e2bridge-x/7/home/user/x/y"),
            ("", "/var/tmp/e2bridge-x/7/home/user/"),
            ("/data/../home/user/x", "/var/tmp/e2bridge-x/7/data/../home/user/x"),
            ("/usr/local/x", "/var/tmp/e2bridge-x/7/usr/local/x"),
            ("/usr/bin/env", "/usr/bin/env"),
            ("/database", "/database"),
            ("/home/users", "/home/users"),
            ("/../data", "/../data"),
            ("/", "/"),
        ] {
            assert_eq!(confinement.find(path), found, "{path}");
            assert_eq!(find(None, path), path);
        }
    }
}
