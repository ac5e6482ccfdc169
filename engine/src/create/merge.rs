//! The image's defaults under the request's configuration (moby `daemon/commit.go` merge). Pure.

use bowline_api::{Command, Config, HealthConfig};
use bowline_image::ImageConfig;

/// Fills what `config` leaves open from `image`.
pub(crate) fn merge(config: &mut Config, image: &ImageConfig) {
    command(config, image);
    text(&mut config.user, &image.user);
    text(&mut config.working_dir, &image.working_dir);
    text(
        &mut config.stop_signal,
        image.stop_signal.as_deref().unwrap_or_default(),
    );
    config.stop_timeout = config.stop_timeout.or(image.stop_timeout);
    if config.shell.is_empty() {
        config.shell = image.shell.clone().unwrap_or_default();
    }
    for port in image.exposed_ports.keys() {
        config.exposed_ports.entry(port.clone()).or_default();
    }
    for volume in image.volumes.keys() {
        config.volumes.entry(volume.clone()).or_default();
    }
    for (key, value) in &image.labels {
        config
            .labels
            .entry(key.clone())
            .or_insert_with(|| value.clone());
    }
    for entry in &image.env {
        let name = variable(entry);
        if !config.env.iter().any(|own| variable(own) == name) {
            config.env.push(entry.clone());
        }
    }
    config.healthcheck = health(config.healthcheck.take(), image);
}

/// A request with an entrypoint of its own does not inherit the image's command.
fn command(config: &mut Config, image: &ImageConfig) {
    let words =
        |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty()).map(Command);
    let given = |command: &Option<Command>| command.as_ref().is_some_and(|list| !list.is_empty());
    if given(&config.entrypoint) {
        return;
    }
    if !given(&config.cmd) {
        config.cmd = words(&image.cmd);
    }
    if config.entrypoint.is_none() {
        config.entrypoint = words(&image.entrypoint);
    }
}

fn text(own: &mut String, default: &str) {
    if own.is_empty() {
        default.clone_into(own);
    }
}

fn variable(entry: &str) -> &str {
    entry.split('=').next().unwrap_or_default()
}

fn health(own: Option<HealthConfig>, image: &ImageConfig) -> Option<HealthConfig> {
    let default = image.healthcheck.as_ref().map(|check| HealthConfig {
        test: check.test.clone(),
        interval: check.interval,
        timeout: check.timeout,
        start_period: check.start_period,
        start_interval: check.start_interval,
        retries: check.retries,
    });
    let (Some(mut own), Some(default)) = (own.clone(), default.clone()) else {
        return own.or(default);
    };
    if own.test.is_empty() {
        own.test = default.test;
    }
    let pairs = [
        (&mut own.interval, default.interval),
        (&mut own.timeout, default.timeout),
        (&mut own.start_period, default.start_period),
        (&mut own.start_interval, default.start_interval),
        (&mut own.retries, default.retries),
    ];
    for (own, default) in pairs {
        if *own == 0 {
            *own = default;
        }
    }
    Some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    fn image() -> ImageConfig {
        ImageConfig {
            entrypoint: Some(words(&["/entry"])),
            cmd: Some(words(&["serve"])),
            env: words(&["PATH=/bin", "MODE=image"]),
            ..ImageConfig::default()
        }
    }

    fn merged(config: Config) -> Config {
        let mut config = config;
        merge(&mut config, &image());
        config
    }

    #[test]
    fn an_entrypoint_of_ones_own_drops_the_images_command() {
        let config = Config {
            entrypoint: Some(Command(words(&["sh"]))),
            ..Config::default()
        };
        let config = merged(config);
        assert_eq!(
            (config.entrypoint.unwrap().0, config.cmd),
            (words(&["sh"]), None)
        );
    }

    #[test]
    fn a_command_replaces_the_images_and_keeps_its_entrypoint() {
        let config = merged(Config {
            cmd: Some(Command(words(&["x"]))),
            ..Config::default()
        });
        assert_eq!(config.entrypoint.unwrap().0, words(&["/entry"]));
        assert_eq!(config.cmd.unwrap().0, words(&["x"]));
    }

    #[test]
    fn an_empty_entrypoint_clears_it_and_the_environment_adds_up() {
        let config = Config {
            entrypoint: Some(Command::default()),
            env: words(&["MODE=own"]),
            ..Config::default()
        };
        let config = merged(config);
        assert!(config.entrypoint.unwrap().is_empty());
        assert_eq!(config.env, words(&["MODE=own", "PATH=/bin"]));
    }
}
