//! Where Kafka and the registry are, and what things are called there.

use std::{collections::BTreeMap, fmt};

use rdkafka::ClientConfig;
use schemas::Topic;

/// Names on the cluster: those of the table behind a prefix, so that environments can share one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Put before every topic and group; usually empty.
    pub prefix: String,
}

impl Names {
    /// The topic's name in Kafka.
    #[must_use]
    pub fn topic(&self, topic: &Topic) -> String {
        format!("{}{}", self.prefix, topic.name)
    }

    /// The subject of its value schema, by the registry's `TopicNameStrategy`.
    #[must_use]
    pub fn subject(&self, topic: &Topic) -> String {
        format!("{}{}", self.prefix, topic.subject())
    }

    /// The consumer group's name in Kafka.
    #[must_use]
    pub fn group(&self, group: &str) -> String {
        format!("{}{group}", self.prefix)
    }

    /// Where the group puts the records of the topic that it cannot handle.
    #[must_use]
    pub fn dead_letters(&self, topic: &Topic, group: &str) -> String {
        format!("{}{}", self.prefix, topic.dead_letters(group))
    }
}

/// Where Kafka is.
#[derive(Clone, Default)]
pub struct KafkaConfig {
    /// `host:port`, several separated by commas.
    pub bootstrap_servers: String,
    /// Further settings of librdkafka, for every client: security above all.
    pub properties: BTreeMap<String, String>,
    /// What topics and groups are called.
    pub names: Names,
}

impl KafkaConfig {
    /// The settings every client starts from.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap_servers);
        config.set("client.id", "larder");
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config
    }
}

impl fmt::Debug for KafkaConfig {
    /// Shows which settings there are, not what they are: passwords stand among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("properties", &self.properties.keys().collect::<Vec<_>>())
            .field("names", &self.names)
            .finish()
    }
}

/// Where the schema registry is.
#[derive(Clone, Default)]
pub struct RegistryConfig {
    /// The base of Confluent's API.
    pub url: String,
    /// User and password, where it asks for them.
    pub basic_auth: Option<(String, String)>,
}

impl fmt::Debug for RegistryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.basic_auth.as_ref().map(|(user, _)| user);
        f.debug_struct("RegistryConfig")
            .field("url", &self.url)
            .field("user", &user)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_stands_before_every_name() {
        let names = Names {
            prefix: "test.".to_owned(),
        };
        assert_eq!(names.topic(&schemas::topics::NOTIFY), "test.notify");
        assert_eq!(names.subject(&schemas::topics::NOTIFY), "test.notify-value");
        assert_eq!(names.group("mailer"), "test.mailer");
        assert_eq!(
            names.dead_letters(&schemas::topics::NOTIFY, "mailer"),
            "test.notify.mailer.dlq"
        );
    }

    #[test]
    fn debug_output_holds_no_password() {
        let properties = BTreeMap::from([("sasl.password".to_owned(), "hunter2".to_owned())]);
        let kafka = KafkaConfig {
            properties,
            ..KafkaConfig::default()
        };
        let registry = RegistryConfig {
            basic_auth: Some(("u".into(), "hunter2".into())),
            ..RegistryConfig::default()
        };
        assert!(!format!("{kafka:?}{registry:?}").contains("hunter2"));
    }
}
