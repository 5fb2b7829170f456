//! Timestamps of documents.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `time` as RFC 3339 in UTC, for example `2026-11-22T21:25:52.357748698Z`.
pub fn rfc3339(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
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
    fn formats_the_samples_moment() {
        let moment = UNIX_EPOCH + Duration::new(1_795_382_752, 357_748_698);
        assert_eq!(rfc3339(moment), "2026-11-22T21:25:52.357748698Z");
    }
}
