//! When an ingredient runs low: one alert per crossing, never one per order.
//!
//! The alert looks at what is available, whatever moved it. It fires when that is below the threshold while armed,
//! disarms, and re-arms when it is back at or above it.

use crate::amount::Quantity;

/// The level below which an ingredient is low, as a share of its full level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// What a full store of the ingredient is.
    pub full_level: Quantity,
    /// The share of it, in percent.
    pub percent: i16,
}

impl Threshold {
    /// Whether so much is low. Multiplies in 128 bits and never divides, so nothing is rounded.
    #[must_use]
    pub fn is_low(&self, available: Quantity) -> bool {
        i128::from(available.get()) * 100 < i128::from(self.full_level.get()) * i128::from(self.percent)
    }
}

/// What a change of the available amount does to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Nothing to tell.
    Unchanged,
    /// It fell below: tell somebody, once.
    Fires,
    /// It is back: the next fall will fire again.
    Rearms,
}

/// Looks at the amount now available.
#[must_use]
pub fn observe(threshold: Threshold, armed: bool, available: Quantity) -> Observation {
    match (armed, threshold.is_low(available)) {
        (true, true) => Observation::Fires,
        (false, false) => Observation::Rearms,
        _ => Observation::Unchanged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half_of(full_level: i64) -> Threshold {
        Threshold {
            full_level: Quantity::new(full_level).unwrap(),
            percent: 50,
        }
    }

    fn q(amount: i64) -> Quantity {
        Quantity::new(amount).unwrap()
    }

    #[test]
    fn exactly_half_is_not_below_half() {
        assert_eq!(observe(half_of(1000), true, q(500)), Observation::Unchanged);
        assert_eq!(observe(half_of(1000), true, q(499)), Observation::Fires);
        assert_eq!(observe(half_of(1001), true, q(500)), Observation::Fires);
    }

    #[test]
    fn it_fires_once_and_rearms_at_the_threshold() {
        assert_eq!(observe(half_of(1000), false, q(10)), Observation::Unchanged);
        assert_eq!(observe(half_of(1000), false, q(500)), Observation::Rearms);
    }

    #[test]
    fn the_largest_levels_do_not_overflow() {
        let full = Threshold {
            full_level: Quantity::MAX,
            percent: 100,
        };
        assert!(!full.is_low(Quantity::MAX));
        assert!(full.is_low(q(Quantity::MAX.get() - 1)));
    }
}
