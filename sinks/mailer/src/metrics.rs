//! What the mailer counts.

use prometheus::{Gauge, Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};
use store::mail::Backlog;

/// The mailer's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Attempts by how they ended: sent, retry, failed.
    pub mails: IntCounterVec,
    /// How long handing over a mail took, whatever came of it.
    pub send_seconds: Histogram,
    /// Records put into the dead-letter topic for mails that failed.
    pub dead_letters: IntCounterVec,
    waiting: IntGauge,
    overdue: Gauge,
}

impl Metrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let mails = IntCounterVec::new(
            Opts::new(
                "larder_mailer_mails_total",
                "Attempts to send a mail, by result: sent, retry, failed.",
            ),
            &["result"],
        )?;
        for result in ["sent", "retry", "failed"] {
            mails.with_label_values(&[result]);
        }
        let send_seconds = Histogram::with_opts(
            HistogramOpts::new("larder_mailer_send_seconds", "Time to hand a mail to the mail server.").buckets(vec![
                0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
            ]),
        )?;
        let dead_letters = IntCounterVec::new(
            Opts::new(
                "larder_mailer_dead_letters_total",
                "Alerts whose mail failed for good, by reason.",
            ),
            &["reason"],
        )?;
        let waiting = IntGauge::new(
            "larder_mailer_alerts_waiting",
            "Alerts that are not sent and not given up.",
        )?;
        let overdue = Gauge::new(
            "larder_mailer_oldest_due_seconds",
            "For how long the oldest due mail has been due.",
        )?;
        registry.register(Box::new(mails.clone()))?;
        registry.register(Box::new(send_seconds.clone()))?;
        registry.register(Box::new(dead_letters.clone()))?;
        registry.register(Box::new(waiting.clone()))?;
        registry.register(Box::new(overdue.clone()))?;
        Ok(Self {
            mails,
            send_seconds,
            dead_letters,
            waiting,
            overdue,
        })
    }

    pub(crate) fn show(&self, backlog: &Backlog) {
        self.waiting.set(backlog.waiting);
        self.overdue.set(backlog.overdue.as_secs_f64());
    }

    pub(crate) fn count(&self, result: &str) {
        self.mails.with_label_values(&[result]).inc();
    }
}
