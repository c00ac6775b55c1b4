//! Kafka, the schema registry and Postgres for real, on a machine that has neither Docker nor root rights to offer.
//!
//! An [`Instance`] is one set of them with a folder of its own, so that a demo, a test run and a developer's standing
//! servers do not meet. What an environment variable names already is used and not started.
//! To add a server: its artifact in `xtask/servers/pom.xml`, a file beside this one, a line in [`Running::start_missing`].

mod command;
mod compose;
mod kafka;
mod maven;
pub(crate) mod pgwire;
pub(crate) mod postgres;
mod registry;
mod state;

use std::env;
use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

pub(crate) use command::{ServersArgs, servers};
pub(crate) use state::{Memory, State};

use crate::process::{Identity, Process};
use crate::{net, paths};
use kafka::Kafka;
use postgres::Postgres;
use registry::Registry;

/// How to reach the servers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoints {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) kafka: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) registry: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) database_url: String,
    /// A folder to connect through instead of TCP; only for a Postgres that we started without Docker.
    pub(crate) postgres_socket_dir: Option<PathBuf>,
    /// The unpacked Kafka with its command line tools in `libs/`.
    pub(crate) kafka_home: Option<PathBuf>,
}

/// One set of servers.
#[derive(Debug)]
pub(crate) struct Instance {
    /// Also the name of its compose project.
    pub(crate) name: &'static str,
    pub(crate) dir: PathBuf,
    /// Prefer the ports everyone knows: 9092, 8081, 5432.
    pub(crate) well_known_ports: bool,
    /// Forget what an earlier run stored.
    pub(crate) fresh: bool,
}

/// The port of each server on this machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ports {
    kafka: u16,
    registry: u16,
    postgres: u16,
}

/// Servers that run; dropping it stops those that it started.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) endpoints: Endpoints,
    state: State,
    children: Vec<Process>,
    dir: PathBuf,
    detached: bool,
    /// Held so that no second xtask runs the same instance.
    _lock: File,
}

impl Endpoints {
    /// The environment variables that hand the servers to a program.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        let mut env = vec![
            ("KAFKA_BOOTSTRAP_SERVERS", self.kafka.clone()),
            ("SCHEMA_REGISTRY_URL", self.registry.clone()),
            ("DATABASE_URL", self.database_url.clone()),
        ];
        if let Some(home) = &self.kafka_home {
            env.push(("LARDER_KAFKA_HOME", home.display().to_string()));
        }
        if let Some(dir) = &self.postgres_socket_dir {
            env.push(("LARDER_POSTGRES_SOCKET_DIR", dir.display().to_string()));
        }
        env
    }

    /// What the environment already offers; empty where it offers nothing.
    fn given() -> Self {
        let given = |name| env::var(name).unwrap_or_default();
        Self {
            kafka: given("KAFKA_BOOTSTRAP_SERVERS"),
            registry: given("SCHEMA_REGISTRY_URL"),
            database_url: given("DATABASE_URL"),
            ..Self::default()
        }
    }

    fn complete(&self) -> bool {
        ![&self.kafka, &self.registry, &self.database_url]
            .iter()
            .any(|endpoint| endpoint.is_empty())
    }
}

impl Instance {
    /// The servers a developer keeps running: `cargo xtask servers`.
    pub(crate) fn standing() -> Self {
        let dir = paths::target().join("servers");
        Self {
            name: "larder-servers",
            dir,
            well_known_ports: false,
            fresh: false,
        }
    }

    /// The demo's.
    pub(crate) fn demo(fresh: bool) -> Self {
        Self {
            name: "larder-up",
            dir: paths::target().join("up/servers"),
            well_known_ports: true,
            fresh,
        }
    }

    /// The test run's.
    pub(crate) fn test() -> Self {
        let dir = paths::target().join("servers-test");
        Self {
            name: "larder-test",
            dir,
            well_known_ports: false,
            fresh: true,
        }
    }

