//! Files of a sandbox, in and out, in pieces.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use e2bridge_core::document::{FileContent, FileWritten};
use e2bridge_core::request::{MAX_FILE_BYTES, WriteFile, check_path, quote};
use e2bridge_core::time::now;
use e2bridge_core::{CancelToken, Code, Error, Result};
use e2bridge_wait::host_error;

use crate::CloudBackend;
use crate::client::{Client, Known};
use crate::envd::HOME;
use crate::error_map::Trouble;
use crate::http::guard::Guard;

/// `write_e2b_file`.
///
/// # Errors
/// `INVALID_ARGUMENT` about `path` for what is no file; `LIMIT_EXCEEDED` when the disk is full; those of a sandbox that ends.
pub(crate) fn write(
    client: &Arc<Client>,
    request: &WriteFile<'_>,
    token: &CancelToken,
) -> Result<FileWritten> {
    let interrupt = client.transport.watch(token)?;
    let guard = client.guard(&interrupt);
    let known = client.find(request.sandbox_id, &guard)?;
    write_to(client, &known, request.path, &mut &request.content[..], request.content.len() as u64, &guard)
}

/// Writes `length` bytes out of `reader` into a file.
pub(crate) fn write_to(
    client: &Arc<Client>,
    known: &Arc<Known>,
    path: &str,
    reader: &mut dyn Read,
    length: u64,
    guard: &Guard<'_>,
) -> Result<FileWritten> {
    let absolute = absolute(path);
    client
        .envd(known)?
        .upload(&absolute, reader, length, guard)
        .map_err(|trouble| refused(client, known, path, trouble))?;
    Ok(FileWritten { sandbox_id: known.id(), path: absolute, size: length, timestamp: now() })
}

/// `read_e2b_file`.
///
/// # Errors
/// `NOT_FOUND` and `INVALID_ARGUMENT` about `path`; `LIMIT_EXCEEDED` for a file of more than 256 MiB; those of a sandbox that ends.
pub(crate) fn read(
    client: &Arc<Client>,
    sandbox_id: &str,
    path: &str,
    token: &CancelToken,
) -> Result<FileContent> {
    let interrupt = client.transport.watch(token)?;
    let guard = client.guard(&interrupt);
    let known = client.find(sandbox_id, &guard)?;
    let content = read_from(client, &known, path, MAX_FILE_BYTES as u64, &guard)?;
    Ok(FileContent {
        sandbox_id: known.id(),
        path: absolute(path),
        size: content.len() as u64,
        content_base64: base64::engine::general_purpose::STANDARD.encode(content),
        timestamp: now(),
    })
}

/// The content of a file of at most `most` bytes.
pub(crate) fn read_from(
    client: &Arc<Client>,
    known: &Arc<Known>,
    path: &str,
    most: u64,
    guard: &Guard<'_>,
) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    client
        .envd(known)?
        .download(&absolute(path), guard, &mut |length, piece| {
            if length.is_some_and(|length| length > most) || content.len() as u64 + piece.len() as u64 > most
            {
                return Err(Error::new(
                    Code::LimitExceeded,
                    format!("path: {} must be at most {most} bytes", quote(path)),
                )
                .about("path"));
            }
            content.extend_from_slice(piece);
            Ok(())
        })
        .map_err(|trouble| refused(client, known, path, trouble))?;
    Ok(content)
}

impl CloudBackend {
    /// Writes a file of this machine into a sandbox, of any size, without having it in memory.
    ///
    /// # Errors
    /// Those of `write_e2b_file`; `INVALID_ARGUMENT` about `file` for one that cannot be read.
    pub fn upload_file(
        &self,
        sandbox_id: &str,
        path: &str,
        file: &Path,
        token: &CancelToken,
    ) -> Result<FileWritten> {
        check_path("path", path)?;
        let client = &self.client;
        let unreadable = |error: std::io::Error| {
            Error::invalid("file", format!("cannot be read: {error}: {}", quote(&file.to_string_lossy())))
        };
        let mut source = File::open(file).map_err(unreadable)?;
        let length = source.metadata().map_err(unreadable)?.len();
        let interrupt = client.transport.watch(token)?;
        let guard = client.guard(&interrupt);
        let known = client.find(sandbox_id, &guard)?;
        write_to(client, &known, path, &mut source, length, &guard)
    }

    /// Writes a file of a sandbox into one of this machine, of any size, without having it in memory; answers its length. An
    /// existing file is replaced only by a whole one.
    ///
    /// # Errors
    /// Those of `read_e2b_file` but for its bound; `UNAVAILABLE` and `PERMISSION_DENIED` for what this machine refuses.
    pub fn download_file(
        &self,
        sandbox_id: &str,
        path: &str,
        file: &Path,
        token: &CancelToken,
    ) -> Result<u64> {
        check_path("path", path)?;
        let client = &self.client;
        let interrupt = client.transport.watch(token)?;
        let guard = client.guard(&interrupt);
        let known = client.find(sandbox_id, &guard)?;
        let mut partial = file.as_os_str().to_owned();
        partial.push(".e2bridge-partial");
        let mut target = File::create(&partial).map_err(|error| host_error("create a file", &error))?;
        let written = client
            .envd(&known)?
            .download(&absolute(path), &guard, &mut |_, piece| {
                target.write_all(piece).map_err(|error| host_error("write", &error))
            })
            .map_err(|trouble| refused(client, &known, path, trouble))
            .and_then(|length| {
                std::fs::rename(&partial, file).map_err(|error| host_error("rename", &error))?;
                Ok(length)
            });
        if written.is_err() {
            // The cause is told; a file that cannot be removed is left.
            let _ = std::fs::remove_file(&partial);
        }
        written
    }
}

/// The error for a path that the daemon refuses.
fn refused(client: &Client, known: &Known, path: &str, trouble: Trouble) -> Error {
    let status = trouble.error.context().get("http_status").and_then(serde_json::Value::as_u64);
    let said = trouble
        .error
        .context()
        .get("server_message")
        .and_then(|said| said.as_str())
        .unwrap_or_default()
        .to_owned();
    let path_text = quote(path);
    let (code, rule) = match status {
        Some(404) => (Code::NotFound, format!("there is no file {path_text}")),
        Some(400) if said.contains("directory") => {
            (Code::InvalidArgument, format!("{path_text} is a directory, not a regular file"))
        }
        Some(400) => (Code::InvalidArgument, format!("{path_text} is refused: {said}")),
        Some(403) => {
            (Code::PermissionDenied, format!("{path_text} is not accessible to the user of the sandbox"))
        }
        Some(500) if said.contains("permission denied") => {
            (Code::PermissionDenied, format!("{path_text} is not accessible to the user of the sandbox"))
        }
        Some(507) => (Code::LimitExceeded, format!("no room for {path_text}: the sandbox's disk is full")),
        _ => return client.explain(known, trouble),
    };
    let mut error = Error::new(code, format!("path: {rule}")).about("path").with("sandbox_id", known.id());
    for (key, value) in trouble.error.context() {
        error = error.with(key, value.clone());
    }
    error
}

/// The daemon would look below a template's own directory of work, and take `~` for a home.
fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{HOME}/{path}") }
}
