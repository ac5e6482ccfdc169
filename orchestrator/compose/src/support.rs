//! Which keys do what the specification says: the table `compose-specs/support.txt`.
//!
//! Loading a file does not ask it. A command that makes containers does, and refuses what the engine
//! cannot do by its name and place.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::diagnostic::Diagnostic;
use crate::model::Project;
use crate::schema;
use crate::yaml::Node;

/// The table itself, compiled in.
pub const TABLE: &str = include_str!("../../../compose-specs/support.txt");

/// What the table says about a key at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does what the specification says.
    Supported,
    /// It is read and has no effect here, as with Docker Compose: it is about a Swarm or Windows.
    Ignored,
    /// The specification has it, this version does not.
    Refused,
    /// Nobody has it.
    Unknown,
}

/// The keys of each place with what is said about them.
#[must_use]
pub fn places() -> &'static BTreeMap<&'static str, BTreeMap<&'static str, Support>> {
    static PLACES: OnceLock<BTreeMap<&str, BTreeMap<&str, Support>>> = OnceLock::new();
    PLACES.get_or_init(|| {
        let mut places: BTreeMap<&str, BTreeMap<&str, Support>> = BTreeMap::new();
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        for (place, keys) in lines.filter_map(|line| line.split_once(':')) {
            let entries = keys.split_whitespace().map(|key| {
                if let Some(key) = key.strip_prefix('-') {
                    (key, Support::Refused)
                } else if let Some(key) = key.strip_prefix('~') {
                    (key, Support::Ignored)
                } else {
                    (key, Support::Supported)
                }
            });
            places.entry(place).or_default().extend(entries);
        }
        places
    })
}

/// What the table says about one key. A place that is not listed is what its own key is.
#[must_use]
pub fn of(place: &str, key: &str) -> Support {
    let Some(keys) = places().get(place).filter(|_| !key.starts_with("x-")) else {
        return Support::Supported;
    };
    keys.get(key).copied().unwrap_or(Support::Unknown)
}

/// Something a project asks for that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The section and the entry of it that asks, such as `services` and `web`; `None` is the
    /// project as a whole.
    pub owner: Option<(String, String)>,
    /// What it is, and where.
    pub diagnostic: Diagnostic,
}

impl Refusal {
    /// About what a path leads through.
    pub(crate) fn new(path: &str, diagnostic: Diagnostic) -> Self {
        let mut parts = path.split('/').map(str::to_owned);
        Self {
            owner: parts.next().zip(parts.next()),
            diagnostic,
        }
    }

    /// Whether a project has what asks for it, switched on and in use.
    #[must_use]
    pub fn concerns(&self, project: &Project) -> bool {
        let Some((section, name)) = &self.owner else {
            return true;
        };
        match section.as_str() {
            "services" => project.services.contains_key(name),
            "networks" => project.networks.contains_key(name),
            "volumes" => project.volumes.contains_key(name),
            "configs" => project.configs.contains_key(name),
            "secrets" => project.secrets.contains_key(name),
            _ => true,
        }
    }
}

/// The keys of a finished tree that are refused, and those that have no effect.
pub(crate) fn judge(root: &Node) -> (Vec<Refusal>, Vec<Refusal>) {
    let (mut refused, mut ignored) = (Vec::new(), Vec::new());
    schema::visit(root, &mut |path, met| {
        let support = of(met.place, met.key);
        if !matches!(support, Support::Refused | Support::Ignored) {
            return;
        }
        let path = path.join("/");
        let owner = match path.as_str() {
            "" => String::new(),
            path => format!(" in {}", schema::described(path)),
        };
        let about = |code, text| {
            let message = format!("`{}`{owner} {text}", met.key);
            let diagnostic = match support {
                Support::Refused => Diagnostic::error(code, message),
                _ => Diagnostic::warning(code, message),
            };
            Refusal::new(&path, diagnostic.at(met.entry.key_span, ""))
        };
        match support {
            Support::Refused => {
                refused.push(about("compose::unsupported-key", "is not supported yet"));
            }
            _ => ignored.push(about(
                "compose::no-effect",
                "has no effect on a single machine",
            )),
        }
    });
    (refused, ignored)
}

/// Where a key would be right, if it was written at another place.
pub(crate) fn elsewhere(key: &str, not_at: &str) -> Option<&'static str> {
    let right = [
        ("project", "at the top level of the file"),
        ("service", "to a service"),
        ("deploy", "under `deploy`"),
        ("healthcheck", "under `healthcheck`"),
        ("limits", "under `deploy.resources.limits`"),
        ("build", "under `build`"),
    ];
    right
        .into_iter()
        .find(|(place, _)| {
            *place != not_at
                && schema::places()
                    .get(place)
                    .is_some_and(|keys| keys.contains_key(key))
        })
        .map(|(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_have_the_same_keys() {
        let theirs: BTreeMap<_, _> = schema::keys().collect();
        for (place, keys) in places() {
            let ours: Vec<_> = keys.keys().copied().collect();
            let mut theirs: Vec<_> = theirs[place].clone();
            theirs.sort_unstable();
            assert_eq!(ours, theirs, "{place}");
        }
    }
}
