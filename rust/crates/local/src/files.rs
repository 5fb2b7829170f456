//! Files and trees of a sandbox. All work on paths is done inside, by an agent of its init; the library sees bytes and an answer.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use e2bridge_core::request::{MAX_FILE_BYTES, quote};
use e2bridge_core::{CancelToken, Code, Error, Result};
use e2bridge_protocol::init::{InitEvent, InitRequest};
use e2bridge_protocol::socket;
use rustix::event::{PollFd, PollFlags};
use rustix::net::SendFlags;

use crate::engine::Engine;
use crate::sandbox::{Sandbox, channel_pair};
use crate::wait::{self, Interrupt, cancelled, host_error};

/// How long an agent may do nothing: code inside has the same uid and can stop it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes that one read or write moves.
const PIECE: usize = 256 * 1024;

/// What a file or tree request did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// Files, directories and links.
    pub(crate) entries: u64,
    /// Bytes of content.
    pub(crate) bytes: u64,
}

impl Sandbox {
    /// Reads a regular file; `path` is absolute or relative to `/home/user`.
    ///
    /// # Errors
    /// About `path`: `NOT_FOUND`, `INVALID_ARGUMENT` (no regular file), `PERMISSION_DENIED`, `LIMIT_EXCEEDED` (over `max_bytes`).
    /// `TIMEOUT` when nothing moves for 30 s; `CANCELLED`; and those of a sandbox that ends.
    pub(crate) fn read_file(
        &self,
        engine: &Engine,
        path: &str,
        max_bytes: u64,
        token: &CancelToken,
    ) -> Result<Vec<u8>> {
        let interrupt = engine.wakeups.watch(token)?;
        let request = InitRequest::ReadFile { path: path.to_owned(), max_bytes };
        let mut transfer = Transfer::new(self, &request, &interrupt)?;
        let mut content = Vec::new();
        let refused = |stage: &str, errno| path_error("path", path, stage, errno, max_bytes);
        let done = transfer.receive(&refused, &mut |piece| {
            if (content.len() + piece.len()) as u64 > max_bytes {
                return Err(refused("read", libc::EFBIG));
            }
            content.extend_from_slice(piece);
            Ok(())
        })?;
        if done.bytes != content.len() as u64 {
            return Err(Error::new(Code::Unavailable, "path: the file came incomplete out of the sandbox")
                .about("path")
                .with("sandbox_id", &*self.id));
        }
        Ok(content)
    }

    /// Writes a regular file, all or nothing, and makes missing parent directories.
    ///
    /// # Errors
    /// As [`Sandbox::read_file`]; `LIMIT_EXCEEDED` when the disk is full.
    pub(crate) fn write_file(
        &self,
        engine: &Engine,
        path: &str,
        content: &[u8],
        token: &CancelToken,
    ) -> Result<Done> {
        let interrupt = engine.wakeups.watch(token)?;
        let bytes = content.len() as u64;
        let request = InitRequest::WriteFile { path: path.to_owned(), bytes };
        let mut transfer = Transfer::new(self, &request, &interrupt)?;
        let refused = |stage: &str, errno| path_error("path", path, stage, errno, MAX_FILE_BYTES as u64);
        transfer.send(content, &refused)?;
        transfer.finish(&refused)
    }

    /// Writes a tar archive of the directories into `sink`: regular files, directories and symbolic links, names relative to `/`.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` over the bounds; `TIMEOUT`, `CANCELLED`, those of a sandbox that ends; what `sink` answers.
    pub(crate) fn export_tree(
        &self,
        engine: &Engine,
        roots: &[String],
        (max_bytes, max_entries): (u64, u64),
        sink: &mut dyn Write,
        token: &CancelToken,
    ) -> Result<Done> {
        let interrupt = engine.wakeups.watch(token)?;
        let request = InitRequest::ExportTree { roots: roots.to_vec(), max_bytes, max_entries };
        let mut transfer = Transfer::new(self, &request, &interrupt)?;
        let refused = |stage: &str, errno| {
            if errno == libc::EFBIG {
                return Error::new(
                    Code::LimitExceeded,
                    format!("the sandbox's files are more than {max_bytes} bytes or {max_entries} entries"),
                )
                .with("limit_bytes", max_bytes)
                .with("limit_entries", max_entries);
            }
            tree_error("export", stage, errno)
        };
        transfer.receive(&refused, &mut |piece| {
            sink.write_all(piece).map_err(|error| host_error("write the archive", &error))
        })
    }

