//! Mails about alerts: what is to be sent, who is at it, what became of it.
//!
//! A mail is a digest of one or more alerts. Only the row of the alert that leads it is looked for and locked; every
//! statement then writes all rows of the digest, so they always share state, attempts and due time.

use std::time::Duration;

use domain::{
    amount::Quantity,
    ids::{AlertId, IngredientId, MerchantId},
};
use schemas::events::{Micros, Notify};
use sqlx::postgres::types::PgInterval;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{database::Database, error::StoreError};

/// A record as it was read, so that it can be put into the dead-letter topic later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRecord {
    /// Where it was read.
    pub topic: String,
    /// In which partition.
    pub partition: i32,
    /// At which offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Vec<u8>,
    /// Its headers, in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl SourceRecord {
    fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        std::str::from_utf8(value).ok()
    }
}

/// The right to send a mail and to write its outcome, until the lease runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose alerts they are.
    pub merchant_id: MerchantId,
    /// Which digest.
    pub digest_id: Uuid,
    /// Which attempt this is, from 1.
    pub attempt: i32,
}

/// A mail to be sent now.
#[derive(Clone, Debug)]
pub struct ClaimedMail {
    /// Needed to write the outcome.
    pub claim: Claim,
    /// The same in every attempt.
    pub message_id: String,
    /// Whether this is the last attempt.
    pub is_last: bool,
    /// `traceparent` of the first alert.
    pub traceparent: Option<String>,
    /// What it tells, oldest first; never empty, and all with the same recipients.
    pub alerts: Vec<Notify>,
}

/// The record of a failed alert, to be put into the dead-letter topic.
#[derive(Clone, Debug)]
pub struct OwedDeadLetter {
    /// Whose alert it is.
    pub merchant_id: MerchantId,
    /// Which alert.
    pub alert_id: AlertId,
    /// Why it failed, as a word for programs.
    pub failure: String,
    /// And as a sentence for people.
    pub detail: String,
    /// How often it was tried.
    pub attempts: i32,
    /// The record.
    pub record: SourceRecord,
}

/// What became of an alert's mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// `pending`, `sending`, `sent` or `failed`.
    pub state: String,
    /// How often sending was begun.
    pub attempts: i32,
    /// The mail's Message-ID, once sending was begun.
    pub message_id: Option<String>,
    /// What went wrong last, also where the mail reached only some of its recipients.
    pub last_error: Option<String>,
    /// Why it failed for good.
    pub failure: Option<String>,
    /// Whether its record is in the dead-letter topic.
    pub is_dead_lettered: bool,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Alerts that are not sent and not given up.
    pub waiting: i64,
    /// Time until the next mail is due; zero if one is due now, none if nothing waits.
    pub next_due: Option<Duration>,
    /// For how long the oldest due mail has been due.
    pub overdue: Duration,
}

/// Enters an alert, unless it is there already; says whether it was entered.
///
/// Within `window` of the first, alerts of one merchant to the same recipients join its digest; with a window of zero
/// each alert is a mail of its own.
pub async fn enter(
    database: &Database,
    alert: &Notify,
    record: &SourceRecord,
    window: Duration,
    give_up_after: Duration,
) -> Result<bool, StoreError> {
    let merchant_id = alert.merchant_id.get();
    let mut tx = database.pool().begin().await?;
    // The lock keeps the leader from being claimed before this alert is committed with it; a claim skips it meanwhile.
    // If a claim was first, this waits for it and then finds no open digest.
    let open = if window.is_zero() {
        None
    } else {
        sqlx::query!(
            "SELECT digest_id, due_at, give_up_at
             FROM mail_deliveries
             WHERE merchant_id = $1 AND state = 'pending' AND attempts = 0 AND alert_id = digest_id AND recipients = $2
             ORDER BY due_at DESC
             LIMIT 1
             FOR UPDATE",
            merchant_id,
            &alert.recipients,
        )
        .fetch_optional(&mut *tx)
        .await?
    };
    let (digest_id, due_at, give_up_at) = match open {
        Some(open) => (open.digest_id, Some(open.due_at), Some(open.give_up_at)),
        None => (alert.alert_id.get(), None, None),
    };
    let (header_names, header_values): (Vec<String>, Vec<Vec<u8>>) = record.headers.iter().cloned().unzip();
    let entered = sqlx::query!(
        "INSERT INTO mail_deliveries (
             merchant_id, alert_id, digest_id, due_at, give_up_at, merchant_name, recipients, ingredient_id,
             ingredient_name, unit, level_before, level_after, full_level, threshold_pct, raised_at, source_topic,
             source_partition, source_offset, ce_id, traceparent, record_key, record_value, header_names, header_values)
         VALUES (
             $1, $2, $3, COALESCE($4, now() + $5::interval), COALESCE($6, now() + $7::interval), $8, $9, $10,
             $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)
         ON CONFLICT (merchant_id, alert_id) DO NOTHING",
        merchant_id,
        alert.alert_id.get(),
        digest_id,
        due_at,
        interval(window),
        give_up_at,
        interval(give_up_after),
        alert.merchant_name,
        &alert.recipients,
        alert.ingredient_id.get(),
        alert.ingredient_name,
        alert.unit,
        alert.level_before.get(),
        alert.level_after.get(),
        alert.full_level.get(),
        alert.threshold_pct,
        moment(alert.raised_at)?,
        record.topic,
        record.partition,
        record.offset,
        record.header("ce_id"),
        record.header("traceparent"),
        record.key,
        record.value,
        &header_names,
        &header_values,
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    tx.commit().await?;
    Ok(entered == 1)
}

