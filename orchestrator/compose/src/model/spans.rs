//! Where each value of the model was written.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};

use crate::source::Span;

/// The place of one value, and of its key if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The key: `web` in `web: {...}`. List items have none.
    pub key: Option<Span>,
    /// The value.
    pub value: Span,
}

/// A side table from paths in the canonical model (`services/web/ports/0`) to places.
///
/// A project has far more places than anybody asks for, so that a path is kept as its hash and a
/// span as the few bytes it needs: of two paths with the same hash the first one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans(HashMap<u64, Packed>);

/// A place in small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packed {
    key: Option<Small>,
    value: Small,
}

/// A span in small: the source, the start, the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Small(u16, u32, u32);

impl Small {
    /// `None` for what lies beyond four gigabytes, or in a file beyond the 65,000th.
    fn of(span: Span) -> Option<Self> {
        let length = span.end.saturating_sub(span.start);
        Some(Self(
            span.source.index().try_into().ok()?,
            span.start.try_into().ok()?,
            length.try_into().ok()?,
        ))
    }

    fn span(self) -> Span {
        let start = self.1 as usize;
        Span {
            source: crate::source::SourceId::at(self.0.into()),
            start,
            end: start + self.2 as usize,
        }
    }
}

fn hash(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(path.as_bytes());
    hasher.finish()
}

impl Spans {
    /// Remembers a place. The first one told for a path stays.
    pub fn insert(&mut self, path: &str, place: Place) {
        if let Some(value) = Small::of(place.value) {
            let key = place.key.and_then(Small::of);
            self.0.entry(hash(path)).or_insert(Packed { key, value });
        }
    }

    /// The place of exactly this path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Place> {
        let packed = self.0.get(&hash(path))?;
        Some(Place {
            key: packed.key.map(Small::span),
            value: packed.value.span(),
        })
    }

    /// The place of this path or of the closest parent that was written.
    #[must_use]
    pub fn nearest(&self, path: &str) -> Option<Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.get(path) {
                return Some(place);
            }
            path = &path[..path.rfind('/')?];
        }
    }
}
