//! What Pacemaker has, against the cluster file: one difference at a time.

use super::*;

const FILE: &str = "
stonith_nodes:
  a: {method: kasa, ip: 10.0.0.1, password: sesame-a, mgmt_ip: 10.1.0.1}
  b: {method: kasa, ip: 10.0.0.2, mgmt_ip: 10.1.0.2}
quorum_nodes: [q]
";

fn cluster() -> (Cluster, Configuration) {
    configured(FILE)
}

fn configured(file: &str) -> (Cluster, Configuration) {
    let cluster = Cluster::from_text(file, "cluster.yml").unwrap();
    let wanted = Configuration::new(&cluster, Path::new("/etc/fencekit/cluster.yml")).unwrap();
    (cluster, wanted)
}

fn found(cib: &str) -> Vec<(Severity, Topic, String)> {
    found_of(&cluster(), cib)
}

fn found_of((cluster, wanted): &(Cluster, Configuration), cib: &str) -> Vec<(Severity, Topic, String)> {
    let nodes: Vec<&Node> = cluster.nodes.iter().collect();
    let cib = Cib::parse(cib).unwrap();
    let advice = compare(cluster, &nodes, Some(wanted), &cib);
    for one in &advice {
        assert!(!one.detail.contains("sesame"), "{one:?}");
        assert_eq!(one.mend.is_empty(), one.severity == Severity::Info, "{one:?}");
    }
    advice
        .into_iter()
        .map(|one| (one.severity, one.topic, one.detail))
        .collect()
}

/// What the file makes, with the nodes that a running cluster has.
fn good() -> String {
    let nodes = r#"<nodes><node id="1" uname="a"/><node id="2" uname="b"/><node id="3" uname="q"/></nodes>"#;
    stonith::cib(&cluster().1).unwrap().replace("<nodes/>", nodes)
}

#[test]
fn what_the_file_makes_is_as_the_file_says() {
    let found = found(&good());
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].2, "the cluster has been told what the file says");
}

