//! What was seen of a node, piece by piece.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a piece of evidence comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// A fence device, asked for its outlet on a new connection.
    Power,
    /// The meter of a fence device.
    Meter,
    /// Echo requests to an address of the node.
    Icmp,
    /// TCP connections to a port of the node. Accepted or refused, both are life.
    Tcp,
    /// Address resolution (ARP or NDP) of the node on a directly connected network. An answer is life even where
    /// a firewall drops everything else.
    Neighbour,
    /// The observer's own way to the network: route, link, own address. Only a broken one becomes evidence.
    Path,
    /// Somebody else on the network, whose answers show that the observer could have heard the node.
    Witness,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Power => "power",
            Self::Meter => "meter",
            Self::Icmp => "icmp",
            Self::Tcp => "tcp",
            Self::Neighbour => "neighbour",
            Self::Path => "path",
            Self::Witness => "witness",
        })
    }
}

/// What a probe showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Power: the device says that the outlet is off.
    Off,
    /// Power: the device says that the outlet is on.
    On,
    /// Meter: the draw is at most the threshold.
    Below,
    /// Meter: the draw is above the threshold.
    Above,
    /// Network: every probe was sent, and none was answered within the window.
    Silent,
    /// Network: at least one probe was answered within the window.
    Answered,
    /// The probe itself failed. It shows nothing, in particular neither "off" nor "silent".
    Unknown,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Below => "below",
            Self::Above => "above",
            Self::Silent => "silent",
            Self::Answered => "answered",
            Self::Unknown => "unknown",
        })
    }
}

/// One probe's contribution to a verdict: everything that it showed during the window, in one piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Where it comes from.
    pub probe: Probe,
    /// The device's label, or the address that was probed.
    pub subject: String,
    /// The network's name; `None` for power and meter.
    pub network: Option<String>,
    /// What was seen.
    pub outcome: Outcome,
    /// The same in words, with the reason when it is unknown.
    pub detail: String,
    /// When that was known, in milliseconds since the verification began.
    pub at_ms: u64,
    /// How long the deciding probe took, in milliseconds; for silence, how long was listened.
    pub elapsed_ms: u64,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.probe, self.subject)?;
        if let Some(network) = &self.network {
            write!(f, " ({network})")?;
        }
        write!(f, ": {}", self.outcome)?;
        if self.detail.is_empty() {
            return Ok(());
        }
        write!(f, ", {}", self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_as_documented() {
        let evidence = Evidence {
            probe: Probe::Power,
            subject: "kasa @ 10.20.20.202".into(),
            network: None,
            outcome: Outcome::Off,
            detail: "asked anew".into(),
            at_ms: 120,
            elapsed_ms: 4,
        };
        let json = serde_json::to_string(&evidence).unwrap();
        assert_eq!(
            json,
            r#"{"probe":"power","subject":"kasa @ 10.20.20.202","network":null,"outcome":"off","detail":"asked anew","at_ms":120,"elapsed_ms":4}"#
        );
        assert_eq!(serde_json::from_str::<Evidence>(&json).unwrap(), evidence);
    }

    #[test]
    fn one_word_for_people_and_programs() {
        use Outcome::*;
        for outcome in [Off, On, Below, Above, Silent, Answered, Unknown] {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.to_string());
        }
        use Probe::*;
        for probe in [Power, Meter, Icmp, Tcp, Neighbour, Path, Witness] {
            assert_eq!(serde_json::to_value(probe).unwrap(), probe.to_string());
        }
    }
}
