//! The documents of an image: index, manifest, configuration.

use serde::de::DeserializeOwned;

use super::job::Told;
use crate::Result;
use crate::digest::Digest;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::manifest::{DocumentKind, Index, Manifest, Outline};
use crate::registry::{DOCUMENT_LIMIT, Document, RegistryError, Session};

/// Asks for the image `name`, for `platform` or this machine.
pub(super) async fn image(
    session: &Session,
    name: &Reference,
    platform: Option<&Platform>,
) -> Result<Told> {
    let first = session.manifest(&name.wanted()).await?;
    let digest = first.digest.clone();
    let (documents, manifest) = match kind(name, &first)? {
        DocumentKind::Manifest => {
            let manifest = parse(name, &first)?;
            (vec![first.bytes], manifest)
        }
        _ => {
            let chosen = choose(name, &parse(name, &first)?, platform)?;
            let second = session.manifest(&chosen.to_string()).await?;
            if kind(name, &second)? != DocumentKind::Manifest {
                return Err(no_image(name, "its index leads to another index").into());
            }
            let manifest = parse(name, &second)?;
            (vec![first.bytes, second.bytes], manifest)
        }
    };
    let config = config(session, name, &manifest).await?;
    Ok(Told {
        digest,
        documents,
        manifest,
        config,
    })
}

async fn config(session: &Session, name: &Reference, manifest: &Manifest) -> Result<Vec<u8>> {
    if manifest.config.size > DOCUMENT_LIMIT {
        return Err(no_image(name, "its configuration is too large").into());
    }
    let digest = manifest.config.digest().map_err(RegistryError::from)?;
    Ok(session.small_blob(&digest).await?)
}

fn choose(name: &Reference, index: &Index, platform: Option<&Platform>) -> Result<Digest> {
    let wanted = platform.cloned().unwrap_or_else(Platform::host);
    let best = index
        .best(&wanted)
        .ok_or_else(|| RegistryError::NoPlatform {
            name: name.familiar(),
            wanted: wanted.to_string(),
            available: index.platforms(),
        })?;
    Ok(best.digest().map_err(RegistryError::from)?)
}

fn kind(name: &Reference, document: &Document) -> Result<DocumentKind, RegistryError> {
    match parse::<Outline>(name, document)?.kind() {
        DocumentKind::Schema1 => Err(no_image(
            name,
            "its manifest has the outdated schema 1; push it again",
        )),
        DocumentKind::Unclear => Err(no_image(name, "its manifest is neither image nor index")),
        kind => Ok(kind),
    }
}

fn parse<T: DeserializeOwned>(name: &Reference, document: &Document) -> Result<T, RegistryError> {
    serde_json::from_slice(&document.bytes).map_err(|source| RegistryError::Manifest {
        name: name.familiar(),
        source,
    })
}

fn no_image(name: &Reference, reason: &'static str) -> RegistryError {
    RegistryError::NoImage {
        name: name.familiar(),
        reason,
    }
}
