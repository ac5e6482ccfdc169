//! The text that Compose takes its `config-hash` of. Both tools can manage one project only if they
//! agree on what has changed.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::model::{Network, Service, Volume};

/// The order of a service's keys in that text, which is not the one it is printed in. How many
/// containers there are, how their image comes about, and who waits for whom is left out: it is not
/// what one of them is made from.
const ORDER: [&str; 87] = [
    "annotations",
    "attach",
    "develop",
    "blkio_config",
    "cap_add",
    "cap_drop",
    "cgroup_parent",
    "cgroup",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpus",
    "cpuset",
    "cpu_shares",
    "command",
    "configs",
    "container_name",
    "credential_spec",
    "deploy",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "entrypoint",
    "provider",
    "environment",
    "env_file",
    "expose",
    "external_links",
    "extra_hosts",
    "group_add",
    "gpus",
    "hostname",
    "healthcheck",
    "image",
    "init",
    "ipc",
    "isolation",
    "labels",
    "label_file",
    "links",
    "logging",
    "mem_limit",
    "mem_reservation",
    "memswap_limit",
    "mem_swappiness",
    "mac_address",
    "models",
    "network_mode",
    "networks",
    "oom_kill_disable",
    "oom_score_adj",
    "pid",
    "pids_limit",
    "platform",
    "ports",
    "privileged",
    "read_only",
    "restart",
    "runtime",
    "secrets",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "storage_opt",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "use_api_socket",
    "user",
    "userns_mode",
    "uts",
    "volumes",
    "volumes_from",
    "working_dir",
    "pre_start",
    "post_start",
    "pre_stop",
    "pull_refresh_after",
];

/// A service without what a single container is not made from.
#[must_use]
pub fn service(service: &Service) -> String {
    let Some(mut from) = object(service) else {
        return String::new();
    };
    if let Some(deploy) = from.get_mut("deploy").and_then(Value::as_object_mut) {
        deploy.shift_remove("replicas");
    }
    let ordered: Map<String, Value> = ORDER
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), from.shift_remove(*key)?)))
        .collect();
    text(&Value::Object(ordered))
}

/// A network.
#[must_use]
pub fn network(network: &Network) -> String {
    object(network).map_or_else(String::new, |network| text(&Value::Object(network)))
}

/// A volume; its usual driver counts as if it were written.
#[must_use]
pub fn volume(volume: &Volume) -> String {
    let mut volume = volume.clone();
    volume.driver.get_or_insert_with(|| "local".to_owned());
    object(&volume).map_or_else(String::new, |volume| text(&Value::Object(volume)))
}

/// By way of text, because a number of single precision keeps its few digits only there.
fn object<T: Serialize>(value: &T) -> Option<Map<String, Value>> {
    let text = serde_json::to_string(value).ok()?;
    serde_json::from_str(&text).ok()
}

/// Compact JSON with letters escaped as Go does.
fn text(value: &Value) -> String {
    let text = value.to_string();
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Healthcheck, Probe, RestartPolicy};

    #[test]
    fn keys_stand_in_the_order_that_is_hashed() {
        let service = Service {
            image: "x<y".into(),
            hostname: Some("q".into()),
            tty: true,
            restart: Some(RestartPolicy::Always),
            restart_text: Some("always".into()),
            links: vec!["b".into()],
            scale: Some(3),
            profiles: vec!["p".into()],
            healthcheck: Some(Healthcheck {
                test: Some(Probe::Shell(vec!["a".into()])),
                ..Healthcheck::default()
            }),
            ..Service::default()
        };
        assert_eq!(
            super::service(&service),
            r#"{"command":null,"entrypoint":null,"hostname":"q","healthcheck":{"test":["CMD-SHELL","a"]},"image":"x\u003cy","links":["b"],"restart":"always","tty":true}"#
        );
        assert_eq!(
            volume(&Volume {
                name: "p_v".into(),
                ..Volume::default()
            }),
            r#"{"name":"p_v","driver":"local"}"#
        );
    }
}
