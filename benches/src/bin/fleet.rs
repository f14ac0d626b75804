//! The state of many devices at once: a thousand simulated ones of each method, asked through the backends over real
//! sockets. One line of JSON for each method.
//!
//! `cargo run --release -p fencekit-benches --bin fleet [DEVICES [ROUNDS]]`

use std::io::Write;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use fencekit::cluster::Cluster;
use fencekit::fleet::{self, Supply};
use fencekit::{Error, Observation, Result};
use fencekit_sim::cluster::{Fleet, onto_loopback, plan, serve};
use serde_json::json;

/// A method with what an entry of it needs besides its address.
const METHODS: [(&str, &str, &str); 6] = [
    ("kasa", "kasa xor", ""),
    ("kasa", "kasa klap", ", user: u, password: p"),
    ("tasmota", "tasmota", ", password: p"),
    ("esphome", "esphome rest", ", switch_name: Relay"),
    (
        "http",
        "http",
        ", power_on_url: /on, power_off_url: /off, status_url: /state, status_on_regex: ON, status_off_regex: OFF",
    ),
    ("ipmi", "ipmi", ", user: u, password: p"),
];

fn main() -> Result<()> {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|text| text.parse::<usize>().unwrap_or(0));
    let devices = numbers.next().filter(|n| *n > 0).unwrap_or(1000);
    let rounds = numbers.next().filter(|n| *n > 0).unwrap_or(5);
    for (method, name, rest) in METHODS {
        let mut text = String::from("stonith_nodes:\n");
        for n in 0..devices {
            text.push_str(&format!(
                "  n{n}: {{method: {method}, ip: 10.0.{}.{}{rest}}}\n",
                n / 250,
                n % 250 + 1
            ));
        }
        let started = Instant::now();
        let cluster = Cluster::from_text(&text, name)?;
        let parsing = started.elapsed();
        let cluster = simulate(cluster)?;
        let mut times = measure(&cluster, rounds)?;
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        let line = json!({
            "bench": "fleet",
            "method": name,
            "devices": devices,
            "rounds": rounds,
            "parse_ms": milliseconds(parsing),
            "median_ms": milliseconds(median),
            "worst_ms": milliseconds(times.last().copied().unwrap_or_default()),
        });
        let _ = writeln!(std::io::stdout(), "{line}");
    }
    Ok(())
}

/// Runs the devices on a thread of their own until the program ends, and gives the cluster file that finds them.
fn simulate(cluster: Cluster) -> Result<Cluster> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let started = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = started else { return };
        runtime.block_on(async {
            let outcome = start(&cluster).await;
            let (fleet, rewritten) = match outcome {
                Ok((fleet, cluster)) => (Some(fleet), Ok(cluster)),
                Err(error) => (None, Err(error)),
            };
            let _ = send.send(rewritten);
            if fleet.is_some() {
                std::future::pending::<()>().await;
            }
        });
    });
    receive
        .recv()
        .unwrap_or_else(|_| Err(Error::unsupported("the simulated devices did not start")))
}

async fn start(cluster: &Cluster) -> Result<(Fleet, Cluster)> {
    let mut planned = plan(cluster)?;
    onto_loopback(&mut planned);
    let mut fleet = Fleet::default();
    for device in planned {
        fleet.add(
            serve(device)
                .await
                .map_err(|cause| Error::unreachable(cause.to_string()))?,
        );
    }
    let cluster = fleet.rewritten(cluster)?;
    Ok((fleet, cluster))
}

/// How long the state of all devices took, each time; every one of them must be on.
fn measure(cluster: &Cluster, rounds: usize) -> Result<Vec<Duration>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Error::unsupported(cause.to_string()))?;
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Instant::now();
        let supplies = cluster
            .nodes
            .iter()
            .map(|node| node.supplies())
            .collect::<Result<Vec<_>>>()?;
        let all: Vec<&Supply> = supplies.iter().flatten().collect();
        let looks = runtime.block_on(fleet::statuses(&all, Duration::from_secs(30), |_, _| {}));
        times.push(started.elapsed());
        for look in looks {
            let seen = look.outcome?.observation;
            if seen != Observation::On {
                return Err(Error::protocol(format!("a device is {seen}")));
            }
        }
    }
    Ok(times)
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}
