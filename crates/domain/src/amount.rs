//! Amounts of ingredients and of money: integers with checked arithmetic, never floats.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount did not fit: the operation would pass the range of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("amount out of range: state a smaller one")]
pub struct OutOfRange;

/// An amount of an ingredient in its base unit (g, ml, piece). Never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Quantity(i64);

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The most that is believed of one stock level: a million tonnes in grams.
    pub const MAX: Self = Self(1_000_000_000_000);

    /// An amount between nothing and [`Quantity::MAX`].
    pub const fn new(amount: i64) -> Result<Self, OutOfRange> {
        if amount < 0 || amount > Self::MAX.0 {
            Err(OutOfRange)
        } else {
            Ok(Self(amount))
        }
    }

    /// The number of base units.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The sum, if it is still an amount.
    pub const fn plus(self, other: Self) -> Result<Self, OutOfRange> {
        match self.0.checked_add(other.0) {
            Some(sum) => Self::new(sum),
            None => Err(OutOfRange),
        }
    }

    /// The difference, if there is that much.
    pub const fn minus(self, other: Self) -> Result<Self, OutOfRange> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Self::new(rest),
            None => Err(OutOfRange),
        }
    }

    /// This amount so many times, if it is still an amount.
    pub const fn times(self, count: i64) -> Result<Self, OutOfRange> {
        match self.0.checked_mul(count) {
            Some(product) => Self::new(product),
            None => Err(OutOfRange),
        }
    }
}

impl TryFrom<i64> for Quantity {
    type Error = OutOfRange;

    fn try_from(amount: i64) -> Result<Self, OutOfRange> {
        Self::new(amount)
    }
}

impl From<Quantity> for i64 {
    fn from(amount: Quantity) -> Self {
        amount.0
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Money in the currency's minor unit (cents). Never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Minor(i64);

impl Minor {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount that is not negative.
    pub const fn new(amount: i64) -> Result<Self, OutOfRange> {
        if amount < 0 { Err(OutOfRange) } else { Ok(Self(amount)) }
    }

    /// The number of minor units.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The sum, if it is still an amount.
    pub const fn plus(self, other: Self) -> Result<Self, OutOfRange> {
        match self.0.checked_add(other.0) {
            Some(sum) => Ok(Self(sum)),
            None => Err(OutOfRange),
        }
    }

    /// This amount so many times, if it is still an amount.
    pub const fn times(self, count: i64) -> Result<Self, OutOfRange> {
        match self.0.checked_mul(count) {
            Some(product) => Self::new(product),
            None => Err(OutOfRange),
        }
    }
}

impl TryFrom<i64> for Minor {
    type Error = OutOfRange;

    fn try_from(amount: i64) -> Result<Self, OutOfRange> {
        Self::new(amount)
    }
}

impl From<Minor> for i64 {
    fn from(amount: Minor) -> Self {
        amount.0
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_never_negative_nor_absurd() {
        assert_eq!(Quantity::new(-1), Err(OutOfRange));
        assert_eq!(Quantity::new(Quantity::MAX.get() + 1), Err(OutOfRange));
        assert_eq!(Quantity::ZERO.minus(Quantity(1)), Err(OutOfRange));
        assert_eq!(Quantity::MAX.plus(Quantity(1)), Err(OutOfRange));
        assert_eq!(Quantity::MAX.times(i64::MAX), Err(OutOfRange));
    }

    #[test]
    fn money_does_not_wrap() {
        assert_eq!(Minor(i64::MAX).plus(Minor(1)), Err(OutOfRange));
        assert_eq!(Minor(2).times(i64::MAX), Err(OutOfRange));
        assert_eq!(Minor(250).times(3), Ok(Minor(750)));
    }
}
