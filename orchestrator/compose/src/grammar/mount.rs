//! The short form of a volume: `[source:]target[:options]`.

use super::Fault;
use crate::model::{Mount, MountKind};

/// Parses a short form; options that mean nothing come along as remarks. The source of a bind mount
/// is still as written: relative, or with `~`.
///
/// A single letter before a colon is a drive, as on Windows, so `v:/data` is one path.
///
/// # Errors
/// An empty part, or too many parts.
pub fn parse(text: &str) -> Result<(Mount, Vec<Fault>), Fault> {
    let whole = 0..text.len();
    if text.is_empty() {
        return Err(Fault::new(whole, "an empty volume"));
    }
    let mut mount = Mount {
        kind: MountKind::Volume,
        source: None,
        target: text.to_owned(),
        read_only: false,
        consistency: None,
        bind: None,
        volume: None,
        tmpfs: None,
        image: None,
    };
    if text.len() <= 2 {
        return Ok((mount, Vec::new()));
    }
    let parts = parts(text);
    if parts.iter().any(|(_, part)| part.is_empty()) {
        return Err(Fault::new(whole, "a part between the colons is empty")
            .help("write `SOURCE:TARGET` or `SOURCE:TARGET:OPTIONS`"));
    }
    let (source, target, options) = match *parts.as_slice() {
        [(_, target)] => (None, target, None),
        [(_, source), (_, target)] => (Some(source), target, None),
        [(_, source), (_, target), options] => (Some(source), target, Some(options)),
        _ => {
            return Err(Fault::new(whole, "too many colons")
                .help("a path that has colons needs the long form: `source:` and `target:`"));
        }
    };
    mount.source = source.map(str::to_owned);
    target.clone_into(&mut mount.target);
    let mut remarks = Vec::new();
    if let Some((mut at, options)) = options {
        for option in options.split(',') {
            if let Err(fault) = apply(&mut mount, option) {
                remarks.push(fault.offset(at));
            }
            at += option.len() + 1;
        }
    }
    if source.is_some_and(is_path) {
        mount.kind = MountKind::Bind;
        mount.bind.get_or_insert_default();
    } else {
        mount.volume.get_or_insert_default();
    }
    Ok((mount, remarks))
}

/// The parts between colons, each with where it starts. Colons inside `${...}` and those of a drive
/// part nothing.
fn parts(text: &str) -> Vec<(usize, &str)> {
    let bytes = text.as_bytes();
    let (mut parts, mut start, mut open) = (Vec::new(), 0, 0_usize);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'$' if bytes.get(at + 1) == Some(&b'{') => open += 1,
            b'}' => open = open.saturating_sub(1),
            b':' if open == 0 => {
                let mut letters = text[start..at].chars();
                let drive =
                    letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none();
                if !drive {
                    parts.push((start, &text[start..at]));
                    start = at + 1;
                }
            }
            _ => {}
        }
    }
    parts.push((start, &text[start..]));
    parts
}

/// Whether a source is a path of the host, as opposed to a volume's name.
pub(crate) fn is_path(source: &str) -> bool {
    let mut letters = source.chars();
    let drive = letters.next().is_some_and(char::is_alphabetic) && letters.next() == Some(':');
    drive || source.starts_with(['.', '/', '~']) || source.starts_with(r"\\")
}

fn apply(mount: &mut Mount, option: &str) -> Result<(), Fault> {
    match option {
        "ro" => mount.read_only = true,
        "rw" => mount.read_only = false,
        "nocopy" => mount.volume.get_or_insert_default().nocopy = true,
        "z" | "Z" => mount.bind.get_or_insert_default().selinux = Some(option.to_owned()),
        "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
            mount.bind.get_or_insert_default().propagation = Some(option.to_owned());
        }
        "cached" | "delegated" | "consistent" | "" => {}
        _ => {
            let known = [
                "ro", "rw", "nocopy", "z", "Z", "rprivate", "rshared", "rslave", "shared",
            ];
            let message = format!("the volume option `{option}` has no effect");
            let fault = Fault::new(0..option.len(), message);
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
            Ok((mount, remarks)) => {
                let text = serde_json::to_string(&mount).unwrap();
                remarks.iter().fold(text, |text, remark| {
                    format!("{text} {:?} {}", remark.range, remark.message)
                })
            }
            Err(fault) => format!("{:?} {}", fault.range, fault.message),
        }
    }

    #[test]
    fn short_forms() {
        let cases = [
            ("/a", r#"{"type":"volume","target":"/a"}"#),
            ("/ab", r#"{"type":"volume","target":"/ab","volume":{}}"#),
            ("v:/d", r#"{"type":"volume","target":"v:/d","volume":{}}"#),
            (
                r"c:\a:/b",
                r#"{"type":"bind","source":"c:\\a","target":"/b","bind":{}}"#,
            ),
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
            (
                "/a:/b:ro,rox",
                r#"{"type":"bind","source":"/a","target":"/b","read_only":true,"bind":{}} 9..12 the volume option `rox` has no effect"#,
            ),
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
