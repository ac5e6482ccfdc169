//! The child's own life, from its first instruction to its program.

use core::ffi::CStr;

use crate::report::{IdentityStep, Persona, Phase, Report, decode};
use crate::steps::State;
use crate::sys::{self, EACCES, EINVAL, EISDIR, ENOENT, Fd, Result, TYPE};
use crate::{Birth, Identity, Program};

const PR_SET_DUMPABLE: usize = 4;
const PR_SET_KEEPCAPS: usize = 8;
const PR_CAPBSET_DROP: usize = 24;
const PR_SET_NO_NEW_PRIVS: usize = 38;

/// What went wrong, and where.
type Failure = (Phase, u32, i32);

pub(crate) fn live(birth: &Birth<'_>) -> ! {
    let Err((phase, step, errno)) = prepare(birth).and_then(|()| execute(birth));
    let report = Report::Failed { phase, step, errno };
    // The parent may be gone; then nobody asks.
    let _ = sys::send(birth.sync, &report.encode(), None);
    sys::exit(1)
}

fn prepare(birth: &Birth<'_>) -> core::result::Result<(), Failure> {
    // Nobody may look into or trace us while we still hold what the host gave us.
    let _ = sys::prctl(PR_SET_DUMPABLE, 0);
    close_others(birth.keep).map_err(|errno| identity(IdentityStep::Close, errno))?;
    sys::umask(0);
    let mut state = State::new();
    for (index, step) in (0..).zip(birth.setup) {
        state
            .run(step)
            .map_err(|errno| (Phase::Setup, index, errno))?;
    }
    let master = state.terminal.map(|terminal| terminal.master);
    sys::send(birth.sync, &Report::Mounted.encode(), master)
        .map_err(|errno| identity(IdentityStep::Persona, errno))?;
    become_somebody(birth, state.terminal.map(|terminal| terminal.peer))?;
    look(&birth.program)?;
    sys::send(birth.sync, &Report::Ready.encode(), None)
        .map_err(|errno| identity(IdentityStep::Persona, errno))
}

fn identity(step: IdentityStep, errno: i32) -> Failure {
    (Phase::Identity, step as u32, errno)
}

/// Closes all descriptors but the given, which rise.
fn close_others(keep: &[Fd]) -> Result<()> {
    let mut next = 0;
    for fd in keep.iter().filter_map(|fd| u32::try_from(*fd).ok()) {
        if fd > next {
            sys::close_range(next, fd - 1, false)?;
        }
        next = next.max(fd + 1);
    }
    sys::close_range(next, u32::MAX, false)
}

fn become_somebody(birth: &Birth<'_>, terminal: Option<Fd>) -> core::result::Result<(), Failure> {
    let mut packet = [0; Persona::LENGTH];
    let mut groups = [0; Persona::GROUPS];
    let length = sys::receive(birth.sync, &mut packet).unwrap_or(0);
    if length == 0 {
        // The parent has gone, or given up on us.
        sys::exit(1);
    }
    let known = packet
        .get(..length)
        .and_then(|packet| decode(packet, &mut groups));
    let (uid, gid, count, home) = known.ok_or(identity(IdentityStep::Persona, EINVAL))?;
    if let Some(room) = birth.program.home {
        room.set(home);
    }
    let plan = &birth.identity;
    stdio(plan, terminal, uid, gid)?;
    // First as root, who may enter where the user may not; only what root is refused (a network file system) is tried
    // again as the user.
    let entered = sys::chdir(plan.cwd);
    sys::umask(0o022);
    // From here on nothing of the host's survives the program's start, whatever comes between.
    sys::close_range(3, u32::MAX, true).map_err(|errno| identity(IdentityStep::Close, errno))?;
    drop_bounding(plan.bounding)?;
    // Loading a filter needs either the right to administer, which goes in a moment, or no-new-privileges.
    if !plan.no_new_privileges {
        filter(plan)?;
    }
    change_user(plan, uid, gid, groups.get(..count).unwrap_or_default())?;
    if plan.no_new_privileges {
        sys::prctl(PR_SET_NO_NEW_PRIVS, 1)
            .map_err(|errno| identity(IdentityStep::NoNewPrivileges, errno))?;
        filter(plan)?;
    }
    match entered {
        Err(EACCES) => sys::chdir(plan.cwd),
        other => other,
    }
    .map_err(|errno| identity(IdentityStep::Cwd, errno))?;
    stay_inside()
}

/// The streams belong to the user, or opening `/dev/stderr` again would fail. What is not ours to give (a socket, the
/// host's null device) is left alone.
fn stdio(
    plan: &Identity<'_>,
    terminal: Option<Fd>,
    uid: u32,
    gid: u32,
) -> core::result::Result<(), Failure> {
    let failed = |errno| identity(IdentityStep::Stdio, errno);
    match (plan.stdio, terminal) {
        (Some(mut fds), _) => {
            for fd in &mut fds {
                let Ok(stat) = sys::stat(*fd) else { continue };
                if stat.mode & TYPE == sys::FIFO {
                    sys::fchown(*fd, uid, gid).map_err(failed)?;
                } else if is_null(&stat) {
                    *fd = own_null().unwrap_or(*fd);
                }
            }
            place(fds).map_err(failed)
        }
        (None, Some(peer)) => {
            let terminal = |errno| identity(IdentityStep::Terminal, errno);
            sys::take_terminal(peer).map_err(terminal)?;
            // The group stays the terminals' own, as devpts was told.
            sys::fchown(peer, uid, u32::MAX).map_err(terminal)?;
            place([peer; 3]).map_err(failed)
        }
        (None, None) => Err(failed(ENOENT)),
    }
}

