//! Where the orders of a load go.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

/// One merchant's API.
pub(super) struct Target {
    pub(super) url: String,
    pub(super) authorization: String,
    bodies: Vec<String>,
}

/// All merchants, in turn.
pub(super) struct Targets(Vec<Target>);

/// A line of what `larder seed --keys` writes.
#[derive(Deserialize)]
struct Line {
    api_key: String,
    customer_id: i64,
    product_ids: Vec<i64>,
}

impl Target {
    fn new(url: &str, key: &str, customer: &Value, products: impl Iterator<Item = Value>) -> Self {
        let body = |product| json!({ "customer_id": customer, "items": [{ "product_id": product, "quantity": 1 }] });
        Self {
            // Where orders are posted is as good an address as the API's base.
            url: format!("{}/orders", url.trim_end_matches('/').trim_end_matches("/orders")),
            authorization: format!("Bearer {key}"),
            bodies: products.map(|product| body(product).to_string()).collect(),
        }
    }

    /// An order of one of the products.
    pub(super) fn body(&self) -> String {
        self.bodies[fastrand::usize(..self.bodies.len())].clone()
    }
}

impl Targets {
    /// One merchant and one product. What reads as a number is our id, anything else the merchant's own reference.
    pub(super) fn one(url: &str, key: &str, customer: &str, product: &str) -> Self {
        let id = |text: &str| text.parse::<i64>().map_or_else(|_| text.into(), Value::from);
        Self(vec![Target::new(url, key, &id(customer), std::iter::once(id(product)))])
    }

    /// Many merchants from a file.
    pub(super) fn read(file: &Path, url: &str) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let mut targets = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line: Line = serde_json::from_str(line).with_context(|| {
                format!(
                    "line {} of {} is not from `larder seed --keys`",
                    number + 1,
                    file.display()
                )
            })?;
            ensure!(
                !line.product_ids.is_empty(),
                "line {} of {} has no products",
                number + 1,
                file.display()
            );
            let products = line.product_ids.into_iter().map(Value::from);
            targets.push(Target::new(url, &line.api_key, &line.customer_id.into(), products));
        }
        ensure!(!targets.is_empty(), "{} has no merchants", file.display());
        Ok(Self(targets))
    }

    /// Where the order of this number goes.
    pub(super) fn of(&self, number: u64) -> &Target {
        let index = number % u64::try_from(self.0.len()).unwrap_or(u64::MAX);
        &self.0[usize::try_from(index).unwrap_or_default()]
    }
}
