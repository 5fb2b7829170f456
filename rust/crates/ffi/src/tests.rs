//! The exports, called as C calls them, over test doubles.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::abi::agent::run_e2b_agent;
use crate::abi::client::{e2b_cancel, e2b_close, e2b_open};
use crate::abi::code::run_e2b_code;
use crate::abi::deployment::{deploy_e2b_template, scale_e2b_deployment};
use crate::abi::file::{read_e2b_file, write_e2b_file};
use crate::abi::health::monitor_e2b_health;
use crate::abi::library::{e2b_abi_version, e2b_buffer_free, e2b_check, e2b_live_counts, e2b_version};
use crate::abi::process::execute_e2b_process;
use crate::abi::sandbox::{
    create_e2b_sandbox, get_e2b_sandbox_status, list_e2b_sandboxes, set_e2b_timeout, terminate_e2b_sandbox,
};
use crate::abi::template::{
    delete_e2b_template, export_e2b_template, export_e2b_template_file, import_e2b_template_file,
    list_e2b_templates,
};
use crate::bytes::E2bBuffer;
use crate::client::{Client, Function};
use crate::double::{DoubleBackend, Seen};
use crate::handle;
use crate::hooks::panicking;
use crate::status::{
    E2B_ABI_VERSION, E2B_ABSENT, E2B_STATUS_CANCELLED, E2B_STATUS_CLOSED, E2B_STATUS_INTERNAL,
    E2B_STATUS_INVALID_ARGUMENT, E2B_STATUS_NOT_FOUND, E2B_STATUS_OK, E2B_STATUS_UNSUPPORTED,
};

const EXPORTS: &str = include_str!("../exports.txt");

fn exports() -> BTreeSet<&'static str> {
    EXPORTS.lines().collect()
}

/// Pointer and length of a text that outlives the call.
fn text(text: &str) -> (*const u8, u64) {
    (text.as_ptr(), text.len() as u64)
}

/// Runs one export with an out-buffer of its own; answers status and document, the buffer freed twice.
fn call(export: impl FnOnce(*mut E2bBuffer) -> i32) -> (i32, Value) {
    let mut out = E2bBuffer::EMPTY;
    let status = export(&raw mut out);
    assert!(!out.data.is_null(), "status {status} without a document");
    // SAFETY: written by the export that just returned.
    let bytes = unsafe { std::slice::from_raw_parts(out.data, usize::try_from(out.length).unwrap()) };
    let document = serde_json::from_slice(bytes).unwrap();
    for _ in 0..2 {
        // SAFETY: the buffer is this library's, and empty the second time.
        unsafe { e2b_buffer_free(&raw mut out) };
        assert!(out.data.is_null() && out.length == 0);
    }
    (status, document)
}

fn open_double() -> (u64, Arc<Seen>) {
    let (backend, seen) = DoubleBackend::noting();
    (handle::insert(Client::new(Box::new(backend))).unwrap(), seen)
}

fn close(client: u64) -> (i32, Value) {
    // SAFETY: `out` may be written.
    call(|out| unsafe { e2b_close(client, out) })
}

fn cancel(client: u64, number: u64) -> Value {
    // SAFETY: `out` may be written.
    call(|out| unsafe { e2b_cancel(client, number, out) }).1
}

