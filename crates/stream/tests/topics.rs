//! Topics, planned and applied on a real cluster.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]

use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
};
use schemas::{TOPICS, topics::NOTIFY};
use stream::{
    KafkaConfig, Names,
    topics::{Difference, Shape, TopicsError, apply, plan},
};
use testkit::Env;

const THREE: Shape = Shape {
    partitions: 3,
    replication: 1,
};

#[tokio::test]
async fn what_was_applied_is_as_planned_and_applying_again_does_nothing() {
    let env = Env::fresh().await;
    assert_eq!(plan(&env.kafka, THREE).await.unwrap(), []);
    assert_eq!(apply(&env.kafka, THREE).await.unwrap(), []);
}

#[tokio::test]
async fn a_plan_names_every_topic_that_is_missing() {
    let env = Env::fresh().await;
    let names = Names {
        prefix: format!("{}elsewhere.", env.names().prefix),
    };
    let kafka = KafkaConfig {
        names: names.clone(),
        ..env.kafka
    };
    let differences = plan(&kafka, THREE).await.unwrap();
    for topic in TOPICS {
        assert!(differences.contains(&Difference::Missing {
            topic: names.topic(topic),
            shape: THREE
        }));
        for group in topic.groups {
            let topic = names.dead_letters(topic, group);
            assert!(differences.contains(&Difference::Missing { topic, shape: THREE }));
        }
    }
    assert_eq!(differences.len(), 10);
}

#[tokio::test]
async fn another_number_of_partitions_is_refused_before_anything_changes() {
    let env = Env::fresh().await;
    set(&env.kafka, &env.names().topic(&NOTIFY), &[("retention.ms", "1000")]).await;
    let six = Shape { partitions: 6, ..THREE };
    let refusal = apply(&env.kafka, six).await.unwrap_err();
    assert!(matches!(refusal, TopicsError::Shape { .. }), "{refusal}");
    assert!(refusal.to_string().contains("docs/operations.md"), "{refusal}");
    assert_eq!(
        plan(&env.kafka, THREE).await.unwrap().len(),
        1,
        "the setting was changed nevertheless"
    );
}

#[tokio::test]
async fn a_setting_is_put_right_and_those_of_others_stay() {
    let env = Env::fresh().await;
    let topic = env.names().topic(&NOTIFY);
    set(
        &env.kafka,
        &topic,
        &[("retention.ms", "1000"), ("segment.ms", "12345678")],
    )
    .await;
    let done = apply(&env.kafka, THREE).await.unwrap();
    let settings: Vec<String> = done.iter().map(ToString::to_string).collect();
    // Setting two took the other ones away: this request of Kafka's replaces them all.
    assert_eq!(settings, [format!("{topic}: retention.ms=1000, wanted 604800000")]);
    assert_eq!(plan(&env.kafka, THREE).await.unwrap(), []);
    assert_eq!(get(&env.kafka, &topic, "segment.ms").await, "12345678");
}

async fn set(kafka: &KafkaConfig, topic: &str, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = kafka.client().create().unwrap();
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic));
    let change = settings
        .iter()
        .fold(change, |change, (name, value)| change.set(name, value));
    for answer in admin.alter_configs([&change], &AdminOptions::new()).await.unwrap() {
        answer.unwrap();
    }
}

async fn get(kafka: &KafkaConfig, topic: &str, name: &str) -> String {
    let admin: AdminClient<DefaultClientContext> = kafka.client().create().unwrap();
    let answers = admin
        .describe_configs(&[ResourceSpecifier::Topic(topic)], &AdminOptions::new())
        .await
        .unwrap();
    answers[0].as_ref().unwrap().get(name).unwrap().value.clone().unwrap()
}
