//! `docker top` without ps: the columns of `ps -ef`, read from /proc.

use std::fs;

use bowline_api::Top;

use crate::error::{Error, Result};

/// The processes `pids` in the columns of `ps -ef`, or of `ps aux` with fewer facts.
///
/// # Errors
/// Other options are refused: there is no ps to pass them to.
pub(super) fn table(pids: &[i32], ps_args: &str) -> Result<Top> {
    match ps_args {
        "" | "-ef" | "ef" => {}
        other => {
            return Err(Error::unsupported(format!(
                "ps options `{other}` are not supported yet, only -ef"
            )));
        }
    }
    let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
    Ok(Top {
        titles: titles.map(String::from).to_vec(),
        processes: pids.iter().filter_map(|pid| row(*pid)).collect(),
    })
}

/// `None` for a process that has ended meanwhile.
fn row(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    // The name in parentheses may hold anything; what follows the last one is fields.
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let seconds = ticks / 100;
    let uid = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))?
        .split_whitespace()
        .next()?;
    let words = String::from_utf8_lossy(&command).replace('\0', " ");
    let words = words.trim();
    let tty = if *fields.get(4)? == "0" { "?" } else { "pts" };
    Some(vec![
        if uid == "0" {
            "root".into()
        } else {
            uid.into()
        },
        pid.to_string(),
        (*fields.get(1)?).to_owned(),
        "0".into(),
        started(fields.get(19)?.parse().ok()?),
        tty.into(),
        format!(
            "{:02}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        ),
        if words.is_empty() {
            format!("[{name}]")
        } else {
            words.into()
        },
    ])
}

/// Hour and minute of a start `ticks` after boot.
fn started(ticks: u64) -> String {
    let boot = fs::read_to_string("/proc/stat").ok().and_then(|text| {
        text.lines()
            .find_map(|line| line.strip_prefix("btime ")?.trim().parse::<i64>().ok())
    });
    let second = boot
        .zip(i64::try_from(ticks / 100).ok())
        .map(|(boot, up)| boot + up);
    let time = second.and_then(|second| jiff::Timestamp::from_second(second).ok());
    time.map(|time| time.strftime("%H:%M").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_a_row_under_eight_titles() {
        let own = i32::try_from(std::process::id()).unwrap();
        let top = table(&[own, i32::MAX], "-ef").unwrap();
        assert_eq!(top.processes.len(), 1);
        assert_eq!(top.processes[0].len(), top.titles.len());
        assert_eq!(top.processes[0][1], own.to_string());
        assert!(table(&[], "-o pid").is_err());
    }
}
