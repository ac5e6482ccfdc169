//! Copies beside what Docker Engine 28.5.2 made of the same Dockerfiles: every path with its kind, mode, owner and
//! contents.
//!
//! `copies/cases.txt` holds contexts and Dockerfiles, `copies/golden.json` the trees of that engine; null where it
//! refused. Of xz the row says what the reference says: that engine had no program at hand to unpack it.

#![expect(
    clippy::unwrap_used,
    reason = "a broken table or case has to stop the test"
)]

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bowline_build::dispatch::{Bases, Lowered, Options, lower};
use bowline_build::graph::{ContextId, Graph};
use bowline_build::ignore::Ignore;
use bowline_build::progress::Events;
use bowline_build::run::{Cancel, Canceller, RunError, RunFuture, RunOutput, RunStep, Runner};
use bowline_build::{Builder, BuilderSettings, ContextFolder, Inputs};
use bowline_image::Store;
use redb::backends::InMemoryBackend;

/// No case runs anything.
#[derive(Debug)]
struct Nothing;

impl Runner for Nothing {
    fn run(&self, _: RunStep, _: RunOutput, _: Cancel) -> RunFuture {
        Box::pin(async { Err(RunError::Cancelled) })
    }
}

fn unescaped(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\s", " ")
}

fn octal(text: &str) -> u32 {
    u32::from_str_radix(text, 8).unwrap()
}

fn archive(packing: &str, entries: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries.split(';') {
        let words: Vec<&str> = entry.splitn(6, ' ').collect();
        let mut header = tar::Header::new_ustar();
        let name = words[1].as_bytes();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_mtime(1);
        header.set_mode(0o644);
        header.set_size(0);
        let mut text = String::new();
        match words[0] {
            "l" => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_link_name_literal(words[2]).unwrap();
            }
            "h" => {
                header.set_entry_type(tar::EntryType::Link);
                header.set_link_name_literal(words[2]).unwrap();
            }
            kind => {
                header.set_mode(octal(words[2]));
                header.set_uid(words[3].parse().unwrap());
                header.set_gid(words[4].parse().unwrap());
                if kind == "d" {
                    header.set_entry_type(tar::EntryType::Directory);
                } else {
                    text = unescaped(words[5]);
                    header.set_size(text.len() as u64);
                }
            }
        }
        header.set_cksum();
        tar.append(&header, text.as_bytes()).unwrap();
    }
    packed(packing, &tar.into_inner().unwrap())
}

fn packed(packing: &str, bytes: &[u8]) -> Vec<u8> {
    match packing {
        "gz" => {
            let level = flate2::Compression::fast();
            let mut gz = flate2::write::GzEncoder::new(Vec::new(), level);
            gz.write_all(bytes).unwrap();
            gz.finish().unwrap()
        }
        "bz2" => {
            let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            bz.write_all(bytes).unwrap();
            bz.finish().unwrap()
        }
        "xz" => {
            let options = lzma_rust2::XzOptions::with_preset(1);
            let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
            xz.write_all(bytes).unwrap();
            xz.finish().unwrap()
        }
        _ => bytes.to_vec(),
    }
}

