//! The real engine on the real host: needs a host that can isolate (root, or user namespaces).
//!
//! Where it cannot, each test says why and passes, unless `E2B_TESTS_REQUIRED=1` makes that a failure.

#[cfg(test)]
mod crash;
#[cfg(test)]
mod execution;
#[cfg(test)]
mod files;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod life;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod pools;
