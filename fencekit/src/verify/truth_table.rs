//! Every combination of evidence and the verdict it gets, as a checked-in table; and an independent statement of
//! what may be confirmed, held against millions of them.
//!
//! After a wanted change: `FENCEKIT_BLESS=1 cargo test -p fencekit truth_table`.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::evidence::Outcome::{self, *};
use super::evidence::{Evidence, Probe};
use super::plan::{Feed, Network, Plan, Timing};
use super::verdict::{Decision, Verdict, Window, decide};
use crate::level::{Level, Standing};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/verdicts.md");

const POWER: [Outcome; 3] = [Off, On, Unknown];
const METER: [Option<Outcome>; 4] = [None, Some(Below), Some(Above), Some(Unknown)];
const HEARD: [Outcome; 3] = [Silent, Answered, Unknown];
const MAYBE_HEARD: [Option<Outcome>; 4] = [None, Some(Silent), Some(Answered), Some(Unknown)];

/// What was seen of one device.
#[derive(Clone, Copy)]
struct Device {
    power: Outcome,
    meter: Option<Outcome>,
    standing: Standing,
}

/// What was seen of one network.
#[derive(Clone, Copy)]
struct Net {
    icmp: Outcome,
    tcp: Option<Outcome>,
    neighbour: Option<Outcome>,
    path_broken: bool,
    witness: Option<Outcome>,
}

const OFF: Device = Device {
    power: Off,
    meter: None,
    standing: FIRST,
};
const FIRST: Standing = Standing {
    level: Level::First,
    bmc: false,
};
const QUIET: Net = Net {
    icmp: Silent,
    tcp: None,
    neighbour: None,
    path_broken: false,
    witness: Some(Answered),
};

fn fallback(power: Outcome, bmc: bool) -> Device {
    Device {
        power,
        meter: None,
        standing: Standing {
            level: Level::Fallback,
            bmc,
        },
    }
}

fn address(network: usize) -> IpAddr {
    let last = u8::try_from(network).unwrap();
    IpAddr::from([10, 20, last, 2])
}

fn judge(devices: &[Device], nets: &[Net], require_witness: bool) -> Decision {
    let mut plan = Plan {
        node: "storage-b".into(),
        devices: Vec::new(),
        networks: Vec::new(),
        require_witness,
        timing: Timing::default(),
    };
    let mut evidence = Vec::new();
    let mut add = |probe, subject: String, network: Option<String>, outcome| {
        evidence.push(Evidence {
            probe,
            subject,
            network,
            outcome,
            detail: String::new(),
            at_ms: 0,
            elapsed_ms: 0,
        });
    };
    for (index, device) in devices.iter().enumerate() {
        let label = format!("kasa @ 10.20.20.20{index}");
        add(Probe::Power, label.clone(), None, device.power);
        if let Some(meter) = device.meter {
            add(Probe::Meter, label.clone(), None, meter);
        }
        plan.devices.push(Feed {
            label,
            address: None,
            off_max_watts: device.meter.map(|_| 5.0),
            baseline_watts: None,
            standing: device.standing,
        });
    }
    for (index, net) in nets.iter().enumerate() {
        let mut network = Network::new(format!("net{index}"), address(index));
        let name = Some(network.name.clone());
        let node = network.address.to_string();
        add(Probe::Icmp, node.clone(), name.clone(), net.icmp);
        if let Some(tcp) = net.tcp {
            network.tcp_ports.push(22);
            add(Probe::Tcp, format!("{node}:22"), name.clone(), tcp);
        }
        if let Some(neighbour) = net.neighbour {
            add(Probe::Neighbour, node.clone(), name.clone(), neighbour);
        }
        if net.path_broken {
            add(Probe::Path, node.clone(), name.clone(), Unknown);
        }
        if let Some(witness) = net.witness {
            network.witnesses.push(IpAddr::from([10, 20, 0, 254]));
            add(Probe::Witness, "10.20.0.254".into(), name.clone(), witness);
        }
        plan.networks.push(network);
    }
    decide(&plan, &evidence, Window::Full)
}

