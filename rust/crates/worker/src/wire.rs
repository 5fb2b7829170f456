//! Framing of the worker protocol on a stream socket: a length as four bytes, little endian, then JSON.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use e2bridge_protocol::worker::MAX_MESSAGE;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

/// Bytes of the length in front of a message.
const PREFIX: usize = 4;
/// What one system call asks for at least; most messages arrive whole.
const CHUNK: usize = 16 * 1024;
/// A buffer that a large message has blown up beyond this is given back.
const KEPT: usize = 256 * 1024;

/// One end of a worker's socket.
pub(crate) struct Channel {
    socket: OwnedFd,
    buffer: Vec<u8>,
    filled: usize,
    outgoing: Vec<u8>,
}

impl Channel {
    pub(crate) fn new(socket: OwnedFd) -> Channel {
        Channel { socket, buffer: vec![0; CHUNK], filled: 0, outgoing: Vec::new() }
    }

    /// The next message, or `None` at the end of the connection. Blocks.
    ///
    /// # Errors
    /// As `recv(2)`; `InvalidData` for a length over [`MAX_MESSAGE`]; `UnexpectedEof` inside a message.
    pub(crate) fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        while self.filled < PREFIX {
            if self.fill()? == 0 {
                return if self.filled == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
        let mut prefix = [0; PREFIX];
        prefix.copy_from_slice(&self.buffer[..PREFIX]);
        let length = u32::from_le_bytes(prefix) as usize;
        if length > MAX_MESSAGE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("message of {length} bytes")));
        }
        let end = PREFIX + length;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        while self.filled < end {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let message = self.buffer[PREFIX..end].to_vec();
        self.buffer.copy_within(end..self.filled, 0);
        self.filled -= end;
        if self.buffer.len() > KEPT && self.filled <= CHUNK {
            self.buffer.truncate(CHUNK);
            self.buffer.shrink_to_fit();
        }
        Ok(Some(message))
    }

    /// True when a message, or the end, has come already.
    pub(crate) fn has_input(&self) -> bool {
        let mut polled = [PollFd::new(&self.socket, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        self.filled > 0 || rustix::event::poll(&mut polled, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    fn fill(&mut self) -> io::Result<usize> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled + CHUNK, 0);
        }
        loop {
            match rustix::net::recv(self.socket.as_fd(), &mut self.buffer[self.filled..], RecvFlags::empty())
            {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok((count, _)) => {
                    self.filled += count;
                    return Ok(count);
                }
            }
        }
    }

    /// Sends the message that `write` appends to the buffer. Never raises SIGPIPE.
    ///
    /// # Errors
    /// As `send(2)`; `InvalidInput` for a message over [`MAX_MESSAGE`].
    pub(crate) fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.outgoing.clear();
        self.outgoing.extend_from_slice(&[0; PREFIX]);
        write(&mut self.outgoing);
        let length = self.outgoing.len() - PREFIX;
        let prefix = u32::try_from(length).ok().filter(|_| length <= MAX_MESSAGE);
        let prefix = prefix.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("message of {length} bytes"))
        })?;
        self.outgoing[..PREFIX].copy_from_slice(&prefix.to_le_bytes());
        let mut rest = &self.outgoing[..];
        while !rest.is_empty() {
            match rustix::net::send(self.socket.as_fd(), rest, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(count) => rest = &rest[count..],
            }
        }
        if self.outgoing.capacity() > KEPT {
            self.outgoing = Vec::new();
        }
        Ok(())
    }
}
