//! Images as the API names them, and the built-in one that needs no registry.

use std::path::PathBuf;

use bowline_api::{
    Config, Filters, GraphDriver, HealthConfig, ImageDeleted, ImageHistory, ImageInspect,
    ImageMetadata, ImageSummary, ImagesPruned, RootFs,
};
use bowline_demo::Content;
use bowline_image::{
    Auth, Image, ImageConfig, ImageId, InUse, NewFile, NewFileKind, Platform, Progress, Reference,
    Removed,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::block_in_place;

use super::Engine;
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::record::{MountKind, MountPoint};

/// The image made from our own binary.
const BUILT_IN: &str = "bowline/demo";

impl From<bowline_image::ImageError> for Error {
    fn from(error: bowline_image::ImageError) -> Self {
        let kind = match error.kind() {
            bowline_image::ErrorKind::NotFound => ErrorKind::NotFound,
            bowline_image::ErrorKind::Invalid => ErrorKind::Invalid,
            bowline_image::ErrorKind::Conflict => ErrorKind::Conflict,
            bowline_image::ErrorKind::Forbidden => ErrorKind::Forbidden,
            bowline_image::ErrorKind::Unavailable => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, crate::error::chain(&error))
    }
}

impl Engine {
    /// The image a container is made from; the built-in one is made on first use.
    ///
    /// # Errors
    /// 404 where it is not here, or is for another platform.
    pub(crate) async fn image_for_container(
        &self,
        name: &str,
        platform: Option<&str>,
    ) -> Result<Image> {
        let image = block_in_place(|| self.find_image(name))?;
        if let Some(wanted) = platform.filter(|text| !text.is_empty()) {
            let wanted: Platform = wanted
                .parse()
                .map_err(|error: bowline_image::PlatformError| Error::invalid(error.to_string()))?;
            if wanted.rank(&image.platform()).is_none() {
                return Err(Error::not_found(format!(
                    "image with reference {name} was found but does not match the specified platform: wanted {wanted}, actual: {}",
                    image.platform()
                )));
            }
        }
        Ok(image)
    }

    /// Finds an image; the built-in one is always here.
    pub(crate) fn find_image(&self, name: &str) -> Result<Image> {
        match self.images().get(name) {
            Err(bowline_image::ImageError::NotFound { .. }) if is_built_in(name) => {
                self.make_built_in()
            }
            other => Ok(other?),
        }
    }

    fn make_built_in(&self) -> Result<Image> {
        let reference: Reference = BUILT_IN
            .parse()
            .map_err(|error: bowline_image::ReferenceError| Error::internal(error.to_string()))?;
        let files: Vec<NewFile> = bowline_demo::image_files()
            .into_iter()
            .map(new_file)
            .collect();
        let image = self
            .images()
            .create_from_files(&reference, &files, built_in_config())?;
        self.events().publish(
            "image",
            "create",
            &image.id.to_string(),
            std::collections::BTreeMap::default(),
        );
        Ok(image)
    }

    fn image_user(&self, id: &ImageId) -> Option<InUse> {
        let id = id.to_string();
        let records = self.records();
        let using = records.iter().filter(|record| {
            let mounts = |point: &MountPoint| point.kind == MountKind::Image && point.name == id;
            record.image == id || record.mounts.iter().any(mounts)
        });
        // A running one is the stronger reason.
        let user = using.max_by_key(|record| record.phase.is_alive())?;
        Some(InUse {
            container: user.short_id().to_owned(),
            running: user.phase.is_alive(),
        })
    }

    fn image_event(&self, action: &str, id: &str, name: &str) {
        let attributes = [("name".to_owned(), name.to_owned())];
        self.events()
            .publish("image", action, id, attributes.into());
    }

    /// Says that an image was built, and what it is called now.
    pub(crate) fn image_built(&self, id: &ImageId, names: &[String]) {
        let id = id.to_string();
        for name in names {
            self.image_event("tag", &id, name);
        }
        self.image_event("build", &id, &id);
        self.touch();
    }

    /// `GET /images/{name}/json`.
    ///
    /// # Errors
    /// 404.
    pub async fn image_inspect(&self, name: &str) -> Result<ImageInspect> {
        Ok(inspect(&block_in_place(|| self.find_image(name))?))
    }

    /// `GET /images/json`.
    ///
    /// # Errors
    /// A filter that cannot be right.
    pub async fn images_list(&self, all: bool, filters: &Filters) -> Result<Vec<ImageSummary>> {
        // Images between a Dockerfile's steps are what `all` adds; there are none.
        let _none_between = all;
        let known = [
            "before",
            "dangling",
            "label",
            "label!",
            "reference",
            "since",
            "until",
        ];
        let invalid = |error: bowline_api::filters::FilterError| Error::invalid(error.to_string());
        filters.allow_only(&known).map_err(invalid)?;
        for key in ["before", "since", "until"] {
            if filters.has(key) {
                return Err(Error::unsupported(format!(
                    "the filter `{key}` is not supported yet"
                )));
            }
        }
        let dangling = filters.truth("dangling").map_err(invalid)?;
        let mut images = block_in_place(|| self.images().list())?;
        let records = self.records();
        images.retain_mut(|image| {
            filters.matches_labels(&image.config.labels)
                && dangling.is_none_or(|wanted| image.tags.is_empty() == wanted)
                && keep_named(&mut image.tags, filters)
        });
        let row = |image: &Image| {
            let id = image.id.to_string();
            let containers = records.iter().filter(|record| record.image == id).count();
            summary(image, i64::try_from(containers).unwrap_or(i64::MAX))
        };
        Ok(images.iter().map(row).collect())
    }

    /// `DELETE /images/{name}`.
    ///
    /// # Errors
    /// 404, or 409 while a container needs it.
    pub async fn image_remove(
        &self,
        name: &str,
        force: bool,
        noprune: bool,
    ) -> Result<Vec<ImageDeleted>> {
        // Parents without a name do not exist here, so there is nothing that `noprune` could keep.
        let _nothing_to_keep = noprune;
        let removed = block_in_place(|| {
            let id = self.images().resolve(name)?;
            let user = self.image_user(&id);
            self.images()
                .remove(name, force, &|_| user.clone())
                .map(|removed| (id, removed))
        });
        let (id, removed) = removed?;
        for one in &removed {
            match one {
                Removed::Untagged(name) => self.image_event("untag", &id.to_string(), name),
                Removed::Deleted(what) => self.image_event("delete", what, what),
            }
        }
        self.touch();
        Ok(removed.into_iter().map(deleted).collect())
    }

    /// Removes images that nothing needs: nameless ones, or with `dangling=false` all.
    ///
    /// # Errors
    /// A filter that cannot be right.
    pub async fn images_prune(&self, filters: &Filters) -> Result<ImagesPruned> {
        let invalid = |error: bowline_api::filters::FilterError| Error::invalid(error.to_string());
        filters.allow_only(&["dangling"]).map_err(invalid)?;
        let all = filters.truth("dangling").map_err(invalid)? == Some(false);
        let users: std::collections::HashMap<String, InUse> = self
            .records()
            .iter()
            .flat_map(|record| {
                let user = InUse {
                    container: record.short_id().to_owned(),
                    running: record.phase.is_alive(),
                };
                let mounted = record.mounts.iter();
                let mounted = mounted.filter(|point| point.kind == MountKind::Image);
                let images = mounted.map(|point| &point.name).chain([&record.image]);
                let images: Vec<String> = images.cloned().collect();
                images.into_iter().map(move |image| (image, user.clone()))
            })
            .collect();
        let pruned = block_in_place(|| {
            self.images()
                .prune(all, &|id| users.get(&id.to_string()).cloned())
        })?;
        Ok(ImagesPruned {
            images_deleted: pruned.removed.into_iter().map(deleted).collect(),
            space_reclaimed: pruned.reclaimed,
        })
    }

    /// `POST /images/{name}/tag`.
    ///
    /// # Errors
    /// 404, or a name that cannot be one.
    pub async fn image_tag(&self, name: &str, repository: &str, tag: &str) -> Result<()> {
        let reference = read_reference(repository, tag)?;
        let id = block_in_place(|| {
            let id = self.find_image(name)?.id;
            self.images().tag(&id, &reference)?;
            Ok::<_, Error>(id)
        })?;
        self.image_event("tag", &id.to_string(), &reference.familiar());
        Ok(())
    }

    /// `GET /images/{name}/history`.
    ///
    /// # Errors
    /// 404.
    pub async fn image_history(&self, name: &str) -> Result<Vec<ImageHistory>> {
        let (image, entries) = block_in_place(|| {
            let image = self.find_image(name)?;
            let entries = self.images().history(&image.id.to_string())?;
            Ok::<_, Error>((image, entries))
        })?;
        let rows = entries
            .into_iter()
            .enumerate()
            .map(|(at, entry)| ImageHistory {
                id: if at == 0 {
                    image.id.to_string()
                } else {
                    "<missing>".into()
                },
                created: entry
                    .created
                    .as_deref()
                    .map(clock::seconds)
                    .unwrap_or_default(),
                created_by: entry.created_by,
                tags: match at {
                    0 => image.tags.iter().map(Reference::familiar).collect(),
                    _ => Vec::new(),
                },
                size: i64::try_from(entry.size).unwrap_or(i64::MAX),
                comment: entry.comment,
            });
        Ok(rows.collect())
    }

    /// Pulls; news go to `progress`.
    ///
    /// # Errors
    /// The registry's.
    pub async fn image_pull(
        &self,
        repository: &str,
        tag: &str,
        platform: Option<&str>,
        auth: Option<Auth>,
        progress: mpsc::Sender<Progress>,
    ) -> Result<Image> {
        let _busy = self.busy();
        let reference = read_reference(repository, tag)?;
        if is_built_in(&reference.familiar()) {
            return block_in_place(|| self.find_image(BUILT_IN));
        }
        let platform = platform
            .filter(|text| !text.is_empty())
            .map(str::parse::<Platform>)
            .transpose();
        let platform = platform.map_err(|error| Error::invalid(error.to_string()))?;
        let image = self
            .images()
            .pull(&reference, platform.as_ref(), auth, progress)
            .await?;
        self.image_event(
            "pull",
            &reference.familiar(),
            &reference.familiar_repository(),
        );
        Ok(image)
    }

    /// Loads an archive; answers a line for each image, in the words clients read.
    ///
    /// # Errors
    /// The archive is not what it should be.
    pub async fn image_load(
        &self,
        body: impl AsyncRead + Unpin,
        progress: mpsc::Sender<Progress>,
    ) -> Result<Vec<String>> {
        let _busy = self.busy();
        let loaded = self.images().load(body, progress).await?;
        let mut lines = Vec::new();
        for one in loaded {
            let id = one.id.to_string();
            self.image_event("load", &id, &id);
            if one.names.is_empty() {
                lines.push(format!("Loaded image ID: {id}\n"));
            }
            lines.extend(
                one.names
                    .iter()
                    .map(|name| format!("Loaded image: {}\n", name.familiar())),
            );
        }
        Ok(lines)
    }

    /// Imports a root file system; answers the image's id.
    ///
    /// # Errors
    /// The archive or an instruction is wrong.
    pub async fn image_import(
        &self,
        body: impl AsyncRead + Unpin,
        repository: &str,
        tag: &str,
        changes: &[String],
        message: &str,
    ) -> Result<String> {
        let _busy = self.busy();
        let reference = (!repository.is_empty())
            .then(|| read_reference(repository, tag))
            .transpose()?;
        let image = self
            .images()
            .import(body, reference.as_ref(), changes, message)
            .await?;
        self.image_event("import", &image.id.to_string(), &image.id.to_string());
        Ok(image.id.to_string())
    }

    /// Writes images as one archive.
    ///
    /// # Errors
    /// 404, before the first byte where `check` was called.
    pub async fn image_save(&self, names: &[String], out: impl AsyncWrite + Unpin) -> Result<()> {
        let _busy = self.busy();
        Ok(self.images().save(names, out).await?)
    }
}

fn is_built_in(name: &str) -> bool {
    matches!(
        name,
        BUILT_IN
            | "bowline/demo:latest"
            | "docker.io/bowline/demo"
            | "docker.io/bowline/demo:latest"
    )
}

fn read_reference(repository: &str, tag: &str) -> Result<Reference> {
    let text = match tag {
        "" => repository.to_owned(),
        digest if digest.starts_with("sha256:") => format!("{repository}@{digest}"),
        tag => format!("{repository}:{tag}"),
    };
    text.parse()
        .map_err(|error: bowline_image::ReferenceError| Error::invalid(error.to_string()))
}

fn new_file(file: bowline_demo::ImageFile) -> NewFile {
    let kind = match file.content {
        Content::Directory => NewFileKind::Directory,
        Content::Text(text) => NewFileKind::Contents(text.into()),
        // Resolved by the kernel, so it is this very program even where the file was replaced meanwhile.
        Content::Program => NewFileKind::Copy("/proc/self/exe".into()),
        Content::Link(path) => NewFileKind::HardLink(path.into()),
    };
    NewFile {
        path: PathBuf::from(file.path),
        kind,
        mode: file.mode,
        owner: (0, 0),
    }
}

fn built_in_config() -> ImageConfig {
    let config = bowline_demo::image_config();
    let words = |list: &[&str]| {
        list.iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    ImageConfig {
        entrypoint: Some(words(config.entrypoint)),
        cmd: Some(words(config.cmd)),
        env: words(config.env),
        working_dir: config.working_dir.into(),
        labels: config
            .labels
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect(),
        ..ImageConfig::default()
    }
}

fn deleted(removed: Removed) -> ImageDeleted {
    match removed {
        Removed::Untagged(name) => ImageDeleted {
            untagged: Some(name),
            deleted: None,
        },
        Removed::Deleted(id) => ImageDeleted {
            untagged: None,
            deleted: Some(id),
        },
    }
}

/// Keeps the names that the filter `reference` asks for; false where it asks and none is left.
fn keep_named(tags: &mut Vec<Reference>, filters: &Filters) -> bool {
    if !filters.has("reference") {
        return true;
    }
    tags.retain(|tag| filters.any("reference", |pattern| reference_fits(tag, pattern)));
    !tags.is_empty()
}

/// Docker's rule: the pattern is a glob over the familiar name, with or without its tag. Understood here: `*` anywhere.
fn reference_fits(reference: &Reference, pattern: &str) -> bool {
    let (name, repository) = (reference.familiar(), reference.familiar_repository());
    [name, repository]
        .iter()
        .any(|text| glob(pattern.as_bytes(), text.as_bytes()))
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            // A star stops at a slash, as path matching does.
            glob(rest, text)
                || text
                    .split_first()
                    .is_some_and(|(first, more)| *first != b'/' && glob(pattern, more))
        }
        (Some((b'?', rest)), Some((_, more))) => glob(rest, more),
        (Some((a, rest)), Some((b, more))) => a == b && glob(rest, more),
        _ => false,
    }
}

