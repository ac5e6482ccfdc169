//! What the image `bowline/demo` consists of. The engine builds it from this and its own binary.

use crate::VERBS;

/// The image's identity. It changes when the image should: an engine upgrade alone recreates no
/// container, whatever the bytes of the binary are.
pub const VERSION: &str = "1";

/// One entry of the image's file tree. Owner is root, and parents come before children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// What is there.
    pub content: Content,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A directory.
    Directory,
    /// A file with this text.
    Text(&'static str),
    /// The program itself: the running binary's bytes.
    Program,
    /// A hard link to an earlier entry.
    Link(&'static str),
}

/// The image's configuration, in the terms of an OCI image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    /// What every command is given to.
    pub entrypoint: &'static [&'static str],
    /// The command when none is given.
    pub cmd: &'static [&'static str],
    /// Environment.
    pub env: &'static [&'static str],
    /// Where commands start.
    pub working_dir: &'static str,
    /// Labels, as key and value.
    pub labels: &'static [(&'static str, &'static str)],
}

const PROGRAM: &str = "/demo";

const PASSWD: &str = "root:x:0:0:root:/root:/bin/true\n\
                      demo:x:1000:1000:demo:/tmp:/bin/true\n\
                      nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
const GROUP: &str = "root:x:0:\ndemo:x:1000:\nstaff:x:50:demo\nnogroup:x:65534:\n";

/// The image's files, in the order in which a layer holds them.
#[must_use]
pub fn image_files() -> Vec<ImageFile> {
    let entry = |path: &str, mode, content| ImageFile {
        path: path.to_owned(),
        mode,
        content,
    };
    let mut files = vec![
        entry("/bin", 0o755, Content::Directory),
        entry(PROGRAM, 0o755, Content::Program),
        entry("/data", 0o1777, Content::Directory),
        entry("/etc", 0o755, Content::Directory),
        entry("/etc/group", 0o644, Content::Text(GROUP)),
        entry("/etc/passwd", 0o644, Content::Text(PASSWD)),
        entry("/root", 0o700, Content::Directory),
        entry("/tmp", 0o1777, Content::Directory),
    ];
    let links = VERBS.iter().map(|verb| format!("/bin/{verb}"));
    files.extend(links.map(|path| entry(&path, 0o755, Content::Link(PROGRAM))));
    files
}

/// The image's configuration.
#[must_use]
pub fn image_config() -> ImageConfig {
    ImageConfig {
        entrypoint: &[PROGRAM],
        cmd: &["help"],
        env: &["PATH=/bin"],
        working_dir: "/",
        labels: &[
            ("org.opencontainers.image.title", "bowline/demo"),
            ("org.opencontainers.image.version", VERSION),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_follow_what_they_point_to() {
        let files = image_files();
        let program = files
            .iter()
            .position(|file| file.content == Content::Program)
            .unwrap();
        let first = files
            .iter()
            .position(|file| matches!(file.content, Content::Link(_)));
        assert!(program < first.unwrap());
        assert!(files.iter().any(|file| file.path == "/bin/healthy"));
    }
}
