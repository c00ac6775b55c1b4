//! Postgres away, cut off in the middle, or written by somebody else; a catalogue that changes.

use domain::ids::OrderId;
use schemas::events::AdjustmentKind;
use secrecy::ExposeSecret as _;
use stock_processor::Args;
use store::{
    DatabaseConfig,
    seed::{self, NewMerchant, NewProduct},
};
use testkit::{
    Proxy,
    proxy::{At, Direction},
    wait_until,
};
use url::Url;

use crate::bar::{Bar, PATIENCE};

/// A line to the test's database that can be cut.
async fn line(bar: &Bar) -> (Proxy, DatabaseConfig) {
    let mut url = Url::parse(bar.env.database.url.expose_secret()).unwrap();
    let proxy = Proxy::start(format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432))).await;
    url.set_ip_host(proxy.addr().ip()).unwrap();
    url.set_port(Some(proxy.addr().port())).unwrap();
    let config = DatabaseConfig {
        url: url.to_string().into(),
        max_connections: bar.env.database.max_connections,
    };
    (proxy, config)
}

async fn cut_at_commit(at: At, direction: Direction) {
    let bar = Bar::chain(3, 100).await;
    let (proxy, database) = line(&bar).await;
    let running = bar.serve_on(Args::default(), database).await;
    let keyed = bar.order_named(OrderId::from_key(bar.id(), "k"), &[("burger", 1)]);
    let mut orders = bar.burgers(60);
    orders.push(keyed);
    for part in orders.chunks(20) {
        proxy.cut_at(direction, at.clone());
        bar.place_all(part).await;
        bar.wait_for_row(&part[part.len() - 1]).await;
    }
    bar.wait_for_rows(61).await;
    assert!(proxy.cuts_done() >= 2, "{} cuts", proxy.cuts_done());
    bar.check_the_books().await;
    running.close().await;
    // Nothing is left to be told again or differently.
    let running = bar.serve().await;
    bar.check_the_books().await;
    assert_eq!(bar.statuses().await["confirmed"], 61);
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_neither_repeated_nor_forgotten() {
    cut_at_commit(At::After(b"COMMIT\0".to_vec()), Direction::ToServer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_was_done_and_not_answered_is_neither_repeated_nor_forgotten() {
    cut_at_commit(At::Before(b"COMMIT\0".to_vec()), Direction::ToClient).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_never_arrived_is_made_again() {
    cut_at_commit(At::Before(b"COMMIT\0".to_vec()), Direction::ToServer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_orders_wait() {
    let bar = Bar::chain(3, 100).await;
    let (proxy, database) = line(&bar).await;
    let running = bar.serve_on(Args::default(), database).await;
    bar.place_all(&bar.burgers(30)).await;
    bar.wait_for_rows(30).await;
    proxy.refuse();
    bar.place_all(&bar.burgers(300)).await;
    wait_until("its connections to be gone", PATIENCE, async || proxy.open() == 0).await;
    assert_eq!(bar.statuses().await.values().sum::<i64>(), 30);
    proxy.pass();
    bar.wait_for_rows(330).await;
    bar.check_the_books().await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebalance_while_postgres_is_away_loses_nothing() {
    let bar = Bar::chain(3, 100).await;
    let (proxy, database) = line(&bar).await;
    let cut_off = bar.serve_on(Args::default(), database).await;
    bar.place_all(&bar.burgers(30)).await;
    bar.wait_for_rows(30).await;
    proxy.refuse();
    bar.place_all(&bar.burgers(300)).await;
    let other = bar.serve().await;
    bar.wait_for_rows(330).await;
    proxy.pass();
    bar.place_all(&bar.burgers(30)).await;
    bar.wait_for_rows(360).await;
    bar.check_the_books().await;
    cut_off.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_in_the_stock_table_is_noticed_and_decided_against() {
    let bar = Bar::open().await;
    let running = bar.serve().await;
    let first = bar.order(&[("burger", 1)]);
    bar.place(&first).await;
    bar.wait_for_row(&first).await;
    bar.sql(
        "UPDATE shelves SET on_hand[array_position(ingredient_ids, ingredient_id)] = 30
         FROM ingredients WHERE reference = 'onion' AND ingredient_id = ANY (ingredient_ids)",
    )
    .await;
    let (second, third) = (bar.order(&[("burger", 1)]), bar.order(&[("burger", 1)]));
    bar.place_all(&[second.clone(), third.clone()]).await;
    assert_eq!(bar.wait_for_row(&second).await.reason, None);
    assert_eq!(
        bar.wait_for_row(&third).await.reason.as_deref(),
        Some("insufficient_stock")
    );
    assert_eq!(bar.levels().await["onion"], 10);
    assert!(running.metric("larder_stock_conflicts_total") >= 1.0);
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_product_is_sold_at_once() {
    let mut bar = Bar::open().await;
    let running = bar.serve().await;
    let first = bar.order(&[("burger", 1)]);
    bar.place(&first).await;
    bar.wait_for_row(&first).await;
    let reference: String = sqlx::query_scalar("SELECT reference FROM merchants")
        .fetch_one(bar.env.store.pool())
        .await
        .unwrap();
    let more = NewMerchant {
        reference,
        name: "The Bar".to_owned(),
        currency: "EUR".to_owned(),
        alert_recipients: Vec::new(),
        customers: Vec::new(),
        ingredients: Vec::new(),
        products: vec![NewProduct {
            reference: "rings".to_owned(),
            name: "Onion rings".to_owned(),
            price_minor: 950,
            recipe: vec![("onion".to_owned(), 100)],
        }],
    };
    let seeded = seed::merchant(&bar.env.store, &more).await.unwrap();
    bar.merchant.products.extend(seeded.products);
    let rings = bar.order(&[("rings", 1), ("burger", 1)]);
    bar.place(&rings).await;
    assert_eq!(bar.wait_for_row(&rings).await.reason, None);
    assert_eq!(bar.levels().await["onion"], 860);
    bar.check_the_books().await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_recipe_is_cooked_from_then_on() {
    let bar = Bar::chain(1, 100).await;
    let running = bar.serve().await;
    let first = bar.order(&[("burger", 1)]);
    bar.place(&first).await;
    bar.wait_for_row(&first).await;
    bar.sql("UPDATE recipe_lines SET amount = 33 WHERE amount = 20").await;
    let onion = bar.merchant.ingredients["onion"];
    // Told by a notification: soon, not at once.
    wait_until("the new recipe", PATIENCE, async || {
        let order = bar.order(&[("burger", 1)]);
        bar.place(&order).await;
        bar.wait_for_row(&order).await;
        let taken: Vec<i64> = sqlx::query_scalar("SELECT unnest(longs(demand)) FROM orders WHERE order_id = $1")
            .bind(order.order_id.get())
            .fetch_all(bar.env.store.pool())
            .await
            .unwrap();
        taken.ends_with(&[onion.get(), 33])
    })
    .await;
    bar.adjust(AdjustmentKind::Restock, "onion", 1).await;
    bar.check_the_books().await;
    running.close().await;
}
