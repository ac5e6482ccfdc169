//! Documents say what is so.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use bowline_tests::binary;

use crate::manifests::members;
use crate::tree::{self, File, files, none, root};

fn documents() -> Vec<File> {
    let mut files = files();
    files.retain(|file| file.ends_with(".md"));
    files
}

/// Pieces of `text` between `open` and the next `close`.
fn between<'t>(text: &'t str, open: &str, close: &str) -> Vec<&'t str> {
    let pieces = text.split(open).skip(1);
    pieces
        .filter_map(|piece| Some(piece.split_once(close)?.0))
        .collect()
}

/// Links, and what looks like a path of this checkout between backticks.
#[test]
fn documents_name_files_that_exist() {
    let mut faults = Vec::new();
    for document in documents() {
        let folder = Path::new(&document.path).parent().unwrap_or(Path::new(""));
        for link in between(&document.text, "](", ")") {
            let path = link.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.contains("://") && !root().join(folder).join(path).exists()
            {
                faults.push(format!("{}: {link}", document.path));
            }
        }
        for quoted in prose(&document.text)
            .iter()
            .flat_map(|line| between_backticks(line))
        {
            let path = quoted.split(' ').next().unwrap_or_default();
            let here = root().join(folder).join(path).exists();
            if is_ours(path) && !here && !root().join(path).exists() {
                faults.push(format!("{}: `{quoted}`", document.path));
            }
        }
    }
    none("no such files", &faults);
}

/// Lines outside of blocks.
fn prose(text: &str) -> Vec<&str> {
    let mut inside = false;
    let outside = |line: &&str| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !inside && !fence
    };
    text.lines().filter(outside).collect()
}

