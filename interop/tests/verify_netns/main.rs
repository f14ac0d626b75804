//! The verdict on a node in network namespaces, by the built program over the kernel's real networks.
//!
//! Four namespaces: the observer (the test itself), a switch with a bridge for each of three networks, the node, and
//! others: a witness on each network and the plug, which `fencekit sim` plays. One case adds a router and a network
//! behind it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod routers;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fencekit_interop::{Output, Peer, Space, fencekit_bin, private_namespaces, required, run, tool};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
/// Name, and the first three bytes of its addresses.
const NETWORKS: [(&str, &str); 3] = [("m", "10.20.20"), ("s", "10.10.10"), ("c", "10.30.30")];

fn shell(script: &str) {
    let out = run(Command::new("sh").args(["-ec", script]), "", LIMIT);
    assert!(out.ok(), "{script}: {out}");
}

/// The networks, the node, and its plug.
struct Stage {
    switch: Space,
    node: Space,
    others: Space,
    plug: Peer,
    directory: tempfile::TempDir,
}

fn stage(wait: &str) -> Stage {
    stage_with("tasmota", wait)
}

fn stage_with(method: &str, wait: &str) -> Stage {
    let (switch, node, others) = (Space::new(), Space::new(), Space::new());
    for (net, prefix) in NETWORKS {
        switch.shell(&format!(
            "ip link add br-{net} type bridge; ip link set br-{net} up"
        ));
        let plugged = [(None, "o", 7), (Some(&node), "n", 2), (Some(&others), "w", 254)];
        for (space, end, host) in plugged {
            shell(&format!(
                "ip link add {end}{net} type veth peer name p{end}{net} netns {}",
                switch.id()
            ));
            switch.shell(&format!(
                "ip link set p{end}{net} master br-{net}; ip link set p{end}{net} up"
            ));
            let own = format!("ip addr add {prefix}.{host}/24 dev {end}{net}; ip link set {end}{net} up");
            match space {
                None => shell(&own),
                Some(space) => {
                    shell(&format!("ip link set {end}{net} netns {}", space.id()));
                    space.shell(&own);
                }
            }
        }
    }
    others.shell("ip addr add 10.20.20.202/24 dev wm");
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("cluster.yml"),
        format!(
            "stonith_nodes:\n  storage-b:\n    method: {method}\n    ip: 10.20.20.202\n    mgmt_ip: 10.20.20.2\n    \
             storage_ip: 10.10.10.2\n    client_ips: [10.30.30.2]\n    tcp_ports: [22]\nverify:\n  wait: {wait}\n  \
             require_witness: true\n  witnesses: {{management: [10.20.20.254], storage: [10.10.10.254], client: \
             [10.30.30.254]}}\n"
        ),
    )
    .unwrap();
    let mut command = others.inside(fencekit_bin().to_str().unwrap());
    command
        .arg("sim")
        .arg("--config")
        .arg(directory.path().join("cluster.yml"));
    let plug = Peer::start("the plug", &mut command);
    let _ = plug.wait_for(LIMIT, |line| line.contains("\"transport\""));
    Stage {
        switch,
        node,
        others,
        plug,
        directory,
    }
}

impl Stage {
    fn config(&self) -> PathBuf {
        self.directory.path().join("cluster.yml")
    }

    fn plug(&self, what: &str) {
        self.plug.send(&format!("storage-b {what}"));
        // The answer to the line, or to an earlier one; the plug obeys within a moment.
        std::thread::sleep(Duration::from_millis(300));
    }

    /// The node as it is without power: none of its links answers.
    fn links(&self, networks: &[&str], state: &str) {
        for net in networks {
            self.node.shell(&format!("ip link set n{net} {state}"));
        }
    }

    fn verify(&self, mut command: Command) -> (Output, Value) {
        command
            .args(["verify", "storage-b", "--json", "--config"])
            .arg(self.config());
        let out = run(&mut command, "", LIMIT);
        let report = serde_json::from_str(&out.stdout).unwrap_or_else(|error| panic!("{error}: {out}"));
        (out, report)
    }
}

