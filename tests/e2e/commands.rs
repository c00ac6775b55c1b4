//! The operator's commands, run as an operator runs them: what they say and how they end.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use testkit::Env;

/// Runs the real binary and returns its exit code, what it printed, and what it complained of.
fn larder(env: &Env, variables: &[(&str, &str)], args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    let output = command
        .args(args)
        .envs(env.variables())
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_plan_or_check_ends_with_3_until_the_deployment_is_made() {
    let env = Env::fresh().await;
    let prefix = format!("{}deploy.", env.names().prefix);
    let here = [("LARDER_TOPIC_PREFIX", prefix.as_str())];
    for (check, make) in [
        (["topics", "plan"], ["topics", "apply"]),
        (["schemas", "check"], ["schemas", "register"]),
    ] {
        assert_eq!(larder(&env, &here, &check).0, 3, "{check:?}");
        for _ in 0..2 {
            let (code, _, complaint) = larder(&env, &here, &make);
            assert_eq!((code, complaint.as_str()), (0, ""), "{make:?}");
        }
        assert_eq!(larder(&env, &here, &check).0, 0, "{check:?}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_migrated_is_noticed_and_migrated() {
    let env = Env::fresh().await;
    let url = testkit::empty_database().await;
    let here = [("DATABASE_URL", url.as_str())];
    let (code, printed, _) = larder(&env, &here, &["migrate", "--check"]);
    assert!(
        code == 3 && printed.contains("run `larder migrate`"),
        "{code} {printed}"
    );
    let (code, _, complaint) = larder(&env, &here, &["seed", "--demo"]);
    assert!(
        code == 1 && complaint.contains("run `larder migrate`"),
        "{code} {complaint}"
    );
    assert_eq!(larder(&env, &here, &["migrate"]).0, 0);
    assert_eq!(larder(&env, &here, &["migrate"]).1, "the database was up to date\n");
    assert_eq!(larder(&env, &here, &["migrate", "--check"]).0, 0);
}

#[tokio::test]
async fn other_partition_counts_are_refused_with_the_way_to_go() {
    let env = Env::fresh().await;
    let (code, _, complaint) = larder(&env, &[], &["topics", "apply", "--partitions", "4"]);
    assert!(
        code == 1 && complaint.contains("docs/operations.md"),
        "{code} {complaint}"
    );
}

#[tokio::test]
async fn wrong_usage_ends_with_2_and_a_missing_setting_is_named() {
    let env = Env::fresh().await;
    for args in [
        &["seed"][..],
        &["seed", "--merchants", "2", "--json"],
        &["tail"],
        &["stock", "resume", "--shard", "0"],
    ] {
        assert_eq!(larder(&env, &[], args).0, 2, "{args:?}");
    }
    let (code, _, complaint) = larder(&env, &[("KAFKA_BOOTSTRAP_SERVERS", "")], &["topics", "plan"]);
    assert!(
        code == 1 && complaint.contains("KAFKA_BOOTSTRAP_SERVERS"),
        "{code} {complaint}"
    );
    let (code, _, complaint) = larder(&env, &[], &["tail", "no_such_topic"]);
    assert!(
        code == 1 && complaint.contains("there is no topic"),
        "{code} {complaint}"
    );
}

#[tokio::test]
async fn seeding_the_demo_again_gives_the_same_merchant_and_another_key() {
    let env = Env::fresh().await;
    let seed = || -> serde_json::Value {
        let (code, printed, _) = larder(&env, &[], &["seed", "--demo", "--json"]);
        assert_eq!(code, 0);
        serde_json::from_str(&printed).unwrap()
    };
    let (mut first, mut second) = (seed(), seed());
    let (one, other) = (first["api_key"].take(), second["api_key"].take());
    assert_eq!(first, second);
    assert_ne!(one, other);
    assert!(
        one.as_str()
            .is_some_and(|key| key.starts_with("lk_") && key.len() == 67),
        "{one}"
    );
    assert_eq!(
        env.count("SELECT count(*) FROM stock_movements WHERE kind = 'initial'")
            .await,
        3
    );
}

#[tokio::test]
async fn a_reader_that_leaves_ends_tail_quietly() {
    let env = Env::fresh().await;
    let topic = env.names().topic(&schemas::topics::NOTIFY);
    for _ in 0..3 {
        env.produce(&topic, testkit::kafka::Raw::default()).await;
    }
    let mut tail = Command::new(env!("CARGO_BIN_EXE_larder"));
    tail.args(["tail", "notify", "--from", "beginning"])
        .envs(env.variables());
    let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(tail.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("\"value\":null"), "{line}");
    // Its next line finds nobody.
    for _ in 0..3 {
        env.produce(&topic, testkit::kafka::Raw::default()).await;
    }
    let output = tokio::task::spawn_blocking(move || tail.wait_with_output().unwrap())
        .await
        .unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
