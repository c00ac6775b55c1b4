//! The process's registry of metrics.
//!
//! Several services may run in one process, so each names its own `larder_<service>_…`. Units are base units (seconds,
//! bytes), counters end in `_total`, and no label holds a merchant.

use prometheus::{Encoder as _, IntGauge, Opts, Registry, TextEncoder};

/// A registry that knows what was built.
#[must_use]
pub fn registry() -> Registry {
    let registry = Registry::new();
    let built =
        Opts::new("larder_build_info", "What runs here; always 1.").const_label("version", env!("CARGO_PKG_VERSION"));
    let built = IntGauge::with_opts(built).expect("name and label are valid");
    built.set(1);
    registry.register(Box::new(built)).expect("the registry is empty");
    registry
}

/// Everything registered, in the text format of Prometheus.
pub fn render(registry: &Registry) -> Result<Vec<u8>, prometheus::Error> {
    let mut text = Vec::with_capacity(8192);
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}
