//! Postgres with its durability on, as it would run in production; only the sizes are a developer's.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::maven::Dist;
use super::pgwire;
use crate::process::{self, Process};
use crate::{paths, servers::registry};

/// The superuser; connections from this machine are trusted.
pub(crate) const USER: &str = "postgres";
/// Larder's database.
pub(crate) const DATABASE: &str = "larder";

const READY_WITHIN: Duration = Duration::from_mins(1);
/// The kernel takes no longer path for a unix socket, file name included.
const LONGEST_SOCKET_DIR: usize = 85;

/// A server on its way up.
#[derive(Debug)]
pub(crate) struct Postgres {
    pub(crate) port: u16,
    pub(crate) socket_dir: PathBuf,
}

/// Who the server runs as and where its files are.
#[derive(Debug)]
struct Home {
    /// An unprivileged user and group when we are root, as Postgres refuses to be.
    user: Option<(u32, u32)>,
    bin: PathBuf,
    data: PathBuf,
    sockets: PathBuf,
}

impl Postgres {
    /// Starts a server that keeps its data in `dir`, or in `elsewhere()` when the user it runs as cannot get there.
    pub(crate) fn start(
        dist: &Dist,
        dir: &Path,
        port: u16,
        elsewhere: impl Fn() -> Result<PathBuf>,
    ) -> Result<(Self, Process)> {
        paths::make_dir(dir)?;
        let home = Home::find(dist, dir, elsewhere)?;
        if !home.data.join("PG_VERSION").exists() {
            home.own(&home.data, 0o700)?;
            // Sorting by code point in any language, whatever locales the machine has.
            let locale = [
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ];
            let mut initdb = home.command("initdb");
            initdb
                .arg("--pgdata")
                .arg(&home.data)
                .args(["--auth=trust", "--username", USER])
                .args(locale);
            process::output(&mut initdb)?;
        }
        home.own(&home.sockets, 0o755)?;
        let mut postgres = home.command("postgres");
        postgres.arg("-D").arg(&home.data);
        for setting in [
            "listen_addresses=127.0.0.1",
            &format!("port={port}"),
            &format!("unix_socket_directories={}", home.sockets.display()),
            "max_connections=200",
            "shared_buffers=512MB",
        ] {
            postgres.arg("-c").arg(setting);
        }
        let process = Process::start("postgres", postgres, &dir.join("postgres.log"))?;
        Ok((
            Self {
                port,
                socket_dir: home.sockets,
            },
            process,
        ))
    }

    /// Waits until it answers a query, and gives it our databases.
    pub(crate) fn wait(&self, process: &mut Process) -> Result<()> {
        process.wait_until(READY_WITHIN, || {
            pgwire::execute(self.port, "postgres", "SELECT 1").is_ok()
        })?;
        for database in [DATABASE, registry::DATABASE] {
            self.create_database(database)?;
        }
        Ok(())
    }

    /// Creates a database unless it exists.
    pub(crate) fn create_database(&self, name: &str) -> Result<()> {
        match pgwire::execute(self.port, "postgres", &format!("CREATE DATABASE {name}")) {
            Err(error) if error.to_string().contains("42P04") => Ok(()), // duplicate_database
            other => other,
        }
    }

    /// The URL of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }
}

impl Home {
    fn find(dist: &Dist, dir: &Path, elsewhere: impl Fn() -> Result<PathBuf>) -> Result<Self> {
        let mut home = Self {
            user: unprivileged(),
            bin: dist.postgres.join("bin"),
            data: dir.join("data"),
            sockets: dir.join("sockets"),
        };
        // A checkout under /root or another closed folder: only trying tells whether that user gets through.
        let reachable = process::succeeds(home.command("postgres").arg("--version"));
        if !reachable {
            let place = elsewhere()?;
            if !place.join("bin").exists() {
                process::output(Command::new("cp").arg("-a").arg(dist.postgres.join(".")).arg(&place))?;
            }
            home = Self {
                bin: place.join("bin"),
                data: place.join("data"),
                sockets: place.join("sockets"),
                ..home
            };
            let mut probe = home.command("postgres");
            process::output(probe.arg("--version")).context("postgres does not run on this machine")?;
        }
        if home.sockets.as_os_str().len() > LONGEST_SOCKET_DIR {
            home.sockets = elsewhere()?.join("sockets");
        }
        Ok(home)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir("/").env_clear().env("LC_ALL", "C").env("TZ", "UTC");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// A folder that the server's user owns.
    fn own(&self, dir: &Path, mode: u32) -> Result<()> {
        paths::make_dir(dir)?;
        if let Some((uid, gid)) = self.user {
            chown(dir, Some(uid), Some(gid))?;
        }
        fs::set_permissions(dir, fs::Permissions::from_mode(mode))?;
        Ok(())
    }
}

/// `nobody`, when we are root.
fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    Some(find_user(&users, "nobody").unwrap_or((65534, 65534)))
}

fn find_user(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_ids_are_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nnobody2:x:7:8::/:\nnobody:x:65534:65533:n:/:/usr/sbin/nologin\n";
        assert_eq!(find_user(passwd, "nobody"), Some((65534, 65533)));
        assert_eq!(find_user(passwd, "postgres"), None);
    }
}
