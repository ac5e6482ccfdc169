//! Why a step had to be done again: a comparison of what it saw with what it saw the last time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bowline_image::Digest;

/// What a step depended on, in words that can be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The instruction as people see it, without its number.
    pub instruction: String,
    /// What it works over, and other single facts: name and value. `base` is spelled out, the rest compared.
    pub facts: BTreeMap<String, String>,
    /// Files it takes, by path.
    pub files: BTreeMap<String, File>,
}

/// A file, as a step saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// `f`, `d`, `l` or another letter.
    pub kind: char,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Of its contents or its target; compared, never shown.
    pub contents: String,
}

/// Paths named before the rest is only counted.
const NAMED: usize = 5;

/// The differences, a line each.
pub fn why(before: Option<&Seen>, now: &Seen) -> Vec<String> {
    let word = now.instruction.split_whitespace().next().unwrap_or("step");
    let Some(before) = before else {
        return vec!["it was never done before".to_owned()];
    };
    let mut reasons = Vec::new();
    if before.instruction != now.instruction && !same_but_facts(before, now) {
        reasons.push(format!("{word}: the instruction changed"));
    }
    for (name, value) in &now.facts {
        match before.facts.get(name) {
            Some(old) if old == value => {}
            Some(old) => reasons.push(changed(word, name, old, value)),
            None => reasons.push(format!("{word}: {name} is new")),
        }
    }
    let gone = before
        .facts
        .keys()
        .filter(|name| !now.facts.contains_key(*name));
    reasons.extend(gone.map(|name| format!("{word}: {name} is gone")));
    if let Some(line) = files(word, &before.files, &now.files) {
        reasons.push(line);
    }
    if reasons.is_empty() {
        reasons.push("its result is not in the cache any more".to_owned());
    }
    reasons
}

/// An instruction whose text differs only in what the facts tell better.
fn same_but_facts(before: &Seen, now: &Seen) -> bool {
    before.facts.get("command") != now.facts.get("command") && now.facts.contains_key("command")
}

fn changed(word: &str, name: &str, old: &str, new: &str) -> String {
    match name {
        "base image" => format!("base image changed {} → {}", short(old), short(new)),
        "base" => "a step before it changed".to_owned(),
        "command" => format!("{word}: command changed"),
        _ if name.starts_with("ENV ") || name.starts_with("ARG ") => format!("{name} changed"),
        _ => format!("{word}: {name} changed"),
    }
}

/// A digest is told apart by its first digits.
fn short(value: &str) -> String {
    let (head, tail) = value
        .split_once("sha256:")
        .map_or((value, None), |(head, tail)| (head, Some(tail)));
    match tail {
        Some(tail) => format!("{head}sha256:{}…", tail.chars().take(8).collect::<String>()),
        None => head.to_owned(),
    }
}

fn files(
    word: &str,
    before: &BTreeMap<String, File>,
    now: &BTreeMap<String, File>,
) -> Option<String> {
    let mut all = Vec::new();
    for (path, file) in now {
        match before.get(path) {
            None => all.push(format!("{path} new")),
            Some(old) if old == file => {}
            Some(old) => all.push(format!("{path} {}", difference(old, file))),
        }
    }
    all.extend(
        before
            .keys()
            .filter(|path| !now.contains_key(*path))
            .map(|path| format!("{path} gone")),
    );
    let more = all.len().saturating_sub(NAMED);
    all.truncate(NAMED);
    if all.is_empty() {
        return None;
    }
    let rest = if more > 0 {
        format!(", and {more} more")
    } else {
        String::new()
    };
    Some(format!("{word}: {}{rest}", all.join(", ")))
}

