//! Jobs.

use super::fields::Fields;
use super::reader::Decoder;
use super::service;
use crate::model::{Job, Schedule, Triggers};
use crate::yaml::Node;

pub(super) fn job(decoder: &mut Decoder<'_>, path: &str, name: &str, node: &Node) -> Option<Job> {
    let mut fields = Fields::open(decoder, node, path)?;
    let mut container = service::container(&mut fields);
    service::workload(&mut fields, &mut container);
    name.clone_into(&mut container.name);
    container.profiles = fields.strings("profiles");
    container.extensions = fields.extensions();
    Some(Job {
        container: Box::new(container),
        triggers: fields.with("triggers", triggers).unwrap_or_default(),
    })
}

fn triggers(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Triggers> {
    let mut fields = Fields::open(decoder, node, path)?;
    Some(Triggers {
        manual: fields.boolean("manual"),
        schedule: fields.each("schedule", schedule),
    })
}

fn schedule(decoder: &mut Decoder<'_>, path: &str, node: &Node) -> Option<Schedule> {
    if let Some(cron) = node.as_text() {
        return Some(Schedule {
            cron: cron.to_owned(),
            ..Schedule::default()
        });
    }
    let mut fields = Fields::open(decoder, node, path)?;
    Some(Schedule {
        cron: fields.string("cron").unwrap_or_default(),
        timezone: fields.string("timezone"),
        concurrency: fields.string("concurrency"),
        missed_fires: fields.string("missed_fires"),
    })
}
