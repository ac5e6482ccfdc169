//! Paths as text, with the rules of Go's `path/filepath` that Compose shows in its output.

/// Drops `.` and empty parts and folds `..` away.
pub(crate) fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            other => parts.push(other),
        }
    }
    let joined = parts.join("/");
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// A path seen from a directory. An absolute path stays exactly as it is.
pub(crate) fn join(dir: &str, path: &str) -> String {
    match (path.starts_with('/'), dir.is_empty()) {
        (true, _) => path.to_owned(),
        (false, true) => clean(path),
        (false, false) => clean(&format!("{dir}/{path}")),
    }
}

/// The way from one absolute directory to another path.
pub(crate) fn relative(from: &str, to: &str) -> String {
    let parts = |path: &str| -> Vec<String> {
        clean(path)
            .split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (from, to) = (parts(from), parts(to));
    let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", from.len() - same);
    let down = to.iter().skip(same).map(String::as_str);
    match up.chain(down).collect::<Vec<_>>().join("/") {
        path if path.is_empty() => ".".to_owned(),
        path => path,
    }
}

/// The directory a path lies in.
pub(crate) fn parent(path: &str) -> Option<&str> {
    match path.rfind('/')? {
        0 if path.len() == 1 => None,
        0 => Some("/"),
        slash => Some(&path[..slash]),
    }
}

/// The last part of a path.
pub(crate) fn base(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rfind('/').map_or(path, |slash| &path[slash + 1..])
}

/// A path with `~` replaced, seen from a directory.
pub(crate) fn expand(dir: &str, home: Option<&str>, path: &str) -> String {
    match (home, path.strip_prefix('~')) {
        // Whatever follows the sign is seen from the caller's home, a name of somebody else too.
        (Some(home), Some(rest)) => clean(&format!("{home}/{rest}")),
        _ => join(dir, path),
    }
}

/// A path as people would write it from where they are.
pub(crate) fn shown(cwd: &str, path: &str) -> String {
    match path
        .strip_prefix(cwd)
        .and_then(|rest| rest.strip_prefix('/'))
    {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(clean("/a/./b/../c//d/"), "/a/c/d");
        assert_eq!(clean("/../.."), "/");
        assert_eq!(clean("../a/.."), "..");
        assert_eq!(clean("."), ".");
        assert_eq!(join("/p", "../x"), "/x");
        assert_eq!(join("/p", "/x/../y"), "/x/../y");
        assert_eq!(parent("/a/b"), Some("/a"));
        assert_eq!(parent("/a"), Some("/"));
        assert_eq!(parent("/"), None);
        assert_eq!(base("/a/b/"), "b");
        assert_eq!(expand("/p", Some("/root"), "~/x"), "/root/x");
        assert_eq!(expand("/p", Some("/root"), "~x"), "/root/x");
        assert_eq!(join("", "a/./b"), "a/b");
        assert_eq!(relative("/a/b", "/a/c/d"), "../c/d");
        assert_eq!(relative("/a", "/a"), ".");
        assert_eq!(shown("/p", "/p/compose.yaml"), "compose.yaml");
        assert_eq!(shown("/p", "/pq/compose.yaml"), "/pq/compose.yaml");
    }
}
