//! What the tests share: archives with any contents, and stores on scratch directories.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use redb::backends::InMemoryBackend;

use crate::settings::Settings;
use crate::store::Store;

/// A tar archive, entry by entry; names are taken as they are, however evil.
#[derive(Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn entry(mut self, kind: u8, name: &str, link: &str, contents: &[u8]) -> Self {
        self.push(kind, name, link, contents.len() as u64, 0o755, &[]);
        self.contents(contents);
        self
    }

    pub(crate) fn file(self, name: &str, contents: &str) -> Self {
        self.entry(b'0', name, "", contents.as_bytes())
    }

    pub(crate) fn dir(self, name: &str) -> Self {
        self.entry(b'5', name, "", b"")
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(b'2', name, target, b"")
    }

    pub(crate) fn link(self, name: &str, target: &str) -> Self {
        self.entry(b'1', name, target, b"")
    }

    /// An entry with PAX records before it.
    pub(crate) fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = 1 + key.len() + 1 + value.len() + 1;
            let mut length = rest + 1;
            while length.to_string().len() + rest != length {
                length = length.to_string().len() + rest;
            }
            write!(body, "{length} {key}=").unwrap();
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        self.push(b'x', "pax", "", body.len() as u64, 0o644, &[]);
        self.contents(&body);
        self
    }

    /// A header with every field set, and nothing after it.
    pub(crate) fn push(
        &mut self,
        kind: u8,
        name: &str,
        link: &str,
        size: u64,
        mode: u32,
        patches: &[(usize, &[u8])],
    ) {
        let mut header = tar::Header::new_ustar();
        let bytes = header.as_mut_bytes();
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[157..157 + link.len()].copy_from_slice(link.as_bytes());
        bytes[156] = kind;
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(size);
        for (at, patch) in patches {
            header.as_mut_bytes()[*at..*at + patch.len()].copy_from_slice(patch);
        }
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
    }

    pub(crate) fn with(
        mut self,
        kind: u8,
        name: &str,
        mode: u32,
        patches: &[(usize, &[u8])],
    ) -> Self {
        self.push(kind, name, "", 0, mode, patches);
        self
    }

    fn contents(&mut self, contents: &[u8]) {
        self.0.extend_from_slice(contents);
        let padded = self.0.len().next_multiple_of(512);
        self.0.resize(padded, 0);
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn store() -> (tempfile::TempDir, Store) {
    let scratch = tempfile::tempdir().unwrap();
    let store = store_in(scratch.path());
    (scratch, store)
}

pub(crate) fn store_in(root: &std::path::Path) -> Store {
    store_with(root, settings())
}

/// Quick to give up, so that tests are quick.
pub(crate) fn settings() -> Settings {
    Settings {
        retries: 3,
        retry_wait: Duration::from_millis(1),
        timeout: Duration::from_secs(5),
        ..Settings::default()
    }
}

pub(crate) fn store_with(root: &std::path::Path, settings: Settings) -> Store {
    let db = redb::Builder::new()
        .create_with_backend(InMemoryBackend::new())
        .unwrap();
    let store = Store::open_with(&root.join("images"), Arc::new(db), settings).unwrap();
    store.sweep().unwrap();
    store
}

/// What lies in the store's directories: layers, ingest, trash.
pub(crate) fn remains(store: &Store) -> [usize; 3] {
    ["layers", "ingest", "trash"]
        .map(|part| std::fs::read_dir(store.0.root.join(part)).unwrap().count())
}
