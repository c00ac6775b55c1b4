//! Topics are readable by whoever comes: larder tail, fastavro, kcat, Kafka's own tools.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use schemas::{
    TOPICS,
    events::{OrderConfirmed, StockRejected, StockReserved},
    topics::{NOTIFY, ORDER_CANCELLED, ORDER_CREATED, STOCK_ADJUSTED},
};
use serde_json::{Value, json};
use testkit::{kafka::Raw, wait_until};

use crate::larder::{Demo, Larder, PATIENCE, Services};

#[tokio::test(flavor = "multi_thread")]
async fn every_record_reads_the_same_by_tail_and_by_an_independent_client() {
    let (mut larder, demo) = with_traffic().await;
    for topic in TOPICS {
        let records = larder.env.records(&larder.env.names().topic(topic)).await;
        // Payments are what cancels orders, and there are none.
        assert_eq!(records.is_empty(), *topic == ORDER_CANCELLED, "{}", topic.name);
        if records.is_empty() {
            continue;
        }
        let tailed = tail(&larder, topic.name, records.len());
        for (line, record) in tailed.iter().zip(&records) {
            assert_eq!(line["key"], demo.merchant_id.to_string());
            assert_eq!(line["value"]["merchant_id"], demo.merchant_id);
            assert_eq!(
                (&line["partition"], &line["offset"]),
                (&json!(record.partition), &json!(record.offset))
            );
            let headers = &line["headers"];
            assert_eq!(headers["ce_type"], topic.event_type);
            assert_eq!(headers["ce_source"], topic.source);
            assert_eq!(
                (&headers["ce_specversion"], &headers["content-type"]),
                (&json!("1.0"), &json!("application/avro"))
            );
            assert!(
                headers["ce_id"].is_string() && headers["ce_time"].is_string(),
                "{headers}"
            );
        }
        let decoded = fastavro(&larder, records.iter().map(|record| record.value.clone().unwrap()));
        let tailed: Vec<Value> = tailed.into_iter().map(|mut line| line["value"].take()).collect();
        assert_eq!(decoded, tailed, "{}", topic.name);
    }
    larder.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_decode_is_shown_and_tail_goes_on() {
    let (mut larder, _) = with_traffic().await;
    let topic = larder.env.names().topic(&NOTIFY);
    let before = larder.env.records(&topic).await.len();
    for value in [b"no wire format".to_vec(), vec![0, 0x7f, 0, 0, 0, 1]] {
        let raw = Raw {
            partition: Some(0),
            value: Some(value),
            ..Raw::default()
        };
        larder.env.produce(&topic, raw).await;
    }
    let lines = tail(&larder, NOTIFY.name, before + 2);
    let errors: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["value"]["error"].as_str())
        .collect();
    assert_eq!(
        errors,
        ["not in the wire format", "the registry knows no schema 2130706432"]
    );
    // The mailer puts them aside, where they can be read with the reason.
    let dead_letters = format!("{}.mailer.dlq", NOTIFY.name);
    let aside = tail(&larder, &dead_letters, 2);
    assert_eq!(aside[0]["value"]["hex"], "6e6f207769726520666f726d6174");
    assert_eq!(aside[0]["headers"]["dlq_reason"], "not_wire_format");
    larder.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kcat_shows_keys_and_headers() {
    let (mut larder, demo) = with_traffic().await;
    let topic = larder.env.names().topic(&ORDER_CREATED);
    let mut kcat = Command::new("kcat");
    kcat.args([
        "-b",
        &larder.env.kafka.bootstrap_servers,
        "-t",
        &topic,
        "-C",
        "-o",
        "beginning",
        "-e",
        "-q",
    ]);
    let lines = output(kcat.args(["-f", "%k %h\n"]));
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), larder.env.records(&topic).await.len());
    for line in lines {
        assert!(
            line.starts_with(&format!("{} ce_specversion=1.0,ce_id=", demo.merchant_id)),
            "{line}"
        );
        assert!(line.contains(",ce_type=larder.events.OrderCreated,"), "{line}");
    }
    larder.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafkas_own_tools_show_the_lag_of_a_group() {
    let (mut larder, _) = with_traffic().await;
    let (topic, group) = (
        larder.env.names().topic(&ORDER_CREATED),
        larder.env.names().group("stock"),
    );
    let written: i64 = larder.env.ends(&topic).await.iter().sum();
    // Offsets are committed after the work, so the group is a little behind at first.
    wait_until("the group's offsets", PATIENCE, async || {
        let rows = describe(&larder, &group);
        let of_topic: Vec<_> = rows.iter().filter(|row| row["TOPIC"] == topic).collect();
        let sum = |column| {
            of_topic
                .iter()
                .filter_map(|row| row[column].parse::<i64>().ok())
                .sum::<i64>()
        };
        of_topic.len() == 3 && sum("LAG") == 0 && sum("LOG-END-OFFSET") == written
    })
    .await;
    larder.stop().await;
}

