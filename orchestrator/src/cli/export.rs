//! `export`, `commit`, `diff`: a container as an archive, as an image, and what it changed.

use std::io::IsTerminal as _;

use bowline_client::ContainerCommit;
use clap::Args;
use futures_util::StreamExt as _;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::context::Context;
use crate::ui::{Failure, Outcome, WithContext as _};

/// `export`
#[derive(Args, Clone, Debug)]
pub(super) struct Export {
    /// Container
    container: String,
    /// File to write; standard output if absent
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
}

/// `commit`
#[derive(Args, Clone, Debug)]
pub(super) struct Commit {
    /// Container
    container: String,
    /// Name of the image
    name: Option<String>,
    /// Who made it
    #[arg(short, long, default_value = "", hide_default_value = true)]
    author: String,
    /// Dockerfile instruction to apply, such as `CMD ["sh"]`
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    changes: Vec<String>,
    /// Message
    #[arg(short, long, default_value = "", hide_default_value = true)]
    message: String,
    /// Let the container go on meanwhile
    #[arg(long)]
    no_pause: bool,
}

/// `diff`
#[derive(Args, Clone, Debug)]
pub(super) struct Diff {
    /// Container
    container: String,
}

impl Export {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        if self.output.is_none() && std::io::stdout().is_terminal() {
            return Err(Failure::usage("an archive on a terminal helps nobody")
                .hint("name a file with `-o`, or send it on with a pipe"));
        }
        let client = context.client().await?;
        let tar = client.container_export(&self.container).await;
        let mut tar = tar.during(format!("cannot export `{}`", self.container))?;
        let mut out: Box<dyn AsyncWrite + Unpin> = match &self.output {
            Some(path) => {
                let file = tokio::fs::File::create(path).await;
                Box::new(file.during(format!("cannot write `{path}`"))?)
            }
            None => Box::new(tokio::io::stdout()),
        };
        while let Some(piece) = tar.next().await {
            out.write_all(&piece?).await?;
        }
        out.flush().await?;
        Ok(0)
    }
}

impl Commit {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client().await?;
        let commit = ContainerCommit {
            name: self.name,
            author: self.author,
            comment: self.message,
            changes: self.changes,
            pause: !self.no_pause,
        };
        let made = client.container_commit(&self.container, &commit).await;
        context
            .ui
            .line(made.during(format!("cannot commit `{}`", self.container))?);
        Ok(0)
    }
}

impl Diff {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client().await?;
        let changes = client.container_changes(&self.container).await;
        let changes = changes.during(format!("cannot look at `{}`", self.container))?;
        for change in changes {
            let letter = match change.kind {
                0 => 'C',
                1 => 'A',
                _ => 'D',
            };
            context.ui.line(format!("{letter} {}", change.path));
        }
        Ok(0)
    }
}
