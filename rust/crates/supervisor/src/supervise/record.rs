//! The owner record of a client: what it may leave behind when its supervisor is killed, under a lock that is held as long as the
//! supervisor lives. A record whose lock is free belongs to nobody any more, and whoever starts next sweeps it.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use e2bridge_init::weaken::{self, Defence};
use e2bridge_protocol::supervisor::{Failure, FailureKind};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use serde::{Deserialize, Serialize};

use super::cgroup;
use crate::failure::{failure, system};
use crate::plan::{Identity, MapWriter};
use crate::process_tier::files;

/// Longest time for what a dead client left behind.
const SWEEP_TIME: Duration = Duration::from_secs(5);
/// Largest record that is read.
const LARGEST: u64 = 1024 * 1024;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    /// First of the dedicated host ids, when there are some.
    ids_base: Option<u32>,
    ids_count: u32,
    #[serde(flatten)]
    left: Left,
}

/// What a client may leave behind.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Left {
    /// Directories of its cgroups.
    pub(crate) cgroups: Vec<PathBuf>,
    /// Directories of files of sandboxes.
    #[serde(default)]
    pub(crate) files: Vec<PathBuf>,
}

impl Left {
    /// Ends and removes it; true when nothing is left.
    fn sweep(&self) -> bool {
        // The files of both also when some cannot be removed.
        let groups = self.cgroups.iter().filter(|directory| !sweep(directory)).count();
        let files = self.files.iter().filter(|directory| !sweep_files(directory)).count();
        groups + files == 0
    }
}

/// The locked directory of records: one client at a time starts in it.
pub(crate) struct Records {
    directory: PathBuf,
    _lock: fs::File,
    /// Dedicated ids of clients that live.
    taken: Vec<(u32, u32)>,
    /// Records of dead clients that were swept.
    pub(crate) swept: u32,
}

