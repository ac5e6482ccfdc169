//! A profile as it is written: Docker's JSON, which is OCI's plus `archMap`, `includes` and `excludes`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};

use serde::Deserialize;

/// A profile, read but not yet resolved for a container. Cheap to clone and to compare with itself.
#[derive(Clone, Debug, Eq)]
pub struct Profile {
    pub(super) content: Arc<Content>,
    /// Of the content, so that looking up a compiled program need not read it all again.
    hash: u64,
}

/// What a profile says.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Content {
    pub(super) default: Action,
    pub(super) architectures: Architectures,
    pub(super) groups: Vec<Group>,
}

/// Which architectures beside the native one the filter answers for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Architectures {
    /// These, as `SCMP_ARCH_*`.
    Listed(Vec<String>),
    /// Those that go with the native one.
    Mapped(Vec<ArchMap>),
}

/// One line of `archMap`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ArchMap {
    pub(super) architecture: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) sub_architectures: Vec<String>,
}

/// System calls that share an action and conditions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Group {
    pub(super) names: Vec<String>,
    pub(super) action: Action,
    pub(super) args: Vec<Condition>,
    pub(super) includes: Filter,
    pub(super) excludes: Filter,
}

/// What happens to a call. The value is what the filter returns to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Action(pub(super) u32);

impl Action {
    pub(super) const KILL_PROCESS: Self = Self(0x8000_0000);
    pub(super) const KILL_THREAD: Self = Self(0);
    pub(super) const TRAP: Self = Self(0x0003_0000);
    pub(super) const LOG: Self = Self(0x7ffc_0000);
    pub(super) const ALLOW: Self = Self(0x7fff_0000);
    const TRACE: u32 = 0x7ff0_0000;
    const ERRNO: u32 = 0x0005_0000;

    pub(super) const fn errno(number: u16) -> Self {
        Self(Self::ERRNO | number as u32)
    }

    /// Does the call go through? Then a newer kernel's calls go through as well.
    pub(super) fn permits(self) -> bool {
        self == Self::ALLOW || self == Self::LOG
    }

    fn parse(name: &str, errno: Option<u16>) -> Result<Self, ProfileError> {
        // EPERM is what libseccomp's callers give when the profile names no number.
        let data = errno.unwrap_or(1);
        Ok(match name {
            "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Self::KILL_THREAD,
            "SCMP_ACT_KILL_PROCESS" => Self::KILL_PROCESS,
            "SCMP_ACT_TRAP" => Self::TRAP,
            "SCMP_ACT_LOG" => Self::LOG,
            "SCMP_ACT_ALLOW" => Self::ALLOW,
            "SCMP_ACT_ERRNO" => Self::errno(data),
            "SCMP_ACT_TRACE" => Self(Self::TRACE | u32::from(data)),
            "SCMP_ACT_NOTIFY" => return Err(ProfileError::Notify),
            _ => return Err(ProfileError::UnknownAction(name.to_owned())),
        })
    }
}

/// A test of one argument, 64 bits wide.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Condition {
    pub(super) index: u32,
    pub(super) op: Op,
    pub(super) value: u64,
    /// The second operand of [`Op::MaskedEq`].
    pub(super) value_two: u64,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub(super) enum Op {
    #[serde(rename = "SCMP_CMP_NE")]
    Ne,
    #[serde(rename = "SCMP_CMP_LT")]
    Lt,
    #[serde(rename = "SCMP_CMP_LE")]
    Le,
    #[serde(rename = "SCMP_CMP_EQ")]
    Eq,
    #[serde(rename = "SCMP_CMP_GE")]
    Ge,
    #[serde(rename = "SCMP_CMP_GT")]
    Gt,
    /// `argument & value == value_two`.
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEq,
}

/// `includes` or `excludes` of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Filter {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) caps: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) arches: Vec<String>,
    pub(super) min_kernel: Option<String>,
}

