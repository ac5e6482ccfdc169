//! `pull`: the images of services.

use std::collections::BTreeMap;

use clap::Args;

use super::context::Context;
use crate::apply;
use crate::ui::{Failure, Meter, Mode, Outcome};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Pull {
    /// Services; all if none is named
    services: Vec<String>,
    /// Images of dependencies, too
    #[arg(long)]
    include_deps: bool,
    /// Pull what can be pulled, and say what cannot
    #[arg(long)]
    ignore_pull_failures: bool,
    /// Do not show how it goes
    #[arg(short, long)]
    quiet: bool,
}

impl Pull {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let project = context.project(&self.services)?;
        let mut images: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut todo = self.services.clone();
        if todo.is_empty() {
            todo.extend(project.services.keys().cloned());
        }
        let mut seen = Vec::new();
        while let Some(name) = todo.pop() {
            let Some(service) = project.services.get(&name) else {
                return Err(Failure::new(format!("no such service: `{name}`")));
            };
            if !seen.contains(&name) {
                images.insert(service.image.clone(), service.platform.clone());
                if self.include_deps {
                    todo.extend(service.depends_on.keys().cloned());
                }
                seen.push(name);
            }
        }
        let client = context.client().await?;
        let meter = match self.quiet {
            true => Meter::new(Mode::Quiet, false),
            false => context.meter(),
        };
        let images: Vec<(String, Option<String>)> = images.into_iter().collect();
        if !self.ignore_pull_failures {
            apply::pull(&client, &images, &meter).await?;
            return Ok(0);
        }
        for image in &images {
            if let Err(failure) = apply::pull(&client, std::slice::from_ref(image), &meter).await {
                context.ui.warn(failure.line());
            }
        }
        Ok(0)
    }
}
