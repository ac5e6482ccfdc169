use super::*;
use crate::graph::Chmod;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn files_and_directories_go_where_the_stock_builder_puts_them() {
    let world = world();
    world.put("a", "1");
    world.put("d/x", "2");
    world.put("d/sub/y", "3");
    chmod(&world.context().join("d/sub"), 0o700);
    chmod(&world.context().join("d"), 0o700);
    for (path, dest, wanted) in [
        ("/a", "/b", vec!["/b 644 1"]),
        ("/a", "/b/", vec!["/b/ 755", "/b/a 644 1"]),
        ("/a", "/x/y/b", vec!["/x/ 755", "/x/y/ 755", "/x/y/b 644 1"]),
        (
            "/d",
            "/e",
            vec!["/e/ 755", "/e/sub/ 700", "/e/sub/y 644 3", "/e/x 644 2"],
        ),
        (
            "/",
            "/",
            vec![
                "/a 644 1",
                "/d/ 700",
                "/d/sub/ 700",
                "/d/sub/y 644 3",
                "/d/x 644 2",
            ],
        ),
        ("/d/*", "/e/", vec!["/e/ 755", "/e/x 644 2", "/e/y 644 3"]),
        ("/nothing*", "/e/", vec![]),
    ] {
        let built = world.build(copy_graph(path, dest, |_| {})).await;
        assert_eq!(world.tree(built.id()), wanted, "{path} {dest}");
    }
    let missing = world.build(copy_graph("/missing", "/e/", |_| {})).await;
    assert!(chain(&missing.result.unwrap_err()).contains("\"/missing\" not found"));
}

#[tokio::test]
async fn options_of_copy() {
    let world = world();
    world.put("d/a.sh", "1");
    world.put("d/b.txt", "2");
    let tree = async |change: fn(&mut Copy)| {
        let built = world.build(copy_graph("/d", "/e/", change)).await;
        world.tree(built.id())
    };
    assert_eq!(
        tree(|copy| copy.exclude = vec!["*.txt".to_owned()]).await,
        ["/e/ 755", "/e/a.sh 644 1"]
    );
    assert_eq!(
        tree(|copy| copy.chown = Some("7:8".to_owned())).await,
        ["/e/ 755 7:8", "/e/a.sh 644 7:8 1", "/e/b.txt 644 7:8 2"]
    );
    assert_eq!(
        tree(|copy| copy.chmod = Some(Chmod::Symbolic("u+x".to_owned()))).await,
        ["/e/ 755", "/e/a.sh 744 1", "/e/b.txt 744 2"]
    );
    let parents = tree(|copy| {
        copy.sources[0].path = "/".to_owned();
        copy.sources[0].parents = Some("d/*.sh".to_owned());
    });
    assert_eq!(parents.await, ["/e/ 755", "/e/d/ 755", "/e/d/a.sh 644 1"]);
}

#[tokio::test]
async fn links_of_the_image_are_followed_inside_it() {
    let world = world();
    world.put("a", "1");
    world.put("base/real/keep", "k");
    symlink("/real", world.context().join("base/link")).unwrap();
    symlink("../../../../etc", world.context().join("base/out")).unwrap();
    let mut plan = Plan::default();
    let base = plan.scratch();
    let context = plan.context();
    let first = plan.copy(base, copying(vec![from(context, "/base")], "/"));
    let second = plan.copy(first, copying(vec![from(context, "/a")], "/link/"));
    let third = plan.copy(second, copying(vec![from(context, "/a")], "/out/passwd"));
    let built = world.build(plan.target(third)).await;
    assert_eq!(
        world.tree(built.id()),
        [
            "/etc/ 755",
            "/etc/passwd 644 1",
            "/link -> /real",
            "/out -> ../../../../etc",
            "/real/ 755",
            "/real/a 644 1",
            "/real/keep 644 k",
        ]
    );
}

#[tokio::test]
async fn a_linked_copy_lies_over_any_base() {
    let world = world();
    world.put("a", "1");
    let graph = |text: &str| {
        let mut plan = Plan::default();
        let base = plan.scratch();
        let context = plan.context();
        let below = plan.run(base, &["write", "/b", text]);
        let mut copy = copying(vec![from(context, "/a")], "/d/");
        copy.link = true;
        let copy = plan.copy(below, copy);
        plan.target(copy)
    };
    world.build(graph("1")).await;
    let other = world.build(graph("2")).await;
    assert_eq!(other.counts(), (1, 1), "the copy does not care");
    assert_eq!(
        world.tree(other.id()),
        ["/b 644 2", "/d/ 755", "/d/a 644 1"]
    );
}

#[tokio::test]
async fn a_directory_and_a_file_do_not_replace_each_other() {
    let world = world();
    world.put("a", "1");
    world.put("d/a/x", "2");
    let both = |first: &'static str, second: &'static str, dest: &'static str| {
        let mut plan = Plan::default();
        let base = plan.scratch();
        let context = plan.context();
        let one = plan.copy(base, copying(vec![from(context, first)], "/t/"));
        let two = plan.copy(one, copying(vec![from(context, second)], dest));
        plan.target(two)
    };
    assert!(world.build(both("/a", "/d", "/t/")).await.result.is_err());
    assert!(world.build(both("/d", "/a", "/t/")).await.result.is_err());
    assert!(world.build(both("/a", "/d", "/t/a")).await.result.is_err());
}

