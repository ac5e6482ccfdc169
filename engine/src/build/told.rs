//! What a build tells, in the words of the API. Pure.

use std::collections::HashMap;

use bowline_api::{BuildEventKind, BuildPlace};
use bowline_build::graph::Graph;
use bowline_build::progress::{EventKind, Place, Stream};

/// The Dockerfiles of a build, by their names.
#[derive(Debug, Default)]
pub(super) struct Sources(HashMap<String, std::sync::Arc<str>>);

impl Sources {
    pub(super) fn of(graph: &Graph) -> Self {
        let texts = graph
            .sources
            .iter()
            .map(|source| (source.name.clone(), source.text.clone()));
        Self(texts.collect())
    }

    /// A place with its lines.
    pub(super) fn place(&self, place: Place) -> BuildPlace {
        let lines = self.0.get(&place.file).map(|text| {
            let skip = usize::try_from(place.first_line.saturating_sub(1)).unwrap_or(0);
            let count = place.last_line.saturating_sub(place.first_line) + 1;
            let count = usize::try_from(count).unwrap_or(1);
            text.lines()
                .skip(skip)
                .take(count)
                .map(str::to_owned)
                .collect()
        });
        BuildPlace {
            lines: lines.unwrap_or_default(),
            file: place.file,
            first_line: place.first_line,
            last_line: place.last_line,
        }
    }
}

/// The event in the API's words.
pub(super) fn told(kind: EventKind, sources: &Sources) -> BuildEventKind {
    let place = |place: Option<Place>| place.map(|place| sources.place(place));
    match kind {
        EventKind::Planned {
            step,
            name,
            place: written,
            targets,
            ..
        } => BuildEventKind::Planned {
            step: step.to_string(),
            name,
            place: place(written),
            targets,
        },
        EventKind::Started { step } => BuildEventKind::Started {
            step: step.to_string(),
        },
        EventKind::Cached { step } => BuildEventKind::Cached {
            step: step.to_string(),
        },
        EventKind::Missed { step, reasons } => BuildEventKind::Missed {
            step: step.to_string(),
            reasons,
        },
        EventKind::Log { step, stream, line } => BuildEventKind::Log {
            step: step.to_string(),
            stream: match stream {
                Stream::Stdout => "stdout".into(),
                Stream::Stderr => "stderr".into(),
            },
            line,
        },
        EventKind::Transferred {
            step,
            what,
            bytes,
            total,
        } => BuildEventKind::Transferred {
            step: step.to_string(),
            what,
            bytes,
            total,
        },
        EventKind::Finished { step } => BuildEventKind::Finished {
            step: step.to_string(),
        },
        EventKind::Failed { step, error } => BuildEventKind::Failed {
            step: step.to_string(),
            error,
        },
        EventKind::Cancelled { step } => BuildEventKind::Cancelled {
            step: step.to_string(),
        },
        EventKind::Warning {
            rule,
            message,
            place: written,
        } => BuildEventKind::Warning {
            rule,
            message,
            place: place(written),
        },
        EventKind::Image { target, id, tags } => BuildEventKind::Image {
            target,
            id: id.to_string(),
            tags,
        },
    }
}
