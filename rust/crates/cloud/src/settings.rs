//! The settings of a client: what was configured, then the environment, then the defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use e2bridge_core::request::{BuiltinTemplate, quote};
use e2bridge_core::{Code, Error, Result};

use crate::http::proxy::Proxies;
use crate::http::url::{Url, is_host};
use crate::secret::Secret;

/// Domain of E2B's own cloud.
const DEFAULT_DOMAIN: &str = "e2b.app";
/// Domains at which sandboxes are also reached by one common name.
const SHARED_NAME_DOMAINS: [&str; 4] = ["e2b.app", "e2b.dev", "e2b.pro", "e2b-staging.dev"];
/// The template of E2B that has a shell, Python, Node.js and the code interpreter.
const DEFAULT_TEMPLATE: &str = "code-interpreter-v1";
/// Time for a connection when none is set.
const DEFAULT_CONNECT: u32 = 10;
/// Time for a request when none is set, as the official clients have it.
const DEFAULT_REQUEST: u32 = 60;
/// Longest pause in a stream when none is set: more than the 50 s at which a sandbox says that it is still there.
const DEFAULT_IDLE: u32 = 120;

/// What can be configured; what is absent comes from the environment or is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// API key; else `E2B_API_KEY`.
    pub api_key: Option<Secret>,
    /// Access token, sent as `Authorization: Bearer`; else `E2B_ACCESS_TOKEN`. A key or a token must be there.
    pub access_token: Option<Secret>,
    /// Domain of the cluster; else `E2B_DOMAIN`, else `e2b.app`.
    pub domain: Option<String>,
    /// Address of the API; else `E2B_API_URL`, else `https://api.<domain>`.
    pub api_url: Option<String>,
    /// One address for all sandboxes; else `E2B_SANDBOX_URL`, else a name of each sandbox's own below the domain.
    pub sandbox_url: Option<String>,
    /// PEM certificates that are trusted beside the platform's.
    pub ca_file: Option<PathBuf>,
    /// Names of the cluster's templates for `base`, `python` and `node`; default `code-interpreter-v1`.
    pub templates: BTreeMap<String, String>,
    /// Seconds for making a connection, 1 to 3,600; default 10.
    pub connect_timeout: Option<u32>,
    /// Seconds for a request and its answer, 1 to 3,600; default 60.
    pub request_timeout: Option<u32>,
    /// Longest pause between two bytes of a stream or a file in seconds, 1 to 3,600; default 120.
    pub idle_timeout: Option<u32>,
}

/// Settings that can be used.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) api_key: Option<Secret>,
    pub(crate) access_token: Option<Secret>,
    pub(crate) domain: String,
    pub(crate) api: Url,
    pub(crate) sandbox: Option<Url>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) templates: BTreeMap<String, String>,
    pub(crate) connect_time: Duration,
    pub(crate) request_time: Duration,
    pub(crate) idle_time: Duration,
    pub(crate) proxies: Proxies,
}

impl Settings {
    /// Those of `config` and of the environment, which `variable` reads.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` without a key and a token; `INVALID_ARGUMENT` naming `config.<key>` or the variable.
    pub(crate) fn new(config: Config, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let from = |given: Option<String>, key: &str, name: &str| match given {
            Some(text) => Some((format!("config.{key}"), text)),
            // An empty variable is how a shell says that there is none.
            None => variable(name).filter(|text| !text.is_empty()).map(|text| (name.to_owned(), text)),
        };
        let secret = |given: Option<Secret>, key: &str, name: &str| -> Result<Option<Secret>> {
            let found = from(given.map(|secret| secret.expose().to_owned()), key, name);
            found.map(|(argument, text)| header_secret(&argument, text)).transpose()
        };
        let api_key = secret(config.api_key, "api_key", "E2B_API_KEY")?;
        let access_token = secret(config.access_token, "access_token", "E2B_ACCESS_TOKEN")?;
        if api_key.is_none() && access_token.is_none() {
            return Err(Error::new(
                Code::Unauthenticated,
                "the cloud needs a key: set config.api_key or the variable E2B_API_KEY",
            )
            .about("config.api_key"));
        }
        let domain = match from(config.domain, "domain", "E2B_DOMAIN") {
            None => DEFAULT_DOMAIN.to_owned(),
            Some((argument, text)) => {
                if !is_host(&text) {
                    let rule = format!("must be a domain such as {DEFAULT_DOMAIN}, got {}", quote(&text));
                    return Err(Error::invalid(&argument, rule));
                }
                text.to_ascii_lowercase()
            }
        };
        let api = match from(config.api_url, "api_url", "E2B_API_URL") {
            Some((argument, text)) => Url::parse(&argument, &text)?,
            None => Url::parse("config.domain", &format!("https://api.{domain}"))?,
        };
        let sandbox = from(config.sandbox_url, "sandbox_url", "E2B_SANDBOX_URL")
            .map(|(argument, text)| Url::parse(&argument, &text))
            .transpose()?;
        let time =
            |seconds: Option<u32>, default: u32| Duration::from_secs(u64::from(seconds.unwrap_or(default)));
        Ok(Self {
            api_key,
            access_token,
            domain,
            api,
            sandbox,
            ca_file: config.ca_file,
            templates: config.templates,
            connect_time: time(config.connect_timeout, DEFAULT_CONNECT),
            request_time: time(config.request_timeout, DEFAULT_REQUEST),
            idle_time: time(config.idle_timeout, DEFAULT_IDLE),
            proxies: Proxies::from_variables(variable)?,
        })
    }