    /// Unpacks a tar archive, which `fill` writes, below the directories; whatever else is in it is refused.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` when the disk is full; `INVALID_ARGUMENT` for an archive that is refused; `TIMEOUT`, `CANCELLED`, those of a
    /// sandbox that ends; what `source_error` makes of a failure of `fill` itself.
    pub(crate) fn import_tree(
        &self,
        engine: &Engine,
        roots: Vec<String>,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
        source_error: impl FnOnce(&io::Error) -> Error,
        token: &CancelToken,
    ) -> Result<Done> {
        let interrupt = engine.wakeups.watch(token)?;
        let request = InitRequest::ImportTree { roots };
        let mut transfer = Transfer::new(self, &request, &interrupt)?;
        let refused = |stage: &str, errno| tree_error("import", stage, errno);
        let mut sink = Sink { transfer: &mut transfer, refused: &refused, failed: None };
        let filled = fill(&mut sink);
        if let Some(error) = sink.failed.take() {
            return Err(error);
        }
        filled.map_err(|error| source_error(&error))?;
        transfer.finish(&refused)
    }
}

type Refused<'a> = &'a dyn Fn(&str, i32) -> Error;

/// A request with its data descriptor. Dropping it ends the agent.
struct Transfer<'a> {
    sandbox: &'a Sandbox,
    interrupt: &'a Interrupt<'a>,
    channel: OwnedFd,
    data: OwnedFd,
}

impl<'a> Transfer<'a> {
    fn new(sandbox: &'a Sandbox, request: &InitRequest, interrupt: &'a Interrupt<'a>) -> Result<Self> {
        sandbox.check_running()?;
        if interrupt.is_cancelled() {
            return Err(cancelled());
        }
        let (channel, channel_far) = channel_pair()?;
        let (data, data_far) = socket::stream_pair().map_err(|error| host_error("socketpair", &error))?;
        sandbox.send(request, channel.as_fd(), &[channel_far.as_fd(), data_far.as_fd()], Some(interrupt))?;
        Ok(Self { sandbox, interrupt, channel, data })
    }

    /// Waits until the channel or, with `events`, the data is ready; says for each whether it is.
    fn wait(&self, events: Option<PollFlags>) -> Result<(bool, bool)> {
        let mut polled = vec![PollFd::new(&self.channel, PollFlags::IN)];
        polled.extend(events.map(|events| PollFd::new(&self.data, events)));
        let streams = polled.len();
        polled.push(PollFd::from_borrowed_fd(self.interrupt.fd(), PollFlags::IN));
        let in_time = wait::poll(&mut polled, Some(Instant::now() + PATIENCE))
            .map_err(|error| host_error("poll", &error))?;
        if self.interrupt.is_cancelled() {
            return Err(cancelled());
        }
        if !in_time {
            return Err(Error::new(
                Code::Timeout,
                format!("the sandbox moved no byte for {} s", PATIENCE.as_secs()),
            )
            .with("sandbox_id", &*self.sandbox.id));
        }
        let ready = |index: usize| !polled[index].revents().is_empty();
        Ok((ready(0), streams > 1 && ready(1)))
    }

    /// Passes the data to `sink` until its end, then takes the answer.
    fn receive(&mut self, refused: Refused<'_>, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Done> {
        let mut buffer = Vec::with_capacity(PIECE);
        loop {
            let (answered, data) = self.wait(Some(PollFlags::IN))?;
            if data {
                buffer.clear();
                match rustix::io::read(&self.data, rustix::buffer::spare_capacity(&mut buffer)) {
                    Ok(0) => return self.finish(refused),
                    Ok(_) => sink(&buffer)?,
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                    Err(error) => return Err(host_error("read", &error.into())),
                }
            } else if answered {
                // A refusal; or the answer, with nothing more to come but the end of the data.
                return self.finish(refused);
            }
        }
    }

    /// Sends data; a refusal meanwhile ends it.
    fn send(&mut self, bytes: &[u8], refused: Refused<'_>) -> Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            let piece = &left[..left.len().min(PIECE)];
            match rustix::net::send(&self.data, piece, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => left = &left[sent..],
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    let (answered, _) = self.wait(Some(PollFlags::OUT))?;
                    if answered {
                        return self.early(refused);
                    }
                }
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return self.early(refused),
                Err(error) => return Err(host_error("send", &error.into())),
            }
        }
        Ok(())
    }

    /// An answer before all was sent can only be a refusal.
    fn early(&mut self, refused: Refused<'_>) -> Result<()> {
        self.finish(refused)?;
        Err(Error::new(Code::Unavailable, "the sandbox took only a part of the data")
            .with("sandbox_id", &*self.sandbox.id))
    }

    /// Ends the data and takes the answer.
    fn finish(&mut self, refused: Refused<'_>) -> Result<Done> {
        let _ = rustix::net::shutdown(&self.data, rustix::net::Shutdown::Write);
        self.wait(None)?;
        match self.sandbox.receive(&self.channel)? {
            InitEvent::Done { entries, bytes } => Ok(Done { entries, bytes }),
            InitEvent::Failed { stage, errno } => {
                Err(refused(&stage, errno).with("sandbox_id", &*self.sandbox.id))
            }
            other => Err(self.sandbox.out_of_turn(&other)),
        }
    }
}

