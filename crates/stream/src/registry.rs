//! The schema registry: ids are looked up once and kept, so that the pipeline runs on while the registry is away.

use std::{
    collections::HashMap,
    error::Error as _,
    marker::PhantomData,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use schema_registry_converter::{
    async_impl::schema_registry::{SrSettings, get_schema_by_id, perform_sr_call},
    error::SRCError,
    schema_registry_common::{RawError, SrCall},
};
use schemas::{DecodeError, EncodeError, Event, Topic, WriterSchema};

use crate::{
    config::{Names, RegistryConfig},
    wire,
};

/// How long an id that the registry does not know is not asked for again.
const UNKNOWN_FOR: Duration = Duration::from_secs(30);

/// The registry did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It cannot be reached, or not now.
    #[error(
        "the schema registry at {url} does not answer: {reason}: check that it runs and that SCHEMA_REGISTRY_URL names it"
    )]
    Unavailable {
        /// Where it should be.
        url: String,
        /// What was said.
        reason: String,
    },
    /// The schema is not there.
    #[error("the schema of {subject} is not registered: run `larder schemas register`")]
    NotRegistered {
        /// Under which subject.
        subject: String,
    },
}

/// Why bytes did not become an event.
#[derive(Debug, thiserror::Error)]
pub enum DecodeFailure {
    /// There are none: a tombstone, which no topic of ours has.
    #[error("the record has no value")]
    Empty,
    /// They are not in Confluent's wire format.
    #[error("the value is not in the wire format: expected a zero byte and a schema id of four")]
    Format,
    /// The registry does not know the id.
    #[error("the registry knows no schema {id}")]
    UnknownSchema {
        /// The id.
        id: u32,
    },
    /// It is the schema of another event.
    #[error("schema {id} is that of {found}, this topic holds {expected}")]
    OtherEvent {
        /// The id.
        id: u32,
        /// The record it describes.
        found: String,
        /// The record of this topic.
        expected: &'static str,
    },
    /// The value is not what the schema says.
    #[error(transparent)]
    Value(#[from] DecodeError),
    /// Whether the registry knows the id cannot be told now: not the record's fault.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl DecodeFailure {
    /// The word for it in the dead letter's headers and in metrics; none where it may pass.
    #[must_use]
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Empty => Some("empty_value"),
            Self::Format => Some("not_wire_format"),
            Self::UnknownSchema { .. } => Some("unknown_schema"),
            Self::OtherEvent { .. } => Some("other_event"),
            Self::Value(_) => Some("undecodable"),
            Self::Registry(_) => None,
        }
    }
}

/// The way to the registry.
#[derive(Clone)]
pub struct Registry {
    settings: SrSettings,
    url: String,
    names: Names,
}

impl Registry {
    /// Prepares the way; nothing is asked yet.
    pub fn new(config: &RegistryConfig, names: Names) -> Result<Self, RegistryError> {
        let url = config.url.trim_end_matches('/').to_owned();
        let mut builder = SrSettings::new_builder(url.clone());
        builder.set_timeout(Duration::from_secs(5));
        if let Some((user, password)) = &config.basic_auth {
            builder.set_basic_authorization(user, Some(password));
        }
        let settings = builder.build().map_err(|error| RegistryError::Unavailable {
            url: url.clone(),
            reason: error.to_string(),
        })?;
        Ok(Self { settings, url, names })
    }

