//! Library to a warm interpreter (a *worker*): a `SOCK_STREAM` socket, descriptor 3 of the worker. Messages are JSON in UTF-8
//! behind their length as four bytes, little endian. One request at a time; the worker answers each with one reply.
//!
//! JSON, because the same protocol is spoken by the embedded engine, by CPython and by Node. A shell, which can read lines but no
//! lengths, gets its request as a line with nothing but the code, as one quoted word; line ends in it are `'"$__e2b_nl"'`. Its reply is
//! as the others'.
//!
//! Output: the embedded engine returns what was printed inside the reply; CPython, Node and the shell write to descriptors 1
//! and 2, which are pipes that the library drains. All that a run wrote before its reply is in the pipes when the reply arrives.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Directory of the worker programs inside sandboxes.
pub const PROGRAMS: &str = "/etc/e2bridge";
/// Options of CPython for its worker program: nothing of the environment or the user's own, no compiled files, streams without buffers.
pub const PYTHON_OPTIONS: [&str; 3] = ["-I", "-B", "-u"];

/// Longest message in either direction, bytes.
pub const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkerRequest {
    /// Number of the run, which the reply repeats: what code writes to the socket itself is no reply then.
    pub run: u64,
    /// The code.
    pub code: String,
    /// True: fresh globals, environment, cwd, descriptors and builtins. False: this worker belongs to one context and keeps them.
    pub stateless: bool,
    /// After this long the engine interrupts the code, where it can; init kills the worker a little later where it cannot.
    pub timeout_ms: u64,
    /// Most bytes of a stream that the reply may carry (embedded engine only).
    pub max_output_bytes: u64,
    /// Memory that the engine may use, bytes (embedded engine only); absent = no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Embedded engine only: after the code, calls the global function of that name with the text and makes the string it
    /// returns the result. This is how agents run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<WorkerCall>,
}

/// A function to call after the code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkerCall {
    /// Name of a global function.
    pub function: String,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Outcome of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WorkerReply {
    /// As in the request; 0 from a shell, which is not told.
    #[serde(default)]
    pub run: u64,
    /// What was printed, where the pipes do not carry it.
    #[serde(default)]
    pub stdout: String,
    /// Likewise.
    #[serde(default)]
    pub stderr: String,
    /// Bytes printed but not kept.
    #[serde(default)]
    pub dropped_bytes: u64,
    /// Text of the last expression's value.
    #[serde(default)]
    pub result: Option<String>,
    /// All results.
    #[serde(default)]
    pub results: Vec<WorkerOutput>,
    /// The exception that ended the code.
    #[serde(default)]
    pub error: Option<WorkerError>,
    /// The engine interrupted the code at its time-out.
    #[serde(default)]
    pub timed_out: bool,
    /// The engine ran out of its memory.
    #[serde(default)]
    pub out_of_memory: bool,
    /// The worker cannot give a fresh state again (a stateless run left a thread or a child, say) and will exit.
    #[serde(default)]
    pub spent: bool,
}

/// One rich result.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WorkerOutput {
    /// Text form.
    pub text: String,
    /// As JSON, where it has such a form; text, for as values it would be many times as large.
    #[serde(default)]
    pub json: Option<Box<RawValue>>,
    /// True for the last expression's value.
    pub is_main_result: bool,
}

/// An exception.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WorkerError {
    /// Class.
    pub name: String,
    /// Message.
    pub value: String,
    /// Stack.
    pub traceback: String,
}
