//! `larder ingest` and its kind: a service, or all of them, until a signal says stop.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use service::{
    Admin, Context, Shutdown, Task,
    config::{DatabaseArgs, KafkaArgs, ProcessArgs, RegistryArgs},
};
use store::DatabaseConfig;
use stream::{KafkaConfig, RegistryConfig};

/// What every service takes.
#[derive(Clone, Debug, Args)]
struct Shared {
    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

impl Shared {
    fn kafka(&self) -> Result<KafkaConfig> {
        Ok(self.kafka.clone().try_into()?)
    }

    fn registry(&self) -> Result<RegistryConfig> {
        Ok(self.registry.clone().try_into()?)
    }

    fn database(&self) -> Result<DatabaseConfig> {
        Ok(self.database.clone().try_into()?)
    }

    /// Opens the admin port, builds the tasks and runs them to their end.
    async fn serve(self, build: impl AsyncFnOnce(&Self, &Context) -> Result<Vec<Task>>) -> Result<ExitCode> {
        service::telemetry::init(&self.process.log)?;
        let context = Context::new(Shutdown::new(self.process.grace()));
        // Dropped last: it answers while the others stop.
        let _admin = Admin::start(self.process.admin_listen, &context).await?;
        let tasks = build(&self, &context).await?;
        Ok(service::run(&context, tasks).await)
    }
}

/// Takes orders and adjustments over HTTP.
#[derive(Debug, Args)]
pub(crate) struct Ingest {
    #[command(flatten)]
    shared: Shared,
    #[command(flatten)]
    ingest: order_ingest::IngestArgs,
}

/// Takes the ingredients of orders from stock.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Stock {
    #[command(subcommand)]
    operator: Option<StockOperator>,
    #[command(flatten)]
    shared: Shared,
    #[command(flatten)]
    service: stock_processor::Args,
}

/// What an operator does about stock; without it the service runs.
#[derive(Debug, Subcommand)]
enum StockOperator {
    /// Let a shard that stopped go on
    Resume(super::resume::Resume),
}

/// Sends the mails that alerts cause.
#[derive(Debug, Args)]
pub(crate) struct Mailer {
    #[command(flatten)]
    shared: Shared,
    #[command(flatten)]
    mailer: mailer::Args,
}

/// Everything at once, with one admin port: for a demo, a test, a small shop.
#[derive(Debug, Args)]
pub(crate) struct All {
    #[command(flatten)]
    shared: Shared,
    #[command(flatten)]
    ingest: order_ingest::IngestArgs,
    #[command(flatten)]
    stock: stock_processor::Args,
    #[command(flatten)]
    mailer: mailer::Args,
}

impl Ingest {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let args = self.ingest;
        self.shared
            .serve(async |shared, context| Ok(vec![ingest(shared, &args, context).await?]))
            .await
    }
}

impl Stock {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        if let Some(StockOperator::Resume(resume)) = self.operator {
            service::telemetry::init("warn")?;
            return resume.run().await;
        }
        let args = self.service;
        self.shared
            .serve(async |shared, context| Ok(vec![stock(shared, args, context).await?]))
            .await
    }
}

impl Mailer {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let args = self.mailer;
        self.shared
            .serve(async |shared, context| Ok(vec![mailer(shared, args, context).await?]))
            .await
    }
}

impl All {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let Self {
            shared,
            ingest: ingest_args,
            stock: stock_args,
            mailer: mailer_args,
        } = self;
        shared
            .serve(async |shared, context| {
                // Whoever reads is there before whoever writes.
                let mailer = mailer(shared, mailer_args, context).await?;
                let stock = stock(shared, stock_args, context).await?;
                let ingest = ingest(shared, &ingest_args, context).await?;
                Ok(vec![mailer, stock, ingest])
            })
            .await
    }
}

async fn ingest(shared: &Shared, args: &order_ingest::IngestArgs, context: &Context) -> Result<Task> {
    let config = order_ingest::Config {
        listen: args.ingest_listen,
        kafka: shared.kafka()?,
        registry: shared.registry()?,
        database: shared.database()?,
        limits: args.limits(),
    };
    let app = order_ingest::build(config, context)
        .await
        .context("order-ingest cannot start")?;
    Ok(Task::new("order-ingest", app.run()))
}

async fn stock(shared: &Shared, args: stock_processor::Args, context: &Context) -> Result<Task> {
    let config = stock_processor::Config {
        kafka: shared.kafka()?,
        registry: shared.registry()?,
        database: shared.database()?,
        args,
    };
    let app = stock_processor::build(config, context)
        .await
        .context("the stock-processor cannot start")?;
    Ok(Task::new("stock-processor", app.run()))
}

async fn mailer(shared: &Shared, args: mailer::Args, context: &Context) -> Result<Task> {
    let config = args.into_config(shared.kafka()?, shared.registry()?, shared.database()?)?;
    let app = mailer::build(config, context)
        .await
        .context("the mailer cannot start")?;
    Ok(Task::new("mailer", app.run()))
}
