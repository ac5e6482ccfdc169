//! What each code of a diagnostic means: the page `compose-specs/codes.md`.

/// The page itself, compiled in.
const PAGE: &str = include_str!("../../../compose-specs/codes.md");

/// Every code with its section.
pub fn codes() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGE.split("\n## ").skip(1).filter_map(|section| {
        let (code, text) = section.split_once('\n')?;
        Some((code, text.trim()))
    })
}

/// The section of a code. The part before the colons may be left out.
#[must_use]
pub fn explain(code: &str) -> Option<(&'static str, &'static str)> {
    codes().find(|(known, _)| {
        *known == code
            || known
                .split_once("::")
                .is_some_and(|(_, short)| short == code)
    })
}

/// The code that somebody may have meant.
#[must_use]
pub fn closest(code: &str) -> Option<&'static str> {
    let code = code.rsplit("::").next().unwrap_or(code);
    let short = |known: &'static str| known.split_once("::").map_or(known, |(_, short)| short);
    let meant = crate::similar::closest(code, codes().map(|(known, _)| short(known)))?;
    codes()
        .map(|(known, _)| known)
        .find(|known| short(known) == meant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn sources(folder: &Path, out: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, out);
            } else if path.extension().is_some_and(|ending| ending == "rs")
                && !path.ends_with("explain.rs")
            {
                out.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }

    /// The words of a text that are codes.
    fn mentioned(text: &str) -> BTreeSet<String> {
        let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        text.split("compose::")
            .skip(1)
            .map(|rest| rest.chars().take_while(|c| part(*c)).collect::<String>())
            .filter(|code| code.contains('-') || !code.is_empty())
            .map(|code| format!("compose::{code}"))
            .collect()
    }

    #[test]
    fn every_code_of_the_sources_has_a_section_and_no_other() {
        let mut text = String::new();
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut text,
        );
        let quoted = text.split('"').filter(|word| word.starts_with("compose::"));
        let used: BTreeSet<&str> = quoted.filter(|word| !word.contains(' ')).collect();
        let told: BTreeSet<&str> = codes().map(|(code, _)| code).collect();
        let used: BTreeSet<&str> = used
            .into_iter()
            .filter(|code| *code != "compose::")
            .collect();
        assert_eq!(used, told);
    }

    #[test]
    fn every_code_is_in_a_case() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose-specs");
        let mut shown = BTreeSet::new();
        for cases in ["cases", "tables"] {
            for entry in std::fs::read_dir(folder.join(cases)).unwrap() {
                let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
                shown.extend(mentioned(&text));
            }
        }
        let missing: Vec<&str> = codes()
            .map(|(code, _)| code)
            .filter(|code| !shown.contains(*code))
            .collect();
        assert!(missing.is_empty(), "no case shows {missing:?}");
    }

    #[test]
    fn sections_say_what_happens_and_are_found() {
        for (code, text) in codes() {
            let first = text.lines().next().unwrap();
            assert!(
                first.starts_with("error: ") || first.starts_with("warning: "),
                "{code}"
            );
            assert!(
                text.lines().all(|line| line.chars().count() <= 125),
                "{code}"
            );
        }
        assert_eq!(explain("unknown-key"), explain("compose::unknown-key"));
        assert_eq!(explain("unknown"), None);
        assert_eq!(
            closest("compose::unknown-kye"),
            Some("compose::unknown-key")
        );
    }
}
