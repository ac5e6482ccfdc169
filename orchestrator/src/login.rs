//! The person's logins to registries, as Docker's tools keep them in `config.json`.
//!
//! Secrets lie in the file itself or with a program that it names for one registry (`credHelpers`) or for all
//! (`credsStore`). Those programs are the only ones that Bowline ever runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bowline_api::RegistryAuth;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::autostart::Environment;
use crate::ui::{Failure, Outcome, WithContext as _};

/// The key of Docker's own registry, for historical reasons.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// What a program says when it knows of no login; anything else is a failure.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// The file, from the environment the command was started with.
static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Remembers where logins are kept: `DOCKER_CONFIG`, else `.docker` at home.
pub(crate) fn remember(environment: &Environment) {
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let folder = get("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| get("HOME").map(|home| Path::new(home).join(".docker")));
    let _first_counts = FILE.set(folder.map(|folder| folder.join("config.json")));
}

/// The login for the registry of an image; none where there is none.
pub(crate) async fn of_image(reference: &str) -> Outcome<Option<RegistryAuth>> {
    let Some(path) = FILE.get().and_then(Option::as_ref) else {
        return Ok(None);
    };
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.during(format!("cannot read {}", path.display()))?,
    };
    let file: Value =
        serde_json::from_slice(&text).during(format!("{} is no valid JSON", path.display()))?;
    let registry = registry(reference);
    match kept(&file, &registry) {
        Kept::Nowhere => Ok(None),
        Kept::Here(auth) => Ok(Some(*auth)),
        Kept::With(program) => ask(&program, &registry).await,
    }
}

/// Where a login is.
#[derive(Clone, Debug, PartialEq)]
enum Kept {
    Nowhere,
    Here(Box<RegistryAuth>),
    /// The name of a program, without its usual first part.
    With(String),
}

/// The registry of an image by the key that logins have. A first part is a host where it has a dot, a port, or is
/// `localhost`.
fn registry(reference: &str) -> String {
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "docker.io" | "index.docker.io" => DOCKER_HUB.to_owned(),
            host => host.to_owned(),
        },
        _ => DOCKER_HUB.to_owned(),
    }
}

/// A registry's program first, then the one for all, then the file.
fn kept(file: &Value, registry: &str) -> Kept {
    let own = file["credHelpers"].as_object().and_then(|helpers| {
        let found = helpers.iter().find(|(key, _)| host(key) == host(registry));
        found.and_then(|(_, name)| name.as_str())
    });
    let program = own.or(file["credsStore"].as_str());
    if let Some(program) = program.filter(|name| !name.is_empty()) {
        return Kept::With(program.to_owned());
    }
    let entries = file["auths"].as_object().cloned().unwrap_or_default();
    let found = entries.iter().find(|(key, _)| host(key) == host(registry));
    match found.and_then(|(_, entry)| written(entry, registry)) {
        Some(auth) => Kept::Here(Box::new(auth)),
        None => Kept::Nowhere,
    }
}

/// Keys carry schemes and paths, or not.
fn host(key: &str) -> &str {
    let bare = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = bare.split('/').next().unwrap_or(bare);
    match host {
        "docker.io" | "registry-1.docker.io" => "index.docker.io",
        host => host,
    }
}

fn written(entry: &Value, registry: &str) -> Option<RegistryAuth> {
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let mut auth = RegistryAuth {
        username: text("username"),
        password: text("password"),
        server_address: registry.to_owned(),
        identity_token: text("identitytoken"),
        registry_token: text("registrytoken"),
        ..RegistryAuth::default()
    };
    let packed = STANDARD.decode(text("auth").trim()).unwrap_or_default();
    let packed = String::from_utf8_lossy(&packed).into_owned();
    if let Some((user, password)) = packed.split_once(':') {
        user.clone_into(&mut auth.username);
        password
            .trim_end_matches('\0')
            .clone_into(&mut auth.password);
    }
    let empty = [&auth.username, &auth.identity_token, &auth.registry_token]
        .iter()
        .all(|text| text.is_empty());
    (!empty).then_some(auth)
}

/// Asks `docker-credential-NAME`, which the person's configuration names.
async fn ask(name: &str, registry: &str) -> Outcome<Option<RegistryAuth>> {
    let program = format!("docker-credential-{name}");
    let failed = || format!("cannot ask `{program}` for the login to {registry}");
    let mut child = tokio::process::Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .during(failed())?;
    if let Some(mut input) = child.stdin.take() {
        // A program that did not listen has its own reason, which its answer tells.
        drop(input.write_all(registry.as_bytes()).await);
    }
    let output = child.wait_with_output().await.during(failed())?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        return match said.contains(NOT_FOUND) {
            true => Ok(None),
            false => Err(Failure::new(format!("{}: {said}", failed()))),
        };
    }
    let answer: BTreeMap<String, String> = serde_json::from_str(&said).during(failed())?;
    Ok(answered(&answer, registry))
}

/// The user name `<token>` says that the secret is a token.
fn answered(answer: &BTreeMap<String, String>, registry: &str) -> Option<RegistryAuth> {
    let get = |key: &str| answer.get(key).cloned().unwrap_or_default();
    let (user, secret) = (get("Username"), get("Secret"));
    let mut auth = RegistryAuth {
        server_address: registry.to_owned(),
        ..RegistryAuth::default()
    };
    match user.as_str() {
        "" => return None,
        "<token>" => auth.identity_token = secret,
        _ => (auth.username, auth.password) = (user, secret),
    }
    Some(auth)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_login_is_found_whatever_its_key_looks_like() {
        let auth = STANDARD.encode("me:pass:word");
        let file = json!({"auths": {"https://registry.example:5000/v2/": {"auth": auth}, DOCKER_HUB: {"identitytoken": "t"}}});
        let user = |reference: &str| match kept(&file, &registry(reference)) {
            Kept::Here(auth) => format!(
                "{}/{}/{}",
                auth.username, auth.password, auth.identity_token
            ),
            other => format!("{other:?}"),
        };
        assert_eq!(user("registry.example:5000/app:1"), "me/pass:word/");
        assert_eq!(user("nginx"), "//t");
        assert_eq!(user("docker.io/library/nginx"), "//t");
        assert_eq!(user("other.example/app"), "Nowhere");
    }

    #[test]
    fn a_program_for_one_registry_goes_before_the_one_for_all() {
        let file = json!({"credsStore": "all", "credHelpers": {"one.example": "own"}});
        let with = |name: &str| Kept::With(name.to_owned());
        assert_eq!(kept(&file, "one.example"), with("own"));
        assert_eq!(kept(&file, "two.example"), with("all"));
    }

    #[test]
    fn a_token_is_told_from_a_password() {
        let answer = |user: &str| {
            let pairs = [("Username", user), ("Secret", "s")];
            let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
            answered(&pairs.into(), "r")
        };
        assert_eq!(answer("<token>").unwrap_or_default().identity_token, "s");
        assert_eq!(answer("me").unwrap_or_default().password, "s");
        assert_eq!(answer(""), None);
    }
}
