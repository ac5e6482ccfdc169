//! Ours: builds of several images in one request, and what they tell. Docker's own `POST /build` takes one image and
//! an archive; this takes the folders where they lie, which only works on the engine's own machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::container::Ulimit;
use crate::wire::wire;

wire! {
    case "snake_case";

    /// `POST /bowline/build`: the images of a project, which may build on each other.
    pub struct BuildRequest {
        pub targets: Vec<BuildTarget>,
        /// Do every step anew.
        pub no_cache: bool,
        /// Ask the registry about every base image.
        pub pull: bool,
        /// Only look at the Dockerfiles.
        pub check: bool,
        /// Keep the state of a step that fails, for a look at it.
        pub debug: bool,
    }

    /// One image.
    pub struct BuildTarget {
        /// What others call it (`service:NAME` and `target:NAME` as a context), and what events are about.
        pub name: String,
        /// Only others are built on it: it becomes no image.
        pub context_only: bool,
        /// An absolute path on the engine's machine; empty for no files at all.
        pub context: String,
        /// Path of the Dockerfile, relative to the context or absolute; empty for the usual names.
        pub dockerfile: String,
        /// The Dockerfile's text, in place of a file.
        pub dockerfile_inline: Option<String>,
        /// Values of `ARG`s.
        pub args: BTreeMap<String, String>,
        /// The stage to build; empty for the last.
        pub target: String,
        /// Further contexts by name: a path, `docker-image://REFERENCE`, `target:NAME`.
        pub contexts: BTreeMap<String, String>,
        /// Labels of the image.
        pub labels: BTreeMap<String, String>,
        /// Names it gets.
        pub tags: Vec<String>,
        /// What a `RUN` can reach: `default`, `none`, `host`, or the name of a network.
        pub network: String,
        /// `name=address` or `name:address`; `host-gateway` stands for an address.
        pub extra_hosts: Vec<String>,
        /// Bytes of `/dev/shm`.
        pub shm_size: Option<u64>,
        pub ulimits: Vec<Ulimit>,
        /// `os/arch[/variant]`; empty for the machine's own.
        pub platform: String,
        pub no_cache: bool,
        /// Stages that are built anew.
        pub no_cache_filter: Vec<String>,
        pub pull: bool,
        /// Contents of secrets by their ids, in base64.
        pub secrets: BTreeMap<String, String>,
        /// Sockets of SSH agents by their ids.
        pub ssh: BTreeMap<String, String>,
    }

    /// A place in a Dockerfile.
    pub struct BuildPlace {
        pub file: String,
        /// From 1.
        pub first_line: u32,
        pub last_line: u32,
        /// The lines themselves.
        pub lines: Vec<String>,
    }
}

/// A line of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildEvent {
    /// Milliseconds since the epoch.
    #[serde(default)]
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: BuildEventKind,
}

/// What happened in a build. Steps are named by 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum BuildEventKind {
    /// A step belongs to the build.
    Planned {
        /// Which.
        step: String,
        /// `[web 2/5] RUN make`
        name: String,
        /// Where it is written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<BuildPlace>,
        /// For which targets.
        #[serde(default)]
        targets: Vec<String>,
    },
    /// Work on it began.
    Started {
        /// Which.
        step: String,
    },
    /// Its result was there already.
    Cached {
        /// Which.
        step: String,
    },
    /// It has to be done, and why.
    Missed {
        /// Which.
        step: String,
        /// A line each.
        reasons: Vec<String>,
    },
    /// A line of its output.
    Log {
        /// Which.
        step: String,
        /// `stdout` or `stderr`.
        stream: String,
        /// Without its end.
        line: String,
    },
    /// Something is on its way.
    Transferred {
        /// For which step.
        step: String,
        /// What.
        what: String,
        /// So far.
        bytes: u64,
        /// In all, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
    },
    /// It is done.
    Finished {
        /// Which.
        step: String,
    },
    /// It failed.
    Failed {
        /// Which.
        step: String,
        /// Why.
        error: String,
    },
    /// It was given up.
    Cancelled {
        /// Which.
        step: String,
    },
    /// A remark on a Dockerfile.
    Warning {
        /// The rule's name.
        rule: String,
        /// In a sentence.
        message: String,
        /// Where.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<BuildPlace>,
    },
    /// An image is there.
    Image {
        /// Of which target.
        target: String,
        /// Its id.
        id: String,
        /// The names it got.
        tags: Vec<String>,
    },
    /// Nothing more comes: the build is done, or failed.
    End {
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<BuildFailure>,
    },
}

wire! {
    case "snake_case";

    /// Why a build failed.
    pub struct BuildFailure {
        pub message: String,
        /// The target it happened to.
        pub target: String,
        /// The step, where it was one.
        pub step: String,
        /// Where that is written.
        pub place: Option<BuildPlace>,
        /// What a process of the build ended with.
        pub code: Option<i64>,
        /// What the failed step left, where the request asked to keep it.
        pub kept: Option<KeptState>,
    }

    /// What a failed step left, to be looked at from inside: `POST /bowline/build/shell` opens a shell there, just as
    /// the step ran. It goes with the connection that the build was asked for on.
    pub struct KeptState {
        pub id: String,
    }
}

wire! {
    /// What `POST /build/prune` removed.
    pub struct BuildsPruned {
        /// Ids.
        pub caches_deleted: Vec<String>,
        pub space_reclaimed: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_object() {
        let event = BuildEvent {
            at: 5,
            kind: BuildEventKind::Cached { step: "a".into() },
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(text, r#"{"at":5,"event":"cached","step":"a"}"#);
        assert_eq!(serde_json::from_str::<BuildEvent>(&text).unwrap(), event);
    }
}
