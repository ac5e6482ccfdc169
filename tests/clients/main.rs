//! Clients that were written for another engine: the stock `docker` command line, Docker Compose, libraries for Python,
//! and real images. Each test has an engine of its own, looks at what the client shows and at what the engine holds, and
//! ends with an empty ledger. A client that is not here fails its tests: `tests/run` installs them.

mod build;
mod compose;
mod docker;
mod guestbook;
mod python;
mod refusals;
mod stock;
