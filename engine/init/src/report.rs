//! What parent and child tell each other: small packets with a fixed layout. Both ends are the same executable.

/// From the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The file system is in place. The terminal's master, if there is one, came with it.
    Mounted,
    /// Everything but the program is done.
    Ready,
    /// Something failed; the child has ended.
    Failed {
        /// In which part.
        phase: Phase,
        /// Which step of the list, [`IdentityStep`] or candidate.
        step: u32,
        /// The kernel's word.
        errno: i32,
    },
}

/// The parts of a birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The list of steps.
    Setup,
    /// Becoming who it is.
    Identity,
    /// Finding and executing the program.
    Program,
}

/// The steps of becoming who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum IdentityStep {
    /// The parent's packet made no sense.
    Persona = 1,
    /// Descriptors 0 to 2.
    Stdio = 2,
    /// The terminal as controlling terminal.
    Terminal = 3,
    /// Closing what is not the program's.
    Close = 4,
    /// Capabilities that no child may ever have.
    Bounding = 5,
    /// The system-call filter.
    Filter = 6,
    /// Groups.
    Groups = 7,
    /// User.
    User = 8,
    /// Capabilities in force.
    Capabilities = 9,
    /// No new privileges.
    NoNewPrivileges = 10,
    /// The working directory.
    Cwd = 11,
    /// The working directory turned out to lie outside of the container.
    CwdOutside = 12,
}

impl Report {
    pub(crate) const LENGTH: usize = 12;

    pub(crate) fn encode(self) -> [u8; Self::LENGTH] {
        let (kind, phase, step, errno) = match self {
            Self::Mounted => (1, 0, 0, 0),
            Self::Ready => (2, 0, 0, 0),
            Self::Failed {
                phase: Phase::Setup,
                step,
                errno,
            } => (3, 1, step, errno),
            Self::Failed {
                phase: Phase::Identity,
                step,
                errno,
            } => (3, 2, step, errno),
            Self::Failed {
                phase: Phase::Program,
                step,
                errno,
            } => (3, 3, step, errno),
        };
        let [a, b, c, d] = step.to_le_bytes();
        let [e, f, g, h] = errno.to_le_bytes();
        [kind, phase, 0, 0, a, b, c, d, e, f, g, h]
    }

    /// Reads a packet; none when it is not one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let &[kind, phase, 0, 0, a, b, c, d, e, f, g, h] = bytes else {
            return None;
        };
        let (step, errno) = (
            u32::from_le_bytes([a, b, c, d]),
            i32::from_le_bytes([e, f, g, h]),
        );
        let phase = match phase {
            1 => Phase::Setup,
            2 => Phase::Identity,
            _ => Phase::Program,
        };
        match kind {
            1 => Some(Self::Mounted),
            2 => Some(Self::Ready),
            3 => Some(Self::Failed { phase, step, errno }),
            _ => None,
        }
    }
}

const PACKET: usize = 8192;

/// To the child: who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persona<'a> {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub groups: &'a [u32],
    /// Home directory.
    pub home: &'a [u8],
}

/// More groups or a longer home directory than a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PersonaTooLong;

impl Persona<'_> {
    /// Room for any packet.
    pub const LENGTH: usize = PACKET;
    pub(crate) const GROUPS: usize = 1000;
    const HOME: usize = 4000;

    /// Writes the packet and returns its length.
    ///
    /// # Errors
    /// When there are more than 1000 groups or more than 4000 bytes of home directory.
    pub fn encode(&self, into: &mut [u8; PACKET]) -> Result<usize, PersonaTooLong> {
        if self.groups.len() > Self::GROUPS || self.home.len() > Self::HOME {
            return Err(PersonaTooLong);
        }
        let count = u32::try_from(self.groups.len()).map_err(|_| PersonaTooLong)?;
        let words = [self.uid, self.gid, count]
            .into_iter()
            .chain(self.groups.iter().copied());
        let bytes = words
            .flat_map(u32::to_le_bytes)
            .chain(self.home.iter().copied());
        Ok(into
            .iter_mut()
            .zip(bytes)
            .map(|(place, byte)| *place = byte)
            .count())
    }
}

/// Reads a [`Persona`]: user, group, and how many of `groups` were filled; the rest of the packet is the home.
pub(crate) fn decode<'a>(
    packet: &'a [u8],
    groups: &mut [u32],
) -> Option<(u32, u32, usize, &'a [u8])> {
    let (head, rest) = packet.split_at_checked(12)?;
    let word = |at: usize| {
        head.get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_le_bytes)
    };
    let count = usize::try_from(word(8)?).ok()?;
    let (listed, home) = rest.split_at_checked(count.checked_mul(4)?)?;
    for (group, bytes) in groups
        .get_mut(..count)?
        .iter_mut()
        .zip(listed.chunks_exact(4))
    {
        *group = u32::from_le_bytes(bytes.try_into().ok()?);
    }
    Some((word(0)?, word(4)?, count, home))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_as_it_was_written() {
        let failed = Report::Failed {
            phase: Phase::Identity,
            step: 7,
            errno: 13,
        };
        for report in [Report::Mounted, Report::Ready, failed] {
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
        assert_eq!(Report::decode(b"x"), None);
    }

    #[test]
    fn a_persona_reads_as_it_was_written() {
        let mut packet = [0; Persona::LENGTH];
        let persona = Persona {
            uid: 1000,
            gid: 100,
            groups: &[5, 70_000],
            home: b"/home/me",
        };
        let length = persona.encode(&mut packet).unwrap();
        let mut groups = [0; 8];
        let read = decode(&packet[..length], &mut groups).unwrap();
        assert_eq!(read, (1000, 100, 2, b"/home/me".as_slice()));
        assert_eq!(groups[..2], [5, 70_000]);
    }

    #[test]
    fn a_cut_persona_is_refused() {
        assert_eq!(decode(&[0; 11], &mut [0; 8]), None);
        let mut claims_groups = [0; 12];
        claims_groups[8] = 1;
        assert_eq!(decode(&claims_groups, &mut [0; 8]), None);
    }
}