fn names(list: &[Reference]) -> Vec<String> {
    list.iter().map(Reference::familiar).collect()
}

fn size(image: &Image) -> i64 {
    i64::try_from(image.size).unwrap_or(i64::MAX)
}

fn summary(image: &Image, containers: i64) -> ImageSummary {
    ImageSummary {
        containers,
        created: image
            .created
            .as_deref()
            .map(clock::seconds)
            .unwrap_or_default(),
        id: image.id.to_string(),
        labels: image.config.labels.clone(),
        repo_digests: names(&image.digests),
        repo_tags: names(&image.tags),
        shared_size: -1,
        size: size(image),
        ..ImageSummary::default()
    }
}

fn inspect(image: &Image) -> ImageInspect {
    ImageInspect {
        id: image.id.to_string(),
        repo_tags: names(&image.tags),
        repo_digests: names(&image.digests),
        comment: image.comment.clone(),
        created: image.created.clone().unwrap_or_else(|| clock::NEVER.into()),
        author: image.author.clone(),
        config: config(&image.config),
        architecture: image.architecture.clone(),
        variant: image.variant.clone(),
        os: image.os.clone(),
        size: size(image),
        graph_driver: GraphDriver {
            name: "overlay2".into(),
            ..GraphDriver::default()
        },
        root_fs: RootFs {
            kind: "layers".into(),
            layers: image.diff_ids.iter().map(ToString::to_string).collect(),
        },
        metadata: ImageMetadata {
            last_tag_time: image
                .last_tagged
                .clone()
                .unwrap_or_else(|| clock::NEVER.into()),
        },
        ..ImageInspect::default()
    }
}

