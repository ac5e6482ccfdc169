//! Doing what a plan says. Nothing here decides: every choice was made when the plan was.

mod act;
mod container;
mod execute;
mod failure;
mod given;
mod hooks;
mod host;
mod images;
mod mounts;
mod network;
mod observe;
mod ports;
mod shown;
mod timeline;
mod wait;
mod watch;

pub(crate) use container::{OneOff, one_off};
pub(crate) use execute::{Execution, Options};
pub(crate) use failure::last_lines;
pub(crate) use given::give;
pub(crate) use images::{pull, pull_image};
pub(crate) use observe::{image_ids, observe, project_filter};
pub(crate) use ports::urls;
pub(crate) use timeline::Summary;
pub(crate) use wait::until as wait_until;
pub(crate) use watch::{Notice, Watch};
