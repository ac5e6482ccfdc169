//! `image build`: one image without a Compose file.

use std::collections::BTreeMap;
use std::path::Path;

use bowline_api::{BuildRequest, BuildTarget};
use clap::Args;

use super::build::{agents, arguments};
use super::build_shell;
use super::context::Context;
use super::signals::Interrupts;
use crate::build::{Caller, build_request, read_secret};
use crate::ui::{Failure, Mode, Outcome, WithContext as _};

/// See the module.
#[expect(clippy::struct_excessive_bools, reason = "flags are flags")]
#[derive(Args, Clone, Debug)]
pub(super) struct Build {
    /// Folder of the files
    #[arg(default_value = ".")]
    path: String,
    /// Name of the image
    #[arg(short, long = "tag", value_name = "NAME")]
    tags: Vec<String>,
    /// The Dockerfile, `Dockerfile` in the folder if absent
    #[arg(short, long = "file", value_name = "FILE")]
    file: Option<String>,
    /// Value of an `ARG`; a name alone takes its value from here
    #[arg(long = "build-arg", value_name = "NAME=VALUE")]
    build_args: Vec<String>,
    /// A further context: NAME=FOLDER or NAME=docker-image://REFERENCE
    #[arg(long = "build-context", value_name = "NAME=CONTEXT")]
    contexts: Vec<String>,
    /// Label of the image
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// Stage to build
    #[arg(long, default_value = "")]
    target: String,
    /// What a `RUN` can reach: `default`, `none`, `host`, or a network
    #[arg(long, default_value = "")]
    network: String,
    /// Line for `/etc/hosts`: NAME=ADDRESS
    #[arg(long = "add-host", value_name = "HOST")]
    extra_hosts: Vec<String>,
    /// `os/arch[/variant]`
    #[arg(long, default_value = "")]
    platform: String,
    /// Secret: `id=ID,src=FILE` or `id=ID,env=VARIABLE`
    #[arg(long = "secret", value_name = "SECRET")]
    secrets: Vec<String>,
    /// Agent for `RUN --mount=type=ssh`: `default`, or ID=SOCKET
    #[arg(long, value_name = "AGENT")]
    ssh: Vec<String>,
    /// Do every step anew
    #[arg(long)]
    no_cache: bool,
    /// Ask the registry whether base images have changed
    #[arg(long)]
    pull: bool,
    /// Only look for what is wrong or doubtful in the Dockerfile
    #[arg(long)]
    check: bool,
    /// Open a shell in what a failed step left
    #[arg(long, conflicts_with_all = ["quiet", "check"])]
    debug: bool,
    /// Print the image's id and nothing else
    #[arg(short, long)]
    quiet: bool,
}

impl Build {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let request = BuildRequest {
            targets: vec![self.target(context)?],
            no_cache: self.no_cache,
            pull: self.pull,
            check: self.check,
            debug: self.debug,
        };
        let client = context.client().await?;
        let mode = if self.quiet {
            Mode::Quiet
        } else {
            context.ui.mode
        };
        let mut interrupts = Interrupts::catch()?;
        let built = tokio::select! {
            built = Box::pin(build_request(&client, context.ui, &request, mode)) => built?,
            _ = interrupts.next() => return Ok(130),
        };
        match built {
            Ok(built) => {
                for id in built.values() {
                    context.ui.line(id);
                }
                Ok(0)
            }
            Err(failed) => match &failed.kept {
                None => Err(failed.shown),
                Some(kept) => {
                    let shown = failed.shown.render(context.ui.color_err);
                    context.ui.note(shown.trim_end());
                    build_shell::open(context, &client, kept).await?;
                    Ok(1)
                }
            },
        }
    }

    fn target(&self, context: &Context) -> Outcome<BuildTarget> {
        let folder = absolute(&self.path)?;
        let dockerfile = match &self.file {
            Some(path) => absolute(path)?,
            None => String::new(),
        };
        let pairs = |texts: &[String]| -> BTreeMap<String, String> {
            let pair = |text: &String| {
                let (key, value) = text.split_once('=').unwrap_or((text, ""));
                (key.to_owned(), value.to_owned())
            };
            texts.iter().map(pair).collect()
        };
        let mut contexts = pairs(&self.contexts);
        for context in contexts.values_mut() {
            if !context.contains("://") {
                *context = absolute(context)?;
            }
        }
        Ok(BuildTarget {
            name: "image".into(),
            context: folder,
            dockerfile,
            args: arguments(context, &self.build_args)?,
            target: self.target.clone(),
            contexts,
            labels: pairs(&self.labels),
            tags: self.tags.clone(),
            network: self.network.clone(),
            extra_hosts: self.extra_hosts.clone(),
            platform: self.platform.clone(),
            secrets: secrets(context, &self.secrets)?,
            ssh: agents(context, &self.ssh)?.into_iter().collect(),
            ..BuildTarget::default()
        })
    }
}

fn absolute(path: &str) -> Outcome<String> {
    let found = std::fs::canonicalize(Path::new(path)).during(format!("cannot find {path}"))?;
    match found.into_os_string().into_string() {
        Ok(path) => Ok(path),
        Err(path) => Err(Failure::new(format!(
            "the path {} is not UTF-8",
            path.display()
        ))),
    }
}

fn secrets(context: &Context, texts: &[String]) -> Outcome<BTreeMap<String, String>> {
    let caller = Caller {
        environment: &context.environment,
    };
    let mut secrets = BTreeMap::new();
    for text in texts {
        let field = |names: &[&str]| {
            text.split(',')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| names.contains(key))
                .map(|(_, value)| value)
        };
        let Some(id) = field(&["id"]) else {
            return Err(Failure::usage(format!("--secret: `{text}` has no id")));
        };
        let contents = match (field(&["src", "source"]), field(&["env"])) {
            (Some(path), _) => read_secret(id, path)?,
            (None, Some(variable)) => caller.variable(id, variable)?,
            // As Docker has it: the variable of that name, else the file.
            (None, None) if context.environment.contains_key(id) => caller.variable(id, id)?,
            (None, None) => read_secret(id, id)?,
        };
        secrets.insert(id.to_owned(), contents);
    }
    Ok(secrets)
}
