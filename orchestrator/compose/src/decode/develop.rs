//! Watch rules, hooks, init containers.

use super::fields::Fields;
use super::reader::Decoder;
use super::{command, lists, service};
use crate::model::{Develop, Hook, PreStart, Trigger, WatchAction};
use crate::yaml::Node;

pub(super) fn develop(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Develop> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(Develop {
        watch: fields.each("watch", trigger),
        extensions: fields.extensions(),
    })
}

fn trigger(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Trigger> {
    let mut fields = Fields::open(decoder, node, path)?;
    let action = fields.with("action", |decoder, path, node| {
        let words = WatchAction::ALL.map(|action| (action.as_str(), action));
        decoder.word(path, node, &words)
    });
    Some(Trigger {
        path: fields.string("path").unwrap_or_default(),
        action: action?,
        target: fields.string("target"),
        exec: fields.with("exec", hook).unwrap_or_default(),
        include: fields.strings("include"),
        ignore: fields.strings("ignore"),
        initial_sync: fields.flag("initial_sync"),
        extensions: fields.extensions(),
    })
}

pub(super) fn hook(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Hook> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(Hook {
        command: fields.with("command", command::command),
        user: fields.string("user"),
        privileged: fields.flag("privileged"),
        working_dir: fields.string("working_dir"),
        environment: fields.collect("environment", lists::environment),
        extensions: fields.extensions(),
    })
}

pub(super) fn pre_start(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<PreStart> {
    let mut fields = Fields::open(decoder, node, path)?;
    let mut container = service::container(&mut fields);
    container.extensions = fields.extensions();
    Some(PreStart {
        container: Box::new(container),
        per_replica: fields.flag("per_replica"),
    })
}
