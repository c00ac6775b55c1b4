//! Records that cannot be handled are put aside as they were, with the reason, and the partition moves on.

use std::collections::BTreeMap;

use domain::{
    amount::Minor,
    ids::{MerchantId, OrderId},
};
use schemas::{
    events::{AdjustmentKind, Micros, OrderCreated, StockAdjusted},
    topics::{ORDER_CREATED, STOCK_ADJUSTED},
};
use stream::{Record, header, partition::partition};
use testkit::kafka::Raw;
use uuid::Uuid;

use crate::bar::Bar;

fn told(letters: &[Record]) -> BTreeMap<(i32, i64), &Record> {
    let place = |name: &str, letter: &Record| header(&letter.headers, name).unwrap().parse::<i64>().unwrap();
    letters
        .iter()
        .map(|letter| {
            let partition = i32::try_from(place("dlq_partition", letter)).unwrap();
            ((partition, place("dlq_offset", letter)), letter)
        })
        .collect()
}

/// Bytes of an order that are changed before they are sent.
async fn bytes(bar: &Bar, change: impl FnOnce(&mut OrderCreated)) -> Vec<u8> {
    let mut order = bar.order(&[("burger", 1)]);
    change(&mut order);
    bar.env.schemas().writer().await.unwrap().encode(&order).unwrap()
}

/// A merchant that nobody knows, of the same shard.
fn nobody(bar: &Bar) -> MerchantId {
    let is_here = |id: &i64| partition(id.to_string().as_bytes(), 3) == bar.shard();
    MerchantId::new((1_000_000..2_000_000).find(is_here).unwrap())
}

