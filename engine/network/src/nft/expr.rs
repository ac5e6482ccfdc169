//! Expressions: the instructions a rule is made of. Registers hold 16 bytes each, or four times 4.

use crate::netlink::Attrs;

const LIST_ELEM: u16 = 1;
const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;

/// The register that holds the verdict.
const VERDICT_REGISTER: u32 = 0;
/// `NFT_REG32_00`: the first of the four-byte registers, which alias the large ones.
const FIRST_REGISTER: u32 = 8;

/// What happens to the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    Return,
    Jump(String),
    Goto(String),
}

impl Verdict {
    pub(super) fn encode(&self) -> Attrs {
        let (code, chain) = match self {
            Self::Drop => (0, None),
            Self::Accept => (1, None),
            Self::Jump(chain) => (-3, Some(chain)),
            Self::Goto(chain) => (-4, Some(chain)),
            Self::Return => (-5, None),
        };
        let mut inner = Attrs::new().bytes(VERDICT_CODE, &i32::to_be_bytes(code));
        if let Some(chain) = chain {
            inner = inner.string(VERDICT_CHAIN, chain);
        }
        Attrs::new().nested(DATA_VERDICT, &inner)
    }
}

pub(super) fn value(bytes: &[u8]) -> Attrs {
    Attrs::new().bytes(DATA_VALUE, bytes)
}

/// What a packet is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    IifName,
    OifName,
    /// `NFPROTO_*`: whether an inet table sees IPv4 or IPv6.
    NfProto,
    L4Proto,
    Ip4Source,
    Ip4Dest,
    Ip6Source,
    Ip6Dest,
    /// The first byte of the IPv4 source address, enough to know 127/8.
    Ip4SourceNet,
    /// The first byte of the IPv4 destination address.
    Ip4DestNet,
    SourcePort,
    DestPort,
    CtState,
    CtStatus,
    /// Whether the source address is the host's own.
    SourceType,
    /// Whether the destination address is the host's own.
    DestType,
}

impl Key {
    /// Four-byte registers it fills.
    fn width(self) -> u32 {
        match self {
            Self::IifName | Self::OifName | Self::Ip6Source | Self::Ip6Dest => 4,
            _ => 1,
        }
    }
}

/// One instruction. `at` counts four-byte registers from the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expr {
    Load {
        key: Key,
        at: u32,
    },
    Equal {
        at: u32,
        value: Vec<u8>,
    },
    NotEqual {
        at: u32,
        value: Vec<u8>,
    },
    /// Keep only these bits, in host byte order.
    Mask {
        at: u32,
        bits: u32,
    },
    /// Continue only if the key is in the set.
    InSet(String),
    /// Continue only if it is not.
    NotInSet(String),
    /// Replace the key by what the map says; continue only if it says something.
    Map(String),
    /// Take the verdict that the map holds, if it holds one.
    VerdictMap(String),
    /// Rewrite the destination to the address and port in the first registers.
    Dnat {
        v6: bool,
    },
    Masquerade,
    NoTrack,
    Counter,
    /// Put a number into a register.
    Immediate {
        value: Vec<u8>,
    },
    /// Write two bytes of the first register into the transport header and mend its checksum.
    SetPort {
        dest: bool,
        udp: bool,
    },
    Verdict(Verdict),
}

impl Expr {
    pub(super) fn encode_list<'a>(list: impl IntoIterator<Item = &'a Self>) -> Attrs {
        list.into_iter().fold(Attrs::new(), |all, expr| {
            let (name, inner) = expr.encode();
            let one = Attrs::new()
                .string(EXPR_NAME, name)
                .nested(EXPR_DATA, &inner);
            all.nested(LIST_ELEM, &one)
        })
    }

    fn encode(&self) -> (&'static str, Attrs) {
        match self {
            Self::Load { key, at } => load(*key, FIRST_REGISTER + at),
            Self::Equal { at, value } => compare(*at, 0, value),
            Self::NotEqual { at, value } => compare(*at, 1, value),
            Self::Mask { at, bits } => mask(FIRST_REGISTER + at, *bits),
            Self::InSet(set) => lookup(set, None, 0),
            Self::NotInSet(set) => lookup(set, None, 1),
            Self::Map(set) => lookup(set, Some(FIRST_REGISTER), 0),
            Self::VerdictMap(set) => lookup(set, Some(VERDICT_REGISTER), 0),
            Self::Dnat { v6 } => dnat(*v6),
            Self::Masquerade => ("masq", Attrs::new()),
            Self::NoTrack => ("notrack", Attrs::new()),
            Self::Counter => ("counter", Attrs::new().u64(1, 0).u64(2, 0)),
            Self::Immediate { value: bytes } => (
                "immediate",
                Attrs::new().u32(1, FIRST_REGISTER).nested(2, &value(bytes)),
            ),
            Self::SetPort { dest, udp } => set_port(*dest, *udp),
            Self::Verdict(verdict) => (
                "immediate",
                Attrs::new()
                    .u32(1, VERDICT_REGISTER)
                    .nested(2, &verdict.encode()),
            ),
        }
    }
}

