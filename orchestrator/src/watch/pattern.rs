//! Patterns of `.dockerignore` files, `ignore` and `include`.
//!
//! As Docker reads them: `*` and `?` stay within a name, `**` goes through folders, a pattern that matches a folder
//! matches what is in it, `!` takes back what patterns before it matched, and the last that matches decides.

use std::path::Path;

use regex::Regex;
use thiserror::Error;

/// A pattern that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("pattern `{0}` cannot be read")]
pub(crate) struct PatternError(String);

/// An ordered list of patterns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patterns {
    list: Vec<(bool, Regex)>,
    /// Whether a pattern takes something back, so that a folder that matches may hold files that do not.
    excepts: bool,
}

impl Patterns {
    /// Reads a list of patterns; empty ones do not count.
    pub(crate) fn new<'p>(
        patterns: impl IntoIterator<Item = &'p str>,
    ) -> Result<Self, PatternError> {
        let mut list = Vec::new();
        let mut excepts = false;
        for pattern in patterns {
            let (taken_back, body) = match pattern.trim().strip_prefix('!') {
                Some(body) => (true, body.trim()),
                None => (false, pattern.trim()),
            };
            let body = clean(body);
            if body.is_empty() {
                continue;
            }
            excepts |= taken_back;
            let regex = Regex::new(&regex(&body)).map_err(|_| PatternError(pattern.to_owned()))?;
            list.push((!taken_back, regex));
        }
        Ok(Self { list, excepts })
    }

    /// The patterns of a `.dockerignore` file: one a line, `#` begins a comment.
    pub(crate) fn of_file(text: &str) -> Result<Self, PatternError> {
        let text = text.trim_start_matches('\u{feff}');
        Self::new(text.lines().filter(|line| !line.starts_with('#')))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a path, seen from where the patterns count from, or a folder above it matches.
    pub(crate) fn matches(&self, path: &Path) -> bool {
        let Some(path) = path.to_str() else {
            return false;
        };
        let mut matched = false;
        for (adds, regex) in &self.list {
            if *adds != matched && matches_or_parent(regex, path) {
                matched = *adds;
            }
        }
        matched
    }

    /// Whether everything in a folder matches, so that nobody has to look into it.
    pub(crate) fn covers(&self, folder: &Path) -> bool {
        !self.excepts && self.matches(folder)
    }
}

fn matches_or_parent(regex: &Regex, path: &str) -> bool {
    let parents = path.match_indices('/').map(|(end, _)| &path[..end]);
    regex.is_match(path) || parents.into_iter().any(|parent| regex.is_match(parent))
}

/// Without `.`, empty parts, and slashes at either end.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn regex(pattern: &str) -> String {
    let mut out = String::from("^");
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**") {
            (out, rest) = match after.strip_prefix('/') {
                Some(after) => (out + "(.*/)?", after),
                None => (out + ".*", after),
            };
            continue;
        }
        rest = &rest[letter.len_utf8()..];
        match letter {
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => match rest.find(']').filter(|end| *end > 0) {
                Some(end) => {
                    out.push('[');
                    out.push_str(&rest[..end].replace('\\', r"\\").replace('[', r"\["));
                    out.push(']');
                    rest = &rest[end + 1..];
                }
                None => out.push_str(r"\["),
            },
            '\\' => {
                let next = rest.chars().next().unwrap_or('\\');
                out.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
                rest = rest.get(next.len_utf8()..).unwrap_or_default();
            }
            letter => out.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push('$');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn table(patterns: &[&str], yes: &[&str], no: &[&str]) {
        let list = Patterns::new(patterns.iter().copied()).unwrap();
        for path in yes {
            assert!(list.matches(Path::new(path)), "{patterns:?} {path}");
        }
        for path in no {
            assert!(!list.matches(Path::new(path)), "{patterns:?} {path}");
        }
    }

    #[test]
    fn patterns_match_as_docker_has_it() {
        table(
            &["node_modules"],
            &["node_modules", "node_modules/a/b.js"],
            &["src/node_modules", "node_modules2"],
        );
        table(
            &["**/node_modules/"],
            &["node_modules/x", "a/b/node_modules/x"],
            &["a/node_modulesx"],
        );
        table(&["*.log"], &["a.log"], &["x/a.log", "a.logs"]);
        table(&["**/*.log"], &["a.log", "x/y/a.log"], &["a.logs"]);
        table(&["/src/./tmp/"], &["src/tmp", "src/tmp/x"], &["tmp"]);
        table(&["a?c"], &["abc", "aéc"], &["ac", "a/c"]);
        table(&["[a-c].txt", "[^x]y"], &["b.txt", "zy"], &["d.txt", "xy"]);
        table(&["docs/**"], &["docs/a", "docs/a/b"], &["docs", "docsx"]);
        table(&["a.b"], &["a.b"], &["axb"]);
        table(&[r"\*x"], &["*x"], &["ax"]);
        table(&[], &[], &["a"]);
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        table(&["*.md", "!README.md"], &["a.md"], &["README.md"]);
        table(
            &["docs", "!docs/keep", "docs/keep/not"],
            &["docs/a", "docs/keep/not"],
            &["docs/keep/yes"],
        );
    }

    #[test]
    fn a_folder_is_skipped_only_where_nothing_is_taken_back() {
        let plain = Patterns::new(["build"]).unwrap();
        assert!(plain.covers(Path::new("build")) && !plain.covers(Path::new("src")));
        let excepts = Patterns::new(["build", "!build/keep"]).unwrap();
        assert!(!excepts.covers(Path::new("build")));
    }

    #[test]
    fn a_file_of_patterns_may_hold_comments() {
        let list = Patterns::of_file("\u{feff}# all logs\n*.log\n\n  tmp  \n").unwrap();
        assert!(list.matches(Path::new("a.log")) && list.matches(Path::new("tmp/x")));
        assert!(!list.matches(Path::new("# all logs")));
        assert!(Patterns::new(["[z-a]"]).is_err());
    }
}
