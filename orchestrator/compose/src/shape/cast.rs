//! Strings become what their field wants once their variables are filled in.

use crate::diagnostic::Diagnostic;
use crate::schema::described;
use crate::yaml::{Node, Resolved, Scalar, Value};

/// What a field wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cast {
    Int,
    Float,
    Bool,
}

fn cast(path: &[String]) -> Option<Cast> {
    let segments: Vec<&str> = path.iter().map(String::as_str).collect();
    let (section, rest) = match segments.as_slice() {
        [section, _, rest @ ..] => (*section, rest),
        _ => return None,
    };
    match (section, rest) {
        ("services" | "jobs", rest) => service(rest),
        ("networks", ["external" | "internal" | "attachable" | "enable_ipv4" | "enable_ipv6"])
        | ("volumes" | "secrets" | "configs", ["external"]) => Some(Cast::Bool),
        _ => None,
    }
}

fn service(rest: &[&str]) -> Option<Cast> {
    Some(match rest {
        [
            "cpu_count" | "cpu_period" | "cpu_quota" | "cpu_rt_period" | "cpu_rt_runtime"
            | "cpu_shares" | "oom_score_adj" | "pids_limit" | "scale",
        ]
        | ["deploy", "replicas"]
        | ["deploy", "update_config" | "rollback_config", "parallelism"]
        | ["deploy", "restart_policy", "max_attempts"]
        | ["deploy", "placement", "max_replicas_per_node"]
        | ["healthcheck", "retries"]
        | ["ports", _, "target"]
        | ["ulimits", _]
        | ["ulimits", _, "hard" | "soft"] => Cast::Int,
        ["cpu_percent" | "cpus"]
        | [
            "deploy",
            "update_config" | "rollback_config",
            "max_failure_ratio",
        ] => Cast::Float,
        ["init" | "oom_kill_disable" | "privileged" | "read_only" | "stdin_open" | "tty"]
        | ["depends_on", _, "required" | "restart"]
        | ["healthcheck", "disable"]
        | ["volumes", _, "read_only"]
        | ["volumes", _, "volume", "nocopy"] => Cast::Bool,
        ["pre_start", _, rest @ ..] => return service(rest),
        _ => return None,
    })
}

/// Casts a string whose variables are filled in. What cannot be cast is a fault.
pub(crate) fn apply(path: &[String], node: &mut Node, faults: &mut Vec<Diagnostic>) {
    let (Some(cast), Some(Resolved::Text(text))) = (cast(path), node.resolved()) else {
        return;
    };
    let result = match cast {
        Cast::Int => text
            .parse::<i64>()
            .map(|value| value.to_string())
            .map_err(|_| "a whole number"),
        Cast::Float => text
            .parse::<f64>()
            .ok()
            .filter(|value| value.is_finite())
            .map(|_| text.to_owned())
            .ok_or("a number"),
        Cast::Bool => boolean(text, node, faults).ok_or("`true` or `false`"),
    };
    match result {
        Ok(text) => node.value = Value::Scalar(Scalar { text, plain: true }),
        Err(wanted) => {
            let found = match text {
                "" => "this is empty".to_owned(),
                text => format!("this is `{text}`"),
            };
            let message = format!("{} must be {wanted}", described(&path.join("/")));
            faults.push(Diagnostic::error("compose::wrong-type", message).at(node.span, found));
        }
    }
}

/// `true` and `false`, and the words YAML 1.1 knew.
fn boolean(text: &str, node: &Node, faults: &mut Vec<Diagnostic>) -> Option<String> {
    let value = match text.to_ascii_lowercase().as_str() {
        "true" => return Some("true".to_owned()),
        "false" => return Some("false".to_owned()),
        "yes" | "y" | "on" => "true",
        "no" | "n" | "off" => "false",
        _ => return None,
    };
    faults.push(
        Diagnostic::warning(
            "compose::boolean",
            format!("`{text}` is a string in YAML 1.2"),
        )
        .at(node.span, format!("taken as `{value}`"))
        .help(format!("write `{value}`")),
    );
    Some(value.to_owned())
}
