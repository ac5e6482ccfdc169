//! Files of this machine as an archive, and an archive as files of this machine.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, Builder, Entry, EntryType, Header};

use super::cp_paths::Way;

/// Packs what is at `path`, called `own` in its names before the way changes them. Answers the bytes of all files.
pub(super) fn pack(path: &Path, own: &str, way: &Way, out: impl Write) -> io::Result<u64> {
    let mut packer = Packer {
        builder: Builder::new(out),
        way,
        size: 0,
    };
    packer.add(path, own)?;
    packer.builder.into_inner()?.flush()?;
    Ok(packer.size)
}

struct Packer<'a, W: Write> {
    builder: Builder<W>,
    way: &'a Way,
    size: u64,
}

impl<W: Write> Packer<'_, W> {
    fn add(&mut self, path: &Path, name: &str) -> io::Result<()> {
        let meta = path.symlink_metadata()?;
        let mut header = header(&meta);
        let renamed = self.way.name(name);
        let at = renamed.trim_start_matches('/');
        let kind = meta.file_type();
        if kind.is_dir() {
            header.set_entry_type(EntryType::Directory);
            // The tar format has no name for the folder that all others lie in but this one.
            let at = if at.is_empty() { "." } else { at };
            self.builder.append_data(&mut header, at, io::empty())?;
            let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let inner = entry.file_name();
                let Some(inner) = inner.to_str() else {
                    let text = format!("the name {} is not UTF-8", inner.display());
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                };
                self.add(&entry.path(), &format!("{name}/{inner}"))?;
            }
            return Ok(());
        }
        if kind.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            return self
                .builder
                .append_link(&mut header, at, fs::read_link(path)?);
        }
        if !kind.is_file() {
            // Sockets, pipes and devices are no content.
            return Ok(());
        }
        header.set_entry_type(EntryType::Regular);
        header.set_size(meta.len());
        self.size += meta.len();
        // Exactly as much as the header says, for a file that grows meanwhile would break the archive.
        let file = File::open(path)?.take(meta.len());
        let padding = io::repeat(0);
        let whole = file.chain(padding).take(meta.len());
        self.builder.append_data(&mut header, at, whole)
    }
}

fn header(meta: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(meta.permissions().mode() & 0o7777);
    header.set_mtime(u64::try_from(meta.mtime()).unwrap_or(0));
    header.set_uid(meta.uid().into());
    header.set_gid(meta.gid().into());
    header.set_size(0);
    header
}

/// Unpacks an archive of a container into `folder`, owned by whoever does it. Nothing in it leads out of the folder.
/// Answers the bytes of all files.
pub(super) fn unpack(archive: impl Read, folder: &Path, way: &Way) -> io::Result<u64> {
    let folder = folder.canonicalize()?;
    let mut archive = Archive::new(archive);
    let mut size = 0;
    let mut folders = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let place = inside(&folder, &way.name(&name))?;
        match entry.header().entry_type() {
            EntryType::Directory => {
                make_folder(&place)?;
                folders.push((place, entry.header().mode()?));
            }
            EntryType::Regular | EntryType::Continuous => {
                clear(&place)?;
                size += write(&mut entry, &place)?;
            }
            EntryType::Symlink => {
                clear(&place)?;
                let target = entry.link_name()?.unwrap_or_default();
                std::os::unix::fs::symlink(target, &place)?;
            }
            EntryType::Link => {
                clear(&place)?;
                let target = entry.link_name_bytes().unwrap_or_default();
                let target = String::from_utf8_lossy(&target).into_owned();
                fs::hard_link(inside(&folder, &way.name(&target))?, &place)?;
            }
            // Devices and pipes of a container are nothing to this machine.
            _ => {}
        }
    }
    // Last, for a folder may lack the right to be written to.
    for (place, mode) in folders.into_iter().rev() {
        fs::set_permissions(place, fs::Permissions::from_mode(mode & 0o777))?;
    }
    Ok(size)
}

fn write(entry: &mut Entry<'_, impl Read>, place: &Path) -> io::Result<u64> {
    let mut file = File::create_new(place)?;
    let size = io::copy(entry, &mut file)?;
    let mode = entry.header().mode()? & 0o777;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    let modified = entry.header().mtime()?;
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(modified);
    file.set_modified(time)?;
    Ok(size)
}

/// The place of an entry. Its folder is looked at as it is, links resolved: one that leads out of where the archive is
/// unpacked is refused, whoever put it there.
fn inside(folder: &Path, name: &str) -> io::Result<PathBuf> {
    let refuse = || {
        let text = format!("`{name}` in the archive leads out of {}", folder.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let mut clean = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => return Err(refuse()),
            _ => {}
        }
    }
    let place = folder.join(clean);
    let Some(parent) = place.parent().filter(|_| place != folder) else {
        return Ok(folder.to_owned());
    };
    if parent.symlink_metadata().is_err() {
        fs::create_dir_all(parent)?;
    }
    match parent.canonicalize()?.starts_with(folder) {
        true => Ok(place),
        false => Err(refuse()),
    }
}

fn make_folder(place: &Path) -> io::Result<()> {
    match place.symlink_metadata() {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::NotADirectory,
            format!(
                "cannot overwrite non-directory \"{0}\" with directory \"{0}\"",
                place.display()
            ),
        )),
        Err(_) => fs::create_dir_all(place),
    }
}

fn clear(place: &Path) -> io::Result<()> {
    match place.symlink_metadata() {
        Ok(meta) if meta.is_dir() => Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            format!(
                "cannot overwrite directory \"{0}\" with non-directory \"{0}\"",
                place.display()
            ),
        )),
        Ok(_) => fs::remove_file(place),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::cp_paths::{There, way};
    use super::*;

    fn packed(path: &Path, way: &Way) -> Vec<u8> {
        let mut out = Vec::new();
        let own = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        pack(path, own, way, &mut out).expect("packed");
        out
    }

    #[test]
    fn a_folder_comes_out_under_its_new_name() {
        let [from, to] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let source = from.path().join("d");
        fs::create_dir_all(source.join("sub")).expect("made");
        fs::write(source.join("sub/file"), "text").expect("written");
        std::os::unix::fs::symlink("file", source.join("sub/link")).expect("linked");
        let target = to.path().join("n");
        let way = way("/d", true, target.to_str().expect("text"), There::Nothing).expect("a way");
        let archive = packed(
            &source,
            &Way {
                folder: String::new(),
                rename: None,
            },
        );
        unpack(archive.as_slice(), to.path(), &way).expect("unpacked");
        assert_eq!(
            fs::read_to_string(target.join("sub/link")).expect("read"),
            "text"
        );
    }

    #[test]
    fn a_link_in_the_archive_leads_nowhere_else() {
        let [to, outside] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let mut builder = Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        builder
            .append_link(&mut header, "out", outside.path())
            .expect("a link");
        let mut header = Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, "out/file", &b"x"[..])
            .expect("a file");
        let archive = builder.into_inner().expect("an archive");
        let way = Way {
            folder: String::new(),
            rename: None,
        };
        let error = unpack(archive.as_slice(), to.path(), &way).expect_err("it leads out");
        assert!(error.to_string().contains("leads out"), "{error}");
        assert!(!outside.path().join("file").exists());
    }
}
