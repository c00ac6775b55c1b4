//! The real `larder`, a process a service, in a corner of the servers.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use testkit::Env;

use crate::{http, load::Load};

/// A service that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    admin: SocketAddr,
    started: Instant,
    child: Child,
}

impl Service {
    /// Starts `larder <name>`, with further variables in its environment.
    pub(crate) fn start(load: &Load, env: &Env, name: &'static str, variables: &[(&str, String)]) -> Result<Self> {
        let larder = match &load.larder {
            Some(larder) => larder.clone(),
            None => std::env::current_exe()?.with_file_name("larder"),
        };
        Self::spawn(Command::new(&larder).arg(name), name, env, variables)
    }

    /// Starts the handler of `larder ingest` without Kafka behind it.
    pub(crate) fn start_ingest_limit(env: &Env, variables: &[(&str, String)]) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("ingest-limit");
        Self::spawn(&mut Command::new(program), "ingest without Kafka", env, variables)
    }

    fn spawn(command: &mut Command, name: &'static str, env: &Env, variables: &[(&str, String)]) -> Result<Self> {
        let program = PathBuf::from(command.get_program());
        ensure!(
            program.is_file(),
            "there is no {}: run `cargo build --release --package larder --package bench` first, or name larder by \
             --larder",
            program.display()
        );
        let admin = free_address()?;
        let started = Instant::now();
        let child = command
            .env(
                "LARDER_LOG",
                std::env::var("LARDER_LOG").unwrap_or_else(|_| "warn".to_owned()),
            )
            .envs(env.variables())
            .env("LARDER_ADMIN_LISTEN", admin.to_string())
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self {
            name,
            admin,
            started,
            child,
        })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails once it has ended.
    pub(crate) fn alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("larder {} ended ({status}): see its log above", self.name),
        }
    }

    /// Waits until it says that it is ready; how long that took from its start.
    pub(crate) async fn ready(&mut self) -> Result<Duration> {
        let request = http::request("GET", "/readyz", &[], "");
        while self.started.elapsed() < Duration::from_secs(30) {
            self.alive()?;
            if let Ok(mut connection) = http::Connection::open(self.admin).await
                && connection.exchange(&request).await?.status == 200
            {
                return Ok(self.started.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!(
            "larder {} is not ready after 30 s: ask http://{}/readyz why",
            self.name,
            self.admin
        )
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An address of this machine on which nobody listens.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}
