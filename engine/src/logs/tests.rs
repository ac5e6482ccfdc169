//! Logs as shims, rotation and crashes leave them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Options, Record, Source, Watcher, follow};

struct Log {
    dir: tempfile::TempDir,
    path: PathBuf,
}

impl Log {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        fs::write(&path, "").unwrap();
        Self { dir, path }
    }

    fn raw(&self, bytes: &[u8]) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.path)
            .unwrap();
        file.write_all(bytes).unwrap();
    }

    fn line(&self, number: usize) {
        self.raw(record(number).as_bytes());
    }

    fn lines(&self, numbers: std::ops::Range<usize>) {
        self.raw(numbers.map(record).collect::<String>().as_bytes());
    }

    fn rotate(&self, keep: usize) {
        let name = |number: usize| match number {
            0 => self.path.clone(),
            _ => PathBuf::from(format!("{}.{number}", self.path.display())),
        };
        if keep == 1 {
            fs::remove_file(&self.path).unwrap();
        }
        for number in (0..keep - 1).rev() {
            if Path::exists(&name(number)) {
                fs::rename(name(number), name(number + 1)).unwrap();
            }
        }
        fs::write(&self.path, "").unwrap();
    }

    /// Follows the log; the run is over when the sender is dropped.
    fn follow(
        &self,
        options: Options,
    ) -> (
        mpsc::Receiver<std::io::Result<Vec<Record>>>,
        oneshot::Sender<()>,
    ) {
        let (end, ended) = oneshot::channel::<()>();
        let source = Source {
            path: self.path.clone(),
            ended: Box::pin(async move { drop(ended.await) }),
        };
        (follow(source, options, &Watcher::new()), end)
    }

    async fn all(&self, options: Options) -> Vec<usize> {
        let (mut records, _end) = self.follow(options);
        numbers(&mut records, usize::MAX).await
    }
}

fn record(number: usize) -> String {
    format!(
        "{{\"log\":\"{number}\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:{:02}:{:02}Z\"}}\n",
        number / 60 % 60,
        number % 60
    )
}

/// The numbers printed, until there are `count` or the log ends.
async fn numbers(
    records: &mut mpsc::Receiver<std::io::Result<Vec<Record>>>,
    count: usize,
) -> Vec<usize> {
    let mut out = Vec::new();
    while out.len() < count {
        let Some(batch) = timeout(Duration::from_secs(20), records.recv())
            .await
            .unwrap()
        else {
            break;
        };
        out.extend(
            batch
                .unwrap()
                .iter()
                .map(|record| record.text.trim().parse::<usize>().unwrap()),
        );
    }
    out
}

fn range(range: std::ops::Range<usize>) -> Vec<usize> {
    range.collect()
}

fn tail(count: u64) -> Options {
    Options {
        tail: Some(count),
        ..Options::default()
    }
}

#[tokio::test]
async fn a_log_is_read_through_its_rotated_files() {
    let log = Log::new();
    for file in 0..3 {
        log.lines(file * 10..file * 10 + 10);
        if file < 2 {
            log.rotate(5);
        }
    }
    assert_eq!(log.all(Options::default()).await, range(0..30));
    for count in [0, 1, 9, 10, 11, 25, 30, 99] {
        let first = 30usize.saturating_sub(usize::try_from(count).unwrap());
        assert_eq!(log.all(tail(count)).await, range(first..30), "tail {count}");
    }
}

/// A file that was read plain must not be read again once it is compressed, and be read by whoever comes later.
#[tokio::test]
async fn a_compressed_file_is_the_one_it_was() {
    let log = Log::new();
    log.lines(0..10);
    let (mut records, end) = log.follow(Options {
        follow: true,
        ..Options::default()
    });
    assert_eq!(numbers(&mut records, 10).await, range(0..10));
    let meta = fs::metadata(&log.path).unwrap();
    log.rotate(3);
    let plain = PathBuf::from(format!("{}.1", log.path.display()));
    let packed = fs::File::create(format!("{}.gz", plain.display())).unwrap();
    let mut encoder = flate2::GzBuilder::new()
        .comment(format!("{}:{}", meta.dev(), meta.ino()))
        .write(packed, flate2::Compression::fast());
    encoder.write_all(&fs::read(&plain).unwrap()).unwrap();
    encoder.finish().unwrap();
    fs::remove_file(plain).unwrap();
    log.lines(10..20);
    assert_eq!(numbers(&mut records, 10).await, range(10..20));
    drop(end);
    assert_eq!(log.all(Options::default()).await, range(0..20));
    assert_eq!(log.all(tail(15)).await, range(5..20));
}

