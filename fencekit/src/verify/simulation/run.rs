//! The verification against a simulated world on a virtual clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::time::Duration;

use super::world::{
    Dice, Failing, FeedWorld, Meter, NetWorld, OBSERVER, Port, World, address, place, within,
};
use crate::level::Level;
use crate::power::Observation;
use crate::verify::engine::{Ending, Engine, Request, Target};
use crate::verify::plan::Feed;
use crate::verify::probe::{Heard, Path};
use crate::verify::rules::Rules;
use crate::verify::tally::{Finding, Look};
use crate::verify::verdict::Verdict;

/// How long a router asks for an address before it says that nobody answers, in milliseconds.
const RESOLUTION: i64 = 3000;

/// How a schedule went.
pub(super) struct Run {
    pub(super) ending: Ending,
    /// A sign of life was handed to the observer within the window.
    pub(super) life_delivered: bool,
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap()
}

fn duration(at: i64) -> Duration {
    Duration::from_millis(u64::try_from(at.max(0)).unwrap())
}

/// A finding under way: when it is handed back, a counter that keeps the order, the probe.
type Event = Reverse<(i64, u64, usize)>;

struct Simulator<'a> {
    world: &'a World,
    dice: Dice,
    queue: BinaryHeap<Event>,
    findings: Vec<(u64, Finding, bool)>,
}

/// Runs a world to its verdict.
pub(super) fn run(world: &World, rules: Rules) -> Run {
    let mut engine = Engine::with_rules(world.plan.clone(), rules);
    let mut simulator = Simulator {
        world,
        dice: Dice::new(world.seed.wrapping_mul(31).wrapping_add(7)),
        queue: BinaryHeap::new(),
        findings: Vec::new(),
    };
    let mut life_delivered = false;
    let mut now = 0;
    for _ in 0..100_000 {
        for request in engine.poll(duration(now)) {
            simulator.probe(now, request);
        }
        if let Some(ending) = engine.ending() {
            return Run {
                ending: ending.clone(),
                life_delivered,
            };
        }
        let wake = engine
            .poll_timeout()
            .map(|wake| ms(wake + Duration::from_micros(999)));
        let finding = simulator.queue.peek().map(|Reverse((at, ..))| *at);
        let next = [wake, finding].into_iter().flatten().min().unwrap().max(now);
        now = match world.stall {
            Some((from, to)) if (from..to).contains(&next) => to,
            _ => next,
        };
        while let Some(Reverse((at, _, index))) = simulator.queue.peek().copied() {
            if at > now {
                break;
            }
            simulator.queue.pop();
            let (id, finding, is_life) = simulator.findings[index].clone();
            life_delivered |= is_life && engine.ending().is_none();
            engine.handle(duration(now), id, finding);
        }
    }
    panic!("seed {}: the verification did not end", world.seed);
}