impl Records {
    /// Opens the directory and sweeps what dead clients left behind.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub(crate) fn open(directory: &str) -> Result<Self, Failure> {
        let stage = "open runtime directory";
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = rustix::fs::open(directory, flags, Mode::empty())
            .map_err(|error| system(stage, directory, error))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)
            .map_err(|error| system(stage, directory, error))?;
        let mut records =
            Self { directory: directory.into(), _lock: lock.into(), taken: Vec::new(), swept: 0 };
        let entries = fs::read_dir(directory).map_err(|error| system(stage, directory, error))?;
        for entry in entries.flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "json") {
                records.visit(&entry.path());
            }
        }
        Ok(records)
    }

    fn visit(&mut self, path: &Path) {
        let Some(mut file) = open(path, OFlags::empty()) else { return };
        let free = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        let mut text = String::new();
        let content = (&mut file)
            .take(LARGEST)
            .read_to_string(&mut text)
            .ok()
            .and_then(|_| serde_json::from_str::<Content>(&text).ok());
        if !free {
            let ids = content.and_then(|content| Some((content.ids_base?, content.ids_count)));
            self.taken.extend(ids);
        } else if content.unwrap_or_default().left.sweep() {
            // What cannot be removed is tried again by the next one.
            self.swept += u32::from(fs::remove_file(path).is_ok());
        }
    }

    /// Ids for a new client: dedicated ones for root and for a user who has been granted some, else the user's own.
    ///
    /// # Errors
    /// Root in a user namespace that has no ids to spare.
    pub(crate) fn choose_identity(&self, client: &str) -> Result<Identity, Failure> {
        let user = rustix::process::geteuid();
        if !weaken::keeps(Defence::DedicatedIds) {
            return Ok(own_identity());
        }
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let start =
            client.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        if !user.is_root() {
            let names = names_of(user.as_raw(), &read("/etc/passwd"));
            let granted = [&read("/etc/subuid"), &read("/etc/subgid")].map(|table| ranges_of(&names, table));
            let dedicated = choose_granted(start, &granted, &self.taken)
                .map(|(base, count)| Identity::Dedicated { base, count, writer: MapWriter::Helpers });
            return Ok(dedicated.unwrap_or_else(own_identity));
        }
        let mut used = self.taken.clone();
        used.extend(["/etc/passwd", "/etc/group"].into_iter().flat_map(|path| used_ids(&read(path))));
        used.extend(["/etc/subuid", "/etc/subgid"].into_iter().flat_map(|path| used_ranges(&read(path))));
        let mapped = [mapped(&read("/proc/self/uid_map")), mapped(&read("/proc/self/gid_map"))];
        let dedicated = |(base, count)| Identity::Dedicated { base, count, writer: MapWriter::Own };
        choose_range(start, &mapped, &used).map(dedicated).ok_or_else(|| {
            Failure {
                remedy: Some(
                    "give the container more ids, for example with --userns=host, or run the service as an ordinary user"
                        .to_owned(),
                ),
                ..failure(
                    FailureKind::Isolation,
                    "choose ids",
                    "no 1024 user and group ids that own nothing are mapped into this user namespace",
                )
            }
        })
    }

    /// Writes the record of a client, before anything that it names is made.
    ///
    /// # Errors
    /// There is one already, or the directory cannot be written.
    pub(crate) fn write(&self, client: &str, identity: Identity, left: Left) -> Result<Record, Failure> {
        let stage = "write owner record";
        let path = self.directory.join(format!("{client}.json"));
        let shown = path.display().to_string();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::from_bits_truncate(0o600))
            .map_err(|error| system(stage, &shown, error))?;
        let mut record = Record { path, file: file.into() };
        rustix::fs::flock(record.file.as_fd(), FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| system(stage, &shown, error))?;
        let (ids_base, ids_count) = match identity {
            Identity::Dedicated { base, count, .. } => (Some(base), count),
            Identity::Own { .. } => (None, 0),
        };
        let content = serde_json::to_vec(&Content { ids_base, ids_count, left })
            .map_err(|error| failure(FailureKind::Internal, stage, error.to_string()))?;
        record.file.write_all(&content).map_err(|error| system(stage, &shown, error))?;
        Ok(record)
    }
}

/// The record of a client that lives.
pub(crate) struct Record {
    path: PathBuf,
    file: fs::File,
}

impl Record {
    /// The client ends. When it leaves something behind, its record stays for the next one to sweep.
    pub(crate) fn give_up(self, clean: bool) {
        if clean {
            // While it is locked. When that fails, it is swept, too.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn open(path: &Path, flags: OFlags) -> Option<fs::File> {
    let flags = flags | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok().map(Into::into)
}

/// Ends what is in a dead client's cgroups and removes them. True when nothing is left.
fn sweep(directory: &Path) -> bool {
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.starts_with(cgroup::PREFIX) || !directory.is_absolute() {
        return true;
    }
    let deadline = Instant::now() + SWEEP_TIME;
    loop {
        let groups = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        for group in groups.filter(|path| path.is_dir()).chain([directory.to_owned()]) {
            kill_members(&group, name);
            // Not empty yet: the next round tries again.
            let _ = fs::remove_dir(&group);
        }
        if !directory.exists() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Removes the files of a dead client, whose keepers end when it does. True when nothing is left.
fn sweep_files(directory: &Path) -> bool {
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.starts_with(files::PREFIX) || !directory.is_absolute() {
        return true;
    }
    let deadline = Instant::now() + SWEEP_TIME;
    while !files::remove_client(directory) {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

pub(super) fn kill_members(group: &Path, client: &str) {
    let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in members.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw) {
        let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { continue };
        // The id may be another process's by now; the descriptor, once checked, is not.
        let still = fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero())).unwrap_or_default();
        if still.contains(client) {
            // It may have ended meanwhile.
            let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
        }
    }
}

fn used_ids(table: &str) -> Vec<(u32, u32)> {
    table.lines().filter_map(|line| Some((line.split(':').nth(2)?.parse().ok()?, 1))).collect()
}

fn used_ranges(table: &str) -> Vec<(u32, u32)> {
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':').skip(1);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .collect()
}

/// The calling user's own ids.
pub(crate) fn own_identity() -> Identity {
    Identity::Own { user: rustix::process::geteuid().as_raw(), group: rustix::process::getegid().as_raw() }
}

/// How a user may be named in the tables of subordinate ids: by number, and by the names that `/etc/passwd` has for it.
fn names_of(user: u32, passwd: &str) -> Vec<String> {
    let number = user.to_string();
    let named = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    });
    named.chain([number.clone()]).collect()
}

