//! The E2B cloud and self-hosted clusters of it: sandboxes there, by the public protocols of E2B.
//!
//! [`CloudBackend`] is all that others see. Behind it: `client` knows the sandboxes, `control` is the API, `envd` the daemon of a
//! sandbox, `interpreter` its code interpreter; `transport` is the way to all three, `http` what it is made of, `wire` what
//! crosses it, and `error_map` what comes of it when it fails. `docs/cloud.md` says what is different from the local engine.
#![forbid(unsafe_code)]

use std::sync::Arc;

use e2bridge_core::Result;

use crate::client::Client;
pub use crate::secret::Secret;
pub use crate::settings::Config;

mod agent;
mod backend;
mod client;
mod code;
mod control;
mod deployment;
mod envd;
mod error_map;
mod execution;
mod files;
mod health;
mod http;
mod interpreter;
mod metadata;
mod scripts;
mod secret;
mod settings;
mod status;
mod templates;
#[cfg(test)]
mod tests;
mod transport;
mod watch;
mod wire;

/// A client of a cluster; its methods are those of [`e2bridge_core::Backend`]. Dropping it closes it.
pub struct CloudBackend {
    client: Arc<Client>,
}

impl CloudBackend {
    /// Opens a client. Nothing is sent: a wrong key is found by the first call.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` without a key and a token; `INVALID_ARGUMENT` naming `config.<key>` or a variable; `UNSUPPORTED` for a kind
    /// of proxy; `UNAVAILABLE` without root certificates; `LIMIT_EXCEEDED` when this process has no descriptor left.
    pub fn open(config: Config) -> Result<CloudBackend> {
        let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Ok(CloudBackend { client: Client::open(config, &variable)? })
    }
}

impl Drop for CloudBackend {
    fn drop(&mut self) {
        self.client.close();
    }
}

impl std::fmt::Debug for CloudBackend {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CloudBackend")
            .field("api", &self.client.control.url().text())
            .finish_non_exhaustive()
    }
}
