use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use bowline_sys::root::Root;

use super::*;
use crate::create::{NewFile, NewFileKind};
use crate::error::{Conflict, ErrorKind};
use crate::testing::{Tar, gzip, remains, store, store_in};
use crate::{Loaded, Progress};

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

fn import(store: &Store, tar: Tar, as_name: &str) -> Image {
    let archive = gzip(&tar.finish());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (name, changes) = (name(as_name), ["CMD x".to_owned()]);
    let imported = store.import(&archive[..], Some(&name), &changes, "");
    runtime.block_on(imported).unwrap()
}

fn load(store: &Store, archive: &[u8]) -> Result<Vec<Loaded>> {
    let (news, _listener) = tokio::sync::mpsc::channel::<Progress>(100);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(store.load(archive, news))
}

fn save(store: &Store, names: &[&str]) -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(store.save(&names, &mut archive))?;
    Ok(archive)
}

fn nobody(_: &ImageId) -> Option<InUse> {
    None
}

fn used(running: bool) -> impl Fn(&ImageId) -> Option<InUse> {
    move |_| {
        Some(InUse {
            container: "web".to_owned(),
            running,
        })
    }
}

#[test]
fn images_are_found_by_every_form_of_their_name() {
    let (_scratch, store) = store();
    let image = import(&store, Tar::new().file("a", "x"), "app:1");
    let id = image.id.0.hex();
    for text in [
        "app:1",
        "docker.io/library/app:1",
        id,
        &id[..12],
        &id[..1],
        &image.id.to_string(),
    ] {
        assert_eq!(store.get(text).unwrap().id, image.id, "{text}");
    }
    assert_eq!(
        store.get(&format!("sha256:{}", &id[..5])).unwrap().id,
        image.id
    );
    for (text, told) in [
        ("app", "No such image: app:latest"),
        ("other:1", "No such image: other:1"),
        ("sha256:0", "No such image: sha256:0"),
        ("UPPER", "No such image: UPPER"),
        ("", "No such image: "),
    ] {
        let error = store.get(text).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.kind()),
            (told, ErrorKind::NotFound)
        );
    }
    assert_eq!(image.config.cmd.unwrap(), ["/bin/sh", "-c", "x"]);
    assert_eq!(image.size, 1);
}

