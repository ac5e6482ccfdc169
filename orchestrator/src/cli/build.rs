//! `build`: the images of services.

use std::collections::{BTreeMap, BTreeSet};

use bowline_compose::model::Project;
use clap::Args;
use serde_json::{Value, json};

use super::build_shell;
use super::context::Context;
use super::signals::Interrupts;
use crate::build::{BuildOptions, Caller, SshAgent, Wishes, build_services, image_name};
use crate::ui::{Failure, Mode, Outcome};

/// See the module.
#[expect(clippy::struct_excessive_bools, reason = "flags are flags")]
#[derive(Args, Clone, Debug)]
pub(super) struct Build {
    /// Services; all that have a `build` section if none is named
    services: Vec<String>,
    /// Value of an `ARG` for all services; a name alone takes its value from here
    #[arg(long = "build-arg", value_name = "NAME=VALUE")]
    build_args: Vec<String>,
    /// Do every step anew
    #[arg(long)]
    no_cache: bool,
    /// Ask the registry whether base images have changed
    #[arg(long)]
    pull: bool,
    /// Push the images when they are built
    #[arg(long)]
    push: bool,
    /// Show nothing of how it goes
    #[arg(short, long)]
    quiet: bool,
    /// Agent for `RUN --mount=type=ssh`: `default`, or ID=SOCKET
    #[arg(long, value_name = "AGENT")]
    ssh: Vec<String>,
    /// Build what the services depend on, too
    #[arg(long)]
    with_dependencies: bool,
    /// Print what would be built, as a bake file
    #[arg(long)]
    print: bool,
    /// Only look for what is wrong or doubtful in the Dockerfiles
    #[arg(long)]
    check: bool,
    /// Open a shell in what a failed step left
    #[arg(long, conflicts_with_all = ["quiet", "check"])]
    debug: bool,
    /// Memory of the steps; not supported
    #[arg(short, long, value_name = "BYTES", hide = true)]
    memory: Option<String>,
    /// Another builder; not supported
    #[arg(long, value_name = "NAME", hide = true)]
    builder: Option<String>,
    /// Attestation; not supported
    #[arg(long, value_name = "TEXT", hide = true)]
    provenance: Option<String>,
    /// Attestation; not supported
    #[arg(long, value_name = "TEXT", hide = true)]
    sbom: Option<String>,
}

impl Build {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        self.refuse(context)?;
        let project = context.project(&self.services)?;
        let services = self.selected(&project)?;
        if services.is_empty() {
            context.ui.note("No service has a `build` section");
            return Ok(0);
        }
        if self.print || context.globals.dry_run {
            let file = bake(&project, &services, &arguments(context, &self.build_args)?);
            context.ui.line(serde_json::to_string_pretty(&file)?);
            return Ok(0);
        }
        let options = BuildOptions {
            wishes: Wishes {
                no_cache: self.no_cache,
                pull: self.pull,
                args: arguments(context, &self.build_args)?,
                ssh: agents(context, &self.ssh)?,
                check: self.check,
                debug: self.debug,
            },
            mode: self.quiet.then_some(Mode::Quiet),
        };
        let client = context.client().await?;
        let mut interrupts = Interrupts::catch()?;
        let (ui, environment) = (context.ui, &context.environment);
        let built = tokio::select! {
            built = Box::pin(build_services(&client, ui, environment, &project, &services, &options)) => built?,
            _ = interrupts.next() => return Ok(130),
        };
        match built {
            Ok(_) if self.check => context.ui.note("Check complete"),
            Ok(_) => {}
            Err(failed) => {
                let Some(kept) = &failed.kept else {
                    return Err(failed.shown);
                };
                context
                    .ui
                    .note(failed.shown.render(ui.color_err).trim_end());
                build_shell::open(context, &client, kept).await?;
                return Ok(1);
            }
        }
        Ok(0)
    }

    fn refuse(&self, context: &Context) -> Outcome<()> {
        let refused = |what: &str| Err(Failure::usage(what));
        if self
            .builder
            .as_deref()
            .is_some_and(|name| name != "default")
        {
            return refused("--builder: there is one builder, the engine's own");
        }
        if self.push {
            return refused("--push: run `bowline push` when the images are built");
        }
        if self.memory.is_some() {
            return refused("--memory: steps of a build have no limit of their own");
        }
        if self.provenance.is_some() || self.sbom.is_some() {
            context
                .ui
                .warn("attestations (--provenance, --sbom) are not made");
        }
        Ok(())
    }

    /// Those named, with those they depend on if that was asked for; of these the ones that are built.
    fn selected(&self, project: &Project) -> Outcome<BTreeSet<String>> {
        let builds = |name: &String| {
            project
                .services
                .get(name)
                .is_some_and(|service| service.build.is_some())
        };
        if let Some(name) = self
            .services
            .iter()
            .find(|name| project.service(name).is_none())
        {
            return Err(Failure::new(format!("no such service: `{name}`")));
        }
        let all = match (self.services.is_empty(), self.with_dependencies) {
            (true, _) => project.services.keys().cloned().collect(),
            (false, true) => super::prepare::named(project, &self.services),
            (false, false) => self.services.iter().cloned().collect::<BTreeSet<_>>(),
        };
        Ok(all.into_iter().filter(builds).collect())
    }
}

