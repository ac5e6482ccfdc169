//! The page that counts its visits.

use std::fs;
use std::time::Duration;

use crate::count::Number;
use crate::http::{self, Request, Response, fetch};
use crate::signals::until_asked;
use crate::words::{Fault, OrFail, Outcome, Words};

const PATIENCE: Duration = Duration::from_secs(5);

/// Where visits are counted.
#[derive(Debug)]
enum Counter {
    /// By another service, found by its name at every visit: it may have moved.
    Service(String),
    File(Number),
    Nobody,
}

impl Counter {
    fn visit(&self) -> Result<Option<u64>, Fault> {
        match self {
            Self::Nobody => Ok(None),
            Self::File(number) => number.add_one().map(Some).or_fail("cannot keep the number"),
            Self::Service(url) => match fetch(url, Some(""), PATIENCE)? {
                (200, body) => {
                    let body = String::from_utf8_lossy(&body);
                    body.trim()
                        .parse()
                        .map(Some)
                        .or_fail(format!("no number from {url}"))
                }
                (status, _) => Err(Fault::Failed(format!("{url} answers {status}"))),
            },
        }
    }
}

/// `serve`: `/` is the page, `/healthy` says ok without a visit.
pub(crate) fn serve(mut words: Words) -> Outcome {
    let port = words.parsed("--port")?.unwrap_or(8080);
    let service = words.option("--count-via")?;
    let file = words.option("--count-file")?;
    words.end()?;
    if service.is_some() && file.is_some() {
        return Err(Fault::Usage(
            "--count-via and --count-file exclude each other".into(),
        ));
    }
    until_asked(move || {
        let counter = match (service, file) {
            (Some(url), _) => Counter::Service(url),
            (None, Some(path)) => Counter::File(Number::open(path)?),
            (None, None) => Counter::Nobody,
        };
        http::serve(port, move |request| answer(&counter, request))
    })
}

fn answer(counter: &Counter, request: &Request) -> Response {
    match &*request.path {
        "/healthy" => return Response::text(200, "ok\n"),
        "/" => {}
        _ => return Response::text(404, "there is only /\n"),
    }
    match counter.visit() {
        Ok(visits) => page(visits, request.accept.contains("text/html")),
        Err(Fault::Usage(problem) | Fault::Failed(problem)) => {
            eprintln!("cannot count a visit: {problem}");
            Response::text(503, format!("cannot count your visit: {problem}\n"))
        }
    }
}

/// The page: HTML for browsers, a line for everybody else.
fn page(visits: Option<u64>, html: bool) -> Response {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let line = match visits {
        Some(visits) => format!("Hello from {host}. Visits: {visits}"),
        None => format!("Hello from {host}."),
    };
    if !html {
        return Response::text(200, line + "\n");
    }
    let number = visits.map_or_else(|| "&#8734;".to_owned(), |visits| visits.to_string());
    let body = include_str!("page.html")
        .replace("{host}", host)
        .replace("{visits}", &number);
    Response {
        status: 200,
        kind: "text/html; charset=utf-8",
        body,
    }
}
