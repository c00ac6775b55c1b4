//! `larder all`, as a process: it says where it listens, gets ready, works, and ends well when it is told to.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStderr, Command, Stdio},
};

use serde_json::{Value, json};
use testkit::{Env, wait_for, wait_until};

use crate::larder::{Demo, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn all_services_in_one_process_get_ready_work_and_stop_when_told() {
    let env = Env::fresh().await;
    let seed = larder(&env)
        .args(["seed", "--demo", "--json"])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let demo: Demo = serde_json::from_slice(&seed.stdout).unwrap();
    let mut all = start(&env);
    let mut log = BufReader::new(all.stderr.take().unwrap());
    let admin = address(&mut log, "service::admin");
    let orders = address(&mut log, "order_ingest::app");
    // Read on, or the process waits for somebody to read its log.
    let log = std::thread::spawn(move || log.lines().map_while(Result::ok).collect::<Vec<String>>());

    let http = reqwest::Client::new();
    let ready = format!("http://{admin}/readyz");
    wait_until("readiness", PATIENCE, async || {
        http.get(&ready)
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
    })
    .await;
    let body = json!({ "customer_id": demo.customer_id, "items": [{ "product_id": demo.product_id, "quantity": 1 }] });
    let request = http
        .post(format!("http://{orders}/orders"))
        .bearer_auth(&demo.api_key)
        .json(&body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 202);
    let order = format!("http://{orders}{}", answer.headers()["location"].to_str().unwrap());
    let status = wait_for("the order to be decided", PATIENCE, async || {
        let order: Value = http
            .get(&order)
            .bearer_auth(&demo.api_key)
            .send()
            .await
            .ok()?
            .json()
            .await
            .ok()?;
        order["status"]
            .as_str()
            .filter(|status| *status != "pending")
            .map(str::to_owned)
    })
    .await;
    assert_eq!(status, "confirmed");

    let kill = Command::new("kill").arg(all.id().to_string()).status().unwrap();
    assert!(kill.success());
    let ended = tokio::task::spawn_blocking(move || all.wait().unwrap()).await.unwrap();
    let errors: Vec<String> = log
        .join()
        .unwrap()
        .into_iter()
        .filter(|line| line.contains("\"ERROR\""))
        .collect();
    assert_eq!((ended.code(), errors), (Some(0), Vec::new()));
}

fn larder(env: &Env) -> Command {
    let mut larder = Command::new(env!("CARGO_BIN_EXE_larder"));
    larder.envs(env.variables());
    larder
}

/// Every port is any that is free; the mail server is not there, which is of no matter until there is a mail.
fn start(env: &Env) -> Child {
    let mut all = larder(env);
    all.arg("all")
        .env("SMTP_URL", "smtp://127.0.0.1:1")
        .env("MAIL_FROM", "larder@larder.example");
    all.env("LARDER_INGEST_LISTEN", "127.0.0.1:0")
        .env("LARDER_ADMIN_LISTEN", "127.0.0.1:0");
    all.env("LARDER_LOG", "info").stderr(Stdio::piped()).spawn().unwrap()
}

/// Where a part says that it listens.
fn address(log: &mut BufReader<ChildStderr>, target: &str) -> String {
    for line in log.lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if let (true, Some(address)) = (line["target"] == target, line["addr"].as_str()) {
            return address.to_owned();
        }
    }
    panic!("it ended before {target} said where it listens");
}
