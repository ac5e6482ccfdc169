//! One service.

use super::fields::Fields;
use super::reader::Decoder;
use super::{attach, command, limits, lists, ports, volumes};
use crate::diagnostic::Diagnostic;
use crate::model::Service;
use crate::yaml::Node;

/// Decodes a service. The result is complete but for defaults and paths.
pub(super) fn service(
    decoder: &mut Decoder<'_>,
    path: &str,
    name: &str,
    node: &Node,
) -> Option<Service> {
    if node.is_null() {
        return Some(Service {
            name: name.to_owned(),
            ..Service::default()
        });
    }
    let mut fields = Fields::open(decoder, node, "service", path)?;
    Some(Service {
        name: name.to_owned(),
        profiles: fields.collect("profiles", |decoder, path, node| {
            decoder.list(path, node);
            lists::unique(decoder, path, node)
        }),
        deploy: fields.with("deploy", limits::deploy),
        scale: fields.with("scale", Decoder::natural),
        restart: fields.with("restart", command::restart),
        container_name: container_name(&mut fields),
        links: fields.unique("links"),
        cap_add: fields.unique("cap_add"),
        cap_drop: fields.unique("cap_drop"),
        command: fields.with("command", command::command),
        configs: fields.collect("configs", |d, path, node| {
            volumes::references(d, path, node, "")
        }),
        cpus: fields
            .with("cpus", Decoder::float)
            .filter(|cpus| *cpus > 0.0),
        devices: fields.collect("devices", volumes::devices),
        dns: fields.unique("dns"),
        dns_opt: fields.unique("dns_opt"),
        dns_search: fields.unique("dns_search"),
        domainname: fields.string("domainname"),
        entrypoint: fields.with("entrypoint", command::command),
        environment: fields.collect("environment", lists::environment),
        env_file: fields.collect("env_file", attach::env_files),
        extra_hosts: fields.collect("extra_hosts", lists::hosts),
        group_add: fields.collect("group_add", lists::numbers_too),
        hostname: fields.string("hostname"),
        image: fields.string("image").unwrap_or_default(),
        init: fields.boolean("init"),
        labels: fields.pairs("labels"),
        logging: fields.with("logging", limits::logging),
        mem_limit: fields.bytes("mem_limit").filter(|bytes| bytes.0 != 0),
        network_mode: fields.with("network_mode", command::network_mode),
        networks: fields.collect("networks", attach::networks),
        pids_limit: fields.integer("pids_limit").filter(|pids| *pids != 0),
        platform: fields.string("platform"),
        privileged: fields.flag("privileged"),
        pull_policy: fields.with("pull_policy", command::pull_policy),
        read_only: fields.flag("read_only"),
        secrets: fields.collect("secrets", |d, path, node| {
            volumes::references(d, path, node, "/run/secrets")
        }),
        security_opt: fields.unique("security_opt"),
        seccomp_profile: None,
        shm_size: fields.bytes("shm_size").filter(|bytes| bytes.0 != 0),
        stop_grace_period: fields.duration("stop_grace_period"),
        stop_signal: fields.string("stop_signal"),
        sysctls: fields.pairs("sysctls"),
        tmpfs: fields.unique("tmpfs"),
        ulimits: fields.collect("ulimits", limits::ulimits),
        user: fields.string("user"),
        volumes: fields.collect("volumes", volumes::mounts),
        working_dir: fields.string("working_dir"),
        depends_on: fields.collect("depends_on", attach::depends_on),
        expose: fields.collect("expose", ports::expose),
        healthcheck: fields.with("healthcheck", command::healthcheck),
        ports: fields.collect("ports", ports::ports),
        stdin_open: fields.flag("stdin_open"),
        tty: fields.flag("tty"),
        extensions: fields.extensions(),
    })
}

fn container_name(fields: &mut Fields<'_, '_, '_>) -> Option<String> {
    let name = fields.string("container_name")?;
    let mut bytes = name.bytes();
    let valid = name.len() > 1
        && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if !valid {
        let span = fields.get("container_name").map(|node| node.span);
        fields.decoder.faults.push(
            Diagnostic::error(
                "compose::invalid-value",
                format!("`{name}` cannot be the name of a container"),
            )
            .at(span, "")
            .help(
                "use at least two letters, digits, `_`, `.`, `-`, starting with a letter or digit",
            ),
        );
    }
    Some(name)
}
