//! Latency percentiles at the price of one atomic increment a call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::document::LatencySummary;

/// Buckets per doubling: a bucket's middle is within 4.5 % of every value in it.
const STEPS: usize = 8;
/// From 1 ns to over 9 hours.
const BUCKETS: usize = 45 * STEPS;

/// A histogram of durations with logarithmic buckets. Any thread may record at any time.
#[derive(Debug)]
pub struct Latency {
    buckets: Box<[AtomicU64]>,
    errors: AtomicU64,
    max_ns: AtomicU64,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            errors: AtomicU64::new(0),
            max_ns: AtomicU64::new(0),
        }
    }
}

impl Latency {
    /// Records one call.
    pub fn record(&self, duration: Duration, failed: bool) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.buckets[bucket(ns)].fetch_add(1, Ordering::Relaxed);
        self.max_ns.fetch_max(ns, Ordering::Relaxed);
        if failed {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The percentiles so far; `None` when nothing was recorded.
    pub fn summary(&self) -> Option<LatencySummary> {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        if count == 0 {
            return None;
        }
        let max_us = ns_to_us(self.max_ns.load(Ordering::Relaxed));
        let percentile = |share: u64| {
            // The smallest value that at least `share` percent of the calls do not exceed.
            let rank = (count * share).div_ceil(100).max(1);
            let mut seen = 0;
            for (index, number) in counts.iter().enumerate() {
                seen += number;
                if seen >= rank {
                    return middle_us(index).min(max_us);
                }
            }
            max_us
        };
        Some(LatencySummary {
            count,
            errors: self.errors.load(Ordering::Relaxed),
            p50_us: percentile(50),
            p90_us: percentile(90),
            p99_us: percentile(99),
            max_us,
        })
    }
}

fn bucket(ns: u64) -> usize {
    let octave = ns.ilog2();
    // The three bits below the leading one choose the step within the octave.
    let step = if octave >= 3 { ns >> (octave - 3) } else { ns << (3 - octave) } % STEPS as u64;
    let index = u64::from(octave) * STEPS as u64 + step;
    usize::try_from(index).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

#[expect(clippy::cast_precision_loss, reason = "a percentile is read to three digits")]
fn middle_us(index: usize) -> f64 {
    let low = 2_f64.powi(i32::try_from(index / STEPS).unwrap_or(i32::MAX))
        * (1.0 + (index % STEPS) as f64 / STEPS as f64);
    let width = 2_f64.powi(i32::try_from(index / STEPS).unwrap_or(i32::MAX)) / STEPS as f64;
    (low + width / 2.0) / 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days")]
fn ns_to_us(ns: u64) -> f64 {
    ns as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_known_distribution_are_within_a_bucket() {
        let latency = Latency::default();
        assert!(latency.summary().is_none());
        for microseconds in 1..=1_000 {
            latency.record(Duration::from_micros(microseconds), microseconds % 10 == 0);
        }
        let summary = latency.summary().unwrap();
        assert_eq!((summary.count, summary.errors), (1_000, 100));
        for (found, expected) in [(summary.p50_us, 500.0), (summary.p90_us, 900.0), (summary.p99_us, 990.0)] {
            assert!((found - expected).abs() / expected < 0.07, "{found} for {expected}");
        }
        assert!((summary.max_us - 1_000.0).abs() < 1e-9);
    }

    #[test]
    fn extremes_fall_into_the_first_and_last_bucket() {
        assert_eq!(bucket(1), 0);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }
}
