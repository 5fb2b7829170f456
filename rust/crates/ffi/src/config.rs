//! The configuration of a client, parsed strictly: an unknown key or a wrong type is refused by name.

use std::path::PathBuf;

use e2bridge_core::request::{kind, member, parse_object, quote};
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
            &member("config", unknown),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn argument(text: &str) -> String {
        parse_with(Some(text), None).unwrap_err().argument().unwrap_or_default().to_owned()
    }

    #[test]
    fn absent_empty_and_null_are_the_defaults() {
        let default = Config { backend: BackendKind::Local, local: LocalConfig::default() };
        let nulls: Map<String, Value> = KEYS.iter().map(|key| ((*key).to_owned(), Value::Null)).collect();
        let nulls = Value::Object(nulls).to_string();
        for text in [None, Some("{}"), Some(nulls.as_str())] {
            assert_eq!(parse_with(text, None).unwrap(), default, "{text:?}");
        }
        assert_eq!(default.local.isolation, Isolation::Required);
    }

    #[test]
    fn every_key_is_read() {
        let text = json!({
            "backend": "local", "isolation": "best_effort", "data_directory": "/d", "python": "/p", "node": "/n",
            "pool_base": 0, "pool_python": 1, "pool_node": 64, "disk_mb": 9,
        });
        assert_eq!(text.as_object().unwrap().len(), KEYS.len());
        let config = parse_with(Some(&text.to_string()), Some("cloud")).unwrap();
        assert_eq!(config.backend, BackendKind::Local, "the configuration wins over the environment");
        assert_eq!(
            config.local,
            LocalConfig {
                isolation: Isolation::BestEffort,
                data_directory: Some("/d".into()),
                python: Some("/p".into()),
                node: Some("/n".into()),
                pool_base: Some(0),
                pool_python: Some(1),
                pool_node: Some(64),
                disk_mb: Some(9),
            }
        );
        for key in KEYS {
            assert_eq!(argument(&json!({key: {}}).to_string()), format!("config.{key}"));
        }
    }

    #[test]
    fn the_environment_decides_only_what_the_configuration_leaves_open() {
        assert_eq!(parse_with(None, Some("cloud")).unwrap().backend, BackendKind::Cloud);
        assert_eq!(parse_with(Some("{}"), Some("")).unwrap().backend, BackendKind::Local);
        assert_eq!(parse_with(None, Some("Cloud")).unwrap_err().argument(), Some("E2B_BACKEND"));
        assert_eq!(
            parse_with(Some(r#"{"backend":"local"}"#), Some("nonsense")).unwrap().backend,
            BackendKind::Local
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("", "config"),
            ("null", "config"),
            ("[]", "config"),
            (r#"{"backend":"local"} x"#, "config"),
            (r#"{"Backend":"local"}"#, "config.Backend"),
            (r#"{"":1}"#, "config."),
            (r#"{"backend":"Local"}"#, "config.backend"),
            (r#"{"isolation":"none"}"#, "config.isolation"),
            (r#"{"python":""}"#, "config.python"),
            (r#"{"node":"a\u0000b"}"#, "config.node"),
            (r#"{"pool_base":65}"#, "config.pool_base"),
            (r#"{"pool_python":-1}"#, "config.pool_python"),
            (r#"{"pool_node":1.5}"#, "config.pool_node"),
            (r#"{"pool_node":"1"}"#, "config.pool_node"),
            (r#"{"disk_mb":0}"#, "config.disk_mb"),
            (r#"{"disk_mb":4294967296}"#, "config.disk_mb"),
        ] {
            assert_eq!(argument(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_configuration_or_an_invalid_argument(text in "\\PC{0,80}", key in "[a-z_]{0,12}", value in any::<i64>()) {
            for text in [text.clone(), json!({key.as_str(): text}).to_string(), json!({key.as_str(): value}).to_string()] {
                if let Err(error) = parse_with(Some(&text), None) {
                    prop_assert_eq!(error.code(), Code::InvalidArgument);
                    prop_assert!(error.argument().is_some_and(|argument| argument.starts_with("config")));
                }
            }
        }
    }
}
