//! Runs every case of `compose-specs/cases`. `BOWLINE_UPDATE=1` writes what comes out into the
//! files; read the difference before keeping it.

mod harness;
mod mutations;
mod support;
mod tables;

use std::collections::BTreeMap;

use bowline_compose::support::{self as table, Support};

#[test]
fn every_case_gives_what_it_expects() {
    let update = std::env::var_os("BOWLINE_UPDATE").is_some();
    let mut failed = Vec::new();
    let cases = harness::cases();
    for case in &cases {
        let mut actual = case.actual();
        // What is refused changes with each thing that is learned; only cases about that hold it.
        if !case.expected.contains_key("refused") {
            actual.remove("refused");
        }
        if actual == case.expected {
            continue;
        }
        if update {
            std::fs::write(&case.origin.0, rewritten(case, &actual)).unwrap();
        } else {
            failed.push(format!("{}\n{}", case.name, rewritten(case, &actual)));
        }
    }
    assert!(cases.len() > 20, "the cases were not found");
    assert!(
        failed.is_empty(),
        "{} cases differ:\n\n{}",
        failed.len(),
        failed.join("\n\n")
    );
}

/// What `config` prints is a compose file for the same project.
#[test]
fn what_is_printed_loads_to_the_same() {
    for case in harness::cases()
        .iter()
        .filter(|case| case.expected.contains_key("json"))
        // A dependency on what is switched off is printed, and the service is not; what an init
        // container has inherited is printed, and inherited again.
        .filter(|case| {
            !matches!(
                case.name.as_str(),
                "optional-dependency" | "every-container-key"
            )
        })
    {
        let beside = case.files.iter().filter(|(name, _)| name == "l.env");
        let printed = harness::Case {
            files: std::iter::once(("compose.yaml".to_owned(), case.yaml()))
                .chain(beside.cloned())
                .collect(),
            args: vec!["--profile".to_owned(), "*".to_owned()],
            ..harness::Case::default()
        };
        assert_eq!(printed.yaml(), case.yaml(), "{}", case.name);
    }
}

/// The case's file with other expectations.
fn rewritten(case: &harness::Case, actual: &BTreeMap<String, String>) -> String {
    let mut out = case.origin.1.clone();
    for (name, text) in &case.files {
        out.push_str(&format!("--- {name}\n{text}"));
    }
    for (name, text) in actual {
        out.push_str(&format!("=== {name}\n{text}\n"));
    }
    if let Some(text) = &case.theirs {
        out.push_str(&format!("=== compose\n{text}\n"));
    }
    out
}

/// The table promises; a case has to show it. A key counts as shown when some case that loads, or
/// that is refused for it, has it in its files.
#[test]
fn every_key_of_the_table_is_in_a_case() {
    let cases = harness::cases();
    let written = |key: &str, section: &str| {
        let with_colon = format!("{key}:");
        cases
            .iter()
            .filter(|case| case.expected.contains_key(section))
            .any(|case| {
                case.files.iter().any(|(_, text)| {
                    text.split(|c: char| c.is_whitespace() || matches!(c, '{' | ','))
                        .any(|word| word == with_colon)
                })
            })
    };
    let mut missing = Vec::new();
    for (place, keys) in table::places() {
        for (key, support) in keys {
            let shown = match support {
                Support::Unknown => written(key, "errors"),
                _ => written(key, "json"),
            };
            if !shown {
                missing.push(format!("{place}.{key}"));
            }
        }
    }
    assert!(missing.is_empty(), "no case has {missing:?}");
}
