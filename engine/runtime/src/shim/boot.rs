//! From the descriptors that the engine passed to a shim whose container is on its way.

use std::fs::File;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::FileExt as _;

use bowline_init::Instruction;
use bowline_sys::process;

use super::forward::Forwards;
use super::hub::{Hub, Rules, Streams};
use super::keeper::{Keeper, Life, Running, Settings};
use super::log::Log;
use super::revival::Revival;
use super::streams;
use crate::cgroup::{Cgroup, Hierarchies};
use crate::setup::{self, Pending, Supplies};
use crate::spawn::{Envelope, FIRST_PASSED_FD, LISTENER_FD, PLAN_FD, Relief};
use crate::{Launch, PROTOCOL, StartError, StartStep};

/// The sealed plan, which stays open: the filter is read from it again for every exec instead of being kept.
#[derive(Debug)]
pub(super) struct Plan {
    file: File,
    filter_at: u64,
}

impl Plan {
    fn read(fd: OwnedFd) -> io::Result<(Self, Envelope)> {
        let file = File::from(fd);
        let mut length = [0; 8];
        file.read_exact_at(&mut length, 0)?;
        let length = u64::from_le_bytes(length);
        let mut json = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read_exact_at(&mut json, 8)?;
        Ok((
            Self {
                file,
                filter_at: 8 + length,
            },
            serde_json::from_slice(&json)?,
        ))
    }

    /// The compiled filter; empty when there is none.
    pub(super) fn filter(&self) -> io::Result<Vec<Instruction>> {
        let length = self.file.metadata()?.len().saturating_sub(self.filter_at);
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, self.filter_at)?;
        let (instructions, _) = bytes.as_chunks::<8>();
        Ok(instructions.iter().map(instruction).collect())
    }
}

fn instruction(&[a, b, jt, jf, c, d, e, f]: &[u8; 8]) -> Instruction {
    Instruction {
        code: u16::from_ne_bytes([a, b]),
        jt,
        jf,
        k: u32::from_ne_bytes([c, d, e, f]),
    }
}

/// Reads the plan and begins the container. A container that cannot be begun is a failure to tell, not one of ours.
///
/// Its frame holds the whole launch, and must not be a part of one that lives as long as the shim.
#[inline(never)]
pub(super) fn boot() -> io::Result<Box<Keeper>> {
    let mut fds = process::inherited(PLAN_FD, 1)?;
    let listener = process::inherited(LISTENER_FD, 1)?
        .pop()
        .ok_or(io::ErrorKind::NotFound)?;
    let (plan, envelope) = Plan::read(fds.pop().ok_or(io::ErrorKind::NotFound)?)?;
    let Envelope {
        launch,
        keep,
        forwards: count,
        capabilities,
        relief,
    } = envelope;
    // A name that no kernel is too old for: it only says so in `ps`.
    let _unnamed = nix::sys::prctl::set_name(c"bowline-shim");
    let mut passed = process::inherited(FIRST_PASSED_FD, count + keep.len())?;
    let first_extra = FIRST_PASSED_FD + RawFd::try_from(passed.len()).map_err(io::Error::other)?;
    let kept = keep.into_iter().zip(passed.split_off(count)).collect();
    let forwards = forwards(&launch, passed)?;
    let settings = Settings::new(&launch, capabilities);
    let revival = Revival::new(launch.engine_life.clone().filter(|_| launch.revive));
    let mut keeper = Box::new(Keeper::new(
        settings, plan, listener, kept, forwards, revival,
    ));
    if let Some(relief) = relief {
        take_over(&mut keeper, &launch, relief, first_extra)?;
        return Ok(keeper);
    }
    match begin(&mut keeper, &launch, capabilities) {
        Ok(pending) => {
            keeper.life = Life::Preparing {
                pending,
                asker: None,
            }
        }
        Err(error) => keeper.life = Life::Failed(error),
    }
    Ok(keeper)
}

