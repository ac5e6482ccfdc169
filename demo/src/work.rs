//! Verbs that pass time, use resources or end in a chosen way.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::signals::until_asked;
use crate::words::{Fault, OrFail, Outcome, Words};

const MEBIBYTE: usize = 1 << 20;
const PAGE: usize = 4096;

pub(crate) fn echo(words: Words) -> Outcome {
    println!("{}", words.rest().join(" "));
    Ok(0)
}

pub(crate) fn exit(mut words: Words) -> Outcome {
    let after = seconds(&mut words, "--after")?;
    let code = words.next_parsed::<u8>("CODE")?;
    words.end()?;
    let Some(after) = after else {
        return Ok(code.into());
    };
    until_asked(move || {
        thread::sleep(after);
        Ok(code.into())
    })
}

pub(crate) fn sleep(mut words: Words) -> Outcome {
    let time = words.next("SECONDS")?;
    words.end()?;
    let time = match &*time {
        "forever" | "infinity" => Duration::MAX,
        time => duration("SECONDS", time)?,
    };
    until_asked(move || {
        thread::sleep(time);
        Ok(0)
    })
}

pub(crate) fn burn(mut words: Words) -> Outcome {
    let time = words.next("SECONDS")?;
    let time = duration("SECONDS", &time)?;
    words.end()?;
    until_asked(move || {
        let start = Instant::now();
        while start.elapsed() < time {
            std::hint::spin_loop();
        }
        Ok(0)
    })
}

/// `print`: `line 1`, `line 2`, …; with `--width`, each padded to that many bytes.
pub(crate) fn print(mut words: Words) -> Outcome {
    let interval = words.parsed("--interval")?.map(Duration::from_millis);
    let width = words.parsed("--width")?.unwrap_or(0);
    let to_err = words.flag("--err");
    let lines = match &*words.next("LINES")? {
        "forever" => u64::MAX,
        lines => lines
            .parse()
            .map_err(|_| Fault::Usage(format!("no number: `{lines}`")))?,
    };
    words.end()?;
    until_asked(move || {
        for number in 1..=lines {
            // Written as one piece each, so that a line is never torn by another writer's.
            let line = format!("{:.<width$}\n", format!("line {number} "));
            let written = match to_err {
                true => io::stderr().write_all(line.as_bytes()),
                false => io::stdout().write_all(line.as_bytes()),
            };
            written.or_fail("cannot print")?;
            if let Some(interval) = interval {
                thread::sleep(interval);
            }
        }
        Ok(0)
    })
}

/// `hog`: every page is written to, for memory that is only asked for costs nothing.
pub(crate) fn hog(mut words: Words) -> Outcome {
    let hold = seconds(&mut words, "--hold")?;
    let wanted = words.next_parsed::<usize>("MEBIBYTES")?;
    words.end()?;
    until_asked(move || {
        let mut held = Vec::new();
        for number in 1..=wanted {
            let mut piece = vec![0_u8; MEBIBYTE];
            piece.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
            held.push(std::hint::black_box(piece));
            println!("{number} MiB");
        }
        thread::sleep(hold.unwrap_or(Duration::MAX));
        drop(held);
        Ok(0)
    })
}

pub(crate) fn threads(mut words: Words) -> Outcome {
    let wanted = words.next_parsed::<u32>("COUNT")?;
    words.end()?;
    let mut started = 0;
    while started < wanted {
        let thread = thread::Builder::new().stack_size(64 << 10);
        if let Err(error) = thread.spawn(|| thread::sleep(Duration::MAX)) {
            println!("{started} threads, then: {error}");
            return Ok(1);
        }
        started += 1;
    }
    println!("{started} threads");
    Ok(0)
}

/// Takes an option that is a time in seconds, fractions allowed.
pub(crate) fn seconds(words: &mut Words, name: &str) -> Result<Option<Duration>, Fault> {
    words
        .option(name)?
        .map(|value| duration(name, &value))
        .transpose()
}

fn duration(what: &str, value: &str) -> Result<Duration, Fault> {
    let number = value.strip_suffix('s').unwrap_or(value).parse().ok();
    let duration = number.and_then(|number| Duration::try_from_secs_f64(number).ok());
    duration.ok_or_else(|| Fault::Usage(format!("{what} cannot be `{value}`")))
}
