//! What a build tells while it goes on.
//!
//! Events go through an unbounded channel, so that a slow reader never holds a process back; they are small, and whoever
//! leaves only makes them vanish.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bowline_image::ImageId;
use tokio::sync::mpsc;

/// Which step: 64 hexadecimal digits, the same for the same step in every build.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(pub Arc<str>);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Output of a process comes through one of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A place in a Dockerfile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file as the person named it.
    pub file: String,
    /// First line, from 1.
    pub first_line: u32,
    /// Last line.
    pub last_line: u32,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: SystemTime,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum EventKind {
    /// A step belongs to the build: sent once for each, before anything else about it.
    Planned {
        /// Which.
        step: StepId,
        /// As people see it: `[app 2/5] RUN make`.
        name: String,
        /// Where it is written.
        place: Option<Place>,
        /// On which steps it waits.
        inputs: Vec<StepId>,
        /// For which targets (services) it is built.
        targets: Vec<String>,
    },
    /// Work on a step began.
    Started {
        /// Which.
        step: StepId,
    },
    /// The step was found in the cache.
    Cached {
        /// Which.
        step: StepId,
    },
    /// The step has to be done, and this is why: see `why`.
    Missed {
        /// Which.
        step: StepId,
        /// Reasons, one line each.
        reasons: Vec<String>,
    },
    /// A line of output, without its end; never clipped.
    Log {
        /// Of which step.
        step: StepId,
        /// Which stream.
        stream: Stream,
        /// The line. Bytes that are no text were replaced.
        line: String,
    },
    /// Something is being moved: a context read, a base image pulled, files copied.
    Transferred {
        /// For which step.
        step: StepId,
        /// What.
        what: String,
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all, where known.
        total: Option<u64>,
    },
    /// The step is done.
    Finished {
        /// Which.
        step: StepId,
    },
    /// The step failed.
    Failed {
        /// Which.
        step: StepId,
        /// The whole chain of reasons.
        error: String,
    },
    /// The step was given up since the build was cancelled or another step failed.
    Cancelled {
        /// Which.
        step: StepId,
    },
    /// A remark on the Dockerfile.
    Warning {
        /// The rule's name.
        rule: String,
        /// In a sentence.
        message: String,
        /// Where.
        place: Option<Place>,
    },
    /// An image is there.
    Image {
        /// For which target (service).
        target: String,
        /// Its id.
        id: ImageId,
        /// The names it got.
        tags: Vec<String>,
    },
}

/// The sending end. Clones send to the same reader.
#[derive(Clone, Debug)]
pub struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sender: mpsc::UnboundedSender<Event>,
    now: fn() -> SystemTime,
    lines: Mutex<Lines>,
}

/// Output on its way.
#[derive(Debug, Default)]
struct Lines {
    /// Parts of lines whose end has not come.
    held: HashMap<(StepId, Stream), Vec<u8>>,
    /// The last lines of each step that runs.
    last: HashMap<StepId, VecDeque<String>>,
}

/// Lines that a failed step shows again.
const LAST: usize = 100;

/// Longest part of a line held back while its end has not come: a progress bar may never send one.
const LINE_LIMIT: usize = 64 * 1024;

impl Events {
    /// A channel; `now` is the clock.
    pub fn channel(now: fn() -> SystemTime) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let inner = Inner {
            sender,
            now,
            lines: Mutex::default(),
        };
        (Self(Arc::new(inner)), receiver)
    }

    /// The time now.
    pub fn now(&self) -> SystemTime {
        (self.0.now)()
    }

    /// Sends one event.
    pub fn send(&self, kind: EventKind) {
        let at = self.now();
        // Nobody listening is no reason to stop a build.
        drop(self.0.sender.send(Event { at, kind }));
    }

    /// Takes output of a step as it comes and sends it line by line.
    pub fn log(&self, step: &StepId, stream: Stream, bytes: &[u8]) {
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Lines { held, last } = &mut *lines;
        let held = held.entry((step.clone(), stream)).or_default();
        held.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(length) = held[start..].iter().position(|byte| *byte == b'\n') {
            self.line(step, stream, &held[start..start + length], last);
            start += length + 1;
        }
        held.drain(..start);
        if held.len() > LINE_LIMIT {
            let line = std::mem::take(held);
            self.line(step, stream, &line, last);
        }
    }

    /// The last lines a step wrote, which are forgotten here.
    pub fn last_lines(&self, step: &StepId) -> Vec<String> {
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.last.remove(step).unwrap_or_default().into()
    }

    /// Sends what a step wrote last without ending the line.
    pub fn flush(&self, step: &StepId) {
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(held) = lines.held.remove(&(step.clone(), stream))
                && !held.is_empty()
            {
                self.line(step, stream, &held, &mut lines.last);
            }
        }
    }

    fn line(
        &self,
        step: &StepId,
        stream: Stream,
        bytes: &[u8],
        last: &mut HashMap<StepId, VecDeque<String>>,
    ) {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let line = String::from_utf8_lossy(bytes).into_owned();
        let last = last.entry(step.clone()).or_default();
        if last.len() >= LAST {
            last.pop_front();
        }
        last.push_back(line.clone());
        self.send(EventKind::Log {
            step: step.clone(),
            stream,
            line,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_arrives_line_by_line_however_it_was_cut() {
        let (events, mut reader) = Events::channel(SystemTime::now);
        let step = StepId("a".into());
        events.log(&step, Stream::Stdout, b"one\r\ntw");
        events.log(&step, Stream::Stderr, b"other");
        events.log(&step, Stream::Stdout, b"o\n\nthree");
        events.flush(&step);
        events.flush(&step);
        let mut lines = Vec::new();
        while let Ok(event) = reader.try_recv() {
            if let EventKind::Log { stream, line, .. } = event.kind {
                lines.push((stream, line));
            }
        }
        let out = |line: &str| (Stream::Stdout, line.to_owned());
        let error = (Stream::Stderr, "other".to_owned());
        assert_eq!(
            lines,
            [out("one"), out("two"), out(""), out("three"), error]
        );
    }

    #[test]
    fn a_line_without_end_is_sent_in_parts() {
        let (events, mut reader) = Events::channel(SystemTime::now);
        let step = StepId("a".into());
        events.log(&step, Stream::Stdout, &vec![b'.'; LINE_LIMIT + 1]);
        assert!(reader.try_recv().is_ok());
    }
}
