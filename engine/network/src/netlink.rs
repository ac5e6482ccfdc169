//! A blocking netlink socket, and the frame around every message.
//!
//! Blocking, and without a runtime: the kernel answers a netlink request inside the sending system call, so a reply is
//! there before anybody could wait for it. An asynchronous client would add a task, two queues and a wake-up to each of
//! some hundred requests and could still not overlap them, for link work is serialised by one kernel lock. What pays
//! instead is sending several requests in one datagram, which the frames below allow and a client library does not.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

const HEADER: usize = 16;
pub(crate) const NLMSG_ERROR: u16 = 2;
pub(crate) const NLMSG_DONE: u16 = 3;
pub(crate) const REQUEST: u16 = 0x001;
pub(crate) const ACK: u16 = 0x004;
pub(crate) const DUMP: u16 = 0x300;
pub(crate) const EXCL: u16 = 0x200;
pub(crate) const CREATE: u16 = 0x400;
pub(crate) const APPEND: u16 = 0x800;

/// The kernel sends at most this much in one datagram of a dump.
const DATAGRAM: usize = 64 * 1024;

/// Large enough for a batch of thousands of map elements.
const SEND_BUFFER: usize = 8 << 20;

#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

/// One message out of a received datagram.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u16,
    pub(crate) sequence: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// What an acknowledgement says; `None` for any other message.
    pub(crate) fn outcome(&self) -> Option<io::Result<()>> {
        if !matches!(self.kind, NLMSG_ERROR | NLMSG_DONE) {
            return None;
        }
        let code = self
            .payload
            .first_chunk()
            .map_or(0, |bytes| i32::from_ne_bytes(*bytes));
        Some(if code == 0 {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(-code))
        })
    }
}

impl Socket {
    /// Opens a socket that belongs to the calling thread's namespace for good, subscribed to `groups` (a mask).
    pub(crate) fn open(protocol: SockProtocol, groups: u32) -> io::Result<Self> {
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            protocol,
        )?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        // A reply that never comes would be a kernel bug; it must not hang the only thread that does this work.
        // Who waits for changes looks again at times, for the change may be one that never comes.
        let patience = if groups == 0 { 10 } else { 2 };
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::seconds(patience))?;
        // Without the right to exceed the limit, the default has to do.
        let _: nix::Result<()> = setsockopt(&fd, sockopt::SndBufForce, &SEND_BUFFER)
            .or_else(|_| setsockopt(&fd, sockopt::SndBuf, &SEND_BUFFER));
        let _: nix::Result<()> = setsockopt(&fd, sockopt::RcvBufForce, &SEND_BUFFER)
            .or_else(|_| setsockopt(&fd, sockopt::RcvBuf, &SEND_BUFFER));
        Ok(Self { fd, sequence: 0 })
    }

    pub(crate) fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        send(self.fd.as_raw_fd(), bytes, MsgFlags::empty())?;
        Ok(())
    }

    /// The messages of one datagram.
    pub(crate) fn receive(&self) -> io::Result<Vec<Frame>> {
        self.receive_with(MsgFlags::empty())
    }

    /// The same, if there is one already.
    pub(crate) fn receive_now(&self) -> io::Result<Vec<Frame>> {
        self.receive_with(MsgFlags::MSG_DONTWAIT)
    }

    fn receive_with(&self, flags: MsgFlags) -> io::Result<Vec<Frame>> {
        let mut buffer = vec![0; DATAGRAM];
        let len = recv(self.fd.as_raw_fd(), &mut buffer, flags)?;
        Ok(frames(&buffer[..len]))
    }

    /// Sends one dump request made by `build` (from its sequence number) and hands back what the kernel lists.
    pub(crate) fn dump(&mut self, build: impl Fn(u32) -> Vec<u8>) -> io::Result<Vec<Frame>> {
        let sequence = self.next_sequence();
        self.send(&build(sequence))?;
        let mut all = Vec::new();
        loop {
            for frame in self
                .receive()?
                .into_iter()
                .filter(|frame| frame.sequence == sequence)
            {
                match frame.outcome() {
                    Some(outcome) => return outcome.map(|()| all),
                    None => all.push(frame),
                }
            }
        }
    }
}

fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut all = Vec::new();
    while let Some((header, _)) = bytes.split_first_chunk::<HEADER>() {
        let [l0, l1, l2, l3, k0, k1, _, _, s0, s1, s2, s3, ..] = *header;
        let len = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        let Some(payload) = bytes.get(HEADER..len) else {
            break;
        };
        all.push(Frame {
            kind: u16::from_ne_bytes([k0, k1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            payload: payload.to_vec(),
        });
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

/// Puts the frame around a payload.
pub(crate) fn frame(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(HEADER + payload.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER + payload.len() + 3);
    bytes.extend_from_slice(&len.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&0u32.to_ne_bytes());
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A netlink attribute, or a list of them, under construction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attrs(Vec<u8>);

const NESTED: u16 = 0x8000;

impl Attrs {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        // The length field has 16 bits; callers split lists long before that.
        let len = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&len.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// A number in network byte order, as netfilter wants it.
    pub(crate) fn u32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(crate) fn u64(self, kind: u16, value: u64) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(crate) fn string(self, kind: u16, value: &str) -> Self {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat())
    }

    pub(crate) fn nested(self, kind: u16, inner: &Self) -> Self {
        self.bytes(kind | NESTED, &inner.0)
    }

    pub(crate) fn append(mut self, other: &Self) -> Self {
        self.0.extend_from_slice(&other.0);
        self
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

/// The attributes in a received payload, in order.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [l0, l1, k0, k1] = *bytes.first_chunk()?;
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]) & !0xc000, value))
    })
}

/// The first attribute of a kind.
pub(crate) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(k, value)| (k == kind).then_some(value))
}

/// A NUL-terminated string attribute.
pub(crate) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_framed_reads_back() {
        let attrs = Attrs::new()
            .string(1, "abc")
            .nested(2, &Attrs::new().u32(3, 7));
        let mut bytes = frame(5, ACK, 9, attrs.as_slice());
        bytes.extend(frame(6, 0, 10, &[]));
        let all = frames(&bytes);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].kind, all[0].sequence), (5, 9));
        assert_eq!(text(attribute(&all[0].payload, 1).unwrap()), "abc");
        let inner = attribute(&all[0].payload, 2).unwrap();
        assert_eq!(attribute(inner, 3), Some(&[0, 0, 0, 7][..]));
    }

    proptest::proptest! {
        #[test]
        fn no_datagram_is_too_strange(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            for frame in frames(&bytes) {
                drop(frame.outcome());
                attributes(&frame.payload).for_each(|(_, value)| drop(text(value)));
            }
            attributes(&bytes).for_each(|(_, value)| drop(text(value)));
        }
    }

    #[test]
    fn a_cut_off_datagram_ends_the_list() {
        let bytes = frame(5, 0, 9, &[1; 20]);
        assert!(frames(&bytes[..30]).is_empty());
        assert_eq!(attributes(&[9, 0, 1, 0, 1]).count(), 0);
    }
}
