//! Apicurio Registry, kept in Postgres so that schema ids outlive a restart.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::maven::Dist;
use crate::process::Process;
use crate::{net, paths};

/// Where Apicurio speaks Confluent's API.
pub(crate) const API: &str = "/apis/ccompat/v7";
/// Its database.
pub(crate) const DATABASE: &str = "apicurio";

const READY_WITHIN: Duration = Duration::from_mins(2);

/// A registry on its way up.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) port: u16,
}

impl Registry {
    /// Starts a registry on `port` that keeps its schemas in the Postgres on `postgres_port`.
    pub(crate) fn start(dist: &Dist, dir: &Path, port: u16, postgres_port: u16) -> Result<(Self, Process)> {
        paths::make_dir(dir)?;
        let jar = std::fs::read_dir(&dist.registry)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.to_string_lossy().ends_with("-runner.jar"))
            .context("the registry's jar is missing; remove target/servers-dist and try again")?;
        let mut java = Command::new("java");
        java.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args(["-Dquarkus.http.host=127.0.0.1", "-Dquarkus.management.enabled=false"])
            .arg(format!("-Dquarkus.http.port={port}"))
            .arg("-jar")
            .arg(jar)
            .env("APICURIO_STORAGE_KIND", "sql")
            .env("APICURIO_STORAGE_SQL_KIND", "postgresql")
            .env(
                "APICURIO_DATASOURCE_URL",
                format!("jdbc:postgresql://127.0.0.1:{postgres_port}/{DATABASE}"),
            )
            .env("APICURIO_DATASOURCE_USERNAME", super::postgres::USER)
            .env("APICURIO_DATASOURCE_PASSWORD", "")
            .env("APICURIO_DATASOURCE_JDBC_INITIAL_SIZE", "2")
            .env("APICURIO_DATASOURCE_JDBC_MIN_SIZE", "2")
            .env("APICURIO_DATASOURCE_JDBC_MAX_SIZE", "10")
            .current_dir(dir);
        Ok((
            Self { port },
            Process::start("registry", java, &dir.join("registry.log"))?,
        ))
    }

    /// Waits until it answers.
    pub(crate) fn wait(&self, process: &mut Process) -> Result<()> {
        let path = format!("{API}/subjects");
        process.wait_until(READY_WITHIN, || {
            net::http_status(self.port, &path).is_ok_and(|status| status == 200)
        })
    }
}
