//! Compares the cases with what Docker Compose makes of the same files.
//!
//! Runs where Docker Compose v5.6.1 is installed (`COMPOSE_ORACLE` names its folder), and says how
//! much was compared either way: a comparison that did not happen must not look like one.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test with its own report"
)]

#[path = "cases/harness.rs"]
mod harness;
#[expect(dead_code, reason = "the other half of the module asks our loader")]
#[path = "cases/tables.rs"]
mod tables;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use harness::{Case, ROOT};

fn main() -> ExitCode {
    let cases = harness::cases();
    let folder = std::env::var("COMPOSE_ORACLE").unwrap_or("/opt/compose-oracle".to_owned());
    let oracle = PathBuf::from(folder).join("bin/docker-compose");
    if !oracle.is_file() {
        println!(
            "oracle: Docker Compose is not installed, 0 of {} cases compared",
            cases.len()
        );
        return ExitCode::SUCCESS;
    }
    let (mut same, mut deliberate, mut different) = (0, 0, 0);
    for case in &cases {
        match (compare(case, &oracle), &case.oracle) {
            (Ok(()), None) => same += 1,
            (Err(_), Some(_)) => deliberate += 1,
            (Err(difference), None) => {
                different += 1;
                println!("oracle: {} differs\n{difference}\n", case.name);
            }
            (Ok(()), Some(reason)) => {
                different += 1;
                println!("oracle: {} no longer differs ({reason})\n", case.name);
            }
        }
    }
    for row in tables::tables().into_iter().flat_map(|table| table.rows) {
        match (compare_row(&row, &oracle), &row.difference) {
            (Ok(()), None) => same += 1,
            (Err(_), Some(_)) => deliberate += 1,
            (Err(theirs), None) => {
                different += 1;
                println!(
                    "oracle: {} differs: {}, Compose: {theirs}",
                    row.case.name, row.expected
                );
            }
            (Ok(()), Some(why)) => {
                different += 1;
                println!("oracle: {} no longer differs ({why})", row.case.name);
            }
        }
    }
    println!("oracle: {same} cases the same, {deliberate} deliberately not, {different} wrong");
    if different == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A row of a table tells what Compose answers: the value, or that there is an error.
fn compare_row(row: &tables::Row, oracle: &Path) -> Result<(), String> {
    match run(&row.case, oracle, "json") {
        Ok(json) if row.tells(&row.told(&json)) => Ok(()),
        Ok(json) => Err(row.told(&json)),
        Err(_) if row.expected.starts_with("error") => Ok(()),
        Err(message) => Err(message),
    }
}

/// The same text, character by character.
fn compare_yaml(case: &Case, oracle: &Path) -> Result<(), String> {
    let theirs = run(case, oracle, "yaml")?;
    let ours = case.yaml();
    if theirs == ours {
        return Ok(());
    }
    let differ = |(left, right): &(&str, &str)| left != right;
    let first = theirs.lines().zip(ours.lines()).find(differ);
    Err(format!(
        "  the YAML is not the same text: (Compose, we) {first:?}"
    ))
}

/// The same model, or both an error.
fn compare(case: &Case, oracle: &Path) -> Result<(), String> {
    let theirs = run(case, oracle, "json");
    let ours = case.actual();
    match (theirs, ours.get("json")) {
        (Err(message), None) => match (message.trim_end().lines().last(), &case.theirs) {
            (Some(last), Some(told)) if last != told => {
                Err(format!("  Compose says {last:?}, the case {told:?}"))
            }
            _ => Ok(()),
        },
        (Err(message), Some(_)) => Err(format!("Compose refuses it: {message}")),
        (Ok(_), None) => Err(format!("Compose accepts it; we say:\n{}", ours["errors"])),
        (Ok(theirs), Some(ours)) => {
            let read = |text: &str| -> serde_json::Value { serde_json::from_str(text).unwrap() };
            let (theirs, ours) = (read(&theirs), read(ours));
            let mut differences = Vec::new();
            differ("", &theirs, &ours, &mut differences);
            if differences.is_empty() {
                compare_yaml(case, oracle)
            } else {
                Err(differences.join("\n"))
            }
        }
    }
}

fn differ(path: &str, theirs: &serde_json::Value, ours: &serde_json::Value, out: &mut Vec<String>) {
    use serde_json::Value::{Array, Null, Object};
    match (theirs, ours) {
        (Object(left), Object(right)) => {
            let keys = left
                .keys()
                .chain(right.keys().filter(|key| !left.contains_key(*key)));
            for key in keys {
                let get = |map: &serde_json::Map<_, _>| map.get(key).cloned().unwrap_or(Null);
                differ(&format!("{path}.{key}"), &get(left), &get(right), out);
            }
        }
        (Array(left), Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                differ(&format!("{path}[{index}]"), left, right, out);
            }
        }
        _ if theirs == ours => {}
        // A two-letter target loses the empty options of its volume there; they mean nothing.
        (Null, Object(map)) | (Object(map), Null)
            if map.is_empty() && path.ends_with(".volume") => {}
        _ => out.push(format!("  {path}: Compose {theirs}, we {ours}")),
    }
}

fn run(case: &Case, oracle: &Path, format: &str) -> Result<String, String> {
    let temp = tempfile::tempdir().unwrap();
    let base = temp.path().join("srv");
    let project = base.join("project");
    std::fs::create_dir_all(&project).unwrap();
    let mut stdin = String::new();
    for (name, text) in &case.files {
        let path = match name.strip_prefix("/srv/") {
            _ if name == "-" => {
                stdin.clone_from(text);
                continue;
            }
            Some(rest) => base.join(rest),
            None => project.join(name),
        };
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let real = base.to_string_lossy().into_owned();
    let root = ROOT.trim_end_matches("/project");
    let place = |text: &str| text.replace(root, &real);
    let mut child = Command::new(oracle)
        .args(case.args.iter().map(|arg| place(arg)))
        .args(["config", "--format", format])
        .env_clear()
        .env("HOME", "/root")
        .env("PATH", "/bin")
        .envs(&case.env)
        .current_dir(&project)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(stdin.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&real, root);
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}
