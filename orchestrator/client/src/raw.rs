//! Answers as the engine gave them, for whoever prints them: nothing that another engine adds is lost.

use serde_json::Value;

use crate::query::Query;
use crate::transport::Call;
use crate::{Client, Result};

/// What can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
        }
    }
}

impl Client {
    /// Everything about one object; `size` measures a container's files, too.
    pub async fn inspect_raw(&self, kind: Kind, name: &str, size: bool) -> Result<Value> {
        let query = match kind {
            Kind::Container => Query::on("/containers/{}/json", name).flag("size", size),
            Kind::Image => Query::on("/images/{}/json", name),
            Kind::Network => Query::on("/networks/{}", name),
            Kind::Volume => Query::on("/volumes/{}", name),
        };
        self.fetch(Call::get(&query)).await
    }

    /// The engine and its host.
    pub async fn info_raw(&self) -> Result<Value> {
        self.fetch(Call::get(&Query::new("/info"))).await
    }
}
