//! An order: what makes its lines acceptable, and the states it goes through.
//!
//! ```text
//! pending ─▶ reserved ─▶ confirmed | cancelled
//!        └─▶ rejected
//! ```

use serde::{Deserialize, Serialize};

use crate::ids::ProductId;

/// The most lines one order may have.
pub const MAX_LINES: usize = 100;
/// The most of one product a line may ask for.
pub const MAX_LINE_QUANTITY: i32 = 10_000;

/// So many of one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// What is ordered.
    pub product: ProductId,
    /// How many, between 1 and [`MAX_LINE_QUANTITY`].
    pub quantity: i32,
}

/// Why lines are no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinesError {
    /// Nothing is ordered.
    #[error("an order needs at least one line")]
    Empty,
    /// Too many lines.
    #[error("an order has at most {MAX_LINES} lines, this one has {count}: split it")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// A quantity nobody orders.
    #[error("quantity {quantity} in line {index} is not between 1 and {MAX_LINE_QUANTITY}")]
    Quantity {
        /// Which line, from 0.
        index: usize,
        /// What it asks for.
        quantity: i64,
    },
}

/// Checks the shape of an order; what is in stock is a later question.
pub fn check_lines(quantities: impl ExactSizeIterator<Item = i64>) -> Result<(), LinesError> {
    match quantities.len() {
        0 => return Err(LinesError::Empty),
        count if count > MAX_LINES => return Err(LinesError::TooMany { count }),
        _ => {}
    }
    for (index, quantity) in quantities.enumerate() {
        if quantity < 1 || quantity > i64::from(MAX_LINE_QUANTITY) {
            return Err(LinesError::Quantity { index, quantity });
        }
    }
    Ok(())
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted, not yet decided.
    Pending,
    /// Its ingredients are set aside until it is paid.
    Reserved,
    /// Final: its ingredients are used.
    Confirmed,
    /// Final: its ingredients were given back.
    Cancelled,
    /// Final: there was not enough, or it names what the merchant does not sell.
    Rejected,
}

/// A step that the life of an order does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {from:?} cannot become {to:?}")]
pub struct IllegalStep {
    /// Where it stands.
    pub from: Status,
    /// Where it was to go.
    pub to: Status,
}

impl Status {
    /// The word for it in the database, on the wire and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Reserved => "reserved",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }

    /// The state that a word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Reserved,
            Self::Confirmed,
            Self::Cancelled,
            Self::Rejected,
        ]
        .into_iter()
        .find(|status| status.as_str() == word)
    }

    /// Whether nothing follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Cancelled | Self::Rejected)
    }

    /// Takes the step, where the life of an order has it.
    pub fn step(self, to: Self) -> Result<Self, IllegalStep> {
        match (self, to) {
            (Self::Pending, Self::Reserved | Self::Rejected) | (Self::Reserved, Self::Confirmed | Self::Cancelled) => {
                Ok(to)
            }
            (from, to) => Err(IllegalStep { from, to }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_state_has_no_next() {
        let all = [
            Status::Pending,
            Status::Reserved,
            Status::Confirmed,
            Status::Cancelled,
            Status::Rejected,
        ];
        for from in all {
            let has_next = all.into_iter().any(|to| from.step(to).is_ok());
            assert_eq!(has_next, !from.is_final(), "{from:?}");
            assert_eq!(Status::from_word(from.as_str()), Some(from));
        }
    }

    #[test]
    fn lines_have_bounds() {
        assert_eq!(check_lines([].into_iter()), Err(LinesError::Empty));
        assert_eq!(
            check_lines([1, 0].into_iter()),
            Err(LinesError::Quantity { index: 1, quantity: 0 })
        );
        assert_eq!(
            check_lines([-3].into_iter()),
            Err(LinesError::Quantity { index: 0, quantity: -3 })
        );
        assert_eq!(
            check_lines([10_001].into_iter()),
            Err(LinesError::Quantity {
                index: 0,
                quantity: 10_001
            })
        );
        assert_eq!(
            check_lines(vec![1; 101].into_iter()),
            Err(LinesError::TooMany { count: 101 })
        );
        assert_eq!(check_lines(vec![1; 100].into_iter()), Ok(()));
    }
}