fn set_up(context: &Path, lines: &[&str]) {
    let mut modes: Vec<(PathBuf, u32)> = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let path = context.join(unescaped(words[1]));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match words[0] {
            "dir" => {
                fs::create_dir_all(&path).unwrap();
                modes.push((path, octal(words[2])));
            }
            "file" => {
                let text = words.get(3).copied().unwrap_or_default();
                fs::write(&path, unescaped(text)).unwrap();
                modes.push((path, octal(words[2])));
            }
            "link" => symlink(words[2], path).unwrap(),
            "hard" => fs::hard_link(context.join(words[2]), path).unwrap(),
            "tar" => fs::write(path, archive(words[2], words[3])).unwrap(),
            other => panic!("{other}"),
        }
    }
    for (path, mode) in modes {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn list(dir: &Path, prefix: &str, firsts: &mut HashMap<u64, String>, found: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = format!("{prefix}/{}", entry.file_name().to_str().unwrap());
        let stat = entry.metadata().unwrap();
        let owner = match (stat.uid(), stat.gid()) {
            (0, 0) => String::new(),
            (uid, gid) => format!(" {uid}:{gid}"),
        };
        let mode = stat.permissions().mode() & 0o7777;
        if stat.is_dir() {
            found.push(format!("{path}/ {mode:o}{owner}"));
            list(&entry.path(), &path, firsts, found);
        } else if stat.is_symlink() {
            let target = fs::read_link(entry.path()).unwrap();
            found.push(format!("{path} -> {}{owner}", target.display()));
        } else if let Some(first) = firsts.get(&stat.ino()) {
            found.push(format!("{path} = {first}"));
        } else {
            let bytes = fs::read(entry.path()).unwrap();
            let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
            let text: String = text.replace('\n', "\\n").chars().take(60).collect();
            found.push(format!("{path} {mode:o}{owner} {text}"));
            firsts.insert(stat.ino(), path);
        }
    }
}

async fn built(context: &Path, text: &str) -> Result<Vec<String>, String> {
    let scratch = tempfile::tempdir().unwrap();
    let db = redb::Builder::new()
        .create_with_backend(InMemoryBackend::new())
        .unwrap();
    let store = Store::open(&scratch.path().join("images"), Arc::new(db)).unwrap();
    let settings = BuilderSettings {
        parallel: 2,
        now: SystemTime::now,
    };
    let root = scratch.path().join("build");
    let builder = Builder::open(store.clone(), &root, Arc::new(Nothing), settings).unwrap();
    let file = bowline_build::dockerfile::parse(text).map_err(|faults| format!("{faults:?}"))?;
    let main = ContextId::new("main");
    let mut graph = Graph::default();
    let options = Options::new("t", main.clone());
    match lower(&mut graph, &file, &options, &Bases::default()) {
        Ok(Lowered::Done { .. }) => {}
        other => return Err(format!("{other:?}")),
    }
    let ignore = fs::read_to_string(context.join(".dockerignore")).unwrap_or_default();
    let folder = ContextFolder {
        path: context.to_owned(),
        ignore: Some(Ignore::parse(&ignore).unwrap()),
        keep_owner: false,
    };
    let inputs = Inputs {
        contexts: HashMap::from([(main, folder)]),
        ..Inputs::default()
    };
    let (events, _) = Events::channel(SystemTime::now);
    let (_canceller, cancel) = Canceller::new();
    let built = builder.solve(graph, inputs, events, cancel).await;
    let built = built.map_err(|error| format!("{error:?}"))?;
    let image = store.get(&built[0].id.to_string()).unwrap();
    let mount = store.mount_layers(&image.diff_ids).unwrap();
    let top = format!("/proc/self/fd/{}", mount.as_fd().as_raw_fd());
    let mut found = Vec::new();
    list(Path::new(&top), "", &mut HashMap::new(), &mut found);
    found.sort();
    Ok(found)
}

#[tokio::test]
async fn copies_are_those_of_docker() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        println!("skipped: needs root");
        return;
    }
    let golden = include_str!("copies/golden.json");
    let golden: HashMap<String, Option<Vec<String>>> = serde_json::from_str(golden).unwrap();
    let cases = include_str!("copies/cases.txt")
        .strip_prefix("=== ")
        .unwrap();
    let mut wrong = Vec::new();
    for case in cases.split("\n=== ") {
        let (name, body) = case.split_once('\n').unwrap();
        let lines: Vec<&str> = body.trim_end_matches('\n').split('\n').collect();
        let at = lines
            .iter()
            .position(|line| line.starts_with("FROM"))
            .unwrap();
        let context = tempfile::tempdir().unwrap();
        set_up(context.path(), &lines[..at]);
        let found = built(context.path(), &(lines[at..].join("\n") + "\n")).await;
        let wanted = &golden[name];
        if found.as_ref().ok() != wanted.as_ref() {
            wrong.push(format!("{name}:\n  docker {wanted:?}\n  ours   {found:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
