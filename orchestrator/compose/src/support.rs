//! Which keys exist, and which of them are supported: the table `compose-specs/support.txt`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// The table itself, compiled in.
pub const TABLE: &str = include_str!("../../../compose-specs/support.txt");

/// What the table says about a key at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does what the specification says.
    Supported,
    /// The specification has it, this version does not.
    Refused,
    /// Nobody has it.
    Unknown,
}

/// The supported and the refused keys of each place.
#[must_use]
pub fn places() -> &'static BTreeMap<&'static str, BTreeMap<&'static str, Support>> {
    static PLACES: OnceLock<BTreeMap<&str, BTreeMap<&str, Support>>> = OnceLock::new();
    PLACES.get_or_init(|| {
        let mut places: BTreeMap<&str, BTreeMap<&str, Support>> = BTreeMap::new();
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        for (place, keys) in lines.filter_map(|line| line.split_once(':')) {
            let entries = keys
                .split_whitespace()
                .map(|key| match key.strip_prefix('-') {
                    Some(key) => (key, Support::Refused),
                    None => (key, Support::Supported),
                });
            places.entry(place).or_default().extend(entries);
        }
        places
    })
}

/// What the table says about one key.
#[must_use]
pub fn of(place: &str, key: &str) -> Support {
    if key.starts_with("x-") {
        return Support::Supported;
    }
    let known = places().get(place).and_then(|keys| keys.get(key));
    known.copied().unwrap_or(Support::Unknown)
}

/// The supported keys of a place, for suggestions.
pub fn supported(place: &str) -> impl Iterator<Item = &'static str> {
    places()
        .get(place)
        .into_iter()
        .flatten()
        .filter(|(_, support)| **support == Support::Supported)
        .map(|(key, _)| *key)
}

/// The place inside which a key would be right, if it was written at another one.
pub(crate) fn elsewhere(key: &str, not_at: &str) -> Option<&'static str> {
    ["project", "service", "deploy", "healthcheck", "limits"]
        .into_iter()
        .find(|place| {
            *place != not_at && of(place, key) == Support::Supported && !key.starts_with("x-")
        })
}
