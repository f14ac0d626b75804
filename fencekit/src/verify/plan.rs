//! What is to be verified of a node: its devices, its addresses, the witnesses, the times.

use std::net::IpAddr;
use std::time::Duration;

use super::evidence::{Evidence, Outcome, Probe};
use crate::fleet::Supply;
use crate::level::{Level, Standing};
use crate::power::Observation;
use crate::{Error, Result};

/// Everything that a verification needs to know about a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The node's name.
    pub node: String,
    /// The devices that feed it. All of the first level must be off, or the fallback.
    pub devices: Vec<Feed>,
    /// The networks that it answers on while it is alive. All must be silent.
    pub networks: Vec<Network>,
    /// Whether a network's silence counts only with a witness on it. Where a network has witnesses at all,
    /// configured ones or a device that is directly on it, one of them must answer in any case.
    pub require_witness: bool,
    /// The times.
    pub timing: Timing,
}

impl Plan {
    /// What the devices say together of the node's power, by [`Standing::combined`]; a device of which there is no
    /// evidence is unknown.
    pub fn power(&self, evidence: &[Evidence]) -> Observation {
        Standing::combined(self.said(evidence))
    }

    /// What the devices of one level say together: off only when all of them say off, on as soon as one says on. A device of
    /// which there is no evidence is unknown, and so is a level without devices.
    pub fn power_of(&self, level: Level, evidence: &[Evidence]) -> Observation {
        let own = self.said(evidence).into_iter();
        let own = own.filter(|(standing, _)| standing.level == level);
        Observation::combined(own.map(|(_, seen)| seen))
    }

    fn said(&self, evidence: &[Evidence]) -> Vec<(Standing, Observation)> {
        let mut power: Vec<&Evidence> = evidence.iter().filter(|one| one.probe == Probe::Power).collect();
        let mut said_by = |feed: &Feed| {
            // One piece of evidence serves for one device.
            let Some(at) = power.iter().position(|one| one.subject == feed.label) else {
                return Observation::unknown("it was not asked");
            };
            let one = power.remove(at);
            match one.outcome {
                Outcome::On => Observation::On,
                Outcome::Off => Observation::Off,
                _ => Observation::unknown(&one.detail),
            }
        };
        self.devices
            .iter()
            .map(|feed| (feed.standing, said_by(feed)))
            .collect()
    }
}

/// A device as the verdict sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    /// The device's label, which names it in the evidence.
    pub label: String,
    /// Its address, where that is no host name: it is a witness on the network that it is directly connected to.
    pub address: Option<IpAddr>,
    /// What its meter may read at most, in watts. `None`: its meter is not asked.
    pub off_max_watts: Option<f64>,
    /// What its meter read before the node was switched off, in watts.
    pub baseline_watts: Option<f64>,
    /// How much its word weighs.
    pub standing: Standing,
}

impl Feed {
    /// A device as it is asked, without a baseline.
    #[must_use]
    pub fn of(supply: &Supply, address: Option<IpAddr>) -> Self {
        Self {
            label: supply.device.label().to_string(),
            address,
            off_max_watts: supply.policy.off_max_watts,
            baseline_watts: None,
            standing: supply.standing(),
        }
    }

    /// Whether it is one of the node's devices that must all be off.
    pub(crate) fn is_first(&self) -> bool {
        self.standing.level == Level::First
    }
}

/// One address of the node on one of its networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The network's name: `management`, `storage`, `client`, or the user's own. Unique within a plan, since the
    /// evidence is told apart by it.
    pub name: String,
    /// The node's address there.
    pub address: IpAddr,
    /// This host's own address there, where it is known: it must be on the link that leads to the node. An observer
    /// that lost its address would send by its default route, into nowhere, and hear nothing.
    pub own_address: Option<IpAddr>,
    /// TCP ports that are tried besides ICMP.
    pub tcp_ports: Vec<u16>,
    /// Addresses of others on this network that answer echo requests.
    pub witnesses: Vec<IpAddr>,
    /// Whether the witnesses were named for several networks together, as `witness_client_ips` are. Those that
    /// are reached another way than the node are then passed over; elsewhere such a witness is an error of
    /// configuration, and the silence does not count. Of several such networks behind one router a witness speaks for
    /// those alone that its address is nearest to.
    pub shared_witnesses: bool,
}

impl Network {
    /// A network with nothing but the node's address.
    #[must_use]
    pub fn new(name: impl Into<String>, address: IpAddr) -> Self {
        Self {
            name: name.into(),
            address,
            own_address: None,
            tcp_ports: Vec::new(),
            witnesses: Vec::new(),
            shared_witnesses: false,
        }
    }
}

/// The times of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long the node is observed (`verify_wait`). At least [`Timing::SHORTEST`] is observed whatever is
    /// written here: silence needs time to be heard.
    pub wait: Duration,
    /// A shorter window, for nodes on metered devices only: it is enough when each meter's draw fell from a
    /// baseline above its threshold to below.
    pub metered_wait: Option<Duration>,
    /// Pause before the networks are probed. A power supply carries a node on for a moment after its outlet went
    /// off; an answer from that moment would be taken for life.
    pub settle: Duration,
}

impl Timing {
    /// The shortest window.
    pub const SHORTEST: Duration = Duration::from_secs(1);
    /// The longest of these times: no deadline is longer either.
    pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

    /// # Errors
    /// [`Error::Config`] when one of the times is longer than [`LONGEST`](Self::LONGEST).
    pub(crate) fn check(&self) -> Result<()> {
        let named = [
            ("wait", Some(self.wait)),
            ("metered_wait", self.metered_wait),
            ("settle", Some(self.settle)),
        ];
        let too_long = named
            .into_iter()
            .find_map(|(name, time)| time.filter(|time| *time > Self::LONGEST).map(|time| (name, time)));
        let Some((name, time)) = too_long else {
            return Ok(());
        };
        Err(Error::config(
            name,
            format!("{} s is more than a day", time.as_secs()),
            format!("write at most {}", Self::LONGEST.as_secs()),
        ))
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(10),
            metered_wait: None,
            settle: Duration::from_millis(500),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_longer_than_a_day_is_named_with_its_mend() {
        let mut timing = Timing::default();
        assert!(timing.check().is_ok());
        timing.metered_wait = Some(Timing::LONGEST);
        assert!(timing.check().is_ok());
        timing.wait = Duration::MAX;
        let text = timing.check().unwrap_err().to_string();
        assert_eq!(
            text,
            "wait: 18446744073709551615 s is more than a day; write at most 86400"
        );
    }
}
