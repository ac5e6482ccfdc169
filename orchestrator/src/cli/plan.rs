//! `plan`: what `up` would do, and why.

use clap::{Args, ValueEnum};

use super::context::Context;
use super::prepare::{Making, prepare};
use crate::ui::Outcome;

/// How it is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each operation.
    #[default]
    Text,
    /// One object.
    Json,
}

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Plan {
    #[command(flatten)]
    making: Making,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Plan {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let mut looking = Context::new(
            context.globals.clone(),
            context.environment.clone(),
            context.ui,
        )?;
        // Looking must neither pull nor build, nor keep others from working.
        looking.globals.dry_run = true;
        let prepared = Box::pin(prepare(&looking, &self.making, false, false)).await?;
        let (plan, name) = (&prepared.plan, &prepared.scope.name);
        if self.format == Format::Json {
            let mut object = plan.to_json();
            object["project"] = name.clone().into();
            context.ui.line(format!("{object:#}"));
            return Ok(0);
        }
        for warning in plan.warnings() {
            context.ui.warn(warning);
        }
        match plan.is_empty() {
            true => context
                .ui
                .note(format!("Nothing to do: project `{name}` is up to date")),
            false => context.ui.line(plan.to_string().trim_end()),
        }
        Ok(0)
    }
}
