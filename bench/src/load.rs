//! What every bench is asked to carry.

use std::{path::PathBuf, time::Duration};

/// How much of what, and which binary takes it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Load {
    /// Orders in a backlog
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) orders: u64,
    /// Merchants they are spread over; several numbers, by commas, give several drains
    #[arg(long, value_delimiter = ',', default_value = "1000", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) merchants: Vec<i64>,
    /// Drain as well with merchants drawn by Zipf's law (exponent 1) instead of evenly
    #[arg(long)]
    pub(crate) zipf: bool,
    /// Partitions of every topic
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) partitions: i32,
    /// What the orders are drawn from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How long each measurement by time takes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Rows in `orders` before each drain of `growth`
    #[arg(long, value_delimiter = ',', default_value = "0,10000000,50000000")]
    pub(crate) growth_rows: Vec<u64>,
    /// The `larder` to run; that of this build's folder unless said otherwise
    #[arg(long)]
    pub(crate) larder: Option<PathBuf>,
}

impl Load {
    /// How long each measurement by time takes.
    pub(crate) const fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The merchants of whatever has but one number of them.
    pub(crate) fn merchants(&self) -> i64 {
        self.merchants.first().copied().unwrap_or(1000)
    }
}