    /// Starts everything that is not given, and waits until it is ready.
    pub(crate) fn start(&self) -> Result<Running> {
        let mut running = self.prepare()?;
        running.endpoints = Endpoints::given();
        if running.endpoints.complete() {
            return Ok(running);
        }
        if !maven::missing().is_empty() && compose::answers() {
            running.state.compose_project = Some(self.name.into());
            running.state.write(&self.dir)?;
            let started = compose::start(self.name, &self.ports()?, self.fresh)?;
            running.endpoints = prefer(running.endpoints.clone(), started);
        } else {
            maven::require()?;
            running.start_missing(self)?;
        }
        running.state.endpoints = running.endpoints.clone();
        running.state.write(&self.dir)?;
        Ok(running)
    }

    /// Only Postgres, with an empty database called `database`; yields its port too.
    pub(crate) fn start_postgres(&self, database: &str) -> Result<(Running, u16)> {
        let mut running = self.prepare()?;
        maven::require()?;
        let postgres = running.start_one_postgres(self, &maven::dist()?, net::free_port(&[])?)?;
        running.ready("postgres", |process| postgres.wait(process))?;
        postgres.create_database(database)?;
        running.endpoints.database_url = postgres.url(database);
        Ok((running, postgres.port))
    }

    /// The servers that run already, or else started ones.
    pub(crate) fn find_or_start(&self) -> Result<(Endpoints, Option<Running>)> {
        if let Some(state) = State::read(&self.dir).filter(State::alive) {
            return Ok((state.endpoints, None));
        }
        let running = self.start()?;
        Ok((running.endpoints.clone(), Some(running)))
    }

    /// The instance's folder, with nothing running in it.
    fn prepare(&self) -> Result<Running> {
        paths::make_dir(&self.dir)?;
        let lock = self.lock()?;
        // A killed xtask may have left some running.
        State::read(&self.dir).unwrap_or_default().stop(&self.dir);
        if self.fresh {
            Memory::forget_data(&self.dir)?;
        }
        Ok(Running {
            endpoints: Endpoints::default(),
            state: State::default(),
            children: Vec::new(),
            dir: self.dir.clone(),
            detached: false,
            _lock: lock,
        })
    }

    /// One xtask at a time.
    fn lock(&self) -> Result<File> {
        let path = self.dir.join("lock");
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        if file.try_lock().is_err() {
            println!("waiting for another cargo xtask that uses {}", self.dir.display());
            file.lock()?;
        }
        Ok(file)
    }

    /// The ports of the last run where they are free.
    fn ports(&self) -> Result<Ports> {
        let mut memory = Memory::read(&self.dir);
        let known = self.well_known_ports.then_some(Ports {
            kafka: 9092,
            registry: 8081,
            postgres: 5432,
        });
        // The well-known ones first: they were in use the last time, but may have become free.
        let wanted = |port: fn(&Ports) -> u16| {
            let candidates: Vec<u16> = [&known, &memory.ports].into_iter().flatten().map(port).collect();
            net::free_port(&candidates)
        };
        let ports = Ports {
            kafka: wanted(|p| p.kafka)?,
            registry: wanted(|p| p.registry)?,
            postgres: wanted(|p| p.postgres)?,
        };
        memory.ports = Some(ports.clone());
        memory.write(&self.dir)?;
        Ok(ports)
    }
}

impl Running {
    /// Lets everything run on after this xtask has ended, until `cargo xtask down`.
    pub(crate) fn detach(mut self) {
        self.detached = true;
    }

    /// The first child that has died meanwhile, as an error with its log.
    pub(crate) fn check(&mut self) -> Result<()> {
        for child in &mut self.children {
            if let Some(status) = child.exited()? {
                anyhow::bail!(
                    "{} died ({status}); {}",
                    child.identity.name,
                    paths::tail(&child.log, 30)
                );
            }
        }
        Ok(())
    }

