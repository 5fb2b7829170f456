//! Templates, deployments, health and the host check, on a real engine. Where the host cannot isolate, each test says why and passes,
//! unless `E2B_TESTS_REQUIRED=1` makes that a failure.

#[cfg(test)]
mod check;
#[cfg(test)]
mod deployment;
#[cfg(test)]
mod health;
#[cfg(test)]
mod support;
#[cfg(test)]
mod templates;
