//! Docker's resource limits as the OCI document's. Pure.

use bowline_api::HostConfig;
use serde_json::{Value, json};

/// Docker's CPU period, in microseconds.
const PERIOD: i64 = 100_000;

/// The `linux.resources` of a container with device `rules` and what [`super::block::io`] found.
pub(super) fn resources(limits: &HostConfig, rules: &[Value], block_io: &Value) -> Value {
    without_nulls(json!({
        "devices": rules,
        "memory": memory(limits),
        "cpu": cpu(limits),
        "pids": positive(limits.pids_limit.unwrap_or_default()).map(|limit| json!({ "limit": limit })),
        "blockIO": block_io,
    }))
}

fn memory(limits: &HostConfig) -> Value {
    let limit = positive(limits.memory);
    // Without a word on swap Docker allows as much of it as of memory.
    let swap = match limits.memory_swap {
        0 => limit.map(|limit| limit.saturating_mul(2)),
        other => Some(other),
    };
    json!({
        "limit": limit,
        "swap": swap,
        "reservation": positive(limits.memory_reservation),
        "swappiness": limits.memory_swappiness.filter(|value| *value >= 0),
        "disableOOMKiller": limits.oom_kill_disable.filter(|disable| *disable),
    })
}

fn cpu(limits: &HostConfig) -> Value {
    let (quota, period) = match positive(limits.nano_cpus) {
        Some(nano) => (
            Some(nano.saturating_mul(PERIOD) / 1_000_000_000),
            Some(PERIOD),
        ),
        None => (positive(limits.cpu_quota), positive(limits.cpu_period)),
    };
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    json!({
        "quota": quota,
        "period": period,
        "shares": positive(limits.cpu_shares),
        "realtimePeriod": positive(limits.cpu_realtime_period),
        "realtimeRuntime": positive(limits.cpu_realtime_runtime),
        "cpus": text(&limits.cpuset_cpus),
        "mems": text(&limits.cpuset_mems),
    })
}

fn positive(value: i64) -> Option<i64> {
    (value > 0).then_some(value)
}

/// The specification's optional fields are absent, not null.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_become_a_quota_and_swap_defaults_to_twice_the_memory() {
        let limits = HostConfig {
            nano_cpus: 1_500_000_000,
            memory: 64 << 20,
            ..HostConfig::default()
        };
        let value = resources(&limits, &[], &Value::Null);
        assert_eq!(value["cpu"], json!({ "quota": 150_000, "period": 100_000 }));
        assert_eq!(
            value["memory"],
            json!({ "limit": 64 << 20, "swap": 128 << 20 })
        );
        assert!(value.get("pids").is_none());
    }

    #[test]
    fn minus_one_is_no_pids_limit_and_unlimited_swap() {
        let limits = HostConfig {
            pids_limit: Some(-1),
            memory_swap: -1,
            memory: 1,
            ..HostConfig::default()
        };
        let value = resources(&limits, &[], &Value::Null);
        assert!(value.get("pids").is_none());
        assert_eq!(value["memory"]["swap"], json!(-1));
    }
}
