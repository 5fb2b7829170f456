//! The zygote of the template `python` where that can be: the interpreter itself, which [`become_interpreter`] executes in the finished
//! root. It loads and rehearses its worker program, then the extension module (`module.rs`): from there on it
//! clones as any other zygote, and what it clones becomes an init that holds the interpreter warm.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use e2bridge_protocol::socket;
use e2bridge_protocol::worker::{PROGRAMS, PYTHON_OPTIONS};
use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};

use super::{CAPABILITIES_FOR_CLONING, Zygote, root};
use crate::message::{At, Step, ZygoteReply};
use crate::plan::Identity;
use crate::sys;

#[cfg(feature = "python-zygote")]
mod module;

/// Name of the module, beside the worker programs.
pub(crate) const MODULE: &str = "python-zygote.so";
/// The worker program's argument that makes a zygote of it.
const ARGUMENT: &str = "zygote";
/// What a start of the interpreter looks at, as sandboxes have it unless they say otherwise.
const ENVIRONMENT: [(&str, &str); 2] = [("HOME", "/home/user"), ("LANG", "C.UTF-8")];

/// What the interpreter's part has to know of the zygote that it is.
#[derive(Serialize, Deserialize)]
struct Handover {
    identity: Identity,
    per_process_memory: bool,
}

/// Executes the interpreter, with descriptor 3 for the supervisor and 4 for the [`Handover`]; or tells the supervisor why not.
pub(super) fn become_interpreter(zygote: &Zygote, interpreter: &Path, socket: BorrowedFd<'_>) -> ! {
    let told = match prepare(zygote, socket) {
        Err(step) => socket::send(socket, &ZygoteReply::Failed(step), &[]),
        Ok([socket, _]) => {
            // From here on what fails may be the interpreter's doing.
            let told = socket::send(&socket, &ZygoteReply::BecomesInterpreter, &[]);
            if told.is_err() {
                sys::exit(1);
            }
            let error = Command::new(interpreter)
                .args(PYTHON_OPTIONS)
                .arg(format!("{PROGRAMS}/python.py"))
                .arg(ARGUMENT)
                .env_clear()
                .envs(ENVIRONMENT)
                .exec();
            let errno = error.raw_os_error().unwrap_or(0);
            let (stage, detail) = ("execute interpreter".to_owned(), interpreter.display().to_string());
            socket::send(&socket, &ZygoteReply::Failed(Step { stage, detail, errno }), &[])
        }
    };
    sys::exit(i32::from(told.is_err()))
}

/// Makes this process what the interpreter is to begin as. Answers copies of the two descriptors that go along, because 3 or 4 may have
/// been the number of either.
fn prepare(zygote: &Zygote, socket: BorrowedFd<'_>) -> Result<[OwnedFd; 2], Step> {
    let handover = Handover { identity: zygote.identity, per_process_memory: zygote.per_process_memory };
    let handover = serde_json::to_vec(&handover).map_err(|error| Step::refused("hand over", error))?;
    let file = rustix::fs::memfd_create("e2b-handover", MemfdFlags::CLOEXEC).at("hand over")?;
    let mut file = std::fs::File::from(file);
    file.write_all(&handover).at("hand over")?;
    root::hide_local()?;
    rustix::thread::set_no_new_privs(true).at("set no_new_privs")?;
    sys::keep_capabilities_over_exec(CAPABILITIES_FOR_CLONING).at("keep capabilities")?;
    let placed = sys::place([(socket, 3), (file.as_fd(), 4)]).at("place descriptors")?;
    // Its number may be one of the two by now.
    std::mem::forget(file);
    Ok(placed)
}

/// Goes on as the zygote, in the interpreter.
///
/// # Errors
/// The step; nobody has been told.
#[cfg(feature = "python-zygote")]
fn go_on(socket: BorrowedFd<'_>, handover: OwnedFd) -> Result<(), Step> {
    use e2bridge_protocol::supervisor::Template;
    use rustix::process::WaitOptions;

    use crate::plan::{Tier, View};

    let mut bytes = Vec::new();
    let mut file = std::fs::File::from(handover);
    std::io::Seek::rewind(&mut file)
        .and_then(|()| std::io::Read::read_to_end(&mut file, &mut bytes))
        .at("take over")?;
    drop(file);
    let Handover { identity, per_process_memory } =
        serde_json::from_slice(&bytes).map_err(|error| Step::refused("take over", error))?;
    // Sandboxes inherit this memory, and have no use for it.
    bytes.fill(0);
    let threads = std::fs::read_dir("/proc/self/task").at("count threads")?.count();
    if threads != 1 {
        // A fork would be without the others, and they could hold locks.
        return Err(Step::refused("count threads", threads));
    }
    if !matches!(rustix::process::wait(WaitOptions::NOHANG), Err(rustix::io::Errno::CHILD)) {
        return Err(Step::refused("count children", "the interpreter has started some"));
    }
    // What the interpreter has set for itself, and each worker sets again.
    sys::reset_signals();
    root::show_local()?;
    let template = Template::Python;
    let zygote = Zygote {
        template,
        tier: Tier::Full,
        identity,
        view: View::default(),
        forks: true,
        per_process_memory,
    };
    zygote.serve_in_interpreter(socket, module::warm().at("keep name")?)
}

/// Proves that the interpreter can be forked as it is now.
#[cfg(feature = "python-zygote")]
pub(super) fn try_fork() -> Result<(), Step> {
    module::try_fork().at("fork interpreter")
}
