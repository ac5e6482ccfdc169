//! The container's log. The only thing in a shim that may have to wait for a disk, so the only one on a thread of its
//! own: a disk that stands still stops neither the container's streams nor the news of its end.
//!
//! The thread gets whole lines through a bounded queue. While the queue is full nothing is read from the container,
//! which then waits as it would on any pipe; but once the disk has not moved for [`STALLED`], lines are counted instead
//! of kept, and the count is logged when it moves again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use super::line::{self, Assembler};
use crate::{LogPlan, time};

/// Bytes in the queue from which on the container has to wait.
const FULL: usize = 256 * 1024;
/// How long a full queue may stand still before lines are given up.
const STALLED: Duration = Duration::from_secs(2);
/// Small, for the thread does little; it is the touched pages that count.
const STACK: usize = 128 * 1024;

/// The log of a container, from the loop's side.
#[derive(Debug)]
pub(super) struct Log {
    assemblers: [Assembler; 2],
    attrs: BTreeMap<String, String>,
    shared: Arc<Shared>,
    /// Written to by the thread when it has made room.
    wake: OwnedFd,
    lost: u64,
    /// Until the thread is started, with the first line: while it is there, this process cannot change its namespaces.
    idle: Option<LogFile>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    wake: OwnedFd,
}

#[derive(Debug)]
struct Queue {
    bytes: Vec<u8>,
    /// What the thread is writing now.
    writing: usize,
    moved: Instant,
    closed: bool,
    done: bool,
}

impl Log {
    /// Opens the file, or says that there is nothing to keep.
    pub(super) fn new(plan: &LogPlan) -> io::Result<Option<Self>> {
        let LogPlan::JsonFile {
            path,
            max_size,
            max_file,
            attrs,
        } = plan
        else {
            return Ok(None);
        };
        let (wake, theirs) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let queue = Queue {
            bytes: Vec::new(),
            writing: 0,
            moved: Instant::now(),
            closed: false,
            done: false,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            changed: Condvar::new(),
            wake: theirs,
        });
        let file = LogFile::open(path.clone(), *max_size, *max_file)?;
        Ok(Some(Self {
            assemblers: Default::default(),
            attrs: attrs.clone(),
            shared,
            wake,
            lost: 0,
            idle: Some(file),
        }))
    }

    /// Without a thread for it there is no log; the container goes on.
    fn start(&mut self) {
        let Some(file) = self.idle.take() else { return };
        let worker = Arc::clone(&self.shared);
        let builder = std::thread::Builder::new()
            .name("log".to_owned())
            .stack_size(STACK);
        // Not joined: it ends when the queue is closed and empty, or with the process.
        if builder.spawn(move || write_all(&worker, file)).is_err() {
            self.shared.lock().done = true;
        }
    }

    /// Takes output of stream 0 or 1 as it came at this moment.
    pub(super) fn push(&mut self, stream: usize, bytes: &[u8]) {
        let time = time::now();
        let mut lines = Vec::new();
        let mut count = 0;
        if let Some(assembler) = self.assemblers.get_mut(stream) {
            assembler.push(bytes, |text| {
                count += 1;
                line::encode(&mut lines, text, NAMES[stream], &time, &self.attrs);
            });
        }
        self.enqueue(&lines, count);
    }

    fn enqueue(&mut self, lines: &[u8], count: u64) {
        if lines.is_empty() {
            return;
        }
        self.start();
        let mut queue = self.shared.lock();
        if queue.load() >= FULL {
            self.lost += count;
            return;
        }
        if self.lost > 0 {
            let text = format!(
                "bowline: {} lines were lost while the disk of this log stood still\n",
                self.lost
            );
            line::encode(
                &mut queue.bytes,
                text.as_bytes(),
                NAMES[1],
                &time::now(),
                &self.attrs,
            );
            self.lost = 0;
        }
        if queue.load() == 0 {
            queue.moved = Instant::now();
        }
        queue.bytes.extend_from_slice(lines);
        self.shared.changed.notify_all();
    }

    /// Whether more output may be read.
    pub(super) fn has_room(&self) -> bool {
        let queue = self.shared.lock();
        queue.load() < FULL || queue.moved.elapsed() >= STALLED
    }

    /// When [`Self::has_room`] may change without the thread's doing.
    pub(super) fn gives_up_at(&self) -> Option<Instant> {
        let queue = self.shared.lock();
        (queue.load() >= FULL && queue.moved.elapsed() < STALLED).then(|| queue.moved + STALLED)
    }

    /// Readable when there is room again, or all is written.
    pub(super) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    pub(super) fn woken(&self) {
        let mut buffer = [0; 64];
        while nix::unistd::read(&self.wake, &mut buffer).is_ok_and(|count| count > 0) {}
    }

    /// Nothing more comes.
    pub(super) fn close(&mut self) {
        let time = time::now();
        let mut lines = Vec::new();
        for (assembler, name) in self.assemblers.iter_mut().zip(NAMES) {
            assembler.finish(|text| line::encode(&mut lines, text, name, &time, &self.attrs));
        }
        self.enqueue(&lines, 1);
        let mut queue = self.shared.lock();
        queue.closed = true;
        queue.done |= self.idle.is_some();
        drop(queue);
        self.shared.changed.notify_all();
    }

    /// Whether all that came before [`Self::close`] is on its way to the disk.
    pub(super) fn is_done(&self) -> bool {
        self.shared.lock().done
    }
}

