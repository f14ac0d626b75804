//! One device: asked once, on one session, for everything that matters to fencing.

use std::time::Duration;

use tokio::time::Instant;

use super::advice::{Advice, Topic};
use crate::cluster::{Entry, Node, Password};
use crate::deadline::Deadline;
use crate::device::{Finding, Inspection, Outlet, Session};
use crate::error::{Error, Result};
use crate::fence;
use crate::fleet::Supply;
use crate::identity::Identity;
use crate::method::Method;
use crate::options::Plug;
use crate::power::{Observation, PowerReading};

/// A node draws more than this while it is on, even in a deep sleep.
const IDLE_WATTS: f64 = 1.0;
/// What is proposed for `off_max_watts`: above what a plug's meter shows for nothing, below what a node draws.
const PROPOSED_WATTS: f64 = 5.0;

/// How long a BMC that says nothing is asked in another way.
const LAST_WORD: Duration = Duration::from_secs(2);

/// What a device said.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) seen: Inspection,
    pub(super) identity: Result<Identity>,
    pub(super) power: Result<PowerReading>,
    pub(super) outlets: Result<Vec<Outlet>>,
    findings: Result<Vec<Finding>>,
}

/// What became of asking a device.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) facts: Result<Facts>,
    elapsed: Duration,
}

/// A device of a node, and what became of asking it.
#[derive(Debug)]
pub(super) struct Answer<'c> {
    pub(super) node: &'c Node,
    pub(super) entry: &'c Entry,
    pub(super) supply: &'c Supply,
    pub(super) asked: Asked,
}

/// Asks a device. The fence's own rules hold: connecting is tried again, and the identity comes first where one is
/// expected.
pub(super) async fn ask(supply: &Supply, patience: Duration) -> Asked {
    let started = Instant::now();
    let deadline = Deadline::after(patience);
    let facts = fence::ask(
        supply.device.as_ref(),
        &supply.policy,
        deadline.capped(patience - reserve(supply, patience)),
        |session, deadline| Box::pin(gather(session, deadline)),
    )
    .await;
    #[cfg(feature = "ipmi")]
    let facts = match (facts, supply.device.as_bmc()) {
        (Err(error), Some(bmc)) => Err(bmc.explained(error, deadline.capped(LAST_WORD)).await),
        (facts, _) => facts,
    };
    Asked {
        facts,
        elapsed: started.elapsed(),
    }
}

/// What is kept of the patience, so that a silent BMC can be asked in another way.
fn reserve(supply: &Supply, patience: Duration) -> Duration {
    if supply.device.label().method == Method::Ipmi {
        LAST_WORD.min(patience / 4)
    } else {
        Duration::ZERO
    }
}

async fn gather(session: &mut dyn Session, deadline: Deadline) -> Result<Facts> {
    let mut seen = deadline
        .run("looking at the outlet", session.inspect(deadline))
        .await?;
    // What comes now is less important: it must not run into the deadline and take the state with it.
    let deadline = deadline.capped(deadline.remaining().mul_f32(0.95));
    let identity = match seen.identity.take() {
        Some(identity) => Ok(identity),
        None => {
            deadline
                .run("asking for the identity", session.identity(deadline))
                .await
        }
    };
    let power = match seen.power {
        Some(reading) => Ok(reading),
        None => {
            deadline
                .run("reading the meter", session.power_reading(deadline))
                .await
        }
    };
    let outlets = deadline
        .run("listing the outlets", session.outlets(deadline))
        .await;
    let findings = deadline
        .run("reading the settings", session.findings(deadline))
        .await;
    Ok(Facts {
        seen,
        identity,
        power,
        outlets,
        findings,
    })
}

/// A failure before or instead of an answer, as advice.
pub(super) fn failure(error: &Error) -> Advice {
    let (topic, mend) = match error {
        Error::Config {
            option,
            problem,
            mend,
            ..
        } => return Advice::problem(Topic::Setting, format!("{option}: {problem}"), mend),
        Error::Unreachable { .. } | Error::Timeout { .. } => (
            Topic::Reached,
            "see that it has power and network, that ip and port are right, and that a firewall lets this host \
             through; fencekit discover lists the devices that answer",
        ),
        Error::Authentication { .. } => (
            Topic::Login,
            "put the device's own user and password into the cluster file",
        ),
        Error::WrongDevice { .. } => (
            Topic::Identity,
            "correct ip, or write the new identity if the device was replaced",
        ),
        Error::Protocol { .. } => (
            Topic::Reached,
            "see that method, port and transport fit this device; fencekit -vv doctor shows what it says",
        ),
        _ => (Topic::Setting, "fencekit -vv doctor shows what the device says"),
    };
    Advice::problem(topic, error.to_string(), mend)
}

