//! The body of an answer, piece by piece.

use super::connection::{Fault, Patience};
use super::exchange::Head;
use super::guard::Guard;
use super::pool::Lease;

/// Most lines after the last chunk.
const MAX_TRAILERS: usize = 100;

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks, the last of them empty.
    Chunked,
    /// The end of the connection.
    UntilEnd,
}

impl Framing {
    /// That of an answer to `method`.
    pub(crate) fn of(method: &str, head: &Head) -> Result<Self, Fault> {
        if method == "HEAD" || head.status == 204 || head.status == 304 {
            return Ok(Framing::Length(0));
        }
        // None is asked for; taken as it is, it would be a wrong file, and unpacked it could be of any size.
        if let Some(coding) =
            head.header("content-encoding").filter(|it| !it.eq_ignore_ascii_case("identity"))
        {
            return Err(Fault::Garbled(format!("an answer with the content coding {coding:?}")));
        }
        if let Some(coding) = head.header("transfer-encoding") {
            return if coding.eq_ignore_ascii_case("chunked") {
                Ok(Framing::Chunked)
            } else {
                Err(Fault::Garbled(format!("an answer with the transfer coding {coding:?}")))
            };
        }
        let mut lengths = head.headers.iter().filter(|(name, _)| name == "content-length");
        let Some((_, first)) = lengths.next() else { return Ok(Framing::UntilEnd) };
        let plain = !first.is_empty() && first.bytes().all(|b| b.is_ascii_digit());
        match first.parse() {
            Ok(length) if plain && lengths.all(|(_, other)| other == first) => Ok(Framing::Length(length)),
            _ => Err(Fault::Garbled("an answer with a wrong Content-Length".to_owned())),
        }
    }
}

/// Where in a chunked body the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the line before a chunk.
    Size,
    /// In a chunk with so many bytes to come.
    Data(u64),
    /// In the line break behind a chunk.
    Break,
    /// In the lines after the last chunk, of which so many have come.
    Trailer(usize),
    End,
}

/// A body, and the connection that it comes on; when it has been read to its end the connection is kept for another request.
pub(crate) struct Body {
    lease: Lease,
    framing: Framing,
    at: At,
    left: u64,
    keep_alive: bool,
}

impl Body {
    pub(crate) fn new(lease: Lease, framing: Framing, keep_alive: bool) -> Self {
        let left = if let Framing::Length(length) = framing { length } else { 0 };
        let mut body = Self { lease, framing, at: At::Size, left, keep_alive };
        if framing == Framing::Length(0) {
            body.end();
        }
        body
    }

