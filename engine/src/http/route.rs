//! Which request a method and a path are. Pure: a table and its reading.

use hyper::Method;

/// A request, with the name in its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Ping,
    Version,
    Info,
    Events,
    Containers(All),
    Container(&'a str, Verb),
    Exec(&'a str, ExecVerb),
    Images(All),
    ImageLoad,
    ImageSave,
    Image(&'a str, ImageVerb),
    Networks(All),
    Network(&'a str, NetworkVerb),
    Volumes(All),
    Volume(&'a str, VolumeVerb),
    /// Ours: snapshots of all volumes.
    Snapshots,
    /// Ours: freezing, restoring and forking a volume.
    Snapshot(&'a str, SnapshotVerb<'a>),
    Commit,
    DiskUsage,
    /// Ours: effective settings.
    EngineConfig,
    /// Ours: a name that a connection holds.
    Lease,
    /// Ours: what was left behind.
    EngineCheck,
    Build,
    BuildPrune,
    BuildCancel,
    /// A connection that BuildKit's clients hold beside a build.
    Session,
    /// Ours: several images in one request, from folders of this machine.
    OwnBuild,
    /// Ours: a shell in what a failed step left.
    BuildShell,
    Plugins,
    /// Belongs to swarm, which we are not.
    Swarm,
    /// In the API, but not here yet.
    Unsupported(&'static str),
    Unknown,
}

/// What is done with a whole collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum All {
    List,
    Create,
    Prune,
}

/// What is done with a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Inspect,
    Start,
    Stop,
    Restart,
    Kill,
    Pause,
    Unpause,
    Wait,
    Remove,
    Rename,
    Resize,
    Top,
    Update,
    Logs,
    Stats,
    Attach,
    ExecCreate,
    /// About a path in it.
    LookAt,
    CopyOut,
    CopyIn,
    Changes,
    Export,
}

/// What is done with an exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExecVerb {
    Start,
    Inspect,
    Resize,
}

/// What is done with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageVerb {
    Inspect,
    History,
    Save,
    Tag,
    Push,
    Remove,
}

/// What is done with a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NetworkVerb {
    Inspect,
    Connect,
    Disconnect,
    Remove,
}

/// What is done with a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VolumeVerb {
    Inspect,
    Remove,
}

/// What is done with a volume's snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SnapshotVerb<'a> {
    List,
    Create,
    Remove(&'a str),
    Restore,
    Fork,
}

/// Reads a path that has no version and no slash in front.
pub(super) fn route<'a>(method: &Method, path: &'a str) -> Route<'a> {
    let (area, rest) = path.split_once('/').unwrap_or((path, ""));
    match (method.as_str(), area, rest) {
        ("GET" | "HEAD", "_ping", "") => Route::Ping,
        ("GET", "version", "") => Route::Version,
        ("GET", "info", "") => Route::Info,
        ("GET", "events", "") => Route::Events,
        ("GET", "bowline", "config") => Route::EngineConfig,
        ("GET", "bowline", "check") => Route::EngineCheck,
        ("GET", "bowline", "volumes/snapshots") => Route::Snapshots,
        (method, "bowline", rest) if rest.starts_with("volumes/") => snapshots(method, rest),
        ("POST", "commit", "") => Route::Commit,
        ("GET", "system", "df") => Route::DiskUsage,
        ("POST", "bowline", "lease") => Route::Lease,
        ("POST", "bowline", "build") => Route::OwnBuild,
        ("POST", "bowline", "build/shell") => Route::BuildShell,
        ("POST", "build", "") => Route::Build,
        ("POST", "build", "prune") => Route::BuildPrune,
        ("POST", "build", "cancel") => Route::BuildCancel,
        ("POST", "session", "") => Route::Session,
        ("GET", "plugins", "") => Route::Plugins,
        (_, "plugins", _) => Route::Unsupported("plugins"),
        (_, "swarm" | "nodes" | "services" | "tasks" | "secrets" | "configs", _) => Route::Swarm,
        (method, "containers", rest) => containers(method, rest),
        (method, "exec", rest) => exec(method, rest),
        (method, "images", rest) => images(method, rest),
        (method, "networks", rest) => networks(method, rest),
        (method, "volumes", rest) => volumes(method, rest),
        (method, area, rest) => unsupported(method, area, rest),
    }
}

