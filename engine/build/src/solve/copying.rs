//! `COPY`, `ADD`, `WORKDIR` and files that stand in the Dockerfile.

use std::path::Path;
use std::sync::Arc;

use bowline_image::Digest;
use bowline_sys::root::FileKind;

use super::step::{Look, Step, blocking};
use super::trees::{Layered, Selected};
use super::{Done, Inputted, Solve, Stopped};
use crate::copy::select::{Picked, select};
use crate::copy::{Canvas, CopyError, Laying, Linking, Owner, lay, shown};
use crate::failure::StepError;
use crate::graph::{Copy, InlineFile, MakeDir, Op, VertexId};
use crate::key::Key;
use crate::tree::Tree;
use crate::why::{File, Seen};

/// How often a copy begins anew when files change under it.
pub(super) const TRIES: usize = 5;

/// A copy, decided: what is laid, and the step it is.
struct Prepared {
    step: Step,
    sources: Vec<Source>,
    seen: Seen,
    /// Keeps a base that had to be made of a folder.
    #[expect(dead_code, reason = "it is there to be dropped")]
    base: Layered,
}

struct Source {
    tree: Arc<Tree>,
    picked: Option<Vec<Picked>>,
}

impl Solve {
    pub(super) async fn files_step(
        self: &Arc<Self>,
        id: VertexId,
        inputs: &Inputted,
    ) -> Result<Done, Stopped> {
        let inputs = Arc::new(Inputted(inputs.0.clone()));
        for _ in 0..TRIES {
            match self.try_files_step(id, &inputs).await {
                // Somebody saves files while they are read: look again, for what is copied must be what was hashed.
                Err(Stopped {
                    error: StepError::Copy(CopyError::Changed { .. }),
                    ..
                }) => {
                    for done in inputs.0.values() {
                        if let Some(tree) = &done.context {
                            tree.look_again();
                        }
                    }
                }
                other => return other,
            }
        }
        self.try_files_step(id, &inputs).await
    }

    async fn try_files_step(
        self: &Arc<Self>,
        id: VertexId,
        inputs: &Arc<Inputted>,
    ) -> Result<Done, Stopped> {
        let (solve, given) = (Arc::clone(self), Arc::clone(inputs));
        let prepared = blocking(move || Ok(solve.prepare(id, &given)?)).await?;
        let _held = match self.look(&prepared.step).await? {
            Look::Found(done) => return Ok(done),
            Look::Missing(held) => held,
        };
        let _place = self.work_place().await?;
        let (solve, given) = (Arc::clone(self), Arc::clone(inputs));
        blocking(move || solve.do_files(prepared, &given)).await
    }

    /// The result that a step is laid over, as layers.
    pub(super) fn below(
        &self,
        base: VertexId,
        inputs: &Inputted,
    ) -> Result<(Arc<Done>, Layered), StepError> {
        let done = inputs.get(base)?;
        let layered = self.as_layers(done, "/")?;
        if done.context.is_none() {
            return Ok((Arc::clone(done), layered));
        }
        let done = Done {
            hold: layered.hold.clone(),
            ..Done::new(layered.layers.clone())
        };
        Ok((Arc::new(done), layered))
    }

    fn prepare(&self, id: VertexId, inputs: &Inputted) -> Result<Prepared, StepError> {
        let vertex = self.graph.vertex(id);
        let (below, base) = match vertex.op.base() {
            Some(base) => self.below(base, inputs)?,
            None => {
                let nothing = Layered {
                    layers: Vec::new(),
                    hold: None,
                };
                (Arc::new(Done::new(Vec::new())), nothing)
            }
        };
        let mut key = Key::new("files");
        let mut sources = Vec::new();
        let mut seen = self.seen(id, inputs);
        let mut apart = false;
        match &vertex.op {
            Op::Files(files) => key.value(files),
            Op::MakeDir(dir) => key.value(&(&dir.path, dir.mode, &dir.owner)),
            Op::Copy(copy) => {
                apart = copy.link;
                key.value(&(&copy.dest, &copy.chown, &copy.chmod, copy.link));
                if apart {
                    self.surroundings(copy, &below.layers, &mut key)?;
                }
                seen.facts
                    .insert("--chown".to_owned(), format!("{:?}", copy.chown));
                seen.facts
                    .insert("--chmod".to_owned(), format!("{:?}", copy.chmod));
                sources = self.sources(copy, inputs, &mut key, &mut seen)?;
            }
            _ => return Err(StepError::Broken),
        }
        key.digests(if apart { &[] } else { &below.layers });
        let parents = vertex.op.inputs();
        let parents = parents
            .iter()
            .filter_map(|input| inputs.0.get(input)?.key.clone());
        Ok(Prepared {
            step: Step {
                id,
                key: key.finish(),
                apart,
                parents: parents.collect(),
                below,
            },
            sources,
            seen,
            base,
        })
    }

