//! What an image brings along: the weakest of all sources.

use serde_json::Value as Json;

use super::{Kind, Origin, Part, Source};

/// The attributes of a service that an image may set, and what its configuration calls them.
const ATTRIBUTES: [(&str, &str); 8] = [
    ("command", "Cmd"),
    ("entrypoint", "Entrypoint"),
    ("user", "User"),
    ("working_dir", "WorkingDir"),
    ("stop_signal", "StopSignal"),
    ("healthcheck", "Healthcheck"),
    ("environment", "Env"),
    ("labels", "Labels"),
];

/// Adds what the image of a service says. Values that nothing else speaks of are added only where `path` asks for them.
pub fn add_image(
    origins: &mut Vec<Origin>,
    service: &str,
    image: &str,
    config: &Json,
    path: Option<&str>,
) {
    for (attribute, name) in ATTRIBUTES {
        let base = format!("services.{service}.{attribute}");
        for (key, value) in values(attribute, &config[name]) {
            let at = match &key {
                Some(key) => format!("{base}.{key}"),
                None => base.clone(),
            };
            add(origins, &at, value, image, path);
        }
    }
}

fn add(origins: &mut Vec<Origin>, at: &str, value: Json, image: &str, path: Option<&str>) {
    let said = |part| Source {
        kind: Kind::Image,
        location: None,
        written: format!("{} ({image})", shown(&value)),
        part,
        variables: Vec::new(),
    };
    let below = format!("{at}.");
    let mut known = false;
    for origin in origins.iter_mut() {
        if origin.path != at && !origin.path.starts_with(&below) {
            continue;
        }
        known = true;
        let unset =
            origin.value.is_null() && origin.sources.iter().all(|s| s.kind == Kind::Default);
        if unset {
            origin.value = value.clone();
            origin.sources = vec![said(Part::Wins)];
        } else {
            origin.sources.push(said(Part::Hidden));
        }
    }
    let asked = path.is_some_and(|path| at == path || at.starts_with(&format!("{path}.")));
    if !known && asked {
        origins.push(Origin {
            path: at.to_owned(),
            sources: vec![said(Part::Wins)],
            value,
        });
    }
}

/// The values of an attribute: one, or one for each key.
fn values(attribute: &str, value: &Json) -> Vec<(Option<String>, Json)> {
    let pair = |text: &Json| {
        let (key, value) = text.as_str()?.split_once('=')?;
        Some((Some(key.to_owned()), Json::from(value)))
    };
    match (attribute, value) {
        (_, Json::Null) => Vec::new(),
        (_, Json::String(text)) if text.is_empty() => Vec::new(),
        ("environment", Json::Array(items)) => items.iter().filter_map(pair).collect(),
        ("labels", Json::Object(map)) => map
            .iter()
            .map(|(key, value)| (Some(key.clone()), value.clone()))
            .collect(),
        (_, value) => vec![(None, value.clone())],
    }
}

fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
