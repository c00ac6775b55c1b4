//! Charts of the results, as SVG: horizontal bars on white, readable on a light page and on a dark one.

use std::{fs, path::Path};

use anyhow::{Result, anyhow};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use serde_json::Value;

use crate::report::{grouped, number, text};

const LARDER: RGBColor = RGBColor(31, 95, 191);
const LIMIT: RGBColor = RGBColor(176, 184, 196);
const PEER: RGBColor = RGBColor(217, 130, 43);
/// Two paler ones, for what is rarer.
const PALE: RGBColor = RGBColor(110, 156, 222);
const PALER: RGBColor = RGBColor(184, 206, 240);
const INK: RGBColor = RGBColor(33, 37, 41);
const FAINT: RGBColor = RGBColor(108, 117, 125);

const WIDTH: i32 = 840;
const TOP: i32 = 78;
const LINE: i32 = 34;
const LEFT: i32 = 270;
/// For the number behind the longest bar.
const RIGHT: i32 = 130;

/// A chart that was drawn: its file's name and what it shows.
pub(crate) struct Chart {
    pub(crate) file: &'static str,
    pub(crate) title: String,
}

struct Bar {
    label: String,
    value: f64,
    colour: RGBColor,
}

/// A bar of what stands at this place, if something does.
fn bar(results: &Value, at: &str, label: impl Into<String>, colour: RGBColor) -> Option<Bar> {
    Some(Bar {
        label: label.into(),
        value: number(results, at)?,
        colour,
    })
}

/// Draws a chart of everything there is, and says which.
pub(crate) fn draw(results: &Value, folder: &Path) -> Result<Vec<Chart>> {
    fs::create_dir_all(folder)?;
    let all = [
        ("drain.svg", drain(results)),
        ("ingest.svg", ingest(results)),
        ("latency.svg", latency(results)),
        ("growth.svg", growth(results)),
    ];
    let mut drawn = Vec::new();
    for (file, (title, below, unit, bars)) in all {
        if bars.is_empty() {
            continue;
        }
        let path = folder.join(file);
        bars_to(&path, &title, &below, unit, &bars)
            .map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))?;
        drawn.push(Chart { file, title });
    }
    Ok(drawn)
}

