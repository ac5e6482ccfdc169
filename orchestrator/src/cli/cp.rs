//! `cp`: files between this machine and a container or a service.

use std::io::{self, PipeReader, PipeWriter};
use std::path::{Path, PathBuf};

use bowline_client::{ByteStream, Client};
use clap::Args;
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;

use super::containers::{Labelled, list};
use super::context::Context;
use super::cp_files::{pack, unpack};
use super::cp_paths::{End, There, split, way};
use crate::ui::{Failure, Outcome, WithContext as _, bytes};

/// `cp`
#[derive(Args, Clone, Debug)]
pub(super) struct Cp {
    /// `SERVICE:PATH`, `CONTAINER:PATH`, a path of this machine, or `-` for a tar from standard input
    source: String,
    /// The same; `-` is a tar to standard output
    target: String,
    /// Keep who files belong to: in the container they become those of its user
    #[arg(short, long)]
    archive: bool,
    /// Copy what a link leads to instead of the link
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Which container of the service, by number; all of them by default for copies in, the first for copies out
    #[arg(long, value_name = "N")]
    index: Option<u32>,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
}

impl Cp {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match (End::parse(&self.source), End::parse(&self.target)) {
            (End::In(..), End::In(..)) => Err(Failure::usage(
                "copying between containers is not supported",
            )),
            (End::Here(_), End::Here(_)) => Err(Failure::usage(
                "one of the two paths must be in a container: write it as `SERVICE:PATH`",
            )),
            (End::In(name, path), End::Here(target)) => {
                self.copy_out(context, &name, &path, &target).await
            }
            (End::Here(source), End::In(name, path)) => {
                self.copy_in(context, &source, &name, &path).await
            }
        }
    }

    async fn copy_out(&self, context: &Context, name: &str, path: &str, target: &str) -> Outcome {
        let client = context.client().await?;
        let containers = containers(context, &client, name, self.index).await?;
        let id = containers.first().cloned().unwrap_or_default();
        let mut path = path.to_owned();
        let mut as_name = None;
        let looked = |path: &str| format!("cannot copy `{name}:{path}`");
        if self.follow_link {
            let stat = client
                .container_path(&id, &path)
                .await
                .during(looked(&path))?;
            if stat.is_link() {
                as_name = Some(split(&path).1);
                path = stat.link_target;
            }
        }
        let (stat, tar) = client
            .container_copy_out(&id, &path)
            .await
            .during(looked(&path))?;
        if target == "-" {
            return stream_out(tar).await;
        }
        let there = there(Path::new(target));
        let mut way = way(&path, stat.is_directory(), target, there).during("cannot copy")?;
        if let (Some(as_name), None) = (as_name, &way.rename) {
            way.rename = Some((split(&path).1, as_name));
        }
        let folder = PathBuf::from(&way.folder);
        if !folder.is_dir() {
            let what = format!("the folder `{}` does not exist", folder.display());
            return Err(Failure::new(what));
        }
        let (reader, writer) = io::pipe().during("cannot open a pipe")?;
        let unpacked = tokio::task::spawn_blocking(move || unpack(reader, &folder, &way));
        feed(tar, writer).await?;
        let size = unpacked
            .await
            .during("cannot unpack")?
            .during("cannot unpack")?;
        self.done(context, size, target);
        Ok(0)
    }

    async fn copy_in(&self, context: &Context, source: &str, name: &str, path: &str) -> Outcome {
        let client = context.client().await?;
        let containers = containers(context, &client, name, self.index).await?;
        for id in &containers {
            self.copy_in_one(context, &client, source, id, path).await?;
        }
        Ok(0)
    }

    async fn copy_in_one(
        &self,
        context: &Context,
        client: &Client,
        source: &str,
        id: &str,
        path: &str,
    ) -> Outcome<()> {
        let (target, there) = target(client, id, path).await?;
        if source == "-" {
            if there != There::Folder {
                return Err(Failure::new(format!(
                    "destination `{id}:{path}` must be a directory"
                )));
            }
            let done = client.container_copy_in(id, &target, self.archive, tokio::io::stdin());
            return done.await.during(format!("cannot copy to `{id}:{path}`"));
        }
        let found = local(source, self.follow_link)?;
        let way = way(source, found.is_folder, &target, there).during("cannot copy")?;
        let (reader, writer) = io::pipe().during("cannot open a pipe")?;
        let (from, own) = (found.path.clone(), split(source).1);
        let folder = way.folder.clone();
        let packed = tokio::task::spawn_blocking(move || pack(&from, &own, &way, writer));
        let reader = receiver(reader)?;
        let done = client
            .container_copy_in(id, &folder, self.archive, reader)
            .await;
        // What could not be read is the reason, not that the archive then ended.
        let size = packed.await.during("cannot pack")?;
        let size = match (size, done) {
            (Err(error), _) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(error).during(format!("cannot read `{source}`"));
            }
            (size, done) => {
                done.during(format!("cannot copy to `{id}:{path}`"))?;
                size.unwrap_or(0)
            }
        };
        self.done(context, size, &format!("{id}:{path}"));
        Ok(())
    }

    fn done(&self, context: &Context, size: u64, target: &str) {
        if !self.quiet {
            context
                .ui
                .note(format!("Successfully copied {} to {target}", bytes(size)));
        }
    }
}

