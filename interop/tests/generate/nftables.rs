//! The firewall rules, in the kernel: nodes on one network, devices on another, a router between them.
//!
//! What has to pass is the program's own conversation with simulated devices, over TCP, UDP and IPv6.

use std::process::Command;

use fencekit::generate::{Kind, Options};
use fencekit_interop::{Output, Peer, Space, fencekit_bin, private_namespaces, required, run, tool};

use super::{LIMIT, made};

const FILE: &str = r#"
stonith_nodes:
  a: {method: ipmi, ip: 10.0.2.201, user: u, password: p, mgmt_ip: 10.0.1.1, client_ips: ["fd00:1::1"]}
  b: {method: kasa, ip: 10.0.2.202, mgmt_ip: 10.0.1.2, client_ips: ["fd00:1::2"]}
  c: {method: tasmota, ip: "fd00:2::203", mgmt_ip: 10.0.1.3, client_ips: ["fd00:1::3"]}
"#;
/// A service of the devices' network that is nobody's door, and one of a node.
const OTHER_PORT: u16 = 2222;

#[test]
fn nft_takes_every_ruleset() {
    let nft = required!(tool("nft"));
    private_namespaces!();
    let examples = fencekit_interop::workspace().join("examples/cluster");
    let texts = ["cluster.yml", "every-method.yml", "group_vars.yml"]
        .map(|name| std::fs::read_to_string(examples.join(name)).unwrap());
    for text in texts.iter().map(String::as_str).chain([FILE]) {
        let cluster = fencekit::cluster::Cluster::from_text(text, "cluster.yml").unwrap();
        let nodes = cluster.nodes.into_iter().map(|node| Some(node.name));
        for node in nodes.chain([None]) {
            let mut options = Options::default();
            options.node = node;
            options.ntp_server = "fd00:9::123".parse().ok();
            let rules = made(Kind::Nftables, text, &options).text;
            // Twice: the second replaces the first.
            for check in [&["-c", "-f", "-"][..], &["-f", "-"], &["-f", "-"]] {
                let out = run(Command::new(&nft).args(check), &rules, LIMIT);
                assert!(out.ok() && out.stderr.is_empty(), "{out}\n{rules}");
            }
        }
    }
}

/// Nodes a, b and a stranger; the router; the devices, which are all in one place.
struct Stage {
    a: Space,
    b: Space,
    stranger: Space,
    router: Space,
    devices: Space,
    directory: tempfile::TempDir,
    _peers: Vec<Peer>,
}

impl Stage {
    fn new() -> Self {
        let [a, b, stranger, router, devices] = [(); 5].map(|()| Space::new());
        router.shell(
            "ip link add nodes type bridge; ip link set nodes up; ip addr add 10.0.1.254/24 dev nodes; \
             ip addr add fd00:1::fe/64 dev nodes nodad; echo 1 > /proc/sys/net/ipv4/ip_forward; \
             echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
        );
        for (space, host) in [(&a, 1), (&b, 2), (&stranger, 9)] {
            router.shell(&format!(
                "ip link add p{host} type veth peer name eth0 netns {}; ip link set p{host} master nodes up",
                space.id()
            ));
            space.shell(&format!(
                "ip addr add 10.0.1.{host}/24 dev eth0; ip addr add fd00:1::{host}/64 dev eth0 nodad; \
                 ip link set eth0 up; ip route add default via 10.0.1.254; ip route add default via fd00:1::fe"
            ));
        }
        router.shell(&format!(
            "ip link add devices type veth peer name eth0 netns {}; ip addr add 10.0.2.254/24 dev devices; \
             ip addr add fd00:2::fe/64 dev devices nodad; ip link set devices up",
            devices.id()
        ));
        devices.shell(
            "for host in 201 202; do ip addr add 10.0.2.$host/24 dev eth0; done; \
             ip addr add fd00:2::203/64 dev eth0 nodad; ip link set eth0 up; \
             ip route add default via 10.0.2.254; ip route add default via fd00:2::fe",
        );
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("cluster.yml"), FILE).unwrap();
        let mut stage = Self {
            a,
            b,
            stranger,
            router,
            devices,
            directory,
            _peers: Vec::new(),
        };
        stage.start_peers();
        stage
    }

    fn start_peers(&mut self) {
        let mut sim = self.fencekit(&self.devices, &["sim"]);
        let sim = Peer::start("the devices", &mut sim);
        for node in ["\"a\"", "\"b\"", "\"c\""] {
            let _ = sim.wait_for(LIMIT, |line| line.contains(node));
        }
        self._peers.push(sim);
        for (space, address) in [(&self.devices, "10.0.2.202"), (&self.a, "10.0.1.1")] {
            let mut server = space.inside("python3");
            server.args([
                "-u",
                "-m",
                "http.server",
                "--bind",
                address,
                &OTHER_PORT.to_string(),
            ]);
            let server = Peer::start("a service", &mut server);
            let _ = server.wait_for(LIMIT, |line| line.starts_with("Serving"));
            self._peers.push(server);
        }
    }

    fn fencekit(&self, from: &Space, arguments: &[&str]) -> Command {
        let mut command = from.inside(fencekit_bin().to_str().unwrap());
        command
            .args(arguments)
            .arg("--config")
            .arg(self.directory.path().join("cluster.yml"));
        command
    }

    /// Asks a node's device from here, with patience enough for a busy machine.
    fn sees(&self, from: &Space, node: &str) -> Output {
        run(
            &mut self.fencekit(from, &["status", "--timeout", "10", node]),
            "",
            LIMIT,
        )
    }

    /// Whether a node's device is out of reach from here.
    fn is_closed(&self, from: &Space, node: &str) -> bool {
        let mut command = self.fencekit(from, &["status", "--timeout", "1.5", node]);
        run(&mut command, "", LIMIT).code == Some(1)
    }

    fn load(&self, space: &Space, options: &Options) {
        let rules = made(Kind::Nftables, FILE, options).text;
        let out = run(space.inside("nft").args(["-f", "-"]), &rules, LIMIT);
        assert!(out.ok(), "{out}\n{rules}");
    }

    /// The sum of the packets that the rules dropped.
    fn dropped(&self, space: &Space) -> u64 {
        let out = run(
            space.inside("nft").args(["list", "table", "inet", "fencekit"]),
            "",
            LIMIT,
        );
        let words: Vec<_> = out.stdout.split_whitespace().collect();
        let counts = words.windows(2).filter(|pair| pair[0] == "packets");
        counts.map(|pair| pair[1].parse::<u64>().unwrap()).sum()
    }
}

