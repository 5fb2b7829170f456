//! The life of a sandbox: how long it is to last, and why it has ended.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use e2bridge_core::document::SandboxState;
use e2bridge_core::time::rfc3339;
use e2bridge_core::{Code, Error, Result};
use rustix::event::{PollFd, PollFlags};

use super::Sandbox;
use crate::wait;

/// The changing part of a life.
pub(super) struct Life {
    /// Why it is being ended, or was; `None` while it runs.
    ended: Option<Cause>,
    deadline: Instant,
    /// Lifetime, seconds.
    timeout: u32,
    expires_at: Arc<str>,
}

/// Why a sandbox has ended.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    /// Somebody wanted it to, for that reason.
    Terminated(String),
    /// After so many seconds.
    Expired(u32),
    /// Its init ended, and nobody here had asked for that.
    InitEnded,
    /// The kernel killed its init, because the memory was full.
    MemoryFull,
    /// Its init did not do that in time (completes "its init did not …"), and it was ended for it.
    InitLate(&'static str),
    /// The supervisor ended, and every sandbox with it.
    SupervisorEnded,
}

impl Cause {
    pub(crate) fn state(&self) -> SandboxState {
        match self {
            Self::Terminated(_) => SandboxState::Terminated,
            Self::Expired(_) => SandboxState::Expired,
            Self::InitEnded | Self::MemoryFull | Self::InitLate(_) | Self::SupervisorEnded => {
                SandboxState::Failed
            }
        }
    }

    fn reason(&self) -> String {
        match self {
            Self::Terminated(reason) => reason.clone(),
            Self::Expired(timeout) => format!("its lifetime of {timeout} s has passed"),
            Self::InitEnded => "its init ended".to_owned(),
            Self::MemoryFull => {
                "its memory was full, and nothing but its init was left to be ended".to_owned()
            }
            Self::InitLate(what) => format!("its init did not {what} in time"),
            Self::SupervisorEnded => "the supervisor ended".to_owned(),
        }
    }

    /// The error of a call that it has ended.
    pub(super) fn error(&self, id: &str) -> Error {
        match self.state() {
            state @ SandboxState::Failed => {
                Error::new(Code::Unavailable, format!("sandbox {id} has failed: {}", self.reason()))
                    .with("sandbox_id", id)
                    .with("status", state.word())
            }
            state => ended_error(id, state),
        }
    }
}

impl Life {
    /// Of one that nobody has yet, made at that time.
    pub(super) fn new(made: Instant) -> Self {
        Self { ended: None, deadline: made, timeout: 0, expires_at: "".into() }
    }
}

/// Where a life stands, for documents.
pub(super) struct Standing {
    pub(super) status: SandboxState,
    /// Why it ended.
    pub(super) reason: Option<String>,
    /// While it lives.
    pub(super) deadline: Option<Instant>,
    pub(super) expires_at: Arc<str>,
}

impl Sandbox {
    fn life(&self) -> MutexGuard<'_, Life> {
        // Every change under this lock is a few assignments.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When it is to be ended.
    pub(crate) fn deadline(&self) -> Instant {
        self.life().deadline
    }

    /// Its lifetime, seconds, and the deadline for documents.
    pub(crate) fn timeout(&self) -> (u32, String) {
        let life = self.life();
        (life.timeout, life.expires_at.to_string())
    }

    /// Lets it live `timeout` seconds from `from`; answers the deadline for documents.
    ///
    /// # Errors
    /// `NOT_FOUND` with `context.status` when it has ended.
    pub(crate) fn set_deadline(&self, from: Instant, timeout: u32) -> Result<String> {
        let life_time = Duration::from_secs(u64::from(timeout));
        let left = (from + life_time).saturating_duration_since(Instant::now());
        let expires_at = rfc3339(SystemTime::now() + left);
        let mut life = self.life();
        if let Some(cause) = &life.ended {
            return Err(ended_error(&self.id, cause.state()));
        }
        life.deadline = from + life_time;
        life.timeout = timeout;
        life.expires_at = expires_at.as_str().into();
        Ok(expires_at)
    }

    /// The state it is in; one that is being ended has the state that it will be remembered by.
    pub(crate) fn state(&self) -> SandboxState {
        self.life().ended.as_ref().map_or(SandboxState::Running, Cause::state)
    }

    /// Marks it as ended. When it already is, answers why, and nothing changes.
    pub(crate) fn mark_ended(&self, cause: Cause) -> Option<Cause> {
        let mut life = self.life();
        let earlier = life.ended.clone();
        if earlier.is_none() {
            life.ended = Some(cause);
        }
        earlier
    }

    /// Its init did not end by itself: the kernel killed it for want of memory.
    pub(crate) fn mark_memory_full(&self) {
        if let Some(cause) = &mut self.life().ended {
            *cause = Cause::MemoryFull;
        }
    }

    /// Marks it as expired, unless it is being ended or has got more time.
    pub(crate) fn mark_expired(&self) -> bool {
        let mut life = self.life();
        let due = life.ended.is_none() && life.deadline <= Instant::now();
        if due {
            life.ended = Some(Cause::Expired(life.timeout));
        }
        due
    }

    /// Refuses what needs a live sandbox.
    ///
    /// # Errors
    /// `NOT_FOUND` with `context.status`.
    pub(crate) fn check_running(&self) -> Result<()> {
        match &self.life().ended {
            None => Ok(()),
            Some(cause) => Err(ended_error(&self.id, cause.state())),
        }
    }

    /// True while neither its init nor its supervisor has ended. One system call.
    pub(crate) fn is_alive(&self) -> bool {
        let mut fds = [
            PollFd::new(&self.control, PollFlags::empty()),
            PollFd::from_borrowed_fd(self.supervisor.pidfd(), PollFlags::IN),
        ];
        !wait::poll(&mut fds, Some(Instant::now())).unwrap_or(true)
    }

    /// Closes the control socket, at which its init exits and takes everything along.
    pub(crate) fn hang_up(&self) {
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
    }

    pub(super) fn cause(&self) -> Option<Cause> {
        self.life().ended.clone()
    }

    /// Whether nobody here has ended it, so that the kernel may have, for want of memory.
    pub(crate) fn ended_by_itself(&self) -> bool {
        matches!(self.life().ended, Some(Cause::InitEnded | Cause::MemoryFull))
    }

    /// Whether it has failed because its memory was full: to be asked when a call to it found it gone.
    pub(crate) fn failed_of_memory(&self) -> bool {
        self.ended_by_itself() && self.engine.upgrade().is_some_and(|engine| engine.kill(self))
    }

    pub(super) fn standing(&self) -> Standing {
        let life = self.life();
        let (status, reason, deadline) = match &life.ended {
            None => (SandboxState::Running, None, Some(life.deadline)),
            Some(cause) => (cause.state(), Some(cause.reason()), None),
        };
        Standing { status, reason, deadline, expires_at: Arc::clone(&life.expires_at) }
    }
}

/// The error of every call but status on a sandbox that is remembered.
pub(crate) fn ended_error(id: &str, state: SandboxState) -> Error {
    Error::not_found("sandbox_id", format!("sandbox_id: {id} has ended: {}", state.word()))
        .with("sandbox_id", id)
        .with("status", state.word())
}
