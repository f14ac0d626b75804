//! Who a device says it is, and whether that is who was meant.

use std::fmt;

use crate::error::{Error, Result};

/// What a device reports about itself. Everything is optional: devices differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// MAC address as the device writes it.
    pub mac: Option<String>,
    /// The maker's device id.
    pub device_id: Option<String>,
    /// BMC GUID.
    pub guid: Option<String>,
    /// Name or alias that the owner gave it.
    pub name: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Firmware version.
    pub firmware: Option<String>,
}

impl Identity {
    /// Whether nothing is known that could tell this device from another.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mac.is_none() && self.device_id.is_none() && self.guid.is_none() && self.name.is_none()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = [
            ("MAC", &self.mac),
            ("device id", &self.device_id),
            ("GUID", &self.guid),
            ("name", &self.name),
            ("model", &self.model),
            ("firmware", &self.firmware),
        ];
        let mut separator = "";
        for (what, value) in known {
            if let Some(value) = value {
                write!(f, "{separator}{what} {value}")?;
                separator = ", ";
            }
        }
        if separator.is_empty() {
            f.write_str("a device that reports no identity")
        } else {
            Ok(())
        }
    }
}

/// The identity that a device must report before anything is switched: a MAC address, a device id, a BMC
/// GUID or a name.
///
/// A MAC, id or GUID is compared without regard to case and to `:`, `-` and `.`; a name exactly.
///
/// ```
/// use fencekit::{ExpectedIdentity, Identity};
///
/// let expected = ExpectedIdentity::parse("50:c7:bf:00:00:01")?;
/// let device = Identity { mac: Some("50-C7-BF-00-00-01".into()), ..Identity::default() };
/// assert!(expected.matches(&device));
/// assert!(!expected.matches(&Identity::default()));
/// # Ok::<(), fencekit::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedIdentity {
    text: String,
}

impl ExpectedIdentity {
    /// Takes what the user wrote.
    ///
    /// # Errors
    /// [`Error::Config`] when it is blank: an identity that everything matches protects nothing.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::config(
                "expect_identity",
                "is empty",
                "give the MAC address, device id, GUID or name, or leave the option out",
            ));
        }
        Ok(Self {
            text: text.to_owned(),
        })
    }

    /// What the user wrote.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether one of the reported identifiers is the expected one.
    #[must_use]
    pub fn matches(&self, reported: &Identity) -> bool {
        let wanted = bare(&self.text);
        let by_number = [&reported.mac, &reported.device_id, &reported.guid]
            .into_iter()
            .flatten()
            .any(|number| !wanted.is_empty() && bare(number) == wanted);
        by_number || reported.name.as_deref() == Some(self.text.as_str())
    }

    /// # Errors
    /// [`Error::WrongDevice`] when [`matches`](Self::matches) says no.
    pub fn check(&self, reported: &Identity) -> Result<()> {
        if self.matches(reported) {
            return Ok(());
        }
        Err(Error::WrongDevice {
            expected: self.text.clone(),
            found: reported.to_string(),
            source: None,
        })
    }
}

fn bare(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, ':' | '-' | '.' | ' '))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_alone_match_nothing() {
        let expected = ExpectedIdentity::parse("::").unwrap();
        let device = Identity {
            mac: Some(String::new()),
            ..Identity::default()
        };
        assert!(!expected.matches(&device));
    }

    #[test]
    fn a_name_is_exact() {
        let device = Identity {
            name: Some("Storage B".into()),
            ..Identity::default()
        };
        assert!(ExpectedIdentity::parse("Storage B").unwrap().matches(&device));
        assert!(!ExpectedIdentity::parse("storage b").unwrap().matches(&device));
    }

    #[test]
    fn a_mismatch_names_both() {
        let device = Identity {
            mac: Some("aa:bb".into()),
            ..Identity::default()
        };
        let error = ExpectedIdentity::parse("cc:dd")
            .unwrap()
            .check(&device)
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("expected cc:dd, but MAC aa:bb answers")
        );
    }
}
