//! A terminal with a command at it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::pty::{Winsize, openpty};

use crate::wait::eventually;

const LIMIT: Duration = Duration::from_secs(30);

/// A command whose three standard streams are one terminal.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts `command` at a terminal of `rows` and `columns`.
    #[track_caller]
    pub fn start(mut command: Command, rows: u16, columns: u16) -> Self {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(Some(&size), None).expect("a terminal");
        let end = |fd: &OwnedFd| Stdio::from(fd.try_clone().expect("another handle"));
        command
            .stdin(end(&pair.slave))
            .stdout(end(&pair.slave))
            .stderr(end(&pair.slave));
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        drop((command, pair.slave));
        let keys = File::from(pair.master);
        let mut source = keys.try_clone().expect("another handle");
        let screen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&screen);
        thread::spawn(move || {
            let mut piece = [0; 4096];
            // The far end closing is an error here, and the end.
            while let Ok(length @ 1..) = source.read(&mut piece) {
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(&piece[..length]);
            }
        });
        Self {
            child,
            keys,
            screen,
        }
    }

    /// Everything on the screen so far.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap_or_else(PoisonError::into_inner))
            .into_owned()
    }

    /// Waits until the screen has `words`.
    #[track_caller]
    pub fn shows(&self, words: &str) {
        eventually(LIMIT, || {
            let screen = self.screen();
            if screen.contains(words) {
                Ok(())
            } else {
                Err(format!("no `{words}` on {screen:?}"))
            }
        });
    }

    /// Presses keys.
    #[track_caller]
    pub fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("type");
    }

    /// The exit code, once the command has ended.
    #[track_caller]
    pub fn ends(mut self) -> i32 {
        let screen = self.screen();
        let status = eventually(LIMIT, || match self.child.try_wait().expect("wait") {
            Some(status) => Ok(status),
            None => Err(format!("still running: {screen:?}")),
        });
        status.code().unwrap_or(-1)
    }
}
