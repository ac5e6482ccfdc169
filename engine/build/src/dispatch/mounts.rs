//! The fields of `RUN --mount=…`, their variables expanded.

use super::run::bad_target;
use crate::dockerfile::{Fault, Mistake, Span};
use crate::graph::{Mount, MountKind, Sharing, VertexId};
use crate::ignore::clean;

/// Key in lower case, value if it has one, and the field as it was written.
type Field<'a> = (String, Option<String>, &'a str);

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

const TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];

#[derive(Debug, Default)]
pub(super) struct Fields {
    kind: &'static str,
    from: bool,
    source: String,
    target: String,
    readonly: Option<bool>,
    size: u64,
    id: String,
    sharing: Option<Sharing>,
    required: bool,
    env: Option<String>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

/// Reads the fields in order: which ones a type allows is decided by the type as far as it is known by then.
pub(super) fn read(fields: &[Field<'_>], span: Span) -> Result<Fields, Fault> {
    let mut read = Fields {
        kind: "bind",
        ..Fields::default()
    };
    for (key, value, field) in fields {
        let done = match value {
            None => read.switch(key, field),
            Some(value) => read.set(key, value, field),
        };
        done.map_err(|mistake| suggest(mistake, key, value.as_deref(), span))?;
    }
    read.check().map_err(|mistake| Fault::new(mistake, span))?;
    Ok(read)
}

fn suggest(mistake: Mistake, key: &str, value: Option<&str>, span: Span) -> Fault {
    let value = value.unwrap_or_default();
    let fault = Fault::new(mistake, span);
    match *fault.mistake {
        Mistake::MountKey { .. } => fault.suggesting(key, KEYS),
        Mistake::MountType(_) => fault.suggesting(value, TYPES),
        Mistake::MountSharing(_) => fault.suggesting(value, ["shared", "private", "locked"]),
        _ => fault,
    }
}

impl Fields {
    fn switch(&mut self, key: &str, field: &str) -> Result<(), Mistake> {
        match key {
            "readonly" | "ro" => self.readonly = Some(true),
            "readwrite" | "rw" => self.readonly = Some(false),
            "required" => {
                self.only(&["secret", "ssh"], key)?;
                self.required = true;
            }
            _ => return Err(Mistake::MountField(field.to_owned())),
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str, field: &str) -> Result<(), Mistake> {
        let wrong = || Mistake::MountValue {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        match key {
            "type" => {
                let lower = value.to_lowercase();
                let known = TYPES.iter().find(|kind| **kind == lower);
                self.kind = known.ok_or_else(|| Mistake::MountType(value.to_owned()))?;
            }
            "from" => self.from = !value.is_empty(),
            "source" | "src" => value.clone_into(&mut self.source),
            "target" | "dst" | "destination" => value.clone_into(&mut self.target),
            "readonly" | "ro" => self.readonly = Some(boolean(value).ok_or_else(wrong)?),
            "readwrite" | "rw" => self.readonly = Some(!boolean(value).ok_or_else(wrong)?),
            "required" => {
                self.only(&["secret", "ssh"], key)?;
                self.required = boolean(value).ok_or_else(wrong)?;
            }
            "size" => {
                self.only(&["tmpfs"], key)?;
                self.size = bytes(value).ok_or_else(wrong)?;
            }
            "id" => value.clone_into(&mut self.id),
            "sharing" => {
                self.sharing = Some(match value.to_lowercase().as_str() {
                    "shared" => Sharing::Shared,
                    "private" => Sharing::Private,
                    "locked" => Sharing::Locked,
                    _ => return Err(Mistake::MountSharing(value.to_owned())),
                });
            }
            "mode" => self.mode = Some(u32::from_str_radix(value, 8).map_err(|_| wrong())?),
            "uid" => self.uid = Some(value.parse().map_err(|_| wrong())?),
            "gid" => self.gid = Some(value.parse().map_err(|_| wrong())?),
            "env" => self.env = Some(value.to_owned()),
            _ => {
                return Err(Mistake::MountKey {
                    key: key.to_owned(),
                    field: field.to_owned(),
                });
            }
        }
        Ok(())
    }

    fn only(&self, kinds: &[&str], key: &str) -> Result<(), Mistake> {
        if kinds.contains(&self.kind) {
            return Ok(());
        }
        Err(Mistake::MountKeyForType {
            key: key.to_owned(),
            kind: self.kind,
        })
    }

    fn check(&self) -> Result<(), Mistake> {
        if matches!(self.kind, "bind" | "tmpfs") {
            let given = [("mode", self.mode), ("uid", self.uid), ("gid", self.gid)];
            if let Some((key, _)) = given.into_iter().find(|(_, value)| value.is_some()) {
                let kind = self.kind;
                return Err(Mistake::MountOwner { key, kind });
            }
        }
        let conflict = |text| Err(Mistake::MountConflict(text));
        if self.kind == "secret" {
            if self.from {
                return conflict("secret mount should not have a from");
            }
            if self.source.is_empty() && self.target.is_empty() && self.id.is_empty() {
                return conflict("invalid secret mount. one of source, target required");
            }
            if !self.source.is_empty() && !self.id.is_empty() {
                return conflict("both source and id can't be set");
            }
        }
        if self.sharing.is_some() && self.kind != "cache" {
            return conflict("sharing is for cache mounts only");
        }
        if self.kind == "ssh" && !self.source.is_empty() {
            return conflict("ssh does not support source");
        }
        Ok(())
    }

    /// Whether it shows the main context when it says nothing else.
    pub(super) fn needs_context(&self) -> bool {
        self.kind == "bind" && !self.from
    }

    /// The mount itself, in a stage whose working directory is `dir`.
    pub(super) fn mount(
        self,
        from: Option<VertexId>,
        dir: &str,
        namespace: &str,
    ) -> Result<Mount, Mistake> {
        let absolute = |path: &str| match path.starts_with('/') {
            true => clean(path),
            false => clean(&format!("/{dir}/{path}")),
        };
        let place = absolute(&self.target);
        let source = clean(&format!("/{}", self.source));
        let with_place = |readonly, kind| match place.as_str() {
            "/" => Err(bad_target(&self.target)),
            place => Ok(Mount {
                target: place.to_owned(),
                readonly,
                kind,
            }),
        };
        let readonly = self.readonly;
        match (self.kind, from) {
            ("bind", Some(from)) => {
                with_place(readonly.unwrap_or(true), MountKind::Bind { from, source })
            }
            ("tmpfs", _) => {
                let size = (self.size > 0).then_some(self.size);
                with_place(readonly.unwrap_or(false), MountKind::Tmpfs { size })
            }
            ("secret", _) => Ok(self.secret(&absolute)),
            ("ssh", _) => Ok(self.ssh(&absolute)),
            (_, from) => {
                let kind = MountKind::Cache {
                    id: self.cache_id(namespace),
                    sharing: self.sharing.unwrap_or_default(),
                    from,
                    source,
                    mode: self.mode.unwrap_or(0o755),
                    uid: self.uid.unwrap_or(0),
                    gid: self.gid.unwrap_or(0),
                };
                with_place(readonly.unwrap_or(false), kind)
            }
        }
    }

    fn cache_id(&self, namespace: &str) -> String {
        let id = if self.id.is_empty() {
            clean(&self.target)
        } else {
            self.id.clone()
        };
        if namespace.is_empty() {
            id
        } else {
            format!("{namespace}/{id}")
        }
    }

    fn secret(&self, absolute: &dyn Fn(&str) -> String) -> Mount {
        let base = |path: &str| {
            path.trim_end_matches('/')
                .rsplit('/')
                .next()
                .unwrap_or("")
                .to_owned()
        };
        let id = [&self.source, &self.id]
            .into_iter()
            .find(|id| !id.is_empty());
        let id = id.cloned().unwrap_or_else(|| base(&self.target));
        let target = match (self.target.as_str(), &self.env) {
            ("", Some(_)) => String::new(),
            ("", None) => format!("/run/secrets/{}", base(&id)),
            (target, _) => absolute(target),
        };
        Mount {
            target,
            readonly: true,
            kind: MountKind::Secret {
                env: self
                    .env
                    .clone()
                    .map(|env| if env.is_empty() { id.clone() } else { env }),
                id,
                required: self.required,
                mode: self.mode.unwrap_or(0o400),
                uid: self.uid.unwrap_or(0),
                gid: self.gid.unwrap_or(0),
            },
        }
    }

    fn ssh(&self, absolute: &dyn Fn(&str) -> String) -> Mount {
        let id = if self.id.is_empty() {
            "default"
        } else {
            &self.id
        };
        let target = match self.target.as_str() {
            "" => String::new(),
            target => absolute(target),
        };
        Mount {
            target,
            readonly: true,
            kind: MountKind::Ssh {
                id: id.to_owned(),
                required: self.required,
                mode: self.mode.unwrap_or(0o600),
                uid: self.uid.unwrap_or(0),
                gid: self.gid.unwrap_or(0),
            },
        }
    }
}

/// A truth value as Go reads it.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `64m`, `1.5 GiB`, `1024`: the units are powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let end = text.rfind(|ch: char| ch.is_ascii_digit() || ch == '.')? + 1;
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let number: f64 = number.trim_end_matches('.').parse().ok()?;
    let value = number * 1024_f64.powi(power);
    (0.0..9.0e18).contains(&value).then(|| whole(value))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to lie between 0 and 2^63"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(bytes("64m"), Some(64 << 20));
        assert_eq!(bytes("1.5GiB"), Some(3 << 29));
        assert_eq!(bytes("10 kb"), Some(10 << 10));
        assert_eq!(bytes("100"), Some(100));
        assert_eq!(bytes("x"), None);
        assert_eq!(bytes("1x"), None);
        assert_eq!(bytes("-1"), None);
    }
}
