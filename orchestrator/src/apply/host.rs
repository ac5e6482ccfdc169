//! A service's wishes for the machine: limits, rights, namespaces, devices, logs.

use std::collections::BTreeMap;

use bowline_api::{
    DeviceMapping, HostConfig, LogConfig, RestartPolicy, ThrottleDevice, Ulimit, WeightDevice,
};
use bowline_compose::model::{self, Service};

use super::ports;

/// The service as `HostConfig`, but for mounts and networks; `joins` has the container of each service it shares with.
pub(super) fn config(service: &Service, joins: &BTreeMap<String, String>) -> HostConfig {
    let mut host = HostConfig {
        log_config: log(service.logging.as_ref()),
        port_bindings: ports::bindings(&service.ports),
        restart_policy: restart(service),
        annotations: service.annotations.clone(),
        cap_add: service.cap_add.clone(),
        cap_drop: service.cap_drop.clone(),
        dns: service.dns.clone(),
        dns_options: service.dns_opt.clone(),
        dns_search: service.dns_search.clone(),
        extra_hosts: service
            .extra_hosts
            .iter()
            .map(|line| line.replacen('=', ":", 1))
            .collect(),
        group_add: service.group_add.clone(),
        privileged: service.privileged,
        readonly_rootfs: service.read_only,
        security_opt: service.security_opt.clone(),
        shm_size: bytes(service.shm_size),
        sysctls: service.sysctls.clone(),
        init: service.init,
        runtime: service.runtime.clone().unwrap_or_default(),
        storage_opt: service.storage_opt.clone(),
        devices: service.devices.iter().map(device).collect(),
        device_cgroup_rules: service.device_cgroup_rules.clone(),
        ulimits: service.ulimits.iter().map(ulimit).collect(),
        ..HostConfig::default()
    };
    namespaces(&mut host, service, joins);
    limits(&mut host, service);
    if let Some(wishes) = &service.blkio_config {
        block_io(&mut host, wishes);
    }
    host
}

fn bytes(size: Option<model::Bytes>) -> i64 {
    size.map_or(0, |size| size.0)
}

fn log(logging: Option<&model::Logging>) -> LogConfig {
    LogConfig {
        kind: logging
            .and_then(|log| log.driver.clone())
            .unwrap_or_default(),
        config: logging.map(|log| log.options.clone()).unwrap_or_default(),
    }
}

fn namespaces(host: &mut HostConfig, service: &Service, joins: &BTreeMap<String, String>) {
    let mode = |wish: &Option<String>| {
        let wish = wish.clone().unwrap_or_default();
        match wish.strip_prefix("service:") {
            Some(other) => format!(
                "container:{}",
                joins.get(other).map_or(other, String::as_str)
            ),
            None => wish,
        }
    };
    host.ipc_mode = mode(&service.ipc);
    host.pid_mode = mode(&service.pid);
    host.uts_mode = mode(&service.uts);
    host.userns_mode = mode(&service.userns_mode);
    host.cgroupns_mode = mode(&service.cgroup);
}

fn limits(host: &mut HostConfig, service: &Service) {
    host.memory = bytes(service.memory_limit());
    host.memory_reservation = bytes(service.memory_reservation());
    host.memory_swap = bytes(service.memswap_limit);
    host.memory_swappiness = service.mem_swappiness.map(|swappiness| swappiness.0);
    host.oom_kill_disable = service.oom_kill_disable.then_some(true);
    host.oom_score_adj = service.oom_score_adj.unwrap_or_default();
    host.nano_cpus = nano_cpus(service.cpu_limit());
    host.cpu_shares = service.cpu_shares.unwrap_or_default();
    host.cpu_period = service.cpu_period.unwrap_or_default();
    host.cpu_quota = service.cpu_quota.unwrap_or_default();
    host.cpu_realtime_period = service.cpu_rt_period.unwrap_or_default();
    host.cpu_realtime_runtime = service.cpu_rt_runtime.unwrap_or_default();
    host.cpuset_cpus = service.cpuset.clone().unwrap_or_default();
    host.pids_limit = service.process_limit();
    host.cgroup_parent = service.cgroup_parent.clone().unwrap_or_default();
}

fn block_io(host: &mut HostConfig, wishes: &model::Blkio) {
    let throttles = |list: &[model::ThrottleDevice]| {
        let list = list.iter().map(|one| ThrottleDevice {
            path: one.path.clone(),
            rate: u64::try_from(one.rate.0).unwrap_or_default(),
        });
        list.collect()
    };
    let weights = wishes.weight_device.iter().map(|one| WeightDevice {
        path: one.path.clone(),
        weight: one.weight,
    });
    host.blkio_weight = wishes.weight.unwrap_or_default();
    host.blkio_weight_device = weights.collect();
    host.blkio_device_read_bps = throttles(&wishes.device_read_bps);
    host.blkio_device_write_bps = throttles(&wishes.device_write_bps);
    host.blkio_device_read_iops = throttles(&wishes.device_read_iops);
    host.blkio_device_write_iops = throttles(&wishes.device_write_iops);
}

/// Thousandths are as fine as anybody writes them, and exact.
fn nano_cpus(cpus: Option<f32>) -> i64 {
    let thousandths = (f64::from(cpus.unwrap_or(0.0)) * 1000.0).round();
    format!("{thousandths:.0}")
        .parse::<i64>()
        .unwrap_or(0)
        .saturating_mul(1_000_000)
}

