//! Values without their Rust types: whatever schema the registry has of them.

use std::collections::HashMap;

use anyhow::{Context as _, Result, bail, ensure};
use apache_avro::{Schema, reader::datum::GenericDatumReader};
use serde_json::Value;
use stream::{Registry, wire};

/// Decodes values of any schema, each asked for once.
pub(super) struct Decoder {
    registry: Registry,
    schemas: HashMap<u32, Schema>,
}

impl Decoder {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            registry,
            schemas: HashMap::new(),
        }
    }

    /// A value in the wire format as JSON.
    pub(super) async fn decode(&mut self, bytes: &[u8]) -> Result<Value> {
        let (id, mut value) = wire::parse(bytes).context("not in the wire format")?;
        if !self.schemas.contains_key(&id) {
            let Some(json) = self.registry.schema(id).await? else {
                bail!("the registry knows no schema {id}")
            };
            let schema = Schema::parse_str(&json).with_context(|| format!("schema {id} is not Avro"))?;
            self.schemas.insert(id, schema);
        }
        let decoded = GenericDatumReader::builder(&self.schemas[&id])
            .build()
            .and_then(|reader| reader.read_value(&mut value))
            .with_context(|| format!("the value is not of schema {id}"))?;
        ensure!(value.is_empty(), "{} bytes follow the value", value.len());
        decoded.try_into().context("the value has no form in JSON")
    }
}