fn is_null(stat: &sys::Stat) -> bool {
    stat.mode & TYPE == sys::CHARACTER && stat.device == (1, 3)
}

/// The container's own null device in place of the host's, if it has one.
fn own_null() -> Option<Fd> {
    let null = sys::openat(sys::AT_FDCWD, c"/dev/null", sys::O_READ_WRITE, 0).ok()?;
    is_null(&sys::stat(null).ok()?).then_some(null)
}

/// First out of the way, then into place: a stream may sit on another's number.
fn place(fds: [Fd; 3]) -> Result<()> {
    let mut moved = [0; 3];
    for (to, from) in moved.iter_mut().zip(fds) {
        *to = sys::duplicate_above(from, 3)?;
    }
    for (number, from) in (0..).zip(moved) {
        sys::duplicate(from, number)?;
        sys::inheritable(number)?;
    }
    Ok(())
}

fn drop_bounding(keep: u64) -> core::result::Result<(), Failure> {
    for cap in (0..64).filter(|cap| keep & (1 << cap) == 0) {
        match sys::prctl(PR_CAPBSET_DROP, cap) {
            // Beyond the last that this kernel knows.
            Err(EINVAL) => break,
            other => other.map_err(|errno| identity(IdentityStep::Bounding, errno))?,
        };
    }
    Ok(())
}

fn filter(plan: &Identity<'_>) -> core::result::Result<(), Failure> {
    if plan.filter.is_empty() {
        return Ok(());
    }
    sys::set_filter(plan.filter).map_err(|errno| identity(IdentityStep::Filter, errno))
}

/// By raw calls: the C library's would tell threads that do not exist here.
fn change_user(
    plan: &Identity<'_>,
    uid: u32,
    gid: u32,
    groups: &[u32],
) -> core::result::Result<(), Failure> {
    let capabilities = |errno| identity(IdentityStep::Capabilities, errno);
    sys::prctl(PR_SET_KEEPCAPS, 1).map_err(capabilities)?;
    sys::set_groups(groups).map_err(|errno| identity(IdentityStep::Groups, errno))?;
    sys::set_gid(gid).map_err(|errno| identity(IdentityStep::Groups, errno))?;
    sys::set_uid(uid).map_err(|errno| identity(IdentityStep::User, errno))?;
    sys::prctl(PR_SET_KEEPCAPS, 0).map_err(capabilities)?;
    sys::capset(plan.effective, plan.permitted, plan.inheritable).map_err(capabilities)?;
    for cap in (0..64).filter(|cap| plan.ambient & (1 << cap) != 0) {
        sys::raise_ambient(cap).map_err(capabilities)?;
    }
    // Changing the user made us dumpable again.
    let _ = sys::prctl(PR_SET_DUMPABLE, 0);
    Ok(())
}

/// A working directory reached through a descriptor of the host's would be outside of our root, which the kernel says.
fn stay_inside() -> core::result::Result<(), Failure> {
    let mut buffer = [0; 4096];
    let length = sys::getcwd(&mut buffer).map_err(|errno| identity(IdentityStep::Cwd, errno))?;
    if length > 1 && buffer[0] == b'/' {
        Ok(())
    } else {
        Err(identity(IdentityStep::CwdOutside, EINVAL))
    }
}

/// Whether there is a program at all, before anybody is told that we are ready.
fn look(program: &Program<'_>) -> core::result::Result<(), Failure> {
    find(program)
        .map(drop)
        .map_err(|errno| (Phase::Program, 0, errno))
}

/// The first candidate that can be executed. A name that was searched for is simply not found where none can; a path
/// that was given says why.
fn find<'a>(program: &Program<'a>) -> Result<&'a CStr> {
    let mut last = ENOENT;
    for candidate in program.candidates {
        match executable(candidate) {
            Ok(()) => return Ok(candidate),
            Err(errno) if !program.searched => last = errno,
            Err(_) => {}
        }
    }
    Err(last)
}

fn executable(path: &CStr) -> Result<()> {
    if sys::stat_path(path)?.mode & TYPE == sys::DIRECTORY {
        return Err(EISDIR);
    }
    sys::may_execute(path)
}

fn execute(birth: &Birth<'_>) -> core::result::Result<core::convert::Infallible, Failure> {
    let mut go = [0];
    if sys::receive(birth.sync, &mut go).unwrap_or(0) == 0 {
        sys::exit(1);
    }
    let program = &birth.program;
    let failed = |errno| (Phase::Program, 1, errno);
    let path = find(program).map_err(failed)?;
    // Once more in earnest: nothing but the streams and what closes by itself on success.
    let mut keep = [0, 1, 2, birth.sync, program.reaper.unwrap_or(birth.sync)];
    keep.sort_unstable();
    close_others(&keep).map_err(failed)?;
    sys::reset_signals();
    Err(failed(match program.reaper {
        Some(reaper) => sys::fexecve(reaper, program.argv.args, program.envp.args),
        None => sys::execve(path, program.argv.args, program.envp.args),
    }))
}
