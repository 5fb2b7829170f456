//! When a request is sent again.
//!
//! A request that the server may have acted on is sent again only when acting twice changes nothing. Whatever was not sent at
//! all, and what the server itself asks to send later (429, 503 with `Retry-After`), is always sent again.

use std::time::Duration;

use super::connection::Fault;
use super::exchange::{Failure, Head};

/// How often one request is sent again.
pub(crate) const MAX_RETRIES: u32 = 3;
/// The first pause is at most this, each further one at most twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause of ours.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What acting on a request twice would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The same as once.
    Harmless,
    /// Something twice.
    Creates,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plane {
    /// The API, which a gateway may fail to reach for a moment.
    Control,
    /// A sandbox, behind a proxy whose 502 says that it is gone.
    Sandbox,
}

/// What to do about an answer or a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Leave it at that.
    Done,
    /// Send it again, now, on a new connection: a kept one had been ended by the other side.
    AgainNow,
    /// Send it again after a pause.
    AgainAfter(Duration),
}

/// The verdict on a failure after `retries` retries. `jitter` is between 0 and 1.
pub(crate) fn after_failure(failure: &Failure, repeat: Repeat, retries: u32, jitter: f64) -> Verdict {
    let safe = !failure.sent || repeat == Repeat::Harmless;
    match failure.fault {
        Fault::Broken(_) if safe && failure.reused && retries < MAX_RETRIES => Verdict::AgainNow,
        Fault::Broken(_) if safe && retries < MAX_RETRIES => Verdict::AgainAfter(pause(retries, jitter)),
        _ => Verdict::Done,
    }
}

/// The verdict on an answer after `retries` retries, for a request that may take `left` more.
pub(crate) fn after_answer(
    head: &Head,
    (plane, repeat): (Plane, Repeat),
    retries: u32,
    jitter: f64,
    left: Duration,
) -> Verdict {
    if retries >= MAX_RETRIES {
        return Verdict::Done;
    }
    let asked = retry_after(head);
    let wait = match (head.status, asked) {
        (429 | 503, Some(asked)) => asked + FIRST_PAUSE.mul_f64(jitter),
        // A gateway that found nobody to pass it on to, or gave up waiting.
        (502..=504, _) if (plane, repeat) == (Plane::Control, Repeat::Harmless) => pause(retries, jitter),
        _ => return Verdict::Done,
    };
    if wait >= left { Verdict::Done } else { Verdict::AgainAfter(wait) }
}

/// The whole seconds of `Retry-After`; a date is none.
pub(crate) fn retry_after(head: &Head) -> Option<Duration> {
    let text = head.header("retry-after")?;
    (text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok().map(Duration::from_secs))
        .flatten()
}

fn pause(retries: u32, jitter: f64) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(retries)).min(LONGEST_PAUSE).mul_f64(jitter)
}

/// A random number between 0 and 1.
pub(crate) fn jitter() -> f64 {
    let mut bytes = [0; 4];
    // Without random bytes everybody waits the longest time.
    if getrandom::fill(&mut bytes).is_err() {
        return 1.0;
    }
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::connection::Phase;

    fn head(status: u16, retry_after: Option<&str>) -> Head {
        let headers = retry_after.map(|value| ("retry-after".to_owned(), value.to_owned()));
        Head { status, headers: headers.into_iter().collect(), ..Head::default() }
    }

    #[test]
    fn what_creates_is_sent_again_only_when_it_was_not_sent_or_the_server_says_so() {
        let failure = |sent, reused| Failure { fault: Fault::Broken("x".to_owned()), sent, reused };
        let verdict = |sent, reused, repeat| after_failure(&failure(sent, reused), repeat, 0, 1.0);
        assert_eq!(verdict(true, false, Repeat::Creates), Verdict::Done);
        assert_eq!(verdict(true, true, Repeat::Creates), Verdict::Done);
        assert_eq!(verdict(false, false, Repeat::Creates), Verdict::AgainAfter(FIRST_PAUSE));
        assert_eq!(verdict(true, false, Repeat::Harmless), Verdict::AgainAfter(FIRST_PAUSE));
        assert_eq!(verdict(true, true, Repeat::Harmless), Verdict::AgainNow);
        for fault in [Fault::TimedOut(Phase::Request), Fault::Garbled("x".to_owned())] {
            let failure = Failure { fault, sent: false, reused: false };
            assert_eq!(after_failure(&failure, Repeat::Harmless, 0, 1.0), Verdict::Done);
        }
        for status in [500, 502, 503, 504, 429] {
            assert_eq!(
                after_answer(&head(status, None), (Plane::Control, Repeat::Creates), 0, 1.0, Duration::MAX),
                Verdict::Done,
                "{status}"
            );
            assert_eq!(
                after_answer(&head(status, None), (Plane::Sandbox, Repeat::Harmless), 0, 1.0, Duration::MAX),
                Verdict::Done,
                "{status}"
            );
        }
    }

    #[test]
    fn retry_after_is_kept_to_unless_it_is_longer_than_the_request_may_take() {
        let verdict = |status, header, left| {
            after_answer(
                &head(status, header),
                (Plane::Control, Repeat::Creates),
                0,
                0.0,
                Duration::from_secs(left),
            )
        };
        assert_eq!(verdict(429, Some("2"), 10), Verdict::AgainAfter(Duration::from_secs(2)));
        assert_eq!(verdict(503, Some("0"), 10), Verdict::AgainAfter(Duration::ZERO));
        assert_eq!(verdict(429, Some("11"), 10), Verdict::Done);
        for none in
            [None, Some("Wed, 21 Oct 2026 07:28:00 GMT"), Some("-1"), Some("1.5"), Some("99999999999")]
        {
            assert_eq!(verdict(429, none, 10), Verdict::Done, "{none:?}");
        }
        assert_eq!(verdict(500, Some("1"), 10), Verdict::Done);
    }

    #[test]
    fn gateways_are_asked_again_three_times_with_growing_pauses() {
        let verdict = |retries| {
            after_answer(&head(502, None), (Plane::Control, Repeat::Harmless), retries, 1.0, Duration::MAX)
        };
        let pauses: Vec<Verdict> = (0..5).map(verdict).collect();
        let after = |ms| Verdict::AgainAfter(Duration::from_millis(ms));
        assert_eq!(pauses, [after(100), after(200), after(400), Verdict::Done, Verdict::Done]);
        assert_eq!(pause(30, 1.0), LONGEST_PAUSE);
        assert!((0.0..=1.0).contains(&jitter()));
    }
}
