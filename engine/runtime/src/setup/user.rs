//! Who `user: app` is: looked up in the container's own `passwd` and `group`, never in the host's.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use crate::{StartError, StartStep};

/// A user that a process becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

/// The most of a file that is read: nobody's user list is longer, and the shim's memory is small.
const MOST: u64 = 4 << 20;

/// Resolves `user`, `user:group`, or nothing, over the files below `root`.
pub(crate) fn resolve(
    root: impl AsFd,
    wish: &str,
    additional: &[String],
) -> Result<User, StartError> {
    let (passwd, group) = (read(&root, "etc/passwd")?, read(&root, "etc/group")?);
    from_texts(&passwd, &group, wish, additional)
}

/// Whatever the image put there may be a device or a pipe: it is neither waited for nor read unless it is a file.
fn read(root: impl AsFd, path: &str) -> Result<String, StartError> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let Ok(fd): Result<OwnedFd, _> = openat2(root, path, how) else {
        return Ok(String::new());
    };
    let file = File::from(fd);
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    file.take(MOST)
        .read_to_end(&mut bytes)
        .map_err(|error| StartError::io(StartStep::User, &format!("read /{path}"), &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn from_texts(
    passwd: &str,
    group: &str,
    wish: &str,
    additional: &[String],
) -> Result<User, StartError> {
    let (name, group_wish) = wish.split_once(':').unwrap_or((wish, ""));
    let entry = find_user(passwd, name);
    let mut user = match (&entry, name) {
        (Some(entry), _) => User {
            uid: entry.uid,
            gid: entry.gid,
            groups: Vec::new(),
            home: entry.home.to_owned(),
        },
        (None, "") => User::default(),
        (None, _) => User {
            uid: number(name).ok_or_else(|| unknown("user", name, "passwd"))?,
            ..User::default()
        },
    };
    if group_wish.is_empty() {
        if let Some(entry) = &entry {
            user.groups = memberships(group, entry.name);
        }
    } else {
        user.gid = find_group(group, group_wish)?;
    }
    for wish in additional {
        let gid = find_group(group, wish)?;
        if !user.groups.contains(&gid) {
            user.groups.push(gid);
        }
    }
    if user.home.is_empty() {
        user.home.push('/');
    }
    Ok(user)
}

struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// By name, or by number; nothing means user 0. A name that consists of digits is a name first.
fn find_user<'a>(passwd: &'a str, wish: &str) -> Option<Entry<'a>> {
    let entries = || passwd.lines().filter_map(entry);
    let uid = if wish.is_empty() {
        Some(0)
    } else {
        number(wish)
    };
    entries()
        .find(|entry| entry.name == wish)
        .or_else(|| entries().find(|entry| Some(entry.uid) == uid))
}

fn entry(line: &str) -> Option<Entry<'_>> {
    let fields: Vec<&str> = line.trim().split(':').collect();
    let [name, _, uid, gid, _, home, ..] = fields[..] else {
        return None;
    };
    (!name.is_empty()).then_some(Entry {
        name,
        uid: number(uid)?,
        gid: number(gid)?,
        home,
    })
}

fn find_group(group: &str, wish: &str) -> Result<u32, StartError> {
    let named = group
        .lines()
        .filter_map(group_entry)
        .find(|(name, _, _)| *name == wish);
    named
        .map(|(_, gid, _)| gid)
        .or_else(|| number(wish))
        .ok_or_else(|| unknown("group", wish, "group"))
}

fn group_entry(line: &str) -> Option<(&str, u32, &str)> {
    let fields: Vec<&str> = line.trim().split(':').collect();
    let [name, _, gid, rest @ ..] = &fields[..] else {
        return None;
    };
    Some((name, number(gid)?, rest.first().copied().unwrap_or("")))
}

fn memberships(group: &str, user: &str) -> Vec<u32> {
    let mut found: Vec<u32> = group
        .lines()
        .filter_map(group_entry)
        .filter(|(_, _, members)| members.split(',').any(|member| member == user))
        .map(|(_, gid, _)| gid)
        .collect();
    found.dedup();
    found
}

/// User and group numbers that the kernel takes; all ones mean "leave it" to it.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|value| digits && *value < u32::MAX)
}

fn unknown(kind: &str, name: &str, file: &str) -> StartError {
    let text = format!("unable to find {kind} {name}: no matching entries in {file} file");
    StartError {
        code: 126,
        ..StartError::new(StartStep::User, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# comment\napp:x:1000:100:App:/srv/app:/bin/sh\n1000:x:7:7::/odd:\n";
    const GROUP: &str = "root:x:0:\nusers:x:100:\nwheel:x:10:root,app\naudio:x:29:app\n";

    fn who(wish: &str, additional: &[&str]) -> Result<User, String> {
        let additional: Vec<String> = additional.iter().map(|name| (*name).to_owned()).collect();
        from_texts(PASSWD, GROUP, wish, &additional).map_err(|error| error.message)
    }

    fn user(uid: u32, gid: u32, groups: &[u32], home: &str) -> Result<User, String> {
        Ok(User {
            uid,
            gid,
            groups: groups.to_vec(),
            home: home.to_owned(),
        })
    }

    #[test]
    fn names_numbers_and_nothing_all_mean_somebody() {
        assert_eq!(who("", &[]), user(0, 0, &[10], "/root"));
        assert_eq!(who("app", &[]), user(1000, 100, &[10, 29], "/srv/app"));
        assert_eq!(who("4242", &[]), user(4242, 0, &[], "/"));
        assert_eq!(who("app:wheel", &[]), user(1000, 10, &[], "/srv/app"));
        assert_eq!(who("0:55", &[]), user(0, 55, &[], "/root"));
        assert_eq!(
            who("app", &["audio", "777"]),
            user(1000, 100, &[10, 29, 777], "/srv/app")
        );
    }

    #[test]
    fn a_name_made_of_digits_is_a_name_first() {
        assert_eq!(who("1000", &[]), user(7, 7, &[], "/odd"));
    }

    #[test]
    fn strangers_are_refused_in_dockers_words() {
        assert_eq!(
            who("bob", &[]),
            Err("unable to find user bob: no matching entries in passwd file".to_owned())
        );
        assert_eq!(
            who("0:bobs", &[]),
            Err("unable to find group bobs: no matching entries in group file".to_owned())
        );
        assert!(who("4294967295", &[]).is_err());
        assert!(who("-1", &[]).is_err());
        assert!(who("+5", &[]).is_err());
    }
}
