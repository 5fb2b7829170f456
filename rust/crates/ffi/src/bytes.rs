//! The only file that turns pointers into references, and the owner of every buffer that is out there.

use std::sync::atomic::{AtomicU64, Ordering};

use e2bridge_core::{Error, Result};

use crate::status::E2B_ABSENT;

/// A client: slot and generation, never a pointer. Any number of threads may use one at the same time; used after e2b_close
/// it answers CLOSED; 0 is never a client.
pub type E2bClient = u64;

/// A document on its way out: UTF-8 JSON, not NUL terminated. Written by the library, read by the caller and freed only by
/// e2b_buffer_free; a plain value, so whoever copies it must free one of the copies only.
#[repr(C)]
#[derive(Debug)]
pub struct E2bBuffer {
    /// First byte; NULL when empty.
    pub data: *mut u8,
    /// Number of bytes.
    pub length: u64,
}

impl E2bBuffer {
    /// A buffer that holds nothing.
    pub(crate) const EMPTY: E2bBuffer = E2bBuffer { data: std::ptr::null_mut(), length: 0 };
}

static LIVE_BUFFERS: AtomicU64 = AtomicU64::new(0);

/// Buffers written and not yet freed.
pub(crate) fn live_buffers() -> u64 {
    LIVE_BUFFERS.load(Ordering::Relaxed)
}

/// Gives `document` to the caller.
///
/// # Safety
/// `out` is not NULL and may be written.
pub(crate) unsafe fn give(out: *mut E2bBuffer, document: Vec<u8>) {
    let bytes = document.into_boxed_slice();
    let buffer = if bytes.is_empty() {
        E2bBuffer::EMPTY
    } else {
        LIVE_BUFFERS.fetch_add(1, Ordering::Relaxed);
        let length = bytes.len() as u64;
        E2bBuffer { data: Box::into_raw(bytes).cast::<u8>(), length }
    };
    // SAFETY: `out` may be written; `write` neither reads nor drops what the caller's memory held before.
    unsafe { out.write(buffer) };
}

/// Takes a buffer back and leaves it empty, so that freeing it again does nothing.
///
/// # Safety
/// `buffer` is NULL, or refers to an [`E2bBuffer`] that is empty or was written by [`give`] and not changed since.
pub(crate) unsafe fn take_back(buffer: *mut E2bBuffer) {
    if buffer.is_null() {
        return;
    }
    // SAFETY: not NULL, so the caller's promise is that it may be read and written.
    let taken = unsafe { buffer.replace(E2bBuffer::EMPTY) };
    let Ok(length) = usize::try_from(taken.length) else { return };
    if taken.data.is_null() {
        return;
    }
    // SAFETY: `give` made data and length from one boxed slice, and gave up its ownership.
    drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(taken.data, length)) });
    LIVE_BUFFERS.fetch_sub(1, Ordering::Relaxed);
}

/// The bytes of an argument; `None` when `data` is NULL.
///
/// # Errors
/// `INVALID_ARGUMENT` when NULL comes with a length, or the length exceeds the address space.
///
/// # Safety
/// `data` is NULL or refers to `length` bytes that nobody changes during `'a`.
pub(crate) unsafe fn bytes<'a>(argument: &str, data: *const u8, length: u64) -> Result<Option<&'a [u8]>> {
    if data.is_null() {
        return if length == 0 {
            Ok(None)
        } else {
            Err(Error::invalid(argument, format!("is NULL with a length of {length}; absent is NULL and 0")))
        };
    }
    let fits = isize::try_from(length).ok().and_then(|length| usize::try_from(length).ok());
    let Some(length) = fits else {
        return Err(Error::invalid(
            argument,
            format!("a length of {length} bytes exceeds the address space"),
        ));
    };
    // SAFETY: not NULL and at most isize::MAX bytes, which the caller promised to be there and unchanged.
    Ok(Some(unsafe { std::slice::from_raw_parts(data, length) }))
}

