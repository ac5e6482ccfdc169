//! Files in and out of containers, whether they run or not.
//!
//! A container that runs is looked into through its own process, so everything mounted there is seen as it sees it. The
//! file system of one that does not is put together for the moment, and the container is kept from starting meanwhile:
//! an overlay must not be mounted twice.

use std::io::{PipeReader, PipeWriter};
use std::sync::Arc;

use bowline_image::files::{
    Extraction, FileKind, Found, Mounted, Owner, Stat, TreeError, View, ViewError,
};
use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Engine;
use crate::container::{Handle, Message};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{ContainerRecord, MountKind};

/// A file of a container, in the API's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PathStat {
    /// The last part of its path.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Type and permissions as Go's `os.FileMode` has them.
    pub mode: u32,
    /// Time of the last modification, RFC 3339.
    pub mtime: String,
    /// Where a link leads.
    pub link_target: String,
}

/// An archive that is being made; the task ends with it, and says whether it is whole.
#[derive(Debug)]
pub struct Outgoing {
    /// The archive.
    pub tar: pipe::Receiver,
    /// Who makes it.
    pub made: JoinHandle<Result<()>>,
}

/// How an archive is put into a container.
#[derive(Clone, Copy, Debug, Default)]
pub struct CopyIn {
    /// A file does not take a folder's place, nor the other way round.
    pub keep_kinds: bool,
    /// What is copied belongs to the container's user.
    pub to_user: bool,
}

impl Engine {
    /// `HEAD /containers/{id}/archive`.
    ///
    /// # Errors
    /// 404 for the container or the path.
    pub async fn container_look_at(self: &Arc<Self>, id: &str, path: &str) -> Result<PathStat> {
        let (name, path) = (id.to_owned(), absolute(path));
        self.in_view(id, move |view| look(view, &path, &name)).await
    }

    /// `GET /containers/{id}/archive`.
    ///
    /// # Errors
    /// As for [`Engine::container_look_at`].
    pub async fn container_copy_out(
        self: &Arc<Self>,
        id: &str,
        path: &str,
    ) -> Result<(PathStat, Outgoing)> {
        let (name, path) = (id.to_owned(), absolute(path));
        let (tar, writer) = outgoing()?;
        let (found, looked) = oneshot::channel();
        let (engine, id) = (Arc::clone(self), id.to_owned());
        let record = self.containers().find(&id)?.record();
        let made = tokio::spawn(async move {
            let pack = move |view: &View| {
                match look(view, &path, &name) {
                    // Whoever asked has left: then nobody wants the archive either.
                    Ok(stat) => drop(found.send(Ok(stat))),
                    Err(error) => {
                        drop(found.send(Err(error.clone())));
                        return Err(error);
                    }
                }
                view.pack(&path, writer).map_err(|error| failed(&error))
            };
            engine.in_view(&id, pack).await
        });
        let Ok(stat) = looked.await else {
            return Err(match made.await {
                Ok(Err(error)) => error,
                _ => Error::internal("nobody looked at the file"),
            });
        };
        let stat = stat?;
        self.path_event("archive-path", &record, path_of(&stat));
        Ok((stat, Outgoing { tar, made }))
    }

    /// `PUT /containers/{id}/archive`.
    ///
    /// # Errors
    /// 404 for the container or the path, 400 where that is no folder or the archive is damaged.
    pub async fn container_copy_in(
        self: &Arc<Self>,
        id: &str,
        path: &str,
        how: CopyIn,
        mut body: impl AsyncRead + Unpin + Send,
    ) -> Result<()> {
        let (name, path) = (id.to_owned(), absolute(path));
        let record = self.containers().find(id)?.record();
        let user = record.config.user.clone();
        let (reader, writer) = pipes()?;
        let mut writer = pipe::Sender::from_owned_fd(writer.into())
            .map_err(|error| Error::failed("open a pipe", &error))?;
        let event = path.clone();
        let extract = move |view: &View| put(view, &path, &name, how, &user, reader);
        let feed = async move {
            // A reader that has failed closes its end; what is still to come is read all the same, for a client that
            // cannot send does not listen.
            let copied = tokio::io::copy(&mut body, &mut writer).await;
            drop(writer.shutdown().await);
            drop(writer);
            if copied.is_err() {
                drop(tokio::io::copy(&mut body, &mut tokio::io::sink()).await);
            }
        };
        let (result, ()) = tokio::join!(self.in_view(id, extract), feed);
        result?;
        self.path_event("extract-to-dir", &record, &event);
        Ok(())
    }

