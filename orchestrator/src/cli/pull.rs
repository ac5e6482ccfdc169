//! `pull`: the images of services.

use std::collections::{BTreeMap, BTreeSet};

use bowline_compose::model::{Project, PullPolicy, Service};
use clap::{Args, ValueEnum};

use super::context::Context;
use crate::apply;
use crate::ui::{Failure, Meter, Mode, Outcome};

/// Which images are pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Policy {
    /// All.
    Always,
    /// Those that are not here.
    Missing,
}

/// See the module.
#[expect(clippy::struct_excessive_bools, reason = "flags are flags")]
#[derive(Args, Clone, Debug)]
pub(super) struct Pull {
    /// Services; all if none is named
    services: Vec<String>,
    /// Images of dependencies, too
    #[arg(long)]
    include_deps: bool,
    /// Leave images alone that can be built
    #[arg(long)]
    ignore_buildable: bool,
    /// Pull what can be pulled, and say what cannot
    #[arg(long)]
    ignore_pull_failures: bool,
    /// All images, or those that are missing
    #[arg(long, value_enum)]
    policy: Option<Policy>,
    /// Do not show how it goes
    #[arg(short, long)]
    quiet: bool,
}

/// An image to pull: its name, for which platform, and whether it could be built instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    image: String,
    platform: Option<String>,
    buildable: bool,
}

impl Pull {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let project = context.quiet_project(&self.services)?;
        let mut wanted = self.wanted(&project)?;
        let client = context.client().await?;
        if self.policy == Some(Policy::Missing) {
            let names = wanted.iter().map(|wanted| wanted.image.as_str());
            let here: BTreeMap<String, String> = apply::image_ids(&client, names).await?;
            wanted.retain(|wanted| !here.contains_key(&wanted.image));
        }
        if context.globals.dry_run {
            wanted
                .iter()
                .for_each(|wanted| context.ui.line(format!("pull image {}", wanted.image)));
            return Ok(0);
        }
        let meter = match self.quiet {
            true => Meter::new(Mode::Quiet, false),
            false => context.meter(),
        };
        let (firm, lenient): (Vec<&Wanted>, Vec<&Wanted>) = wanted
            .iter()
            .partition(|wanted| !self.ignore_pull_failures && !wanted.buildable);
        let pair = |wanted: &&Wanted| (wanted.image.clone(), wanted.platform.clone());
        let firm: Vec<_> = firm.iter().map(pair).collect();
        apply::pull(&client, &firm, &meter).await?;
        for image in lenient.iter().map(pair) {
            if let Err(failure) = apply::pull(&client, std::slice::from_ref(&image), &meter).await {
                context.ui.warn(failure.line());
            }
        }
        Ok(0)
    }

    /// Each image once; whoever could be built may fail to be pulled.
    fn wanted(&self, project: &Project) -> Outcome<BTreeSet<Wanted>> {
        let mut todo = self.services.clone();
        if todo.is_empty() {
            todo.extend(project.services.keys().cloned());
        }
        let mut seen = BTreeSet::new();
        let mut wanted = BTreeSet::new();
        while let Some(name) = todo.pop() {
            let Some(service) = project.services.get(&name) else {
                return Err(Failure::new(format!("no such service: `{name}`")));
            };
            if !seen.insert(name) {
                continue;
            }
            if self.include_deps {
                todo.extend(service.depends_on.keys().cloned());
            }
            wanted.extend(self.image(service));
        }
        Ok(wanted)
    }

    fn image(&self, service: &Service) -> Option<Wanted> {
        let buildable = service.build.is_some();
        let never = matches!(
            service.pull_policy,
            Some(PullPolicy::Never | PullPolicy::Build)
        );
        let skipped = never || service.image.is_empty() || buildable && self.ignore_buildable;
        (!skipped).then(|| Wanted {
            image: service.image.clone(),
            platform: service.platform.clone(),
            buildable,
        })
    }
}
