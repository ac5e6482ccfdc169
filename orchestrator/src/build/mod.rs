//! Building the images of services: what a project asks for as one request, and the watching of it.

mod contents;
mod failure;
mod request;
mod run;

pub(crate) use contents::{Caller, SshAgent, read_secret};
pub(crate) use request::{Wishes, image_name};
pub(crate) use run::{BuildOptions, build_request, build_services};
