//! A node behind a router, whose word about the node needs a witness.

use std::process::Command;

use fencekit_interop::{Space, fencekit_bin, private_namespaces, required, tool};
use serde_json::Value;

use super::{ALL, Stage, UNFILTER, detail, fencekit, outcome, shell, stage, without_permission};

/// The far side of a router: a network of its own with the node and a witness, reached from the observer by way of the
/// management network.
struct Far {
    stage: Stage,
    router: Space,
    witness: Space,
}

const NODE: &str = "10.40.40.2";

fn far() -> Far {
    let stage = stage("5");
    let (router, witness) = (Space::new(), Space::new());
    let switch = &stage.switch;
    switch.shell("ip link add br-f type bridge; ip link set br-f up");
    let plugged = [
        (&router, "rm", "br-m", "10.20.20.1"),
        (&router, "rf", "br-f", "10.40.40.1"),
        (&stage.node, "nf", "br-f", NODE),
        (&witness, "wf", "br-f", "10.40.40.254"),
    ];
    for (space, end, bridge, address) in plugged {
        switch.shell(&format!(
            "ip link add {end} netns {} type veth peer name p{end}; ip link set p{end} master {bridge}; \
             ip link set p{end} up",
            space.id()
        ));
        space.shell(&format!(
            "ip addr add {address}/24 dev {end}; ip link set {end} up"
        ));
    }
    // The node is on no other network: its answers take the same way back.
    stage.links(&ALL, "down");
    // Linux tells a peer that goes on asking nothing for a while; what a router says is wanted in each case here.
    router.shell("echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv4/icmp_ratelimit");
    for space in [&stage.node, &witness] {
        space.shell("ip route add default via 10.40.40.1");
    }
    shell("ip route add 10.40.40.0/24 via 10.20.20.1");
    stage.plug("off");
    Far {
        stage,
        router,
        witness,
    }
}

impl Far {
    /// What is configured of the far network.
    fn configure(&self, tcp_ports: &str, witness: Option<&str>) {
        let witnesses = witness
            .map(|witness| format!(", witnesses: {{storage: [{witness}]}}"))
            .unwrap_or_default();
        let text = format!(
            "stonith_nodes:\n  storage-b: {{method: tasmota, ip: 10.20.20.202, storage_ip: {NODE}, \
             tcp_ports: [{tcp_ports}]}}\nverify: {{wait: 5{witnesses}}}\n"
        );
        std::fs::write(self.stage.config(), text).unwrap();
    }

    fn expect(&self, case: &str, command: Command, verdict: &str, rule: &str) -> Value {
        let (_, report) = self.stage.verify(command);
        assert_eq!(
            (&report["verdict"], &report["rule"]),
            (&verdict.into(), &rule.into()),
            "{case}: {report:#}"
        );
        report
    }
}

/// Ping sockets for everybody, as most distributions permit them.
const PING_SOCKETS: &str = "echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range";
const WITNESS: &str = "10.40.40.254";

#[test]
fn a_router_is_believed_with_a_witness_only() {
    let _ = required!(tool("nft"));
    let _ = required!(tool("setpriv"));
    let _ = required!(tool("nsenter"));
    let _ = fencekit_bin();
    private_namespaces!();
    let far = far();
    shell(PING_SOCKETS);

    // The node lives, and the router says that it is unreachable.
    far.configure("", None);
    far.router.shell(&format!("ip route add unreachable {NODE}/32"));
    let case = "alive, the router has an unreachable route, no witness";
    let report = far.expect(case, fencekit(), "inconclusive", "probe-failed");
    assert!(report.to_string().contains("verify.witnesses"), "{report:#}");
    let case = "the same without permission for raw sockets";
    far.expect(case, without_permission(), "inconclusive", "probe-failed");
    far.router.shell(&format!("ip route del unreachable {NODE}/32"));

    // It lives, and its firewall rejects connections with the very words of a router.
    far.configure("22", Some(WITNESS));
    far.stage.node.shell(
        "nft 'add table inet f; add chain inet f i { type filter hook input priority 0; }; \
         add rule inet f i ip protocol icmp drop; add rule inet f i tcp dport 22 reject with icmp host-unreachable'",
    );
    let case = "alive, its firewall rejects as a router would";
    let report = far.expect(case, fencekit(), "still-alive", "answered");
    assert_eq!(outcome(&report, "tcp", "storage"), "answered", "{report:#}");
    far.stage.node.shell(UNFILTER);

    // A firewall in between: whatever a witness says, this is no silence, though ping sockets are there for everybody.
    far.router.shell(&format!("ip route add prohibit {NODE}/32"));
    let case = "the router prohibits";
    let report = far.expect(case, fencekit(), "inconclusive", "probe-failed");
    assert!(report.to_string().contains("10.20.20.1 rejected"), "{report:#}");
    far.router.shell(&format!("ip route del prohibit {NODE}/32"));

    // It is dead. Routers notice within ten seconds; this one has at once.
    far.stage.links(&["f"], "down");
    far.router.shell("ip neigh flush dev rf");
    let case = "dead, TCP ports behind a router, a witness answers";
    let report = far.expect(case, fencekit(), "confirmed-off", "window");
    for probe in ["icmp", "tcp"] {
        assert_eq!(
            outcome(&report, probe, "storage"),
            "silent",
            "{probe}: {report:#}"
        );
        // It was the router's word, and the witness bore it out.
        let told = detail(&report, probe, "storage");
        assert!(told.contains("10.20.20.1 says"), "{probe}: {report:#}");
    }
    far.configure("", Some(WITNESS));
    let case = "dead, a witness answers, no permission for raw sockets";
    far.expect(case, without_permission(), "confirmed-off", "window");
    far.witness.shell(&format!("ip addr del {WITNESS}/24 dev wf"));
    let case = "dead, the witness too";
    far.expect(case, fencekit(), "inconclusive", "probe-failed");
    far.configure("", None);
    far.router.shell("ip link set rm down");
    shell("ip neigh flush dev om");
    let case = "the router is gone";
    let report = far.expect(case, fencekit(), "inconclusive", "probe-failed");
    assert!(
        report
            .to_string()
            .contains("the router 10.20.20.1 does not answer"),
        "{report:#}"
    );
}