fn forwards(launch: &Launch, listeners: Vec<OwnedFd>) -> io::Result<Forwards> {
    let mut listeners: Vec<Option<OwnedFd>> = listeners.into_iter().map(Some).collect();
    let mut forwards = Forwards::default();
    for forward in &launch.forwards {
        let listener = listeners.get_mut(forward.listener).and_then(Option::take);
        forwards.add(*forward, listener.ok_or(io::ErrorKind::InvalidInput)?)?;
    }
    Ok(forwards)
}

/// Goes on where a shim that died had stopped. Its container is not our child: its end is the kernel's to tell.
fn take_over(
    keeper: &mut Keeper,
    launch: &Launch,
    relief: Relief,
    first_extra: RawFd,
) -> io::Result<()> {
    let mut extra = process::inherited(first_extra, 1 + usize::from(relief.terminal))?;
    let terminal = if relief.terminal { extra.pop() } else { None };
    let process = extra.pop().ok_or(io::ErrorKind::NotFound)?;
    let Relief {
        pid, started_at, ..
    } = relief;
    let tty = launch.stdio.tty;
    let streams = if tty {
        Streams::default()
    } else {
        streams::survivor(&launch.run_dir)?
    };
    let log = Log::new(&launch.log)?;
    keeper.hub = Hub::new(streams, rules(launch), log);
    if let Some(master) = terminal {
        keeper
            .hub
            .set_terminal(master, None, launch.stdio.open_stdin)?;
    }
    let plan = &launch.cgroup;
    let hierarchies = Hierarchies::detect().map_err(io::Error::other)?;
    keeper.cgroup = Cgroup::open(&hierarchies, &plan.parent, &plan.name).ok();
    let kills = keeper
        .cgroup
        .as_ref()
        .and_then(|cgroup| cgroup.oom_kills().ok());
    keeper.oom_before = kills.unwrap_or(0);
    // Without its root, which it may be about to lose, only further commands are refused.
    keeper.root = File::open(format!("/proc/{pid}/root"))
        .map(OwnedFd::from)
        .ok();
    keeper.write_identity(pid, &process, &started_at)?;
    let stranger = Some(None);
    keeper.life = Life::Running(Running {
        pid,
        process,
        started_at,
        stranger,
    });
    Ok(())
}

fn rules(launch: &Launch) -> Rules {
    let once = launch.stdio.stdin_once;
    Rules {
        tty: launch.stdio.tty,
        ends_input: once,
        ends_client: !once,
    }
}

fn begin(keeper: &mut Keeper, launch: &Launch, capabilities: u64) -> Result<Pending, StartError> {
    if launch.protocol > PROTOCOL {
        let text = format!(
            "the plan has protocol {}, this shim {PROTOCOL}",
            launch.protocol
        );
        return Err(StartError::new(StartStep::Plan, text));
    }
    let shim =
        |what: &'static str| move |error: io::Error| StartError::io(StartStep::Shim, what, &error);
    let log = Log::new(&launch.log).map_err(shim("open the log"))?;
    let tty = launch.stdio.tty;
    let (ours, theirs) = if tty {
        (Streams::default(), None)
    } else {
        let ends = streams::container(&launch.run_dir, launch.stdio.open_stdin);
        let (ours, theirs) = ends.map_err(shim("make the container's pipes"))?;
        (ours, Some(theirs))
    };
    keeper.hub = Hub::new(ours, rules(launch), log);
    let filter = keeper.plan.filter().map_err(shim("read the filter"))?;
    let supplies = Supplies {
        stdio: theirs,
        filter,
        capabilities,
    };
    let (draft, cgroup, warnings) = setup::container(launch, supplies)?;
    keeper.oom_before = cgroup.oom_kills().unwrap_or(0);
    keeper.cgroup = Some(cgroup);
    keeper.warnings = warnings;
    Pending::begin(draft)
}
