//! The mails of the demo: caught, kept as files, and printed as they come.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use mailcatcher::{Config, Mail, MailCatcher};
use tokio::runtime::{self, Runtime};

use crate::{net, paths};

/// The catcher and the threads it runs on.
pub(crate) struct Mails {
    catcher: MailCatcher,
    dir: PathBuf,
    printed: usize,
    _runtime: Runtime,
}

impl Mails {
    /// Starts the catcher; `fresh` drops the files of earlier demos.
    pub(crate) fn start(fresh: bool) -> Result<Self> {
        let dir = paths::target().join("up/mails");
        if fresh {
            paths::empty_dir(&dir)?;
        }
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let addr = (Ipv4Addr::LOCALHOST, net::free_port(&[1025])?).into();
        let catcher = runtime.block_on(MailCatcher::start(Config {
            addr,
            dir: Some(dir.clone()),
        }))?;
        Ok(Self {
            catcher,
            dir,
            printed: 0,
            _runtime: runtime,
        })
    }

    /// For `SMTP_URL`.
    pub(crate) fn url(&self) -> String {
        self.catcher.url()
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Prints what came since the last call.
    pub(crate) fn print_new(&mut self) {
        for mail in self.catcher.mails().iter().skip(self.printed) {
            self.printed += 1;
            println!("{}", shown(mail));
        }
    }
}

/// A mail as a reader would see it, set off from the rest of the terminal.
fn shown(mail: &Mail) -> String {
    let mut text = format!("+-- mail to {}\n", mail.to.join(", "));
    let subject = mail.subject().unwrap_or_default();
    for line in [format!("Subject: {subject}"), String::new()]
        .iter()
        .map(String::as_str)
        .chain(mail.plain_text().lines())
    {
        text.push_str("| ");
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("+--");
    text
}
