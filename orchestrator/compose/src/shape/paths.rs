//! Relative paths in a tree, seen from a folder.

use super::{section, workloads};
use crate::load::path;
use crate::yaml::{Node, Scalar, Value};

/// The folder paths are seen from, the caller's home, and what tells links apart.
pub(crate) struct Base<'a> {
    /// The folder, absolute, or relative to what a later pass knows.
    pub(crate) directory: &'a str,
    /// For `~`.
    pub(crate) home: Option<&'a str>,
}

impl Base<'_> {
    /// A path seen from the folder. An empty one stays empty.
    fn absolute(&self, node: &mut Node) {
        self.change(node, |base, text| match text {
            "" => None,
            text => Some(path::expand(base.directory, base.home, text)),
        });
    }

    /// The same where an empty path is the folder itself, and a Windows path is absolute.
    fn maybe_unix(&self, node: &mut Node) {
        self.change(node, |base, text| match is_windows(text) {
            true => None,
            false => Some(path::expand(base.directory, base.home, text)),
        });
    }

    /// A build context, which may be a reference of many kinds.
    fn context(&self, node: &mut Node) {
        let remote = |text: &str| {
            text.contains("://")
                || ["service:", "github.com/", "git@"]
                    .iter()
                    .any(|prefix| text.starts_with(prefix))
        };
        if !node.as_text().is_some_and(remote) {
            self.absolute(node);
        }
    }

    fn change(&self, node: &mut Node, new: impl Fn(&Self, &str) -> Option<String>) {
        if let Some(text) = node.as_text()
            && let Some(text) = new(self, text)
        {
            node.value = Value::Scalar(Scalar { text, plain: false });
        }
    }
}

/// Whether a path is absolute on Windows.
fn is_windows(text: &str) -> bool {
    let bytes = text.as_bytes();
    let drive = matches!(bytes, [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic());
    drive || text.starts_with(r"\\")
}

/// Rewrites every path of a tree in its long forms.
pub(crate) fn resolve(root: &mut Node, base: &Base<'_>) {
    for entry in workloads(root) {
        service(&mut entry.value, base);
    }
    for kind in ["configs", "secrets"] {
        for (_, entry) in section(root, kind).into_iter().flatten() {
            if let Some(file) = entry.value.get_mut("file") {
                base.maybe_unix(file);
            }
        }
    }
    for (_, entry) in section(root, "volumes").into_iter().flatten() {
        let volume = &mut entry.value;
        if volume.get("driver").and_then(Node::as_text) != Some("local") {
            continue;
        }
        if let Some(options) = volume.get_mut("driver_opts")
            && options.get("o").and_then(Node::as_text) == Some("bind")
            && let Some(device) = options.get_mut("device")
        {
            base.maybe_unix(device);
        }
    }
}

fn items<'n>(node: &'n mut Node, key: &str) -> impl Iterator<Item = &'n mut Node> {
    node.get_mut(key)
        .and_then(Node::sequence_mut)
        .into_iter()
        .flatten()
}

fn service(service: &mut Node, base: &Base<'_>) {
    if let Some(build) = service.get_mut("build") {
        if let Some(context) = build.get_mut("context") {
            base.context(context);
        }
        let named = |build: &mut Node, key: &str, resolve: &dyn Fn(&mut Node)| {
            let entries = build.get_mut(key).and_then(Node::mapping_mut);
            for (_, entry) in entries.into_iter().flatten() {
                resolve(&mut entry.value);
            }
        };
        named(build, "additional_contexts", &|node| base.context(node));
        named(build, "ssh", &|node| base.maybe_unix(node));
    }
    if let Some(file) = service.get_mut("extends").and_then(|e| e.get_mut("file")) {
        base.absolute(file);
    }
    if let Some(develop) = service.get_mut("develop") {
        for path in items(develop, "watch").filter_map(|rule| rule.get_mut("path")) {
            base.absolute(path);
        }
    }
    container(service, base);
    items(service, "pre_start").for_each(|hook| container(hook, base));
}

fn container(service: &mut Node, base: &Base<'_>) {
    for path in items(service, "env_file").filter_map(|file| file.get_mut("path")) {
        base.absolute(path);
    }
    items(service, "label_file").for_each(|file| base.absolute(file));
    for mount in items(service, "volumes") {
        if mount.get("type").and_then(Node::as_text) == Some("bind")
            && let Some(source) = mount.get_mut("source")
        {
            base.maybe_unix(source);
        }
    }
}
