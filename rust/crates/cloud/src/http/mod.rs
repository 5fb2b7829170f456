//! HTTP/1.1 by blocking threads: a request waits by `poll` on its socket, on its cancel token and on the client's closing at once,
//! so that each of them ends it and its connection. That is why the client is our own: no library lets a call that waits be
//! ended so. Heads are parsed by `httparse`, TLS is `rustls`.

pub(crate) mod body;
pub(crate) mod connect;
pub(crate) mod connection;
pub(crate) mod exchange;
pub(crate) mod guard;
pub(crate) mod pool;
pub(crate) mod proxy;
pub(crate) mod retry;
pub(crate) mod tls;
pub(crate) mod url;