/// `deploy.restart_policy` says more than `restart`, and wins over it, as in Compose; a delay and a window of it are
/// honoured by our own engine alone.
fn restart(service: &Service) -> RestartPolicy {
    let swarm = service
        .deploy
        .as_ref()
        .and_then(|deploy| deploy.restart_policy.as_ref());
    if let Some(swarm) = swarm {
        let nanos = |time: Option<model::Duration>| time.map_or(0, model::Duration::nanos);
        let attempts = swarm.max_attempts.unwrap_or_default();
        let name = match swarm.condition.as_deref() {
            Some("none" | "no") => "no",
            Some("unless-stopped") => "unless-stopped",
            Some("on-failure") => "on-failure",
            // Docker counts retries of failures only, so a limited `any` would never end well.
            _ => "always",
        };
        return RestartPolicy {
            name: name.into(),
            maximum_retry_count: match name {
                "on-failure" => i64::try_from(attempts).unwrap_or(i64::MAX),
                _ => 0,
            },
            delay: nanos(swarm.delay),
            window: nanos(swarm.window),
        };
    }
    let (name, times) = match service.restart.unwrap_or_default() {
        model::RestartPolicy::No => ("no", 0),
        model::RestartPolicy::Always => ("always", 0),
        model::RestartPolicy::UnlessStopped => ("unless-stopped", 0),
        model::RestartPolicy::OnFailure(times) => ("on-failure", times),
    };
    RestartPolicy {
        name: name.into(),
        maximum_retry_count: times.into(),
        ..RestartPolicy::default()
    }
}

fn device(device: &model::Device) -> DeviceMapping {
    DeviceMapping {
        path_on_host: device.source.clone(),
        path_in_container: device.target.clone(),
        cgroup_permissions: device.permissions.clone(),
    }
}

fn ulimit((name, limit): (&String, &model::Ulimit)) -> Ulimit {
    let (soft, hard) = limit.pair();
    Ulimit {
        name: name.clone(),
        soft,
        hard,
    }
}

#[cfg(test)]
mod tests {
    use bowline_compose::load::{Env, MemoryFiles, Options, load};

    use super::*;

    fn host(text: &str) -> HostConfig {
        let file = format!("services:\n  other: {{image: x}}\n  it:\n    image: x\n{text}");
        let files = MemoryFiles::default().with("/shop/compose.yaml", &file);
        let options = Options {
            cwd: "/shop".into(),
            ..Options::default()
        };
        let loaded = load(&files, &Env::new(), &options);
        let project = loaded.unwrap_or_else(|faults| panic!("{faults}")).project;
        let joins = BTreeMap::from([("other".to_owned(), "shop-other-1".to_owned())]);
        config(&project.services["it"], &joins)
    }

    #[test]
    fn limits_reach_the_engine_under_its_names() {
        let host = host(
            "    cpu_shares: 512\n    cpu_period: 50000\n    cpu_quota: 25000\n    cpuset: '0'\n    \
             memswap_limit: 64m\n    mem_limit: 32m\n    mem_swappiness: 10\n    oom_kill_disable: true\n    \
             oom_score_adj: -500\n    cgroup_parent: group\n    device_cgroup_rules: ['c 1:3 mr']\n    \
             blkio_config: {weight: 300, device_write_bps: [{path: /dev/sda, rate: 1m}]}\n",
        );
        assert_eq!(
            (host.cpu_shares, host.cpu_period, host.cpu_quota),
            (512, 50_000, 25_000)
        );
        assert_eq!((host.memory, host.memory_swap), (32 << 20, 64 << 20));
        assert_eq!(
            (host.memory_swappiness, host.oom_score_adj),
            (Some(10), -500)
        );
        assert_eq!(host.oom_kill_disable, Some(true));
        assert_eq!((&*host.cpuset_cpus, &*host.cgroup_parent), ("0", "group"));
        assert_eq!(host.device_cgroup_rules, ["c 1:3 mr"]);
        assert_eq!(host.blkio_weight, 300);
        assert_eq!(host.blkio_device_write_bps[0].rate, 1 << 20);
    }

    #[test]
    fn namespaces_are_those_of_the_service_that_is_named() {
        let host =
            host("    pid: service:other\n    ipc: shareable\n    uts: host\n    cgroup: host\n");
        assert_eq!(host.pid_mode, "container:shop-other-1");
        assert_eq!((&*host.ipc_mode, &*host.uts_mode), ("shareable", "host"));
        assert_eq!(host.cgroupns_mode, "host");
    }

    #[test]
    fn a_restart_policy_of_deploy_wins() {
        let policy = host(
            "    restart: always\n    deploy:\n      restart_policy: {condition: on-failure, \
             max_attempts: 3, delay: 5s, window: 2s}\n",
        )
        .restart_policy;
        assert_eq!(
            (&*policy.name, policy.maximum_retry_count),
            ("on-failure", 3)
        );
        assert_eq!(
            (policy.delay, policy.window),
            (5_000_000_000, 2_000_000_000)
        );
        assert_eq!(host("    restart: always\n").restart_policy.name, "always");
    }
}
