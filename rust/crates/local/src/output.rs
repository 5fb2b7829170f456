//! What a program writes into its pipes.

use std::io;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub(crate) use e2bridge_core::output::{MAX_STREAM_BYTES, STDERR, STDOUT};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// Most bytes of a stream that are taken after the program's end: the most that a pipe can hold.
const MAX_REST: usize = 1024 * 1024;
/// Most bytes that one read takes; a pipe holds as many.
const READ_BYTES: usize = 64 * 1024;

/// Collects two streams out of pipes; what is kept is that of [`e2bridge_core::output::Output`].
#[derive(Debug, Default)]
pub(crate) struct Output {
    kept: e2bridge_core::output::Output,
    scratch: Vec<u8>,
}

impl Deref for Output {
    type Target = e2bridge_core::output::Output;

    fn deref(&self) -> &Self::Target {
        &self.kept
    }
}

/// What one read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes.
    Some(usize),
    /// Nobody can write any more.
    End,
    /// Nothing at the moment.
    Nothing,
}

/// The two pipes of a program. They are read in the order in which they became readable, which an epoll keeps and a poll does not:
/// what a program wrote first to one and then to the other comes in that order, though both are found readable at once.
#[derive(Debug)]
pub(crate) struct Pipes<'a> {
    epoll: OwnedFd,
    open: [Option<&'a OwnedFd>; 2],
}

impl<'a> Pipes<'a> {
    /// Watches the read ends.
    ///
    /// # Errors
    /// As `epoll_create1(2)` and `epoll_ctl(2)`.
    pub(crate) fn new(stdout: &'a OwnedFd, stderr: &'a OwnedFd) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for (stream, pipe) in [(STDOUT, stdout), (STDERR, stderr)] {
            epoll::add(&epoll, pipe, EventData::new_u64(stream as u64), EventFlags::IN)?;
        }
        Ok(Self { epoll, open: [Some(stdout), Some(stderr)] })
    }

    /// Readable when [`Pipes::read`] finds something; `None` once both are at their end.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.open.iter().any(Option::is_some).then(|| self.epoll.as_fd())
    }

    /// Reads once from each pipe that is readable.
    pub(crate) fn read(&mut self, output: &mut Output) {
        self.read_at_most(output, &mut [usize::MAX; 2]);
    }

    /// Takes what is in the pipes at this moment; what background processes write later is not part of the output.
    pub(crate) fn take_rest(&mut self, output: &mut Output) {
        let mut left = self.open.map(|pipe| match pipe.map(rustix::io::ioctl_fionread) {
            Some(waiting) => usize::try_from(waiting.unwrap_or(0)).unwrap_or(MAX_REST).min(MAX_REST),
            None => 0,
        });
        while left != [0; 2] && self.read_at_most(output, &mut left) {}
    }

    /// Reads once from each pipe that is readable and has something left; false when there was none.
    fn read_at_most(&mut self, output: &mut Output, left: &mut [usize; 2]) -> bool {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(2);
        let no_wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        if epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&no_wait)).is_err() {
            return false;
        }
        let mut found = false;
        for event in events {
            let stream = usize::from(event.data.u64() != STDOUT as u64);
            let Some(pipe) = self.open[stream].filter(|_| left[stream] > 0) else { continue };
            match output.read(stream, pipe, left[stream]) {
                Read::Some(length) => {
                    left[stream] = left[stream].saturating_sub(length);
                    found = true;
                }
                Read::Nothing => {}
                Read::End => {
                    let _ = epoll::delete(&self.epoll, pipe);
                    self.open[stream] = None;
                    left[stream] = 0;
                }
            }
        }
        found
    }
}

impl Output {
    /// Reads once, at most `most` bytes; the caller knows by poll that it will not block.
    pub(crate) fn read(&mut self, stream: usize, fd: impl AsFd, most: usize) -> Read {
        self.scratch.clear();
        self.scratch.reserve(READ_BYTES);
        let most = most.min(READ_BYTES);
        let space: &mut [MaybeUninit<u8>] = &mut self.scratch.spare_capacity_mut()[..most];
        match rustix::io::read(fd, space) {
            Ok(([], _)) => Read::End,
            Ok((read, _)) => {
                let length = read.len();
                self.kept.push(stream, read);
                Read::Some(length)
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Read::Nothing,
            Err(_) => Read::End,
        }
    }

    /// Takes what is in a pipe at this moment, and nothing that is written meanwhile.
    pub(crate) fn take_waiting(&mut self, stream: usize, pipe: impl AsFd) {
        let mut left = usize::try_from(rustix::io::ioctl_fionread(&pipe).unwrap_or(0)).unwrap_or(0);
        while left > 0 {
            match self.read(stream, &pipe, left) {
                Read::Some(length) => left = left.saturating_sub(length),
                Read::End | Read::Nothing => break,
            }
        }
    }

    /// Adds bytes that did not come through a pipe.
    pub(crate) fn push(&mut self, stream: usize, bytes: &[u8]) {
        self.kept.push(stream, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_read_in_the_order_in_which_they_became_readable() {
        for first in [STDOUT, STDERR] {
            let pipes = [rustix::pipe::pipe().unwrap(), rustix::pipe::pipe().unwrap()];
            let mut both = Pipes::new(&pipes[STDOUT].0, &pipes[STDERR].0).unwrap();
            rustix::io::write(&pipes[first].1, b"first ").unwrap();
            rustix::io::write(&pipes[1 - first].1, b"second ").unwrap();
            let mut output = Output::default();
            both.read(&mut output);
            assert_eq!(output.in_order(), "first second ");
            rustix::io::write(&pipes[first].1, b"third ").unwrap();
            rustix::io::write(&pipes[1 - first].1, b"fourth").unwrap();
            both.take_rest(&mut output);
            assert_eq!(output.in_order(), "first second third fourth");
        }
    }

    #[test]
    fn a_pipe_at_its_end_is_watched_no_more() {
        let (stdout, stdout_write) = rustix::pipe::pipe().unwrap();
        let (stderr, stderr_write) = rustix::pipe::pipe().unwrap();
        let mut both = Pipes::new(&stdout, &stderr).unwrap();
        let mut output = Output::default();
        both.read(&mut output);
        assert!(both.fd().is_some());
        drop(stdout_write);
        both.read(&mut output);
        assert!(both.fd().is_some_and(|fd| !crate::wait::ready(fd, rustix::event::PollFlags::IN)));
        rustix::io::write(&stderr_write, b"x").unwrap();
        drop(stderr_write);
        both.read(&mut output);
        both.read(&mut output);
        assert!(both.fd().is_none());
        assert_eq!(output.in_order(), "x");
    }

    #[test]
    fn a_pipe_is_read_until_its_end() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&write, b"hello").unwrap();
        let mut output = Output::default();
        assert_eq!(output.read(STDOUT, &read, 2), Read::Some(2));
        assert_eq!(output.read(STDOUT, &read, 100), Read::Some(3));
        drop(write);
        assert_eq!(output.read(STDOUT, &read, 100), Read::End);
        assert_eq!(output.in_order(), "hello");
    }
}