/// Services, and a record on every topic but `order_cancelled`.
async fn with_traffic() -> (Larder, Demo) {
    let larder = Larder::start(Services::All).await;
    let demo = larder.demo();
    let key = demo.api_key.as_str();
    let (customer, burger) = (json!("demo-customer"), json!("burger"));
    let waste = json!({ "kind": "waste", "amount": 400, "reason": "dropped — twice" });
    let (status, answer) = larder.post(key, "/ingredients/onion/adjustments", &waste).await;
    assert_eq!(status, 202, "{answer}");
    for quantity in [1, 2, 3, 100] {
        let id = larder.order(key, &customer, &[(burger.clone(), quantity)]).await;
        let expected = if quantity < 100 { "confirmed" } else { "rejected" };
        assert_eq!(larder.decided(key, &id).await["status"], expected);
    }
    let more = json!({ "kind": "recount", "level": 100, "reason": "counted" });
    let (status, answer) = larder.post(key, "/ingredients/onion/adjustments", &more).await;
    assert_eq!(status, 202, "{answer}");
    larder.env.wait_for_events::<StockReserved>(3, PATIENCE).await;
    larder.env.wait_for_events::<OrderConfirmed>(3, PATIENCE).await;
    larder.env.wait_for_events::<StockRejected>(1, PATIENCE).await;
    let adjusted = larder.env.names().topic(&STOCK_ADJUSTED);
    larder.env.wait_for_records(&adjusted, 2, PATIENCE).await;
    larder.mails.wait_for(1, PATIENCE).await.unwrap();
    (larder, demo)
}

/// What `larder tail` prints of a topic, in the order of partitions and offsets.
fn tail(larder: &Larder, topic: &str, count: usize) -> Vec<Value> {
    let printed = larder.command(&["tail", topic, "--from", "beginning", "--count", &count.to_string()]);
    let mut lines: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), count);
    lines.sort_by_key(|line| (line["partition"].as_i64(), line["offset"].as_i64()));
    lines
}

/// Decodes values by Python's fastavro and the registry.
fn fastavro(larder: &Larder, values: impl Iterator<Item = Vec<u8>>) -> Vec<Value> {
    let script = testkit::servers::workspace().join("tests/decode.py");
    let mut python = Command::new(python());
    python
        .arg(script)
        .arg(&larder.env.registry.url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    let input: Vec<String> = values.map(|value| serde_json::to_string(&value).unwrap()).collect();
    python
        .stdin
        .take()
        .unwrap()
        .write_all(input.join("\n").as_bytes())
        .unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn python() -> PathBuf {
    let python = std::env::var_os("LARDER_PYTHON")
        .map_or_else(|| testkit::servers::target().join("venv/bin/python"), PathBuf::from);
    assert!(
        python.exists(),
        "there is no {}: run `cargo xtask test`, which makes it",
        python.display()
    );
    python
}

/// `kafka-consumer-groups --describe`, a map from column to value a row.
fn describe(larder: &Larder, group: &str) -> Vec<BTreeMap<String, String>> {
    let mut java = Command::new("java");
    java.arg("-cp").arg(testkit::servers::kafka_home().join("libs/*"));
    java.arg("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand");
    let text = output(java.args([
        "--bootstrap-server",
        &larder.env.kafka.bootstrap_servers,
        "--describe",
        "--group",
        group,
    ]));
    let mut lines = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(str::split_whitespace);
    let columns: Vec<&str> = lines
        .by_ref()
        .find_map(|mut line| (line.clone().next() == Some("GROUP")).then(|| line.by_ref().collect()))
        .unwrap_or_default();
    let row = |line: std::str::SplitWhitespace<'_>| {
        columns
            .iter()
            .map(ToString::to_string)
            .zip(line.map(str::to_owned))
            .collect()
    };
    lines.map(row).collect()
}

fn output(command: &mut Command) -> String {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(output.status.success(), "{command:?} ended with {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