    /// `GET /containers/{id}/export`: the root as one archive, without what is mounted in it.
    ///
    /// # Errors
    /// 404.
    pub async fn container_export(self: &Arc<Self>, id: &str) -> Result<Outgoing> {
        let handle = self.containers().find(id)?;
        let record = handle.record();
        let (tar, writer) = outgoing()?;
        let engine = Arc::clone(self);
        let made = tokio::spawn(async move {
            let busy = engine.busy();
            let still = engine.keep_as_it_is(&handle).await?;
            let record = handle.record();
            let work = move || {
                let view = engine.root_of(&record)?;
                view.export(writer).map_err(|error| failed(&error))
            };
            let done = blocking(work).await;
            drop((still, busy));
            done
        });
        self.events()
            .publish("container", "export", &record.id, record.event_attributes());
        Ok(Outgoing { tar, made })
    }

    fn root_of(&self, record: &ContainerRecord) -> Result<View> {
        let seen = |error: std::io::Error| Error::failed("open the container's root", &error);
        if record.phase.is_alive() {
            return View::root_of_process(record.run.pid).map_err(seen);
        }
        let snapshot = self.snapshot_of(record)?;
        let stack: Vec<_> = std::iter::once(snapshot.upper)
            .chain(snapshot.lowers)
            .collect();
        View::of_layers(&stack).map_err(|error| view_failed(&error))
    }

    fn snapshot_of(&self, record: &ContainerRecord) -> Result<bowline_image::Snapshot> {
        let image = record.image.parse();
        let image = image
            .map_err(|error: bowline_image::DigestError| Error::failed("read the image", &error))?;
        let folder = self.settings().roots.container(&record.id);
        Ok(self.images().snapshot(&image, &folder)?)
    }

    /// Runs `work` on a container's file system.
    async fn in_view<T: Send + 'static>(
        self: &Arc<Self>,
        id: &str,
        work: impl FnOnce(&View) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let busy = self.busy();
        let handle = self.containers().find(id)?;
        let still = self.keep_as_it_is(&handle).await?;
        let record = handle.record();
        let done = if record.phase.is_alive() {
            let pid = record.run.pid;
            blocking(move || {
                let view = View::of_process(pid);
                let view = view.map_err(|error| Error::failed("look into the container", &error));
                work(&view?)
            })
            .await
        } else {
            let volumes = self.hold_volumes(&record).await?;
            let engine = Arc::clone(self);
            let done = blocking(move || engine.offline(&record, work)).await;
            drop(volumes);
            done
        };
        drop((still, busy));
        done
    }

    fn offline<T: Send>(
        &self,
        record: &ContainerRecord,
        work: impl FnOnce(&View) -> Result<T> + Send,
    ) -> Result<T> {
        let snapshot = self.snapshot_of(record)?;
        let mounts: Vec<Mounted> = record
            .mounts
            .iter()
            // Memory is there only while the container is.
            .filter(|point| matches!(point.kind, MountKind::Bind | MountKind::Volume))
            .map(|point| Mounted {
                source: point.source.clone(),
                subpath: (&point.subpath).into(),
                on: point.destination.clone(),
                writable: point.writable,
            })
            .collect();
        let done = View::offline(&snapshot, record.host.readonly_rootfs, &mounts, work);
        done.map_err(|error| view_failed(&error))?
    }

    /// A container that does not run does not start until this is dropped.
    async fn keep_as_it_is(&self, handle: &Handle) -> Result<Option<oneshot::Sender<()>>> {
        if handle.record().phase.is_alive() {
            return Ok(None);
        }
        let (release, until) = oneshot::channel();
        handle.ask(|reply| Message::Idle { until, reply }).await?;
        Ok(Some(release))
    }

    fn path_event(&self, action: &str, record: &ContainerRecord, path: &str) {
        let mut attributes = record.event_attributes();
        attributes.insert("path".into(), path.into());
        self.events()
            .publish("container", action, &record.id, attributes);
    }
}

fn path_of(stat: &PathStat) -> &str {
    &stat.name
}

/// The path from the root, its end kept: `/.` and `/` there mean something.
fn absolute(path: &str) -> String {
    match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    }
}

fn look(view: &View, path: &str, name: &str) -> Result<PathStat> {
    let found = view
        .stat(path)
        .map_err(|error| missing(&error, path, name))?;
    Ok(shown(&found))
}

fn put(
    view: &View,
    path: &str,
    name: &str,
    how: CopyIn,
    user: &str,
    archive: PipeReader,
) -> Result<()> {
    let folder = view.is_directory(path);
    if !folder.map_err(|error| missing(&error, path, name))? {
        return Err(Error::invalid("extraction point is not a directory"));
    }
    let owner = (how.to_user && !user.is_empty())
        .then(|| owner(view, user))
        .transpose()?;
    let how = Extraction {
        keep_kinds: how.keep_kinds,
        owner,
    };
    view.extract(path, archive, &how)
        .map_err(|error| failed(&error))
}

