//! `system df` and `system prune`: what everything takes on the disk, and room for more.

use bowline_api::{DiskUsage, Filters};
use bowline_client::Client;
use clap::Args;

use super::containers::{Labelled, short};
use super::context::Context;
use super::events::{filters, pair};
use super::ps::Format;
use crate::ui::{Outcome, Table, WithContext as _, bytes};

/// `system df`
#[derive(Args, Clone, Debug)]
pub(super) struct Df {
    /// Each thing by itself
    #[arg(short, long)]
    verbose: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// `system prune`
#[derive(Args, Clone, Debug)]
pub(super) struct Prune {
    /// All images that no container uses, not only those without a name; the whole build cache
    #[arg(short, long)]
    all: bool,
    /// Anonymous volumes that no container uses, too
    #[arg(long)]
    volumes: bool,
    /// `label=`, `label!=`
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = pair)]
    filters: Vec<(String, String)>,
    /// There is no question; this is for those who are used to it
    #[arg(short, long)]
    force: bool,
}

/// One kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    kind: &'static str,
    total: usize,
    active: usize,
    size: u64,
    reclaimable: u64,
}

fn positive(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(0)
}

/// What `df` says of each kind. Pure.
fn lines(usage: &DiskUsage) -> Vec<Line> {
    let used: Vec<_> = usage.images.iter().filter(|i| i.containers > 0).collect();
    let own = |size: i64, shared: i64| positive(size).saturating_sub(positive(shared));
    let idle = usage.images.iter().filter(|image| image.containers == 0);
    let images = Line {
        kind: "Images",
        total: usage.images.len(),
        active: used.len(),
        size: positive(usage.layers_size),
        reclaimable: idle.map(|image| own(image.size, image.shared_size)).sum(),
    };
    let size = |one: &bowline_api::ContainerSummary| positive(one.size_rw.unwrap_or(0));
    let running = |one: &bowline_api::ContainerSummary| {
        ["running", "paused", "restarting"].contains(&one.state.as_str())
    };
    let containers = Line {
        kind: "Containers",
        total: usage.containers.len(),
        active: usage.containers.iter().filter(|one| running(one)).count(),
        size: usage.containers.iter().map(size).sum(),
        reclaimable: usage
            .containers
            .iter()
            .filter(|one| !running(one))
            .map(size)
            .sum(),
    };
    let volume = |one: &bowline_api::Volume| {
        one.usage_data
            .as_ref()
            .map_or((0, 0), |data| (positive(data.size), data.ref_count))
    };
    let volumes = Line {
        kind: "Local Volumes",
        total: usage.volumes.len(),
        active: usage.volumes.iter().filter(|one| volume(one).1 > 0).count(),
        size: usage.volumes.iter().map(|one| volume(one).0).sum(),
        reclaimable: usage
            .volumes
            .iter()
            .filter(|one| volume(one).1 == 0)
            .map(|one| volume(one).0)
            .sum(),
    };
    let cache = &usage.build_cache;
    let build = Line {
        kind: "Build Cache",
        total: cache.len(),
        active: cache.iter().filter(|one| one.in_use).count(),
        size: cache.iter().map(|one| positive(one.size)).sum(),
        reclaimable: cache
            .iter()
            .filter(|one| !one.in_use && !one.shared)
            .map(|one| positive(one.size))
            .sum(),
    };
    let mut all = vec![images, containers, volumes, build];
    if usage.snapshots_size > 0 {
        all.push(Line {
            kind: "Frozen Volume Files",
            total: 1,
            active: 1,
            size: positive(usage.snapshots_size),
            reclaimable: 0,
        });
    }
    all
}

