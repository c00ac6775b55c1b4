//! Where everything is: `target/up.json` for scripts, and the same as text with commands to try.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::larder::{Larder, Seed};
use crate::paths;
use crate::servers::Endpoints;

/// The content of `target/up.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Demo {
    /// Where orders are posted to.
    pub(crate) orders_url: String,
    /// `/livez`, `/readyz` and `/metrics` are under these, by process.
    admin_urls: BTreeMap<String, String>,
    pub(crate) api_key: String,
    merchant_id: i64,
    pub(crate) customer_id: i64,
    pub(crate) product_id: i64,
    ingredients: BTreeMap<String, i64>,
    kafka: String,
    registry: String,
    database_url: String,
    /// One .eml per mail received.
    mail_dir: PathBuf,
    /// The binary that runs.
    larder: PathBuf,
}

impl Demo {
    pub(crate) fn new(seed: &Seed, larder: &Larder, servers: &Endpoints, mail_dir: &Path) -> Self {
        Self {
            orders_url: format!("http://127.0.0.1:{}/orders", larder.orders),
            admin_urls: BTreeMap::from([("all".into(), format!("http://127.0.0.1:{}", larder.admin))]),
            api_key: seed.api_key.clone(),
            merchant_id: seed.merchant_id,
            customer_id: seed.customer_id,
            product_id: seed.product_id,
            ingredients: seed.ingredients.clone(),
            kafka: servers.kafka.clone(),
            registry: servers.registry.clone(),
            database_url: servers.database_url.clone(),
            mail_dir: mail_dir.into(),
            larder: larder.binary.clone(),
        }
    }

    /// The demo that was started last and not stopped.
    pub(crate) fn read() -> Option<Self> {
        serde_json::from_slice(&fs::read(file()).ok()?).ok()
    }

    /// Tells scripts that everything is ready.
    pub(crate) fn write(&self) -> Result<()> {
        paths::write_json(&file(), self)
    }

    /// What to try, ready to be pasted.
    pub(crate) fn instructions(&self) -> String {
        let base = self.orders_url.trim_end_matches("/orders");
        let auth = format!("-H 'Authorization: Bearer {}'", self.api_key);
        let json = "-H 'Content-Type: application/json'";
        let order = format!(
            "{{\"customer_id\":{},\"items\":[{{\"product_id\":{},\"quantity\":1}}]}}",
            self.customer_id, self.product_id
        );
        let restock = self.ingredients.get("onion").map_or_else(String::new, |onion| {
            format!(
                "take a delivery of onions:\n  curl -sS {base}/ingredients/{onion}/adjustments {auth} {json} -d \
                 '{{\"kind\":\"restock\",\"amount\":1000,\"reason\":\"delivery\"}}'\n"
            )
        });
        let admin = self.admin_urls.values().cloned().collect::<Vec<_>>().join(" ");
        format!(
            "
  orders     {orders}
  admin      {admin} (/livez /readyz /metrics)
  kafka      {kafka}
  registry   {registry}
  postgres   {postgres}
  mails      {mails}
  api key    {key}

order a burger:
  curl -sS {orders} {auth} {json} -d '{order}'
see the stock:
  curl -sS {base}/stock {auth}
{restock}see the events:
  kcat -b {kafka} -t order_created -C -o beginning -e -f '%k %h\\n'
  KAFKA_BOOTSTRAP_SERVERS={kafka} SCHEMA_REGISTRY_URL={registry} {larder} tail order_created --from beginning --count 5

",
            orders = self.orders_url,
            kafka = self.kafka,
            registry = self.registry,
            postgres = self.database_url,
            mails = self.mail_dir.display(),
            key = self.api_key,
            larder = self.larder.display(),
        )
    }
}

/// Scripts must not find a demo that is not there.
pub(crate) fn remove_file() {
    let _gone_already = fs::remove_file(file());
}

/// Where scripts look.
pub(crate) fn file() -> PathBuf {
    paths::target().join("up.json")
}
