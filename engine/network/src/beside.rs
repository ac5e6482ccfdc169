//! Living beside a firewall that drops what it does not know.
//!
//! All tables see a packet, and one drop is final: where dockerd (or an administrator) set the policy of iptables'
//! FORWARD chain to DROP, our accept does not help. So this is the one place where a table of others is touched: two
//! rules per pattern of interface names, in DOCKER-USER where that exists (the chain that Docker leaves to users) and
//! else in FORWARD, found again by their comment and taken out when the engine leaves. Our own table still drops what
//! must not pass. Policies are never changed.
//!
//! iptables-legacy keeps its rules outside nf_tables, where they cannot be reached by netlink; it is only reported.

use crate::nft::{Batch, Expr, Family, Key, Nft, NftError, Verdict};

const TABLE: &str = "filter";
const FORWARD: &str = "FORWARD";
const DOCKER_USER: &str = "DOCKER-USER";
const FAMILIES: [Family; 2] = [Family::Ip, Family::Ip6];

/// A pattern for interface names, in iptables' spelling: `+` at the end stands for anything.
fn matches(key: Key, pattern: &str) -> Vec<Expr> {
    let value = match pattern.strip_suffix('+') {
        // Comparing fewer bytes than the register holds compares the beginning.
        Some(prefix) => prefix.as_bytes().to_vec(),
        None => crate::nft::ifname(pattern).to_vec(),
    };
    // In the form that iptables-nft writes itself, counter included, so that `iptables -S` can still list the chain.
    vec![
        Expr::Load { key, at: 0 },
        Expr::Equal { at: 0, value },
        Expr::Counter,
        Expr::Verdict(Verdict::Accept),
    ]
}

/// The chains that need an accept: one per family at most.
fn needy(nft: &mut Nft, family: Family) -> Result<Option<&'static str>, NftError> {
    let chains = nft.chains(family)?;
    let mut in_filter = chains.iter().filter(|chain| chain.table == TABLE);
    let drops = in_filter
        .clone()
        .any(|chain| chain.name == FORWARD && chain.drops);
    let docker = in_filter.any(|chain| chain.name == DOCKER_USER);
    Ok(drops.then_some(if docker { DOCKER_USER } else { FORWARD }))
}

/// Makes sure that what our bridges forward survives others' policies. `comment` is how the rules are known as ours.
pub(crate) fn accept(nft: &mut Nft, patterns: &[String], comment: &str) -> Result<(), NftError> {
    for family in FAMILIES {
        let Some(chain) = needy(nft, family)? else {
            continue;
        };
        let ours = handles(nft, family, chain, comment)?;
        if ours.len() == patterns.len() * 2 {
            continue;
        }
        let mut batch = Batch::new(family, TABLE);
        for handle in ours {
            batch.delete_rule(chain, handle);
        }
        for pattern in patterns {
            batch.insert_rule(chain, &matches(Key::IifName, pattern), comment);
            batch.insert_rule(chain, &matches(Key::OifName, pattern), comment);
        }
        nft.commit(&batch)?;
    }
    Ok(())
}

/// Takes our rules out again.
pub(crate) fn withdraw(nft: &mut Nft, comment: &str) -> Result<(), NftError> {
    for (family, chain, handle) in left(nft, comment)? {
        let mut batch = Batch::new(family, TABLE);
        batch.delete_rule(chain, handle);
        nft.commit(&batch)?;
    }
    Ok(())
}

/// Our rules in tables of others.
pub(crate) fn left(
    nft: &mut Nft,
    comment: &str,
) -> Result<Vec<(Family, &'static str, u64)>, NftError> {
    let mut all = Vec::new();
    for family in FAMILIES {
        let chains = nft.chains(family)?;
        for chain in [FORWARD, DOCKER_USER] {
            if chains.iter().any(|c| c.table == TABLE && c.name == chain) {
                all.extend(
                    handles(nft, family, chain, comment)?
                        .into_iter()
                        .map(|h| (family, chain, h)),
                );
            }
        }
    }
    Ok(all)
}

fn handles(
    nft: &mut Nft,
    family: Family,
    chain: &str,
    comment: &str,
) -> Result<Vec<u64>, NftError> {
    let rules = nft.rules(family, TABLE, chain)?;
    Ok(rules
        .into_iter()
        .filter(|rule| rule.comment.as_deref() == Some(comment))
        .map(|rule| rule.handle)
        .collect())
}

/// Whether a forward policy that we can see drops what is not accepted.
pub(crate) fn drops_forwarded(nft: &mut Nft) -> Result<bool, NftError> {
    Ok(needy(nft, Family::Ip)?.is_some() || needy(nft, Family::Ip6)?.is_some())
}
