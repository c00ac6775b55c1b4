//! The topics a shard is made of.

use schemas::{
    Topic,
    topics::{ORDER_CREATED, STOCK_ADJUSTED},
};
use store::shards::{Progress, ShardRow};

/// A topic the stock-processor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    OrderCreated,
    StockAdjusted,
}

impl Source {
    pub(crate) const ALL: [Self; 2] = [Self::OrderCreated, Self::StockAdjusted];

    pub(crate) const fn topic(self) -> &'static Topic {
        match self {
            Self::OrderCreated => &ORDER_CREATED,
            Self::StockAdjusted => &STOCK_ADJUSTED,
        }
    }

    pub(crate) const fn progress(self, row: &ShardRow) -> &Progress {
        match self {
            Self::OrderCreated => &row.order_created,
            Self::StockAdjusted => &row.stock_adjusted,
        }
    }

    pub(crate) const fn progress_mut(self, row: &mut ShardRow) -> &mut Progress {
        match self {
            Self::OrderCreated => &mut row.order_created,
            Self::StockAdjusted => &mut row.stock_adjusted,
        }
    }
}