/// `NAME=VALUE`, or a name whose value is the caller's; a name without any is left out.
pub(super) fn arguments(context: &Context, texts: &[String]) -> Outcome<BTreeMap<String, String>> {
    let mut arguments = BTreeMap::new();
    for text in texts {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text.as_str(), context.environment.get(text).cloned()),
        };
        if name.is_empty() {
            return Err(Failure::usage(format!(
                "--build-arg: write it as NAME=VALUE, not `{text}`"
            )));
        }
        if let Some(value) = value {
            arguments.insert(name.to_owned(), value);
        }
    }
    Ok(arguments)
}

/// `default`, `ID` or `ID=SOCKET`.
pub(super) fn agents(context: &Context, texts: &[String]) -> Outcome<Vec<SshAgent>> {
    let caller = Caller {
        environment: &context.environment,
    };
    let one = |text: &String| {
        let (id, path) = text.split_once('=').unwrap_or((text, ""));
        caller.agent(id, Some(path))
    };
    texts.iter().map(one).collect()
}

/// The same in the words of `docker buildx bake`.
fn bake(
    project: &Project,
    services: &BTreeSet<String>,
    arguments: &BTreeMap<String, String>,
) -> Value {
    let mut targets = serde_json::Map::new();
    for service in services
        .iter()
        .filter_map(|name| project.services.get(name))
    {
        let Some(build) = &service.build else {
            continue;
        };
        let mut args = build.args.clone();
        args.extend(
            arguments
                .iter()
                .map(|(name, value)| (name.clone(), Some(value.clone()))),
        );
        let mut tags = build.tags.clone();
        tags.push(image_name(project, service));
        let mut target = json!({
            "context": build.context,
            "dockerfile": build.dockerfile,
            "dockerfile-inline": build.dockerfile_inline,
            "args": args,
            "labels": build.labels,
            "tags": tags,
            "target": build.target,
            "contexts": build.additional_contexts,
            "platforms": build.platforms,
            "network": build.network,
            "output": ["type=docker"],
        });
        if let Some(object) = target.as_object_mut() {
            object.retain(|_, value| !is_empty(value));
        }
        // A dot divides names there.
        targets.insert(service.name.replace('.', "_"), target);
    }
    let names: Vec<&String> = targets.keys().collect();
    json!({ "group": { "default": { "targets": names } }, "target": targets })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use bowline_compose::model::{self, Service};

    use super::*;

    #[test]
    fn a_bake_file_holds_what_is_said_and_nothing_else() {
        let mut project = Project {
            name: "shop".into(),
            ..Project::default()
        };
        let service = Service {
            name: "a.b".into(),
            build: Some(model::Build {
                context: Some("/src".into()),
                ..model::Build::default()
            }),
            ..Service::default()
        };
        project.services.insert("a.b".into(), service);
        let arguments = [("A".to_owned(), "1".to_owned())].into();
        let file = bake(&project, &["a.b".to_owned()].into(), &arguments);
        assert_eq!(file["group"]["default"]["targets"], json!(["a_b"]));
        assert_eq!(
            file["target"]["a_b"],
            json!({
                "context": "/src",
                "args": {"A": "1"},
                "tags": ["shop-a.b"],
                "output": ["type=docker"],
            })
        );
    }
}
