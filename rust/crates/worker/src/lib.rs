//! Warm interpreters: the embedded JavaScript engine and the worker programs of CPython, Node and the shell.

mod javascript;
mod wire;

use std::os::fd::OwnedFd;

/// Worker program of CPython 3.8 or newer, to be started as `python3 -I -B -u <file>`; it serves descriptor 3. With the argument
/// `zygote` it becomes a zygote by way of `python-zygote.so` beside it, an extension module with a function `serve(resume)`.
pub const PYTHON_WORKER: &str = include_str!("../worker/python.py");
/// Worker program of Node.js 18 or newer, to be started as `node <file>`; it serves descriptor 3.
pub const NODE_WORKER: &str = include_str!("../worker/node.js");
/// Worker program of `/bin/sh`, to be started as `sh <file>`; it serves descriptor 3.
pub const SHELL_WORKER: &str = include_str!("../worker/shell.sh");

/// Makes the embedded engine ready, so that every process forked afterwards inherits it warm. To be called once, in a
/// single-threaded process.
pub fn prewarm() {
    javascript::prewarm();
}

/// Says whether processes that are forked from now on inherit the warm engine: a fork that has no use for it is cheaper without. To be called
/// in a single-threaded process; without [`prewarm`] it does nothing. False when the kernel has no memory for that.
pub fn inherit(inherited: bool) -> bool {
    javascript::inherit(inherited)
}

/// Serves the worker protocol with the embedded engine until the end of the channel; never returns and ends the process by
/// `_exit`. To be called in a forked child of the process that called [`prewarm`] (it works without, only slower).
pub fn serve_javascript(channel: OwnedFd) -> ! {
    javascript::serve(channel);
    // SAFETY: ends the process at once, which is always sound.
    unsafe { libc::_exit(0) }
}

#[cfg(test)]
mod tests {
    use e2bridge_protocol::worker::PYTHON_OPTIONS;

    #[test]
    fn the_worker_of_cpython_starts_itself_as_others_start_it() {
        let options = PYTHON_OPTIONS.map(|option| format!("\"{option}\"")).join(", ");
        assert!(super::PYTHON_WORKER.contains(&format!("[sys.executable, {options}, OWN]")), "{options}");
    }
}
