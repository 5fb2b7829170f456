//! The system call policy, from inside.

use e2bridge_protocol::supervisor::{Mechanism, Template};

use crate::support::{Engine, skip};

const CALL: &str = r"
import ctypes, errno, socket
pair = socket.socketpair()
network = open('/proc/self/ns/net')
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return errno.errorcode[ctypes.get_errno()] if result == -1 else 'ok'
";

fn python() -> bool {
    let there = std::path::Path::new("/usr/bin/python3").exists();
    if !there {
        skip("there is no /usr/bin/python3");
    }
    there
}

/// Runs calls given as `name number, arguments` and compares the errors.
fn expect(calls: &[(&str, &str, &str)]) {
    if !python() {
        return;
    }
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let mut code = CALL.to_owned();
    for (name, arguments, _) in calls {
        code.push_str(&format!("print('{name}', call({arguments}))\n"));
    }
    let expected: Vec<_> = calls.iter().map(|(name, _, result)| format!("{name} {result}")).collect();
    let output = sandbox.python(&code);
    assert_eq!(output.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn namespaces_cannot_be_made() {
    expect(&[
        ("unshare user", "272, 0x10000000", "EPERM"),
        ("unshare mount", "272, 0x20000", "EPERM"),
        ("unshare net", "272, 0x40000000", "EPERM"),
        ("unshare cgroup", "272, 0x2000000", "EPERM"),
        ("unshare user and net", "272, 0x50000000", "EPERM"),
        ("unshare time", "272, 0x80", "EPERM"),
        ("clone user", "56, 0x10000011, 0, 0, 0, 0", "EPERM"),
        ("clone mount", "56, 0x20011, 0, 0, 0, 0", "EPERM"),
        ("clone pid", "56, 0x20000011, 0, 0, 0, 0", "EPERM"),
        ("clone net", "56, 0x40000011, 0, 0, 0, 0", "EPERM"),
        ("clone cgroup", "56, 0x2000011, 0, 0, 0, 0", "EPERM"),
        // The one combination that the filter lets the zygote have: there are none left.
        ("clone as the zygote", "56, 1006768145, 0, ctypes.byref(ctypes.c_int()), 0, 0", "ENOSPC"),
        ("clone3", "435, 0, 0", "ENOSYS"),
        ("setns user", "308, 0, 0x10000000", "EPERM"),
        ("setns any", "308, 0, 0", "EPERM"),
        ("setns net", "308, network.fileno(), 0x40000000", "EPERM"),
    ]);
}

#[test]
fn mounts_cannot_be_made_or_undone() {
    expect(&[
        ("mount tmpfs", "165, b'none', b'/tmp', b'tmpfs', 0, 0", "EPERM"),
        ("mount bind", "165, b'/usr', b'/tmp', 0, 4096, 0", "EPERM"),
        ("remount", "165, b'none', b'/usr', 0, 32, 0", "EPERM"),
        ("umount", "166, b'/proc', 0", "EPERM"),
        ("pivot_root", "155, b'/tmp', b'/tmp'", "EPERM"),
        ("chroot", "161, b'/tmp'", "EPERM"),
        ("open_tree", "428, -100, b'/', 1", "EPERM"),
        ("move_mount", "429, -1, b'', -1, b'', 0", "EPERM"),
        ("fsopen", "430, b'tmpfs', 0", "EPERM"),
        ("fsmount", "432, -1, 0, 0", "EPERM"),
        ("mount_setattr", "442, -100, b'/usr', 0, 0, 0", "EPERM"),
    ]);
}

#[test]
fn dangerous_calls_are_refused() {
    expect(&[
        ("ptrace", "101, 0, 0, 0, 0", "EPERM"),
        ("process_vm_readv", "310, 1, 0, 0, 0, 0, 0", "EPERM"),
        ("process_vm_writev", "311, 1, 0, 0, 0, 0, 0", "EPERM"),
        ("kcmp", "312, 1, 1, 0, 0, 0", "EPERM"),
        ("pidfd_getfd", "438, 0, 0, 0", "EPERM"),
        ("bpf", "321, 0, 0, 0", "EPERM"),
        ("perf_event_open", "298, 0, 0, 0, 0, 0", "EPERM"),
        ("userfaultfd", "323, 0", "EPERM"),
        ("io_uring_setup", "425, 1, 0", "EPERM"),
        ("keyctl", "250, 0, 0", "EPERM"),
        ("add_key", "248, 0, 0, 0, 0, 0", "EPERM"),
        ("open_by_handle_at", "304, -1, 0, 0", "EPERM"),
        ("fanotify_init", "300, 0, 0", "EPERM"),
        ("init_module", "175, 0, 0, 0", "EPERM"),
        ("kexec_load", "246, 0, 0, 0, 0", "EPERM"),
        ("reboot", "169, 0xfee1dead, 672274793, 0, 0", "EPERM"),
        ("syslog", "103, 3, 0, 0", "EPERM"),
        ("swapon", "167, b'/tmp', 0", "EPERM"),
        ("clock_settime", "227, 0, 0", "EPERM"),
        ("sethostname", "170, b'x', 1", "EPERM"),
        ("iopl", "172, 3", "EPERM"),
        ("mbind", "237, 0, 0, 0, 0, 0, 0", "EPERM"),
        ("prlimit64 of init", "302, 1, 7, 0, 0", "EPERM"),
        ("prlimit64 of itself", "302, 0, 7, 0, 0", "ok"),
        ("prlimit64 of core dumps", "302, 0, 4, ctypes.create_string_buffer(16), 0", "EPERM"),
        ("setrlimit of core dumps", "160, 4, ctypes.create_string_buffer(16)", "EPERM"),
        ("sched_setscheduler of init", "144, 1, 5, ctypes.create_string_buffer(4)", "EPERM"),
        ("sched_setscheduler of itself", "144, 0, 0, ctypes.create_string_buffer(4)", "ok"),
        ("ioprio_set of init", "251, 1, 1, 0x6000", "EPERM"),
        ("ioprio_set of all of the user", "251, 3, 0, 0x6000", "EPERM"),
        ("ioprio_set of itself", "251, 1, 0, 0x4007", "ok"),
        ("setpriority of all of the user", "141, 2, 0, 10", "EPERM"),
        ("setpriority of init", "141, 0, 1, 10", "EPERM"),
        ("setpriority of itself", "141, 0, 0, 1", "ok"),
        ("sched_setaffinity", "203, 0, 128, b'\\xff' * 128", "EPERM"),
        ("personality READ_IMPLIES_EXEC", "135, 0x400000", "EPERM"),
        ("personality query", "135, 0xffffffff", "ok"),
        ("TIOCSTI", "16, 0, 0x5412, b'x'", "EPERM"),
        ("TIOCLINUX", "16, 0, 0x541c, b'x'", "EPERM"),
        ("mknod device", "133, b'/tmp/n', 0o20600, 259", "EPERM"),
        ("quotactl", "179, 0, 0, 0, 0", "EPERM"),
        ("unknown", "999, 0", "ENOSYS"),
        ("x32 getpid", "0x40000000 + 39", "ENOSYS"),
    ]);
}

#[test]
fn only_ordinary_address_families_exist() {
    expect(&[
        ("unix", "41, 1, 1, 0", "ok"),
        ("inet", "41, 2, 1, 0", "ok"),
        ("inet6", "41, 10, 2, 0", "ok"),
        ("netlink route", "41, 16, 3, 0", "ok"),
        ("socketpair unix", "53, 1, 1, 0, (ctypes.c_int * 2)()", "ok"),
        ("netlink audit", "41, 16, 3, 9", "EPERM"),
        ("packet", "41, 17, 3, 0", "EPERM"),
        ("alg", "41, 38, 5, 0", "EPERM"),
        ("vsock", "41, 40, 1, 0", "EPERM"),
        ("bluetooth", "41, 31, 3, 0", "EPERM"),
        ("can", "41, 29, 3, 1", "EPERM"),
        ("key", "41, 15, 3, 2", "EPERM"),
        ("xdp", "41, 44, 3, 0", "EPERM"),
        ("tipc pair", "53, 30, 5, 0, (ctypes.c_int * 2)()", "EPERM"),
        ("raw inet", "41, 2, 3, 1", "EPERM"),
        ("udp by its number", "41, 2, 2, 17", "ok"),
        ("udp lite", "41, 2, 2, 136", "EPERM"),
        ("udp lite of inet6", "41, 10, 2, 136", "EPERM"),
        ("multipath tcp", "41, 2, 1, 262", "EPERM"),
        ("smc", "41, 10, 1, 256", "EPERM"),
    ]);
}

/// Of each family that the policy denies: a call of it, what a bad program does with it, and what good programs do that is closest.
const FAMILIES: [(&str, &str, &str); 25] = [
    (
        "setsockopt",
        "54, pair[0].fileno(), 1, 26, bytes(16), 16",
        "'keep alive', socket.socket().setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)",
    ),
    ("clone", "56, 0x10000011, 0, 0, 0, 0", "'fork', os.waitpid(os.fork() or os._exit(0), 0)"),
    ("unshare", "272, 0x20000", "'threads', threading.Thread(target=int).start()"),
    ("setns", "308, network.fileno(), 0x40000000", "'network', socket.create_server(('127.0.0.1', 0))"),
    ("socket", "41, 17, 3, 0", "'udp', socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"),
    ("ioctl", "16, 0, 0x5412, b'x'", "'FIONREAD', fcntl.ioctl(os.pipe()[0], 0x541b, bytes(4))"),
    ("personality", "135, 0x400000", "'setarch', subprocess.run(['setarch', '-R', 'true'], check=True)"),
    ("mknod", "133, b'/tmp/n', 0o20600, 259", "'fifo', os.mkfifo('/tmp/family')"),
    (
        "mknodat",
        "259, -100, b'/tmp/n', 0o60600, 1792",
        "'socket', socket.socket(socket.AF_UNIX).bind('/tmp/s')",
    ),
    ("umount2", "166, b'/proc', 2", "'statvfs', os.statvfs('/proc')"),
    ("open_by_handle_at", "304, -100, bytes(24), 0", "'open', os.open('/tmp', os.O_PATH)"),
    ("ptrace", "101, 16, 1, 0, 0", "'own memory', open('/proc/self/mem', 'rb').close()"),
    (
        "prlimit64",
        "302, 1, 7, bytes(16), 0",
        "'setrlimit', resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))",
    ),
    ("setrlimit", "160, 4, bytes(16)", "'getrlimit', resource.getrlimit(resource.RLIMIT_CORE)"),
    (
        "sched_setscheduler",
        "144, 1, 3, bytes(4)",
        "'batch', os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))",
    ),
    (
        "ioprio_set",
        "251, 1, 1, 0x6000",
        "'ionice', subprocess.run(['ionice', '-c', '3', 'true'], check=True)",
    ),
    ("setpriority", "141, 2, 0, 10", "'nice', os.nice(1)"),
    ("sched_setaffinity", "203, 0, 128, b'\\xff' * 128", "'getaffinity', os.sched_getaffinity(0)"),
    (
        "userfaultfd",
        "323, 0",
        "'madvise', mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE).madvise(mmap.MADV_DONTNEED)",
    ),
    ("io_uring_setup", "425, 1, bytes(120)", "'epoll', select.epoll().poll(0)"),
    (
        "io_setup",
        "206, 1, bytes(8)",
        "'sendfile', os.sendfile(os.open('/tmp/sent', os.O_RDWR | os.O_CREAT), os.open('/etc/passwd', os.O_RDONLY), 0, 9)",
    ),
    ("keyctl", "250, 0, -3, 0", "'random', os.urandom(8)"),
    ("syslog", "103, 3, ctypes.create_string_buffer(9), 9", "'uname', os.uname()"),
    ("clock_settime", "227, 0, bytes(16)", "'time', time.clock_gettime(time.CLOCK_REALTIME)"),
    ("modify_ldt", "154, 0, ctypes.create_string_buffer(64), 64", "'segment base', threading.local()"),
];

#[test]
fn each_family_has_a_bad_program_that_fails_and_a_good_one_that_works() {
    let policy: serde_json::Value = serde_json::from_str(include_str!("../../policy/seccomp.json")).unwrap();
    for group in policy["deny"].as_array().unwrap() {
        let calls = group["calls"].as_array().unwrap();
        let tried = |call: &serde_json::Value| FAMILIES.iter().any(|(name, _, _)| call == name);
        assert!(calls.iter().any(tried), "no program for: {}", group["reason"]);
    }
    if !python() {
        return;
    }
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    let mut code = CALL.to_owned()
        + "import fcntl, mmap, os, resource, select, socket, subprocess, sys, threading, time\n";
    for (name, bad, _) in FAMILIES {
        code.push_str(&format!("if call({bad}) != 'EPERM': print('{name}: the bad program works')\n"));
    }
    for (_, _, good) in FAMILIES {
        code.push_str(&format!("try: {good}\nexcept Exception as error: print({good:?}, error)\n"));
    }
    assert_eq!(sandbox.python(&code), "");
}

#[test]
fn ordinary_calls_work() {
    expect(&[
        ("eventfd2", "290, 0, 0", "ok"),
        ("timerfd_create", "283, 1, 0", "ok"),
        ("inotify_init1", "294, 0", "ok"),
        ("epoll_create1", "291, 0", "ok"),
        ("pidfd_open", "434, 1, 0", "ok"),
        ("getrandom", "318, ctypes.create_string_buffer(8), 8, 0", "ok"),
        ("prctl no_new_privs", "157, 39, 0, 0, 0, 0", "ok"),
        ("mkfifo", "133, b'/tmp/fifo', 0o10600, 0", "ok"),
    ]);
}

#[test]
fn ways_to_memory_that_no_process_limit_counts_need_a_group() {
    let group = Engine::start().create(Template::Base).created.posture.memory != Mechanism::Fallback;
    let result = if group { "ok" } else { "EPERM" };
    expect(&[
        ("memfd_create", "319, b'x', 1", result),
        ("shmget", "29, 0, 4096, 0o1600", result),
        ("semget", "64, 0, 1, 0o1600", result),
        ("msgget", "68, 0, 0o1600", result),
        ("mmap shared", "9, 0, 4096, 3, 0x21, -1, 0", result),
        ("mmap growing down", "9, 0, 4096, 3, 0x122, -1, 0", result),
        ("mmap private", "9, 0, 4096, 3, 0x22, -1, 0", "ok"),
        ("SO_SNDBUF", "54, pair[0].fileno(), 1, 7, ctypes.byref(ctypes.c_int(4096)), 4", result),
        ("SO_RCVBUF", "54, pair[0].fileno(), 1, 8, ctypes.byref(ctypes.c_int(4096)), 4", result),
        ("SO_REUSEADDR", "54, pair[0].fileno(), 1, 2, ctypes.byref(ctypes.c_int(1)), 4", "ok"),
    ]);
}

#[test]
fn calls_of_another_architecture_end_the_process() {
    if !python() {
        return;
    }
    let engine = Engine::start();
    let sandbox = engine.create(Template::Base);
    // mov eax, 20 (getpid of i386); int 0x80; ret
    let output = sandbox.run(&[
        "/usr/bin/python3",
        "-c",
        "import ctypes, mmap\nm = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE, prot=7)\nm.write(bytes.fromhex('b814000000cd80c3'))\n\
         ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()",
    ]);
    assert_eq!(output.exit.signal, Some(libc::SIGSYS), "{output:?}");
}
