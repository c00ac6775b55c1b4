//! What is written down about an instance: `servers.json` while it runs, `memory.json` for the next time.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{Endpoints, Ports, compose, stop_in_order};
use crate::paths;
use crate::process::Identity;

/// An instance that runs, as the next xtask finds it. The file is there only while it does.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    #[serde(flatten)]
    pub(crate) endpoints: Endpoints,
    /// In the order in which they were started.
    pub(crate) processes: Vec<Identity>,
    /// Set when Docker runs them.
    pub(crate) compose_project: Option<String>,
}

/// What outlives the servers of an instance, as its data does.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Clients of a restarted server find it again.
    pub(crate) ports: Option<Ports>,
    /// A folder outside the checkout, where Postgres lives when it cannot get into the checkout.
    pub(crate) elsewhere: Option<PathBuf>,
}

impl State {
    /// What runs, or was left behind by a killed xtask, if anything.
    pub(crate) fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(dir.join("servers.json")).ok()?).ok()
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        paths::write_json(&dir.join("servers.json"), self)
    }

    /// Whether everything it names still runs.
    pub(crate) fn alive(&self) -> bool {
        let any = !self.processes.is_empty() || self.compose_project.is_some();
        any && self.processes.iter().all(Identity::alive)
    }

    /// Stops what runs; data stays, except in containers.
    pub(crate) fn stop(&self, dir: &Path) {
        stop_in_order(&self.processes);
        if let Some(project) = &self.compose_project
            && let Err(error) = compose::stop(project)
        {
            eprintln!("xtask: {error:#}");
        }
        let _gone_already = fs::remove_file(dir.join("servers.json"));
    }
}

impl Memory {
    pub(crate) fn read(dir: &Path) -> Self {
        let text = fs::read(dir.join("memory.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        paths::write_json(&dir.join("memory.json"), self)
    }

    /// Removes an instance's data; only the ports are remembered.
    pub(crate) fn forget_data(dir: &Path) -> Result<()> {
        let mut memory = Self::read(dir);
        if let Some(place) = memory.elsewhere.take() {
            let _gone_already = fs::remove_dir_all(place);
        }
        for server in ["kafka", "registry", "postgres"] {
            let data = dir.join(server);
            if data.exists() {
                fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
            }
        }
        memory.write(dir)
    }

    /// The folder outside the checkout, made when first needed.
    pub(super) fn elsewhere(dir: &Path) -> Result<PathBuf> {
        let mut memory = Self::read(dir);
        if let Some(place) = memory.elsewhere.as_ref().filter(|place| place.exists()) {
            return Ok(place.clone());
        }
        let place = tempfile::Builder::new().prefix("larder-postgres-").tempdir()?.keep();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
        memory.elsewhere = Some(place.clone());
        memory.write(dir)?;
        Ok(place)
    }
}
