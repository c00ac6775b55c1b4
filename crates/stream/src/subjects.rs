//! Schemas at the registry: registered at deploy by `larder schemas register`, never by a running service.

use std::time::Duration;

use schema_registry_converter::{
    async_impl::schema_registry::{SrSettings, post_schema},
    error::SRCError,
    schema_registry_common::{SchemaType, SuppliedSchema},
};
use schemas::{TOPICS, Topic};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{Names, RegistryConfig};

/// What the registry holds every subject to: the newest reader reads everything ever written.
pub const COMPATIBILITY: &str = "BACKWARD_TRANSITIVE";
const TIMEOUT: Duration = Duration::from_secs(10);
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// The registry cannot be asked, or refuses a schema.
#[derive(Debug, thiserror::Error)]
pub enum SubjectsError {
    /// It does not answer.
    #[error("the schema registry does not answer: check SCHEMA_REGISTRY_URL")]
    Unavailable(#[from] reqwest::Error),
    /// The client cannot be set up.
    #[error("the schema registry's address or account is not usable")]
    Client(#[source] SRCError),
    /// It answers, but not as asked.
    #[error(
        "the schema registry answers {status} for {subject}: {message}: check SCHEMA_REGISTRY_URL and the account's rights"
    )]
    Answer {
        /// Which subject.
        subject: String,
        /// The HTTP status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// It refuses our schema.
    #[error(
        "the schema registry refuses the schema of {subject}: {reason}; a new field needs a default, and a field that \
         was there keeps its type"
    )]
    Refused {
        /// Which subject.
        subject: String,
        /// What it says, field by field.
        reason: String,
    },
}

/// What registering came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Which subject.
    pub subject: String,
    /// The schema's id, as it stands in every record.
    pub id: u32,
    /// Whether it was not there before.
    pub new: bool,
}

/// How our schema stands to the subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Registered, and the newest.
    Newest {
        /// Its id.
        id: u32,
    },
    /// Registered, but a newer one is, too: this program is older than the deployment.
    Older {
        /// Its id.
        id: u32,
        /// The newest version of the subject.
        newest: u32,
    },
    /// Not registered; the registry would take it.
    Missing,
    /// Not registered, and the registry would refuse it.
    Incompatible {
        /// What it says of it, where it says anything.
        reasons: Vec<String>,
    },
    /// Registered, but the subject is held to something else.
    Level {
        /// To what.
        is: String,
    },
}

impl Standing {
    /// Whether a service can run with it.
    #[must_use]
    pub const fn is_fine(&self) -> bool {
        matches!(self, Self::Newest { .. } | Self::Older { .. })
    }
}

/// The registry, as an operator deals with it.
pub struct Subjects {
    url: String,
    basic_auth: Option<(String, String)>,
    names: Names,
    client: reqwest::Client,
    settings: SrSettings,
}

