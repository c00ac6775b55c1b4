//! A shard that cannot know where to go on stops, the others go on, and an operator has a way.

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
};
use schemas::topics::{ORDER_CREATED, STOCK_GROUP};
use stock_processor::{Accept, resume};
use store::shards;
use stream::topics::{self, Shape};
use testkit::wait_until;

use crate::bar::{Bar, PATIENCE, Running};

/// Three bars, a shard each, that have served some orders.
async fn open() -> (Bar, i64) {
    let bar = Bar::chain(3, 10).await;
    let running = bar.serve().await;
    let orders = bar.burgers(12);
    bar.place_all(&orders).await;
    bar.wait_for_rows(12).await;
    running.close().await;
    (bar, 12)
}

fn stopped(reason: &str) -> String {
    format!("larder_stock_shards_stopped{{reason=\"{reason}\"}}")
}

/// The shard of the first bar stops, the others go on; after an operator has accepted it, so does the first.
async fn stops_and_goes_on(bar: &Bar, running: &Running, reason: &str, accept: Accept, decided: i64) {
    running.wait_for_metric(&stopped(reason), 1.0).await;
    let orders = bar.burgers(3);
    bar.place_all(&orders).await;
    bar.wait_for_row(&orders[1]).await;
    bar.wait_for_row(&orders[2]).await;
    assert_eq!(bar.row(&orders[0]).await, None);
    assert!((running.metric(&stopped(reason)) - 1.0).abs() < f64::EPSILON);
    resume(&bar.env.kafka, &bar.env.store, bar.shard(), None, accept)
        .await
        .unwrap();
    bar.wait_for_row(&orders[0]).await;
    assert!(running.metric(&stopped(reason)).abs() < f64::EPSILON);
    bar.wait_for_rows(decided + 3).await;
    bar.check_the_books().await;
}

fn admin(bar: &Bar) -> AdminClient<DefaultClientContext> {
    bar.env.kafka.client().create().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_record_that_is_another_one_stops_its_shard() {
    let (bar, decided) = open().await;
    sqlx::query("UPDATE shards SET order_created_fingerprint = gen_random_uuid() WHERE shard = $1")
        .bind(bar.shard())
        .execute(bar.env.store.pool())
        .await
        .unwrap();
    let running = bar.serve().await;
    stops_and_goes_on(&bar, &running, "fingerprint", Accept::Fingerprint, decided).await;
    running.close().await;
    let running = bar.serve().await;
    let next = bar.order(&[("burger", 1)]);
    bar.place(&next).await;
    bar.wait_for_row(&next).await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_records_that_are_gone_stop_their_shard() {
    let (bar, decided) = open().await;
    let end = bar.place(&bar.order(&[("burger", 1)])).await.1;
    let kept = bar.order(&[("burger", 1)]);
    bar.place(&kept).await;
    let mut before = TopicPartitionList::new();
    let topic = bar.env.names().topic(&ORDER_CREATED);
    before
        .add_partition_offset(&topic, bar.shard(), Offset::Offset(end + 1))
        .unwrap();
    admin(&bar).delete_records(&before, &AdminOptions::new()).await.unwrap();
    let running = bar.serve().await;
    stops_and_goes_on(&bar, &running, "gap", Accept::Gap, decided + 1).await;
    assert!(bar.row(&kept).await.is_some());
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_ahead_of_the_database_stops_its_shard() {
    let (bar, decided) = open().await;
    let mut ahead = TopicPartitionList::new();
    let topic = bar.env.names().topic(&ORDER_CREATED);
    ahead
        .add_partition_offset(&topic, bar.shard(), Offset::Offset(1000))
        .unwrap();
    let mut client = bar.env.kafka.client();
    client.set("group.id", bar.env.names().group(STOCK_GROUP));
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = client.create().unwrap();
        consumer.commit(&ahead, CommitMode::Sync).unwrap();
    })
    .await
    .unwrap();
    let running = bar.serve().await;
    stops_and_goes_on(&bar, &running, "rewound", Accept::Rewind, decided).await;
    running.close().await;
    // The group is where the database is again: nothing to accept a second time.
    let running = bar.serve().await;
    let next = bar.order(&[("burger", 1)]);
    bar.place(&next).await;
    bar.wait_for_row(&next).await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_made_anew_while_it_is_read_stops_its_shards() {
    let bar = Bar::chain(3, 10).await;
    let running = bar.serve().await;
    // Two of three shards have orders.
    let orders = bar.burgers(30);
    let two: Vec<_> = orders
        .iter()
        .filter(|order| order.merchant_id != bar.others[1].merchant_id)
        .cloned()
        .collect();
    bar.place_all(&two).await;
    bar.wait_for_rows(20).await;
    bar.check_the_books().await;
    let topic = bar.env.names().topic(&ORDER_CREATED);
    admin(&bar)
        .delete_topics(&[&topic], &AdminOptions::new())
        .await
        .unwrap();
    let shape = Shape {
        partitions: 3,
        replication: 1,
    };
    wait_until("the topic to be there again", PATIENCE, async || {
        topics::apply(&bar.env.kafka, shape).await.is_ok()
    })
    .await;
    running.wait_for_metric(&stopped("truncated"), 2.0).await;
    let next = bar.burgers(3);
    bar.place_all(&next).await;
    bar.wait_for_row(&next[2]).await;
    assert_eq!((bar.row(&next[0]).await, bar.row(&next[1]).await), (None, None));
    for shard in 0..3 {
        resume(
            &bar.env.kafka,
            &bar.env.store,
            shard,
            Some("order_created"),
            Accept::Fingerprint,
        )
        .await
        .unwrap();
    }
    bar.wait_for_rows(23).await;
    bar.check_the_books().await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_word_on_a_shard_that_runs_loses_no_order() {
    let (bar, decided) = open().await;
    let running = bar.serve().await;
    resume(&bar.env.kafka, &bar.env.store, bar.shard(), None, Accept::Rewind)
        .await
        .unwrap();
    let orders = bar.burgers(30);
    bar.place_all(&orders).await;
    bar.wait_for_rows(decided + 30).await;
    bar.check_the_books().await;
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_taken_over_by_somebody_else_is_not_written_until_it_is_taken_back() {
    let (bar, decided) = open().await;
    let running = bar.serve().await;
    let first = bar.burgers(3);
    bar.place_all(&first).await;
    bar.wait_for_rows(decided + 3).await;
    let somebody = uuid::Uuid::new_v4();
    let taken = shards::take_over(&bar.env.store, &[bar.shard()], somebody)
        .await
        .unwrap();
    let orders = bar.burgers(9);
    bar.place_all(&orders).await;
    running
        .wait_for_metric("larder_stock_shards_stopped{reason=\"lost\"}", 1.0)
        .await;
    let row = shards::read(&bar.env.store, &[bar.shard()]).await.unwrap();
    assert_eq!(row, taken, "nothing of it is written");
    bar.wait_for_rows(decided + 12).await;
    bar.check_the_books().await;
    assert!(running.metric("larder_stock_conflicts_total") >= 1.0);
    running.close().await;
}