/// Every way in which a cluster may differ, and what is told of it.
#[test]
fn each_difference_is_told() {
    use Severity::{Info, Problem, Warning};
    let of = |name: &str, value: &str| format!(r#"name="{name}" value="{value}""#);
    let property = |name: &str, value: &str| {
        (
            of("stonith-enabled", "true"),
            format!(
                r#"{}/><nvpair id="x" {}"#,
                of("stonith-enabled", "true"),
                of(name, value)
            ),
        )
    };
    let cases: Vec<((String, String), Severity, Topic, &str)> = vec![
        (
            (of("stonith-enabled", "true"), of("stonith-enabled", "false")),
            Problem,
            Topic::Property,
            "stonith-enabled is false",
        ),
        (property("fencing-enabled", "no"), Problem, Topic::Property, "fencing-enabled is no"),
        (property("maintenance-mode", "true"), Warning, Topic::Property, "maintenance-mode"),
        (property("startup-fencing", "false"), Warning, Topic::Property, "startup-fencing"),
        (property("no-quorum-policy", "ignore"), Warning, Topic::Property, "no-quorum-policy"),
        (property("stonith-watchdog-timeout", "10"), Warning, Topic::Property, "stonith-watchdog"),
        (
            (r#"name="stonith-timeout" value="240s""#.into(), of("stonith-timeout", "1min")),
            Warning,
            Topic::Timing,
            "stonith-timeout is 1min, and a whole level may take 240s",
        ),
        ((r#"uname="b""#.into(), r#"uname="c""#.into()), Problem, Topic::Pacemaker, "the cluster has no node"),
        ((r#"uname="q""#.into(), r#"uname="z""#.into()), Problem, Topic::Pacemaker, "the cluster's node z"),
        (
            (r#"<primitive id="fence-b" "#.into(), r#"<primitive id="other-b" "#.into()),
            Problem,
            Topic::Resource,
            "the cluster has no fence resource fence-b; it fences b by other-b",
        ),
        (
            (
                r#"<primitive id="fence-b" class="stonith" type="fence_kasa">"#.into(),
                r#"<primitive id="fence-b" class="stonith" type="fence_apc">"#.into(),
            ),
            Problem,
            Topic::Resource,
            "fence-b runs fence_apc, not fence_kasa",
        ),
        ((of("ip", "10.0.0.2"), of("ip", "10.0.0.9")), Problem, Topic::Resource, "fence-b has ip=10.0.0.9, the file 10.0.0.2"),
        ((of("password", "sesame-a"), of("password", "sesame-x")), Problem, Topic::Resource, "fence-a has another password"),
        ((of("password", "sesame-a"), of("passwd_x", "sesame-x")), Problem, Topic::Resource, "fence-a lacks password"),
        ((of("password", "sesame-a"), of("password", "lrm://")), Info, Topic::Pacemaker, "the cluster has been told"),
        ((of("pcmk_off_timeout", "60s"), of("pcmk_off_timeout", "5s")), Warning, Topic::Timing, "fence-a has pcmk_off_timeout=5s"),
        (
            (of("ip", "10.0.0.2"), format!(r#"{}/><nvpair id="x" {}"#, of("ip", "10.0.0.2"), of("plug", "3"))),
            Warning,
            Topic::Resource,
            "fence-b has plug",
        ),
        (
            (of("ip", "10.0.0.2"), format!(r#"{}/><nvpair id="x" {}"#, of("ip", "10.0.0.2"), of("pcmk_delay_base", "3s"))),
            Info,
            Topic::Resource,
            "fence-b has pcmk_delay_base too",
        ),
        ((r#"name="monitor" interval="60s""#.into(), r#"name="stop" interval="0""#.into()), Warning, Topic::Resource, "fence-a is not monitored"),
        (
            (
                "<operations>".into(),
                r#"<meta_attributes id="m"><nvpair id="t" name="target-role" value="Stopped"/></meta_attributes><operations>"#.into(),
            ),
            Problem,
            Topic::Resource,
            "fence-a is disabled",
        ),
        (
            (r#"devices="fence-b,fence-verify-b""#.into(), r#"devices="fence-b""#.into()),
            Problem,
            Topic::Level,
            "level 1 (fence-b) is without the verification",
        ),
        (
            (r#"devices="fence-b,fence-verify-b""#.into(), r#"devices="fence-verify-b,fence-b""#.into()),
            Problem,
            Topic::Level,
            "no fence level has fence-b fence-verify-b in this order",
        ),
        ((r#"target="b""#.into(), r#"target="c""#.into()), Problem, Topic::Level, "no fence level has fence-b fence-verify-b in this order; there is none"),
        ((r#"rsc="fence-b" node="b""#.into(), r#"rsc="fence-b" node="a""#.into()), Warning, Topic::Location, "no location rule keeps fence-b off b"),
        (
            (
                r#"</resources>"#.into(),
                r#"<primitive id="old" class="stonith" type="fence_apc"/></resources>"#.into(),
            ),
            Info,
            Topic::Resource,
            "fence resources that are not from this file: old",
        ),
    ];
    for ((from, to), severity, topic, words) in cases {
        let good = good();
        assert!(good.contains(&from), "{from}\n{good}");
        let found = found(&good.replacen(&from, &to, 1));
        let told = found
            .iter()
            .any(|(s, t, detail)| (*s, *t) == (severity, topic) && detail.contains(words));
        assert!(told, "{severity:?} {topic} {words}\n{found:#?}");
    }
}

#[test]
fn a_level_around_the_verification_is_a_problem() {
    let around = r#"<fencing-level id="x" target="b" index="2" devices="other"/></fencing-topology>"#;
    let found = found(&good().replace("</fencing-topology>", around));
    let told = found.iter().any(|(severity, topic, detail)| {
        (*severity, *topic) == (Severity::Problem, Topic::Level) && detail.starts_with("level 2 (other)")
    });
    assert!(told, "{found:#?}");
}

#[test]
fn how_nodes_and_resources_fare() {
    let (cluster, wanted) = cluster();
    let nodes: Vec<&Node> = cluster.nodes.iter().collect();
    let text = r#"<pacemaker-result><summary><current_dc present="true" with_quorum="false"/></summary>
<nodes><node name="a" online="false" unclean="false"/><node name="b" online="false" unclean="true"/></nodes>
<resources><resource id="fence-a" resource_agent="stonith:fence_kasa" active="false"/><resource id="fence-b" resource_agent="stonith:fence_kasa" active="true"/></resources>
<failures><failure op_key="fence-b_monitor_60000" node="a" exitreason="no route" status="Timed Out"/><failure op_key="fence-b_2_start_0" node="a" exitreason="of another" status="error"/></failures>
<status code="0"/></pacemaker-result>"#;
    let found = fares(&nodes, Some(&wanted), &Monitor::parse(text).unwrap());
    let told: Vec<_> = found
        .iter()
        .map(|one| (one.severity, one.detail.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                Severity::Problem,
                "this part of the cluster has no quorum: it fences nobody"
            ),
            (Severity::Warning, "a is offline"),
            (Severity::Problem, "b is UNCLEAN: the cluster waits for its fence"),
            (Severity::Problem, "fence-a runs nowhere"),
            (
                Severity::Warning,
                "fence-b has failed (fence-b_monitor_60000 on a: Timed Out no route)"
            ),
        ]
    );
}

#[test]
fn times_are_read_as_pacemaker_writes_them() {
    for (text, expected) in [
        ("60", Some(60.0)),
        ("60s", Some(60.0)),
        ("2min", Some(120.0)),
        ("500ms", Some(0.5)),
        ("soon", None),
        ("", None),
    ] {
        assert_eq!(seconds(text), expected, "{text}");
    }
}

/// A fallback is a level of the file's own, with a verification of its own.
#[test]
fn a_second_level_from_the_file_is_no_way_around() {
    let made = configured(
        "stonith_nodes:\n  a: {method: ipmi, ip: 10.0.0.1, user: u, password: sesame, mgmt_ip: 10.1.0.1, \
         fallback: {method: kasa, ip: 10.0.0.2}}\n",
    );
    let cib = stonith::cib(&made.1).unwrap();
    let told = |cib: &str| {
        let found = found_of(&made, cib);
        found.into_iter().map(|(.., detail)| detail).collect::<Vec<_>>()
    };
    assert_eq!(told(&cib), ["the cluster has been told what the file says"]);

    let swapped = cib
        .replace(r#"index="1""#, r#"index="3""#)
        .replace(r#"index="2""#, r#"index="1""#)
        .replace(r#"index="3""#, r#"index="2""#);
    assert_eq!(
        told(&swapped),
        ["its fence levels are in another order than in the file: the fallback is tried first"]
    );

    let unverified = cib.replace("fence-a-fallback,fence-verify-a-fallback", "fence-a-fallback");
    let told = told(&unverified);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("no fence level has fence-a-fallback fence-verify-a-fallback"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("level 2 (fence-a-fallback) is without the verification"),
        "{told:?}"
    );
}
