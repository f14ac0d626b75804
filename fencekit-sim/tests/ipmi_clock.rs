//! The session machine and a simulated BMC on a virtual clock: loss, duplicates, reordering, and time itself, all
//! decided by a seed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the functions of a test, too, may fail it"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fencekit::ipmi::chassis::{self, Control};
use fencekit::ipmi::machine::{Event, Seed};
use fencekit::ipmi::{Config, Machine, Request};
use fencekit::{Error, Method, Observation, Settings};
use fencekit_sim::ipmi::{Bmc, BmcSpec};
use fencekit_sim::{Device, Spec};

const LOGIN: Duration = Duration::from_secs(5);
const SHELL: Duration = Duration::from_secs(3);

/// A packet on its way.
enum Travelling {
    ToBmc { from: u16, bytes: Vec<u8> },
    ToUs { port: u16, bytes: Vec<u8> },
}

/// What the network does with the n-th packet, counted over both directions.
type Fate = Box<dyn FnMut(usize) -> Vec<Duration>>;

struct World {
    started: Instant,
    now: Instant,
    machine: Machine,
    bmc: Bmc,
    device: Device,
    port: u16,
    seeds: u8,
    packets: usize,
    fate: Fate,
    /// By time of arrival; the count keeps packets of the same time in their order.
    network: BTreeMap<(Instant, usize), Travelling>,
    /// What happens to the chassis without us, and everything that it was.
    switches: Vec<(Instant, bool)>,
    history: Vec<(Instant, bool)>,
}

fn config() -> Arc<Config> {
    let mut settings = Settings::new(Method::Ipmi);
    for (name, value) in [("ip", "192.0.2.1"), ("username", "fencer"), ("password", "pass")] {
        settings.set(name, value).unwrap();
    }
    Arc::new(Config::from_settings(&settings).unwrap())
}

/// Every packet arrives after a millisecond.
fn perfect() -> Fate {
    Box::new(|_| vec![Duration::from_millis(1)])
}

impl World {
    fn new(spec: BmcSpec, fate: Fate) -> Self {
        let now = Instant::now();
        let device = Device::new(Spec::plug("a").credentials("fencer", "pass"));
        Self {
            started: now,
            now,
            machine: Machine::new(config(), now),
            bmc: Bmc::new(device.clone(), spec),
            device,
            port: 40_000,
            seeds: 0,
            packets: 0,
            fate,
            network: BTreeMap::new(),
            switches: Vec::new(),
            history: vec![(now, true)],
        }
    }

    fn elapsed(&self) -> Duration {
        self.now - self.started
    }

    fn deadline(&self) -> Instant {
        self.started + Duration::from_secs(600)
    }

    fn start(&mut self) {
        self.seeds = self.seeds.checked_add(1).unwrap();
        self.port += 1;
        self.machine
            .start(Seed::new(&[self.seeds; Seed::LEN]), self.deadline(), self.now);
    }

    fn put(&mut self, bytes: &[u8], travelling: impl Fn(Vec<u8>) -> Travelling) {
        self.packets += 1;
        for (copy, delay) in (self.fate)(self.packets).into_iter().enumerate() {
            let key = (self.now + delay, self.packets * 8 + copy);
            self.network.insert(key, travelling(bytes.to_vec()));
        }
    }

    /// Lets time pass up to the machine's next event.
    fn run(&mut self) -> Event {
        for _ in 0..100_000 {
            if let Some(packet) = self.machine.poll_transmit() {
                let (packet, from) = (packet.to_vec(), self.port);
                self.put(&packet, |bytes| Travelling::ToBmc { from, bytes });
            }
            match self.machine.poll_event() {
                Some(Event::StartAgain) => {
                    self.start();
                    continue;
                }
                Some(event) => return event,
                None => {}
            }
            self.step();
        }
        panic!("no end in sight");
    }

    /// The next thing that happens: the chassis switches, a packet arrives, or a timer fires.
    fn step(&mut self) {
        let switch = self.switches.first().map(|(at, _)| *at);
        let packet = self.network.keys().next().copied();
        let timer = self.machine.poll_timeout();
        let next = [switch, packet.map(|(at, _)| at), timer]
            .into_iter()
            .flatten()
            .min();
        self.now = self.now.max(next.unwrap());
        if switch == next {
            let (at, on) = self.switches.remove(0);
            self.device.set(0, on, true);
            self.history.push((at, on));
            return;
        }
        if let Some(key) = packet.filter(|(at, _)| Some(*at) == next) {
            match self.network.remove(&key).unwrap() {
                Travelling::ToBmc { from, bytes } => {
                    let source = SocketAddr::from(([192, 0, 2, 9], from));
                    for answer in self.bmc.handle(&bytes, source, self.now) {
                        self.put(&answer, |bytes| Travelling::ToUs { port: from, bytes });
                    }
                }
                Travelling::ToUs { port, bytes } if port == self.port => {
                    self.machine.handle(&bytes, self.now);
                    self.machine.handle_timeout(self.now);
                }
                Travelling::ToUs { .. } => {}
            }
            return;
        }
        self.machine.handle_timeout(self.now);
    }

