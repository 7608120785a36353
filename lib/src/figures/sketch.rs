//! Durations in logarithmic buckets, as in DDSketch: sketches merge by addition, and a quantile is
//! exact within 5 %.
//!
//! Source: Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
//! relative-error guarantees", VLDB 2019.

use std::collections::BTreeMap;

/// The highest relative error of a quantile.
const ACCURACY: f64 = 0.05;
/// The end of a bucket, divided by its beginning: 1.105.
const GAMMA: f64 = (1.0 + ACCURACY) / (1.0 - ACCURACY);

/// A shorter duration counts as this one.
const SHORTEST_S: u64 = 60;
/// A longer duration counts as this one: 400 days.
const LONGEST_S: u64 = 400 * 86_400;

/// The numbers of durations by bucket, of which there are 133.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch(BTreeMap<u16, u64>);

impl Sketch {
    /// The bucket of a duration in seconds, 0 to 132; a negative duration is in the first bucket.
    pub fn bucket(seconds: i64) -> u16 {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        let seconds = seconds.clamp(SHORTEST_S, LONGEST_S);
        let ratio = seconds as f64 / SHORTEST_S as f64;
        // The number is at most 133, so it fits.
        (ratio.ln() / GAMMA.ln()).floor() as u16
    }

    /// The beginning and the end of a bucket, in seconds.
    pub fn bounds(bucket: u16) -> (f64, f64) {
        let from = SHORTEST_S as f64 * GAMMA.powi(i32::from(bucket));
        (from, from * GAMMA)
    }

    /// Adds this many durations of a bucket.
    pub fn add(&mut self, bucket: u16, count: u64) {
        *self.0.entry(bucket).or_default() += count;
    }

    /// Adds another sketch's durations.
    pub fn merge(&mut self, other: &Self) {
        for (&bucket, &count) in &other.0 {
            self.add(bucket, count);
        }
    }

    /// Each bucket with its count, the shortest durations first.
    pub fn buckets(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.0.iter().map(|(&bucket, &count)| (bucket, count))
    }

    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// A quantile in seconds, within 5 % of the exact one (by the nearest rank); `q` is 0 to 1.
    /// Without durations, `None`.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        let (bucket, _) = self.buckets().find(|(_, count)| {
            seen += count;
            seen >= rank
        })?;
        let (from, to) = Self::bounds(bucket);
        // The point with the same relative distance to both ends.
        Some(2.0 * from * to / (from + to))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Sketch::default().quantile(0.5), None);
    }

    #[test]
    fn there_are_133_buckets() {
        assert_eq!(Sketch::bucket(i64::MIN), 0);
        assert_eq!(Sketch::bucket(60), 0);
        assert_eq!(Sketch::bucket(i64::MAX), 132);
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_five_percent(
            mut seconds in prop::collection::vec(60_i64..=34_560_000, 1..200),
            q in 0.0_f64..=1.0,
            groups in 1_usize..5,
        ) {
            let mut merged = Sketch::default();
            for group in seconds.chunks(seconds.len().div_ceil(groups)) {
                let mut part = Sketch::default();
                for &duration in group {
                    part.add(Sketch::bucket(duration), 1);
                }
                merged.merge(&part);
            }
            seconds.sort_unstable();
            let rank = ((q * seconds.len() as f64).ceil() as usize).clamp(1, seconds.len());
            let exact = seconds[rank - 1] as f64;
            let estimated = merged.quantile(q).unwrap();
            prop_assert!((estimated - exact).abs() <= 0.0501 * exact, "{estimated} for {exact}");
        }
    }
}
