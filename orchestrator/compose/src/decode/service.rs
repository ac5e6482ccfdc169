//! One service, and what a job and an init container have in common with it.

use super::fields::Fields;
use super::reader::Decoder;
use super::{attach, build, command, deploy, develop, device, lists, ports, settings, volumes};
use crate::model::Service;
use crate::yaml::Node;

/// Decodes a service.
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
    let mut fields = Fields::open(decoder, node, path)?;
    let fields = &mut fields;
    let mut service = container(fields);
    name.clone_into(&mut service.name);
    workload(fields, &mut service);
    service.profiles = fields.strings("profiles");
    service.deploy = fields.with("deploy", deploy::deploy);
    service.develop = fields.with("develop", develop::develop);
    service.restart_text = fields.string("restart");
    service.restart = fields.with("restart", command::restart);
    service.scale = fields.with("scale", command::replicas);
    service.attach = fields.boolean("attach");
    service.container_name = fields.string("container_name");
    service.provider = fields.with("provider", settings::provider);
    service.external_links = fields.strings("external_links");
    service.links = fields.strings("links");
    service.pre_start = fields.each("pre_start", develop::pre_start);
    service.post_start = fields.each("post_start", develop::hook);
    service.pre_stop = fields.each("pre_stop", develop::hook);
    service.extensions = fields.extensions();
    Some(service)
}

/// What services and jobs have, and init containers have not.
pub(super) fn workload(fields: &mut Fields<'_, '_, '_>, service: &mut Service) {
    service.build = fields.with("build", build::build);
    service.depends_on = fields.collect("depends_on", attach::depends_on);
    service.expose = fields.collect("expose", ports::expose);
    service.healthcheck = fields.with("healthcheck", command::healthcheck);
    service.ports = fields.collect("ports", ports::ports);
    service.stdin_open = fields.flag("stdin_open");
    service.tty = fields.flag("tty");
}

/// What every container has.
pub(super) fn container(fields: &mut Fields<'_, '_, '_>) -> Service {
    let limits = limits(fields);
    let namespaces = namespaces(fields, limits);
    Service {
        annotations: fields.pairs("annotations"),
        cap_add: fields.strings("cap_add"),
        cap_drop: fields.strings("cap_drop"),
        command: fields.with("command", command::command),
        configs: fields.each("configs", volumes::reference),
        credential_spec: fields.with("credential_spec", device::credentials),
        device_cgroup_rules: fields.strings("device_cgroup_rules"),
        devices: fields.each("devices", device::device),
        entrypoint: fields.with("entrypoint", command::command),
        environment: fields.collect("environment", lists::environment),
        env_file: fields.each("env_file", attach::env_file),
        gpus: fields.each("gpus", device::request),
        group_add: fields.collect("group_add", lists::numbers_too),
        image: fields.string("image").unwrap_or_default(),
        init: fields.boolean("init"),
        labels: fields.pairs("labels"),
        label_file: fields.strings("label_file"),
        logging: fields.with("logging", settings::logging),
        models: fields.collect("models", attach::models),
        platform: fields.string("platform"),
        privileged: fields.flag("privileged"),
        pull_policy: fields.with("pull_policy", command::pull_policy),
        pull_refresh_after: fields.string("pull_refresh_after"),
        read_only: fields.flag("read_only"),
        runtime: fields.string("runtime"),
        secrets: fields.each("secrets", volumes::reference),
        security_opt: fields.strings("security_opt"),
        stop_grace_period: fields.duration("stop_grace_period"),
        stop_signal: fields.string("stop_signal"),
        storage_opt: fields.collect("storage_opt", settings::strings),
        sysctls: fields.pairs("sysctls"),
        tmpfs: fields.strings("tmpfs"),
        use_api_socket: fields.flag("use_api_socket"),
        user: fields.string("user"),
        volumes: fields.each("volumes", volumes::mount),
        volumes_from: fields.strings("volumes_from"),
        working_dir: fields.string("working_dir"),
        ..namespaces
    }
}

/// Names and networks.
fn namespaces(fields: &mut Fields<'_, '_, '_>, rest: Service) -> Service {
    Service {
        cgroup_parent: fields.string("cgroup_parent"),
        cgroup: fields.string("cgroup"),
        dns: fields.strings("dns"),
        dns_opt: fields.strings("dns_opt"),
        dns_search: fields.strings("dns_search"),
        domainname: fields.string("domainname"),
        extra_hosts: fields.collect("extra_hosts", lists::hosts),
        hostname: fields.string("hostname"),
        ipc: fields.string("ipc"),
        isolation: fields.string("isolation"),
        mac_address: fields.string("mac_address"),
        network_mode: fields.with("network_mode", command::network_mode),
        networks: fields.collect("networks", attach::networks),
        pid: fields.string("pid"),
        userns_mode: fields.string("userns_mode"),
        uts: fields.string("uts"),
        ..rest
    }
}

/// Resources.
fn limits(fields: &mut Fields<'_, '_, '_>) -> Service {
    Service {
        blkio_config: fields.with("blkio_config", device::blkio),
        cpu_count: fields.nonzero("cpu_count"),
        cpu_percent: fields.float("cpu_percent"),
        cpu_period: fields.nonzero("cpu_period"),
        cpu_quota: fields.nonzero("cpu_quota"),
        cpu_rt_period: fields.nonzero("cpu_rt_period"),
        cpu_rt_runtime: fields.nonzero("cpu_rt_runtime"),
        cpus: fields.float("cpus"),
        cpuset: fields.string("cpuset"),
        cpu_shares: fields.nonzero("cpu_shares"),
        mem_limit: fields.bytes("mem_limit"),
        mem_reservation: fields.bytes("mem_reservation"),
        memswap_limit: fields.bytes("memswap_limit"),
        mem_swappiness: fields.bytes("mem_swappiness"),
        oom_kill_disable: fields.flag("oom_kill_disable"),
        oom_score_adj: fields.nonzero("oom_score_adj"),
        pids_limit: fields.nonzero("pids_limit"),
        shm_size: fields.bytes("shm_size"),
        ulimits: fields.collect("ulimits", settings::ulimits),
        ..Service::default()
    }
}
