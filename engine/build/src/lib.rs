//! From a Dockerfile to an image: reading it, deciding what has to be done, and doing that with a cache that is never
//! stale. How a `RUN` becomes a container is the engine's to know, behind a trait.
//!
//! The front end ([`dockerfile`]) turns text, options and the configurations of base images into a [`graph`], and
//! touches nothing. The solver does the graph and does not know what a Dockerfile is.

pub mod dispatch;
pub mod dockerfile;
pub mod graph;
pub mod ignore;
pub mod progress;
pub mod run;
pub mod warnings;
pub mod words;
