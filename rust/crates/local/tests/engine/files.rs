//! Files: what is written is what is read, and nothing that is no file gets in the way.

use std::time::{Duration, Instant};

use base64::Engine as _;
use e2bridge_core::{Backend, CancelToken, Code};

use crate::harness::{create, open, sh, write};

fn read(engine: &e2bridge_local::LocalBackend, id: &str, path: &str) -> e2bridge_core::Result<Vec<u8>> {
    let content = engine.read_file(id, path, &CancelToken::new())?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(&content.content_base64).unwrap();
    assert_eq!(content.size, bytes.len() as u64);
    Ok(bytes)
}

#[test]
fn what_is_written_is_what_is_read() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    let mut large = vec![0_u8; 20 * 1024 * 1024 + 7];
    for (index, byte) in large.iter_mut().enumerate() {
        *byte = u8::try_from(index % 251).unwrap();
    }
    for (path, content) in [
        ("empty", &b""[..]),
        ("/home/user/text", b"hello\n"),
        ("deep/er/and/deeper", b"\0\xff"),
        ("/data/large", &large),
        ("/tmp/name with spaces \u{fc}", b"x"),
    ] {
        write(&engine, &id, path, content).unwrap();
        assert!(read(&engine, &id, path).unwrap() == content, "{path}");
    }
    assert_eq!(
        sh(&engine, &id, "stat -c '%U %a' text; sha1sum </dev/null >/dev/null; wc -c </data/large").stdout,
        format!("user 644\n{}\n", large.len())
    );
    write(&engine, &id, "text", b"anew").unwrap();
    assert_eq!(read(&engine, &id, "text").unwrap(), b"anew");
}

#[test]
fn what_is_no_regular_file_is_an_error_at_once() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    sh(
        &engine,
        &id,
        "mkfifo fifo; mkdir dir; ln -s loop loop; echo secret >locked; chmod 0 locked; truncate -s 1T sparse || true",
    );
    let began = Instant::now();
    for (path, code) in [
        ("missing", Code::NotFound),
        ("missing/deeper", Code::NotFound),
        ("fifo", Code::InvalidArgument),
        ("dir", Code::InvalidArgument),
        ("/dev/zero", Code::InvalidArgument),
        ("loop", Code::InvalidArgument),
        ("locked", Code::PermissionDenied),
        ("sparse", Code::LimitExceeded),
        (&"x".repeat(300), Code::InvalidArgument),
    ] {
        let error = read(&engine, &id, path).unwrap_err();
        assert_eq!((error.code(), error.argument()), (code, Some("path")), "{path}: {error}");
    }
    for (path, code) in [
        ("dir", Code::InvalidArgument),
        ("/usr/bin/evil", Code::PermissionDenied),
        ("/nowhere/file", Code::PermissionDenied),
        ("locked/file", Code::NotFound),
    ] {
        let error = write(&engine, &id, path, b"x").unwrap_err();
        assert_eq!((error.code(), error.argument()), (code, Some("path")), "{path}: {error}");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn a_full_disk_leaves_the_file_as_it_was() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    write(&engine, &id, "kept", b"before").unwrap();
    sh(&engine, &id, "head -c 250m /dev/zero >/tmp/fill");
    let error = write(&engine, &id, "kept", &vec![1; 30 * 1024 * 1024]).unwrap_err();
    assert_eq!(error.code(), Code::LimitExceeded, "{error}");
    assert_eq!(read(&engine, &id, "kept").unwrap(), b"before");
    sh(&engine, &id, "rm /tmp/fill");
    assert_eq!(sh(&engine, &id, "ls -A").stdout, "kept\n", "nothing half made is left");
    let disk = engine.sandbox_status(&id).unwrap().metrics.disk_used_bytes.unwrap();
    assert!(disk < 1 << 20, "{disk}");
}

#[test]
fn a_cancelled_write_leaves_nothing() {
    let Some(engine) = open() else { return };
    let id = create(&engine).sandbox_id;
    let token = CancelToken::new();
    token.cancel();
    let request = e2bridge_core::request::WriteFile::new(&id, "never", b"x").unwrap();
    assert_eq!(engine.write_file(&request, &token).unwrap_err().code(), Code::Cancelled);
    assert_eq!(engine.read_file(&id, "never", &token).unwrap_err().code(), Code::Cancelled);
    assert_eq!(read(&engine, &id, "never").unwrap_err().code(), Code::NotFound);
}
