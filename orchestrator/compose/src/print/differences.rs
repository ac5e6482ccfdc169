//! What Compose writes in one of its formats only.

use serde_json::{Map, Value};

use crate::model::Extension;

/// Makes the YAML form of the JSON form: without empty structures, with other names in places.
pub(super) fn apply(root: &mut Value) {
    for service in entries(root, "services") {
        container(service);
        if let Some(Value::Object(deploy)) = service.get_mut("deploy") {
            deploy.retain(|_, value| !is_empty(value));
        }
        let watch = service.get_mut("develop").and_then(|d| d.get_mut("watch"));
        for rule in objects(watch) {
            let idle = |exec: &Value| {
                let exec = exec.as_object();
                exec.is_some_and(|exec| exec.values().all(Value::is_null))
            };
            rule.retain(|key, value| !(key == "exec" && idle(value)));
        }
        if let Some(Value::Object(build)) = service.get_mut("build") {
            ulimits(build);
        }
        objects(service.get_mut("pre_start")).for_each(container);
    }
    // Compose also prints the name of a job into it, which it then does not read back.
    entries(root, "jobs").for_each(container);
    for network in entries(root, "networks") {
        network.retain(|key, value| key != "ipam" || !is_empty(value));
    }
}

fn container(service: &mut Map<String, Value>) {
    service.retain(|key, value| {
        !(matches!(key.as_str(), "command" | "entrypoint") && value.is_null())
    });
    ulimits(service);
    if let Some(Value::Object(limits)) = service.get_mut("blkio_config") {
        for (_, devices) in limits.iter_mut() {
            for device in objects(Some(devices)) {
                *device = std::mem::take(device)
                    .into_iter()
                    .map(|(key, value)| (key.to_lowercase(), value))
                    .collect();
            }
        }
    }
}

/// Zeros are written out, too.
fn ulimits(owner: &mut Map<String, Value>) {
    let Some(Value::Object(limits)) = owner.get_mut("ulimits") else {
        return;
    };
    for limit in limits.values_mut().filter_map(Value::as_object_mut) {
        let value = |key: &str| limit.get(key).cloned().unwrap_or_else(|| 0.into());
        let pair = [("soft", value("soft")), ("hard", value("hard"))];
        *limit = pair
            .map(|(key, value)| (key.to_owned(), value))
            .into_iter()
            .collect();
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

fn entries<'v>(
    root: &'v mut Value,
    section: &str,
) -> impl Iterator<Item = &'v mut Map<String, Value>> {
    let section = root.get_mut(section).and_then(Value::as_object_mut);
    section
        .into_iter()
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut)
}

fn objects(list: Option<&mut Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    list.and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

/// Puts an `x-*` key where it was written, if that place is printed.
pub(super) fn extend(root: &mut Value, extension: &Extension) {
    let mut place = Some(root);
    for part in &extension.path {
        place = place.and_then(|value| match value {
            Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?),
            other => other.get_mut(part),
        });
    }
    if let Some(Value::Object(map)) = place {
        map.insert(extension.key.clone(), extension.value.clone());
    }
}