impl Simulator<'_> {
    fn back(&mut self, at: i64, id: u64, finding: Finding, is_life: bool) {
        let index = self.findings.len();
        self.queue.push(Reverse((at, index as u64, index)));
        self.findings.push((id, finding, is_life));
    }

    fn probe(&mut self, now: i64, request: Request) {
        let until = ms(request.until);
        let id = request.id;
        match request.target {
            Target::Device(index) => self.look(now, until, id, index),
            Target::DevicePath(to) | Target::NodePath(to) | Target::WitnessPath(to) => {
                let way = self.way(now, to);
                self.back(now + 1, id, Finding::Path(way), false);
            }
            Target::Icmp(to) => {
                let net = self.net(to);
                let deaf = net.icmp_filtered;
                self.ask_node(now, until, id, to, deaf);
            }
            Target::Tcp(to) => {
                let deaf = self.net(to.ip()).tcp == Some(Port::Filtered);
                self.ask_node(now, until, id, to.ip(), deaf);
            }
            Target::Neighbour(to, asked_ago) => self.ask_neighbour(now, until, id, to, asked_ago),
            Target::Witness(to) => self.ask_witness(now, until, id, to),
        }
    }

    fn net(&self, to: IpAddr) -> &NetWorld {
        &self.world.nets[place(to).0 % 100]
    }

    fn lost(&mut self, percent: i64) -> bool {
        self.dice.percent(percent) || self.dice.percent(percent)
    }

    fn look(&mut self, now: i64, until: i64, id: u64, index: usize) {
        let feed = self.world.feeds[index];
        if feed.hangs {
            return;
        }
        let failing = match feed.failing {
            Failing::Never => false,
            Failing::Always => true,
            Failing::Within(span) => within(Some(span), now),
            Failing::Often(percent) => self.dice.percent(percent),
        };
        let back = now + feed.latency;
        let cut_off = feed.network.is_some_and(|network| {
            let net = &self.world.nets[network];
            [net.partition, net.own_link_down, net.rerouted]
                .into_iter()
                .any(|span| within(span, now) || within(span, back))
        });
        if failing || cut_off || back > until || !self.world.answers_itself(&feed, now) {
            let at = if self.dice.percent(50) {
                until
            } else {
                back.min(until)
            };
            let look = Look {
                observation: Observation::unknown("no answer"),
                watts: self.world.plan.devices[index]
                    .off_max_watts
                    .map(|_| Err("no answer".into())),
            };
            return self.back(at, id, Finding::Look(look), false);
        }
        let powered = feed.powered(now + feed.latency / 2);
        let on = powered && !feed.lies;
        let watts = match feed.meter {
            Meter::None => Err("no meter".to_owned()),
            Meter::Honest => Ok(if powered { 60.0 } else { 0.0 }),
            Meter::Stuck(watts) => Ok(watts),
        };
        let look = Look {
            observation: if on { Observation::On } else { Observation::Off },
            watts: self.world.plan.devices[index].off_max_watts.map(|_| watts),
        };
        self.back(back, id, Finding::Look(look), on && feed.standing.on_is_life());
    }

    fn way(&self, now: i64, to: IpAddr) -> Result<Path, String> {
        let (network, _) = place(to);
        let net = &self.world.nets[network % 100];
        if within(net.own_link_down, now) {
            return Err("the link is down".into());
        }
        let elsewhere = network >= 100;
        let rerouted = within(net.rerouted, now) && !elsewhere;
        Ok(Path {
            link: if rerouted {
                "default".into()
            } else {
                format!("net{network}")
            },
            gateway: (rerouted || !net.direct).then(|| IpAddr::from([10, 20, 99, 1])),
            source: None,
            addresses: if rerouted {
                Vec::new()
            } else {
                vec![address(network, OBSERVER)]
            },
            resolves: true,
        })
    }

    /// When the node's answer to a packet sent now arrives, if it does.
    fn answer_arrives(&mut self, now: i64, to: IpAddr) -> Option<i64> {
        let net = self.net(to).clone();
        if self.lost(net.loss) || within(net.own_link_down, now) || within(net.rerouted, now) {
            return None;
        }
        let (there, back) = (now + net.delay / 2, now + net.delay);
        let heard = self.world.answers(there)
            && !within(net.node_link_down, there)
            && !within(net.partition, there)
            && !within(net.partition, back)
            && !within(net.own_link_down, back)
            && !within(self.world.stall, back);
        heard.then_some(back)
    }

    fn ask_node(&mut self, now: i64, until: i64, id: u64, to: IpAddr, deaf: bool) {
        let net = self.net(to);
        if net.hangs {
            return;
        }
        if net.forbidden {
            return self.back(
                now,
                id,
                Finding::Heard(Heard::Failed("not permitted".into())),
                false,
            );
        }
        let net = net.clone();
        let unreached = || Finding::Heard(Heard::Unreached("host unreachable".into()));
        let to_router = !within(net.own_link_down, now) && !within(net.rerouted, now);
        if net.is_rejected(now) && to_router {
            return self.back((now + 1).min(until), id, unreached(), false);
        }
        match self
            .answer_arrives(now, to)
            .filter(|back| *back <= until && !deaf)
        {
            Some(back) => self.back(back, id, Finding::Heard(Heard::Answered("a reply".into())), true),
            None if self.router_tells(now, &net, to_router) => {
                self.back((now + RESOLUTION).min(until), id, unreached(), false);
            }
            None => self.back(until, id, Finding::Heard(Heard::Silent), false),
        }
    }

    /// Whether the router asks for the node in vain, and says so.
    fn router_tells(&self, now: i64, net: &NetWorld, to_router: bool) -> bool {
        let there = now + net.delay / 2;
        let resolved = self.world.answers(there) && !within(net.node_link_down, there);
        !net.direct && net.tells && to_router && !resolved && !within(net.partition, there)
    }

    fn ask_neighbour(&mut self, now: i64, until: i64, id: u64, to: IpAddr, asked_ago: Option<Duration>) {
        if self.net(to).hangs {
            return;
        }
        // An entry is looked at again a second later, so an answer up to then is seen.
        match self.answer_arrives(now, to).filter(|back| *back <= until) {
            Some(back) => self.back(back, id, Finding::Heard(Heard::Answered("resolved".into())), true),
            None if asked_ago.is_none() => {
                self.back(
                    now + 1,
                    id,
                    Finding::Heard(Heard::Undecided("just asked".into())),
                    false,
                );
            }
            None => self.back(now + 1, id, Finding::Heard(Heard::Silent), false),
        }
    }

    fn ask_witness(&mut self, now: i64, until: i64, id: u64, to: IpAddr) {
        let net = self.net(to).clone();
        let witness = *self.world.witness(to).unwrap();
        if net.forbidden {
            return self.back(
                now,
                id,
                Finding::Heard(Heard::Failed("not permitted".into())),
                false,
            );
        }
        let back = now + 2;
        let cut_off = [net.partition, net.own_link_down, net.rerouted]
            .into_iter()
            .any(|span| within(span, now));
        let heard = !witness.dead
            && (witness.misplaced || !cut_off)
            && !within(self.world.stall, back)
            && !self.lost(net.loss.min(30));
        if heard && back <= until {
            self.back(back, id, Finding::Heard(Heard::Answered("a reply".into())), false);
        } else {
            self.back(until, id, Finding::Heard(Heard::Silent), false);
        }
    }
}

