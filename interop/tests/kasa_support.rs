//! `docs/kasa-support.md` says what the tests prove. `UPDATE_DOCS=1` writes it.
#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

#[path = "kasa_support/mod.rs"]
mod support;

use std::fmt::Write;

use fencekit_interop::workspace;
use support::Way;

const HEAD: &str = "\
<!-- Made by interop/tests/kasa_support.rs from the cases that the tests run; UPDATE_DOCS=1 writes it anew. -->
| transport | dialect | plugs and strips, every fault | known answers | a device of others | a client of others |
|---|---|---|---|---|---|
";

fn table() -> String {
    let mut table = HEAD.to_owned();
    for way in Way::ALL {
        let device = if way.has_peer_device() {
            "tplink-smarthome-simulator"
        } else {
            "-"
        };
        let client = if way.has_peer_client() { "python-kasa" } else { "-" };
        writeln!(
            table,
            "| {} | {} | simulated | {} | {device} | {client} |",
            way.transport(),
            way.dialect(),
            way.known_answers(),
        )
        .unwrap();
    }
    table.push_str("\nNo real plug was at hand; what only the simulated devices show is a reading of the protocol's description.\n");
    table
}

#[test]
fn the_page_is_what_the_tests_prove() {
    let page = workspace().join("docs/kasa-support.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, table()).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&page).unwrap_or_default(),
        table(),
        "UPDATE_DOCS=1 writes it anew"
    );
}
