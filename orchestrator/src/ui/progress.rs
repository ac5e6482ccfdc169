//! Progress of a plan: a picture that changes in place on a terminal, told once elsewhere.
//!
//! What is shown follows from a list of changes alone ([`Board`]); the [`Meter`] adds the stream and
//! the clock. It writes to standard error, so that output can be piped while progress is watched.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use super::board::{Board, Frame, drawn_width};

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
    /// The columns of each line on the screen.
    drawn: Vec<usize>,
}

/// The picture on the screen, if there is one: other words for people go above it, not through it.
static ON_SCREEN: Mutex<Weak<Mutex<Shared>>> = Mutex::new(Weak::new());

/// Prints a line on standard error, above the picture if there is one.
pub(super) fn note(line: &str) {
    let shown = ON_SCREEN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .upgrade();
    if let Some(shown) = shown {
        let mut shared = shown.lock().unwrap_or_else(PoisonError::into_inner);
        if !shared.drawn.is_empty() {
            shared.redraw(Some(line));
            return;
        }
    }
    let _closed = writeln!(io::stderr().lock(), "{line}");
}

impl Meter {
    /// An empty board.
    pub(crate) fn new(mode: Mode, color: bool) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            board: Board::default(),
            mode,
            color,
            started: Instant::now(),
            drawn: Vec::new(),
        }));
        if mode == Mode::Redraw {
            let mut shown = ON_SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
            *shown = Arc::downgrade(&shared);
        }
        Self { shared }
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
            Mode::Redraw => shared.redraw(None),
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
        if shared.mode == Mode::Redraw && !shared.drawn.is_empty() {
            shared.redraw(None);
        }
    }
}

impl Shared {
    /// One write for the whole picture, so that it does not flicker; `above` goes before it and stays.
    fn redraw(&mut self, above: Option<&str>) {
        let (rows, columns) = crate::terminal::size().unwrap_or((24, 80));
        let frame = Frame {
            rows: rows.into(),
            columns: columns.into(),
            color: self.color,
        };
        let lines = self.board.draw(self.started.elapsed(), frame);
        let mut out = String::new();
        let up = height(&self.drawn, frame.columns);
        if up > 0 {
            // Writing to a string cannot fail.
            let _ = write!(out, "\u{1b}[{up}A");
        }
        let above = above.into_iter().flat_map(str::lines);
        for line in above.chain(lines.iter().map(String::as_str)) {
            let _ = write!(out, "\r{line}\u{1b}[K\r\n");
        }
        // A picture that shrank leaves old lines below itself.
        out.push_str("\u{1b}[0J");
        self.drawn = lines.iter().map(|line| drawn_width(line)).collect();
        let _closed = io::stderr().lock().write_all(out.as_bytes());
    }
}

/// How many rows the drawn lines take now: a terminal that became narrower has wrapped them.
fn height(drawn: &[usize], columns: usize) -> usize {
    let rows = |width: &usize| width.div_ceil(columns.max(1)).max(1);
    drawn.iter().map(rows).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrower_terminal_has_wrapped_what_was_drawn() {
        assert_eq!(height(&[79, 40, 0], 80), 3);
        assert_eq!(height(&[79, 40, 0], 40), 4);
        assert_eq!(height(&[79, 40], 200), 2);
        assert_eq!(height(&[], 0), 0);
    }
}