/// Why a profile was refused.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not the JSON a profile is.
    #[error("the seccomp profile is not valid")]
    Json(#[from] serde_json::Error),
    /// No such action.
    #[error("the seccomp profile uses the unknown action `{0}`")]
    UnknownAction(String),
    /// SCMP_ACT_NOTIFY wants a listener nobody here runs.
    #[error("the seccomp profile uses SCMP_ACT_NOTIFY, which is not supported")]
    Notify,
    /// Both ways to name architectures at once.
    #[error("the seccomp profile has both `architectures` and `archMap`, it may have one")]
    TwoArchitectureLists,
    /// Both ways to name calls at once.
    #[error("a rule of the seccomp profile has both `name` and `names`, it may have one (`{0}`)")]
    TwoNameLists(String),
    /// A condition on a capability that does not exist.
    #[error("a rule of the seccomp profile depends on an unknown capability")]
    Capability(#[source] crate::caps::CapError),
    /// A condition on something that is no version.
    #[error("a rule of the seccomp profile depends on kernel `{0}`, which is no version")]
    Kernel(String),
}

impl From<Content> for Profile {
    fn from(content: Content) -> Self {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        Self {
            hash: hasher.finish(),
            content: Arc::new(content),
        }
    }
}

impl Hash for Profile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.content, &other.content) || self.content == other.content
    }
}

impl Profile {
    /// The profile of a container that asks for nothing.
    #[must_use]
    pub fn docker_default() -> Self {
        static DEFAULT: LazyLock<Profile> = LazyLock::new(|| {
            // The text is part of this binary and a test reads it, so it cannot be wrong at run time; were it, a
            // profile without rules denies everything, which is the safe side.
            let read = Profile::from_json(include_str!("profile.json"));
            read.unwrap_or_else(|_| Profile::deny_all())
        });
        DEFAULT.clone()
    }

    /// Reads a custom profile.
    pub fn from_json(text: &str) -> Result<Self, ProfileError> {
        serde_json::from_str::<Written>(text)?.check()
    }

    fn deny_all() -> Self {
        Self::from(Content {
            default: Action::errno(1),
            architectures: Architectures::Listed(Vec::new()),
            groups: Vec::new(),
        })
    }
}

/// The JSON itself. Unknown fields (`comment`, and whatever others add) are passed over as Docker does.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    default_action: String,
    default_errno_ret: Option<u16>,
    #[serde(default, deserialize_with = "null_is_default")]
    architectures: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    arch_map: Vec<ArchMap>,
    #[serde(default, deserialize_with = "null_is_default")]
    syscalls: Vec<WrittenGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenGroup {
    #[serde(default, deserialize_with = "null_is_default")]
    name: String,
    #[serde(default, deserialize_with = "null_is_default")]
    names: Vec<String>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default, deserialize_with = "null_is_default")]
    args: Vec<WrittenCondition>,
    #[serde(default, deserialize_with = "null_is_default")]
    includes: Filter,
    #[serde(default, deserialize_with = "null_is_default")]
    excludes: Filter,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenCondition {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: Op,
}

impl Written {
    fn check(self) -> Result<Profile, ProfileError> {
        if !self.architectures.is_empty() && !self.arch_map.is_empty() {
            return Err(ProfileError::TwoArchitectureLists);
        }
        let architectures = if self.arch_map.is_empty() {
            Architectures::Listed(self.architectures)
        } else {
            Architectures::Mapped(self.arch_map)
        };
        let content = Content {
            default: Action::parse(&self.default_action, self.default_errno_ret)?,
            architectures,
            groups: self
                .syscalls
                .into_iter()
                .map(WrittenGroup::check)
                .collect::<Result<_, _>>()?,
        };
        Ok(content.into())
    }
}

impl WrittenGroup {
    fn check(mut self) -> Result<Group, ProfileError> {
        if !self.name.is_empty() {
            if !self.names.is_empty() {
                return Err(ProfileError::TwoNameLists(self.name));
            }
            self.names.push(self.name);
        }
        check_filter(&self.includes)?;
        check_filter(&self.excludes)?;
        Ok(Group {
            names: self.names,
            action: Action::parse(&self.action, self.errno_ret)?,
            args: self.args.into_iter().map(WrittenCondition::check).collect(),
            includes: self.includes,
            excludes: self.excludes,
        })
    }
}

impl WrittenCondition {
    fn check(self) -> Condition {
        Condition {
            index: self.index,
            op: self.op,
            value: self.value,
            value_two: self.value_two,
        }
    }
}

/// A typing error in a condition must not silently widen or narrow a security profile.
fn check_filter(filter: &Filter) -> Result<(), ProfileError> {
    for cap in &filter.caps {
        crate::caps::Cap::parse(cap).map_err(ProfileError::Capability)?;
    }
    match &filter.min_kernel {
        Some(text) if super::KernelVersion::parse(text).is_none() => {
            Err(ProfileError::Kernel(text.clone()))
        }
        _ => Ok(()),
    }
}

/// Go writes an empty list as `null`.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
