//! Sets and maps, and their elements.

use std::net::IpAddr;

use super::expr::{Verdict, value};
use crate::netlink::Attrs;

const FLAG_INTERVAL: u32 = 0x04;
const FLAG_MAP: u32 = 0x08;
const FLAG_CONCAT: u32 = 0x80;
/// `NFT_DATA_VERDICT`: the map's values are verdicts.
const VERDICT_TYPE: u32 = 0xffff_ff00;
/// Bits per type in the number that describes a concatenation.
const TYPE_BITS: u32 = 6;

/// Types as `nft` numbers them, so that it can list our sets. The kernel itself only looks at lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Ip4,
    Ip6,
    Proto,
    Port,
    IfName,
}

impl Field {
    fn type_number(self) -> u32 {
        match self {
            Self::Ip4 => 7,
            Self::Ip6 => 8,
            Self::Proto => 12,
            Self::Port => 13,
            Self::IfName => 41,
        }
    }

    /// Length before padding.
    fn len(self) -> u32 {
        match self {
            Self::Ip4 => 4,
            Self::Ip6 | Self::IfName => 16,
            Self::Proto => 1,
            Self::Port => 2,
        }
    }
}

/// A set, a map or a verdict map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SetSpec {
    pub(crate) name: &'static str,
    pub(crate) key: &'static [Field],
    pub(crate) data: Option<DataSpec>,
    pub(crate) interval: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataSpec {
    Fields(&'static [Field]),
    Verdict,
}

impl SetSpec {
    pub(crate) const fn set(name: &'static str, key: &'static [Field]) -> Self {
        Self {
            name,
            key,
            data: None,
            interval: false,
        }
    }

    pub(crate) const fn intervals(name: &'static str, key: &'static [Field]) -> Self {
        Self {
            name,
            key,
            data: None,
            interval: true,
        }
    }

    pub(crate) const fn map(
        name: &'static str,
        key: &'static [Field],
        data: &'static [Field],
    ) -> Self {
        Self {
            name,
            key,
            data: Some(DataSpec::Fields(data)),
            interval: false,
        }
    }

    pub(crate) const fn verdict_map(name: &'static str, key: &'static [Field]) -> Self {
        Self {
            name,
            key,
            data: Some(DataSpec::Verdict),
            interval: false,
        }
    }

    pub(super) fn encode(&self, table: &str, id: u32) -> Attrs {
        let (key_type, key_len) = describe(self.key);
        let mut flags = 0;
        let mut data = Attrs::new();
        if self.interval {
            flags |= FLAG_INTERVAL;
        }
        // Only intervals have to know where one field of the key ends; a hash takes the key as it is.
        let ranges_of_fields = self.interval && self.key.len() > 1;
        if ranges_of_fields {
            flags |= FLAG_CONCAT;
        }
        match self.data {
            Some(DataSpec::Fields(fields)) => {
                flags |= FLAG_MAP;
                let (data_type, data_len) = describe(fields);
                data = data.u32(6, data_type).u32(7, data_len);
            }
            Some(DataSpec::Verdict) => {
                flags |= FLAG_MAP;
                data = data.u32(6, VERDICT_TYPE);
            }
            None => {}
        }
        let mut attrs = Attrs::new()
            .string(1, table)
            .string(2, self.name)
            .u32(3, flags)
            .u32(4, key_type)
            .u32(5, key_len);
        attrs = attrs.append(&data);
        if ranges_of_fields {
            attrs = attrs.nested(9, &Attrs::new().nested(2, &field_lengths(self.key)));
        }
        attrs.u32(10, id).bytes(13, &self.byte_orders())
    }

    /// User data that only `nft` reads: without it, it lists interface names as empty strings.
    fn byte_orders(&self) -> Vec<u8> {
        const OF_KEY: u8 = 0;
        const HOST: u32 = 1;
        const BIG_ENDIAN: u32 = 2;
        let order = if self.key == [Field::IfName] {
            HOST
        } else {
            BIG_ENDIAN
        };
        [&[OF_KEY, 4][..], &order.to_ne_bytes()].concat()
    }
}

fn describe(fields: &[Field]) -> (u32, u32) {
    fields.iter().fold((0, 0), |(kind, len), field| {
        let padded = if fields.len() > 1 {
            field.len().next_multiple_of(4)
        } else {
            field.len()
        };
        ((kind << TYPE_BITS) | field.type_number(), len + padded)
    })
}

fn field_lengths(fields: &[Field]) -> Attrs {
    fields.iter().fold(Attrs::new(), |all, field| {
        all.nested(1, &Attrs::new().u32(1, field.len()))
    })
}

/// One value of a key or of a map's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Ip(IpAddr),
    Proto(u8),
    Port(u16),
    IfName(String),
}

impl Data {
    fn encode(&self, into: &mut Vec<u8>) {
        match self {
            Self::Ip(IpAddr::V4(v4)) => into.extend_from_slice(&v4.octets()),
            Self::Ip(IpAddr::V6(v6)) => into.extend_from_slice(&v6.octets()),
            Self::Proto(number) => into.push(*number),
            Self::Port(port) => into.extend_from_slice(&port.to_be_bytes()),
            Self::IfName(name) => into.extend_from_slice(&ifname(name)),
        }
        into.resize(into.len().next_multiple_of(4), 0);
    }
}

/// An interface name fills the whole register, so that `eth1` does not match `eth10`.
pub(crate) fn ifname(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    bytes
}

/// One element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) key: Vec<Data>,
    /// Last key of an interval.
    pub(crate) key_end: Option<Vec<Data>>,
    pub(crate) data: Vec<Data>,
    pub(crate) verdict: Option<Verdict>,
}

impl Element {
    pub(crate) fn key(key: Vec<Data>) -> Self {
        Self {
            key,
            key_end: None,
            data: Vec::new(),
            verdict: None,
        }
    }

    pub(crate) fn to(self, data: Vec<Data>) -> Self {
        Self { data, ..self }
    }

    pub(crate) fn until(self, key_end: Vec<Data>) -> Self {
        Self {
            key_end: Some(key_end),
            ..self
        }
    }

    pub(crate) fn verdict(self, verdict: Verdict) -> Self {
        Self {
            verdict: Some(verdict),
            ..self
        }
    }

    pub(super) fn encode(&self) -> Attrs {
        let mut attrs = Attrs::new().nested(1, &value(&bytes(&self.key)));
        if let Some(end) = &self.key_end {
            attrs = attrs.nested(10, &value(&bytes(end)));
        }
        if !self.data.is_empty() {
            attrs = attrs.nested(2, &value(&bytes(&self.data)));
        }
        if let Some(verdict) = &self.verdict {
            attrs = attrs.nested(2, &verdict.encode());
        }
        attrs
    }
}

fn bytes(values: &[Data]) -> Vec<u8> {
    let mut all = Vec::new();
    for value in values {
        value.encode(&mut all);
    }
    all
}
