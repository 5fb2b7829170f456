//! What crosses the wire, as types and nothing else. Unknown fields are ignored and absent ones are zero: both sides evolve apart.

pub(crate) mod api;
pub(crate) mod connect;
pub(crate) mod interpreter;
pub(crate) mod lines;
pub(crate) mod process;
pub(crate) mod signature;
