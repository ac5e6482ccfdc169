//! Four real images in one project.

use std::time::Duration;

use bowline_tests::{eventually, free_port, page};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stock::Stock;

const SERVICES: [&str; 4] = ["proxy", "app", "db", "cache"];

/// Where in `told`, lines of `docker events`, a service's container first did `action`.
#[track_caller]
fn place(told: &str, service: &str, action: &str) -> usize {
    let line = format!("guestbook-{service}-1 {action}");
    let found = told.lines().position(|told| told == line);
    found.unwrap_or_else(|| panic!("no `{line}` in:\n{told}"))
}

/// The guest book must start in the order of its needs, keep entries, survive the death of its cache, and leave nothing.
#[test]
fn the_guestbook_works_on_real_images() {
    let stock = Stock::with(&["nginx", "python", "redis", "postgres"]);
    let book = stock.world.example("guestbook");
    let port = free_port().to_string();
    let address = format!("127.0.0.1:{port}");
    let format = "{{.Actor.Attributes.name}} {{.Action}}";
    let filters = ["--filter", "event=start", "--filter", "event=health_status"];
    let events = [
        &["events", "--since", "1h", "--format", format][..],
        &filters,
    ]
    .concat();
    let events = stock.start(&events);
    book.bowline_with(&[("PORT", &port)], &["up", "-d", "--wait"])
        .ok()
        .says(&format!("http://{address}"));
    events.shows("guestbook-proxy-1 health_status: healthy");
    events.signal(Signal::SIGINT);
    let told = events.wait().out;
    for (needed, needing) in [("db", "app"), ("cache", "app"), ("app", "proxy")] {
        let healthy = place(&told, needed, "health_status: healthy");
        assert!(
            healthy < place(&told, needing, "start"),
            "{needed}, {needing}:\n{told}"
        );
    }

    let post =
        format!("curl -fsS -m 10 -o /dev/null -d 'name=Ada&message=hello' http://{address}/");
    stock.shell(&post).ok();
    assert!(page(&address).contains("<b>Ada</b>: hello"));
    let query = [
        "exec",
        "-T",
        "db",
        "psql",
        "-U",
        "guestbook",
        "-Atc",
        "SELECT name, message FROM entries",
    ];
    assert_eq!(book.bowline(&query).ok().text(), "Ada|hello");

    let logs = book.start(&["logs", "-f"]);
    SERVICES
        .iter()
        .for_each(|service| logs.shows(&format!("{service}-1")));
    logs.signal(Signal::SIGINT);
    let _ended = logs.wait();

    let first = book.inspect("cache")["State"]["Pid"]
        .as_i64()
        .expect("a pid");
    kill(
        Pid::from_raw(i32::try_from(first).expect("a pid")),
        Signal::SIGKILL,
    )
    .expect("kill redis");
    eventually(Duration::from_secs(30), || {
        let state = book.inspect("cache")["State"].clone();
        let back = state["Running"] == true
            && state["Pid"] != first
            && state["Health"]["Status"] == "healthy";
        if back { Ok(()) } else { Err(state) }
    });
    let visits = |page: &str| {
        page.contains("<span id=\"visits\">") && !page.contains("<span id=\"visits\">?")
    };
    eventually(Duration::from_secs(20), || {
        let page = page(&address);
        if visits(&page) { Ok(()) } else { Err(page) }
    });

    book.bowline(&["down", "-v"]).ok();
    assert_eq!(stock.text(&["volume", "ls", "-q"]), "");
    stock.ends_clean();
}
