//! The configuration of a client, parsed strictly: an unknown key or a wrong type is refused by name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use e2bridge_cloud::{Config as CloudConfig, Secret};
use e2bridge_core::request::{BuiltinTemplate, kind, member, parse_object, quote};
use e2bridge_core::{Code, Error, Result};
use e2bridge_local::{Config as LocalConfig, Isolation};
use serde_json::{Map, Value};

/// Most ready sandboxes of one template.
const MAX_POOL: u32 = 64;
/// Largest disk of a sandbox, MiB.
const MAX_DISK_MB: u32 = 16 * 1024 * 1024;
/// Chooses the backend when the configuration does not.
const BACKEND_VARIABLE: &str = "E2B_BACKEND";

/// Longest time-out of a request, seconds.
const MAX_REQUEST_SECONDS: u32 = 3_600;

const KEYS: [&str; 19] = [
    "backend",
    "isolation",
    "data_directory",
    "python",
    "node",
    "pool_base",
    "pool_python",
    "pool_node",
    "disk_mb",
    "api_key",
    "access_token",
    "domain",
    "api_url",
    "sandbox_url",
    "ca_file",
    "templates",
    "connect_timeout",
    "request_timeout",
    "idle_timeout",
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
    /// How, at a cluster.
    pub(crate) cloud: CloudConfig,
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
        cloud: cloud(&object)?,
    })
}

/// The keys of the cloud, which are checked on the local engine, too, and not used there.
fn cloud(object: &Map<String, Value>) -> Result<CloudConfig> {
    let text = |key: &str| -> Result<Option<String>> {
        match string(object, key)? {
            Some("") => Err(Error::invalid(&format!("config.{key}"), "must not be empty")),
            other => Ok(other.map(str::to_owned)),
        }
    };
    let time = |key: &str| number(object, key, 1, MAX_REQUEST_SECONDS);
    Ok(CloudConfig {
        api_key: text("api_key")?.map(Secret::new),
        access_token: text("access_token")?.map(Secret::new),
        domain: text("domain")?,
        api_url: text("api_url")?,
        sandbox_url: text("sandbox_url")?,
        ca_file: path(object, "ca_file")?,
        templates: templates(object)?,
        connect_timeout: time("connect_timeout")?,
        request_timeout: time("request_timeout")?,
        idle_timeout: time("idle_timeout")?,
    })
}

/// The cluster's names for built-in templates.
fn templates(object: &Map<String, Value>) -> Result<BTreeMap<String, String>> {
    let given = match present(object, "templates") {
        None => return Ok(BTreeMap::new()),
        Some(Value::Object(given)) => given,
        Some(other) => {
            return Err(Error::invalid(
                "config.templates",
                format!("must be an object, got {}", kind(other)),
            ));
        }
    };
    given
        .iter()
        .map(|(name, value)| {
            let argument = member("config.templates", name);
            if BuiltinTemplate::from_name(name).is_none() {
                return Err(Error::invalid(&argument, "must be base, python or node"));
            }
            match value {
                Value::String(text)
                    if !text.is_empty()
                        && text.len() <= 256
                        && text.bytes().all(|b| b.is_ascii_graphic()) =>
                {
                    Ok((name.clone(), text.clone()))
                }
                Value::String(_) => {
                    Err(Error::invalid(&argument, "must be the name or id of a template of the cluster"))
                }
                other => Err(Error::invalid(&argument, format!("must be a string, got {}", kind(other)))),
            }
        })
        .collect()
}

/// Why a cluster has no host to check.
pub(crate) fn no_host() -> Error {
    Error::new(
        Code::Unsupported,
        "the cloud backend has no host to check: what isolates its sandboxes is the cluster's",
    )
    .about("config.backend")
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
        let default = Config {
            backend: BackendKind::Local,
            local: LocalConfig::default(),
            cloud: CloudConfig::default(),
        };
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
            "api_key": "k_secret", "access_token": "t_secret", "domain": "d", "api_url": "u", "sandbox_url": "s", "ca_file": "/c",
            "templates": {"python": "mine"}, "connect_timeout": 1, "request_timeout": 2, "idle_timeout": 3600,
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
        assert_eq!(
            config.cloud,
            CloudConfig {
                api_key: Some(Secret::new("k_secret")),
                access_token: Some(Secret::new("t_secret")),
                domain: Some("d".into()),
                api_url: Some("u".into()),
                sandbox_url: Some("s".into()),
                ca_file: Some("/c".into()),
                templates: [("python".into(), "mine".into())].into(),
                connect_timeout: Some(1),
                request_timeout: Some(2),
                idle_timeout: Some(3600),
            }
        );
        assert!(!format!("{config:?}").contains("_secret"), "{config:?}");
        for key in KEYS {
            assert_eq!(argument(&json!({key: [{}]}).to_string()), format!("config.{key}"));
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
            (r#"{"api_key":""}"#, "config.api_key"),
            (r#"{"api_key":7}"#, "config.api_key"),
            (r#"{"templates":{"ruby":"x"}}"#, "config.templates.ruby"),
            (r#"{"templates":{"node":""}}"#, "config.templates.node"),
            (r#"{"templates":{"node":"a b"}}"#, "config.templates.node"),
            (r#"{"templates":{"node":1}}"#, "config.templates.node"),
            (r#"{"connect_timeout":0}"#, "config.connect_timeout"),
            (r#"{"request_timeout":3601}"#, "config.request_timeout"),
            (r#"{"idle_timeout":1.5}"#, "config.idle_timeout"),
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
