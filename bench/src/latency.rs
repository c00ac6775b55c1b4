//! Not measured yet.

use anyhow::{Result, bail};
use serde::Serialize;

use crate::load::Load;

/// What was measured, all in one run.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {}

pub(crate) async fn run(_load: &Load) -> Result<Figures> {
    bail!("latency is not measured yet")
}