fn cell(decision: &Decision) -> String {
    match decision.verdict {
        Verdict::ConfirmedOff => "**confirmed-off**".to_owned(),
        Verdict::StillAlive => "still-alive".to_owned(),
        Verdict::Inconclusive => {
            let rule = serde_json::to_value(decision.rule).unwrap();
            format!("inconclusive: {}", rule.as_str().unwrap())
        }
    }
}

fn or_none(outcome: Option<Outcome>) -> String {
    outcome.map_or_else(|| "none".to_owned(), |outcome| outcome.to_string())
}

fn row(table: &mut String, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<_> = cells.into_iter().collect();
    writeln!(table, "| {} |", cells.join(" | ")).unwrap();
}

fn head(table: &mut String, cells: &[&str]) {
    row(table, cells.iter().map(ToString::to_string));
    row(table, cells.iter().map(|_| "---".to_owned()));
}

fn networks() -> [(&'static str, Net, bool); 9] {
    let with = |witness| Net { witness, ..QUIET };
    [
        (
            "answered",
            Net {
                icmp: Answered,
                ..QUIET
            },
            false,
        ),
        ("silent, witness answers", QUIET, false),
        ("silent, no witness", with(None), false),
        ("silent, no witness, `require_witness`", with(None), true),
        ("silent, witness silent", with(Some(Silent)), false),
        ("silent, witness unknown", with(Some(Unknown)), false),
        (
            "probe failed",
            Net {
                icmp: Unknown,
                ..QUIET
            },
            false,
        ),
        (
            "silent, path broken",
            Net {
                path_broken: true,
                ..QUIET
            },
            false,
        ),
        (
            "answered, path broken",
            Net {
                icmp: Answered,
                path_broken: true,
                ..QUIET
            },
            false,
        ),
    ]
}

fn table() -> String {
    let mut text = String::from(
        "# Evidence and verdict\n\n\
         Made from the code by its test; do not edit. Only **confirmed-off** is a success anywhere. An inconclusive\n\
         verdict names the first rule that was not met.\n\n\
         ## One device, one network\n\n\
         The meter counts where `off_max_watts` is set.\n\n",
    );
    let nets = networks();
    let mut titles = vec!["power", "meter"];
    titles.extend(nets.iter().map(|(title, ..)| *title));
    head(&mut text, &titles);
    for power in POWER {
        for meter in METER {
            let verdicts = nets
                .iter()
                .map(|(_, net, require)| cell(&judge(&[Device { power, meter, ..OFF }], &[*net], *require)));
            row(
                &mut text,
                [power.to_string(), or_none(meter)].into_iter().chain(verdicts),
            );
        }
    }

    text.push_str("\n## Two devices, one silent and witnessed network\n\n");
    head(
        &mut text,
        &["first device", "second off", "second on", "second unknown"],
    );
    for first in POWER {
        let verdicts = POWER.map(|second| {
            let device = |power| Device { power, ..OFF };
            cell(&judge(&[device(first), device(second)], &[QUIET], false))
        });
        row(&mut text, [first.to_string()].into_iter().chain(verdicts));
    }

    text.push_str(
        "\n## A device and a fallback, one silent and witnessed network\n\n\
         The fallback cuts all of the node's power: its off is enough where the device does not answer, and an \"on\" of \
         the device,\nor of a BMC at either level, contradicts every off.\n\n",
    );
    let fallbacks = [("plug", false), ("BMC", true)];
    let titles = fallbacks.map(|(kind, _)| POWER.map(|power| format!("{kind} {power}")));
    let titles = std::iter::once("device".to_owned()).chain(titles.concat());
    head(
        &mut text,
        &titles
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
    for power in POWER {
        let verdicts = fallbacks.map(|(_, bmc)| {
            POWER.map(|second| {
                let devices = [Device { power, ..OFF }, fallback(second, bmc)];
                cell(&judge(&devices, &[QUIET], false))
            })
        });
        row(
            &mut text,
            std::iter::once(power.to_string()).chain(verdicts.concat()),
        );
    }

    text.push_str("\n## Two networks, power off\n\n");
    let usual = || networks().into_iter().filter(|(.., require)| !require);
    let mut titles = vec!["first network".to_owned()];
    titles.extend(usual().map(|(title, ..)| format!("second {title}")));
    head(&mut text, &titles.iter().map(String::as_str).collect::<Vec<_>>());
    for (title, first, _) in usual() {
        let verdicts = usual().map(|(_, second, _)| cell(&judge(&[OFF], &[first, second], false)));
        row(&mut text, [title.to_owned()].into_iter().chain(verdicts));
    }

    text.push_str(
        "\n## The probes of one witnessed network, power off\n\n\
         Neighbours are asked on directly connected networks, TCP where `tcp_ports` is set.\n\n",
    );
    let titles = [
        "icmp",
        "tcp",
        "no neighbour probe",
        "neighbour silent",
        "neighbour answered",
        "neighbour unknown",
    ];
    head(&mut text, &titles);
    for icmp in HEARD {
        for tcp in MAYBE_HEARD {
            let verdicts = MAYBE_HEARD.map(|neighbour| {
                let net = Net {
                    icmp,
                    tcp,
                    neighbour,
                    ..QUIET
                };
                cell(&judge(&[OFF], &[net], false))
            });
            row(
                &mut text,
                [icmp.to_string(), or_none(tcp)].into_iter().chain(verdicts),
            );
        }
    }

    text.push_str("\n## Nothing configured\n\n");
    head(&mut text, &["configured", "verdict"]);
    row(
        &mut text,
        [
            "no address, power off".to_owned(),
            cell(&judge(&[OFF], &[], false)),
        ],
    );
    row(
        &mut text,
        ["no device, silent".to_owned(), cell(&judge(&[], &[QUIET], false))],
    );
    row(&mut text, ["neither".to_owned(), cell(&judge(&[], &[], false))]);
    text
}

#[test]
fn the_table_is_as_checked_in() {
    let made = table();
    if std::env::var_os("FENCEKIT_BLESS").is_some() {
        std::fs::write(PATH, &made).unwrap();
    }
    let kept = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        made == kept,
        "docs/verdicts.md differs from the code; look at the change, then FENCEKIT_BLESS=1"
    );
}

fn all_devices() -> Vec<Device> {
    let mut all = Vec::new();
    for power in POWER {
        all.extend(METER.map(|meter| Device { power, meter, ..OFF }));
    }
    all
}

fn all_nets() -> Vec<Net> {
    let mut all = Vec::new();
    for icmp in HEARD {
        for tcp in MAYBE_HEARD {
            for neighbour in MAYBE_HEARD {
                for witness in [None, Some(Silent), Some(Answered), Some(Unknown)] {
                    for path_broken in [false, true] {
                        all.push(Net {
                            icmp,
                            tcp,
                            neighbour,
                            path_broken,
                            witness,
                        });
                    }
                }
            }
        }
    }
    all
}

/// What the documentation promises, written without a look at the code.
fn promised(devices: &[Device], nets: &[Net], require_witness: bool) -> Verdict {
    let heard = |net: &Net| {
        [Some(net.icmp), net.tcp, net.neighbour]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    };
    let answered = nets.iter().any(|net| heard(net).contains(&Answered));
    let first = |device: &&Device| device.standing.level == Level::First;
    let fallback = |device: &&Device| device.standing.level == Level::Fallback;
    let speaks = |device: &Device| device.standing.level == Level::First || device.standing.bmc;
    if answered || devices.iter().any(|device| device.power == On && speaks(device)) {
        return Verdict::StillAlive;
    }
    let is_off = |device: &Device| device.power == Off && !matches!(device.meter, Some(Above | Unknown));
    let draws = devices
        .iter()
        .filter(first)
        .any(|device| device.meter == Some(Above));
    let first_off = devices.iter().any(|device| first(&device)) && devices.iter().filter(first).all(is_off);
    let fallback_off = devices.iter().filter(fallback).any(is_off) && !draws;
    let all_off = first_off || fallback_off;
    let all_silent = nets.iter().all(|net| {
        let could_hear = match net.witness {
            None => !require_witness,
            Some(seen) => seen == Answered,
        };
        heard(net).iter().all(|seen| *seen == Silent) && !net.path_broken && could_hear
    });
    if !devices.is_empty() && !nets.is_empty() && all_off && all_silent {
        Verdict::ConfirmedOff
    } else {
        Verdict::Inconclusive
    }
}

#[test]
fn every_combination_keeps_the_promise() {
    let (devices, nets) = (all_devices(), all_nets());
    let mut confirmed = 0_u32;
    for require_witness in [false, true] {
        for device in &devices {
            for net in &nets {
                let decision = judge(&[*device], &[*net], require_witness);
                assert_eq!(decision.verdict, promised(&[*device], &[*net], require_witness));
                assert!(!decision.reasons.is_empty());
            }
        }
    }
    // With a fallback of either kind, which answers in any way.
    for first in &devices {
        for second in &devices {
            for bmc in [false, true] {
                let level = fallback(second.power, bmc);
                let both = [
                    *first,
                    Device {
                        meter: second.meter,
                        ..level
                    },
                ];
                for net in &nets {
                    let verdict = judge(&both, &[*net], false).verdict;
                    assert_eq!(verdict, promised(&both, &[*net], false));
                }
            }
        }
    }
    // Two of each, with the probes of a network thinned out to those that differ in kind.
    let few: Vec<_> = nets
        .iter()
        .filter(|net| net.tcp.is_none() && net.neighbour.is_none())
        .copied()
        .collect();
    for first in &devices {
        for second in &devices {
            for one in &few {
                for other in &few {
                    let (both, nets) = ([*first, *second], [*one, *other]);
                    let verdict = judge(&both, &nets, false).verdict;
                    assert_eq!(verdict, promised(&both, &nets, false));
                    confirmed += u32::from(verdict == Verdict::ConfirmedOff);
                }
            }
        }
    }
    // Each device off with no meter or one below, each network silent with no witness or one that answers.
    assert_eq!(confirmed, 2 * 2 * 2 * 2);
}

#[test]
fn evidence_that_is_missing_counts_as_unknown() {
    let plan = Plan {
        node: "n".into(),
        devices: vec![Feed {
            label: "kasa @ 10.0.0.1".into(),
            address: None,
            off_max_watts: Some(5.0),
            baseline_watts: None,
            standing: FIRST,
        }],
        networks: vec![Network::new("management", address(0))],
        require_witness: false,
        timing: Timing::default(),
    };
    let whole = [
        (Probe::Power, "kasa @ 10.0.0.1", None, Off),
        (Probe::Meter, "kasa @ 10.0.0.1", None, Below),
        (Probe::Icmp, "10.20.0.2", Some("management"), Silent),
    ];
    let evidence: Vec<_> = whole
        .iter()
        .map(|(probe, subject, network, outcome)| Evidence {
            probe: *probe,
            subject: (*subject).to_owned(),
            network: network.map(str::to_owned),
            outcome: *outcome,
            detail: String::new(),
            at_ms: 0,
            elapsed_ms: 0,
        })
        .collect();
    assert_eq!(
        decide(&plan, &evidence, Window::Full).verdict,
        Verdict::ConfirmedOff
    );
    for missing in 0..evidence.len() {
        let mut rest = evidence.clone();
        rest.remove(missing);
        assert_eq!(
            decide(&plan, &rest, Window::Full).verdict,
            Verdict::Inconclusive,
            "without {missing}"
        );
    }
    assert_eq!(decide(&plan, &[], Window::Full).verdict, Verdict::Inconclusive);
}

#[test]
fn two_devices_of_one_name_need_two_pieces_of_evidence() {
    let feed = Feed {
        label: "kasa @ 10.0.0.1".into(),
        address: None,
        off_max_watts: None,
        baseline_watts: None,
        standing: FIRST,
    };
    let plan = Plan {
        node: "n".into(),
        devices: vec![feed.clone(), feed],
        networks: vec![Network::new("management", address(0))],
        require_witness: false,
        timing: Timing::default(),
    };
    let off = Evidence {
        probe: Probe::Power,
        subject: "kasa @ 10.0.0.1".into(),
        network: None,
        outcome: Off,
        detail: String::new(),
        at_ms: 0,
        elapsed_ms: 0,
    };
    let silent = Evidence {
        probe: Probe::Icmp,
        subject: "10.20.0.2".into(),
        network: Some("management".into()),
        outcome: Silent,
        ..off.clone()
    };
    let one = [off.clone(), silent.clone()];
    assert_eq!(decide(&plan, &one, Window::Full).verdict, Verdict::Inconclusive);
    let two = [off.clone(), off, silent];
    assert_eq!(decide(&plan, &two, Window::Full).verdict, Verdict::ConfirmedOff);
}