    fn ready(&mut self) -> Result<(), Error> {
        self.start();
        match self.run() {
            Event::Ready => Ok(()),
            Event::Failed(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, request: Request) -> Result<(u8, Vec<u8>), Error> {
        self.machine.request(request, self.deadline(), self.now);
        match self.run() {
            Event::Answered(answer) => Ok((answer.code, answer.data)),
            Event::Failed(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    fn status(&mut self) -> Result<Observation, Error> {
        self.ask(chassis::status())
            .map(|(_, data)| chassis::power(&data).unwrap())
    }

    fn close(&mut self) {
        self.machine.close(self.now);
        assert!(matches!(self.run(), Event::Closed));
        // What is still on its way to the BMC arrives.
        self.machine.poll_transmit();
        for (_, travelling) in std::mem::take(&mut self.network) {
            if let Travelling::ToBmc { from, bytes } = travelling {
                let source = SocketAddr::from(([192, 0, 2, 9], from));
                let _ = self.bmc.handle(&bytes, source, self.now);
            }
        }
    }

    /// Every state that the chassis had at some time since `since`.
    fn states_since(&self, since: Instant) -> Vec<bool> {
        let before = self.history.iter().rfind(|(at, _)| *at <= since);
        let after = self.history.iter().filter(|(at, _)| *at > since);
        before.into_iter().chain(after).map(|(_, on)| *on).collect()
    }
}

#[test]
fn a_status_is_ten_packets() {
    let mut world = World::new(BmcSpec::default(), perfect());
    world.ready().unwrap();
    assert_eq!(world.status().unwrap(), Observation::On);
    world.close();
    assert_eq!((world.packets, world.bmc.sessions()), (10, 0));
    assert_eq!(world.elapsed(), Duration::from_millis(10));
}

#[test]
fn any_one_packet_may_be_lost() {
    // Status, privilege, off, status, close: seven requests and as many answers.
    for lost in 1..=16 {
        let fate = move |number: usize| {
            if number == lost {
                Vec::new()
            } else {
                vec![Duration::from_millis(1)]
            }
        };
        for detects_duplicates in [false, true] {
            let spec = BmcSpec {
                detects_duplicates,
                ..BmcSpec::default()
            };
            let mut world = World::new(spec, Box::new(fate));
            world.ready().unwrap();
            assert_eq!(world.status().unwrap(), Observation::On);
            let privilege = world.machine.privilege();
            assert_eq!(world.ask(chassis::set_privilege(privilege)).unwrap().0, 0);
            assert_eq!(world.ask(chassis::control(Control::Off)).unwrap().0, 0);
            assert_eq!(world.status().unwrap(), Observation::Off, "packet {lost}");
            world.close();
            assert!(
                world.elapsed() < Duration::from_secs(1),
                "packet {lost}: {:?}",
                world.elapsed()
            );
            // What is left behind, for a minute, is a session of which the BMC never heard more than its opening.
            let half_open = usize::from((2..=5).contains(&lost));
            assert_eq!(world.bmc.sessions(), half_open, "packet {lost}");
        }
    }
}

#[test]
fn a_cycle_is_never_sent_twice() {
    for lost in [9, 10] {
        let fate = move |number: usize| {
            if number == lost {
                Vec::new()
            } else {
                vec![Duration::from_millis(1)]
            }
        };
        let mut world = World::new(BmcSpec::default(), Box::new(fate));
        world.device.set_faults("stuck".parse().unwrap());
        world.ready().unwrap();
        let privilege = world.machine.privilege();
        world.ask(chassis::set_privilege(privilege)).unwrap();
        let before = world.packets;
        // A simulated cycle needs a runtime for its second half: the test ends it at the first by a refusal.
        world.device.set_faults("refuse".parse().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let _inside = runtime.enter();
        let outcome = world.ask(chassis::control(Control::Cycle));
        assert!(matches!(outcome, Err(Error::Timeout { .. })), "{outcome:?}");
        assert!(world.packets - before <= 2, "sent once, answered at most once");
    }
}

#[test]
fn silence_ends_with_the_limits_and_no_sooner() {
    let mut world = World::new(BmcSpec::default(), Box::new(|_| Vec::new()));
    let error = world.ready().unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(world.elapsed(), LOGIN);
    assert!((5..=7).contains(&world.packets), "{} tries", world.packets);

    let silent_later = |number: usize| {
        if number > 6 {
            Vec::new()
        } else {
            vec![Duration::from_millis(1)]
        }
    };
    let mut world = World::new(BmcSpec::default(), Box::new(silent_later));
    world.ready().unwrap();
    let ready = world.elapsed();
    let error = world.status().unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(world.elapsed() - ready, SHELL);
}

#[test]
fn a_slow_bmc_is_given_time() {
    let mut world = World::new(BmcSpec::default(), Box::new(|_| vec![Duration::from_millis(400)]));
    world.ready().unwrap();
    let before = world.packets;
    assert_eq!(world.status().unwrap(), Observation::On);
    // By now it is known how slow it is: nothing is sent twice.
    assert_eq!(world.packets - before, 2);
}

#[test]
fn a_bmc_without_room_is_asked_again_for_longer_than_a_session_lasts() {
    let spec = BmcSpec {
        session_limit: 1,
        ..BmcSpec::default()
    };
    let mut world = World::new(spec, perfect());
    world.ready().unwrap();
    // That client is gone without a goodbye; another one comes.
    world.machine = Machine::new(config(), world.now);
    world.ready().unwrap();
    assert_eq!(world.status().unwrap(), Observation::On);
    assert!(world.elapsed() > Duration::from_secs(59), "{:?}", world.elapsed());

    let spec = BmcSpec {
        no_room: u32::MAX,
        ..BmcSpec::default()
    };
    let mut world = World::new(spec, perfect());
    let error = world.ready().unwrap_err();
    assert!(error.to_string().contains("no room"), "{error}");
    assert_eq!(world.elapsed(), Duration::from_secs(75));
}

/// A few pseudo-random numbers (xorshift); the seed is not zero.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[test]
fn an_answer_is_never_older_than_its_question() {
    let (mut answers, mut failures) = (0, 0);
    for seed in 1..=300 {
        let mut dice = Dice(seed * 0x9E37_79B9);
        let mut weather = Dice(seed * 0x85EB_CA6B);
        let fate = move |_| {
            let copies = match weather.roll(10) {
                0 => 0,
                1 | 2 => 2,
                _ => 1,
            };
            (0..copies)
                .map(|_| {
                    let late = if weather.roll(8) == 0 { 900 } else { 20 };
                    Duration::from_millis(1 + weather.roll(late))
                })
                .collect()
        };
        let spec = BmcSpec {
            detects_duplicates: seed % 3 == 0,
            ..BmcSpec::default()
        };
        let mut world = World::new(spec, Box::new(fate));
        let mut at = world.now;
        for turn in 0..100 {
            at += Duration::from_millis(dice.roll(400));
            world.switches.push((at, turn % 2 == 1));
        }
        if world.ready().is_err() {
            failures += 1;
            continue;
        }
        for _ in 0..10 {
            let asked = world.now;
            match world.status() {
                Ok(seen) => {
                    answers += 1;
                    let possible = world.states_since(asked);
                    let seen = match seen {
                        Observation::On => true,
                        Observation::Off => false,
                        Observation::Unknown(why) => panic!("{why}"),
                    };
                    assert!(
                        possible.contains(&seen),
                        "seed {seed}: {seen} is not of {possible:?}"
                    );
                }
                Err(_) => failures += 1,
            }
        }
        world.close();
    }
    assert!(
        answers > 2_900 && failures < 60,
        "{answers} answers, {failures} failures"
    );
}

#[test]
fn an_answer_that_is_63_questions_late_is_none() {
    // The number of a request comes again then. The answer to the first one arrives at any moment around that.
    let mut late = 0;
    for delay in (100..400).map(Duration::from_millis) {
        let fate = move |number: usize| match number {
            // Six packets of the handshake, the question, and this.
            8 => vec![delay],
            _ => vec![Duration::from_millis(1)],
        };
        let mut world = World::new(BmcSpec::default(), Box::new(fate));
        world.ready().unwrap();
        let switched = world.now + Duration::from_millis(2);
        world.switches.push((switched, false));
        let _ = world.status().unwrap();
        for question in 2..=66 {
            assert_eq!(world.status().unwrap(), Observation::Off, "{delay:?} {question}");
        }
        late += usize::from(world.elapsed() < delay);
        world.close();
    }
    assert!(late > 0, "the longest delay is to be longer than all questions");
}

#[test]
fn a_silence_is_not_blamed_on_a_packet_of_before() {
    let mut world = World::new(BmcSpec::default(), perfect());
    world.ready().unwrap();
    world.machine.handle(b"noise", world.now);
    world.fate = Box::new(|_| Vec::new());
    let silent = world.status().unwrap_err().to_string();
    assert!(!silent.contains("dropped"), "{silent}");
    // One that comes meanwhile may be the reason.
    world
        .machine
        .request(chassis::status(), world.deadline(), world.now);
    world.machine.handle(b"noise", world.now);
    match world.run() {
        Event::Failed(error) => assert!(error.to_string().contains("dropped"), "{error}"),
        other => panic!("{other:?}"),
    }
}
