//! Random texts for each grammar: nothing panics, nothing takes long, and every fault points into its text.
//!
//! `BOWLINE_MINUTES=30` runs each that long (a moment otherwise), `BOWLINE_SEED=N` repeats a run. Inputs begin as the rows
//! of `compose-specs/tables`; one whose outcome is new becomes material for others.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test with its own report"
)]

use std::collections::HashSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use bowline_compose::diagnostic::render_all;
use bowline_compose::grammar::{Fault, dotenv, mount, port, template, units, words};
use bowline_compose::source::Sources;
use bowline_compose::yaml::{self, Node, Value};

/// What one input led to, without what is particular to it. Equal outcomes are not worth keeping twice.
type Outcome = String;

/// SplitMix64: small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit.max(1) as u64)).unwrap_or_default()
    }

    fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }
}

const PIECES: [&str; 58] = [
    "",
    " ",
    "\n",
    "\t",
    "\r\n",
    "  ",
    ":",
    ": ",
    "- ",
    "-",
    "?",
    "? ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "\"",
    "'",
    "\\",
    "\\x4",
    "\\u00e9",
    "$",
    "${",
    "$$",
    "${A",
    "${A:-",
    "${A:?",
    "${A+",
    "}}",
    "&a ",
    "*a",
    "<<: ",
    "!reset ",
    "!override ",
    "!!str ",
    "!<x> ",
    "|\n",
    ">-\n ",
    "|2+\n",
    "#",
    " #",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "\u{feff}",
    "0",
    "65536",
    "-1",
    "1e400",
    ".inf",
    "é",
    "\u{2028}",
    "\u{0}",
    "/",
    "=",
    "export ",
    "😀",
];

/// Texts of the tables' rows, and whole projects of the cases.
fn material(folders: &[&str]) -> Vec<String> {
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose-specs");
    let mut out = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(specs.join(folder)).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            if *folder == "cases" {
                let parts = text.split("\n--- ").skip(1);
                out.extend(parts.filter_map(|part| {
                    Some(part.split_once('\n')?.1.split("\n=== ").next()?.to_owned())
                }));
            } else if let Some((_, rows)) = text.split_once("=== rows\n") {
                let cells = rows.lines().filter_map(|row| row.rsplit_once(" => "));
                out.extend(cells.map(|(row, _)| row.trim_matches('"').replace('⏎', "\n")));
            }
        }
    }
    out.sort();
    out
}

fn changed(chance: &mut Chance, material: &[String]) -> String {
    let mut text: Vec<char> = material[chance.below(material.len())].chars().collect();
    for _ in 0..=chance.below(4) {
        let at = chance.below(text.len() + 1);
        let end = (at + chance.below(6)).min(text.len());
        let piece: Vec<char> = match chance.below(4) {
            // A part of another input, where it may mean something else.
            0 => {
                let other: Vec<char> = material[chance.below(material.len())].chars().collect();
                let from = chance.below(other.len() + 1);
                let to = (from + chance.below(40)).min(other.len());
                other[from..to].to_vec()
            }
            1 => text[at..end].repeat(1 + chance.below(3)),
            _ => chance.pick(&PIECES).chars().collect(),
        };
        text.splice(at..end, piece);
    }
    text.truncate(20_000);
    text.into_iter().collect()
}

fn run(name: &str, folders: &[&str], check: impl Fn(&str) -> Outcome) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<f64>().ok())
    };
    let minutes = number("BOWLINE_MINUTES").unwrap_or(0.01);
    let seed = std::env::var("BOWLINE_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or(20_261_122);
    let mut chance = Chance(seed);
    let mut material = material(folders);
    assert!(material.len() > 50, "the tables were not found");
    let (mut known, mut ran) = (HashSet::new(), 0_u64);
    let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    while ran < 500 || Instant::now() < end {
        let text = changed(&mut chance, &material);
        let begin = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&text)));
        let took = begin.elapsed();
        ran += 1;
        let Ok(outcome) = outcome else {
            panic!("{name}, seed {seed}: this text panics: {text:?}");
        };
        assert!(
            took < Duration::from_secs(5),
            "{name}, seed {seed}: {took:?} for {text:?}"
        );
        if material.len() < 20_000 && known.insert(outcome) {
            material.push(text);
        }
    }
    println!("{name}: seed {seed}, {ran} texts, {} outcomes", known.len());
}

