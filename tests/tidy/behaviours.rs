//! The list of behaviours names stories that exist.

use crate::tree::{none, read};

#[test]
fn behaviours_have_their_stories() {
    let list = read("tests/stories/BEHAVIOURS.md");
    let mut faults = Vec::new();
    let mut count = 0;
    for row in list
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("::"))
    {
        let story = row
            .trim_end_matches("` |")
            .rsplit('`')
            .next()
            .unwrap_or_default();
        let (folder, story) = match story.strip_prefix("client: ") {
            Some(story) => ("clients", story),
            None => ("stories", story),
        };
        count += 1;
        let there = story.split_once("::").is_some_and(|(file, name)| {
            read(&format!("tests/{folder}/{file}.rs")).contains(&format!("fn {name}("))
        });
        if !there {
            faults.push(row.to_owned());
        }
    }
    none("without a story", &faults);
    assert!(count >= 130, "only {count} behaviours are listed");
}
