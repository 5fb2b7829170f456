//! Which proxy a request goes through, by the variables that everybody else reads: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`,
//! `NO_PROXY`, in lower case too, the lower case first.

use base64::Engine as _;
use e2bridge_core::{Code, Error, Result};

use super::url::Url;
use crate::secret::Secret;

/// A proxy: an HTTP server that opens tunnels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// Where.
    pub(crate) url: Url,
    /// Value of `Proxy-Authorization`.
    pub(crate) authorization: Option<Secret>,
}

/// The proxies in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    https: Option<Proxy>,
    http: Option<Proxy>,
    never: Vec<String>,
}

impl Proxies {
    /// Those of the environment, which `variable` reads.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming the variable; `UNSUPPORTED` for a proxy that is not spoken to in plain HTTP.
    pub(crate) fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                variable(name).filter(|value| !value.trim().is_empty()).map(|value| (*name, value))
            })
        };
        let proxy = |names: &[&'static str]| match first(names) {
            Some((name, value)) => parse(name, value.trim()).map(Some),
            None => Ok(None),
        };
        let never = first(&["no_proxy", "NO_PROXY"]).map(|(_, value)| value).unwrap_or_default();
        Ok(Self {
            https: proxy(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?,
            http: proxy(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])?,
            never: never
                .split(',')
                .map(|entry| entry.trim().to_ascii_lowercase())
                .filter(|entry| !entry.is_empty())
                .collect(),
        })
    }

    /// The proxy for `url`; loopback never has one.
    pub(crate) fn of(&self, url: &Url) -> Option<&Proxy> {
        let proxy = if url.https { self.https.as_ref() } else { self.http.as_ref() }?;
        (!is_loopback(&url.host) && !self.never.iter().any(|entry| matches(entry, url))).then_some(proxy)
    }
}

fn parse(name: &'static str, text: &str) -> Result<Proxy> {
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let Some(rest) = text.strip_prefix("http://") else {
        return Err(Error::new(
            Code::Unsupported,
            format!("{name}: only proxies that are spoken to in plain HTTP (http://host:port) are supported"),
        )
        .about(name));
    };
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, rest),
    };
    let url = Url::parse(name, &format!("http://{host}"))?;
    let authorization = user.map(|user| {
        let plain = unescape(user);
        Secret::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain)))
    });
    Ok(Proxy { url, authorization })
}

fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    plain
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `*`, a host with everything below it (`e2b.app`, `.e2b.app`, `*.e2b.app`), or one with a port.
fn matches(entry: &str, url: &Url) -> bool {
    if entry == "*" {
        return true;
    }
    let (entry, port) = match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse::<u16>().ok()),
        _ => (entry, None),
    };
    let name = entry.trim_start_matches("*.").trim_start_matches('.');
    let below = url.host.strip_suffix(name).is_some_and(|front| front.is_empty() || front.ends_with('.'));
    below && !name.is_empty() && port.is_none_or(|port| port == url.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies> {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Proxies::from_variables(&|name| {
            variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
        })
    }

    fn url(text: &str) -> Url {
        Url::parse("url", text).unwrap()
    }

    #[test]
    fn the_variables_choose_by_scheme_and_the_exceptions_win() {
        let found = proxies(&[
            ("HTTPS_PROXY", "http://u%40x:p%3Aw@proxy.local:3128"),
            ("HTTP_PROXY", "plain:8080"),
            ("NO_PROXY", "internal, .example.com,*.other.org, exact.host:8443"),
        ])
        .unwrap();
        let through = |text: &str| found.of(&url(text)).map(|proxy| proxy.url.host_and_port());
        assert_eq!(through("https://api.e2b.app").as_deref(), Some("proxy.local:3128"));
        assert_eq!(through("http://api.e2b.app").as_deref(), Some("plain:8080"));
        for direct in [
            "https://internal",
            "https://a.internal",
            "https://a.example.com",
            "https://example.com",
            "https://x.other.org",
            "https://exact.host:8443",
            "https://localhost:1",
            "http://127.0.0.1:5",
            "https://[::1]",
        ] {
            assert_eq!(through(direct), None, "{direct}");
        }
        assert!(through("https://notinternal").is_some() && through("https://exact.host").is_some());
        let authorization = found.of(&url("https://a")).unwrap().authorization.as_ref().unwrap();
        assert_eq!(authorization.expose(), "Basic dUB4OnA6dw==");
        assert!(!format!("{found:?}").contains("dUB4"), "{found:?}");
    }

    #[test]
    fn everything_can_be_excepted_and_a_proxy_can_be_wrong() {
        let found = proxies(&[("all_proxy", "p:1"), ("no_proxy", "*")]).unwrap();
        assert!(found.of(&url("https://a")).is_none());
        assert_eq!(proxies(&[("HTTPS_PROXY", "socks5://a:1")]).unwrap_err().code(), Code::Unsupported);
        let error = proxies(&[("HTTPS_PROXY", "http://u:hunter2@a:0")]).unwrap_err();
        assert_eq!(error.argument(), Some("HTTPS_PROXY"));
        assert!(!error.to_string().contains("hunter2"));
    }
}
