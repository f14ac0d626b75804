//! How a password gets to the device.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::options::Settings;
use crate::secret::Secret;

/// User and password. Firmware knows no other user than `admin`; a proxy in front of it may.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) username: String,
    password: Secret,
}

impl Credentials {
    pub(super) fn from_settings(settings: &Settings) -> Option<Self> {
        Some(Self {
            username: settings.text("username").unwrap_or("admin").to_owned(),
            password: settings.secret("password")?,
        })
    }

    /// The value of the `Authorization` header.
    pub(super) fn header(&self) -> String {
        let pair = Secret::from(format!("{}:{}", self.username, self.password.expose()));
        format!("Basic {}", STANDARD.encode(pair.expose()))
    }

    /// The start of a query, for firmware that does not read the header.
    pub(super) fn query(&self) -> String {
        format!(
            "user={}&password={}&",
            encoded(&self.username),
            encoded(self.password.expose())
        )
    }
}

/// As a value in a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_carry_the_password_whole() {
        let credentials = Credentials {
            username: "admin".into(),
            password: "p&ss=w rd%é".into(),
        };
        assert_eq!(credentials.header(), "Basic YWRtaW46cCZzcz13IHJkJcOp");
        assert_eq!(
            credentials.query(),
            "user=admin&password=p%26ss%3Dw%20rd%25%C3%A9&"
        );
        assert!(!format!("{credentials:?}").contains("p&ss"));
    }
}
