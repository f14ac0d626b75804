//! What is proven of the Kasa backend, by whom: the tests against peers take their cases from here, and
//! The table in the README is made of it.
#![allow(dead_code, reason = "each test file uses its part")]

/// A transport with a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Xor,
    KlapV1Iot,
    KlapV2Iot,
    KlapV1Smart,
    KlapV2Smart,
    Aes,
    Tpap,
}

impl Way {
    pub(crate) const ALL: &[Self] = &[
        Self::Xor,
        Self::KlapV1Iot,
        Self::KlapV2Iot,
        Self::KlapV1Smart,
        Self::KlapV2Smart,
        Self::Aes,
        Self::Tpap,
    ];

    pub(crate) fn transport(self) -> &'static str {
        match self {
            Self::Xor => "XOR",
            Self::KlapV1Iot | Self::KlapV1Smart => "KLAP v1",
            Self::KlapV2Iot | Self::KlapV2Smart => "KLAP v2",
            Self::Aes => "AES",
            Self::Tpap => "TPAP",
        }
    }

    pub(crate) fn dialect(self) -> &'static str {
        match self {
            Self::Xor | Self::KlapV1Iot | Self::KlapV2Iot => "IOT",
            Self::KlapV1Smart | Self::KlapV2Smart | Self::Aes | Self::Tpap => "SMART",
        }
    }

    /// Whether a device that others wrote speaks it, which our backend fences.
    pub(crate) fn has_peer_device(self) -> bool {
        self == Self::Xor
    }

    /// Whether a client that others wrote speaks it, which switches our simulated devices.
    pub(crate) fn has_peer_client(self) -> bool {
        !matches!(self, Self::KlapV1Smart | Self::Tpap)
    }

    /// What of it is compared with answers that other implementations computed.
    pub(crate) fn known_answers(self) -> &'static str {
        match self {
            Self::Xor => "frames",
            Self::KlapV1Iot | Self::KlapV2Iot | Self::KlapV1Smart | Self::KlapV2Smart => {
                "handshake, keys, requests"
            }
            Self::Aes => "envelope, both logins",
            Self::Tpap => "SPAKE2+, keys, a request",
        }
    }
}
