//! Timestamps of documents.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `time` as RFC 3339 in UTC, for example `2026-11-22T21:25:52.357748698Z`.
pub fn rfc3339(time: SystemTime) -> String {
    let since = time::Duration::try_from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let moment = since.ok().and_then(|since| OffsetDateTime::UNIX_EPOCH.checked_add(since));
    moment
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
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
}