type Drawing = (String, String, &'static str, Vec<Bar>);

fn drain(results: &Value) -> Drawing {
    let mut bars = vec![
        bar(results, "/drain/floor_per_s", "floor: store and tell, no stock", LIMIT),
        bar(results, "/drain/orders_per_s", "Larder", LARDER),
        bar(results, "/peers/flink/orders_per_s_warm", "Flink, warm", PEER),
        bar(results, "/peers/flink/orders_per_s_cold", "Flink, cold", PEER),
        bar(results, "/peers/kafka_streams/orders_per_s", "Kafka Streams", PEER),
        bar(results, "/peers/nestjs/orders_per_s", "NestJS", PEER),
    ];
    if number(results, "/drain/orders_per_s").is_none() {
        bars.clear();
    }
    let read = number(results, "/drain/read_decode_per_s")
        .map(|rate| format!("; reading and decoding alone: {}", grouped(rate)))
        .unwrap_or_default();
    (
        "Draining a backlog".to_owned(),
        format!("orders a second, stored in Postgres and published{read}"),
        "/s",
        bars.into_iter().flatten().collect(),
    )
}

fn ingest(results: &Value) -> Drawing {
    let mut bars = Vec::new();
    bars.extend(bar(
        results,
        "/ingest/limit_per_s",
        "limit: no Kafka, 256 connections",
        LIMIT,
    ));
    for at in (0..8).rev() {
        if let Some(connections) = number(results, &format!("/ingest/connections/{at}/connections")) {
            let label = format!("Larder, {}", counted(connections));
            bars.extend(bar(
                results,
                &format!("/ingest/connections/{at}/req_per_s"),
                label,
                LARDER,
            ));
        }
    }
    for connections in [256, 32] {
        let label = format!("NestJS, {connections} connections");
        bars.extend(bar(
            results,
            &format!("/peers/nestjs/req_per_s_{connections}"),
            label,
            PEER,
        ));
    }
    if number(results, "/ingest/req_per_s").is_none() {
        bars.clear();
    }
    (
        "Taking orders over HTTP".to_owned(),
        "POST /orders a second, answered when every in-sync replica has the order".to_owned(),
        "/s",
        bars,
    )
}

fn latency(results: &Value) -> Drawing {
    let mut bars = Vec::new();
    for at in 0..8 {
        let Some(rate) = number(results, &format!("/latency/rates/{at}/orders_per_s")) else {
            break;
        };
        for (key, name, colour) in [
            ("p50_ms", "p50", LARDER),
            ("p99_ms", "p99", PALE),
            ("p999_ms", "p99.9", PALER),
        ] {
            let label = format!("{} orders/s, {name}", grouped(rate));
            bars.extend(bar(
                results,
                &format!("/latency/rates/{at}/confirmed/{key}"),
                label,
                colour,
            ));
        }
    }
    (
        "From POST to order_confirmed".to_owned(),
        "milliseconds at constant rates, counted from when each request was due".to_owned(),
        " ms",
        bars,
    )
}

fn growth(results: &Value) -> Drawing {
    let mut bars = Vec::new();
    for at in 0..16 {
        let of = |key: &str| number(results, &format!("/growth/drains/{at}/{key}"));
        let (Some(rows), Some(partitions)) = (of("rows_before"), of("partitions")) else {
            break;
        };
        let label = format!("{} rows, {partitions} partitions", grouped(rows));
        bars.extend(bar(
            results,
            &format!("/growth/drains/{at}/orders_per_s"),
            label,
            LARDER,
        ));
    }
    (
        "Draining into a full table".to_owned(),
        "orders a second, by rows that are in orders before".to_owned(),
        "/s",
        bars,
    )
}

fn style(size: i32, colour: &RGBColor, across: HPos) -> TextStyle<'_> {
    let style: TextStyle<'_> = ("sans-serif", size).into();
    style.color(colour).pos(Pos::new(across, VPos::Center))
}

/// So many connections.
fn counted(connections: f64) -> String {
    let plural = if connections > 1.0 { "s" } else { "" };
    format!("{connections} connection{plural}")
}

/// Draws bars below one another, each with its number.
fn bars_to(path: &Path, title: &str, below: &str, unit: &str, bars: &[Bar]) -> Result<(), Box<dyn std::error::Error>> {
    let height = TOP + LINE * i32::try_from(bars.len())? + 14;
    let area = SVGBackend::new(path, (WIDTH.unsigned_abs(), height.unsigned_abs())).into_drawing_area();
    area.fill(&WHITE)?;
    area.draw_text(title, &style(21, &INK, HPos::Left), (20, 26))?;
    area.draw_text(below, &style(14, &FAINT, HPos::Left), (20, 52))?;
    let longest = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    for (number, bar) in (0..).zip(bars) {
        let y = TOP + LINE * number;
        #[expect(clippy::cast_possible_truncation, reason = "a length within the picture")]
        let length = (bar.value / longest * f64::from(WIDTH - LEFT - RIGHT)).round().max(1.0) as i32;
        let corners = [(LEFT, y), (LEFT + length, y + LINE - 10)];
        area.draw(&Rectangle::new(corners, bar.colour.filled()))?;
        let middle = y + (LINE - 10) / 2;
        area.draw_text(&bar.label, &style(15, &INK, HPos::Right), (LEFT - 12, middle))?;
        let said = text(bar.value) + unit;
        area.draw_text(&said, &style(15, &INK, HPos::Left), (LEFT + length + 8, middle))?;
    }
    area.present()?;
    Ok(())
}