fn containers<'a>(method: &str, rest: &'a str) -> Route<'a> {
    match (method, rest) {
        ("GET", "json") => return Route::Containers(All::List),
        ("POST", "create") => return Route::Containers(All::Create),
        ("POST", "prune") => return Route::Containers(All::Prune),
        ("DELETE", name) if !name.is_empty() => return Route::Container(name, Verb::Remove),
        _ => {}
    }
    let Some((name, verb)) = named(rest) else {
        return Route::Unknown;
    };
    if name.ends_with("/attach") && verb == "ws" {
        return Route::Unsupported("attaching over a web socket");
    }
    let verb = match (method, verb) {
        ("GET", "json") => Verb::Inspect,
        ("GET", "top") => Verb::Top,
        ("GET", "logs") => Verb::Logs,
        ("GET", "stats") => Verb::Stats,
        ("POST", "start") => Verb::Start,
        ("POST", "stop") => Verb::Stop,
        ("POST", "restart") => Verb::Restart,
        ("POST", "kill") => Verb::Kill,
        ("POST", "pause") => Verb::Pause,
        ("POST", "unpause") => Verb::Unpause,
        ("POST", "wait") => Verb::Wait,
        ("POST", "rename") => Verb::Rename,
        ("POST", "resize") => Verb::Resize,
        ("POST", "update") => Verb::Update,
        ("POST", "attach") => Verb::Attach,
        ("POST", "exec") => Verb::ExecCreate,
        ("HEAD", "archive") => Verb::LookAt,
        ("GET", "archive") => Verb::CopyOut,
        ("PUT", "archive") => Verb::CopyIn,
        ("GET", "changes") => Verb::Changes,
        ("GET", "export") => Verb::Export,
        (_, "checkpoints") => return Route::Unsupported("checkpoints"),
        _ => return Route::Unknown,
    };
    Route::Container(name, verb)
}

fn exec<'a>(method: &str, rest: &'a str) -> Route<'a> {
    let verb = match (method, named(rest)) {
        ("POST", Some((_, "start"))) => ExecVerb::Start,
        ("POST", Some((_, "resize"))) => ExecVerb::Resize,
        ("GET", Some((_, "json"))) => ExecVerb::Inspect,
        _ => return Route::Unknown,
    };
    named(rest).map_or(Route::Unknown, |(id, _)| Route::Exec(id, verb))
}

/// Names of images hold slashes, so the verb is what follows the last one.
fn images<'a>(method: &str, rest: &'a str) -> Route<'a> {
    match (method, rest) {
        ("GET", "json") => return Route::Images(All::List),
        ("GET", "get") => return Route::ImageSave,
        ("GET", "search") => return Route::Unsupported("searching a registry"),
        ("POST", "create") => return Route::Images(All::Create),
        ("POST", "load") => return Route::ImageLoad,
        ("POST", "prune") => return Route::Images(All::Prune),
        ("DELETE", name) if !name.is_empty() => return Route::Image(name, ImageVerb::Remove),
        _ => {}
    }
    match (method, named(rest)) {
        ("GET", Some((name, "json"))) => Route::Image(name, ImageVerb::Inspect),
        ("GET", Some((name, "history"))) => Route::Image(name, ImageVerb::History),
        ("GET", Some((name, "get"))) => Route::Image(name, ImageVerb::Save),
        ("POST", Some((name, "tag"))) => Route::Image(name, ImageVerb::Tag),
        ("POST", Some((name, "push"))) => Route::Image(name, ImageVerb::Push),
        ("GET", Some((_, "attestations"))) => Route::Unsupported("attestations"),
        _ => Route::Unknown,
    }
}

fn networks<'a>(method: &str, rest: &'a str) -> Route<'a> {
    match (method, rest, named(rest)) {
        ("GET", "", _) => Route::Networks(All::List),
        ("POST", "create", _) => Route::Networks(All::Create),
        ("POST", "prune", _) => Route::Networks(All::Prune),
        ("POST", _, Some((id, "connect"))) => Route::Network(id, NetworkVerb::Connect),
        ("POST", _, Some((id, "disconnect"))) => Route::Network(id, NetworkVerb::Disconnect),
        ("GET", id, _) => Route::Network(id, NetworkVerb::Inspect),
        ("DELETE", id, _) if !id.is_empty() => Route::Network(id, NetworkVerb::Remove),
        _ => Route::Unknown,
    }
}

fn volumes<'a>(method: &str, rest: &'a str) -> Route<'a> {
    match (method, rest) {
        ("GET", "") => Route::Volumes(All::List),
        ("POST", "create") => Route::Volumes(All::Create),
        ("POST", "prune") => Route::Volumes(All::Prune),
        ("GET", name) => Route::Volume(name, VolumeVerb::Inspect),
        ("PUT", _) => Route::Swarm,
        ("DELETE", name) if !name.is_empty() => Route::Volume(name, VolumeVerb::Remove),
        _ => Route::Unknown,
    }
}

/// Names of volumes hold no slash.
fn snapshots<'a>(method: &str, rest: &'a str) -> Route<'a> {
    let mut parts = rest.split('/').skip(1);
    let (name, what, tag) = (parts.next(), parts.next(), parts.next());
    let verb = match (method, what, tag) {
        ("GET", Some("snapshots"), None) => SnapshotVerb::List,
        ("POST", Some("snapshots"), None) => SnapshotVerb::Create,
        ("DELETE", Some("snapshots"), Some(tag)) => SnapshotVerb::Remove(tag),
        ("POST", Some("restore"), None) => SnapshotVerb::Restore,
        ("POST", Some("fork"), None) => SnapshotVerb::Fork,
        _ => return Route::Unknown,
    };
    name.map_or(Route::Unknown, |name| Route::Snapshot(name, verb))
}

