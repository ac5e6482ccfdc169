//! How a build is watched: redrawn lines on a terminal, everything in order elsewhere, events as they are for programs.
//!
//! What is shown follows from the events alone ([`Steps`], [`plain::Plain`]); the [`BuildView`] adds the stream.

mod board;
mod plain;
mod steps;

use std::fmt::Write as _;
use std::io::{self, Write as _};

use bowline_api::{BuildEvent, BuildEventKind};

use super::{Mode, Style};
use plain::Plain;
use steps::Steps;

/// Shows one build. It writes to standard error, as all progress does.
#[derive(Debug)]
pub(crate) struct BuildView {
    mode: Mode,
    color: bool,
    steps: Steps,
    plain: Plain,
    drawn: usize,
}

impl BuildView {
    /// Nothing yet.
    pub(crate) fn new(mode: Mode, color: bool) -> Self {
        Self {
            mode,
            color,
            steps: Steps::default(),
            plain: Plain::default(),
            drawn: 0,
        }
    }

    /// Shows an event.
    pub(crate) fn take(&mut self, event: &BuildEvent) {
        let text = match self.mode {
            Mode::Plain => self.plain.text(event),
            Mode::Json => serde_json::to_string(event)
                .map(|line| line + "\n")
                .unwrap_or_default(),
            Mode::Redraw | Mode::Quiet => String::new(),
        };
        write(&text);
        self.steps.take(event);
        match &event.kind {
            BuildEventKind::Warning {
                rule,
                message,
                place,
            } if self.mode == Mode::Redraw => {
                self.clear();
                let word = Style::Warning.paint("warning:", self.color);
                let place = place
                    .as_ref()
                    .map(|place| format!("{}:{}: ", place.file, place.first_line))
                    .unwrap_or_default();
                write(&format!("{word} {place}{message} ({rule})\n"));
            }
            // Output comes faster than anybody reads; the clock draws it.
            BuildEventKind::Log { .. } | BuildEventKind::Transferred { .. } => {}
            _ => self.draw(),
        }
    }

    /// Advances the clocks on a terminal; call it a few times a second.
    pub(crate) fn tick(&mut self, now: u64) {
        self.steps.advance(now);
        self.draw();
    }

    /// The last lines that a step wrote.
    pub(crate) fn last_lines(&self, step: &str) -> Vec<String> {
        self.steps.last_lines(step)
    }

    fn draw(&mut self) {
        if self.mode != Mode::Redraw {
            return;
        }
        let (rows, columns) = crate::terminal::size().unwrap_or((24, 80));
        let lines = board::draw(
            &self.steps,
            usize::from(rows),
            usize::from(columns),
            self.color,
        );
        let mut out = String::new();
        if self.drawn > 0 {
            // Writing to a string cannot fail, here and below.
            let _ = write!(out, "\u{1b}[{}A", self.drawn);
        }
        for line in &lines {
            let _ = writeln!(out, "\r\u{1b}[2K{line}");
        }
        // A board that shrank leaves old lines below itself.
        out.push_str("\u{1b}[0J");
        self.drawn = lines.len();
        write(&out);
    }

    /// Takes the board away, so that something can be printed above the next one.
    fn clear(&mut self) {
        if self.drawn > 0 {
            write(&format!("\u{1b}[{}A\u{1b}[0J", self.drawn));
            self.drawn = 0;
        }
    }
}

fn write(text: &str) {
    if !text.is_empty() {
        // A reader that has gone ends the watching, not the build.
        let _closed = io::stderr().lock().write_all(text.as_bytes());
    }
}
