//! The exports, one file per noun, in the order of the header.
#![expect(
    clippy::missing_safety_doc,
    reason = "what pointers must keep is said once, at the top of the header"
)]

// The library and its clients.
pub mod library;

pub mod client;

// Sandboxes and what runs in them.
pub mod sandbox;

pub mod process;

pub mod code;

pub mod agent;

pub mod file;

// What is above single sandboxes.
pub mod deployment;

pub mod template;

pub mod health;
