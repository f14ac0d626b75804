//! What is told: a finding, how much it matters, and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::device::{Finding, Severity};

/// What a piece of advice is about, in one word for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// Whether the device answers.
    Reached,
    /// Whether it takes the credentials.
    Login,
    /// Whether it is the device that is meant.
    Identity,
    /// Whether its outlet is on.
    Power,
    /// Its meter, and the threshold for it.
    Meter,
    /// What it does when its own power comes back.
    Restore,
    /// Schedules that switch the outlet.
    Schedule,
    /// Countdowns that switch the outlet.
    Countdown,
    /// Its firmware.
    Firmware,
    /// Its clock.
    Clock,
    /// Its other settings.
    Setting,
    /// Whether the outlet is the node's own.
    Outlet,
    /// What several nodes depend on together.
    SinglePoint,
    /// The node's addresses, and whether it answers there.
    Address,
    /// Hosts whose answers give silence its meaning.
    Witness,
    /// Whether times fit together.
    Timing,
    /// When the wiring was last proven.
    Drill,
    /// The cluster file.
    File,
    /// Who may read and write what.
    Permissions,
    /// The fence agents on this host.
    Agents,
    /// Pacemaker as a whole.
    Pacemaker,
    /// Fence resources in the cluster's configuration.
    Resource,
    /// Fence levels there.
    Level,
    /// Location rules there.
    Location,
    /// Properties there.
    Property,
}

impl Topic {
    /// All of them, in the order of the preflight.
    pub const ALL: [Self; 25] = [
        Self::Reached,
        Self::Login,
        Self::Identity,
        Self::Power,
        Self::Meter,
        Self::Restore,
        Self::Schedule,
        Self::Countdown,
        Self::Firmware,
        Self::Clock,
        Self::Setting,
        Self::Outlet,
        Self::SinglePoint,
        Self::Address,
        Self::Witness,
        Self::Timing,
        Self::Drill,
        Self::File,
        Self::Permissions,
        Self::Agents,
        Self::Pacemaker,
        Self::Resource,
        Self::Level,
        Self::Location,
        Self::Property,
    ];

    /// The word, as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Login => "login",
            Self::Identity => "identity",
            Self::Power => "power",
            Self::Meter => "meter",
            Self::Restore => "restore",
            Self::Schedule => "schedule",
            Self::Countdown => "countdown",
            Self::Firmware => "firmware",
            Self::Clock => "clock",
            Self::Setting => "setting",
            Self::Outlet => "outlet",
            Self::SinglePoint => "single-point",
            Self::Address => "address",
            Self::Witness => "witness",
            Self::Timing => "timing",
            Self::Drill => "drill",
            Self::File => "file",
            Self::Permissions => "permissions",
            Self::Agents => "agents",
            Self::Pacemaker => "pacemaker",
            Self::Resource => "resource",
            Self::Level => "level",
            Self::Location => "location",
            Self::Property => "property",
        }
    }

    /// The topic of a device's own finding.
    fn of_finding(word: &str) -> Self {
        let known = Self::ALL.into_iter().find(|topic| topic.word() == word);
        known.unwrap_or(Self::Setting)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub topic: Topic,
    /// The node that it concerns; `None` for the cluster or this host.
    pub node: Option<String>,
    /// The label of the device that it concerns.
    pub device: Option<String>,
    /// What was found, in words.
    pub detail: String,
    /// What to do about it; empty where nothing is to be done.
    pub mend: String,
}

impl Advice {
    /// Nothing is to be done.
    pub(super) fn info(topic: Topic, detail: impl Into<String>) -> Self {
        Self::new(Severity::Info, topic, detail, "")
    }

    pub(super) fn warning(topic: Topic, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(Severity::Warning, topic, detail, mend)
    }

    /// It could not be examined.
    pub(super) fn unknown(topic: Topic, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(Severity::Unknown, topic, detail, mend)
    }

    pub(super) fn problem(topic: Topic, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(Severity::Problem, topic, detail, mend)
    }

    fn new(severity: Severity, topic: Topic, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            severity,
            topic,
            node: None,
            device: None,
            detail: detail.into(),
            mend: mend.into(),
        }
    }

    /// The same about this node.
    pub(super) fn of(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// The same about this device.
    pub(super) fn at(mut self, device: &str) -> Self {
        self.device = Some(device.to_owned());
        self
    }
}

impl From<Finding> for Advice {
    fn from(finding: Finding) -> Self {
        let topic = Topic::of_finding(finding.topic);
        Self::new(finding.severity, topic, finding.detail, finding.mend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_is_one_word_for_people_and_programs() {
        for topic in Topic::ALL {
            assert_eq!(serde_json::to_value(topic).unwrap(), topic.word());
            assert_eq!(Topic::of_finding(topic.word()), topic);
        }
        assert_eq!(Topic::of_finding("something new"), Topic::Setting);
    }

    #[test]
    fn what_could_not_be_examined_is_worse_than_a_warning() {
        assert!(Severity::Info < Severity::Warning);
        assert!(Severity::Warning < Severity::Unknown);
        assert!(Severity::Unknown < Severity::Problem);
        assert_eq!(serde_json::to_value(Severity::Unknown).unwrap(), "unknown");
    }
}
