//! The connections of a client: as many at once as allowed, and those that have nothing to do kept for the next request.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use e2bridge_core::Result;
use e2bridge_wait::{host_error, signal};
use rustix::event::{EventfdFlags, PollFlags};
use rustls::ClientConfig;

use super::connect::connect;
use super::connection::{Connection, Fault, Phase};
use super::guard::Guard;
use super::proxy::Proxies;
use super::url::Url;

/// Most connections in use at a time.
pub(crate) const MAX_IN_USE: u32 = 128;
/// Most connections that are kept for later.
pub(crate) const MAX_IDLE: usize = 32;
/// How long one is kept: less than servers and the balancers before them keep theirs.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// Where a connection goes; one for another scheme, host or port is another connection.
type Origin = (bool, String, u16);

/// The connections of a client.
pub(crate) struct Pool {
    tls: Arc<ClientConfig>,
    pub(crate) proxies: Proxies,
    connect_time: Duration,
    /// A semaphore: as many reads succeed as connections may be taken.
    permits: OwnedFd,
    idle: Mutex<Vec<(Origin, Connection, Instant)>>,
    in_use: AtomicUsize,
    opened: AtomicU64,
    reused: AtomicU64,
}

/// What a pool has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolFigures {
    /// Connections that carry a request.
    pub(crate) in_use: usize,
    /// Kept.
    pub(crate) idle: usize,
    /// Made since the client was opened.
    pub(crate) opened: u64,
    /// Requests that needed no new one.
    pub(crate) reused: u64,
}

impl Pool {
    /// Without connections.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` when this process has no descriptor left.
    pub(crate) fn new(
        tls: Arc<ClientConfig>,
        proxies: Proxies,
        connect_time: Duration,
        most: u32,
    ) -> Result<Arc<Self>> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK | EventfdFlags::SEMAPHORE;
        let permits =
            rustix::event::eventfd(most, flags).map_err(|error| host_error("eventfd", &error.into()))?;
        Ok(Arc::new(Self {
            tls,
            proxies,
            connect_time,
            permits,
            idle: Mutex::default(),
            in_use: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            reused: AtomicU64::new(0),
        }))
    }

    /// A connection to `url`, a kept one unless `fresh`.
    pub(crate) fn take(
        self: &Arc<Self>,
        url: &Url,
        fresh: bool,
        guard: &Guard<'_>,
    ) -> std::result::Result<Lease, Fault> {
        let mut lease = self.permit(guard)?;
        lease.origin = (url.https, url.host.clone(), url.port);
        if !fresh && let Some(kept) = self.kept(&lease.origin) {
            self.reused.fetch_add(1, Ordering::Relaxed);
            lease.connection = Some(kept);
            return Ok(lease);
        }
        lease.connection = Some(connect(url, self.proxies.of(url), &self.tls, guard, self.connect_time)?);
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(lease)
    }

    fn permit(self: &Arc<Self>, guard: &Guard<'_>) -> std::result::Result<Lease, Fault> {
        let deadline = Instant::now() + self.connect_time;
        guard.check()?;
        loop {
            let mut one = [0; 8];
            match rustix::io::read(&self.permits, &mut one) {
                Ok(_) => {
                    self.in_use.fetch_add(1, Ordering::Relaxed);
                    return Ok(Lease {
                        pool: Arc::clone(self),
                        origin: (false, String::new(), 0),
                        connection: None,
                    });
                }
                Err(rustix::io::Errno::AGAIN) => {
                    if !guard.wait(self.permits.as_fd(), PollFlags::IN, deadline)?
                        && Instant::now() >= deadline
                    {
                        return Err(Fault::TimedOut(Phase::Connect));
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(host_error("read", &error.into()).into()),
            }
        }
    }

    /// The newest kept connection of that origin that still lives.
    fn kept(&self, origin: &Origin) -> Option<Connection> {
        loop {
            let mut kept = {
                let mut idle = self.idle();
                idle.retain(|(_, _, since)| since.elapsed() < KEPT_FOR);
                let at = idle.iter().rposition(|(of, _, _)| of == origin)?;
                idle.remove(at).1
            };
            // Outside the lock: it makes a system call.
            if kept.is_quiet() {
                return Some(kept);
            }
        }
    }

    fn keep(&self, origin: Origin, connection: Connection) {
        let mut idle = self.idle();
        idle.retain(|(_, _, since)| since.elapsed() < KEPT_FOR);
        if idle.len() >= MAX_IDLE {
            idle.remove(0);
        }
        idle.push((origin, connection, Instant::now()));
    }

    /// Closes the kept connections.
    pub(crate) fn clear(&self) {
        self.idle().clear();
    }

    /// Whether a request could begin at once.
    pub(crate) fn has_room(&self) -> bool {
        e2bridge_wait::ready(&self.permits, PollFlags::IN)
    }

    pub(crate) fn figures(&self) -> PoolFigures {
        PoolFigures {
            in_use: self.in_use.load(Ordering::Relaxed),
            idle: self.idle().len(),
            opened: self.opened.load(Ordering::Relaxed),
            reused: self.reused.load(Ordering::Relaxed),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Origin, Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use. Dropped, it is closed, unless [`Lease::give_back`] kept it.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    origin: Origin,
    connection: Option<Connection>,
}

impl Lease {
    /// The connection.
    pub(crate) fn connection(&mut self) -> std::result::Result<&mut Connection, Fault> {
        self.connection.as_mut().ok_or_else(|| Fault::Broken("the connection has been given back".to_owned()))
    }

    /// Keeps it for another request: everything of this one was read.
    pub(crate) fn give_back(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.keep(std::mem::take(&mut self.origin), connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.connection.take());
        self.pool.in_use.fetch_sub(1, Ordering::Relaxed);
        signal(&self.pool.permits);
    }
}
