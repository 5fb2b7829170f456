//! The supervisor: one thread, one event loop. Each request is a state machine; nothing here waits for a zygote, a clone or an
//! interpreter. What does block: putting a process into cgroups of v2 (see [`cgroup::Groups`]) and, once at the start,
//! the sweep of what dead clients left behind.

mod cgroup;
mod check;
mod fallback;
mod interpreter;
mod record;
mod sandbox;
mod template;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use e2bridge_protocol::supervisor::{
    Failure, FailureKind, Start, Started, SupervisorReply, SupervisorRequest, Template,
};
use e2bridge_protocol::{PROTOCOL_VERSION, socket};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec};

use self::cgroup::{Layout, Own};
use self::check::Checks;
use self::fallback::Fallback;
use self::record::{Left, Record, Records};
use self::sandbox::Sandbox;
use self::template::{TemplateState, Zygote};
use crate::failure::{failure, system, unavailable};
use crate::plan::Identity;
use crate::{process_tier, sys};

/// Longest time for a zygote to be ready, and for a clone to be confined.
const PATIENCE: Duration = Duration::from_secs(15);
/// Longest time for the end of everything when the library has gone.
const LAST_PATIENCE: Duration = Duration::from_secs(20);
/// Longest time for cgroups to become free of processes that have ended.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(5);
/// Until a signal that was refused is sent again.
const KILL_INTERVAL: Duration = Duration::from_millis(100);
/// How often that is tried.
const REMOVAL_INTERVAL: Duration = Duration::from_millis(1);

/// Runs the supervisor until the library's end of the socket closes; leaves nothing.
///
/// # Errors
/// The event loop itself cannot work.
pub(crate) fn run(library: OwnedFd, python_zygote: &'static [u8]) -> io::Result<()> {
    let mut supervisor = Supervisor::new(library, python_zygote)?;
    let result = supervisor.serve();
    supervisor.end_everything();
    result
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Library,
    /// Its socket.
    Zygote(u64),
    /// It has ended.
    ZygoteEnd(u64),
    /// The socket to a clone.
    Status(u64),
    /// The init of a sandbox has ended.
    End(u64),
    /// A candidate has ended.
    Probe(Template),
}

/// Descriptors that are waited for.
struct Poller {
    epoll: OwnedFd,
    sources: HashMap<u64, Source>,
    next: u64,
}

/// A registration; to be given back before the descriptor closes, because zygotes may have a copy of it for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token(u64);

impl Poller {
    fn add(&mut self, fd: impl AsFd, source: Source) -> io::Result<Token> {
        let token = self.next;
        self.next += 1;
        epoll::add(&self.epoll, fd, EventData::new_u64(token), EventFlags::IN)?;
        self.sources.insert(token, source);
        Ok(Token(token))
    }

    fn remove(&mut self, fd: impl AsFd, token: Token) {
        self.sources.remove(&token.0);
        // It is registered, or was never.
        let _ = epoll::delete(&self.epoll, fd);
    }
}

/// What `Start` brought.
struct Client {
    start: Start,
    identity: Identity,
    /// Why subordinate ids that were granted are not used.
    own_ids_because: Option<String>,
    layout: Layout,
    /// Sandboxes of one user id count their processes separately.
    processes_per_namespace: bool,
    /// Ids of [`Self::identity`] that live sandboxes have.
    ids: BTreeSet<u32>,
    last_id: u32,
    /// Processors that this process may use.
    processors: Vec<usize>,
    next_processor: usize,
    /// Bytes that the buffers of a socket get by default, in the direction that gets more.
    socket_buffer: u64,
    record: Record,
    /// Why sandboxes get no namespaces, when they do not.
    fallback: Option<Fallback>,
    /// Where the files of such sandboxes are.
    files: PathBuf,
}

struct Supervisor {
    poller: Poller,
    library: OwnedFd,
    client: Option<Client>,
    templates: HashMap<Template, TemplateState>,
    zygotes: BTreeMap<u64, Zygote>,
    next_zygote: u64,
    sandboxes: BTreeMap<u64, Sandbox>,
    /// Those that may have a deadline: not the many that just run.
    timed: BTreeSet<u64>,
    /// Sandboxes that ended because their memory was full.
    ended_of_memory: BTreeSet<u64>,
    /// The file by which CPython becomes a zygote; empty where there is none.
    python_zygote: &'static [u8],
    checks: Checks,
}

