//! nf_tables over netlink: just the objects and expressions that [`crate::rules`] needs.
//!
//! An encoder of our own, because the alternatives run the `nft` program (2 ms a call, output that changes between its
//! versions), link a C library, or lack half of the expressions. It is tested by what `nft list ruleset` reads back.

mod batch;
mod expr;
mod read;
mod set;

use std::io;

pub(crate) use batch::{Batch, Hook, Nft};
pub(crate) use expr::{Expr, Key, Verdict, concat};
pub(crate) use set::{Data, Element, Field, SetSpec, ifname};

/// The layer 3 protocol that a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Only for the frame around a batch.
    Unspec = 0,
    Inet = 1,
    Ip = 2,
    Ip6 = 10,
}

/// Which request nf_tables refused.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// No netlink socket, or none that answers.
    #[error("talk to nf_tables")]
    Socket(#[source] io::Error),
    /// One request of a batch; the whole batch had no effect.
    #[error("change nf_tables: {step}")]
    Refused {
        /// The request.
        step: String,
        /// The kernel's word.
        source: io::Error,
    },
    /// A list request.
    #[error("list nf_tables {what}")]
    List {
        /// Chains, rules or elements.
        what: &'static str,
        /// The kernel's word.
        source: io::Error,
    },
}

impl NftError {
    /// Whether the kernel's objects are not what we believed: somebody else changed or flushed them.
    pub(crate) fn is_out_of_step(&self) -> bool {
        let Self::Refused { source, .. } = self else {
            return false;
        };
        matches!(
            source.raw_os_error(),
            Some(libc::ENOENT | libc::EEXIST | libc::EBUSY)
        )
    }
}
