//! Reading mappings: each key with its type. Which keys there may be was checked before.

use std::collections::BTreeMap;

use super::reader::Decoder;
use crate::model::{Bytes, Duration};
use crate::yaml::{Mapping, Node};

/// A mapping at a place of the specification.
pub(super) struct Fields<'d, 's, 'n> {
    pub(super) decoder: &'d mut Decoder<'s>,
    mapping: &'n Mapping,
    path: String,
}

impl<'d, 's, 'n> Fields<'d, 's, 'n> {
    /// Opens a mapping; `None` if it is no mapping.
    pub(super) fn open(decoder: &'d mut Decoder<'s>, node: &'n Node, path: &str) -> Option<Self> {
        let Some(mapping) = node.mapping() else {
            return decoder.wrong(
                if path.is_empty() { "the file" } else { path },
                node,
                "a mapping",
            );
        };
        let fields = Self {
            decoder,
            mapping,
            path: path.to_owned(),
        };
        for (key, entry) in mapping {
            fields
                .decoder
                .remember(&fields.at(key), Some(entry.key_span), entry.value.span);
        }
        Some(fields)
    }

    /// The path of a key.
    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}/{key}", self.path)
        }
    }

    /// The value of a key, unless it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.mapping
            .get(key)
            .map(|entry| &entry.value)
            .filter(|value| !value.is_null())
    }

    /// Reads a key with a function, if it is there.
    pub(super) fn with<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Decoder<'s>, &str, &'n Node) -> Option<T>,
    ) -> Option<T> {
        let node = self.get(key)?;
        let path = self.at(key);
        read(self.decoder, &path, node)
    }

    /// The same for lists and mappings, where absent is empty.
    pub(super) fn collect<T: Default>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Decoder<'s>, &str, &'n Node) -> T,
    ) -> T {
        self.with(key, |decoder, path, node| Some(read(decoder, path, node)))
            .unwrap_or_default()
    }

    pub(super) fn string(&mut self, key: &str) -> Option<String> {
        self.with(key, Decoder::string)
            .filter(|text| !text.is_empty())
    }

    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        self.with(key, Decoder::boolean)
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        self.boolean(key).unwrap_or_default()
    }

    pub(super) fn integer(&mut self, key: &str) -> Option<i64> {
        self.with(key, Decoder::integer)
    }

    /// A size that is not zero.
    pub(super) fn bytes(&mut self, key: &str) -> Option<Bytes> {
        self.with(key, Decoder::bytes).filter(|bytes| bytes.0 != 0)
    }

    /// A number that is not zero.
    pub(super) fn nonzero(&mut self, key: &str) -> Option<i64> {
        self.integer(key).filter(|value| *value != 0)
    }

    /// A number of single precision that is not zero.
    pub(super) fn float(&mut self, key: &str) -> Option<f32> {
        self.with(key, Decoder::float).filter(|value| *value != 0.0)
    }

    /// Items of a list, each a mapping.
    pub(super) fn each<T>(
        &mut self,
        key: &str,
        read: impl Fn(&mut Decoder<'s>, &str, &'n Node) -> Option<T>,
    ) -> Vec<T> {
        self.collect(key, |decoder, path, node| {
            let items = node.sequence().unwrap_or_default().iter().enumerate();
            items
                .filter_map(|(index, item)| {
                    let path = format!("{path}/{index}");
                    decoder.remember(&path, None, item.span);
                    read(decoder, &path, item)
                })
                .collect()
        })
    }

    /// A scalar or a list of strings, as they are.
    pub(super) fn strings(&mut self, key: &str) -> Vec<String> {
        self.collect(key, super::lists::strings)
    }

    pub(super) fn duration(&mut self, key: &str) -> Option<Duration> {
        self.with(key, Decoder::duration)
    }

    /// Strings under names chosen by the person, or `KEY=VALUE` items.
    pub(super) fn pairs(&mut self, key: &str) -> BTreeMap<String, String> {
        let pairs = self.collect(key, super::lists::pairs);
        pairs
            .into_iter()
            .map(|(name, value)| (name, value.unwrap_or_default()))
            .collect()
    }

    /// `x-*` keys as plain JSON.
    pub(super) fn extensions(&self) -> BTreeMap<String, serde_json::Value> {
        self.mapping
            .iter()
            .filter(|(key, _)| key.starts_with("x-"))
            .map(|(key, entry)| (key.clone(), crate::print::plain_json(&entry.value)))
            .collect()
    }

    /// A mapping of names to things of one kind.
    pub(super) fn named<T>(
        &mut self,
        key: &str,
        read: impl Fn(&mut Decoder<'s>, &str, &str, &'n Node) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let Some(node) = self.get(key) else {
            return BTreeMap::new();
        };
        let path = self.at(key);
        let mut things = BTreeMap::new();
        for (name, entry) in node.mapping().into_iter().flatten() {
            let path = format!("{path}/{name}");
            self.decoder
                .remember(&path, Some(entry.key_span), entry.value.span);
            let thing = read(self.decoder, &path, name, &entry.value);
            things.extend(thing.map(|thing| (name.clone(), thing)));
        }
        things
    }
}
