//! Making an image of a container, and what a container changed.

use std::sync::Arc;

use bowline_api::{Config, ContainerChange};
use bowline_image::files::ChangeKind;
use bowline_image::{
    Auth, Commit, Empty, Healthcheck, ImageConfig, Progress, Pushed, Reference, ReferenceError,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::block_in_place;

use super::Engine;
use crate::container::{Handle, Message};
use crate::error::{Error, Result};
use crate::record::ContainerRecord;

/// What is asked for beside the container.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    /// Repository of the new image; empty for none.
    pub repository: String,
    /// Its tag.
    pub tag: String,
    /// Who made it.
    pub author: String,
    /// A remark.
    pub comment: String,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// The container stands still meanwhile.
    pub pause: bool,
    /// Takes the place of the container's configuration.
    pub config: Option<Config>,
}

impl Engine {
    /// `POST /commit`; answers the image's id.
    ///
    /// # Errors
    /// 404, a name or instruction that cannot be right, or the files cannot be read.
    pub async fn container_commit(
        self: &Arc<Self>,
        id: &str,
        options: CommitOptions,
    ) -> Result<String> {
        let _busy = self.busy();
        let handle = self.containers().find(id)?;
        let name = reference(&options)?;
        let still = match options.pause {
            true => Some(stand_still(&handle).await?),
            false => None,
        };
        let record = handle.record();
        let commit = self.commit_of(&record, options, name)?;
        let image = block_in_place(|| self.images().commit_container(&commit));
        drop(still);
        let image = image?;
        let mut attributes = record.event_attributes();
        let named = image.tags.first().map(Reference::familiar);
        attributes.insert("imageID".into(), image.id.to_string());
        attributes.insert("imageRef".into(), named.unwrap_or_default());
        self.events()
            .publish("container", "commit", &record.id, attributes);
        Ok(image.id.to_string())
    }

    fn commit_of(
        &self,
        record: &ContainerRecord,
        options: CommitOptions,
        name: Option<Reference>,
    ) -> Result<Commit> {
        let image = record.image.parse();
        let parent = image
            .map_err(|error: bowline_image::DigestError| Error::failed("read the image", &error))?;
        let folder = self.settings().roots.container(&record.id);
        // One that was never started has not written anything.
        let snapshot = block_in_place(|| self.images().snapshot(&parent, &folder))?;
        let mut config = record.config.clone();
        if let Some(asked) = options.config {
            config = over(asked, config);
        }
        let words = record.config.cmd.iter().flat_map(|list| list.iter());
        Ok(Commit {
            parent,
            upper: snapshot.upper,
            config: image_config(config),
            changes: options.changes,
            author: options.author,
            comment: options.comment,
            created_by: words.cloned().collect::<Vec<_>>().join(" "),
            name,
        })
    }

    /// `GET /containers/{id}/changes`.
    ///
    /// # Errors
    /// 404, or the files cannot be read.
    pub async fn container_changes(&self, id: &str) -> Result<Vec<ContainerChange>> {
        let _busy = self.busy();
        let record = self.containers().find(id)?.record();
        let found = block_in_place(|| {
            let image = record.image.parse();
            let image = image.map_err(|error: bowline_image::DigestError| {
                Error::failed("read the image", &error)
            })?;
            let folder = self.settings().roots.container(&record.id);
            let snapshot = self.images().snapshot(&image, &folder)?;
            Ok::<_, Error>(self.images().container_changes(&image, &snapshot.upper)?)
        })?;
        let shown = found.into_iter().map(|change| ContainerChange {
            path: change.path.to_string_lossy().into_owned(),
            kind: match change.kind {
                ChangeKind::Modified => 0,
                ChangeKind::Added => 1,
                ChangeKind::Deleted => 2,
            },
        });
        Ok(shown.collect())
    }
}

