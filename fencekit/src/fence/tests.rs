//! The confirmation loop against a scripted device on a virtual clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use proptest::prelude::*;

use super::*;
use crate::device::{Label, Readback, Session};
use crate::method::Method;
use crate::power::Observation::{Off, On};

#[path = "identity_tests.rs"]
mod identity;

/// What the device does at one step; a script runs out into honest behaviour.
#[derive(Clone, Debug)]
enum Step {
    Honest,
    Fail(Kind),
    Hang,
    /// Reports this state, whatever is true.
    Says(Observation),
    /// Another device answers.
    Stranger,
    /// The device restarted and is on again.
    Restarted,
    Watts(f64),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Unreachable,
    Protocol,
    Refused,
    Authentication,
}

impl Kind {
    fn error(self) -> Error {
        match self {
            Self::Unreachable => Error::unreachable("scripted"),
            Self::Protocol => Error::protocol("scripted"),
            Self::Refused => Error::refused("scripted"),
            Self::Authentication => Error::authentication("scripted"),
        }
    }
}

/// What happened, in order.
#[derive(Clone, Debug, PartialEq)]
enum Trace {
    Connected(u32),
    Inspected(u32, Observation, bool),
    Accepted(u32, PowerState),
    Tried(u32, PowerState),
    Metered(u32, f64),
    Closed(u32),
}

#[derive(Debug)]
struct Model {
    on: bool,
    /// Commands are accepted, but the relay does not move.
    stuck: bool,
    /// The meter shows this, whatever the relay does.
    welded: Option<f64>,
    uptime: u64,
    script: VecDeque<Step>,
    trace: Vec<Trace>,
    sessions: u32,
}

impl Model {
    fn step(&mut self) -> Step {
        self.script.pop_front().unwrap_or(Step::Honest)
    }
}

#[derive(Debug)]
struct Scripted {
    label: Label,
    readback: Readback,
    model: Arc<Mutex<Model>>,
}

struct ScriptedSession {
    number: u32,
    model: Arc<Mutex<Model>>,
}

impl Scripted {
    fn new(readback: Readback, script: impl IntoIterator<Item = Step>) -> Self {
        let label = Label {
            method: Method::Kasa,
            address: "scripted".into(),
            plug: None,
        };
        let script = script.into_iter().collect();
        let model = Model {
            on: true,
            stuck: false,
            welded: None,
            uptime: 1000,
            script,
            trace: Vec::new(),
            sessions: 0,
        };
        Self {
            label,
            readback,
            model: Arc::new(Mutex::new(model)),
        }
    }

    fn trace(&self) -> Vec<Trace> {
        self.model.lock().unwrap().trace.clone()
    }
}

async fn fails(step: &Step) -> Result<()> {
    match step {
        Step::Fail(kind) => Err(kind.error()),
        Step::Hang => std::future::pending().await,
        _ => Ok(()),
    }
}

#[async_trait]
impl FenceDevice for Scripted {
    fn label(&self) -> &Label {
        &self.label
    }

    fn readback(&self) -> Readback {
        self.readback
    }

    async fn connect(&self, deadline: Deadline) -> Result<Box<dyn Session>> {
        let step = self.model.lock().unwrap().step();
        deadline.run("connecting", fails(&step)).await?;
        let mut model = self.model.lock().unwrap();
        model.sessions += 1;
        let number = model.sessions;
        model.trace.push(Trace::Connected(number));
        Ok(Box::new(ScriptedSession {
            number,
            model: Arc::clone(&self.model),
        }))
    }
}

#[async_trait]
impl Session for ScriptedSession {
    async fn inspect(&mut self, _: Deadline) -> Result<Inspection> {
        let step = self.model.lock().unwrap().step();
        fails(&step).await?;
        let mut model = self.model.lock().unwrap();
        if matches!(step, Step::Restarted) {
            model.on = true;
            model.uptime = 1;
        }
        model.uptime += 1;
        let stranger = matches!(step, Step::Stranger);
        let mac = if stranger { "ff:ff" } else { "aa:bb" };
        let observation = match step {
            Step::Says(observation) => observation,
            _ => Observation::from(if model.on { PowerState::On } else { PowerState::Off }),
        };
        model
            .trace
            .push(Trace::Inspected(self.number, observation.clone(), stranger));
        Ok(Inspection {
            observation,
            identity: Some(Identity {
                mac: Some(mac.into()),
                ..Identity::default()
            }),
            uptime: Some(Duration::from_secs(model.uptime)),
            power: None,
        })
    }

