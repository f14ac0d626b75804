//! Cipher suites: which algorithms protect a session.

use std::fmt;

/// A cipher suite that this crate speaks. All others are refused by name when the option is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// 2: HMAC-SHA1, HMAC-SHA1-96, no encryption. Only when asked for.
    S2,
    /// 3: HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128.
    S3,
    /// 16: HMAC-SHA256, HMAC-SHA256-128, no encryption. Only when asked for.
    S16,
    /// 17: HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128.
    S17,
}

/// The hash below a suite's authentication and integrity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
}

impl Suite {
    /// The suite of this number, where it is one of ours.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            2 => Some(Self::S2),
            3 => Some(Self::S3),
            16 => Some(Self::S16),
            17 => Some(Self::S17),
            _ => None,
        }
    }

    /// Its number in the specification.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::S2 => 2,
            Self::S3 => 3,
            Self::S16 => 16,
            Self::S17 => 17,
        }
    }

    /// Authentication, integrity and confidentiality algorithm, as Open Session carries them.
    pub(crate) fn algorithms(self) -> [u8; 3] {
        match self {
            Self::S2 => [1, 1, 0],
            Self::S3 => [1, 1, 1],
            Self::S16 => [3, 4, 0],
            Self::S17 => [3, 4, 1],
        }
    }

    /// Whether payloads are encrypted.
    #[must_use]
    pub fn encrypts(self) -> bool {
        matches!(self, Self::S3 | Self::S17)
    }

    pub(crate) fn hash(self) -> Hash {
        match self {
            Self::S2 | Self::S3 => Hash::Sha1,
            Self::S16 | Self::S17 => Hash::Sha256,
        }
    }

    /// Bytes of the cut code at the end of each session packet, and of the one in RAKP 4.
    pub(crate) fn code_len(self) -> usize {
        match self.hash() {
            Hash::Sha1 => 12,
            Hash::Sha256 => 16,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cipher suite {}", self.number())
    }
}