#[test]
fn a_tag_moves_and_leaves_the_old_image_nameless() {
    let (_scratch, store) = store();
    let old = import(&store, Tar::new().file("a", "x"), "app");
    let new = import(&store, Tar::new().file("b", "x"), "app");
    assert_ne!(old.id, new.id);
    assert_eq!(store.get("app").unwrap().id, new.id);
    assert!(store.get(old.id.0.hex()).unwrap().tags.is_empty());
    store.tag(&old.id, &name("second:v2")).unwrap();
    assert_eq!(store.get("second:v2").unwrap().id, old.id);
    assert_eq!(store.list().unwrap().len(), 2);
    let missing = ImageId(Digest::of(b"nothing"));
    assert_eq!(
        store.tag(&missing, &name("x")).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn an_image_goes_with_its_last_name() {
    let (_scratch, store) = store();
    let image = import(&store, Tar::new().file("a", "x"), "app:1");
    store.tag(&image.id, &name("app:2")).unwrap();
    let first = store.remove("app:1", false, &nobody).unwrap();
    assert_eq!(first, [Removed::Untagged("app:1".to_owned())]);
    let rest = store.remove("app:2", false, &nobody).unwrap();
    let layer = image.diff_ids[0].to_string();
    let expected = [
        Removed::Untagged("app:2".to_owned()),
        Removed::Deleted(image.id.to_string()),
        Removed::Deleted(layer),
    ];
    assert_eq!(rest, expected);
    assert_eq!(remains(&store), [0, 0, 0]);
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn conflicts_are_told_in_dockers_words() {
    let (_scratch, store) = store();
    let image = import(&store, Tar::new().file("a", "x"), "app:1");
    let id = image.id.0.hex();
    let conflict = |name: &str, force, running| match store.remove(name, force, &used(running)) {
        Err(Error::Conflict(conflict)) => Some(conflict),
        other => {
            assert!(other.is_ok());
            None
        }
    };
    assert!(matches!(
        conflict("app:1", false, false),
        Some(Conflict::Referenced { .. })
    ));
    assert!(matches!(
        conflict(id, false, false),
        Some(Conflict::Stopped { .. })
    ));
    assert!(matches!(
        conflict(id, true, true),
        Some(Conflict::Running { .. })
    ));
    store.tag(&image.id, &name("other:1")).unwrap();
    let error = store.remove(id, false, &nobody).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("image is referenced in multiple repositories")
    );
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(
        conflict("other:1", false, true),
        None,
        "another name is left"
    );
    assert_eq!(conflict("app:1", true, false), None);
    assert!(
        store.get(id).unwrap().tags.is_empty(),
        "a stopped container keeps what it needs"
    );
    store.remove(id, false, &nobody).unwrap();
    assert!(store.get(id).is_err());
}

#[test]
fn shared_layers_stay_until_the_last_image_goes() {
    let (_scratch, store) = store();
    let first = import(&store, Tar::new().file("a", "x"), "one");
    let second = import(&store, Tar::new().file("a", "x"), "two");
    // The clock tells nanoseconds, so the images differ while their layer does not.
    assert_ne!(first.id, second.id);
    assert_eq!(first.diff_ids, second.diff_ids);
    assert_eq!(store.shared_size(&first.id).unwrap(), 1);
    assert_eq!(store.disk_usage().unwrap(), 1);
    store.remove("one", false, &nobody).unwrap();
    assert_eq!(remains(&store), [1, 0, 0]);
    let pin = store.pin(&second.diff_ids);
    store.remove("two", false, &nobody).unwrap();
    assert_eq!(remains(&store), [1, 0, 0], "someone counts on it");
    drop(pin);
    store.sweep().unwrap();
    assert_eq!(remains(&store), [0, 0, 0]);
}

#[test]
fn pruning_takes_the_nameless_or_all_that_is_unused() {
    let (_scratch, store) = store();
    import(&store, Tar::new().file("a", "xx"), "app");
    let kept = import(&store, Tar::new().file("b", "x"), "app");
    let pruned = store.prune(false, &nobody).unwrap();
    assert_eq!((pruned.reclaimed, pruned.removed.len()), (2, 2));
    assert_eq!(store.prune(true, &used(false)).unwrap(), Pruned::default());
    let pruned = store.prune(true, &nobody).unwrap();
    assert!(
        pruned
            .removed
            .contains(&Removed::Deleted(kept.id.to_string()))
    );
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn what_a_crash_leaves_is_swept_at_the_next_start() {
    let (_scratch, store) = store();
    let image = import(&store, Tar::new().file("a", "x"), "app");
    let lost = import(&store, Tar::new().file("b", "x"), "lost");
    let images = &store.0.root;
    std::fs::create_dir_all(images.join("ingest/new-7/diff")).unwrap();
    std::fs::write(images.join("ingest/abc.part"), "half").unwrap();
    std::fs::create_dir_all(images.join("trash/old")).unwrap();
    let orphan = images.join("layers").join(Digest::of(b"orphan").hex());
    std::fs::create_dir_all(orphan.join("diff")).unwrap();
    std::fs::remove_dir_all(store.0.layer_dir(&lost.diff_ids[0])).unwrap();
    store.sweep().unwrap();
    assert_eq!(
        remains(&store),
        [1, 1, 0],
        "one layer, one partial download to resume"
    );
    assert_eq!(store.get("app").unwrap(), image);
    assert!(
        store.get("lost").is_err(),
        "an image without its files is not there"
    );
}

#[test]
fn what_is_saved_loads_again_bit_by_bit() {
    let (_scratch, store) = store();
    let image = import(
        &store,
        Tar::new().dir("d").file("d/a", "x").file("d/a", "y"),
        "app:1",
    );
    store.tag(&image.id, &name("app:2")).unwrap();
    store.tag(&image.id, &name("localhost:5000/z:3")).unwrap();
    let archive = save(&store, &["app", "localhost:5000/z:3"]).unwrap();
    let (_other, target) = crate::testing::store();
    for packed in [
        archive.clone(),
        gzip(&archive),
        zstd::encode_all(&archive[..], 1).unwrap(),
    ] {
        let loaded = load(&target, &packed).unwrap();
        assert_eq!(loaded.len(), 1);
        assert_eq!(loaded[0].id, image.id);
        let names: Vec<_> = loaded[0].names.iter().map(Reference::familiar).collect();
        assert_eq!(names, ["app:1", "app:2", "localhost:5000/z:3"]);
        assert_eq!(remains(&target), [1, 0, 0]);
    }
    assert_eq!(
        save(&target, &["app", "localhost:5000/z:3"]).unwrap(),
        archive
    );
    assert!(matches!(
        save(&store, &["nothing"]),
        Err(Error::NotFound { .. })
    ));
}

/// The same archive without Docker's own list, as other tools write it.
fn without(archive: &[u8], name: &str) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let entry = entry.unwrap();
        if entry.path().unwrap().to_str() != Some(name) {
            out.append(&entry.header().clone(), entry).unwrap();
        }
    }
    out.into_inner().unwrap()
}

#[test]
fn an_oci_layout_loads_too() {
    let (_scratch, store) = store();
    let image = import(&store, Tar::new().file("a", "x"), "app:1");
    let archive = without(&save(&store, &["app:1"]).unwrap(), "manifest.json");
    let (_other, target) = crate::testing::store();
    let loaded = load(&target, &archive).unwrap();
    assert_eq!(
        (&loaded[0].id, &loaded[0].names),
        (&image.id, &vec![name("app:1")])
    );
    let (_third, target) = crate::testing::store();
    let neither = without(&archive, "index.json");
    let error = load(&target, &neither).unwrap_err();
    assert!(error.to_string().contains("holds no image"), "{error}");
    assert_eq!(remains(&target), [0, 0, 0]);
}

fn classic(layers: &[(&str, &[u8])], diff_ids: &[Digest]) -> Vec<u8> {
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "config": {"Env": null},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let paths: Vec<_> = layers.iter().map(|(path, _)| *path).collect();
    let list = serde_json::json!([{"Config": "c.json", "RepoTags": ["old:1"], "Layers": paths}]);
    let mut tar = Tar::new();
    for (path, contents) in layers {
        tar = match contents.strip_prefix(b"->") {
            Some(target) => tar.symlink(path, std::str::from_utf8(target).unwrap()),
            None => tar.entry(b'0', path, "", contents),
        };
    }
    tar.file("c.json", &config.to_string())
        .file("manifest.json", &list.to_string())
        .finish()
}

#[test]
fn classic_archives_with_packed_layers_and_links_load() {
    let layer = Tar::new().file("a", "x").finish();
    let empty = vec![0; 1024];
    let archive = classic(
        &[
            ("1/layer.tar", &layer),
            ("2/layer.tar", b"->../1/layer.tar"),
            ("3/layer.tar", &empty),
        ],
        &[Digest::of(&layer), Digest::of(&layer), Digest::of(&empty)],
    );
    let (scratch, store) = store();
    let loaded = load(&store, &archive).unwrap();
    let image = store.get("old:1").unwrap();
    assert_eq!(loaded[0].id, image.id);
    assert_eq!(remains(&store), [2, 0, 0]);
    let snapshot = store.snapshot(&image.id, scratch.path()).unwrap();
    assert_eq!(
        snapshot.lowers.len(),
        2,
        "overlayfs refuses the same directory twice"
    );
    drop(store.mount(&image.id).unwrap());
    let packed = classic(&[("l", &gzip(&layer))], &[Digest::of(&layer)]);
    load(&store, &packed).unwrap();
}

#[test]
fn archives_that_lie_are_refused_and_leave_nothing() {
    let layer = Tar::new().file("a", "x").finish();
    let (_scratch, store) = store();
    let wrong = classic(&[("l", &layer)], &[Digest::of(b"other")]);
    assert!(
        load(&store, &wrong)
            .unwrap_err()
            .to_string()
            .contains("promised")
    );
    let fewer = classic(&[("l", &layer)], &[]);
    assert!(
        load(&store, &fewer)
            .unwrap_err()
            .to_string()
            .contains("1 layers")
    );
    let hex = Digest::of(b"other").hex().to_owned();
    let named = format!("blobs/sha256/{hex}");
    let belied = classic(&[(&named, &layer)], &[Digest::of(&layer)]);
    assert!(
        load(&store, &belied)
            .unwrap_err()
            .to_string()
            .contains("has the digest")
    );
    let missing = Tar::new()
        .file("manifest.json", r#"[{"Config":"x","Layers":["y"]}]"#)
        .finish();
    assert!(
        load(&store, &missing)
            .unwrap_err()
            .to_string()
            .contains("lacks `x`")
    );
    let lacking = Tar::new().file("manifest.json", "[null]").finish();
    assert!(
        load(&store, &lacking)
            .unwrap_err()
            .to_string()
            .contains("manifest.json")
    );
    let evil = classic(
        &[("l", &Tar::new().file("../x", "").finish())],
        &[Digest::of(b"")],
    );
    assert!(
        load(&store, &evil)
            .unwrap_err()
            .to_string()
            .contains("leads out")
    );
    let mut cut = classic(&[("l", &layer)], &[Digest::of(&layer)]);
    cut.truncate(700);
    load(&store, &cut).unwrap_err();
    load(&store, b"no archive at all").unwrap_err();
    load(&store, b"").unwrap_err();
    assert_eq!(remains(&store), [0, 0, 0]);
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn an_image_is_made_of_files_at_hand() {
    let (scratch, store) = store();
    let binary = scratch.path().join("binary");
    std::fs::write(&binary, "program").unwrap();
    let file = |path: &str, kind| NewFile {
        path: path.into(),
        kind,
        mode: 0o755,
        owner: (0, 0),
    };
    let files = [
        file("/tmp", NewFileKind::Directory),
        file("/demo", NewFileKind::Copy(binary)),
        file("/bin/serve", NewFileKind::HardLink("/demo".into())),
        file(
            "/etc/passwd",
            NewFileKind::Contents(b"root:x:0:0::/:\n".to_vec()),
        ),
        file("/usr", NewFileKind::Symlink("/".into())),
    ];
    let config = ImageConfig {
        cmd: Some(vec!["/demo".into()]),
        ..ImageConfig::default()
    };
    let image = store
        .create_from_files(&name("bowline/demo"), &files, config)
        .unwrap();
    let root = Root::from_fd(store.mount(&image.id).unwrap());
    let demo = root.stat("demo").unwrap();
    assert_eq!(
        root.stat("usr/bin/serve").unwrap().identity.1,
        demo.identity.1
    );
    assert_eq!(demo.mode, 0o755);
    assert!(
        root.dir().create_file("new", 0o600).is_err(),
        "it is read-only"
    );
    let history = store.history("bowline/demo").unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].id.as_ref(), Some(&image.id));
    let missing = [file("/x", NewFileKind::Copy(PathBuf::from("/nowhere")))];
    let failed = store.create_from_files(&name("y"), &missing, ImageConfig::default());
    assert!(failed.unwrap_err().to_string().contains("/nowhere"));
    assert_eq!(remains(&store), [1, 0, 0]);
}

#[test]
fn a_snapshot_takes_over_the_roots_attributes() {
    let (scratch, store) = store();
    let root = Tar::new()
        .with(b'5', "./", 0o750, &[(108, b"0000012\0")])
        .file("a", "x");
    let image = import(&store, root, "app");
    let snapshot = store.snapshot(&image.id, scratch.path()).unwrap();
    let upper = std::fs::metadata(&snapshot.upper).unwrap();
    assert_eq!((upper.mode() & 0o7777, upper.uid()), (0o750, 10));
    assert_eq!(
        store.snapshot(&image.id, scratch.path()).unwrap(),
        snapshot,
        "made once"
    );
}

#[test]
fn layers_hide_and_show_as_whiteouts_say() {
    let (_scratch, store) = store();
    let lower = Tar::new()
        .file("d/old", "1")
        .file("gone", "1")
        .file("o/old", "1")
        .finish();
    let upper = Tar::new()
        .file(".wh.gone", "")
        .file("d/new", "2")
        .file("o/.wh..wh..opq", "")
        .file("o/new", "2")
        .finish();
    let archive = classic(
        &[("1", &lower), ("2", &upper)],
        &[Digest::of(&lower), Digest::of(&upper)],
    );
    load(&store, &archive).unwrap();
    let image = store.get("old:1").unwrap();
    let root = Root::from_fd(store.mount(&image.id).unwrap());
    let there = |path: &str| root.stat(path).is_ok();
    assert!(there("d/old") && there("d/new") && there("o/new"));
    assert!(!there("gone") && !there("o/old"));
}

#[test]
fn this_file_system_can_hold_containers_and_proc_cannot() {
    let scratch = tempfile::tempdir().unwrap();
    crate::verify_filesystem(scratch.path()).unwrap();
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    crate::verify_filesystem(std::path::Path::new("/proc")).unwrap_err();
}

/// A file system of its own of a few megabytes, gone with the guard.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Self {
        let at = tempfile::tempdir().unwrap();
        nix::mount::mount(
            Some("small"),
            at.path(),
            Some("tmpfs"),
            nix::mount::MsFlags::empty(),
            Some("size=4m"),
        )
        .unwrap();
        Self(at)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    let disk = SmallDisk::new();
    let store = store_in(disk.0.path());
    let small = import(&store, Tar::new().file("a", "x"), "small");
    let noise: String = (0..6_000_000_u32)
        .map(|i| char::from(b'a' + u8::try_from(i.wrapping_mul(i) % 25).unwrap()))
        .collect();
    let archive = Tar::new().file("big", &noise).finish();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let failed = runtime.block_on(store.import(&archive[..], Some(&name("big")), &[], ""));
    let error = failed.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert!(
        error
            .to_string()
            .contains("no space left on the file system"),
        "{error}"
    );
    let packed = classic(&[("l", &gzip(&archive))], &[Digest::of(&archive)]);
    assert_eq!(load(&store, &packed).unwrap_err().kind(), ErrorKind::Full);
    let file = NewFile {
        path: "big".into(),
        kind: NewFileKind::Contents(noise.into_bytes()),
        mode: 0o644,
        owner: (0, 0),
    };
    // The reason is the disk, not the pipe that broke because of it.
    let failed = store.create_from_files(&name("made"), &[file], ImageConfig::default());
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(remains(&store), [1, 0, 0]);
    assert_eq!(
        store.list().unwrap(),
        [small],
        "what was there is untouched"
    );
}