/// The text of an argument; `None` when `data` is NULL.
///
/// # Errors
/// As [`bytes`]; `INVALID_ARGUMENT` when it is not UTF-8.
///
/// # Safety
/// As [`bytes`].
pub(crate) unsafe fn text<'a>(argument: &str, data: *const u8, length: u64) -> Result<Option<&'a str>> {
    // SAFETY: the caller's promise is the same.
    let Some(bytes) = (unsafe { bytes(argument, data, length)? }) else { return Ok(None) };
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => Err(Error::invalid(
            argument,
            format!("must be UTF-8: invalid byte at offset {}", error.valid_up_to()),
        )
        .with("offset", error.valid_up_to())),
    }
}

/// The integer of an argument; `None` when it is [`E2B_ABSENT`].
pub(crate) fn integer(value: i64) -> Option<i64> {
    (value != E2B_ABSENT).then_some(value)
}

/// Writes the handle of a new client.
///
/// # Safety
/// `target` is not NULL and may be written.
pub(crate) unsafe fn write_client(target: *mut E2bClient, handle: E2bClient) {
    // SAFETY: the caller's promise.
    unsafe { target.write(handle) };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_is_what_the_bytes_say_or_an_error_with_the_offset(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            // SAFETY: the vector is there, unchanged, for the whole test.
            let answer = unsafe { text("name", input.as_ptr(), input.len() as u64) };
            match (std::str::from_utf8(&input), answer) {
                (Ok(expected), Ok(found)) => prop_assert_eq!(Some(expected), found),
                (Err(expected), Err(error)) => {
                    prop_assert_eq!(error.argument(), Some("name"));
                    prop_assert_eq!(error.context()["offset"].as_u64(), Some(expected.valid_up_to() as u64));
                }
                (expected, found) => prop_assert!(false, "{expected:?} but {found:?}"),
            }
        }

        #[test]
        fn any_unicode_text_comes_through(input in "\\PC*") {
            // SAFETY: as above.
            let found = unsafe { text("name", input.as_ptr(), input.len() as u64) }.unwrap();
            prop_assert_eq!(found, Some(input.as_str()));
        }

        #[test]
        fn a_length_beyond_the_address_space_is_refused_unread(length in (isize::MAX as u64 + 1)..) {
            // SAFETY: refused before the pointer is used.
            let error = unsafe { bytes("content", [0_u8].as_ptr(), length) }.unwrap_err();
            prop_assert_eq!(error.argument(), Some("content"));
        }

        #[test]
        fn null_is_absent_only_without_a_length(length in any::<u64>()) {
            // SAFETY: NULL is always allowed.
            let answer = unsafe { text("name", std::ptr::null(), length) };
            match length {
                0 => prop_assert_eq!(answer.unwrap(), None),
                _ => {
                    let error = answer.unwrap_err();
                    prop_assert_eq!(error.argument(), Some("name"));
                }
            }
        }

        #[test]
        fn only_the_constant_is_an_absent_integer(value in any::<i64>()) {
            prop_assert_eq!(integer(value), (value != i64::MIN).then_some(value));
        }
    }

    #[test]
    fn the_least_integer_is_absent() {
        assert_eq!(integer(i64::MIN), None);
        assert_eq!(integer(0), Some(0));
    }

    #[test]
    fn an_empty_text_is_not_absent() {
        // SAFETY: no byte is read.
        assert_eq!(unsafe { text("name", std::ptr::NonNull::dangling().as_ptr(), 0) }.unwrap(), Some(""));
    }

    #[test]
    fn an_empty_document_needs_no_free_and_null_may_be_freed() {
        let mut buffer = E2bBuffer::EMPTY;
        // SAFETY: `buffer` may be written and is empty afterwards.
        unsafe {
            give(&raw mut buffer, Vec::new());
            assert!(buffer.data.is_null());
            take_back(&raw mut buffer);
            take_back(std::ptr::null_mut());
        }
    }
}