fn load(key: Key, register: u32) -> (&'static str, Attrs) {
    const NETWORK: u32 = 1;
    const TRANSPORT: u32 = 2;
    let meta = |key: u32| ("meta", Attrs::new().u32(1, register).u32(2, key));
    let payload = |base: u32, offset: u32, len: u32| {
        (
            "payload",
            Attrs::new()
                .u32(1, register)
                .u32(2, base)
                .u32(3, offset)
                .u32(4, len),
        )
    };
    let ct = |key: u32| ("ct", Attrs::new().u32(1, register).u32(2, key));
    // Result 3 is the address type; flag 1 looks at the source, flag 2 at the destination.
    let fib = |flag: u32| ("fib", Attrs::new().u32(1, register).u32(2, 3).u32(3, flag));
    match key {
        Key::IifName => meta(6),
        Key::OifName => meta(7),
        Key::NfProto => meta(15),
        Key::L4Proto => meta(16),
        Key::Ip4Source => payload(NETWORK, 12, 4),
        Key::Ip4Dest => payload(NETWORK, 16, 4),
        Key::Ip4SourceNet => payload(NETWORK, 12, 1),
        Key::Ip4DestNet => payload(NETWORK, 16, 1),
        Key::Ip6Source => payload(NETWORK, 8, 16),
        Key::Ip6Dest => payload(NETWORK, 24, 16),
        Key::SourcePort => payload(TRANSPORT, 0, 2),
        Key::DestPort => payload(TRANSPORT, 2, 2),
        Key::CtState => ct(0),
        Key::CtStatus => ct(2),
        Key::SourceType => fib(1),
        Key::DestType => fib(2),
    }
}

fn compare(at: u32, op: u32, bytes: &[u8]) -> (&'static str, Attrs) {
    let attrs = Attrs::new()
        .u32(1, FIRST_REGISTER + at)
        .u32(2, op)
        .nested(3, &value(bytes));
    ("cmp", attrs)
}

fn mask(register: u32, bits: u32) -> (&'static str, Attrs) {
    let attrs = Attrs::new()
        .u32(1, register)
        .u32(2, register)
        .u32(3, 4)
        .nested(4, &value(&bits.to_ne_bytes()))
        .nested(5, &value(&[0; 4]));
    ("bitwise", attrs)
}

fn lookup(set: &str, into: Option<u32>, flags: u32) -> (&'static str, Attrs) {
    let mut attrs = Attrs::new().string(1, set).u32(2, FIRST_REGISTER);
    if let Some(register) = into {
        attrs = attrs.u32(3, register);
    }
    ("lookup", attrs.u32(5, flags))
}

fn dnat(v6: bool) -> (&'static str, Attrs) {
    const DNAT: u32 = 1;
    let (family, address_width) = if v6 {
        (10, Key::Ip6Dest.width())
    } else {
        (2, 1)
    };
    let attrs = Attrs::new()
        .u32(1, DNAT)
        .u32(2, family)
        .u32(3, FIRST_REGISTER)
        .u32(5, FIRST_REGISTER + address_width);
    ("nat", attrs)
}

fn set_port(dest: bool, udp: bool) -> (&'static str, Attrs) {
    let (offset, checksum) = (if dest { 2 } else { 0 }, if udp { 6 } else { 16 });
    // Checksum type 1 is the Internet checksum; the kernel leaves a UDP checksum of zero alone.
    let attrs = Attrs::new()
        .u32(5, FIRST_REGISTER)
        .u32(2, 2)
        .u32(3, offset)
        .u32(4, 2)
        .u32(6, 1)
        .u32(7, checksum)
        .u32(8, 0);
    ("payload", attrs)
}

/// Loads several keys behind each other, as the key of a concatenation wants them.
pub(crate) fn concat(keys: &[Key]) -> Vec<Expr> {
    let mut at = 0;
    keys.iter()
        .map(|&key| {
            let load = Expr::Load { key, at };
            at += key.width();
            load
        })
        .collect()
}
