//! Records that were applied by an earlier one: found here, or in the database, before they are decided.

use std::collections::HashSet;

use store::{StoreError, batch};
use uuid::Uuid;

use crate::{
    item::{Content, Item},
    worker::{Worker, in_time},
};

/// Which orders are looked up before they are applied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrdersToCheck {
    /// Those a client named.
    Keyed,
    /// All: the primary key has found a repeat among them.
    All,
}

impl Worker {
    /// Marks what was applied by an earlier record, here or in the database.
    pub(crate) async fn mark_duplicates(
        &mut self,
        items: &mut [Item],
        check: Option<OrdersToCheck>,
    ) -> Result<(), StoreError> {
        let Some(check) = check else { return Ok(()) };
        let mut orders: HashSet<(i64, Uuid)> = HashSet::new();
        let mut movements: HashSet<(i64, Uuid)> = HashSet::new();
        let mut marked = 0;
        for item in &mut *items {
            let is_new = match &item.content {
                Content::Order(order) if check == OrdersToCheck::All || order.order_id.is_keyed() => {
                    orders.insert((order.merchant_id.get(), order.order_id.get()))
                }
                Content::Adjustment(adjustment, _) if check == OrdersToCheck::All => {
                    movements.insert((adjustment.merchant_id.get(), adjustment.adjustment_id.get()))
                }
                _ => true,
            };
            if !is_new {
                item.content = Content::Duplicate;
                marked += 1;
            }
        }
        let known_orders = self.known(&orders, true).await?;
        let known_movements = self.known(&movements, false).await?;
        for item in items {
            let is_known = match &item.content {
                Content::Order(order) => known_orders.contains(&(order.merchant_id.get(), order.order_id.get())),
                Content::Adjustment(adjustment, _) => {
                    known_movements.contains(&(adjustment.merchant_id.get(), adjustment.adjustment_id.get()))
                }
                _ => false,
            };
            if is_known {
                item.content = Content::Duplicate;
                marked += 1;
            }
        }
        self.shared
            .metrics
            .orders
            .with_label_values(&["duplicate"])
            .inc_by(marked);
        Ok(())
    }

    async fn known(&mut self, asked: &HashSet<(i64, Uuid)>, orders: bool) -> Result<HashSet<(i64, Uuid)>, StoreError> {
        if asked.is_empty() {
            return Ok(HashSet::new());
        }
        let asked: Vec<_> = asked.iter().copied().collect();
        let connection = self.connection().await?;
        if orders {
            return Ok(in_time(batch::known_orders(connection, &asked))
                .await?
                .into_iter()
                .collect());
        }
        Ok(in_time(batch::known_movements(connection, &asked))
            .await?
            .into_iter()
            .collect())
    }
}
