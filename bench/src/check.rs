//! Whether a drain did what it was to do: a rate of wrong results is no rate.

use anyhow::{Context as _, Result, ensure};
use schemas::topics::{ORDER_CONFIRMED, STOCK_RESERVED};
use testkit::Env;
use uuid::Uuid;

/// How things stood before the drain.
pub(crate) struct Check {
    /// No order of the drain has a lower id, and none of before a higher one.
    since: Uuid,
    taken: i64,
}

/// What is missing from stock by now.
const TAKEN: &str = "SELECT coalesce(sum(i.full_level - s.on_hand), 0)::int8
    FROM stock s JOIN ingredients i USING (merchant_id, ingredient_id)";
/// Orders of the drain, a row a merchant, by the primary key: there may be many more of before. Packed demands come to
/// packed demands when they are put one behind the other.
const NEW: &str = "SELECT orders.*
    FROM merchants m
    CROSS JOIN LATERAL (
        SELECT count(*), count(*) FILTER (WHERE status = 'confirmed'), coalesce(string_agg(demand, ''), '')
        FROM orders o WHERE o.merchant_id = m.merchant_id AND o.order_id >= $1) AS orders";

impl Check {
    /// Remembers how things stand; the backlog's first order has an id no lower than `since`.
    pub(crate) async fn before(env: &Env, since: Uuid) -> Result<Self> {
        let taken = sqlx::query_scalar(TAKEN).fetch_one(env.store.pool()).await?;
        Ok(Self { since, taken })
    }

    /// Every order has one row, what was told of them adds up, and what they demand is gone from stock.
    pub(crate) async fn after(&self, env: &Env, orders: u64) -> Result<()> {
        let merchants: Vec<(i64, i64, Vec<u8>)> =
            sqlx::query_as(NEW).bind(self.since).fetch_all(env.store.pool()).await?;
        let (mut rows, mut confirmed, mut demanded) = (0, 0, 0);
        for (theirs, theirs_confirmed, demand) in merchants {
            rows += theirs;
            confirmed += theirs_confirmed;
            let demand = store::longs::unpacked(&demand).context("a demand that is out of shape")?;
            demanded += demand.iter().skip(1).step_by(2).sum::<i64>();
        }
        ensure!(u64::try_from(rows)? == orders, "{rows} order rows for {orders} orders");
        for topic in [&STOCK_RESERVED, &ORDER_CONFIRMED] {
            let told: i64 = env.ends(&env.names().topic(topic)).await.iter().sum();
            ensure!(
                told == confirmed,
                "{told} events on {} for {confirmed} orders confirmed",
                topic.name
            );
        }
        let taken: i64 = sqlx::query_scalar(TAKEN).fetch_one(env.store.pool()).await?;
        let taken = taken - self.taken;
        ensure!(
            taken == demanded && demanded > 0,
            "{taken} taken from stock, {demanded} demanded by the orders"
        );
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where something is not there")]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn orders_without_rows_are_no_drain() {
        let env = Env::fresh().await;
        let check = Check::before(&env, Uuid::now_v7()).await.unwrap();
        let refused = check.after(&env, 3).await.unwrap_err();
        assert_eq!(refused.to_string(), "0 order rows for 3 orders");
    }
}
