//! `config`: the project as the loader understands it.

use std::collections::BTreeSet;

use bowline_compose::print;
use bowline_plan::Knowledge;
use clap::Args;

use super::context::Context;
use crate::ui::{Failure, Outcome, WithContext as _};

/// See the module.
#[expect(clippy::struct_excessive_bools, reason = "flags are flags")]
#[derive(Args, Clone, Debug)]
pub(super) struct Config {
    /// Services, with what they depend on; all if none is named
    services: Vec<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Only check
    #[arg(short, long)]
    quiet: bool,
    /// Names of services
    #[arg(long = "services", conflicts_with_all = ["volumes", "networks", "images", "hash", "profiles"])]
    list_services: bool,
    /// Keys of volumes
    #[arg(long, conflicts_with_all = ["networks", "images", "hash", "profiles"])]
    volumes: bool,
    /// Keys of networks
    #[arg(long, conflicts_with_all = ["images", "hash", "profiles"])]
    networks: bool,
    /// Names of images
    #[arg(long, conflicts_with_all = ["hash", "profiles"])]
    images: bool,
    /// Names of profiles
    #[arg(long, conflicts_with = "hash")]
    profiles: bool,
    /// What decides whether containers are replaced, of one service or of all (`*`)
    #[arg(long, value_name = "SERVICE")]
    hash: Option<String>,
    /// Write to a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
}

/// How the project is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// YAML
    #[default]
    Yaml,
    /// JSON
    Json,
}

impl Config {
    pub(super) fn run(self, context: &Context) -> Outcome {
        let mut project = context.project(&self.services)?;
        if !self.services.is_empty() {
            let known = super::prepare::named(&project, &self.services);
            if let Some(name) = self.services.iter().find(|name| !known.contains(*name)) {
                return Err(Failure::new(format!("no such service: `{name}`")));
            }
            project.services.retain(|name, _| known.contains(name));
        }
        let ui = context.ui;
        let list = |names: BTreeSet<&String>| names.into_iter().for_each(|name| ui.line(name));
        if self.quiet {
        } else if self.list_services {
            list(project.services.keys().collect());
        } else if self.volumes {
            list(project.volumes.keys().collect());
        } else if self.networks {
            list(project.networks.keys().collect());
        } else if self.images {
            list(
                project
                    .services
                    .values()
                    .map(|service| &service.image)
                    .collect(),
            );
        } else if self.profiles {
            let all = project.services.values().chain(project.disabled.values());
            list(all.flat_map(|service| &service.profiles).collect());
        } else if let Some(wanted) = &self.hash {
            let knowledge = Knowledge {
                configs: super::context::contents(&project.configs),
                secrets: super::context::contents(&project.secrets),
                ..Knowledge::default()
            };
            let desired = bowline_plan::desired(&project, &knowledge)?;
            for (name, service) in &desired.services {
                if wanted == "*" || wanted == name {
                    ui.line(format!(
                        "{name} {}",
                        service.hashes.own.as_deref().unwrap_or_default()
                    ));
                }
            }
        } else {
            let text = match self.format {
                Format::Json => print::json(&project),
                Format::Yaml => print::yaml(&project),
            };
            match &self.output {
                Some(path) => std::fs::write(path, text).during(format!("cannot write {path}"))?,
                None => ui.line(text.trim_end()),
            }
        }
        Ok(0)
    }
}