/// What is copied from this machine.
struct Local {
    path: PathBuf,
    is_folder: bool,
}

fn local(source: &str, follow: bool) -> Outcome<Local> {
    let path = PathBuf::from(source);
    let missing = || format!("cannot copy `{source}`");
    // A slash at the end follows a link by itself, as everywhere.
    let path = match follow {
        true => path.canonicalize().during(missing())?,
        false => path,
    };
    let meta = path.symlink_metadata().during(missing())?;
    let asserted = super::cp_paths::asserts_folder(source);
    if asserted && !meta.is_dir() {
        return Err(Failure::new(format!("`{source}` is not a directory")));
    }
    Ok(Local {
        path,
        is_folder: meta.is_dir(),
    })
}

fn there(path: &Path) -> There {
    match path.metadata() {
        Ok(meta) if meta.is_dir() => There::Folder,
        Ok(_) => There::File,
        Err(_) => There::Nothing,
    }
}

/// What a path in a container leads to, and what is there.
async fn target(client: &Client, id: &str, path: &str) -> Outcome<(String, There)> {
    let mut path = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    };
    let mut found = client.container_path(id, &path).await;
    if let Ok(stat) = &found
        && stat.is_link()
    {
        path = match stat.link_target.starts_with('/') {
            true => stat.link_target.clone(),
            false => format!("{}/{}", split(&path).0, stat.link_target),
        };
        found = client.container_path(id, &path).await;
    }
    match found {
        Ok(stat) if stat.is_directory() => Ok((path, There::Folder)),
        Ok(_) => Ok((path, There::File)),
        Err(error) if error.is_not_found() => Ok((path, There::Nothing)),
        Err(error) => Err(error).during(format!("cannot look at `{id}:{path}`")),
    }
}

/// The containers a name means: those of the project's service, or else a container.
async fn containers(
    context: &Context,
    client: &Client,
    name: &str,
    index: Option<u32>,
) -> Outcome<Vec<String>> {
    // Without a project the name can only be a container's.
    let found = match context.scope(&[]) {
        Ok(scope) => list(client, &scope.name, true, &[name.to_owned()]).await,
        Err(_) => Ok(Vec::new()),
    };
    let mut found = found.unwrap_or_default();
    found.retain(|one| one.service() == name && !one.is_one_off());
    found.sort_by_key(Labelled::number);
    let chosen: Vec<String> = found
        .into_iter()
        .filter(|one| index.is_none_or(|index| index == one.number()))
        .map(|one| one.id)
        .collect();
    match chosen.is_empty() {
        true => Ok(vec![name.to_owned()]),
        false => Ok(chosen),
    }
}

async fn stream_out(mut tar: ByteStream) -> Outcome {
    let mut out = tokio::io::stdout();
    while let Some(piece) = tar.next().await {
        out.write_all(&piece?).await?;
    }
    out.flush().await?;
    Ok(0)
}

/// Whoever unpacks may stop early; then it says why.
async fn feed(mut tar: ByteStream, writer: PipeWriter) -> Outcome<()> {
    let writer = pipe::Sender::from_owned_fd(writer.into());
    let mut writer = writer.during("cannot open a pipe")?;
    while let Some(piece) = tar.next().await {
        if writer.write_all(&piece?).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn receiver(reader: PipeReader) -> Outcome<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(reader.into()).during("cannot open a pipe")
}
