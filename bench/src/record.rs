//! What was measured, kept in `bench/results/`, one file a day: a later run adds its benches or puts them in the place of
//! earlier ones. Tables and charts are drawn from such a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use stream::{headers::rfc3339, now};
use testkit::servers::workspace;

use crate::{charts, machine, machine::Machine, report};

/// Adds figures to the file of today, and draws what is shown of it.
pub(crate) async fn keep(figures: &Map<String, Value>) -> Result<PathBuf> {
    let at = rfc3339(now());
    let (date, _) = at.split_once('T').context("a moment without a day")?;
    let file = workspace().join(format!("bench/results/{date}.json"));
    let mut results = read(&file).unwrap_or_else(|_| json!({ "date": date, "measured": {} }));
    results["machine"] = serde_json::to_value(Machine::look().await?)?;
    for (bench, measured) in figures {
        results[bench] = measured.clone();
        results["measured"][bench] = json!({ "at": at, "revision": machine::revision() });
    }
    fs::create_dir_all(workspace().join("bench/results"))?;
    let text = serde_json::to_string_pretty(&results)? + "\n";
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    draw(&results, &file)?;
    Ok(file)
}

/// Draws what is shown of a file, without measuring.
pub(crate) fn render(file: &Path) -> Result<()> {
    draw(&read(file)?, file)
}

fn read(file: &Path) -> Result<Value> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not what the bench writes", file.display()))
}

fn draw(results: &Value, file: &Path) -> Result<()> {
    let docs = workspace().join("docs");
    let charts = charts::draw(results, &docs.join("img"))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let (whole, short) = (report::whole(results, &name, &charts), report::short(results, &charts));
    fs::write(docs.join("benchmarks.md"), whole)?;
    let readme = workspace().join("README.md");
    let text = fs::read_to_string(&readme)?;
    if let Some(text) = between_marks(&text, &short) {
        fs::write(readme, text)?;
    }
    Ok(())
}

const BEGIN: &str = "<!-- figures: by cargo xtask bench -->\n";
const END: &str = "<!-- end of figures -->";

/// The text with other lines between the marks; none where there are no marks.
fn between_marks(text: &str, lines: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, BEGIN, lines, END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let text = format!("a\n{BEGIN}old\n{END}\nb\n");
        let new = between_marks(&text, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}new\n{END}\nb\n"));
        assert_eq!(between_marks("a\n", "new\n"), None);
    }
}
