//! Sources that are not files of a context.

/// What a source is, if it lies elsewhere: `a URL` or `a git repository`.
pub(super) fn remote(source: &str) -> Option<&'static str> {
    if source.starts_with("./") || source.starts_with("../") || source.starts_with("github.com/") {
        return None;
    }
    if let Some((scheme, rest)) = source.split_once("://")
        && !scheme.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return match scheme.to_ascii_lowercase().as_str() {
            "git" | "ssh" => Some("a git repository"),
            "http" | "https" => {
                let path = rest.split(['?', '#']).next().unwrap_or_default();
                let git = path.contains('/') && path.ends_with(".git");
                Some(if git { "a git repository" } else { "a URL" })
            }
            _ => None,
        };
    }
    is_scp_style(source).then_some("a git repository")
}

/// `user@host:path`
fn is_scp_style(source: &str) -> bool {
    let Some((user, rest)) = source.split_once('@') else {
        return false;
    };
    let Some((host, _)) = rest.split_once(':') else {
        return false;
    };
    let word = |ch: char| ch.is_ascii_alphanumeric() || "-_.".contains(ch);
    !user.is_empty() && user.chars().all(word) && !host.is_empty() && host.chars().all(word)
}

#[cfg(test)]
mod tests {
    use super::remote;

    #[test]
    fn kinds() {
        for (source, want) in [
            ("https://example.org/a.tar.gz", Some("a URL")),
            ("https://example.org/a.git#main", Some("a git repository")),
            ("git@example.org:a/b.git", Some("a git repository")),
            ("git://example.org/a", Some("a git repository")),
            ("github.com/a/b", None),
            ("src/a", None),
            ("a@b", None),
            ("./git@x:y", None),
        ] {
            assert_eq!(remote(source), want, "{source}");
        }
    }
}
