//! The reaper: pid 1 of a container whose command was not made to be it.

use std::ffi::{CStr, CString};

use bowline_init::{Arg, Vector, reap_for};

use crate::setup::candidates;

/// The reaper's whole life. `main` calls this before anything else when `argv[0]` is [`crate::INIT_NAME`]; the command
/// follows `--`.
pub fn init_main() -> ! {
    use std::os::unix::ffi::OsStringExt as _;
    let args: Vec<CString> = std::env::args_os()
        .skip(2)
        .filter_map(|arg| CString::new(arg.into_vec()).ok())
        .collect();
    let env: Vec<CString> = std::env::vars_os()
        .filter_map(|(name, value)| {
            CString::new([name.into_vec(), value.into_vec()].join(&b'=')).ok()
        })
        .collect();
    let name = args
        .first()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let path = std::env::var("PATH").ok();
    let (paths, _) = candidates(&name, path.as_deref());
    let paths: Vec<CString> = paths
        .into_iter()
        .filter_map(|path| CString::new(path).ok())
        .collect();
    let refs: Vec<&CStr> = paths.iter().map(CString::as_c_str).collect();
    let argv: Vec<Arg<'_>> = args
        .iter()
        .map(|arg| Arg::new(arg))
        .chain([Arg::END])
        .collect();
    let envp: Vec<Arg<'_>> = env
        .iter()
        .map(|pair| Arg::new(pair))
        .chain([Arg::END])
        .collect();
    match (Vector::new(&argv), Vector::new(&envp)) {
        (Some(argv), Some(envp)) => reap_for(&refs, argv, envp),
        _ => std::process::abort(),
    }
}
