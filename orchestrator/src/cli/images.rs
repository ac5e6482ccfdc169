//! `images`: what the project's containers were made from.

use std::collections::{BTreeMap, BTreeSet};

use bowline_api::{ContainerSummary, ImageInspect};
use clap::Args;
use futures_util::future::join_all;
use serde_json::json;

use super::containers::{self, Labelled as _, short};
use super::context::Context;
use super::format::{Format, Json, Listing};
use crate::ui::{Outcome, age, significant_bytes};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Images {
    /// Services; all if none is named
    services: Vec<String>,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    /// `table`, `json` (one list), or a Go template
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "table",
        hide_default_value = true
    )]
    format: Format,
}

impl Images {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let session = context.session(&[]).await?;
        session.scope.check(&session.observed, &self.services)?;
        let client = &session.client;
        let found = containers::list(client, &session.scope.name, true, &self.services).await?;
        let ids: BTreeSet<&str> = found.iter().map(|one| one.image_id.as_str()).collect();
        if self.quiet {
            for id in ids {
                context.ui.line(id.trim_start_matches("sha256:"));
            }
            return Ok(0);
        }
        let looks = ids.iter().map(async |id| {
            // An image may be gone although a container was made from it.
            Some(((*id).to_owned(), client.image_inspect(id).await.ok()?))
        });
        let images: BTreeMap<String, ImageInspect> =
            join_all(looks).await.into_iter().flatten().collect();
        let now = jiff::Timestamp::now().as_second();
        let mut listing = Listing::new(&[
            "CONTAINER",
            "REPOSITORY",
            "TAG",
            "PLATFORM",
            "IMAGE ID",
            "SIZE",
            "CREATED",
        ]);
        for container in &found {
            let image = images.get(&container.image_id).cloned().unwrap_or_default();
            add(&mut listing, container, &image, now);
        }
        listing.print(context.ui, &self.format, Json::List)?;
        Ok(0)
    }
}

fn add(listing: &mut Listing, container: &ContainerSummary, image: &ImageInspect, now: i64) {
    let (repository, tag) = name(&container.image, image);
    let parts = [&image.os, &image.architecture, &image.variant];
    let parts: Vec<&str> = parts
        .into_iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    let platform = parts.join("/");
    let size = u64::try_from(image.size).unwrap_or(0);
    let created = image.created.parse::<jiff::Timestamp>();
    let created = created.map_or_else(|_| "N/A".to_owned(), |time| age(time.as_second(), now));
    let object = json!({
        "ID": container.image_id, "ContainerName": container.name(), "Repository": repository, "Tag": tag,
        "Platform": platform, "Size": size, "Created": image.created,
    });
    let id = short(&container.image_id).to_owned();
    let cells = vec![
        container.name().to_owned(),
        repository,
        tag,
        platform,
        id,
        significant_bytes(size, 1000, 3),
        created,
    ];
    listing.row(object, cells);
}

/// Repository and tag: of the name the container was made by, else of any name that the image has.
fn name(used: &str, image: &ImageInspect) -> (String, String) {
    let is_id = |name: &str| name.starts_with("sha256:") || name.is_empty();
    let name = match is_id(used) {
        false => used,
        true => image.repo_tags.first().map_or("", String::as_str),
    };
    let name = name.split('@').next().unwrap_or_default();
    match name.rsplit_once(':') {
        _ if name.is_empty() => ("<none>".into(), "<none>".into()),
        // A colon before a slash is a port.
        Some((repository, tag)) if !tag.contains('/') => (repository.into(), tag.into()),
        _ => (name.into(), "latest".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let image = ImageInspect {
            repo_tags: vec!["nginx:1".into()],
            ..ImageInspect::default()
        };
        let split = |used: &str| name(used, &image);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(split("busybox"), pair("busybox", "latest"));
        assert_eq!(split("host:5000/a/b"), pair("host:5000/a/b", "latest"));
        assert_eq!(split("host:5000/a/b:2"), pair("host:5000/a/b", "2"));
        assert_eq!(split("sha256:0123"), pair("nginx", "1"));
        assert_eq!(
            name("sha256:0", &ImageInspect::default()),
            pair("<none>", "<none>")
        );
    }
}
