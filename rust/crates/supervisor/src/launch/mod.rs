//! From an order to a confined process: the zygote's part, and that of its clone.

pub(crate) mod child;
pub(crate) mod networks;
pub(crate) mod parent;

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use e2bridge_init::WarmPython;
use rustix::fs::{Mode, OFlags};

use crate::message::{At, Step};
use crate::plan::{PLACES, SCRATCH, View};
use crate::zygote::root;

/// What every clone of a zygote needs, prepared once.
pub(crate) struct Prepared {
    places: Vec<PreparedPlace>,
    carried: Vec<PreparedCarried>,
    devices: Vec<PathBuf>,
    /// What this process holds warm.
    python: Option<WarmPython>,
}

struct PreparedPlace {
    /// Its directory, below the place where the writable file system is mounted first.
    source: CString,
    target: CString,
    mode: Mode,
}

struct PreparedCarried {
    kept: CString,
    target: CString,
    /// Directories above it, from the outermost.
    above: Vec<CString>,
    directory: bool,
}

impl Prepared {
    /// To be called in the zygote, in its finished root.
    ///
    /// # Errors
    /// A path of the view that the kernel cannot have.
    pub(crate) fn new(view: &View, python: Option<WarmPython>) -> Result<Self, Step> {
        let mut places = Vec::new();
        for place in PLACES {
            places.push(PreparedPlace {
                source: c_path(&Path::new(SCRATCH).join(place.name))?,
                target: c_path(Path::new(place.path))?,
                mode: Mode::from_raw_mode(place.mode),
            });
        }
        let mut carried = Vec::new();
        for item in &view.carried {
            let place = Path::new(item.place.path);
            let mut above: Vec<_> = item.below.ancestors().skip(1).collect();
            above.reverse();
            carried.push(PreparedCarried {
                kept: c_path(&item.kept)?,
                target: c_path(&place.join(&item.below))?,
                above: above
                    .into_iter()
                    .filter(|path| !path.as_os_str().is_empty())
                    .map(|path| c_path(&place.join(path)))
                    .collect::<Result<_, _>>()?,
                directory: item.directory,
            });
        }
        Ok(Self { places, carried, devices: root::device_paths().collect(), python })
    }
}

fn c_path(path: &Path) -> Result<CString, Step> {
    CString::new(path.as_os_str().as_bytes()).map_err(|error| Step::refused("prepare path", error))
}

/// For messages.
fn shown(path: &CStr) -> std::borrow::Cow<'_, str> {
    path.to_string_lossy()
}

/// Writes to a file of the kernel, and keeps it open.
fn write(path: &str, value: &str) -> Result<OwnedFd, Step> {
    let about = || format!("{value} to {path}");
    let file =
        rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).about("write", about())?;
    rustix::io::write(&file, value.as_bytes()).about("write", about())?;
    Ok(file)
}

/// Bounds what the user namespace of this process may have of inotify.
///
/// # Errors
/// Names the file.
pub(crate) fn limit_watches(what: &str, most: u64) -> Result<(), Step> {
    match write(&format!("/proc/sys/user/max_inotify_{what}"), &most.to_string()) {
        // Before Linux 5.13 watches have no such file: they are bounded for the user alone.
        Err(step) if step.errno == libc::ENOENT => Ok(()),
        other => other.map(drop),
    }
}
