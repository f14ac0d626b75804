//! A node, its feeds, its networks and an observer, with everything that can go wrong with them, made from a seed.
//! Times are milliseconds since the verification began; before that they are negative.

use std::net::IpAddr;
use std::time::Duration;

use crate::level::{Level, Standing};
use crate::verify::plan::{Feed, Network, Plan, Timing};

/// A small deterministic generator (SplitMix64), so that a seed means the same everywhere and for ever.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed ^ 0x5DEE_CE66_D1CE_4E5B)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From `from` to `to`, both included.
    pub(super) fn range(&mut self, from: i64, to: i64) -> i64 {
        let span = u64::try_from(to - from + 1).unwrap();
        from + i64::try_from(self.next() % span).unwrap()
    }

    /// True in `percent` of 100 throws.
    pub(super) fn percent(&mut self, percent: i64) -> bool {
        self.range(0, 99) < percent
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.next() % from.len() as u64).unwrap()]
    }
}

/// From, inclusive; to, exclusive.
pub(super) type Span = (i64, i64);

pub(super) fn within(span: Option<Span>, at: i64) -> bool {
    span.is_some_and(|(from, to)| (from..to).contains(&at))
}

/// When a device does not answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Failing {
    Never,
    Always,
    Within(Span),
    /// In this many of 100 looks.
    Often(i64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meter {
    None,
    Honest,
    /// Shows the same whatever flows.
    Stuck(f64),
}

/// A power supply of the node and the device in front of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FeedWorld {
    /// When its relay opened; `None` when it never did.
    pub(super) off_at: Option<i64>,
    /// When it closed again by itself.
    pub(super) bounce_at: Option<i64>,
    /// The device says off whatever the relay does.
    pub(super) lies: bool,
    pub(super) failing: Failing,
    /// Looks never come back.
    pub(super) hangs: bool,
    pub(super) latency: i64,
    pub(super) meter: Meter,
    /// The network it is on, by index.
    pub(super) network: Option<usize>,
    /// A fallback cuts all of the node's power; a BMC says what the node does, and dies with the power before it.
    pub(super) standing: Standing,
}

impl FeedWorld {
    pub(super) fn powered(&self, at: i64) -> bool {
        self.off_at.is_none_or(|off| at < off) || self.bounce_at.is_some_and(|on| at >= on)
    }
}

