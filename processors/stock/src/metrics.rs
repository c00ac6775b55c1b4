//! What the stock-processor counts.

use prometheus::{
    Error, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, core::Collector,
    exponential_buckets,
};

use crate::assignment::Stop;

/// The stock-processor's metrics.
pub(crate) struct Metrics {
    pub(crate) orders: IntCounterVec,
    pub(crate) adjustments: IntCounterVec,
    pub(crate) alerts: IntCounter,
    pub(crate) dead_letters: IntCounterVec,
    pub(crate) republished: IntCounter,
    pub(crate) conflicts: IntCounter,
    pub(crate) rebalances: IntCounter,
    pub(crate) shards: IntGauge,
    pub(crate) stopped: IntGaugeVec,
    pub(crate) stalled: IntGauge,
    pub(crate) batch_records: Histogram,
    pub(crate) apply_seconds: Histogram,
    pub(crate) publish_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let seconds = exponential_buckets(0.001, 2.0, 14)?;
        let sizes = exponential_buckets(1.0, 4.0, 9)?;
        let metrics = Self {
            orders: counters(registry, "orders_total", "Orders decided, by result.", "result")?,
            adjustments: counters(registry, "adjustments_total", "Changes of stock, by result.", "result")?,
            alerts: add(
                registry,
                IntCounter::new(name("crossings_total"), "Falls below a threshold.")?,
            )?,
            dead_letters: counters(
                registry,
                "dead_letters_total",
                "Records put aside, by reason.",
                "reason",
            )?,
            republished: add(
                registry,
                IntCounter::new(name("republished_total"), "Records told again after a change of owner.")?,
            )?,
            conflicts: add(
                registry,
                IntCounter::new(
                    name("conflicts_total"),
                    "Batches refused because rows were not as expected.",
                )?,
            )?,
            rebalances: add(
                registry,
                IntCounter::new(name("rebalances_total"), "Assignments received.")?,
            )?,
            shards: add(registry, IntGauge::new(name("shards"), "Shards owned.")?)?,
            stopped: add(
                registry,
                IntGaugeVec::new(
                    Opts::new(
                        name("shards_stopped"),
                        "Shards not consumed until an operator decides, by reason.",
                    ),
                    &["reason"],
                )?,
            )?,
            stalled: add(
                registry,
                IntGauge::new(
                    name("partitions_stalled"),
                    "Partitions that stand still while records wait.",
                )?,
            )?,
            batch_records: histogram(registry, "batch_records", "Records in a batch.", sizes)?,
            apply_seconds: histogram(registry, "apply_seconds", "Time to apply a batch.", seconds.clone())?,
            publish_seconds: histogram(registry, "publish_seconds", "Time to publish a batch.", seconds)?,
        };
        // A label that was never set is a line that no rule can look at.
        for result in ["confirmed", "rejected", "duplicate"] {
            metrics.orders.with_label_values(&[result]);
        }
        for reason in Stop::REASONS {
            metrics.stopped.with_label_values(&[reason]);
        }
        Ok(metrics)
    }
}

fn name(name: &str) -> String {
    format!("larder_stock_{name}")
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counters(registry: &Registry, short: &str, help: &str, label: &str) -> Result<IntCounterVec, Error> {
    add(registry, IntCounterVec::new(Opts::new(name(short), help), &[label])?)
}

fn histogram(registry: &Registry, short: &str, help: &str, buckets: Vec<f64>) -> Result<Histogram, Error> {
    add(
        registry,
        Histogram::with_opts(HistogramOpts::new(name(short), help).buckets(buckets))?,
    )
}
