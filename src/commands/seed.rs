//! `larder seed`: merchants to order from.

use std::{collections::BTreeMap, fs::File, io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;
use service::config::DatabaseArgs;
use store::{
    Database, migrate,
    seed::{self, NewCustomer, NewIngredient, NewMerchant, NewProduct, bulk},
};

/// Brings in merchants. What is there already stays as it is.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["demo", "merchants"]))]
pub(crate) struct Seed {
    /// A burger merchant with three ingredients, and a new API key for it each time
    #[arg(long)]
    demo: bool,
    /// Print the demo's ids and its API key as JSON
    #[arg(long, conflicts_with = "merchants")]
    json: bool,
    /// So many merchants of one shape, named load-1, load-2, …
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..=10_000_000), value_name = "N")]
    merchants: Option<i64>,
    /// Products of each merchant
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i64).range(1..=10_000), value_name = "N")]
    products: i64,
    /// Ingredients of each merchant
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=10_000), value_name = "N")]
    ingredients: i64,
    /// Ingredients in each product's recipe
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i64).range(1..=1_000), value_name = "N")]
    lines: i64,
    /// What there is of each ingredient, in its base unit; a product takes 10
    #[arg(long, default_value_t = 1_000_000_000, value_parser = clap::value_parser!(i64).range(0..=1_000_000_000_000), value_name = "N")]
    level: i64,
    /// File for a new API key of each merchant with what it takes to order there, as `larder load --targets` reads it
    #[arg(long, requires = "merchants", value_name = "FILE")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    database: DatabaseArgs,
}

impl Seed {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let database = Database::connect(&self.database.clone().try_into()?).await?;
        migrate::check(&database).await?;
        match self.merchants {
            None => demo(&database, self.json).await?,
            Some(merchants) => self.many(&database, merchants).await?,
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn many(&self, database: &Database, merchants: i64) -> Result<()> {
        let (ingredients, products, level) = (self.ingredients, self.products, self.level);
        anyhow::ensure!(
            self.lines <= ingredients,
            "a recipe of {} ingredients needs as many: lower --lines or raise --ingredients",
            self.lines
        );
        let shape = bulk::Shape {
            merchants,
            products,
            ingredients,
            lines: self.lines,
            level,
        };
        let progress = |done| {
            if done % 1000 == 0 {
                eprintln!("{done} of {merchants} merchants");
            }
        };
        let created = bulk::merchants(database, shape, progress).await?;
        println!("brought in {created} merchants; {} were there", merchants - created);
        let Some(file) = &self.keys else { return Ok(()) };
        let orderable = bulk::orderable(database, merchants).await?;
        let keys = orderable.iter().map(|merchant| Ok((merchant.merchant_id, api_key()?)));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        bulk::add_api_keys(database, &keys).await?;
        let mut out = std::io::BufWriter::new(
            File::create(file).with_context(|| format!("cannot write the keys to {}", file.display()))?,
        );
        for (merchant, (_, api_key)) in orderable.iter().zip(&keys) {
            let line = serde_json::json!({
                "api_key": api_key,
                "merchant_id": merchant.merchant_id,
                "customer_id": merchant.customer_id,
                "product_ids": merchant.product_ids,
            });
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        println!("wrote {} API keys to {}", keys.len(), file.display());
        Ok(())
    }
}

async fn demo(database: &Database, json: bool) -> Result<()> {
    let seeded = seed::merchant(database, &burger_merchant()).await?;
    let api_key = api_key()?;
    seed::add_api_key(database, seeded.merchant_id, &api_key).await?;
    let (customer, product) = (seeded.customers["demo-customer"], seeded.products["burger"]);
    if json {
        let ids: BTreeMap<_, _> = seeded.ingredients.iter().collect();
        let line = serde_json::json!({
            "api_key": api_key,
            "merchant_id": seeded.merchant_id,
            "customer_id": customer,
            "product_id": product,
            "ingredients": ids,
        });
        println!("{line}");
        return Ok(());
    }
    println!(
        "merchant {} (demo), customer {customer} (demo-customer), product {product} (burger)",
        seeded.merchant_id
    );
    for (reference, id) in &seeded.ingredients {
        println!("ingredient {id} ({reference})");
    }
    println!("API key, shown this once: {api_key}");
    Ok(())
}

/// 20 kg of beef, 5 kg of cheese, 1 kg of onion; a burger takes 150 g, 30 g and 20 g.
fn burger_merchant() -> NewMerchant {
    let ingredient = |reference: &str, name: &str, grams| NewIngredient {
        reference: reference.to_owned(),
        name: name.to_owned(),
        unit: "g".to_owned(),
        full_level: grams,
        threshold_pct: 50,
        on_hand: grams,
    };
    let recipe = [("beef", 150), ("cheese", 30), ("onion", 20)];
    NewMerchant {
        reference: "demo".to_owned(),
        name: "Demo Burgers".to_owned(),
        currency: "EUR".to_owned(),
        alert_recipients: vec!["kitchen@demo.example".to_owned()],
        customers: vec![NewCustomer {
            reference: "demo-customer".to_owned(),
            name: "Demo Customer".to_owned(),
            email: Some("customer@demo.example".to_owned()),
        }],
        ingredients: vec![
            ingredient("beef", "Beef", 20_000),
            ingredient("cheese", "Cheese", 5_000),
            ingredient("onion", "Onion", 1_000),
        ],
        products: vec![NewProduct {
            reference: "burger".to_owned(),
            name: "Burger".to_owned(),
            price_minor: 950,
            recipe: recipe.map(|(reference, grams)| (reference.to_owned(), grams)).into(),
        }],
    }
}

/// 32 bytes that nobody can guess, in hexadecimal.
fn api_key() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(format!("lk_{}", super::hex(&bytes)))
}
