//! Datagram sockets that keep message boundaries and carry descriptors.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest datagram. Far below the socket buffer's default of 212,992 bytes, so that one always fits.
pub const MAX_DATAGRAM: usize = 64 * 1024;
/// Most descriptors in one datagram.
pub const MAX_FDS: usize = 8;
/// Largest message sent in several datagrams: arguments and variables of a program.
pub const MAX_LONG_MESSAGE: usize = 4 * 1024 * 1024;

/// A connected pair of `SOCK_SEQPACKET` sockets, close-on-exec.
///
/// # Errors
/// As `socketpair(2)`.
pub fn seqpacket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// A connected pair of `SOCK_STREAM` sockets, close-on-exec.
///
/// # Errors
/// As `socketpair(2)`.
pub fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message with descriptors in one datagram. Never raises SIGPIPE.
///
/// # Errors
/// As `sendmsg(2)`; `InvalidInput` when the message is over [`MAX_DATAGRAM`].
pub fn send<T: Serialize>(socket: impl AsFd, message: &T, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = encode(message)?;
    if bytes.len() > MAX_DATAGRAM {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("message of {} bytes", bytes.len())));
    }
    send_bytes(socket, &bytes, fds)
}

/// Sends the bytes of one datagram with descriptors. Never raises SIGPIPE.
///
/// # Errors
/// As `sendmsg(2)`.
pub fn send_bytes(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} descriptors", fds.len())));
    }
    loop {
        match rustix::net::sendmsg(
            socket.as_fd(),
            &[IoSlice::new(bytes)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        ) {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.map(drop).map_err(Into::into),
        }
    }
}

/// Receives one message and its descriptors; `None` at the end of the connection. Blocks unless the socket does not.
///
/// # Errors
/// As `recvmsg(2)`; `InvalidData` when the datagram was cut or does not decode.
pub fn recv<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    thread_local! {
        // Cleared once and not for every message: in a process that clones itself, and in each clone, every page that is written to is
        // copied first.
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|bytes| {
        bytes.resize(MAX_DATAGRAM, 0);
        match recv_bytes(socket, bytes)? {
            (0, _) => Ok(None),
            (length, fds) => Ok(Some((decode(&bytes[..length])?, fds))),
        }
    })
}

/// Receives the bytes of one datagram and its descriptors (close-on-exec); length 0 at the end of the connection.
///
/// # Errors
/// As `recvmsg(2)`; `InvalidData` when the datagram or its descriptors were cut.
pub fn recv_bytes(socket: impl AsFd, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match rustix::net::recvmsg(
            socket.as_fd(),
            &mut [IoSliceMut::new(bytes)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "datagram was cut"));
    }
    Ok((received.bytes, fds))
}

/// The bytes of a message.
///
/// # Errors
/// `InvalidInput` when the value has no such form, which these types rule out.
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(message)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))
}

/// The message in the bytes.
///
/// # Errors
/// `InvalidData` when they are not one message and nothing else.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(invalid(format!("{} bytes behind the message", rest.len()))),
        Err(error) => Err(invalid(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;

    #[test]
    fn a_message_arrives_with_its_descriptors() {
        let (left, right) = seqpacket_pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"shared").unwrap();
        file.rewind().unwrap();
        send(&left, &("hello".to_owned(), 7_u64), &[file.as_fd()]).unwrap();
        let ((text, number), mut fds): ((String, u64), _) = recv(&right).unwrap().unwrap();
        assert_eq!((text.as_str(), number), ("hello", 7));
        let mut content = String::new();
        std::fs::File::from(fds.remove(0)).read_to_string(&mut content).unwrap();
        assert_eq!(content, "shared");
        assert!(fds.is_empty());
    }

    #[test]
    fn the_end_is_none_and_rubbish_is_an_error() {
        let (left, right) = seqpacket_pair().unwrap();
        send_bytes(&left, &[0xff; 20], &[]).unwrap();
        assert_eq!(recv::<(String, u64)>(&right).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let mut more = encode(&("hello".to_owned(), 7_u64)).unwrap();
        more.push(0);
        send_bytes(&left, &more, &[]).unwrap();
        assert_eq!(recv::<(String, u64)>(&right).unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(left);
        assert!(recv::<(String, u64)>(&right).unwrap().is_none());
    }

    #[test]
    fn sending_to_a_closed_end_is_an_error_and_no_signal() {
        let (left, right) = seqpacket_pair().unwrap();
        drop(right);
        assert_eq!(send(&left, &1_u8, &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
