//! "Did you mean …?"

/// The name that is fewer than three edits away from what was written, the nearest first. None if one of them was meant
/// as it stands: then the fault lies elsewhere.
pub(crate) fn closest<'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let mut best = None;
    let mut least = 3;
    for name in names {
        if name == written {
            return None;
        }
        let distance = edits(written, name);
        if distance < least {
            least = distance;
            best = Some(name);
        }
    }
    best
}

fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, ch) in from.chars().enumerate() {
        let mut diagonal = at;
        row[0] = at + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(ch != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        assert_eq!(closest("chowm", ["chmod", "chown", "from"]), Some("chown"));
        assert_eq!(closest("chown", ["chown"]), None);
        assert_eq!(closest("xyz", ["chown"]), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
