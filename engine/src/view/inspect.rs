//! `GET /containers/{id}/json`.

use bowline_api::{
    ContainerInspect, GraphDriver, Health, HealthProbe, HostConfig, NetworkSettings, State,
};

use super::Networks;
use crate::clock::NEVER;
use crate::launch::spec;
use crate::record::{ContainerRecord, Phase};
use crate::roots::Roots;

/// The whole container.
pub(crate) fn inspect(
    record: &ContainerRecord,
    networks: &Networks,
    roots: &Roots,
    execs: Vec<String>,
) -> ContainerInspect {
    let mut arguments = spec::arguments(record).into_iter();
    let folder = roots.container(&record.id);
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let logs = record.host.log_config.kind != "none";
    ContainerInspect {
        id: record.id.clone(),
        created: record.created.clone(),
        path: arguments.next().unwrap_or_default(),
        args: arguments.collect(),
        state: state(record),
        image: record.image.clone(),
        resolv_conf_path: file("resolv.conf"),
        hostname_path: file("hostname"),
        hosts_path: file("hosts"),
        log_path: if logs {
            file(&format!("{}-json.log", record.id))
        } else {
            String::new()
        },
        name: format!("/{}", record.name),
        restart_count: i64::try_from(record.restarts).unwrap_or(i64::MAX),
        driver: "overlay2".into(),
        platform: "linux".into(),
        exec_ids: (!execs.is_empty()).then_some(execs),
        host_config: host(&record.host),
        graph_driver: GraphDriver {
            name: "overlay2".into(),
            ..GraphDriver::default()
        },
        mounts: record.mounts.iter().map(super::mount).collect(),
        config: record.config.clone(),
        network_settings: network_settings(record, networks, roots),
        ..ContainerInspect::default()
    }
}

/// Clients choose by the driver how they read a log, so the default one is named, too.
fn host(record: &HostConfig) -> HostConfig {
    let mut host = record.clone();
    if host.log_config.kind.is_empty() {
        host.log_config.kind = "json-file".into();
    }
    host
}

fn state(record: &ContainerRecord) -> State {
    let run = &record.run;
    let time = |text: &str| {
        if text.is_empty() {
            NEVER.to_owned()
        } else {
            text.to_owned()
        }
    };
    State {
        status: record.phase.word().into(),
        // A container in back-off is running and restarting at once; a paused one runs.
        running: record.phase.is_alive() || record.phase == Phase::Restarting,
        paused: record.phase == Phase::Paused,
        restarting: record.phase == Phase::Restarting,
        oom_killed: run.oom_killed,
        dead: false,
        pid: run.pid.into(),
        exit_code: run.code.into(),
        error: run.error.clone(),
        started_at: time(&run.started_at),
        finished_at: time(&run.finished_at),
        health: record.health.as_ref().map(|health| Health {
            status: health.status.word().into(),
            failing_streak: health.streak.into(),
            log: health
                .log
                .iter()
                .map(|probe| HealthProbe {
                    start: probe.start.clone(),
                    end: probe.end.clone(),
                    exit_code: probe.code.into(),
                    output: probe.output.clone(),
                })
                .collect(),
        }),
    }
}

fn network_settings(
    record: &ContainerRecord,
    networks: &Networks,
    roots: &Roots,
) -> NetworkSettings {
    let all = super::endpoints(record, networks);
    let mut settings = NetworkSettings {
        ports: super::ports(record),
        ..NetworkSettings::default()
    };
    if record.phase.is_alive() && !record.endpoints.is_empty() {
        settings.sandbox_id.clone_from(&record.id);
        settings.sandbox_key = roots
            .netns()
            .join(&record.id)
            .to_string_lossy()
            .into_owned();
    }
    // The addresses on the default bridge are repeated at the top, as they were before there were others.
    if let Some(bridge) = all.get("bridge") {
        settings.endpoint_id.clone_from(&bridge.endpoint_id);
        settings.gateway.clone_from(&bridge.gateway);
        settings.ip_address.clone_from(&bridge.ip_address);
        settings.ip_prefix_len = bridge.ip_prefix_len;
        settings.mac_address.clone_from(&bridge.mac_address);
        settings
            .global_ipv6_address
            .clone_from(&bridge.global_ipv6_address);
        settings.global_ipv6_prefix_len = bridge.global_ipv6_prefix_len;
        settings.ipv6_gateway.clone_from(&bridge.ipv6_gateway);
    }
    settings.networks = all;
    settings
}