impl Supervisor {
    fn new(library: OwnedFd, python_zygote: &'static [u8]) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut poller = Poller { epoll, sources: HashMap::new(), next: 0 };
        poller.add(&library, Source::Library)?;
        Ok(Self {
            poller,
            library,
            client: None,
            templates: [Template::Base, Template::Python, Template::Node]
                .map(|template| (template, TemplateState::default()))
                .into(),
            zygotes: BTreeMap::new(),
            next_zygote: 0,
            sandboxes: BTreeMap::new(),
            timed: BTreeSet::new(),
            ended_of_memory: BTreeSet::new(),
            python_zygote,
            checks: Checks::default(),
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(64);
        loop {
            let timeout = self.next_deadline().map(|deadline| {
                let left = deadline.saturating_duration_since(Instant::now());
                Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: i64::from(left.subsec_nanos()) }
            });
            events.clear();
            match epoll::wait(
                &self.poller.epoll,
                rustix::buffer::spare_capacity(&mut events),
                timeout.as_ref(),
            ) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            for event in &events {
                let token = event.data.u64();
                let Some(source) = self.poller.sources.get(&token).copied() else { continue };
                match source {
                    Source::Library => {
                        if !self.hear_library() {
                            return Ok(());
                        }
                    }
                    Source::Zygote(zygote) => self.hear_zygote(zygote),
                    Source::ZygoteEnd(zygote) => self.bury_zygote(zygote),
                    Source::Status(sandbox) => self.hear_clone(sandbox),
                    Source::End(sandbox) => self.bury_sandbox(sandbox),
                    Source::Probe(template) => self.advance_probe(template),
                }
            }
            self.keep_time();
        }
    }

    /// One request; false at the end of the connection.
    fn hear_library(&mut self) -> bool {
        let (request, fds) = match socket::recv::<SupervisorRequest>(&self.library) {
            Ok(Some(message)) => message,
            Ok(None) => return false,
            // Not a message: whoever sent it sees its reply socket close.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return true,
            Err(_) => return false,
        };
        let mut fds = fds.into_iter();
        let Some(reply) = fds.next() else { return true };
        match request {
            SupervisorRequest::Start(start) => {
                let answer = match self.start(start) {
                    Ok(started) => SupervisorReply::Started(started),
                    Err(failure) => SupervisorReply::Failed(failure),
                };
                answer_to(&reply, &answer);
            }
            SupervisorRequest::Create(create) => match fds.next() {
                Some(control) => self.create(create, control, reply),
                None => {
                    let failure = failure(FailureKind::Internal, "create", "no control socket came along");
                    answer_to(&reply, &SupervisorReply::Failed(failure));
                }
            },
            SupervisorRequest::Kill { sandbox } => self.kill(sandbox, reply),
            SupervisorRequest::Check => self.check(reply),
        }
        true
    }

    fn start(&mut self, start: Start) -> Result<Started, Failure> {
        let internal = |message: String| failure(FailureKind::Internal, "start", message);
        if start.protocol_version != PROTOCOL_VERSION {
            return Err(internal(format!(
                "the library speaks protocol {}, the supervisor {PROTOCOL_VERSION}",
                start.protocol_version
            )));
        }
        if self.client.is_some() {
            return Err(internal("started already".to_owned()));
        }
        let named = !start.client.is_empty()
            && start.client.len() <= 64
            && start.client.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !named {
            return Err(internal("client must be 1 to 64 lower-case letters and digits".to_owned()));
        }
        // Before anything is made: without it there would be no bound on processors where there is no cgroup.
        let allowed = rustix::thread::sched_getaffinity(None)
            .map_err(|error| system("read affinity", "sched_getaffinity", error))?;
        let processors =
            (0..rustix::thread::CpuSet::MAX_CPU).filter(|&processor| allowed.is_set(processor)).collect();
        let records = Records::open(&start.runtime_directory)?;
        let identity = records.choose_identity(&start.client)?;
        sys::give_up_privileges(identity.by_helpers(), fallback::capabilities(start.required))
            .map_err(|error| system("give up privileges", "capset or prctl", error))?;
        let own = Own::read();
        let files = process_tier::files::of_client(&start.client);
        let left = Left { cgroups: own.directories(&start.client), files: vec![files.clone()] };
        let record = records.write(&start.client, identity, left)?;
        let layout = Layout::make(&own, &start.client);
        let swept = records.swept;
        self.client = Some(Client {
            start,
            identity,
            own_ids_because: None,
            layout,
            processes_per_namespace: identity.dedicated() || kernel_at_least(5, 14),
            ids: BTreeSet::new(),
            last_id: identity.sandbox_ids().end,
            processors,
            next_processor: 0,
            socket_buffer: default_socket_buffer(),
            record,
            fallback: None,
            files,
        });
        Ok(Started { pid: std::process::id(), swept })
    }

    fn client(&mut self) -> Result<&mut Client, Failure> {
        self.client.as_mut().ok_or_else(|| failure(FailureKind::Internal, "start", "not started"))
    }

    fn next_deadline(&self) -> Option<Instant> {
        let sandboxes = self.timed.iter().filter_map(|number| self.sandboxes.get(number)?.deadline);
        let templates = self.templates.values().filter_map(TemplateState::deadline);
        let zygotes = self.zygotes.values().filter_map(Zygote::deadline);
        sandboxes.chain(templates).chain(zygotes).min()
    }

    fn keep_time(&mut self) {
        let now = Instant::now();
        let deadline = |number: &u64| self.sandboxes.get(number).and_then(|sandbox| sandbox.deadline);
        self.timed.retain(|number| deadline(number).is_some());
        let is_late = |number: &u64| deadline(number).is_some_and(|deadline| deadline <= now);
        let late: Vec<_> = self.timed.iter().copied().filter(is_late).collect();
        late.into_iter().for_each(|number| self.sandbox_is_late(number, now));
        let late: Vec<_> = self
            .templates
            .iter()
            .filter(|(_, state)| state.deadline().is_some_and(|deadline| deadline <= now))
            .map(|(&template, _)| template)
            .collect();
        late.into_iter().for_each(|template| self.template_is_late(template));
        self.zygotes.values_mut().for_each(|zygote| zygote.keep_time(now));
        let late: Vec<_> = self
            .zygotes
            .iter()
            .filter(|(_, zygote)| zygote.is_late(now))
            .map(|(&number, _)| number)
            .collect();
        late.into_iter().for_each(|number| self.zygote_is_late(number));
    }

    /// Ends every zygote and with it every sandbox, removes the cgroups and the record.
    fn end_everything(&mut self) {
        let deadline = Instant::now() + LAST_PATIENCE;
        for state in self.templates.values_mut() {
            state.stop_probe();
        }
        for zygote in self.zygotes.values() {
            zygote.kill();
        }
        for zygote in self.zygotes.values() {
            wait_until_readable(zygote.pidfd(), deadline);
            zygote.reap();
        }
        let mut sandboxes = std::mem::take(&mut self.sandboxes);
        let keepers: Vec<_> = sandboxes.values().filter_map(Sandbox::end_with_client).collect();
        keepers.into_iter().for_each(|keeper| wait_until_readable(keeper, deadline));
        loop {
            sandboxes.retain(|_, sandbox| !self.clear(sandbox));
            if sandboxes.is_empty() || Instant::now() > deadline {
                break;
            }
            std::thread::sleep(REMOVAL_INTERVAL);
        }
        if let Some(Client { layout, record, files, .. }) = self.client.take() {
            // Cgroups also when files are left.
            let removed = [process_tier::files::remove_client(&files), layout.remove()];
            record.give_up(!removed.contains(&false));
        }
    }
}

fn wait_until_readable(fd: BorrowedFd<'_>, deadline: Instant) {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout =
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: i64::from(left.subsec_nanos()) };
        match rustix::event::poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            _ => return,
        }
    }
}

/// Answers a request. The caller may have gone, which is its own affair; true when it has not.
fn answer_to(reply: &OwnedFd, answer: &SupervisorReply) -> bool {
    socket::send(reply, answer, &[]).is_ok()
}

/// A zygote that ended while it was needed.
fn zygote_died() -> Failure {
    unavailable("zygote", "the template's zygote ended unexpectedly")
}

fn kernel_at_least(major: u32, minor: u32) -> bool {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

fn default_socket_buffer() -> u64 {
    ["rmem_default", "wmem_default"]
        .into_iter()
        .filter_map(|name| {
            std::fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?.trim().parse().ok()
        })
        .max()
        .unwrap_or(0)
}