type Export = (&'static str, fn(u64, u64, *mut E2bBuffer) -> i32);

/// Every function of a client with arguments that pass.
const CALLS: [Export; 18] = [
    ("create_e2b_sandbox", |client, call, out| {
        let (name, template) = (text("box"), text("python"));
        // SAFETY: each pointer refers to a literal or may be written; so in all of this table.
        unsafe { create_e2b_sandbox(client, call, name.0, name.1, template.0, template.1, 60, 128, 2, out) }
    }),
    ("list_e2b_sandboxes", |client, call, out| {
        let filter = text("all");
        // SAFETY: as above.
        unsafe { list_e2b_sandboxes(client, call, filter.0, filter.1, out) }
    }),
    ("get_e2b_sandbox_status", |client, call, out| {
        let id = text("sb_1");
        // SAFETY: as above.
        unsafe { get_e2b_sandbox_status(client, call, id.0, id.1, out) }
    }),
    ("execute_e2b_process", |client, call, out| {
        let (id, command, args, capture) =
            (text("sb_1"), text("echo"), text(r#"["a","b c"]"#), text("false"));
        // SAFETY: as above.
        unsafe {
            execute_e2b_process(
                client, call, id.0, id.1, command.0, command.1, args.0, args.1, 5, capture.0, capture.1, out,
            )
        }
    }),
    ("run_e2b_agent", |client, call, out| {
        let (id, agent, symbols) = (text("sb_1"), text("momentum"), text(r#"["SPY"]"#));
        let (params, gpu) = (text(r#"{"timeout":7}"#), text("true"));
        // SAFETY: as above.
        unsafe {
            run_e2b_agent(
                client, call, id.0, id.1, agent.0, agent.1, symbols.0, symbols.1, params.0, params.1, gpu.0,
                gpu.1, out,
            )
        }
    }),
    ("monitor_e2b_health", |client, call, out| {
        let all = text("true");
        // SAFETY: as above.
        unsafe { monitor_e2b_health(client, call, all.0, all.1, out) }
    }),
    ("deploy_e2b_template", |client, call, out| {
        let (name, category, configuration) = (text("t"), text("Trading"), text(r#"{"instances":3}"#));
        // SAFETY: as above.
        unsafe {
            deploy_e2b_template(
                client,
                call,
                name.0,
                name.1,
                category.0,
                category.1,
                configuration.0,
                configuration.1,
                out,
            )
        }
    }),
    ("scale_e2b_deployment", |client, call, out| {
        let (id, auto) = (text("dep_1"), text("true"));
        // SAFETY: as above.
        unsafe { scale_e2b_deployment(client, call, id.0, id.1, 4, auto.0, auto.1, out) }
    }),
    ("export_e2b_template", |client, call, out| {
        let (id, name, data) = (text("sb_1"), text("mine"), text("true"));
        // SAFETY: as above.
        unsafe { export_e2b_template(client, call, id.0, id.1, name.0, name.1, data.0, data.1, out) }
    }),
    ("terminate_e2b_sandbox", |client, call, out| {
        let (id, force) = (text("sb_1"), text("true"));
        // SAFETY: as above.
        unsafe { terminate_e2b_sandbox(client, call, id.0, id.1, force.0, force.1, out) }
    }),
    ("run_e2b_code", |client, call, out| {
        let (id, language, code, context) = (text("sb_1"), text("js"), text("1\0+1"), text("ctx"));
        // SAFETY: as above.
        unsafe {
            run_e2b_code(
                client, call, id.0, id.1, language.0, language.1, code.0, code.1, context.0, context.1, 9,
                out,
            )
        }
    }),
    ("write_e2b_file", |client, call, out| {
        let (id, path, content) = (text("sb_1"), text("a/b"), text("xyz"));
        // SAFETY: as above.
        unsafe { write_e2b_file(client, call, id.0, id.1, path.0, path.1, content.0, content.1, out) }
    }),
    ("read_e2b_file", |client, call, out| {
        let (id, path) = (text("sb_1"), text("/data/x"));
        // SAFETY: as above.
        unsafe { read_e2b_file(client, call, id.0, id.1, path.0, path.1, out) }
    }),
    ("set_e2b_timeout", |client, call, out| {
        let id = text("sb_1");
        // SAFETY: as above.
        unsafe { set_e2b_timeout(client, call, id.0, id.1, 17, out) }
    }),
    ("list_e2b_templates", |client, call, out| {
        // SAFETY: as above.
        unsafe { list_e2b_templates(client, call, out) }
    }),
    ("delete_e2b_template", |client, call, out| {
        let name = text("mine");
        // SAFETY: as above.
        unsafe { delete_e2b_template(client, call, name.0, name.1, out) }
    }),
    ("export_e2b_template_file", |client, call, out| {
        let (name, file) = (text("mine"), text("/tmp/archive"));
        // SAFETY: as above.
        unsafe { export_e2b_template_file(client, call, name.0, name.1, file.0, file.1, out) }
    }),
    ("import_e2b_template_file", |client, call, out| {
        let (file, name) = (text("/tmp/archive"), text("other"));
        // SAFETY: as above.
        unsafe { import_e2b_template_file(client, call, file.0, file.1, name.0, name.1, out) }
    }),
];

/// The functions that take no call number and answer a document.
const OTHERS: [Export; 6] = [
    ("e2b_version", |_, _, out| {
        // SAFETY: as in CALLS.
        unsafe { e2b_version(out) }
    }),
    ("e2b_check", |_, _, out| {
        // SAFETY: as in CALLS.
        unsafe { e2b_check(std::ptr::null(), 0, out) }
    }),
    ("e2b_live_counts", |_, _, out| {
        // SAFETY: as in CALLS.
        unsafe { e2b_live_counts(out) }
    }),
    ("e2b_open", |_, _, out| {
        let mut client = 0;
        let config = text(r#"{"backend":"cloud","api_key":"not a key"}"#);
        // SAFETY: as in CALLS.
        unsafe { e2b_open(config.0, config.1, &raw mut client, out) }
    }),
    ("e2b_close", |client, _, out| {
        // SAFETY: as in CALLS.
        unsafe { e2b_close(client, out) }
    }),
    ("e2b_cancel", |client, call, out| {
        // SAFETY: as in CALLS.
        unsafe { e2b_cancel(client, call, out) }
    }),
];

#[test]
fn the_tables_of_these_tests_and_the_list_of_exports_name_the_same_functions() {
    let mut tested: BTreeSet<&str> = CALLS.iter().chain(&OTHERS).map(|(name, _)| *name).collect();
    tested.extend(["e2b_abi_version", "e2b_buffer_free"]);
    assert_eq!(tested, exports());
    let functions: BTreeSet<&str> = Function::ALL.iter().map(|function| function.symbol()).collect();
    assert_eq!(functions, CALLS.iter().map(|(name, _)| *name).collect());
    for (index, function) in Function::ALL.into_iter().enumerate() {
        assert_eq!(function as usize, index, "{}", function.symbol());
    }
}

#[test]
fn a_panic_inside_any_export_becomes_an_error_document() {
    let (client, _) = open_double();
    for (name, export) in CALLS.iter().chain(&OTHERS) {
        let (status, document) = call(|out| panicking(|| export(client, 1, out)));
        assert_eq!(status, E2B_STATUS_INTERNAL, "{name}");
        assert_eq!(document["code"], "INTERNAL", "{name}");
        let message = document["message"].as_str().unwrap();
        assert!(message.contains("asked to panic") && message.contains("hooks.rs"), "{name}: {message}");
    }
    assert_eq!(panicking(|| e2b_abi_version()), 0);
    let (pointer, length) = (std::ptr::null_mut(), 0);
    let mut buffer = E2bBuffer { data: pointer, length };
    // SAFETY: an empty buffer.
    panicking(|| unsafe { e2b_buffer_free(&raw mut buffer) });
    assert_eq!(close(client).1, json!({"closed": true}));
}

#[test]
fn a_panic_of_the_backend_ends_the_call_and_nothing_else() {
    let client = handle::insert(Client::new(Box::new(DoubleBackend::panicking()))).unwrap();
    for round in 0..2 {
        for (name, export) in &CALLS {
            let (status, document) = call(|out| export(client, 5, out));
            assert_eq!(status, E2B_STATUS_INTERNAL, "{name} in round {round}: {document}");
            assert!(
                document["message"].as_str().unwrap().contains("the backend panicked"),
                "{name}: {document}"
            );
        }
    }
    // SAFETY: `out` may be written.
    assert_eq!(call(|out| unsafe { e2b_live_counts(out) }).0, E2B_STATUS_INTERNAL);
    assert_eq!(close(client).0, E2B_STATUS_INTERNAL);
    assert_eq!(
        close(client).1,
        json!({"closed": false}),
        "the client is closed although its backend panicked"
    );
}

/// Every `extern "C"` function, by the source: its whole body is one call into the boundary.
#[test]
fn every_export_is_one_call_into_the_boundary() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut names = BTreeSet::new();
    for file in std::fs::read_dir(directory.join("abi")).unwrap() {
        let path = file.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        for part in source.split("extern \"C\" fn ").skip(1) {
            let name = part.split('(').next().unwrap().to_owned();
            let body = part.split_once(" {\n").unwrap().1.split_once("\n}\n").unwrap().0;
            let mut lines = body.lines().map(str::trim).filter(|line| !line.starts_with("//")).peekable();
            if lines.peek() == Some(&"unsafe {") {
                lines.next();
                // What follows the one statement is its end and that of the unsafe block.
                assert!(body.ends_with("\n    }"), "{name}: something follows the call into the boundary");
            }
            let first = lines.next().unwrap();
            assert!(
                ["boundary::call(", "boundary::document(", "boundary::plain("]
                    .iter()
                    .any(|guard| first.starts_with(guard)),
                "{name} does not begin with the boundary: {first}"
            );
            let indent =
                body.lines().find(|line| line.contains("boundary::")).unwrap().find("boundary").unwrap();
            let after = body.lines().skip_while(|line| !line.contains("boundary::")).skip(1);
            let statements = after.filter(|line| line.find(|c: char| c != ' ') == Some(indent)).count();
            assert!(statements <= 1, "{name} has statements beside the call into the boundary");
            names.insert(name);
        }
    }
    assert_eq!(names.iter().map(String::as_str).collect::<BTreeSet<_>>(), exports());
    for file in
        ["lib.rs", "bytes.rs", "boundary.rs", "handle.rs", "client.rs", "config.rs", "panics.rs", "status.rs"]
    {
        let source = std::fs::read_to_string(directory.join(file)).unwrap();
        assert!(!source.contains("no_mangle"), "{file} has an export");
    }
}

#[test]
fn arguments_reach_the_backend_as_given() {
    let (client, seen) = open_double();
    let expected = [
        (
            "create_e2b_sandbox",
            r#"name: "box", template: "python", timeout_seconds: 60, memory_mb: 128, cpu_count: 2"#,
        ),
        ("list_e2b_sandboxes", "All"),
        ("get_e2b_sandbox_status", "\"sb_1\""),
        (
            "run_e2b_agent",
            r#"agent_type: "momentum", symbols: ["SPY"], strategy_params: {"timeout": Number(7)}, timeout_seconds: 7, use_gpu: true"#,
        ),
        ("monitor_e2b_health", "true"),
        (
            "deploy_e2b_template",
            r#"category: "Trading", configuration: {"instances": Number(3)}, instances: 3"#,
        ),
        ("scale_e2b_deployment", "instance_count: 4, auto_scale: true"),
        ("export_e2b_template", r#"template_name: "mine", include_data: true"#),
        ("terminate_e2b_sandbox", r#"("sb_1", true)"#),
        ("run_e2b_code", r#"language: JavaScript, code: "1\0+1", context: Some("ctx"), timeout_seconds: 9"#),
        ("write_e2b_file", r#"path: "a/b", content: [120, 121, 122]"#),
        ("read_e2b_file", r#"("sb_1", "/data/x")"#),
        ("set_e2b_timeout", r#"("sb_1", 17)"#),
        ("list_e2b_templates", "()"),
        ("delete_e2b_template", "\"mine\""),
        ("export_e2b_template_file", r#"("mine", "/tmp/archive")"#),
        ("import_e2b_template_file", r#"("/tmp/archive", Some("other"))"#),
    ];
    for (name, request) in expected {
        let export = CALLS.iter().find(|(other, _)| *other == name).unwrap().1;
        let (status, document) = call(|out| export(client, 0, out));
        let answered = ["list_e2b_sandboxes", "monitor_e2b_health"].contains(&name);
        assert_eq!(
            status,
            if answered { E2B_STATUS_OK } else { E2B_STATUS_UNSUPPORTED },
            "{name}: {document}"
        );
        let noted = seen.request.lock().unwrap().clone();
        assert!(noted.contains(request), "{name}: {noted} lacks {request}");
    }
    // Each was recorded under its own name. The one that waits was not called yet; health was, before it was asked again.
    let (_, health) = call(|out| CALLS[5].1(client, 0, out));
    let latency = health["latency"].as_object().unwrap();
    let recorded: BTreeSet<&str> = latency.keys().map(String::as_str).collect();
    assert_eq!(recorded, expected.iter().map(|(name, _)| *name).collect());
    assert!(latency.values().all(|summary| summary["count"] == 1), "{latency:?}");
    let waiter = std::thread::spawn(move || call(|out| CALLS[3].1(client, 77, out)));
    wait_for(|| seen.waiting.load(Ordering::SeqCst) == 1);
    let noted = seen.request.lock().unwrap().clone();
    assert!(
        noted.contains(r#"argv: ["echo", "a", "b c"], timeout_seconds: 5, capture_output: false"#),
        "{noted}"
    );
    close(client);
    assert_eq!(waiter.join().unwrap().0, E2B_STATUS_CLOSED);
}

#[test]
fn a_null_out_buffer_is_refused_and_nothing_is_done() {
    let (client, seen) = open_double();
    for (name, export) in CALLS.iter().chain(&OTHERS) {
        assert_eq!(export(client, 1, std::ptr::null_mut()), E2B_STATUS_INVALID_ARGUMENT, "{name}");
    }
    assert_eq!(*seen.request.lock().unwrap(), "");
    assert!(!seen.closed.load(Ordering::SeqCst));
    close(client);
}

#[test]
fn texts_that_break_a_rule_are_refused_by_name() {
    let (client, seen) = open_double();
    let id = text("sb_1");
    let absent = (std::ptr::null(), 0);
    let invalid = [0x61, 0xff_u8];
    let cases: [(&str, (*const u8, u64), &str); 5] = [
        ("absent", absent, "command: must be given"),
        (
            "NULL with a length",
            (std::ptr::null(), 3),
            "command: is NULL with a length of 3; absent is NULL and 0",
        ),
        ("too long", (invalid.as_ptr(), u64::MAX), "exceeds the address space"),
        ("not UTF-8", (invalid.as_ptr(), 2), "command: must be UTF-8: invalid byte at offset 1"),
        ("NUL", text("a\0b"), "command: must not contain NUL"),
    ];
    for (case, command, message) in cases {
        let (status, document) = call(|out| {
            // SAFETY: each length is that of its array, or refused before the pointer is used.
            unsafe {
                execute_e2b_process(
                    client, 0, id.0, id.1, command.0, command.1, absent.0, absent.1, E2B_ABSENT, absent.0,
                    absent.1, out,
                )
            }
        });
        assert_eq!(status, E2B_STATUS_INVALID_ARGUMENT, "{case}");
        assert_eq!(document["argument"], "command", "{case}");
        assert!(document["message"].as_str().unwrap().contains(message), "{case}: {document}");
    }
    assert_eq!(*seen.request.lock().unwrap(), "", "a refused call reached the backend");
    close(client);
}

#[test]
fn flags_objects_lists_and_integers_are_checked_by_name() {
    let (client, _) = open_double();
    let absent = (std::ptr::null(), 0);
    let run = |symbols: &str, params: &str, gpu: &str| {
        let (id, agent) = (text("sb_1"), text("momentum"));
        let (symbols, params, gpu) = (text(symbols), text(params), text(gpu));
        // SAFETY: each pointer refers to a string that outlives the call.
        call(|out| unsafe {
            run_e2b_agent(
                client, 0, id.0, id.1, agent.0, agent.1, symbols.0, symbols.1, params.0, params.1, gpu.0,
                gpu.1, out,
            )
        })
    };
    for (symbols, params, gpu, argument) in [
        (r#"["SPY"]"#, "{}", "True", "use_gpu"),
        (r#"["SPY"]"#, "{}", "", "use_gpu"),
        (r#"["SPY"]"#, "[]", "true", "strategy_params"),
        (r#"["SPY"]"#, "false", "true", "strategy_params"),
        (r#"["SPY"]"#, "{} {}", "true", "strategy_params"),
        (r#"{"SPY":1}"#, "{}", "true", "symbols"),
        (r#"["SPY",1]"#, "{}", "true", "symbols[1]"),
        ("SPY", "{}", "true", "symbols"),
    ] {
        let (status, document) = run(symbols, params, gpu);
        assert_eq!(
            (status, document["argument"].as_str()),
            (E2B_STATUS_INVALID_ARGUMENT, Some(argument)),
            "{document}"
        );
    }
    // 0 is a value and absent is not 0.
    let id = text("sb_1");
    for (timeout, message) in
        [(0, "got 0"), (E2B_ABSENT, "must be given"), (86_401, "got 86401"), (-1, "got -1")]
    {
        // SAFETY: as above.
        let (status, document) = call(|out| unsafe { set_e2b_timeout(client, 0, id.0, id.1, timeout, out) });
        assert_eq!((status, &document["argument"]), (E2B_STATUS_INVALID_ARGUMENT, &json!("timeout")));
        assert!(document["message"].as_str().unwrap().contains(message), "{document}");
    }
    // An id that cannot be one of ours is not found rather than looked up.
    let id = text("../sb");
    // SAFETY: as above.
    let (status, document) = call(|out| unsafe { get_e2b_sandbox_status(client, 0, id.0, id.1, out) });
    assert_eq!((status, &document["code"]), (E2B_STATUS_NOT_FOUND, &json!("NOT_FOUND")));
    // An empty file is a pointer with length 0; no pointer is no content.
    let (id, path) = (text("sb_1"), text("f"));
    for (content, expected) in [(text(""), E2B_STATUS_UNSUPPORTED), (absent, E2B_STATUS_INVALID_ARGUMENT)] {
        let (status, document) = call(|out| {
            // SAFETY: as above.
            unsafe { write_e2b_file(client, 0, id.0, id.1, path.0, path.1, content.0, content.1, out) }
        });
        assert_eq!(status, expected, "{document}");
    }
    close(client);
}

#[test]
fn deep_json_is_an_error_and_no_stack_overflow() {
    let (client, _) = open_double();
    let deep = "{\"a\":".repeat(100_000);
    let (name, category, configuration) = (text("t"), text("c"), text(&deep));
    // SAFETY: each pointer refers to a string that outlives the call.
    let (status, document) = call(|out| unsafe {
        deploy_e2b_template(
            client,
            0,
            name.0,
            name.1,
            category.0,
            category.1,
            configuration.0,
            configuration.1,
            out,
        )
    });
    assert_eq!((status, &document["argument"]), (E2B_STATUS_INVALID_ARGUMENT, &json!("configuration")));
    close(client);
}

#[test]
fn a_stale_zero_or_invented_client_is_never_dereferenced() {
    let (client, seen) = open_double();
    assert_eq!(close(client), (E2B_STATUS_OK, json!({"closed": true})));
    assert!(seen.closed.load(Ordering::SeqCst));
    // Not at once: e2b_live_counts of another test may hold it for a moment.
    wait_for(|| seen.dropped.load(Ordering::SeqCst));
    assert_eq!(close(client), (E2B_STATUS_OK, json!({"closed": false})));
    // The slot is used again under another number.
    let (next, _) = open_double();
    assert_ne!(next, client);
    let invented = [0, 1, u64::MAX, u64::from(u32::MAX), client + (1_000_000_u64 << 32)];
    for (name, export) in CALLS.iter().chain(OTHERS.iter().filter(|(name, _)| *name == "e2b_cancel")) {
        let (status, document) = call(|out| export(client, 1, out));
        assert_eq!((status, &document["code"]), (E2B_STATUS_CLOSED, &json!("CLOSED")), "{name}");
        for handle in invented {
            let (status, document) = call(|out| export(handle, 1, out));
            assert_eq!(
                (status, &document["argument"]),
                (E2B_STATUS_INVALID_ARGUMENT, &json!("client")),
                "{name} of {handle}: {document}"
            );
        }
    }
    for handle in invented {
        assert_eq!(close(handle).0, E2B_STATUS_INVALID_ARGUMENT, "{handle}");
    }
    close(next);
}

#[test]
fn cancel_ends_the_call_of_that_number_alone() {
    let (client, seen) = open_double();
    let waiter = |number| std::thread::spawn(move || call(|out| CALLS[3].1(client, number, out)));
    let (first, second) = (waiter(1), waiter(2));
    wait_for(|| seen.waiting.load(Ordering::SeqCst) == 2);
    // A number in flight is taken, for functions that do not wait too.
    for (name, export) in &CALLS {
        let (status, document) = call(|out| export(client, 2, out));
        assert_eq!((status, &document["argument"]), (E2B_STATUS_INVALID_ARGUMENT, &json!("call")), "{name}");
    }
    assert_eq!(cancel(client, 3), json!({"cancelled": false}));
    assert_eq!(cancel(client, 1), json!({"cancelled": true}));
    let (status, document) = first.join().unwrap();
    assert_eq!((status, &document["code"]), (E2B_STATUS_CANCELLED, &json!("CANCELLED")));
    assert_eq!(seen.waiting.load(Ordering::SeqCst), 1);
    assert_eq!(cancel(client, 1), json!({"cancelled": false}), "it has ended");
    assert_eq!(cancel(client, 0)["argument"], "call");
    // The number is free again.
    let again = waiter(1);
    wait_for(|| seen.waiting.load(Ordering::SeqCst) == 2);
    // Closing does not wait for calls in flight; they hold the client until they end.
    assert_eq!(close(client).1, json!({"closed": true}));
    assert_eq!(again.join().unwrap().0, E2B_STATUS_CLOSED);
    assert_eq!(second.join().unwrap().0, E2B_STATUS_CLOSED);
    wait_for(|| seen.dropped.load(Ordering::SeqCst));
}

#[test]
fn sixteen_threads_open_call_cancel_and_close_without_a_loss() {
    let threads: Vec<_> = (0..16_u64)
        .map(|thread| {
            std::thread::spawn(move || {
                for round in 0..100 {
                    let (client, seen) = open_double();
                    let number = thread * 1_000 + round + 1;
                    let waiter = std::thread::spawn(move || call(|out| CALLS[3].1(client, number, out)).0);
                    if round % 2 == 0 {
                        // Not begun yet is answered with false, and asked again.
                        wait_for(|| cancel(client, number)["cancelled"] == true);
                        assert_eq!(waiter.join().unwrap(), E2B_STATUS_CANCELLED);
                        close(client);
                    } else {
                        wait_for(|| seen.waiting.load(Ordering::SeqCst) == 1);
                        close(client);
                        assert_eq!(waiter.join().unwrap(), E2B_STATUS_CLOSED);
                    }
                    assert_eq!(call(|out| CALLS[1].1(client, 0, out)).0, E2B_STATUS_CLOSED);
                    wait_for(|| seen.dropped.load(Ordering::SeqCst));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn one_client_serves_sixteen_threads_and_counts_their_calls() {
    let (client, _) = open_double();
    let threads: Vec<_> = (0..16)
        .map(|_| {
            std::thread::spawn(move || {
                for _ in 0..200 {
                    assert_eq!(call(|out| CALLS[1].1(client, 0, out)).0, E2B_STATUS_OK);
                    assert_eq!(call(|out| CALLS[14].1(client, 0, out)).0, E2B_STATUS_UNSUPPORTED);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let (status, health) = call(|out| CALLS[5].1(client, 0, out));
    assert_eq!(status, E2B_STATUS_OK);
    let latency = health["latency"].as_object().unwrap();
    assert_eq!(
        latency.keys().collect::<Vec<_>>(),
        ["list_e2b_sandboxes", "list_e2b_templates"],
        "only what was called"
    );
    for (name, errors) in [("list_e2b_sandboxes", 0), ("list_e2b_templates", 3_200)] {
        let summary = &latency[name];
        assert_eq!((&summary["count"], &summary["errors"]), (&json!(3_200), &json!(errors)), "{name}");
        assert!(
            summary["p50_us"].as_f64().unwrap() > 0.0
                && summary["max_us"].as_f64() >= summary["p99_us"].as_f64()
        );
    }
    close(client);
}

#[test]
fn a_panic_shows_as_a_health_alert() {
    let (client, _) = open_double();
    call(|out| panicking(|| CALLS[1].1(client, 0, out)));
    let (_, health) = call(|out| CALLS[5].1(client, 0, out));
    let alerts = health["alerts"].as_array().unwrap();
    let alert = alerts.iter().find(|alert| alert["rule"] == "library_panics").unwrap();
    assert!(alert["value"].as_f64().unwrap() >= 1.0, "{alert}");
    assert_eq!((&alert["severity"], &alert["threshold"]), (&json!("critical"), &json!(0.0)));
    close(client);
}

#[test]
fn version_names_release_abi_and_supervisor() {
    assert_eq!(e2b_abi_version(), E2B_ABI_VERSION);
    // SAFETY: `out` may be written.
    let (status, document) = call(|out| unsafe { e2b_version(out) });
    assert_eq!(status, E2B_STATUS_OK);
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["abi_version"], E2B_ABI_VERSION);
    assert!(document["supervisor_digest"].is_string());
}

#[test]
fn open_refuses_a_null_target_a_bad_config_and_a_bad_key() {
    let mut client = 42;
    let open = |config: &str, client: *mut u64| {
        let config = text(config);
        // SAFETY: `client` may be written or is NULL; the text outlives the call.
        call(|out| unsafe { e2b_open(config.0, config.1, client, out) })
    };
    assert_eq!(open("{}", std::ptr::null_mut()).1["argument"], "client");
    for (config, argument) in [
        ("", "config"),
        ("[]", "config"),
        (r#"{"colour":1}"#, "config.colour"),
        (r#"{"pool_base":65}"#, "config.pool_base"),
    ] {
        let (status, document) = open(config, &raw mut client);
        assert_eq!(
            (status, &document["argument"]),
            (E2B_STATUS_INVALID_ARGUMENT, &json!(argument)),
            "{document}"
        );
    }
    let (status, document) = open(r#"{"backend":"cloud","api_key":"not a key"}"#, &raw mut client);
    assert_eq!((status, &document["argument"]), (E2B_STATUS_INVALID_ARGUMENT, &json!("config.api_key")));
    assert!(!document.to_string().contains("not a key"), "{document}");
    assert_eq!(client, 42, "a failed open wrote a handle");
}

proptest! {
    #[test]
    fn a_number_that_is_not_an_open_handle_answers_an_error(handle in any::<u64>()) {
        let (client, _) = open_double();
        let (status, _) = call(|out| CALLS[14].1(handle, 0, out));
        // Chance may hit a handle of this or another test: such a call reaches a double and is UNSUPPORTED.
        let answers = [E2B_STATUS_INVALID_ARGUMENT, E2B_STATUS_CLOSED, E2B_STATUS_UNSUPPORTED];
        prop_assert!(answers.contains(&status));
        close(client);
    }

    #[test]
    fn any_bytes_as_any_text_answer_a_status_of_the_header(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let (client, _) = open_double();
        let (data, length) = (bytes.as_ptr(), bytes.len() as u64);
        // SAFETY: the vector outlives the calls.
        let statuses = unsafe {
            [
                call(|out| create_e2b_sandbox(client, 0, data, length, data, length, 1, 64, 1, out)).0,
                call(|out| list_e2b_sandboxes(client, 0, data, length, out)).0,
                call(|out| run_e2b_agent(
                    client, 0, data, length, data, length, data, length, data, length, data, length, out,
                )).0,
                call(|out| deploy_e2b_template(client, 0, data, length, data, length, data, length, out)).0,
                call(|out| import_e2b_template_file(client, 0, data, length, data, length, out)).0,
                call(|out| e2b_check(data, length, out)).0,
            ]
        };
        for status in statuses {
            prop_assert!((0..=14).contains(&status) && status != E2B_STATUS_INTERNAL);
        }
        close(client);
    }
}

fn wait_for(condition: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < give_up, "waited for 20 s");
        std::thread::yield_now();
    }
}
