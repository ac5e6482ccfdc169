//! A number in a file that survives everything that the file survives.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::http::{self, Request, Response};
use crate::signals::until_asked;
use crate::words::{Fault, OrFail, Outcome, Words};

/// `count`: GET shows the number, POST adds one and shows the new one, `/healthy` says ok.
pub(crate) fn count(mut words: Words) -> Outcome {
    let port = words.parsed("--port")?.unwrap_or(9000);
    let path = words.next("FILE")?;
    words.end()?;
    until_asked(move || {
        let number = Number::open(path)?;
        http::serve(port, move |request| answer(&number, request))
    })
}

fn answer(number: &Number, request: &Request) -> Response {
    let value = match (&*request.method, &*request.path) {
        ("GET" | "HEAD", "/healthy") => return Response::text(200, "ok\n"),
        (_, path) if path != "/" => return Response::text(404, "there is only /\n"),
        ("GET" | "HEAD", _) => Ok(number.get()),
        ("POST", _) => number.add_one(),
        _ => return Response::text(405, "GET shows, POST adds one\n"),
    };
    match value {
        Ok(value) => Response::text(200, format!("{value}\n")),
        Err(error) => Response::text(503, format!("cannot keep the number: {error}\n")),
    }
}

/// The number, and the file it is in.
#[derive(Debug)]
pub(crate) struct Number {
    path: PathBuf,
    value: Mutex<u64>,
}

impl Number {
    /// Reads the file; none means nought, and one that holds no number is an error rather than
    /// overwritten.
    pub(crate) fn open(path: impl Into<PathBuf>) -> Result<Self, Fault> {
        let path = path.into();
        let value = match fs::read_to_string(&path) {
            Ok(text) => text
                .trim()
                .parse()
                .or_fail(format!("no number in {}", path.display()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => Err(error).or_fail(format!("cannot read {}", path.display()))?,
        };
        Ok(Self {
            path,
            value: Mutex::new(value),
        })
    }

    pub(crate) fn get(&self) -> u64 {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody sees a number that is not on disk.
    pub(crate) fn add_one(&self) -> io::Result<u64> {
        let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        self.store(*value + 1)?;
        *value += 1;
        Ok(*value)
    }

    /// A new file is written and synced, then put in the old one's place, and the directory is
    /// synced too: a crash leaves either number, never half of one.
    fn store(&self, value: u64) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        writeln!(file, "{value}")?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty());
        File::open(dir.unwrap_or(".".as_ref()))?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_goes_on_where_it_was() {
        let dir = std::env::temp_dir().join(format!("bowline-demo-count-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("visits");
        assert_eq!(Number::open(&path).unwrap().add_one().unwrap(), 1);
        let again = Number::open(&path).unwrap();
        assert_eq!((again.get(), again.add_one().unwrap()), (1, 2));
        fs::write(&path, "junk").unwrap();
        assert!(Number::open(&path).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
