use std::io::Read;

use super::*;
use crate::testing::Tar;

fn entries(archive: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut archive = Archive::new(archive);
    let mut found = Vec::new();
    while let Some(entry) = archive.next_entry()? {
        let mut contents = Vec::new();
        archive.read_to_end(&mut contents).map_err(TarError::Read)?;
        found.push((entry, contents));
    }
    Ok(found)
}

fn paths(archive: &[u8]) -> Vec<String> {
    entries(archive)
        .unwrap()
        .into_iter()
        .map(|(entry, _)| entry.shown())
        .collect()
}

#[test]
fn entries_come_with_their_contents() {
    let archive = Tar::new()
        .dir("d/")
        .file("d/f", "hello")
        .symlink("l", "d/f")
        .finish();
    let found = entries(&archive).unwrap();
    let kinds: Vec<_> = found.iter().map(|(entry, _)| entry.kind).collect();
    assert_eq!(kinds, [Kind::Directory, Kind::File, Kind::Symlink]);
    assert_eq!(found[1].1, b"hello");
    assert_eq!(found[2].0.link, b"d/f");
    assert_eq!(found[1].0.modified.seconds, 1_000_000_000);
}

#[test]
fn contents_that_nobody_reads_are_passed_over() {
    let archive = Tar::new()
        .file("a", &"x".repeat(1000))
        .file("b", "")
        .file("c", "z")
        .finish();
    let mut archive = Archive::new(&archive[..]);
    let mut count = 0;
    while archive.next_entry().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn pax_records_are_taken_by_their_length() {
    // A value with a newline and what looks like a record of its own: reading by lines would believe it.
    let evil = b"\x01\n27 path=/etc/shadow-of-evil\n\x00";
    let long = "n".repeat(300);
    let archive = Tar::new()
        .pax(&[
            ("SCHILY.xattr.security.capability", &evil[..]),
            ("path", long.as_bytes()),
            ("mtime", b"1234567890.000000005"),
            ("uid", b"3000000000"),
        ])
        .file("short", "x")
        .finish();
    let found = entries(&archive).unwrap();
    let entry = &found[0].0;
    assert_eq!(entry.shown(), long);
    assert_eq!(
        entry.xattrs,
        [(b"security.capability".to_vec(), evil.to_vec())]
    );
    assert_eq!(
        (entry.modified.seconds, entry.modified.nanoseconds),
        (1_234_567_890, 5)
    );
    assert_eq!(entry.uid, 3_000_000_000);
}

#[test]
fn sizes_may_come_from_pax_or_in_binary() {
    let mut tar = Tar::new().pax(&[("size", b"5")]);
    tar.push(b'0', "f", "", 0, 0o644, &[]);
    let mut archive = tar.finish();
    let end = archive.len() - 1024;
    archive.truncate(end);
    archive.extend_from_slice(b"hello");
    archive.resize(end + 512 + 1024, 0);
    assert_eq!(entries(&archive).unwrap()[0].1, b"hello");

    let mut size = [0; 12];
    (size[0], size[11]) = (0x80, 3);
    let mut tar = Tar::new();
    tar.push(b'0', "f", "", 0, 0o644, &[(124, &size)]);
    let mut archive = tar.finish();
    let end = archive.len() - 1024;
    archive[end..end + 3].copy_from_slice(b"abc");
    assert_eq!(entries(&archive).unwrap()[0].1, b"abc");
}

#[test]
fn gnu_long_names_are_read() {
    let long = "dir/".repeat(60) + "file";
    let archive = Tar::new()
        .entry(b'L', "././@LongLink", "", format!("{long}\0").as_bytes())
        .file("dir", "x")
        .finish();
    assert_eq!(paths(&archive), [long]);
}

#[test]
fn an_archive_may_end_without_its_end_mark() {
    let mut archive = Tar::new().file("a", "x").finish();
    archive.truncate(1024);
    assert_eq!(paths(&archive), ["a"]);
    assert!(paths(&[]).is_empty());
}

#[test]
fn damage_is_told() {
    let good = Tar::new().file("a", "x").finish();
    let mut bad = good.clone();
    bad[0] = b'b';
    assert!(matches!(entries(&bad), Err(TarError::Checksum { at: 0 })));
    assert!(matches!(
        entries(&good[..700]),
        Err(TarError::Read(_) | TarError::Truncated)
    ));
    assert!(matches!(entries(&good[..100]), Err(TarError::Truncated)));
    assert!(matches!(
        entries(b"GIF89a no archive"),
        Err(TarError::Truncated)
    ));
    let sparse = Tar::new()
        .pax(&[("GNU.sparse.major", b"1")])
        .file("a", "x")
        .finish();
    assert!(matches!(entries(&sparse), Err(TarError::Sparse { .. })));
    let sparse = Tar::new().entry(b'S', "a", "", b"").finish();
    assert!(matches!(entries(&sparse), Err(TarError::Sparse { .. })));
    let unknown = Tar::new().entry(b'Z', "a", "", b"").finish();
    assert!(matches!(
        entries(&unknown),
        Err(TarError::Kind { kind: 'Z', .. })
    ));
    for records in [
        &b"5 a=b"[..],
        b"99 a=b\n",
        b"x a=b\n",
        b"0 a=b\n",
        b"7 size\n",
        b"9 size=x\n",
    ] {
        let archive = Tar::new()
            .entry(b'x', "p", "", records)
            .file("a", "")
            .finish();
        let told = entries(&archive);
        assert!(
            matches!(told, Err(TarError::Pax { .. })),
            "{records:?} {told:?}"
        );
    }
}

#[test]
fn huge_sizes_are_no_trap() {
    for size in [u64::MAX, 1 << 63, (1 << 63) - 1, (1 << 63) - 512, 1 << 40] {
        let archive = Tar::new()
            .pax(&[("size", size.to_string().as_bytes())])
            .file("a", "x");
        assert!(entries(&archive.finish()).is_err(), "{size}");
    }
    let mut tar = Tar::new();
    tar.push(b'x', "p", "", 1 << 30, 0o644, &[]);
    assert!(matches!(
        entries(&tar.finish()),
        Err(TarError::TooLong { .. })
    ));
}

mod random {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
            let _either = super::entries(&bytes);
        }

        #[test]
        fn no_header_makes_the_reader_panic(
            kind in prop::sample::select(b"0123456xgLKSV7".to_vec()),
            fields in prop::collection::vec((100_usize..500, any::<u8>()), 0..20),
            body in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let patches: Vec<_> = fields.iter().map(|(at, byte)| (*at, [*byte])).collect();
            let patches: Vec<_> = patches.iter().map(|(at, byte)| (*at, &byte[..])).collect();
            let mut tar = super::Tar::new();
            tar.push(kind, "name", "link", body.len() as u64, 0o644, &patches);
            let mut archive = tar.finish();
            archive.extend_from_slice(&body);
            let _either = super::entries(&archive);
        }
    }
}
