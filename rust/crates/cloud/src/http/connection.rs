//! One connection: bytes in, bytes out, each wait bounded and endable.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use e2bridge_core::Error;
use rustix::event::PollFlags;
use rustls::ClientConnection;

use super::guard::Guard;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// Why an exchange did not come to its end.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Cancelled or closed: final, as it is.
    Ended(Error),
    /// Nothing in time.
    TimedOut(Phase),
    /// The connection broke, or could not be made.
    Broken(String),
    /// What came is not what the protocol allows.
    Garbled(String),
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Resolving, connecting, the TLS handshake, or waiting for a free connection.
    Connect,
    /// The whole request.
    Request,
    /// The next byte.
    Idle,
}

impl Phase {
    /// In context and messages.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Phase::Connect => "connect",
            Phase::Request => "request",
            Phase::Idle => "idle",
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Ended(error)
    }
}

/// How long waits may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For everything together; `None` = no end of its own.
    pub(crate) until: Option<Instant>,
    /// For each byte.
    pub(crate) idle: Duration,
    /// What the end of `until` is called.
    pub(crate) phase: Phase,
}

impl Patience {
    /// The end of a wait that begins now, and what it is called.
    fn deadline(&self) -> (Instant, Phase) {
        let idle = Instant::now() + self.idle;
        match self.until {
            Some(until) if until <= idle => (until, self.phase),
            _ => (idle, Phase::Idle),
        }
    }
}

/// A socket, with TLS or without. Never blocks.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

/// A socket with TLS over it.
pub(crate) struct TlsStream {
    pub(crate) socket: TcpStream,
    pub(crate) session: ClientConnection,
}

impl TlsStream {
    /// Sends what TLS has to send; `WouldBlock` when not all of it went.
    fn push(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    /// Takes what TLS has received; false at the end of the stream.
    fn pull(&mut self) -> io::Result<bool> {
        let some = self.session.read_tls(&mut self.socket)? > 0;
        if let Err(error) = self.session.process_new_packets() {
            // The alert that says why.
            let _ = self.push();
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(some)
    }

    /// One step of the handshake; true when it is done.
    pub(crate) fn shake(&mut self) -> io::Result<bool> {
        self.push()?;
        if self.session.is_handshaking() && !self.pull()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.push()?;
        Ok(!self.session.is_handshaking())
    }
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &tls.socket,
        }
    }

    /// Reads what is there; 0 at the end, `WouldBlock` when nothing is.
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let tls = match self {
            Stream::Plain(socket) => return again(|| socket.read(buffer)),
            Stream::Tls(tls) => tls,
        };
        loop {
            match tls.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            match tls.push() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
            again(|| tls.pull())?;
        }
    }

    /// Takes bytes to send; `WouldBlock` when none can be taken.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => again(|| socket.write(bytes)),
            Stream::Tls(tls) => {
                again(|| tls.push())?;
                let taken = tls.session.writer().write(bytes)?;
                match again(|| tls.push()) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                    _ => Ok(taken),
                }
            }
        }
    }

    /// `WouldBlock` while something taken is not sent.
    fn try_flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(tls) => again(|| tls.push()),
        }
    }

    fn wants_write(&self) -> bool {
        matches!(self, Stream::Tls(tls) if tls.session.wants_write())
    }
}

fn again<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match work() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// A connection and what was read from it ahead.
pub(crate) struct Connection {
    stream: Stream,
    buffer: Box<[u8]>,
    from: usize,
    to: usize,
    /// Requests that were sent on it.
    pub(crate) uses: u64,
}

impl Connection {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, buffer: vec![0; READ_BYTES].into_boxed_slice(), from: 0, to: 0, uses: 0 }
    }

    /// The stream alone, when nothing was read ahead: a tunnel becomes what is spoken through it.
    pub(crate) fn into_plain(self) -> Option<TcpStream> {
        match self.stream {
            Stream::Plain(socket) if self.from == self.to => Some(socket),
            _ => None,
        }
    }

    /// True when it can carry another request: neither an end nor a byte has come meanwhile.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        self.from == self.to
            && matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// What was read ahead, or what comes next; empty at the end.
    pub(crate) fn fill(&mut self, guard: &Guard<'_>, patience: &Patience) -> Result<&[u8], Fault> {
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
            self.read_more(guard, patience)?;
        }
        Ok(&self.buffer[self.from..self.to])
    }

    /// Adds to what was read ahead; false at the end.
    pub(crate) fn read_more(&mut self, guard: &Guard<'_>, patience: &Patience) -> Result<bool, Fault> {
        if self.from > 0 {
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        if self.to == self.buffer.len() {
            return Err(Fault::Garbled(format!("a line or a head of more than {READ_BYTES} bytes")));
        }
        let (deadline, phase) = patience.deadline();
        loop {
            match self.stream.try_read(&mut self.buffer[self.to..]) {
                Ok(length) => {
                    self.to += length;
                    return Ok(length > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let events = if self.stream.wants_write() {
                        PollFlags::IN | PollFlags::OUT
                    } else {
                        PollFlags::IN
                    };
                    self.wait(guard, events, deadline, phase)?;
                }
                Err(error) => return Err(broken("read", &error)),
            }
        }
    }

    /// What was read ahead.
    pub(crate) fn ahead(&self) -> &[u8] {
        &self.buffer[self.from..self.to]
    }

    /// Uses up `length` bytes of what was read ahead.
    pub(crate) fn consume(&mut self, length: usize) {
        self.from = (self.from + length).min(self.to);
    }

    /// Sends all of `bytes`. False when an answer came before they were all sent: whoever answers early reads no more.
    pub(crate) fn send(
        &mut self,
        mut bytes: &[u8],
        guard: &Guard<'_>,
        patience: &Patience,
    ) -> Result<bool, Fault> {
        while !bytes.is_empty() {
            let (deadline, phase) = patience.deadline();
            match self.stream.try_write(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(guard, PollFlags::IN | PollFlags::OUT, deadline, phase)?;
                    if self.answered()? {
                        return Ok(false);
                    }
                }
                Err(error) => return if self.answered()? { Ok(false) } else { Err(broken("write", &error)) },
            }
        }
        loop {
            let (deadline, phase) = patience.deadline();
            match self.stream.try_flush() {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(guard, PollFlags::OUT, deadline, phase)?;
                }
                Err(error) => return if self.answered()? { Ok(false) } else { Err(broken("write", &error)) },
            }
        }
    }

    /// Whether a part of an answer is there already.
    fn answered(&mut self) -> Result<bool, Fault> {
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        }
        if self.to == self.buffer.len() {
            return Ok(true);
        }
        match self.stream.try_read(&mut self.buffer[self.to..]) {
            Ok(0) => {
                Err(Fault::Broken("the other side ended the connection while it was sent to".to_owned()))
            }
            Ok(length) => {
                self.to += length;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(self.to > 0),
            Err(error) => Err(broken("read", &error)),
        }
    }

    fn wait(
        &self,
        guard: &Guard<'_>,
        events: PollFlags,
        deadline: Instant,
        phase: Phase,
    ) -> Result<(), Fault> {
        if guard.wait(self.stream.socket().as_fd(), events, deadline)? {
            Ok(())
        } else {
            Err(Fault::TimedOut(phase))
        }
    }
}

/// The fault for a failed call on a socket.
pub(crate) fn broken(call: &str, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::InvalidData => Fault::Broken(format!("TLS: {error}")),
        io::ErrorKind::UnexpectedEof => {
            Fault::Broken("the other side ended the connection in the middle".to_owned())
        }
        _ => Fault::Broken(format!("{call}: {error}")),
    }
}
