//! The events of a build as the lines that Docker's own builder writes. Pure.
//!
//! That builder does one step after the other, and its readers expect so. Ours does several at once: what a later step
//! says waits until all before it are done.

use std::collections::{BTreeMap, VecDeque};

use bowline_api::{BuildEventKind, BuildFailure, Progress, ProgressError};

/// The lines of one build.
#[derive(Debug, Default)]
pub(super) struct Lines {
    quiet: bool,
    /// Steps in the order of the Dockerfile, the first of them under way.
    steps: VecDeque<Step>,
    /// How many there are in all, and how many were told.
    total: usize,
    told: usize,
    begun: bool,
    image: Option<(String, Vec<String>)>,
}

#[derive(Debug, Default)]
struct Step {
    id: String,
    text: String,
    waiting: Vec<String>,
    shown: bool,
    done: bool,
}

impl Lines {
    /// With `quiet` nothing but the image's id is said.
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            ..Self::default()
        }
    }

    /// Whether anything was said.
    pub(super) fn have_begun(&self) -> bool {
        self.begun
    }

    /// What an event adds.
    pub(super) fn take(&mut self, event: BuildEventKind) -> Vec<Progress> {
        let lines = self.enter(event);
        self.begun |= !lines.is_empty();
        lines
    }

    fn enter(&mut self, event: BuildEventKind) -> Vec<Progress> {
        match event {
            BuildEventKind::Planned {
                step, name, place, ..
            } => {
                // What no line of the Dockerfile says (reading the context) has no number there.
                if place.is_some() && !name.starts_with("[internal]") {
                    self.total += 1;
                    self.steps.push_back(Step {
                        id: step,
                        text: without_stage(&name).to_owned(),
                        ..Step::default()
                    });
                }
                Vec::new()
            }
            BuildEventKind::Started { step } => self.say(&step, None),
            BuildEventKind::Log { step, line, .. } => self.say(&step, Some(line + "\n")),
            BuildEventKind::Cached { step } => {
                let mut lines = self.say(&step, Some(" ---> Using cache\n".into()));
                lines.extend(self.finish(&step));
                lines
            }
            BuildEventKind::Finished { step } => self.finish(&step),
            BuildEventKind::Warning { message, .. } => {
                self.spoken(vec![format!("[Warning] {message}\n")])
            }
            BuildEventKind::Image { id, tags, .. } => {
                self.image = Some((id, tags));
                Vec::new()
            }
            BuildEventKind::End { error: None } => self.success(),
            BuildEventKind::End { error: Some(error) } => {
                let mut lines = self.flush();
                lines.push(failure(error));
                lines
            }
            BuildEventKind::Missed { .. }
            | BuildEventKind::Transferred { .. }
            | BuildEventKind::Failed { .. }
            | BuildEventKind::Cancelled { .. } => Vec::new(),
        }
    }

    /// Adds text to a step, and says what can be said by now.
    fn say(&mut self, id: &str, text: Option<String>) -> Vec<Progress> {
        if let Some(step) = self.steps.iter_mut().find(|step| step.id == id) {
            step.waiting.extend(text);
        }
        match self.steps.front() {
            Some(step) if step.id == id => self.flush_first(),
            _ => Vec::new(),
        }
    }

    fn finish(&mut self, id: &str) -> Vec<Progress> {
        if let Some(step) = self.steps.iter_mut().find(|step| step.id == id) {
            step.done = true;
            step.waiting.push(format!(" ---> {}\n", short(id)));
        }
        let mut lines = Vec::new();
        while self.steps.front().is_some_and(|step| step.done) {
            lines.extend(self.flush_first());
            self.steps.pop_front();
        }
        lines.extend(self.flush_started());
        lines
    }

    /// The step that now comes first may have been under way for a while.
    fn flush_started(&mut self) -> Vec<Progress> {
        match self.steps.front() {
            Some(step) if !step.waiting.is_empty() => self.flush_first(),
            _ => Vec::new(),
        }
    }

    fn flush_first(&mut self) -> Vec<Progress> {
        let Some(step) = self.steps.front_mut() else {
            return Vec::new();
        };
        let mut texts = Vec::new();
        if !step.shown {
            step.shown = true;
            self.told += 1;
            texts.push(format!(
                "Step {}/{} : {}\n",
                self.told, self.total, step.text
            ));
        }
        texts.append(&mut step.waiting);
        self.spoken(texts)
    }

    /// All that still waits, for a failure ends everything.
    fn flush(&mut self) -> Vec<Progress> {
        let mut lines = Vec::new();
        while let Some(step) = self.steps.front() {
            if !step.waiting.is_empty() {
                lines.extend(self.flush_first());
            }
            self.steps.pop_front();
        }
        lines
    }

    fn spoken(&self, texts: Vec<String>) -> Vec<Progress> {
        match self.quiet {
            true => Vec::new(),
            false => texts.into_iter().map(Progress::stream).collect(),
        }
    }

    fn success(&mut self) -> Vec<Progress> {
        let mut lines = self.flush();
        let Some((id, tags)) = self.image.take() else {
            return lines;
        };
        // Compose takes the id from here and from nowhere else.
        lines.push(Progress {
            aux: Some(serde_json::Value::Object(
                BTreeMap::from([("ID".to_owned(), serde_json::Value::from(id.as_str()))])
                    .into_iter()
                    .collect(),
            )),
            ..Progress::default()
        });
        if self.quiet {
            lines.push(Progress::stream(format!("{id}\n")));
            return lines;
        }
        let text = id.trim_start_matches("sha256:");
        let mut texts = vec![format!("Successfully built {}\n", short(text))];
        texts.extend(
            tags.iter()
                .map(|tag| format!("Successfully tagged {tag}\n")),
        );
        lines.extend(self.spoken(texts));
        lines
    }
}

