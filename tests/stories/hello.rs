//! The first thing anybody does.

use std::time::Duration;

use bowline_tests::{World, eventually, free_port, page};

/// What the page says after the word "Visits".
fn visits(port: u16) -> u64 {
    let body = page(&format!("127.0.0.1:{port}"));
    let (_, number) = body.split_once("Visits: ").expect("a count");
    number.trim().parse().expect("a number")
}

/// The example must count on over `down` and `up`, start at 1 after `down -v`, and leave nothing.
#[test]
fn hello_counts_on_until_its_volume_goes() {
    let world = World::new();
    let hello = world.example("hello");
    let port = free_port();
    let variables = [("PORT", &*port.to_string())];
    let up = || hello.bowline_with(&variables, &["up", "-d", "--wait"]).ok();

    up().says(&format!("http://127.0.0.1:{port}"));
    let first = visits(port);
    assert_eq!((first, visits(port)), (1, 2));
    hello
        .bowline_with(&variables, &["down"])
        .ok()
        .says("hello_visits")
        .says("-v");
    up();
    assert_eq!(visits(port), 3);
    hello.bowline_with(&variables, &["down", "-v"]).ok();
    up();
    assert_eq!(visits(port), 1);
    hello.bowline_with(&variables, &["down", "-v"]).ok();

    eventually(Duration::from_secs(5), || {
        let check = world.bowline(&["system", "check"]);
        if check.code == 0 {
            Ok(check)
        } else {
            Err(check)
        }
    })
    .says("the ledger is empty");
    world.ends_clean();
}