fn between_backticks(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// A path into one of the folders of the root, and no pattern. What builds make is not there yet.
fn is_ours(path: &str) -> bool {
    let Some((first, _)) = path.split_once('/') else {
        return false;
    };
    let pattern = path.contains(['*', '…', '<', '$', '{']) || path.contains("NAME");
    !pattern && first != "target" && !first.is_empty() && root().join(first).is_dir()
}

/// The commands that the binary itself lists.
fn commands() -> BTreeSet<String> {
    let output = Command::new(binary())
        .arg("--help")
        .stdin(Stdio::null())
        .output();
    let output = output.expect("the binary: `cargo build --release`, or BOWLINE_BIN");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let section = text.split("Commands:\n").nth(1).expect("the commands");
    let lines = section.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_readme_lists_the_commands_there_are() {
    let readme = tree::read("README.md");
    let section = readme
        .split("**Commands:**")
        .nth(1)
        .expect("the paragraph on commands");
    let section = section.split("Each has").next().unwrap_or_default();
    let listed: BTreeSet<String> = between_backticks(section)
        .iter()
        .filter_map(|quoted| quoted.split(' ').next())
        .filter(|word| !word.starts_with('-'))
        .map(str::to_owned)
        .collect();
    assert_eq!(listed, commands());
}

/// The table of keys, place by place: what it calls supported is, and what it calls missing is refused.
#[test]
fn the_readme_knows_which_keys_are_supported() {
    let support = tree::read("compose-specs/support.txt");
    let keys = |place: &str| -> BTreeSet<&str> {
        let lines = support
            .lines()
            .filter_map(|line| line.strip_prefix(place)?.strip_prefix(": "));
        lines.flat_map(str::split_whitespace).collect()
    };
    let readme = tree::read("README.md");
    let mut faults = Vec::new();
    for place in ["project", "service", "deploy"] {
        let row = readme
            .lines()
            .find_map(|line| line.strip_prefix(&format!("| {place} |")));
        let (yes, no) = row
            .and_then(|row| row.split_once(" | "))
            .expect("a row of the table");
        let keys = keys(place);
        for key in between_backticks(yes)
            .into_iter()
            .filter(|key| keys.contains(&*format!("-{key}")))
        {
            faults.push(format!("{place}: `{key}` is not supported"));
        }
        for key in between_backticks(no)
            .into_iter()
            .filter(|key| !keys.contains(&*format!("-{key}")))
        {
            faults.push(format!("{place}: `{key}` is not refused"));
        }
    }
    none("the table of keys", &faults);
}

/// `$ … bowline [OPTIONS] COMMAND` in the blocks of all documents.
#[test]
fn documents_call_commands_that_exist() {
    let commands = commands();
    let mut faults = Vec::new();
    for document in documents() {
        for (place, line) in document.lines().filter(|(_, line)| line.starts_with("$ ")) {
            for call in line.split("bowline ").skip(1) {
                let mut words = call
                    .split_whitespace()
                    .skip_while(|word| word.starts_with('-'));
                let first = words
                    .next()
                    .unwrap_or_default()
                    .trim_end_matches([')', '"']);
                // The value of an option such as `--project-directory`.
                let is_value = call.starts_with("--") && first.contains(['/', '=']);
                let command = if is_value {
                    words.next().unwrap_or_default()
                } else {
                    first
                };
                let ours = line.starts_with("$ bowline") || line.contains("sudo");
                if ours && !command.contains('/') && !commands.contains(command) {
                    faults.push(format!("{place}: `{command}`"));
                }
            }
        }
    }
    none("no such commands", &faults);
}

/// One table in the code; the page repeats it for people.
#[test]
fn the_page_on_settings_is_the_table_in_the_code() {
    let code = tree::read("engine/src/config.rs");
    let value = |row: &str, field: &str| {
        let found = between(row, &format!("{field}: \""), "\"");
        found
            .first()
            .map(|text| (*text).to_owned())
            .unwrap_or_default()
    };
    let rows: Vec<String> = between(&code, "Setting {\n        key", "\n    },")
        .iter()
        .map(|row| {
            let row = format!("key{row}");
            let [key, variable, doc] = ["key", "variable", "doc"].map(|field| value(&row, field));
            format!("| `{key}` | `{variable}` | {doc} |")
        })
        .collect();
    assert!(!rows.is_empty(), "the table of settings was not found");
    let page = tree::read("docs/config.md");
    let listed: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert_eq!(listed, rows);
}

/// The maps of the house show every room.
#[test]
fn every_crate_and_every_folder_of_tests_is_on_a_map() {
    let mut faults = Vec::new();
    let map = tree::read("ARCHITECTURE.md");
    for package in members() {
        let name = package["name"].as_str().unwrap_or_default();
        if !map.contains(&format!("/` | `{name}` |")) {
            faults.push(format!("ARCHITECTURE.md: {name}"));
        }
    }
    let map = tree::read("tests/README.md");
    for entry in std::fs::read_dir(root().join("tests")).expect("the tests") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !map.contains(&format!("| `{name}/` |")) {
            faults.push(format!("tests/README.md: {name}/"));
        }
    }
    none("not on a map", &faults);
}

#[test]
fn the_changelog_knows_this_version() {
    let ours = members()
        .next()
        .and_then(|package| package["version"].as_str())
        .expect("a version");
    assert!(
        tree::read("CHANGELOG.md").contains(&format!("## [{ours}]")),
        "no entry for {ours}"
    );
}

/// A module that nobody declares is a test that nobody runs.
#[test]
fn every_file_of_a_test_program_is_part_of_it() {
    let all = files();
    let mut faults = Vec::new();
    for file in all
        .iter()
        .filter(|file| file.is_under(&["tests/"]) && file.ends_with(".rs"))
    {
        let path = Path::new(&file.path);
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let folder = path.parent().and_then(Path::to_str).unwrap_or_default();
        if ["main", "lib", "mod"].contains(&name) {
            continue;
        }
        let parents = ["/main.rs", "/lib.rs", "/mod.rs", ".rs"].map(|end| format!("{folder}{end}"));
        let declared = all
            .iter()
            .filter(|file| parents.contains(&file.path))
            .any(|parent| {
                let text = &parent.text;
                text.lines()
                    .any(|line| line.ends_with(&format!("mod {name};")))
            });
        if !declared {
            faults.push(file.path.clone());
        }
    }
    none("files that are no module", &faults);
}

#[test]
fn every_test_program_is_run() {
    let manifest = tree::read("tests/Cargo.toml");
    let names: Vec<&str> = manifest
        .split("[[test]]\n")
        .skip(1)
        .filter_map(|table| table.strip_prefix("name = \"")?.split('"').next())
        .collect();
    let mut scripts = tree::read("tests/run");
    scripts.push_str(&tree::read("tests/long/run"));
    let unknown = |name: &&&str| !scripts.contains(&format!("target_of_tests {name}"));
    let missing: Vec<String> = names
        .iter()
        .filter(unknown)
        .map(|name| (*name).to_owned())
        .collect();
    none(
        "test programs that neither tests/run nor tests/long/run runs",
        &missing,
    );
}
