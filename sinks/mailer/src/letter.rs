//! What a mail says: subject, text and HTML, from the alerts of one digest.
//!
//! Names are the merchant's own text. They are cleaned of everything that could end a line or turn its direction, and
//! escaped in HTML; so they can say anything but be nothing else than a name.

use std::{collections::BTreeSet, fmt::Write as _};

use askama::Template;
use domain::amount::Quantity;
use schemas::events::{Micros, Notify};
use time::{OffsetDateTime, macros::format_description};

/// The longest name that is shown whole, in characters.
const LONGEST_NAME: usize = 120;

/// A mail without its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// One line.
    pub subject: String,
    /// For whoever reads plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// A letter cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// There is nothing to tell.
    #[error("a mail needs at least one alert")]
    Empty,
    /// A template failed.
    #[error("the template of the mail failed")]
    Template(#[from] askama::Error),
}

#[derive(Template)]
#[template(path = "low_stock.txt")]
struct Text<'a> {
    merchant: &'a str,
    alerts: &'a [Line],
}

#[derive(Template)]
#[template(path = "low_stock.html")]
struct Html<'a> {
    merchant: &'a str,
    alerts: &'a [Line],
}

/// An alert as people read it.
struct Line {
    ingredient: String,
    before: String,
    after: String,
    full: String,
    threshold_pct: i32,
    threshold: String,
    when: String,
}

impl Letter {
    /// Writes the letter of a digest.
    pub fn write(alerts: &[Notify]) -> Result<Self, LetterError> {
        let first = alerts.first().ok_or(LetterError::Empty)?;
        let merchant = &display_name(&first.merchant_name);
        let ingredients: BTreeSet<_> = alerts.iter().map(|alert| alert.ingredient_id).collect();
        let subject = if ingredients.len() == 1 {
            let ingredient = display_name(&first.ingredient_name);
            format!("{merchant}: {ingredient} is below {} %", first.threshold_pct)
        } else {
            format!("{merchant}: {} ingredients are low", ingredients.len())
        };
        let alerts = &alerts.iter().map(Line::of).collect::<Vec<_>>();
        Ok(Self {
            subject,
            text: Text { merchant, alerts }.render()?,
            html: Html { merchant, alerts }.render()?,
        })
    }
}

impl Line {
    fn of(alert: &Notify) -> Self {
        let unit = display_name(&alert.unit);
        let level = |amount: Quantity| with_unit(&amount.to_string(), &unit);
        let threshold = share(alert.full_level, alert.threshold_pct);
        Self {
            ingredient: display_name(&alert.ingredient_name),
            before: level(alert.level_before),
            after: level(alert.level_after),
            full: level(alert.full_level),
            threshold_pct: alert.threshold_pct,
            threshold: with_unit(&threshold, &unit),
            when: moment(alert.raised_at),
        }
    }
}

/// Text that stays on one line and keeps its direction: control, line-breaking and direction characters become spaces.
fn display_name(text: &str) -> String {
    let mut cleaned = text.chars().map(|c| if is_harmless(c) { c } else { ' ' });
    let mut name: String = cleaned.by_ref().take(LONGEST_NAME).collect();
    if cleaned.next().is_some() {
        name.push('…');
    }
    match name.trim() {
        "" => "(no name)".to_owned(),
        name => name.to_owned(),
    }
}

fn is_harmless(c: char) -> bool {
    let breaks_lines = matches!(c, '\u{2028}' | '\u{2029}');
    let turns_direction =
        matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !breaks_lines && !turns_direction
}

/// `490 g`, `1 piece`, `3 pieces`.
fn with_unit(amount: &str, unit: &str) -> String {
    let plural = if unit == "piece" && amount != "1" { "s" } else { "" };
    format!("{amount} {unit}{plural}")
}

/// So many percent of an amount, exact to the hundredth: `500`, `500.5`, `0.25`.
fn share(full: Quantity, percent: i32) -> String {
    let hundredths = i128::from(full.get()) * i128::from(percent);
    let mut text = (hundredths / 100).to_string();
    let rest = hundredths % 100;
    if rest != 0 {
        // Writing to a String does not fail.
        let _ = write!(text, ".{rest:02}");
        text.truncate(text.trim_end_matches('0').len());
    }
    text
}

/// `2026-11-20 19:35 UTC`.
fn moment(Micros(micros): Micros) -> String {
    const FORMAT: &[time::format_description::BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .ok()
        .and_then(|at| at.format(FORMAT).ok())
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
#[path = "letter_tests.rs"]
mod tests;
