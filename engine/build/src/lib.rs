//! From a Dockerfile to an image: reading it, deciding what has to be done, and doing that with a cache that is never
//! stale. How a `RUN` becomes a container is the engine's to know, behind a trait.
