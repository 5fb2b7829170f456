//! Why a request failed.

use std::os::fd::AsFd;

use e2bridge_protocol::init::InitEvent;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

/// A step and its error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) stage: String,
    pub(crate) errno: i32,
}

impl Failure {
    pub(crate) fn new(stage: impl Into<String>, errno: Errno) -> Self {
        Self { stage: stage.into(), errno: errno.raw_os_error() }
    }

    pub(crate) fn event(self) -> InitEvent {
        InitEvent::Failed { stage: self.stage, errno: self.errno }
    }
}

/// Names the step of a system call.
pub(crate) trait At<T> {
    fn at(self, stage: &str) -> Result<T, Failure>;
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, stage: &str) -> Result<T, Failure> {
        self.map_err(|errno| Failure::new(stage, errno))
    }
}

/// Writes all bytes, waiting where the descriptor does not block.
pub(crate) fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(&fd, bytes) {
            Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(&fd, PollFlags::OUT)?,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Reads at least one byte, waiting where the descriptor does not block; 0 at the end.
pub(crate) fn read_some(fd: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match rustix::io::read(&fd, &mut *buffer) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(&fd, PollFlags::IN)?,
            other => return other,
        }
    }
}

fn wait(fd: &impl AsFd, flags: PollFlags) -> Result<(), Errno> {
    match rustix::event::poll(&mut [PollFd::new(fd, flags)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}
