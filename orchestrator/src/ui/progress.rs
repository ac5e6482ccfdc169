//! Progress of a plan: a line for each thing, redrawn on a terminal, told once elsewhere.
//!
//! What is shown follows from a list of changes alone ([`Board`]); the [`Meter`] adds the stream and
//! the clock. It writes to standard error, so that output can be piped while progress is watched.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Style, seconds};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Lines that change in place.
    Redraw,
    /// A line for each change.
    Plain,
    /// A JSON object for each change.
    Json,
    /// Nothing.
    Quiet,
}

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// `Container`, `Network`, `Volume`, `Image`.
    pub(crate) kind: &'static str,
    /// Its name.
    pub(crate) name: String,
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Being worked on.
    Busy,
    /// Done, for now.
    Done,
    /// It failed.
    Failed,
}

#[derive(Clone, Debug)]
struct Line {
    subject: Subject,
    phase: Phase,
    word: String,
    since: Duration,
    took: Option<Duration>,
}

/// The lines and where they stand.
#[derive(Clone, Debug, Default)]
struct Board {
    lines: Vec<Line>,
}

impl Board {
    /// Enters a change. A subject keeps its line and its clock from its first change on.
    fn change(&mut self, subject: &Subject, phase: Phase, word: &str, now: Duration) {
        let known = self.lines.iter().position(|line| line.subject == *subject);
        let index = known.unwrap_or_else(|| {
            let (subject, word) = (subject.clone(), String::new());
            self.lines.push(Line {
                subject,
                phase,
                word,
                since: now,
                took: None,
            });
            self.lines.len() - 1
        });
        let line = &mut self.lines[index];
        line.phase = phase;
        word.clone_into(&mut line.word);
        line.took = (phase != Phase::Busy).then(|| now.saturating_sub(line.since));
    }

    fn done(&self) -> usize {
        self.lines
            .iter()
            .filter(|line| line.phase != Phase::Busy)
            .count()
    }

    /// The board for a terminal of this size; where it does not fit, what is done is left out first.
    fn draw(&self, now: Duration, rows: usize, columns: usize, color: bool) -> Vec<String> {
        let total = self.lines.len();
        let head = format!("[+] Running {}/{total}", self.done());
        let width = |line: &Line| line.subject.kind.len() + line.subject.name.chars().count() + 1;
        let widest = self.lines.iter().map(width).max().unwrap_or(0);
        let mut surplus = (total + 2).saturating_sub(rows);
        let mut out = vec![head];
        for line in &self.lines {
            if surplus > 0 && line.phase == Phase::Done {
                surplus -= 1;
                continue;
            }
            out.push(draw_line(line, now, widest, columns, color));
        }
        out.truncate(rows.saturating_sub(1).max(1));
        out
    }
}

fn draw_line(line: &Line, now: Duration, widest: usize, columns: usize, color: bool) -> String {
    let elapsed = seconds(line.took.unwrap_or_else(|| now.saturating_sub(line.since)));
    let (mark, style) = match line.phase {
        Phase::Busy => ("⠿", Style::Busy),
        Phase::Done => ("✔", Style::Good),
        Phase::Failed => ("✘", Style::Error),
    };
    let label = format!("{} {}", line.subject.kind, line.subject.name);
    let room = columns.saturating_sub(widest + elapsed.len() + 8).max(8);
    let word: String = line.word.chars().take(room).collect();
    let padded = format!("{word:<room$}", room = room.min(24));
    format!(
        " {} {label:<widest$}  {}  {elapsed}",
        style.paint(mark, color),
        style.paint(&padded, color)
    )
}

/// Shows progress; clones show on the same board.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    board: Board,
    mode: Mode,
    color: bool,
    started: Instant,
    drawn: usize,
}

impl Meter {
    /// An empty board.
    pub(crate) fn new(mode: Mode, color: bool) -> Self {
        let (board, started) = (Board::default(), Instant::now());
        Self {
            shared: Arc::new(Mutex::new(Shared {
                board,
                mode,
                color,
                started,
                drawn: 0,
            })),
        }
    }

    /// Shows a change.
    pub(crate) fn change(&self, subject: &Subject, phase: Phase, word: &str) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let now = shared.started.elapsed();
        shared.board.change(subject, phase, word, now);
        match shared.mode {
            Mode::Quiet => {}
            Mode::Plain => {
                let _closed = writeln!(io::stderr(), " {} {}  {word}", subject.kind, subject.name);
            }
            Mode::Json => {
                let line = serde_json::json!({
                    "id": format!("{} {}", subject.kind, subject.name),
                    "status": match phase {
                        Phase::Busy => "Working",
                        Phase::Done => "Done",
                        Phase::Failed => "Error",
                    },
                    "text": word,
                });
                let _closed = writeln!(io::stderr(), "{line}");
            }
            Mode::Redraw => shared.redraw(),
        }
    }

    /// A detail that changes often, such as bytes pulled: shown only where lines are redrawn.
    pub(crate) fn detail(&self, subject: &Subject, word: &str) {
        let redraws = {
            let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.mode == Mode::Redraw
        };
        if redraws {
            self.change(subject, Phase::Busy, word);
        }
    }

    /// Advances the clocks on a terminal; call it a few times a second.
    pub(crate) fn tick(&self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.mode == Mode::Redraw && shared.drawn > 0 {
            shared.redraw();
        }
    }
}

impl Shared {
    /// One write for the whole board, so that it does not flicker.
    fn redraw(&mut self) {
        let (rows, columns) = crate::terminal::size().unwrap_or((24, 80));
        let lines = self.board.draw(
            self.started.elapsed(),
            usize::from(rows),
            usize::from(columns),
            self.color,
        );
        let mut out = String::new();
        if self.drawn > 0 {
            // Writing to a string cannot fail.
            let _ = write!(out, "\u{1b}[{}A", self.drawn);
        }
        for line in &lines {
            let _ = writeln!(out, "\r\u{1b}[2K{line}");
        }
        // A board that shrank leaves old lines below itself.
        out.push_str("\u{1b}[0J");
        self.drawn = lines.len();
        let _closed = io::stderr().lock().write_all(out.as_bytes());
    }
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

    #[test]
    fn a_subject_keeps_its_line_and_its_clock() {
        let mut board = Board::default();
        let at = Duration::from_secs;
        board.change(&subject("shop-db-1"), Phase::Busy, "Creating", at(0));
        board.change(&subject("shop-web-1"), Phase::Busy, "Creating", at(1));
        board.change(&subject("shop-db-1"), Phase::Done, "Healthy", at(3));
        let shown = board.draw(at(4), 24, 80, false);
        assert_eq!(shown[0], "[+] Running 1/2");
        assert!(
            shown[1].starts_with(" ✔ Container shop-db-1   Healthy"),
            "{}",
            shown[1]
        );
        assert!(shown[1].ends_with("3.0s"), "{}", shown[1]);
        assert!(shown[2].ends_with("3.0s"), "{}", shown[2]);
    }

    #[test]
    fn a_small_terminal_shows_what_is_not_done() {
        let mut board = Board::default();
        for index in 0..10 {
            let phase = if index < 8 { Phase::Done } else { Phase::Busy };
            board.change(&subject(&format!("s-{index}")), phase, "x", Duration::ZERO);
        }
        let shown = board.draw(Duration::ZERO, 6, 40, false);
        assert!(shown.len() < 6);
        assert!(shown.iter().any(|line| line.contains("s-9")), "{shown:?}");
    }
}
