use super::*;

fn tree() -> (tempfile::TempDir, Root) {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "outside").unwrap();
    std::fs::create_dir_all(outside.path().join("root/etc")).unwrap();
    let root = Root::open(&outside.path().join("root")).unwrap();
    (outside, root)
}

#[test]
fn links_cannot_leave_the_tree() {
    let (outside, root) = tree();
    let secret = outside.path().join("secret");
    for target in ["../secret", "../../../../secret", secret.to_str().unwrap()] {
        root.dir().symlink(target, "out").unwrap();
        let error = root.open_file("out").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{target}");
        root.dir().remove_file("out").unwrap();
    }
    assert_eq!(
        root.open_file("../secret").unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
}

#[test]
fn absolute_links_start_at_the_top_of_the_tree() {
    let (_outside, root) = tree();
    root.open_dir("etc")
        .unwrap()
        .create_file("passwd", 0o644)
        .unwrap();
    root.dir().symlink("/etc/passwd", "link").unwrap();
    assert_eq!(root.stat("link").unwrap().kind, FileKind::File);
    assert_eq!(root.stat_nofollow("link").unwrap().kind, FileKind::Symlink);
    assert!(root.without_symlinks().unwrap().open_file("link").is_err());
}

#[test]
fn mkdir_all_makes_what_a_dangling_link_points_to() {
    let (outside, root) = tree();
    root.dir().symlink("/run/../run/lock", "lock").unwrap();
    root.mkdir_all("lock/deep", 0o755).unwrap();
    assert!(outside.path().join("root/run/lock/deep").is_dir());
    assert_eq!(
        root.locate("/lock/deep/../x").unwrap(),
        Path::new("run/lock/x")
    );
}

#[test]
fn link_loops_end() {
    let (_outside, root) = tree();
    root.dir().symlink("b", "a").unwrap();
    root.dir().symlink("a", "b").unwrap();
    assert!(root.locate("a/x").is_err());
    assert!(root.mkdir_all("a/x", 0o755).is_err());
}

#[test]
fn names_are_single_components() {
    let (_outside, root) = tree();
    for name in ["", ".", "..", "a/b", "../x"] {
        assert!(root.dir().create_file(name, 0o600).is_err(), "{name:?}");
    }
}

#[test]
fn remove_all_does_not_follow_links() {
    let (outside, root) = tree();
    root.mkdir_all("d/e", 0o755).unwrap();
    root.open_dir("d")
        .unwrap()
        .symlink(outside.path(), "out")
        .unwrap();
    root.dir().remove_all("d").unwrap();
    assert!(outside.path().join("secret").exists());
    assert!(root.stat("d").is_err());
    root.dir().remove_all("d").unwrap();
}

#[test]
fn attributes_of_links_and_directories() {
    let (_outside, root) = tree();
    let time = Timestamp {
        seconds: 1_000_000_000,
        nanoseconds: 5,
    };
    root.dir().symlink("nowhere", "link").unwrap();
    root.dir().set_times("link", time).unwrap();
    assert_eq!(root.stat_nofollow("link").unwrap().modified, time);
    assert_eq!(root.dir().read_link("link").unwrap(), Path::new("nowhere"));
    let etc = root.open_dir("etc").unwrap();
    etc.set_own_times(time).unwrap();
    assert_eq!(root.stat("etc").unwrap().modified, time);
    assert_eq!(etc.path().unwrap().file_name().unwrap(), "etc");
}
