//! Postgres.

use std::path::PathBuf;

use clap::Args;
use store::DatabaseConfig;

use super::{ConfigError, required, secret};
use crate::secret::Secret;

/// How Postgres is reached.
#[allow(
    clippy::struct_field_names,
    reason = "a field is a flag, and flags of all groups stand side by side"
)]
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Postgres")]
pub struct DatabaseArgs {
    /// `postgres://user:password@host:port/database`
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<Secret>,
    /// File that holds it instead
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE")]
    pub database_url_file: Option<PathBuf>,
    /// The most connections one service opens
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value_t = 8, value_name = "N")]
    pub database_max_connections: u32,
}

impl TryFrom<DatabaseArgs> for DatabaseConfig {
    type Error = ConfigError;

    fn try_from(args: DatabaseArgs) -> Result<Self, ConfigError> {
        let url = secret(args.database_url, args.database_url_file.as_deref())?;
        Ok(Self {
            url: required(
                url,
                "the database",
                "--database-url",
                "DATABASE_URL or DATABASE_URL_FILE",
            )?
            .into_inner(),
            max_connections: args.database_max_connections.max(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use secrecy::ExposeSecret as _;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        database: DatabaseArgs,
    }

    #[test]
    fn the_address_of_the_database_is_not_shown() {
        let command = Command::parse_from(["larder", "--database-url", "postgres://u:hunter2@h/d"]);
        assert!(!format!("{:?}", command.database).contains("hunter2"));
        let config = DatabaseConfig::try_from(command.database).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.url.expose_secret(), "postgres://u:hunter2@h/d");
    }
}
