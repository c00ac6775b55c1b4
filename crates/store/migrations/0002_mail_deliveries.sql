-- What the mailer has to send and what became of it: a row an alert, written before its record counts as read.
--
-- Alerts of one merchant that go out in one mail share a digest. Its first alert gives it its id and leads it: only
-- the leader's row is looked for, locked and scheduled, the others follow it. A digest whose mail was tried once takes
-- no more alerts, so that every repeat of the mail says the same.

CREATE TABLE mail_deliveries (
    merchant_id      bigint NOT NULL,
    alert_id         uuid NOT NULL,
    -- The alert that leads the digest; its own id where it leads or is alone.
    digest_id        uuid NOT NULL,
    -- pending: to be sent at due_at; sending: somebody is at it until due_at, then it may be taken again.
    state            text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sending', 'sent', 'failed')),
    due_at           timestamptz NOT NULL,
    -- When trying ends.
    give_up_at       timestamptz NOT NULL,
    -- How often sending was begun; also tells the claim that may write the outcome from one that ran out.
    attempts         integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- The same in every attempt, so that a mail server can drop a repeat.
    message_id       text,
    -- What went wrong last, also where the mail reached some of its recipients.
    last_error       text,
    sent_at          timestamptz,
    -- Why it failed for good, and when its record was put into the dead-letter topic.
    failure          text,
    dead_lettered_at timestamptz,
    -- What the mail says.
    merchant_name    text NOT NULL,
    recipients       text[] NOT NULL,
    ingredient_id    bigint NOT NULL,
    ingredient_name  text NOT NULL,
    unit             text NOT NULL,
    level_before     bigint NOT NULL,
    level_after      bigint NOT NULL,
    full_level       bigint NOT NULL,
    threshold_pct    integer NOT NULL,
    raised_at        timestamptz NOT NULL,
    -- The record as it was read, for the dead-letter topic and for whoever follows a trace.
    source_topic     text NOT NULL,
    source_partition integer NOT NULL,
    source_offset    bigint NOT NULL,
    ce_id            text,
    traceparent      text,
    record_key       bytea,
    record_value     bytea NOT NULL,
    header_names     text[] NOT NULL,
    header_values    bytea[] NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (merchant_id, alert_id),
    CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
    CHECK ((state = 'failed') = (failure IS NOT NULL)),
    CHECK (cardinality(header_names) = cardinality(header_values))
);

-- What to send next; small, because sent and failed mails leave it.
CREATE INDEX mail_deliveries_due ON mail_deliveries (due_at) WHERE state IN ('pending', 'sending');
-- The alerts of a digest, and the digest that is still open.
CREATE INDEX mail_deliveries_digest ON mail_deliveries (merchant_id, digest_id);
CREATE INDEX mail_deliveries_open ON mail_deliveries (merchant_id) WHERE state = 'pending' AND attempts = 0 AND alert_id = digest_id;
-- Failed mails whose record is still owed to the dead-letter topic.
CREATE INDEX mail_deliveries_owed ON mail_deliveries (due_at) WHERE state = 'failed' AND dead_lettered_at IS NULL;
