//! Fetches Kafka, the registry and Postgres from Maven Central, as `xtask/servers/pom.xml` names them, and unpacks them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{paths, process};

/// The oldest Java that Kafka 4 and the registry run on.
const JAVA: u32 = 17;

/// Where the unpacked servers are, shared by every instance.
#[derive(Debug)]
pub(crate) struct Dist {
    pub(crate) kafka: PathBuf,
    pub(crate) registry: PathBuf,
    pub(crate) postgres: PathBuf,
}

/// What must be installed before `dist` can work and is not.
pub(crate) fn missing() -> Vec<&'static str> {
    let mut missing = Vec::new();
    if java_version().is_none_or(|version| version < JAVA) {
        missing.push("Java 17 or newer");
    }
    if !is_current() {
        if !process::succeeds(Command::new("mvn").arg("-version")) {
            missing.push("Maven");
        }
        if !process::succeeds(Command::new("xz").arg("--version")) {
            missing.push("xz (Debian: xz-utils)");
        }
    }
    missing
}

/// The servers, fetched and unpacked unless this pom's already are.
pub(crate) fn dist() -> Result<Dist> {
    let dir = dir();
    let dist = Dist {
        kafka: dir.join("kafka"),
        registry: dir.join("registry"),
        postgres: dir.join("postgres"),
    };
    if is_current() {
        return Ok(dist);
    }
    println!("fetching Kafka, the registry and Postgres from Maven Central (once, about 250 MB)");
    paths::empty_dir(&dir)?;
    let mut maven = Command::new("mvn");
    maven
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(pom())
        .arg(format!("-Dlarder.out={}", dir.display()));
    process::output(maven.arg("package"))?;

    let archive = dir.join("postgres-archive/postgres-linux-x86_64.txz");
    paths::make_dir(&dist.postgres)?;
    let mut tar = Command::new("tar");
    tar.arg("--no-same-owner")
        .arg("-xJf")
        .arg(&archive)
        .arg("-C")
        .arg(&dist.postgres);
    process::output(&mut tar)?;
    fs::remove_dir_all(dir.join("postgres-archive"))?;

    // Last, so that an unpacking that was cut short is done again.
    fs::copy(pom(), stamp())?;
    Ok(dist)
}

fn is_current() -> bool {
    matches!((fs::read(pom()), fs::read(stamp())), (Ok(wanted), Ok(had)) if wanted == had)
}

fn dir() -> PathBuf {
    paths::target().join("servers-dist")
}

fn pom() -> PathBuf {
    paths::root().join("xtask/servers/pom.xml")
}

/// A copy of the pom that the folder was made from.
fn stamp() -> PathBuf {
    dir().join("made-from.xml")
}

fn java_version() -> Option<u32> {
    let output = Command::new("java").arg("-version").output().ok()?;
    parse_java_version(&String::from_utf8_lossy(&output.stderr))
}

/// `openjdk version "17.0.15" 2025-04-15` → 17; Java 8 calls itself 1.8.
fn parse_java_version(text: &str) -> Option<u32> {
    let version = text.split('"').nth(1)?;
    version.split(['.', '-', '+']).next()?.parse().ok()
}

/// One sentence that names what is missing and both ways on.
pub(crate) fn require() -> Result<()> {
    let missing = missing();
    if !missing.is_empty() {
        bail!(
            "cannot start Kafka, the registry and Postgres: {} not found; install them (Debian: apt-get install \
             openjdk-17-jre-headless maven xz-utils), or start Docker with its compose plugin, which is used instead",
            missing.join(" and ")
        );
    }
    Ok(())
}

/// Kafka's class path, for `java -cp`.
pub(crate) fn class_path(dist: &Dist) -> Result<String> {
    let libs = dist.kafka.join("libs/*");
    libs.to_str()
        .map(str::to_owned)
        .context("the path of the checkout is not UTF-8; move it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_version_is_read_from_what_it_prints() {
        assert_eq!(
            parse_java_version("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK"),
            Some(17)
        );
        assert_eq!(parse_java_version("java version \"1.8.0_392\""), Some(1));
        assert_eq!(parse_java_version("openjdk version \"26-ea\" 2026-03-17"), Some(26));
        assert_eq!(parse_java_version("command not found"), None);
    }
}
