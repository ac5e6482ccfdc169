//! What only the caller can give to a build: secrets and agents.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bowline_compose::model::{FileObject, FileReference, Project};

use crate::autostart::Environment;
use crate::ui::{Failure, Outcome};

/// The person who builds: environment and files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    /// Variables.
    pub(crate) environment: &'a Environment,
}

/// An agent: the id that `--mount=type=ssh` asks for, and its socket.
pub(crate) type SshAgent = (String, String);

impl Caller<'_> {
    /// Contents of the secrets that a service's build uses, in base64, by their ids.
    pub(super) fn secrets(
        &self,
        project: &Project,
        used: &[FileReference],
    ) -> Outcome<BTreeMap<String, String>> {
        let mut secrets = BTreeMap::new();
        for reference in used {
            let Some(object) = project.secrets.get(&reference.source) else {
                return Err(Failure::new(format!(
                    "there is no secret `{}`",
                    reference.source
                )));
            };
            let id = reference.target.as_ref().unwrap_or(&reference.source);
            let id = id.strip_prefix("/run/secrets/").unwrap_or(id);
            secrets.insert(id.to_owned(), self.secret(&reference.source, object)?);
        }
        Ok(secrets)
    }

    fn secret(&self, name: &str, object: &FileObject) -> Outcome<String> {
        match (&object.file, &object.environment) {
            (Some(path), _) => read_secret(name, path),
            (None, Some(variable)) => self.variable(name, variable),
            (None, None) => Err(Failure::new(format!(
                "secret `{name}` has neither a file nor a variable, so a build cannot have it"
            ))),
        }
    }

    /// A variable's value as a secret.
    pub(crate) fn variable(&self, name: &str, variable: &str) -> Outcome<String> {
        match self.environment.get(variable) {
            Some(value) => Ok(STANDARD.encode(value)),
            None => Err(Failure::new(format!(
                "secret `{name}` is to be `${variable}`, which is not set"
            ))),
        }
    }

    /// The socket of an agent: the one given, or the caller's own.
    pub(crate) fn agent(&self, id: &str, path: Option<&str>) -> Outcome<SshAgent> {
        let path = match path.filter(|path| !path.is_empty()) {
            Some(path) => path.to_owned(),
            None => self
                .environment
                .get("SSH_AUTH_SOCK")
                .filter(|path| !path.is_empty())
                .cloned()
                .ok_or_else(|| {
                    Failure::new(format!(
                        "the SSH agent `{id}` is asked for, but SSH_AUTH_SOCK is not set"
                    ))
                    .hint("start an agent with `eval $(ssh-agent)` and `ssh-add`")
                })?,
        };
        if is_socket(&path) {
            return Ok((id.to_owned(), path));
        }
        Err(
            Failure::new(format!("`{path}` is not the socket of an SSH agent"))
                .hint("a key itself is not handed to a build: `ssh-add` it to an agent"),
        )
    }
}

/// A file as a secret.
pub(crate) fn read_secret(name: &str, path: &str) -> Outcome<String> {
    match std::fs::read(path) {
        Ok(contents) => Ok(STANDARD.encode(contents)),
        Err(error) => Err(Failure::from_error(&error)
            .context(format!("cannot read the secret `{name}` from {path}"))),
    }
}

fn is_socket(path: &str) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}
