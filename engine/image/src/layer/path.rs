//! The names in an archive, made into paths below the layer's top. This is tidying, not safety: what keeps a path inside
//! is the kernel's resolution, whatever comes out of here.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::LayerError;

/// The kernel's limit for a path.
const PATH_LIMIT: usize = 4096;
/// The kernel's limit for a name.
const NAME_LIMIT: usize = 255;
/// Deeper trees could be made but hardly be removed: walking down costs a descriptor a level.
pub(super) const DEPTH_LIMIT: usize = 256;

/// Where an entry goes: the directory, and the name in it; `None` is the layer's top itself.
pub(super) type Place = Option<(PathBuf, OsString)>;

/// Reads the path of an entry, or the target of a hard link: relative to the top with or without a leading slash, `.`
/// and `..` taken as text, as Docker takes them.
pub(super) fn place(raw: &[u8]) -> Result<Place, LayerError> {
    let shown = || shorten(raw);
    let refuse = |reason| LayerError::Path {
        path: shown(),
        reason,
    };
    if raw.len() > PATH_LIMIT {
        return Err(refuse("it is longer than 4096 bytes"));
    }
    if raw.contains(&0) {
        return Err(refuse("it contains a zero byte"));
    }
    let mut names: Vec<&[u8]> = Vec::new();
    for name in raw.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                names
                    .pop()
                    .ok_or_else(|| LayerError::Escape { path: shown() })?;
            }
            name if name.len() > NAME_LIMIT => {
                return Err(refuse("a name in it is longer than 255 bytes"));
            }
            name => names.push(name),
        }
    }
    if names.len() > DEPTH_LIMIT {
        return Err(refuse("it is more than 256 directories deep"));
    }
    Ok(names.pop().map(|name| {
        let parent = names.iter().map(|name| OsStr::from_bytes(name)).collect();
        (parent, OsString::from_vec(name.to_vec()))
    }))
}

/// A path for messages.
pub(super) fn shorten(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

pub(super) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(raw: &str) -> Option<String> {
        let (parent, name) = place(raw.as_bytes()).unwrap()?;
        Some(parent.join(name).to_str().unwrap().to_owned())
    }

    #[test]
    fn paths_are_relative_to_the_top() {
        for (raw, meant) in [
            ("a", "a"),
            ("/a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("a/../b", "b"),
            ("a/b/../../c", "c"),
            ("///a/./b", "a/b"),
        ] {
            assert_eq!(placed(raw).as_deref(), Some(meant), "{raw}");
        }
        for top in ["", ".", "./", "/", "a/.."] {
            assert_eq!(placed(top), None, "{top:?}");
        }
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        for raw in [
            "..",
            "../x",
            "a/../../x",
            "/../etc/passwd",
            "a/b/../../../c",
        ] {
            let refused = place(raw.as_bytes());
            assert!(matches!(refused, Err(LayerError::Escape { .. })), "{raw}");
        }
        assert!(place(b"a\0b").is_err());
        assert!(place("x/".repeat(2000).as_bytes()).is_err());
        assert!(place("x".repeat(256).as_bytes()).is_err());
        assert!(place("x".repeat(5000).as_bytes()).is_err());
    }
}
