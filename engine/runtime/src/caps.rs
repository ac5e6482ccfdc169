//! Linux capabilities: names and bits, Docker's default set, and what `cap_add` and `cap_drop` make of it.
//!
//! Pure but for [`CapSet::available`], which asks the kernel what this process could hand out.

use std::fmt;
use std::fs;

/// Names without `CAP_`, each at the index of its bit (`linux/capability.h`).
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// One capability of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cap(u8);

impl Cap {
    /// Reads `NET_ADMIN`, `cap_net_admin` and the like.
    pub fn parse(text: &str) -> Result<Self, CapError> {
        let upper = text.trim().to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        NAMES
            .iter()
            .zip(0u8..)
            .find(|(name, _)| **name == bare)
            .map(|(_, bit)| Self(bit))
            .ok_or_else(|| CapError::Unknown {
                name: text.to_owned(),
                near: nearest(bare),
            })
    }

    /// The bit's number, as `prctl(PR_CAPBSET_DROP)` wants it.
    #[must_use]
    pub fn bit(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CAP_{}", NAMES[usize::from(self.0)])
    }
}

/// A set of capabilities, one bit each, as the kernel counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CapSet(u64);

impl CapSet {
    /// No capability at all.
    pub const EMPTY: Self = Self(0);
    /// Every capability of the table.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);
    /// What Docker gives a container that asks for nothing: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID,
    /// SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP.
    pub const DEFAULT: Self = Self(
        1 | 1 << 1
            | 1 << 3
            | 1 << 4
            | 1 << 5
            | 1 << 6
            | 1 << 7
            | 1 << 8
            | 1 << 10
            | 1 << 13
            | 1 << 18
            | 1 << 27
            | 1 << 29
            | 1 << 31,
    );

    /// The set with these bits; bits the table does not know are dropped.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// The bits, bit 0 being CAP_CHOWN.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Is `cap` in the set?
    #[must_use]
    pub const fn contains(self, cap: Cap) -> bool {
        self.0 & (1 << cap.0) != 0
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The members in the order of their bits.
    pub fn iter(self) -> impl Iterator<Item = Cap> {
        (0u8..)
            .take(NAMES.len())
            .map(Cap)
            .filter(move |cap| self.contains(*cap))
    }

    /// The members' names with `CAP_`, as OCI and Docker write them.
    #[must_use]
    pub fn names(self) -> Vec<String> {
        self.iter().map(|cap| cap.to_string()).collect()
    }

    /// What this process could give to a child: known to the running kernel and left in our own bounding set.
    ///
    /// When `/proc` does not tell, the whole table counts as available and the kernel has the last word.
    #[must_use]
    pub fn available() -> Self {
        let known = fs::read_to_string("/proc/sys/kernel/cap_last_cap")
            .ok()
            .and_then(|text| known_to_kernel(&text))
            .unwrap_or(Self::ALL);
        let bounding = fs::read_to_string("/proc/self/status")
            .ok()
            .and_then(|text| bounding_of(&text))
            .unwrap_or(Self::ALL);
        known.intersection(bounding)
    }
}

impl FromIterator<Cap> for CapSet {
    fn from_iter<I: IntoIterator<Item = Cap>>(caps: I) -> Self {
        Self(caps.into_iter().fold(0, |bits, cap| bits | 1 << cap.0))
    }
}

/// Why a list of capabilities was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapError {
    /// No capability has this name.
    #[error("unknown capability `{name}`{}", near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default())]
    Unknown {
        /// As it was written.
        name: String,
        /// A name that looks like it.
        near: Option<&'static str>,
    },
    /// The name is right, but nobody here can give it away.
    #[error("capability `{0}` is not known to this kernel or not held by the engine")]
    Unavailable(Cap),
}

/// What a container may hold, from what it asks for.
///
/// Docker's rule: drops come first and adds win over them; `ALL` among the adds means everything but the drops;
/// `ALL` among the drops means nothing but the adds. A capability named in `add` that is not in `available` is an
/// error, one that came by default or through `ALL` is left out silently: so an engine that itself was confined
/// still starts containers that did not ask for what it lacks.
pub fn allowed(
    add: &[impl AsRef<str>],
    drop: &[impl AsRef<str>],
    privileged: bool,
    available: CapSet,
) -> Result<CapSet, CapError> {
    let (add, drop) = (Wish::parse(add)?, Wish::parse(drop)?);
    if privileged {
        return Ok(available);
    }
    if let Some(lacking) = add.named.difference(available).iter().next() {
        return Err(CapError::Unavailable(lacking));
    }
    let asked = match (add.all, drop.all) {
        (true, _) => CapSet::ALL.difference(drop.named),
        (false, true) => add.named,
        (false, false) => CapSet::DEFAULT.difference(drop.named).union(add.named),
    };
    Ok(asked.intersection(available))
}

/// One of the two lists, read.
struct Wish {
    all: bool,
    named: CapSet,
}

impl Wish {
    fn parse(list: &[impl AsRef<str>]) -> Result<Self, CapError> {
        let is_all =
            |text: &&str| matches!(text.trim().to_ascii_uppercase().as_str(), "ALL" | "CAP_ALL");
        let texts = || list.iter().map(AsRef::as_ref);
        Ok(Self {
            all: texts().any(|text| is_all(&text)),
            named: texts()
                .filter(|text| !is_all(text))
                .map(Cap::parse)
                .collect::<Result<_, _>>()?,
        })
    }
}

