//! The rules of orders and stock, and nothing else: no clock, no randomness, no input or output.
//!
//! What is here: ids, amounts and money ([`ids`], [`amount`], [`money`]), an order as a client states it ([`order`]), a merchant's
//! ingredients and recipes with the decisions taken against them ([`pantry`]), and the threshold that raises an
//! alert once per crossing ([`threshold`]).
//!
//! What is not: where state is kept (`store`), how events travel (`schemas`, `stream`), who asks (`order-ingest`).
//!
//! To add a rule: write it as a function from a state and an event to a decision, give the decision its own type, and
//! state what it conserves as a property test beside it.

pub mod amount;
pub mod ids;
pub mod money;
pub mod order;
pub mod pantry;
pub mod threshold;
