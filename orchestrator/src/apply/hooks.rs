//! Commands around the life of a service's containers.

use bowline_plan::Target;

use super::execute::Execution;
use crate::ui::{Failure, Outcome};

/// Which commands inside a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// `post_start`.
    PostStart,
    /// `pre_stop`.
    PreStop,
}

impl Execution<'_> {
    pub(super) async fn hooks(&self, target: &Target, _when: When) -> Outcome<()> {
        Err(Failure::new(format!("`{}` has no hooks", target.service)))
    }

    pub(super) async fn pre_start(&self, target: &Target, _hook: usize) -> Outcome<()> {
        Err(Failure::new(format!("`{}` has no hooks", target.service)))
    }
}