/// What a case came to, for the table.
struct Row {
    case: &'static str,
    expected: (&'static str, &'static str, i32),
    found: (String, String, Option<i32>),
    seconds: f64,
    report: Value,
}

fn case(
    stage: &Stage,
    case: &'static str,
    command: Command,
    expected: (&'static str, &'static str, i32),
) -> Row {
    let (out, report) = stage.verify(command);
    let text = |key: &str| report[key].as_str().unwrap_or_default().to_owned();
    Row {
        case,
        expected,
        found: (text("verdict"), text("rule"), out.code),
        seconds: report["elapsed_ms"].as_f64().unwrap_or_default() / 1000.0,
        report,
    }
}

fn outcome(report: &Value, probe: &str, network: &str) -> String {
    told(report, probe, network, "outcome")
}

fn detail(report: &Value, probe: &str, network: &str) -> String {
    told(report, probe, network, "detail")
}

fn told(report: &Value, probe: &str, network: &str, what: &str) -> String {
    let evidence = report["evidence"].as_array().unwrap();
    let found = evidence
        .iter()
        .find(|one| one["probe"] == probe && one["network"] == network);
    found.map_or_else(|| "none".to_owned(), |one| one[what].as_str().unwrap().to_owned())
}

fn fencekit() -> Command {
    Command::new(fencekit_bin())
}

/// The program as root, but with neither CAP_NET_RAW nor CAP_NET_ADMIN, and without a ping socket: a fresh namespace
/// permits none.
fn without_permission() -> Command {
    let mut command = Command::new("setpriv");
    command
        .args([
            "--bounding-set",
            "-net_raw,-net_admin",
            "--inh-caps",
            "-net_raw,-net_admin",
        ])
        .arg(fencekit_bin());
    command
}

const FILTER_ALL: &str =
    "nft 'add table inet f; add chain inet f i { type filter hook input priority 0; policy drop; }'";
const FILTER_ICMP: &str = "nft 'add table inet f; add chain inet f i { type filter hook input priority 0; }; \
                           add rule inet f i ip protocol icmp drop'";
const UNFILTER: &str = "nft 'delete table inet f'";
const ALL: [&str; 3] = ["m", "s", "c"];

