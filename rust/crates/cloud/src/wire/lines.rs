//! Lines out of pieces: newline-delimited JSON.

/// Longest line: a result of the interpreter may be a picture.
const MAX_LINE: usize = 64 * 1024 * 1024;

/// Takes lines out of pieces, however these are cut.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    from: usize,
    /// No line ends before here.
    searched: usize,
}

impl Lines {
    /// Adds a piece.
    ///
    /// # Errors
    /// When a line is too long.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), String> {
        self.bytes.drain(..self.from);
        self.searched -= self.from;
        self.from = 0;
        if self.bytes.len() > MAX_LINE {
            return Err(format!("a line of more than {MAX_LINE} bytes"));
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// The next whole line that is not blank.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        loop {
            let found = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n');
            let Some(length) = found else {
                self.searched = self.bytes.len();
                return None;
            };
            let (from, end) = (self.from, self.searched + length);
            (self.from, self.searched) = (end + 1, end + 1);
            if !self.bytes[from..end].trim_ascii().is_empty() {
                return Some(self.bytes[from..end].trim_ascii());
            }
        }
    }

    /// What came after the last line break.
    pub(crate) fn rest(&self) -> &[u8] {
        self.bytes[self.from..].trim_ascii()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_wherever_they_are_cut() {
        let text = "{\"a\":\"€\"}\r\n\n  \n{}\n{\"b\":1}\nrest".as_bytes();
        for at in 0..=text.len() {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for piece in [&text[..at], &text[at..]] {
                lines.push(piece).unwrap();
                while let Some(line) = lines.next() {
                    found.push(line.to_vec());
                }
            }
            assert_eq!(
                found,
                ["{\"a\":\"€\"}".as_bytes().to_vec(), b"{}".to_vec(), b"{\"b\":1}".to_vec()],
                "{at}"
            );
            assert_eq!(lines.rest(), b"rest");
        }
    }
}
