//! Reading back: what is in tables that others own, and what is left of ours.

use super::batch::{SUBSYSTEM, nfgenmsg};
use super::{Family, Nft, NftError};
use crate::netlink::{Attrs, DUMP, Frame, attribute, attributes, frame, text};

const GETTABLE: u16 = SUBSYSTEM | 1;
const GETCHAIN: u16 = SUBSYSTEM | 4;
const GETRULE: u16 = SUBSYSTEM | 7;
const GETSETELEM: u16 = SUBSYSTEM | 13;
/// The type of a comment in a rule's user data.
const COMMENT: u8 = 0;

/// A chain of anybody's table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) table: String,
    pub(crate) name: String,
    /// Whether packets that no rule decided about are dropped.
    pub(crate) drops: bool,
}

/// A rule of anybody's chain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) chain: String,
    pub(crate) handle: u64,
    pub(crate) comment: Option<String>,
}

impl Nft {
    pub(crate) fn has_table(&mut self, family: Family, name: &str) -> Result<bool, NftError> {
        let tables = self.list("tables", GETTABLE, family, &Attrs::new())?;
        Ok(tables
            .iter()
            .any(|table| string(table, 1).as_deref() == Some(name)))
    }

    pub(crate) fn chains(&mut self, family: Family) -> Result<Vec<Chain>, NftError> {
        let chains = self.list("chains", GETCHAIN, family, &Attrs::new())?;
        Ok(chains
            .iter()
            .filter_map(|message| {
                let policy = field(message, 5).and_then(|bytes| bytes.first_chunk().copied());
                Some(Chain {
                    table: string(message, 1)?,
                    name: string(message, 3)?,
                    drops: policy.map(u32::from_be_bytes) == Some(0),
                })
            })
            .collect())
    }

    pub(crate) fn rules(
        &mut self,
        family: Family,
        table: &str,
        chain: &str,
    ) -> Result<Vec<Rule>, NftError> {
        let filter = Attrs::new().string(1, table).string(2, chain);
        let rules = self.list("rules", GETRULE, family, &filter)?;
        Ok(rules
            .iter()
            // An older kernel ignores the filter.
            .filter(|message| {
                string(message, 1).as_deref() == Some(table)
                    && string(message, 2).as_deref() == Some(chain)
            })
            .filter_map(|message| {
                Some(Rule {
                    chain: string(message, 2)?,
                    handle: u64::from_be_bytes(*field(message, 3)?.first_chunk()?),
                    comment: field(message, 7).and_then(decode_comment),
                })
            })
            .collect())
    }

    /// How many elements a set holds.
    pub(crate) fn count_elements(
        &mut self,
        family: Family,
        table: &str,
        set: &str,
    ) -> Result<usize, NftError> {
        let filter = Attrs::new().string(1, table).string(2, set);
        let messages = self.list("elements", GETSETELEM, family, &filter)?;
        Ok(messages
            .iter()
            .filter_map(|message| field(message, 3))
            .map(|list| attributes(list).count())
            .sum())
    }

    fn list(
        &mut self,
        what: &'static str,
        kind: u16,
        family: Family,
        filter: &Attrs,
    ) -> Result<Vec<Frame>, NftError> {
        let payload = [&nfgenmsg(family, 0), filter.as_slice()].concat();
        self.socket
            .dump(|sequence| frame(kind, DUMP, sequence, &payload))
            .map_err(|source| NftError::List { what, source })
    }
}

fn field(message: &Frame, kind: u16) -> Option<&[u8]> {
    attribute(message.payload.get(4..)?, kind)
}

fn string(message: &Frame, kind: u16) -> Option<String> {
    field(message, kind).map(text)
}

pub(super) fn encode_comment(comment: &str) -> Vec<u8> {
    let len = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
    [&[COMMENT, len], comment.as_bytes(), &[0]].concat()
}

fn decode_comment(mut userdata: &[u8]) -> Option<String> {
    loop {
        let (&[kind, len], rest) = userdata.split_first_chunk()?;
        let value = rest.get(..usize::from(len))?;
        if kind == COMMENT {
            return Some(text(value));
        }
        userdata = &rest[usize::from(len)..];
    }
}