impl Answer<'_> {
    pub(super) fn label(&self) -> String {
        format!("{}{}", self.supply.device.label(), self.supply.level.suffix())
    }

    /// The state of the outlet.
    #[cfg(target_os = "linux")]
    pub(super) fn observation(&self) -> Observation {
        match &self.asked.facts {
            Ok(facts) => facts.seen.observation.clone(),
            Err(error) => Observation::unknown(error.to_string()),
        }
    }

    /// Everything about this device alone.
    pub(super) fn advice(&self) -> Vec<Advice> {
        let facts = match &self.asked.facts {
            Ok(facts) => facts,
            Err(error) => return vec![self.place(failure(error))],
        };
        let mut advice = vec![self.reached(), power(&self.node.name, &facts.seen.observation)];
        advice.push(identity(
            self.supply.device.reports_identity(),
            self.supply.policy.expect_identity.is_some(),
            &facts.identity,
        ));
        let limit = self.supply.policy.off_max_watts;
        let mut metered = meter(&facts.power, limit, &facts.seen.observation);
        if limit.is_none() && self.entry.method() == Method::Ipmi {
            // A BMC's meter measures its own node, which draws some watts even while it is off.
            metered.mend.clear();
        }
        advice.push(metered);
        match &facts.findings {
            Ok(findings) => advice.extend(findings.iter().cloned().map(Advice::from)),
            Err(error) => advice.push(Advice::unknown(
                Topic::Setting,
                format!("its settings could not be read: {error}"),
                "run this again; fencekit -vv doctor shows what the device says",
            )),
        }
        if !self.is_address() {
            advice.push(Advice::warning(
                Topic::Address,
                format!(
                    "{} is a name: the fence needs a name server that works while a node is down",
                    self.entry.settings.text("ip").unwrap_or_default()
                ),
                "write the device's IP address, and reserve it for the device in DHCP",
            ));
        }
        advice.into_iter().map(|advice| self.place(advice)).collect()
    }

    pub(super) fn place(&self, advice: Advice) -> Advice {
        advice.of(&self.node.name).at(&self.label())
    }

    fn reached(&self) -> Advice {
        let how = match self.entry.password {
            Password::None => "reached",
            _ => "reached and logged in",
        };
        Advice::info(
            Topic::Reached,
            format!("{how}, {} ms", self.asked.elapsed.as_millis()),
        )
    }

    /// Whether the device is written by its address; HTTP outlets may be given by whole URLs.
    fn is_address(&self) -> bool {
        let text = self.entry.settings.text("ip").unwrap_or_default();
        let bare = text.trim().trim_matches(['[', ']']);
        let bare = bare.split_once('%').map_or(bare, |(address, _)| address);
        bare.is_empty() || bare.parse::<std::net::IpAddr>().is_ok()
    }

    /// The outlet by its number, where the device lists it under the entry's `plug`; a device with one outlet needs
    /// no name for it.
    pub(super) fn outlet(&self) -> Option<&Outlet> {
        let outlets = self.asked.facts.as_ref().ok()?.outlets.as_ref().ok()?;
        match (self.entry.settings.plug(), outlets.as_slice()) {
            (Plug::Named(plug), _) => outlets
                .iter()
                .find(|outlet| outlet.plug == plug)
                .or_else(|| outlets.iter().find(|outlet| outlet.alias == plug)),
            (Plug::None | Plug::NodeName(_), [only]) => Some(only),
            (Plug::None | Plug::NodeName(_), _) => None,
        }
    }
}

fn power(node: &str, observation: &Observation) -> Advice {
    match observation {
        Observation::On => Advice::info(Topic::Power, "on"),
        Observation::Off => Advice::problem(
            Topic::Power,
            format!("off: {node} has no power from it, and a fence now would prove nothing"),
            format!("fencekit on {node}, unless it is to stay off"),
        ),
        Observation::Unknown(reason) => Advice::problem(
            Topic::Power,
            format!("its state cannot be told ({reason}), so no off could ever be confirmed"),
            "mend that first: fencekit -vv doctor shows what the device says",
        ),
    }
}

fn identity(reports: bool, expected: bool, reported: &Result<Identity>) -> Advice {
    let topic = Topic::Identity;
    let reported = match reported {
        Ok(identity) => identity,
        Err(Error::Unsupported { .. }) => return unidentified(),
        Err(_) if !reports => return unidentified(),
        Err(error) => {
            return Advice::unknown(
                topic,
                format!("who it is could not be read: {error}"),
                "run this again; fencekit -vv doctor shows what the device says",
            );
        }
    };
    let number = [&reported.mac, &reported.guid, &reported.device_id, &reported.name];
    let Some(number) = number.into_iter().flatten().next() else {
        return unidentified();
    };
    let who = match &reported.name {
        Some(name) if name != number => format!("{name} ({number})"),
        _ => number.clone(),
    };
    if expected {
        return Advice::info(topic, format!("is {who}, as expected"));
    }
    Advice::warning(
        topic,
        format!("is {who}; another device at this address would be switched just the same"),
        format!("write identity: \"{number}\" beside its ip"),
    )
}

