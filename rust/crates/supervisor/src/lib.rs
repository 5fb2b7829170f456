//! Helper of the local engine: creates and ends sandboxes for one client.
//!
//! Built in two shapes: the program `e2bridge-supervisor`, and, with the feature `python-zygote`, the extension module of CPython by
//! which an interpreter becomes the zygote of the template `python`. The program carries the module.

mod failure;
mod launch;
mod message;
mod plan;
mod process_tier;
mod supervise;
mod sys;
mod zygote;

use std::process::ExitCode;

/// Runs the program. Takes no arguments and no environment; descriptor 3 is the socket to the library, and when that closes,
/// everything ends. Writes nothing to the standard streams. `python_zygote` is the file of the extension module; empty where there is
/// none, and CPython is then started anew for each worker.
#[must_use]
pub fn run(python_zygote: &'static [u8]) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let Some(library) = sys::library_socket() else {
        return ExitCode::from(2);
    };
    if sys::become_helper().is_err() {
        return ExitCode::FAILURE;
    }
    match supervise::run(library, python_zygote) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
