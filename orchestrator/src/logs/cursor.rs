//! Where in a log we are, so that it can be taken up again.

use std::sync::Arc;

use super::Line;

/// Everything before `time` was shown, and so many lines at `time` itself: engines resume by time, and
/// several lines may bear the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    time: Option<Arc<str>>,
    shown: usize,
    /// Lines at `time` that a resumed stream has repeated so far.
    repeated: usize,
}

impl Cursor {
    /// What to give as `since`, if anything was shown.
    pub(crate) fn since(&self) -> Option<String> {
        self.time.as_ref().map(|time| seconds(time))
    }

    /// A stream is about to begin again at [`Cursor::since`].
    pub(crate) fn resume(&mut self) {
        self.repeated = 0;
    }

    /// Whether the line is new; then it counts as shown.
    pub(crate) fn pass(&mut self, line: &Line) -> bool {
        let Some(time) = &self.time else {
            self.advance(line);
            return true;
        };
        if line.time < *time {
            return false;
        }
        if line.time > *time {
            self.advance(line);
            return true;
        }
        self.repeated += 1;
        let new = self.repeated > self.shown;
        if new {
            self.shown = self.repeated;
        }
        new
    }

    fn advance(&mut self, line: &Line) {
        self.time = Some(Arc::clone(&line.time));
        self.shown = 1;
        self.repeated = 1;
    }
}

/// Engines take seconds with a fraction; a time that does not parse is passed on as it is.
fn seconds(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(stamp) => format!("{}.{:09}", stamp.as_second(), stamp.subsec_nanosecond()),
        Err(_) => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: u32, text: &str) -> Line {
        let time = format!("2024-01-02T03:04:05.{time:09}Z").into();
        Line {
            time,
            error: false,
            text: text.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_resumed_stream_is_neither_repeated_nor_cut() {
        let log = [
            line(1, "a"),
            line(2, "b"),
            line(2, "c"),
            line(2, "d"),
            line(3, "e"),
        ];
        for cut in 0..=log.len() {
            let mut cursor = Cursor::default();
            let mut shown: Vec<&Line> =
                log[..cut].iter().filter(|line| cursor.pass(line)).collect();
            let since = cursor.time.clone();
            cursor.resume();
            let again = log
                .iter()
                .filter(|line| since.as_ref().is_none_or(|s| line.time >= *s));
            shown.extend(again.filter(|line| cursor.pass(line)));
            assert_eq!(shown, log.iter().collect::<Vec<_>>(), "cut at {cut}");
        }
    }

    #[test]
    fn the_time_is_given_in_seconds() {
        let mut cursor = Cursor::default();
        assert_eq!(cursor.since(), None);
        assert!(cursor.pass(&line(7, "x")));
        assert_eq!(cursor.since().unwrap(), "1704164645.000000007");
    }
}
