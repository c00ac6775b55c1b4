//! Flags and environment variables of the mailer alone; those it shares are in `service::config`.

use std::{path::PathBuf, time::Duration};

use clap::Args as ClapArgs;
use lettre::message::Mailbox;
use service::{
    Secret,
    config::{ConfigError, required},
};
use store::DatabaseConfig;
use stream::{KafkaConfig, RegistryConfig};

use crate::{Backoff, Config, SmtpConfig};

/// How alerts become mails.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Mailer")]
#[group(id = "mailer")]
pub struct Args {
    /// Mail server: `smtp://host`, `smtp://host?tls=required` (STARTTLS) or `smtps://host`, with `user:password@` and `:port` where needed
    #[arg(long, env = "SMTP_URL", hide_env_values = true, value_name = "URL")]
    pub smtp_url: Option<Secret>,
    /// File that holds it instead
    #[arg(long, env = "SMTP_URL_FILE", value_name = "FILE")]
    pub smtp_url_file: Option<PathBuf>,
    /// Password of the user in the URL
    #[arg(long, env = "SMTP_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub smtp_password: Option<Secret>,
    /// File that holds it instead
    #[arg(long, env = "SMTP_PASSWORD_FILE", value_name = "FILE")]
    pub smtp_password_file: Option<PathBuf>,
    /// Certificates (PEM) that are trusted beside the system's
    #[arg(long, env = "SMTP_CA_FILE", value_name = "FILE")]
    pub smtp_ca_file: Option<PathBuf>,
    /// How long handing over one mail may take
    #[arg(long, env = "SMTP_TIMEOUT", default_value = "30s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub smtp_timeout: Duration,
    /// Sender of every mail: `name@host` or `Name <name@host>`
    #[arg(long, env = "MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,
    /// For how long alerts of one merchant are gathered into one mail; 0s sends each by itself
    #[arg(long, env = "MAILER_DIGEST_WINDOW", default_value = "10s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub mailer_digest_window: Duration,
    /// Mails that are sent at the same time
    #[arg(long, env = "MAILER_WORKERS", default_value_t = 4, value_name = "N")]
    pub mailer_workers: usize,
    /// Longest wait after the first failed attempt; doubles with every further one, up to an hour
    #[arg(long, env = "MAILER_RETRY_BASE", default_value = "5s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub mailer_retry_base: Duration,
    /// When trying ends
    #[arg(long, env = "MAILER_GIVE_UP_AFTER", default_value = "3days", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub mailer_give_up_after: Duration,
}

impl Args {
    /// The mailer's configuration, together with what it shares with others.
    pub fn into_config(
        self,
        kafka: KafkaConfig,
        registry: RegistryConfig,
        database: DatabaseConfig,
    ) -> Result<Config, ConfigError> {
        let url = Secret::resolve(self.smtp_url, self.smtp_url_file.as_deref())?;
        let url = required(url, "the mail server", "--smtp-url", "SMTP_URL or SMTP_URL_FILE")?;
        let password = Secret::resolve(self.smtp_password, self.smtp_password_file.as_deref())?;
        let from = required(self.mail_from, "the sender of mails", "--mail-from", "MAIL_FROM")?;
        let from: Mailbox = from.parse().map_err(|_| ConfigError::Wrong {
            what: "--mail-from or MAIL_FROM",
            reason: format!("{from:?} is no address: write it as name@host or Name <name@host>"),
        })?;
        Ok(Config {
            kafka,
            registry,
            database,
            smtp: SmtpConfig {
                url: url.into_inner(),
                password: password.map(Secret::into_inner),
                ca_file: self.smtp_ca_file,
                send_timeout: self.smtp_timeout,
            },
            from,
            digest_window: self.mailer_digest_window,
            workers: self.mailer_workers.max(1),
            backoff: Backoff {
                base: self.mailer_retry_base,
                cap: Duration::from_hours(1),
            },
            give_up_after: self.mailer_give_up_after,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use store::DatabaseConfig;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        mailer: Args,
    }

    fn config(flags: &[&str]) -> Result<Config, ConfigError> {
        let command = Command::parse_from(std::iter::once(&"mailer").chain(flags));
        assert!(!format!("{:?}", command.mailer).contains("hunter2"));
        let database = DatabaseConfig {
            url: "postgres://h/d".into(),
            max_connections: 1,
        };
        command
            .mailer
            .into_config(KafkaConfig::default(), RegistryConfig::default(), database)
    }

    #[test]
    fn flags_become_a_configuration() {
        let config = config(&[
            "--smtp-url=smtp://u:hunter2@mail:2525",
            "--mail-from=Larder <larder@example.org>",
            "--mailer-digest-window=0s",
            "--mailer-retry-base=200ms",
        ])
        .unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.from.email.to_string(), "larder@example.org");
        assert_eq!(config.digest_window, Duration::ZERO);
        assert_eq!(config.backoff.base, Duration::from_millis(200));
        assert_eq!(config.give_up_after, Duration::from_hours(72));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let error = config(&["--mail-from=a@b.org"]).unwrap_err().to_string();
        assert!(error.contains("SMTP_URL"), "{error}");
        let error = config(&["--smtp-url=smtp://m", "--mail-from=nobody"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("MAIL_FROM"), "{error}");
    }
}
