//! `/images`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bowline_api::{
    Filters, ImageDeleted, ImageHistory, ImageInspect, ImageSummary, ImagesPruned, Progress,
    RegistryAuth,
};
use tokio::io::AsyncRead;

use crate::body::{self, ByteStream};
use crate::lines::JsonLines;
use crate::query::Query;
use crate::transport::Call;
use crate::{Client, Error, Result};

/// How a tar of a root file system becomes an image.
#[derive(Clone, Debug, Default)]
pub struct ImageImport {
    /// Its name, or none.
    pub name: Option<String>,
    /// Dockerfile instructions for its configuration.
    pub changes: Vec<String>,
    /// The comment in its history.
    pub message: Option<String>,
}

impl Client {
    /// Images; `all` with intermediate ones.
    pub async fn images_list(&self, all: bool, filters: &Filters) -> Result<Vec<ImageSummary>> {
        self.fetch(Call::get(
            &Query::new("/images/json").flag("all", all).filters(filters),
        ))
        .await
    }

    /// Everything about an image.
    pub async fn image_inspect(&self, name: &str) -> Result<ImageInspect> {
        self.fetch(Call::get(&Query::on("/images/{}/json", name)))
            .await
    }

    /// How it was made, newest first.
    pub async fn image_history(&self, name: &str) -> Result<Vec<ImageHistory>> {
        self.fetch(Call::get(&Query::on("/images/{}/history", name)))
            .await
    }

    /// Fetches an image from its registry. A line with `error` means it failed.
    pub async fn image_pull(
        &self,
        reference: &str,
        platform: Option<&str>,
        auth: Option<&RegistryAuth>,
    ) -> Result<JsonLines<Progress>> {
        let (name, tag) = split_reference(reference);
        let query = Query::new("/images/create")
            .with("fromImage", name)
            .with("tag", tag)
            .maybe("platform", platform);
        self.progress(with_auth(Call::post(&query), auth)?, "/images/create")
            .await
    }

    /// Makes an image of a tar of a root file system.
    pub async fn image_import(
        &self,
        import: &ImageImport,
        tar: impl AsyncRead + Send + Sync + Unpin + 'static,
    ) -> Result<JsonLines<Progress>> {
        let mut query = Query::new("/images/create").with("fromSrc", "-");
        if let Some(name) = &import.name {
            let (name, tag) = split_reference(name);
            query = query.with("repo", name).with("tag", tag);
        }
        query = query.maybe("message", import.message.as_ref());
        for change in &import.changes {
            query = query.with("changes", change);
        }
        let call = Call::post(&query).body("application/x-tar", body::reader(tar));
        self.progress(call, "/images/create").await
    }

    /// Takes in the images of an archive, as `save` writes it.
    pub async fn image_load(
        &self,
        tar: impl AsyncRead + Send + Sync + Unpin + 'static,
    ) -> Result<JsonLines<Progress>> {
        let query = Query::new("/images/load").with("quiet", "0");
        let call = Call::post(&query).body("application/x-tar", body::reader(tar));
        self.progress(call, "/images/load").await
    }

    /// An archive of images.
    pub async fn image_save(&self, names: &[String]) -> Result<ByteStream> {
        let query = names.iter().fold(Query::new("/images/get"), |query, name| {
            query.with("names", name)
        });
        Ok(ByteStream::new(
            self.send(Call::get(&query)).await?.into_body(),
        ))
    }

    /// Gives an image one more name.
    pub async fn image_tag(&self, source: &str, target: &str) -> Result<()> {
        let (name, tag) = split_reference(target);
        let query = Query::on("/images/{}/tag", source)
            .with("repo", name)
            .with("tag", tag);
        self.perform(Call::post(&query)).await?;
        Ok(())
    }

    /// Takes a name from an image, and with the last one the image.
    pub async fn image_remove(
        &self,
        name: &str,
        force: bool,
        noprune: bool,
    ) -> Result<Vec<ImageDeleted>> {
        let query = Query::on("/images/{}", name)
            .flag("force", force)
            .flag("noprune", noprune);
        self.fetch(Call::delete(&query)).await
    }

    /// Removes images that nothing uses.
    pub async fn images_prune(&self, filters: &Filters) -> Result<ImagesPruned> {
        self.fetch(Call::post(&Query::new("/images/prune").filters(filters)))
            .await
    }

    async fn progress(&self, call: Call, path: &'static str) -> Result<JsonLines<Progress>> {
        Ok(JsonLines::new(
            ByteStream::new(self.send(call).await?.into_body()),
            path,
        ))
    }
}

pub(crate) fn with_auth(call: Call, auth: Option<&RegistryAuth>) -> Result<Call> {
    let Some(auth) = auth else {
        return Ok(call);
    };
    let path = "X-Registry-Auth".to_owned();
    let json = serde_json::to_vec(auth).map_err(|source| Error::Decode { path, source })?;
    Ok(call.header("x-registry-auth", URL_SAFE.encode(json)))
}

/// A name and what picks one image of it: the tag, the digest, or `latest`. Without it an engine pulls every tag.
pub(crate) fn split_reference(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name, digest);
    }
    match reference.rsplit_once(':') {
        // What follows a colon before the last slash is a registry's port.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        assert_eq!(split_reference("nginx"), ("nginx", "latest"));
        assert_eq!(
            split_reference("localhost:5000/a"),
            ("localhost:5000/a", "latest")
        );
        assert_eq!(
            split_reference("localhost:5000/a:1"),
            ("localhost:5000/a", "1")
        );
        assert_eq!(split_reference("a:1@sha256:0"), ("a:1", "sha256:0"));
    }
}
