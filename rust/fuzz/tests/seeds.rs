//! Writes the seeds of the corpus: real messages and archives. Run it after a change of their form:
//! `cargo test --manifest-path rust/fuzz/Cargo.toml --target-dir rust/target --test seeds -- --ignored`

use std::fs;
use std::path::Path;

use e2bridge_local::fuzzing::write_archive_file;
use e2bridge_protocol::init::{Exit, InitCommand, InitEvent, InitRequest, Program, Spawn, Statistics};
use e2bridge_protocol::socket::encode;
use e2bridge_protocol::supervisor::{
    Cgroups, Checked, Create, Created, Facility, Failure, FailureKind, Limits, Mechanism, Posture, Start,
    Started, SupervisorReply, SupervisorRequest, Template,
};
use e2bridge_protocol::worker::{WorkerCall, WorkerError, WorkerOutput, WorkerReply, WorkerRequest};
use serde::Serialize;
use tar::{EntryType, Header};

fn write(target: &str, name: &str, bytes: &[u8]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(format!("seed-{name}")), bytes).unwrap();
}

#[test]
#[ignore = "writes into the source tree"]
fn arguments() {
    let seed = |name: &str, call: u8, number: i64, texts: &[&str]| {
        let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        let bytes = [&[call][..], &number.to_le_bytes(), &texts.join(&0xff)].concat();
        write("arguments", name, &bytes);
    };
    let configuration = r#"{"instances":2,"env":{"A":"b","PATH":"/x"},"start_command":"true","timeout":9,"memory_mb":64,"cpu_count":1,"metadata":{"k":[1]},"agent":{"agent_type":"kelly","symbols":["SPY"],"strategy_params":{"timeout":5}}}"#;
    let config = r#"{"backend":"local","isolation":"best_effort","data_directory":"/d","python":"/p","node":"/n","pool_base":0,"pool_python":1,"pool_node":64,"disk_mb":9}"#;
    seed("create", 0, 64, &["name", "python"]);
    seed("create-absent", 0, i64::MIN, &["a.b_c-d"]);
    seed("execute", 1, 10, &["sb_abc", "sort", r#"["-n","\u00e4\\"]"#, "true"]);
    seed("execute-line", 1, 10, &["sb_abc", "echo $HOME", "", "false"]);
    seed("code", 2, 10, &["sb_abc", "python", "1+1", "context"]);
    seed(
        "agent",
        3,
        10,
        &["sb_abc", "momentum", r#"["SPY","^GSPC"]"#, r#"{"timeout":5,"prices":{"SPY":[1,2]}}"#, "true"],
    );
    seed("deploy", 4, 0, &["t", "trading", configuration]);
    seed("deploy-empty", 4, 0, &["t", "c", "{}"]);
    seed("scale", 5, 3, &["dep_abc", "true"]);
    seed("export", 6, 0, &["sb_abc", "mine", "false"]);
    seed("write", 7, 0, &["sb_abc", "/data/x/../y", "content"]);
    seed("path", 8, 0, &["../etc/passwd"]);
    seed("template", 9, 0, &["tpl_abc"]);
    seed("filter", 10, 0, &["expired", "bash"]);
    seed("config", 11, 0, &[config]);
    seed("config-unknown", 11, 0, &[r#"{"Backend":"local"}"#]);
    seed("long-key", 4, 0, &["t", "c", &format!("{{\"env\":{{\"{}\":1}}}}", "k ".repeat(800))]);
    seed("deep", 4, 0, &["t", "c", &format!("{{\"a\":{}", "[".repeat(300))]);
}

#[test]
#[ignore = "writes into the source tree"]
fn protocol() {
    fn seed<T: Serialize>(name: &str, kinds: &[u8], message: &T) {
        for kind in kinds {
            write("protocol", &format!("{name}-{kind}"), &[&[*kind][..], &encode(message).unwrap()].concat());
        }
    }
    let text = str::to_owned;
    let limits =
        Limits { memory_bytes: 1 << 29, cpu_count: 1, disk_bytes: 1 << 28, disk_inodes: 9, processes: 256 };
    let posture = Posture {
        tier: text("full"),
        namespaces: ["user", "pid", "mount", "ipc", "uts", "net", "cgroup"].map(text).to_vec(),
        dedicated_ids: true,
        seccomp: true,
        landlock_abi: 7,
        memory: Mechanism::CgroupV1,
        processes: Mechanism::CgroupV2,
        cpu: Mechanism::Fallback,
    };
    let start = Start {
        protocol_version: 1,
        client: text("abcdefghijklmnop"),
        runtime_directory: text("/run/e2bridge"),
        required: true,
        python_candidates: vec![text("/usr/bin/python3")],
        node_candidates: vec![],
    };
    seed("start", &[0], &SupervisorRequest::Start(start));
    let create = Create { sandbox: 7, template: Template::Python, limits, host_name: text("sandbox") };
    seed("create", &[0], &SupervisorRequest::Create(create));
    seed("kill", &[0], &SupervisorRequest::Kill { sandbox: u64::MAX });
    seed("started", &[1], &SupervisorReply::Started(Started { pid: 4_000_000, swept: 2 }));
    let cgroups =
        Cgroups { memory: Some(text("/sys/fs/cgroup/memory/x")), cpu: None, processes: Some(text("/x")) };
    let created = Created {
        init_pid: 77,
        posture: posture.clone(),
        cgroups,
        interpreter: Some(text("/usr/bin/node")),
        forks_python: true,
        root: None,
    };
    seed("created", &[1, 7], &SupervisorReply::Created(Box::new(created)));
    let failure = Failure {
        kind: FailureKind::Isolation,
        stage: text("mount proc"),
        errno: Some(1),
        message: text("mount proc: Operation not permitted"),
        remedy: Some(text("sysctl")),
    };
    seed("failure", &[1, 7], &SupervisorReply::Failed(failure));
    let facility = Facility { name: text("landlock"), available: true, detail: text("7"), remedy: None };
    let interpreters =
        vec![(Template::Python, Ok(Some(text("/usr/bin/python3")))), (Template::Node, Err(text("none")))];
    let checked = Checked { posture: Some(posture), facilities: vec![facility], interpreters };
    seed("checked", &[1, 7], &SupervisorReply::Checked(Box::new(checked)));
    let spawn = |program| Spawn {
        program,
        env: vec![text("PATH=/bin"), text("LD_PRELOAD=/opt/x.so")],
        cwd: text("/home/user"),
        timeout_ms: Some(1_000),
        capture: true,
        worker: true,
    };
    let exec = Program::Exec { argv: vec![text("/bin/sh"), text("-c"), text("true")] };
    seed("spawn", &[2], &InitRequest::Spawn(spawn(exec)));
    seed("spawn-engine", &[2], &InitRequest::Spawn(spawn(Program::EmbeddedJavaScript)));
    seed("write-file", &[2], &InitRequest::WriteFile { path: text("../x"), bytes: 5 });
    let roots = vec![text("/opt"), text("/usr/local")];
    seed(
        "export-tree",
        &[2],
        &InitRequest::ExportTree { roots: roots.clone(), max_bytes: 1 << 32, max_entries: 9 },
    );
    seed("import-tree", &[2], &InitRequest::ImportTree { roots });
    seed("long", &[2], &InitRequest::Long { bytes: 1 << 22 });
    let exit = Exit {
        exit_code: None,
        signal: Some(9),
        timed_out: true,
        cpu_us: 5,
        max_rss_bytes: 1 << 20,
        out_of_memory: false,
    };
    let done = InitEvent::Done { entries: 1, bytes: 5 };
    let failed = InitEvent::Failed { stage: text("open"), errno: 40 };
    seed("exited", &[3], &InitEvent::Exited(exit));
    seed("done", &[3], &done);
    seed("failed", &[3], &failed);
    seed(
        "statistics",
        &[3],
        &InitEvent::Statistics(Statistics { processes: 3, cpu_us: u64::MAX, ..Statistics::default() }),
    );
    seed("command", &[4], &InitCommand::Kill);
    let request = WorkerRequest {
        run: 1 << 52,
        code: text("print(1)\0\u{2028}"),
        stateless: true,
        timeout_ms: 1_000,
        max_output_bytes: 1 << 23,
        memory_bytes: Some(1 << 28),
        call: Some(WorkerCall { function: text("run"), arguments: vec![text("{}")] }),
    };
    let reply = WorkerReply {
        run: 1 << 52,
        stdout: text("1\n"),
        result: Some(text("1")),
        results: vec![WorkerOutput {
            text: text("1"),
            json: Some(serde_json::value::to_raw_value(&serde_json::json!({"a": [1, null, 1.5]})).unwrap()),
            is_main_result: true,
        }],
        error: Some(WorkerError { name: text("E"), value: text("v"), traceback: text("t") }),
        ..WorkerReply::default()
    };
    let (request, reply) = (serde_json::to_vec(&request).unwrap(), serde_json::to_vec(&reply).unwrap());
    write("protocol", "worker-request", &[&[5][..], &request].concat());
    write("protocol", "worker-reply", &[&[6][..], &reply].concat());
    write("protocol", "worker-framed", &[&[8, 0][..], &reply].concat());
    write("protocol", "worker-unframed", &[&[8, 1, 4, 0, 0, 0][..], b"{} x"].concat());
    let part = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap()][..], bytes].concat();
    for (name, event) in [("done", &done), ("failed", &failed)] {
        let answer = [part(b"hello"), part(&encode(event).unwrap()), part(b"more")].concat();
        write("protocol", &format!("init-{name}"), &[&[9][..], &answer].concat());
    }
}

/// A tar entry with just these fields.
fn entry(kind: u8, name: &[u8], target: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::new(kind));
    header.set_mode(0o644);
    header.set_uid(1_000);
    header.set_gid(1_000);
    header.set_mtime(1);
    header.set_size(content.len() as u64);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn tree(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1_024, 0);
    bytes
}

#[test]
#[ignore = "writes into the source tree"]
fn archives() {
    let seed = |name: &str, mode: u8, bytes: &[u8]| write("archives", name, &[&[mode][..], bytes].concat());
    let good = tree(&[
        entry(b'5', b"opt/", b"", b""),
        entry(b'5', b"opt/a", b"", b""),
        entry(b'0', b"opt/a/x", b"", b"content"),
        entry(b'2', b"opt/l", b"/etc/hosts", b""),
    ]);
    seed("good", 0, &good);
    seed("good-mended", 1, &good);
    seed("good-bytewise", 0x81 | 1 << 4, &good);
    seed(
        "pax",
        1,
        &tree(&[
            entry(b'x', b"pax", b"", b"17 path=opt/pax\n17 mtime=77.5000\n10 size=2\n"),
            entry(b'0', b"s", b"", b"12"),
        ]),
    );
    seed(
        "pax-link",
        1,
        &tree(&[entry(b'x', b"pax", b"", b"17 linkpath=../x\n"), entry(b'2', b"data/l", b"", b"")]),
    );
    seed("gnu", 1, &tree(&[entry(b'L', b"././@LongLink", b"", b"srv/long\0"), entry(b'0', b"s", b"", b"")]));
    seed(
        "gnu-link",
        1,
        &tree(&[entry(b'K', b"././@LongLink", b"", b"target\0"), entry(b'2', b"srv/l", b"", b"")]),
    );
    seed("hard-link", 1, &tree(&[entry(b'1', b"opt/x", b"/etc/passwd", b"")]));
    seed("device", 1, &tree(&[entry(b'3', b"opt/x", b"", b"")]));
    seed(
        "global",
        1,
        &tree(&[entry(b'g', b"x", b"", b"20 comment=whatever\n"), entry(b'0', b"opt/x", b"", b"")]),
    );
    seed(
        "through-link",
        1,
        &tree(&[entry(b'2', b"opt/l", b"/etc", b""), entry(b'0', b"opt/l/shadow", b"", b"x")]),
    );
    seed("parent", 1, &tree(&[entry(b'0', b"opt/../etc/x", b"", b"")]));
    let mut ustar = Header::new_ustar();
    ustar.set_entry_type(EntryType::Regular);
    ustar.set_mode(0o600);
    ustar.set_mtime(0);
    ustar.set_size(0);
    let fields = ustar.as_ustar_mut().unwrap();
    fields.name[..1].copy_from_slice(b"n");
    fields.prefix[..9].copy_from_slice(b"usr/local");
    ustar.set_cksum();
    seed("ustar-prefix", 1, &tree(&[ustar.as_bytes().to_vec()]));
    let file = write_archive_file(&good).unwrap().unwrap();
    seed("file", 2, &file);
    seed("file-twice", 2, &[file.as_slice(), &file].concat());
    seed("file-made", 3, &good);
}
