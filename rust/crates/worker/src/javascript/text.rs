//! Text of JavaScript values as Rust strings.

use rquickjs::{Ctx, Value, qjs};

/// The text of a primitive value; `None` for what has no text without running code (objects) or when memory is short.
/// Half surrogate pairs become U+FFFD.
pub(super) fn of_primitive(ctx: &Ctx<'_>, value: &Value<'_>) -> Option<String> {
    if value.is_object() || value.is_symbol() {
        return None;
    }
    let raw = ctx.as_raw().as_ptr();
    let mut length = 0;
    // SAFETY: the context is alive, the value belongs to it, and `length` is valid for a write.
    let pointer = unsafe { qjs::JS_ToCStringLen2(raw, &raw mut length, value.as_raw(), false) };
    if pointer.is_null() {
        drop(ctx.catch());
        return None;
    }
    let length = usize::try_from(length).ok()?;
    // SAFETY: the engine answered `length` bytes at `pointer`, which stay until they are freed below.
    let bytes = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), length) };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => without_surrogates(bytes),
    };
    // SAFETY: `pointer` comes from JS_ToCStringLen2 and is not used again.
    unsafe { qjs::JS_FreeCString(raw, pointer) };
    Some(text)
}

/// The engine encodes half surrogate pairs as three bytes each, which UTF-8 does not allow.
fn without_surrogates(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                break;
            }
            Err(error) => {
                let (valid, invalid) = rest.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                text.push('\u{fffd}');
                let surrogate = invalid.len() >= 3 && invalid[0] == 0xed && invalid[1] >= 0xa0;
                rest = &invalid[if surrogate { 3 } else { error.error_len().unwrap_or(invalid.len()) }..];
            }
        }
    }
    text
}

/// The longest beginning of `text` of at most `limit` bytes that ends between characters.
pub(super) fn head(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    &text[..text.floor_char_boundary(limit)]
}

/// Bytes that `text` takes inside a JSON string.
pub(super) fn json_length(text: &str) -> usize {
    text.bytes().map(json_byte_length).sum()
}

/// Bytes that a byte of a text takes inside a JSON string.
pub(super) fn json_byte_length(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_surrogates_become_replacement_characters() {
        assert_eq!(without_surrogates(b"a\xed\xa0\x80b\xed\xbf\xbf"), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn a_head_ends_between_characters() {
        assert_eq!(head("a\u{20ac}b", 3), "a");
        assert_eq!(head("a\u{20ac}b", 4), "a\u{20ac}");
        assert_eq!(head("ab", 9), "ab");
    }

    #[test]
    fn json_lengths_are_those_of_the_serializer() {
        let all: String = (0_u8..=127).map(char::from).chain("\u{e9}\u{20ac}\u{1f600}".chars()).collect();
        assert_eq!(json_length(&all) + 2, serde_json::to_string(&all).unwrap().len());
    }
}
