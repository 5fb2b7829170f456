//! The frames of a Connect stream: a flag byte, a length of four bytes, big endian, and so many bytes of JSON.

use serde::Deserialize;

/// Largest frame. The daemon sends pieces of 32 KiB, which are a third longer in base64.
const MAX_FRAME: usize = 8 * 1024 * 1024;
const COMPRESSED: u8 = 1;
const END: u8 = 2;

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// JSON of a message.
    Message(Vec<u8>),
    /// The last frame.
    End(Option<EndError>),
}

/// Why a stream failed.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct EndError {
    /// A word of Connect's.
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
}

#[derive(Deserialize)]
struct EndOfStream {
    #[serde(default)]
    error: Option<EndError>,
}

/// Puts a message into a frame.
pub(crate) fn frame(json: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(json.len() + 5);
    frame.push(0);
    frame.extend_from_slice(&u32::try_from(json.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(json);
    frame
}

/// Takes frames out of pieces, however these are cut.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    from: usize,
}

impl Frames {
    /// Adds a piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        if self.from > 0 {
            self.bytes.drain(..self.from);
            self.from = 0;
        }
        self.bytes.extend_from_slice(piece);
    }

    /// True when a frame has begun and not ended.
    pub(crate) fn is_partial(&self) -> bool {
        self.from < self.bytes.len()
    }

    /// The next whole frame; `None` when more pieces are needed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, String> {
        let ahead = &self.bytes[self.from..];
        let [flags, a, b, c, d, rest @ ..] = ahead else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(format!("a frame of {length} bytes, more than {MAX_FRAME}"));
        }
        if *flags & COMPRESSED != 0 {
            return Err("a compressed frame, which was not asked for".to_owned());
        }
        let Some(json) = rest.get(..length) else { return Ok(None) };
        let frame = if *flags & END == 0 {
            Frame::Message(json.to_vec())
        } else if json.is_empty() {
            Frame::End(None)
        } else {
            let end: EndOfStream =
                serde_json::from_slice(json).map_err(|error| format!("the last frame: {error}"))?;
            Frame::End(end.error)
        };
        self.from += 5 + length;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(json: &str) -> Vec<u8> {
        let mut bytes = frame(json.as_bytes());
        bytes[0] = END;
        bytes
    }

    #[test]
    fn frames_come_out_whole_wherever_they_are_cut() {
        let mut bytes = frame(br#"{"event":{"start":{"pid":42}}}"#);
        bytes.extend(frame(b""));
        bytes.extend(frame("€".repeat(20_000).as_bytes()));
        bytes.extend(end(r#"{"error":{"code":"not_found","message":"no"},"metadata":{}}"#));
        let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for piece in pieces {
                frames.push(piece);
                while let Some(frame) = frames.next().unwrap() {
                    found.push(frame);
                }
            }
            assert!(!frames.is_partial());
            found
        };
        let whole = read(&mut std::iter::once(bytes.as_slice()));
        assert_eq!(whole.len(), 4);
        let error = EndError { code: "not_found".to_owned(), message: "no".to_owned() };
        assert_eq!(whole[3], Frame::End(Some(error)));
        for at in (0..80).chain(bytes.len() - 80..bytes.len()) {
            let (front, back) = bytes.split_at(at);
            assert_eq!(read(&mut [front, back].into_iter()), whole, "cut at {at}");
        }
        assert_eq!(read(&mut bytes[..5 + 30 + 5 + 5].chunks(1).chain([&bytes[45..]])), whole, "byte by byte");
    }

    #[test]
    fn an_end_without_an_error_is_an_end() {
        for json in ["", "{}", r#"{"metadata":{"a":["b"]}}"#, r#"{"error":null}"#] {
            let mut frames = Frames::default();
            frames.push(&end(json));
            assert_eq!(frames.next().unwrap(), Some(Frame::End(None)), "{json}");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for bytes in [&[0, 0xff, 0xff, 0xff, 0xff][..], &[1, 0, 0, 0, 0], &[2, 0, 0, 0, 1, b'x']] {
            let mut frames = Frames::default();
            frames.push(bytes);
            assert!(frames.next().is_err(), "{bytes:?}");
        }
        let mut frames = Frames::default();
        frames.push(&[0, 0, 0]);
        assert!(frames.next().unwrap().is_none() && frames.is_partial());
    }
}