    async fn switch(&mut self, state: PowerState, _: Deadline) -> Result<()> {
        let step = self.model.lock().unwrap().step();
        self.model
            .lock()
            .unwrap()
            .trace
            .push(Trace::Tried(self.number, state));
        fails(&step).await?;
        let mut model = self.model.lock().unwrap();
        if !model.stuck {
            model.on = state == PowerState::On;
        }
        model.trace.push(Trace::Accepted(self.number, state));
        Ok(())
    }

    async fn identity(&mut self, _: Deadline) -> Result<Identity> {
        Ok(Identity {
            mac: Some("aa:bb".into()),
            ..Identity::default()
        })
    }

    async fn outlets(&mut self, _: Deadline) -> Result<Vec<Outlet>> {
        Ok(Vec::new())
    }

    async fn power_reading(&mut self, _: Deadline) -> Result<PowerReading> {
        let step = self.model.lock().unwrap().step();
        fails(&step).await?;
        let mut model = self.model.lock().unwrap();
        let watts = match step {
            Step::Watts(watts) => watts,
            _ => model.welded.unwrap_or(if model.on { 60.0 } else { 0.0 }),
        };
        model.trace.push(Trace::Metered(self.number, watts));
        Ok(PowerReading::of_watts(watts))
    }

    async fn close(self: Box<Self>, _: Deadline) {
        self.model.lock().unwrap().trace.push(Trace::Closed(self.number));
    }
}

fn strict() -> Policy {
    Policy {
        expect_identity: Some(ExpectedIdentity::parse("aa:bb").unwrap()),
        ..Policy::default()
    }
}

async fn off(device: &Scripted, policy: &Policy) -> Result<Confirmation> {
    device
        .off_confirmed(policy, Deadline::after(Duration::from_secs(30)), &())
        .await
}

