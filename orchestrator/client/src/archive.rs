//! Files in and out of containers, containers as images, and what everything takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bowline_api::{CommitCreated, ContainerChange, DiskUsage, Progress, RegistryAuth};
use hyper::Method;
use serde::Deserialize;
use tokio::io::AsyncRead;

use crate::body::{self, ByteStream};
use crate::images::{split_reference, with_auth};
use crate::lines::JsonLines;
use crate::query::Query;
use crate::transport::Call;
use crate::{Client, Error, Result};

/// What is at a path of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PathStat {
    /// The last part of its path.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// Type and permissions as Go's `os.FileMode` has them.
    pub mode: u32,
    /// Where a link leads.
    pub link_target: String,
}

impl PathStat {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.mode & (1 << 31) != 0
    }

    /// Whether it is a symbolic link.
    pub fn is_link(&self) -> bool {
        self.mode & (1 << 27) != 0
    }
}

/// How a container becomes an image.
#[derive(Clone, Debug, Default)]
pub struct ContainerCommit {
    /// Its name, or none.
    pub name: Option<String>,
    /// Who made it.
    pub author: String,
    /// A remark.
    pub comment: String,
    /// Dockerfile instructions for its configuration.
    pub changes: Vec<String>,
    /// The container stands still meanwhile.
    pub pause: bool,
}

impl Client {
    /// What is at a path; a link is looked at, not through.
    pub async fn container_path(&self, id: &str, path: &str) -> Result<PathStat> {
        let query = Query::on("/containers/{}/archive", id).with("path", path);
        let answer = self.send(Call::new(Method::HEAD, &query)).await?;
        stat(answer.headers())
    }

    /// A tar of what is at a path, named by the path's last part.
    pub async fn container_copy_out(&self, id: &str, path: &str) -> Result<(PathStat, ByteStream)> {
        let query = Query::on("/containers/{}/archive", id).with("path", path);
        let answer = self.send(Call::get(&query)).await?;
        let stat = stat(answer.headers())?;
        Ok((stat, ByteStream::new(answer.into_body())))
    }

    /// Unpacks a tar in a folder of a container; files and folders do not take each other's place.
    pub async fn container_copy_in(
        &self,
        id: &str,
        folder: &str,
        to_user: bool,
        tar: impl AsyncRead + Send + Sync + Unpin + 'static,
    ) -> Result<()> {
        let query = Query::on("/containers/{}/archive", id)
            .with("path", folder)
            .with("noOverwriteDirNonDir", "true")
            .flag("copyUIDGID", to_user);
        let call = Call::new(Method::PUT, &query).body("application/x-tar", body::reader(tar));
        self.perform(call).await?;
        Ok(())
    }

    /// A tar of a container's root.
    pub async fn container_export(&self, id: &str) -> Result<ByteStream> {
        let query = Query::on("/containers/{}/export", id);
        Ok(ByteStream::new(
            self.send(Call::get(&query)).await?.into_body(),
        ))
    }

    /// What a container changed of its image.
    pub async fn container_changes(&self, id: &str) -> Result<Vec<ContainerChange>> {
        let query = Query::on("/containers/{}/changes", id);
        let found: Option<Vec<ContainerChange>> = self.fetch(Call::get(&query)).await?;
        Ok(found.unwrap_or_default())
    }

    /// Makes an image of a container; answers its id.
    pub async fn container_commit(&self, id: &str, commit: &ContainerCommit) -> Result<String> {
        let mut query = Query::new("/commit").with("container", id);
        if let Some(name) = &commit.name {
            let (name, tag) = split_reference(name);
            query = query.with("repo", name).with("tag", tag);
        }
        query = query
            .with("author", &commit.author)
            .with("comment", &commit.comment)
            .with("pause", if commit.pause { "1" } else { "0" });
        for change in &commit.changes {
            query = query.with("changes", change);
        }
        let made: CommitCreated = self.fetch(Call::post(&query)).await?;
        Ok(made.id)
    }

    /// Sends an image to its registry. A line with `error` means it failed.
    pub async fn image_push(
        &self,
        reference: &str,
        auth: Option<&RegistryAuth>,
    ) -> Result<JsonLines<Progress>> {
        let (name, tag) = split_reference(reference);
        let query = Query::on("/images/{}/push", name).with("tag", tag);
        let nobody = RegistryAuth::default();
        let call = with_auth(Call::post(&query), Some(auth.unwrap_or(&nobody)))?;
        Ok(JsonLines::new(
            ByteStream::new(self.send(call).await?.into_body()),
            "/images/push",
        ))
    }

    /// What everything takes on the disk.
    pub async fn disk_usage(&self) -> Result<DiskUsage> {
        self.fetch(Call::get(&Query::new("/system/df"))).await
    }

    /// Forgets what builds remember; answers the bytes freed.
    pub async fn build_prune(&self, all: bool) -> Result<u64> {
        let query = Query::new("/build/prune").flag("all", all);
        let pruned: serde_json::Value = self.fetch(Call::post(&query)).await?;
        Ok(pruned["SpaceReclaimed"].as_u64().unwrap_or(0))
    }
}

fn stat(headers: &hyper::HeaderMap) -> Result<PathStat> {
    const NAME: &str = "x-docker-container-path-stat";
    let text = headers.get(NAME).map(|value| value.as_bytes());
    let json = STANDARD.decode(text.unwrap_or_default());
    serde_json::from_slice(&json.unwrap_or_default()).map_err(|source| Error::Decode {
        path: NAME.to_owned(),
        source,
    })
}
