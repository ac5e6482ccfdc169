//! Knowing a file's contents by its attributes.
//!
//! A file whose device, inode, size, times of change and mode are as they were when it was read has the contents it had.
//! The time of attribute change (ctime) is what makes that true: nobody can set it. It fails where a file changes
//! within the grain of the clock right after it was read; what was read so soon after its last change is therefore
//! never remembered.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bowline_image::Digest;
use bowline_sys::root::{Stat, Timestamp};
use sha2::{Digest as _, Sha256};

use super::{Node, Tree, attributes, attributes_digest};
use crate::key::finish;

/// Nanoseconds within which a change may go unnoticed by the times of a local file system: two of the slowest kernel's
/// ticks and some more.
const FINE: i128 = 50_000_000;
/// The same for others, whose clock may be another machine's or count in seconds.
const COARSE: i128 = 2_000_000_000;
/// How often a file is read again that changes while it is read.
const TRIES: usize = 5;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// Of its bytes.
    pub(crate) digest: Digest,
    /// Of its extended attributes, where there are some.
    pub(crate) attributes: Option<Digest>,
    /// Whether a change after this was read would show in the file's times.
    pub(crate) settled: bool,
}

/// The attributes by which a file is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: Timestamp,
    changed: Timestamp,
    mode: u32,
}

impl Identity {
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.identity.0,
            inode: stat.identity.1,
            size: stat.size,
            modified: stat.modified,
            changed: stat.changed,
            mode: stat.mode,
        }
    }
}

/// Whether two looks at a file saw it unchanged.
pub(crate) fn same(first: &Stat, second: &Stat) -> bool {
    Identity::of(first) == Identity::of(second)
}

/// The contents known of one folder's files, kept in a file of their own.
#[derive(Debug)]
pub(crate) struct StatCache {
    path: PathBuf,
    fine: bool,
    now: fn() -> SystemTime,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<Identity, Content>,
    used: HashMap<Identity, Content>,
    changed: bool,
}

impl StatCache {
    /// Reads what is known of `folder`'s files from `path`; what cannot be read is not known.
    pub(crate) fn open(path: PathBuf, folder: &Path, now: fn() -> SystemTime) -> Self {
        let known = std::fs::read(&path)
            .ok()
            .and_then(|bytes| decode(&bytes))
            .unwrap_or_default();
        let fine = bowline_sys::root::Dir::open(folder)
            .and_then(|dir| dir.stamps_finely())
            .unwrap_or(false);
        let state = Mutex::new(State {
            known,
            ..State::default()
        });
        Self {
            path,
            fine,
            now,
            state,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Digests of a file, read if it has to be.
    pub(super) fn content(&self, tree: &Tree, node: &Node) -> io::Result<Content> {
        let identity = Identity::of(&node.stat);
        {
            let mut state = self.state();
            let state = &mut *state;
            if let Some(content) = state.used.get(&identity) {
                return Ok(content.clone());
            }
            if let Some(content) = state.known.get(&identity) {
                state.used.insert(identity, content.clone());
                return Ok(content.clone());
            }
        }
        for _ in 0..TRIES {
            let begun = (self.now)();
            let mut file = tree.open_file(&node.path)?;
            let before = Stat::of(&file)?;
            if Identity::of(&before) != identity {
                break;
            }
            let mut content = read(&mut file)?;
            if Identity::of(&Stat::of(&file)?) != identity {
                continue;
            }
            content.settled = self.settled(&before, begun);
            if content.settled {
                let mut state = self.state();
                state.used.insert(identity, content.clone());
                state.changed = true;
            }
            return Ok(content);
        }
        Err(changed(&node.path))
    }

    /// Whether a change after `at` would show in the times of a file that looks like this.
    pub(crate) fn settled(&self, stat: &Stat, at: SystemTime) -> bool {
        let grain = if self.fine { FINE } else { COARSE };
        let last = nanoseconds(stat.changed).max(nanoseconds(stat.modified));
        let at = at
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(0));
        last + grain < at
    }

    /// Writes down what is known now. It is only a memory: what gets lost is read again.
    pub(crate) fn save(&self) {
        let mut state = self.state();
        if !state.changed {
            return;
        }
        // Files that no build looked at this time may be another Dockerfile's; those that are gone cost little.
        let mut all = state.known.clone();
        if all.len() > 4 * state.used.len() + 10_000 {
            all.clear();
        }
        all.extend(state.used.iter().map(|(key, value)| (*key, value.clone())));
        state.known = all;
        state.changed = false;
        let written = write(&self.path, &encode(&state.known));
        if let Err(error) = written {
            tracing::debug!(%error, "what is known of a context's files could not be written");
        }
    }
}

/// A file changed under us again and again.
pub(crate) fn changed(path: &Path) -> io::Error {
    let text = format!("`{}` changes while it is read", path.display());
    io::Error::new(io::ErrorKind::ResourceBusy, text)
}

fn nanoseconds(time: Timestamp) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds)
}

/// Reads all of a file.
pub(crate) fn read(file: &mut File) -> io::Result<Content> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Content {
        digest: finish(hash),
        attributes: attributes_digest(&attributes(&*file)?),
        settled: true,
    })
}

