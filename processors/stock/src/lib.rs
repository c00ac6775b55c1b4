//! stock-processor.
