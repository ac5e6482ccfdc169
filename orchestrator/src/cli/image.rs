//! `image` and its short forms `load`, `import`, `save`, `rmi`, `tag`: images of the engine.

use std::io::IsTerminal as _;

use bowline_api::{Filters, Progress};
use bowline_client::{ImageImport, JsonLines};
use clap::{Args, Subcommand};
use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWriteExt as _};

use super::context::Context;
use super::ps::Format;
use crate::apply;
use crate::ui::{Failure, Outcome, Table, WithContext as _, age, bytes};

/// See the module.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Image {
    /// List images
    Ls(Ls),
    /// Build an image of a Dockerfile
    Build(Box<super::image_build::Build>),
    /// Pull an image
    Pull(Pull),
    /// Load images from an archive
    Load(Load),
    /// Make an image from a root file system
    Import(Import),
    /// Write images into an archive
    Save(Save),
    /// Remove images
    Rm(Rm),
    /// Give an image another name
    Tag(Tag),
    /// Print images as JSON
    Inspect(Inspect),
}

/// `image ls`
#[derive(Args, Clone, Debug)]
pub(super) struct Ls {
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// `image pull`
#[derive(Args, Clone, Debug)]
pub(super) struct Pull {
    /// Reference, such as `nginx:1.27`
    reference: String,
    /// `os/arch[/variant]`
    #[arg(long)]
    platform: Option<String>,
}

/// `image load`
#[derive(Args, Clone, Debug)]
pub(super) struct Load {
    /// Archive to read; standard input if absent or `-`
    #[arg(short, long, value_name = "FILE")]
    input: Option<String>,
    /// The same without a flag
    #[arg(value_name = "FILE", conflicts_with = "input")]
    file: Option<String>,
    /// Names only
    #[arg(short, long)]
    quiet: bool,
}

/// `image import`
#[derive(Args, Clone, Debug)]
pub(super) struct Import {
    /// Archive of a root file system; `-` is standard input
    file: String,
    /// Name of the image
    name: Option<String>,
    /// Dockerfile instruction to apply, such as `CMD ["sh"]`
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    changes: Vec<String>,
    /// Message
    #[arg(short, long)]
    message: Option<String>,
}

/// `image save`
#[derive(Args, Clone, Debug)]
pub(super) struct Save {
    /// Images
    #[arg(required = true)]
    images: Vec<String>,
    /// Archive to write; standard output if absent
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
}

/// `image rm`
#[derive(Args, Clone, Debug)]
pub(super) struct Rm {
    /// Images
    #[arg(required = true)]
    images: Vec<String>,
    /// Also where stopped containers use it or several names point to it
    #[arg(short, long)]
    force: bool,
}

/// `image tag`
#[derive(Args, Clone, Debug)]
pub(super) struct Tag {
    /// The image
    source: String,
    /// Its further name
    target: String,
}

/// `image inspect`
#[derive(Args, Clone, Debug)]
pub(super) struct Inspect {
    /// Images
    #[arg(required = true)]
    images: Vec<String>,
}

impl Image {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Ls(command) => command.run(context).await,
            Self::Build(command) => command.run(context).await,
            Self::Pull(command) => command.run(context).await,
            Self::Load(command) => command.run(context).await,
            Self::Import(command) => command.run(context).await,
            Self::Save(command) => command.run(context).await,
            Self::Rm(command) => command.run(context).await,
            Self::Tag(command) => command.run(context).await,
            Self::Inspect(command) => command.run(context).await,
        }
    }
}

impl Ls {
    async fn run(self, context: &Context) -> Outcome {
        let client = context.client().await?;
        let found = client.images_list(false, &Filters::new()).await?;
        let now = jiff::Timestamp::now().as_second();
        let mut table = Table::new(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
        for image in &found {
            let id = image.id.trim_start_matches("sha256:");
            let short: String = id.chars().take(12).collect();
            if self.quiet {
                context.ui.line(short);
                continue;
            }
            if self.format == Format::Json {
                context.ui.line(serde_json::to_string(image)?);
                continue;
            }
            let none = vec!["<none>:<none>".to_owned()];
            let names = if image.repo_tags.is_empty() {
                &none
            } else {
                &image.repo_tags
            };
            for name in names {
                let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "<none>"));
                table.row(vec![
                    repository.to_owned(),
                    tag.to_owned(),
                    short.clone(),
                    age(image.created, now),
                    bytes(u64::try_from(image.size).unwrap_or(0)),
                ]);
            }
        }
        if !self.quiet && self.format == Format::Table {
            context.ui.line(table.render());
        }
        Ok(0)
    }
}

