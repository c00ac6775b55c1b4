//! Notices that a source file has changed, by looking at every one of them once a second.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::paths;

const EVERY: Duration = Duration::from_secs(1);
const SOURCES: [&str; 7] = ["rs", "toml", "sql", "avsc", "html", "txt", "json"];
/// What no build of larder depends on.
const OTHERS: [&str; 6] = ["target", "xtask", "bench", "docs", "tests", "node_modules"];

/// The newest change seen so far.
#[derive(Debug)]
pub(crate) struct Watch {
    newest: Option<SystemTime>,
    looked: Instant,
}

impl Watch {
    pub(crate) fn begin() -> Self {
        Self {
            newest: newest(&paths::root()),
            looked: Instant::now(),
        }
    }

    /// Whether something has changed since the last call that said so.
    pub(crate) fn changed(&mut self) -> bool {
        if self.looked.elapsed() < EVERY {
            return false;
        }
        self.looked = Instant::now();
        let newest = newest(&paths::root());
        let changed = newest > self.newest;
        self.newest = newest;
        changed
    }
}

fn newest(dir: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(dir).ok()?.filter_map(Result::ok);
    let times = entries.filter_map(|entry| {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() {
            return if name.starts_with('.') || OTHERS.contains(&&*name) {
                None
            } else {
                newest(&path)
            };
        }
        let source = path
            .extension()
            .is_some_and(|extension| SOURCES.iter().any(|source| extension == *source));
        if source {
            entry.metadata().ok()?.modified().ok()
        } else {
            None
        }
    });
    times.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sources_count_and_the_newest_does() {
        let dir = tempfile::tempdir().unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        fs::create_dir_all(dir.path().join("target")).unwrap();
        for (name, seconds) in [("a.rs", 1), ("b.sql", 3), ("c.log", 5), ("target/d.rs", 7)] {
            let file = fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(at(seconds)).unwrap();
        }
        assert_eq!(newest(dir.path()), Some(at(3)));
    }
}
