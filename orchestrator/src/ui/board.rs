//! The picture of progress on a terminal: pure, from changes to lines.
//!
//! Replicas of a service stand below one line for all of them, and fold into it when they are done. A picture never has
//! more lines or columns than the terminal: what is done is left out first.

use std::collections::BTreeMap;
use std::time::Duration;

use super::progress::{Phase, Subject};
use super::{Style, seconds};

#[derive(Clone, Debug)]
struct Line {
    subject: Subject,
    phase: Phase,
    word: String,
    since: Duration,
    took: Option<Duration>,
}

/// What is known of each subject.
#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    lines: Vec<Line>,
}

/// The terminal that is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) color: bool,
}

/// A line of the picture before it is fitted.
struct Row {
    /// What stands before the name: indentation and a branch of the tree.
    lead: &'static str,
    phase: Phase,
    label: String,
    word: String,
    elapsed: Duration,
}

impl Board {
    /// Enters a change. A subject keeps its line and its clock from its first change on.
    pub(super) fn change(&mut self, subject: &Subject, phase: Phase, word: &str, now: Duration) {
        let known = self.lines.iter().position(|line| line.subject == *subject);
        let index = known.unwrap_or_else(|| {
            self.lines.push(Line {
                subject: subject.clone(),
                phase,
                word: String::new(),
                since: now,
                took: None,
            });
            self.lines.len() - 1
        });
        let line = &mut self.lines[index];
        line.phase = phase;
        // What comes from containers may hold anything; a picture holds one line of it.
        line.word = word.split(char::is_control).collect::<Vec<_>>().join(" ");
        line.took = (phase != Phase::Busy).then(|| now.saturating_sub(line.since));
    }

    fn done(&self) -> usize {
        let done = |line: &&Line| line.phase != Phase::Busy;
        self.lines.iter().filter(done).count()
    }

    /// The picture for this moment and this terminal.
    pub(super) fn draw(&self, now: Duration, frame: Frame) -> Vec<String> {
        let total = self.lines.len();
        let head = format!("[+] Running {}/{total}", self.done());
        let mut rows = self.rows(now);
        let room = frame.rows.saturating_sub(2).max(1);
        let mut surplus = rows.len().saturating_sub(room);
        rows.retain(|row| {
            let left_out = surplus > 0 && row.phase == Phase::Done;
            surplus -= usize::from(left_out);
            !left_out
        });
        rows.truncate(room);
        let widest = rows
            .iter()
            .map(|row| width(row.lead) + width(&row.label))
            .max();
        // Names give way to what happens, but not much: twenty columns say most of it.
        let limit = frame.columns.saturating_sub(30).max(frame.columns / 2);
        let widest = widest.unwrap_or(0).min(limit);
        let head = cut(&head, frame.columns.saturating_sub(1));
        let lines = rows.iter().map(|row| row.draw(widest, frame));
        std::iter::once(head).chain(lines).collect()
    }

    /// Subjects in the order they came; replicas of a service below one line.
    fn rows(&self, now: Duration) -> Vec<Row> {
        let mut groups: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
        for line in &self.lines {
            if let Some(stem) = stem(&line.subject) {
                groups.entry(stem).or_default().push(line);
            }
        }
        let mut rows = Vec::new();
        for line in &self.lines {
            let group =
                stem(&line.subject).and_then(|stem| groups.get(stem).map(|lines| (stem, lines)));
            match group {
                Some((stem, lines)) if lines.len() > 1 => {
                    if lines[0].subject == line.subject {
                        add_group(&mut rows, stem, lines, now);
                    }
                }
                _ => rows.push(Row {
                    lead: "",
                    label: format!("{} {}", line.subject.kind, line.subject.name),
                    ..line.row(now)
                }),
            }
        }
        rows
    }
}

/// `shop-web` of the container `shop-web-3`.
fn stem(subject: &Subject) -> Option<&str> {
    let (stem, number) = subject.name.rsplit_once('-')?;
    let counts = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (counts && subject.kind == "Container").then_some(stem)
}

