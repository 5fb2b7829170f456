//! Messages between the library, the supervisor, the init of a sandbox and its workers.
//!
//! ```text
//! library --supervisor socket--> supervisor --zygote socket--> template zygote --clone--> init of a sandbox
//! library --control socket, one per sandbox-------------------------------------> init --> shepherd --> program or worker
//! library --worker socket, one per warm interpreter-----------------------------> worker
//! ```
//!
//! Every socket is made by the library or the supervisor and its far end handed down; no descriptor ever comes out of a sandbox.
//! Requests carry the descriptor on which they are to be answered, so that no lock and no dispatching thread is needed: when the
//! process that owes the answer dies, the kernel closes that descriptor and the caller sees the end at once.

pub mod init;
pub mod socket;
pub mod supervisor;
pub mod worker;

/// Version of these messages. Library and supervisor are built together; a mismatch means a mixed-up build.
pub const PROTOCOL_VERSION: u32 = 1;
