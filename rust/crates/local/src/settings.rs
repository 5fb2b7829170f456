//! What a client's configuration and the host mean for the engine.

use std::collections::HashSet;
use std::env;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use e2bridge_core::{Code, Error, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::{Config, Isolation, sys};

/// Everything that a supervisor is told, and what the host has.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// True: isolation REQUIRED.
    pub(crate) required: bool,
    /// Interpreters to try for `python`, in order; absolute.
    pub(crate) python_candidates: Vec<String>,
    /// Interpreters to try for `node`, in order; absolute.
    pub(crate) node_candidates: Vec<String>,
    /// Processors online.
    pub(crate) host_cpus: u32,
    /// Memory of the host, MiB.
    pub(crate) host_memory_mb: u32,
}

impl Settings {
    /// Checks the configuration.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming `config.<key>`.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        for (key, size) in [
            ("config.pool_base", config.pool_base),
            ("config.pool_python", config.pool_python),
            ("config.pool_node", config.pool_node),
        ] {
            if size.is_some_and(|size| size > 64) {
                return Err(Error::invalid(key, "must be between 0 and 64 sandboxes"));
            }
        }
        if config.disk_mb.is_some_and(|size| size == 0 || size > 16 * 1024 * 1024) {
            return Err(Error::invalid("config.disk_mb", "must be between 1 and 16777216"));
        }
        let system = rustix::system::sysinfo();
        #[expect(clippy::useless_conversion, reason = "the width of these fields is the architecture's")]
        let bytes = u64::from(system.totalram).saturating_mul(u64::from(system.mem_unit));
        Ok(Self {
            required: config.isolation == Isolation::Required,
            python_candidates: candidates(
                "config.python",
                config.python.as_deref(),
                "E2B_PYTHON",
                &["/usr/bin/python3"],
                &["python3", "python"],
            )?,
            node_candidates: candidates(
                "config.node",
                config.node.as_deref(),
                "E2B_NODE",
                &["/usr/bin/node", "/usr/bin/nodejs"],
                &["node", "nodejs"],
            )?,
            host_cpus: sys::online_processors(),
            host_memory_mb: u32::try_from(bytes >> 20).unwrap_or(u32::MAX),
        })
    }

    /// Makes the directory of owner records, if it is not there, and checks that nobody else can write to it.
    ///
    /// # Errors
    /// `UNAVAILABLE` naming the directory and what is wrong with it.
    pub(crate) fn prepare_runtime_directory(&self) -> Result<String> {
        let user = rustix::process::geteuid();
        let mut places = Vec::new();
        if user.is_root() {
            places.push(PathBuf::from("/run/e2bridge"));
        } else if let Some(directory) = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)
            && directory.is_absolute()
        {
            places.push(directory.join("e2bridge"));
        }
        places.push(PathBuf::from(format!("/tmp/e2bridge-{}", user.as_raw())));
        let mut first = None;
        for place in places {
            match prepare(&place) {
                Ok(()) => match place.into_os_string().into_string() {
                    Ok(place) => return Ok(place),
                    Err(_) => continue,
                },
                Err(problem) => first = first.or(Some((place, problem))),
            }
        }
        let (place, problem) = first.unwrap_or_default();
        Err(Error::new(Code::Unavailable, format!("runtime directory {}: {problem}", place.display())))
    }
}

fn prepare(place: &Path) -> std::result::Result<(), String> {
    let call = |name: &'static str| move |error: Errno| format!("{name}: {error}");
    match rustix::fs::mkdir(place, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(call("mkdir")(error)),
    }
    // No link is followed, and what is checked is what was opened.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(place, flags, Mode::empty()).map_err(call("open"))?;
    let found = rustix::fs::fstat(directory.as_fd()).map_err(call("fstat"))?;
    if found.st_uid != rustix::process::geteuid().as_raw() {
        return Err(format!("it belongs to user {}, not to the one who runs this", found.st_uid));
    }
    if found.st_mode & 0o077 != 0 {
        rustix::fs::fchmod(directory.as_fd(), Mode::RWXU).map_err(call("fchmod"))?;
    }
    Ok(())
}

/// Interpreters to try, in order. One that was named is the only one: another in its place would be a surprise.
fn candidates(
    key: &str,
    configured: Option<&Path>,
    variable: &str,
    system: &[&str],
    names: &[&str],
) -> Result<Vec<String>> {
    if let Some(path) = configured {
        return match path.to_str() {
            Some(text) if path.is_absolute() => Ok(vec![text.to_owned()]),
            _ => Err(Error::invalid(key, "must be an absolute path in UTF-8")),
        };
    }
    if let Some(path) = env::var_os(variable).filter(|path| !path.is_empty()) {
        return match path.into_string() {
            Ok(text) if text.starts_with('/') => Ok(vec![text]),
            _ => {
                Err(Error::invalid(key, format!("the variable {variable} must be an absolute path in UTF-8")))
            }
        };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .flat_map(|directory| names.iter().map(move |name| directory.join(name)).collect::<Vec<_>>())
        .filter_map(|candidate| candidate.into_os_string().into_string().ok());
    let mut seen = HashSet::new();
    Ok(system
        .iter()
        .map(|path| (*path).to_owned())
        .chain(on_path)
        .filter(|candidate| seen.insert(candidate.clone()) && Path::new(candidate).is_file())
        .collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_named_interpreter_is_the_only_one_and_must_be_absolute() {
        let config = Config { python: Some("/opt/python".into()), ..Config::default() };
        assert_eq!(Settings::new(&config).unwrap().python_candidates, ["/opt/python"]);
        let config = Config { node: Some("node".into()), ..Config::default() };
        assert_eq!(Settings::new(&config).unwrap_err().argument(), Some("config.node"));
    }

    #[test]
    fn sizes_outside_their_range_are_refused() {
        for config in [
            Config { pool_base: Some(65), ..Config::default() },
            Config { pool_node: Some(65), ..Config::default() },
            Config { disk_mb: Some(0), ..Config::default() },
        ] {
            assert_eq!(Settings::new(&config).unwrap_err().code(), Code::InvalidArgument);
        }
    }

    #[test]
    fn the_host_has_a_processor_and_memory() {
        let settings = Settings::new(&Config::default()).unwrap();
        assert!(settings.host_cpus >= 1);
        assert!(settings.host_memory_mb >= 64, "{}", settings.host_memory_mb);
    }

    #[test]
    fn a_runtime_directory_is_closed_to_others_and_never_a_link() {
        let parent = tempfile::tempdir().unwrap();
        let place = parent.path().join("e2bridge");
        prepare(&place).unwrap();
        prepare(&place).unwrap();
        std::fs::set_permissions(&place, PermissionsExt::from_mode(0o755)).unwrap();
        prepare(&place).unwrap();
        assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o700);
        let link = parent.path().join("link");
        symlink(&place, &link).unwrap();
        assert!(prepare(&link).is_err());
        let file = parent.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(prepare(&file).is_err());
    }
}
