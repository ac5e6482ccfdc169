//! Image names as people write them, and what they mean.
//!
//! `nginx` means `docker.io/library/nginx:latest`. A [`Reference`] always holds the full meaning; [`Reference::familiar`]
//! gives back the short way to write it. The grammar is that of the distribution reference.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestError, is_full_hex};

/// The registry meant when none is written.
const DEFAULT_HOST: &str = "docker.io";
/// An older name of the default registry that is still written.
const LEGACY_HOST: &str = "index.docker.io";
/// The name space of the default registry's own images.
const OFFICIAL: &str = "library";
/// Longest repository, host included.
const NAME_LIMIT: usize = 255;

/// A complete image name: host, repository, and a tag, a digest, or both.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    host: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that is no image name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It does not follow the grammar.
    #[error("invalid reference format: `{0}`")]
    Format(String),
    /// The repository has upper-case letters.
    #[error("invalid reference format: repository name `{0}` must be lowercase")]
    Uppercase(String),
    /// 64 hexadecimal digits would be taken for an image id.
    #[error("invalid repository name `{0}`: 64 hexadecimal digits are an image id")]
    LooksLikeId(String),
    /// The repository is too long.
    #[error("repository name must not be more than {NAME_LIMIT} characters: `{0}`")]
    TooLong(String),
    /// What follows `@` is no digest.
    #[error("invalid reference format: `{text}`")]
    Digest {
        /// The whole text.
        text: String,
        /// What is wrong with it.
        source: DigestError,
    },
}

impl Reference {
    /// The registry, `docker.io` for the default one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository within its registry: `library/nginx`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host and path: `docker.io/library/nginx`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.host, self.path)
    }

    /// The repository as people write it: `nginx`.
    pub fn familiar_repository(&self) -> String {
        if self.host != DEFAULT_HOST {
            return self.repository();
        }
        match self.path.split_once('/') {
            Some((OFFICIAL, name)) if !name.contains('/') => name.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The tag, if it has one. A name with neither tag nor digest got `latest`.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if it has one. It wins over a tag.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The name as people write it: `nginx:latest`.
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_repository())
    }

    /// The name in full: `docker.io/library/nginx:latest`.
    pub fn canonical(&self) -> String {
        self.with_suffix(self.repository())
    }

    /// The same repository with this tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Format(format!(
                "{}:{tag}",
                self.familiar_repository()
            )));
        }
        Ok(Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// The same repository with this digest and no tag.
    pub fn with_digest(&self, digest: &Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest.clone()),
            ..self.clone()
        }
    }

    /// What a registry is asked for: the digest, else the tag.
    pub fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    fn with_suffix(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(&digest.to_string());
        }
        name
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(parse_digest(text, digest)?)),
            None => (text, None),
        };
        let (name, tag) = split_tag(name);
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Format(text.to_owned()));
        }
        let (host, path) = split_host(name);
        check_name(text, host, path)?;
        let tag = match (tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        let host = host
            .filter(|host| *host != LEGACY_HOST)
            .unwrap_or(DEFAULT_HOST);
        let path = match host {
            DEFAULT_HOST if !path.contains('/') => format!("{OFFICIAL}/{path}"),
            _ => path.to_owned(),
        };
        Ok(Self {
            host: host.to_owned(),
            path,
            tag,
            digest,
        })
    }
}

fn parse_digest(text: &str, digest: &str) -> Result<Digest, ReferenceError> {
    digest.parse().map_err(|source| ReferenceError::Digest {
        text: text.to_owned(),
        source,
    })
}

/// A colon starts a tag unless a slash follows it: then it belongs to the host's port.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    }
}

/// Whether the written name says which image of its repository it means.
pub(crate) fn has_tag_or_digest(text: &str) -> bool {
    text.contains('@') || split_tag(text).1.is_some()
}

/// The first component is a host only if it could not be a path component of the default registry.
fn split_host(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((host, path))
            if host == "localhost"
                || host.contains(['.', ':'])
                || host.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (Some(host), path)
        }
        _ => (None, name),
    }
}

fn check_name(text: &str, host: Option<&str>, path: &str) -> Result<(), ReferenceError> {
    if host.is_none() && is_full_hex(path) {
        return Err(ReferenceError::LooksLikeId(path.to_owned()));
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(ReferenceError::Uppercase(path.to_owned()));
    }
    if !path.split('/').all(is_component) || !host.is_none_or(is_host) {
        return Err(ReferenceError::Format(text.to_owned()));
    }
    if host.map_or(0, |host| host.len() + 1) + path.len() > NAME_LIMIT {
        return Err(ReferenceError::TooLong(path.to_owned()));
    }
    Ok(())
}

/// Letters and digits, in runs joined by one `.`, one or two `_`, or any number of `-`.
fn is_component(text: &str) -> bool {
    let mut separator = String::new();
    for character in text.chars() {
        if character.is_ascii_lowercase() || character.is_ascii_digit() {
            separator.clear();
        } else {
            separator.push(character);
            let fits = matches!(separator.as_str(), "." | "_" | "__")
                || separator.bytes().all(|byte| byte == b'-');
            if !fits {
                return false;
            }
        }
    }
    // Neither end may be a separator.
    separator.is_empty() && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text
            .bytes()
            .all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

/// Labels of letters, digits and inner dashes, or an IPv6 address in brackets; then perhaps a port.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit())) {
        return false;
    }
    match name.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(|address| {
            !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
        }),
        None => name.split('.').all(is_label),
    }
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.familiar())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.canonical()
    }
}

#[cfg(test)]
mod tests;
