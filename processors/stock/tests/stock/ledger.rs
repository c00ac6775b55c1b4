//! What must hold after everything: the books agree with the stock, the topics with the books.

use std::collections::{BTreeMap, BTreeSet};

use schemas::topics::{NOTIFY, ORDER_CONFIRMED, STOCK_REJECTED, STOCK_RESERVED};
use stream::header;

use crate::bar::{Bar, PATIENCE};

impl Bar {
    /// Waits until every outcome and every alert is on its topic, and checks that nothing else is, that repeats are
    /// equal byte for byte, and that stock is what there was less what was granted.
    pub(crate) async fn check_the_books(&self) {
        let orders: Vec<(String, String)> = self.rows("SELECT order_id::text, status FROM orders").await;
        let of = |status: &str, suffix: &str| -> BTreeSet<String> {
            let these = orders.iter().filter(|(_, found)| found == status);
            these.map(|(id, _)| format!("{id}-{suffix}")).collect()
        };
        self.told(&ORDER_CONFIRMED, of("confirmed", "confirmed")).await;
        self.told(&STOCK_RESERVED, of("confirmed", "reserved")).await;
        self.told(&STOCK_REJECTED, of("rejected", "rejected")).await;
        let alerts: Vec<(String, String)> = self.rows("SELECT alert_id::text, '' FROM alerts").await;
        self.told(&NOTIFY, alerts.into_iter().map(|(id, _)| id).collect()).await;
        self.check_stock().await;
    }

    async fn told(&self, topic: &schemas::Topic, expected: BTreeSet<String>) {
        let name = self.env.names().topic(topic);
        testkit::wait_until(&name, PATIENCE, async || {
            let mut values: BTreeMap<String, Vec<u8>> = BTreeMap::new();
            for record in self.env.records(&name).await {
                let id = header(&record.headers, "ce_id").unwrap().to_owned();
                assert!(expected.contains(&id), "{id} on {name} is of no row");
                let value = record.value.unwrap();
                let first = values.entry(id.clone()).or_insert_with(|| value.clone());
                assert_eq!(*first, value, "a repeat of {id} differs");
            }
            values.len() == expected.len()
        })
        .await;
    }

    async fn check_stock(&self) {
        let wrong: Vec<(String, String)> = self
            .rows(
                "SELECT format('%s/%s', s.merchant_id, s.ingredient_id),
                        format('%s on hand, %s came in, %s went out', s.on_hand, i.came, coalesce(o.went, 0))
                 FROM stock s
                 JOIN (SELECT merchant_id, ingredient_id, sum(amount) AS came FROM stock_movements GROUP BY 1, 2) i
                     USING (merchant_id, ingredient_id)
                 LEFT JOIN (SELECT merchant_id, demand[at] AS ingredient_id, sum(demand[at + 1]) AS went
                            FROM orders_unpacked, generate_series(1, cardinality(demand), 2) AS at GROUP BY 1, 2) o
                     USING (merchant_id, ingredient_id)
                 WHERE s.on_hand <> i.came - coalesce(o.went, 0)",
            )
            .await;
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    async fn rows(&self, query: &'static str) -> Vec<(String, String)> {
        sqlx::query_as(query).fetch_all(self.env.store.pool()).await.unwrap()
    }
}
