//! How an image is built.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::reader::Decoder;
use super::{lists, settings, volumes};
use crate::model::Build;
use crate::yaml::{Node, Resolved};

pub(super) fn build(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Build> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(Build {
        context: fields.string("context"),
        dockerfile: fields.string("dockerfile"),
        dockerfile_inline: fields.string("dockerfile_inline"),
        entitlements: fields.strings("entitlements"),
        args: fields.collect("args", lists::environment),
        provenance: fields.string("provenance"),
        sbom: fields.string("sbom"),
        ssh: fields.collect("ssh", ssh),
        labels: fields.pairs("labels"),
        cache_from: fields.strings("cache_from"),
        cache_to: fields.strings("cache_to"),
        no_cache: fields.flag("no_cache"),
        no_cache_filter: fields.strings("no_cache_filter"),
        additional_contexts: fields.pairs("additional_contexts"),
        pull: fields.flag("pull"),
        extra_hosts: fields.collect("extra_hosts", lists::hosts),
        isolation: fields.string("isolation"),
        network: fields.string("network"),
        target: fields.string("target"),
        secrets: fields.each("secrets", volumes::reference),
        shm_size: fields.bytes("shm_size"),
        tags: fields.strings("tags"),
        ulimits: fields.collect("ulimits", settings::ulimits),
        platforms: fields.strings("platforms"),
        privileged: fields.flag("privileged"),
        extensions: fields.extensions(),
    })
}

/// Keys by name; an empty path is the agent.
fn ssh(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> BTreeMap<String, Option<String>> {
    let mut keys = BTreeMap::new();
    for (id, entry) in node.mapping().into_iter().flatten() {
        decoder.remember(
            &format!("{path}/{id}"),
            Some(entry.key_span),
            entry.value.span,
        );
        let path = entry.value.resolved().and_then(Resolved::to_text);
        keys.insert(id.clone(), path.filter(|path| !path.is_empty()));
    }
    keys
}
