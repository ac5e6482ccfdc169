//! Words that no file may hold.

use std::path::Path;

use crate::tree::{File, files, none, root};

/// This file names what it looks for.
fn others() -> Vec<File> {
    let mut files = files();
    files.retain(|file| file.path != "tests/tidy/words.rs" && file.path != "LICENSE");
    files
}

/// Unfinished work belongs in a refusal with a clear error, not in a note.
#[test]
fn nothing_is_left_for_later() {
    let words = ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("];
    let mut hits = Vec::new();
    for file in others() {
        // Base64 and digests hold any letters.
        let lines = file
            .lines()
            .filter(|(_, line)| words.iter().any(|word| is_word(line, word)));
        hits.extend(lines.map(|(place, line)| format!("{place}: {}", line.trim())));
    }
    hits.retain(|hit| !hit.starts_with("Cargo.lock"));
    none("left for later", &hits);
}

/// `word` in `line`, not as a part of a longer one.
fn is_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let inside =
            |char: Option<char>| char.is_some_and(|char| char.is_alphanumeric() || char == '_');
        !inside(before) && (word.ends_with('(') || !inside(after))
    })
}

/// A path of the machine that something was written on means nothing on another.
#[test]
fn no_file_names_the_folder_of_this_checkout() {
    let checkout = root().to_str().expect("a path in UTF-8");
    // A checkout right below the root, or in a place that every machine has, cannot be told from other paths.
    if Path::new(checkout).components().count() < 3 {
        return;
    }
    let mut hits = Vec::new();
    for file in others() {
        let lines = file.lines().filter(|(_, line)| line.contains(checkout));
        hits.extend(lines.map(|(place, _)| place));
    }
    none("files that name the checkout's folder", &hits);
}

/// Why something is as it is has to stand where it is read, not behind a number.
#[test]
fn no_comment_points_at_a_number() {
    let mut hits = Vec::new();
    for file in others() {
        for (place, line) in file.lines() {
            let lower = line.to_lowercase();
            let points = |before: &str| {
                lower
                    .split(before)
                    .skip(1)
                    .any(|rest| rest.starts_with(|char: char| char.is_ascii_digit()))
            };
            if points("issue #") || points("issue ") || points("issues/") || points("pull request ")
            {
                hits.push(format!("{place}: {}", line.trim()));
            }
        }
    }
    none("numbers of issues", &hits);
}

#[test]
fn lines_end_where_they_end() {
    let mut hits = Vec::new();
    for file in others() {
        // Expected texts of cases are compared as they are.
        let data = file.path.starts_with("engine/build/tests/") && !file.ends_with(".rs");
        if file.ends_with(".case") || data || file.path.contains("/vendor/") {
            continue;
        }
        hits.extend(
            file.lines()
                .filter(|(_, line)| line.ends_with([' ', '\t']))
                .map(|(place, _)| place),
        );
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            hits.push(format!("{}: no line break at its end", file.path));
        }
    }
    none("white space at ends", &hits);
}