fn missing(error: &TreeError, path: &str, name: &str) -> Error {
    match error.kind() {
        bowline_image::ErrorKind::NotFound => Error::not_found(format!(
            "Could not find the file {path} in container {name}"
        )),
        _ => failed(error),
    }
}

fn failed(error: &TreeError) -> Error {
    let read_only = matches!(error, TreeError::Entry { source, .. }
        if source.kind() == std::io::ErrorKind::ReadOnlyFilesystem);
    if read_only {
        return Error::invalid("container rootfs or mounted volume is marked read-only");
    }
    let kind = match error.kind() {
        bowline_image::ErrorKind::Internal => ErrorKind::Internal,
        _ => ErrorKind::Invalid,
    };
    Error::new(kind, crate::error::chain(error))
}

fn view_failed(error: &ViewError) -> Error {
    Error::failed("put the container's file system together", error)
}

/// The user as the container's own files name it: `name`, `uid`, either with `:group`.
fn owner(view: &View, user: &str) -> Result<Owner> {
    let (name, group) = user.split_once(':').unwrap_or((user, ""));
    let unknown = |what: &str| Error::invalid(format!("no matching entries in {what} file"));
    let passwd = view.read("/etc/passwd").unwrap_or_default();
    let entry = entry(&passwd, name);
    let number = |fields: &[&str], at: usize| fields.get(at).and_then(|text| text.parse().ok());
    let uid = entry.as_deref().and_then(|fields| number(fields, 2));
    let uid = uid
        .or_else(|| name.parse().ok())
        .ok_or_else(|| unknown("passwd"))?;
    let gid = match group {
        "" => entry.and_then(|fields| number(&fields, 3)).unwrap_or(0),
        group => {
            let text = view.read("/etc/group").unwrap_or_default();
            let found = self::entry(&text, group).and_then(|fields| number(&fields, 2));
            found
                .or_else(|| group.parse().ok())
                .ok_or_else(|| unknown("group"))?
        }
    };
    Ok(Owner { uid, gid })
}

fn entry<'t>(text: &'t str, name: &str) -> Option<Vec<&'t str>> {
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| {
        fields.first() == Some(&name)
            || fields.get(2) == Some(&name) && name.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn shown(found: &Found) -> PathStat {
    let modified = found.stat.modified;
    let nanoseconds = i32::try_from(modified.nanoseconds).unwrap_or(0);
    let time = jiff::Timestamp::new(modified.seconds, nanoseconds).unwrap_or_default();
    PathStat {
        name: found.name.clone(),
        size: found.stat.size,
        mode: go_mode(&found.stat),
        mtime: time.to_string(),
        link_target: found
            .link_target
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default(),
    }
}

/// Go keeps types in the topmost bits, and what Unix has above the permissions there, too.
fn go_mode(stat: &Stat) -> u32 {
    const DIRECTORY: u32 = 1 << 31;
    const SYMLINK: u32 = 1 << 27;
    const DEVICE: u32 = 1 << 26;
    const FIFO: u32 = 1 << 25;
    const SOCKET: u32 = 1 << 24;
    const CHARACTER: u32 = 1 << 21;
    let kind = match stat.kind {
        FileKind::Directory => DIRECTORY,
        FileKind::Symlink => SYMLINK,
        FileKind::Block => DEVICE,
        FileKind::Character => DEVICE | CHARACTER,
        FileKind::Fifo => FIFO,
        FileKind::Socket => SOCKET,
        FileKind::File | FileKind::Unknown => 0,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let special = special
        .iter()
        .filter(|(unix, _)| stat.mode & unix != 0)
        .fold(0, |all, (_, go)| all | go);
    kind | special | stat.mode & 0o777
}

fn pipes() -> Result<(PipeReader, PipeWriter)> {
    std::io::pipe().map_err(|error| Error::failed("open a pipe", &error))
}

fn outgoing() -> Result<(pipe::Receiver, PipeWriter)> {
    let (reader, writer) = pipes()?;
    let reader = pipe::Receiver::from_owned_fd(reader.into());
    let reader = reader.map_err(|error| Error::failed("open a pipe", &error))?;
    Ok((reader, writer))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::failed("copy files", &error))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number() {
        let passwd = "root:x:0:0::/:/bin/sh\nweb:x:33:34::/:/bin/false\n";
        assert_eq!(entry(passwd, "web").unwrap()[2], "33");
        assert_eq!(entry(passwd, "33").unwrap()[0], "web");
        assert_eq!(entry(passwd, "x"), None);
    }

    #[test]
    fn paths_keep_their_ends() {
        assert_eq!(absolute("a/."), "/a/.");
        assert_eq!(absolute("/a/"), "/a/");
    }
}
