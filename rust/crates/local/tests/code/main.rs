//! Code in warm interpreters and agents, in real sandboxes: needs a host that can isolate.
//!
//! Where it cannot, each test says why and passes, unless `E2B_TESTS_REQUIRED=1` makes that a failure.

mod agents;
mod javascript;
mod limits;
mod node;
mod python;
mod shell;
mod support;