/// The form on disk: a mark, rows of fixed length, and the digest of all before it.
const MARK: &[u8; 8] = b"bwlstat1";
const ROW: usize = 8 * 3 + 12 * 2 + 4 + 32 + 32;

fn encode(known: &HashMap<Identity, Content>) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + known.len() * ROW + 64);
    out.extend_from_slice(MARK);
    for (key, content) in known {
        for number in [key.device, key.inode, key.size] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for time in [key.modified, key.changed] {
            out.extend_from_slice(&time.seconds.to_le_bytes());
            out.extend_from_slice(&time.nanoseconds.to_le_bytes());
        }
        out.extend_from_slice(&key.mode.to_le_bytes());
        out.extend_from_slice(&bytes_of(&content.digest));
        out.extend_from_slice(&content.attributes.as_ref().map_or([0; 32], bytes_of));
    }
    let sum = Digest::of(&out);
    out.extend_from_slice(&bytes_of(&sum));
    out
}

fn decode(bytes: &[u8]) -> Option<HashMap<Identity, Content>> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    if bytes_of(&Digest::of(body)) != sum {
        return None;
    }
    let rows = body.strip_prefix(MARK)?.chunks_exact(ROW);
    rows.map(|row| {
        let number = |at: usize| Some(u64::from_le_bytes(row.get(at..at + 8)?.try_into().ok()?));
        let small = |at: usize| Some(u32::from_le_bytes(row.get(at..at + 4)?.try_into().ok()?));
        let time = |at: usize| {
            Some(Timestamp {
                seconds: i64::from_le_bytes(row.get(at..at + 8)?.try_into().ok()?),
                nanoseconds: small(at + 8)?,
            })
        };
        let identity = Identity {
            device: number(0)?,
            inode: number(8)?,
            size: number(16)?,
            modified: time(24)?,
            changed: time(36)?,
            mode: small(48)?,
        };
        let attributes = row.get(84..116)?;
        let content = Content {
            digest: from_bytes(row.get(52..84)?)?,
            attributes: if attributes.iter().all(|byte| *byte == 0) {
                None
            } else {
                Some(from_bytes(attributes)?)
            },
            settled: true,
        };
        Some((identity, content))
    })
    .collect()
}

/// The 32 bytes of a digest.
pub(crate) fn bytes_of(digest: &Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digest.hex().as_bytes().chunks(2)) {
        let digit = |letter: u8| char::from(letter).to_digit(16).unwrap_or(0);
        *byte = u8::try_from(digit(pair[0]) * 16 + digit(pair[1])).unwrap_or(0);
    }
    bytes
}

/// The digest of these 32 bytes.
pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Digest> {
    use std::fmt::Write as _;
    let mut hex = String::with_capacity(64);
    for byte in bytes {
        write!(hex, "{byte:02x}").ok()?;
    }
    Digest::from_hex(&hex).ok()
}

/// Writes a file beside its place and moves it there, so that nobody reads half of it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(dir: &Path, now: fn() -> SystemTime) -> std::sync::Arc<StatCache> {
        std::sync::Arc::new(StatCache::open(dir.join("stats"), dir, now))
    }

    fn later() -> SystemTime {
        SystemTime::now() + std::time::Duration::from_secs(3600)
    }

    #[test]
    fn what_is_known_is_not_read_again_and_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("context");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a"), "one").unwrap();
        let first = cache(dir.path(), later);
        let tree = Tree::folder(&folder, None, false, first.clone()).unwrap();
        let node = tree.resolve(Path::new("a")).unwrap().unwrap();
        let content = tree.content(&node).unwrap();
        assert_eq!(content.digest, Digest::of(b"one"));
        first.save();
        let second = cache(dir.path(), later);
        assert_eq!(second.state().known.len(), 1);
        let tree = Tree::folder(&folder, None, false, second).unwrap();
        // A file that cannot be opened any more shows that nobody tries.
        std::fs::remove_file(folder.join("a")).unwrap();
        assert_eq!(tree.content(&node).unwrap(), content);
    }

    #[test]
    fn what_was_read_too_soon_after_its_change_is_not_remembered() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "one").unwrap();
        let fresh = cache(dir.path(), SystemTime::now);
        let tree = Tree::folder(dir.path(), None, false, fresh.clone()).unwrap();
        let node = tree.resolve(Path::new("a")).unwrap().unwrap();
        tree.content(&node).unwrap();
        assert!(fresh.state().used.is_empty());
    }

    #[test]
    fn a_damaged_memory_is_no_memory() {
        let known = HashMap::from([(
            Identity {
                device: 1,
                inode: 2,
                size: 3,
                modified: Timestamp::default(),
                changed: Timestamp {
                    seconds: -5,
                    nanoseconds: 7,
                },
                mode: 0o644,
            },
            Content {
                digest: Digest::of(b"x"),
                attributes: None,
                settled: true,
            },
        )]);
        let mut bytes = encode(&known);
        assert_eq!(decode(&bytes).unwrap(), known);
        bytes[20] ^= 1;
        assert!(decode(&bytes).is_none());
        assert!(decode(b"").is_none());
    }
}
