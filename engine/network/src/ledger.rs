//! What of one instance is in the kernel, read from the kernel and not from memory.

use std::fs;

use bowline_sys::netns::with_netns;
use serde::{Deserialize, Serialize};

use crate::link::{LINK_CHANGES, Rtnl};
use crate::nft::{Family, Nft};
use crate::{Config, NetworkError, Result, beside, rules};

/// Everything that carries an instance's name. What no record explains has leaked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Interfaces whose name starts with the instance's prefix.
    pub links: Vec<String>,
    /// Pinned namespaces, by id.
    pub netns: Vec<String>,
    /// Whether the nf_tables table is there.
    pub table: bool,
    /// Published ports in the table.
    pub publications: usize,
    /// Accept rules of ours in tables of others.
    pub accepts: usize,
}

impl Ledger {
    /// Whether nothing at all is left.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Reads the ledger; needs no engine to run.
pub fn ledger(config: &Config) -> Result<Ledger> {
    let mut ledger = with_netns(&config.root_netns, || in_kernel(config))??;
    if let Ok(pins) = fs::read_dir(&config.netns_dir) {
        ledger.netns = pins
            .flatten()
            .map(|pin| pin.file_name().to_string_lossy().into_owned())
            .collect();
        ledger.netns.sort();
    }
    Ok(ledger)
}

fn in_kernel(config: &Config) -> Result<Ledger> {
    let mut nft = Nft::open()?;
    let table = nft.has_table(Family::Inet, &config.table)?;
    let mut publications = 0;
    if table {
        for map in rules::PUBLISHED {
            publications += nft.count_elements(Family::Inet, &config.table, map)?;
        }
    }
    Ok(Ledger {
        links: links(&mut Rtnl::open()?, &config.prefix)?,
        netns: Vec::new(),
        table,
        publications,
        accepts: beside::left(&mut nft, &config.table)?.len(),
    })
}

fn links(rtnl: &mut Rtnl, prefix: &str) -> Result<Vec<String>> {
    let mut names: Vec<_> = rtnl
        .links()?
        .into_iter()
        .map(|link| link.name)
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    Ok(names)
}

/// Returns when no link of that prefix is left. The kernel takes links of dead namespaces away in its own time.
pub(crate) fn wait_for_links(prefix: &str) -> Result<()> {
    // Subscribed before the first look, so that no departure falls between the two.
    let changes = Rtnl::subscribed(LINK_CHANGES)?;
    let mut rtnl = Rtnl::open()?;
    loop {
        let left = links(&mut rtnl, prefix)?;
        if left.is_empty() {
            return Ok(());
        }
        if changes.wait_for_change().is_err() {
            return Err(NetworkError::StillThere(left));
        }
    }
}
