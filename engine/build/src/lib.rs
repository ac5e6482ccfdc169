//! From a Dockerfile to an image: reading it, deciding what has to be done, and doing that with a cache that is never
//! stale. How a `RUN` becomes a container is the engine's to know, behind a trait.
//!
//! The front end ([`dockerfile`]) turns text, options and the configurations of base images into a [`graph`], and
//! touches nothing. The solver ([`Builder::solve`]) does the graph and does not know what a Dockerfile is.
//!
//! *Invariant:* the key of a step holds all that its result depends on, by content: the layers below it, the files it
//! takes, its own words. So an entry of the cache cannot be stale, only missing.

mod builder;
mod caches;
mod copy;
pub mod dispatch;
pub mod dockerfile;
mod failure;
pub mod graph;
pub mod ignore;
mod key;
pub mod progress;
pub mod run;
mod solve;
mod tree;
pub mod warnings;
pub mod why;
pub mod words;

pub use builder::{Builder, BuilderSettings, OpenError};
pub use caches::CacheEntry;
pub use copy::{CopyError, UnpackError};
pub use failure::{BuildError, Failed, FailedState, StepError};
pub use solve::{Built, ContextFolder, Inputs};