fn connects(from: &Space, to: &str, port: u16) -> bool {
    let script = format!("exec 3<>/dev/tcp/{to}/{port}");
    let mut command = from.inside("timeout");
    run(command.args(["1", "bash", "-c", &script]), "", LIMIT).ok()
}

fn pings(from: &Space, to: &str) -> bool {
    run(
        from.inside("ping").args(["-n", "-c", "1", "-W", "1", to]),
        "",
        LIMIT,
    )
    .ok()
}

macro_rules! stage {
    () => {{
        required!(tool("nft"));
        required!(tool("ip"));
        required!(tool("ping"));
        required!(tool("python3"));
        private_namespaces!();
        Stage::new()
    }};
}

/// What holds wherever the rules are loaded between node a and the devices.
fn a_reaches_all_but_its_own_and_nothing_reaches_a(stage: &Stage, rules_in: &Space) {
    for other in ["b", "c"] {
        let out = stage.sees(&stage.a, other);
        assert!(out.ok(), "a does not reach the device of {other}: {out}");
    }
    assert!(
        pings(&stage.a, "10.0.2.202") && pings(&stage.a, "fd00:2::203"),
        "as witnesses"
    );

    let before = stage.dropped(rules_in);
    assert!(stage.is_closed(&stage.a, "a"), "a reaches its own device");
    assert!(!pings(&stage.a, "10.0.2.201"));
    assert!(
        !connects(&stage.a, "10.0.2.202", OTHER_PORT),
        "a port that is no door"
    );
    assert!(
        stage.dropped(rules_in) > before,
        "something else than the rules was in the way"
    );

    let before = stage.dropped(rules_in);
    assert!(
        !connects(&stage.devices, "10.0.1.1", OTHER_PORT),
        "a device reaches a node"
    );
    assert!(!pings(&stage.devices, "10.0.1.1") && !pings(&stage.devices, "fd00:1::1"));
    assert!(
        stage.dropped(rules_in) > before,
        "something else than the rules was in the way"
    );
}

/// Without rules everything passes, or nothing below would prove anything.
fn everything_passes(stage: &Stage) {
    for node in ["a", "b", "c"] {
        let out = stage.sees(&stage.a, node);
        assert!(out.ok(), "{node}: {out}");
    }
    assert!(stage.sees(&stage.stranger, "b").ok());
    assert!(connects(&stage.a, "10.0.2.202", OTHER_PORT));
    assert!(connects(&stage.devices, "10.0.1.1", OTHER_PORT));
    assert!(pings(&stage.a, "10.0.2.201") && pings(&stage.devices, "fd00:1::1"));
}

#[test]
fn on_a_router_a_node_is_told_by_its_source() {
    let stage = stage!();
    everything_passes(&stage);
    stage.load(&stage.router, &Options::default());
    a_reaches_all_but_its_own_and_nothing_reaches_a(&stage, &stage.router);
    let out = stage.sees(&stage.b, "a");
    assert!(out.ok(), "IPMI over UDP does not pass: {out}");
    assert!(stage.is_closed(&stage.b, "b"));

    assert!(stage.is_closed(&stage.stranger, "b"), "a stranger passes");
    stage
        .router
        .shell("nft add element inet fencekit administrators4 '{ 10.0.1.9 }'");
    let out = stage.sees(&stage.stranger, "b");
    assert!(out.ok(), "an administrator does not pass: {out}");
    assert!(!connects(&stage.stranger, "10.0.2.202", OTHER_PORT));
}

#[test]
fn on_a_node_the_ruleset_for_all_and_its_own_hold_alike() {
    let stage = stage!();
    let mut own = Options::default();
    own.node = Some("a".to_owned());
    for options in [Options::default(), own] {
        stage.load(&stage.a, &options);
        a_reaches_all_but_its_own_and_nothing_reaches_a(&stage, &stage.a);
    }
    // Nor does the node carry packets for anybody.
    stage.a.shell("echo 1 > /proc/sys/net/ipv4/ip_forward");
    stage
        .stranger
        .shell("ip route replace 10.0.2.202/32 via 10.0.1.1");
    let before = stage.dropped(&stage.a);
    assert!(stage.is_closed(&stage.stranger, "b"));
    assert!(stage.dropped(&stage.a) > before);
}
