//! Who a device says it is, and whether that is who was meant.

use std::fmt;

use crate::error::{Error, Result};

/// What a device reports about itself. Everything is optional: devices differ. It serialises to what the device said,
/// and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Identity {
    /// MAC address as the device writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The maker's device id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// BMC GUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guid: Option<String>,
    /// Name or alias that the owner gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Firmware version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
}

impl Identity {
    /// Whether nothing is known that could tell this device from another.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mac.is_none() && self.device_id.is_none() && self.guid.is_none() && self.name.is_none()
    }

    /// Whether `other` is of another device for certain: both have a number of one kind, and it is not the same. A name may
    /// change, and the model and firmware are those of many devices.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        let differ = |one: &Option<String>, other: &Option<String>| match (one, other) {
            (Some(one), Some(other)) => bare(one) != bare(other),
            _ => false,
        };
        differ(&self.mac, &other.mac)
            || differ(&self.device_id, &other.device_id)
            || differ(&self.guid, &other.guid)
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
/// A MAC or GUID is compared without regard to case and to `:`, `-` and `.`; a device id without regard to case and, if
/// it is a long number, to separators; a name exactly. A GUID may be written in any of the byte orders in which tools
/// show the same one.
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
        let by_number = [&reported.mac, &reported.guid]
            .into_iter()
            .flatten()
            .any(|number| !wanted.is_empty() && bare(number) == wanted);
        let by_id = || {
            reported
                .device_id
                .as_deref()
                .is_some_and(|id| same_id(id, &self.text))
        };
        let by_guid = || {
            reported
                .guid
                .as_deref()
                .is_some_and(|guid| same_guid(guid, &wanted))
        };
        by_number || by_id() || by_guid() || reported.name.as_deref() == Some(self.text.as_str())
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

/// Digits of the shortest number that passes for one: a MAC address.
const SHORTEST_NUMBER: usize = 12;

/// Whether two device ids are the same. Some are host names, where the place of a dash tells one plug from the next:
/// `plug-1-12` is not `plug-11-2`. Separators are passed over only in what is a long number.
fn same_id(one: &str, other: &str) -> bool {
    if one.eq_ignore_ascii_case(other) {
        return !one.is_empty();
    }
    match (long_number(one), long_number(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// The hex digits of a number that is written without separators, or in groups of one length as `aa-bb-cc-dd-ee-ff`.
fn long_number(text: &str) -> Option<String> {
    let digits = bare(text);
    let is_number = digits.len() >= SHORTEST_NUMBER && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let mut groups = text.split([':', '-', '.', ' ']).map(str::len);
    let length = groups.next()?;
    (is_number && groups.all(|other| other == length)).then_some(digits)
}

/// Whether two GUIDs are the same sixteen bytes, in the order of the wire, reversed (IPMI), or with the first three
/// fields reversed (SMBIOS): `ipmitool mc guid`, `dmidecode` and BMCs' web pages differ in that.
fn same_guid(one: &str, other: &str) -> bool {
    let (Some(one), Some(other)) = (guid_bytes(one), guid_bytes(other)) else {
        return false;
    };
    let reversed = |[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]: [u8; 16]| {
        [p, o, n, m, l, k, j, i, h, g, f, e, d, c, b, a]
    };
    let smbios = |[a, b, c, d, e, f, g, h, rest @ ..]: [u8; 16]| {
        let [i, j, k, l, m, n, o, p] = rest;
        [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
    };
    [
        one,
        reversed(one),
        smbios(one),
        reversed(smbios(one)),
        smbios(reversed(one)),
    ]
    .contains(&other)
}

fn guid_bytes(text: &str) -> Option<[u8; 16]> {
    let digits = bare(text);
    if digits.len() != 32 {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_matches_in_every_order_that_tools_show() {
        // The same sixteen bytes from `ipmitool mc guid` with the encodings rfc4122, ipmi and smbios.
        let shown = [
            "44454c4c-0010-4b30-8035-b7c04f4d3132",
            "32314d4f-c0b7-3580-304b-10004c4c4544",
            "4c4c4544-1000-304b-8035-b7c04f4d3132",
        ];
        for reported in shown {
            let device = Identity {
                guid: Some(reported.to_owned()),
                ..Identity::default()
            };
            for expected in shown {
                assert!(
                    ExpectedIdentity::parse(expected).unwrap().matches(&device),
                    "{expected}"
                );
            }
            let other = "44454c4c-0010-4b30-8035-b7c04f4d3133";
            assert!(!ExpectedIdentity::parse(other).unwrap().matches(&device));
        }
    }

    fn of_id(id: &str) -> Identity {
        Identity {
            device_id: Some(id.to_owned()),
            ..Identity::default()
        }
    }

    #[test]
    fn the_dashes_of_a_host_name_tell_one_plug_from_another() {
        let expected = ExpectedIdentity::parse("plug-1-12").unwrap();
        assert!(expected.matches(&of_id("plug-1-12")) && expected.matches(&of_id("PLUG-1-12")));
        for other in ["plug-11-2", "plug112", "plug-112", "plug.1.12", ""] {
            assert!(!expected.matches(&of_id(other)), "{other}");
        }
        // All hex, and as long as a MAC address, but a name nonetheless.
        let expected = ExpectedIdentity::parse("dead-beef-cafe-1-12").unwrap();
        assert!(!expected.matches(&of_id("dead-beef-cafe-11-2")));
    }

    #[test]
    fn a_device_id_that_is_a_number_is_compared_by_its_digits() {
        let id = of_id("8006A1B2C3D4E5F6000102030405060708090A0B");
        for same in [
            "8006a1b2c3d4e5f6000102030405060708090a0b",
            "80:06:a1:b2:c3:d4:e5:f6:00:01:02:03:04:05:06:07:08:09:0a:0b",
        ] {
            assert!(ExpectedIdentity::parse(same).unwrap().matches(&id), "{same}");
        }
        let other = ExpectedIdentity::parse("8006a1b2c3d4e5f6000102030405060708090a0c").unwrap();
        assert!(!other.matches(&id));
    }

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
