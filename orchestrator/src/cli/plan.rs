//! `plan`: what `up` would do, and why.

use clap::Args;

use super::context::Context;
use super::prepare::{Making, prepare};
use crate::ui::Outcome;

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Plan {
    #[command(flatten)]
    making: Making,
}

impl Plan {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let mut looking = Context::new(
            context.globals.clone(),
            context.environment.clone(),
            context.ui,
        )?;
        // Looking must not pull.
        looking.globals.dry_run = true;
        let prepared = Box::pin(prepare(&looking, &self.making, false, false)).await?;
        for warning in prepared.plan.warnings() {
            context.ui.warn(warning);
        }
        match prepared.plan.is_empty() {
            true => {
                let name = &prepared.scope.name;
                context
                    .ui
                    .note(format!("Nothing to do: project `{name}` is up to date"));
            }
            false => context.ui.line(prepared.plan.to_string().trim_end()),
        }
        Ok(0)
    }
}