/// Faults point at whole characters of their text.
fn inside(text: &str, range: &Range<usize>) {
    assert!(
        text.get(range.clone()).is_some(),
        "{range:?} is not in {text:?}"
    );
}

fn outcome<T>(text: &str, result: Result<T, Fault>, size: impl Fn(&T) -> usize) -> Outcome {
    match result {
        Ok(value) => format!("fine {}", size(&value).next_power_of_two()),
        Err(fault) => {
            inside(text, &fault.range);
            plain(&fault.message)
        }
    }
}

/// A message without what it quotes.
fn plain(message: &str) -> String {
    let parts: Vec<&str> = message.split('`').step_by(2).collect();
    parts.join("_")
}

/// How many nodes there are, after a look at each one's place.
fn looked_at(node: &Node, sources: &Sources) -> usize {
    let text = &sources.get(node.span.source).unwrap().text;
    inside(text, &(node.span.start..node.span.end));
    1 + match &node.value {
        Value::Scalar(scalar) => {
            let _meaning = scalar.resolved().to_text();
            0
        }
        Value::Sequence(items) => items.iter().map(|item| looked_at(item, sources)).sum(),
        Value::Mapping(mapping) => mapping
            .values()
            .map(|entry| {
                inside(text, &(entry.key_span.start..entry.key_span.end));
                looked_at(&entry.value, sources)
            })
            .sum(),
    }
}

#[test]
fn yaml() {
    run("yaml", &["cases", "tables"], |text| {
        let (mut sources, mut faults) = (Sources::default(), Vec::new());
        let id = sources.add("compose.yaml", text);
        let documents = yaml::read_documents(&sources, id, &mut faults);
        let nodes: usize = documents.iter().map(|node| looked_at(node, &sources)).sum();
        let _shown = render_all(&faults, &sources, false);
        match faults.first() {
            Some(fault) => format!("{} {}", fault.code, plain(&fault.message)),
            None => format!(
                "{} documents, {}",
                documents.len(),
                nodes.next_power_of_two()
            ),
        }
    });
}

#[test]
fn interpolation() {
    run("interpolation", &["tables"], |text| {
        let lookup = |name: &str| match name {
            "SET" => Some("set".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let mut unset = Vec::new();
        let result = template::substitute(text, &lookup, &mut unset);
        unset.iter().for_each(|unset| inside(text, &unset.range));
        let _variables = template::variables(text);
        format!("{} {}", outcome(text, result, String::len), unset.len())
    });
}

#[test]
fn env_files() {
    run("env files", &["tables"], |text| {
        let lookup = |name: &str| (name == "SET").then(|| "set".to_owned());
        let raw = outcome(text, dotenv::parse_raw(text, &lookup), Vec::len);
        let _line = dotenv::line_of(text, "A").map(|at| inside(text, &(at..at)));
        format!(
            "{} {raw}",
            outcome(text, dotenv::parse(text, &lookup), Vec::len)
        )
    });
}

#[test]
fn ports() {
    run("ports", &["tables"], |text| {
        outcome(text, port::parse(text), Vec::len)
    });
}

#[test]
fn volumes() {
    run("volumes", &["tables"], |text| {
        let result = mount::parse(text);
        let warnings = result.as_ref().map_or(&[][..], |(_, warnings)| warnings);
        warnings.iter().for_each(|fault| inside(text, &fault.range));
        outcome(text, result, |(_, warnings)| warnings.len())
    });
}

#[test]
fn words_sizes_and_times() {
    run("words, sizes and times", &["tables"], |text| {
        let split = outcome(text, words::split(text), Vec::len);
        let bytes = outcome(text, units::bytes(text), |_| 1);
        format!(
            "{split} {bytes} {}",
            outcome(text, units::duration(text), |_| 1)
        )
    });
}