/// What a file comes to whose bytes and answer a fuzz target has made.
#[cfg(feature = "fuzzing")]
pub(crate) fn receive_over(
    sandbox: &Sandbox,
    interrupt: &Interrupt<'_>,
    channel: OwnedFd,
    data: OwnedFd,
) -> Result<(Vec<u8>, Done)> {
    let mut transfer = Transfer { sandbox, interrupt, channel, data };
    let mut content = Vec::new();
    let refused = |stage: &str, errno| path_error("path", "/data/x", stage, errno, MAX_FILE_BYTES as u64);
    let done = transfer.receive(&refused, &mut |piece| {
        content.extend_from_slice(piece);
        Ok(())
    })?;
    Ok((content, done))
}

/// A [`Transfer`] as a writer; keeps the typed error that the writer's own cannot carry.
struct Sink<'a, 'b> {
    transfer: &'a mut Transfer<'b>,
    refused: Refused<'a>,
    failed: Option<Error>,
}

impl Write for Sink<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.transfer.send(bytes, self.refused) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                let text = io::Error::other(error.to_string());
                self.failed = Some(error);
                Err(text)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The error for a path that the inside refuses.
fn path_error(argument: &str, path: &str, stage: &str, errno: i32, max_bytes: u64) -> Error {
    let path_text = quote(path);
    let (code, rule) = match errno {
        libc::ENOENT => (Code::NotFound, format!("there is no file {path_text}")),
        libc::ENOTDIR => (Code::NotFound, format!("a part of {path_text} is not a directory")),
        libc::EISDIR => (Code::InvalidArgument, format!("{path_text} is a directory, not a regular file")),
        libc::EINVAL | libc::ENXIO | libc::EOPNOTSUPP | libc::ENODEV => {
            (Code::InvalidArgument, format!("{path_text} is not a regular file"))
        }
        libc::ELOOP | libc::EXDEV => {
            (Code::InvalidArgument, format!("{path_text} goes through links that are not followed"))
        }
        libc::ENAMETOOLONG => (Code::InvalidArgument, format!("{path_text} has a part that is too long")),
        libc::EFBIG => (Code::LimitExceeded, format!("{path_text} must be at most {max_bytes} bytes")),
        libc::ENOSPC | libc::EDQUOT => {
            (Code::LimitExceeded, format!("no room for {path_text}: the sandbox's disk is full"))
        }
        libc::EACCES | libc::EPERM | libc::EROFS => {
            (Code::PermissionDenied, format!("{path_text} is not accessible to the user of the sandbox"))
        }
        libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE => (
            Code::LimitExceeded,
            format!(
                "the sandbox cannot work on {path_text}: {stage}: {}",
                io::Error::from_raw_os_error(errno)
            ),
        ),
        _ => (Code::Unavailable, format!("{path_text}: {stage}: {}", io::Error::from_raw_os_error(errno))),
    };
    Error::new(code, format!("{argument}: {rule}")).about(argument).with("stage", stage).with("errno", errno)
}

/// The error for a tree that the inside refuses.
fn tree_error(what: &str, stage: &str, errno: i32) -> Error {
    let reason = io::Error::from_raw_os_error(errno);
    let (code, message) = match errno {
        libc::ENOSPC | libc::EDQUOT => {
            (Code::LimitExceeded, format!("{what}: the template's files do not fit on the sandbox's disk"))
        }
        libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE => {
            (Code::LimitExceeded, format!("{what}: {stage}: {reason}"))
        }
        libc::EINVAL | libc::EBADMSG | libc::EPERM => {
            (Code::InvalidArgument, format!("{what}: the archive is refused: {stage}: {reason}"))
        }
        _ => (Code::Unavailable, format!("{what}: {stage}: {reason}")),
    };
    Error::new(code, message).with("stage", stage).with("errno", errno)
}