fn add_group(rows: &mut Vec<Row>, stem: &str, lines: &[&Line], now: Duration) {
    let open: Vec<&&Line> = lines
        .iter()
        .filter(|line| line.phase != Phase::Done)
        .collect();
    let failed = lines.iter().any(|line| line.phase == Phase::Failed);
    let busy = lines.iter().any(|line| line.phase == Phase::Busy);
    let begun = lines.iter().map(|line| line.since).min().unwrap_or(now);
    let ends = lines
        .iter()
        .map(|line| line.took.map_or(now, |took| line.since + took));
    let word = match open.is_empty() {
        true => lines[0].word.clone(),
        false => format!("{}/{}", lines.len() - open.len(), lines.len()),
    };
    rows.push(Row {
        lead: "",
        phase: match (failed, busy) {
            (true, _) => Phase::Failed,
            (false, true) => Phase::Busy,
            (false, false) => Phase::Done,
        },
        label: format!("Container {stem} ×{}", lines.len()),
        word,
        elapsed: ends.max().unwrap_or(now).saturating_sub(begun),
    });
    for (index, line) in open.iter().enumerate() {
        rows.push(Row {
            lead: if index + 1 == open.len() {
                "└ "
            } else {
                "├ "
            },
            label: line.subject.name.clone(),
            ..line.row(now)
        });
    }
}

impl Line {
    fn row(&self, now: Duration) -> Row {
        Row {
            lead: "",
            phase: self.phase,
            label: String::new(),
            word: self.word.clone(),
            elapsed: self.took.unwrap_or_else(|| now.saturating_sub(self.since)),
        }
    }
}

impl Row {
    /// ` ✔ Container shop-db-1   Healthy     1.6s`, never wider than the terminal.
    fn draw(&self, widest: usize, frame: Frame) -> String {
        let (mark, style) = match self.phase {
            Phase::Busy => ("⠿", Style::Busy),
            Phase::Done => ("✔", Style::Good),
            Phase::Failed => ("✘", Style::Error),
        };
        let elapsed = seconds(self.elapsed);
        let label = cut_middle(&format!("{}{}", self.lead, self.label), widest);
        let label = format!("{label}{}", " ".repeat(widest - width(&label)));
        // Mark and spaces take seven columns; the last one stays free, since some terminals wrap after it.
        let room = frame.columns.saturating_sub(widest + elapsed.len() + 8);
        let word = cut(&self.word, room);
        let padding = room.min(24).saturating_sub(width(&word));
        let word = style.paint(&word, frame.color);
        let line = format!(
            " {} {label}  {word}{}  {elapsed}",
            style.paint(mark, frame.color),
            " ".repeat(padding),
        );
        match room {
            // There is no room for anything but names.
            0 => cut(&format!(" {mark} {label}"), frame.columns.saturating_sub(1)),
            _ => line,
        }
    }
}

/// Columns of a text without colours.
fn width(text: &str) -> usize {
    text.chars().count()
}

/// Columns of a line as it was drawn, whose colours take none.
pub(super) fn drawn_width(line: &str) -> usize {
    let mut columns = 0;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            letters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            columns += 1;
        }
    }
    columns
}

/// The text, or as much of it as fits, with a sign that there is more.
fn cut(text: &str, room: usize) -> String {
    match (width(text) <= room, room) {
        (true, _) => text.to_owned(),
        (false, 0) => String::new(),
        (false, room) => text.chars().take(room - 1).chain(['…']).collect(),
    }
}

