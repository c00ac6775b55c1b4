//! One merchant's ingredients and recipes, and what is decided against them.
//!
//! A decision is taken by looking ([`Pantry::decide_order`], [`Pantry::decide_adjustment`]) and carried out by a
//! second call that cannot fail ([`Pantry::take`], [`Pantry::adjust`]), so that a decision can be told to others
//! without being carried out again.

use serde::{Deserialize, Serialize};

use crate::{
    amount::Quantity,
    ids::{IngredientId, ProductId},
    order::Line,
    threshold::{Observation, Threshold, observe},
};

/// How much of an ingredient there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    /// What lies on the shelf.
    pub on_hand: Quantity,
    /// What of it is set aside for orders that are not paid yet.
    pub reserved: Quantity,
    /// Whether the next fall below the threshold is told.
    pub alert_armed: bool,
}

impl Stock {
    /// What an order may still take.
    #[must_use]
    pub fn available(&self) -> Quantity {
        // Every change keeps reserved ≤ on_hand; a row that breaks this has nothing to give.
        self.on_hand.minus(self.reserved).unwrap_or(Quantity::ZERO)
    }
}

/// An ingredient with its stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingredient {
    /// Which.
    pub id: IngredientId,
    /// When it is low.
    pub threshold: Threshold,
    /// How much there is.
    pub stock: Stock,
}

/// What one product is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The product.
    pub product: ProductId,
    /// How much of what goes into one.
    pub parts: Vec<(IngredientId, Quantity)>,
}

/// A recipe names an ingredient that the merchant does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the recipe of product {product} uses ingredient {ingredient}, which its merchant does not have")]
pub struct UnknownIngredient {
    /// Whose recipe.
    pub product: ProductId,
    /// What it names.
    pub ingredient: IngredientId,
}

/// So much of one ingredient, summed over an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Where the ingredient stands in [`Pantry::ingredients`].
    pub slot: usize,
    /// Which.
    pub ingredient: IngredientId,
    /// How much of it.
    pub amount: Quantity,
}

/// What an order lacks of one ingredient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortfall {
    /// Of which.
    pub ingredient_id: IngredientId,
    /// How much the whole order takes.
    pub needed: Quantity,
    /// How much there was for it.
    pub available: Quantity,
}

/// Why an order is refused. A refusal is an answer, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// There is not enough of something; nothing is taken.
    InsufficientStock(Vec<Shortfall>),
    /// It names what the merchant does not sell.
    UnknownProduct(ProductId),
    /// It takes more of an ingredient than any store holds.
    DemandOutOfRange,
}

impl Rejection {
    /// The word for it in the database, on the wire and in the API.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::InsufficientStock(_) => "insufficient_stock",
            Self::UnknownProduct(_) => "unknown_product",
            Self::DemandOutOfRange => "demand_out_of_range",
        }
    }
}

/// A change of stock that is not an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjustment {
    /// Something came in.
    Restock(Quantity),
    /// Something went bad or was lost.
    Waste(Quantity),
    /// Somebody counted: this is what lies on the shelf.
    Recount(Quantity),
}

/// Why a change of stock is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The merchant has no such ingredient.
    #[error("the merchant has no ingredient {0}")]
    UnknownIngredient(IngredientId),
    /// More would go than is there.
    #[error("only {available} is available: recount the ingredient first")]
    MoreThanAvailable {
        /// What there is.
        available: Quantity,
    },
    /// Less was counted than is promised to orders.
    #[error("{reserved} is reserved for orders: cancel those first")]
    BelowReserved {
        /// What is promised.
        reserved: Quantity,
    },
    /// More than any store holds.
    #[error("the level would pass {}", Quantity::MAX)]
    OutOfRange,
}

impl Refusal {
    /// The word for it in the database and in the API.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::UnknownIngredient(_) => "unknown_ingredient",
            Self::MoreThanAvailable { .. } => "more_than_available",
            Self::BelowReserved { .. } => "below_reserved",
            Self::OutOfRange => "out_of_range",
        }
    }
}

/// A change of stock that will be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adjusted {
    /// Where the ingredient stands in [`Pantry::ingredients`].
    pub slot: usize,
    /// What lies on the shelf.
    pub before: Quantity,
    /// What will lie on the shelf.
    pub on_hand: Quantity,
}

/// An ingredient fell below its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Which.
    pub ingredient: IngredientId,
    /// What was available before the change that did it.
    pub before: Quantity,
    /// What is available now.
    pub after: Quantity,
    /// The threshold it fell below.
    pub threshold: Threshold,
}

/// A merchant's ingredients, in order of their ids, and recipes over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pantry {
    ingredients: Box<[Ingredient]>,
    /// Sorted by product; each recipe ends where the next begins.
    recipes: Box<[(ProductId, u32)]>,
    parts: Box<[(u32, Quantity)]>,
}

impl Pantry {
    /// Brings ingredients and recipes together.
    pub fn new(mut ingredients: Vec<Ingredient>, mut recipes: Vec<Recipe>) -> Result<Self, UnknownIngredient> {
        ingredients.sort_unstable_by_key(|ingredient| ingredient.id);
        recipes.sort_unstable_by_key(|recipe| recipe.product);
        let mut index = Vec::with_capacity(recipes.len());
        let mut parts = Vec::new();
        for recipe in recipes {
            for (ingredient, amount) in recipe.parts {
                let slot = ingredients
                    .binary_search_by_key(&ingredient, |known| known.id)
                    .map_err(|_| UnknownIngredient {
                        product: recipe.product,
                        ingredient,
                    })?;
                parts.push((narrow(slot), amount));
            }
            index.push((recipe.product, narrow(parts.len())));
        }
        Ok(Self {
            ingredients: ingredients.into(),
            recipes: index.into(),
            parts: parts.into(),
        })
    }

