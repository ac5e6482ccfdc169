//! Which crate may use which: ARCHITECTURE.md says it, the manifests do it.

use std::collections::BTreeSet;

use crate::manifests::{members, short};
use crate::tree;

type Arrows = BTreeSet<(String, String)>;

/// `a → b, c` lines of the block under the heading "Arrows".
fn written() -> Arrows {
    let text = tree::read("ARCHITECTURE.md");
    let section = text
        .split("\n## Arrows\n")
        .nth(1)
        .expect("the section on arrows");
    let block = section.split("```").nth(1).expect("its block");
    let mut arrows = Arrows::new();
    for line in block.lines().filter(|line| line.contains('→')) {
        let (from, to) = line.split_once('→').expect("an arrow");
        for to in to.split(',') {
            arrows.insert((from.trim().to_owned(), to.trim().to_owned()));
        }
    }
    arrows
}

/// The edges between crates of the workspace, those for tests included.
fn drawn() -> Arrows {
    let names: BTreeSet<&str> = members()
        .filter_map(|package| package["name"].as_str())
        .collect();
    let mut arrows = Arrows::new();
    for package in members() {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            if dependency["name"]
                .as_str()
                .is_some_and(|name| names.contains(name))
            {
                arrows.insert((short(package).to_owned(), short(dependency).to_owned()));
            }
        }
    }
    arrows
}

#[test]
fn the_manifests_draw_the_arrows_that_are_written() {
    let (written, drawn) = (written(), drawn());
    let new: Vec<_> = drawn.difference(&written).collect();
    let gone: Vec<_> = written.difference(&drawn).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "not written: {new:?}; not drawn: {gone:?}"
    );
}

#[test]
fn init_depends_on_nothing() {
    let init = members()
        .find(|package| short(package) == "init")
        .expect("the crate");
    assert_eq!(init["dependencies"].as_array().map(Vec::len), Some(0));
}

/// What these crates must not know, whoever offers it.
#[test]
fn pure_and_low_crates_know_no_runtime_and_no_http() {
    let strangers = [
        "tokio",
        "hyper",
        "hyper-util",
        "http",
        "futures-util",
        "tracing-subscriber",
    ];
    for package in members() {
        if ![
            "compose", "plan", "runtime", "sys", "init", "api", "network",
        ]
        .contains(&short(package))
        {
            continue;
        }
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let name = dependency["name"].as_str().unwrap_or_default();
            assert!(!strangers.contains(&name), "{} → {name}", short(package));
        }
    }
}
