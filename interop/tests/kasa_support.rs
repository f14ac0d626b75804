//! The README says of every Kasa transport what the tests prove. `UPDATE_DOCS=1` writes that table.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may end in a panic"
)]

#[path = "kasa_support/mod.rs"]
mod support;

use std::fmt::Write;

use fencekit_interop::workspace;
use support::Way;

const BEGIN: &str = "<!-- Made by interop/tests/kasa_support.rs from the cases that the tests run; UPDATE_DOCS=1 writes it anew. -->\n";
const END: &str = "<!-- End of what is made. -->\n";
const HEAD: &str = "\
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
    table
}

#[test]
fn the_readme_says_what_the_tests_prove() {
    let page = workspace().join("README.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the README has the mark");
    let (made, after) = rest.split_once(END).expect("the README has the end mark");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
    }
    assert_eq!(made, table(), "UPDATE_DOCS=1 writes it anew");
}