    /// The id of the schema this program writes the topic with. Nothing is registered.
    pub async fn id_of(&self, topic: &'static Topic) -> Result<u32, RegistryError> {
        let subject = self.names.subject(topic);
        let body = serde_json::json!({ "schema": topic.schema, "schemaType": "AVRO" }).to_string();
        match perform_sr_call(&self.settings, SrCall::PostForVersion(&subject, &body)).await {
            Ok(found) => found.id.ok_or(RegistryError::NotRegistered { subject }),
            Err(error) if is_not_found(&error) => Err(RegistryError::NotRegistered { subject }),
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    /// The schema of this id, as JSON; none where the registry does not know it.
    pub async fn schema(&self, id: u32) -> Result<Option<String>, RegistryError> {
        match get_schema_by_id(id, &self.settings).await {
            Ok(found) => Ok(Some(found.schema)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    /// Writes events of one type. Fails where their schema is not registered.
    pub async fn writer<E: Event>(&self) -> Result<Writer<E>, RegistryError> {
        let id = self.id_of(E::TOPIC).await?;
        Ok(Writer {
            prefix: wire::prefix(id),
            event: PhantomData,
        })
    }

    /// Reads events of one type, whatever version they were written with. Fails where today's is not registered.
    pub async fn reader<E: Event>(&self) -> Result<Reader<E>, RegistryError> {
        Ok(Reader {
            registry: self.clone(),
            newest: self.id_of(E::TOPIC).await?,
            others: RwLock::default(),
        })
    }

    fn unavailable(&self, error: &SRCError) -> RegistryError {
        let reason = error.cause.clone().unwrap_or_else(|| error.error.clone());
        RegistryError::Unavailable {
            url: self.url.clone(),
            reason,
        }
    }
}

/// Whether the registry itself says that there is no such thing; a 404 of whatever else answers at the address does not count.
fn is_not_found(error: &SRCError) -> bool {
    let said = error.source().and_then(|cause| cause.downcast_ref::<RawError>());
    said.is_some_and(|said| matches!(said.error_code, 404 | 40401..=40403))
}

/// Writes events of one type in the wire format.
pub struct Writer<E> {
    prefix: [u8; wire::PREFIX],
    event: PhantomData<fn(E)>,
}

impl<E: Event> Writer<E> {
    /// The bytes of an event.
    pub fn encode(&self, event: &E) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::with_capacity(256);
        self.encode_to(event, &mut bytes)?;
        Ok(bytes)
    }

    /// Appends the bytes of an event.
    pub fn encode_to(&self, event: &E, buffer: &mut Vec<u8>) -> Result<(), EncodeError> {
        buffer.extend_from_slice(&self.prefix);
        schemas::encode(event, buffer)
    }
}

enum Lookup<E> {
    Known(Arc<WriterSchema<E>>),
    OtherEvent(String),
    Unknown(Instant),
}

impl<E> Clone for Lookup<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Known(schema) => Self::Known(Arc::clone(schema)),
            Self::OtherEvent(found) => Self::OtherEvent(found.clone()),
            Self::Unknown(since) => Self::Unknown(*since),
        }
    }
}

/// Reads events of one type from the wire format.
pub struct Reader<E> {
    registry: Registry,
    /// The id of today's schema, which most records have.
    newest: u32,
    others: RwLock<HashMap<u32, Lookup<E>>>,
}

impl<E: Event> Reader<E> {
    /// The event that the bytes hold.
    pub async fn decode(&self, bytes: Option<&[u8]>) -> Result<E, DecodeFailure> {
        let (id, value) = wire::parse(bytes.ok_or(DecodeFailure::Empty)?).ok_or(DecodeFailure::Format)?;
        if id == self.newest {
            return Ok(WriterSchema::newest().decode(value)?);
        }
        let known = self
            .others
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get(&id)
            .cloned();
        let found = match known {
            Some(Lookup::Unknown(since)) if since.elapsed() >= UNKNOWN_FOR => self.look_up(id).await?,
            Some(found) => found,
            None => self.look_up(id).await?,
        };
        match found {
            Lookup::Known(schema) => Ok(schema.decode(value)?),
            Lookup::OtherEvent(found) => Err(DecodeFailure::OtherEvent {
                id,
                found,
                expected: E::TOPIC.event_type,
            }),
            Lookup::Unknown(_) => Err(DecodeFailure::UnknownSchema { id }),
        }
    }

    async fn look_up(&self, id: u32) -> Result<Lookup<E>, DecodeFailure> {
        let found = match self.registry.schema(id).await? {
            None => Lookup::Unknown(Instant::now()),
            Some(json) => match record_name(&json) {
                Some(name) if name == E::TOPIC.event_type => Lookup::Known(Arc::new(WriterSchema::parse(&json)?)),
                name => Lookup::OtherEvent(name.unwrap_or_else(|| "no record".to_owned())),
            },
        };
        self.others
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(id, found.clone());
        Ok(found)
    }
}

/// The full name of the record that a schema describes.
fn record_name(json: &str) -> Option<String> {
    let schema: serde_json::Value = serde_json::from_str(json).ok()?;
    let name = schema.get("name")?.as_str()?;
    match schema.get("namespace").and_then(serde_json::Value::as_str) {
        Some(namespace) if !name.contains('.') => Some(format!("{namespace}.{name}")),
        _ => Some(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_of_the_table_has_its_events_name() {
        for topic in schemas::TOPICS {
            assert_eq!(record_name(topic.schema).as_deref(), Some(topic.event_type));
        }
        assert_eq!(
            record_name(r#"{"type":"record","name":"a.B","namespace":"c","fields":[]}"#).as_deref(),
            Some("a.B")
        );
        assert_eq!(record_name("\"string\""), None);
    }
}