/// When power of a level is gone, and when it comes back.
fn dark(feeds: impl Iterator<Item = FeedWorld> + Clone) -> Option<(i64, i64)> {
    let off = feeds
        .clone()
        .map(|feed| feed.off_at)
        .collect::<Option<Vec<_>>>()?;
    let off = off.into_iter().max()?;
    let on = feeds.filter_map(|feed| feed.bounce_at).min();
    let span = (off, on.unwrap_or(i64::MAX));
    (span.0 < span.1).then_some(span)
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Port {
    Open,
    Refused,
    Filtered,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct WitnessWorld {
    pub(super) dead: bool,
    /// It is on another network than configured, and answers there.
    pub(super) misplaced: bool,
}

#[derive(Clone, Debug)]
pub(super) struct NetWorld {
    pub(super) direct: bool,
    /// The node's own link is down: it lives, but nobody can tell from here.
    pub(super) node_link_down: Option<Span>,
    pub(super) icmp_filtered: bool,
    pub(super) tcp: Option<Port>,
    /// Per direction and packet, of 100.
    pub(super) loss: i64,
    /// Round trip.
    pub(super) delay: i64,
    /// The switch: nobody on this network is heard, while the observer's link looks sound.
    pub(super) partition: Option<Span>,
    /// The observer's own link is down, and the kernel says so.
    pub(super) own_link_down: Option<Span>,
    /// The observer lost its address there: packets leave by the default route and go nowhere.
    pub(super) rerouted: Option<Span>,
    /// The router in between says "host unreachable" where the node does not answer it.
    pub(super) tells: bool,
    /// It says so whatever the node does: it has lost its route, or a firewall there was told to.
    pub(super) rejects: Option<Span>,
    /// No permission to send.
    pub(super) forbidden: bool,
    /// Probes never come back.
    pub(super) hangs: bool,
    pub(super) witnesses: Vec<WitnessWorld>,
}

impl NetWorld {
    /// Whether the router turns away what is sent to the node.
    pub(super) fn is_rejected(&self, at: i64) -> bool {
        !self.direct && within(self.rejects, at)
    }
}

/// A whole schedule.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) plan: Plan,
    pub(super) feeds: Vec<FeedWorld>,
    pub(super) nets: Vec<NetWorld>,
    /// How long the node runs on once no feed gives power: its power supply's capacitors, or a battery.
    pub(super) holds_up: i64,
    /// How long it boots after power came back.
    pub(super) boots: i64,
    /// It restarts by itself then: powered all along, silent while it boots.
    pub(super) restarts_at: Option<i64>,
    /// The observer stands still.
    pub(super) stall: Option<Span>,
}

pub(super) fn address(network: usize, host: u8) -> IpAddr {
    IpAddr::from([10, 20, u8::try_from(network).unwrap(), host])
}

/// The network that an address is on, and its last byte.
pub(super) fn place(address: IpAddr) -> (usize, u8) {
    match address {
        IpAddr::V4(v4) => (usize::from(v4.octets()[2]), v4.octets()[3]),
        IpAddr::V6(_) => unreachable!("the simulation has IPv4 only"),
    }
}

pub(super) const OBSERVER: u8 = 1;
const NODE: u8 = 2;
const DEVICE: u8 = 200;
const WITNESS: u8 = 250;

impl World {
    /// Anything may be wrong, several things at a time.
    pub(super) fn wild(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let wait = dice.pick(&[1000, 2000, 5000, 10_000, 10_000, 10_000]);
        let nets: Vec<_> = (0..dice.range(0, 3)).map(|_| wild_net(&mut dice, wait)).collect();
        let nets = if nets.is_empty() && dice.percent(80) {
            vec![wild_net(&mut dice, wait)]
        } else {
            nets
        };
        let feeds: Vec<_> = (0..dice.pick(&[1, 1, 1, 2, 2, 3]))
            .map(|_| wild_feed(&mut dice, wait, nets.len()))
            .collect();
        let feeds = with_fallback(&mut dice, wait, nets.len(), feeds);
        let stall = dice.percent(5).then(|| {
            let from = dice.range(600, wait);
            (from, from + dice.range(300, wait))
        });
        let mut world = Self {
            seed,
            plan: Plan {
                node: "node".into(),
                devices: Vec::new(),
                networks: Vec::new(),
                require_witness: dice.percent(25),
                timing: Timing {
                    wait: Duration::from_millis(u64::try_from(wait).unwrap()),
                    metered_wait: dice.percent(50).then(|| Duration::from_millis(1500)),
                    settle: Timing::default().settle,
                },
            },
            feeds,
            nets,
            holds_up: dice.pick(&[0, 50, 300, 700, 2000, 8000, 60_000]),
            boots: dice.range(500, 20_000),
            restarts_at: dice.percent(10).then(|| dice.range(-5000, wait)),
            stall,
        };
        world.make_plan(&mut dice);
        world
    }

    /// The node is dead, and nothing is wrong but what an ordinary network has.
    pub(super) fn healthy(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let wait = dice.range(1000, 15_000);
        let nets = (0..dice.range(1, 4))
            .map(|_| healthy_net(&mut dice))
            .collect::<Vec<_>>();
        let feeds = (0..dice.range(1, 3))
            .map(|_| FeedWorld {
                off_at: Some(dice.range(-2000, -100)),
                bounce_at: None,
                lies: false,
                failing: Failing::Never,
                hangs: false,
                latency: dice.range(1, 300),
                meter: dice.pick(&[Meter::None, Meter::Honest]),
                network: Some(0).filter(|_| dice.percent(70)),
                standing: Standing::default(),
            })
            .collect();
        let feeds = with_sound_fallback(&mut dice, feeds);
        let mut world = Self {
            seed,
            plan: Plan {
                node: "node".into(),
                devices: Vec::new(),
                networks: Vec::new(),
                require_witness: false,
                timing: Timing {
                    wait: Duration::from_millis(u64::try_from(wait).unwrap()),
                    metered_wait: dice.percent(50).then(|| Duration::from_millis(2000)),
                    settle: Timing::default().settle,
                },
            },
            feeds,
            nets,
            holds_up: dice.range(0, 400),
            boots: 5000,
            restarts_at: None,
            stall: None,
        };
        world.make_plan(&mut dice);
        world
    }

    fn make_plan(&mut self, dice: &mut Dice) {
        for (index, feed) in self.feeds.iter().enumerate() {
            let host = DEVICE + u8::try_from(index).unwrap();
            let metered = feed.meter != Meter::None && dice.percent(80);
            self.plan.devices.push(Feed {
                label: format!("sim @ {index}"),
                address: feed.network.map(|network| address(network, host)),
                off_max_watts: metered.then_some(5.0),
                baseline_watts: match feed.meter {
                    Meter::Honest if dice.percent(80) => Some(60.0),
                    Meter::Stuck(watts) if dice.percent(80) => Some(watts),
                    _ => None,
                },
                standing: feed.standing,
            });
        }
        for (index, net) in self.nets.iter().enumerate() {
            let mut network = Network::new(format!("net{index}"), address(index, NODE));
            network.tcp_ports = net.tcp.map(|_| 22).into_iter().collect();
            network.own_address = dice.percent(40).then(|| address(index, OBSERVER));
            network.shared_witnesses = dice.percent(10);
            for (number, witness) in net.witnesses.iter().enumerate() {
                let host = WITNESS + u8::try_from(number).unwrap();
                // A misplaced witness has an address that leads to a network of its own.
                let on = if witness.misplaced { 100 + index } else { index };
                network.witnesses.push(address(on, host));
            }
            self.plan.networks.push(network);
        }
    }

    pub(super) fn witness(&self, at: IpAddr) -> Option<&WitnessWorld> {
        let (network, host) = place(at);
        let net = self.nets.get(network % 100)?;
        net.witnesses.get(usize::from(host.checked_sub(WITNESS)?))
    }

    /// When the instance that ran before the fence lost its last power; `None` when it never does.
    pub(super) fn dies_at(&self) -> Option<i64> {
        let mut spans: Vec<(i64, i64)> = [Level::First, Level::Fallback]
            .into_iter()
            .filter_map(|level| dark(self.level(level)))
            .collect();
        spans.sort_unstable();
        if let [one, other] = spans.as_slice()
            && other.0 <= one.1
        {
            spans = vec![(one.0, one.1.max(other.1))];
        }
        spans
            .into_iter()
            .map(|(off, on)| (off + self.holds_up, on))
            .find(|(dies, on)| on > dies)
            .map(|(dies, _)| dies)
    }

    fn level(&self, level: Level) -> impl Iterator<Item = FeedWorld> + Clone {
        let feeds = self.feeds.iter().copied();
        feeds.filter(move |feed| feed.standing.level == level)
    }

    pub(super) fn powered(&self, at: i64) -> bool {
        let through = |feed: FeedWorld| feed.powered(at);
        self.level(Level::First).any(through) && self.level(Level::Fallback).all(through)
    }

    /// Whether this device has power itself: a BMC has none once the outlets before it are off.
    pub(super) fn answers_itself(&self, feed: &FeedWorld, at: i64) -> bool {
        let cut = |other: &FeedWorld| !other.standing.bmc && !other.powered(at);
        let others = |level| {
            self.feeds
                .iter()
                .filter(move |other| other.standing.level == level)
        };
        !feed.standing.bmc
            || match feed.standing.level {
                Level::First => !others(Level::Fallback).any(cut),
                Level::Fallback => !others(Level::First).all(cut),
            }
    }

    /// Whether the instance that ran before the fence still runs.
    pub(super) fn lives(&self, at: i64) -> bool {
        self.dies_at().is_none_or(|dies| at < dies)
    }

    /// Whether something answers at the node's addresses.
    pub(super) fn answers(&self, at: i64) -> bool {
        if self.lives(at) {
            let booting = self.restarts_at.map(|from| (from, from + self.boots));
            return !within(booting, at);
        }
        let on = self.feeds.iter().filter_map(|feed| feed.bounce_at).min();
        self.powered(at) && on.is_some_and(|on| at >= on + self.boots)
    }

    /// How long the rules have the node observed: the short window is theirs to take when every meter showed a load
    /// before.
    pub(super) fn window(&self) -> i64 {
        let timing = self.plan.timing;
        let mut first = self.plan.devices.iter().filter(|device| device.is_first());
        let metered = first.all(|device| {
            let limit = device.off_max_watts.unwrap_or(f64::INFINITY);
            device.baseline_watts.is_some_and(|before| before > limit)
        });
        let length = match timing.metered_wait {
            Some(short) if metered => short.min(timing.wait),
            _ => timing.wait,
        };
        i64::try_from(length.as_millis()).unwrap().max(1000)
    }

    /// Whether some network lets anybody hear the node who asks all through the window, once a second for echoes
    /// and neighbours and every two for ports, and waits for answers to its end. Said of the world, whatever the
    /// engine does.
    pub(super) fn is_audible(&self) -> bool {
        let open = i64::try_from(self.plan.timing.settle.as_millis()).unwrap();
        let end = open + self.window();
        self.nets.iter().any(|net| {
            let echoes = !net.icmp_filtered && self.hears_for(net, open, end, net.delay) >= 1000;
            let port = matches!(net.tcp, Some(Port::Open | Port::Refused));
            let ports = port && self.hears_for(net, open, end, net.delay) >= 2100;
            let neighbours =
                net.direct && net.delay < 900 && self.hears_for(net, open, end, net.delay) >= 1200;
            echoes || ports || neighbours
        })
    }

    /// The longest stretch of the window, in milliseconds, in which every packet sent is answered within it.
    fn hears_for(&self, net: &NetWorld, open: i64, end: i64, delay: i64) -> i64 {
        let unsound = net.loss > 0 || net.forbidden || net.hangs || self.stall.is_some();
        if unsound {
            return 0;
        }
        let (mut longest, mut current) = (0, 0);
        for sent in (open..end).step_by(50) {
            let (there, back) = (sent + delay / 2, sent + delay);
            let heard = back <= end
                && self.answers(there)
                && !within(net.node_link_down, there)
                && [there, back].iter().all(|at| !within(net.partition, *at))
                && [sent, back].iter().all(|at| !within(net.own_link_down, *at))
                && !within(net.rerouted, sent)
                && !net.is_rejected(sent);
            current = if heard { current + 50 } else { 0 };
            longest = longest.max(current);
        }
        longest
    }

    /// What the verdict must never miss: at its moment the old instance lives, or power flows although nobody
    /// switched it on. What comes back on after the last looks is not seen by anyone.
    pub(super) fn could_write(&self, last_looks: i64, verdict: i64) -> bool {
        self.powered(last_looks) || self.lives(verdict)
    }
}

fn wild_span(dice: &mut Dice, wait: i64, percent: i64) -> Option<Span> {
    if !dice.percent(percent) {
        return None;
    }
    if dice.percent(50) {
        return Some((-10_000, 60_000));
    }
    let from = dice.range(-1000, wait);
    Some((from, from + dice.range(200, wait + 2000)))
}

fn wild_net(dice: &mut Dice, wait: i64) -> NetWorld {
    let witnesses = dice.pick(&[0, 1, 1, 2]);
    NetWorld {
        direct: dice.percent(60),
        node_link_down: wild_span(dice, wait, 35),
        icmp_filtered: dice.percent(25),
        tcp: dice
            .percent(30)
            .then(|| dice.pick(&[Port::Open, Port::Refused, Port::Filtered])),
        loss: dice.pick(&[0, 0, 0, 5, 30, 70]),
        delay: dice.pick(&[1, 1, 5, 5, 200, 1500, 4000, 8000]),
        partition: wild_span(dice, wait, 15),
        own_link_down: wild_span(dice, wait, 12),
        rerouted: wild_span(dice, wait, 8),
        tells: dice.percent(50),
        rejects: wild_span(dice, wait, 20),
        forbidden: dice.percent(7),
        hangs: dice.percent(4),
        witnesses: (0..witnesses)
            .map(|_| WitnessWorld {
                dead: dice.percent(15),
                misplaced: dice.percent(8),
            })
            .collect(),
    }
}

fn healthy_net(dice: &mut Dice) -> NetWorld {
    let witnesses = dice.range(0, 2);
    NetWorld {
        direct: dice.percent(60),
        node_link_down: None,
        icmp_filtered: dice.percent(20),
        tcp: dice.percent(40).then(|| dice.pick(&[Port::Open, Port::Filtered])),
        loss: dice.pick(&[0, 0, 1, 2]),
        delay: dice.pick(&[1, 5, 30]),
        partition: None,
        own_link_down: None,
        rerouted: None,
        // A router is believed with a witness only.
        tells: witnesses > 0 && dice.percent(70),
        rejects: None,
        forbidden: false,
        hangs: false,
        witnesses: (0..witnesses)
            .map(|_| WitnessWorld {
                dead: false,
                misplaced: false,
            })
            .collect(),
    }
}

fn wild_feed(dice: &mut Dice, wait: i64, nets: usize) -> FeedWorld {
    let went_off = dice.percent(55);
    let bounce = went_off && dice.percent(20);
    FeedWorld {
        off_at: went_off.then(|| dice.range(-3000, -50)),
        bounce_at: bounce.then(|| dice.range(0, wait + 1500)),
        lies: dice.percent(if went_off { 10 } else { 75 }),
        failing: match dice.range(0, 9) {
            0 => Failing::Always,
            1 => Failing::Within((dice.range(-500, wait), wait + dice.range(-500, 9000))),
            2 => Failing::Often(dice.range(10, 70)),
            _ => Failing::Never,
        },
        hangs: dice.percent(3),
        latency: dice.pick(&[1, 5, 50, 300, 1200]),
        meter: match dice.range(0, 5) {
            0 => Meter::Honest,
            1 => Meter::Stuck(dice.pick(&[0.0, 0.0, 2.0, 40.0, f64::NAN])),
            _ => Meter::None,
        },
        network: (nets > 0 && dice.percent(60)).then_some(0),
        standing: Standing::default(),
    }
}

/// Some nodes have a fallback, and some a BMC.
fn with_fallback(dice: &mut Dice, wait: i64, nets: usize, mut feeds: Vec<FeedWorld>) -> Vec<FeedWorld> {
    if let [only] = feeds.as_mut_slice() {
        only.standing.bmc = dice.percent(30);
    }
    if dice.percent(40) {
        let bmc = dice.percent(30);
        feeds.push(FeedWorld {
            standing: Standing {
                level: Level::Fallback,
                bmc,
            },
            ..wild_feed(dice, wait, nets)
        });
    }
    feeds
}

/// A fallback as it is where nobody needed it, or as the one that did what the first level could not, since it gives
/// no answer any more.
fn with_sound_fallback(dice: &mut Dice, mut feeds: Vec<FeedWorld>) -> Vec<FeedWorld> {
    let Some(like) = feeds.first().copied().filter(|_| dice.percent(60)) else {
        return feeds;
    };
    let needed = dice.percent(60);
    let bmc = dice.percent(30);
    if needed {
        for feed in &mut feeds {
            feed.off_at = None;
            feed.failing = Failing::Always;
            feed.hangs = dice.percent(40);
            feed.network = None;
        }
    }
    feeds.push(FeedWorld {
        off_at: like.off_at.filter(|_| needed),
        failing: if needed || dice.percent(70) {
            Failing::Never
        } else {
            Failing::Always
        },
        standing: Standing {
            level: Level::Fallback,
            bmc,
        },
        ..like
    });
    feeds
}
