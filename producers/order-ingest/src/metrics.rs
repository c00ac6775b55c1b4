//! What the service counts.

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// From a hit in memory to the time after which an order is answered 503.
const SECONDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5];

/// The service's metrics. Clones count the same.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) requests: IntCounterVec,
    pub(crate) seconds: HistogramVec,
    pub(crate) refused: IntCounterVec,
    pub(crate) orders_accepted: IntCounter,
    pub(crate) adjustments_accepted: IntCounter,
    pub(crate) catalogue_reads: IntCounterVec,
    pub(crate) catalogue_listening: IntGauge,
    pub(crate) queue: IntGauge,
    pub(crate) connections: IntGauge,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(format!("larder_ingest_{name}"), help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(format!("larder_ingest_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(format!("larder_ingest_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let seconds = HistogramVec::new(
            HistogramOpts::new("larder_ingest_request_seconds", "How long requests took.").buckets(SECONDS.to_vec()),
            &["route"],
        )?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self {
            requests: counters("requests_total", "Requests answered.", &["route", "status"])?,
            seconds,
            refused: counters("refused_total", "Requests refused, by code.", &["code"])?,
            orders_accepted: counter("orders_accepted_total", "Orders that Kafka holds.")?,
            adjustments_accepted: counter("adjustments_accepted_total", "Adjustments that Kafka holds.")?,
            catalogue_reads: counters("catalogue_reads_total", "Entries read from Postgres.", &["what"])?,
            catalogue_listening: gauge("catalogue_listening", "1 while changes of the catalogue are told.")?,
            queue: gauge("queue_records", "Records that wait for Kafka's acknowledgement.")?,
            connections: gauge("connections", "Connections held open.")?,
        })
    }
}