fn config(config: &ImageConfig) -> Config {
    Config {
        user: config.user.clone(),
        exposed_ports: config
            .exposed_ports
            .keys()
            .map(|port| (port.clone(), None))
            .collect(),
        env: config.env.clone(),
        cmd: config.cmd.clone().map(Into::into),
        entrypoint: config.entrypoint.clone().map(Into::into),
        volumes: config
            .volumes
            .keys()
            .map(|path| (path.clone(), None))
            .collect(),
        working_dir: config.working_dir.clone(),
        labels: config.labels.clone(),
        stop_signal: config.stop_signal.clone().unwrap_or_default(),
        stop_timeout: config.stop_timeout,
        shell: config.shell.clone().unwrap_or_default(),
        on_build: config.on_build.clone(),
        healthcheck: config.healthcheck.as_ref().map(|check| HealthConfig {
            test: check.test.clone(),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        }),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_asked_for_by_one_name_is_listed_under_that_name_only() {
        let names = || ["busybox:1", "busybox:latest"].map(|name| name.parse().unwrap());
        let listed = |filter: &str| {
            let mut tags: Vec<Reference> = names().into();
            let kept = keep_named(&mut tags, &Filters::parse(filter).unwrap());
            (kept, tags.len())
        };
        assert_eq!(listed(r#"{"reference":["busybox:1"]}"#), (true, 1));
        assert_eq!(listed(r#"{"reference":["busybox"]}"#), (true, 2));
        assert_eq!(listed(r#"{"reference":["redis"]}"#), (false, 0));
        assert_eq!(listed("{}"), (true, 2));
    }

    #[test]
    fn a_star_stops_at_a_slash() {
        assert!(glob(b"ngin*", b"nginx") && glob(b"*/demo", b"bowline/demo"));
        assert!(!glob(b"*demo", b"bowline/demo") && !glob(b"nginx", b"nginx2"));
    }
}
