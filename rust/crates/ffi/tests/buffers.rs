//! Buffers are counted, and every one that was given comes back. Alone in its process: the counts are the process's.

use e2bridge::abi::client::{e2b_cancel, e2b_close, e2b_open};
use e2bridge::abi::library::{e2b_buffer_free, e2b_live_counts, e2b_version};
use e2bridge::abi::sandbox::create_e2b_sandbox;
use e2bridge::bytes::E2bBuffer;

const EMPTY: E2bBuffer = E2bBuffer { data: std::ptr::null_mut(), length: 0 };

fn counts() -> serde_json::Value {
    let mut out = EMPTY;
    // SAFETY: `out` may be written, and is freed as the library wrote it.
    unsafe {
        assert_eq!(e2b_live_counts(&raw mut out), 0);
        let bytes = std::slice::from_raw_parts(out.data, usize::try_from(out.length).expect("64 bits"));
        let counts = serde_json::from_slice(bytes).expect("a JSON document");
        e2b_buffer_free(&raw mut out);
        counts
    }
}

#[test]
fn buffers_are_counted_back_to_zero() {
    assert_eq!(counts(), serde_json::json!({"clients": 0, "calls": 0, "buffers": 0, "sandboxes": 0}));
    let bad = b"[]";
    let mut client = 0;
    let null = std::ptr::null();
    let mut held = Vec::new();
    for round in 0..1_000_u64 {
        let mut out = [EMPTY, EMPTY, EMPTY, EMPTY, EMPTY];
        // SAFETY: each pointer refers to a local that outlives the call, or is NULL.
        unsafe {
            e2b_version(&raw mut out[0]);
            assert_eq!(e2b_open(bad.as_ptr(), bad.len() as u64, &raw mut client, &raw mut out[1]), 1);
            assert_eq!(e2b_close(round, &raw mut out[2]), 1);
            assert_eq!(e2b_cancel(round, 1, &raw mut out[3]), 1);
            assert_eq!(create_e2b_sandbox(round, 0, null, 0, null, 0, 0, 0, 0, &raw mut out[4]), 1);
        }
        held.extend(out);
    }
    assert_eq!(counts()["buffers"], 5_000);
    for (freed, buffer) in held.iter_mut().enumerate() {
        // SAFETY: written by the library; the second time it is empty.
        unsafe {
            e2b_buffer_free(buffer);
            e2b_buffer_free(buffer);
        }
        if freed % 1_000 == 0 {
            assert_eq!(counts()["buffers"], 4_999 - freed);
        }
    }
    assert_eq!(counts(), serde_json::json!({"clients": 0, "calls": 0, "buffers": 0, "sandboxes": 0}));
}