type Poison = (&'static str, Option<Vec<u8>>, Option<Vec<u8>>);

/// What cannot be handled, by reason: key and value.
async fn poison(bar: &Bar, good: &[u8]) -> Vec<Poison> {
    let (own, nobody) = (Some(bar.id().to_string().into_bytes()), nobody(bar));
    let adjustment = {
        let event = StockAdjusted {
            adjustment_id: domain::ids::AdjustmentId::new(Uuid::now_v7()),
            merchant_id: bar.id(),
            ingredient_id: bar.merchant.ingredients["onion"],
            kind: AdjustmentKind::Recount,
            amount: None,
            level: Some(1),
            reason: String::new(),
            adjusted_at: Micros(1),
        };
        bar.env.schemas().writer().await.unwrap().encode(&event).unwrap()
    };
    let unknown = bytes(bar, |order| order.merchant_id = nobody).await;
    vec![
        ("not_wire_format", own.clone(), Some(b"garbage".to_vec())),
        // As large as a record may be: what is said of it must still fit.
        ("not_wire_format", own.clone(), Some(vec![b'x'; 999_700])),
        (
            "unknown_schema",
            own.clone(),
            Some(b"\0\x7f\xff\xff\xffwhatever".to_vec()),
        ),
        ("other_event", own.clone(), Some(adjustment)),
        ("undecodable", own.clone(), Some(good[..9].to_vec())),
        ("undecodable", own.clone(), Some([good, b"more"].concat())),
        (
            "absurd",
            own.clone(),
            Some(bytes(bar, |order| order.lines[0].quantity = 0).await),
        ),
        (
            "absurd",
            own.clone(),
            Some(bytes(bar, |order| order.total_minor = Minor::new(1).unwrap()).await),
        ),
        (
            "absurd",
            own.clone(),
            Some(bytes(bar, |order| order.lines.clear()).await),
        ),
        (
            "absurd",
            own.clone(),
            Some(bytes(bar, |order| order.placed_at = Micros(i64::MIN)).await),
        ),
        (
            "absurd",
            own.clone(),
            Some(bytes(bar, |order| order.placed_at = Micros(i64::MAX)).await),
        ),
        ("key_mismatch", Some(b"somebody".to_vec()), Some(good.to_vec())),
        ("key_mismatch", None, Some(good.to_vec())),
        ("unknown_merchant", Some(nobody.to_string().into_bytes()), Some(unknown)),
        ("empty_value", own.clone(), None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_put_aside_as_it_was_and_the_orders_around_it_are_decided() {
    let bar = Bar::open().await;
    let topic = bar.env.names().topic(&ORDER_CREATED);
    let own = Some(bar.id().to_string().into_bytes());
    let good = bytes(&bar, |_| {}).await;
    let poison = poison(&bar, &good).await;
    let before = bar.order(&[("burger", 1)]);
    bar.place(&before).await;
    let mut sent = BTreeMap::new();
    for (reason, key, value) in poison {
        let raw = Raw {
            partition: Some(bar.shard()),
            key,
            value,
            headers: vec![("ce_id".to_owned(), reason.as_bytes().to_vec())],
        };
        sent.insert(bar.env.produce(&topic, raw.clone()).await, (reason, raw));
    }
    let elsewhere = Raw {
        partition: Some((bar.shard() + 1) % 3),
        key: own.clone(),
        value: Some(good),
        headers: Vec::new(),
    };
    sent.insert(
        bar.env.produce(&topic, elsewhere.clone()).await,
        ("misrouted", elsewhere),
    );
    let after = bar.order(&[("burger", 1)]);
    bar.place(&after).await;

    let running = bar.serve().await;
    bar.wait_for_row(&before).await;
    bar.wait_for_row(&after).await;
    let letters = bar.wait_for_dead_letters(&ORDER_CREATED, sent.len()).await;
    assert_eq!(letters.len(), sent.len());
    let told = told(&letters);
    for (place, (reason, raw)) in &sent {
        let letter = told[place];
        assert_eq!(header(&letter.headers, "dlq_reason"), Some(*reason));
        assert_eq!(header(&letter.headers, "dlq_topic"), Some(topic.as_str()));
        assert_eq!(letter.key, raw.key, "{reason}");
        assert!(letter.value == raw.value, "{reason}: other bytes");
        assert!(letter.headers.starts_with(&raw.headers), "{reason}");
    }
    assert_eq!(bar.levels().await["onion"], 960);
    bar.check_the_books().await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adjustment_that_asks_for_nothing_is_put_aside() {
    let bar = Bar::open().await;
    let running = bar.serve().await;
    for (kind, number) in [
        (AdjustmentKind::Restock, 0),
        (AdjustmentKind::Restock, -5),
        (AdjustmentKind::Waste, 5),
        (AdjustmentKind::Waste, i64::MIN),
        (AdjustmentKind::Recount, -1),
    ] {
        bar.adjust(kind, "onion", number).await;
    }
    let last = bar.adjust(AdjustmentKind::Restock, "onion", 7).await;
    let letters = bar.wait_for_dead_letters(&STOCK_ADJUSTED, 5).await;
    assert!(
        letters
            .iter()
            .all(|letter| header(&letter.headers, "dlq_reason") == Some("absurd"))
    );
    testkit::wait_until("the restock", crate::bar::PATIENCE, async || {
        bar.levels().await["onion"] == 1007
    })
    .await;
    assert_eq!(last.amount, Some(7));
    bar.check_the_books().await;
    running.close().await;
}

/// So many orders wait, one of them with a text that Postgres does not take.
async fn one_is_refused(count: usize) {
    let bar = Bar::chain(1, 100).await;
    let mut orders = bar.burgers(count);
    orders[count / 3].customer_email = Some("a\0@example.org".to_owned());
    bar.place_all(&orders).await;
    let running = bar.serve().await;
    bar.wait_for_rows(i64::try_from(count).unwrap() - 1).await;
    let letters = bar.wait_for_dead_letters(&ORDER_CREATED, 1).await;
    assert_eq!(letters.len(), 1);
    assert_eq!(header(&letters[0].headers, "dlq_reason"), Some("refused"));
    assert_eq!(
        header(&letters[0].headers, "ce_id"),
        Some(orders[count / 3].order_id.to_string().as_str())
    );
    let left = 100_000 - 20 * (i64::try_from(count).unwrap() - 1);
    assert_eq!(bar.levels().await["onion"], left);
    bar.check_the_books().await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_large_batch_that_postgres_refuses_one_record_alone_is_put_aside() {
    one_is_refused(300).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_small_batch_that_postgres_refuses_one_record_alone_is_put_aside() {
    one_is_refused(90).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_record_among_repeats_is_still_found() {
    let bar = Bar::chain(1, 100).await;
    let mut orders = bar.burgers(40);
    orders[7].customer_email = Some("a\0@example.org".to_owned());
    let repeats: Vec<_> = orders[..20].to_vec();
    orders.extend(repeats);
    let keyed = OrderId::from_key(bar.id(), "k");
    orders.insert(3, bar.order_named(keyed, &[("burger", 1)]));
    orders.push(bar.order_named(keyed, &[("burger", 1)]));
    bar.place_all(&orders).await;
    let running = bar.serve().await;
    bar.wait_for_rows(40).await;
    // The record and its repeat, each by itself.
    assert_eq!(bar.wait_for_dead_letters(&ORDER_CREATED, 2).await.len(), 2);
    assert_eq!(bar.levels().await["onion"], 100_000 - 20 * 40);
    bar.check_the_books().await;
    running.close().await;
}
