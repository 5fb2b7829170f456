//! Trading agents in a sandbox.

use e2bridge_core::request::{RunAgent, parse_flag, parse_object, parse_strings, required};

use crate::boundary;
use crate::bytes::{E2bBuffer, E2bClient, text};
use crate::client::Function;

/// Runs a trading agent inside the sandbox and waits for it.
///
/// Parameters: `sandbox_id` required. `agent_type` required: momentum, mean_reversion, moving_average_crossover, pairs, kelly,
/// buy_and_hold, or the name of /opt/agents/<name>.{js,py} in the sandbox. `symbols` required, a JSON array of 1 to 1000 strings.
/// `strategy_params` a JSON object, of which `prices` and `timeout` (seconds, default 300) are E2Bridge's; absent = {}. `use_gpu`
/// "true" or "false"; absent = false.
/// Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
/// Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
/// Errors: INVALID_ARGUMENT, NOT_FOUND, LIMIT_EXCEEDED, UNSUPPORTED (no GPU that the sandbox can reach), CANCELLED, CLOSED,
/// UNAVAILABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn run_e2b_agent(
    client: E2bClient,
    call: u64,
    sandbox_id: *const u8,
    sandbox_id_length: u64,
    agent_type: *const u8,
    agent_type_length: u64,
    symbols: *const u8,
    symbols_length: u64,
    strategy_params: *const u8,
    strategy_params_length: u64,
    use_gpu: *const u8,
    use_gpu_length: u64,
    out: *mut E2bBuffer,
) -> i32 {
    // SAFETY: the caller keeps the rules for each pointer, which is all that these functions ask.
    unsafe {
        boundary::call(Function::RunAgent, client, call, out, |client, cancel| {
            let request = RunAgent::new(
                required("sandbox_id", text("sandbox_id", sandbox_id, sandbox_id_length)?)?,
                required("agent_type", text("agent_type", agent_type, agent_type_length)?)?,
                required("symbols", parse_strings("symbols", text("symbols", symbols, symbols_length)?)?)?,
                parse_object(
                    "strategy_params",
                    text("strategy_params", strategy_params, strategy_params_length)?,
                )?,
                parse_flag("use_gpu", text("use_gpu", use_gpu, use_gpu_length)?)?,
            )?;
            client.backend().run_agent(&request, cancel)
        })
    }
}
