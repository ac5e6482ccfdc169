use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bowline_sys::root::{Dir, FileKind, Root, Stat};
use bowline_sys::xattr;
use proptest::prelude::*;

use super::*;
use crate::testing::{Tar, gzip};

/// An unpacked layer, with files beside it that must never be touched.
struct Layer {
    scratch: tempfile::TempDir,
    tar: Vec<u8>,
    outcome: Result<LayerRecord, Error>,
}

const CANARY: &str = "nobody was here";

impl Layer {
    fn of(tar: Tar) -> Self {
        Self::unpacked(tar.finish())
    }

    fn unpacked(tar: Vec<u8>) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir(scratch.path().join("staging")).unwrap();
        std::fs::write(scratch.path().join("canary"), CANARY).unwrap();
        let outcome = unpack(&scratch.path().join("staging"), &tar[..]);
        let outcome = outcome.map(|(digest, record, _)| {
            assert_eq!(digest, Digest::of(&tar));
            record
        });
        Self {
            scratch,
            tar,
            outcome,
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.scratch.path().join("staging/diff").join(path)
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    fn stat(&self, path: &str) -> Stat {
        Root::open(&self.path(""))
            .unwrap()
            .stat_nofollow(path)
            .unwrap()
    }

    fn is_opaque(&self, path: &str) -> bool {
        let dir = Dir::open(&self.path(path)).unwrap();
        xattr::get(&dir, "trusted.overlay.opaque".as_ref())
            .unwrap()
            .as_deref()
            == Some(b"y")
    }

    /// Unpacked, and the exact tar comes out again.
    fn good(self) -> Self {
        if let Err(error) = &self.outcome {
            panic!("{error}: {:?}", std::error::Error::source(error));
        }
        let mut again = Vec::new();
        write_tar(&self.scratch.path().join("staging"), &mut again).unwrap();
        assert!(again == self.tar, "the tar written again differs");
        self.contained()
    }

    /// Whatever happened, nothing beside the layer has changed.
    fn contained(self) -> Self {
        let canary = self.scratch.path().join("canary");
        assert_eq!(std::fs::read_to_string(&canary).unwrap(), CANARY);
        let stat = std::fs::symlink_metadata(&canary).unwrap();
        assert_eq!(
            (stat.nlink(), stat.uid()),
            (1, 0),
            "the canary was linked or given away"
        );
        assert_eq!(names(self.scratch.path()), ["canary", "staging"]);
        let known = ["diff", "recipe", "replaced"];
        for name in names(&self.scratch.path().join("staging")) {
            assert!(known.contains(&name.as_str()), "{name}");
        }
        self
    }

    fn refused(self) -> String {
        let error = self.outcome.as_ref().unwrap_err().to_string();
        self.contained();
        error
    }
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn files_come_out_as_they_went_in() {
    let capability = [
        1, 0, 0, 2, 0x0a, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let layer = Layer::of(
        Tar::new()
            .with(b'5', "./", 0o711, &[])
            .with(b'5', "tmp/", 0o1777, &[])
            .file("tmp/a", "contents")
            .with(
                b'0',
                "su",
                0o4755,
                &[(108, b"0000017\0"), (116, b"0000021\0")],
            )
            .pax(&[
                ("SCHILY.xattr.security.capability", &capability),
                ("SCHILY.xattr.user.note", b"two\nlines"),
                ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
                ("mtime", b"1234567890.123456789"),
            ])
            .file("cap", "x")
            .symlink("link", "/etc/passwd")
            .with(
                b'3',
                "null",
                0o666,
                &[(329, b"0000001\0"), (337, b"0000003\0")],
            )
            .with(b'6', "fifo", 0o640, &[])
            .link("b", "tmp/a"),
    )
    .good();
    assert_eq!(layer.outcome.as_ref().unwrap().size, 9);
    assert_eq!(layer.stat("").mode, 0o711);
    assert_eq!(layer.stat("tmp").mode, 0o1777);
    assert_eq!(
        layer.stat("tmp").modified.seconds,
        1_000_000_000,
        "set after its entries"
    );
    assert_eq!(layer.read("b"), "contents");
    assert_eq!(layer.stat("b").identity, layer.stat("tmp/a").identity);
    let su = layer.stat("su");
    assert_eq!((su.mode, su.uid, su.gid), (0o4755, 15, 17));
    let cap = std::fs::File::open(layer.path("cap")).unwrap();
    let attribute = |name: &str| xattr::get(&cap, name.as_ref()).unwrap();
    assert_eq!(attribute("security.capability").unwrap(), capability);
    assert_eq!(attribute("user.note").unwrap(), b"two\nlines");
    assert_eq!(
        attribute("trusted.overlay.redirect"),
        None,
        "it could name any file"
    );
    assert_eq!(layer.stat("cap").modified.nanoseconds, 123_456_789);
    assert_eq!(layer.stat("link").modified.seconds, 1_000_000_000);
    assert_eq!(layer.stat("null").device, (1, 3));
    assert_eq!(layer.stat("null").mode, 0o666);
    assert_eq!(
        (layer.stat("fifo").kind, layer.stat("fifo").mode),
        (FileKind::Fifo, 0o640)
    );
}

#[test]
fn whiteouts_take_the_form_overlayfs_reads() {
    let layer = Layer::of(
        Tar::new()
            .file("d/.wh.gone", "")
            .dir("o/")
            .file("o/kept", "x")
            .file("o/.wh..wh..opq", "")
            .file(".wh..wh.plnk", ""),
    )
    .good();
    assert!(layer.stat("d/gone").is_whiteout());
    assert!(
        layer.is_opaque("o"),
        "opaque even when its mark comes after what it holds"
    );
    assert_eq!(layer.read("o/kept"), "x");
    assert_eq!(names(&layer.path("")), ["d", "o"]);
}

#[test]
fn what_a_layer_removes_and_brings_back_is_only_what_it_brings() {
    let replaced = Tar::new().file(".wh.w", "").dir("w/").file("w/new", "x");
    let layer = Layer::of(replaced).good();
    assert!(
        layer.is_opaque("w"),
        "the lower directory of that name must stay hidden"
    );
    let reversed = Tar::new().dir("w/").file("w/new", "x").file(".wh.w", "");
    assert!(Layer::of(reversed).good().is_opaque("w"));
    let implied = Tar::new().file(".wh.w", "").file("w/new", "x");
    assert!(Layer::of(implied).good().is_opaque("w"));
    let file = Layer::of(
        Tar::new()
            .file(".wh.f", "")
            .file("f", "x")
            .file(".wh.f", ""),
    )
    .good();
    assert_eq!(file.read("f"), "x");
}

#[test]
fn the_last_of_several_entries_counts() {
    let layer = Layer::of(
        Tar::new()
            .file("f", "first")
            .file("f", "second")
            .dir("d/")
            .file("d/in", "inside")
            .file("d", "now a file")
            .file("g", "file")
            .dir("g")
            .file("g/in", "in")
            .file("h", "linked")
            .link("i", "h")
            .file("h", "other")
            .symlink("s", "f")
            .file("s", "no link"),
    )
    .good();
    assert_eq!(layer.read("f"), "second");
    assert_eq!(layer.read("d"), "now a file");
    assert_eq!(layer.read("g/in"), "in");
    assert_eq!(
        (layer.read("h"), layer.read("i")),
        ("other".into(), "linked".into())
    );
    assert_eq!(
        (layer.read("s"), layer.read("f")),
        ("no link".into(), "second".into())
    );
}

#[test]
fn a_directory_twice_keeps_its_files() {
    let tar = Tar::new()
        .dir("d/")
        .file("d/f", "x")
        .with(b'5', "d/", 0o700, &[]);
    let layer = Layer::of(tar).good();
    assert_eq!(layer.read("d/f"), "x");
    assert_eq!(layer.stat("d").mode, 0o700);
}

#[test]
fn links_of_the_layer_are_followed_inside_it() {
    let layer = Layer::of(
        Tar::new()
            .dir("usr/lib/")
            .symlink("lib", "usr/lib")
            .file("lib/a.so", "elf"),
    )
    .good();
    assert_eq!(layer.read("usr/lib/a.so"), "elf");
    let absolute = Tar::new().symlink("run", "/var/run").file("run/pid", "1");
    assert_eq!(Layer::of(absolute).good().read("var/run/pid"), "1");
}

#[test]
fn hard_links_may_come_before_their_target() {
    let layer = Layer::of(
        Tar::new()
            .link("a", "dir/b")
            .file("dir/b", "x")
            .link("a", "a"),
    )
    .good();
    assert_eq!(layer.read("a"), "x");
    assert!(
        Layer::of(Tar::new().link("a", "nowhere"))
            .refused()
            .contains("hard link `a`")
    );
    assert!(
        Layer::of(Tar::new().dir("d").link("a", "d"))
            .refused()
            .contains("hard link `a`")
    );
    let through = Tar::new().symlink("s", "/etc/passwd").link("a", "s");
    let layer = Layer::of(through).good();
    assert_eq!(
        layer.stat("a").kind,
        FileKind::Symlink,
        "the link itself, not its target"
    );
}

#[test]
fn packed_layers_have_the_digest_of_their_contents() {
    let tar = Tar::new().file("a", "x").finish();
    for packed in [
        gzip(&tar),
        zstd::encode_all(&tar[..], 1).unwrap(),
        tar.clone(),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let (digest, record, rest) = unpack(scratch.path(), &packed[..]).unwrap();
        assert_eq!(digest, Digest::of(&tar));
        assert_eq!(record.tar_size, tar.len() as u64);
        assert!(rest.is_empty() || packed == tar);
    }
}

#[test]
fn bytes_after_the_end_mark_belong_to_the_digest() {
    let mut tar = Tar::new().file("a", "x").finish();
    tar.extend_from_slice(&[0; 9000]);
    tar.extend_from_slice(b"and more");
    Layer::unpacked(tar).good();
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../canary", "a/../../canary", "/../../canary", ".."] {
        let told = Layer::of(Tar::new().file(name, "evil")).refused();
        assert!(told.contains("leads out"), "{name}: {told}");
        Layer::of(Tar::new().dir(name)).refused();
        Layer::of(Tar::new().symlink(name, "x")).refused();
        let link = Layer::of(Tar::new().link("stolen", name));
        assert!(link.refused().contains("leads out"));
    }
    Layer::of(Tar::new().file("../.wh.canary", "")).refused();
    Layer::of(Tar::new().file("x/.wh...", "")).refused();
    Layer::of(Tar::new().file("x/.wh..", "")).refused();
    Layer::of(Tar::new().file("x/.wh.", "")).refused();
    let absolute = Layer::of(Tar::new().file("/canary", "inside")).good();
    assert_eq!(
        absolute.read("canary"),
        "inside",
        "absolute names start at the layer's top"
    );
}

#[test]
fn links_that_lead_out_lead_to_the_layers_top() {
    for target in ["..", "../..", "/", "../../../../../../.."] {
        let layer = Layer::of(
            Tar::new()
                .symlink("out", target)
                .file("out/canary", "evil")
                .file("out/.wh.staging", "")
                .dir("out/new"),
        )
        .good();
        assert_eq!(layer.read("canary"), "evil", "{target}");
        assert!(layer.stat("staging").is_whiteout());
    }
}

#[test]
fn absolute_links_to_the_host_stay_inside() {
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("victim"), CANARY).unwrap();
    let target = host.path().to_str().unwrap();
    let layer = Layer::of(
        Tar::new()
            .symlink("out", target)
            .file("out/victim", "evil")
            .symlink("v", &format!("{target}/victim"))
            .file("v", "evil")
            .link("w", "out/victim"),
    );
    drop(layer.contained());
    assert_eq!(
        std::fs::read_to_string(host.path().join("victim")).unwrap(),
        CANARY
    );
    assert_eq!(names(host.path()), ["victim"]);
}

#[test]
fn a_directory_swapped_for_a_link_is_not_walked_through() {
    let layer = Layer::of(
        Tar::new()
            .dir("d/")
            .file("d/f", "x")
            .symlink("d", "../..")
            .file("d/canary", "evil")
            .file("d/.wh.recipe", "")
            .link("d/l", "d/canary"),
    )
    .good();
    assert_eq!(layer.read("canary"), "evil");
}

#[test]
fn magic_links_and_loops_are_refused() {
    Layer::of(
        Tar::new()
            .symlink("p", "/proc/self/cwd")
            .file("p/x", "evil"),
    )
    .contained();
    Layer::of(
        Tar::new()
            .symlink("a", "b")
            .symlink("b", "a")
            .file("a/x", "evil"),
    )
    .refused();
    Layer::of(Tar::new().file("f", "").file("f/x", "evil")).refused();
}

#[test]
fn sizes_that_lie_end_in_an_error() {
    let mut tar = Tar::new();
    tar.push(b'0', "big", "", 1 << 40, 0o644, &[]);
    Layer::unpacked(tar.finish()).refused();
    let endless = Tar::new()
        .pax(&[("size", b"9223372036854775807")])
        .file("big", "x");
    Layer::of(endless).refused();
    let mut cut = Tar::new().file("a", &"x".repeat(5000)).finish();
    cut.truncate(3000);
    Layer::unpacked(cut).refused();
}

#[test]
fn paths_too_long_or_too_deep_are_refused() {
    let deep = "d/".repeat(300) + "f";
    let told = Layer::of(Tar::new().pax(&[("path", deep.as_bytes())]).file("x", "")).refused();
    assert!(told.contains("256 directories deep"));
    let long = "n".repeat(256);
    Layer::of(Tar::new().pax(&[("path", long.as_bytes())]).file("x", "")).refused();
    let step = "d/".repeat(200);
    let chained = Tar::new()
        .pax(&[("path", (step.clone() + "e/").as_bytes())])
        .dir("x")
        .pax(&[("linkpath", step.as_bytes())])
        .symlink("s", "")
        .pax(&[("path", ("s/".to_owned() + &step + "f").as_bytes())])
        .file("x", "");
    assert!(Layer::of(chained).refused().contains("make the parent"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Entries of every kind over a few names that point at each other and out: nothing escapes, and what unpacks can
    /// be written again to the byte.
    #[test]
    fn no_sequence_of_entries_escapes(
        entries in prop::collection::vec((0_usize..5, 0_usize..10, 0_usize..10), 1..24)
    ) {
        const NAMES: [&str; 10] = [
            "a", "b", "a/b", "a/canary", "b/a/c", ".wh.a", "a/.wh..wh..opq", "a/../b", "/a/staging", "b/.wh.c",
        ];
        const TARGETS: [&str; 10] = [
            "a", "b", "..", "../..", "/", "a/b", "../../canary", "/proc/self/root", "b/a", "../staging/diff",
        ];
        let mut tar = Tar::new();
        for (kind, name, target) in entries {
            let (name, target) = (NAMES[name], TARGETS[target]);
            tar = match kind {
                0 => tar.file(name, target),
                1 => tar.dir(name),
                2 => tar.symlink(name, target),
                3 => tar.link(name, target),
                _ => tar.with(b'6', name, 0o644, &[]),
            };
        }
        let layer = Layer::of(tar);
        drop(if layer.outcome.is_ok() { layer.good() } else { layer.contained() });
    }
}
