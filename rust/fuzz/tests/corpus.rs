//! The corpus of every target, run as ordinary tests: what was found once stays found, without an instrumented build.

use std::fs;
use std::path::Path;

fn run(target: &str, function: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        // The test's output is shown only when it fails: the last line says where.
        println!("{}", path.display());
        function(&bytes);
        // And what is near it.
        for cut in (0..bytes.len()).step_by(1 + bytes.len() / 64) {
            function(&bytes[..cut]);
            let mut changed = bytes.clone();
            changed[cut] ^= 0x81;
            function(&changed);
        }
        count += 1;
    }
    assert!(count >= 10, "{count} files in {}", directory.display());
}

#[test]
fn arguments() {
    run("arguments", e2bridge_fuzz::arguments);
}

#[test]
fn protocol() {
    run("protocol", e2bridge_fuzz::protocol);
}

#[test]
fn archives() {
    run("archives", e2bridge_fuzz::archives);
}
