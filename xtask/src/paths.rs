//! Where things are: the workspace, the target folder and what xtask keeps in it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()));
    here.parent().map_or(here.clone(), Path::to_path_buf)
}

/// Where cargo builds, and where everything xtask writes goes.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// The `larder` binary of a profile.
pub(crate) fn larder(release: bool) -> PathBuf {
    target().join(if release { "release" } else { "debug" }).join("larder")
}

/// An empty folder, whatever was there before.
pub(crate) fn empty_dir(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    make_dir(dir)
}

/// The folder and its parents.
pub(crate) fn make_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}

/// Writes `value` as JSON in one step: a reader sees the old file or the new one, never half of it.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let draft = path.with_extension("json.new");
    fs::write(&draft, serde_json::to_vec_pretty(value)?)
        .with_context(|| format!("cannot write {}", draft.display()))?;
    fs::rename(&draft, path).with_context(|| format!("cannot write {}", path.display()))
}

/// The file's end, for an error message.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    let from = all.len().saturating_sub(lines);
    format!("the last lines of {}:\n  {}", path.display(), all[from..].join("\n  "))
}