#[test]
fn the_verdict_of_each_case() {
    let _ = required!(tool("nft"));
    let _ = required!(tool("setpriv"));
    let _ = required!(tool("nsenter"));
    let _ = fencekit_bin();
    private_namespaces!();
    let stage = stage("5");
    let mut rows = Vec::new();

    let row = case(&stage, "alive", fencekit(), ("still-alive", "answered", 1));
    assert_eq!(outcome(&row.report, "icmp", "storage"), "answered");
    rows.push(row);

    // The observer has just talked to the node: its neighbour table still says that the node is there.
    stage.plug("off");
    stage.links(&ALL, "down");
    let row = case(
        &stage,
        "off and silent",
        fencekit(),
        ("confirmed-off", "window", 0),
    );
    // Longer than it takes this host to give address resolution up, which it then reports by ICMP.
    assert!(row.seconds > 5.0, "{}", row.seconds);
    for network in ["management", "storage", "client"] {
        for probe in ["icmp", "tcp", "neighbour"] {
            assert_eq!(
                outcome(&row.report, probe, network),
                "silent",
                "{probe} {network}"
            );
        }
    }
    rows.push(row);

    stage.links(&["c"], "up");
    rows.push(case(
        &stage,
        "answers on one network only",
        fencekit(),
        ("still-alive", "answered", 1),
    ));

    stage.links(&ALL, "up");
    let mut listener = stage
        .node
        .inside("sh")
        .args(["-c", "exec setpriv --pdeathsig KILL python3 -m http.server 22"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(800));
    stage.node.shell(FILTER_ICMP);
    let row = case(
        &stage,
        "ICMP filtered, TCP open",
        fencekit(),
        ("still-alive", "answered", 1),
    );
    assert_eq!(outcome(&row.report, "tcp", "management"), "answered");
    assert_ne!(outcome(&row.report, "icmp", "management"), "answered");
    rows.push(row);
    let _ = listener.kill();
    let _ = listener.wait();
    stage.node.shell(UNFILTER);

    stage.node.shell(FILTER_ALL);
    let row = case(
        &stage,
        "ICMP and TCP filtered, ARP answers",
        fencekit(),
        ("still-alive", "answered", 1),
    );
    let heard = ["management", "storage", "client"].map(|network| outcome(&row.report, "neighbour", network));
    assert!(heard.iter().any(|outcome| outcome == "answered"), "{heard:?}");
    assert_ne!(outcome(&row.report, "icmp", "management"), "answered");
    assert_ne!(outcome(&row.report, "tcp", "management"), "answered");
    rows.push(row);
    stage.node.shell(UNFILTER);

    stage.links(&ALL, "down");
    shell("ip link set os down");
    let row = case(
        &stage,
        "the observer's link is down",
        fencekit(),
        ("inconclusive", "path", 3),
    );
    assert_eq!(outcome(&row.report, "icmp", "storage"), "unknown");
    rows.push(row);
    shell("ip link set os up");

    let row = case(
        &stage,
        "no permission to ping",
        without_permission(),
        ("inconclusive", "probe-failed", 3),
    );
    assert_eq!(outcome(&row.report, "icmp", "management"), "unknown");
    assert!(
        row.report.to_string().contains("ping_group_range"),
        "{}",
        row.report
    );
    rows.push(row);

    stage.others.shell("ip addr del 10.10.10.254/24 dev ws");
    rows.push(case(
        &stage,
        "the witness is dead",
        fencekit(),
        ("inconclusive", "witness", 3),
    ));
    stage.others.shell("ip addr add 10.10.10.254/24 dev ws");

    stage.others.shell("ip addr del 10.20.20.202/24 dev wm");
    rows.push(case(
        &stage,
        "the device is unreachable",
        fencekit(),
        ("inconclusive", "power-not-off", 3),
    ));
    stage.others.shell("ip addr add 10.20.20.202/24 dev wm");

    stage.links(&ALL, "up");
    let row = case(
        &stage,
        "the plug lies: off, and the node answers",
        fencekit(),
        ("still-alive", "answered", 1),
    );
    assert_eq!(row.report["evidence"][0]["outcome"], "off");
    rows.push(row);

    let mut wrong = 0;
    for row in &rows {
        let (verdict, rule, code) = row.expected;
        let good = row.found == (verdict.to_owned(), rule.to_owned(), Some(code));
        wrong += u32::from(!good);
        println!(
            "{:42} {:13} {:13} exit {:?} {:5.1} s{}",
            row.case,
            row.found.0,
            row.found.1,
            row.found.2.unwrap_or(-1),
            row.seconds,
            if good { "" } else { "   <- WRONG" }
        );
        if !good {
            println!("expected {:?}: {:#}", row.expected, row.report);
        }
    }
    assert_eq!(wrong, 0);
}

/// The original: sleep, then one ping after the other, each with a second's patience.
const ORIGINAL: &str = "sleep 10; alive=0; for ip in 10.20.20.2 10.10.10.2 10.30.30.2; do \
                        ping -c 1 -W 1 $ip >/dev/null 2>&1 && alive=1; done; exit $alive";

#[test]
fn a_dead_node_is_confirmed_sooner_than_by_the_original_and_a_live_one_much_sooner() {
    let _ = required!(tool("ping"));
    let _ = required!(tool("nsenter"));
    let _ = fencekit_bin();
    private_namespaces!();
    let stage = stage("10");
    let original = || {
        let started = Instant::now();
        let out = run(Command::new("sh").args(["-c", ORIGINAL]), "", LIMIT);
        (out.code, started.elapsed().as_secs_f64())
    };
    let ours = || {
        let started = Instant::now();
        let (out, report) = stage.verify(fencekit());
        (out.code, started.elapsed().as_secs_f64(), report)
    };

    let (code, alive_there) = original();
    assert_eq!(code, Some(1));
    let (code, alive_here, report) = ours();
    assert_eq!(code, Some(1), "{report:#}");

    stage.plug("off");
    stage.links(&ALL, "down");
    let (code, dead_there) = original();
    assert_eq!(code, Some(0));
    let (code, dead_here, report) = ours();
    assert_eq!(code, Some(0), "{report:#}");

    println!("alive: original {alive_there:.2} s, fencekit {alive_here:.2} s");
    println!("dead:  original {dead_there:.2} s, fencekit {dead_here:.2} s");
    assert!(
        dead_here < dead_there && dead_here < 12.0,
        "{dead_here} {dead_there}"
    );
    assert!(alive_here < alive_there, "{alive_here} {alive_there}");
}

#[test]
fn neighbours_are_asked_over_ipv6_too() {
    let _ = required!(tool("nft"));
    let _ = required!(tool("nsenter"));
    let _ = fencekit_bin();
    private_namespaces!();
    let stage = stage("5");
    shell("ip -6 addr add fd00::7/64 dev om nodad");
    stage.node.shell("ip -6 addr add fd00::2/64 dev nm nodad");
    stage.others.shell("ip -6 addr add fd00::fe/64 dev wm nodad");
    let text = "stonith_nodes:\n  storage-b: {method: tasmota, ip: 10.20.20.202, mgmt_ip: 'fd00::2'}\n\
                verify: {wait: 5, require_witness: true, witnesses: {management: ['fd00::fe']}}\n";
    std::fs::write(stage.config(), text).unwrap();
    stage.plug("off");

    let (_, report) = stage.verify(fencekit());
    assert_eq!(report["verdict"], "still-alive", "{report:#}");
    stage.node.shell(
        "nft 'add table inet f; add chain inet f i { type filter hook input priority 0; }; \
         add rule inet f i icmpv6 type echo-request drop'",
    );
    let (_, report) = stage.verify(fencekit());
    assert_eq!(report["verdict"], "still-alive", "{report:#}");
    assert_eq!(
        outcome(&report, "neighbour", "management"),
        "answered",
        "{report:#}"
    );

    stage.links(&ALL, "down");
    let (_, report) = stage.verify(fencekit());
    assert_eq!(report["verdict"], "confirmed-off", "{report:#}");
    assert_eq!(outcome(&report, "icmp", "management"), "silent", "{report:#}");
    assert_eq!(
        outcome(&report, "neighbour", "management"),
        "silent",
        "{report:#}"
    );
}

#[test]
fn a_drill_proves_the_wiring_and_brings_the_node_back() {
    let _ = required!(tool("nsenter"));
    let _ = fencekit_bin();
    private_namespaces!();
    let stage = stage_with("kasa", "2");
    let state = stage.directory.path().join("drills.json");
    let audit = stage.directory.path().join("audit.jsonl");
    let over = std::sync::atomic::AtomicBool::new(false);
    let out = std::thread::scope(|scope| {
        // The node's power: its links follow the relay of its plug.
        scope.spawn(|| {
            let mut was_on = true;
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                stage.plug.send("storage-b state");
                std::thread::sleep(Duration::from_millis(50));
                let said = stage.plug.said();
                let newest = said.lines().rev().find(|line| line.contains("\"relay\""));
                let is_on = newest.is_none_or(|line| line.contains("\"relay\":\"on\""));
                if is_on != was_on {
                    stage.links(&ALL, if is_on { "up" } else { "down" });
                    was_on = is_on;
                }
            }
        });
        let mut command = fencekit();
        command
            .args([
                "drill",
                "storage-b",
                "--json",
                "--yes-cut-power-of",
                "storage-b",
                "--patience",
                "20",
            ])
            .arg("--config")
            .arg(stage.config())
            .arg("--state")
            .arg(&state)
            .arg("--audit")
            .arg(&audit);
        let out = run(&mut command, "", LIMIT);
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        out
    });
    assert_eq!(out.code, Some(0), "{out}\n{}", stage.plug.said());
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(&state).unwrap()).unwrap();
    let drill = &kept["storage-b"];
    assert_eq!(drill["outlets"][0]["device"], "kasa @ 10.20.20.202", "{drill}");
    assert!(drill["silent_after_ms"].as_u64().unwrap() < 3000, "{drill}");
    assert!(drill["back_after_ms"].as_u64().is_some(), "{drill}");
    let (draw_on, draw_off) = (
        drill["outlets"][0]["watts_on"].as_f64(),
        drill["outlets"][0]["watts_off"].as_f64(),
    );
    assert!(draw_on.unwrap() > draw_off.unwrap(), "{drill}");
    println!("{drill}");
}

