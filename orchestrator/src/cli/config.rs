//! `config`: the project as the loader understands it.

use std::collections::{BTreeMap, BTreeSet};

use bowline_compose::grammar::template::{self, Variable};
use bowline_compose::load::Options;
use bowline_compose::model::Project;
use bowline_compose::print;
use clap::Args;

use super::context::Context;
use crate::ui::{Failure, Outcome, Table, WithContext as _};

/// See the module.
#[expect(clippy::struct_excessive_bools, reason = "flags are flags")]
#[derive(Args, Clone, Debug)]
pub(super) struct Config {
    /// Services, with what they depend on; all if none is named
    services: Vec<String>,
    /// How to print
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Only check
    #[arg(short, long)]
    quiet: bool,
    /// Leave variables as they are
    #[arg(long)]
    no_interpolate: bool,
    /// Leave out what follows from what was written
    #[arg(long)]
    no_normalize: bool,
    /// Leave relative paths as they are
    #[arg(long)]
    no_path_resolution: bool,
    /// Do not check whether the project makes sense as a whole
    #[arg(long)]
    no_consistency: bool,
    /// Leave the services' env files alone
    #[arg(long)]
    no_env_resolution: bool,
    /// Names of services
    #[arg(long = "services")]
    list_services: bool,
    /// Keys of volumes
    #[arg(long)]
    volumes: bool,
    /// Keys of networks
    #[arg(long)]
    networks: bool,
    /// References of models
    #[arg(long)]
    models: bool,
    /// Names of images
    #[arg(long)]
    images: bool,
    /// Names of profiles
    #[arg(long)]
    profiles: bool,
    /// Variables that the files mention, with their defaults
    #[arg(long)]
    variables: bool,
    /// Variables that the files are read with
    #[arg(long)]
    environment: bool,
    /// What decides whether containers are replaced: of one service, of some (`a,b`), of all (`*`)
    #[arg(long, value_name = "SERVICE")]
    hash: Option<String>,
    /// Where values come from: all, or those below a path such as `services.web.environment`
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "")]
    origin: Option<String>,
    /// Write digests instead of tags; not supported yet
    #[arg(long)]
    resolve_image_digests: bool,
    /// Write a file that fixes digests; not supported yet
    #[arg(long)]
    lock_image_digests: bool,
    /// Write to a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
}

/// How the project is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// YAML
    Yaml,
    /// JSON
    Json,
}

impl Config {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        if let Some(path) = &self.origin {
            let options = self.options(context, false);
            let json = self.format == Some(Format::Json);
            return super::origin::print(context, &options, path, json).await;
        }
        self.print(context)
    }

    fn print(self, context: &Context) -> Outcome {
        if self.resolve_image_digests || self.lock_image_digests {
            let failure = Failure::usage("image digests cannot be asked for yet");
            return Err(failure.hint("`bowline pull` fetches what the tags stand for now"));
        }
        let ui = context.ui;
        let list = |names: BTreeSet<String>| names.iter().for_each(|name| ui.line(name));
        if self.variables {
            return self.print_variables(context);
        }
        if self.no_interpolate {
            return self.print_tree(context);
        }
        let listing = self.list_services || self.volumes || self.networks || self.models;
        let project = self.project(context, listing || self.hash.is_some())?;
        if self.quiet {
        } else if self.list_services {
            list(project.services.keys().cloned().collect());
        } else if self.volumes {
            list(project.volumes.keys().cloned().collect());
        } else if self.networks {
            list(project.networks.keys().cloned().collect());
        } else if self.models {
            let models = project.models.values();
            list(models.filter_map(|model| model.model.clone()).collect());
        } else if let Some(wanted) = &self.hash {
            for (name, hash) in hashes(&project, wanted)? {
                ui.line(format!("{name} {hash}"));
            }
        } else if self.profiles {
            let all = project.services.values().chain(project.disabled.values());
            list(all.flat_map(|service| service.profiles.clone()).collect());
        } else if self.images {
            list(images(&project));
        } else if self.environment {
            for (name, value) in &project.environment {
                ui.line(format!("{name}={value}"));
            }
        } else {
            let text = match self.format {
                Some(Format::Json) => print::json(&project),
                _ => print::yaml(&project),
            };
            self.write(context, &text)?;
        }
        Ok(0)
    }

    /// What the flags say about loading. Lists that do not depend on env files do not read them.
    fn options(&self, context: &Context, listing: bool) -> Options {
        let services = if listing { &[][..] } else { &self.services };
        let unread = self.no_env_resolution || (listing && self.hash.is_none());
        Options {
            no_interpolate: self.no_interpolate || self.variables,
            no_normalize: self.no_normalize,
            no_consistency: self.no_consistency,
            no_path_resolution: self.no_path_resolution,
            ..context.options(services, unread)
        }
    }

    fn project(&self, context: &Context, listing: bool) -> Outcome<Project> {
        let options = self.options(context, listing);
        let loaded = context.load(&options).map_err(|(failure, _)| failure)?;
        let warnings = context.told(&loaded.warnings, &loaded.project.sources);
        for notes in [warnings, context.told_refusals(&loaded)] {
            if !notes.is_empty() && !self.quiet {
                context.ui.note(notes.trim_end());
            }
        }
        let mut project = loaded.project;
        if !options.services.is_empty() {
            let known = |name: &String| project.services.contains_key(name);
            if let Some(name) = options.services.iter().find(|name| !known(name)) {
                return Err(Failure::new(format!("no such service: `{name}`")));
            }
            project.select(&options.services);
        }
        Ok(project)
    }

    fn print_tree(&self, context: &Context) -> Outcome {
        let tree = context.tree(&self.options(context, false))?;
        if self.list_services {
            let services = tree.get("services").and_then(serde_json::Value::as_object);
            for name in services.into_iter().flat_map(|services| services.keys()) {
                context.ui.line(name);
            }
            return Ok(0);
        }
        let text = match self.format {
            Some(Format::Json) => print::tree_json(&tree),
            _ => print::tree_yaml(&tree),
        };
        if !self.quiet {
            self.write(context, &text)?;
        }
        Ok(0)
    }

    fn write(&self, context: &Context, text: &str) -> Outcome<()> {
        match &self.output {
            Some(path) => std::fs::write(path, text).during(format!("cannot write {path}")),
            None => {
                context.ui.line(text.trim_end());
                Ok(())
            }
        }
    }

    fn print_variables(&self, context: &Context) -> Outcome {
        let tree = context.tree(&self.options(context, false))?;
        let mut found = BTreeMap::new();
        collect(&tree, &mut found);
        let ui = context.ui;
        let rows: serde_json::Map<String, serde_json::Value> = found
            .values()
            .map(|variable| (variable.name.clone(), shown(variable, self.format)))
            .collect();
        match self.format {
            Some(Format::Json) => ui.line(print::tree_json(&rows.into()).trim_end()),
            Some(Format::Yaml) => ui.line(print::tree_yaml(&rows.into()).trim_end()),
            None => {
                let headings = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"];
                let mut table = Table::new(&headings);
                for variable in found.into_values() {
                    let required = variable.required.to_string();
                    let (default, alternate) = (variable.default, variable.alternate);
                    table.row(vec![variable.name, required, default, alternate]);
                }
                ui.line(table.render());
            }
        }
        Ok(0)
    }
}

