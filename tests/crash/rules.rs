//! Somebody else empties nf_tables.

use std::process::Command;
use std::time::Duration;

use bowline_tests::{World, eventually, free_port, page};

/// Our table must come back, and what it forwards with it; and go for good in the end.
#[test]
fn rules_that_somebody_took_away_come_back() {
    let world = World::new();
    let port = free_port();
    let shop = world.project(
        "shop",
        &format!("services:\n  web:\n    image: bowline/demo\n    command: serve --port 80\n    ports: ['127.0.0.1:{port}:80']\n"),
    );
    shop.up();
    assert!(page(&format!("127.0.0.1:{port}")).contains("Hello"));
    let table = world.names().table.clone();
    for _round in 0..3 {
        let deleted = Command::new("nft")
            .args(["delete", "table", "inet", &table])
            .status();
        assert!(deleted.expect("nft").success());
        eventually(Duration::from_secs(5), || {
            let listed = Command::new("nft")
                .args(["list", "table", "inet", &table])
                .output();
            let listed = listed.expect("nft");
            let text = String::from_utf8_lossy(&listed.stdout).into_owned();
            if text.contains(&port.to_string()) {
                Ok(())
            } else {
                Err(text)
            }
        });
        assert!(page(&format!("127.0.0.1:{port}")).contains("Hello"));
    }
    shop.down();
    world.ends_clean();
}
