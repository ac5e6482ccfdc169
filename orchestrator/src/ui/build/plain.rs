//! A build where nothing can be redrawn: everything that is said, in order, with nothing left out.

use std::collections::HashMap;
use std::fmt::Write as _;

use bowline_api::{BuildEvent, BuildEventKind};

use crate::ui::bytes;

/// Numbers of steps, given as they begin, and which of them spoke last.
#[derive(Debug, Default)]
pub(super) struct Plain {
    steps: HashMap<String, Step>,
    count: usize,
    speaking: usize,
}

#[derive(Debug, Default)]
struct Step {
    name: String,
    number: usize,
    began: u64,
    moved: u64,
}

impl Plain {
    /// What an event adds to the text.
    pub(super) fn text(&mut self, event: &BuildEvent) -> String {
        let at = event.at;
        match &event.kind {
            BuildEventKind::Planned { step, name, .. } => {
                let known = self.steps.entry(step.clone()).or_default();
                known.name.clone_from(name);
                String::new()
            }
            BuildEventKind::Started { step } => self.say(step, at, ""),
            BuildEventKind::Cached { step } => self.say(step, at, "CACHED"),
            BuildEventKind::Missed { step, reasons } => {
                let lines: Vec<String> = reasons
                    .iter()
                    .map(|reason| format!("why: {reason}"))
                    .collect();
                match lines.is_empty() {
                    true => String::new(),
                    false => self.say(step, at, &lines.join("\n")),
                }
            }
            BuildEventKind::Log { step, line, .. } => {
                let since = self.since(step, at);
                self.say(step, at, &format!("{since} {line}"))
            }
            BuildEventKind::Transferred { step, bytes, .. } => {
                if let Some(step) = self.steps.get_mut(step) {
                    step.moved = *bytes;
                }
                String::new()
            }
            BuildEventKind::Finished { step } => {
                let moved = self.steps.get(step).map_or(0, |step| step.moved);
                let moved = match moved {
                    0 => String::new(),
                    moved => format!(" ({})", bytes(moved)),
                };
                let since = self.since(step, at);
                self.say(step, at, &format!("DONE {since}s{moved}"))
            }
            BuildEventKind::Failed { step, error } => {
                self.say(step, at, &format!("ERROR: {error}"))
            }
            BuildEventKind::Cancelled { step } => self.say(step, at, "CANCELED"),
            BuildEventKind::Warning {
                rule,
                message,
                place,
            } => {
                let place = place
                    .as_ref()
                    .map(|place| format!("{}:{}: ", place.file, place.first_line))
                    .unwrap_or_default();
                format!("warning: {place}{message} ({rule})\n")
            }
            BuildEventKind::Image { .. } | BuildEventKind::End { .. } => String::new(),
        }
    }

    fn since(&self, step: &str, at: u64) -> String {
        let began = self.steps.get(step).map_or(at, |step| step.began.min(at));
        let took = if began == 0 { 0 } else { at - began };
        format!("{}.{:03}", took / 1000, took % 1000)
    }

    /// Lines of a step, with its number before each and its name before the first.
    fn say(&mut self, id: &str, at: u64, text: &str) -> String {
        let step = self.steps.entry(id.to_owned()).or_default();
        let mut out = String::new();
        let first = step.number == 0;
        if first {
            self.count += 1;
            step.number = self.count;
            step.began = at;
        }
        let number = step.number;
        if self.speaking != number {
            if self.speaking != 0 {
                out.push('\n');
            }
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(out, "#{number} {}", step.name);
            self.speaking = number;
        }
        for line in text.lines() {
            let _ = writeln!(out, "#{number} {line}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_there_under_its_step() {
        let mut plain = Plain::default();
        let mut text = String::new();
        let step = |name: &str| name.to_owned();
        let log = |line: &str| BuildEventKind::Log {
            step: "b".into(),
            stream: "stdout".into(),
            line: line.into(),
        };
        let planned = |id: &str, name: &str| BuildEventKind::Planned {
            step: id.into(),
            name: name.into(),
            place: None,
            targets: Vec::new(),
        };
        for (at, kind) in [
            (1000, planned("a", "[1/2] FROM busybox")),
            (1000, planned("b", "[2/2] RUN make")),
            (1000, BuildEventKind::Cached { step: step("a") }),
            (1000, BuildEventKind::Started { step: step("b") }),
            (
                1000,
                BuildEventKind::Missed {
                    step: step("b"),
                    reasons: vec!["COPY src: app.py content".into()],
                },
            ),
            (1412, log("hello")),
            (3000, BuildEventKind::Finished { step: step("b") }),
        ] {
            text.push_str(&plain.text(&BuildEvent { at, kind }));
        }
        assert_eq!(
            text,
            "#1 [1/2] FROM busybox\n#1 CACHED\n\n#2 [2/2] RUN make\n#2 why: COPY src: app.py content\n\
             #2 0.412 hello\n#2 DONE 2.000s\n"
        );
    }
}
