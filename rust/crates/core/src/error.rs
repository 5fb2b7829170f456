//! The one error type that crosses every layer: a code, a message, the argument it is about, and context.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// Result of every fallible operation of E2Bridge.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of failure an [`Error`] is. The numbers are the status numbers of the C ABI: fixed, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Code {
    /// An argument breaks a rule; `argument` names it. Nothing was created.
    InvalidArgument = 1,
    /// No such sandbox, deployment, template or file.
    NotFound = 2,
    /// The name is taken, or reserved.
    AlreadyExists = 3,
    /// The client was closed.
    Closed = 4,
    /// The call was cancelled by its caller.
    Cancelled = 5,
    /// The request itself took too long (an execution's time-out is a result, not an error).
    Timeout = 6,
    /// A documented bound was met: size, count, or capacity of the host.
    LimitExceeded = 7,
    /// This backend, template or host cannot do it.
    Unsupported = 8,
    /// The host cannot give the isolation asked for; the message names cause and remedy.
    IsolationUnavailable = 9,
    /// The cloud refused the credentials.
    Unauthenticated = 10,
    /// The operation is not permitted.
    PermissionDenied = 11,
    /// The cloud asks to slow down.
    RateLimited = 12,
    /// The engine or the cloud did not answer; trying again may help.
    Unavailable = 13,
    /// A defect in E2Bridge.
    Internal = 14,
}

impl Code {
    /// Every code, in the order of their numbers.
    pub const ALL: [Code; 14] = [
        Code::InvalidArgument,
        Code::NotFound,
        Code::AlreadyExists,
        Code::Closed,
        Code::Cancelled,
        Code::Timeout,
        Code::LimitExceeded,
        Code::Unsupported,
        Code::IsolationUnavailable,
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::RateLimited,
        Code::Unavailable,
        Code::Internal,
    ];

    /// The status number of the C ABI.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The name used in error documents and in Java, for example `INVALID_ARGUMENT`.
    pub const fn name(self) -> &'static str {
        match self {
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::NotFound => "NOT_FOUND",
            Code::AlreadyExists => "ALREADY_EXISTS",
            Code::Closed => "CLOSED",
            Code::Cancelled => "CANCELLED",
            Code::Timeout => "TIMEOUT",
            Code::LimitExceeded => "LIMIT_EXCEEDED",
            Code::Unsupported => "UNSUPPORTED",
            Code::IsolationUnavailable => "ISOLATION_UNAVAILABLE",
            Code::Unauthenticated => "UNAUTHENTICATED",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::RateLimited => "RATE_LIMITED",
            Code::Unavailable => "UNAVAILABLE",
            Code::Internal => "INTERNAL",
        }
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A failed call. Serializes to the error document `{code, message, argument?, context{}}`.
#[derive(Clone, Debug, Serialize)]
pub struct Error {
    code: Code,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    argument: Option<String>,
    context: Map<String, Value>,
}

impl Error {
    /// An error of `code`. The message is lower case and names the failed call and, when known, the next step.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), argument: None, context: Map::new() }
    }

    /// An argument that breaks a rule. The message becomes `<argument>: <rule>`.
    pub fn invalid(argument: &str, rule: impl fmt::Display) -> Self {
        Self::new(Code::InvalidArgument, format!("{argument}: {rule}")).about(argument)
    }

    /// Something that does not exist.
    pub fn not_found(argument: &str, message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message).about(argument)
    }

    /// A defect: something that the code's own invariants rule out.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message)
    }

    /// Names the argument that the error is about.
    #[must_use]
    pub fn about(mut self, argument: &str) -> Self {
        self.argument = Some(argument.to_owned());
        self
    }

    /// Adds a context entry; an existing entry of that key is replaced.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.context.insert(key.to_owned(), value.into());
        self
    }

    /// The kind of failure.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The argument that the error is about, when it is about one.
    pub fn argument(&self) -> Option<&str> {
        self.argument.as_deref()
    }

    /// Facts about the failure: sandbox id, system call, errno, status, path.
    pub fn context(&self) -> &Map<String, Value> {
        &self.context
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_ordered() {
        let numbers: Vec<i32> = Code::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(numbers, (1..=14).collect::<Vec<_>>());
    }

    #[test]
    fn document_has_the_four_keys_and_drops_an_absent_argument() {
        let error = Error::invalid("timeout", "must be between 1 and 86400 seconds, got 0").with("value", 0);
        assert_eq!(
            serde_json::to_value(&error).unwrap(),
            serde_json::json!({
                "code": "INVALID_ARGUMENT",
                "message": "timeout: must be between 1 and 86400 seconds, got 0",
                "argument": "timeout",
                "context": {"value": 0},
            })
        );
        let bare = serde_json::to_value(Error::internal("x")).unwrap();
        assert_eq!(bare, serde_json::json!({"code": "INTERNAL", "message": "x", "context": {}}));
    }
}
