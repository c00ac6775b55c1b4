//! mailcatcher.
