//! What a device says of itself and its outlets, in either dialect, and which outlet is meant.

use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::options::Plug;
use crate::power::Observation;

/// One outlet as reported. Whatever is missing or of the wrong type is `None`, or unknown for the state: a
/// neighbour that cannot be read is no reason to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// What the device wants to be told to mean this outlet: the whole child id.
    pub(super) id: Option<String>,
    pub(super) alias: Option<String>,
    pub(super) observation: Observation,
}

/// A device's report of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) identity: Identity,
    /// In the order in which they are counted from 1; exactly one, without id, for a plug.
    pub(super) outlets: Vec<Socket>,
    pub(super) is_strip: bool,
    /// Why positions cannot be trusted, as when an outlet is missing from the list.
    pub(super) miscounted: Option<String>,
    /// Whether it has a meter, where it says so.
    pub(super) metered: Option<bool>,
}

/// The outlet that was configured, found in a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The child to address; `None` on a device with one outlet, which is addressed as a whole.
    pub(super) child: Option<String>,
    pub(super) observation: Observation,
}

impl Report {
    /// Finds the outlet that `plug` means. On a device with one outlet a node's name that Pacemaker put there means
    /// nothing; on a strip an outlet must be named, since a command without one switches all of them.
    ///
    /// # Errors
    /// [`Error::Config`] when no outlet, or more than one, is meant; [`Error::Protocol`] when the report does not
    /// say how to address it.
    pub(super) fn choose(&self, plug: &Plug) -> Result<Chosen> {
        if self.is_strip {
            self.choose_child(plug)
        } else {
            self.choose_whole(plug)
        }
    }

    fn choose_whole(&self, plug: &Plug) -> Result<Chosen> {
        let [only] = self.outlets.as_slice() else {
            return Err(Error::protocol("the device reports no outlet"));
        };
        if let Some(named) = plug.named() {
            let id = self.identity.device_id.as_deref();
            let meant = named == "1"
                || only.alias.as_deref() == Some(named)
                || id.is_some_and(|id| id.eq_ignore_ascii_case(named));
            if !meant && !is_number(named) && (only.alias.is_none() || id.is_none()) {
                return Err(Error::protocol(format!(
                    "whether \"{named}\" is this device's outlet cannot be told, since it does not say its name and id; \
                     plug=1 is that outlet"
                )));
            }
            if !meant {
                let alias = only.alias.as_deref().unwrap_or_default();
                return Err(Error::config(
                    "plug",
                    format!("\"{named}\" is not on this device, whose only outlet is 1 ({alias})"),
                    "leave it out, or write 1",
                ));
            }
        }
        Ok(Chosen {
            child: None,
            observation: only.observation.clone(),
        })
    }

    fn choose_child(&self, plug: &Plug) -> Result<Chosen> {
        let Some(wanted) = plug.text() else {
            return Err(Error::config(
                "plug",
                format!("is missing, and this device has {} outlets", self.outlets.len()),
                format!("name one: {}", self.listed(self.numbered())),
            ));
        };
        let meant: Vec<_> = self
            .numbered()
            .filter(|(number, outlet)| means(wanted, *number, outlet))
            .collect();
        let (number, outlet) = match meant.as_slice() {
            [one] => *one,
            [] => {
                if let Some(why) = self.may_hide(wanted) {
                    return Err(Error::protocol(format!(
                        "whether the device has an outlet \"{wanted}\" cannot be told: {why}; it lists: {}",
                        self.listed(self.numbered())
                    )));
                }
                return Err(Error::config(
                    "plug",
                    format!("\"{wanted}\" is no outlet of this device"),
                    format!("write one of: {}", self.listed(self.numbered())),
                ));
            }
            several => return Err(self.ambiguous(wanted, several.iter().copied())),
        };
        if self.is_another_number(wanted, number, outlet) {
            let either = |at: usize| at == number || wanted.parse() == Ok(at);
            return Err(self.ambiguous(wanted, self.numbered().filter(|(at, _)| either(*at))));
        }
        if let Some(why) = self.miscounted.as_ref().filter(|_| wanted == number.to_string()) {
            return Err(Error::protocol(format!("outlet {number} cannot be told: {why}")));
        }
        let id = outlet.id.clone().ok_or_else(|| {
            Error::protocol(format!(
                "the device does not say by which id outlet {number} is addressed"
            ))
        })?;
        if self
            .outlets
            .iter()
            .filter(|other| other.id.as_ref() == Some(&id))
            .count()
            > 1
        {
            return Err(Error::protocol(format!(
                "two outlets of the device have the id {id}"
            )));
        }
        Ok(Chosen {
            child: Some(id),
            observation: outlet.observation.clone(),
        })
    }

