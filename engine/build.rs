//! Tells the code which commit it is built from. Outside of a repository it tells nothing, and the code says so.
//!
//! The files of git are read as they are: no git has to be installed, and a commit that is packed is found, too.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    tell("rerun-if-changed=build.rs");
    // Builds for development are of no commit: they would compile the engine anew with each.
    if std::env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if let Some(commit) = commit(&root.join(".git")) {
        tell(&format!("rustc-env=BOWLINE_COMMIT={commit}"));
    }
}

/// Cargo reads what is printed; when it does not any more, there is nobody to tell.
fn tell(line: &str) {
    let _closed = writeln!(std::io::stdout(), "cargo::{line}");
}

/// The text of a file, which counts from now on as something that this depends on.
fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    tell(&format!("rerun-if-changed={}", path.display()));
    Some(text.trim().to_owned())
}

fn commit(git: &Path) -> Option<String> {
    // A work tree beside its repository has a file that names the folder.
    let folder = match fs::metadata(git).ok()?.is_dir() {
        true => git.to_owned(),
        false => git.parent()?.join(read(git)?.strip_prefix("gitdir: ")?),
    };
    let common: PathBuf = match read(&folder.join("commondir")) {
        Some(common) => folder.join(common),
        None => folder.clone(),
    };
    let head = read(&folder.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref: ") else {
        return Some(head);
    };
    read(&common.join(name)).or_else(|| packed(&read(&common.join("packed-refs"))?, name))
}

/// `0123… refs/heads/main`
fn packed(list: &str, name: &str) -> Option<String> {
    let mut pairs = list.lines().filter_map(|line| line.split_once(' '));
    let (commit, _) = pairs.find(|(_, found)| *found == name)?;
    Some(commit.to_owned())
}
