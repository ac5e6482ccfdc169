//! The words engine and clients share: JSON objects of the Docker Engine API (1.51), filters, stdcopy frames.
//!
//! Wire types only: what a field means to a container is the engine's business, what it means to a stack the
//! orchestrator's. Three rules hold for every object:
//!
//! - `null` and a missing field both mean the default, for docker-java sends explicit nulls for all it does not set;
//! - unknown fields are ignored, as Go's decoder does;
//! - lists and maps are written as `[]` and `{}`, never as `null`, since several clients iterate without looking.
//!
//! Where `null` and empty differ in meaning (`MaskedPaths`, `Entrypoint`, `ReadonlyPaths`) the field is an `Option`.

mod wire;

pub mod build;
pub mod container;
pub mod error;
pub mod event;
pub mod filters;
pub mod ids;
pub mod image;
pub mod network;
pub mod port;
pub mod progress;
pub mod stats;
pub mod stdcopy;
pub mod system;
pub mod volume;

pub use build::*;
pub use container::*;
pub use error::ErrorBody;
pub use event::{Actor, Event};
pub use filters::Filters;
pub use image::*;
pub use network::*;
pub use port::{PortBinding, PortMap, PortSet, PortSpec};
pub use progress::{Progress, ProgressDetail, ProgressError};
pub use stats::*;
pub use system::*;
pub use volume::*;

/// The newest API version we speak, advertised in `Api-Version`, `/version` and `/_ping` alike.
pub const API_VERSION: &str = "1.51";

/// The oldest API version we accept.
pub const MIN_API_VERSION: &str = "1.24";

/// What Docker prints for a moment that has not come: Go's zero time.
pub const ZERO_TIME: &str = "0001-01-01T00:00:00Z";
