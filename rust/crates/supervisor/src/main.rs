//! Helper of the local engine: creates and ends sandboxes for one client. Takes no arguments and no environment; descriptor 3 is
//! the socket to the library, and when that closes, everything ends. Writes nothing to the standard streams.

mod failure;
mod launch;
mod message;
mod plan;
mod process_tier;
mod supervise;
mod sys;
mod zygote;

use std::process::ExitCode;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let Some(library) = sys::library_socket() else {
        return ExitCode::from(2);
    };
    if sys::become_helper().is_err() {
        return ExitCode::FAILURE;
    }
    match supervise::run(library) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
