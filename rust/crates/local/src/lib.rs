//! The local engine: sandboxes on this machine.
//!
//! [`LocalBackend`] is all that others see. Behind it: `engine` knows which sandboxes there are and how they come and go,
//! `sandbox` is one of them with the control socket of its init, `execution` and `files` are what is done inside it, `supervisor`
//! is the one process that the library starts, `background` the one thread, `pool` what is kept ready.

use std::path::PathBuf;
use std::sync::Arc;

use e2bridge_core::Result;
use e2bridge_wait as wait;

use crate::engine::Engine;

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod templates;

mod agent;
mod backend;
mod background;
mod check;
mod code;
mod deployment;
mod engine;
mod execution;
mod files;
mod health;
mod offer;
mod output;
mod pool;
mod posture;
mod registry;
mod sandbox;
mod settings;
mod supervisor;
mod sys;
mod usage;
mod worker;

pub use crate::check::check;

/// How strictly isolation is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Everything or `ISOLATION_UNAVAILABLE`.
    #[default]
    Required,
    /// The strongest tier that works.
    BestEffort,
}

/// Settings of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// How strictly isolation is asked for.
    pub isolation: Isolation,
    /// Where exported templates live; default `$XDG_DATA_HOME/e2bridge`, as root `/var/lib/e2bridge`.
    pub data_directory: Option<PathBuf>,
    /// Path of the Python interpreter, absolute; it is then the only one that is tried.
    pub python: Option<PathBuf>,
    /// Path of the Node.js interpreter, absolute; it is then the only one that is tried.
    pub node: Option<PathBuf>,
    /// Ready sandboxes of `base` kept from its first use on, 0 to 64; default 4.
    pub pool_base: Option<u32>,
    /// Ready sandboxes of `python`, 0 to 64; default 1. Each holds a started interpreter.
    pub pool_python: Option<u32>,
    /// Ready sandboxes of `node`, 0 to 64; default 1. Each holds a started interpreter.
    pub pool_node: Option<u32>,
    /// Disk of a sandbox, MiB; default half of its memory.
    pub disk_mb: Option<u32>,
}

/// The engine of one client; its methods are those of [`e2bridge_core::Backend`]. Dropping it closes it.
#[derive(Debug)]
pub struct LocalBackend {
    engine: Arc<Engine>,
}

impl LocalBackend {
    /// Opens the engine: starts its supervisor and its background thread.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming `config.<key>`; `UNAVAILABLE` when the supervisor does not start; `LIMIT_EXCEEDED` when the host
    /// is out of processes, descriptors or memory.
    pub fn open(config: Config) -> Result<LocalBackend> {
        Ok(LocalBackend { engine: Engine::open(config)? })
    }
}

impl Drop for LocalBackend {
    fn drop(&mut self) {
        self.engine.close();
    }
}

/// SHA-256, in hexadecimal, of the supervisor inside this library.
pub fn supervisor_digest() -> String {
    supervisor::DIGEST.to_owned()
}
