use proptest::prelude::*;

use super::*;

const FILE: &str = "
stonith_nodes:
  a: {method: kasa, ip: 10.20.20.201, transport: xor, mgmt_ip: 10.20.20.1, storage_ip: 10.10.10.1}
  b: {method: tasmota, ip: 10.20.20.202, mgmt_ip: 10.20.20.2}
  c: {method: kasa, ip: 10.20.20.203, plug: 1, mgmt_ip: 10.20.20.3}
  d: {method: kasa, ip: 10.20.20.203, plug: 2, client_ips: [\"fd00::4\"]}
quorum_nodes: [quorum]
";

fn made(file: &str, node: Option<&str>) -> Result<Generated> {
    let options = Options {
        node: node.map(str::to_owned),
        ..Options::default()
    };
    nftables(&Cluster::from_text(file, "test").unwrap(), &options)
}

/// The elements of a set in the ruleset.
fn elements(text: &str, set: &str) -> Vec<String> {
    let set = text.split_once(&format!("\tset {set} {{")).unwrap().1;
    let set = set.split("\n\tset ").next().unwrap();
    let Some((_, elements)) = set.split_once("elements = {") else {
        return Vec::new();
    };
    let elements = elements.split('}').next().unwrap();
    elements.split(',').map(|one| one.trim().to_owned()).collect()
}

#[test]
fn each_node_is_kept_from_what_feeds_it_alone() {
    let made = made(FILE, None).unwrap();
    assert_eq!(
        elements(&made.text, "own4"),
        [
            "10.10.10.1 . 10.20.20.201",
            "10.20.20.1 . 10.20.20.201",
            "10.20.20.2 . 10.20.20.202"
        ]
    );
    assert_eq!(elements(&made.text, "nodes6"), ["fd00::4"]);
    assert!(elements(&made.text, "doors6").is_empty());
    let notes = made.notes.join("\n");
    assert!(
        notes.contains("10.20.20.203 feeds c and d: each of them reaches it"),
        "{notes}"
    );
    assert!(notes.contains("d: without an address"), "{notes}");
    assert!(!notes.contains("a: without") && !notes.contains(", d"), "{notes}");
}

#[test]
fn a_node_s_own_ruleset_has_the_doors_of_the_others_alone() {
    let of = |node| elements(&made(FILE, Some(node)).unwrap().text, "doors4");
    assert!(!of("a").iter().any(|door| door.starts_with("10.20.20.201")));
    assert!(of("a").contains(&"10.20.20.202 . tcp . 80".to_owned()));
    assert!(
        of("c").contains(&"10.20.20.203 . tcp . 9999".to_owned()),
        "d's outlet"
    );
    assert!(of("b").contains(&"10.20.20.201 . tcp . 9999".to_owned()));
    let quorum = of("quorum");
    assert!(quorum.contains(&"10.20.20.201 . tcp . 9999".to_owned()));
    assert!(quorum.contains(&"10.20.20.202 . tcp . 80".to_owned()));
    // The device is known, so that it is closed.
    assert!(elements(&made(FILE, Some("a")).unwrap().text, "devices4").contains(&"10.20.20.201".to_owned()));
    let error = made(FILE, Some("e")).unwrap_err().to_string();
    assert!(error.contains("\"e\" is not in the cluster file"), "{error}");
}

#[test]
fn a_name_is_refused_with_a_word_and_taken_once_it_was_looked_up() {
    let file = "stonith_nodes: {a: {method: tasmota, ip: plug-a.lan, mgmt_ip: 10.0.0.1}}";
    let error = made(file, None).unwrap_err().to_string();
    assert_eq!(
        error,
        "a: ip: \"plug-a.lan\" is a name, and a firewall rule holds for addresses alone; write the device's address, \
         or have names looked up now: resolve, --resolve on the command line"
    );
    let cluster = Cluster::from_text(file, "test").unwrap();
    assert_eq!(
        named_devices(&cluster).unwrap().into_iter().collect::<Vec<_>>(),
        ["plug-a.lan"]
    );
    let options = Options {
        resolved: [("plug-a.lan".to_owned(), vec!["10.0.0.7".parse().unwrap()])].into(),
        ..Options::default()
    };
    let made = nftables(&cluster, &options).unwrap();
    assert_eq!(elements(&made.text, "doors4"), ["10.0.0.7 . tcp . 80"]);
    assert!(
        made.notes[0].starts_with("a: plug-a.lan was 10.0.0.7"),
        "{:?}",
        made.notes
    );
}

proptest! {
    /// Whatever a node is called, its name stays within a comment.
    #[test]
    fn no_name_leaves_its_comment(name in "[^\0]{1,20}") {
        let mut cluster = Cluster::from_text(FILE, "test").unwrap();
        cluster.nodes[0].name.clone_from(&name);
        cluster.nodes[3].name = format!("{name} ");
        let plain = nftables(&Cluster::from_text(FILE, "test").unwrap(), &Options::default()).unwrap();
        let renamed = nftables(&cluster, &Options::default()).unwrap();
        let rules = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.trim_start().starts_with('#')).map(str::to_owned).collect()
        };
        prop_assert_eq!(rules(&plain.text), rules(&renamed.text));
    }
}
