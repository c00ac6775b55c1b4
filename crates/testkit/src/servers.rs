//! Where the servers are: from the environment, else from `cargo xtask servers`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Addresses of real servers.
#[derive(Clone, Debug)]
pub struct Servers {
    /// Kafka, `host:port`.
    pub kafka: String,
    /// The base of the registry's Confluent API.
    pub registry: String,
    /// A database in which other databases may be created.
    pub database_url: String,
}

#[derive(Default, Deserialize)]
struct Running {
    kafka: Option<String>,
    registry: Option<String>,
    database_url: Option<String>,
    kafka_home: Option<PathBuf>,
}

/// The servers tests run on. Each is named by its variable, or else runs under `cargo xtask servers`.
#[must_use]
pub fn servers() -> Servers {
    let running = running();
    let address = |variable: &str, running: Option<String>| {
        let named = std::env::var(variable).ok().filter(|value| !value.is_empty());
        named.or(running).unwrap_or_else(|| {
            panic!("{variable} is not set and no servers run: run `cargo xtask test`, or `cargo xtask servers` first")
        })
    };
    Servers {
        kafka: address("KAFKA_BOOTSTRAP_SERVERS", running.kafka),
        registry: address("SCHEMA_REGISTRY_URL", running.registry),
        database_url: address("DATABASE_URL", running.database_url),
    }
}

/// The unpacked Kafka, with its command line tools in `libs/`.
#[must_use]
pub fn kafka_home() -> PathBuf {
    let named = std::env::var_os("LARDER_KAFKA_HOME").map(PathBuf::from);
    named
        .or_else(|| running().kafka_home)
        .expect("LARDER_KAFKA_HOME is not set: run `cargo xtask test`")
}

/// The folder that cargo builds into.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The root of the checkout.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn running() -> Running {
    let file = target().join("servers/servers.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        return Running::default();
    };
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{} is not what xtask writes: {error}", file.display()))
}
