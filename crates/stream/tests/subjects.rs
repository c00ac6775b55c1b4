//! Schemas, registered and checked at a real registry.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]

use schemas::topics::ORDER_CREATED;
use serde_json::{Value, json};
use stream::{
    Names, RegistryConfig,
    subjects::{Standing, Subjects, SubjectsError},
};
use testkit::Env;

#[tokio::test]
async fn registering_again_changes_nothing() {
    let env = Env::fresh().await;
    let subjects = Subjects::new(&env.registry, env.names().clone()).unwrap();
    let again = subjects.register().await.unwrap();
    assert!(again.iter().all(|registered| !registered.new), "{again:?}");
    for ((subject, standing), registered) in subjects.check().await.unwrap().into_iter().zip(again) {
        assert_eq!(
            (subject, standing),
            (registered.subject, Standing::Newest { id: registered.id })
        );
    }
}

#[tokio::test]
async fn a_check_names_what_is_not_registered() {
    let env = Env::fresh().await;
    let subjects = Subjects::new(&env.registry, elsewhere(&env)).unwrap();
    let standings = subjects.check().await.unwrap();
    assert!(
        standings
            .iter()
            .all(|(_, standing)| *standing == Standing::Missing && !standing.is_fine())
    );
}

#[tokio::test]
async fn a_newer_schema_leaves_ours_fine() {
    let env = Env::fresh().await;
    let mut newer: Value = serde_json::from_str(ORDER_CREATED.schema).unwrap();
    let field = json!({ "name": "table", "type": ["null", "int"], "default": null });
    newer["fields"].as_array_mut().unwrap().push(field);
    register(&env, env.names(), &newer).await;
    let subjects = Subjects::new(&env.registry, env.names().clone()).unwrap();
    let (_, standing) = subjects.check().await.unwrap().swap_remove(0);
    assert!(
        matches!(standing, Standing::Older { newest: 2, .. }) && standing.is_fine(),
        "{standing:?}"
    );
}

#[tokio::test]
async fn an_incompatible_schema_is_refused_with_the_field_that_is_to_blame() {
    let env = Env::fresh().await;
    let names = elsewhere(&env);
    let mut other: Value = serde_json::from_str(ORDER_CREATED.schema).unwrap();
    let total = other["fields"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .find(|field| field["name"] == "total_minor");
    total.unwrap()["type"] = json!("string");
    register(&env, &names, &other).await;
    let subjects = Subjects::new(&env.registry, names).unwrap();
    let refusal = subjects.register().await.unwrap_err();
    assert!(matches!(refusal, SubjectsError::Refused { .. }), "{refusal}");
    assert!(
        refusal
            .to_string()
            .contains("LONG not compatible with writer type: STRING at /fields/"),
        "{refusal}"
    );
    let (_, standing) = subjects.check().await.unwrap().swap_remove(0);
    assert!(matches!(standing, Standing::Incompatible { .. }), "{standing:?}");
}

#[tokio::test]
async fn a_server_that_is_no_registry_is_not_taken_for_an_empty_one() {
    let env = Env::fresh().await;
    let base = env.registry.url.split("/apis").next().unwrap();
    let config = RegistryConfig {
        url: format!("{base}/no/such/path"),
        basic_auth: None,
    };
    let error = Subjects::new(&config, elsewhere(&env))
        .unwrap()
        .check()
        .await
        .unwrap_err();
    assert!(matches!(error, SubjectsError::Answer { status: 404, .. }), "{error}");
}

fn elsewhere(env: &Env) -> Names {
    Names {
        prefix: format!("{}elsewhere.", env.names().prefix),
    }
}

/// Registers a schema for `order_created` that is not ours.
async fn register(env: &Env, names: &Names, schema: &Value) {
    let url = format!(
        "{}/subjects/{}/versions",
        env.registry.url,
        names.subject(&ORDER_CREATED)
    );
    let body = json!({ "schema": schema.to_string(), "schemaType": "AVRO" });
    let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}