/// As [`cut`], but names differ at their ends, so both stay.
fn cut_middle(text: &str, room: usize) -> String {
    let length = width(text);
    if length <= room || room < 3 {
        return cut(text, room);
    }
    let end = (room - 1) / 2;
    let start = text.chars().take(room - 1 - end);
    start
        .chain(['…'])
        .chain(text.chars().skip(length - end))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str) -> Subject {
        Subject {
            kind: "Container",
            name: name.into(),
        }
    }

    fn frame(rows: usize, columns: usize) -> Frame {
        Frame {
            rows,
            columns,
            color: false,
        }
    }

    #[test]
    fn a_subject_keeps_its_line_and_its_clock() {
        let mut board = Board::default();
        let at = Duration::from_secs;
        board.change(&subject("shop-db-1"), Phase::Busy, "Creating", at(0));
        board.change(&subject("shop-web-1"), Phase::Busy, "Creating", at(1));
        board.change(&subject("shop-db-1"), Phase::Done, "Healthy", at(3));
        let shown = board.draw(at(4), frame(24, 80));
        assert_eq!(shown[0], "[+] Running 1/2");
        assert!(
            shown[1].starts_with(" ✔ Container shop-db-1   Healthy"),
            "{}",
            shown[1]
        );
        assert!(
            shown[1].ends_with("3.0s") && shown[2].ends_with("3.0s"),
            "{shown:?}"
        );
    }

    #[test]
    fn replicas_stand_below_one_line_and_fold_when_they_are_done() {
        let mut board = Board::default();
        let at = Duration::from_secs;
        for number in 1..=3 {
            board.change(
                &subject(&format!("shop-web-{number}")),
                Phase::Busy,
                "Starting",
                at(0),
            );
        }
        board.change(&subject("shop-web-1"), Phase::Done, "Started", at(1));
        let shown = board.draw(at(2), frame(24, 80));
        let begins: Vec<&str> = shown
            .iter()
            .map(|line| line.get(..20).unwrap_or(line).trim_end())
            .collect();
        assert_eq!(shown.len(), 4, "{shown:?}");
        assert!(
            shown[1].contains("Container shop-web ×3") && shown[1].contains("1/3"),
            "{shown:?}"
        );
        assert!(
            begins[2].contains("├ shop-web-2") && begins[3].contains("└ shop-web-3"),
            "{begins:?}"
        );
        for number in 2..=3 {
            board.change(
                &subject(&format!("shop-web-{number}")),
                Phase::Done,
                "Started",
                at(3),
            );
        }
        let shown = board.draw(at(9), frame(24, 80));
        assert_eq!(shown.len(), 2);
        assert!(
            shown[1].starts_with(" ✔ Container shop-web ×3  Started") && shown[1].ends_with("3.0s"),
            "{shown:?}"
        );
    }

    #[test]
    fn a_small_terminal_shows_what_is_not_done() {
        let mut board = Board::default();
        for index in 0..10 {
            let phase = if index < 8 { Phase::Done } else { Phase::Busy };
            board.change(&subject(&format!("s{index}")), phase, "x", Duration::ZERO);
        }
        let shown = board.draw(Duration::ZERO, frame(6, 40));
        assert!(shown.len() < 6);
        assert!(shown.iter().any(|line| line.contains("s9")), "{shown:?}");
    }

    #[test]
    fn no_picture_is_larger_than_its_terminal() {
        let mut board = Board::default();
        let long = "unhealthy 3/5, last output: connection refused\nby 10.0.0.2 ".repeat(4);
        for index in 0..30 {
            let name = format!("a-project-with-quite-a-name-service{}-{}", index % 4, index);
            let phase = [Phase::Busy, Phase::Done, Phase::Failed][index % 3];
            board.change(&subject(&name), phase, &long, Duration::ZERO);
        }
        for columns in 1..130 {
            for rows in [1, 2, 5, 24, 60] {
                let shown = board.draw(Duration::from_secs(100), frame(rows, columns));
                assert!(shown.len() <= rows.max(2), "{rows}x{columns}");
                for line in &shown {
                    assert!(width(line) < columns.max(2), "{rows}x{columns}: {line}");
                    assert!(!line.contains('\n'));
                }
            }
        }
    }

    #[test]
    fn a_name_keeps_both_ends() {
        assert_eq!(cut_middle("Container shop-web-12", 12), "Contai…eb-12");
        assert_eq!(cut_middle("short", 12), "short");
        assert_eq!(cut("abcdef", 4), "abc…");
    }

    #[test]
    fn colours_take_no_columns() {
        let mut board = Board::default();
        board.change(&subject("x"), Phase::Done, "Started", Duration::ZERO);
        let color = Frame {
            color: true,
            ..frame(24, 80)
        };
        let plain = board.draw(Duration::ZERO, frame(24, 80));
        let painted = board.draw(Duration::ZERO, color);
        assert_ne!(plain, painted);
        assert_eq!(drawn_width(&painted[1]), width(&plain[1]));
    }
}
