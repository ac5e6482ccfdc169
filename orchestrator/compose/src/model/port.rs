//! Published ports.

use std::fmt;

use serde::{Serialize, Serializer};

/// Which transport a port speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, the default.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The name in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One published container port. Ranges of equal length are already expanded to one entry each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Port {
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `ingress` or `host`; without a swarm both mean the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The host address to bind; absent means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<String>,
    /// The port inside the container.
    pub target: u16,
    /// The host ports that may be used, inclusive; absent means any free one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "published")]
    pub published: Option<(u16, u16)>,
    /// The transport.
    pub protocol: Protocol,
    /// What is spoken on top, a hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn published<S: Serializer>(value: &Option<(u16, u16)>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some((low, high)) if low == high => serializer.collect_str(low),
        Some((low, high)) => serializer.collect_str(&format_args!("{low}-{high}")),
        None => serializer.serialize_none(),
    }
}
