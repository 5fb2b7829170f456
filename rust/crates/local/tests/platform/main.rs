//! Templates, deployments, health and the host check, on a real engine.

mod check;
mod deployment;
mod health;
mod support;
mod templates;
