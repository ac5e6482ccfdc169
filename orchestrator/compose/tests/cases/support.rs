//! `compose-specs/support.md`: the two tables that the code reads, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use bowline_compose::schema;
use bowline_compose::support::{self, Support};

const HEAD: &str = "\
# What is supported

Every key of the Compose Specification as Docker Compose v5.6.1 knows it. A test writes this page from
`schema.txt` and `support.txt`, which are what the code reads.

- **honoured**: it does what the specification says.
- **approximated**: it is read, checked and printed, and changes nothing on one Linux machine, as with Docker Compose (Swarm
  and Windows). `bowline config` says so.
- **refused**: it is read, checked and printed by `bowline config`; a command that would have to make a container from it
  stops and names the line.

`x-*` keys are allowed nearly everywhere. Keys of a place that `support.txt` does not list are what the key is that leads there.
";

/// The types of each key, by place, as `schema.txt` writes them.
fn types() -> BTreeMap<&'static str, Vec<(String, String)>> {
    let mut places: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    let lines = schema::TABLE.lines().filter(|line| !line.starts_with('#'));
    for (place, keys) in lines.filter_map(|line| line.split_once(": ")) {
        for word in keys.split_whitespace() {
            let place = places.entry(place).or_default();
            match word.split_once('=') {
                Some((key, types)) => {
                    let required = key.ends_with('!');
                    let types = if required {
                        format!("{types}, needed")
                    } else {
                        types.to_owned()
                    };
                    place.push((key.trim_end_matches('!').to_owned(), types));
                }
                None => place.push((word.to_owned(), String::new())),
            }
        }
    }
    places
}

/// The keys of a place with those that it takes over.
fn keys(
    places: &BTreeMap<&'static str, Vec<(String, String)>>,
    place: &str,
) -> Vec<(String, String)> {
    let own = places.get(place).into_iter().flatten();
    own.flat_map(|(key, types)| match key.strip_prefix('+') {
        Some(other) => keys(places, other),
        None => vec![(key.clone(), types.clone())],
    })
    .collect()
}

fn word(support: Support) -> &'static str {
    match support {
        Support::Supported => "honoured",
        Support::Ignored => "approximated",
        Support::Refused => "**refused**",
        Support::Unknown => "unknown",
    }
}

/// A place that is not judged by itself is what leads to it: the best of it, if several do.
fn inherited(
    places: &BTreeMap<&'static str, Vec<(String, String)>>,
    place: &str,
    depth: usize,
) -> &'static str {
    let named = |types: &str| {
        let mut words = types.split(|c: char| !(c.is_ascii_alphanumeric() || "@_.".contains(c)));
        words.any(|word| word.strip_prefix('@') == Some(place))
    };
    let mut words = Vec::new();
    for (outer, _) in places.iter().filter(|_| depth > 0) {
        for (key, types) in keys(places, outer) {
            if named(&types) {
                words.push(match support::places().contains_key(outer) {
                    true => word(support::of(outer, &key)),
                    false => inherited(places, outer, depth - 1),
                });
            }
        }
    }
    ["honoured", "approximated", "**refused**"]
        .into_iter()
        .find(|word| words.contains(word))
        .unwrap_or("honoured")
}

fn page() -> String {
    let places = types();
    let mut out = HEAD.to_owned();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut body = String::new();
    // A place that others take over is told where it is taken over.
    let taken = |place: &str| {
        let mut all = places.values().flatten();
        all.any(|(key, _)| key.strip_prefix('+') == Some(place))
    };
    for place in places.keys().filter(|place| !taken(place)) {
        let judged = support::places().contains_key(place);
        let mut keys = keys(&places, place);
        keys.sort();
        keys.dedup();
        let _ = writeln!(body, "\n## {place}\n");
        let _ = writeln!(body, "| key | holds | support |\n| --- | --- | --- |");
        for (key, types) in keys {
            let word = match judged {
                true => word(support::of(place, &key)),
                false => inherited(&places, place, 8),
            };
            *counts.entry(word).or_default() += 1;
            let types = types.replace('|', " or ");
            let _ = writeln!(body, "| `{key}` | {types} | {word} |");
        }
    }
    let count = |word| counts.get(word).copied().unwrap_or_default();
    let _ = writeln!(
        out,
        "\n{} keys honoured, {} approximated, {} refused.",
        count("honoured"),
        count("approximated"),
        count("**refused**"),
    );
    out + &body
}

#[test]
fn the_page_of_support_is_what_the_code_reads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose-specs/support.md");
    let page = page();
    assert!(!page.contains("| unknown |"), "{page}");
    if std::env::var_os("BOWLINE_UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "BOWLINE_UPDATE=1 writes support.md anew");
}
