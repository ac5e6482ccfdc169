//! Resources, ulimits, logging.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::reader::Decoder;
use crate::diagnostic::Diagnostic;
use crate::grammar::Fault;
use crate::model::{Deploy, Logging, ResourceLimits, Resources, Ulimit};
use crate::yaml::Node;

pub(super) fn deploy(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Deploy> {
    let mut fields = Fields::open(decoder, node, "deploy", path)?;
    Some(Deploy {
        replicas: fields.with("replicas", Decoder::natural),
        resources: fields.with("resources", resources).unwrap_or_default(),
        ..Deploy::default()
    })
}

fn resources(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Resources> {
    let mut fields = Fields::open(decoder, node, "resources", path)?;
    Some(Resources {
        limits: fields.with("limits", |d, path, node| limits(d, path, node, "limits")),
        reservations: fields.with("reservations", |d, path, node| {
            limits(d, path, node, "reservations")
        }),
    })
}

fn limits(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
    place: &str,
) -> Option<ResourceLimits> {
    let mut fields = Fields::open(decoder, node, place, path)?;
    Some(ResourceLimits {
        cpus: fields.with("cpus", Decoder::float),
        memory: fields.bytes("memory"),
        pids: fields.integer("pids"),
    })
}

pub(super) fn ulimits(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> BTreeMap<String, Ulimit> {
    let mut ulimits = BTreeMap::new();
    let Some(mapping) = node.mapping() else {
        let _none: Option<()> = decoder.wrong(path, node, "a mapping");
        return ulimits;
    };
    for (name, entry) in mapping {
        let path = format!("{path}/{name}");
        decoder.remember(&path, Some(entry.key_span), entry.value.span);
        ulimits.extend(ulimit(decoder, &path, &entry.value).map(|limit| (name.clone(), limit)));
    }
    ulimits
}

fn ulimit(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Ulimit> {
    if node.mapping().is_none() {
        return decoder.integer(path, node).map(Ulimit::Single);
    }
    let mut fields = Fields::open(decoder, node, "ulimit", path)?;
    match (fields.integer("soft"), fields.integer("hard")) {
        (Some(soft), Some(hard)) => Some(Ulimit::Pair { soft, hard }),
        _ => decoder.invalid(path, node, Fault::new(0..0, "needs both `soft` and `hard`")),
    }
}

pub(super) fn logging(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Logging> {
    let mut fields = Fields::open(decoder, node, "logging", path)?;
    let driver = fields.string("driver");
    let options = fields.pairs("options");
    if let Some(driver) = &driver
        && !matches!(driver.as_str(), "json-file" | "none")
    {
        let span = fields.get("driver").map(|node| node.span);
        let message = format!("the logging driver `{driver}` is not supported yet");
        decoder.faults.push(
            Diagnostic::error("compose::unsupported-value", message)
                .at(span, "")
                .help("use `json-file` or `none`"),
        );
    }
    Some(Logging { driver, options })
}
