//! The fence levels of a node: the devices that cut its power together, and the one that cuts all of it alone.

use serde::{Deserialize, Serialize};

use crate::device::Label;
use crate::method::Method;
use crate::power::Observation;

/// To which fence level of its node a device belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// One of the node's `devices`, which feed it together: all of them must be off for it to be off.
    #[default]
    First,
    /// The node's `fallback`, which by itself cuts all of its power.
    Fallback,
}

impl Level {
    /// Its number, as Pacemaker counts levels: 1 or 2.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::First => 1,
            Self::Fallback => 2,
        }
    }

    /// What stands behind a device's name where people read it: nothing for the first level.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::First => "",
            Self::Fallback => " (fallback)",
        }
    }
}

/// How much a device's word weighs for its node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The level that the device belongs to.
    pub level: Level,
    /// Whether it is the node's BMC, which says whether the node itself runs. An outlet says only what it lets through.
    pub bmc: bool,
}

impl Standing {
    /// That of a device of this level.
    #[must_use]
    pub fn of(level: Level, label: &Label) -> Self {
        let bmc = label.method == Method::Ipmi;
        Self { level, bmc }
    }

    /// Whether an "on" of this device speaks against every "off" of the others: a BMC that says on has a running node
    /// behind it, and a device of the first level that says on is fed by something that the fallback does not cut. An
    /// outlet that is the fallback is on for as long as nobody needed it, and shows nothing.
    #[must_use]
    pub fn on_is_life(self) -> bool {
        self.level == Level::First || self.bmc
    }

    /// What the devices of one node say together.
    ///
    /// On as soon as one says so whose "on" [is life](Self::on_is_life). Off when all devices of the first level say
    /// off, or when the fallback does; a device of the other level that does not answer does not matter then. Unknown
    /// otherwise, for the reason of the first device that keeps it from being off.
    pub fn combined(said: impl IntoIterator<Item = (Self, Observation)>) -> Observation {
        let said: Vec<_> = said.into_iter().collect();
        if said
            .iter()
            .any(|(standing, seen)| standing.on_is_life() && *seen == Observation::On)
        {
            return Observation::On;
        }
        let of = |level: Level| {
            let there = said.iter().filter(move |(standing, _)| standing.level == level);
            Observation::combined(there.map(|(_, seen)| seen.clone()))
        };
        match (of(Level::First), of(Level::Fallback)) {
            (Observation::Off, _) | (_, Observation::Off) => Observation::Off,
            (first, _) => first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Standing = Standing {
        level: Level::First,
        bmc: false,
    };
    const BMC: Standing = Standing {
        level: Level::First,
        bmc: true,
    };
    const FALLBACK: Standing = Standing {
        level: Level::Fallback,
        bmc: false,
    };
    const FALLBACK_BMC: Standing = Standing {
        level: Level::Fallback,
        bmc: true,
    };

    fn word(said: &[(Standing, &str)]) -> &'static str {
        Standing::combined(said.iter().map(|(standing, word)| {
            let seen = match *word {
                "on" => Observation::On,
                "off" => Observation::Off,
                why => Observation::unknown(why),
            };
            (*standing, seen)
        }))
        .word()
    }

    #[test]
    fn one_level_is_enough_and_a_missing_answer_is_never_off() {
        for (first, fallback, together) in [
            ("off", "off", "off"),
            ("off", "on", "off"),
            ("off", "?", "off"),
            ("?", "off", "off"),
            ("?", "on", "unknown"),
            ("?", "?", "unknown"),
            ("on", "off", "on"),
            ("on", "on", "on"),
            ("on", "?", "on"),
        ] {
            let said = [(BMC, first), (FALLBACK, fallback)];
            assert_eq!(word(&said), together, "BMC {first}, plug {fallback}");
        }
    }

    #[test]
    fn a_bmc_that_says_on_contradicts_at_either_level() {
        assert_eq!(word(&[(FIRST, "off"), (FALLBACK_BMC, "on")]), "on");
        assert_eq!(word(&[(FIRST, "off"), (FALLBACK_BMC, "?")]), "off");
        assert_eq!(word(&[(FIRST, "?"), (FALLBACK_BMC, "off")]), "off");
        assert_eq!(word(&[(FIRST, "on"), (FALLBACK_BMC, "off")]), "on");
    }

    #[test]
    fn the_first_level_is_off_with_all_of_its_devices_alone() {
        assert_eq!(word(&[(FIRST, "off"), (FIRST, "?")]), "unknown");
        assert_eq!(word(&[(FIRST, "off"), (FIRST, "?"), (FALLBACK, "on")]), "unknown");
        assert_eq!(word(&[(FIRST, "off"), (FIRST, "?"), (FALLBACK, "off")]), "off");
        assert_eq!(word(&[(FIRST, "off"), (FIRST, "on"), (FALLBACK, "off")]), "on");
        assert_eq!(word(&[(FALLBACK, "off")]), "off");
        assert_eq!(word(&[(FALLBACK, "on")]), "unknown");
        assert_eq!(word(&[]), "unknown");
    }
}
