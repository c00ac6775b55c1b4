//! `cargo xtask sqlx`: renews `crates/store/.sqlx`, what sqlx's macros know about each query, from a real Postgres.
//!
//! Does what `cargo sqlx prepare` does, without building sqlx-cli: with `SQLX_OFFLINE_DIR` set and a database at hand, the
//! macros write a file for each query that they check. The migrations are applied over the wire here, as `larder migrate`
//! cannot be built before the files are right.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::servers::{Instance, Memory, pgwire};
use crate::{paths, process};

const DATABASE: &str = "prepare";

/// Renew the committed query metadata from the migrations and the queries.
#[derive(Debug, Args)]
pub(crate) struct SqlxArgs {
    /// Write nothing; fail where the committed metadata differs.
    #[arg(long)]
    pub(crate) check: bool,
}

type Files = BTreeMap<OsString, Vec<u8>>;

/// Renews the files or compares them.
pub(crate) fn sqlx(args: &SqlxArgs) -> Result<()> {
    let committed = paths::root().join("crates/store/.sqlx");
    let wanted = prepare()?;
    let had = if committed.exists() {
        read(&committed)?
    } else {
        Files::new()
    };
    if wanted == had {
        println!("crates/store/.sqlx is up to date ({} queries)", wanted.len());
        return Ok(());
    }
    if args.check {
        bail!(
            "crates/store/.sqlx differs from what the queries and migrations say; run cargo xtask sqlx and commit it"
        );
    }
    paths::make_dir(&committed)?;
    for name in had.keys().filter(|name| !wanted.contains_key(*name)) {
        fs::remove_file(committed.join(name))?;
    }
    for (name, content) in wanted.iter().filter(|(name, content)| had.get(*name) != Some(content)) {
        fs::write(committed.join(name), content)?;
    }
    println!("crates/store/.sqlx renewed ({} queries)", wanted.len());
    Ok(())
}

/// Has the macros describe every query of the store against a migrated, empty database.
fn prepare() -> Result<Files> {
    let dir = paths::target().join("servers-sqlx");
    let instance = Instance {
        name: "larder-sqlx",
        dir: dir.clone(),
        well_known_ports: false,
        fresh: true,
    };
    let (running, port) = instance.start_postgres(DATABASE)?;
    for migration in migrations()? {
        let sql = fs::read_to_string(&migration)?;
        pgwire::execute(port, DATABASE, &sql).with_context(|| format!("{} failed", migration.display()))?;
    }

    let fresh = dir.join("queries");
    paths::empty_dir(&fresh)?;
    // Macros run again only when cargo believes that the crate has changed.
    let lib = File::options()
        .append(true)
        .open(paths::root().join("crates/store/src/lib.rs"))?;
    lib.set_times(FileTimes::new().set_modified(SystemTime::now()))?;
    let mut cargo = Command::new("cargo");
    cargo
        .args(["check", "--quiet", "--package", "store", "--all-targets"])
        .env("DATABASE_URL", &running.endpoints.database_url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", &fresh);
    process::run(&mut cargo)?;
    drop(running);
    Memory::forget_data(&dir)?;
    read(&fresh)
}

/// The migrations in the order of their numbers.
fn migrations() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(paths::root().join("crates/store/migrations"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let number = name.split_once('_').and_then(|(number, _)| number.parse::<u64>().ok());
        if let (Some(number), true) = (number, path.extension().is_some_and(|extension| extension == "sql")) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn read(dir: &Path) -> Result<Files> {
    let mut files = Files::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        files.insert(entry.file_name(), fs::read(entry.path())?);
    }
    Ok(files)
}
