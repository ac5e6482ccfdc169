//! A tree as a tar archive.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bowline_sys::root::{Dir, FileKind, Stat};
use bowline_sys::xattr;

use super::header::{BLOCK, Header, pad};
use super::{At, TreeError};

/// Writes an archive, entry by entry.
#[derive(Debug)]
pub struct Pack<W> {
    out: W,
    /// Names under which files with several names were written.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// Leave out what other file systems hold that are mounted in the tree; only their mount points are written.
    pub one_file_system: bool,
}

/// Packs what is called `name` in `dir`, and everything below, under the name `as_name`. An empty name means `dir`
/// itself. Only sockets are left out.
///
/// # Errors
/// See [`TreeError`].
pub fn pack<W: Write>(
    dir: &Dir,
    name: &OsStr,
    as_name: &[u8],
    out: W,
    one_file_system: bool,
) -> Result<(), TreeError> {
    let mut pack = Pack::new(out);
    pack.one_file_system = one_file_system;
    let path = Path::new(name);
    if name.is_empty() {
        let device = Stat::of(dir).at("look at", path)?.identity.0;
        pack.directory(dir, as_name, path, device)?;
    } else {
        let device = dir.stat(name).at("look at", path)?.identity.0;
        pack.item(dir, name, as_name, path, device)?;
    }
    pack.end()
}

impl<W: Write> Pack<W> {
    /// An empty archive.
    pub fn new(out: W) -> Self {
        Self {
            out,
            links: HashMap::new(),
            one_file_system: false,
        }
    }

    /// Writes the archive's end.
    ///
    /// # Errors
    /// The other end's.
    pub fn end(mut self) -> Result<(), TreeError> {
        let end = self.out.write_all(&[0; 2 * BLOCK]);
        end.and_then(|()| self.out.flush())
            .map_err(TreeError::Write)
    }

    /// `as_name` is the entry's own name, `path` the place for messages.
    fn item(
        &mut self,
        dir: &Dir,
        name: &OsStr,
        as_name: &[u8],
        path: &Path,
        device: u64,
    ) -> Result<(), TreeError> {
        let stat = match dir.stat(name) {
            // Gone since the directory was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.at("look at", path)?,
        };
        if stat.kind == FileKind::Directory {
            let inner = dir.open_dir(name).at("open", path)?;
            if self.one_file_system && stat.identity.0 != device {
                return self.folder(&inner, as_name, path);
            }
            return self.directory(&inner, as_name, path, device);
        }
        if self.one_file_system && stat.identity.0 != device {
            let empty = Stat { size: 0, ..stat };
            return self.header(as_name, &empty, 0, b"", &[]);
        }
        self.leaf(dir, name, &stat, as_name, path)
    }

    fn directory(
        &mut self,
        dir: &Dir,
        as_name: &[u8],
        path: &Path,
        device: u64,
    ) -> Result<(), TreeError> {
        self.folder(dir, as_name, path)?;
        let entries = dir.entries().at("list", path)?;
        let slash: &[u8] = if as_name.ends_with(b"/") { b"" } else { b"/" };
        for (name, _) in entries_by_name(entries) {
            let inner = [as_name, slash, name.as_bytes()].concat();
            self.item(dir, &name, &inner, &path.join(&name), device)?;
        }
        Ok(())
    }

