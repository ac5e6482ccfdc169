//! Names of labels, and the one label with a grammar of its own.

use crate::desired::Dependency;
use crate::op::Condition;

/// The project; the only key that groups.
pub const PROJECT: &str = "com.docker.compose.project";
/// The service of a container.
pub const SERVICE: &str = "com.docker.compose.service";
/// Index of a replica.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// `True` on containers of `run`, else `False`.
pub const ONE_OFF: &str = "com.docker.compose.oneoff";
/// Random id of a one-off container.
pub const SLUG: &str = "com.docker.compose.slug";
/// Compose's hash of what the object was made from.
pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// Our hash of what the object was made from.
pub const OWN_HASH: &str = "dev.bowline.config-hash";
/// What the object was made from, see [`crate::changes`].
pub const OWN_CONFIG: &str = "dev.bowline.config";
/// Present on containers of an isolated copy of a project; the value is the name of the original.
pub const ISOLATED: &str = "dev.bowline.isolated";
/// The lease whose end removes the object.
pub const LEASE: &str = "dev.bowline.lease";
/// `pre_start` on the short-lived containers of such hooks.
pub const HOOK: &str = "com.docker.compose.hook";
/// Which of a service's hooks it is, from 0.
pub const HOOK_INDEX: &str = "com.docker.compose.hook-index";
/// Id of the image of a container.
pub const IMAGE: &str = "com.docker.compose.image";
/// `service:condition:restart,…`
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// Version of the tool that made the object.
pub const VERSION: &str = "com.docker.compose.version";
/// Project directory.
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// Compose files, comma-separated.
pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// Env files, comma-separated.
pub const ENVIRONMENT_FILE: &str = "com.docker.compose.project.environment_file";
/// Name of the container that this one replaces.
pub const REPLACE: &str = "com.docker.compose.replace";
/// Key of a network.
pub const NETWORK: &str = "com.docker.compose.network";
/// Key of a volume.
pub const VOLUME: &str = "com.docker.compose.volume";

/// The text of the `depends_on` label.
pub fn print_depends_on(dependencies: &[Dependency]) -> String {
    let entries: Vec<String> = dependencies
        .iter()
        .map(|need| {
            format!(
                "{}:{}:{}",
                need.service,
                need.condition.as_str(),
                need.restart
            )
        })
        .collect();
    entries.join(",")
}

/// What the `depends_on` label says. Older tools left condition and restart out; an entry that makes
/// no sense is skipped, for a foreign label must not stop `down`.
pub fn parse_depends_on(label: &str) -> Vec<Dependency> {
    label
        .split(',')
        .filter(|entry| !entry.is_empty())
        .map(parse_entry)
        .collect()
}

fn parse_entry(entry: &str) -> Dependency {
    let mut parts = entry.split(':');
    Dependency {
        service: parts.next().unwrap_or_default().into(),
        condition: parts
            .next()
            .and_then(Condition::parse)
            .unwrap_or(Condition::Started),
        restart: parts.next() == Some("true"),
        required: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depends_on_survives_the_round_trip() {
        let text = "db:service_healthy:false,cache:service_started:true";
        assert_eq!(print_depends_on(&parse_depends_on(text)), text);
    }

    #[test]
    fn old_and_odd_labels_are_read_leniently() {
        let parsed = parse_depends_on("db,,x:nonsense");
        assert_eq!(parsed.len(), 2);
        assert_eq!(parsed[0].condition, Condition::Started);
        assert!(parse_depends_on("").is_empty());
    }
}
