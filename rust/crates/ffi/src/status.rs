//! Constants of the ABI.

use e2bridge_core::Code;

/// Version of this ABI: raised by every change that an existing caller could notice.
pub const E2B_ABI_VERSION: u32 = 1;

/// The value of an `int64_t` argument that means absent.
pub const E2B_ABSENT: i64 = i64::MIN;

/// Done; the out-buffer holds the result document.
pub const E2B_STATUS_OK: i32 = 0;
/// An argument breaks a rule; the error document names it. Nothing was created.
pub const E2B_STATUS_INVALID_ARGUMENT: i32 = 1;
/// No such sandbox, deployment, template or file.
pub const E2B_STATUS_NOT_FOUND: i32 = 2;
/// The name is taken, or reserved.
pub const E2B_STATUS_ALREADY_EXISTS: i32 = 3;
/// The client was closed.
pub const E2B_STATUS_CLOSED: i32 = 4;
/// The call was cancelled by e2b_cancel.
pub const E2B_STATUS_CANCELLED: i32 = 5;
/// The request itself took too long; an execution's time-out is a result, not an error.
pub const E2B_STATUS_TIMEOUT: i32 = 6;
/// A documented bound was met: size, count, or capacity of the host.
pub const E2B_STATUS_LIMIT_EXCEEDED: i32 = 7;
/// This backend, template or host cannot do it.
pub const E2B_STATUS_UNSUPPORTED: i32 = 8;
/// The host cannot give the isolation asked for; the message names cause and remedy.
pub const E2B_STATUS_ISOLATION_UNAVAILABLE: i32 = 9;
/// The cloud refused the credentials.
pub const E2B_STATUS_UNAUTHENTICATED: i32 = 10;
/// The operation is not permitted.
pub const E2B_STATUS_PERMISSION_DENIED: i32 = 11;
/// The cloud asks to slow down.
pub const E2B_STATUS_RATE_LIMITED: i32 = 12;
/// The engine or the cloud did not answer; trying again may help.
pub const E2B_STATUS_UNAVAILABLE: i32 = 13;
/// A defect in E2Bridge.
pub const E2B_STATUS_INTERNAL: i32 = 14;

/// The constants by code; the header's numbers and those of the core cannot drift apart.
const NUMBERS: [(Code, i32); 14] = [
    (Code::InvalidArgument, E2B_STATUS_INVALID_ARGUMENT),
    (Code::NotFound, E2B_STATUS_NOT_FOUND),
    (Code::AlreadyExists, E2B_STATUS_ALREADY_EXISTS),
    (Code::Closed, E2B_STATUS_CLOSED),
    (Code::Cancelled, E2B_STATUS_CANCELLED),
    (Code::Timeout, E2B_STATUS_TIMEOUT),
    (Code::LimitExceeded, E2B_STATUS_LIMIT_EXCEEDED),
    (Code::Unsupported, E2B_STATUS_UNSUPPORTED),
    (Code::IsolationUnavailable, E2B_STATUS_ISOLATION_UNAVAILABLE),
    (Code::Unauthenticated, E2B_STATUS_UNAUTHENTICATED),
    (Code::PermissionDenied, E2B_STATUS_PERMISSION_DENIED),
    (Code::RateLimited, E2B_STATUS_RATE_LIMITED),
    (Code::Unavailable, E2B_STATUS_UNAVAILABLE),
    (Code::Internal, E2B_STATUS_INTERNAL),
];

const _: () = {
    assert!(NUMBERS.len() == Code::ALL.len(), "a code has no status constant");
    let mut index = 0;
    while index < NUMBERS.len() {
        assert!(NUMBERS[index].0.number() == NUMBERS[index].1, "a status constant is not its code's number");
        assert!(
            Code::ALL[index].number() == NUMBERS[index].1,
            "the constants are not in the order of the codes"
        );
        index += 1;
    }
};