fn failure(failure: BuildFailure) -> Progress {
    Progress {
        error_detail: Some(ProgressError {
            code: failure.code,
            message: failure.message.clone(),
        }),
        error: failure.message,
        ..Progress::default()
    }
}

/// `[web 2/5] RUN make` without its head.
fn without_stage(name: &str) -> &str {
    match name
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    {
        Some((_, text)) => text,
        None => name,
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use bowline_api::BuildPlace;

    use super::*;

    fn planned(step: &str, name: &str) -> BuildEventKind {
        BuildEventKind::Planned {
            step: step.into(),
            name: name.into(),
            place: Some(BuildPlace::default()),
            targets: Vec::new(),
        }
    }

    fn said(lines: &mut Lines, event: BuildEventKind) -> String {
        lines
            .take(event)
            .into_iter()
            .map(|line| line.stream)
            .collect()
    }

    fn log(step: &str, line: &str) -> BuildEventKind {
        BuildEventKind::Log {
            step: step.into(),
            stream: "stdout".into(),
            line: line.into(),
        }
    }

    #[test]
    fn steps_are_told_one_after_the_other_however_they_run() {
        let mut lines = Lines::new(false);
        assert_eq!(said(&mut lines, planned("a", "[1/2] FROM busybox")), "");
        said(&mut lines, planned("b", "[2/2] RUN true"));
        let started = |step: &str| BuildEventKind::Started { step: step.into() };
        assert_eq!(said(&mut lines, started("b")), "");
        assert_eq!(said(&mut lines, log("b", "early")), "");
        assert!(!lines.have_begun());
        let text = said(&mut lines, BuildEventKind::Finished { step: "a".into() });
        assert_eq!(
            text,
            "Step 1/2 : FROM busybox\n ---> a\nStep 2/2 : RUN true\nearly\n"
        );
        assert_eq!(said(&mut lines, log("b", "late")), "late\n");
        assert!(lines.have_begun());
    }

    #[test]
    fn the_end_names_the_image_as_clients_read_it() {
        let image = || BuildEventKind::Image {
            target: "image".into(),
            id: "sha256:0123456789abcdef".into(),
            tags: vec!["a:latest".into()],
        };
        let mut lines = Lines::new(false);
        lines.take(image());
        let last = lines.take(BuildEventKind::End { error: None });
        let json: Vec<String> = last
            .iter()
            .map(|line| serde_json::to_string(line).unwrap())
            .collect();
        assert_eq!(json[0], r#"{"aux":{"ID":"sha256:0123456789abcdef"}}"#);
        assert_eq!(json[1], r#"{"stream":"Successfully built 0123456789ab\n"}"#);
        assert_eq!(json[2], r#"{"stream":"Successfully tagged a:latest\n"}"#);
        let mut quiet = Lines::new(true);
        quiet.take(planned("a", "FROM x"));
        assert!(
            quiet
                .take(BuildEventKind::Cached { step: "a".into() })
                .is_empty()
        );
        quiet.take(image());
        let last = quiet.take(BuildEventKind::End { error: None });
        assert_eq!(last.last().unwrap().stream, "sha256:0123456789abcdef\n");
    }

    #[test]
    fn a_failure_carries_the_code_of_the_process() {
        let mut lines = Lines::new(false);
        lines.take(planned("a", "RUN false"));
        lines.take(BuildEventKind::Started { step: "a".into() });
        lines.take(log("a", "oh"));
        let error = BuildFailure {
            message: "no".into(),
            code: Some(3),
            ..BuildFailure::default()
        };
        let last = lines.take(BuildEventKind::End { error: Some(error) });
        assert_eq!(
            serde_json::to_string(last.last().unwrap()).unwrap(),
            r#"{"errorDetail":{"code":3,"message":"no"},"error":"no"}"#
        );
    }
}
