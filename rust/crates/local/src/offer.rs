//! Datagrams to init and to the supervisor, in sends that never wait.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use e2bridge_core::Result;
use e2bridge_protocol::socket;

use crate::wait::host_error;

/// What became of a datagram.
pub(crate) enum Offer {
    /// It is on its way.
    Taken,
    /// The socket is full: again once it is writable.
    NoRoom,
    /// Nobody is there any more who could take it.
    Nobody,
}

/// Sends one.
///
/// # Errors
/// `LIMIT_EXCEEDED` when the host is out of memory or, for this user, of descriptors in flight.
pub(crate) fn offer(to: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<Offer> {
    match socket::send_bytes(to, bytes, fds) {
        Ok(()) => Ok(Offer::Taken),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Offer::NoRoom),
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::ETOOMANYREFS | libc::ENOMEM | libc::ENOBUFS)) =>
        {
            Err(host_error("sendmsg", &error))
        }
        Err(_) => Ok(Offer::Nobody),
    }
}
