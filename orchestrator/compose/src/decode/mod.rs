//! The merged tree becomes the model. Every fault is collected with its place; what is faulty is
//! left at its default, so that the rest can be looked at too.

mod attach;
mod build;
mod command;
mod deploy;
mod develop;
mod device;
mod fields;
mod job;
mod lists;
mod ports;
mod reader;
mod resource;
mod service;
mod settings;
mod volumes;

use crate::model::Project;
use crate::yaml::{Node, Value};

pub(crate) use reader::Decoder;
pub(crate) use volumes::clean_target;

use fields::Fields;

/// Decodes a whole project. Services are most of one, so each is let go of as soon as it is decoded.
pub(crate) fn project(decoder: &mut Decoder<'_>, mut root: Node) -> Project {
    let mut project = Project::default();
    let services = root.get_mut("services").map(|services| {
        let span = services.span;
        std::mem::replace(services, Node::null(span))
    });
    if let Some(mut fields) = Fields::open(decoder, &root, "") {
        project.extensions = fields.extensions();
        project.networks = fields.named("networks", resource::network);
        project.volumes = fields.named("volumes", resource::volume);
        project.configs = fields.named("configs", resource::file_object);
        project.secrets = fields.named("secrets", resource::file_object);
        project.models = fields.named("models", settings::model);
        project.jobs = fields.named("jobs", job::job);
    }
    drop(root);
    let Some(Value::Mapping(services)) = services.map(|services| services.value) else {
        return project;
    };
    project.services.reserve_exact(services.len());
    for (name, entry) in services {
        let path = format!("services/{name}");
        decoder.remember(&path, Some(entry.key_span), entry.value.span);
        if let Some(service) = service::service(decoder, &path, &name, &entry.value) {
            project.services.insert(name, service);
        }
    }
    project
}
