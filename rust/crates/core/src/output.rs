//! What a program wrote: the head of each stream, the order in which the pieces arrived, and their text.

use std::time::Duration;

use base64::Engine as _;

use crate::document::ProcessResult;
use crate::time::now;

/// Most bytes of a stream that are kept.
pub const MAX_STREAM_BYTES: usize = 8 * 1024 * 1024;
/// Most pieces whose order is kept, so that two streams that take turns byte by byte cost no more than what they write.
const MAX_PIECES: usize = 256 * 1024;

/// Most bytes of the results of a code run; the local engine's workers keep to less.
pub const MAX_RESULT_BYTES: usize = 32 * 1024 * 1024;
/// Most levels of a result's JSON; what reads it further on has limits, too.
pub const MAX_RESULT_DEPTH: usize = 128;

/// Index of standard output in what is collected.
pub const STDOUT: usize = 0;
/// Index of standard error.
pub const STDERR: usize = 1;

/// Collects two streams.
#[derive(Clone, Debug, Default)]
pub struct Output {
    streams: [Stream; 2],
    /// Which stream, and how many bytes of it that were kept, in order of arrival.
    pieces: Vec<(usize, usize)>,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    kept: Vec<u8>,
    total: u64,
}

impl Output {
    /// Adds bytes of a stream.
    pub fn push(&mut self, stream: usize, bytes: &[u8]) {
        keep(&mut self.streams[stream], &mut self.pieces, stream, bytes);
    }

    /// The bytes of a stream that were kept.
    pub fn kept(&self, stream: usize) -> &[u8] {
        &self.streams[stream].kept
    }

    /// Bytes that were written, kept or not.
    pub fn total(&self, stream: usize) -> u64 {
        self.streams[stream].total
    }

    /// True when more was written than is kept.
    pub fn truncated(&self) -> bool {
        self.streams.iter().any(|stream| stream.total > stream.kept.len() as u64)
    }

    /// Both streams in order of arrival, invalid UTF-8 replaced. A character that is cut by a piece of the other stream stays whole.
    pub fn in_order(&self) -> String {
        let [stdout, stderr] = &self.streams;
        match (stdout.kept.is_empty(), stderr.kept.is_empty()) {
            (_, true) => return String::from_utf8_lossy(&stdout.kept).into_owned(),
            (true, _) => return String::from_utf8_lossy(&stderr.kept).into_owned(),
            _ => {}
        }
        let mut text = String::with_capacity(stdout.kept.len() + stderr.kept.len());
        let mut done = [0; 2];
        let mut arrived = [0; 2];
        for (stream, length) in &self.pieces {
            arrived[*stream] += length;
            let bytes = &self.streams[*stream].kept[done[*stream]..arrived[*stream]];
            let whole = bytes.len() - incomplete_tail(bytes);
            text.push_str(&String::from_utf8_lossy(&bytes[..whole]));
            done[*stream] += whole;
        }
        for (stream, done) in self.streams.iter().zip(done) {
            text.push_str(&String::from_utf8_lossy(&stream.kept[done..]));
        }
        text
    }
}

fn keep(stream: &mut Stream, pieces: &mut Vec<(usize, usize)>, index: usize, bytes: &[u8]) {
    stream.total += bytes.len() as u64;
    let room = MAX_STREAM_BYTES - stream.kept.len();
    let head = &bytes[..bytes.len().min(room)];
    if head.is_empty() {
        return;
    }
    stream.kept.extend_from_slice(head);
    let full = pieces.len() == MAX_PIECES;
    match pieces.last_mut() {
        // Once it is full, the rest is put at the end, stream by stream.
        _ if full => {}
        Some((last, length)) if *last == index => *length += head.len(),
        _ => pieces.push((index, head.len())),
    }
}

/// Length of the unfinished character at the end, 0 to 3.
fn incomplete_tail(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - back];
        let needs = match byte {
            0b1100_0000..=0b1101_1111 => 2,
            0b1110_0000..=0b1110_1111 => 3,
            0b1111_0000..=0b1111_0111 => 4,
            0b1000_0000..=0b1011_1111 => continue,
            _ => return 0,
        };
        return if back < needs { back } else { 0 };
    }
    0
}

/// Text with invalid UTF-8 replaced, and the exact bytes in base64 when something was.
pub fn text(bytes: &[u8]) -> (String, Option<String>) {
    match str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (
            String::from_utf8_lossy(bytes).into_owned(),
            Some(base64::engine::general_purpose::STANDARD.encode(bytes)),
        ),
    }
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// -1 when a signal or the time-out ended it.
    pub exit_code: i32,
    /// Name of the signal that ended it.
    pub signal: Option<String>,
    /// The time-out ended it.
    pub timed_out: bool,
    /// The memory limit ended it or one of its processes.
    pub out_of_memory: bool,
    /// Wall time.
    pub duration: Duration,
}

/// The answer of `execute_e2b_process`.
pub fn process_result(
    execution_id: String,
    sandbox_id: String,
    ended: Ended,
    output: &Output,
) -> ProcessResult {
    let (stdout, stdout_base64) = text(output.kept(STDOUT));
    let (stderr, stderr_base64) = text(output.kept(STDERR));
    ProcessResult {
        execution_id,
        sandbox_id,
        exit_code: ended.exit_code,
        output: output.in_order(),
        stdout,
        stderr,
        stdout_base64,
        stderr_base64,
        stdout_bytes: output.total(STDOUT),
        stderr_bytes: output.total(STDERR),
        truncated: output.truncated(),
        duration_ms: ended.duration.as_secs_f64() * 1e3,
        timed_out: ended.timed_out,
        signal: ended.signal,
        out_of_memory: ended.out_of_memory,
        timestamp: now(),
    }
}

/// Levels of arrays and objects in a text that is JSON.
pub fn json_depth(json: &str) -> usize {
    let (mut now, mut most, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                now += 1;
                most = most.max(now);
            }
            b']' | b'}' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_out_in_the_order_in_which_they_came() {
        let mut output = Output::default();
        for (stream, bytes) in [(STDOUT, "a"), (STDERR, "b"), (STDERR, "c"), (STDOUT, "d")] {
            output.push(stream, bytes.as_bytes());
        }
        assert_eq!(output.in_order(), "abcd");
        assert_eq!((output.kept(STDOUT), output.kept(STDERR)), (&b"ad"[..], &b"bc"[..]));
        assert!(!output.truncated());
    }

    #[test]
    fn a_character_cut_by_the_other_stream_stays_whole() {
        let euro = "€".as_bytes();
        let mut output = Output::default();
        output.push(STDOUT, &euro[..2]);
        output.push(STDERR, b"!");
        output.push(STDOUT, &euro[2..]);
        assert_eq!(output.in_order(), "!€");
        output.push(STDERR, &euro[..1]);
        assert_eq!(output.in_order(), "!€\u{fffd}");
    }

    #[test]
    fn the_head_is_kept_and_the_rest_counted() {
        let mut output = Output::default();
        let piece = vec![b'x'; 3 * 1024 * 1024];
        for _ in 0..4 {
            output.push(STDERR, &piece);
        }
        assert_eq!(output.kept(STDERR).len(), MAX_STREAM_BYTES);
        assert_eq!(output.total(STDERR), 12 * 1024 * 1024);
        assert!(output.truncated());
    }

    #[test]
    fn exact_bytes_come_only_with_what_is_not_text() {
        assert_eq!(text("grün".as_bytes()), ("grün".to_owned(), None));
        assert_eq!(text(b"\xff\x00"), ("\u{fffd}\0".to_owned(), Some("/wA=".to_owned())));
    }
}
