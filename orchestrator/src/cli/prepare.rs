//! From the command line to a plan: load, look, pull what is wanted anew, decide.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bowline_client::{Client, Endpoint, Lease};
use bowline_compose::model::{MountKind, Project, PullPolicy, Service};
use bowline_plan as planning;
use bowline_plan::Plan;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::context::{Context, Scope};
use super::isolate;
use crate::apply::{self, Options, Summary, Watch};
use crate::build::{BuildOptions, build_services, image_name};
use crate::ui::{Failure, Mode, Outcome};

/// When images are pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Pull {
    /// Each time.
    Always,
    /// Where they are not here.
    Missing,
    /// Not at all.
    Never,
    /// Images with `build:` are built, others pulled where they are not here.
    Build,
}

/// How containers are made; shared by `up`, `create` and `plan`.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Making {
    /// Services; all if none is named
    pub(super) services: Vec<String>,
    /// Replace containers even if nothing changed
    #[arg(long)]
    pub(super) force_recreate: bool,
    /// Keep containers even if something changed
    #[arg(long, conflicts_with = "force_recreate")]
    pub(super) no_recreate: bool,
    /// Replace containers of dependencies, too
    #[arg(long, conflicts_with = "no_recreate")]
    pub(super) always_recreate_deps: bool,
    /// Fresh anonymous volumes instead of those of replaced containers
    #[arg(short = 'V', long, conflicts_with = "no_recreate")]
    pub(super) renew_anon_volumes: bool,
    /// Leave dependencies alone
    #[arg(long)]
    pub(super) no_deps: bool,
    /// Remove containers of services that are no longer in the file
    #[arg(long)]
    pub(super) remove_orphans: bool,
    /// When to pull images
    #[arg(long, value_enum)]
    pub(super) pull: Option<Pull>,
    /// Do not show how pulling goes
    #[arg(long)]
    pub(super) quiet_pull: bool,
    /// Build images before containers are made
    #[arg(long, conflicts_with = "no_build")]
    pub(super) build: bool,
    /// Do not build images, even if they are not here
    #[arg(long)]
    pub(super) no_build: bool,
    /// Do not show how building goes
    #[arg(long)]
    pub(super) quiet_build: bool,
    /// Run a second copy of the project: own names, networks, volumes, and free ports
    #[arg(
        long,
        value_name = "NAME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    pub(super) isolated: Option<String>,
    /// Publish no port of the copy
    #[arg(long, requires = "isolated")]
    pub(super) no_ports: bool,
    /// Number of containers of a service
    #[arg(long, value_name = "SERVICE=N", value_parser = scale)]
    pub(super) scale: Vec<(String, u32)>,
    /// Replace volumes whose configuration changed, losing their data
    #[arg(short = 'y', long)]
    pub(super) yes: bool,
    /// Leave the named services' own containers as they are.
    #[arg(skip)]
    pub(super) around: bool,
    /// The lease that an isolated copy ends with.
    #[arg(skip)]
    pub(super) lease: Option<String>,
}

impl Making {
    /// What `run` needs around a service: its networks and volumes, and what it depends on.
    pub(super) fn around(service: &str, no_deps: bool) -> Self {
        let services = vec![service.to_owned()];
        Self {
            services,
            no_deps,
            around: true,
            ..Self::default()
        }
    }
}

pub(super) fn scale(text: &str) -> Result<(String, u32), String> {
    let (service, count) = text.split_once('=').ok_or("write it as SERVICE=N")?;
    let count = count
        .parse()
        .map_err(|_| format!("`{count}` is not a number of containers"))?;
    Ok((service.to_owned(), count))
}

/// A plan with the world it was made for.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) client: Client,
    pub(super) scope: Scope,
    pub(super) plan: Plan,
    /// The services in play.
    pub(super) services: BTreeSet<String>,
    /// The project that this is an isolated copy of.
    pub(super) original: Option<String>,
    /// Pulling shows nothing.
    quiet_pull: bool,
    /// Our right to change the project.
    held: Option<Lease>,
}