#[test]
fn a_fence_is_confirmed_and_on_record_and_fence_check_agrees() {
    let _ = required!(tool("nsenter"));
    let _ = fencekit_bin();
    private_namespaces!();
    let stage = stage("2");
    let audit = stage.directory.path().join("audit.jsonl");
    // The node is gone already; the plug is still on.
    stage.links(&ALL, "down");
    let mut command = fencekit();
    command
        .args(["fence", "storage-b", "--json", "--config"])
        .arg(stage.config())
        .arg("--audit")
        .arg(&audit);
    let out = run(&mut command, "", LIMIT);
    assert_eq!(out.code, Some(0), "{out}");
    let record: Value = serde_json::from_str(std::fs::read_to_string(&audit).unwrap().trim_end()).unwrap();
    assert_eq!(record["outcome"]["verdict"], "confirmed-off", "{record}");

    let check = fencekit_interop::agent("fence_check");
    let by_file = format!(
        "action=off\nnodename=storage-b\nport=storage-b\nconfig={}\n",
        stage.config().display()
    );
    let by_options = "nodename=storage-b\nport=storage-b\nfence_method=tasmota\nfence_ip=10.20.20.202\n\
                      target_mgmt_ip=10.20.20.2\ntarget_storage_ip=10.10.10.2\ntarget_client_ips=10.30.30.2\n\
                      witness_storage_ip=10.10.10.254\nverify_wait=2\n";
    for lines in [
        by_file,
        format!("action=off\n{by_options}"),
        format!("action=reboot\n{by_options}"),
    ] {
        let out = run(&mut Command::new(&check), &lines, LIMIT);
        assert_eq!(
            (out.code, out.stdout.as_str()),
            (Some(0), "Success: Verified OFF\n"),
            "{lines}{out}"
        );
    }
    let out = run(
        &mut Command::new(&check),
        &format!("action=status\n{by_options}"),
        LIMIT,
    );
    let expected = "fence_check status for storage-b:\n  STONITH device (tasmota @ 10.20.20.202): power=off\n  \
                    Management   10.20.20.2:  unreachable\n  Storage      10.10.10.2:  unreachable\n  \
                    Client       10.30.30.2:  unreachable\nStatus: OFF\n";
    assert_eq!((out.code, out.stdout.as_str()), (Some(2), expected), "{out}");

    // The plug's lie, and the answer that catches it.
    stage.links(&["s"], "up");
    let out = run(
        &mut Command::new(&check),
        &format!("action=off\n{by_options}"),
        LIMIT,
    );
    assert_eq!(out.code, Some(1), "{out}");
    assert!(
        out.stderr.contains("still-alive") && out.stderr.contains("10.10.10.2"),
        "{out}"
    );
}
