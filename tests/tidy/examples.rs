//! The examples are what people run first.

use std::process::{Command, Stdio};

use bowline_tests::binary;

use crate::tree::{none, root};

#[test]
fn every_example_loads_and_is_explained() {
    let mut faults = Vec::new();
    for entry in std::fs::read_dir(root().join("examples")).expect("the examples") {
        let folder = entry.expect("an entry").path();
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !folder.join("README.md").is_file() {
            faults.push(format!("{name} has no README.md"));
        }
        let output = Command::new(binary())
            .args(["config", "--quiet"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .expect("the binary: `cargo build --release`, or BOWLINE_BIN");
        if !output.status.success() {
            faults.push(format!(
                "{name}: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
    }
    none("examples", &faults);
}
