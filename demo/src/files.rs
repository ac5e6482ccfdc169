//! Verbs about files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use crate::words::{Fault, OrFail, Outcome, Words};

pub(crate) fn cat(words: Words) -> Outcome {
    let files = words.rest();
    let mut out = io::stdout().lock();
    if files.is_empty() {
        io::copy(&mut io::stdin().lock(), &mut out).or_fail("cannot copy standard input")?;
    }
    for path in files {
        let mut file = File::open(&path).or_fail(format!("cannot open `{path}`"))?;
        io::copy(&mut file, &mut out).or_fail(format!("cannot read `{path}`"))?;
    }
    Ok(0)
}

/// `write`: the words with a newline behind them, or standard input as it is. On disk when it ends.
pub(crate) fn write(mut words: Words) -> Outcome {
    let append = words.flag("--append");
    let path = words.next("FILE")?;
    let text = words.rest();
    let mut options = File::options();
    options
        .create(true)
        .append(append)
        .write(true)
        .truncate(!append);
    let mut file = options
        .open(&path)
        .or_fail(format!("cannot open `{path}`"))?;
    let written = match text.is_empty() {
        true => io::copy(&mut io::stdin().lock(), &mut file).map(drop),
        false => writeln!(file, "{}", text.join(" ")),
    };
    written
        .and_then(|()| file.sync_all())
        .or_fail(format!("cannot write `{path}`"))?;
    Ok(0)
}

pub(crate) fn touch(words: Words) -> Outcome {
    each(words, "FILE", |path| {
        let file = File::options().create(true).append(true).open(path)?;
        file.set_modified(std::time::SystemTime::now())
    })
}

pub(crate) fn mkdir(words: Words) -> Outcome {
    each(words, "DIR", |path| fs::create_dir_all(path))
}

/// Folders go with what is in them, asked or not.
pub(crate) fn rm(mut words: Words) -> Outcome {
    let force = words.flag("-rf") | words.flag("-f");
    words.flag("-r");
    words.flag("--");
    each(words, "PATH", |path| {
        let removed = fs::symlink_metadata(path).and_then(|found| match found.is_dir() {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        });
        match removed {
            Err(error) if force && error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    })
}

pub(crate) fn ls(words: Words) -> Outcome {
    let mut dirs = words.rest();
    if dirs.is_empty() {
        dirs.push(".".to_owned());
    }
    for dir in dirs {
        let entries = fs::read_dir(&dir).or_fail(format!("cannot read `{dir}`"))?;
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        names.iter().for_each(|name| println!("{}", name.display()));
    }
    Ok(0)
}

/// `stat`: `file 0644 0:0 12 /etc/passwd`.
pub(crate) fn stat(words: Words) -> Outcome {
    each(words, "PATH", |path| {
        let meta = fs::symlink_metadata(path)?;
        let kind = kind(meta.file_type());
        let mode = meta.mode() & 0o7777;
        println!(
            "{kind} {mode:04o} {}:{} {} {path}",
            meta.uid(),
            meta.gid(),
            meta.size()
        );
        Ok(())
    })
}

fn kind(kind: fs::FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "directory",
        kind if kind.is_symlink() => "link",
        kind if kind.is_char_device() => "character-device",
        kind if kind.is_block_device() => "block-device",
        kind if kind.is_fifo() => "fifo",
        kind if kind.is_socket() => "socket",
        _ => "file",
    }
}

fn each(words: Words, what: &str, act: impl Fn(&str) -> io::Result<()>) -> Outcome {
    let paths = words.rest();
    if paths.is_empty() {
        return Err(Fault::Usage(format!("{what} is missing")));
    }
    for path in paths {
        act(&path).or_fail(format!("`{path}`"))?;
    }
    Ok(0)
}
