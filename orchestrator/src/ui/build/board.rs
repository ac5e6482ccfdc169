//! A build on a terminal: a line for each step, and below those that run the last they wrote.

use std::time::Duration;

use super::steps::{Standing, Step, Steps};
use crate::ui::{Style, bytes, seconds};

/// Lines of output shown below a running step.
const OUTPUT: usize = 4;

/// The board for a terminal of this size; where it does not fit, what is done is left out first.
pub(super) fn draw(steps: &Steps, rows: usize, columns: usize, color: bool) -> Vec<String> {
    let all = steps.all();
    let begun = |step: &&Step| step.standing != Standing::Waiting;
    let ended = |step: &&Step| step.ended.is_some();
    let head = format!(
        "[+] Building {} ({}/{})",
        seconds(Duration::from_millis(steps.elapsed())),
        all.iter().filter(ended).count(),
        all.len()
    );
    let mut lines: Vec<(bool, String)> = Vec::new();
    for step in all.iter().filter(begun) {
        lines.push((step.ended.is_some(), line(steps, step, columns, color)));
        if step.standing == Standing::Running {
            let skip = step.output.len().saturating_sub(OUTPUT);
            let shown = step.output.iter().skip(skip);
            lines.extend(shown.map(|text| (false, cut(&format!("   | {text}"), columns))));
        }
    }
    let mut surplus = (lines.len() + 2).saturating_sub(rows);
    let mut out = vec![head];
    for (done, text) in lines {
        if surplus > 0 && done {
            surplus -= 1;
            continue;
        }
        out.push(text);
    }
    out.truncate(rows.saturating_sub(1).max(1));
    out
}

fn line(steps: &Steps, step: &Step, columns: usize, color: bool) -> String {
    let (mark, style) = match step.standing {
        Standing::Waiting | Standing::Running => ("⠿", Style::Busy),
        Standing::Cached | Standing::Done => ("✔", Style::Good),
        Standing::Failed => ("✘", Style::Error),
        Standing::GivenUp => ("-", Style::Warning),
    };
    let word = match (step.standing, step.moved) {
        (Standing::Cached, _) => "CACHED".to_owned(),
        (Standing::Running, Some((done, Some(total)))) if total > 0 => {
            format!("{} / {}", bytes(done), bytes(total))
        }
        _ => seconds(Duration::from_millis(steps.took(step))),
    };
    let name = step.name.lines().next().unwrap_or_default();
    let room = columns.saturating_sub(word.chars().count() + 6).max(8);
    let name = cut(name, room);
    let padding = room.saturating_sub(name.chars().count());
    format!(
        " {} {name}{:padding$}  {word}",
        style.paint(mark, color),
        ""
    )
}

/// A text as wide as there is room. Only here, where lines are drawn again and again, is anything cut.
fn cut(text: &str, columns: usize) -> String {
    let printable = text.chars().map(|letter| match letter {
        '\t' => ' ',
        letter if letter.is_control() => '·',
        letter => letter,
    });
    printable.take(columns.saturating_sub(1)).collect()
}

#[cfg(test)]
mod tests {
    use bowline_api::{BuildEvent, BuildEventKind};

    use super::*;

    fn steps(events: Vec<(u64, BuildEventKind)>) -> Steps {
        let mut steps = Steps::default();
        for (at, kind) in events {
            steps.take(&BuildEvent { at, kind });
        }
        steps
    }

    fn planned(step: &str, name: &str) -> BuildEventKind {
        BuildEventKind::Planned {
            step: step.into(),
            name: name.into(),
            place: None,
            targets: Vec::new(),
        }
    }

    #[test]
    fn a_running_step_shows_what_it_wrote_last() {
        let log = |line: String| BuildEventKind::Log {
            step: "b".into(),
            stream: "stdout".into(),
            line,
        };
        let mut events = vec![
            (1000, planned("a", "[1/2] FROM busybox")),
            (1000, planned("b", "[2/2] RUN make")),
            (1001, BuildEventKind::Cached { step: "a".into() }),
            (1002, BuildEventKind::Started { step: "b".into() }),
        ];
        events.extend((0..6).map(|n| (3002, log(format!("line {n}")))));
        let shown = draw(&steps(events), 24, 60, false);
        assert_eq!(shown[0], "[+] Building 2.0s (1/2)");
        assert!(
            shown[1].starts_with(" ✔ [1/2] FROM busybox"),
            "{}",
            shown[1]
        );
        assert!(shown[1].ends_with("CACHED"), "{}", shown[1]);
        assert!(shown[2].ends_with("2.0s"), "{}", shown[2]);
        assert_eq!(shown[3], "   | line 2");
        assert_eq!(shown.len(), 7);
    }

    #[test]
    fn a_small_terminal_shows_what_is_not_done() {
        let mut events = Vec::new();
        for n in 0..20 {
            let step = n.to_string();
            events.push((1, planned(&step, &format!("step {n}"))));
            events.push((1, BuildEventKind::Started { step: step.clone() }));
            if n < 19 {
                events.push((2, BuildEventKind::Finished { step }));
            }
        }
        let shown = draw(&steps(events), 6, 40, false);
        assert!(shown.len() < 6);
        assert!(
            shown.iter().any(|line| line.contains("step 19")),
            "{shown:?}"
        );
    }
}
