//! PAX records: `length key=value\n`, where the length alone says where the value ends.

use bowline_sys::root::Timestamp;

/// What extended headers say in place of the plain header.
#[derive(Clone, Debug, Default)]
pub(super) struct Overrides {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) modified: Option<Timestamp>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: bool,
}

impl Overrides {
    /// Takes the records over; `None` if they are damaged.
    pub(super) fn read_pax(&mut self, mut records: &[u8]) -> Option<()> {
        while !records.is_empty() {
            let space = records.iter().position(|byte| *byte == b' ')?;
            let length: usize = text(&records[..space])?.parse().ok()?;
            let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
            records = &records[length..];
            let equals = record.iter().position(|byte| *byte == b'=')?;
            self.set(&record[..equals], &record[equals + 1..])?;
        }
        Some(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        // An empty value takes an earlier one back.
        match key {
            b"path" => self.path = filled(value).map(<[u8]>::to_vec),
            b"linkpath" => self.link = filled(value).map(<[u8]>::to_vec),
            b"size" => self.size = parsed(value)?,
            b"uid" => self.uid = parsed(value)?,
            b"gid" => self.gid = parsed(value)?,
            b"mtime" => {
                self.modified = filled(value)
                    .map(time)
                    .map_or(Some(None), |t| t.map(Some))?;
            }
            _ if key.starts_with(b"GNU.sparse.") => self.sparse = true,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.retain(|(known, _)| known != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Some(())
    }

    /// These, and where they say nothing, the archive's global ones.
    pub(super) fn over(self, global: &Self) -> Self {
        let mut xattrs = global.xattrs.clone();
        xattrs.retain(|(name, _)| self.xattrs.iter().all(|(own, _)| own != name));
        xattrs.extend(self.xattrs);
        Self {
            path: self.path.or_else(|| global.path.clone()),
            link: self.link.or_else(|| global.link.clone()),
            size: self.size.or(global.size),
            uid: self.uid.or(global.uid),
            gid: self.gid.or(global.gid),
            modified: self.modified.or(global.modified),
            xattrs,
            sparse: self.sparse || global.sparse,
        }
    }
}

fn filled(value: &[u8]) -> Option<&[u8]> {
    (!value.is_empty()).then_some(value)
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

#[expect(
    clippy::option_option,
    reason = "a damaged number and a withdrawn one differ"
)]
fn parsed<T: std::str::FromStr>(value: &[u8]) -> Option<Option<T>> {
    match text(value)? {
        "" => Some(None),
        number => number.parse().ok().map(Some),
    }
}

/// Seconds with a decimal fraction. Before 1970 the fraction counts backwards, as the whole number does.
fn time(value: &[u8]) -> Option<Timestamp> {
    let value = text(value)?;
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let seconds: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: u32 = format!("{fraction:0<9}")[..9].parse().ok()?;
    if value.starts_with('-') && nanoseconds > 0 {
        return Some(Timestamp {
            seconds: seconds - 1,
            nanoseconds: 1_000_000_000 - nanoseconds,
        });
    }
    Some(Timestamp {
        seconds,
        nanoseconds,
    })
}
