//! News of a pull or a load, in Docker's words: its clients draw their bars by them.

use std::borrow::Cow;

/// One line of news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is about: a layer's short digest, a tag, or nothing.
    pub id: Option<String>,
    /// What happens to it.
    pub status: Cow<'static, str>,
    /// How far it got.
    pub current: Option<u64>,
    /// How far it has to get.
    pub total: Option<u64>,
}

impl Progress {
    pub(crate) fn line(status: impl Into<Cow<'static, str>>) -> Self {
        Self {
            id: None,
            status: status.into(),
            current: None,
            total: None,
        }
    }

    pub(crate) fn of(id: impl Into<String>, status: impl Into<Cow<'static, str>>) -> Self {
        Self {
            id: Some(id.into()),
            ..Self::line(status)
        }
    }

    pub(crate) fn at(self, current: u64, total: u64) -> Self {
        Self {
            current: Some(current),
            total: Some(total),
            ..self
        }
    }
}
