//! Where each value of the model was written.

use std::collections::HashMap;

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans(HashMap<String, Place>);

impl Spans {
    /// Remembers a place. The first one told for a path stays.
    pub fn insert(&mut self, path: impl Into<String>, place: Place) {
        self.0.entry(path.into()).or_insert(place);
    }

    /// The place of exactly this path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Place> {
        self.0.get(path).copied()
    }

    /// The place of this path or of the closest parent that was written.
    #[must_use]
    pub fn nearest(&self, path: &str) -> Option<Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.0.get(path) {
                return Some(*place);
            }
            path = &path[..path.rfind('/')?];
        }
    }
}