fn known_to_kernel(last_cap: &str) -> Option<CapSet> {
    let last: u32 = last_cap.trim().parse().ok()?;
    Some(CapSet::from_bits(u64::MAX >> 63u32.saturating_sub(last)))
}

fn bounding_of(status: &str) -> Option<CapSet> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))?;
    u64::from_str_radix(line.trim(), 16)
        .ok()
        .map(CapSet::from_bits)
}

/// A name at most two edits away, or one that contains what was written (`ADMIN` alone is too vague to guess).
fn nearest(bare: &str) -> Option<&'static str> {
    let close = NAMES
        .iter()
        .map(|name| (distance(bare, name), *name))
        .min()?;
    (close.0 <= 2).then_some(close.1)
}

fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [&str; 0] = [];

    fn set(names: &[&str]) -> CapSet {
        names.iter().map(|name| Cap::parse(name).unwrap()).collect()
    }

    #[test]
    fn default_is_dockers_fourteen() {
        let expected = set(&[
            "CHOWN",
            "DAC_OVERRIDE",
            "FSETID",
            "FOWNER",
            "MKNOD",
            "NET_RAW",
            "SETGID",
            "SETUID",
            "SETFCAP",
            "SETPCAP",
            "NET_BIND_SERVICE",
            "SYS_CHROOT",
            "KILL",
            "AUDIT_WRITE",
        ]);
        assert_eq!(CapSet::DEFAULT, expected);
        assert_eq!(CapSet::DEFAULT.iter().count(), 14);
        assert_eq!(
            allowed(&NONE, &NONE, false, CapSet::ALL),
            Ok(CapSet::DEFAULT)
        );
    }

    #[test]
    fn names_are_read_with_or_without_prefix_in_any_case() {
        for text in [
            "NET_ADMIN",
            "CAP_NET_ADMIN",
            "net_admin",
            "Cap_Net_Admin",
            " NET_ADMIN ",
        ] {
            assert_eq!(Cap::parse(text).map(Cap::bit), Ok(12), "{text}");
        }
        assert_eq!(CapSet::ALL.names()[40], "CAP_CHECKPOINT_RESTORE");
        for cap in CapSet::ALL.iter() {
            assert_eq!(Cap::parse(&cap.to_string()), Ok(cap));
        }
    }

    #[test]
    fn adds_win_over_drops() {
        let both = allowed(
            &["NET_ADMIN", "KILL"],
            &["KILL", "CHOWN"],
            false,
            CapSet::ALL,
        );
        assert_eq!(
            both,
            Ok(CapSet::DEFAULT
                .difference(set(&["CHOWN"]))
                .union(set(&["NET_ADMIN"])))
        );
    }

    #[test]
    fn all_means_everything_or_nothing() {
        assert_eq!(
            allowed(&["all"], &["SYS_ADMIN"], false, CapSet::ALL),
            Ok(CapSet::ALL.difference(set(&["SYS_ADMIN"])))
        );
        assert_eq!(
            allowed(&["CHOWN"], &["ALL"], false, CapSet::ALL),
            Ok(set(&["CHOWN"]))
        );
        assert_eq!(
            allowed(&["ALL"], &["ALL"], false, CapSet::ALL),
            Ok(CapSet::ALL)
        );
        assert_eq!(
            allowed(&NONE, &["CAP_ALL"], false, CapSet::ALL),
            Ok(CapSet::EMPTY)
        );
    }

    #[test]
    fn what_the_engine_lacks_is_refused_only_when_named() {
        let confined = CapSet::ALL.difference(set(&["SYS_RESOURCE", "MKNOD"]));
        let refused = allowed(&["SYS_RESOURCE"], &NONE, false, confined);
        assert_eq!(refused, Err(CapError::Unavailable(Cap(24))));
        assert_eq!(allowed(&NONE, &NONE, true, confined), Ok(confined));
        assert_eq!(allowed(&["ALL"], &NONE, false, confined), Ok(confined));
        assert_eq!(
            allowed(&NONE, &NONE, false, confined),
            Ok(CapSet::DEFAULT.difference(set(&["MKNOD"])))
        );
    }

    #[test]
    fn a_wrong_name_gets_a_suggestion() {
        let error = allowed(&["CAP_NET_ADMN"], &NONE, false, CapSet::ALL).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown capability `CAP_NET_ADMN`, did you mean `NET_ADMIN`?"
        );
        let error = allowed(&NONE, &["frobnicate"], true, CapSet::ALL).unwrap_err();
        assert_eq!(error.to_string(), "unknown capability `frobnicate`");
    }

    #[test]
    fn the_kernels_own_limit_is_read() {
        assert_eq!(known_to_kernel("40\n"), Some(CapSet::ALL));
        assert_eq!(known_to_kernel("0"), Some(set(&["CHOWN"])));
        assert_eq!(known_to_kernel("63"), Some(CapSet::ALL));
        assert_eq!(known_to_kernel("x"), None);
        assert_eq!(
            bounding_of("Name:\tx\nCapBnd:\t0000000000000021\n"),
            Some(set(&["CHOWN", "KILL"]))
        );
        assert!(CapSet::available().bits() != 0);
    }
}
