//! From what is desired and what is observed to a plan: a DAG of atomic engine operations.
//!
//! Everything here is a pure function of snapshots. A plan names every operation, what it waits for
//! and why it is there, and prints as text; whoever executes it makes no choice of its own. There is
//! no clock, no file, no environment and no network in this crate.
//!
//! ```text
//! [] -> #1 network:default, create, not found
//! [1] -> #2 service:db:1, create, not found
//! [2] -> #3 service:db:1, start, new
//! [3] -> #4 service:db, wait healthy, `web` depends on it
//! ```

pub mod changes;
mod desired;
mod down;
mod error;
#[cfg(test)]
mod faults;
mod graph;
pub mod hash;
pub mod labels;
mod lifecycle;
mod observed;
mod op;
mod order;
mod project;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod scripts;
#[cfg(test)]
mod simulated;
mod stopping;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod stories_down;
mod up;

pub use desired::{Dependency, Desired, Hooks, Image, Network, Service, Update, Volume};
pub use down::{Down, Images, down};
pub use error::{PlanError, Result};
pub use graph::{Plan, Step};
pub use lifecycle::{Kill, Restart, kill, pause, remove_stopped, restart, start, stop, unpause};
pub use observed::{
    Container, Hashes, Health, Mount, Observed, ObservedNetwork, ObservedVolume, State,
};
pub use op::{Await, Condition, Inherited, Node, Op, Target};
pub use order::{closure, dependents_closure};
pub use project::{Knowledge, desired};
pub use up::{Recreate, Up, up, up_at};
