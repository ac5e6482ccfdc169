//! The processes of a group: who they are, stopping them, ending them, waiting for the last.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Cgroup, CgroupError, files, tree};

/// How long a freezer may take. Only tasks stuck in the kernel (a dead NFS server) take longer than milliseconds.
const FREEZE: Duration = Duration::from_secs(10);
/// How long SIGKILL may take where processes have to be hunted one by one.
const HUNT: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Process ids in the group and below, sorted, in our pid namespace.
    pub fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        let mut pids = Vec::new();
        for dir in self.census().iter().flat_map(|dir| tree::subtree(dir)) {
            let text = files::read_if_there(&dir.join("cgroup.procs"))?.unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
        // A process on the move may be seen in two places. Zero stands for one outside our pid namespace.
        pids.sort_unstable();
        pids.dedup();
        pids.retain(|pid| *pid > 0);
        Ok(pids)
    }

    /// The directory whose members count: every process is in all of them.
    fn census(&self) -> Option<PathBuf> {
        let first = || self.v1.first().map(|dir| dir.path.clone());
        self.v2
            .clone()
            .or_else(|| self.v1_dir("freezer").map(Path::to_owned))
            .or_else(first)
    }

    /// Kills every process in the group and below, frozen or not. They may take a moment to be gone: see
    /// [`Cgroup::wait_empty`].
    pub fn kill(&self) -> Result<(), CgroupError> {
        if let Some(dir) = &self.v2 {
            match files::write(&dir.join("cgroup.kill"), "1") {
                // Without this file (before 5.14) as on v1. A group that is gone holds nobody.
                Err(CgroupError::Write { source, .. }) if files::is_gone(&source) => {}
                result => return result,
            }
        }
        self.hunt()
    }

    /// v1 has no word for it: stop everybody, so that nobody forks away, signal them all, let them go (and die).
    fn hunt(&self) -> Result<(), CgroupError> {
        let frozen = self.freeze().is_ok();
        let deadline = Instant::now() + HUNT;
        loop {
            let pids = self.pids()?;
            for pid in &pids {
                // One that ended meanwhile is what was wanted.
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            if frozen {
                return self.thaw();
            }
            if pids.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(CgroupError::Unkillable {
                    path: PathBuf::from(&self.path),
                });
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Stops every process; returns when all have stopped.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        self.set_frozen(true)
    }

    /// Lets them go on.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.set_frozen(false)
    }

    fn set_frozen(&self, frozen: bool) -> Result<(), CgroupError> {
        let wanted = if frozen { "freeze" } else { "thaw" };
        let (dir, done) = match (&self.v2, self.v1_dir("freezer")) {
            (Some(dir), _) => {
                let state = u64::from(frozen);
                files::write(&dir.join("cgroup.freeze"), &state.to_string())?;
                (
                    dir.as_path(),
                    Watch::new(dir)?.wait("frozen", state, Instant::now() + FREEZE)?,
                )
            }
            (None, Some(dir)) => (dir, freeze_v1(dir, frozen)?),
            (None, None) => {
                let problem = format!("cannot {wanted}: this machine has no freezer");
                return Err(CgroupError::Invalid(problem));
            }
        };
        if done {
            Ok(())
        } else {
            Err(CgroupError::Freezer {
                path: dir.into(),
                wanted,
            })
        }
    }

    /// Waits until no process is left; `false` when the time was not enough.
    pub fn wait_empty(&self, timeout: Duration) -> Result<bool, CgroupError> {
        let deadline = Instant::now() + timeout;
        match &self.v2 {
            Some(dir) => match Watch::new(dir) {
                Ok(mut watch) => watch.wait("populated", 0, deadline),
                Err(CgroupError::Open { source, .. }) if files::is_gone(&source) => Ok(true),
                Err(error) => Err(error),
            },
            None => self.poll_empty(deadline),
        }
    }

    /// v1 announces nothing to a program that is not started for it, so it is asked again and again.
    fn poll_empty(&self, deadline: Instant) -> Result<bool, CgroupError> {
        let mut pause = Duration::from_millis(1);
        loop {
            if self.pids()?.is_empty() {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

/// The v1 freezer may get stuck half-way when tasks are forking, and goes on when it is told again.
fn freeze_v1(dir: &Path, frozen: bool) -> Result<bool, CgroupError> {
    let (file, wanted) = (
        dir.join("freezer.state"),
        if frozen { "FROZEN" } else { "THAWED" },
    );
    let deadline = Instant::now() + FREEZE;
    loop {
        files::write(&file, wanted)?;
        if files::read(&file)?.trim() == wanted {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        sleep(Duration::from_millis(1));
    }
}

/// `cgroup.events`, whose changes the kernel announces.
struct Watch {
    file: File,
    path: PathBuf,
}

impl Watch {
    fn new(dir: &Path) -> Result<Self, CgroupError> {
        let path = dir.join("cgroup.events");
        match File::open(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(source) => Err(CgroupError::Open { path, source }),
        }
    }

    /// Waits until `key` has `value`, or the group is gone.
    fn wait(&mut self, key: &str, value: u64, deadline: Instant) -> Result<bool, CgroupError> {
        loop {
            // Reading first also arms the notification: poll reports what changes after the last read.
            match self.read() {
                Ok(text) if files::value(&text, key) == Some(value) => return Ok(true),
                Ok(_) => {}
                Err(source) if files::is_gone(&source) => return Ok(true),
                Err(source) => {
                    return Err(CgroupError::Read {
                        path: self.path.clone(),
                        source,
                    });
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            self.poll(left)?;
        }
    }

    fn read(&mut self) -> std::io::Result<String> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_string(&mut text)?;
        Ok(text)
    }

    fn poll(&self, left: Duration) -> Result<(), CgroupError> {
        // Rounded up, so that the last turn does not spin.
        let left = left + Duration::from_millis(1);
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLPRI)];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(CgroupError::Read {
                path: self.path.clone(),
                source: errno.into(),
            }),
        }
    }
}
