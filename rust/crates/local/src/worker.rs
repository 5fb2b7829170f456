//! Warm interpreters of a sandbox.

use e2bridge_core::Result;

use crate::engine::Engine;
use crate::sandbox::Sandbox;

/// The warm interpreters of one sandbox.
#[derive(Debug, Default)]
pub(crate) struct Workers {}

impl Workers {
    /// True when no interpreter has been started.
    pub(crate) fn is_empty(&self) -> bool {
        true
    }
}

/// Starts the interpreter of a sandbox that goes into a pool.
pub(crate) fn prestart(_engine: &Engine, _sandbox: &Sandbox) -> Result<()> {
    Ok(())
}
