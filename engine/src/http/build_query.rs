//! The query of `POST /build` as one target of a build. Pure.

use std::collections::BTreeMap;

use bowline_api::{BuildRequest, BuildTarget, Ulimit};
use serde::de::DeserializeOwned;

use super::query::Query;
use crate::error::{Error, Result};

/// What a client of Docker's builder asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asked {
    /// The build; its one target has no context yet.
    pub(super) request: BuildRequest,
    /// The answer is the image's id and nothing else.
    pub(super) quiet: bool,
}

/// What the builder of BuildKit's clients would need of them.
const NEEDS_SESSION: &str = "building through a BuildKit session is not supported: set DOCKER_BUILDKIT=0, and the client sends its files along with the request";

/// Limits of the containers that steps run in; zero is none.
const LIMITS: [&str; 5] = ["memory", "memswap", "cpushares", "cpuperiod", "cpuquota"];

/// Reads the query.
///
/// # Errors
/// A value that is none, or something that is not supported, by its name.
pub(super) fn read(query: &Query) -> Result<Asked> {
    refuse(query)?;
    let text = |key: &str| query.text(key).unwrap_or_default();
    let arguments: BTreeMap<String, Option<String>> = json(query, "buildargs")?;
    let target = BuildTarget {
        name: "image".into(),
        dockerfile: text("dockerfile"),
        // A name without a value is one that the client's own environment did not have.
        args: arguments
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect(),
        target: text("target"),
        labels: json(query, "labels")?,
        tags: query
            .all("t")
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect(),
        network: text("networkmode"),
        extra_hosts: query
            .all("extrahosts")
            .filter(|host| !host.is_empty())
            .map(str::to_owned)
            .collect(),
        shm_size: query.number::<u64>("shmsize")?.filter(|size| *size > 0),
        ulimits: json::<Vec<Ulimit>>(query, "ulimits")?,
        platform: text("platform"),
        ..BuildTarget::default()
    };
    // Where images of others may be used as a cache is a hint: our own cache needs none.
    let _hints: Vec<String> = json(query, "cachefrom")?;
    Ok(Asked {
        request: BuildRequest {
            targets: vec![target],
            no_cache: query.flag("nocache"),
            pull: query.flag("pull"),
            ..BuildRequest::default()
        },
        quiet: query.flag("q"),
    })
}

fn refuse(query: &Query) -> Result<()> {
    let unsupported = |what: String| Err(Error::unsupported(what));
    match query.text("remote").as_deref() {
        Some("client-session") => return unsupported(NEEDS_SESSION.into()),
        Some(url) => {
            return unsupported(format!(
                "a remote build context (`{url}`) is not supported yet"
            ));
        }
        None => {}
    }
    if !["", "1", "2"].contains(&query.get("version").unwrap_or_default()) {
        let version = query.text("version").unwrap_or_default();
        return Err(Error::invalid(format!(
            "there is no builder version {version}"
        )));
    }
    for limit in LIMITS {
        if query.number::<i64>(limit)?.unwrap_or(0) > 0 {
            return unsupported(format!(
                "limiting the steps of a build by `{limit}` is not supported yet"
            ));
        }
    }
    if query.text("cpusetcpus").is_some() || query.text("cpusetmems").is_some() {
        return unsupported("choosing processors for a build is not supported yet".into());
    }
    if query.flag("squash") {
        return unsupported("squashing the layers of a build is not supported".into());
    }
    if !["", "default"].contains(&query.get("isolation").unwrap_or_default()) {
        return unsupported("isolation is a word of another system: leave it out".into());
    }
    let outputs: Option<Vec<serde_json::Value>> = json(query, "outputs")?;
    match outputs.is_some_and(|outputs| !outputs.is_empty()) {
        true => unsupported("outputs of a build are not supported yet: it becomes an image".into()),
        false => Ok(()),
    }
}

/// A value in JSON; absent, empty and `null` are the default.
fn json<T: DeserializeOwned + Default>(query: &Query, key: &str) -> Result<T> {
    let Some(text) = query.text(key) else {
        return Ok(T::default());
    };
    let read: Option<T> = serde_json::from_str(&text)
        .map_err(|error| Error::invalid(format!("invalid value of {key}: {error}")))?;
    Ok(read.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn the_stock_clients_query_is_understood() {
        let query = Query::parse(
            "buildargs=%7B%22A%22%3A%221%22%2C%22B%22%3Anull%7D&cachefrom=%5B%5D&cgroupparent=&cpuperiod=0\
             &cpuquota=0&cpusetcpus=&cpusetmems=&cpushares=0&dockerfile=Dockerfile.dev&labels=%7B%22x%22%3A%22y%22%7D\
             &memory=0&memswap=0&networkmode=host&rm=1&shmsize=1048576&t=a&t=b%3A1&target=final&ulimits=null&version=1\
             &extrahosts=db%3A10.0.0.1&nocache=1",
        );
        let asked = read(&query).unwrap();
        let target = &asked.request.targets[0];
        assert_eq!(target.args, [("A".to_owned(), "1".to_owned())].into());
        assert_eq!(target.tags, ["a", "b:1"]);
        assert_eq!(
            (target.network.as_str(), target.target.as_str()),
            ("host", "final")
        );
        assert_eq!(target.shm_size, Some(1 << 20));
        assert_eq!(target.extra_hosts, ["db:10.0.0.1"]);
        assert!(asked.request.no_cache && !asked.request.pull && !asked.quiet);
    }

    #[test]
    fn what_is_not_there_is_refused_by_name() {
        for (query, word) in [
            ("remote=https%3A%2F%2Fx", "https://x"),
            ("remote=client-session&version=2", "DOCKER_BUILDKIT=0"),
            ("squash=1", "squashing"),
            ("isolation=hyperv", "isolation"),
            ("memory=1000", "memory"),
            ("outputs=%5B%7B%22Type%22%3A%22local%22%7D%5D", "outputs"),
        ] {
            let error = read(&Query::parse(query)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotImplemented, "{query}");
            assert!(error.message.contains(word), "{}", error.message);
        }
        assert!(read(&Query::parse("buildargs=x")).is_err());
        assert!(read(&Query::parse("version=3")).is_err());
    }
}