impl Subjects {
    /// Sets up a client; nothing is asked yet.
    pub fn new(config: &RegistryConfig, names: Names) -> Result<Self, SubjectsError> {
        let url = config.url.trim_end_matches('/').to_owned();
        let mut settings = SrSettings::new_builder(url.clone());
        settings.set_timeout(TIMEOUT);
        if let Some((user, password)) = &config.basic_auth {
            settings.set_basic_authorization(user, Some(password));
        }
        let settings = settings.build().map_err(SubjectsError::Client)?;
        let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self {
            url,
            basic_auth: config.basic_auth.clone(),
            names,
            client,
            settings,
        })
    }

    /// Registers the schema of every topic, each subject held to [`COMPATIBILITY`]. Once is as good as twice.
    pub async fn register(&self) -> Result<Vec<Registered>, SubjectsError> {
        let mut registered = Vec::with_capacity(TOPICS.len());
        for topic in TOPICS {
            let subject = self.names.subject(topic);
            if self.level(&subject).await?.as_deref() != Some(COMPATIBILITY) {
                let level = json!({ "compatibility": COMPATIBILITY });
                let request = self.client.put(self.url(&["config", &subject])).json(&level);
                self.ask::<Value>(&subject, request).await?;
            }
            let new = self.registered(&subject, topic).await?.is_none();
            let schema = SuppliedSchema::new(None, SchemaType::Avro, topic.schema.to_owned());
            let answer = post_schema(&self.settings, subject.clone(), schema).await;
            let id = answer.map_err(|error| refused(&subject, error))?.id;
            registered.push(Registered { subject, id, new });
        }
        Ok(registered)
    }

    /// How the schema of every topic stands.
    pub async fn check(&self) -> Result<Vec<(String, Standing)>, SubjectsError> {
        let mut standings = Vec::with_capacity(TOPICS.len());
        for topic in TOPICS {
            let subject = self.names.subject(topic);
            let standing = self.standing(&subject, topic).await?;
            standings.push((subject, standing));
        }
        Ok(standings)
    }

    async fn standing(&self, subject: &str, topic: &Topic) -> Result<Standing, SubjectsError> {
        let latest = self.client.get(self.url(&["subjects", subject, "versions", "latest"]));
        let Some(latest) = self.ask::<Version>(subject, latest).await? else {
            return Ok(Standing::Missing);
        };
        let Some(ours) = self.registered(subject, topic).await? else {
            return self.compatible(subject, topic).await;
        };
        match self.level(subject).await? {
            Some(level) if level == COMPATIBILITY => {}
            level => {
                return Ok(Standing::Level {
                    is: level.unwrap_or_else(|| "nothing".to_owned()),
                });
            }
        }
        Ok(if latest.version == ours.version {
            Standing::Newest { id: ours.id }
        } else {
            Standing::Older {
                id: ours.id,
                newest: latest.version,
            }
        })
    }

    async fn compatible(&self, subject: &str, topic: &Topic) -> Result<Standing, SubjectsError> {
        let mut url = self.url(&["compatibility", "subjects", subject, "versions"]);
        url.push_str("?verbose=true");
        let answer: Option<Compatibility> = self.ask(subject, self.client.post(url).json(&body(topic))).await?;
        Ok(match answer {
            Some(Compatibility {
                is_compatible: false,
                messages,
            }) => Standing::Incompatible { reasons: messages },
            _ => Standing::Missing,
        })
    }

    /// Our schema among the subject's versions.
    async fn registered(&self, subject: &str, topic: &Topic) -> Result<Option<Version>, SubjectsError> {
        self.ask(
            subject,
            self.client.post(self.url(&["subjects", subject])).json(&body(topic)),
        )
        .await
    }

    /// What the subject is held to, where it has a level of its own.
    async fn level(&self, subject: &str) -> Result<Option<String>, SubjectsError> {
        let level: Option<Level> = self
            .ask(subject, self.client.get(self.url(&["config", subject])))
            .await?;
        Ok(level.map(|level| level.compatibility_level))
    }

    fn url(&self, path: &[&str]) -> String {
        [&[self.url.as_str()], path].concat().join("/")
    }

    /// Sends a request; "not found" is `None`.
    async fn ask<T: DeserializeOwned>(
        &self,
        subject: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<Option<T>, SubjectsError> {
        let request = request
            .header("content-type", CONTENT_TYPE)
            .header("accept", CONTENT_TYPE);
        let request = match &self.basic_auth {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        };
        let answer = request.send().await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Some(answer.json().await?));
        }
        let text = answer.text().await?;
        let refusal: Option<Refusal> = serde_json::from_str(&text).ok();
        // Not just any 404: whatever else answers at a wrong address knows nothing of subjects.
        if matches!(
            refusal,
            Some(Refusal {
                error_code: 404 | 40401..=40499,
                ..
            })
        ) {
            return Ok(None);
        }
        let message = refusal.map_or(text, |refusal| refusal.message);
        Err(SubjectsError::Answer {
            subject: subject.to_owned(),
            status: status.as_u16(),
            message,
        })
    }
}

fn body(topic: &Topic) -> Value {
    json!({ "schema": topic.schema, "schemaType": "AVRO" })
}

fn refused(subject: &str, error: SRCError) -> SubjectsError {
    let reason = error.cause.unwrap_or(error.error);
    SubjectsError::Refused {
        subject: subject.to_owned(),
        reason,
    }
}

#[derive(Deserialize)]
struct Version {
    id: u32,
    version: u32,
}

#[derive(Deserialize)]
struct Level {
    #[serde(rename = "compatibilityLevel")]
    compatibility_level: String,
}

#[derive(Deserialize)]
struct Compatibility {
    is_compatible: bool,
    #[serde(default)]
    messages: Vec<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error_code: u32,
    message: String,
}
