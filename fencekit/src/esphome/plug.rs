//! Which switch is meant: `plug` or `switch_name`, as ESPHome writes names.

use crate::error::{Error, Result};
use crate::options::{Plug, Settings};

/// The switch that a device is configured for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// None was named.
    Nothing,
    /// This one must exist.
    Switch(Name),
    /// Pacemaker's name of the node: the switch of that name if there is one, else the only switch.
    Node(Name),
}

/// What a user wrote: `Relay`, `relay`, or `Rack B/Relay` for a switch of a sub-device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    text: String,
}

impl Wanted {
    /// From `plug` and `switch_name`.
    ///
    /// # Errors
    /// [`Error::Config`] when the two name different switches.
    pub(super) fn from_settings(settings: &Settings) -> Result<Self> {
        let plug = settings.plug();
        let switch = settings.text("switch_name").map(str::trim);
        match (switch.filter(|name| !name.is_empty()), plug) {
            (Some(switch), Plug::Named(plug)) if switch != plug => Err(Error::config(
                "switch_name",
                format!("\"{switch}\" contradicts plug=\"{plug}\""),
                "leave one of the two out: they are the same option",
            )),
            (Some(name), _) => Ok(Self::Switch(Name::new(name))),
            (None, Plug::Named(name)) => Ok(Self::Switch(Name::new(&name))),
            (None, Plug::NodeName(name)) => Ok(Self::Node(Name::new(&name))),
            (None, Plug::None) => Ok(Self::Nothing),
        }
    }

    /// The text, wherever it came from.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Nothing => None,
            Self::Switch(name) | Self::Node(name) => Some(&name.text),
        }
    }
}

impl Name {
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Sub-device and entity, where the text can be read so.
    pub(super) fn of_sub_device(&self) -> Option<(&str, &str)> {
        self.text
            .split_once('/')
            .filter(|(device, entity)| !device.is_empty() && !entity.is_empty())
    }

    /// Whether an entity of this name is meant: the very name, or one whose object id was written.
    pub(super) fn means(&self, entity: &str) -> bool {
        self.text == entity || is_object_id_of(&self.text, entity)
    }
}

/// The id that ESPHome makes of an entity's name: lower case, and `_` for all but `a-z 0-9 - _`.
///
/// A letter beyond ASCII became one `_` where the compiler made the id, and one for each of its bytes where the
/// firmware did: see [`is_object_id_of`].
pub(super) fn object_id(name: &str) -> String {
    name.chars().map(plain).collect()
}

/// Whether `id` is the object id of an entity of this name, made in either way.
pub(super) fn is_object_id_of(id: &str, name: &str) -> bool {
    let by_byte: String = name.bytes().map(|byte| plain(char::from(byte))).collect();
    id == object_id(name) || id == by_byte
}

fn plain(c: char) -> char {
    match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() || c == '-' => c,
        _ => '_',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Method;

    fn wanted(pairs: &[(&str, &str)]) -> Result<Wanted> {
        let mut settings = Settings::new(Method::Esphome);
        for (name, value) in pairs {
            settings.set(name, value)?;
        }
        Wanted::from_settings(&settings)
    }

    #[test]
    fn plug_and_switch_name_are_one_option() {
        for pairs in [
            &[("plug", "Relay")][..],
            &[("switch_name", " Relay ")],
            &[("port", "Relay"), ("switch-name", "Relay")],
        ] {
            assert_eq!(wanted(pairs).unwrap(), Wanted::Switch(Name::new("Relay")));
        }
        let error = wanted(&[("plug", "Relay"), ("switch_name", "Fan")]).unwrap_err();
        assert!(error.to_string().starts_with("switch_name: "), "{error}");
        assert_eq!(wanted(&[]).unwrap(), Wanted::Nothing);
    }

    #[test]
    fn a_switch_name_comes_before_the_name_of_the_node() {
        let mut settings = Settings::new(Method::Esphome);
        settings.set_node_name_plug("storage-b");
        assert_eq!(
            Wanted::from_settings(&settings).unwrap(),
            Wanted::Node(Name::new("storage-b"))
        );
        settings.set("switch_name", "Relay").unwrap();
        assert_eq!(
            Wanted::from_settings(&settings).unwrap(),
            Wanted::Switch(Name::new("Relay"))
        );
    }

    #[test]
    fn object_ids_are_made_as_esphome_makes_them() {
        assert_eq!(object_id("Second Outlet"), "second_outlet");
        assert_eq!(object_id("Rack-2 (left)"), "rack-2__left_");
        assert!(is_object_id_of("b_ro", "Büro") && is_object_id_of("b__ro", "Büro"));
    }

    #[test]
    fn a_name_is_exact_and_an_object_id_belongs_to_its_name() {
        assert!(Name::new("Second Outlet").means("Second Outlet"));
        assert!(Name::new("second_outlet").means("Second Outlet"));
        assert!(!Name::new("second outlet").means("Second Outlet"));
        assert!(!Name::new("Second Outlet").means("second_outlet"));
        assert!(!Name::new("RELAY").means("Relay"));
    }

    #[test]
    fn a_slash_parts_sub_device_and_switch() {
        assert_eq!(
            Name::new("Rack B/Relay").of_sub_device(),
            Some(("Rack B", "Relay"))
        );
        for whole in ["Relay", "/Relay", "Rack/"] {
            assert_eq!(Name::new(whole).of_sub_device(), None);
        }
    }
}