fn difference(old: &File, new: &File) -> String {
    let mut parts = Vec::new();
    if old.kind != new.kind {
        return "type".to_owned();
    }
    if old.contents != new.contents {
        parts.push(if new.kind == 'l' { "target" } else { "content" }.to_owned());
    }
    if old.mode != new.mode {
        parts.push(format!("mode {:o}→{:o}", old.mode, new.mode));
    }
    if old.owner != new.owner {
        let (a, b) = (old.owner, new.owner);
        parts.push(format!("owner {}:{}→{}:{}", a.0, a.1, b.0, b.1));
    }
    parts.join(" and ")
}

/// The form on disk: lines, since a context may have ten thousand files and this is read while somebody waits.
impl Seen {
    fn encode(&self) -> String {
        use std::fmt::Write as _;
        let line = |text: &str| text.replace('\\', "\\\\").replace('\n', "\\n");
        let mut out = format!("i {}\n", line(&self.instruction));
        for (name, value) in &self.facts {
            // Writing to a String cannot fail.
            let _infallible = write!(out, "n {}\nv {}\n", line(name), line(value));
        }
        for (path, file) in &self.files {
            let File {
                kind,
                mode,
                owner,
                contents,
            } = file;
            let contents = if contents.is_empty() { "-" } else { contents };
            let (uid, gid) = owner;
            let path = line(path);
            let _infallible = writeln!(out, "f {kind} {mode:o} {uid} {gid} {contents} {path}");
        }
        out
    }

    fn decode(text: &str) -> Option<Self> {
        let line = |text: &str| {
            let mut out = String::with_capacity(text.len());
            let mut letters = text.chars();
            while let Some(letter) = letters.next() {
                match letter {
                    '\\' => match letters.next() {
                        Some('n') => out.push('\n'),
                        Some(other) => out.push(other),
                        None => {}
                    },
                    other => out.push(other),
                }
            }
            out
        };
        let mut seen = Self::default();
        let mut name = String::new();
        for row in text.lines() {
            let (kind, rest) = row.split_at_checked(2)?;
            match kind {
                "i " => seen.instruction = line(rest),
                "n " => name = line(rest),
                "v " => drop(seen.facts.insert(std::mem::take(&mut name), line(rest))),
                "f " => {
                    let mut fields = rest.splitn(6, ' ');
                    let mut next = || fields.next();
                    let file = File {
                        kind: next()?.chars().next()?,
                        mode: u32::from_str_radix(next()?, 8).ok()?,
                        owner: (next()?.parse().ok()?, next()?.parse().ok()?),
                        contents: next()
                            .map(|text| if text == "-" { "" } else { text })?
                            .to_owned(),
                    };
                    seen.files.insert(line(next()?), file);
                }
                _ => return None,
            }
        }
        Some(seen)
    }
}

/// Where the last look of each step of a Dockerfile is kept.
#[derive(Clone, Debug)]
pub(crate) struct Looks {
    folder: PathBuf,
    file: String,
}

impl Looks {
    /// Those of one stage: `scope` tells projects apart.
    pub(crate) fn new(folder: &Path, scope: &str, source: &str, stage: &str) -> Self {
        let name = format!(
            "{}\0{scope}\0{}\0{source}\0{stage}",
            scope.len(),
            source.len()
        );
        Self {
            folder: folder.to_owned(),
            file: Digest::of(name.as_bytes()).hex()[..32].to_owned(),
        }
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{}-{number}", self.file))
    }

    fn load(&self, number: usize) -> Option<Seen> {
        Seen::decode(&std::fs::read_to_string(self.path(number)).ok()?)
    }

    /// The last look of the step that was number `number`, or of the same instruction close by: lines come and go.
    pub(crate) fn last(&self, number: usize, now: &Seen) -> Option<Seen> {
        let own = self.load(number);
        if own
            .as_ref()
            .is_some_and(|own| own.instruction == now.instruction)
        {
            return own;
        }
        let near = [
            number.checked_sub(1),
            Some(number + 1),
            number.checked_sub(2),
            Some(number + 2),
        ];
        near.into_iter()
            .flatten()
            .filter_map(|number| self.load(number))
            .find(|seen| seen.instruction == now.instruction)
            .or(own)
    }

