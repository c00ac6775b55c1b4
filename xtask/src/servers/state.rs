//! What is written down about an instance: `servers.json` in its folder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{Endpoints, compose, stop_in_order};
use crate::paths;
use crate::process::Identity;

/// An instance as the next xtask finds it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    #[serde(flatten)]
    pub(crate) endpoints: Endpoints,
    /// In the order in which they were started.
    pub(crate) processes: Vec<Identity>,
    /// Set when Docker runs them.
    pub(crate) compose_project: Option<String>,
    /// A folder outside the checkout, where Postgres lives when it cannot get into the checkout.
    pub(crate) elsewhere: Option<PathBuf>,
}

impl State {
    /// What the last run wrote, if anything.
    pub(crate) fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file(dir)).ok()?).ok()
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        paths::write_json(&file(dir), self)
    }

    /// Whether everything it names still runs.
    pub(crate) fn alive(&self) -> bool {
        let any = !self.processes.is_empty() || self.compose_project.is_some();
        any && self.processes.iter().all(Identity::alive)
    }

    /// Whether there is anything to stop.
    pub(crate) fn alive_in_part(&self) -> bool {
        self.compose_project.is_some() || self.processes.iter().any(Identity::alive)
    }

    /// Stops what runs; data stays, except in containers.
    pub(crate) fn stop(&self) {
        stop_in_order(&self.processes);
        if let Some(project) = &self.compose_project
            && let Err(error) = compose::stop(project)
        {
            eprintln!("xtask: {error:#}");
        }
    }

    /// Removes an instance's data; its lock and the memory of its ports are all that stays.
    pub(crate) fn forget(dir: &Path) -> Result<()> {
        let mut state = Self::read(dir).unwrap_or_default();
        if let Some(place) = state.elsewhere.take() {
            let _gone_already = fs::remove_dir_all(place);
        }
        for server in ["kafka", "registry", "postgres"] {
            let data = dir.join(server);
            if data.exists() {
                fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
            }
        }
        state.without_processes().write(dir)
    }

    pub(crate) fn without_processes(self) -> Self {
        Self {
            processes: Vec::new(),
            compose_project: None,
            ..self
        }
    }

    /// The folder outside the checkout, made when first needed and remembered.
    pub(super) fn elsewhere(&mut self, dir: &Path) -> Result<PathBuf> {
        if let Some(place) = self.elsewhere.as_ref().filter(|place| place.exists()) {
            return Ok(place.clone());
        }
        let place = tempfile::Builder::new().prefix("larder-postgres-").tempdir()?.keep();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
        self.elsewhere = Some(place.clone());
        self.write(dir)?;
        Ok(place)
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("servers.json")
}
