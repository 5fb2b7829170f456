//! `run_e2b_code`.

use std::sync::Arc;

use e2bridge_core::document::CodeResult;
use e2bridge_core::request::RunCode;
use e2bridge_core::{CancelToken, Code, Error, Result};

use crate::engine::Engine;

/// Runs code in a warm interpreter.
pub(crate) fn run(engine: &Arc<Engine>, request: &RunCode, _token: &CancelToken) -> Result<CodeResult> {
    engine.sandbox(&request.sandbox_id)?;
    Err(Error::new(Code::Unsupported, "run_e2b_code is not in this build"))
}
