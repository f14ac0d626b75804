//! What is generated, read by the programs that it is for.

// The functions that the tests share are tests too.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod ansible;
mod crmsh;
mod nftables;
mod prometheus;

use std::fs;
use std::path::Path;
use std::time::Duration;

use fencekit::cluster::Cluster;
use fencekit::generate::{Generated, Kind, Options, produce};

/// How long a program may take.
const LIMIT: Duration = Duration::from_secs(60);

fn made(kind: Kind, text: &str, options: &Options) -> Generated {
    let cluster = Cluster::from_text(text, "cluster.yml").unwrap();
    produce(kind, &cluster, Path::new("/etc/fencekit/cluster.yml"), options).unwrap()
}

/// A cluster file of those that the generator's own tests have.
fn of_file(name: &str) -> String {
    let path = fencekit_interop::workspace().join(format!("fencekit/tests/stonith/{name}.yml"));
    fs::read_to_string(path).unwrap()
}

/// A cluster whose every value is what quoting goes wrong on, the same one each time. `beyond` adds what is not ASCII.
fn hostile_file(beyond: &str) -> String {
    let special: Vec<char> = format!("'\"`$(){{}}[]<>&|;!*?~#%^=\\,: -ax{beyond}")
        .chars()
        .collect();
    let mut seed: usize = 7;
    let mut value = || {
        let mut value = String::from("v");
        for _ in 0..24 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            value.push(special[(seed >> 33) % special.len()]);
        }
        // Agents strip blanks at the end; crmsh cannot read a backslash before a quote.
        value.push('.');
        serde_json::Value::from(value.replace("\\\"", "\"")).to_string()
    };
    let nodes: String = (1..=24)
        .map(|number| {
            format!(
                "  n{number}: {{method: kasa, ip: 10.0.0.{number}, user: {}, password: {}, plug: {}}}\n",
                value(),
                value(),
                value()
            )
        })
        .collect();
    format!("stonith_nodes:\n{nodes}stonith_fence_verify: false\nquorum_nodes: [quorum]\n")
}
