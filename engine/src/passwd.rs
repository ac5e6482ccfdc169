//! The machine's group file, read without NSS: a static binary must not load foreign modules.

/// The id of group `name` in the machine's `/etc/group`.
pub(crate) fn host_group(name: &str) -> Option<u32> {
    find(&std::fs::read_to_string("/etc/group").ok()?, name)
}

fn find(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_group_among_damaged_lines() {
        let text = "root:x:0:\n\nbroken\nbowline:x:998:ann,bob\n";
        assert_eq!(find(text, "bowline"), Some(998));
        assert_eq!(find(text, "broken"), None);
        assert_eq!(find(text, "nobody"), None);
    }
}