    /// Writes a look down. It is only a memory.
    pub(crate) fn keep(&self, number: usize, now: &Seen) {
        let written = crate::tree::write(&self.path(number), now.encode().as_bytes());
        if let Err(error) = written {
            tracing::debug!(%error, "what a step saw could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(instruction: &str, facts: &[(&str, &str)], files: &[(&str, u32, &str)]) -> Seen {
        let fact = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let file = |(path, mode, contents): &(&str, u32, &str)| {
            let file = File {
                kind: 'f',
                mode: *mode,
                owner: (0, 0),
                contents: (*contents).to_owned(),
            };
            ((*path).to_owned(), file)
        };
        Seen {
            instruction: instruction.to_owned(),
            facts: facts.iter().map(fact).collect(),
            files: files.iter().map(file).collect(),
        }
    }

    #[test]
    fn files_are_named_with_what_changed() {
        let before = seen(
            "COPY src /app",
            &[],
            &[
                ("app.py", 0o644, "a"),
                ("run.sh", 0o644, "b"),
                ("old", 0o644, "c"),
            ],
        );
        let now = seen(
            "COPY src /app",
            &[],
            &[
                ("app.py", 0o644, "x"),
                ("run.sh", 0o664, "b"),
                ("new", 0o644, "d"),
            ],
        );
        assert_eq!(
            why(Some(&before), &now),
            ["COPY: app.py content, new new, run.sh mode 644→664, old gone"]
        );
        let many: Vec<(String, u32, &str)> =
            (0..9).map(|n| (format!("f{n}"), 0o644, "x")).collect();
        let many: Vec<(&str, u32, &str)> = many
            .iter()
            .map(|(path, mode, contents)| (path.as_str(), *mode, *contents))
            .collect();
        let lines = why(
            Some(&seen("COPY . .", &[], &[])),
            &seen("COPY . .", &[], &many),
        );
        assert!(lines[0].ends_with("f4 new, and 4 more"), "{lines:?}");
    }

    #[test]
    fn single_facts_are_named() {
        let facts =
            |image, command, env| [("base image", image), ("command", command), ("ENV X", env)];
        let (old, new) = ("alpine@sha256:ab0123456789", "alpine@sha256:cd0123456789");
        let before = seen("RUN make", &facts(old, "make", "1"), &[]);
        assert_eq!(
            why(
                Some(&before),
                &seen("RUN make all", &facts(new, "make all", "2"), &[])
            ),
            [
                "ENV X changed",
                "base image changed alpine@sha256:ab012345… → alpine@sha256:cd012345…",
                "RUN: command changed",
            ]
        );
        assert_eq!(why(Some(&before), &seen("RUN make", &[], &[])).len(), 3);
        assert_eq!(why(None, &before), ["it was never done before"]);
        assert_eq!(
            why(Some(&before), &before),
            ["its result is not in the cache any more"]
        );
        let step = |base| seen("RUN x", &[("base", base)], &[]);
        assert_eq!(
            why(Some(&step("1")), &step("2")),
            ["a step before it changed"]
        );
    }

    #[test]
    fn a_look_survives_the_disk() {
        let now = seen(
            "RUN a\\b\nc",
            &[("command", "x\ny"), ("ENV A B", "")],
            &[("a b\nc", 0o755, ""), ("z", 1, "ab")],
        );
        assert_eq!(Seen::decode(&now.encode()).unwrap(), now);
        let dir = tempfile::tempdir().unwrap();
        let looks = Looks::new(dir.path(), "p", "Dockerfile", "");
        looks.keep(3, &now);
        assert_eq!(looks.last(3, &now).unwrap(), now);
        assert_eq!(looks.last(2, &now).unwrap(), now, "a line before it went");
        assert!(looks.last(9, &now).is_none());
        assert!(Seen::decode("x").is_none());
    }
}
