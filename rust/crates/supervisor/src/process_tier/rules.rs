//! The Landlock rules of this tier.

use std::os::fd::OwnedFd;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::Prepared;
use crate::launch::child::{TRIED_LANDLOCK_ABI, ZERO};
use crate::message::Step;
use crate::plan::PLACES;

/// Name of the step in messages.
pub(crate) const STAGE: &str = "landlock scope";

/// What of `/proc` is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proc {
    /// Its files can be read and written, as far as the user id goes: for one file of init's own.
    Write,
    /// Its files can be read: init looks for the processes of the sandbox.
    Read,
    /// Nothing: of processes with the same user id it would show the environment.
    Closed,
}

/// Rules for a sandbox whose files are in `directory`. With `no_shared_zero`, `/dev/zero` cannot be written to: a shared mapping of it is
/// memory that no limit of a process counts.
fn rules(
    prepared: &Prepared,
    directory: &Path,
    proc: Proc,
    no_shared_zero: bool,
) -> Result<RulesetCreated, Step> {
    let refused = |error: &dyn std::fmt::Display| Step::refused(STAGE, error);
    let file = AccessFs::from_file(TRIED_LANDLOCK_ABI);
    let read = AccessFs::from_read(TRIED_LANDLOCK_ABI);
    let all = AccessFs::from_all(TRIED_LANDLOCK_ABI);
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    let mut rules: Vec<(&Path, BitFlags<AccessFs>)> = Vec::new();
    for path in &prepared.readable {
        rules.push((path, if path.is_dir() { read } else { read & file }));
    }
    rules.extend(prepared.devices.iter().map(|path| {
        let shared = no_shared_zero && path.as_os_str() == ZERO;
        (&**path, if shared { device & !AccessFs::WriteFile } else { device })
    }));
    match proc {
        Proc::Write => rules.push((Path::new("/proc"), read | AccessFs::WriteFile)),
        Proc::Read => rules.push((Path::new("/proc"), read)),
        Proc::Closed => {}
    }
    // Who removes the files may change everything there; programs may in the writable places only.
    rules.push((directory, if proc == Proc::Closed { read } else { all }));
    let places = PLACES.map(|place| directory.join(&place.path[1..]));
    if proc == Proc::Closed {
        rules.extend(places.iter().map(|path| (&**path, all)));
    }
    let create = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .scope(Scope::from_all(ABI::V6))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)?
            .create()
    };
    let mut ruleset = create().map_err(|error| refused(&error))?;
    for (path, access) in rules {
        // What is not there, or cannot be reached, needs no rule.
        let Ok(path) = PathFd::new(path) else { continue };
        ruleset = ruleset.add_rule(PathBeneath::new(path, access)).map_err(|error| refused(&error))?;
    }
    Ok(ruleset)
}

/// Puts this process under the rules. Returns the ABI in force.
///
/// # Errors
/// The kernel lacks what this tier needs, or refuses it.
pub(super) fn restrict_self(prepared: &Prepared, directory: &Path, proc: Proc) -> Result<u32, Step> {
    let refused = |error: &dyn std::fmt::Display| Step::refused(STAGE, error);
    let status = rules(prepared, directory, proc, false)?.restrict_self().map_err(|error| refused(&error))?;
    match (status.landlock, status.ruleset) {
        (_, RulesetStatus::NotEnforced) => Err(refused(&"not enforced")),
        (landlock::LandlockStatus::Available { effective_abi, .. }, _) => {
            Ok(u32::try_from((effective_abi as i32).min(TRIED_LANDLOCK_ABI as i32)).unwrap_or(0))
        }
        _ => Err(refused(&"not available")),
    }
}

/// The rules of programs.
///
/// # Errors
/// As [`restrict_self`].
pub(super) fn for_programs(
    prepared: &Prepared,
    directory: &Path,
    no_shared_zero: bool,
) -> Result<OwnedFd, Step> {
    let ruleset: Option<OwnedFd> = rules(prepared, directory, Proc::Closed, no_shared_zero)?.into();
    ruleset.ok_or_else(|| Step::refused(STAGE, "not available"))
}
