//! Keys and tokens: what must appear in a header and nowhere else.

use std::fmt;

/// What stands for a secret.
const HIDDEN: &str = "***";

/// A key or a token. Neither `Debug` nor anything else shows it but [`Secret::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for a header.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// `text` with every occurrence of the secret hidden.
    pub(crate) fn scrub(&self, text: &str) -> String {
        // Shorter ones hide by chance what is none, and no key is that short.
        if self.0.len() < 4 { text.to_owned() } else { text.replace(&self.0, HIDDEN) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

/// `text` without any of `secrets`.
pub(crate) fn scrub<'a>(secrets: impl IntoIterator<Item = &'a Secret>, text: &str) -> String {
    secrets.into_iter().fold(text.to_owned(), |text, secret| secret.scrub(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_by_nothing_but_expose() {
        let secret = Secret::new("e2b_0123456789");
        assert_eq!(
            format!("{secret:?} {:?} {:#?}", Some(&secret), vec![&secret]),
            "*** Some(***) [\n    ***,\n]"
        );
        assert_eq!(secret.expose(), "e2b_0123456789");
        assert_eq!(scrub([&secret], "X-API-Key: e2b_0123456789, e2b_0123456789"), "X-API-Key: ***, ***");
        assert_eq!(scrub([&Secret::new("a")], "banana"), "banana");
    }
}
