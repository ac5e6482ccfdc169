//! `!reset` and `!override`: what a document takes back of the documents before it.

use crate::yaml::{MergeTag, Node, Value};

/// Where a document has tags. What is marked `!reset` is removed from the document itself.
pub(crate) fn take(document: &mut Node) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    collect(document, &mut Vec::new(), &mut paths);
    paths
}

fn collect(node: &mut Node, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    match &mut node.value {
        Value::Scalar(_) => {}
        Value::Sequence(items) => {
            items.retain(|item| item.tag != Some(MergeTag::Reset));
            for (index, item) in items.iter_mut().enumerate() {
                item.tag = None;
                path.push(index.to_string());
                collect(item, path, paths);
                path.pop();
            }
        }
        Value::Mapping(mapping) => mapping.retain(|key, entry| {
            path.push(key.clone());
            let tag = entry.value.tag.take();
            if tag.is_some() {
                paths.push(path.clone());
            }
            // Inside what is replaced, tags have nothing left to take back.
            if tag.is_none() {
                collect(&mut entry.value, path, paths);
            }
            path.pop();
            tag != Some(MergeTag::Reset)
        }),
    }
}

/// Deletes those places from another tree.
pub(crate) fn apply(root: &mut Node, paths: &[Vec<String>]) {
    for path in paths {
        delete(root, path);
    }
}

/// The same for one entry of a section: its own tree, without what leads to it.
pub(crate) fn apply_below(node: &mut Node, section: &str, name: &str, paths: &[Vec<String>]) {
    for path in paths {
        if let [first, second, rest @ ..] = path.as_slice()
            && first == section
            && second == name
            && !rest.is_empty()
        {
            delete(node, rest);
        }
    }
}

fn delete(node: &mut Node, path: &[String]) {
    let Some(mapping) = node.mapping_mut() else {
        return;
    };
    match path {
        [] => {}
        [last] => {
            mapping.shift_remove(last);
        }
        [first, rest @ ..] => {
            if let Some(entry) = mapping.get_mut(first) {
                delete(&mut entry.value, rest);
            }
        }
    }
}
