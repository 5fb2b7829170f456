//! The corpus of attacks through the engine, as hostile users have it: `execute_process` and `run_code`, in every template that has the
//! interpreter, as root and as an ordinary user. That each of them can fail is proven by the tests of the supervisor.
//!
//! In short each attack is tried once, templates and ways by turns; with `E2BRIDGE_FULL=1` in every template that has its interpreter.

#[cfg(test)]
mod engine;
