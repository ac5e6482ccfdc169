//! Whether mounts can travel between host and container as a bind mount asks for. Pure: over the kernel's mount table.

use std::path::{Path, PathBuf};

/// A host mount that does not share what is mounted in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PropagationError {
    /// `shared` needs a shared one.
    #[error("path {} is mounted on {} but it is not a shared mount", path.display(), on.display())]
    NotShared {
        /// The bind's source.
        path: PathBuf,
        /// The mount it lies in.
        on: PathBuf,
    },
    /// `slave` needs a shared one, or one that is a slave itself.
    #[error("path {} is mounted on {} but it is not a shared or slave mount", path.display(), on.display())]
    NotSlave {
        /// The bind's source.
        path: PathBuf,
        /// The mount it lies in.
        on: PathBuf,
    },
}

/// Checks one bind against the table of `/proc/self/mountinfo`.
///
/// # Errors
/// See [`PropagationError`].
pub(crate) fn check(table: &str, source: &Path, word: &str) -> Result<(), PropagationError> {
    let shared = matches!(word, "shared" | "rshared");
    if !shared && !matches!(word, "slave" | "rslave") {
        return Ok(());
    }
    let real = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    let Some((on, tags)) = holder(table, &real) else {
        return Ok(());
    };
    let has = |tag: &str| tags.iter().any(|have| have.starts_with(tag));
    let path = source.to_owned();
    match shared {
        true if !has("shared:") => Err(PropagationError::NotShared { path, on }),
        false if !has("shared:") && !has("master:") => Err(PropagationError::NotSlave { path, on }),
        _ => Ok(()),
    }
}

/// The mount that a path lies in: the deepest one, and of several at one place the last. With its optional fields.
fn holder<'t>(table: &'t str, path: &Path) -> Option<(PathBuf, Vec<&'t str>)> {
    let mounts = table.lines().filter_map(|line| {
        let (front, _) = line.split_once(" - ")?;
        let mut fields = front.split(' ');
        let on = PathBuf::from(fields.nth(4)?.replace("\\040", " "));
        let tags = fields.skip(1).collect();
        path.starts_with(&on).then_some((on, tags))
    });
    mounts.max_by_key(|(on, _): &(PathBuf, Vec<&str>)| on.components().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda rw
22 21 0:5 / /private rw - tmpfs tmpfs rw
23 21 0:6 / /slave rw master:1 - tmpfs tmpfs rw
";

    #[test]
    fn mounts_travel_only_where_the_host_lets_them() {
        let check = |path: &str, word| check(TABLE, Path::new(path), word);
        assert_eq!(check("/nowhere/x", "rshared"), Ok(()));
        assert_eq!(check("/private/x", "rprivate"), Ok(()));
        assert_eq!(check("/slave/x", "rslave"), Ok(()));
        assert_eq!(
            check("/private/x", "shared").unwrap_err().to_string(),
            "path /private/x is mounted on /private but it is not a shared mount"
        );
        assert_eq!(
            check("/private/x", "slave").unwrap_err().to_string(),
            "path /private/x is mounted on /private but it is not a shared or slave mount"
        );
        assert!(check("/slave/x", "shared").is_err());
    }
}