    /// Bytes to come, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        matches!(self.framing, Framing::Length(_)).then_some(self.left)
    }

    fn end(&mut self) {
        self.at = At::End;
        if self.keep_alive && self.framing != Framing::UntilEnd {
            self.lease.give_back();
        }
    }

    /// The next piece goes to `sink`; false at the end of the body. A body that ends before its end is a broken connection.
    pub(crate) fn next(
        &mut self,
        guard: &Guard<'_>,
        patience: &Patience,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<bool, Fault> {
        loop {
            if self.at == At::End {
                return Ok(false);
            }
            let most = match (self.framing, self.at) {
                (Framing::Length(_), _) => self.left,
                (Framing::Chunked, At::Data(left)) => left,
                (Framing::Chunked, _) => {
                    self.chunk_line(guard, patience)?;
                    continue;
                }
                (Framing::UntilEnd, _) => u64::MAX,
            };
            let connection = self.lease.connection()?;
            let piece = connection.fill(guard, patience)?;
            if piece.is_empty() {
                if self.framing == Framing::UntilEnd {
                    self.at = At::End;
                    return Ok(false);
                }
                return Err(Fault::Broken(
                    "the other side ended the connection in the middle of its answer".to_owned(),
                ));
            }
            let length = usize::try_from(most).unwrap_or(usize::MAX).min(piece.len());
            sink(&piece[..length])?;
            connection.consume(length);
            let length = length as u64;
            match (self.framing, self.at) {
                (Framing::Length(_), _) => {
                    self.left -= length;
                    if self.left == 0 {
                        self.end();
                    }
                }
                (Framing::Chunked, At::Data(left)) => {
                    self.at = if left == length { At::Break } else { At::Data(left - length) };
                }
                _ => {}
            }
            return Ok(true);
        }
    }

    /// Takes the line that is next in a chunked body.
    fn chunk_line(&mut self, guard: &Guard<'_>, patience: &Patience) -> Result<(), Fault> {
        let connection = self.lease.connection()?;
        let end = loop {
            if let Some(end) = connection.ahead().iter().position(|byte| *byte == b'\n') {
                break end;
            }
            if !connection.read_more(guard, patience)? {
                return Err(Fault::Broken(
                    "the other side ended the connection in the middle of its answer".to_owned(),
                ));
            }
        };
        let line = connection.ahead()[..end].strip_suffix(b"\r").unwrap_or(&connection.ahead()[..end]);
        let next = match self.at {
            At::Break if line.is_empty() => At::Size,
            At::Size => match chunk_size(line) {
                Some(0) => At::Trailer(0),
                Some(size) => At::Data(size),
                None => return Err(Fault::Garbled("a chunk without a size".to_owned())),
            },
            At::Trailer(_) if line.is_empty() => At::End,
            At::Trailer(lines) if lines < MAX_TRAILERS => At::Trailer(lines + 1),
            _ => return Err(Fault::Garbled("a chunked answer that does not end where it should".to_owned())),
        };
        connection.consume(end + 1);
        if next == At::End {
            self.end();
        } else {
            self.at = next;
        }
        Ok(())
    }

    /// The rest of the body, at most `most` bytes of it; true when there was more, which is not read.
    pub(crate) fn rest(
        &mut self,
        most: usize,
        guard: &Guard<'_>,
        patience: &Patience,
    ) -> Result<(Vec<u8>, bool), Fault> {
        let mut bytes = Vec::new();
        let mut more = false;
        while !more
            && self.next(guard, patience, &mut |piece| {
                let room = most - bytes.len();
                more = piece.len() > room;
                bytes.extend_from_slice(&piece[..piece.len().min(room)]);
                Ok(())
            })?
        {}
        Ok((bytes, more))
    }
}

/// The size in the line before a chunk; what comes after a semicolon is passed over.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?;
    let digits = str::from_utf8(digits).ok()?.trim();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, headers: &[(&str, &str)]) -> Head {
        Head {
            status,
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..Head::default()
        }
    }

    #[test]
    fn the_end_of_a_body_is_known_by_its_head() {
        let of = |status, headers: &[(&str, &str)]| Framing::of("GET", &head(status, headers));
        assert_eq!(of(200, &[("content-length", "5")]).unwrap(), Framing::Length(5));
        assert_eq!(of(200, &[("content-length", "5"), ("content-length", "5")]).unwrap(), Framing::Length(5));
        assert_eq!(
            of(200, &[("transfer-encoding", "Chunked"), ("content-length", "5")]).unwrap(),
            Framing::Chunked
        );
        assert_eq!(of(200, &[]).unwrap(), Framing::UntilEnd);
        assert_eq!(of(204, &[("content-length", "5")]).unwrap(), Framing::Length(0));
        for wrong in ["", "-1", "+5", "5x", "99999999999999999999999"] {
            assert!(of(200, &[("content-length", wrong)]).is_err(), "{wrong}");
        }
        assert!(of(200, &[("content-length", "5"), ("content-length", "6")]).is_err());
        assert!(of(200, &[("transfer-encoding", "gzip, chunked")]).is_err());
        assert!(of(200, &[("content-encoding", "gzip"), ("content-length", "5")]).is_err());
        assert_eq!(
            of(200, &[("content-encoding", "identity"), ("content-length", "5")]).unwrap(),
            Framing::Length(5)
        );
    }

    #[test]
    fn a_chunk_says_its_size_in_hexadecimal() {
        assert_eq!(chunk_size(b"1f;name=value"), Some(31));
        assert_eq!(chunk_size(b"0"), Some(0));
        for wrong in [&b""[..], b"x", b"-1", b"+1", b"11111111111111111", b"\xff"] {
            assert_eq!(chunk_size(wrong), None, "{wrong:?}");
        }
    }
}
