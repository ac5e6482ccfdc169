//! Steps from a parsed document to the canonical tree: casts, resets, long forms, one entry for each
//! thing, defaults, paths. Each of them keeps the places of what it changes.

pub(crate) mod canonical;
pub(crate) mod cast;
pub(crate) mod defaults;
mod forms;
pub(crate) mod normalize;
pub(crate) mod paths;
pub(crate) mod reset;
pub(crate) mod unique;
pub(crate) mod validate;

use crate::diagnostic::Diagnostic;
use crate::grammar::Fault;
use crate::schema::described;
use crate::source::Sources;
use crate::yaml::{Entry, Mapping, Node};

/// What the steps share: the texts, and what was found wrong with them.
pub(crate) struct Findings<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) faults: &'a mut Vec<Diagnostic>,
    /// Variables are still in the texts, so that a text without a meaning is none of its author's
    /// faults.
    pub(crate) lenient: bool,
}

impl Findings<'_> {
    /// A value of the right type that means nothing.
    pub(crate) fn invalid(&mut self, path: &str, node: &Node, fault: Fault) {
        if self.lenient {
            return;
        }
        let span = crate::load::inside(self.sources, node, fault.range.clone());
        let message = format!("{} is not valid", described(path));
        let diagnostic =
            Diagnostic::error("compose::invalid-value", message).at(span, fault.message);
        self.faults
            .push(fault.help.into_iter().fold(diagnostic, Diagnostic::help));
    }
}

/// The mapping under a top-level key.
pub(crate) fn section<'n>(root: &'n mut Node, key: &str) -> Option<&'n mut Mapping> {
    root.get_mut(key)?.mapping_mut()
}

/// The services, and the jobs, which are like them.
pub(crate) fn workloads(root: &mut Node) -> impl Iterator<Item = &mut Entry> {
    root.mapping_mut()
        .into_iter()
        .flatten()
        .filter(|(section, _)| matches!(section.as_str(), "services" | "jobs"))
        .filter_map(|(_, entry)| entry.value.mapping_mut())
        .flat_map(|section| section.values_mut())
}
