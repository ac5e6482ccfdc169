//! An image made of files at hand: the built-in one.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Result;
use crate::config::{HistoryRecord, ImageConfig, ImageFile, RootFs};
use crate::digest::Digest;
use crate::error::{Context, Error};
use crate::layer;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::{Image, NewImage, StagedLayer, Store};

/// A file of the new image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Where it goes, from the top.
    pub path: PathBuf,
    /// What it is.
    pub kind: NewFileKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
}

/// What a new file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewFileKind {
    /// A directory.
    Directory,
    /// A file with the contents of this one on the host.
    Copy(PathBuf),
    /// A file with these contents.
    Contents(Vec<u8>),
    /// A symbolic link to this path.
    Symlink(PathBuf),
    /// Another name of this file, which came earlier.
    HardLink(PathBuf),
}

impl Store {
    /// Makes an image of one layer with these files, for this machine. Blocks while it copies.
    pub fn create_from_files(
        &self,
        reference: &Reference,
        files: &[NewFile],
        config: ImageConfig,
    ) -> Result<Image> {
        let layer = self
            .stage_files(files)
            .map_err(|error| error.telling_full(&self.0.root))?;
        let step = HistoryRecord {
            created_by: "built in".to_owned(),
            ..HistoryRecord::default()
        };
        self.commit_single(layer, config, step, Some(reference))
    }

    /// Makes an image for this machine of one layer.
    pub(crate) fn commit_single(
        &self,
        layer: StagedLayer,
        config: ImageConfig,
        step: HistoryRecord,
        reference: Option<&Reference>,
    ) -> Result<Image> {
        let machine = Platform::host();
        let now = Some(self.0.now());
        let file = ImageFile {
            architecture: machine.architecture,
            os: machine.os,
            variant: machine.variant.unwrap_or_default(),
            created: now.clone(),
            comment: step.comment.clone(),
            config,
            rootfs: RootFs {
                diff_ids: vec![layer.diff_id.clone()],
                ..RootFs::default()
            },
            history: vec![HistoryRecord {
                created: now,
                ..step
            }],
            ..ImageFile::default()
        };
        let config = serde_json::to_vec(&file).map_err(|source| Error::Config {
            id: Digest::of(b""),
            source,
        })?;
        let _pins = self.pin(std::slice::from_ref(&layer.diff_id));
        let names = reference.cloned().into_iter().collect();
        self.commit(&NewImage {
            config,
            layers: vec![Arc::new(layer)],
            names,
            manifests: vec![],
        })
    }

    fn stage_files(&self, files: &[NewFile]) -> Result<StagedLayer> {
        let pipe = Path::new("(pipe)");
        let (reader, writer) = std::io::pipe().file("open", pipe)?;
        let time = jiff::Timestamp::try_from((self.0.settings.now)()).unwrap_or_default();
        let time = u64::try_from(time.as_second()).unwrap_or(0);
        std::thread::scope(|scope| {
            let written = scope.spawn(move || write_tar(files, time, writer));
            let staged = layer::stage(&self.0, reader);
            match written.join() {
                // Whoever failed first is the reason of the other: a reader that stopped breaks the writer's pipe, a
                // writer that stopped leaves the reader half an archive.
                Ok(Err(written)) if !is_broken_pipe(&written) => Err(written),
                Ok(_) => staged.map(|(layer, _)| layer),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    matches!(error, Error::File { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe)
}

fn write_tar(files: &[NewFile], time: u64, out: impl Write) -> Result<()> {
    let mut tar = tar::Builder::new(out);
    for file in files {
        append(&mut tar, file, time)?;
    }
    tar.finish()
        .file("finish the archive for", Path::new("the new layer"))
}

fn append(tar: &mut tar::Builder<impl Write>, file: &NewFile, time: u64) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(file.mode);
    header.set_uid(file.owner.0.into());
    header.set_gid(file.owner.1.into());
    header.set_mtime(time);
    let path = file.path.strip_prefix("/").unwrap_or(&file.path);
    let done = match &file.kind {
        NewFileKind::Copy(source) => {
            let contents = File::open(source).file("open", source)?;
            header.set_size(contents.metadata().file("stat", source)?.len());
            tar.append_data(&mut header, path, contents)
        }
        NewFileKind::Contents(contents) => {
            header.set_size(contents.len() as u64);
            tar.append_data(&mut header, path, &contents[..])
        }
        NewFileKind::Directory => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            tar.append_data(&mut header, path, &[][..])
        }
        NewFileKind::Symlink(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, path, target)
        }
        NewFileKind::HardLink(target) => {
            header.set_entry_type(tar::EntryType::Link);
            header.set_size(0);
            tar.append_link(
                &mut header,
                path,
                target.strip_prefix("/").unwrap_or(target),
            )
        }
    };
    done.file("add to the new layer", &file.path)
}
