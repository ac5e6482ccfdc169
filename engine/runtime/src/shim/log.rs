//! The container's log. The only thing in a shim that may have to wait for a disk, so the only one on a thread of its
//! own: a disk that stands still stops neither the container's streams nor the news of its end.
//!
//! The thread gets whole lines through a bounded queue. While the queue is full nothing is read from the container,
//! which then waits as it would on any pipe; but once the disk has not moved for [`STALLED`], lines are counted instead
//! of kept, and the count is logged when it moves again.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use super::line::{self, Assembler};
use super::log_file::{Keep, LogFile};
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
            compress,
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
        let keep = Keep {
            max_size: *max_size,
            max_file: *max_file,
            compress: *compress,
        };
        let file = LogFile::open(path.clone(), keep)?;
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

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::path::PathBuf;

    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("bowline-log-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
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
            compress: false,
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
