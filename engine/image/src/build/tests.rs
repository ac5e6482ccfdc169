//! Layers made of directories: what is in them, that they can be written again, and that nothing shows before it may.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::*;
use crate::config::{ImageFile, RootFs};
use crate::layer::write_tar;
use crate::tar::Archive;
use crate::testing::{remains, store, store_in};

fn root() -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root {
        println!("skipped: needs root");
    }
    root
}

/// Paths and kinds in a layer's tar.
fn names(store: &Store, layer: &Digest) -> Vec<String> {
    let mut tar = Vec::new();
    write_tar(&store.0.layer_dir(layer), &mut tar).unwrap();
    assert_eq!(Digest::of(&tar), *layer, "the tar can be written again");
    let mut archive = Archive::new(&tar[..]);
    let mut names = Vec::new();
    while let Some(entry) = archive.next_entry().unwrap() {
        names.push(format!(
            "{} {:?} {:o}",
            entry.shown(),
            entry.kind,
            entry.mode
        ));
    }
    names
}

fn step(store: &Store, below: &[Digest], change: impl FnOnce(&Path)) -> Sealed {
    let scratch = store.scratch(below).unwrap();
    let lowers = store.lower_dirs(below, 1);
    let mount = Overlay {
        lowers: &lowers,
        upper: Some((scratch.upper(), scratch.work())),
    };
    let mount = mount.mount().unwrap();
    let top = Dir::from_fd(mount);
    let path = format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&top))
    );
    change(Path::new(&path));
    drop(top);
    store.seal(scratch, below).unwrap()
}

fn record(layers: &[Digest]) -> BuildRecord {
    BuildRecord {
        layers: layers.to_vec(),
        created: 1,
        used: 1,
        uses: 1,
        description: "RUN".to_owned(),
        parents: Vec::new(),
    }
}

fn image(layers: &[Digest]) -> NewBuild {
    let file = ImageFile {
        rootfs: RootFs {
            diff_ids: layers.to_vec(),
            ..RootFs::default()
        },
        ..ImageFile::default()
    };
    NewBuild {
        config: serde_json::to_vec(&file).unwrap(),
        names: vec!["built:1".parse().unwrap()],
    }
}

#[test]
fn a_layer_holds_what_changed_and_nothing_else() {
    if !root() {
        return;
    }
    let (_scratch, store) = store();
    let base = step(&store, &[], |top| {
        fs::create_dir_all(top.join("etc/sub")).unwrap();
        fs::write(top.join("etc/passwd"), "root").unwrap();
        fs::write(top.join("etc/sub/gone"), "").unwrap();
        fs::create_dir(top.join("old")).unwrap();
        fs::write(top.join("old/x"), "").unwrap();
    });
    assert_eq!(
        names(&store, &base.diff_id),
        [
            "etc/ Directory 755",
            "etc/passwd File 644",
            "etc/sub/ Directory 755",
            "etc/sub/gone File 644",
            "old/ Directory 755",
            "old/x File 644",
        ]
    );
    let below = [base.diff_id.clone()];
    let above = step(&store, &below, |top| {
        fs::remove_file(top.join("etc/sub/gone")).unwrap();
        fs::remove_dir_all(top.join("old")).unwrap();
        fs::create_dir(top.join("old")).unwrap();
        fs::write(top.join("a"), "12345").unwrap();
        fs::hard_link(top.join("a"), top.join("b")).unwrap();
        symlink("a", top.join("l")).unwrap();
        fs::set_permissions(top.join("a"), fs::Permissions::from_mode(0o4711)).unwrap();
        // Touched is as good as changed: the stock builder's layers have it too.
        let owner = top.join("etc/passwd");
        std::os::unix::fs::chown(&owner, Some(0), Some(0)).unwrap();
    });
    assert_eq!(
        names(&store, &above.diff_id),
        [
            "a File 4711",
            "b HardLink 4711",
            "etc/ Directory 755",
            "etc/passwd File 644",
            "etc/sub/ Directory 755",
            "etc/sub/.wh.gone File 0",
            "l Symlink 777",
            "old/ Directory 755",
            "old/.wh..wh..opq File 0",
        ]
    );
    assert_eq!(above.size, 9);
    let nothing = step(&store, &below, |_| {});
    assert_eq!(
        nothing.diff_id,
        Digest::of(&[0; 1024]),
        "an archive without entries"
    );
}

