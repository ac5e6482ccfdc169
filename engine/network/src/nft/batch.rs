//! A batch is one transaction: all of it, or nothing and the reason.

use std::io;

use nix::sys::socket::SockProtocol;

use super::{Element, Expr, Family, NftError, SetSpec};
use crate::netlink::{ACK, APPEND, Attrs, CREATE, EXCL, Socket, frame};

pub(super) const SUBSYSTEM: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = SUBSYSTEM;
const DELTABLE: u16 = SUBSYSTEM | 2;
const NEWCHAIN: u16 = SUBSYSTEM | 3;
const DELCHAIN: u16 = SUBSYSTEM | 5;
const NEWRULE: u16 = SUBSYSTEM | 6;
const DELRULE: u16 = SUBSYSTEM | 8;
const NEWSET: u16 = SUBSYSTEM | 9;
const NEWSETELEM: u16 = SUBSYSTEM | 12;
const DELSETELEM: u16 = SUBSYSTEM | 14;

/// Elements per message, so that their list fits the 64 kB of an attribute: one is never larger than 160 bytes.
const ELEMENTS: usize = 400;

/// Where a base chain sits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hook {
    pub(crate) kind: &'static str,
    pub(crate) number: u32,
    pub(crate) priority: i32,
}

impl Hook {
    pub(crate) const RAW: i32 = -300;
    pub(crate) const DSTNAT: i32 = -100;
    pub(crate) const FILTER: i32 = 0;
    pub(crate) const SRCNAT: i32 = 100;
    pub(crate) const PREROUTING: u32 = 0;
    pub(crate) const FORWARD: u32 = 2;
    pub(crate) const OUTPUT: u32 = 3;
    pub(crate) const POSTROUTING: u32 = 4;

    pub(crate) const fn new(kind: &'static str, number: u32, priority: i32) -> Self {
        Self {
            kind,
            number,
            priority,
        }
    }
}

#[derive(Debug)]
struct Request {
    /// For the error message.
    step: String,
    kind: u16,
    flags: u16,
    payload: Vec<u8>,
}

/// Requests for one table, in order.
#[derive(Debug)]
pub(crate) struct Batch {
    family: Family,
    table: String,
    requests: Vec<Request>,
    sets: u32,
}

impl Batch {
    pub(crate) fn new(family: Family, table: &str) -> Self {
        Self {
            family,
            table: table.to_owned(),
            requests: Vec::new(),
            sets: 0,
        }
    }

    fn push(&mut self, step: String, kind: u16, flags: u16, attrs: &Attrs) {
        let payload = [&nfgenmsg(self.family, 0), attrs.as_slice()].concat();
        self.requests.push(Request {
            step,
            kind,
            flags,
            payload,
        });
    }

    /// Makes the table unless it is there.
    pub(crate) fn add_table(&mut self) {
        let attrs = Attrs::new().string(1, &self.table);
        self.push(
            format!("add table {}", self.table),
            NEWTABLE,
            CREATE,
            &attrs,
        );
    }

    pub(crate) fn delete_table(&mut self) {
        let attrs = Attrs::new().string(1, &self.table);
        self.push(format!("delete table {}", self.table), DELTABLE, 0, &attrs);
    }

    pub(crate) fn add_base_chain(&mut self, name: &str, hook: Hook) {
        let place = Attrs::new()
            .u32(1, hook.number)
            .bytes(2, &hook.priority.to_be_bytes());
        let attrs = Attrs::new()
            .string(1, &self.table)
            .string(3, name)
            .nested(4, &place)
            .string(7, hook.kind);
        self.push(format!("add chain {name}"), NEWCHAIN, CREATE, &attrs);
    }

    pub(crate) fn add_chain(&mut self, name: &str) {
        let attrs = Attrs::new().string(1, &self.table).string(3, name);
        self.push(format!("add chain {name}"), NEWCHAIN, CREATE | EXCL, &attrs);
    }

    /// Deletes a chain with its rules.
    pub(crate) fn delete_chain(&mut self, name: &str) {
        let attrs = Attrs::new().string(1, &self.table).string(3, name);
        self.push(format!("delete chain {name}"), DELCHAIN, 0, &attrs);
    }

    pub(crate) fn add_rule(&mut self, chain: &str, rule: &[Expr]) {
        let attrs = self.rule(chain, rule);
        self.push(
            format!("add a rule to {chain}"),
            NEWRULE,
            CREATE | APPEND,
            &attrs,
        );
    }

