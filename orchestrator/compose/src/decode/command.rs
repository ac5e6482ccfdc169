//! Commands, health probes, and the words of restart and pull policies.

use super::fields::Fields;
use super::reader::Decoder;
use crate::grammar::{Fault, units, words};
use crate::model::{Duration, Healthcheck, NetworkMode, Probe, PullPolicy, RestartPolicy};
use crate::yaml::{Node, Value};

/// `command` and `entrypoint`: a string is split into words, a list is taken as it is.
pub(super) fn command(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Value::Sequence(items) => items
            .iter()
            .map(|item| decoder.string(path, item))
            .collect::<Option<Vec<_>>>(),
        Value::Scalar(_) => {
            let text = decoder.string(path, node)?;
            words::split(&text)
                .map_err(|fault| decoder.invalid::<()>(path, node, fault))
                .ok()
        }
        Value::Mapping(_) => decoder.wrong(path, node, "a string or a list of strings"),
    }
}

pub(super) fn healthcheck(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> Option<Healthcheck> {
    let mut fields = Fields::open(decoder, node, "healthcheck", path)?;
    Some(Healthcheck {
        test: fields.with("test", probe),
        timeout: fields.duration("timeout"),
        interval: fields.duration("interval"),
        retries: fields.with("retries", Decoder::natural),
        start_period: fields.duration("start_period"),
        start_interval: fields.duration("start_interval"),
        disable: fields.flag("disable"),
    })
}

fn probe(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Probe> {
    let Value::Sequence(items) = &node.value else {
        return Some(Probe::Shell(vec![decoder.string(path, node)?]));
    };
    let words: Vec<String> = items
        .iter()
        .map(|item| decoder.string(path, item))
        .collect::<Option<_>>()?;
    let (head, rest) = words.split_first()?;
    let rest = rest.to_vec();
    match head.as_str() {
        "NONE" => Some(Probe::None),
        "CMD" => Some(Probe::Command(rest)),
        "CMD-SHELL" => Some(Probe::Shell(rest)),
        _ => {
            let fault = Fault::new(
                0..head.len(),
                "the list has to start with CMD, CMD-SHELL or NONE",
            )
            .help(format!(
                "to run it as it is, write `[\"CMD\", \"{head}\", ...]`"
            ));
            decoder.invalid(path, &items[0], fault)
        }
    }
}

pub(super) fn restart(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<RestartPolicy> {
    let text = decoder.string(path, node)?;
    if let Some(times) = text.strip_prefix("on-failure:") {
        return times
            .parse()
            .map(RestartPolicy::OnFailure)
            .ok()
            .or_else(|| {
                let fault = Fault::new(
                    11..text.len(),
                    format!("`{times}` is not a number of times"),
                );
                decoder.invalid(path, node, fault)
            });
    }
    if text.is_empty() {
        return None;
    }
    let words = [
        ("no", RestartPolicy::No),
        ("always", RestartPolicy::Always),
        ("unless-stopped", RestartPolicy::UnlessStopped),
        ("on-failure", RestartPolicy::OnFailure(0)),
    ];
    decoder.word(path, node, &words)
}

pub(super) fn pull_policy(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> Option<PullPolicy> {
    let text = decoder.string(path, node)?;
    let day = 24 * 3_600 * 1_000_000_000;
    let every = |age| {
        Some(PullPolicy::Every {
            word: text.clone(),
            age,
        })
    };
    match text.as_str() {
        "always" => Some(PullPolicy::Always),
        "never" => Some(PullPolicy::Never),
        "missing" | "if_not_present" => Some(PullPolicy::Missing),
        "daily" => every(Duration(day)),
        "weekly" => every(Duration(7 * day)),
        "build" => {
            let fault = Fault::new(0..text.len(), "building images is not supported yet");
            decoder.invalid(path, node, fault)
        }
        _ => match text.strip_prefix("every_").map(units::duration) {
            Some(Ok(age)) if age > Duration(0) => every(age),
            Some(Err(fault)) => decoder.invalid(path, node, fault.offset(6)),
            _ => {
                let words = [
                    ("always", ()),
                    ("never", ()),
                    ("missing", ()),
                    ("daily", ()),
                    ("weekly", ()),
                ];
                decoder.word(path, node, &words)?;
                None
            }
        },
    }
}

pub(super) fn network_mode(
    decoder: &mut Decoder<'_>,
    path: &str,
    node: &Node,
) -> Option<NetworkMode> {
    let text = decoder.string(path, node)?;
    Some(match text.as_str() {
        "" => return None,
        "none" => NetworkMode::None,
        "host" => NetworkMode::Host,
        "bridge" | "default" => NetworkMode::Bridge,
        _ => match text.split_once(':') {
            Some(("service", name)) => NetworkMode::Service(name.to_owned()),
            Some(("container", name)) => NetworkMode::Container(name.to_owned()),
            _ => NetworkMode::Named(text),
        },
    })
}
