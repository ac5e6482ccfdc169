//! What a person reads when a build fails: where it is written, and what the step said last.

use std::fmt::Write as _;

use bowline_api::{BuildFailure, BuildPlace};

use crate::ui::{Failure, Style};

/// Lines of output that are repeated below the error.
const LINES: usize = 20;

/// The failure with the lines of the Dockerfile and the end of the step's output.
pub(super) fn render(failure: &BuildFailure, output: &[String], color: bool) -> Failure {
    let mut text = format!("{} ", Style::Error.paint("error:", color));
    // Writing to a string cannot fail, here and below.
    let _ = match failure.target.as_str() {
        "" => writeln!(text, "{}", failure.message),
        target => writeln!(text, "cannot build `{target}`: {}", failure.message),
    };
    if let Some(place) = &failure.place {
        excerpt(&mut text, place, color);
    }
    let skip = output.len().saturating_sub(LINES);
    if !output.is_empty() {
        text.push_str("  last lines of its output:\n");
    }
    for line in output.iter().skip(skip) {
        let _ = writeln!(text, "    | {line}");
    }
    Failure::rendered(text, 1)
}

fn excerpt(text: &mut String, place: &BuildPlace, color: bool) {
    let width = place.last_line.to_string().len();
    let _ = writeln!(text, "{:width$}--> {}:{}", "", place.file, place.first_line);
    let _ = writeln!(text, "{:width$} |", "");
    for (number, line) in (place.first_line..).zip(&place.lines) {
        let _ = writeln!(text, "{number:width$} | {line}");
    }
    let first = place.lines.first().map(String::as_str).unwrap_or_default();
    let indent = first.len() - first.trim_start().len();
    let word = first.split_whitespace().next().unwrap_or_default();
    // Below several lines a caret would point at the last of them.
    if place.lines.len() == 1 {
        let carets = "^".repeat(word.chars().count().max(1));
        let carets = Style::Error.paint(&carets, color);
        let _ = writeln!(text, "{:width$} | {:indent$}{carets}", "", "");
    } else {
        let _ = writeln!(text, "{:width$} |", "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_shows_its_line_and_its_output() {
        let failure = BuildFailure {
            message: "process \"/bin/sh -c false\" did not complete successfully: exit code: 1"
                .into(),
            target: "web".into(),
            place: Some(BuildPlace {
                file: "app/Dockerfile".into(),
                first_line: 12,
                last_line: 12,
                lines: vec!["RUN false".into()],
            }),
            ..BuildFailure::default()
        };
        let shown = render(&failure, &["oh no".to_owned()], false).render(false);
        assert_eq!(
            shown,
            "error: cannot build `web`: process \"/bin/sh -c false\" did not complete successfully: exit code: 1\n  \
             --> app/Dockerfile:12\n   |\n12 | RUN false\n   | ^^^\n  last lines of its output:\n    | oh no\n"
        );
    }
}