    /// What a linked copy depends on of the tree below it: where its destination really is, and what the folders on the
    /// way look like. So it gives what a plain copy gives, and still fits over every base that looks the same there.
    fn surroundings(&self, copy: &Copy, layers: &[Digest], key: &mut Key) -> Result<(), StepError> {
        let empty = self.builder.0.store.scratch(&[])?;
        let canvas = self.canvas(empty.upper(), layers)?;
        let dest = canvas
            .locate(Path::new(&copy.dest))
            .map_err(StepError::Tree)?;
        for path in dest.ancestors() {
            let found = canvas.stat(path).map_err(StepError::Tree)?;
            let looks = found.map(|stat| (stat.kind, stat.mode, stat.uid, stat.gid));
            key.value(&(path, looks));
        }
        if let Some(text) = &copy.chown {
            key.value(&self.owner(text, copy.base, layers)?);
        }
        Ok(())
    }

    fn sources(
        &self,
        copy: &Copy,
        inputs: &Inputted,
        key: &mut Key,
        seen: &mut Seen,
    ) -> Result<Vec<Source>, StepError> {
        let mut sources = Vec::new();
        for source in &copy.sources {
            let done = inputs.get(source.from)?;
            let Selected {
                tree,
                picked,
                digest,
            } = self.selected(done, source, &copy.exclude, false)?;
            key.value(&(source.unpack, source.parents.is_some()));
            key.text(digest.hex());
            match &picked {
                Some(picked) if done.context.is_some() => note(picked, seen),
                _ => drop(
                    seen.facts
                        .insert(format!("{} in its stage", source.path), digest.to_string()),
                ),
            }
            sources.push(Source { tree, picked });
        }
        Ok(sources)
    }

    /// What is told of a step when it is compared with its last run.
    pub(super) fn seen(&self, id: VertexId, inputs: &Inputted) -> Seen {
        let vertex = self.graph.vertex(id);
        let mut seen = Seen {
            instruction: instruction(&vertex.name).to_owned(),
            ..Seen::default()
        };
        if let Some(base) = vertex.op.base()
            && let Some(done) = inputs.0.get(&base)
        {
            let mut key = Key::new("base");
            key.digests(&done.layers);
            let (name, value) = match &self.graph.vertex(base).op {
                Op::Image(image) => {
                    let short = image.reference.split('@').next().unwrap_or_default();
                    ("base image", format!("{short}@{}", key.finish()))
                }
                _ => ("base", key.finish().to_string()),
            };
            seen.facts.insert(name.to_owned(), value);
        }
        seen
    }

    fn do_files(&self, prepared: Prepared, inputs: &Inputted) -> Result<Done, Stopped> {
        self.begin(&prepared.step, &prepared.seen);
        let vertex = self.graph.vertex(prepared.step.id);
        let layers = prepared.step.layers().to_vec();
        let scratch = self.builder.0.store.scratch(&layers)?;
        let mut canvas = self.canvas(scratch.upper(), &layers)?;
        let inner = &self.builder.0;
        let mut linking = Linking::new(&inner.twins, &inner.store, &layers);
        match &vertex.op {
            Op::Files(files) => write_files(scratch.upper(), files).map_err(StepError::Tree)?,
            Op::MakeDir(dir) => self.make_dir(&mut canvas, dir, &layers)?,
            Op::Copy(copy) => {
                // What an archive says may change a file that came before it, so nothing is shared then.
                let unpacks = copy.sources.iter().any(|source| source.unpack);
                let linking = (!unpacks).then_some(&mut linking);
                self.copy(&mut canvas, copy, &prepared.sources, inputs, linking)?;
            }
            _ => return Err(StepError::Broken.into()),
        }
        drop(canvas);
        if self.cancel.is_cancelled() {
            return Err(StepError::Cancelled.into());
        }
        let laid = std::mem::take(&mut linking.laid);
        let done = self.complete(&prepared.step, scratch, &prepared.seen)?;
        if let Some(layer) = done.layers.last() {
            inner.twins.remember(layer, laid);
        }
        Ok(done)
    }

