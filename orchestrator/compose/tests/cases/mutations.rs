//! Loading never panics, whatever a person's editor, merge tool or cat has done to the files.

use proptest::prelude::*;

use crate::harness;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn broken_files_are_errors(
        pick in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, pieces()), 1..6),
    ) {
        let mut cases = harness::cases();
        let case = pick.index(cases.len());
        let case = &mut cases[case];
        for (_, text) in &mut case.files {
            for (at, length, piece) in &edits {
                let chars: Vec<char> = text.chars().collect();
                let start = at.index(chars.len() + 1);
                let end = (start + length).min(chars.len());
                *text = chars[..start].iter().chain(piece.chars().collect::<Vec<_>>().iter())
                    .chain(&chars[end..]).collect();
            }
        }
        let out = case.actual();
        prop_assert!(out.contains_key("json") || !out["errors"].is_empty());
    }
}

fn pieces() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        " ",
        "\n",
        "  ",
        ":",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'",
        "$",
        "${",
        "${A:-",
        "&a ",
        "*a",
        "<<: ",
        "!reset ",
        "|\n",
        "#",
        "0",
        "-1",
        "1e400",
        "null",
        "é",
        "\t",
        "extends: ",
        "x-",
    ])
}
