//! The signature of a file's address: who holds it may read or write that file without the sandbox's token.

use base64::Engine as _;
use sha2::{Digest, Sha256};

/// `v1_` and the hash of what the address says. `user` empty = the daemon's default; `expires` in seconds since 1970.
pub(crate) fn signature(
    path: &str,
    operation: &str,
    user: &str,
    token: &str,
    expires: Option<u64>,
) -> String {
    let mut text = format!("{path}:{operation}:{user}:{token}");
    if let Some(expires) = expires {
        text.push_str(&format!(":{expires}"));
    }
    format!("v1_{}", base64::engine::general_purpose::STANDARD_NO_PAD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_comes_out() {
        assert_eq!(
            signature("hello.txt", "read", "user", "0tQG31xiMp0IOQfaz9dcwi72L1CPo8e0", None),
            "v1_gUtH/s9YCJWgCizjfUxuWfhFE4QSydOWEIIvfLwDr6E"
        );
        assert_ne!(signature("a", "read", "", "t", Some(1)), signature("a", "read", "", "t", None));
    }
}
