//! Everything that people read: progress, tables, errors, colours. The only place besides `cli` and
//! `logs` that writes to the standard streams.

mod board;
mod build;
mod failure;
mod human;
mod progress;
mod style;
mod table;
mod template;

use std::io::{self, IsTerminal as _, Write as _};

pub(crate) use build::BuildView;
pub(crate) use failure::{Failure, Outcome, WithContext};
pub(crate) use human::{age, bytes, seconds, significant_bytes};
pub(crate) use progress::{Meter, Mode, Phase, Subject};
pub(crate) use style::{Style, prefix_style};
pub(crate) use table::Table;
pub(crate) use template::Template;

/// Whether and how to decorate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ui {
    /// Colours on standard output.
    pub(crate) color_out: bool,
    /// Colours on standard error.
    pub(crate) color_err: bool,
    /// How progress is shown.
    pub(crate) mode: Mode,
}

/// `--ansi`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ansi {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ProgressChoice {
    /// Redrawn lines on a terminal, else plain ones.
    #[default]
    Auto,
    /// Redrawn lines.
    Tty,
    /// A line for each change.
    Plain,
    /// A JSON object for each change.
    Json,
    /// Nothing.
    Quiet,
}

impl Ui {
    /// Looks at the streams once.
    pub(crate) fn new(ansi: Ansi, progress: ProgressChoice, no_color: bool) -> Self {
        let color = |terminal: bool| match ansi {
            Ansi::Always => true,
            Ansi::Never => false,
            Ansi::Auto => terminal && !no_color,
        };
        let terminal = io::stderr().is_terminal();
        let mode = match progress {
            ProgressChoice::Auto if terminal && ansi != Ansi::Never => Mode::Redraw,
            ProgressChoice::Tty => Mode::Redraw,
            ProgressChoice::Auto | ProgressChoice::Plain => Mode::Plain,
            ProgressChoice::Json => Mode::Json,
            ProgressChoice::Quiet => Mode::Quiet,
        };
        Self {
            color_out: color(io::stdout().is_terminal()),
            color_err: color(terminal),
            mode,
        }
    }

    /// A line on standard output. A closed pipe ends the output, not the command.
    pub(crate) fn line(self, text: impl AsRef<str>) {
        let _closed = writeln!(io::stdout().lock(), "{}", text.as_ref());
    }

    /// A line on standard output. Returns whether somebody still reads.
    pub(crate) fn try_line(self, text: impl AsRef<str>) -> bool {
        writeln!(io::stdout().lock(), "{}", text.as_ref()).is_ok()
    }

    /// A line on standard error, above a picture of progress if there is one.
    pub(crate) fn note(self, text: impl AsRef<str>) {
        progress::note(text.as_ref());
    }

    /// `warning: …` on standard error.
    pub(crate) fn warn(self, text: impl AsRef<str>) {
        let word = Style::Warning.paint("warning:", self.color_err);
        self.note(format!("{word} {}", text.as_ref()));
    }
}