#[test]
fn long_names_attributes_and_large_files_survive() {
    if !root() {
        return;
    }
    let (_scratch, store) = store();
    let long = "d".repeat(120);
    let sealed = step(&store, &[], |top| {
        fs::create_dir(top.join(&long)).unwrap();
        let file = top.join(&long).join("f".repeat(200));
        fs::write(&file, vec![7; 1_000_001]).unwrap();
        let open = fs::File::open(&file).unwrap();
        bowline_sys::xattr::set(&open, "user.note".as_ref(), b"a\nb").unwrap();
        symlink("t".repeat(300), top.join("link")).unwrap();
        std::os::unix::fs::chown(&file, Some(3_000_000), Some(1)).unwrap();
    });
    let mut tar = Vec::new();
    write_tar(&store.0.layer_dir(&sealed.diff_id), &mut tar).unwrap();
    assert_eq!(Digest::of(&tar), sealed.diff_id);
    let mut archive = Archive::new(&tar[..]);
    let mut seen = Vec::new();
    while let Some(entry) = archive.next_entry().unwrap() {
        seen.push((
            entry.path.len(),
            entry.link.len(),
            entry.uid,
            entry.size,
            entry.xattrs.len(),
        ));
    }
    let expected = [
        (121, 0, 0, 0, 0),
        (321, 0, 3_000_000, 1_000_001, 1),
        (4, 300, 0, 0, 0),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn many_files_make_the_same_layer_in_every_order() {
    if !root() {
        return;
    }
    let (_scratch, store) = store();
    let make = |reverse: bool| {
        let sealed = step(&store, &[], |top| {
            let mut numbers: Vec<u32> = (0..1500).collect();
            if reverse {
                numbers.reverse();
            }
            for number in numbers {
                let path = top.join(number.to_string());
                fs::write(&path, vec![1; usize::try_from(number).unwrap()]).unwrap();
                let time = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
                fs::File::open(&path).unwrap().set_times(time).unwrap();
            }
        });
        sealed.diff_id
    };
    let first = make(false);
    assert_eq!(make(true), first);
    assert_eq!(names(&store, &first).len(), 1500);
    assert_eq!(remains(&store)[..2], [1, 0]);
}

#[test]
fn nothing_shows_before_it_is_committed_and_a_crash_leaves_nothing() {
    if !root() {
        return;
    }
    let (_scratch, store) = store();
    let sealed = step(&store, &[], |top| fs::write(top.join("a"), "1").unwrap());
    let layers = [sealed.diff_id.clone()];
    let key = Digest::of(b"key");
    assert!(store.build_record(&key).unwrap().is_none());
    assert_eq!(store.disk_usage().unwrap(), 0);
    // The engine dies here.
    std::mem::forget(sealed);
    lock(&store.0.placed).clear();
    pinned_clear(&store);
    store.sweep().unwrap();
    assert_eq!(remains(&store), [0, 0, 0]);
    assert!(store.hold(&layers).is_err());
}

fn pinned_clear(store: &Store) {
    crate::store::pinned(&store.0).clear();
}

#[test]
fn a_committed_build_stays_until_it_is_pruned() {
    if !root() {
        return;
    }
    let (_scratch, store) = store();
    let sealed = step(&store, &[], |top| fs::write(top.join("a"), "123").unwrap());
    let layers = vec![sealed.diff_id.clone()];
    let key = Digest::of(b"key");
    let commit = BuildCommit {
        records: &[(key.clone(), record(&layers))],
        images: &[image(&layers)],
        ..BuildCommit::default()
    };
    let ids = store.commit_build(&commit).unwrap();
    assert_eq!(store.get("built:1").unwrap().id, ids[0]);
    store.sync_builds().unwrap();
    store.sweep().unwrap();
    store.remove("built:1", false, &|_| None).unwrap();
    assert_eq!(store.build_record(&key).unwrap().unwrap().layers, layers);
    let all = PruneBuilds::default();
    let held = store.prune_builds(&all, 5, &|_| true).unwrap();
    assert_eq!(held, PrunedBuilds::default(), "a build under way holds it");
    drop(sealed);
    let pruned = store.prune_builds(&all, 5, &|_| true).unwrap();
    assert_eq!((pruned.removed, pruned.reclaimed), (vec![key], 3));
    assert_eq!(remains(&store), [0, 0, 0]);
}

#[test]
fn what_had_not_reached_the_disk_when_the_machine_stopped_is_forgotten() {
    if !root() {
        return;
    }
    let (_scratch, store) = store();
    let sealed = step(&store, &[], |top| fs::write(top.join("a"), "123").unwrap());
    let layers = vec![sealed.diff_id.clone()];
    let key = Digest::of(b"key");
    let commit = BuildCommit {
        records: &[(key.clone(), record(&layers))],
        images: &[image(&layers)],
        ..BuildCommit::default()
    };
    store.commit_build(&commit).unwrap();
    drop(sealed);
    let other_boot =
        |tables: &mut crate::store::Tables<'_>| tables.put_unsynced(&layers[0], "other");
    store.0.write(other_boot).unwrap();
    store.sweep().unwrap();
    assert!(store.get("built:1").is_err());
    assert!(store.build_record(&key).unwrap().is_none());
    assert_eq!(remains(&store), [0, 0, 0]);
}

#[test]
fn an_abandoned_step_leaves_nothing() {
    if !root() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let store = store_in(scratch.path());
    let room = store.scratch(&[]).unwrap();
    fs::write(room.upper().join("x"), "x").unwrap();
    drop(room);
    assert_eq!(remains(&store), [0, 0, 0]);
}
