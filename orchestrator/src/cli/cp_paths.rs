//! What `cp` makes of two paths. Pure: from what is at both ends to the folder that is written to and the names the
//! files get there. The rules are those of Docker's `cp`, which took them from the program of that name.

use std::path::Path;

/// What is at the end files go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum There {
    /// Nothing.
    Nothing,
    /// A folder.
    Folder,
    /// Anything else.
    File,
}

/// Where files go, and how their names change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// The folder that is written to.
    pub(super) folder: String,
    /// The first part of each name in the archive, and what takes its place.
    pub(super) rename: Option<(String, String)>,
}

/// Two ends that do not go together. The words are Docker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CopyError {
    /// A folder onto a file.
    #[error("cannot copy directory")]
    FolderToFile,
    /// A path that must be a folder, and nothing there.
    #[error("no such directory")]
    NoFolder,
}

/// `source` names what is copied, `target` where it goes.
pub(super) fn way(
    source: &str,
    source_is_folder: bool,
    target: &str,
    there: There,
) -> Result<Way, CopyError> {
    let (folder, name) = split(target);
    let own = split(source).1;
    let rename = Some((own, name));
    match there {
        There::Folder => Ok(Way {
            folder: target.to_owned(),
            rename: None,
        }),
        There::File if source_is_folder => Err(CopyError::FolderToFile),
        There::File => Ok(Way { folder, rename }),
        There::Nothing if !source_is_folder && asserts_folder(target) => Err(CopyError::NoFolder),
        There::Nothing => Ok(Way { folder, rename }),
    }
}

impl Way {
    /// An entry's name at its new place.
    pub(super) fn name(&self, entry: &str) -> String {
        let Some((from, to)) = &self.rename else {
            return entry.to_owned();
        };
        // The root's own name is the slash that all others begin with.
        let from = if from == "/" { "" } else { from };
        match entry.strip_prefix(from) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{to}{rest}"),
            _ => entry.to_owned(),
        }
    }
}

/// A path's folder and its last part; `/.` at the end is the last part.
pub(super) fn split(path: &str) -> (String, String) {
    let current = path == "." || path.ends_with("/.");
    let clean = clean(path);
    if current {
        return (clean, ".".to_owned());
    }
    let path = Path::new(&clean);
    let folder = match path.parent().and_then(|folder| folder.to_str()) {
        None => "/",
        Some("") => ".",
        Some(folder) => folder,
    };
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("/");
    (folder.to_owned(), name.to_owned())
}

/// Without doubled slashes, `.` and slashes at the end.
fn clean(path: &str) -> String {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let front = if path.starts_with('/') { "/" } else { "" };
    let clean = format!("{front}{}", parts.join("/"));
    if clean.is_empty() { ".".into() } else { clean }
}

/// Whether a path can only mean a folder.
pub(super) fn asserts_folder(path: &str) -> bool {
    path.ends_with('/') || path.ends_with("/.") || path == "."
}

/// One end of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A path of this machine; `-` is a stream.
    Here(String),
    /// A path of a container or service.
    In(String, String),
}

impl End {
    /// `name:path`, or a path; one that begins with `/` or `.` is never a name.
    pub(super) fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((name, path)) if !name.is_empty() && !name.starts_with(['/', '.']) => {
                Self::In(name.to_owned(), path.to_owned())
            }
            _ => Self::Here(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(
        source: &str,
        folder: bool,
        target: &str,
        there: There,
    ) -> Result<(String, String), CopyError> {
        let way = way(source, folder, target, there)?;
        let own = split(source).1;
        let entry = if own == "." {
            "./x".into()
        } else {
            format!("{own}/x")
        };
        let entry = if folder { entry } else { own };
        Ok((way.folder.clone(), way.name(&entry)))
    }

    #[test]
    fn files_go_where_docker_puts_them() {
        use There::{File, Folder, Nothing};
        let ok = |folder: &str, name: &str| Ok((folder.to_owned(), name.to_owned()));
        // A file: to a new name, over a file, into a folder.
        assert_eq!(go("/a/f", false, "/t/n", Nothing), ok("/t", "n"));
        assert_eq!(go("/a/f", false, "/t/n", File), ok("/t", "n"));
        assert_eq!(go("/a/f", false, "/t", Folder), ok("/t", "f"));
        assert_eq!(go("/a/f", false, "/t/", Nothing), Err(CopyError::NoFolder));
        // A folder: as a new one, into one, its contents into one.
        assert_eq!(go("/a/d", true, "/t/n", Nothing), ok("/t", "n/x"));
        assert_eq!(go("/a/d", true, "/t/n/", Nothing), ok("/t", "n/x"));
        assert_eq!(go("/a/d", true, "/t", Folder), ok("/t", "d/x"));
        assert_eq!(go("/a/d/.", true, "/t", Folder), ok("/t", "./x"));
        assert_eq!(go("/a/d/.", true, "/t/n", Nothing), ok("/t", "n/x"));
        assert_eq!(go("/a/d", true, "/t", File), Err(CopyError::FolderToFile));
    }

    #[test]
    fn a_bare_name_lies_in_the_current_folder() {
        assert_eq!(split("back"), (".".to_owned(), "back".to_owned()));
        assert_eq!(split("/"), ("/".to_owned(), "/".to_owned()));
    }

    #[test]
    fn names_change_in_whole_parts_only() {
        let way = way("/a/d", true, "/t/n", There::Nothing).unwrap();
        assert_eq!(way.name("d"), "n");
        assert_eq!(way.name("dd/x"), "dd/x");
        let root = super::way("/", true, "/t/n", There::Nothing).unwrap();
        assert_eq!(root.name("/etc"), "n/etc");
    }

    #[test]
    fn a_path_is_told_from_a_container() {
        let container = |name: &str, path: &str| End::In(name.into(), path.into());
        assert_eq!(End::parse("web:/x"), container("web", "/x"));
        assert_eq!(End::parse("web:x:y"), container("web", "x:y"));
        assert_eq!(End::parse("./web:x"), End::Here("./web:x".into()));
        assert_eq!(End::parse("/a:b"), End::Here("/a:b".into()));
        assert_eq!(End::parse("-"), End::Here("-".into()));
    }
}