/// Loads, looks, pulls what is to be pulled in any case, and plans. From then on until the result is
/// dropped no other command changes the project.
pub(super) async fn prepare(
    context: &Context,
    making: &Making,
    wait: bool,
    no_start: bool,
) -> Outcome<Prepared> {
    let inside = isolate::enter(context, making)?;
    let (context, copy) = match &inside {
        Some((inside, copy)) => (inside, Some(copy)),
        None => (context, None),
    };
    let mut project = context.project(&making.services)?;
    if let Some(copy) = copy {
        isolate::isolate(&mut project, copy);
    }
    check_scale(&project, making)?;
    let client = context.client().await?;
    let held = context.hold(&client, &project.name).await?;
    let services = match making.no_deps {
        true => making.services.iter().cloned().collect(),
        false => named(&project, &making.services),
    };
    if matches!(client.endpoint(), Endpoint::Unix(_)) {
        check_sources(&project, &services)?;
    }
    if !context.globals.dry_run {
        freshen(context, &client, &project, &services, making).await?;
        build(context, &client, &project, &services, making).await?;
    }
    let scale: BTreeMap<String, u32> = making.scale.iter().cloned().collect();
    let mut scope = context.desired(&client, project, scale).await?;
    for service in scope.desired.services.values_mut() {
        service.image.pull &= making.pull != Some(Pull::Never);
        service.image.build &= !making.no_build;
    }
    let observed = apply::observe(&client, &scope.name, scope.project.as_ref()).await?;
    let choices = choices(context, making, wait, no_start);
    let place = |path: &str| scope.place(path);
    let plan = planning::up_at(&scope.desired, &observed, &choices, &place);
    let plan = plan.map_err(|error| scope.failure(&error))?;
    let services = planning::closure(&scope.desired, &making.services)
        .map_err(|error| scope.failure(&error))?;
    let services = match making.no_deps && !making.services.is_empty() {
        true => making.services.iter().cloned().collect(),
        false => services,
    };
    Ok(Prepared {
        client,
        scope,
        plan,
        services,
        original: copy.map(|copy| copy.original.clone()),
        quiet_pull: making.quiet_pull,
        held,
    })
}

fn check_scale(project: &Project, making: &Making) -> Outcome<()> {
    let unknown = |service: &String| !project.services.contains_key(service);
    match making.scale.iter().find(|(service, _)| unknown(service)) {
        Some((service, _)) => Err(Failure::new(format!(
            "--scale: no such service: `{service}`"
        ))),
        None => Ok(()),
    }
}

fn choices(context: &Context, making: &Making, wait: bool, no_start: bool) -> planning::Up {
    let policy = |force: bool| match (force, making.no_recreate) {
        (true, _) => planning::Recreate::Force,
        (_, true) => planning::Recreate::Never,
        _ => planning::Recreate::Diverged,
    };
    planning::Up {
        services: making.services.clone(),
        recreate: policy(making.force_recreate),
        recreate_dependencies: policy(making.always_recreate_deps),
        no_deps: making.no_deps,
        no_start,
        renew_anonymous_volumes: making.renew_anon_volumes,
        remove_orphans: making.remove_orphans || is_set(context, "COMPOSE_REMOVE_ORPHANS"),
        ignore_orphans: making.around || is_set(context, "COMPOSE_IGNORE_ORPHANS"),
        replace_volumes: making.yes,
        wait,
        around: making.around,
    }
}

fn is_set(context: &Context, variable: &str) -> bool {
    let value = context
        .environment
        .get(variable)
        .map(|value| value.to_ascii_lowercase());
    value.is_some_and(|value| matches!(value.as_str(), "1" | "true" | "yes" | "on"))
}

/// The services that a selection brings along, as far as the file alone can tell.
pub(super) fn named(project: &Project, services: &[String]) -> BTreeSet<String> {
    if services.is_empty() {
        return project.services.keys().cloned().collect();
    }
    let mut found = BTreeSet::new();
    let mut todo = services.to_vec();
    while let Some(name) = todo.pop() {
        if let Some(service) = project.services.get(&name)
            && found.insert(name)
        {
            todo.extend(service.depends_on.keys().cloned());
        }
    }
    found
}

/// Host paths that must be there already. The engine would say so, too, but only after other things
/// were made.
fn check_sources(project: &Project, services: &BTreeSet<String>) -> Outcome<()> {
    let missing = |path: &str| !std::path::Path::new(path).exists();
    for (name, service) in services
        .iter()
        .filter_map(|name| project.services.get_key_value(name))
    {
        for (index, mount) in service.volumes.iter().enumerate() {
            let source = mount.source.as_deref().unwrap_or_default();
            if mount.kind == MountKind::Bind && !mount.creates_host_path() && missing(source) {
                let what = format!("service `{name}` mounts `{source}`, which does not exist");
                return Err(
                    at(project, &format!("services/{name}/volumes/{index}"), what)
                        .hint("create it, or leave out `create_host_path: false`"),
                );
            }
        }
        let configs = service
            .configs
            .iter()
            .map(|used| ("configs", &project.configs, used));
        let secrets = service
            .secrets
            .iter()
            .map(|used| ("secrets", &project.secrets, used));
        for (kind, objects, used) in configs.chain(secrets) {
            let object = objects.get(&used.source);
            let Some(path) = object.and_then(|object| object.file.as_deref()) else {
                continue;
            };
            if missing(path) {
                let key = &used.source;
                let what = format!("the file of {kind} `{key}`, `{path}`, does not exist");
                return Err(at(project, &format!("{kind}/{key}/file"), what));
            }
        }
    }
    Ok(())
}

