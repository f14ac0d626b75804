//! What an agent is asked to do.

use fencekit::Error;

/// An action by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Power on.
    On,
    /// Power off, confirmed.
    Off,
    /// Off, confirmed, then on.
    Reboot,
    /// The state, also in the exit code.
    Status,
    /// Whether the device answers.
    Monitor,
    /// All outlets.
    List,
    /// All outlets with their state.
    ListStatus,
    /// The XML description; `manpage` is the same document.
    Metadata,
    /// The options alone, without the network.
    ValidateAll,
}

const NAMES: &[(&str, Action)] = &[
    ("on", Action::On),
    ("off", Action::Off),
    ("reboot", Action::Reboot),
    ("status", Action::Status),
    ("monitor", Action::Monitor),
    ("list", Action::List),
    ("list-status", Action::ListStatus),
    ("metadata", Action::Metadata),
    ("meta-data", Action::Metadata),
    ("manpage", Action::Metadata),
    ("validate-all", Action::ValidateAll),
];

impl Action {
    /// The action called `text`, in any case and with `_` for `-`.
    ///
    /// # Errors
    /// [`Error::Config`] with all names: for a mistyped one the nearest may be the opposite.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let name = text.trim().to_ascii_lowercase().replace('_', "-");
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, action)| *action)
            .ok_or_else(|| {
                let names: Vec<_> = NAMES.iter().map(|(known, _)| *known).collect();
                Error::config(
                    "action",
                    format!("\"{}\" is not known", text.escape_debug()),
                    format!("write one of: {}", names.join(", ")),
                )
            })
    }

    /// Whether it fences, so that `delay` applies.
    pub(crate) fn is_fencing(self) -> bool {
        matches!(self, Self::Off | Self::Reboot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_underscores_do_not_matter() {
        assert_eq!(Action::parse("OFF").unwrap(), Action::Off);
        assert_eq!(Action::parse("list_status").unwrap(), Action::ListStatus);
        assert_eq!(Action::parse("meta-data").unwrap(), Action::Metadata);
    }

    #[test]
    fn an_unknown_action_lists_the_known_ones_and_is_never_the_default() {
        let error = Action::parse("of").unwrap_err().to_string();
        assert!(error.contains("on, off, reboot, "), "{error}");
        assert!(Action::parse("").is_err() && Action::parse("enable").is_err());
    }
}
