//! Configs and secrets whose content is in the file or in a variable: written into a container before it starts, as
//! Docker Compose does it.

use bowline_client::Client;
use bowline_compose::model::{FileObject, FileReference, Project, Service};
use tar::{Builder, EntryType, Header};

use crate::ui::{Failure, Outcome, WithContext as _};

/// One file, as the service wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    path: String,
    text: String,
    uid: u64,
    gid: u64,
    mode: u32,
}

/// Writes what a service is given into its container, which was just created.
pub(crate) async fn give(
    client: &Client,
    project: &Project,
    service: &Service,
    container: &str,
) -> Outcome<()> {
    let files = given(project, service)?;
    if files.is_empty() {
        return Ok(());
    }
    let archive = archive(&files).during("cannot pack configs and secrets")?;
    let done = client.container_unpack(container, "/", archive.into(), false);
    done.await
        .during(format!("cannot write the configs of `{container}`"))
}

/// The files that no path of the host stands for.
fn given(project: &Project, service: &Service) -> Outcome<Vec<Given>> {
    let configs = service.configs.iter().map(|used| {
        let object = project.configs.get(&used.source);
        ("config", object, used, used.config_path())
    });
    let secrets = service.secrets.iter().map(|used| {
        let object = project.secrets.get(&used.source);
        ("secret", object, used, used.secret_path())
    });
    let mut files = Vec::new();
    for (kind, object, used, path) in configs.chain(secrets) {
        let Some(text) = text(project, kind, object, used)? else {
            continue;
        };
        if service.read_only {
            return Err(Failure::new(format!(
                "cannot create {kind} `{}` in read-only service `{}`",
                used.source, service.name
            ))
            .hint("write its content to a file and name that with `file:`"));
        }
        files.push(Given {
            path,
            text,
            uid: number(kind, "uid", used, used.uid.as_deref())?,
            gid: number(kind, "gid", used, used.gid.as_deref())?,
            mode: used.mode.unwrap_or(0o444),
        });
    }
    Ok(files)
}

/// What is in it; `None` where a file of the host is mounted instead.
fn text(
    project: &Project,
    kind: &str,
    object: Option<&FileObject>,
    used: &FileReference,
) -> Outcome<Option<String>> {
    let name = &used.source;
    let Some(object) = object else {
        return Ok(None);
    };
    if object.external {
        return Err(Failure::new(format!(
            "unsupported external {kind} `{name}`: only a swarm keeps those"
        )));
    }
    if let Some(content) = &object.content {
        return Ok(Some(content.clone()));
    }
    let Some(variable) = &object.environment else {
        return Ok(None);
    };
    let value = project.environment.get(variable).cloned();
    value.map(Some).ok_or_else(|| {
        Failure::new(format!(
            "environment variable `{variable}` required by {kind} `{name}` is not set"
        ))
    })
}

fn number(kind: &str, what: &str, used: &FileReference, text: Option<&str>) -> Outcome<u64> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(0);
    };
    text.parse().map_err(|_| {
        Failure::new(format!(
            "the {what} `{text}` of {kind} `{}` is not a number",
            used.source
        ))
    })
}

fn archive(files: &[Given]) -> std::io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for file in files {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(u64::try_from(file.text.len()).unwrap_or(0));
        header.set_mode(file.mode);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        let path = file.path.trim_start_matches('/');
        builder.append_data(&mut header, path, file.text.as_bytes())?;
    }
    builder.into_inner()
}

#[cfg(test)]
mod tests {
    use bowline_compose::load::{Env, MemoryFiles, Options, load};

    use super::*;

    fn files(text: &str, variables: &[(&str, &str)]) -> Outcome<Vec<Given>> {
        let files = MemoryFiles::default().with("/shop/compose.yaml", text);
        let options = Options {
            cwd: "/shop".into(),
            ..Options::default()
        };
        let env: Env = variables
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let project = load(&files, &env, &options).expect("a project").project;
        given(&project, &project.services["it"])
    }

    const TEXT: &str = "
services:
  it:
    image: x
    configs: [{source: app, target: /etc/app, uid: '5', mode: 0440}]
    secrets: [key]
configs: {app: {content: 'colour=${COLOUR}'}}
secrets: {key: {environment: KEY}}
";

    #[test]
    fn contents_and_variables_become_files() {
        let found = files(TEXT, &[("COLOUR", "blue"), ("KEY", "hunter2")]).expect("files");
        let [app, key] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(
            (app.path.as_str(), app.text.as_str()),
            ("/etc/app", "colour=blue")
        );
        assert_eq!((app.uid, app.gid, app.mode), (5, 0, 0o440));
        assert_eq!((key.path.as_str(), key.mode), ("/run/secrets/key", 0o444));
        assert_eq!(key.text, "hunter2");
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let error = files(TEXT, &[]).expect_err("nothing to write");
        assert!(
            error
                .render(false)
                .contains("`KEY` required by secret `key`")
        );
    }
}
