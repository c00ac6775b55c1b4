//! The same three servers from `docker-compose.kafka.yml`, for a machine that has Docker and no Java.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Endpoints, Ports, registry};
use crate::{paths, process};

/// Whether a Docker engine and its compose plugin answer.
pub(crate) fn answers() -> bool {
    process::succeeds(Command::new("docker").arg("info"))
        && process::succeeds(Command::new("docker").args(["compose", "version"]))
}

/// Starts the servers and waits until their health checks pass.
pub(crate) fn start(project: &str, ports: &Ports, fresh: bool) -> Result<Endpoints> {
    if fresh {
        stop(project)?;
    }
    let mut up = compose(project);
    up.args(["up", "--detach", "--wait", "kafka", "registry", "postgres"])
        .env("KAFKA_PORT", ports.kafka.to_string())
        .env("REGISTRY_PORT", ports.registry.to_string())
        .env("POSTGRES_PORT", ports.postgres.to_string());
    process::run(&mut up).context("docker compose could not start the servers")?;
    Ok(Endpoints {
        kafka: format!("127.0.0.1:{}", ports.kafka),
        registry: format!("http://127.0.0.1:{}{}", ports.registry, registry::API),
        database_url: format!("postgres://postgres:postgres@127.0.0.1:{}/larder", ports.postgres),
        postgres_socket_dir: None,
        kafka_home: None,
    })
}

/// Stops the servers and drops their data.
pub(crate) fn stop(project: &str) -> Result<()> {
    process::run(compose(project).args(["down", "--volumes"]))
}

fn compose(project: &str) -> Command {
    let mut command = Command::new("docker");
    command
        .args(["compose", "--project-name", project, "--file"])
        .arg(paths::root().join("docker-compose.kafka.yml"));
    command
}
