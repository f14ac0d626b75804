//! The backends by name.

use std::fmt;
use std::str::FromStr;

use crate::device::FenceDevice;
use crate::error::{Error, Result};
use crate::options::{COMMON, OptionSpec, Settings};

/// A way to cut a node's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// BMCs over IPMI 2.0.
    Ipmi,
    /// TP-Link Kasa and Tapo plugs and strips.
    Kasa,
    /// Tasmota relays.
    Tasmota,
    /// ESPHome switches.
    Esphome,
    /// Any plug or PDU with an on, off and status URL.
    Http,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Ipmi, Self::Kasa, Self::Tasmota, Self::Esphome, Self::Http];

    /// The name in cluster files, Python and C.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipmi => "ipmi",
            Self::Kasa => "kasa",
            Self::Tasmota => "tasmota",
            Self::Esphome => "esphome",
            Self::Http => "http",
        }
    }

    /// The name of the fence agent.
    #[must_use]
    pub fn agent(self) -> &'static str {
        match self {
            Self::Ipmi => "fence_ipmi",
            Self::Kasa => "fence_kasa",
            Self::Tasmota => "fence_tasmota",
            Self::Esphome => "fence_esphome",
            Self::Http => "fence_http",
        }
    }

    /// The options of this method: the common ones, then its own. One of its own that has a common one's name
    /// stands in its place.
    pub fn options(self) -> impl Iterator<Item = &'static OptionSpec> {
        let own = self.own_options();
        let common = COMMON
            .iter()
            .map(|common| own.iter().find(|spec| spec.name == common.name).unwrap_or(common));
        common.chain(
            own.iter()
                .filter(|spec| !COMMON.iter().any(|common| common.name == spec.name)),
        )
    }

    /// The option called `name`, by its name or a name of old.
    #[must_use]
    pub fn option(self, name: &str) -> Option<&'static OptionSpec> {
        self.options().find(|spec| spec.is_called(name))
    }

    fn own_options(self) -> &'static [OptionSpec] {
        match self {
            #[cfg(feature = "ipmi")]
            Self::Ipmi => crate::ipmi::OPTIONS,
            #[cfg(feature = "kasa")]
            Self::Kasa => crate::kasa::OPTIONS,
            #[cfg(feature = "tasmota")]
            Self::Tasmota => crate::tasmota::OPTIONS,
            #[cfg(feature = "esphome")]
            Self::Esphome => crate::esphome::OPTIONS,
            #[cfg(feature = "http")]
            Self::Http => crate::http_outlet::OPTIONS,
            #[allow(unreachable_patterns, reason = "reached when a backend's feature is off")]
            _ => &[],
        }
    }

    /// A device with these options. Nothing is sent.
    ///
    /// # Errors
    /// [`Error::Config`] when an option is missing or two contradict each other; [`Error::Unsupported`] when this
    /// build lacks the backend.
    pub fn device(self, settings: &Settings) -> Result<Box<dyn FenceDevice>> {
        match self {
            #[cfg(feature = "ipmi")]
            Self::Ipmi => crate::ipmi::device(settings),
            #[cfg(feature = "kasa")]
            Self::Kasa => crate::kasa::device(settings),
            #[cfg(feature = "tasmota")]
            Self::Tasmota => crate::tasmota::device(settings),
            #[cfg(feature = "esphome")]
            Self::Esphome => crate::esphome::device(settings),
            #[cfg(feature = "http")]
            Self::Http => crate::http_outlet::device(settings),
            #[allow(unreachable_patterns, reason = "reached when a backend's feature is off")]
            _ => {
                let _ = settings;
                Err(Error::unsupported(format!(
                    "this build has no {self} backend; build with --features {self}"
                )))
            }
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|method| method.name() == text)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                Error::config(
                    "method",
                    format!("\"{text}\" is not known"),
                    format!("write one of: {names}"),
                )
            })
    }
}
