//! The `larder` binary: its build, its environment, the commands that prepare a deployment, the services.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::demo::Demo;
use crate::process::{self, Process};
use crate::servers::Endpoints;
use crate::{net, paths};

const READY_WITHIN: Duration = Duration::from_secs(90);

/// A built `larder` and what it needs to know.
#[derive(Debug)]
pub(crate) struct Larder {
    pub(crate) binary: PathBuf,
    pub(crate) orders: u16,
    pub(crate) admin: u16,
    env: Vec<(&'static str, String)>,
}

/// What `larder seed --demo --json` prints.
#[derive(Debug, Deserialize)]
pub(crate) struct Seed {
    pub(crate) api_key: String,
    pub(crate) merchant_id: i64,
    pub(crate) customer_id: i64,
    pub(crate) product_id: i64,
    pub(crate) ingredients: BTreeMap<String, i64>,
}

/// Starts to build, so that the servers can come up meanwhile.
pub(crate) fn start_build(release: bool) -> Result<Child> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(paths::root())
        .args(["build", "--locked", "--package", "larder"]);
    if release {
        cargo.arg("--release");
    }
    cargo.spawn().context("cannot run cargo")
}

impl Larder {
    /// Picks the ports and writes the environment down.
    pub(crate) fn new(release: bool, servers: &Endpoints, smtp_url: String) -> Result<Self> {
        let (orders, admin) = (net::free_port(&[8080])?, net::free_port(&[9090])?);
        let mut env = servers.env();
        env.extend([
            ("SMTP_URL", smtp_url),
            ("MAIL_FROM", "Larder <alerts@larder.example>".into()),
            // Each alert a mail of its own: the demo is about seeing them come.
            ("MAILER_DIGEST_WINDOW", "0s".into()),
            ("LARDER_INGEST_LISTEN", format!("127.0.0.1:{orders}")),
        ]);
        Ok(Self {
            binary: paths::larder(release),
            orders,
            admin,
            env,
        })
    }

    /// What an operator does at a deployment, and the demo merchant.
    pub(crate) fn set_up(&self) -> Result<Seed> {
        for step in [&["migrate"][..], &["topics", "apply"], &["schemas", "register"]] {
            println!("# larder {}", step.join(" "));
            process::output(self.command().args(step))?;
        }
        println!("# larder seed --demo");
        let seed = process::output(self.command().args(["seed", "--demo", "--json"]))?;
        serde_json::from_str(&seed)
            .with_context(|| format!("larder seed printed something else than was agreed: {seed}"))
    }

    /// Starts all services in one process.
    pub(crate) fn start(&self) -> Result<Process> {
        let mut all = self.command();
        all.arg("all")
            .env("LARDER_ADMIN_LISTEN", format!("127.0.0.1:{}", self.admin));
        Process::start("larder", all, &paths::target().join("up/larder.log"))
    }

    /// Waits until every service says that it is ready.
    pub(crate) fn wait(&mut self, all: &mut Process) -> Result<()> {
        let ready = || net::http_status(self.admin, "/readyz").is_ok_and(|status| status == 200);
        all.wait_until(READY_WITHIN, ready)
    }

    /// Starts a client that posts `rate` orders per second.
    pub(crate) fn start_load(&self, rate: u32, demo: &Demo) -> Result<Process> {
        let mut load = self.command();
        load.args([
            "load",
            "--rate",
            &rate.to_string(),
            "--url",
            &demo.orders_url,
            "--api-key",
            &demo.api_key,
        ]);
        load.args([
            "--customer",
            &demo.customer_id.to_string(),
            "--product",
            &demo.product_id.to_string(),
        ]);
        Process::start("load", load, &paths::target().join("up/load.log"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.envs(self.env.iter().cloned());
        command
    }
}
