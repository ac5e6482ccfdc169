//! What cargo says of the workspace.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::tree::{self, none, root};

/// Packages in `Cargo.lock`: each is a build, a licence and a risk.
const LOCK_BUDGET: usize = 420;

/// `cargo metadata` of everything that is built for our target.
pub(crate) fn metadata() -> &'static Value {
    static METADATA: OnceLock<Value> = OnceLock::new();
    METADATA.get_or_init(|| {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .current_dir(root())
            .stdin(Stdio::null())
            .output()
            .expect("cargo");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo metadata: {errors}");
        serde_json::from_slice(&output.stdout).expect("JSON of cargo")
    })
}

/// The packages of this workspace.
pub(crate) fn members() -> impl Iterator<Item = &'static Value> {
    let ours = metadata()["workspace_members"].as_array().expect("members");
    let packages = metadata()["packages"].as_array().expect("packages");
    packages
        .iter()
        .filter(|package| ours.contains(&package["id"]))
}

/// A package's name without what all of ours begin with.
pub(crate) fn short(package: &Value) -> &str {
    let name = package["name"].as_str().expect("a name");
    name.strip_prefix("bowline-").unwrap_or(name)
}

#[test]
fn the_lock_keeps_its_budget() {
    let count = tree::read("Cargo.lock").matches("[[package]]").count();
    assert!(
        count <= LOCK_BUDGET,
        "{count} packages, {LOCK_BUDGET} are allowed"
    );
}

#[test]
fn every_member_takes_lints_and_versions_from_the_root() {
    let mut faults = Vec::new();
    for package in members() {
        let manifest = package["manifest_path"].as_str().expect("a path");
        let text = std::fs::read_to_string(manifest).expect("a manifest");
        for line in ["[lints]\nworkspace = true", "version.workspace = true"] {
            if !text.contains(line) {
                faults.push(format!("{manifest} lacks `{}`", line.replace('\n', " ")));
            }
        }
        for line in text.lines().filter(|line| line.contains("version = \"")) {
            faults.push(format!("{manifest}: `{line}` belongs in the root manifest"));
        }
    }
    none("manifests", &faults);
}

#[test]
fn every_shared_dependency_has_a_user() {
    let root = tree::read("Cargo.toml");
    let table = root
        .split("[workspace.dependencies]")
        .nth(1)
        .expect("the table");
    let table = table.split("\n[").next().unwrap_or_default();
    let names = table
        .lines()
        .filter_map(|line| Some(line.split_once(" = ")?.0));
    let manifests: Vec<String> = tree::files()
        .into_iter()
        .filter(|file| file.ends_with("/Cargo.toml"))
        .map(|file| file.text)
        .collect();
    let used = |name: &str| {
        let forms = [
            format!("\n{name}.workspace"),
            format!("\n{name} = {{ workspace"),
        ];
        manifests
            .iter()
            .any(|text| forms.iter().any(|form| text.contains(form)))
    };
    let unused: Vec<String> = names
        .filter(|name| !used(name))
        .map(str::to_owned)
        .collect();
    none(
        "dependencies of the root manifest that no crate uses",
        &unused,
    );
}
