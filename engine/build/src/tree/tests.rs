use std::fs;
use std::os::unix::fs::symlink;
use std::time::SystemTime;

use super::*;

fn tree(dir: &Path, ignore: &str) -> Tree {
    let stats = StatCache::open(dir.join(".stats"), dir, SystemTime::now);
    let ignore = Arc::new(Ignore::parse(ignore).unwrap());
    Tree::folder(dir, Some(ignore), false, Arc::new(stats)).unwrap()
}

fn names(tree: &Tree, path: &str) -> Vec<String> {
    let node = tree.resolve(Path::new(path)).unwrap().unwrap();
    let list = tree.list(&node).unwrap();
    list.iter()
        .map(|entry| entry.name.to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_is_ignored_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b.log", "out/x", "out/keep/y", "out/other"] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    symlink("b.log", dir.path().join("link")).unwrap();
    let tree = tree(dir.path(), "*.log\nout\n!out/keep\n");
    assert_eq!(names(&tree, ""), ["a", "link", "out"]);
    assert_eq!(names(&tree, "out"), ["keep"]);
    let gone = |path: &str| tree.resolve(Path::new(path)).unwrap().is_none();
    assert!(gone("b.log") && gone("link") && gone("out/x") && gone("a/b"));
}

#[test]
fn no_link_leads_out() {
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("context");
    fs::create_dir_all(inside.join("etc")).unwrap();
    fs::write(dir.path().join("secret"), "host").unwrap();
    fs::write(inside.join("etc/passwd"), "mine").unwrap();
    symlink("/etc/passwd", inside.join("absolute")).unwrap();
    symlink("../../secret", inside.join("up")).unwrap();
    symlink("loop", inside.join("loop")).unwrap();
    let tree = tree(&inside, "");
    let found = tree.resolve(Path::new("absolute")).unwrap().unwrap();
    assert_eq!(found.path, Path::new("etc/passwd"));
    assert!(tree.resolve(Path::new("up")).unwrap().is_none());
    assert!(tree.resolve(Path::new("../secret")).unwrap().is_none());
    assert!(tree.resolve(Path::new("loop")).is_err());
}
