//! Tables of the results, as Markdown. What was not measured is left out.

use std::fmt::Write as _;

use serde_json::Value;

use crate::charts::Chart;

/// The number at a place, if one is there.
pub(crate) fn number(results: &Value, at: &str) -> Option<f64> {
    results.pointer(at)?.as_f64()
}

/// A whole number, its thousands apart.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with as many digits as are of use.
pub(crate) fn text(value: f64) -> String {
    match value {
        value if value >= 1000.0 => grouped(value),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// A table whose rows say where their numbers stand. A cell without a number is empty, a row without any is left out.
struct Table<'a> {
    results: &'a Value,
    text: String,
    rows: usize,
}

impl<'a> Table<'a> {
    fn new(results: &'a Value, columns: &[&str]) -> Self {
        let rule = columns
            .iter()
            .enumerate()
            .map(|(at, _)| if at == 0 { "---" } else { "---:" });
        let text = format!(
            "| {} |\n| {} |\n",
            columns.join(" | "),
            rule.collect::<Vec<_>>().join(" | ")
        );
        Self { results, text, rows: 0 }
    }

    fn row(&mut self, label: &str, places: &[impl AsRef<str>]) {
        let numbers: Vec<_> = places.iter().map(|at| number(self.results, at.as_ref())).collect();
        if numbers.iter().any(Option::is_some) {
            let cells: Vec<_> = numbers
                .into_iter()
                .map(|number| number.map(text).unwrap_or_default())
                .collect();
            // Writing to a string does not fail.
            let _ = writeln!(self.text, "| {label} | {} |", cells.join(" | "));
            self.rows += 1;
        }
    }

    /// A row for each element of an array; `label` makes its name, `keys` are below the element.
    fn rows_of(&mut self, array: &str, label: impl Fn(&Value) -> String, keys: &[&str]) {
        let elements = self.results.pointer(array).and_then(Value::as_array);
        for (at, element) in elements.into_iter().flatten().enumerate() {
            let places: Vec<_> = keys.iter().map(|key| format!("{array}/{at}/{key}")).collect();
            self.row(&label(element), &places);
        }
    }

    /// The table, with an empty line behind it; nothing where it has no rows.
    fn finish(self) -> String {
        if self.rows == 0 {
            String::new()
        } else {
            self.text + "\n"
        }
    }
}

/// An element's number as text.
fn of(element: &Value, key: &str) -> String {
    element[key].as_f64().map(grouped).unwrap_or_default()
}

fn drain(results: &Value) -> String {
    let mut table = Table::new(
        results,
        &[
            "merchants",
            "orders/s",
            "floor",
            "drain by floor",
            "read + decode",
            "CPU µs an order: processor",
            "Postgres",
            "Kafka",
            "peak MiB",
        ],
    );
    table.rows_of(
        "/drain/loads",
        |load| {
            let drawn = if load["drawn"] == "zipf" {
                "by Zipf's law"
            } else {
                "evenly"
            };
            format!("{}, {drawn}", of(load, "merchants"))
        },
        &[
            "orders_per_s",
            "floor_per_s",
            "of_floor",
            "read_decode_per_s",
            "cpu_us_per_order/processor",
            "cpu_us_per_order/postgres",
            "cpu_us_per_order/kafka",
            "rss_mb",
        ],
    );
    table.finish()
}

fn ingest(results: &Value) -> String {
    let mut table = Table::new(
        results,
        &["", "orders/s", "p50 ms", "p99 ms", "p99.9 ms", "limit/s", "its p99 ms"],
    );
    table.rows_of(
        "/ingest/connections",
        |load| format!("{} connections", of(load, "connections")),
        &[
            "req_per_s",
            "p50_ms",
            "p99_ms",
            "p999_ms",
            "limit/req_per_s",
            "limit/p99_ms",
        ],
    );
    for (at, name) in [
        ("half", "at half the rate of 256, by the clock"),
        ("keyed", "256, each with an Idempotency-Key"),
    ] {
        let place = |key: &str| format!("/ingest/{at}/{key}");
        table.row(name, &["req_per_s", "p50_ms", "p99_ms", "p999_ms"].map(place));
    }
    table.finish()
}

fn latency(results: &Value) -> String {
    let keys = ["p50_ms", "p99_ms", "p999_ms", "max_ms"];
    let mut table = Table::new(results, &["", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "of"]);
    let rates = results.pointer("/latency/rates").and_then(Value::as_array);
    for (at, rate) in rates.into_iter().flatten().enumerate() {
        for (what, name) in [("accepted", "to 202"), ("confirmed", "to `order_confirmed`")] {
            let place = |key: &str| format!("/latency/rates/{at}/{what}/{key}");
            let mut places: Vec<_> = keys.map(place).into();
            places.push(place("count"));
            table.row(&format!("{} orders/s, POST {name}", of(rate, "orders_per_s")), &places);
        }
    }
    let mut places: Vec<_> = keys.map(|key| format!("/latency/mail/{key}")).into();
    places.push("/latency/mail/count".to_owned());
    table.row("1,000 orders/s, POST that crosses to the SMTP server's 250", &places);
    let mut services = Table::new(results, &["service", "ready after ms", "idle MiB"]);
    for service in ["ingest", "stock", "mailer"] {
        let place = |key: &str| format!("/latency/services/{service}/{key}");
        services.row(&format!("`larder {service}`"), &["ready_ms", "idle_rss_mb"].map(place));
    }
    table.finish() + &services.finish()
}

fn growth(results: &Value) -> String {
    let mut table = Table::new(
        results,
        &[
            "rows in `orders` before",
            "partitions",
            "orders/s",
            "CPU µs an order: processor",
            "Postgres",
            "Kafka",
            "peak MiB",
        ],
    );
    table.rows_of(
        "/growth/drains",
        |drain| of(drain, "rows_before"),
        &[
            "partitions",
            "orders_per_s",
            "cpu_us_per_order/processor",
            "cpu_us_per_order/postgres",
            "cpu_us_per_order/kafka",
            "rss_mb",
        ],
    );
    table.finish()
}

fn peers(results: &Value) -> String {
    let mut table = Table::new(
        results,
        &[
            "",
            "orders",
            "orders/s",
            "CPU µs an order: it",
            "Postgres",
            "Kafka",
            "peak MiB",
            "Larder by it",
        ],
    );
    let rows = [
        ("Larder", "larder/runs/0", ""),
        ("Larder, after the peers", "larder/runs/1", ""),
        ("Flink, warm", "flink/warm/0", "flink_warm"),
        ("Flink, cold", "flink/cold", "flink_cold"),
        ("Kafka Streams", "kafka_streams", "kafka_streams"),
        (
            "Kafka Streams, orders not kept",
            "kafka_streams/stock_only",
            "kafka_streams_stock_only",
        ),
        ("NestJS, all partitions at once", "nestjs/partitions_at_once", "nestjs"),
        (
            "NestJS, one statement a batch of ingredients",
            "nestjs/one_statement",
            "nestjs_one_statement",
        ),
        ("NestJS, as it comes", "nestjs/default", ""),
    ];
    for (name, at, ratio) in rows {
        let keys = [
            "orders",
            "orders_per_s",
            "cpu_us_per_order/processor",
            "cpu_us_per_order/postgres",
            "cpu_us_per_order/kafka",
            "rss_mb",
        ];
        let mut places: Vec<_> = keys.iter().map(|key| format!("/peers/{at}/{key}")).collect();
        places.push(format!("/peers/larder_by/{ratio}"));
        table.row(name, &places);
    }
    let mut posts = Table::new(results, &["NestJS, POST /order", "orders/s", "p50 ms", "p99 ms"]);
    posts.rows_of(
        "/peers/nestjs/posts",
        |posted| format!("{} connections", of(posted, "connections")),
        &["req_per_s", "p50_ms", "p99_ms"],
    );
    table.finish() + &posts.finish()
}

/// Everything, as a page.
pub(crate) fn whole(results: &Value, file: &str, charts: &[Chart]) -> String {
    let mut page = format!(
        "# Figures\n\nWritten by `cargo xtask bench` from [{file}](../bench/results/{file}); what each bench does is said in\n\
         [bench/README.md](../bench/README.md).\n\n{}\n",
        machine(results)
    );
    let sections = [
        ("Drain", "drain", "drain.svg", drain(results)),
        ("Ingest", "ingest", "ingest.svg", ingest(results)),
        ("Latency", "latency", "latency.svg", latency(results)),
        ("Growth", "growth", "growth.svg", growth(results)),
        ("Peers", "peers", "", peers(results)),
    ];
    for (title, key, chart, tables) in sections {
        if tables.is_empty() {
            continue;
        }
        page.extend(["## ", title, "\n\n", &measured(results, key)]);
        page += &picture(charts, chart, "");
        page += &tables;
        if key == "peers" {
            page +=
                "Where they differ, in favour of either side: [bench/peers/README.md](../bench/peers/README.md).\n\n";
        }
    }
    page.trim_end().to_owned() + "\n"
}

/// What a first look wants, for the README.
pub(crate) fn short(results: &Value, charts: &[Chart]) -> String {
    let mut table = String::from("| | |\n| --- | ---: |\n");
    let mut row = |name: &str, places: &[&str], unit: &str| {
        let numbers: Option<Vec<_>> = places.iter().map(|at| Some(text(number(results, at)?))).collect();
        if let Some(numbers) = numbers {
            // Writing to a string does not fail.
            let _ = writeln!(table, "| {name} | {}{unit} |", numbers.join(" / "));
        }
    };
    row(
        "backlog drained, everything stored and published",
        &["/drain/orders_per_s"],
        " orders/s",
    );
    row(
        "the same without stock: rows stored, one event each (floor)",
        &["/drain/floor_per_s"],
        " orders/s",
    );
    row("orders taken over HTTP, 256 connections", &["/ingest/req_per_s"], "/s");
    row("the same without Kafka (limit)", &["/ingest/limit_per_s"], "/s");
    let latency = ["/latency/p50_ms", "/latency/p99_ms"];
    row(
        "POST to `order_confirmed` at 1,000 orders/s, p50 / p99",
        &latency,
        " ms",
    );
    row("POST to the SMTP server's 250, p99", &["/latency/mail_p99_ms"], " ms");
    row(
        "peak memory of `larder stock` while draining",
        &["/drain/rss_mb"],
        " MiB",
    );
    let mut page = format!("{}\n{table}\n", machine(results));
    for chart in ["drain.svg", "ingest.svg", "latency.svg"] {
        page += &picture(charts, chart, "docs/");
    }
    page + "All of it, with the limits beside: [docs/benchmarks.md](docs/benchmarks.md).\n"
}

fn picture(charts: &[Chart], file: &str, folder: &str) -> String {
    let chart = charts.iter().find(|chart| chart.file == file);
    chart
        .map(|chart| format!("![{}]({folder}img/{file})\n\n", chart.title))
        .unwrap_or_default()
}

fn machine(results: &Value) -> String {
    let machine = &results["machine"];
    let word = |key: &str| machine[key].as_str().unwrap_or_default();
    format!(
        "Measured on {} with {} cores ({}, {} GB, Linux {}) that Kafka {}, Postgres {}, the load\nand Larder share, everything durable.\n",
        results["date"].as_str().unwrap_or_default(),
        machine["cores"],
        word("cpu"),
        machine["memory_gb"],
        word("kernel"),
        word("kafka"),
        word("postgres"),
    )
}

fn measured(results: &Value, bench: &str) -> String {
    let measured = &results["measured"][bench];
    match (measured["at"].as_str(), measured["revision"].as_str()) {
        (Some(at), Some(revision)) => {
            let minute = at.get(..16).unwrap_or(at).replace('T', " ");
            format!("{minute} UTC, revision {revision}.\n\n")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_have_the_digits_that_are_of_use() {
        for (value, expected) in [
            (1_234_567.0, "1,234,567"),
            (999.6, "1000"),
            (123.4, "123"),
            (12.34, "12.3"),
            (0.876, "0.88"),
        ] {
            assert_eq!(text(value), expected);
        }
        assert_eq!(grouped(100_000.4), "100,000");
    }

    #[test]
    fn what_was_not_measured_is_left_out() {
        let results = json!({ "drain": { "loads": [{ "merchants": 1000, "drawn": "zipf", "orders_per_s": 5000.0 }] } });
        assert!(
            drain(&results).contains("| 1,000, by Zipf's law | 5,000 |  |"),
            "{}",
            drain(&results)
        );
        assert_eq!(growth(&results), "");
        assert!(!whole(&results, "x.json", &[]).contains("## Ingest"));
    }
}