/// The streams' names, by their index.
const NAMES: [&str; 2] = ["stdout", "stderr"];

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn load(&self) -> usize {
        self.bytes.len() + self.writing
    }
}

/// The thread's life.
fn write_all(shared: &Shared, mut file: LogFile) {
    while let Some(lines) = next(shared) {
        // A disk that refuses a line would refuse the news of it too; the next line may fit again.
        let _full_disk = file.append(&lines);
        let mut queue = shared.lock();
        queue.writing = 0;
        queue.moved = Instant::now();
        drop(queue);
        wake(shared);
    }
    shared.lock().done = true;
    wake(shared);
}

fn next(shared: &Shared) -> Option<Vec<u8>> {
    let mut queue = shared.lock();
    while queue.bytes.is_empty() && !queue.closed {
        queue = shared
            .changed
            .wait(queue)
            .unwrap_or_else(PoisonError::into_inner);
    }
    let lines = std::mem::take(&mut queue.bytes);
    queue.writing = lines.len();
    (!lines.is_empty()).then_some(lines)
}

/// A full pipe already says what there is to say.
fn wake(shared: &Shared) {
    let _full = nix::unistd::write(&shared.wake, b"w");
}

/// The files: the newest, and up to `max_file - 1` older ones with numbers.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    max_size: Option<u64>,
    max_file: u32,
}

impl LogFile {
    fn open(path: PathBuf, max_size: Option<u64>, max_file: u32) -> io::Result<Self> {
        let file = create(&path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path,
            file,
            size,
            max_size,
            max_file,
        })
    }

    /// Appends whole lines, each to the file that is the newest when its turn comes.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let Some(max_size) = self.max_size else {
            return self.write(lines);
        };
        let mut rest = lines;
        while !rest.is_empty() {
            if self.size >= max_size {
                self.rotate()?;
            }
            let room = usize::try_from(max_size - self.size).unwrap_or(usize::MAX);
            let (fitting, later) = rest.split_at(up_to(rest, room));
            self.write(fitting)?;
            rest = later;
        }
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }

    /// Readers that have the old file open keep it; whoever opens the name gets the new one.
    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.max_file.saturating_sub(1)).rev() {
            ignore_missing(std::fs::rename(numbered(number), numbered(number + 1)))?;
        }
        if self.max_file > 1 {
            std::fs::rename(&self.path, numbered(1))?;
        } else {
            std::fs::remove_file(&self.path)?;
        }
        self.file = create(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The end of the line with which `room` is used up: as many lines as are begun before it is full.
fn up_to(lines: &[u8], room: usize) -> usize {
    let last = lines.get(room.saturating_sub(1)..).unwrap_or_default();
    last.iter()
        .position(|byte| *byte == b'\n')
        .map_or(lines.len(), |at| room.saturating_sub(1) + at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("bowline-log-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_full_file_gets_a_number_and_the_oldest_goes() {
        let base = directory("rotate");
        let path = base.join("x.log");
        let mut file = LogFile::open(path.clone(), Some(10), 3).unwrap();
        for number in 0..8 {
            file.append(format!("line {number}\n").as_bytes()).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(base.join(name)).unwrap();
        assert_eq!(read("x.log"), "line 6\nline 7\n");
        assert_eq!(read("x.log.1"), "line 4\nline 5\n");
        assert_eq!(read("x.log.2"), "line 2\nline 3\n");
        assert!(!base.join("x.log.3").exists());
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn one_batch_is_spread_over_files_line_by_line() {
        let base = directory("batch");
        let path = base.join("x.log");
        let mut file = LogFile::open(path.clone(), Some(3), 2).unwrap();
        file.append(b"aa\nbb\ncc\n").unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "cc\n");
        assert_eq!(
            std::fs::read_to_string(base.join("x.log.1")).unwrap(),
            "bb\n"
        );
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_disk_that_stands_still_stops_nobody() {
        let base = directory("stall");
        let path = base.join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Somebody has it open but never reads: the writer's thread waits for ever once the pipe is full.
        let _reader = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(&path)
            .unwrap();
        let plan = LogPlan::JsonFile {
            path,
            max_size: None,
            max_file: 1,
            attrs: BTreeMap::new(),
        };
        let mut log = Log::new(&plan).unwrap().unwrap();
        let line = [vec![b'x'; 8000], b"\n".to_vec()].concat();
        let begun = Instant::now();
        for _ in 0..200 {
            while !log.has_room() {
                std::thread::sleep(Duration::from_millis(20));
                assert!(begun.elapsed() < Duration::from_secs(20));
            }
            log.push(0, &line);
        }
        assert!(log.lost > 0);
        assert!(!log.is_done());
        std::fs::remove_dir_all(base).unwrap();
    }
}