/// A variable under the names that Compose gives its parts, which differ between the formats.
fn shown(variable: &Variable, format: Option<Format>) -> serde_json::Value {
    let mut row = serde_json::json!({
        "Name": variable.name,
        "DefaultValue": variable.default,
        "PresenceValue": variable.alternate,
        "Required": variable.required,
    });
    if let (Some(Format::Yaml), Some(map)) = (format, row.as_object_mut()) {
        *map = std::mem::take(map)
            .into_iter()
            .map(|(key, value)| (key.to_lowercase(), value))
            .collect();
    }
    row
}

/// Every variable of a tree's texts; the last mention of one tells its default.
fn collect(tree: &serde_json::Value, found: &mut BTreeMap<String, Variable>) {
    match tree {
        serde_json::Value::String(text) => {
            let variables = template::variables(text).into_iter();
            found.extend(variables.map(|variable| (variable.name.clone(), variable)));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        serde_json::Value::Object(map) => map.values().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// The images of the services, and those that they mount or run first.
fn images(project: &Project) -> BTreeSet<String> {
    let name = |key: &str, image: &str| match image {
        "" => format!("{}-{key}", project.name),
        image => image.to_owned(),
    };
    let mut images = BTreeSet::new();
    for (key, service) in &project.services {
        if service.provider.is_some() {
            continue;
        }
        images.insert(name(key, &service.image));
        let hooks = service.pre_start.iter().map(|hook| &hook.container.image);
        images.extend(hooks.filter(|image| !image.is_empty()).cloned());
        let mounts = service
            .volumes
            .iter()
            .filter(|mount| mount.kind == bowline_compose::model::MountKind::Image);
        for source in mounts.filter_map(|mount| mount.source.as_deref()) {
            let of_service = project.services.get(source);
            images.insert(match of_service {
                Some(other) => name(source, &other.image),
                None => source.to_owned(),
            });
        }
    }
    images
}

/// The hashes of the wanted services, by name.
fn hashes(project: &Project, wanted: &str) -> Outcome<Vec<(String, String)>> {
    let names: BTreeSet<&str> = match wanted {
        "*" => project.services.keys().map(String::as_str).collect(),
        listed => listed.split(',').collect(),
    };
    let mut hashes = Vec::new();
    for name in names {
        let Some(service) = project.services.get(name) else {
            return Err(Failure::new(format!("no such service: `{name}`")));
        };
        let text = print::hashed::service(service);
        hashes.push((name.to_owned(), bowline_plan::hash::bytes(text.as_bytes())));
    }
    Ok(hashes)
}
