//! What tests need from the machine beside the servers: kcat, and Python with fastavro in a venv of our own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{paths, process};

/// Checks everything before anything is started; yields the venv's Python.
pub(crate) fn for_tests() -> Result<PathBuf> {
    let mut missing = Vec::new();
    if !process::succeeds(Command::new("kcat").arg("-V")) {
        missing.push("kcat");
    }
    let requirements = fs::read(paths::root().join("xtask/servers/requirements.txt"))?;
    let venv = paths::target().join("venv");
    let stamp = venv.join("made-from.txt");
    let ready = fs::read(&stamp).is_ok_and(|made_from| made_from == requirements);
    if !ready && !process::succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        missing.push("python3-venv");
    }
    if !missing.is_empty() {
        bail!(
            "the tests need {missing}: apt-get install {install}",
            missing = missing.join(" and "),
            install = missing.join(" ")
        );
    }
    let python = venv.join("bin/python");
    if !ready {
        println!("installing fastavro into {}", venv.display());
        process::output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let mut pip = Command::new(&python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ]);
        process::output(pip.arg(paths::root().join("xtask/servers/requirements.txt")))
            .context("cannot install the Python packages that the tests use")?;
        fs::write(stamp, requirements)?;
    }
    Ok(python)
}
