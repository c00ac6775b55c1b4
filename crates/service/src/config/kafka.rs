//! Kafka and the schema registry.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use stream::{KafkaConfig, Names, RegistryConfig};

use super::{ConfigError, required, secret};
use crate::secret::Secret;

/// How Kafka is reached and what things are called there.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Kafka")]
pub struct KafkaArgs {
    /// `host:port`, several separated by commas
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", value_name = "SERVERS")]
    pub kafka_bootstrap_servers: Option<String>,
    /// plaintext, ssl, `sasl_plaintext` or `sasl_ssl`
    #[arg(long, env = "KAFKA_SECURITY_PROTOCOL", value_name = "PROTOCOL")]
    pub kafka_security_protocol: Option<String>,
    /// PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
    #[arg(long, env = "KAFKA_SASL_MECHANISM", value_name = "MECHANISM")]
    pub kafka_sasl_mechanism: Option<String>,
    /// User, where the cluster asks for one
    #[arg(long, env = "KAFKA_SASL_USERNAME", value_name = "USER")]
    pub kafka_sasl_username: Option<String>,
    /// Its password
    #[arg(long, env = "KAFKA_SASL_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub kafka_sasl_password: Option<Secret>,
    /// File that holds it instead
    #[arg(long, env = "KAFKA_SASL_PASSWORD_FILE", value_name = "FILE")]
    pub kafka_sasl_password_file: Option<PathBuf>,
    /// Certificates that the cluster's own is checked against
    #[arg(long, env = "KAFKA_SSL_CA_LOCATION", value_name = "FILE")]
    pub kafka_ssl_ca_location: Option<String>,
    /// Further settings of librdkafka: `key=value;key=value`
    #[arg(long, env = "KAFKA_PROPERTIES", hide_env_values = true, value_name = "PROPERTIES")]
    pub kafka_properties: Option<Secret>,
    /// Put before every topic, subject and group, so that environments can share one cluster
    #[arg(
        long,
        env = "LARDER_TOPIC_PREFIX",
        default_value = "",
        hide_default_value = true,
        value_name = "PREFIX"
    )]
    pub topic_prefix: String,
}

impl KafkaArgs {
    /// What things are called on the cluster.
    #[must_use]
    pub fn names(&self) -> Names {
        Names {
            prefix: self.topic_prefix.clone(),
        }
    }
}

impl TryFrom<KafkaArgs> for KafkaConfig {
    type Error = ConfigError;

    fn try_from(args: KafkaArgs) -> Result<Self, ConfigError> {
        let names = args.names();
        let mut properties = BTreeMap::new();
        let password = secret(args.kafka_sasl_password, args.kafka_sasl_password_file.as_deref())?;
        let given = [
            ("security.protocol", args.kafka_security_protocol),
            ("sasl.mechanism", args.kafka_sasl_mechanism),
            ("sasl.username", args.kafka_sasl_username),
            ("sasl.password", password.map(|password| password.expose().to_owned())),
            ("ssl.ca.location", args.kafka_ssl_ca_location),
        ];
        for (key, value) in given {
            // A variable that is set to nothing is one that is not set.
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                properties.insert(key.to_owned(), value);
            }
        }
        if let Some(text) = args.kafka_properties {
            properties.extend(parse_properties(text.expose())?);
        }
        let servers = required(
            args.kafka_bootstrap_servers.filter(|servers| !servers.is_empty()),
            "the address of Kafka",
            "--kafka-bootstrap-servers",
            "KAFKA_BOOTSTRAP_SERVERS",
        )?;
        Ok(Self {
            bootstrap_servers: servers,
            properties,
            names,
        })
    }
}

/// How the schema registry is reached.
#[allow(
    clippy::struct_field_names,
    reason = "a field is a flag, and flags of all groups stand side by side"
)]
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Schema registry")]
pub struct RegistryArgs {
    /// Base of Confluent's API
    #[arg(long, env = "SCHEMA_REGISTRY_URL", value_name = "URL")]
    pub schema_registry_url: Option<String>,
    /// User, where the registry asks for one
    #[arg(long, env = "SCHEMA_REGISTRY_USERNAME", value_name = "USER")]
    pub schema_registry_username: Option<String>,
    /// Its password
    #[arg(
        long,
        env = "SCHEMA_REGISTRY_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    pub schema_registry_password: Option<Secret>,
    /// File that holds it instead
    #[arg(long, env = "SCHEMA_REGISTRY_PASSWORD_FILE", value_name = "FILE")]
    pub schema_registry_password_file: Option<PathBuf>,
}

impl TryFrom<RegistryArgs> for RegistryConfig {
    type Error = ConfigError;

    fn try_from(args: RegistryArgs) -> Result<Self, ConfigError> {
        let password = secret(
            args.schema_registry_password,
            args.schema_registry_password_file.as_deref(),
        )?;
        let basic_auth = match (args.schema_registry_username.filter(|user| !user.is_empty()), password) {
            (Some(user), password) => Some((
                user,
                password.map_or_else(String::new, |password| password.expose().to_owned()),
            )),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(ConfigError::Wrong {
                    what: "--schema-registry-password or SCHEMA_REGISTRY_PASSWORD",
                    reason: "it has no user: set SCHEMA_REGISTRY_USERNAME too".to_owned(),
                });
            }
        };
        let url = required(
            args.schema_registry_url.filter(|url| !url.is_empty()),
            "the address of the schema registry",
            "--schema-registry-url",
            "SCHEMA_REGISTRY_URL",
        )?;
        Ok(Self { url, basic_auth })
    }
}

fn parse_properties(text: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    text.split(';')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
            // Not the pair itself: it may be half of a password.
            _ => Err(ConfigError::Wrong {
                what: "--kafka-properties or KAFKA_PROPERTIES",
                reason: "write it as key=value;key=value".to_owned(),
            }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        kafka: KafkaArgs,
        #[command(flatten)]
        registry: RegistryArgs,
    }

    #[test]
    fn flags_become_settings_of_librdkafka() {
        let command = Command::parse_from([
            "larder",
            "--kafka-bootstrap-servers=a:1,b:2",
            "--kafka-sasl-username=u",
            "--kafka-sasl-password=hunter2",
            "--kafka-properties=socket.timeout.ms=500; log_level=3;",
            "--topic-prefix=t.",
        ]);
        assert!(!format!("{:?}", command.kafka).contains("hunter2"));
        let config = KafkaConfig::try_from(command.kafka).unwrap();
        assert_eq!(config.bootstrap_servers, "a:1,b:2");
        assert_eq!(config.names.group("stock"), "t.stock");
        for (key, value) in [
            ("sasl.username", "u"),
            ("sasl.password", "hunter2"),
            ("socket.timeout.ms", "500"),
            ("log_level", "3"),
        ] {
            assert_eq!(config.properties.get(key).map(String::as_str), Some(value), "{key}");
        }
    }

    #[test]
    fn settings_that_are_none_are_refused() {
        for text in ["novalue", "a=1;b", "=1"] {
            assert!(parse_properties(text).is_err(), "{text}");
        }
        assert!(parse_properties("").unwrap().is_empty());
    }

    #[test]
    fn a_password_of_nobody_is_refused() {
        let command = Command::parse_from([
            "larder",
            "--schema-registry-url=http://r",
            "--schema-registry-password=p",
        ]);
        assert!(!format!("{:?}", command.registry).contains("\"p\""));
        assert!(RegistryConfig::try_from(command.registry).is_err());
    }
}