#[tokio::test]
async fn inline_files_and_working_directories() {
    let world = world();
    let mut plan = Plan::default();
    let base = plan.scratch();
    let files = plan.add(
        Op::Files(vec![InlineFile {
            path: "/hello".to_owned(),
            mode: 0o644,
            data: b"hi\n".to_vec(),
        }]),
        "files",
    );
    let copy = plan.copy(base, copying(vec![from(files, "/hello")], "/there"));
    let dir = MakeDir {
        base: copy,
        path: "/w/x".to_owned(),
        mode: 0o755,
        owner: "5".to_owned(),
    };
    let dir = plan.add(Op::MakeDir(dir), "WORKDIR /w/x");
    let built = world.build(plan.target(dir)).await;
    assert_eq!(
        world.tree(built.id()),
        ["/there 644 hi\n", "/w/ 755 5:5", "/w/x/ 755 5:5"]
    );
}

#[tokio::test]
async fn what_did_not_change_is_shared_between_layers_and_never_within_one() {
    let world = world();
    for name in ["d/a", "d/b", "d/c"] {
        world.put(name, "same");
        let times = fs::FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
        fs::File::open(world.context().join(name))
            .unwrap()
            .set_times(times)
            .unwrap();
    }
    // Beyond the grain of the clock, so that contents are known for sure.
    let grain = std::time::Duration::from_millis(60);
    let until = std::time::Instant::now() + grain;
    while std::time::Instant::now() < until {
        std::thread::yield_now();
    }
    let inodes = async || {
        let built = world.build(copy_graph("/d", "/e", |_| {})).await;
        let image = world.store.get(&built.id().to_string()).unwrap();
        let dir = world.store.layer_dirs(&image.diff_ids)[0].join("e");
        ["a", "b", "c"].map(|name| fs::metadata(dir.join(name)).unwrap().ino())
    };
    let first = inodes().await;
    fs::write(world.context().join("d/x"), "new").unwrap();
    let second = inodes().await;
    assert_eq!(
        second.iter().filter(|inode| first.contains(inode)).count(),
        1
    );
    assert!(second[0] != second[1] && second[1] != second[2] && second[0] != second[2]);
}

#[tokio::test]
async fn hard_links_stay_links() {
    let world = world();
    world.put("d/a", "1");
    fs::hard_link(world.context().join("d/a"), world.context().join("d/b")).unwrap();
    let built = world.build(copy_graph("/d", "/e", |_| {})).await;
    let image = world.store.get(&built.id().to_string()).unwrap();
    let dir = &world.store.layer_dirs(&image.diff_ids)[0];
    let inode = |name: &str| fs::metadata(dir.join("e").join(name)).unwrap().ino();
    assert_eq!(inode("a"), inode("b"));
}

fn tar(change: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    change(&mut tar);
    tar.into_inner().unwrap()
}

type Archive = tar::Builder<Vec<u8>>;

fn entry(tar: &mut Archive, kind: tar::EntryType, path: &str, link: &str, text: &str) {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o640);
    header.set_uid(3);
    header.set_gid(4);
    header.set_mtime(1);
    header.set_size(text.len() as u64);
    header.set_cksum();
    tar.append(&header, text.as_bytes()).unwrap();
}

async fn added(world: &World, archive: &[u8]) -> Outcome {
    fs::write(world.context().join("x.tar"), archive).unwrap();
    let graph = copy_graph("/x.tar", "/t/", |copy| copy.sources[0].unpack = true);
    world.build(graph).await
}

#[tokio::test]
async fn archives_are_unpacked_whatever_packed_them() {
    use std::io::Write as _;
    use tar::EntryType as Kind;
    let world = world();
    let plain = tar(|tar| {
        entry(tar, Kind::Regular, "d/a", "", "1");
        entry(tar, Kind::Link, "d/b", "d/a", "");
        entry(tar, Kind::Symlink, "l", "d/a", "");
    });
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&plain).unwrap();
    let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bz.write_all(&plain).unwrap();
    for packed in [
        plain.clone(),
        gz.finish().unwrap(),
        bz.finish().unwrap(),
        zstd::encode_all(&plain[..], 1).unwrap(),
    ] {
        let built = added(&world, &packed).await;
        assert_eq!(
            world.tree(built.id()),
            [
                "/t/ 755",
                "/t/d/ 755",
                "/t/d/a 640 3:4 1",
                "/t/d/b 640 3:4 1",
                "/t/l -> d/a 3:4"
            ]
        );
    }
    let built = added(&world, b"no archive").await;
    assert_eq!(
        world.tree(built.id()),
        ["/t/ 755", "/t/x.tar 644 no archive"]
    );
}

#[tokio::test]
async fn a_poisoned_archive_is_refused_and_leaves_nothing() {
    use tar::EntryType as Kind;
    let world = world();
    let outside = world.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let mut evil = vec![
        tar(|tar| entry(tar, Kind::Regular, "../../evil", "", "x")),
        tar(|tar| entry(tar, Kind::Link, "l", "../../etc/passwd", "")),
    ];
    let mut cut = tar(|tar| entry(tar, Kind::Regular, "a", "", &"x".repeat(5000)));
    cut.truncate(2000);
    evil.push(cut);
    for archive in evil {
        let failed = added(&world, &archive).await;
        assert!(failed.result.is_err());
        let ingest = world.dir.path().join("images/ingest");
        assert_eq!(fs::read_dir(ingest).unwrap().count(), 0);
    }
    // A link that stays inside as text, and leads outside on this machine only.
    let through = tar(|tar| {
        entry(tar, Kind::Symlink, "l", outside.to_str().unwrap(), "");
        entry(tar, Kind::Regular, "l/evil", "", "x");
    });
    added(&world, &through).await.id();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}
