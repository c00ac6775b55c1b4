//! Alerts become mails: which, how many, and what they say.

use std::{collections::BTreeMap, time::Duration};

use crate::kitchen::{Kitchen, PATIENCE, alert};
use testkit::{kafka::Raw, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_becomes_one_mail_to_all_recipients() {
    let kitchen = Kitchen::open().await;
    let mailer = kitchen.start(kitchen.config()).await;
    let mut onion = alert(1, "onion");
    onion.recipients = vec!["cook@example.org".to_owned(), "boss@example.org".to_owned()];
    kitchen.publish(&onion).await;

    let mails = kitchen.post.wait_for(1, PATIENCE).await.unwrap();
    assert_eq!(mails[0].from, "larder@example.org");
    assert_eq!(mails[0].to, ["cook@example.org", "boss@example.org"]);
    assert_eq!(mails[0].header("Subject").unwrap(), "Burger Bar: onion is below 50 %");
    assert_eq!(mails[0].header("To").unwrap(), "cook@example.org, boss@example.org");
    let message_id = format!("<{}@example.org>", onion.alert_id);
    assert_eq!(mails[0].header("Message-ID").unwrap(), message_id);
    let body = mails[0].body();
    for said in [
        "onion fell below 50 %",
        "500 g",
        "480 g",
        "1000 g",
        "50 %, that is 500 g",
        "text/html",
    ] {
        assert!(body.contains(said), "{said} is not in {body}");
    }
    let delivery = kitchen.wait_for_state(&onion, "sent").await;
    assert_eq!((delivery.attempts, delivery.message_id), (1, Some(message_id)));
    assert!(mailer.is_ready());
    assert!(
        mailer
            .metrics()
            .contains("larder_mailer_mails_total{result=\"sent\"} 1"),
        "{}",
        mailer.metrics()
    );
    mailer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_event_is_no_second_mail() {
    let kitchen = Kitchen::open().await;
    let mailer = kitchen.start(kitchen.config()).await;
    let (onion, after) = (alert(1, "onion"), alert(1, "bun"));
    kitchen.publish(&onion).await;
    kitchen.wait_for_state(&onion, "sent").await;
    kitchen.publish(&onion).await;
    // Same merchant, same partition: when this one is sent, the repeat was read before it.
    kitchen.publish(&after).await;
    kitchen.wait_for_state(&after, "sent").await;
    assert_eq!(kitchen.post.mails().len(), 2);
    mailer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_within_the_window_share_a_mail() {
    let kitchen = Kitchen::open().await;
    let alerts = [alert(1, "onion"), alert(1, "cheese"), alert(1, "lettuce")];
    let mut elsewhere = alert(1, "beef");
    elsewhere.recipients = vec!["butcher@example.org".to_owned()];
    let other_merchant = alert(2, "onion");
    for alert in alerts.iter().chain([&elsewhere, &other_merchant]) {
        kitchen.publish(alert).await;
    }
    let mut config = kitchen.config();
    config.digest_window = Duration::from_secs(3);
    let mailer = kitchen.start(config).await;
    for alert in alerts.iter().chain([&elsewhere, &other_merchant]) {
        kitchen.wait_for_state(alert, "sent").await;
    }
    let mails = kitchen.post.mails();
    let subjects: BTreeMap<_, _> = mails
        .iter()
        .map(|mail| (mail.to.join(","), mail.header("Subject").unwrap()))
        .collect();
    assert_eq!(mails.len(), 3, "{subjects:?}");
    assert_eq!(subjects["cook1@example.org"], "Burger Bar: 3 ingredients are low");
    assert_eq!(subjects["butcher@example.org"], "Burger Bar: beef is below 50 %");
    assert_eq!(subjects["cook2@example.org"], "Burger Bar: onion is below 50 %");
    let digest = mails
        .iter()
        .find(|mail| mail.to == ["cook1@example.org"])
        .unwrap()
        .body();
    for ingredient in ["onion", "cheese", "lettuce"] {
        assert!(digest.contains(&format!("{ingredient} fell below 50 %")), "{digest}");
    }
    mailer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_window_each_alert_is_its_own_mail() {
    let kitchen = Kitchen::open().await;
    let alerts = [alert(1, "onion"), alert(1, "cheese"), alert(1, "lettuce")];
    for alert in &alerts {
        kitchen.publish(alert).await;
    }
    let mailer = kitchen.start(kitchen.config()).await;
    assert_eq!(kitchen.post.wait_for(3, PATIENCE).await.unwrap().len(), 3);
    mailer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_mailers_send_no_mail_twice() {
    const ALERTS: i64 = 40;
    let kitchen = Kitchen::open().await;
    let first = kitchen.start(kitchen.config()).await;
    let second = kitchen.start(kitchen.config()).await;
    let alerts: Vec<_> = (0..ALERTS).map(|number| alert(number % 7, "onion")).collect();
    for alert in &alerts {
        kitchen.publish(alert).await;
    }
    for alert in &alerts {
        let delivery = kitchen.wait_for_state(alert, "sent").await;
        assert_eq!(delivery.attempts, 1);
    }
    let mut ids: Vec<_> = kitchen
        .post
        .mails()
        .iter()
        .map(|mail| mail.header("Message-ID").unwrap())
        .collect();
    assert_eq!(ids.len(), alerts.len());
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), alerts.len());
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nasty_name_is_neither_header_nor_html() {
    let kitchen = Kitchen::open().await;
    let mailer = kitchen.start(kitchen.config()).await;
    let mut nasty = alert(1, "<img src=x onerror=alert(1)>");
    nasty.merchant_name = "Bob\r\nBcc: all@example.org\r\n\r\n.\r\nMAIL FROM:<x@example.org>".to_owned();
    nasty.recipients = vec![
        "ok@example.org".to_owned(),
        "x@example.org>\r\nRCPT TO:<all@example.org".to_owned(),
    ];
    kitchen.publish(&nasty).await;
    let mails = kitchen.post.wait_for(1, PATIENCE).await.unwrap();
    assert_eq!(mails[0].to, ["ok@example.org"]);
    assert_eq!(mails[0].header("Bcc"), None);
    // In the text it stands as it is, in the HTML it is escaped.
    let body = mails[0].body();
    let (_, html) = body.split_once("Content-Type: text/html").unwrap();
    assert!(!html.contains("<img") && html.contains("&#60;img"), "{html}");
    let delivery = kitchen.wait_for_state(&nasty, "sent").await;
    assert!(delivery.last_error.unwrap().contains("is no address"));
    assert_eq!(kitchen.post.mails().len(), 1);
    mailer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_no_alert_goes_aside_and_the_next_is_sent() {
    let kitchen = Kitchen::open().await;
    let mailer = kitchen.start(kitchen.config()).await;
    let onion = alert(1, "onion");
    let raw = Raw {
        key: Some(b"1".to_vec()),
        value: Some(b"not an alert".to_vec()),
        ..Raw::default()
    };
    kitchen
        .env
        .produce(&kitchen.env.names().topic(&schemas::topics::NOTIFY), raw)
        .await;
    kitchen.publish(&onion).await;
    kitchen.wait_for_state(&onion, "sent").await;
    let letters = kitchen.wait_for_dead_letters(1).await;
    assert_eq!(
        stream::header(&letters[0].headers, "dlq_reason"),
        Some("not_wire_format")
    );
    wait_until("readiness", PATIENCE, async || mailer.is_ready()).await;
    mailer.stop().await;
}