    /// Whether what was found by the end of its id or by its name would be another outlet to who reads it as a number:
    /// the id of outlet 2 ends in 01. Where outlets are missing from the list, any such number may be one of theirs.
    fn is_another_number(&self, wanted: &str, number: usize, outlet: &Socket) -> bool {
        let digits = wanted.chars().all(|c| c.is_ascii_digit());
        let Some(read) = wanted.parse::<usize>().ok().filter(|_| digits) else {
            return false;
        };
        let by_tail = wanted.len() == 2 && outlet.alias.as_deref() != Some(wanted);
        let is_counted = read <= self.outlets.len() || (self.miscounted.is_some() && by_tail);
        read > 0 && read != number && is_counted
    }

    fn ambiguous<'a>(&self, wanted: &str, meant: impl Iterator<Item = (usize, &'a Socket)>) -> Error {
        Error::config(
            "plug",
            format!("\"{wanted}\" means more than one outlet: {}", self.listed(meant)),
            "write the number without zeros, the whole child id, or a name that no other outlet has",
        )
    }

    /// Why an outlet that is not found may be there all the same. To be missing means off where the user wants it so.
    fn may_hide(&self, wanted: &str) -> Option<String> {
        if let Some(why) = &self.miscounted {
            return Some(why.clone());
        }
        let unreadable = |(_, outlet): &(usize, &Socket)| outlet.alias.is_none() || outlet.id.is_none();
        let (number, outlet) = self.numbered().find(unreadable).filter(|_| !is_number(wanted))?;
        let lacking = if outlet.alias.is_none() { "name" } else { "id" };
        Some(format!("outlet {number} has no {lacking} that can be read"))
    }

    /// The outlets with their numbers from 1.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, &Socket)> {
        (1..).zip(&self.outlets)
    }

    fn listed<'a>(&self, outlets: impl Iterator<Item = (usize, &'a Socket)>) -> String {
        let names: Vec<_> = outlets
            .map(|(number, outlet)| {
                let alias = outlet.alias.as_deref().unwrap_or_default();
                let id = outlet.id.as_deref().unwrap_or("?");
                format!("{number} ({alias}, {id})")
            })
            .collect();
        names.join(", ")
    }
}

/// Whether this can be nothing but an outlet's number. A longer one may be a node's name.
fn is_number(wanted: &str) -> bool {
    wanted.len() <= 2
        && wanted
            .parse::<u8>()
            .is_ok_and(|number| number.to_string() == wanted)
}

