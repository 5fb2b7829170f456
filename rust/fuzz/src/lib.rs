//! What each fuzz target does with its bytes. `tests/corpus.rs` runs the same functions over the corpus.

mod archives;
mod arguments;
mod protocol;

/// The configuration of a client, whose parser is the C ABI's own.
#[path = "../../crates/ffi/src/config.rs"]
mod config;

pub use archives::archives;
pub use arguments::arguments;
pub use protocol::protocol;
