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
            if let Some(remark) = words::dropped(&text) {
                decoder.warn(path, node, remark);
            }
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
    let mut fields = Fields::open(decoder, node, path)?;
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

/// A number of containers. One that is negative is a fault of its own.
pub(super) fn replicas(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<u32> {
    decoder.natural(path, node)
}

/// What an engine can make of the word; the word itself is kept beside it.
pub(super) fn restart(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<RestartPolicy> {
    let text = decoder.string(path, node)?;
    if let Some(times) = text.strip_prefix("on-failure:") {
        let times_read = times.parse().map(RestartPolicy::OnFailure).ok();
        if times_read.is_none() {
            let message = format!("`{times}` is not a number of times");
            decoder.refuse(path, node, Fault::new(11..text.len(), message));
        }
        return times_read;
    }
    let words = [
        ("no", RestartPolicy::No),
        ("always", RestartPolicy::Always),
        ("unless-stopped", RestartPolicy::UnlessStopped),
        ("on-failure", RestartPolicy::OnFailure(0)),
    ];
    let known = words.iter().find(|(word, _)| *word == text);
    if known.is_none() && !text.is_empty() {
        let names = words.map(|(word, _)| word);
        let message = format!("expected one of {}", names.join(", "));
        let fault = Fault::new(0..text.len(), message);
        let fault = match crate::similar::closest(&text, names) {
            Some(close) => fault.help(format!("did you mean `{close}`?")),
            None => fault,
        };
        decoder.refuse(path, node, fault);
    }
    known.map(|(_, policy)| *policy)
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
        "build" => Some(PullPolicy::Build),
        "refresh" => Some(PullPolicy::Refresh),
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
        "bridge" => NetworkMode::Bridge,
        "default" => NetworkMode::Default,
        _ => match text.split_once(':') {
            Some(("service", name)) => NetworkMode::Service(name.to_owned()),
            Some(("container", name)) => NetworkMode::Container(name.to_owned()),
            _ => NetworkMode::Named(text),
        },
    })
}
