//! Flags and environment variables that several services share.
//!
//! Each group is a clap `Args` to be flattened into a command, and turns into the plain configuration of whoever uses
//! it. A secret may also be given as a file, by the variable's name with `_FILE` at its end.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use crate::secret::Secret;

mod database;
mod kafka;

pub use database::DatabaseArgs;
pub use kafka::{KafkaArgs, RegistryArgs};

/// The configuration is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Something that is needed is not given.
    #[error("{what} is not given: pass {flag} or set {env}")]
    Missing {
        /// What it is.
        what: &'static str,
        /// The flag that gives it.
        flag: &'static str,
        /// The environment variable that gives it.
        env: &'static str,
    },
    /// A file with a secret cannot be read.
    #[error("cannot read the secret in {}: check that it is there and may be read", path.display())]
    SecretFile {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Something is given that means nothing.
    #[error("{what} is wrong: {reason}")]
    Wrong {
        /// Flag and environment variable.
        what: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
}

/// What the process as a whole takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Process")]
pub struct ProcessArgs {
    /// Where /livez, /readyz and /metrics are
    #[arg(
        long,
        env = "LARDER_ADMIN_LISTEN",
        default_value = "0.0.0.0:9090",
        value_name = "ADDRESS"
    )]
    pub admin_listen: SocketAddr,
    /// How long a stop may take before it is forced, in seconds
    #[arg(long, env = "LARDER_SHUTDOWN_GRACE", default_value_t = 30, value_name = "SECONDS")]
    pub shutdown_grace: u64,
    /// What is logged: a level, or target=level pairs
    #[arg(long, env = "LARDER_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
}

impl ProcessArgs {
    /// How long a stop may take.
    #[must_use]
    pub const fn grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace)
    }
}

/// The value, or an error that names both ways to give it.
pub fn required<T>(
    value: Option<T>,
    what: &'static str,
    flag: &'static str,
    env: &'static str,
) -> Result<T, ConfigError> {
    value.ok_or(ConfigError::Missing { what, flag, env })
}

/// A secret and the file it may be in instead.
fn secret(value: Option<Secret>, file: Option<&Path>) -> Result<Option<Secret>, ConfigError> {
    Secret::resolve(value, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_by_flag_and_variable() {
        let error = required(None::<()>, "the database", "--database-url", "DATABASE_URL").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the database is not given: pass --database-url or set DATABASE_URL"
        );
    }
}