#[tokio::test(start_paused = true)]
async fn an_honest_device_takes_one_command_and_one_fresh_look() {
    let device = Scripted::new(Readback::NewConnection, []);
    let confirmed = off(&device, &strict()).await.unwrap();
    assert_eq!(
        (confirmed.before, confirmed.commands, confirmed.looks),
        (On, 1, 1)
    );
    assert_eq!(
        device.trace(),
        [
            Trace::Connected(1),
            Trace::Inspected(1, On, false),
            Trace::Tried(1, PowerState::Off),
            Trace::Accepted(1, PowerState::Off),
            Trace::Closed(1),
            Trace::Connected(2),
            Trace::Inspected(2, Off, false),
            Trace::Closed(2),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_authenticated_session_is_looked_at_again_without_a_new_one() {
    let device = Scripted::new(Readback::SameSession, []);
    off(&device, &strict()).await.unwrap();
    assert_eq!(device.model.lock().unwrap().sessions, 1);
    assert!(matches!(device.trace().last(), Some(Trace::Closed(1))));
}

#[tokio::test(start_paused = true)]
async fn an_outlet_that_is_off_already_is_told_and_looked_at_all_the_same() {
    let device = Scripted::new(Readback::NewConnection, []);
    device.model.lock().unwrap().on = false;
    let confirmed = off(&device, &strict()).await.unwrap();
    assert_eq!((confirmed.before, confirmed.commands), (Off, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_acceptance_is_sent_again_although_the_outlet_is_off_by_then() {
    let script = [Step::Honest, Step::Honest, Step::Fail(Kind::Unreachable)];
    let device = Scripted::new(Readback::NewConnection, script);
    let confirmed = off(&device, &strict()).await.unwrap();
    assert_eq!(confirmed.commands, 2);
}

#[tokio::test(start_paused = true)]
async fn a_restart_between_two_looks_is_sent_again() {
    let script = [
        Step::Honest,
        Step::Honest,
        Step::Honest,
        Step::Honest,
        Step::Restarted,
    ];
    let device = Scripted::new(Readback::NewConnection, script);
    assert_eq!(off(&device, &strict()).await.unwrap().commands, 2);
}

#[tokio::test(start_paused = true)]
async fn an_outlet_that_stays_on_is_an_error_at_the_deadline_that_says_so() {
    let device = Scripted::new(Readback::NewConnection, []);
    device.model.lock().unwrap().stuck = true;
    let error = off(&device, &strict()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("not confirmed off: the device still says on"),
        "{error}"
    );
    assert!(
        device
            .trace()
            .iter()
            .filter(|step| matches!(step, Trace::Accepted(..)))
            .count()
            > 3
    );
}

#[tokio::test(start_paused = true)]
async fn an_off_that_is_not_seen_often_enough_in_time_says_how_often_it_was() {
    let device = Scripted::new(Readback::NewConnection, []);
    let policy = Policy {
        confirm_reads: 20,
        poll: Duration::from_secs(5),
        ..strict()
    };
    let error = off(&device, &policy).await.unwrap_err().to_string();
    let looks = device
        .trace()
        .iter()
        .filter(|step| matches!(step, Trace::Inspected(_, Off, _)))
        .count();
    assert!((2..20).contains(&looks), "{looks}");
    assert_eq!(
        error,
        format!(
            "not confirmed off: seen off {looks} of confirm_reads=20 times in a row when the time was over; \
             raise power_timeout, or lower confirm_reads"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_device_is_left_alone_for_power_wait_which_takes_nothing_from_power_timeout() {
    let policy = Policy {
        power_wait: Duration::from_secs(7),
        power_timeout: Duration::from_secs(4),
        ..strict()
    };
    let device = Scripted::new(Readback::NewConnection, []);
    let (send, events) = std::sync::mpsc::channel();
    let watch = move |event: Event<'_>| {
        let now = tokio::time::Instant::now();
        match event {
            Event::Sending(..) => drop(send.send(("sent", now))),
            Event::Looked(_) => drop(send.send(("looked", now))),
            _ => {}
        }
    };
    let deadline = Deadline::after(Duration::from_secs(30));
    device.off_confirmed(&policy, deadline, &watch).await.unwrap();
    let events: Vec<_> = events.try_iter().collect();
    let [("sent", sent), ("looked", looked)] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!((*looked - *sent).as_secs(), 7);

    // A deadline within it: the outlet is off, and nobody has seen it.
    let device = Scripted::new(Readback::NewConnection, []);
    let deadline = Deadline::after(Duration::from_secs(5));
    let error = device.off_confirmed(&policy, deadline, &()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the time was over before the outlet could be looked at (command sent once)"),
        "{error}"
    );
    assert!(!device.model.lock().unwrap().on);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_says_no_three_times_means_it() {
    let refusals = |count| vec![[Step::Honest, Step::Honest, Step::Fail(Kind::Refused)]; count].concat();
    let tried = |device: &Scripted| {
        let trace = device.trace();
        let of = |step: &&Trace| matches!(step, Trace::Tried(..));
        trace.iter().filter(of).count()
    };
    let device = Scripted::new(Readback::NewConnection, refusals(2));
    let confirmed = off(&device, &strict()).await.unwrap();
    assert_eq!((confirmed.commands, tried(&device)), (3, 3));

    let device = Scripted::new(Readback::NewConnection, refusals(3));
    let error = off(&device, &strict()).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    assert_eq!(tried(&device), 3);
    assert!(device.model.lock().unwrap().on);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_hangs_ends_at_the_deadline() {
    let started = tokio::time::Instant::now();
    let device = Scripted::new(Readback::NewConnection, [Step::Honest, Step::Hang]);
    let error = device
        .off_confirmed(&strict(), Deadline::after(Duration::from_secs(5)), &())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(started.elapsed().as_secs(), 5);
    assert!(device.trace().contains(&Trace::Closed(1)));
}

#[tokio::test(start_paused = true)]
async fn a_try_that_the_deadline_cuts_off_does_not_hide_why_the_ones_before_failed() {
    let script = || [Step::Fail(Kind::Unreachable), Step::Hang];
    let deadline = || Deadline::after(Duration::from_secs(5));
    let device = Scripted::new(Readback::NewConnection, script());
    let error = device.status(&strict(), deadline()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let device = Scripted::new(Readback::NewConnection, script());
    let error = device.outlets(&strict(), deadline()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_reboot_rests_before_it_powers_on() {
    let device = Scripted::new(Readback::NewConnection, []);
    let (send, events) = std::sync::mpsc::channel();
    let watch = move |event: Event<'_>| {
        if let Event::Sending(state, _) = event {
            let _ = send.send((state, tokio::time::Instant::now()));
        }
    };
    let deadline = Deadline::after(Duration::from_secs(30));
    device.reboot(&strict(), deadline, &watch).await.unwrap();
    let sent: Vec<_> = events.try_iter().collect();
    let [(PowerState::Off, off), (PowerState::On, on)] = sent.as_slice() else {
        panic!("{sent:?}");
    };
    assert!(*on - *off >= MIN_OFF);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_stays_is_an_error_that_names_the_watts() {
    let device = Scripted::new(Readback::NewConnection, []);
    device.model.lock().unwrap().welded = Some(30.0);
    let policy = Policy {
        off_max_watts: Some(5.0),
        ..strict()
    };
    let error = off(&device, &policy).await.unwrap_err();
    assert!(
        error.to_string().contains("still reads 30.0 W (off_max_watts=5)"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials_are_tried_once() {
    let device = Scripted::new(Readback::NewConnection, [Step::Fail(Kind::Authentication)]);
    assert!(matches!(
        off(&device, &strict()).await,
        Err(Error::Authentication { .. })
    ));
    assert_eq!(device.trace(), []);
}

#[tokio::test(start_paused = true)]
async fn a_failed_power_on_leaves_the_fence_standing() {
    let script = vec![Step::Honest; 5]
        .into_iter()
        .chain(vec![Step::Fail(Kind::Unreachable); 9]);
    let device = Scripted::new(Readback::NewConnection, script);
    let deadline = Deadline::after(Duration::from_secs(30));
    let rebooted = device.reboot(&strict(), deadline, &()).await.unwrap();
    assert!(rebooted.on.is_err());
    assert!(!device.model.lock().unwrap().on);
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Honest),
        1 => Just(Step::Fail(Kind::Unreachable)),
        1 => Just(Step::Fail(Kind::Protocol)),
        1 => Just(Step::Fail(Kind::Refused)),
        1 => Just(Step::Hang),
        1 => Just(Step::Says(On)),
        1 => Just(Step::Says(Off)),
        1 => Just(Step::Says(Observation::Unknown("scripted".into()))),
        1 => Just(Step::Stranger),
        1 => Just(Step::Restarted),
        1 => Just(Step::Watts(30.0)),
        1 => Just(Step::Watts(f64::NAN)),
    ]
}

/// What a success must have behind it, judged from the trace alone.
fn proven(trace: &[Trace], policy: &Policy, readback: Readback) -> std::result::Result<(), String> {
    let accepted = trace
        .iter()
        .rposition(|step| matches!(step, Trace::Accepted(..)))
        .ok_or("never accepted")?;
    let Some(Trace::Accepted(session, PowerState::Off)) = trace.get(accepted) else {
        return Err("the last accepted command was not off".into());
    };
    let after: Vec<_> = trace[accepted..]
        .iter()
        .filter_map(|step| match step {
            Trace::Inspected(number, seen, stranger) => Some((number, seen, stranger)),
            _ => None,
        })
        .collect();
    let needed = policy.confirm_reads as usize;
    if after.len() < needed {
        return Err(format!("{} looks of {needed}", after.len()));
    }
    for (number, seen, stranger) in &after[after.len() - needed..] {
        if **seen != Off || **stranger {
            return Err("a look that counts was not off, or of a stranger".into());
        }
        if readback == Readback::NewConnection && *number == session {
            return Err("read back on the connection that sent".into());
        }
    }
    for (index, step) in trace.iter().enumerate() {
        let Trace::Tried(number, _) = step else { continue };
        let seen = trace[..index].iter().rev().find_map(|step| match step {
            Trace::Inspected(n, _, stranger) if n == number => Some(!stranger),
            _ => None,
        });
        if seen != Some(true) {
            return Err("switched without having seen the right identity on that connection".into());
        }
    }
    match (
        policy.off_max_watts,
        trace.iter().rev().find(|step| !matches!(step, Trace::Closed(_))),
    ) {
        (Some(limit), Some(Trace::Metered(_, watts))) if *watts <= limit => Ok(()),
        (Some(_), last) => Err(format!("no reading below the limit at the end: {last:?}")),
        (None, _) => Ok(()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn success_always_has_its_proof(
        script in prop::collection::vec(any_step(), 0..60),
        same_session in any::<bool>(),
        metered in any::<bool>(),
        confirm_reads in 1u32..4,
    ) {
        let readback = if same_session { Readback::SameSession } else { Readback::NewConnection };
        let policy = Policy { off_max_watts: metered.then_some(5.0), confirm_reads, ..strict() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let device = Scripted::new(readback, script);
        let (outcome, took) = runtime.block_on(async {
            let started = tokio::time::Instant::now();
            (off(&device, &policy).await, started.elapsed())
        });
        prop_assert!(took <= Duration::from_secs(31), "took {took:?}");
        let trace = device.trace();
        if outcome.is_ok() {
            prop_assert_eq!(proven(&trace, &policy, readback), Ok(()), "{:#?}", trace);
        }
        let opened = trace.iter().filter(|step| matches!(step, Trace::Connected(_))).count();
        let closed = trace.iter().filter(|step| matches!(step, Trace::Closed(_))).count();
        prop_assert_eq!(opened, closed, "a session was left open: {:#?}", trace);
    }
}