/// Whether `wanted` is this outlet's number, its alias, its child id or the last two characters of that.
fn means(wanted: &str, number: usize, outlet: &Socket) -> bool {
    let by_id = outlet.id.as_deref().is_some_and(|id| {
        let short = wanted.len() == 2 && id.len() > 2;
        let tail = id.len().checked_sub(2).and_then(|at| id.get(at..));
        id.eq_ignore_ascii_case(wanted)
            || (short && tail.is_some_and(|tail| tail.eq_ignore_ascii_case(wanted)))
    });
    by_id || wanted == number.to_string() || outlet.alias.as_deref() == Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(aliases: &[&str]) -> Report {
        let outlets = aliases.iter().enumerate().map(|(at, alias)| Socket {
            id: Some(format!("8006ABCD{at:02X}")),
            alias: Some((*alias).to_owned()),
            observation: if at == 0 {
                Observation::On
            } else {
                Observation::Off
            },
        });
        Report {
            identity: Identity::default(),
            outlets: outlets.collect(),
            is_strip: true,
            miscounted: None,
            metered: None,
        }
    }

    fn plug() -> Report {
        Report {
            identity: Identity {
                device_id: Some("8006ABCD".into()),
                ..Identity::default()
            },
            outlets: vec![Socket {
                id: None,
                alias: Some("rack 3".into()),
                observation: Observation::On,
            }],
            is_strip: false,
            miscounted: None,
            metered: None,
        }
    }

    fn named(text: &str) -> Plug {
        Plug::Named(text.into())
    }

    fn child(report: &Report, plug: &Plug) -> String {
        report.choose(plug).unwrap().child.unwrap()
    }

    #[test]
    fn an_outlet_is_found_by_number_alias_and_either_id() {
        let strip = strip(&["a", "b", "c"]);
        for text in ["2", "b", "8006ABCD01", "8006abcd01"] {
            assert_eq!(child(&strip, &named(text)), "8006ABCD01", "{text}");
        }
        assert_eq!(
            child(&strip, &named("00")),
            "8006ABCD00",
            "no outlet has the number 0"
        );
        assert_eq!(child(&strip, &Plug::NodeName("b".into())), "8006ABCD01");
        assert_eq!(strip.choose(&named("b")).unwrap().observation, Observation::Off);
    }

    #[test]
    fn a_strip_needs_an_outlet_that_exists() {
        let strip = strip(&["a", "b"]);
        let wrong = ["0", "3", "A", "02", "-1", "8006", "", "+1", " 1"];
        let wrong = wrong.map(named).into_iter();
        for plug in wrong.chain([Plug::None, Plug::NodeName("storage-b".into())]) {
            let error = strip.choose(&plug).unwrap_err();
            assert!(matches!(error, Error::Config { .. }), "{plug:?}: {error}");
            assert!(error.to_string().contains("2 (b, 8006ABCD01)"), "{error}");
        }
    }

    #[test]
    fn what_means_two_outlets_means_none() {
        let twice = strip(&["a", "b", "a"])
            .choose(&named("a"))
            .unwrap_err()
            .to_string();
        assert!(
            twice.contains("1 (a, 8006ABCD00), 3 (a, 8006ABCD02)") && !twice.contains("(b,"),
            "{twice}"
        );
        // The number of one outlet is the alias of another, or the short id of one its number.
        assert!(strip(&["a", "1"]).choose(&named("1")).is_err());
        assert!(strip(&["00", "01"]).choose(&named("01")).is_err());
        assert!(strip(&["01", "b"]).choose(&named("01")).is_err());
    }

    #[test]
    fn a_number_with_a_zero_before_it_is_no_end_of_another_outlets_id() {
        let error = strip(&["a", "b", "c"]).choose(&named("01")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "plug: \"01\" means more than one outlet: 1 (a, 8006ABCD00), 2 (b, 8006ABCD01); write the number without \
             zeros, the whole child id, or a name that no other outlet has"
        );
        // The outlet 2 may be one that is missing from the list.
        let mut strip = strip(&["a", "b", "c"]);
        strip.outlets.drain(..2);
        strip.miscounted = Some("3 outlets are announced, 1 is listed".into());
        let error = strip.choose(&named("02")).unwrap_err().to_string();
        assert!(error.contains("more than one outlet"), "{error}");
        // An end that is no number, or that of no outlet, is what it always was.
        let many = super::tests::strip(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]);
        assert_eq!(child(&many, &named("0b")), "8006ABCD0B");
        assert!(many.choose(&named("0A")).is_ok() && many.choose(&named("09")).is_err());
    }

    #[test]
    fn a_list_that_lacks_outlets_is_no_base_for_numbers() {
        let mut strip = strip(&["a", "b"]);
        strip.miscounted = Some("3 outlets are announced, 2 are listed".into());
        assert!(matches!(strip.choose(&named("1")), Err(Error::Protocol { .. })));
        assert!(strip.choose(&named("b")).is_ok() && strip.choose(&named("8006ABCD01")).is_ok());
        // Nor for what is missing.
        for absent in ["3", "c", "02", "8006ABCD02"] {
            let error = strip.choose(&named(absent)).unwrap_err();
            assert!(matches!(error, Error::Protocol { .. }), "{absent}: {error}");
            assert!(error.to_string().contains("3 outlets are announced"), "{error}");
        }
    }

    #[test]
    fn what_an_unreadable_name_or_id_may_hide_is_not_missing() {
        let refusal = |report: &Report, text: &str| report.choose(&named(text)).unwrap_err();
        let mut nameless = strip(&["a", "b"]);
        nameless.outlets[1].alias = None;
        let mut without_id = strip(&["a", "b"]);
        without_id.outlets[1].id = None;
        for report in [&nameless, &without_id] {
            for text in ["c", "8006ABCD02", "storage-b", "101"] {
                let error = refusal(report, text);
                assert!(matches!(error, Error::Protocol { .. }), "{text}: {error}");
                assert!(error.to_string().contains("outlet 2 has no"), "{error}");
            }
            assert!(
                matches!(refusal(report, "3"), Error::Config { .. }),
                "a number is no name"
            );
        }
        let mut single = plug();
        single.outlets[0].alias = None;
        assert!(matches!(refusal(&single, "rack 3"), Error::Protocol { .. }));
        assert!(matches!(refusal(&single, "2"), Error::Config { .. }));
        assert!(single.choose(&named("1")).is_ok());
    }

    #[test]
    fn an_outlet_without_id_cannot_be_addressed_but_its_neighbour_can() {
        let mut strip = strip(&["a", "b"]);
        strip.outlets[0].id = None;
        assert!(matches!(strip.choose(&named("1")), Err(Error::Protocol { .. })));
        assert_eq!(child(&strip, &named("2")), "8006ABCD01");
    }

    #[test]
    fn on_a_single_outlet_a_node_name_means_nothing_and_a_plug_must_fit() {
        let plug = plug();
        for fits in [
            Plug::None,
            Plug::NodeName("storage-b".into()),
            named("1"),
            named("rack 3"),
            named("8006abcd"),
        ] {
            assert_eq!(plug.choose(&fits).unwrap().child, None, "{fits:?}");
        }
        for wrong in ["2", "0", "rack 4", "storage-b"] {
            let error = plug.choose(&named(wrong)).unwrap_err();
            assert!(matches!(error, Error::Config { .. }), "{wrong}: {error}");
        }
    }
}
