//! Mail servers that refuse, stall and hang up, and mailers that die.

use std::time::Duration;

use crate::kitchen::{Kitchen, PATIENCE, alert};
use mailcatcher::{Reply, Stage};
use schemas::events::Notify;
use secrecy::ExposeSecret as _;
use store::mail::{self, SourceRecord};
use stream::header;
use testkit::{
    Proxy,
    proxy::{At, Direction},
};
use url::Url;

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_put_off_is_sent_later() {
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::AfterDot] {
        let kitchen = Kitchen::open().await;
        kitchen
            .post
            .fail_next(stage, Reply::status(451, "4.7.1 try again later"));
        let mailer = kitchen.start(kitchen.config()).await;
        let onion = alert(1, "onion");
        kitchen.publish(&onion).await;
        let delivery = kitchen.wait_for_state(&onion, "sent").await;
        assert_eq!(delivery.attempts, 2, "{stage:?}");
        assert_eq!(kitchen.post.mails().len(), 1, "{stage:?}");
        mailer.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_mail_fails_and_its_record_goes_to_the_dead_letters() {
    let kitchen = Kitchen::open().await;
    kitchen
        .post
        .fail_next(Stage::AfterDot, Reply::status(550, "5.7.1 not wanted"));
    let mailer = kitchen.start(kitchen.config()).await;
    let onion = alert(1, "onion");
    let (partition, offset) = kitchen.publish(&onion).await;

    let delivery = kitchen.wait_for_state(&onion, "failed").await;
    assert_eq!(
        (delivery.attempts, delivery.failure.as_deref()),
        (1, Some("smtp_rejected"))
    );
    let letters = kitchen.wait_for_dead_letters(1).await;
    let original = &kitchen
        .env
        .records(&kitchen.env.names().topic(&schemas::topics::NOTIFY))
        .await[0];
    assert_eq!((&letters[0].key, &letters[0].value), (&original.key, &original.value));
    assert_eq!(&letters[0].headers[..original.headers.len()], &original.headers[..]);
    let said = |name| header(&letters[0].headers, name);
    assert_eq!(said("dlq_reason"), Some("smtp_rejected"));
    assert!(said("dlq_detail").unwrap().contains("not wanted"));
    assert_eq!(said("dlq_partition"), Some(partition.to_string().as_str()));
    assert_eq!(said("dlq_offset"), Some(offset.to_string().as_str()));
    testkit::wait_until("the mark of the dead letter", PATIENCE, async || {
        kitchen.delivery(&onion).await.unwrap().is_dead_lettered
    })
    .await;
    assert_eq!(kitchen.post.mails().len(), 0);
    mailer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_recipient_does_not_keep_the_mail_from_the_others() {
    let kitchen = Kitchen::open().await;
    kitchen.post.fail_when(Stage::Rcpt, |to| {
        to.contains("gone").then(|| Reply::status(550, "5.1.1 no such user"))
    });
    let mailer = kitchen.start(kitchen.config()).await;
    let mut onion = alert(1, "onion");
    onion.recipients = vec!["gone@example.org".to_owned(), "cook@example.org".to_owned()];
    let mut nobody = alert(2, "onion");
    nobody.recipients = vec!["gone@example.org".to_owned()];
    kitchen.publish(&onion).await;
    kitchen.publish(&nobody).await;
    let delivery = kitchen.wait_for_state(&onion, "sent").await;
    assert!(delivery.last_error.unwrap().contains("gone@example.org"));
    kitchen.wait_for_state(&nobody, "failed").await;
    let mails = kitchen.post.mails();
    assert_eq!((mails.len(), &mails[0].to), (1, &vec!["cook@example.org".to_owned()]));
    mailer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_without_a_valid_recipient_fails_with_a_dead_letter() {
    let kitchen = Kitchen::open().await;
    let mailer = kitchen.start(kitchen.config()).await;
    let (mut wrong, mut none) = (alert(1, "onion"), alert(2, "onion"));
    wrong.recipients = vec!["nobody".to_owned()];
    none.recipients.clear();
    for alert in [&wrong, &none] {
        kitchen.publish(alert).await;
        let delivery = kitchen.wait_for_state(alert, "failed").await;
        assert_eq!(delivery.failure.as_deref(), Some("no_valid_recipient"));
    }
    for letter in kitchen.wait_for_dead_letters(2).await {
        assert_eq!(header(&letter.headers, "dlq_reason"), Some("no_valid_recipient"));
    }
    mailer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stalls_is_left_and_tried_again() {
    for stage in [Stage::Greeting, Stage::Rcpt, Stage::AfterDot] {
        let kitchen = Kitchen::open().await;
        kitchen.post.fail_next(stage, Reply::Stall);
        let mut config = kitchen.config();
        config.smtp.send_timeout = Duration::from_secs(1);
        let mailer = kitchen.start(config).await;
        let (onion, bun) = (alert(1, "onion"), alert(1, "bun"));
        kitchen.publish(&onion).await;
        assert_eq!(kitchen.wait_for_state(&onion, "sent").await.attempts, 2, "{stage:?}");
        // The session that stalled is not used for the next mail.
        kitchen.publish(&bun).await;
        assert_eq!(kitchen.wait_for_state(&bun, "sent").await.attempts, 1, "{stage:?}");
        assert_eq!(kitchen.post.mails().len(), 2, "{stage:?}");
        mailer.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_repeats_the_mail_once_with_the_same_message_id() {
    let kitchen = Kitchen::open().await;
    kitchen.post.fail_next(Stage::AfterDot, Reply::KeepAndClose);
    let mailer = kitchen.start(kitchen.config()).await;
    let (onion, after) = (alert(1, "onion"), alert(1, "bun"));
    kitchen.publish(&onion).await;
    kitchen.wait_for_state(&onion, "sent").await;
    kitchen.publish(&after).await;
    kitchen.wait_for_state(&after, "sent").await;
    let ids: Vec<_> = kitchen
        .post
        .mails()
        .iter()
        .map(|mail| mail.header("Message-ID").unwrap())
        .collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
    mailer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_before_the_mail_itself_is_no_refusal_of_it() {
    let kitchen = Kitchen::open().await;
    kitchen
        .post
        .fail_next(Stage::Greeting, Reply::status(554, "5.3.2 no service"));
    kitchen
        .post
        .fail_next(Stage::Mail, Reply::status(530, "5.7.0 authentication required"));
    kitchen.post.fail_next(Stage::Greeting, Reply::Close);
    let mailer = kitchen.start(kitchen.config()).await;
    let onion = alert(1, "onion");
    kitchen.publish(&onion).await;
    assert_eq!(kitchen.wait_for_state(&onion, "sent").await.attempts, 4);
    mailer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_session_that_went_stale_costs_no_attempt() {
    let kitchen = Kitchen::open().await;
    let mut config = kitchen.config();
    config.workers = 1;
    let mailer = kitchen.start(config).await;
    let (first, second) = (alert(1, "onion"), alert(1, "bun"));
    kitchen.publish(&first).await;
    kitchen.wait_for_state(&first, "sent").await;
    kitchen.post.fail_next(Stage::Mail, Reply::Close);
    kitchen.publish(&second).await;
    assert_eq!(kitchen.wait_for_state(&second, "sent").await.attempts, 1);
    mailer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trying_ends_with_a_dead_letter() {
    let kitchen = Kitchen::open().await;
    kitchen
        .post
        .fail_when(Stage::Mail, |_| Some(Reply::status(451, "4.3.0 never today")));
    let mut config = kitchen.config();
    config.give_up_after = Duration::from_secs(1);
    let mailer = kitchen.start(config).await;
    let onion = alert(1, "onion");
    kitchen.publish(&onion).await;
    let delivery = kitchen.wait_for_state(&onion, "failed").await;
    assert_eq!(delivery.failure.as_deref(), Some("gave_up"));
    assert!(delivery.attempts > 1, "{delivery:?}");
    assert_eq!(
        header(&kitchen.wait_for_dead_letters(1).await[0].headers, "dlq_reason"),
        Some("gave_up")
    );
    mailer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_was_tried_takes_no_more_alerts() {
    let kitchen = Kitchen::open().await;
    kitchen
        .post
        .fail_when(Stage::Mail, |_| Some(Reply::status(451, "4.3.0 not yet")));
    let mut config = kitchen.config();
    config.digest_window = Duration::from_secs(1);
    let mailer = kitchen.start(config).await;
    let (first, later) = (alert(1, "onion"), alert(1, "bun"));
    kitchen.publish(&first).await;
    testkit::wait_until("a first attempt", PATIENCE, async || {
        kitchen
            .delivery(&first)
            .await
            .is_some_and(|delivery| delivery.attempts > 0)
    })
    .await;
    kitchen.publish(&later).await;
    testkit::wait_until("the later alert to be entered", PATIENCE, async || {
        kitchen.delivery(&later).await.is_some()
    })
    .await;
    kitchen.post.behave();
    let first = kitchen.wait_for_state(&first, "sent").await;
    let later = kitchen.wait_for_state(&later, "sent").await;
    assert_ne!(first.message_id, later.message_id);
    assert_eq!(kitchen.post.mails().len(), 2);
    mailer.stop().await;
}

/// What a mailer does that dies with a mail in its hands, and what the next one makes of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_mail_of_a_dead_mailer_is_sent_by_another_as_it_was() {
    let kitchen = Kitchen::open().await;
    let (onion, bun) = (alert(1, "onion"), alert(1, "bun"));
    for alert in [&onion, &bun] {
        let entered = mail::enter(
            &kitchen.env.store,
            alert,
            &record(alert),
            Duration::from_millis(1),
            Duration::from_hours(1),
        )
        .await
        .unwrap();
        assert!(entered);
    }
    let claimed = testkit::wait_for("a claim", PATIENCE, async || {
        mail::claim(&kitchen.env.store, Duration::from_secs(2), "example.org")
            .await
            .unwrap()
    })
    .await;
    assert_eq!(claimed.alerts.len(), 2, "both alerts share the digest");
    let while_leased = mail::claim(&kitchen.env.store, Duration::from_secs(2), "example.org")
        .await
        .unwrap();
    assert!(while_leased.is_none(), "{while_leased:?}");

    let mut config = kitchen.config();
    config.from = "Other <larder@elsewhere.example>".parse().unwrap();
    let mailer = kitchen.start(config).await;
    let delivery = kitchen.wait_for_state(&bun, "sent").await;
    assert_eq!(delivery.attempts, 2);
    let mails = kitchen.post.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].header("Message-ID").unwrap(), claimed.message_id);
    assert_eq!(mails[0].header("Subject").unwrap(), "Burger Bar: 2 ingredients are low");
    // The dead one wakes up: its claim is worth nothing any more.
    assert!(
        !mail::mark_failed(&kitchen.env.store, claimed.claim, "late", "late")
            .await
            .unwrap()
    );
    mailer.stop().await;
}

fn record(alert: &Notify) -> SourceRecord {
    SourceRecord {
        topic: "notify".to_owned(),
        partition: 0,
        offset: 0,
        key: Some(alert.merchant_id.to_string().into_bytes()),
        value: b"value".to_vec(),
        headers: vec![("ce_id".to_owned(), alert.alert_id.to_string().into_bytes())],
    }
}

/// The mail is out, and the line to the database is cut where the mark would pass.
#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_was_lost_is_written_again_and_the_mail_is_not_sent_again() {
    let kitchen = Kitchen::open().await;
    let mut url = Url::parse(kitchen.env.database.url.expose_secret()).unwrap();
    let proxy = Proxy::start(format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432))).await;
    url.set_ip_host(proxy.addr().ip()).unwrap();
    url.set_port(Some(proxy.addr().port())).unwrap();
    let mut config = kitchen.config();
    config.database.url = url.to_string().into();
    proxy.cut_at(Direction::ToServer, At::Before(b"SET state = 'sent'".to_vec()));
    let mailer = kitchen.start(config).await;
    let onion = alert(1, "onion");
    kitchen.publish(&onion).await;
    assert_eq!(kitchen.wait_for_state(&onion, "sent").await.attempts, 1);
    assert_eq!(proxy.cuts_done(), 1);
    assert_eq!(kitchen.post.mails().len(), 1);
    mailer.stop().await;
}
