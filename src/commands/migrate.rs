//! `larder migrate`: the database's tables.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use service::config::DatabaseArgs;
use store::{Database, StoreError, migrate};

/// Applies the migrations that are missing. They are forward only, and the program before the newest still runs on them.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Change nothing; exit with 3 where something is missing
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

impl Migrate {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let database = Database::connect(&self.database.try_into()?).await?;
        if self.check {
            return match migrate::check(&database).await {
                Ok(()) => {
                    println!("the database is up to date");
                    Ok(ExitCode::SUCCESS)
                }
                Err(StoreError::Schema(difference)) => {
                    println!("{difference}");
                    Ok(super::difference())
                }
                Err(error) => Err(error.into()),
            };
        }
        match migrate::run(&database).await?.as_slice() {
            [] => println!("the database was up to date"),
            versions => println!("applied migrations {versions:?}"),
        }
        Ok(ExitCode::SUCCESS)
    }
}