    /// The ingredients, in order of their ids.
    #[must_use]
    pub fn ingredients(&self) -> &[Ingredient] {
        &self.ingredients
    }

    /// Whether the merchant has this product.
    #[must_use]
    pub fn sells(&self, product: ProductId) -> bool {
        self.recipe(product).is_some()
    }

    /// Sets every ingredient's stock to what it was, in the order of [`Pantry::ingredients`].
    pub fn restore(&mut self, stocks: &[Stock]) {
        for (ingredient, stock) in self.ingredients.iter_mut().zip(stocks) {
            ingredient.stock = *stock;
        }
    }

    fn recipe(&self, product: ProductId) -> Option<&[(u32, Quantity)]> {
        let at = self.recipes.binary_search_by_key(&product, |(known, _)| *known).ok()?;
        let start = if at == 0 { 0 } else { self.recipes[at - 1].1 };
        Some(&self.parts[start as usize..self.recipes[at].1 as usize])
    }

    /// What the lines take of each ingredient: lines that share one are summed before anything is compared.
    pub fn demand(&self, lines: impl IntoIterator<Item = Line>) -> Result<Vec<Demand>, Rejection> {
        // Room for most orders: growing costs more than the memory.
        let mut demand: Vec<Demand> = Vec::with_capacity(16);
        for line in lines {
            let recipe = self
                .recipe(line.product)
                .ok_or(Rejection::UnknownProduct(line.product))?;
            for (slot, amount) in recipe {
                let slot = *slot as usize;
                demand.push(Demand {
                    slot,
                    ingredient: self.ingredients[slot].id,
                    amount: amount
                        .times(i64::from(line.quantity))
                        .map_err(|_| Rejection::DemandOutOfRange)?,
                });
            }
        }
        demand.sort_unstable_by_key(|part| part.slot);
        let mut is_too_much = false;
        demand.dedup_by(|next, kept| {
            let same = next.slot == kept.slot;
            if same {
                match kept.amount.plus(next.amount) {
                    Ok(sum) => kept.amount = sum,
                    Err(_) => is_too_much = true,
                }
            }
            same
        });
        if is_too_much {
            return Err(Rejection::DemandOutOfRange);
        }
        Ok(demand)
    }

    /// All or nothing: what the order takes, or everything it lacks.
    pub fn decide_order(&self, lines: impl IntoIterator<Item = Line>) -> Result<Vec<Demand>, Rejection> {
        let demand = self.demand(lines)?;
        let lacks = |demand: &&Demand| self.ingredients[demand.slot].stock.available() < demand.amount;
        if !demand.iter().any(|demand| lacks(&demand)) {
            return Ok(demand);
        }
        let shortfalls = demand.iter().filter(lacks).map(|demand| Shortfall {
            ingredient_id: demand.ingredient,
            needed: demand.amount,
            available: self.ingredients[demand.slot].stock.available(),
        });
        Err(Rejection::InsufficientStock(shortfalls.collect()))
    }

    /// Takes what an order was granted, and says what ran low by it.
    pub fn take(&mut self, demand: &[Demand]) -> Vec<Crossing> {
        let mut crossings = Vec::new();
        for part in demand {
            let on_hand = self.ingredients[part.slot].stock.on_hand;
            let rest = on_hand
                .minus(part.amount)
                .expect("the demand was granted against this very stock");
            crossings.extend(self.set_on_hand(part.slot, rest));
        }
        crossings
    }

    /// What a change of stock comes to.
    pub fn decide_adjustment(&self, ingredient: IngredientId, change: Adjustment) -> Result<Adjusted, Refusal> {
        let slot = self
            .ingredients
            .binary_search_by_key(&ingredient, |known| known.id)
            .map_err(|_| Refusal::UnknownIngredient(ingredient))?;
        let stock = self.ingredients[slot].stock;
        let on_hand = match change {
            Adjustment::Restock(amount) => stock.on_hand.plus(amount).map_err(|_| Refusal::OutOfRange)?,
            Adjustment::Waste(amount) if amount > stock.available() => {
                return Err(Refusal::MoreThanAvailable {
                    available: stock.available(),
                });
            }
            Adjustment::Waste(amount) => stock.on_hand.minus(amount).map_err(|_| Refusal::OutOfRange)?,
            Adjustment::Recount(level) if level < stock.reserved => {
                return Err(Refusal::BelowReserved {
                    reserved: stock.reserved,
                });
            }
            Adjustment::Recount(level) => level,
        };
        Ok(Adjusted {
            slot,
            before: stock.on_hand,
            on_hand,
        })
    }

    /// Carries a change out, and says whether the ingredient ran low by it.
    pub fn adjust(&mut self, change: &Adjusted) -> Option<Crossing> {
        self.set_on_hand(change.slot, change.on_hand)
    }

    fn set_on_hand(&mut self, slot: usize, on_hand: Quantity) -> Option<Crossing> {
        let ingredient = &mut self.ingredients[slot];
        let before = ingredient.stock.available();
        ingredient.stock.on_hand = on_hand;
        let after = ingredient.stock.available();
        match observe(ingredient.threshold, ingredient.stock.alert_armed, after) {
            Observation::Unchanged => None,
            Observation::Rearms => {
                ingredient.stock.alert_armed = true;
                None
            }
            Observation::Fires => {
                ingredient.stock.alert_armed = false;
                Some(Crossing {
                    ingredient: ingredient.id,
                    before,
                    after,
                    threshold: ingredient.threshold,
                })
            }
        }
    }
}

/// A merchant with four thousand million ingredients does not fit in memory in the first place.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than 2^32 ingredients and recipe parts")
}

#[cfg(test)]
#[path = "pantry_tests.rs"]
mod tests;
