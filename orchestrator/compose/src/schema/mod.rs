//! Which keys exist, and what each of them may hold: the table `compose-specs/schema.txt`.

mod check;
mod help;
mod table;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use indexmap::IndexMap;

pub(crate) use check::{check, check_include, described};

use crate::yaml::{Entry, Node, Value};

/// The table itself, compiled in.
pub const TABLE: &str = include_str!("../../../../compose-specs/schema.txt");

/// One of the shapes a value may have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    /// A string; one of some words if there are any.
    Text(Vec<&'static str>),
    /// A whole number within bounds.
    Int(i64, i64),
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// Nothing.
    Null,
    /// Whatever it is.
    Any,
    /// A list, perhaps without repetitions.
    List(Types, bool),
    /// A mapping with free keys.
    Map(Map),
    /// A mapping with the keys of a place.
    Place(&'static str),
    /// The words of `pull_policy`.
    PullPolicy,
    /// A string with something in it that can be a container's name.
    ContainerName,
}

/// A mapping with free keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Map {
    /// Which keys.
    pub(crate) keys: Keys,
    /// Other keys are refused.
    pub(crate) closed: bool,
    /// What they hold.
    pub(crate) values: Types,
}

/// Which keys a mapping may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Any that is not empty.
    Free,
    /// Letters, digits, `.`, `_`, `-`.
    Names,
    /// Small letters.
    Words,
}

impl Keys {
    /// Whether a key is of this kind.
    pub(crate) fn accepts(self, key: &str) -> bool {
        let all = |good: fn(u8) -> bool| !key.is_empty() && key.bytes().all(good);
        match self {
            Self::Free => !key.is_empty(),
            Self::Names => all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')),
            Self::Words => all(|b| b.is_ascii_lowercase()),
        }
    }
}

/// The alternatives for a value.
pub(crate) type Types = Vec<Type>;

/// A key of a place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    /// It has to be there.
    pub(crate) required: bool,
    /// What it may hold.
    pub(crate) types: Types,
}

/// The keys of a place.
pub(crate) type Place = IndexMap<&'static str, Key>;

/// Every place of the table.
pub(crate) fn places() -> &'static BTreeMap<&'static str, Place> {
    static PLACES: OnceLock<BTreeMap<&str, Place>> = OnceLock::new();
    PLACES.get_or_init(|| table::read(TABLE))
}

/// Every place with its keys, for who compares tables.
pub fn keys() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    places()
        .iter()
        .map(|(place, keys)| (*place, keys.keys().copied().collect()))
}

/// Whether `x-*` keys are allowed at a place.
pub(crate) fn is_extensible(place: &str) -> bool {
    !matches!(
        place,
        "blkio" | "blkio_limit" | "blkio_weight" | "extends" | "env_file" | "include"
    )
}

/// Something met on the way through a tree: a key at a place of the table.
pub(crate) struct Met<'n> {
    /// The place.
    pub(crate) place: &'static str,
    /// The key.
    pub(crate) key: &'n str,
    /// What it maps to.
    pub(crate) entry: &'n Entry,
}

/// Goes through everything the table knows in a tree. `see` gets the path of the mapping a key is in.
pub(crate) fn visit<'n>(root: &'n Node, see: &mut dyn FnMut(&[String], Met<'n>)) {
    let root_type = Type::Place("project");
    walk(root, std::slice::from_ref(&root_type), &mut Vec::new(), see);
}

fn walk<'n>(
    node: &'n Node,
    types: &[Type],
    path: &mut Vec<String>,
    see: &mut dyn FnMut(&[String], Met<'n>),
) {
    match &node.value {
        Value::Scalar(_) => {}
        Value::Sequence(items) => {
            let Some(inner) = types.iter().find_map(|kind| match kind {
                Type::List(inner, _) => Some(inner),
                _ => None,
            }) else {
                return;
            };
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                walk(item, inner, path, see);
                path.pop();
            }
        }
        Value::Mapping(mapping) => {
            let place = types.iter().find_map(|kind| match kind {
                Type::Place(name) => Some((*name, places().get(name)?)),
                _ => None,
            });
            let free = types.iter().find_map(|kind| match kind {
                Type::Map(map) => Some(&map.values),
                _ => None,
            });
            for (key, entry) in mapping {
                let inner = match place {
                    Some((place, keys)) => {
                        see(path, Met { place, key, entry });
                        keys.get(key.as_str()).map(|key| &key.types)
                    }
                    None => free,
                };
                if let Some(inner) = inner {
                    path.push(key.clone());
                    walk(&entry.value, inner, path, see);
                    path.pop();
                }
            }
        }
    }
}
