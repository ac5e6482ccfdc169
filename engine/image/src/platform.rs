//! Which machine an image is for, and which of several images fits a machine best.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Operating system, architecture and its variant, normalised (`x86_64` is `amd64`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`
    pub os: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `v7` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A text that is no platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform such as `linux/amd64` or `linux/arm/v7`")]
pub struct PlatformError(String);

impl Platform {
    /// The machine this program was built for.
    pub fn host() -> Self {
        Self::new("linux", std::env::consts::ARCH, None)
    }

    /// The normalised platform of these names.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let architecture = architecture.to_ascii_lowercase();
        let variant = variant
            .filter(|variant| !variant.is_empty())
            .map(str::to_ascii_lowercase);
        let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
            ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64", None),
            ("x86_64" | "x86-64" | "amd64", Some(variant)) => ("amd64", Some(variant)),
            ("i386" | "i486" | "i586" | "i686" | "x86" | "386", _) => ("386", None),
            ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64", None),
            ("aarch64" | "arm64", Some(variant)) => ("arm64", Some(variant)),
            ("armhf", _) => ("arm", Some("v7")),
            ("armel", _) => ("arm", Some("v6")),
            ("arm", None | Some("7")) => ("arm", Some("v7")),
            ("arm", Some("5")) => ("arm", Some("v5")),
            ("arm", Some("6")) => ("arm", Some("v6")),
            ("arm", Some("8")) => ("arm", Some("v8")),
            (other, variant) => (other, variant),
        };
        Self {
            os: os.to_ascii_lowercase(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// How well an image for `image` runs here: 0 is best, `None` not at all.
    pub fn rank(&self, image: &Self) -> Option<u32> {
        if self.os != image.os {
            return None;
        }
        match (self.architecture.as_str(), image.architecture.as_str()) {
            ("arm", "arm") => older(self.version(7), image.version(7)),
            ("amd64", "amd64") => older(self.version(1), image.version(1)),
            ("arm64", "arm64") => older(self.version(8), image.version(8)),
            // A 64-bit machine runs its 32-bit predecessor's programs, but only when nothing better is there.
            ("amd64", "386") => Some(100),
            (own, other) if own == other && self.variant == image.variant => Some(0),
            _ => None,
        }
    }

    fn version(&self, default: u32) -> u32 {
        let digits = self
            .variant
            .as_deref()
            .and_then(|variant| variant.strip_prefix('v'));
        digits
            .and_then(|digits| digits.split('.').next()?.parse().ok())
            .unwrap_or(default)
    }
}

/// A machine runs its own version and all older ones, the newest of them best.
fn older(own: u32, image: u32) -> Option<u32> {
    own.checked_sub(image)
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        match parts.as_slice() {
            parts if !parts.iter().all(word) => Err(PlatformError(text.to_owned())),
            ["linux"] => Ok(Self::host()),
            [architecture] => Ok(Self::new("linux", architecture, None)),
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(PlatformError(text.to_owned())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_normalised() {
        for (written, meant) in [
            ("linux/x86_64", "linux/amd64"),
            ("amd64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("LINUX/AMD64", "linux/amd64"),
        ] {
            assert_eq!(platform(written).to_string(), meant);
        }
        for text in ["", "/", "a/b/c/d", "linux/", "linux/am d64"] {
            assert!(text.parse::<Platform>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_newest_that_still_runs_is_best() {
        let arm = platform("linux/arm/v7");
        assert_eq!(arm.rank(&platform("linux/arm/v7")), Some(0));
        assert_eq!(arm.rank(&platform("linux/arm/v5")), Some(2));
        assert_eq!(arm.rank(&platform("linux/arm/v8")), None);
        let amd64 = platform("linux/amd64");
        assert_eq!(amd64.rank(&platform("linux/386")), Some(100));
        assert_eq!(amd64.rank(&platform("linux/amd64/v3")), None);
        assert_eq!(amd64.rank(&platform("linux/arm64")), None);
        assert_eq!(amd64.rank(&platform("windows/amd64")), None);
    }
}
