//! The configuration of a client, parsed strictly: an unknown key or a wrong type is refused by name.

use std::path::PathBuf;

use e2bridge_core::request::{kind, parse_object, quote};
use e2bridge_core::{Code, Error, Result};
use e2bridge_local::{Config as LocalConfig, Isolation};
use serde_json::{Map, Value};

/// Most ready sandboxes of one template.
const MAX_POOL: u32 = 64;
/// Largest disk of a sandbox, MiB.
const MAX_DISK_MB: u32 = 16 * 1024 * 1024;
/// Chooses the backend when the configuration does not.
const BACKEND_VARIABLE: &str = "E2B_BACKEND";

const KEYS: [&str; 9] = [
    "backend",
    "isolation",
    "data_directory",
    "python",
    "node",
    "pool_base",
    "pool_python",
    "pool_node",
    "disk_mb",
];

/// Where the sandboxes of a client run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackendKind {
    /// On this machine.
    Local,
    /// At a cluster.
    Cloud,
}

/// A checked configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Where.
    pub(crate) backend: BackendKind,
    /// How, on this machine.
    pub(crate) local: LocalConfig,
}

/// The configuration in `text` (absent: all defaults), the environment included.
///
/// # Errors
/// `INVALID_ARGUMENT` naming `config` or `config.<key>`, or the variable.
pub(crate) fn parse(text: Option<&str>) -> Result<Config> {
    parse_with(
        text,
        std::env::var_os(BACKEND_VARIABLE).map(|value| value.to_string_lossy().into_owned()).as_deref(),
    )
}

fn parse_with(text: Option<&str>, variable: Option<&str>) -> Result<Config> {
    let object = parse_object("config", text)?.unwrap_or_default();
    if let Some(unknown) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(Error::invalid(
            &format!("config.{unknown}"),
            format!("unknown key; known are {}", KEYS.join(", ")),
        ));
    }
    let backend = match string(&object, "backend")? {
        Some(word) => backend("config.backend", word)?,
        // An empty variable is how a shell says that there is none.
        None => match variable.filter(|word| !word.is_empty()) {
            Some(word) => backend(BACKEND_VARIABLE, word)?,
            None => BackendKind::Local,
        },
    };
    let isolation = match string(&object, "isolation")? {
        None | Some("required") => Isolation::Required,
        Some("best_effort") => Isolation::BestEffort,
        Some(other) => {
            return Err(Error::invalid(
                "config.isolation",
                format!("must be required or best_effort, got {}", quote(other)),
            ));
        }
    };
    Ok(Config {
        backend,
        local: LocalConfig {
            isolation,
            data_directory: path(&object, "data_directory")?,
            python: path(&object, "python")?,
            node: path(&object, "node")?,
            pool_base: number(&object, "pool_base", 0, MAX_POOL)?,
            pool_python: number(&object, "pool_python", 0, MAX_POOL)?,
            pool_node: number(&object, "pool_node", 0, MAX_POOL)?,
            disk_mb: number(&object, "disk_mb", 1, MAX_DISK_MB)?,
        },
    })
}

/// Why a client of the cloud cannot be opened.
pub(crate) fn no_cloud() -> Error {
    Error::new(Code::Unsupported, "the cloud backend is not in this build").about("config.backend")
}

/// The word for an isolation mode in documents.
pub(crate) fn isolation_word(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Required => "required",
        Isolation::BestEffort => "best_effort",
    }
}

fn backend(argument: &str, word: &str) -> Result<BackendKind> {
    match word {
        "local" => Ok(BackendKind::Local),
        "cloud" => Ok(BackendKind::Cloud),
        other => Err(Error::invalid(argument, format!("must be local or cloud, got {}", quote(other)))),
    }
}

/// The value at `key`; JSON null is absent.
fn present<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|value| !value.is_null())
}

fn string<'a>(object: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>> {
    match present(object, key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => {
            Err(Error::invalid(&format!("config.{key}"), format!("must be a string, got {}", kind(other))))
        }
    }
}

fn path(object: &Map<String, Value>, key: &str) -> Result<Option<PathBuf>> {
    let Some(text) = string(object, key)? else { return Ok(None) };
    if text.is_empty() || text.contains('\0') {
        return Err(Error::invalid(&format!("config.{key}"), "must be a path: not empty, without NUL"));
    }
    Ok(Some(PathBuf::from(text)))
}

fn number(object: &Map<String, Value>, key: &str, least: u32, most: u32) -> Result<Option<u32>> {
    let Some(value) = present(object, key) else { return Ok(None) };
    let argument = format!("config.{key}");
    let Value::Number(given) = value else {
        return Err(Error::invalid(&argument, format!("must be a whole number, got {}", kind(value))));
    };
    given
        .as_u64()
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| (least..=most).contains(number))
        .map(Some)
        .ok_or_else(|| {
            Error::invalid(
                &argument,
                format!("must be a whole number between {least} and {most}, got {given}"),
            )
        })
}
