//! Logs: text on a terminal, one JSON object a line elsewhere; both on standard error.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::{EnvFilter, filter::ParseError};

/// What libraries say below this is of no use to an operator; `LARDER_LOG` may name them all the same.
const QUIET: &str = "librdkafka=warn,rdkafka=warn,sqlx=warn,hyper=warn,h2=warn";

/// The filter of the log cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("--log or LARDER_LOG is no log filter: write it as info or larder=debug,stream=trace")]
pub struct FilterError(#[from] ParseError);

/// Starts logging; a second call changes nothing.
pub fn init(filter: &str) -> Result<(), FilterError> {
    let filter = EnvFilter::builder().parse(format!("{QUIET},{filter}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    // An error means that a subscriber is there already, as in tests.
    let _ = if stderr().is_terminal() {
        builder.try_init()
    } else {
        builder.json().flatten_event(true).with_span_list(false).try_init()
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_refused() {
        assert!(init("stream=loud").is_err());
        assert!(init("info,stream=debug").is_ok());
    }
}
