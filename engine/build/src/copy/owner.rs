//! `--chown` and the owner of a `WORKDIR`: names of the image, or numbers.

use std::io::{self, Read};
use std::path::Path;

use crate::tree::Tree;

/// An owner as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    user: Name,
    group: Option<Name>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Number(u32),
    Text(String),
}

/// Most bytes of a passwd file that are looked at.
const LIMIT: u64 = 16 * 1024 * 1024;

impl Owner {
    /// Reads `user[:group]`.
    pub(crate) fn parse(text: &str) -> Self {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        Self {
            user: name(user),
            group: group.map(name),
        }
    }

    /// A name in it, which only a base can tell the number of.
    pub(crate) fn named(&self) -> Option<&str> {
        [Some(&self.user), self.group.as_ref()]
            .into_iter()
            .flatten()
            .find_map(|name| match name {
                Name::Text(text) => Some(text.as_str()),
                Name::Number(_) => None,
            })
    }

    /// User and group id. As in the stock builder, a name that the image does not know is root, and a user's number
    /// alone is the group's too.
    pub(crate) fn resolve(&self, base: Option<&Tree>) -> io::Result<(u32, u32)> {
        let (uid, mut gid) = match &self.user {
            Name::Number(number) => (*number, *number),
            Name::Text(text) => match row(base, "etc/passwd", text)? {
                Some(fields) => (number(&fields, 2), number(&fields, 3)),
                None => (0, 0),
            },
        };
        match &self.group {
            Some(Name::Number(number)) => gid = *number,
            Some(Name::Text(text)) => {
                if let Some(fields) = row(base, "etc/group", text)? {
                    gid = number(&fields, 2);
                }
            }
            None => {}
        }
        Ok((uid, gid))
    }
}

fn name(text: &str) -> Name {
    if text == "root" {
        return Name::Number(0);
    }
    match text
        .parse::<i32>()
        .ok()
        .and_then(|number| u32::try_from(number).ok())
    {
        Some(number) => Name::Number(number),
        None => Name::Text(text.to_owned()),
    }
}

fn row(base: Option<&Tree>, file: &str, name: &str) -> io::Result<Option<Vec<String>>> {
    let Some(base) = base else { return Ok(None) };
    let Some(node) = base.resolve(Path::new(file))? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    base.open_file(&node.path)?
        .take(LIMIT)
        .read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let rows = text.lines().map(|line| line.trim().split(':'));
    Ok(rows
        .map(|fields| fields.map(str::to_owned).collect::<Vec<_>>())
        .find(|fields| fields.first().is_some_and(|first| first == name)))
}

fn number(fields: &[String], at: usize) -> u32 {
    fields
        .get(at)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use crate::tree::StatCache;

    #[test]
    fn owners_are_found_in_the_image() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        let passwd = "root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:/bin/sh\n";
        std::fs::write(dir.path().join("etc/passwd"), passwd).unwrap();
        std::fs::write(dir.path().join("etc/group"), "staff:x:50:\n").unwrap();
        let stats = StatCache::open(dir.path().join("stats"), dir.path(), SystemTime::now);
        let tree = Tree::folder(dir.path(), None, true, Arc::new(stats)).unwrap();
        for (text, wanted) in [
            ("app", (1000, 1001)),
            ("app:staff", (1000, 50)),
            ("app:5", (1000, 5)),
            ("7", (7, 7)),
            ("7:8", (7, 8)),
            ("7:nobody", (7, 7)),
            ("nobody", (0, 0)),
            (":staff", (0, 50)),
            ("root", (0, 0)),
        ] {
            assert_eq!(
                Owner::parse(text).resolve(Some(&tree)).unwrap(),
                wanted,
                "{text}"
            );
        }
        assert_eq!(Owner::parse("1:root").named(), None);
        assert_eq!(Owner::parse("1:staff").named(), Some("staff"));
    }
}
