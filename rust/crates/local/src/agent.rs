//! `run_e2b_agent`.

use std::sync::Arc;

use e2bridge_core::document::AgentResult;
use e2bridge_core::request::RunAgent;
use e2bridge_core::{CancelToken, Code, Error, Result};

use crate::engine::Engine;

/// Runs a trading agent inside a sandbox.
pub(crate) fn run(engine: &Arc<Engine>, request: &RunAgent, _token: &CancelToken) -> Result<AgentResult> {
    engine.sandbox(&request.sandbox_id)?;
    Err(Error::new(Code::Unsupported, "run_e2b_agent is not in this build"))
}
