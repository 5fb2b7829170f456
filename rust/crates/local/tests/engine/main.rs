//! The real engine on the real host: needs a host that can isolate (root, or user namespaces).
//!
//! Where it cannot, each test says why and passes, unless `E2B_TESTS_REQUIRED=1` makes that a failure.

mod crash;
mod execution;
mod files;
mod harness;
mod isolation;
mod life;
mod limits;
mod pools;
