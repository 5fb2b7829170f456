//! Base addresses, and what goes into a target.

use std::fmt::Write as _;

use e2bridge_core::request::quote;
use e2bridge_core::{Error, Result};

/// A base address: `http[s]://host[:port][/path]`, nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Url {
    /// TLS.
    pub(crate) https: bool,
    /// Lower case; an IPv6 address without its brackets.
    pub(crate) host: String,
    /// Given, or the scheme's.
    pub(crate) port: u16,
    /// Empty, or beginning with a slash and not ending with one.
    pub(crate) path: String,
}

impl Url {
    /// Reads an address.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming `argument`. What is refused for a user or password is not repeated.
    pub(crate) fn parse(argument: &str, text: &str) -> Result<Self> {
        let wrong = |rule: &str| {
            let shown = if text.contains('@') { "an address with '@'".to_owned() } else { quote(text) };
            Error::invalid(argument, format!("{rule}, got {shown}"))
        };
        let (https, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            _ => return Err(wrong("must begin with https:// or http://")),
        };
        if rest.contains(['@', '?', '#', '\\']) || !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong("must be http[s]://host[:port][/path] without user, query and fragment"));
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = if let Some(inner) = authority.strip_prefix('[') {
            let (host, after) =
                inner.split_once(']').ok_or_else(|| wrong("has an unfinished IPv6 address"))?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(wrong("has no IPv6 address in its brackets"));
            }
            (host, if after.is_empty() { None } else { after.strip_prefix(':').or(Some("?")) })
        } else {
            match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            }
        };
        let port = match port {
            None => {
                if https {
                    443
                } else {
                    80
                }
            }
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| wrong("must have a port between 1 and 65535"))?,
        };
        if !is_host(host) {
            return Err(wrong("must have a host name or address"));
        }
        Ok(Self { https, host: host.to_ascii_lowercase(), port, path: path.trim_end_matches('/').to_owned() })
    }

    /// What the header `Host` says.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.https { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }

    /// Host and port, always both, as a `CONNECT` has them.
    pub(crate) fn host_and_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The whole address.
    pub(crate) fn text(&self) -> String {
        format!("http{}://{}{}", if self.https { "s" } else { "" }, self.authority(), self.path)
    }
}

/// True for a host name or an address.
pub(crate) fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && (host.parse::<std::net::Ipv6Addr>().is_ok()
            || host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)))
}

/// `text` for a path segment or a query: everything but unreserved characters escaped.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// `?a=b&c=d` of the pairs that have a value; empty without one.
pub(crate) fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        if let Some(value) = value {
            text.push(if text.is_empty() { '?' } else { '&' });
            text.push_str(key);
            text.push('=');
            text.push_str(&escape(value));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_strictly() {
        let parsed = |text: &str| Url::parse("config.api_url", text);
        for (text, authority, path) in [
            ("https://api.e2b.app", "api.e2b.app", ""),
            ("https://api.e2b.app/", "api.e2b.app", ""),
            ("HTTP://LocalHost:3000/a/b/", "localhost:3000", "/a/b"),
            ("http://127.0.0.1:80", "127.0.0.1", ""),
            ("https://[::1]:8443/x", "[::1]:8443", "/x"),
            ("http://[::1]", "[::1]", ""),
        ] {
            let url = parsed(text).unwrap();
            assert_eq!((url.authority().as_str(), url.path.as_str()), (authority, path), "{text}");
        }
        for text in [
            "",
            "api.e2b.app",
            "ftp://a",
            "https://",
            "https:///x",
            "https://a:0",
            "https://a:65536",
            "https://a:",
            "https://a b",
            "https://a?x",
            "https://a#x",
            "https://[::1",
            "https://[x]",
            "https://[::1]x",
            "https://ä",
            "https://a\r\nX: y",
        ] {
            let error = parsed(text).unwrap_err();
            assert_eq!(error.argument(), Some("config.api_url"), "{text}");
        }
        let error = parsed("https://user:hunter2@a").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn everything_that_could_end_a_segment_is_escaped() {
        assert_eq!(escape("a b/c?d&e=é%"), "a%20b%2Fc%3Fd%26e%3D%C3%A9%25");
        assert_eq!(query(&[("a", None), ("b", Some("1 2")), ("c", Some(""))]), "?b=1%202&c=");
    }
}