    /// The cluster's name for a built-in template.
    pub(crate) fn template(&self, template: BuiltinTemplate) -> &str {
        self.templates.get(template.name()).map_or(DEFAULT_TEMPLATE, String::as_str)
    }

    /// The address of a port of a sandbox. `domain` is what the cluster said of this sandbox. The daemon's port is also reached by
    /// a name common to all sandboxes; the headers say which is meant.
    pub(crate) fn sandbox_address(&self, raw_id: &str, port: u16, domain: Option<&str>) -> Result<Url> {
        if let Some(url) = &self.sandbox {
            return Ok(url.clone());
        }
        let domain = domain.filter(|domain| is_host(domain)).unwrap_or(&self.domain);
        let host = if port == crate::envd::PORT && SHARED_NAME_DOMAINS.contains(&domain) {
            format!("sandbox.{domain}")
        } else {
            format!("{port}-{raw_id}.{domain}")
        };
        Url::parse("config.domain", &format!("https://{host}"))
    }
}

/// A secret that fits into a header.
fn header_secret(argument: &str, text: String) -> Result<Secret> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        // Never what was given.
        return Err(Error::invalid(argument, "must be printable ASCII characters without spaces"));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(config: Config, variables: &[(&str, &str)]) -> Result<Settings> {
        Settings::new(config, &|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn with_key() -> Config {
        Config { api_key: Some(Secret::new("e2b_key")), ..Config::default() }
    }

    #[test]
    fn the_configuration_wins_over_the_environment_and_that_over_the_defaults() {
        let found = settings(with_key(), &[]).unwrap();
        assert_eq!(found.api.text(), "https://api.e2b.app");
        assert_eq!(found.template(BuiltinTemplate::Node), "code-interpreter-v1");
        assert_eq!((found.request_time.as_secs(), found.idle_time.as_secs()), (60, 120));
        let variables = [
            ("E2B_API_KEY", "env_key"),
            ("E2B_ACCESS_TOKEN", "env_token"),
            ("E2B_DOMAIN", "Cluster.Example"),
            ("E2B_API_URL", ""),
            ("E2B_SANDBOX_URL", "http://127.0.0.1:4"),
        ];
        let found = settings(Config::default(), &variables).unwrap();
        assert_eq!(found.api.text(), "https://api.cluster.example");
        assert_eq!(found.api_key.as_ref().map(Secret::expose), Some("env_key"));
        assert_eq!(found.access_token.as_ref().map(Secret::expose), Some("env_token"));
        let config = Config {
            domain: Some("mine.test".to_owned()),
            api_url: Some("http://localhost:3000/".to_owned()),
            request_timeout: Some(5),
            ..with_key()
        };
        let found = settings(config, &variables).unwrap();
        assert_eq!(
            (found.api.text().as_str(), found.domain.as_str()),
            ("http://localhost:3000", "mine.test")
        );
        assert_eq!(found.api_key.as_ref().map(Secret::expose), Some("e2b_key"));
        assert_eq!(found.request_time.as_secs(), 5);
    }

    #[test]
    fn a_sandbox_is_reached_as_the_official_clients_reach_it() {
        let of = |config: Config, port, domain| {
            settings(config, &[]).unwrap().sandbox_address("iabc", port, domain).unwrap().text()
        };
        assert_eq!(of(with_key(), 49983, None), "https://sandbox.e2b.app");
        assert_eq!(of(with_key(), 49999, None), "https://49999-iabc.e2b.app");
        assert_eq!(of(with_key(), 49983, Some("own.example")), "https://49983-iabc.own.example");
        assert_eq!(of(with_key(), 49983, Some("e2b.dev")), "https://sandbox.e2b.dev");
        let all = Config { sandbox_url: Some("http://127.0.0.1:7".to_owned()), ..with_key() };
        assert_eq!(of(all.clone(), 49983, Some("own.example")), "http://127.0.0.1:7");
        assert_eq!(of(all, 49999, None), "http://127.0.0.1:7");
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_repeated() {
        let error = settings(Config::default(), &[("E2B_API_KEY", "")]).unwrap_err();
        assert_eq!((error.code(), error.argument()), (Code::Unauthenticated, Some("config.api_key")));
        let error = settings(Config::default(), &[("E2B_API_KEY", "hunter2\r\nX: y")]).unwrap_err();
        assert_eq!(error.argument(), Some("E2B_API_KEY"));
        assert!(!format!("{error:?} {error}").contains("hunter2"));
        let error = settings(Config { domain: Some("a/b".to_owned()), ..with_key() }, &[]).unwrap_err();
        assert_eq!(error.argument(), Some("config.domain"));
        let error = settings(with_key(), &[("E2B_API_URL", "x")]).unwrap_err();
        assert_eq!(error.argument(), Some("E2B_API_URL"));
        let shown = format!("{:?}", settings(with_key(), &[("E2B_ACCESS_TOKEN", "tok_en")]).unwrap());
        assert!(!shown.contains("e2b_key") && !shown.contains("tok_en"), "{shown}");
    }
}
