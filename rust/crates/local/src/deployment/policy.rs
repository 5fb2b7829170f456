//! When the number of instances of a deployment follows its load, and how.

use std::time::Duration;

/// The rules of auto-scaling. The load is the mean, over the live instances, of the processor time used since the sample before, in
/// percent of what the instance's limit allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScalePolicy {
    /// Time between two samples. A dead instance is replaced within it.
    pub(crate) interval: Duration,
    /// A load above this…
    pub(crate) high_percent: f64,
    /// …in so many samples in a row adds an instance.
    pub(crate) high_samples: u32,
    /// A load below this…
    pub(crate) low_percent: f64,
    /// …in so many samples in a row ends the newest. More than for growing: a pause between two requests is no lack of load.
    pub(crate) low_samples: u32,
}

/// The policy in force.
pub(crate) const POLICY: ScalePolicy = ScalePolicy {
    interval: Duration::from_secs(1),
    high_percent: 75.0,
    high_samples: 3,
    low_percent: 25.0,
    low_samples: 30,
};

/// How many instances a deployment that follows its load should have.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    policy: ScalePolicy,
    most: usize,
    target: usize,
    high: u32,
    low: u32,
}

impl Follower {
    /// Between 1 and `most` instances, at first `target`.
    pub(crate) fn new(policy: ScalePolicy, most: usize, target: usize) -> Self {
        let most = most.max(1);
        Self { policy, most, target: target.clamp(1, most), high: 0, low: 0 }
    }

    /// Takes one sample; `None` when nothing could be measured, which changes nothing. Answers the number there should be.
    pub(crate) fn sample(&mut self, percent: Option<f64>) -> usize {
        let Some(percent) = percent else { return self.target };
        (self.high, self.low) = if percent > self.policy.high_percent {
            (self.high + 1, 0)
        } else if percent < self.policy.low_percent {
            (0, self.low + 1)
        } else {
            (0, 0)
        };
        if self.high >= self.policy.high_samples {
            self.high = 0;
            self.target = (self.target + 1).min(self.most);
        } else if self.low >= self.policy.low_samples {
            self.low = 0;
            self.target = (self.target - 1).max(1);
        }
        self.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follower(most: usize, target: usize) -> Follower {
        Follower::new(ScalePolicy { low_samples: 4, ..POLICY }, most, target)
    }

    #[test]
    fn three_samples_of_high_load_add_one_instance() {
        let mut follower = follower(3, 1);
        let targets: Vec<usize> = (0..10).map(|_| follower.sample(Some(90.0))).collect();
        assert_eq!(targets, [1, 1, 2, 2, 2, 3, 3, 3, 3, 3]);
    }

    #[test]
    fn low_load_ends_one_at_a_time_and_never_the_last() {
        let mut follower = follower(3, 3);
        let targets: Vec<usize> = (0..13).map(|_| follower.sample(Some(3.0))).collect();
        assert_eq!(targets, [3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn a_sample_between_the_bounds_starts_the_count_again() {
        let mut follower = follower(3, 2);
        for percent in
            [90.0, 90.0, 50.0, 90.0, 90.0, 75.0, 90.0, 90.0, 25.0, 3.0, 3.0, 3.0, 90.0, 3.0, 3.0, 3.0]
        {
            assert_eq!(follower.sample(Some(percent)), 2, "{percent}");
        }
        assert_eq!(follower.sample(Some(3.0)), 1);
    }

    #[test]
    fn what_cannot_be_measured_changes_nothing() {
        let mut follower = follower(3, 2);
        for percent in [Some(90.0), Some(90.0), None, None, None, None] {
            assert_eq!(follower.sample(percent), 2);
        }
        assert_eq!(follower.sample(Some(90.0)), 3);
    }

    #[test]
    fn the_target_stays_within_its_bounds() {
        assert_eq!(follower(0, 0).target, 1);
        assert_eq!(follower(2, 9).target, 2);
    }
}
