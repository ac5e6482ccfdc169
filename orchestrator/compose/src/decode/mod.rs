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
use crate::yaml::Node;

pub(crate) use reader::Decoder;
pub(crate) use volumes::clean_target;

use fields::Fields;

/// Decodes a whole project.
pub(crate) fn project(decoder: &mut Decoder<'_>, root: &Node) -> Project {
    let mut project = Project::default();
    let Some(mut fields) = Fields::open(decoder, root, "") else {
        return project;
    };
    project.extensions = fields.extensions();
    project.networks = fields.named("networks", resource::network);
    project.volumes = fields.named("volumes", resource::volume);
    project.configs = fields.named("configs", resource::file_object);
    project.secrets = fields.named("secrets", resource::file_object);
    project.models = fields.named("models", settings::model);
    project.jobs = fields.named("jobs", job::job);
    project.services = fields.named_in_order("services", service::service);
    project
}
