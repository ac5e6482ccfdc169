//! The sentence and the exit code for what a new process reported, in the words that Docker's clients look for.

use bowline_init::{IN_PROC, IdentityStep, Phase, UNEXPECTED};
use nix::errno::Errno;

use super::order::Order;
use super::program::Program;
use crate::{StartError, StartStep};

/// What the process said went wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) phase: Phase,
    pub(super) step: u32,
    pub(super) errno: i32,
}

impl Failure {
    pub(super) fn explain(self, orders: &[Order], program: &Program) -> StartError {
        match self.phase {
            Phase::Setup => self.setup(orders),
            Phase::Identity => self.identity(program),
            Phase::Program => self.program(program),
        }
    }

    fn setup(self, orders: &[Order]) -> StartError {
        let order = usize::try_from(self.step)
            .ok()
            .and_then(|step| orders.get(step));
        let what = order.map_or_else(|| "set the container up".to_owned(), Order::words);
        self.error(
            StartStep::Setup,
            128,
            format!("{what}: {}", words(self.errno)),
        )
    }

    fn identity(self, program: &Program) -> StartError {
        let step = self.step;
        let is = |which: IdentityStep| step == which as u32;
        let cwd = program.cwd.to_string_lossy();
        let what = match () {
            () if is(IdentityStep::Stdio) => "set up standard input and output".to_owned(),
            () if is(IdentityStep::Terminal) => "take the terminal".to_owned(),
            () if is(IdentityStep::Close) => "close other files".to_owned(),
            () if is(IdentityStep::Bounding) => "drop capabilities".to_owned(),
            () if is(IdentityStep::Filter) => "load the seccomp filter".to_owned(),
            () if is(IdentityStep::Groups) => "set the groups".to_owned(),
            () if is(IdentityStep::User) => "set the user".to_owned(),
            () if is(IdentityStep::Capabilities) => "set capabilities".to_owned(),
            () if is(IdentityStep::NoNewPrivileges) => "set no-new-privileges".to_owned(),
            () if is(IdentityStep::Cwd) => format!("chdir to cwd (\"{cwd}\")"),
            () if is(IdentityStep::CwdOutside) => {
                let text =
                    format!("working directory \"{cwd}\" is outside of the container's root");
                return self.error(StartStep::Identity, 128, text);
            }
            () => "become the container's user".to_owned(),
        };
        let code = if is(IdentityStep::Cwd) {
            code(self.errno)
        } else {
            128
        };
        self.error(
            StartStep::Identity,
            code,
            format!("{what}: {}", words(self.errno)),
        )
    }

    fn program(self, program: &Program) -> StartError {
        let name = &program.name;
        let looking = self.step == 0;
        let text = match Errno::from_raw(self.errno) {
            Errno::ENOENT if program.searched => {
                format!("exec: \"{name}\": executable file not found in $PATH")
            }
            Errno::ENOENT | Errno::ENOTDIR if looking => {
                format!("exec: \"{name}\": stat {name}: {}", words(self.errno))
            }
            _ if looking => format!("exec: \"{name}\": {}", words(self.errno)),
            _ => format!("exec {name}: {}", words(self.errno)),
        };
        self.error(
            StartStep::Exec,
            if self.errno == 2 { 127 } else { 126 },
            text,
        )
    }

    fn error(self, step: StartStep, code: i32, message: String) -> StartError {
        let errno = (self.errno < IN_PROC).then_some(self.errno);
        StartError {
            step,
            errno,
            code,
            message,
        }
    }
}

fn code(errno: i32) -> i32 {
    match Errno::from_raw(errno) {
        Errno::ENOENT => 127,
        Errno::EACCES | Errno::ENOTDIR | Errno::EPERM => 126,
        _ => 128,
    }
}

/// The kernel's word, as Go prints it, for that is what clients compare with.
pub(super) fn words(errno: i32) -> String {
    match errno {
        IN_PROC => "the destination lies inside of /proc".to_owned(),
        UNEXPECTED => "the file there is not the device it has to be".to_owned(),
        40 => "too many levels of symbolic links (a symlink where none may be)".to_owned(),
        _ => Errno::from_raw(errno).desc().to_lowercase(),
    }
}
