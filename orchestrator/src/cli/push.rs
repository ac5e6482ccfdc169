//! `push`: images to their registries.

use std::collections::BTreeSet;

use clap::Args;
use futures_util::StreamExt as _;

use super::context::Context;
use crate::login;
use crate::ui::{Failure, Outcome, WithContext as _};

/// `push`
#[derive(Args, Clone, Debug)]
pub(super) struct Push {
    /// Services whose images are pushed, or references of images; all services with a `build` by default
    names: Vec<String>,
    /// Go on with the others when one fails
    #[arg(long)]
    ignore_push_failures: bool,
    /// Print the digest only
    #[arg(short, long)]
    quiet: bool,
}

impl Push {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client().await?;
        let mut code = 0;
        for image in self.images(context)? {
            let auth = login::of_image(&image).await?;
            let pushed = self.push(context, &client, &image, auth.as_ref()).await;
            match pushed.map_err(|failure| failure.context(format!("cannot push `{image}`"))) {
                Err(failure) if self.ignore_push_failures => {
                    context.ui.note(failure.render(context.ui.color_err));
                    code = 1;
                }
                pushed => pushed?,
            }
        }
        Ok(code)
    }

    /// A name that is no service of the project is an image's.
    fn images(&self, context: &Context) -> Outcome<BTreeSet<String>> {
        let project = match context.project(&[]) {
            Ok(project) => Some(project),
            Err(failure) if self.names.is_empty() => return Err(failure),
            Err(_) => None,
        };
        let image = |name: &String| {
            let service = project.as_ref().and_then(|project| {
                let service = project.services.get(name)?;
                Some(crate::build::image_name(project, service))
            });
            service.unwrap_or_else(|| name.clone())
        };
        if !self.names.is_empty() {
            return Ok(self.names.iter().map(image).collect());
        }
        let services = project.iter().flat_map(|project| &project.services);
        let built = services.filter(|(_, service)| service.build.is_some());
        let images: BTreeSet<String> = built.map(|(name, _)| image(name)).collect();
        match images.is_empty() {
            true => Err(Failure::new(
                "no service has a `build`, so there is nothing to push",
            )),
            false => Ok(images),
        }
    }

    async fn push(
        &self,
        context: &Context,
        client: &bowline_client::Client,
        image: &str,
        auth: Option<&bowline_api::RegistryAuth>,
    ) -> Outcome<()> {
        let mut lines = client.image_push(image, auth).await?;
        while let Some(line) = lines.next().await {
            let line = line.during("the engine broke off")?;
            if !line.error.is_empty() {
                return Err(Failure::new(line.error));
            }
            if let (true, Some(aux)) = (self.quiet, &line.aux) {
                context.ui.line(aux["Digest"].as_str().unwrap_or_default());
            }
            let counts = line.progress_detail.as_ref();
            let counting = counts.is_some_and(|detail| detail.current.is_some());
            if self.quiet || counting || line.status.is_empty() {
                continue;
            }
            match line.id.as_str() {
                "" => context.ui.line(&line.status),
                id => context.ui.line(format!("{id}: {}", line.status)),
            }
        }
        Ok(())
    }
}
