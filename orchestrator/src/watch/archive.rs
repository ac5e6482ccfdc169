//! Changed files as an archive for the container.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::batch::Change;

/// The archive of what is there, to be unpacked at `/`. Owners are left to the engine, which knows the container's
/// user. What has gone away since is left out; it will be heard of as gone.
pub(crate) fn archive<'c>(changes: impl IntoIterator<Item = &'c Change>) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for change in changes.into_iter().filter(|change| !change.gone) {
        let found = fs::symlink_metadata(&change.host);
        match found.and_then(|found| append(&mut builder, change, &found)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            appended => appended?,
        }
    }
    builder.into_inner()
}

fn append(builder: &mut Builder<Vec<u8>>, change: &Change, found: &Metadata) -> io::Result<()> {
    let name = change.inside.trim_start_matches('/');
    let mut header = Header::new_gnu();
    header.set_mode(found.permissions().mode() & 0o7777);
    header.set_mtime(u64::try_from(found.mtime()).unwrap_or(0));
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    let kind = found.file_type();
    if kind.is_dir() {
        header.set_entry_type(EntryType::Directory);
        builder.append_data(&mut header, name, io::empty())
    } else if kind.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        let target = fs::read_link(&change.host)?;
        builder.append_link(&mut header, name, target)
    } else if kind.is_file() {
        append_file(builder, &mut header, name, &change.host)
    } else {
        // Sockets, pipes and devices are no content.
        Ok(())
    }
}

/// Read whole first: a file that grows meanwhile would break the archive.
fn append_file(
    builder: &mut Builder<Vec<u8>>,
    header: &mut Header,
    name: &str,
    path: &Path,
) -> io::Result<()> {
    let mut content = Vec::new();
    io::Read::read_to_end(&mut File::open(path)?, &mut content)?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(u64::try_from(content.len()).unwrap_or(0));
    builder.append_data(header, name, content.as_slice())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_archive_holds_what_is_there() {
        let folder = std::env::temp_dir().join(format!("bowline-archive-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("run.sh"), "#!/bin/sh").unwrap();
        fs::set_permissions(folder.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("run.sh", folder.join("link")).unwrap();
        let long = format!("{}/x", "d".repeat(150));
        let change = |name: &str, inside: &str, gone| Change {
            host: folder.join(name),
            inside: inside.into(),
            gone,
        };
        let changes = [
            change("run.sh", &format!("/app/{long}"), false),
            change("link", "/app/link", false),
            change("never", "/app/never", false),
            change("gone", "/app/gone", true),
        ];
        let bytes = archive(&changes).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let mut seen = BTreeMap::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let mode = entry.header().mode().unwrap();
            seen.insert(path, (text, mode, entry.header().uid().unwrap()));
        }
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert_eq!(seen[&format!("app/{long}")], ("#!/bin/sh".into(), 0o755, 0));
        assert!(seen.contains_key("app/link"));
    }
}
