//! Leaving a corner of the servers: what stays there takes time from what is measured next.

use std::time::Duration;

use anyhow::Result;
use rdkafka::{
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use testkit::Env;

/// Deletes the topics of a corner, then its database.
pub(crate) async fn leave(env: Env) -> Result<()> {
    delete_topics(&env).await?;
    env.drop_database().await;
    Ok(())
}

/// Deletes every topic whose name begins as this corner's names do.
pub(crate) async fn delete_topics(env: &Env) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let admin: AdminClient<DefaultClientContext> = env.kafka.client().create()?;
    let all = admin.inner().fetch_metadata(None, PATIENCE)?;
    let mine: Vec<&str> = all
        .topics()
        .iter()
        .map(rdkafka::metadata::MetadataTopic::name)
        .filter(|name| name.starts_with(&env.names().prefix))
        .collect();
    for deleted in admin.delete_topics(&mine, &AdminOptions::new()).await? {
        // A topic that is gone already is as good.
        if let Err((topic, error)) = deleted {
            eprintln!("{topic} is not deleted: {error}");
        }
    }
    Ok(())
}
