//! Timestamps of documents.

use std::cell::Cell;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `time` as RFC 3339 in UTC, for example `2026-11-22T21:25:52.357748698Z`.
pub fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (known, mut text) = SECOND.get();
    if known != Some(since.as_secs()) {
        let Some(second) = whole_second(since.as_secs()) else { return "1970-01-01T00:00:00Z".to_owned() };
        text = second;
        SECOND.set((Some(since.as_secs()), text));
    }
    // A fraction without zeros at its end, as that of the library.
    let mut digits = [b'0'; 9];
    let mut rest = since.subsec_nanos();
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    let length = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    let mut written = String::with_capacity(text.len() + 1 + digits.len() + 1);
    written.push_str(std::str::from_utf8(&text).unwrap_or_default());
    if length > 0 {
        written.push('.');
        written.extend(digits[..length].iter().map(|digit| char::from(*digit)));
    }
    written.push('Z');
    written
}

/// Until the second, without the letter of the time zone.
type Second = [u8; "2026-11-22T21:25:52".len()];

thread_local! {
    /// The last one that was asked for: most documents are of the same second, and a calendar takes its time.
    static SECOND: Cell<(Option<u64>, Second)> = const { Cell::new((None, [0; size_of::<Second>()])) };
}

fn whole_second(since_epoch: u64) -> Option<Second> {
    let seconds = i64::try_from(since_epoch).ok()?;
    let text = OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()?;
    text.strip_suffix('Z')?.as_bytes().try_into().ok()
}

/// The present moment as RFC 3339 in UTC.
pub fn now() -> String {
    rfc3339(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn what_no_calendar_has_is_no_panic() {
        assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(1 << 62)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn formats_the_samples_moment() {
        let moment = UNIX_EPOCH + Duration::new(1_795_382_752, 357_748_698);
        assert_eq!(rfc3339(moment), "2026-11-22T21:25:52.357748698Z");
    }

    #[test]
    fn is_what_the_library_makes_of_it() {
        let moments = [
            (0, 0),
            (0, 1),
            (1_795_382_752, 0),
            (1_795_382_752, 500_000_000),
            (1_795_382_752, 120),
            (1_795_382_753, 999_999_999),
        ];
        for (seconds, nanoseconds) in
            moments.into_iter().chain([(951_826_154, 10), (253_402_300_799, 0), (253_402_300_800, 0)])
        {
            let moment = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
            let by_library = OffsetDateTime::from_unix_timestamp_nanos(
                i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds),
            )
            .ok()
            .and_then(|moment| moment.format(&Rfc3339).ok());
            assert_eq!(rfc3339(moment), by_library.unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned()));
        }
    }
}
