//! The program: its arguments, its environment, and where it may lie.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use oci_spec::runtime::Process;

use super::c_string;
use crate::{INIT_NAME, StartError, StartStep};

/// Where programs are looked for when the environment does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug)]
pub(super) struct Program {
    /// As it was asked for, for messages.
    pub(super) name: String,
    pub(super) candidates: Vec<CString>,
    pub(super) searched: bool,
    pub(super) argv: Vec<CString>,
    pub(super) env: Vec<CString>,
    /// Whether the environment lacks `HOME`.
    pub(super) homeless: bool,
    pub(super) cwd: CString,
    /// Runs in front of it as pid 1.
    pub(super) reaper: Option<OwnedFd>,
}

impl Program {
    pub(super) fn new(process: &Process, reaper: Option<OwnedFd>) -> Result<Self, StartError> {
        let args = process.args().as_deref().unwrap_or_default();
        let env = process.env().as_deref().unwrap_or_default();
        let name = args.first().filter(|name| !name.is_empty()).cloned();
        let name = name.ok_or_else(|| StartError::new(StartStep::Plan, "no command specified"))?;
        let (paths, searched) = candidates(
            &name,
            env.iter().find_map(|pair| pair.strip_prefix("PATH=")),
        );
        let front = reaper.iter().flat_map(|_| [INIT_NAME, "--"]);
        let argv = front.chain(args.iter().map(String::as_str));
        let cwd = process.cwd().as_os_str();
        let cwd = if cwd.is_empty() { "/".as_ref() } else { cwd };
        Ok(Self {
            candidates: paths
                .into_iter()
                .map(|path| c_string(path, "the command"))
                .collect::<Result<_, _>>()?,
            searched,
            argv: argv
                .map(|arg| c_string(arg, "an argument"))
                .collect::<Result<_, _>>()?,
            env: env
                .iter()
                .map(|pair| c_string(pair.as_str(), "the environment"))
                .collect::<Result<_, _>>()?,
            homeless: !env.iter().any(|pair| pair.starts_with("HOME=")),
            cwd: c_string(cwd.as_encoded_bytes(), "the working directory")?,
            name,
            reaper,
        })
    }
}

/// The paths a command's name may mean, and whether they come from searching. A name with a slash means itself.
pub(crate) fn candidates(name: &str, path: Option<&str>) -> (Vec<String>, bool) {
    if name.contains('/') {
        return (vec![name.to_owned()], false);
    }
    let directories = path
        .unwrap_or(PATH)
        .split(':')
        .map(|directory| if directory.is_empty() { "." } else { directory });
    (
        directories
            .map(|directory| format!("{directory}/{name}"))
            .collect(),
        true,
    )
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn a_bare_name_is_searched_for_and_a_path_is_not() {
        assert_eq!(
            candidates("sh", Some("/a:/b")),
            (vec!["/a/sh".to_owned(), "/b/sh".to_owned()], true)
        );
        assert_eq!(
            candidates("./sh", Some("/a")),
            (vec!["./sh".to_owned()], false)
        );
        assert_eq!(candidates("sh", None).0.len(), 6);
    }
}
