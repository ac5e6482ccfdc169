//! A command that was run: what it said, and how it ended. Every run has a limit, so no story hangs.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::eventually;

/// Nothing a story runs takes longer on two busy cores.
const LIMIT: Duration = Duration::from_secs(120);

/// A finished command.
#[derive(Debug)]
pub struct Ran {
    line: String,
    /// Exit code; 128 plus the number for a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// A command under way.
#[derive(Debug)]
pub struct Running {
    line: String,
    child: Child,
    out: Stream,
    err: Stream,
}

/// One stream of a command, read as it comes.
#[derive(Debug)]
struct Stream {
    read: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Running {
    /// Starts `command` with its output collected.
    pub fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// The same with something else than nothing to read.
    pub fn start_with(mut command: Command, input: Stdio) -> Self {
        let line = format!("{command:?}");
        let line = line
            .rsplit_once("bowline\"")
            .map_or(line.clone(), |(_, rest)| format!("bowline{rest}"));
        command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        let out = Stream::collect(child.stdout.take());
        let err = Stream::collect(child.stderr.take());
        Self {
            line,
            child,
            out,
            err,
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).unwrap_or_else(|error| panic!("{}: {error}", self.line));
    }

    /// What it has printed to standard output so far.
    pub fn so_far(&self) -> String {
        self.out.so_far()
    }

    /// Waits until standard output contains `words`.
    #[track_caller]
    pub fn shows(&self, words: &str) {
        eventually(Duration::from_secs(30), || {
            let text = self.out.so_far();
            if text.contains(words) {
                Ok(())
            } else {
                Err(format!("{}: no `{words}` in {text:?}", self.line))
            }
        });
    }

    /// Waits until standard error contains `words`.
    #[track_caller]
    pub fn tells(&self, words: &str) {
        eventually(Duration::from_secs(30), || {
            let text = self.err.so_far();
            if text.contains(words) {
                Ok(())
            } else {
                Err(format!("{}: no `{words}` in {text:?}", self.line))
            }
        });
    }

    /// Waits for the end.
    #[must_use = "check how it ended"]
    pub fn wait(self) -> Ran {
        let Self {
            line,
            mut child,
            out,
            err,
        } = self;
        let pid = Pid::from_raw(child.id().cast_signed());
        let (done, finished) = mpsc::channel();
        let waiter = thread::spawn(move || {
            let status = child.wait();
            // The story may have given up on it.
            let _ = done.send(());
            status
        });
        let late = finished.recv_timeout(LIMIT).is_err();
        if late {
            // It is ours and has not been waited for, so the number is still its own.
            let _ = kill(pid, Signal::SIGKILL);
        }
        let status = waiter.join().expect("the waiting thread").expect("wait");
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        let ran = Ran {
            line,
            code: status
                .code()
                .or(signal.map(|signal| 128 + signal))
                .unwrap_or(-1),
            out: out.whole(),
            err: err.whole(),
        };
        assert!(!late, "took longer than {LIMIT:?}: {ran}");
        ran
    }
}

impl Stream {
    fn collect(source: Option<impl Read + Send + 'static>) -> Self {
        let read = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&read);
        let reader = thread::spawn(move || {
            let Some(mut source) = source else { return };
            let mut piece = [0; 4096];
            // What was read before an error still tells the story.
            while let Ok(length @ 1..) = source.read(&mut piece) {
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(&piece[..length]);
            }
        });
        Self { read, reader }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.read.lock().unwrap_or_else(PoisonError::into_inner))
            .into_owned()
    }

    fn whole(self) -> String {
        self.reader.join().expect("the reading thread");
        String::from_utf8_lossy(&self.read.lock().unwrap_or_else(PoisonError::into_inner))
            .into_owned()
    }
}

impl Ran {
    /// It must have ended well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self}");
        self
    }

    /// It must have ended with `code`.
    #[track_caller]
    pub fn fails_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Both streams together must contain `words`.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(
            self.out.contains(words) || self.err.contains(words),
            "does not say `{words}`: {self}"
        );
        self
    }

    /// Neither stream may contain `words`.
    #[track_caller]
    pub fn never_says(self, words: &str) -> Self {
        assert!(
            !self.out.contains(words) && !self.err.contains(words),
            "says `{words}`: {self}"
        );
        self
    }

    /// Standard output without the white space around it.
    pub fn text(&self) -> &str {
        self.out.trim()
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "`{}` ended with {}", self.line, self.code)?;
        writeln!(f, "--- stdout\n{}--- stderr\n{}", self.out, self.err)
    }
}