    /// Everything in `dir`, named from there.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn children(&mut self, dir: &Dir) -> Result<(), TreeError> {
        let top = Path::new("");
        let device = Stat::of(dir).at("look at", top)?.identity.0;
        let entries = dir.entries().at("list", top)?;
        for (name, _) in entries_by_name(entries) {
            self.item(dir, &name, name.as_bytes(), Path::new(&name), device)?;
        }
        Ok(())
    }

    /// The entry of a directory itself.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn folder(&mut self, dir: &Dir, as_name: &[u8], path: &Path) -> Result<(), TreeError> {
        let stat = Stat::of(dir).at("look at", path)?;
        let attributes = attributes(dir).at("read the attributes of", path)?;
        let slash: &[u8] = if as_name.ends_with(b"/") { b"" } else { b"/" };
        self.header(&[as_name, slash].concat(), &stat, 0, b"", &attributes)
    }

    /// The entry of anything but a directory.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn leaf(
        &mut self,
        dir: &Dir,
        name: &OsStr,
        stat: &Stat,
        as_name: &[u8],
        path: &Path,
    ) -> Result<(), TreeError> {
        if stat.kind == FileKind::Socket || stat.kind == FileKind::Unknown {
            return Ok(());
        }
        if stat.links > 1 {
            if let Some(first) = self.links.get(&stat.identity) {
                let header = Header {
                    name: as_name,
                    stat: *stat,
                    size: 0,
                    link: &first.clone(),
                    hard: true,
                    attributes: &[],
                };
                return header.write(&mut self.out).map_err(TreeError::Write);
            }
            self.links.insert(stat.identity, as_name.to_vec());
        }
        match stat.kind {
            FileKind::File => {
                let file = dir.open_file(name).at("open", path)?;
                let attributes = attributes(&file).at("read the attributes of", path)?;
                self.header(as_name, stat, stat.size, b"", &attributes)?;
                self.contents(file, stat.size, path)
            }
            FileKind::Symlink => {
                let target = dir.read_link(name).at("read the link", path)?;
                self.header(as_name, stat, 0, target.as_os_str().as_bytes(), &[])
            }
            _ => self.header(as_name, stat, 0, b"", &[]),
        }
    }

    /// An empty file that says something by its name.
    ///
    /// # Errors
    /// The other end's.
    pub fn mark(&mut self, as_name: &[u8], like: &Stat) -> Result<(), TreeError> {
        let stat = Stat {
            kind: FileKind::File,
            mode: 0,
            size: 0,
            ..*like
        };
        self.header(as_name, &stat, 0, b"", &[])
    }

    fn header(
        &mut self,
        name: &[u8],
        stat: &Stat,
        size: u64,
        link: &[u8],
        attributes: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<(), TreeError> {
        let header = Header {
            name,
            stat: *stat,
            size,
            link,
            hard: false,
            attributes,
        };
        header.write(&mut self.out).map_err(TreeError::Write)
    }

    /// Exactly as much as the header said: a file that is being written to may be longer or shorter by now.
    fn contents(&mut self, mut file: impl Read, size: u64, path: &Path) -> Result<(), TreeError> {
        let mut buffer = vec![0; 128 * 1024];
        let mut left = size;
        while left > 0 {
            let wanted = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let read = match file.read(&mut buffer[..wanted]) {
                Ok(0) => {
                    buffer[..wanted].fill(0);
                    wanted
                }
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).at("read", path),
            };
            self.out
                .write_all(&buffer[..read])
                .map_err(TreeError::Write)?;
            left -= read as u64;
        }
        pad(&mut self.out, size).map_err(TreeError::Write)
    }
}

/// Capabilities travel, what else is attached to files is the file system's own; as Docker has it.
fn attributes(file: &impl std::os::fd::AsFd) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    const CAPABILITY: &str = "security.capability";
    let value = xattr::get(file, CAPABILITY.as_ref())?;
    Ok(value
        .map(|value| (CAPABILITY.into(), value))
        .into_iter()
        .collect())
}

fn entries_by_name(
    mut entries: Vec<(std::ffi::OsString, FileKind)>,
) -> Vec<(std::ffi::OsString, FileKind)> {
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries
}

/// The base name of a path as Go's `path/filepath` has it: what is behind the last slash that is not the end.
pub(super) fn base(path: &str) -> PathBuf {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        Some("") | None => PathBuf::from("/"),
        Some(name) => PathBuf::from(name),
    }
}