#[tokio::test]
async fn a_tail_is_found_across_blocks() {
    let log = Log::new();
    log.lines(0..5000);
    assert_eq!(log.all(tail(3000)).await, range(2000..5000));
}

#[tokio::test]
async fn a_missing_log_is_empty() {
    let log = Log::new();
    fs::remove_file(&log.path).unwrap();
    assert_eq!(log.all(Options::default()).await, range(0..0));
}

#[tokio::test]
async fn half_a_record_is_waited_for() {
    let log = Log::new();
    let text = record(7);
    let (first, second) = text.split_at(12);
    log.line(6);
    log.raw(first.as_bytes());
    assert_eq!(log.all(Options::default()).await, [6]);
    assert_eq!(log.all(tail(1)).await, [6]);
    let (mut records, end) = log.follow(Options {
        follow: true,
        ..tail(0)
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    log.raw(second.as_bytes());
    assert_eq!(numbers(&mut records, 1).await, [7]);
    drop(end);
    assert_eq!(numbers(&mut records, 1).await, range(0..0));
}

#[tokio::test]
async fn what_a_crash_left_costs_no_whole_record() {
    let log = Log::new();
    log.line(1);
    log.raw(b"\0\0\0\0\0");
    log.line(2);
    log.raw(br#"{"log":"torn"#);
    log.line(3);
    log.raw(b"garbage\n");
    log.line(4);
    assert_eq!(log.all(Options::default()).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn since_and_until_cut_both_ends() {
    let log = Log::new();
    log.lines(0..20);
    let at = |second: usize| Some(format!("2026-01-01T00:00:{second:02}Z").parse().unwrap());
    let options = Options {
        since: at(5),
        until: at(9),
        ..Options::default()
    };
    assert_eq!(log.all(options).await, range(5..10));
    let options = Options {
        follow: true,
        ..options
    };
    assert_eq!(log.all(options).await, range(5..10));
}

#[tokio::test]
async fn following_ends_with_the_run_and_what_it_left_is_read() {
    let log = Log::new();
    log.lines(0..3);
    let (mut records, end) = log.follow(Options {
        follow: true,
        ..Options::default()
    });
    assert_eq!(numbers(&mut records, 3).await, range(0..3));
    log.lines(3..6);
    drop(end);
    assert_eq!(numbers(&mut records, usize::MAX).await, range(3..6));
}

#[tokio::test]
async fn following_goes_on_over_rotations_of_both_kinds() {
    for keep in [2, 5] {
        let log = Log::new();
        let (mut records, end) = log.follow(Options {
            follow: true,
            ..Options::default()
        });
        let mut got = Vec::new();
        for round in 0..20 {
            log.lines(round * 50..round * 50 + 50);
            // The reader is at most one file behind, as many as two files keep.
            got.extend(numbers(&mut records, 50).await);
            log.rotate(keep);
        }
        log.lines(1000..1010);
        drop(end);
        got.extend(numbers(&mut records, usize::MAX).await);
        assert_eq!(got, range(0..1010), "keep {keep}");
    }
}

#[tokio::test]
async fn a_reader_that_fell_behind_finds_every_file_that_is_left() {
    let log = Log::new();
    log.lines(0..10);
    let mut reader = super::file::Reader::open(&log.path, None).unwrap();
    for round in 1..4 {
        log.rotate(5);
        log.lines(round * 10..round * 10 + 10);
    }
    let mut got = Vec::new();
    loop {
        let records = reader.read().unwrap();
        if records.is_empty() {
            break;
        }
        got.extend(
            records
                .iter()
                .map(|record| record.text.trim().parse::<usize>().unwrap()),
        );
    }
    assert_eq!(got, range(0..40));
}

#[tokio::test]
async fn a_single_file_that_is_replaced_is_followed() {
    let log = Log::new();
    log.lines(0..10);
    let (mut records, end) = log.follow(Options {
        follow: true,
        ..Options::default()
    });
    assert_eq!(numbers(&mut records, 10).await, range(0..10));
    log.rotate(1);
    log.lines(10..20);
    assert_eq!(numbers(&mut records, 10).await, range(10..20));
    drop((end, log.dir));
    assert_eq!(numbers(&mut records, usize::MAX).await, range(0..0));
}