impl Df {
    pub(super) async fn run(&self, context: &Context) -> Outcome {
        let client = context.client().await?;
        let usage = client.disk_usage().await;
        let usage = usage.during("cannot ask the engine what takes how much")?;
        if self.format == Format::Json {
            context.ui.line(serde_json::to_string(&usage)?);
            return Ok(0);
        }
        if self.verbose {
            verbose(context, &usage);
            return Ok(0);
        }
        let mut table = Table::new(&["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
        for line in lines(&usage) {
            let share = (line.reclaimable * 100).checked_div(line.size);
            let share = share.map_or_else(String::new, |share| format!(" ({share}%)"));
            table.row(vec![
                line.kind.into(),
                line.total.to_string(),
                line.active.to_string(),
                bytes(line.size),
                format!("{}{share}", bytes(line.reclaimable)),
            ]);
        }
        context.ui.line(table.render());
        Ok(0)
    }
}

fn verbose(context: &Context, usage: &DiskUsage) {
    let mut images = Table::new(&["IMAGE", "ID", "SIZE", "SHARED", "CONTAINERS"]);
    for image in &usage.images {
        let name = image.repo_tags.first().map_or("<none>", String::as_str);
        images.row(vec![
            name.into(),
            short(&image.id).into(),
            bytes(positive(image.size)),
            bytes(positive(image.shared_size)),
            image.containers.to_string(),
        ]);
    }
    let mut containers = Table::new(&["CONTAINER", "ID", "IMAGE", "SIZE", "STATE"]);
    for one in &usage.containers {
        containers.row(vec![
            one.name().into(),
            short(&one.id).into(),
            one.image.clone(),
            bytes(positive(one.size_rw.unwrap_or(0))),
            one.state.clone(),
        ]);
    }
    let mut volumes = Table::new(&["VOLUME", "CONTAINERS", "SIZE", "ORIGIN"]);
    for one in &usage.volumes {
        let data = one.usage_data.clone().unwrap_or_default();
        let size = match data.size {
            ..0 => "N/A".to_owned(),
            size => bytes(positive(size)),
        };
        let origin = one.status.get("Origin").cloned().unwrap_or_default();
        volumes.row(vec![
            one.name.clone(),
            data.ref_count.to_string(),
            size,
            origin,
        ]);
    }
    let mut cache = Table::new(&["BUILD STEP", "SIZE", "USED", "SHARED", "DESCRIPTION"]);
    for one in &usage.build_cache {
        cache.row(vec![
            short(&one.id).into(),
            bytes(positive(one.size)),
            one.usage_count.to_string(),
            one.shared.to_string(),
            one.description.clone(),
        ]);
    }
    for table in [images, containers, volumes, cache] {
        context.ui.line(table.render());
        context.ui.line("");
    }
}

impl Prune {
    /// From what uses to what is used: a container that goes frees its image and volumes.
    pub(super) async fn run(&self, context: &Context) -> Outcome {
        let client = context.client().await?;
        let wish = filters(&self.filters);
        let mut freed = 0;
        freed += self.containers(context, &client, &wish).await?;
        let networks = client.networks_prune(&wish).await;
        let networks = networks.during("cannot remove networks")?;
        say(context, "Deleted Networks", &networks.networks_deleted);
        if self.volumes {
            let volumes = client.volumes_prune(&wish).await;
            let volumes = volumes.during("cannot remove volumes")?;
            say(context, "Deleted Volumes", &volumes.volumes_deleted);
            freed += volumes.space_reclaimed;
        }
        freed += self.images(context, &client).await?;
        let cache = client.build_prune(self.all).await;
        freed += cache.during("cannot remove build cache")?;
        context
            .ui
            .line(format!("Total reclaimed space: {}", bytes(freed)));
        Ok(0)
    }

    async fn containers(&self, context: &Context, client: &Client, wish: &Filters) -> Outcome<u64> {
        let pruned = client.containers_prune(wish).await;
        let pruned = pruned.during("cannot remove containers")?;
        say(context, "Deleted Containers", &pruned.containers_deleted);
        Ok(pruned.space_reclaimed)
    }

    async fn images(&self, context: &Context, client: &Client) -> Outcome<u64> {
        let dangling = if self.all { "false" } else { "true" };
        let wish = Filters::new().with("dangling", dangling);
        let pruned = client.images_prune(&wish).await;
        let pruned = pruned.during("cannot remove images")?;
        let names =
            pruned
                .images_deleted
                .into_iter()
                .filter_map(|one| match (one.untagged, one.deleted) {
                    (Some(name), _) => Some(format!("untagged: {name}")),
                    (None, Some(id)) => Some(format!("deleted: {id}")),
                    (None, None) => None,
                });
        say(context, "Deleted Images", &names.collect::<Vec<_>>());
        Ok(pruned.space_reclaimed)
    }
}

fn say(context: &Context, heading: &str, names: &[String]) {
    if names.is_empty() {
        return;
    }
    context.ui.line(format!("{heading}:"));
    names.iter().for_each(|name| context.ui.line(name));
    context.ui.line("");
}

#[cfg(test)]
mod tests {
    use bowline_api::{ImageSummary, Volume, VolumeUsage};

    use super::*;

    #[test]
    fn what_is_in_use_is_not_to_be_reclaimed() {
        let image = |containers, size, shared_size| ImageSummary {
            containers,
            size,
            shared_size,
            ..ImageSummary::default()
        };
        let volume = |ref_count, size| Volume {
            usage_data: Some(VolumeUsage { ref_count, size }),
            ..Volume::default()
        };
        let usage = DiskUsage {
            layers_size: 150,
            images: vec![image(1, 100, 50), image(0, 100, 50)],
            volumes: vec![volume(1, 10), volume(0, 5), volume(0, -1)],
            ..DiskUsage::default()
        };
        let lines = lines(&usage);
        let short = |line: &Line| (line.total, line.active, line.size, line.reclaimable);
        assert_eq!(short(&lines[0]), (2, 1, 150, 50));
        assert_eq!(short(&lines[2]), (3, 1, 15, 5));
    }
}
