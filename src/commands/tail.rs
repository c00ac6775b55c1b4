//! `larder tail`: what stands on a topic, decoded by the schema each record was written with.

mod decode;
mod read;

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
    str::FromStr,
};

use ::schemas::events::Micros;
use anyhow::Result;
use clap::Args;
use rdkafka::Offset;
use serde_json::{Map, Value, json};
use service::config::{KafkaArgs, RegistryArgs};
use stream::{KafkaConfig, Record, Registry, headers::rfc3339};

/// Prints a topic's records as JSON lines: {topic, partition, offset, timestamp, key, headers, value}.
///
/// Order holds within a partition, as on the topic. What does not decode is shown in hexadecimal with the reason.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// The topic without the prefix; dead-letter topics too
    topic: String,
    /// Where to begin in every partition: beginning, end, or an offset
    #[arg(long, default_value = "end", value_name = "beginning|end|OFFSET")]
    from: From,
    /// Stop after so many records; without it new ones are awaited until Ctrl-C
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Only this partition
    #[arg(long, value_name = "N")]
    partition: Option<i32>,
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Where to begin.
#[derive(Clone, Copy, Debug)]
struct From(Offset);

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "beginning" => Ok(Self(Offset::Beginning)),
            "end" => Ok(Self(Offset::End)),
            number => match number.parse() {
                Ok(offset) if offset >= 0 => Ok(Self(Offset::Offset(offset))),
                _ => Err("say beginning, end or an offset".to_owned()),
            },
        }
    }
}

impl Tail {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let kafka = KafkaConfig::try_from(self.kafka)?;
        let registry = Registry::new(&self.registry.try_into()?, kafka.names.clone())?;
        let mut decoder = decode::Decoder::new(registry);
        let topic = format!("{}{}", kafka.names.prefix, self.topic);
        let mut records = read::start(&kafka, topic, self.partition, self.from.0).await?;
        let mut out = BufWriter::new(io::stdout().lock());
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            // What is printed is seen at once, yet a backlog does not cost a write a line.
            let next = match records.try_recv() {
                Ok(record) => Some(record),
                Err(_) if broken_pipe(out.flush())? => break,
                Err(_) => tokio::select! {
                    record = records.recv() => record,
                    stop = tokio::signal::ctrl_c() => { stop?; None }
                },
            };
            let Some(record) = next else { break };
            let line = line(&record?, &mut decoder).await;
            if broken_pipe(writeln!(out, "{line}"))? {
                return Ok(ExitCode::SUCCESS);
            }
            left -= 1;
        }
        broken_pipe(out.flush())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether whoever read the output has gone, as `head` does: no failure.
fn broken_pipe(written: io::Result<()>) -> io::Result<bool> {
    match written {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(error),
    }
}

async fn line(record: &Record, decoder: &mut decode::Decoder) -> Value {
    let headers: Map<String, Value> = record
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), text(value)))
        .collect();
    json!({
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": (record.timestamp >= 0).then(|| rfc3339(Micros(record.timestamp.saturating_mul(1000)))),
        "key": record.key.as_deref().map(text),
        "headers": headers,
        "value": match &record.value {
            None => Value::Null,
            Some(bytes) => match decoder.decode(bytes).await {
                Ok(value) => value,
                Err(error) => json!({ "error": format!("{error:#}"), "hex": super::hex(bytes) }),
            },
        },
    })
}

/// Text as it is, other bytes in hexadecimal.
fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "hex": super::hex(bytes) }),
    }
}
