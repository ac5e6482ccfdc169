//! Starting a dead engine again.
//!
//! All shims of a dead engine find out at the same moment. Whoever gets the lock starts it and hands the lock over with
//! the process, so that there is never a second one; the others go on waiting for a connection.

use std::ffi::{CStr, CString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bowline_sys::process::{self, Spawn};

use crate::cgroup::Hierarchies;
use crate::life::{EngineLife, EngineState, LOCK_FD_VARIABLE};
use crate::spawn::into_cgroup;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
/// Which descriptor the lock becomes.
const LOCK_FD: i32 = 3;

/// The shim's part in keeping an engine alive.
#[derive(Debug)]
pub(super) struct Revival {
    /// Path of `engine.json`, where starting it again was allowed at launch.
    life: Option<PathBuf>,
    wait: Duration,
    next: Option<Instant>,
}

impl Revival {
    pub(super) fn new(life: Option<PathBuf>) -> Self {
        Self {
            life,
            wait: FIRST,
            next: None,
        }
    }

    /// An engine has connected.
    pub(super) fn engine_is_there(&mut self) {
        (self.wait, self.next) = (FIRST, None);
    }

    /// The engine's last connection has ended.
    pub(super) fn engine_is_gone(&mut self) {
        if self.life.is_some() {
            self.next = Some(Instant::now() + FIRST);
        }
    }

    /// When [`Self::tick`] has something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Whether an engine may still come back by our doing.
    pub(super) fn is_hoping(&self) -> bool {
        self.next.is_some()
    }

    /// Tries, if it is time.
    pub(super) fn tick(&mut self) {
        if self.next.is_none_or(|next| Instant::now() < next) {
            return;
        }
        // It left on purpose, or was never to be started again: then nobody is waited for.
        let Some(life) = self.wanted() else {
            self.next = None;
            return;
        };
        // Held by somebody: it lives, or another shim is faster. Failed: the next try may not.
        let _later = self.revive(&life);
        self.wait = (self.wait * 2).min(LONGEST);
        self.next = Some(Instant::now() + self.wait);
    }

    fn wanted(&self) -> Option<EngineLife> {
        let life = EngineLife::read(self.life.as_ref()?).ok()??;
        (life.revive && life.state == EngineState::Running).then_some(life)
    }

    fn revive(&self, life: &EngineLife) -> io::Result<()> {
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&life.lock)?;
        // The lock belongs to the open file, which the engine will share: our closing it unlocks nothing then.
        lock.try_lock()?;
        // It may have left, or said that it is leaving, before we had the lock.
        self.wanted().map_or(Ok(()), |life| start(&life, &lock))
    }
}

fn start(life: &EngineLife, lock: &File) -> io::Result<()> {
    let strings = |texts: &[String]| {
        texts
            .iter()
            .map(|text| CString::new(text.as_str()))
            .collect::<Result<Vec<_>, _>>()
    };
    let argv = strings(&life.argv)?;
    let mut env = strings(&life.env)?;
    env.push(CString::new(format!("{LOCK_FD_VARIABLE}={LOCK_FD}"))?);
    let executable = File::open("/proc/self/exe")?;
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    // Out of our cgroup, which it must outlive. One that cannot be joined does not keep the engine dead.
    let join = life
        .cgroup
        .as_ref()
        .and_then(|path| Hierarchies::detect().ok()?.join_at(path).ok());
    process::spawn(&Spawn {
        exe: executable.as_fd(),
        argv: &refs(&argv),
        envp: &refs(&env),
        fds: &[null.as_fd(), null.as_fd(), null.as_fd(), lock.as_fd()],
        cgroup: into_cgroup(join.as_ref()),
        sibling: true,
    })
    .map(drop)
}

fn refs(strings: &[CString]) -> Vec<&CStr> {
    strings.iter().map(CString::as_c_str).collect()
}
