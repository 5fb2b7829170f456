//! Messages of the code interpreter.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Runs code.
#[derive(Debug, Serialize)]
pub(crate) struct ExecuteRequest<'a> {
    pub(crate) code: &'a str,
    pub(crate) context_id: &'a str,
}

/// Makes a context.
#[derive(Debug, Serialize)]
pub(crate) struct ContextRequest<'a> {
    pub(crate) language: &'a str,
    pub(crate) cwd: &'a str,
}

/// A context.
#[derive(Debug, Deserialize)]
pub(crate) struct ContextInfo {
    pub(crate) id: String,
}

/// One line of an answer; other fields than those of its type are absent.
#[derive(Debug, Deserialize)]
pub(crate) struct Event {
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) text: Option<String>,
    #[serde(default)]
    pub(crate) json: Option<Box<RawValue>>,
    #[serde(default)]
    pub(crate) html: Option<String>,
    #[serde(default)]
    pub(crate) markdown: Option<String>,
    #[serde(default)]
    pub(crate) latex: Option<String>,
    #[serde(default)]
    pub(crate) svg: Option<String>,
    #[serde(default)]
    pub(crate) is_main_result: bool,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) value: Option<String>,
    #[serde(default)]
    pub(crate) traceback: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_whatever_else_is_in_them() {
        let read = |line: &str| serde_json::from_str::<Event>(line).unwrap();
        let event = read(r#"{"type":"stdout","text":"a\n","timestamp":1788000000123456789}"#);
        assert_eq!((event.kind.as_str(), event.text.as_deref()), ("stdout", Some("a\n")));
        let event = read(
            r#"{"type":"result","text":"4","json":{"a": [1.0]},"is_main_result":true,"chart":{"x":1},"png":"aa"}"#,
        );
        assert_eq!((event.json.unwrap().get(), event.is_main_result), (r#"{"a": [1.0]}"#, true));
        let event = read(r#"{"type":"error","name":"E","value":"v","traceback":"t"}"#);
        assert_eq!(event.name.as_deref(), Some("E"));
        assert_eq!(read(r#"{"type":"of_tomorrow","text":null}"#).kind, "of_tomorrow");
        assert_eq!(read("{}").kind, "");
    }
}