    fn start_missing(&mut self, instance: &Instance) -> Result<()> {
        let dist = maven::dist()?;
        let ports = instance.ports()?;
        // Kafka and the registry, which take longest to come up, do so at the same time.
        let mut postgres = None;
        if self.endpoints.database_url.is_empty() || self.endpoints.registry.is_empty() {
            postgres = Some(self.start_one_postgres(instance, &dist, ports.postgres)?);
        }
        let mut kafka = None;
        if self.endpoints.kafka.is_empty() {
            let (started, process) = Kafka::start(&dist, &instance.dir.join("kafka"), ports.kafka)?;
            self.adopt(instance, process)?;
            kafka = Some(started);
        }
        if let Some(postgres) = postgres {
            self.ready("postgres", |process| postgres.wait(process))?;
            if self.endpoints.registry.is_empty() {
                let dir = instance.dir.join("registry");
                let (registry, process) = Registry::start(&dist, &dir, ports.registry, postgres.port)?;
                self.adopt(instance, process)?;
                self.ready("registry", |process| registry.wait(process))?;
                self.endpoints.registry = format!("http://127.0.0.1:{}{}", registry.port, registry::API);
            }
            if self.endpoints.database_url.is_empty() {
                self.endpoints.database_url = postgres.url(postgres::DATABASE);
                self.endpoints.postgres_socket_dir = Some(postgres.socket_dir);
            }
        }
        if let Some(kafka) = kafka {
            self.ready("kafka", |process| kafka.wait(process))?;
            self.endpoints.kafka = format!("127.0.0.1:{}", kafka.port);
        }
        self.endpoints.kafka_home = Some(dist.kafka);
        Ok(())
    }

    fn start_one_postgres(&mut self, instance: &Instance, dist: &maven::Dist, port: u16) -> Result<Postgres> {
        let elsewhere = || Memory::elsewhere(&instance.dir);
        let (postgres, process) = Postgres::start(dist, &instance.dir.join("postgres"), port, elsewhere)?;
        self.adopt(instance, process)?;
        Ok(postgres)
    }

    /// Writes the process down at once, so that even a kill -9 of xtask leaves nothing that `down` does not find.
    fn adopt(&mut self, instance: &Instance, process: Process) -> Result<()> {
        self.state.processes.push(process.identity.clone());
        self.children.push(process);
        self.state.write(&instance.dir)
    }

    fn ready(&mut self, name: &str, wait: impl FnOnce(&mut Process) -> Result<()>) -> Result<()> {
        let child = self.children.iter_mut().find(|child| child.identity.name == name);
        wait(child.context("waiting for a server that was not started")?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.detached {
            return;
        }
        self.state.stop(&self.dir);
        for child in &mut self.children {
            child.stop(); // gone already; this collects its exit status
        }
    }
}

/// The given endpoints, and the started ones for what was not given.
fn prefer(given: Endpoints, started: Endpoints) -> Endpoints {
    let pick = |given: String, started| if given.is_empty() { started } else { given };
    Endpoints {
        kafka: pick(given.kafka, started.kafka),
        registry: pick(given.registry, started.registry),
        database_url: pick(given.database_url, started.database_url),
        ..started
    }
}

/// Stops them in the order in which they need each other: the registry writes to Postgres to the last.
fn stop_in_order(processes: &[Identity]) {
    let (postgres, others): (Vec<_>, Vec<_>) = processes.iter().partition(|process| process.name == "postgres");
    for group in [others, postgres] {
        for process in &group {
            process.ask_to_stop();
        }
        for process in &group {
            process.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_wins_over_what_was_started() {
        let given = Endpoints {
            kafka: "broker:9092".into(),
            ..Endpoints::default()
        };
        let started = Endpoints {
            kafka: "a".into(),
            registry: "b".into(),
            ..Endpoints::default()
        };
        let both = prefer(given, started);
        assert_eq!((both.kafka.as_str(), both.registry.as_str()), ("broker:9092", "b"));
    }
}
