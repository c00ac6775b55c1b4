//! What a merchant has: recipes and stock, as the stock-processor decides against them.

use std::collections::HashMap;

use domain::{
    ids::{IngredientId, MerchantId, ProductId},
    pantry::{Ingredient, Pantry, Recipe, Stock, UnknownIngredient},
    threshold::Threshold,
};
use sqlx::PgConnection;

use crate::{alerts::quantity, error::StoreError};

/// Reads the pantries of these merchants; a merchant that does not exist is not in the answer.
///
/// Nothing is locked: the stock rows belong to the shard's owner, and what it decides is written only if they still
/// are as read here.
pub async fn load(
    connection: &mut PgConnection,
    merchants: &[i64],
) -> Result<HashMap<MerchantId, Result<Pantry, UnknownIngredient>>, StoreError> {
    // Recipes before ingredients: a recipe read here has ingredients that are there by the next statement.
    let lines = sqlx::query!(
        r#"SELECT p.merchant_id, p.product_id, r.ingredient_id AS "ingredient_id?", r.amount AS "amount?"
           FROM products p LEFT JOIN recipe_lines r ON r.merchant_id = p.merchant_id AND r.product_id = p.product_id
           WHERE p.merchant_id = ANY($1) ORDER BY p.merchant_id, p.product_id"#,
        merchants,
    )
    .fetch_all(&mut *connection)
    .await?;
    let levels = sqlx::query!(
        "SELECT i.merchant_id, i.ingredient_id, i.full_level, i.threshold_pct, s.on_hand, s.reserved, s.alert_armed
         FROM ingredients i JOIN stock s ON s.merchant_id = i.merchant_id AND s.ingredient_id = i.ingredient_id
         WHERE i.merchant_id = ANY($1)",
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

    let mut parts: HashMap<i64, (Vec<Ingredient>, Vec<Recipe>)> = known
        .into_iter()
        .map(|merchant| (merchant, (Vec::new(), Vec::new())))
        .collect();
    for row in levels {
        let Some((ingredients, _)) = parts.get_mut(&row.merchant_id) else {
            continue;
        };
        ingredients.push(Ingredient {
            id: IngredientId::new(row.ingredient_id),
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
        let Some((_, recipes)) = parts.get_mut(&row.merchant_id) else {
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
        .map(|(merchant, (ingredients, recipes))| (MerchantId::new(merchant), Pantry::new(ingredients, recipes)))
        .collect())
}
