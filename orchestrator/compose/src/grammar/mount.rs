//! The short form of a volume: `[source:]target[:options]`.

use super::Fault;
use crate::model::{BindOptions, Mount, MountKind, VolumeOptions};

/// Parses a short form. The source of a bind mount is still as written: relative, or with `~`.
///
/// Options that mean nothing are dropped by Compose without a word; here they are refused.
///
/// # Errors
/// An empty part, too many parts, a relative target, or an unknown option.
pub fn parse(text: &str) -> Result<Mount, Fault> {
    let whole = 0..text.len();
    if text.is_empty() {
        return Err(Fault::new(whole, "an empty volume"));
    }
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(Fault::new(whole, "a part between the colons is empty")
            .help("write `SOURCE:TARGET` or `SOURCE:TARGET:OPTIONS`"));
    }
    let (source, target, options) = match *parts.as_slice() {
        [target] => (None, target, None),
        [source, target] => (Some(source), target, None),
        [source, target, options] => (Some(source), target, Some(options)),
        _ => {
            return Err(Fault::new(whole, "too many colons")
                .help("a path that has colons needs the long form: `source:` and `target:`"));
        }
    };
    let target_at = source.map_or(0, |source| source.len() + 1);
    if !target.starts_with('/') {
        let range = target_at..target_at + target.len();
        return Err(
            Fault::new(range, format!("the target `{target}` is not absolute"))
                .help("a path inside the container starts with `/`"),
        );
    }
    let bind = source.is_some_and(is_path);
    let mut mount = Mount {
        kind: if bind {
            MountKind::Bind
        } else {
            MountKind::Volume
        },
        source: source.map(str::to_owned),
        target: target.to_owned(),
        read_only: false,
        consistency: None,
        bind: bind.then(BindOptions::default),
        volume: (!bind).then(VolumeOptions::default),
        tmpfs: None,
    };
    let mut at = target_at + target.len() + 1;
    for option in options
        .unwrap_or_default()
        .split(',')
        .filter(|option| !option.is_empty())
    {
        apply(&mut mount, option).map_err(|fault| fault.offset(at))?;
        at += option.len() + 1;
    }
    Ok(mount)
}

/// Whether a source is a path of the host, as opposed to a volume's name.
pub(crate) fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~'])
}

fn apply(mount: &mut Mount, option: &str) -> Result<(), Fault> {
    match option {
        "ro" => mount.read_only = true,
        "rw" => mount.read_only = false,
        "nocopy" | "volume-nocopy" => mount.volume.get_or_insert_default().nocopy = true,
        "z" | "Z" => mount.bind.get_or_insert_default().selinux = Some(option.to_owned()),
        "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
            mount.bind.get_or_insert_default().propagation = Some(option.to_owned());
        }
        "cached" | "delegated" | "consistent" => {}
        _ => {
            let known = [
                "ro", "rw", "nocopy", "z", "Z", "rprivate", "rshared", "rslave", "shared",
            ];
            let fault = Fault::new(0..option.len(), format!("unknown volume option `{option}`"));
            return Err(match crate::similar::closest(option, known) {
                Some(other) => fault.help(format!("did you mean `{other}`?")),
                None => fault.help("options are ro, rw, nocopy, z, Z and the propagation modes"),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match parse(text) {
            Ok(mount) => serde_json::to_string(&mount).unwrap(),
            Err(fault) => format!("{:?} {}", fault.range, fault.message),
        }
    }

    #[test]
    fn short_forms() {
        let cases = [
            ("/a", r#"{"type":"volume","target":"/a","volume":{}}"#),
            (
                "data:/b",
                r#"{"type":"volume","source":"data","target":"/b","volume":{}}"#,
            ),
            (
                "./a:/b",
                r#"{"type":"bind","source":"./a","target":"/b","bind":{}}"#,
            ),
            (
                "~/a:/b:ro",
                r#"{"type":"bind","source":"~/a","target":"/b","read_only":true,"bind":{}}"#,
            ),
            (
                "/a:/b:Z,ro,rslave",
                r#"{"type":"bind","source":"/a","target":"/b","read_only":true,"bind":{"selinux":"Z","propagation":"rslave"}}"#,
            ),
            (
                "data:/b:nocopy",
                r#"{"type":"volume","source":"data","target":"/b","volume":{"nocopy":true}}"#,
            ),
            ("", "0..0 an empty volume"),
            (":/a", "0..3 a part between the colons is empty"),
            ("/a:/b:rw:ro", "0..11 too many colons"),
            ("/a:b", "3..4 the target `b` is not absolute"),
            ("/a:/b:ro,rox", "9..12 unknown volume option `rox`"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[a-z:/.,~]{0,24}|.{0,8}") {
            let _result = parse(&text);
        }
    }
}