/// The ranges that a table of subordinate ids grants to a user.
fn ranges_of(names: &[String], table: &str) -> Vec<(u32, u32)> {
    let is_theirs =
        |line: &&str| line.split(':').next().is_some_and(|name| names.iter().any(|it| it == name));
    table.lines().filter(is_theirs).flat_map(used_ranges).collect()
}

/// A part of the granted ids that no other client has. Containers of the same user begin at the low end, and have `nobody` at the
/// high one: the part comes from the upper half, without the last.
fn choose_granted(start: u32, granted: &[Vec<(u32, u32)>; 2], taken: &[(u32, u32)]) -> Option<(u32, u32)> {
    const COUNT: u32 = 2048;
    granted[0].iter().find_map(|&(from, length)| {
        let slots = length / COUNT;
        let (first, number) = (slots / 2, (slots / 2).saturating_sub(1));
        (0..number)
            .map(|slot| from + (first + (start % number + slot) % number) * COUNT)
            .find(|&base| {
                contains(&granted[1], base, COUNT) && taken.iter().all(|it| apart(*it, base, COUNT))
            })
            .map(|base| (base, COUNT))
    })
}

/// Whether one of some extents holds all of a range.
fn contains(extents: &[(u32, u32)], base: u32, count: u32) -> bool {
    extents.iter().any(|&(from, length)| {
        from <= base && u64::from(base) + u64::from(count) <= u64::from(from) + u64::from(length)
    })
}

/// Whether two ranges have nothing in common.
fn apart((from, length): (u32, u32), base: u32, count: u32) -> bool {
    u64::from(from) + u64::from(length) <= u64::from(base)
        || u64::from(from) >= u64::from(base) + u64::from(count)
}

/// First inner id and length of each extent of a `uid_map`.
fn mapped(map: &str) -> Vec<(u32, u32)> {
    map.lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            Some((fields.next()?.parse().ok()?, fields.nth(1)?.parse().ok()?))
        })
        .collect()
}