impl Pull {
    async fn run(self, context: &Context) -> Outcome {
        let client = context.client().await?;
        let (reference, platform) = (&self.reference, self.platform.as_deref());
        let pulled = apply::pull_image(&client, reference, platform, &context.meter()).await;
        pulled.map_err(|failure| failure.context(format!("cannot pull image `{reference}`")))?;
        Ok(0)
    }
}

type Input = Box<dyn AsyncRead + Send + Sync + Unpin>;

async fn open(path: &str) -> Outcome<Input> {
    if path == "-" {
        if std::io::stdin().is_terminal() {
            return Err(Failure::usage(
                "there is no archive on standard input, but a terminal",
            ));
        }
        return Ok(Box::new(tokio::io::stdin()));
    }
    let file = tokio::fs::File::open(path).await;
    Ok(Box::new(file.during(format!("cannot open {path}"))?))
}

/// Prints what the engine says until it has said all; its error is ours.
async fn report(context: &Context, lines: JsonLines<Progress>, quiet: bool) -> Outcome<()> {
    let mut lines = Box::pin(lines);
    while let Some(line) = lines.next().await {
        let line = line?;
        if !line.error.is_empty() {
            return Err(Failure::new(line.error));
        }
        let text = if line.stream.is_empty() {
            &line.status
        } else {
            &line.stream
        };
        // Lines about single layers have an id, results have none.
        if !text.is_empty() && line.id.is_empty() && line.progress_detail.is_none() {
            let text = text.trim_end();
            context.ui.line(if quiet {
                text.trim_start_matches("Loaded image: ")
            } else {
                text
            });
        }
    }
    Ok(())
}

impl Load {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let path = self.input.or(self.file).unwrap_or_else(|| "-".into());
        let input = open(&path).await?;
        let client = context.client().await?;
        let lines = client.image_load(input).await;
        let lines = lines.during(format!("cannot load images from {path}"))?;
        let loaded = report(context, lines, self.quiet).await;
        loaded.map_err(|failure| failure.context(format!("cannot load images from {path}")))?;
        Ok(0)
    }
}

impl Import {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let input = open(&self.file).await?;
        let client = context.client().await?;
        let import = ImageImport {
            name: self.name,
            changes: self.changes,
            message: self.message,
        };
        let lines = client.image_import(&import, input).await;
        let lines = lines.during(format!("cannot import {}", self.file))?;
        let imported = report(context, lines, false).await;
        imported.map_err(|failure| failure.context(format!("cannot import {}", self.file)))?;
        Ok(0)
    }
}

impl Save {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        if self.output.is_none() && std::io::stdout().is_terminal() {
            return Err(Failure::usage("an archive does not go to a terminal")
                .hint("`-o FILE` writes it to a file"));
        }
        let client = context.client().await?;
        let archive = client.image_save(&self.images).await;
        let mut archive = Box::pin(archive.during("cannot save images")?);
        let mut output: Box<dyn tokio::io::AsyncWrite + Send + Unpin> = match &self.output {
            Some(path) => {
                let file = tokio::fs::File::create(path).await;
                Box::new(file.during(format!("cannot create {path}"))?)
            }
            None => Box::new(tokio::io::stdout()),
        };
        while let Some(piece) = archive.next().await {
            output
                .write_all(&piece?)
                .await
                .during("cannot write the archive")?;
        }
        output.flush().await.during("cannot write the archive")?;
        Ok(0)
    }
}

impl Rm {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client().await?;
        for name in &self.images {
            let removed = client.image_remove(name, self.force, false).await;
            for step in removed.during(format!("cannot remove image `{name}`"))? {
                if let Some(name) = step.untagged {
                    context.ui.line(format!("Untagged: {name}"));
                }
                if let Some(id) = step.deleted {
                    context.ui.line(format!("Deleted: {id}"));
                }
            }
        }
        Ok(0)
    }
}

impl Tag {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client().await?;
        let tagged = client.image_tag(&self.source, &self.target).await;
        tagged.during(format!("cannot tag image `{}`", self.source))?;
        Ok(0)
    }
}

impl Inspect {
    async fn run(self, context: &Context) -> Outcome {
        let client = context.client().await?;
        let mut found = Vec::new();
        for name in &self.images {
            let image = client.image_inspect(name).await;
            found.push(image.during(format!("cannot look at image `{name}`"))?);
        }
        context.ui.line(serde_json::to_string_pretty(&found)?);
        Ok(0)
    }
}
