//! Templates, deployments, health and the host check, on a real engine. Where the host cannot isolate, each test says why and passes,
//! unless `E2B_TESTS_REQUIRED=1` makes that a failure.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod check;
mod deployment;
mod health;
mod support;
mod templates;
