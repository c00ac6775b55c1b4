//! What a merchant has: recipes and stock, as the stock-processor decides against them.

use std::collections::HashMap;

use domain::{
    ids::{IngredientId, MerchantId, ProductId},
    pantry::{Ingredient, Pantry, Recipe, Stock, UnknownIngredient},
    threshold::Threshold,
};
use sqlx::PgConnection;

use crate::{alerts::quantity, error::StoreError, shelves::Shelf};

/// A merchant's pantry, and the rows its stock stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stocked {
    /// What is decided against.
    pub pantry: Pantry,
    /// Where what is decided is written.
    pub shelves: Box<[Shelf]>,
}

/// What is read of one merchant before it is brought together.
#[derive(Default)]
struct Parts {
    ingredients: Vec<Ingredient>,
    recipes: Vec<Recipe>,
    shelves: Vec<(i32, Vec<IngredientId>)>,
}

/// Reads the pantries of these merchants; a merchant that does not exist is not in the answer.
///
/// Nothing is locked: the stock rows belong to the shard's owner, and what it decides is written only if they still
/// are as read here.
pub async fn load(
    connection: &mut PgConnection,
    merchants: &[i64],
) -> Result<HashMap<MerchantId, Result<Stocked, UnknownIngredient>>, StoreError> {
    // Recipes before ingredients: a recipe read here has ingredients that are there by the next statement.
    let lines = sqlx::query!(
        r#"SELECT p.merchant_id, p.product_id, r.ingredient_id AS "ingredient_id?", r.amount AS "amount?"
           FROM products p LEFT JOIN recipe_lines r ON r.merchant_id = p.merchant_id AND r.product_id = p.product_id
           WHERE p.merchant_id = ANY($1) ORDER BY p.merchant_id, p.product_id"#,
        merchants,
    )
    .fetch_all(&mut *connection)
    .await?;
    // Shelf by shelf and place by place, as a change will have to name them again.
    let levels = sqlx::query!(
        r#"SELECT s.merchant_id, s.shelf, u.ingredient_id AS "ingredient_id!", u.on_hand AS "on_hand!",
                  coalesce(s.reserved[u.place], 0) AS "reserved!", s.armed >> (u.place - 1)::int4 & 1 = 1 AS "alert_armed!",
                  i.full_level, i.threshold_pct
           FROM shelves s
           CROSS JOIN unnest(s.ingredient_ids, s.on_hand) WITH ORDINALITY AS u (ingredient_id, on_hand, place)
           JOIN ingredients i ON i.merchant_id = s.merchant_id AND i.ingredient_id = u.ingredient_id
           WHERE s.merchant_id = ANY($1) ORDER BY s.merchant_id, s.shelf, u.place"#,
        merchants,
    )
    .fetch_all(&mut *connection)
    .await?;
    let known = sqlx::query_scalar!(
        "SELECT merchant_id FROM merchants WHERE merchant_id = ANY($1)",
        merchants
    )
    .fetch_all(&mut *connection)
    .await?;

    let mut parts: HashMap<i64, Parts> = known.into_iter().map(|merchant| (merchant, Parts::default())).collect();
    for row in levels {
        let Some(parts) = parts.get_mut(&row.merchant_id) else {
            continue;
        };
        let id = IngredientId::new(row.ingredient_id);
        match parts.shelves.last_mut() {
            Some((shelf, places)) if *shelf == row.shelf => places.push(id),
            _ => parts.shelves.push((row.shelf, vec![id])),
        }
        parts.ingredients.push(Ingredient {
            id,
            threshold: Threshold {
                full_level: quantity(row.full_level)?,
                percent: row.threshold_pct,
            },
            stock: Stock {
                on_hand: quantity(row.on_hand)?,
                reserved: quantity(row.reserved)?,
                alert_armed: row.alert_armed,
            },
        });
    }
    for row in lines {
        let Some(Parts { recipes, .. }) = parts.get_mut(&row.merchant_id) else {
            continue;
        };
        let product = ProductId::new(row.product_id);
        if recipes.last().is_none_or(|recipe| recipe.product != product) {
            recipes.push(Recipe {
                product,
                parts: Vec::new(),
            });
        }
        if let (Some(recipe), Some(ingredient), Some(amount)) = (recipes.last_mut(), row.ingredient_id, row.amount) {
            recipe.parts.push((IngredientId::new(ingredient), quantity(amount)?));
        }
    }
    Ok(parts
        .into_iter()
        .map(|(merchant, parts)| (MerchantId::new(merchant), parts.together()))
        .collect())
}

impl Parts {
    fn together(self) -> Result<Stocked, UnknownIngredient> {
        let pantry = Pantry::new(self.ingredients, self.recipes)?;
        let shelves = self
            .shelves
            .into_iter()
            .map(|(number, places)| Shelf::new(number, places, &pantry));
        Ok(Stocked {
            shelves: shelves.collect(),
            pantry,
        })
    }
}