/// A failure that begins with the place in the file.
fn at(project: &Project, path: &str, what: String) -> Failure {
    match project.location(path) {
        Some(place) => Failure::new(format!("{place}: {what}")),
        None => Failure::new(what),
    }
}

/// Pulls images that are wanted anew although they may be here.
async fn freshen(
    context: &Context,
    client: &Client,
    project: &Project,
    services: &BTreeSet<String>,
    making: &Making,
) -> Outcome<()> {
    let mut stale: BTreeMap<String, Option<String>> = BTreeMap::new();
    for service in services
        .iter()
        .filter_map(|name| project.services.get(name))
    {
        // What is built under a name of our own is nowhere to be had.
        if service.image.is_empty() {
            continue;
        }
        let wanted = match (making.pull, &service.pull_policy) {
            (Some(Pull::Build), _) => false,
            (Some(pull), _) => pull == Pull::Always,
            (None, Some(PullPolicy::Always)) => true,
            (None, Some(PullPolicy::Every { age, .. })) => {
                is_older(client, &service.image, age.to_std()).await?
            }
            (None, _) => false,
        };
        if wanted {
            stale.insert(service.image.clone(), service.platform.clone());
        }
    }
    let stale: Vec<(String, Option<String>)> = stale.into_iter().collect();
    let quiet = crate::ui::Meter::new(crate::ui::Mode::Quiet, false);
    let meter = if making.quiet_pull {
        quiet
    } else {
        context.meter()
    };
    apply::pull(client, &stale, &meter).await
}

/// Builds what is to be built anew and what is not here. Which containers are to be made is known only
/// then: an image that comes out the same changes nothing.
async fn build(
    context: &Context,
    client: &Client,
    project: &Project,
    services: &BTreeSet<String>,
    making: &Making,
) -> Outcome<()> {
    let buildable = services
        .iter()
        .filter_map(|name| project.services.get(name))
        .filter(|service| service.build.is_some() && !making.no_build);
    let buildable: Vec<&Service> = buildable.collect();
    if buildable.is_empty() {
        return Ok(());
    }
    let names: BTreeMap<&str, String> = buildable
        .iter()
        .map(|service| (service.name.as_str(), image_name(project, service)))
        .collect();
    let here = apply::image_ids(client, names.values().map(String::as_str)).await?;
    let anew = making.build || making.pull == Some(Pull::Build);
    let wanted: BTreeSet<String> = buildable
        .iter()
        .filter(|service| {
            anew || service.pull_policy == Some(PullPolicy::Build)
                || !here.contains_key(&names[service.name.as_str()])
        })
        .map(|service| service.name.clone())
        .collect();
    let options = BuildOptions {
        mode: making.quiet_build.then_some(Mode::Quiet),
        ..BuildOptions::default()
    };
    let (ui, environment) = (context.ui, &context.environment);
    let built = build_services(client, ui, environment, project, &wanted, &options);
    match Box::pin(built).await? {
        Ok(_) => Ok(()),
        Err(failed) => Err(failed.shown),
    }
}

/// Whether the local image was tagged longer ago than that. A missing one is the plan's business.
async fn is_older(client: &Client, image: &str, age: Duration) -> Outcome<bool> {
    let image = match client.image_inspect(image).await {
        Ok(image) => image,
        Err(error) if error.is_not_found() => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let tagged = image.metadata.last_tag_time.parse::<Timestamp>();
    let Ok(tagged) = tagged.or_else(|_| image.created.parse()) else {
        return Ok(true);
    };
    let age = jiff::SignedDuration::try_from(age).unwrap_or(jiff::SignedDuration::MAX);
    Ok(Timestamp::now().duration_since(tagged) > age)
}

impl Prepared {
    pub(super) async fn watch(&self) -> Outcome<Watch> {
        let filter = apply::project_filter(&self.scope.name).with("type", "container");
        Watch::open(&self.client, filter).await
    }

    /// Lets other commands change the project.
    pub(super) fn release(&mut self) {
        self.held = None;
    }

    /// Does the plan; `None` where it was only to be shown.
    pub(super) async fn execute(
        &self,
        context: &Context,
        watch: &Watch,
        mut options: Options,
    ) -> Outcome<Option<Summary>> {
        options.quiet_images = self.quiet_pull;
        if self.plan.is_empty() && self.plan.warnings().is_empty() {
            context.ui.note(format!(
                "Nothing to do: project `{}` is up to date",
                self.scope.name
            ));
            return Ok((!context.globals.dry_run).then(Summary::default));
        }
        context
            .execute(&self.client, &self.scope, &self.plan, watch, options)
            .await
    }
}
