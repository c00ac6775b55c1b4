//! `larder schemas`: the events' schemas at the registry.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use service::config::RegistryArgs;
use stream::{
    Names,
    subjects::{COMPATIBILITY, Standing, Subjects},
};

/// Which way.
#[derive(Debug, Subcommand)]
pub(crate) enum Schemas {
    /// Register every schema and hold its subject to backward compatibility with everything before
    Register(Registry),
    /// Change nothing; exit with 3 where a schema is not registered or would be refused
    Check(Registry),
}

/// Where the registry is.
#[derive(Debug, Args)]
pub(crate) struct Registry {
    #[command(flatten)]
    registry: RegistryArgs,
    /// Put before every subject, as before every topic
    #[arg(
        long,
        env = "LARDER_TOPIC_PREFIX",
        default_value = "",
        hide_default_value = true,
        value_name = "PREFIX"
    )]
    topic_prefix: String,
}

impl Registry {
    fn subjects(self) -> Result<Subjects> {
        Ok(Subjects::new(
            &self.registry.try_into()?,
            Names {
                prefix: self.topic_prefix,
            },
        )?)
    }
}

impl Schemas {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        match self {
            Self::Register(registry) => {
                for registered in registry.subjects()?.register().await? {
                    let word = if registered.new { "registered" } else { "was registered" };
                    println!("{}: {word}, id {}", registered.subject, registered.id);
                }
                Ok(ExitCode::SUCCESS)
            }
            Self::Check(registry) => {
                let standings = registry.subjects()?.check().await?;
                for (subject, standing) in &standings {
                    println!("{subject}: {}", describe(standing));
                }
                let fine = standings.iter().all(|(_, standing)| standing.is_fine());
                Ok(if fine { ExitCode::SUCCESS } else { super::difference() })
            }
        }
    }
}

fn describe(standing: &Standing) -> String {
    match standing {
        Standing::Newest { id } => format!("registered, id {id}"),
        Standing::Older { id, newest } => format!("registered, id {id}; version {newest} is newer"),
        Standing::Missing => "not registered: run `larder schemas register`".to_owned(),
        Standing::Incompatible { reasons } if reasons.is_empty() => {
            "not registered, and refused as incompatible: `larder schemas register` says which field".to_owned()
        }
        Standing::Incompatible { reasons } => format!("not registered, and refused: {}", reasons.join("; ")),
        Standing::Level { is } => {
            format!("held to {is} instead of {COMPATIBILITY}: run `larder schemas register`")
        }
    }
}
