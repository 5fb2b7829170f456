//! The C ABI of E2Bridge, `libe2bridge.so`; the header is `generated/include/e2bridge.h`.
//!
//! Each export is a few lines: it names its arguments, builds a validated request of `e2bridge-core` and hands it to the
//! backend. What all of them share is elsewhere, once: [`bytes`] is the only file that turns pointers into references,
//! `boundary` catches panics and writes the out-buffer, `handle` keeps the open clients.

pub mod abi;
pub mod bytes;
pub mod status;

mod boundary;
mod client;
mod config;
mod handle;
mod panics;

/// cbindgen:ignore
#[cfg(any(test, feature = "test-hooks"))]
mod hooks;

#[cfg(test)]
mod double;
#[cfg(test)]
mod tests;
