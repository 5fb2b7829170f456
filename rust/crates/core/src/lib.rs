//! Vocabulary of E2Bridge: validated requests, result documents, errors and the backend trait.
//!
//! Nothing here does I/O and nothing is unsafe; both backends and the C ABI depend on this crate and never the other way round.
#![forbid(unsafe_code)]

pub mod backend;
pub mod cancel;
pub mod deployment;
pub mod document;
pub mod error;
pub mod health;
pub mod id;
pub mod latency;
pub mod output;
pub mod prepared;
pub mod request;
pub mod time;

pub use backend::Backend;
pub use cancel::CancelToken;
pub use error::{Code, Error, Result};