/// Sending images away.
impl Engine {
    /// `POST /images/{name}/push`: one tag, or all that the repository has here.
    ///
    /// # Errors
    /// No such image, or the registry's.
    pub async fn image_push(
        &self,
        repository: &str,
        tag: &str,
        auth: Option<Auth>,
        progress: mpsc::Sender<Progress>,
    ) -> Result<Vec<Pushed>> {
        let _busy = self.busy();
        let invalid = |error: ReferenceError| Error::invalid(error.to_string());
        let whole: Reference = repository.parse().map_err(invalid)?;
        let names = match tag {
            "" => self.tags_of(&whole)?,
            tag => vec![whole.with_tag(tag).map_err(invalid)?],
        };
        if names.is_empty() {
            return Err(Error::not_found(format!(
                "An image does not exist locally with the tag: {repository}"
            )));
        }
        let mut pushed = Vec::new();
        for name in names {
            let one = self.images().push(&name, auth.clone(), progress.clone());
            let one = one.await.map_err(|error| match error.kind() {
                bowline_image::ErrorKind::NotFound => Error::not_found(format!(
                    "An image does not exist locally with the tag: {repository}"
                )),
                _ => error.into(),
            })?;
            let familiar = name.familiar();
            let attributes = [("name".to_owned(), name.familiar_repository())];
            self.events()
                .publish("image", "push", &familiar, attributes.into());
            pushed.push(one);
        }
        Ok(pushed)
    }

    fn tags_of(&self, repository: &Reference) -> Result<Vec<Reference>> {
        let images = block_in_place(|| self.images().list())?;
        let tags = images.into_iter().flat_map(|image| image.tags);
        Ok(tags
            .filter(|tag| tag.repository() == repository.repository())
            .collect())
    }
}

async fn stand_still(handle: &Handle) -> Result<oneshot::Sender<()>> {
    let (release, until) = oneshot::channel();
    handle.ask(|reply| Message::Still { until, reply }).await?;
    Ok(release)
}

fn reference(options: &CommitOptions) -> Result<Option<Reference>> {
    if options.repository.is_empty() {
        return Ok(None);
    }
    let text = match options.tag.as_str() {
        "" => options.repository.clone(),
        tag => format!("{}:{tag}", options.repository),
    };
    let parsed = text.parse();
    parsed
        .map(Some)
        .map_err(|error: ReferenceError| Error::invalid(error.to_string()))
}

/// What was asked for, and where it says nothing, what the container has.
fn over(mut asked: Config, own: Config) -> Config {
    fn text(asked: &mut String, own: String) {
        if asked.is_empty() {
            *asked = own;
        }
    }
    text(&mut asked.user, own.user);
    text(&mut asked.working_dir, own.working_dir);
    text(&mut asked.stop_signal, own.stop_signal);
    if asked.entrypoint.is_none() {
        asked.entrypoint = own.entrypoint;
        asked.cmd = asked.cmd.or(own.cmd);
    }
    for entry in own.env {
        let name = entry.split('=').next().unwrap_or_default();
        let same = |have: &String| have.split('=').next() == Some(name);
        if !asked.env.iter().any(same) {
            asked.env.push(entry);
        }
    }
    for (port, value) in own.exposed_ports {
        asked.exposed_ports.entry(port).or_insert(value);
    }
    for (path, value) in own.volumes {
        asked.volumes.entry(path).or_insert(value);
    }
    for (key, value) in own.labels {
        asked.labels.entry(key).or_insert(value);
    }
    asked.healthcheck = asked.healthcheck.or(own.healthcheck);
    asked
}

fn image_config(config: Config) -> ImageConfig {
    let keys = |names: Vec<String>| names.into_iter().map(|name| (name, Empty {})).collect();
    ImageConfig {
        user: config.user,
        exposed_ports: keys(config.exposed_ports.into_keys().collect()),
        env: config.env,
        entrypoint: config.entrypoint.map(|words| words.0),
        cmd: config.cmd.map(|words| words.0),
        volumes: keys(config.volumes.into_keys().collect()),
        working_dir: config.working_dir,
        labels: config.labels,
        stop_signal: Some(config.stop_signal).filter(|signal| !signal.is_empty()),
        stop_timeout: config.stop_timeout,
        shell: Some(config.shell).filter(|shell| !shell.is_empty()),
        healthcheck: config.healthcheck.map(|check| Healthcheck {
            test: check.test,
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        }),
        on_build: config.on_build,
        ..ImageConfig::default()
    }
}
