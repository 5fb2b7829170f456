//! Measures how long the creation and the end of a sandbox take: `create_latency SUPERVISOR [COUNT] [PAUSE_MS]`.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use e2bridge_protocol::supervisor::{Create, Limits, Start, SupervisorReply, SupervisorRequest, Template};
use e2bridge_protocol::{PROTOCOL_VERSION, socket};

fn ask(library: &OwnedFd, request: &SupervisorRequest, fd: Option<&OwnedFd>) -> SupervisorReply {
    let (near, far) = socket::seqpacket_pair().unwrap();
    let fds: Vec<_> = [Some(&far), fd].into_iter().flatten().map(|fd| fd.as_fd()).collect();
    socket::send(library, request, &fds).unwrap();
    drop(far);
    socket::recv(&near).unwrap().unwrap().0
}

fn main() {
    let args: Vec<_> = std::env::args().collect();
    let count: u64 = args.get(2).map_or(500, |n| n.parse().unwrap());
    let pause = Duration::from_millis(args.get(3).map_or(0, |n| n.parse().unwrap()));
    let (library, far) = socket::seqpacket_pair().unwrap();
    let raw = far.as_raw_fd();
    let mut command = std::process::Command::new(&args[1]);
    unsafe {
        command.env_clear().pre_exec(move || {
            libc::dup2(raw, 3);
            Ok(())
        })
    };
    let mut child = command.spawn().unwrap();
    drop(far);
    let dir = std::env::temp_dir().join(format!("lat{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    let t = Instant::now();
    let start = Start {
        protocol_version: PROTOCOL_VERSION,
        client: format!("lat{}", std::process::id()),
        runtime_directory: dir.to_str().unwrap().into(),
        required: true,
        python_candidates: vec![],
        node_candidates: vec![],
    };
    let r = ask(&library, &SupervisorRequest::Start(start), None);
    println!("start {:?} {:?}", t.elapsed(), r);
    let limits = Limits {
        memory_bytes: 512 << 20,
        cpu_count: 1,
        disk_bytes: 256 << 20,
        disk_inodes: 65536,
        processes: 256,
    };
    let (mut creates, mut kills) = (Vec::new(), Vec::new());
    let begin = Instant::now();
    for n in 0..count {
        let (_control, far) = socket::seqpacket_pair().unwrap();
        let t = Instant::now();
        let r = ask(
            &library,
            &SupervisorRequest::Create(Create {
                sandbox: n,
                template: Template::Base,
                limits,
                host_name: "h".into(),
            }),
            Some(&far),
        );
        let e = t.elapsed();
        if n == 0 {
            println!("first create {e:?}");
        }
        assert!(matches!(r, SupervisorReply::Created(_)), "{r:?}");
        creates.push(e);
        let t = Instant::now();
        assert!(matches!(
            ask(&library, &SupervisorRequest::Kill { sandbox: n }, None),
            SupervisorReply::Killed
        ));
        kills.push(t.elapsed());
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    let total = begin.elapsed();
    for (name, times) in [("create", &mut creates), ("kill", &mut kills)] {
        times.sort();
        println!(
            "{name} p50 {:?} p90 {:?} p99 {:?} min {:?}",
            times[times.len() / 2],
            times[times.len() * 9 / 10],
            times[times.len() * 99 / 100],
            times[0]
        );
    }
    println!("{:.0} cycles/s", count as f64 / total.as_secs_f64());
    drop(library);
    child.wait().unwrap();
    std::fs::remove_dir(&dir).unwrap();
}
