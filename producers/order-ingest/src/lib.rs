//! order-ingest.
