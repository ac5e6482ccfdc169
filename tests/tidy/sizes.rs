//! How long a file may be. A reader holds two hundred lines in mind; past six hundred there has to be a reason.

use crate::tree::{none, rust};

const LIMIT: usize = 600;

/// Longer files, each with the length that it may have and why.
const LONGER: &[(&str, usize, &str)] = &[
    (
        "dns/tests/resolver.rs",
        700,
        "one test a behaviour of the resolver, over one small world",
    ),
    (
        "engine/image/src/pull/tests.rs",
        750,
        "one test a fault of a registry, over one scripted registry",
    ),
];

#[test]
fn files_stay_short() {
    let mut faults = Vec::new();
    for file in rust() {
        let lines = file.text.lines().count();
        let allowed = LONGER.iter().find(|(path, ..)| *path == file.path);
        if lines > allowed.map_or(LIMIT, |(_, limit, _)| *limit) {
            faults.push(format!("{} has {lines} lines", file.path));
        }
    }
    none("files to split", &faults);
}

#[test]
fn the_list_of_longer_files_is_no_longer_than_it_has_to_be() {
    let files = rust();
    let needed = |path: &str| {
        let file = files.iter().find(|file| file.path == path);
        file.is_some_and(|file| file.text.lines().count() > LIMIT)
    };
    let stale = LONGER.iter().filter(|(path, ..)| !needed(path));
    let stale: Vec<String> = stale.map(|(path, ..)| (*path).to_owned()).collect();
    none("entries without need", &stale);
}
