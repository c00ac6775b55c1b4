//! A small drain by the real programs: every figure that scripts read is there and is a number.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not there")]

use std::{fs, path::Path, process::Command};

use serde_json::Value;

#[test]
fn every_figure_for_scripts_is_a_number() {
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join("figures.json");
    let larder = std::env::var("LARDER_BIN").expect("LARDER_BIN is not set: run `cargo xtask test`");
    let status = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args([
            "drain",
            "--orders",
            "2000",
            "--merchants",
            "20",
            "--partitions",
            "3",
            "--no-record",
        ])
        .args(["--larder", &larder, "--json"])
        .arg(&json)
        .status()
        .unwrap();
    assert!(status.success(), "bench ended with {status}");
    let figures: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    for key in [
        "orders_per_s",
        "read_decode_per_s",
        "floor_per_s",
        "cpu_us_per_order/processor",
        "cpu_us_per_order/postgres",
        "cpu_us_per_order/kafka",
        "rss_mb",
    ] {
        let figure = figures.pointer(&format!("/drain/{key}")).and_then(Value::as_f64);
        assert!(
            figure.is_some_and(|figure| figure >= 0.0),
            "{key} is {figure:?} in {figures:#}"
        );
    }
}
