//! What a run prints and displays, within limits that keep the reply below the longest message.

use e2bridge_protocol::worker::MAX_MESSAGE;

use super::text;

/// Most bytes that all rich results together may take inside the reply's JSON. Two streams, the result, the rich results and an
/// error stay below [`MAX_MESSAGE`].
pub(super) const MAX_JSON: usize = MAX_MESSAGE / 8;
/// Most that one stream, or the result, may take there: twice what is kept of them, for escapes.
pub(super) const MAX_STREAM_JSON: usize = MAX_MESSAGE / 4;
/// Most rich results of a run.
const MAX_RESULTS: usize = 1_000;

/// One output stream: the head is kept, the rest counted.
#[derive(Default)]
pub(super) struct Stream {
    pub(super) kept: String,
    json: usize,
    full: bool,
}

impl Stream {
    /// Appends, and answers how many bytes were dropped. Once something was dropped, everything after it is.
    fn push(&mut self, added: &str, limit: usize) -> u64 {
        if self.full {
            return added.len() as u64;
        }
        let mut end = added.len().min(limit.saturating_sub(self.kept.len()));
        let json = text::json_length(&added[..added.floor_char_boundary(end)]);
        if self.json + json > MAX_STREAM_JSON {
            let mut room = MAX_STREAM_JSON - self.json;
            end = added
                .bytes()
                .take_while(|byte| {
                    let length = text::json_byte_length(*byte);
                    let fits = length <= room;
                    room -= if fits { length } else { room };
                    fits
                })
                .count()
                .min(end);
        }
        let kept = text::head(added, end);
        self.json += text::json_length(kept);
        self.kept.push_str(kept);
        self.full = kept.len() < added.len();
        (added.len() - kept.len()) as u64
    }
}

/// A rich result.
pub(super) struct Displayed {
    pub(super) text: String,
    /// JSON text.
    pub(super) json: Option<String>,
    pub(super) is_main_result: bool,
}

/// Everything that a run has said so far.
#[derive(Default)]
pub(super) struct Output {
    pub(super) stdout: Stream,
    pub(super) stderr: Stream,
    pub(super) results: Vec<Displayed>,
    pub(super) dropped_bytes: u64,
    limit: usize,
    results_json: usize,
}

impl Output {
    pub(super) fn new(limit: u64) -> Output {
        Output { limit: usize::try_from(limit).unwrap_or(usize::MAX), ..Output::default() }
    }

    pub(super) fn print(&mut self, to_stderr: bool, added: &str) {
        let stream = if to_stderr { &mut self.stderr } else { &mut self.stdout };
        self.dropped_bytes += stream.push(added, self.limit);
    }

    /// Adds a rich result: its text is cut to what is left of the limit, its JSON left away when it does not fit.
    pub(super) fn display(&mut self, text: &str, json: Option<String>, is_main_result: bool) {
        let room = MAX_JSON.saturating_sub(self.results_json);
        if self.results.len() >= MAX_RESULTS && !is_main_result || room < 2 {
            self.dropped_bytes += text.len() as u64;
            return;
        }
        let kept = self.cut(text, room / 2);
        self.results_json += text::json_length(&kept);
        let json = json.filter(|json| json.len() <= MAX_JSON.saturating_sub(self.results_json));
        self.results_json += json.as_ref().map_or(0, String::len);
        self.results.push(Displayed { text: kept, json, is_main_result });
    }

    /// The head of a text that takes at most `room` bytes of JSON and no more than the limit of a stream.
    pub(super) fn cut(&mut self, text: &str, room: usize) -> String {
        let mut whole = Stream { json: MAX_STREAM_JSON - room.min(MAX_STREAM_JSON), ..Stream::default() };
        self.dropped_bytes += whole.push(text, self.limit);
        whole.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_kept_and_the_rest_counted() {
        let mut output = Output::new(5);
        output.print(false, "abc");
        output.print(false, "d\u{20ac}e");
        output.print(false, "f");
        output.print(true, "xyz");
        assert_eq!(output.stdout.kept, "abcd");
        assert_eq!(output.stderr.kept, "xyz");
        assert_eq!(output.dropped_bytes, 5);
    }

    #[test]
    fn what_json_blows_up_is_cut_earlier() {
        let mut output = Output::new(u64::MAX);
        let text = "\u{1}".repeat(MAX_STREAM_JSON);
        output.print(false, &text);
        assert_eq!(output.stdout.kept.len(), MAX_STREAM_JSON / 6);
        assert_eq!(output.dropped_bytes, (text.len() - MAX_STREAM_JSON / 6) as u64);
    }

    #[test]
    fn results_share_one_limit() {
        let mut output = Output::new(u64::MAX);
        for _ in 0..10 {
            output.display(&"x".repeat(MAX_JSON / 4), Some("1".repeat(MAX_JSON / 2)), false);
        }
        let total: usize =
            output.results.iter().map(|one| one.text.len() + one.json.as_ref().map_or(0, String::len)).sum();
        assert!(total <= MAX_JSON, "{total}");
        assert!(output.results[0].json.is_some());
    }
}
