//! Building the peers from `bench/peers`, with what is installed here, into the target folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use testkit::servers;

/// Where what is built lies.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    /// One folder a peer, and one for what a run leaves behind until it is over.
    pub(crate) folder: PathBuf,
}

impl Built {
    /// The class path of a peer that runs on a JVM.
    pub(crate) fn class_path(&self, peer: &str) -> String {
        let folder = self.folder.join(peer);
        format!("{0}/{peer}-1.jar:{0}/libs/*", folder.display())
    }

    /// The folder of the peer that runs on Node.
    pub(crate) fn nestjs(&self) -> PathBuf {
        self.folder.join("nestjs")
    }

    /// An empty folder for a run.
    pub(crate) fn scratch(&self, run: &str) -> Result<PathBuf> {
        let folder = self.folder.join("run").join(run);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }
}

/// Builds all of them. What is there already is not fetched again.
pub(crate) fn all() -> Result<Built> {
    let sources = servers::workspace().join("bench/peers");
    let folder = servers::target().join("peers");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let folder = folder.canonicalize()?;

    eprintln!("building the peers that run on a JVM");
    let build = format!("-Dpeers.build={}", folder.display());
    let pom = sources.join("pom.xml");
    run(Command::new("mvn")
        .args(["--quiet", "--batch-mode", "package", &build, "--file"])
        .arg(pom))?;

    eprintln!("building the peer that runs on Node");
    let nestjs = folder.join("nestjs");
    let lock = "package-lock.json";
    let installed = fs::read(nestjs.join("installed")).ok();
    let wanted = fs::read(sources.join("nestjs").join(lock))?;
    copy(&sources.join("nestjs"), &nestjs)?;
    if installed.as_ref() != Some(&wanted) {
        run(Command::new("npm")
            .args(["ci", "--include=dev", "--silent"])
            .current_dir(&nestjs))?;
        // Last, so that an installation that was cut short is done again.
        fs::write(nestjs.join("installed"), wanted)?;
    }
    run(Command::new("npm")
        .args(["run", "--silent", "build"])
        .current_dir(&nestjs))?;
    Ok(Built { folder })
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("{program} is needed to build the peers: install Java 17, Maven and Node 20"))?;
    ensure!(status.success(), "{program} failed ({status}): see above");
    Ok(())
}

/// Copies a folder's files; what else is in the other one stays.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, copied) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "node_modules" && entry.file_name() != "dist" {
                copy(&source, &copied)?;
            }
        } else {
            fs::copy(&source, &copied).with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}