fn unsupported<'a>(method: &str, area: &str, rest: &str) -> Route<'a> {
    Route::Unsupported(match (method, area, rest) {
        ("POST", "grpc", "") => {
            "BuildKit's own protocol (set DOCKER_BUILDKIT=0 to build without it)"
        }
        ("POST", "auth", "") => "checking registry credentials",
        ("GET", "distribution", _) => "asking a registry about an image",
        _ => return Route::Unknown,
    })
}

/// A name and the word behind its last slash, neither of them empty.
fn named(rest: &str) -> Option<(&str, &str)> {
    rest.rsplit_once('/')
        .filter(|(name, verb)| !name.is_empty() && !verb.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, path: &'static str) -> Route<'static> {
        route(&method.parse().unwrap(), path)
    }

    #[test]
    fn names_of_images_hold_slashes() {
        let name = "ghcr.io/a/b:1";
        assert_eq!(
            of("GET", "images/ghcr.io/a/b:1/json"),
            Route::Image(name, ImageVerb::Inspect)
        );
        assert_eq!(
            of("GET", "images/ghcr.io/a/b:1/history"),
            Route::Image(name, ImageVerb::History)
        );
        assert_eq!(
            of("POST", "images/ghcr.io/a/b:1/tag"),
            Route::Image(name, ImageVerb::Tag)
        );
        assert_eq!(
            of("DELETE", "images/ghcr.io/a/b:1"),
            Route::Image(name, ImageVerb::Remove)
        );
        assert_eq!(
            of("GET", "images/json/json"),
            Route::Image("json", ImageVerb::Inspect)
        );
    }

    #[test]
    fn every_area_has_its_verbs() {
        assert_eq!(of("HEAD", "_ping"), Route::Ping);
        assert_eq!(of("GET", "containers/json"), Route::Containers(All::List));
        assert_eq!(
            of("GET", "containers/json/json"),
            Route::Container("json", Verb::Inspect)
        );
        assert_eq!(
            of("POST", "containers/a/wait"),
            Route::Container("a", Verb::Wait)
        );
        assert_eq!(
            of("DELETE", "containers/a"),
            Route::Container("a", Verb::Remove)
        );
        assert_eq!(
            of("POST", "exec/0/start"),
            Route::Exec("0", ExecVerb::Start)
        );
        assert_eq!(of("GET", "networks"), Route::Networks(All::List));
        assert_eq!(of("GET", "networks/"), Route::Networks(All::List));
        assert_eq!(
            of("GET", "networks/create"),
            Route::Network("create", NetworkVerb::Inspect)
        );
        assert_eq!(
            of("POST", "networks/a/connect"),
            Route::Network("a", NetworkVerb::Connect)
        );
        assert_eq!(
            of("DELETE", "volumes/a"),
            Route::Volume("a", VolumeVerb::Remove)
        );
        assert_eq!(of("GET", "bowline/check"), Route::EngineCheck);
    }

    #[test]
    fn a_wrong_method_is_an_unknown_page() {
        for (method, path) in [
            ("POST", "containers/json"),
            ("GET", "containers/a"),
            ("GET", "containers/a/start"),
            ("DELETE", "containers/"),
            ("HEAD", "version"),
            ("GET", ""),
            ("GET", "nothing/here"),
            ("PUT", "images/a"),
        ] {
            assert_eq!(of(method, path), Route::Unknown, "{method} {path}");
        }
    }

    #[test]
    fn what_the_api_has_and_we_have_not_is_told_apart_from_the_unknown() {
        assert_eq!(of("GET", "services"), Route::Swarm);
        assert_eq!(of("POST", "swarm/init"), Route::Swarm);
        assert_eq!(of("POST", "build"), Route::Build);
        assert_eq!(of("POST", "build/cancel"), Route::BuildCancel);
        assert_eq!(of("POST", "build/prune"), Route::BuildPrune);
        assert_eq!(of("POST", "bowline/build"), Route::OwnBuild);
        assert_eq!(of("POST", "session"), Route::Session);
        assert!(
            matches!(of("POST", "grpc"), Route::Unsupported(what) if what.contains("DOCKER_BUILDKIT=0"))
        );
        assert_eq!(
            of("PUT", "containers/a/archive"),
            Route::Container("a", Verb::CopyIn)
        );
        assert_eq!(of("GET", "bowline/volumes/snapshots"), Route::Snapshots);
        assert_eq!(
            of("DELETE", "bowline/volumes/v/snapshots/t"),
            Route::Snapshot("v", SnapshotVerb::Remove("t"))
        );
        assert_eq!(
            of("POST", "bowline/volumes/v/fork"),
            Route::Snapshot("v", SnapshotVerb::Fork)
        );
        assert!(matches!(
            of("GET", "containers/a/attach/ws"),
            Route::Unsupported(_)
        ));
    }
}
