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
                .split([',', ' '])
                .map(|entry| entry.trim().to_ascii_lowercase())
                .filter(|entry| !entry.is_empty())
                .collect(),
        })
    }

    /// What must not be shown of them: the passwords, as they are sent.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = Secret> {
        let sent = |proxy: &Proxy| {
            let secret = proxy.authorization.as_ref()?.expose();
            Some(Secret::new(secret.strip_prefix("Basic ").unwrap_or(secret)))
        };
        [self.https.as_ref(), self.http.as_ref()].into_iter().flatten().filter_map(sent)
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

/// `*`, a host with everything below it (`e2b.app`, `.e2b.app`, `*.e2b.app`), an address or a network of them (`10.0.0.0/8`); hosts
/// and addresses also with a port.
fn matches(entry: &str, url: &Url) -> bool {
    if entry == "*" || is_in_network(entry, &url.host) {
        return true;
    }
    let (entry, port) = match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse::<u16>() {
            Ok(port) => (host, Some(port)),
            Err(_) => return false,
        },
        _ => (entry, None),
    };
    let entry = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let name = entry.trim_start_matches("*.").trim_start_matches('.');
    let below = url.host.strip_suffix(name).is_some_and(|front| front.is_empty() || front.ends_with('.'));
    below && !name.is_empty() && port.is_none_or(|port| port == url.port)
}

/// Whether `host` is an address in the network `entry`, an address with the number of bits that count.
fn is_in_network(entry: &str, host: &str) -> bool {
    use std::net::IpAddr;
    let parsed = || {
        let (network, bits) = entry.split_once('/')?;
        Some((network.parse().ok()?, bits.parse::<u32>().ok()?, host.parse().ok()?))
    };
    match parsed() {
        Some((IpAddr::V4(network), bits @ 0..=32, IpAddr::V4(host))) => {
            (network.to_bits() ^ host.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
        }
        Some((IpAddr::V6(network), bits @ 0..=128, IpAddr::V6(host))) => {
            (network.to_bits() ^ host.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
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
    fn exceptions_can_be_addresses_and_networks_of_them() {
        let direct = |never: &str, text: &str| {
            proxies(&[("all_proxy", "p:1"), ("no_proxy", never)]).unwrap().of(&url(text)).is_none()
        };
        for (never, text) in [
            ("10.0.0.0/8", "http://10.200.3.4:3000"),
            ("a b,10.1.2.3", "http://10.1.2.3"),
            ("0.0.0.0/0", "http://192.0.2.1"),
            ("2001:db8::/32", "http://[2001:db8::7]"),
            ("2001:db8::7", "http://[2001:db8::7]:9"),
            ("[2001:db8::7]:9", "http://[2001:db8::7]:9"),
        ] {
            assert!(direct(never, text), "{never} {text}");
        }
        for (never, text) in [
            ("10.0.0.0/8", "http://11.0.0.1"),
            ("10.0.0.0/33", "http://10.0.0.1"),
            ("10.0.0.0/8", "http://ten.example"),
            ("[2001:db8::7]:9", "http://[2001:db8::7]:8"),
            ("10.1.2.3:x", "http://10.1.2.3"),
        ] {
            assert!(!direct(never, text), "{never} {text}");
        }
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
