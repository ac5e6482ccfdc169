//! `config --origin`: where each value of the project comes from.

use bowline_client::Client;
use bowline_compose::load::Options;
use bowline_compose::origin::{self, Asked, Origin};

use super::context::{Context, Disk};
use crate::autostart;
use crate::ui::{Failure, Outcome};

/// Prints the origins of what lies below a path, or of everything. `json` is a list of objects.
pub(super) async fn print(context: &Context, options: &Options, path: &str, json: bool) -> Outcome {
    let loaded = context.load(options).map_err(|(failure, _)| failure)?;
    let asked = Asked {
        files: &Disk,
        environment: &context.environment,
        cwd: &options.cwd,
        project: &loaded.project,
    };
    let path = Some(path).filter(|path| !path.is_empty());
    let mut origins = origin::origins(&asked, path).unwrap_or_default();
    add_images(context, &asked, path, &mut origins).await;
    if let (true, Some(path)) = (origins.is_empty(), path) {
        let failure = Failure::new(format!("the project has no `{path}`"));
        return Err(failure.hint("`bowline config --origin` lists what it has"));
    }
    let text = match (json, path) {
        (true, _) => serde_json::to_string_pretty(&origins)?,
        (false, None) => origin::list(&origins),
        (false, Some(_)) => origin::render(&origins),
    };
    context.ui.line(text.trim_end());
    Ok(0)
}

/// What images say, where an engine answers that has them. None is started for this.
async fn add_images(
    context: &Context,
    asked: &Asked<'_>,
    path: Option<&str>,
    origins: &mut Vec<Origin>,
) {
    let host = context.globals.host.as_deref();
    let Ok(endpoint) = autostart::endpoint(host, &context.environment) else {
        return;
    };
    let client = Client::new(endpoint);
    for (name, service) in &asked.project.services {
        let wanted = format!("services.{name}");
        let concerned = path.is_none_or(|path| {
            path == "services" || path == wanted || path.starts_with(&format!("{wanted}."))
        });
        if !concerned || service.image.is_empty() {
            continue;
        }
        let Ok(found) = client.image_inspect(&service.image).await else {
            continue;
        };
        let Ok(config) = serde_json::to_value(&found.config) else {
            continue;
        };
        origin::add_image(origins, name, &service.image, &config, path);
    }
}