    /// Puts a rule before all others, with a comment that finds it again.
    pub(crate) fn insert_rule(&mut self, chain: &str, rule: &[Expr], comment: &str) {
        let attrs = self
            .rule(chain, rule)
            .bytes(7, &super::read::encode_comment(comment));
        self.push(
            format!("insert a rule into {chain}"),
            NEWRULE,
            CREATE,
            &attrs,
        );
    }

    pub(crate) fn delete_rule(&mut self, chain: &str, handle: u64) {
        let attrs = Attrs::new()
            .string(1, &self.table)
            .string(2, chain)
            .u64(3, handle);
        self.push(format!("delete a rule of {chain}"), DELRULE, 0, &attrs);
    }

    fn rule(&self, chain: &str, rule: &[Expr]) -> Attrs {
        Attrs::new()
            .string(1, &self.table)
            .string(2, chain)
            .nested(4, &Expr::encode_list(rule))
    }

    pub(crate) fn add_set(&mut self, spec: &SetSpec) {
        self.sets += 1;
        let attrs = spec.encode(&self.table, self.sets);
        self.push(format!("add set {}", spec.name), NEWSET, CREATE, &attrs);
    }

    pub(crate) fn add_elements(&mut self, set: &str, elements: &[Element]) {
        self.elements(set, elements, NEWSETELEM, CREATE | EXCL);
    }

    pub(crate) fn delete_elements(&mut self, set: &str, elements: &[Element]) {
        self.elements(set, elements, DELSETELEM, 0);
    }

    fn elements(&mut self, set: &str, elements: &[Element], kind: u16, flags: u16) {
        let verb = if kind == NEWSETELEM {
            "add to"
        } else {
            "delete from"
        };
        for chunk in elements.chunks(ELEMENTS) {
            let list = chunk
                .iter()
                .fold(Attrs::new(), |all, one| all.nested(1, &one.encode()));
            let attrs = Attrs::new()
                .string(1, &self.table)
                .string(2, set)
                .nested(3, &list);
            self.push(format!("{verb} {set}"), kind, flags, &attrs);
        }
    }
}

pub(super) fn nfgenmsg(family: Family, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family as u8, 0, high, low]
}

/// The way to the kernel's nf_tables, in the namespace where it was opened.
#[derive(Debug)]
pub(crate) struct Nft {
    pub(super) socket: Socket,
}

impl Nft {
    pub(crate) fn open() -> Result<Self, NftError> {
        let socket = Socket::open(SockProtocol::NetlinkNetFilter, 0).map_err(NftError::Socket)?;
        Ok(Self { socket })
    }

    /// Runs a batch. An error names the first request that was refused.
    pub(crate) fn commit(&mut self, batch: &Batch) -> Result<(), NftError> {
        let Some((last, others)) = batch.requests.split_last() else {
            return Ok(());
        };
        let begin = self.socket.next_sequence();
        let mut bytes = frame(BATCH_BEGIN, 0, begin, &nfgenmsg(Family::Unspec, 10));
        for request in others {
            bytes.extend(frame(
                request.kind,
                request.flags,
                self.socket.next_sequence(),
                &request.payload,
            ));
        }
        // Only the last request asks for an answer; the kernel reports every refusal anyway, and in order.
        let end = self.socket.next_sequence();
        bytes.extend(frame(last.kind, last.flags | ACK, end, &last.payload));
        bytes.extend(frame(
            BATCH_END,
            0,
            self.socket.next_sequence(),
            &nfgenmsg(Family::Unspec, 10),
        ));
        self.socket.send(&bytes).map_err(NftError::Socket)?;
        self.outcome(begin, end, &batch.requests)
    }

    fn outcome(&self, begin: u32, end: u32, requests: &[Request]) -> Result<(), NftError> {
        let mut refused: Option<(String, io::Error)> = None;
        loop {
            for answer in self.socket.receive().map_err(NftError::Socket)? {
                let Some(index) = answer
                    .sequence
                    .checked_sub(begin)
                    .filter(|_| answer.sequence <= end)
                else {
                    continue;
                };
                if let Some(Err(source)) = answer.outcome() {
                    let request = usize::try_from(index)
                        .ok()
                        .and_then(|i| requests.get(i.checked_sub(1)?));
                    // A refusal of the batch itself is the end: nothing in it was looked at.
                    let step = request.map_or("batch".to_owned(), |request| request.step.clone());
                    if index == 0 {
                        return Err(NftError::Refused { step, source });
                    }
                    refused.get_or_insert((step, source));
                }
                if answer.sequence == end {
                    return match refused {
                        Some((step, source)) => Err(NftError::Refused { step, source }),
                        None => Ok(()),
                    };
                }
            }
        }
    }
}
