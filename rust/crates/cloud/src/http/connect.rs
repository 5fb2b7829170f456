//! Making a connection: resolve, connect, tunnel, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use e2bridge_core::Error;
use e2bridge_wait::{eventfd, signal, with_signals_blocked};
use rustix::event::PollFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::connection::{Connection, Fault, Patience, Phase, Stream, TlsStream, broken};
use super::exchange::read_head;
use super::guard::Guard;
use super::proxy::Proxy;
use super::url::Url;

/// Connects to `url`, through `proxy` if there is one, within `time`.
pub(crate) fn connect(
    url: &Url,
    proxy: Option<&Proxy>,
    tls: &Arc<ClientConfig>,
    guard: &Guard<'_>,
    time: Duration,
) -> Result<Connection, Fault> {
    let deadline = Instant::now() + time;
    let near = proxy.map_or(url, |proxy| &proxy.url);
    let addresses = resolve(&near.host, near.port, guard, deadline)?;
    let mut socket = dial(&near.host_and_port(), &addresses, guard, deadline)?;
    if url.https
        && let Some(proxy) = proxy
    {
        socket = tunnel(socket, url, proxy, guard, deadline)?;
    }
    if !url.https {
        return Ok(Connection::new(Stream::Plain(socket)));
    }
    let name = ServerName::try_from(url.host.clone())
        .map_err(|error| Fault::Broken(format!("TLS: {}: {error}", url.host)))?;
    let session = ClientConnection::new(Arc::clone(tls), name)
        .map_err(|error| Fault::Broken(format!("TLS: {error}")))?;
    let mut stream = TlsStream { socket, session };
    loop {
        match stream.shake() {
            Ok(true) => return Ok(Connection::new(Stream::Tls(Box::new(stream)))),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let events = if stream.session.wants_write() { PollFlags::OUT } else { PollFlags::IN };
                if !guard.wait(stream.socket.as_fd(), events, deadline)? {
                    return Err(Fault::TimedOut(Phase::Connect));
                }
            }
            Err(error) => return Err(broken("TLS handshake", &error)),
        }
    }
}

/// The addresses of a host. The resolver cannot be told to stop, so it has a thread that ends when it does.
fn resolve(host: &str, port: u16, guard: &Guard<'_>, deadline: Instant) -> Result<Vec<SocketAddr>, Fault> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let done = Arc::new(eventfd()?);
    let found: Arc<Mutex<Option<io::Result<Vec<SocketAddr>>>>> = Arc::default();
    let name = host.to_owned();
    let (signalled, answer) = (Arc::clone(&done), Arc::clone(&found));
    let work = move || {
        let addresses = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
        *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(addresses);
        signal(&signalled);
    };
    with_signals_blocked(|| std::thread::Builder::new().name("e2b-resolve".to_owned()).spawn(work)).map_err(
        |error| Error::new(e2bridge_core::Code::LimitExceeded, format!("start a thread: {error}")),
    )?;
    if !guard.wait(done.as_fd(), PollFlags::IN, deadline)? {
        return Err(Fault::TimedOut(Phase::Connect));
    }
    let found = found.lock().unwrap_or_else(PoisonError::into_inner).take();
    match found {
        Some(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
        Some(Err(error)) => Err(Fault::Broken(format!("resolve {host}: {error}"))),
        _ => Err(Fault::Broken(format!("resolve {host}: no address"))),
    }
}

/// Connects to the first address that answers; each has its share of the time.
fn dial(
    what: &str,
    addresses: &[SocketAddr],
    guard: &Guard<'_>,
    deadline: Instant,
) -> Result<TcpStream, Fault> {
    let mut last = Fault::Broken(format!("connect to {what}: no address"));
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let others = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        match dial_one(*address, guard, Instant::now() + left / others) {
            Ok(socket) => return Ok(socket),
            Err(Fault::Broken(why)) => last = Fault::Broken(format!("connect to {what}: {why}")),
            Err(Fault::TimedOut(phase)) => last = Fault::TimedOut(phase),
            Err(other) => return Err(other),
        }
    }
    Err(last)
}

fn dial_one(address: SocketAddr, guard: &Guard<'_>, deadline: Instant) -> Result<TcpStream, Fault> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let text = |error: rustix::io::Errno| Fault::Broken(io::Error::from(error).to_string());
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)
        .map_err(|error| e2bridge_wait::host_error("socket", &error.into()))?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => {}
        Err(rustix::io::Errno::INPROGRESS | rustix::io::Errno::INTR) => {
            if !guard.wait(socket.as_fd(), PollFlags::OUT, deadline)? {
                return Err(Fault::TimedOut(Phase::Connect));
            }
            match rustix::net::sockopt::socket_error(&socket) {
                Ok(Ok(())) => {}
                Ok(Err(error)) | Err(error) => return Err(text(error)),
            }
        }
        Err(error) => return Err(text(error)),
    }
    // Small requests are what there is; a socket that refuses this only waits longer.
    let _ = rustix::net::sockopt::set_tcp_nodelay(&socket, true);
    Ok(TcpStream::from(socket))
}

/// Has a proxy open a tunnel.
fn tunnel(
    socket: TcpStream,
    url: &Url,
    proxy: &Proxy,
    guard: &Guard<'_>,
    deadline: Instant,
) -> Result<TcpStream, Fault> {
    let target = url.host_and_port();
    let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(authorization) = &proxy.authorization {
        head.push_str(&format!("Proxy-Authorization: {}\r\n", authorization.expose()));
    }
    head.push_str("\r\n");
    let patience =
        Patience { until: Some(deadline), idle: Duration::from_secs(3_600), phase: Phase::Connect };
    let mut connection = Connection::new(Stream::Plain(socket));
    connection.send(head.as_bytes(), guard, &patience)?;
    let head = read_head(&mut connection, guard, &patience)?;
    if !(200..300).contains(&head.status) {
        return Err(Fault::Broken(format!(
            "the proxy {} refused a tunnel to {target}: status {}",
            proxy.url.host_and_port(),
            head.status
        )));
    }
    connection
        .into_plain()
        .ok_or_else(|| Fault::Garbled("the proxy sent bytes before the tunnel was used".to_owned()))
}
