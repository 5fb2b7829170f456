//! Identifiers: a prefix that says what they name, and random letters and digits that say nothing.

use crate::error::{Code, Error, Result};

/// Random characters after the prefix: 26 of 36 symbols are 134 bits, so that ids are neither guessed nor repeated.
const RANDOM_LENGTH: usize = 26;

/// What an identifier names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    /// `sb_`
    Sandbox,
    /// `exec_`
    Execution,
    /// `agt_`
    Agent,
    /// `dep_`
    Deployment,
    /// `tpl_`
    Template,
}

impl IdKind {
    /// The prefix, underscore included.
    pub const fn prefix(self) -> &'static str {
        match self {
            IdKind::Sandbox => "sb_",
            IdKind::Execution => "exec_",
            IdKind::Agent => "agt_",
            IdKind::Deployment => "dep_",
            IdKind::Template => "tpl_",
        }
    }
}

/// A new identifier from the kernel's random source.
///
/// # Errors
/// `UNAVAILABLE` when the kernel gives no random bytes.
pub fn new_id(kind: IdKind) -> Result<String> {
    let mut id = String::with_capacity(kind.prefix().len() + RANDOM_LENGTH);
    id.push_str(kind.prefix());
    push_random(&mut id, RANDOM_LENGTH)?;
    Ok(id)
}

/// Appends `count` random lower-case letters and digits, each of the 36 equally likely.
///
/// # Errors
/// `UNAVAILABLE` when the kernel gives no random bytes.
pub fn push_random(text: &mut String, count: usize) -> Result<()> {
    const SYMBOLS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut left = count;
    let mut bytes = [0_u8; 64];
    while left > 0 {
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::new(Code::Unavailable, format!("getrandom: {error}")))?;
        // 252 is the largest multiple of 36 in a byte; what is above would make some symbols likelier.
        for byte in bytes.iter().filter(|byte| **byte < 252).take(left) {
            text.push(char::from(SYMBOLS[usize::from(*byte % 36)]));
            left -= 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_have_the_prefix_and_at_least_twenty_lower_case_letters_and_digits() {
        for kind in [IdKind::Sandbox, IdKind::Execution, IdKind::Agent, IdKind::Deployment, IdKind::Template]
        {
            let id = new_id(kind).unwrap();
            let random = id.strip_prefix(kind.prefix()).unwrap();
            assert!(random.len() >= 20, "{id}");
            assert!(random.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{id}");
        }
    }

    #[test]
    fn a_hundred_thousand_ids_differ_and_use_every_symbol() {
        let ids: HashSet<String> = (0..100_000).map(|_| new_id(IdKind::Sandbox).unwrap()).collect();
        assert_eq!(ids.len(), 100_000);
        let symbols: HashSet<u8> = ids.iter().take(1_000).flat_map(|id| id[3..].bytes()).collect();
        assert_eq!(symbols.len(), 36);
    }
}