/// Whether a wrong "off" in this world could not have been avoided: every device that feeds the node lies, its meter
/// too, nothing that the node sends can be counted on to reach an observer and nothing did, and nothing about the
/// networks looks wrong from there.
pub(super) fn is_undetectable(world: &World, run: &Run) -> bool {
    let end = ms(run.ending.window_end);
    let open = ms(world.plan.timing.settle);
    let seems_off = |(feed, planned): (&FeedWorld, &Feed)| {
        let device_lies = feed.lies && feed.failing != Failing::Always && !feed.hangs;
        let meter_lies =
            planned.off_max_watts.is_none() || matches!(feed.meter, Meter::Stuck(watts) if watts <= 5.0);
        !feed.powered(end) || (device_lies && meter_lies)
    };
    let level_seems_off = |level| {
        let feeds = world.feeds.iter().zip(&world.plan.devices);
        let mut own = feeds.filter(|(feed, _)| feed.standing.level == level).peekable();
        own.peek().is_some() && own.all(seems_off)
    };
    // A meter of the first level that cannot be missed shows the load whatever the fallback says.
    let shows_load = |(feed, planned): (&FeedWorld, &Feed)| {
        let sure =
            feed.failing == Failing::Never && !feed.hangs && feed.network.is_none() && !feed.standing.bmc;
        let reads = match feed.meter {
            Meter::None => false,
            Meter::Honest => true,
            Meter::Stuck(watts) => watts > 5.0,
        };
        planned.is_first() && planned.off_max_watts.is_some() && feed.powered(end) && sure && reads
    };
    let load = world.feeds.iter().zip(&world.plan.devices).any(shows_load);
    let devices_lie = level_seems_off(Level::First) || (level_seems_off(Level::Fallback) && !load);
    // A quarter of the window or a second, and the longest pause between two wakings.
    let allowed = 1000.min((end - open) / 4) + 600;
    let stood_still = world
        .stall
        .is_some_and(|(from, to)| overlap((from, to), open, end) > allowed);
    let networks_look_sound = !world.nets.is_empty()
        && world
            .nets
            .iter()
            .enumerate()
            .all(|(index, net)| !looks_wrong(world, index, net, open, end));
    let unheard = !run.life_delivered && !world.is_audible();
    devices_lie && unheard && !stood_still && networks_look_sound
}

fn overlap(span: (i64, i64), open: i64, end: i64) -> i64 {
    span.1.min(end) - span.0.max(open)
}

/// Whether the observer is bound to notice that it cannot hear this network.
fn looks_wrong(world: &World, index: usize, net: &NetWorld, open: i64, end: i64) -> bool {
    // Paths are checked every second and after the window: what is shorter may slip through.
    let noticed = |span: Option<(i64, i64)>| {
        span.is_some_and(|span| within(Some(span), end) || overlap(span, open, end) > 1100)
    };
    let planned = &world.plan.networks[index];
    let address_missed = planned.own_address.is_some() && noticed(net.rerouted);
    if net.forbidden || net.hangs || noticed(net.own_link_down) || address_missed {
        return true;
    }
    let real = net.witnesses.iter().filter(|witness| !witness.misplaced);
    let configured = !planned.witnesses.is_empty();
    // Where the observer had lost its address before, a device there does not look directly connected.
    let device = net.direct
        && !within(net.rerouted, 0)
        && world
            .feeds
            .iter()
            .any(|feed| feed.network == Some(index) && !feed.hangs && feed.failing != Failing::Always);
    // A device that fails now and then may have been heard often enough.
    let alive = real.clone().any(|witness| !witness.dead) || device;
    if configured && !alive && !(planned.shared_witnesses && real.count() == 0) {
        return true;
    }
    if !alive {
        // Echo requests are sent twice a second, but for the window's last second.
        let rejected = net.rejects.filter(|_| !net.direct && !within(net.rerouted, open));
        let told = rejected.is_some_and(|span| overlap(span, open, end - 1000.min((end - open) / 4)) > 600);
        return world.plan.require_witness || told;
    }
    // A witness may be missed for half of the window, or a second.
    let allowed = ((end - open) / 2).max(1000);
    let unheard = |span: Option<(i64, i64)>| span.is_some_and(|span| overlap(span, open, end) > allowed);
    unheard(net.partition) || unheard(net.rerouted)
}

/// Whether the verdict called a node dead that could still write, and need not have.
pub(super) fn is_unsound(world: &World, run: &Run) -> bool {
    run.ending.decision.verdict == Verdict::ConfirmedOff
        && world.could_write(ms(run.ending.window_end), ms(run.ending.elapsed))
        && !is_undetectable(world, run)
}