    fn layers_below(&self, base: VertexId, inputs: &Inputted) -> Result<Vec<Digest>, StepError> {
        Ok(self.below(base, inputs)?.1.layers)
    }

    fn make_dir(
        &self,
        canvas: &mut Canvas,
        dir: &MakeDir,
        layers: &[Digest],
    ) -> Result<(), StepError> {
        let owner = match dir.owner.as_str() {
            "" => None,
            text => Some(self.owner(text, dir.base, layers)?),
        };
        let path = canvas
            .locate(Path::new(&dir.path))
            .map_err(StepError::Tree)?;
        let made = canvas.make_dirs(&path, dir.mode, owner);
        made.map_err(|source| {
            CopyError::Io {
                step: "create",
                path: shown(&path),
                source,
            }
            .into()
        })
    }

    fn owner(
        &self,
        text: &str,
        base: VertexId,
        layers: &[Digest],
    ) -> Result<(u32, u32), StepError> {
        let owner = Owner::parse(text);
        let tree = match owner.named() {
            // Over nothing at all there is nobody to be named; elsewhere an unknown name is root.
            Some(name) if self.graph.vertex(base).op == Op::Scratch => {
                let name = name.to_owned();
                return Err(CopyError::NoNames { name }.into());
            }
            Some(_) => self.base_tree(layers)?,
            None => None,
        };
        owner.resolve(tree.as_ref()).map_err(StepError::Tree)
    }

    fn copy(
        &self,
        canvas: &mut Canvas,
        copy: &Copy,
        sources: &[Source],
        inputs: &Inputted,
        mut linking: Option<&mut Linking<'_>>,
    ) -> Result<(), StepError> {
        let below = self.layers_below(copy.base, inputs)?;
        let owner = match &copy.chown {
            Some(text) => Some(self.owner(text, copy.base, &below)?),
            None => None,
        };
        for (meant, source) in copy.sources.iter().zip(sources) {
            let found;
            let picked = match &source.picked {
                Some(picked) => picked,
                // The digest was known; now the files themselves are wanted.
                None => {
                    let tree = self.tree(inputs.get(meant.from)?)?;
                    found = select(&tree, meant, &copy.exclude)?;
                    &found
                }
            };
            for picked in picked {
                if self.cancel.is_cancelled() {
                    return Err(StepError::Cancelled);
                }
                let how = Laying {
                    dest: &copy.dest,
                    owner,
                    chmod: copy.chmod.as_ref(),
                    unpack: meant.unpack,
                };
                lay(canvas, &source.tree, picked, &how, linking.as_deref_mut())?;
            }
        }
        Ok(())
    }
}

/// `COPY a b` of `[web 2/5] COPY a b`.
pub(super) fn instruction(name: &str) -> &str {
    match name
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    {
        Some((_, instruction)) => instruction,
        None => name,
    }
}

fn note(picked: &[Picked], seen: &mut Seen) {
    for source in picked {
        for file in &source.files {
            let stat = &file.node.stat;
            let kind = match stat.kind {
                FileKind::Directory => 'd',
                FileKind::Symlink => 'l',
                FileKind::File => 'f',
                _ => 's',
            };
            // A directory that is only passed through says nothing of its own but its mode.
            let contents = file.content.as_ref();
            let contents = contents.map_or(String::new(), |content| {
                content.digest.hex()[..16].to_owned()
            });
            let path = file.node.path.to_string_lossy();
            let path = if path.is_empty() { ".".into() } else { path };
            if file.path.as_os_str().is_empty() && kind == 'd' {
                continue;
            }
            seen.files.insert(
                path.into_owned(),
                File {
                    kind,
                    mode: stat.mode,
                    owner: (stat.uid, stat.gid),
                    contents,
                },
            );
        }
    }
}

fn write_files(upper: &Path, files: &[InlineFile]) -> std::io::Result<()> {
    let dir = bowline_sys::root::Dir::open(upper)?;
    let mut canvas = Canvas::new(dir, None);
    for file in files {
        let path = canvas.locate(Path::new(&file.path))?;
        let (parent, name) = (path.parent(), path.file_name());
        let (Some(parent), Some(name)) = (parent, name) else {
            return Err(std::io::ErrorKind::InvalidInput.into());
        };
        canvas.make_dirs(parent, 0o755, None)?;
        let folder = canvas.folder(parent)?;
        folder.clear(name)?;
        let mut made = folder.upper.create_file(name, 0o600)?;
        std::io::Write::write_all(&mut made, &file.data)?;
        folder.upper.chmod(name, file.mode)?;
    }
    Ok(())
}