/// Takes the mail that has been due longest; for the time of `lease` nobody else takes it.
///
/// A mail whose lease ran out (its mailer died) is taken again, with the alerts and the Message-ID it had.
/// `domain` is the right-hand side of a new Message-ID.
pub async fn claim(database: &Database, lease: Duration, domain: &str) -> Result<Option<ClaimedMail>, StoreError> {
    let mut tx = database.pool().begin().await?;
    // SKIP LOCKED: another mailer, or an alert that is just joining, has the row; there is other work meanwhile.
    let Some(leader) = sqlx::query!(
        "SELECT merchant_id, digest_id
         FROM mail_deliveries
         WHERE state IN ('pending', 'sending') AND due_at <= now() AND alert_id = digest_id
         ORDER BY due_at
         LIMIT 1
         FOR UPDATE SKIP LOCKED"
    )
    .fetch_optional(&mut *tx)
    .await?
    else {
        return Ok(None);
    };
    // A statement of its own: its snapshot is taken under the lock, so it sees every alert that joined before.
    let mut rows = sqlx::query!(
        "UPDATE mail_deliveries
         SET state = 'sending', attempts = attempts + 1, due_at = now() + $3::interval,
             message_id = COALESCE(message_id, '<' || digest_id || '@' || $4::text || '>')
         WHERE merchant_id = $1 AND digest_id = $2 AND state IN ('pending', 'sending')
         RETURNING alert_id, attempts, message_id AS \"message_id!\", give_up_at <= now() AS \"is_last!\", traceparent,
             merchant_name, recipients, ingredient_id, ingredient_name, unit, level_before, level_after, full_level,
             threshold_pct, raised_at",
        leader.merchant_id,
        leader.digest_id,
        interval(lease),
        domain,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;

    rows.sort_by_key(|row| (row.alert_id != leader.digest_id, row.raised_at, row.alert_id));
    let Some(first) = rows.first() else {
        return Err(StoreError::Conflict(format!(
            "mail {} vanished while it was locked",
            leader.digest_id
        )));
    };
    let merchant_id = MerchantId::new(leader.merchant_id);
    let claim = Claim {
        merchant_id,
        digest_id: leader.digest_id,
        attempt: first.attempts,
    };
    let (message_id, is_last, traceparent) = (first.message_id.clone(), first.is_last, first.traceparent.clone());
    let alerts = rows
        .into_iter()
        .map(|row| {
            Ok(Notify {
                alert_id: AlertId::new(row.alert_id),
                merchant_id,
                merchant_name: row.merchant_name,
                ingredient_id: IngredientId::new(row.ingredient_id),
                ingredient_name: row.ingredient_name,
                unit: row.unit,
                level_before: quantity(row.level_before)?,
                level_after: quantity(row.level_after)?,
                full_level: quantity(row.full_level)?,
                threshold_pct: row.threshold_pct,
                recipients: row.recipients,
                raised_at: micros(row.raised_at),
            })
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(Some(ClaimedMail {
        claim,
        message_id,
        is_last,
        traceparent,
        alerts,
    }))
}

/// The mail is with the mail server; `note` says who it did not reach. False: the claim had run out.
pub async fn mark_sent(database: &Database, claim: Claim, note: Option<&str>) -> Result<bool, StoreError> {
    let rows = sqlx::query!(
        "UPDATE mail_deliveries
         SET state = 'sent', sent_at = now(), last_error = $4
         WHERE merchant_id = $1 AND digest_id = $2 AND state = 'sending' AND attempts = $3",
        claim.merchant_id.get(),
        claim.digest_id,
        claim.attempt,
        note,
    )
    .execute(database.pool())
    .await?
    .rows_affected();
    Ok(rows > 0)
}

/// The mail is to be tried again after `delay`, but once more before trying ends. False: the claim had run out.
pub async fn reschedule(database: &Database, claim: Claim, delay: Duration, error: &str) -> Result<bool, StoreError> {
    let rows = sqlx::query!(
        "UPDATE mail_deliveries
         SET state = 'pending', due_at = LEAST(now() + $4::interval, GREATEST(give_up_at, now())), last_error = $5
         WHERE merchant_id = $1 AND digest_id = $2 AND state = 'sending' AND attempts = $3",
        claim.merchant_id.get(),
        claim.digest_id,
        claim.attempt,
        interval(delay),
        error,
    )
    .execute(database.pool())
    .await?
    .rows_affected();
    Ok(rows > 0)
}

/// The mail will never be sent; its records are owed to the dead-letter topic. False: the claim had run out.
pub async fn mark_failed(database: &Database, claim: Claim, failure: &str, detail: &str) -> Result<bool, StoreError> {
    let rows = sqlx::query!(
        "UPDATE mail_deliveries
         SET state = 'failed', due_at = now(), failure = $4, last_error = $5
         WHERE merchant_id = $1 AND digest_id = $2 AND state = 'sending' AND attempts = $3",
        claim.merchant_id.get(),
        claim.digest_id,
        claim.attempt,
        failure,
        detail,
    )
    .execute(database.pool())
    .await?
    .rows_affected();
    Ok(rows > 0)
}

/// Takes up to `limit` records that are owed to the dead-letter topic; for the time of `lease` nobody else takes them.
pub async fn owed_dead_letters(
    database: &Database,
    limit: i64,
    lease: Duration,
) -> Result<Vec<OwedDeadLetter>, StoreError> {
    // The lock ends with this statement; the moved due_at is what keeps other mailers away while Kafka is written.
    let rows = sqlx::query!(
        "UPDATE mail_deliveries AS mail
         SET due_at = now() + $2::interval
         FROM (
             SELECT merchant_id, alert_id
             FROM mail_deliveries
             WHERE state = 'failed' AND dead_lettered_at IS NULL AND due_at <= now()
             ORDER BY due_at
             LIMIT $1
             FOR UPDATE SKIP LOCKED
         ) AS owed
         WHERE mail.merchant_id = owed.merchant_id AND mail.alert_id = owed.alert_id
         RETURNING mail.merchant_id, mail.alert_id, mail.failure AS \"failure!\", mail.last_error, mail.attempts,
             mail.source_topic, mail.source_partition, mail.source_offset, mail.record_key, mail.record_value,
             mail.header_names, mail.header_values",
        limit,
        interval(lease),
    )
    .fetch_all(database.pool())
    .await?;
    let owed = rows.into_iter().map(|row| OwedDeadLetter {
        merchant_id: MerchantId::new(row.merchant_id),
        alert_id: AlertId::new(row.alert_id),
        failure: row.failure,
        detail: row.last_error.unwrap_or_default(),
        attempts: row.attempts,
        record: SourceRecord {
            topic: row.source_topic,
            partition: row.source_partition,
            offset: row.source_offset,
            key: row.record_key,
            value: row.record_value,
            headers: row.header_names.into_iter().zip(row.header_values).collect(),
        },
    });
    Ok(owed.collect())
}

/// The record of a failed alert is in the dead-letter topic.
pub async fn mark_dead_lettered(
    database: &Database,
    merchant_id: MerchantId,
    alert_id: AlertId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE mail_deliveries
         SET dead_lettered_at = now()
         WHERE merchant_id = $1 AND alert_id = $2 AND state = 'failed'",
        merchant_id.get(),
        alert_id.get(),
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// What became of an alert's mail; none where no such alert was entered.
pub async fn delivery(
    database: &Database,
    merchant_id: MerchantId,
    alert_id: AlertId,
) -> Result<Option<Delivery>, StoreError> {
    let delivery = sqlx::query_as!(
        Delivery,
        "SELECT state, attempts, message_id, last_error, failure, dead_lettered_at IS NOT NULL AS \"is_dead_lettered!\"
         FROM mail_deliveries
         WHERE merchant_id = $1 AND alert_id = $2",
        merchant_id.get(),
        alert_id.get(),
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(delivery)
}

/// How much there is to do, and when next.
pub async fn backlog(database: &Database) -> Result<Backlog, StoreError> {
    let row = sqlx::query!(
        "SELECT count(*) AS \"waiting!\", (extract(epoch FROM min(due_at) - now()) * 1000)::bigint AS next_due_ms
         FROM mail_deliveries
         WHERE state IN ('pending', 'sending')"
    )
    .fetch_one(database.pool())
    .await?;
    let due_ms = row.next_due_ms.unwrap_or_default();
    Ok(Backlog {
        waiting: row.waiting,
        next_due: row
            .next_due_ms
            .map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default())),
        overdue: Duration::from_millis(u64::try_from(due_ms.saturating_neg()).unwrap_or_default()),
    })
}

/// Postgres counts microseconds; what is beyond its range is as good as for ever.
fn interval(duration: Duration) -> PgInterval {
    const CENTURY_DAYS: i32 = 36_525;
    match i64::try_from(duration.as_micros()) {
        Ok(microseconds) if duration < Duration::from_hours(24 * 36_525) => PgInterval {
            months: 0,
            days: 0,
            microseconds,
        },
        _ => PgInterval {
            months: 0,
            days: CENTURY_DAYS,
            microseconds: 0,
        },
    }
}

fn moment(at: Micros) -> Result<OffsetDateTime, StoreError> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1000)
        .map_err(|_| StoreError::Conflict(format!("raised_at {} is no moment of the calendar", at.0)))
}

fn micros(at: OffsetDateTime) -> Micros {
    Micros(i64::try_from(at.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX))
}

fn quantity(amount: i64) -> Result<Quantity, StoreError> {
    Quantity::new(amount)
        .map_err(|_| StoreError::Conflict(format!("mail_deliveries holds {amount}, which is no amount")))
}