/// A range of ids that is mapped and not used. `start` says where to begin looking, so that clients that do not know of each other
/// seldom meet.
fn choose_range(start: u32, mapped: &[Vec<(u32, u32)>; 2], used: &[(u32, u32)]) -> Option<(u32, u32)> {
    // Above what systemd-nspawn takes and below the sign bit; where a container has no such ids, below those of system services.
    let areas = [(0x7000_0000_u32, 0xfff_u32, 0x1_0000_u32), (20_000, 40, 1024)];
    areas.into_iter().find_map(|(first, slots, count)| {
        (0..slots)
            .map(|slot| first + (start % slots + slot) % slots * count)
            .find(|&base| {
                mapped.iter().all(|extents| contains(extents, base, count))
                    && used.iter().all(|it| apart(*it, base, count))
            })
            .map(|base| (base, count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "         0          0 4294967295\n";

    #[test]
    fn ids_are_taken_where_nobody_has_any() {
        let whole = [mapped(ALL), mapped(ALL)];
        let (base, count) = choose_range(0, &whole, &[]).unwrap();
        assert_eq!((base, count), (0x7000_0000, 0x1_0000));
        let used = used_ranges("alice:1879048192:65536\nbroken\n");
        assert_eq!(choose_range(0, &whole, &used).unwrap().0, 0x7001_0000);
        let used = used_ids(&format!("x:x:{}:0::/:/bin/sh\n", 0x7001_0005));
        assert_eq!(choose_range(1, &whole, &used).unwrap().0, 0x7002_0000);
    }

    #[test]
    fn a_container_with_few_ids_gives_a_small_range_or_none() {
        let few = mapped("0 100000 65536\n");
        let (base, count) = choose_range(7, &[few.clone(), few.clone()], &[]).unwrap();
        assert_eq!(count, 1024);
        assert!(base >= 20_000 && base + count <= 61_184);
        let tiny = mapped("0 1000 1\n");
        assert_eq!(choose_range(7, &[tiny, few.clone()], &[]), None);
        assert_eq!(choose_range(7, &[few.clone(), few], &[(0, 65_536)]), None);
    }

    #[test]
    fn a_user_gets_of_the_subordinate_ids_what_nobody_else_has() {
        let names = names_of(1001, "root:x:0:0::/root:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/sh\n");
        assert_eq!(names, ["alice", "1001"]);
        let table = "bob:100000:65536\nalice:165536:65536\n1001:300000:10\nalice:broken\n";
        assert_eq!(ranges_of(&names, table), [(165_536, 65_536), (300_000, 10)]);
        let both = [ranges_of(&names, table), ranges_of(&names, table)];
        let (base, count) = choose_granted(0, &both, &[]).unwrap();
        assert!(base >= 165_536 + 32_768 && base + count <= 165_536 + 65_536 - 2048, "{base}");
        // Many clients at a time, then no more.
        let mut taken = Vec::new();
        while let Some(range) = choose_granted(7, &both, &taken) {
            assert!(taken.iter().all(|it| apart(*it, range.0, range.1)));
            taken.push(range);
        }
        assert_eq!(taken.len(), 15);
        assert_eq!(choose_granted(0, &[both[0].clone(), Vec::new()], &[]), None, "users without groups");
        assert_eq!(choose_granted(0, &[vec![(300_000, 4096)], vec![(300_000, 4096)]], &[]), None, "too few");
    }

    #[test]
    fn only_records_without_an_owner_are_swept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        let own = Identity::Dedicated { base: 0x7000_0000, count: 0x1_0000, writer: MapWriter::Own };
        let records = Records::open(path).unwrap();
        assert_eq!(records.swept, 0);
        let record = records.write("alive", own, Left::default()).unwrap();
        fs::write(directory.path().join("dead.json"), "{\"ids_base\":null,\"ids_count\":0,\"cgroups\":[]}")
            .unwrap();
        fs::write(directory.path().join("cut.json"), "{").unwrap();
        fs::write(directory.path().join("other"), "").unwrap();
        drop(records);
        let records = Records::open(path).unwrap();
        assert_eq!((records.swept, records.taken.as_slice()), (2, &[(0x7000_0000, 0x1_0000)][..]));
        assert!(records.write("alive", own, Left::default()).is_err());
        record.give_up(true);
        let mut left: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["other"]);
    }

    #[test]
    fn a_record_cannot_make_the_sweep_touch_other_directories() {
        let directory = tempfile::tempdir().unwrap();
        let other = directory.path().join("important");
        fs::create_dir(&other).unwrap();
        assert!(sweep(&other));
        assert!(other.exists());
        assert!(sweep_files(&other));
        assert!(other.exists());
        let left = directory.path().join("e2bridge-x");
        fs::create_dir_all(left.join("1")).unwrap();
        assert!(sweep(&left));
        assert!(!left.exists());
        fs::create_dir_all(left.join("1/home/user")).unwrap();
        fs::write(left.join("1/home/user/file"), "").unwrap();
        assert!(sweep_files(&left));
        assert!(!left.exists());
    }
}
