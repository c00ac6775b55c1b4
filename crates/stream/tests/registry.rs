//! Schemas by id, from a real registry: what is the record's fault and what is not.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]

use domain::{
    amount::Minor,
    ids::{CustomerId, MerchantId, OrderId},
    money::Currency,
};
use schemas::events::{Micros, Notify, OrderCreated};
use stream::{DecodeFailure, Names, Registry, RegistryConfig, RegistryError, wire};
use testkit::Env;
use uuid::Uuid;

fn order() -> OrderCreated {
    OrderCreated {
        order_id: OrderId::new(Uuid::now_v7()),
        merchant_id: MerchantId::new(1),
        customer_id: CustomerId::new(2),
        customer_email: None,
        currency: Currency::parse("EUR").unwrap(),
        lines: Vec::new(),
        total_minor: Minor::ZERO,
        placed_at: Micros(0),
        request_hash: None,
    }
}

#[tokio::test]
async fn what_is_written_is_read() {
    let env = Env::fresh().await;
    let bytes = env.schemas().writer().await.unwrap().encode(&order()).unwrap();
    let read: OrderCreated = env
        .schemas()
        .reader()
        .await
        .unwrap()
        .decode(Some(&bytes))
        .await
        .unwrap();
    assert_eq!(read.merchant_id, order().merchant_id);
}

#[tokio::test]
async fn an_id_that_the_registry_does_not_know_is_the_records_fault() {
    let env = Env::fresh().await;
    let mut bytes = env.schemas().writer().await.unwrap().encode(&order()).unwrap();
    bytes[..wire::PREFIX].copy_from_slice(&wire::prefix(2_000_000_000));
    let failure = env
        .schemas()
        .reader::<OrderCreated>()
        .await
        .unwrap()
        .decode(Some(&bytes))
        .await
        .unwrap_err();
    assert!(
        matches!(failure, DecodeFailure::UnknownSchema { id: 2_000_000_000 }),
        "{failure}"
    );
    assert_eq!(failure.reason(), Some("unknown_schema"));
}

#[tokio::test]
async fn the_schema_of_another_event_is_the_records_fault() {
    let env = Env::fresh().await;
    let bytes = env.schemas().writer().await.unwrap().encode(&order()).unwrap();
    let failure = env
        .schemas()
        .reader::<Notify>()
        .await
        .unwrap()
        .decode(Some(&bytes))
        .await
        .unwrap_err();
    assert_eq!(failure.reason(), Some("other_event"), "{failure}");
}

#[tokio::test]
async fn a_schema_that_is_not_registered_is_told_from_a_registry_that_is_away() {
    let env = Env::fresh().await;
    let elsewhere = Names {
        prefix: format!("{}elsewhere.", env.names().prefix),
    };
    let registry = Registry::new(&env.registry, elsewhere.clone()).unwrap();
    let error = registry.writer::<OrderCreated>().await.err().unwrap();
    assert!(matches!(error, RegistryError::NotRegistered { .. }), "{error}");

    // Nothing listens on port 1; and a server that is no registry knows nothing of schemas either.
    let base = env.registry.url.split("/apis").next().unwrap();
    for url in ["http://127.0.0.1:1".to_owned(), format!("{base}/no/such/path")] {
        let away = RegistryConfig { url, basic_auth: None };
        let registry = Registry::new(&away, elsewhere.clone()).unwrap();
        let error = registry.writer::<OrderCreated>().await.err().unwrap();
        assert!(matches!(error, RegistryError::Unavailable { .. }), "{error}");
        assert!(matches!(
            registry.schema(1).await.unwrap_err(),
            RegistryError::Unavailable { .. }
        ));
    }
}