fn unidentified() -> Advice {
    Advice::info(
        Topic::Identity,
        "cannot say who it is: see that nothing else can take its address",
    )
}

fn meter(reading: &Result<PowerReading>, limit: Option<f64>, observation: &Observation) -> Advice {
    let topic = Topic::Meter;
    let reading = match (reading, limit) {
        (Ok(reading), _) => reading,
        (Err(Error::Unsupported { .. }), None) => {
            return Advice::info(topic, "has no meter: its word alone says that the outlet is off");
        }
        (Err(error), None) => {
            return Advice::unknown(
                topic,
                format!("its meter could not be read: {error}"),
                "run this again; without off_max_watts no fence depends on it",
            );
        }
        (Err(error), Some(limit)) => {
            return Advice::problem(
                topic,
                format!("off_max_watts is {limit}, and its meter cannot be read: {error}"),
                "mend the meter, or take off_max_watts away: no off can be confirmed like this",
            );
        }
    };
    let watts = reading.watts;
    let on = *observation == Observation::On;
    match limit {
        // A reading that is no number is below nothing.
        Some(limit) if on && reading.at_most(limit) => Advice::warning(
            topic,
            format!(
                "on, it draws {watts:.1} W, no more than off_max_watts ({limit}): its meter would prove nothing"
            ),
            "see that it feeds this node and that the node runs, or write a smaller off_max_watts",
        ),
        None if on && reading.at_most(IDLE_WATTS) => Advice::warning(
            topic,
            format!("on, it draws {watts:.1} W: it may feed nothing, or another node"),
            "see that the node runs and is plugged in here; fencekit drill proves it",
        ),
        Some(limit) => Advice::info(topic, format!("draws {watts:.1} W; off is at most {limit} W")),
        None => Advice {
            mend: format!(
                "off_max_watts: {PROPOSED_WATTS} makes the meter a second witness that the relay really opened"
            ),
            ..Advice::info(topic, format!("draws {watts:.1} W"))
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Severity;

    fn watts(watts: f64) -> Result<PowerReading> {
        Ok(PowerReading::of_watts(watts))
    }

    #[test]
    fn a_meter_that_would_prove_nothing_is_told() {
        let on = Observation::On;
        assert_eq!(meter(&watts(60.0), Some(5.0), &on).severity, Severity::Info);
        assert_eq!(meter(&watts(3.0), Some(5.0), &on).severity, Severity::Warning);
        assert_eq!(meter(&watts(0.0), None, &on).severity, Severity::Warning);
        assert_eq!(
            meter(&watts(0.0), None, &Observation::Off).severity,
            Severity::Info
        );
        let none = Err(Error::unsupported("no meter"));
        assert_eq!(meter(&none, None, &on).severity, Severity::Info);
        assert_eq!(meter(&none, Some(5.0), &on).severity, Severity::Problem);
        let lost = Err(Error::protocol("cut"));
        assert_eq!(meter(&lost, None, &on).severity, Severity::Unknown);
    }

    #[test]
    fn the_line_to_add_is_given() {
        let reported = Ok(Identity {
            mac: Some("50:C7:BF:00:00:01".into()),
            name: Some("plug".into()),
            ..Identity::default()
        });
        let advice = identity(true, false, &reported);
        assert_eq!(advice.severity, Severity::Warning);
        assert_eq!(advice.mend, "write identity: \"50:C7:BF:00:00:01\" beside its ip");
        assert_eq!(identity(true, true, &reported).severity, Severity::Info);
        let silent = Err(Error::unsupported("no identity"));
        assert_eq!(identity(false, false, &silent).severity, Severity::Info);
        let lost = Err(Error::protocol("cut"));
        assert_eq!(identity(true, false, &lost).severity, Severity::Unknown);
    }

    #[test]
    fn each_failure_has_its_topic_and_a_mend() {
        for (error, topic) in [
            (Error::unreachable("refused"), Topic::Reached),
            (Error::authentication("no"), Topic::Login),
            (Error::protocol("garbled"), Topic::Reached),
            (Error::refused("no"), Topic::Setting),
            (
                Error::config("plug", "\"9\" is no outlet", "write 1 to 3"),
                Topic::Setting,
            ),
            (
                Error::WrongDevice {
                    expected: "a".into(),
                    found: "b".into(),
                    source: None,
                },
                Topic::Identity,
            ),
        ] {
            let advice = failure(&error);
            assert_eq!((advice.topic, advice.severity), (topic, Severity::Problem));
            assert!(!advice.mend.is_empty(), "{error}");
        }
    }
}
