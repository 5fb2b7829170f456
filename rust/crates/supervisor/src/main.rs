//! See [`e2bridge_supervisor::run`].

use std::process::ExitCode;

fn main() -> ExitCode {
    e2bridge_supervisor::run(include_bytes!(concat!(env!("OUT_DIR"), "/python-zygote")))
}
