//! stub
use crate::error::ErrorKind;
use crate::settings::Settings;
pub(crate) mod manifest;
/// Registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Not.
    #[error("pull is not reachable yet")]
    Never,
}
impl RegistryError {
    /// The kind of answer it deserves.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }
}
#[derive(Debug)]
pub(crate) struct Client;
impl Client {
    pub(crate) fn new(_: &Settings) -> Self {
        Self
    }
}
