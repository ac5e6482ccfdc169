//! `.dockerignore`: which paths of a context a build does not see. The same patterns are what `COPY --exclude` takes.
//!
//! Later patterns win over earlier ones, `!` brings paths back, and what holds for a folder holds for all below it. The
//! rules, quirks included, are those of the stock builder, since people's files were written against them.

mod pattern;

use pattern::Pattern;

/// The patterns of one ignore file, or of one instruction.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    patterns: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: Pattern,
    brings_back: bool,
}

/// What a folder's own match says about the paths in it. Start with the default at the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(Vec<bool>);

/// A pattern that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// Nothing behind the sign.
    #[error("`!` brings back no pattern")]
    Nothing {
        /// Line of the file, or number of the pattern, from 1.
        line: usize,
    },
    /// Brackets or escapes without an end, or that mean nothing.
    #[error("`{pattern}` is no pattern: a `[` or a `\\` in it means nothing")]
    Syntax {
        /// Line of the file, or number of the pattern, from 1.
        line: usize,
        /// As it was read.
        pattern: String,
    },
}

/// Whether a path with wildcards, as `COPY` takes it, can be one at all.
pub fn is_pattern(path: &str) -> bool {
    pattern::well_formed(path)
}

/// The names under which a Dockerfile's ignore file is looked for, in order. The file beside the Dockerfile counts alone
/// where it is there.
pub fn file_names(dockerfile: &str) -> [String; 2] {
    [
        format!("{dockerfile}.dockerignore"),
        ".dockerignore".to_owned(),
    ]
}

impl Ignore {
    /// Reads an ignore file.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.split('\n').enumerate();
        Self::of(lines.filter_map(|(at, line)| Some((at + 1, file_pattern(line)?))))
    }

    /// The patterns of `--exclude`, which are taken as they stand.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, IgnoreError> {
        let patterns = patterns.into_iter().enumerate();
        Self::of(patterns.map(|(at, pattern)| (at + 1, pattern.to_owned())))
    }

    fn of(patterns: impl Iterator<Item = (usize, String)>) -> Result<Self, IgnoreError> {
        let mut rules = Vec::new();
        for (line, text) in patterns {
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            let cleaned = clean(text);
            let (brings_back, pattern) = match cleaned.strip_prefix('!') {
                Some("") => return Err(IgnoreError::Nothing { line }),
                Some(rest) => (true, rest),
                None => (false, cleaned.as_str()),
            };
            let pattern = Pattern::new(pattern).ok_or_else(|| IgnoreError::Syntax {
                line,
                pattern: pattern.to_owned(),
            })?;
            rules.push(Rule {
                pattern,
                brings_back,
            });
        }
        Ok(Self { patterns: rules })
    }

    /// Whether nothing at all is hidden.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a path is hidden, by itself or by a folder above it. It is relative, clean and without a slash at either
    /// end; `.`, the root itself, never is.
    pub fn hides(&self, path: &str) -> bool {
        if path == "." || path.is_empty() {
            return false;
        }
        let mut hidden = false;
        for rule in &self.patterns {
            if rule.brings_back == hidden && rule.matches_it_or_above(path) {
                hidden = !rule.brings_back;
            }
        }
        hidden
    }

    /// The same for one who walks from the root downwards, which is what decides what a build sees: whether a path is
    /// hidden, and what to hand to the paths in it. It differs from [`Self::hides`] in a corner: `!a` does not bring
    /// back `a/b` that an earlier pattern hides, since `a` itself was never hidden.
    pub fn enter(&self, path: &str, above: &Seen) -> (bool, Seen) {
        let mut hidden = false;
        let mut seen = vec![false; self.patterns.len()];
        for (at, rule) in self.patterns.iter().enumerate() {
            let inherited = above.0.get(at).copied().unwrap_or(false);
            let matches = inherited
                || rule.brings_back == hidden
                    && if above.0.is_empty() {
                        rule.matches_it_or_above(path)
                    } else {
                        rule.pattern.matches(path)
                    };
            seen[at] = matches;
            if matches {
                hidden = !rule.brings_back;
            }
        }
        (hidden, Seen(seen))
    }

    /// Whether something in a hidden folder may be brought back, so that it has to be walked all the same.
    pub fn may_bring_back_below(&self, folder: &str) -> bool {
        let folder = format!("{folder}/");
        self.patterns
            .iter()
            .filter(|rule| rule.brings_back)
            .any(|rule| match rule.pattern.plain_text() {
                Some(text) => format!("{text}/").starts_with(&folder),
                None => true,
            })
    }
}

impl Rule {
    fn matches_it_or_above(&self, path: &str) -> bool {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        self.pattern.matches(path) || above.into_iter().any(|folder| self.pattern.matches(folder))
    }
}

/// A line of an ignore file as a pattern. A `#` is a comment in the first column only.
fn file_pattern(line: &str) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let line = line.trim();
    let (sign, pattern) = match line.strip_prefix('!') {
        Some(rest) => ("!", rest.trim()),
        None => ("", line),
    };
    if line.is_empty() {
        return None;
    }
    let mut pattern = if pattern.is_empty() {
        String::new()
    } else {
        clean(pattern)
    };
    if pattern.len() > 1 && pattern.starts_with('/') {
        pattern.remove(0);
    }
    Some(format!("{sign}{pattern}"))
}

/// A path without `.`, `..` that can be resolved, doubled slashes and one at the end; `.` if nothing is left.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cleaning() {
        for (path, want) in [
            ("", "."),
            ("./a//b/", "a/b"),
            ("a/../..", ".."),
            ("/../a", "/a"),
            ("a/b/..", "a"),
            ("/", "/"),
        ] {
            assert_eq!(clean(path), want, "{path}");
        }
    }

    #[test]
    fn a_file_names_its_line() {
        let error = Ignore::parse("# x\n\nok\n[a\n").unwrap_err();
        assert!(matches!(error, IgnoreError::Syntax { line: 4, .. }));
        assert!(matches!(
            Ignore::parse("!\n"),
            Err(IgnoreError::Nothing { line: 1 })
        ));
    }

    #[test]
    fn a_walk_goes_into_hidden_folders_only_for_what_comes_back() {
        let ignore = Ignore::parse("*\n!src/a.c\n").unwrap();
        let (hidden, seen) = ignore.enter("src", &Seen::default());
        assert!(hidden && ignore.may_bring_back_below("src"));
        assert!(!ignore.may_bring_back_below("docs"));
        assert!(!ignore.enter("src/a.c", &seen).0);
        assert!(ignore.enter("src/b.c", &seen).0);
    }

    proptest! {
        #[test]
        fn no_pattern_makes_it_panic(
            patterns in r"([a-c/.*?!\[\]\\^ -]{0,12}\n){0,4}",
            path in "[a-c]{1,3}(/[a-c.]{1,3}){0,3}",
        ) {
            if let Ok(ignore) = Ignore::parse(&patterns) {
                ignore.hides(&path);
                ignore.enter(&path, &Seen::default());
            }
        }

        #[test]
        fn what_is_in_a_hidden_folder_is_hidden(path in "[a-c]{1,3}(/[a-c]{1,3}){0,3}", name in "[a-c]{1,3}") {
            let ignore = Ignore::new([path.as_str()]).unwrap();
            let below = format!("{path}/{name}");
            prop_assert!(ignore.hides(&path) && ignore.hides(&below));
        }
    }
}
